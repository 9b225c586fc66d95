"""Depth Pro as the library transformers stores it.

The names are those that transformers 5.23 writes, and those of the attention in its memory; that
its network and ours agree on such weights was tried with it, which is not a dependency.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_depth_pro import SMALL, key_named

from depth_ros.errors import ModelError
from depth_ros.models.base import PublishedTwice
from depth_ros.weights import store

pytest.importorskip('torch')
pytest.importorskip('safetensors')

import safetensors.torch
import torch

NECK, FUSIONS = 'depth_pro.neck.feature', 'fusion_stage.intermediate'

# Module here: module there.
TRANSFORMERS = {
    'encoder.patch_encoder': 'depth_pro.encoder.patch_encoder.model',
    'encoder.image_encoder': 'depth_pro.encoder.image_encoder.model',
    'fov.encoder.0': 'fov_model.fov_encoder.model',
}
MODULES = {
    'encoder.upsample_latent0': f'{NECK}_upsample.intermediate.1.layers',
    'encoder.upsample_latent1': f'{NECK}_upsample.intermediate.0.layers',
    'encoder.upsample0': f'{NECK}_upsample.scaled_images.2.layers',
    'encoder.upsample1': f'{NECK}_upsample.scaled_images.1.layers',
    'encoder.upsample2': f'{NECK}_upsample.scaled_images.0.layers',
    'encoder.upsample_lowres': f'{NECK}_upsample.image_block.layers.0',
    'encoder.fuse_lowres': 'depth_pro.neck.fuse_image_with_low_res',
    'decoder.convs.1': f'{NECK}_projection.projections.3',
    'decoder.convs.2': f'{NECK}_projection.projections.2',
    'decoder.convs.3': f'{NECK}_projection.projections.1',
    'decoder.convs.4': f'{NECK}_projection.projections.0',
    'head': 'head.layers',
    'fov.encoder.1': 'fov_model.fov_encoder.neck',
    'fov.downsample.0': 'fov_model.conv',
    'fov.head': 'fov_model.head.layers',
}
FUSION = {
    'resnet1.residual.1': 'residual_layer1.convolution1',
    'resnet1.residual.3': 'residual_layer1.convolution2',
    'resnet2.residual.1': 'residual_layer2.convolution1',
    'resnet2.residual.3': 'residual_layer2.convolution2',
    'deconv': 'deconv',
    'out_conv': 'projection',
}
LEVELS = {0: 'fusion_stage.final', **{level: f'{FUSIONS}.{4 - level}' for level in range(1, 5)}}
BLOCK = {
    'norm1.': 'norm1.',
    'attn.proj.': 'attention.output.dense.',
    'ls1.gamma': 'layer_scale1.lambda1',
    'norm2.': 'norm2.',
    'mlp.fc1.': 'mlp.fc1.',
    'mlp.fc2.': 'mlp.fc2.',
    'ls2.gamma': 'layer_scale2.lambda1',
}
OUTSIDE_BLOCKS = {
    'cls_token': 'embeddings.cls_token',
    'pos_embed': 'embeddings.position_embeddings',
    'patch_embed.proj.': 'embeddings.patch_embeddings.projection.',
    'norm.': 'layernorm.',
}
QKV = tuple(f'attention.attention.{part}' for part in ('query', 'key', 'value'))


def beginnings() -> Iterator[tuple[str, str]]:
    """How a name begins here, and there."""
    yield from ((f'{here}.', f'{there}.') for here, there in MODULES.items())
    for level, there in LEVELS.items():
        for part, part_there in FUSION.items():
            yield f'decoder.fusions.{level}.{part}.', f'{there}.{part_there}.'
    for here, there in TRANSFORMERS.items():
        for part, part_there in OUTSIDE_BLOCKS.items():
            yield f'{here}.{part}', f'{there}.{part_there}'
        for block in range(SMALL.depth):
            for part, part_there in BLOCK.items():
                yield (
                    f'{here}.blocks.{block}.{part}',
                    f'{there}.encoder.layer.{block}.{part_there}',
                )


def as_in_transformers(state: dict[str, Any]) -> dict[str, Any]:
    """Official parameters as transformers writes them."""
    known, result = dict(beginnings()), {}
    for name, value in state.items():
        branch, found, kind = name.partition('.attn.qkv.')
        if found:
            here, _, block = branch.partition('.blocks.')
            for part, third in zip(QKV, value.chunk(3), strict=True):
                there = f'{TRANSFORMERS[here]}.encoder.layer.{block}.{part}.{kind}'
                result[there] = third.clone()
        else:
            here = next(beginning for beginning in known if name.startswith(beginning))
            result[known[here] + name.removeprefix(here)] = value
    return result


@pytest.fixture(scope='module')
def model() -> Any:
    return key_named(SMALL)


@pytest.fixture(scope='module')
def foreign(model: Any) -> dict[str, Any]:
    state = as_in_transformers(model.state_dict())
    assert len(state) == len(model.state_dict()) + 3 * SMALL.depth * 2 * 2
    assert not set(state) & set(model.state_dict())
    return state


def check(state: Any, model: Any) -> None:
    wanted = model.state_dict()
    assert set(state) == set(wanted)
    assert all(torch.equal(state[name], value) for name, value in wanted.items())


def test_a_file_of_transformers_loads(model: Any, foreign: Any, tmp_path: Path) -> None:
    safetensors.torch.save_file(foreign, tmp_path / 'model.safetensors')
    loaded = type(model)(SMALL)
    assert isinstance(loaded, PublishedTwice)
    store.load(loaded, tmp_path / 'model.safetensors')
    check(loaded.state_dict(), model)


def test_names_in_the_memory_of_version_5_are_known(model: Any, foreign: Any) -> None:
    new = {'query': 'q_proj', 'key': 'k_proj', 'value': 'v_proj'}
    names = {f'attention.attention.{old}.': f'attention.{name}.' for old, name in new.items()}
    names['attention.output.dense.'] = 'attention.o_proj.'
    state = dict(foreign)
    for old, name in names.items():
        state = {key.replace(old, name): value for key, value in state.items()}
    assert not set(state) & {key for key in foreign if '.attention.' in key}
    check(model.official_names(state), model)


def test_official_names_stay(model: Any) -> None:
    state = model.state_dict()
    named = model.official_names(state)
    assert list(named) == list(state)
    assert all(named[name] is value for name, value in state.items())


@pytest.mark.parametrize('part', ['query', 'key', 'value'])
def test_a_third_that_is_missing_is_told(
    part: str, model: Any, foreign: Any, tmp_path: Path
) -> None:
    state = dict(foreign)
    del state[f'fov_model.fov_encoder.model.encoder.layer.1.attention.attention.{part}.bias']
    safetensors.torch.save_file(state, tmp_path / 'model.safetensors')
    with pytest.raises(
        ModelError, match=r'1 missing: fov\.encoder\.0\.blocks\.1\.attn\.qkv\.bias'
    ):
        store.load(type(model)(SMALL), tmp_path / 'model.safetensors')
