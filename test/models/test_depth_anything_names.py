"""Depth Anything as the library transformers stores it.

The names are those that transformers 5.23 writes; that its network and ours agree on such a file
was tried with it, which is not a dependency.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from key_named import key_named_state

from depth_ros.errors import ModelError
from depth_ros.models.base import PublishedTwice
from depth_ros.models.depth_anything import DepthAnything, NetworkSize
from depth_ros.weights import store

pytest.importorskip('torch')
pytest.importorskip('safetensors')

import safetensors.torch
import torch

DEPTH = 4
TINY = DepthAnything(NetworkSize(32, DEPTH, 2, 16, (8, 16, 24, 32)), (0, 1, 2, 3))
HEAD, SCRATCH = 'depth_head', 'depth_head.scratch'

# Module there: module here.
MODULES = {
    'backbone.embeddings.patch_embeddings.projection': 'pretrained.patch_embed.proj',
    'backbone.layernorm': 'pretrained.norm',
    'neck.reassemble_stage.layers.0.projection': f'{HEAD}.projects.0',
    'neck.reassemble_stage.layers.1.projection': f'{HEAD}.projects.1',
    'neck.reassemble_stage.layers.2.projection': f'{HEAD}.projects.2',
    'neck.reassemble_stage.layers.3.projection': f'{HEAD}.projects.3',
    'neck.reassemble_stage.layers.0.resize': f'{HEAD}.resize_layers.0',
    'neck.reassemble_stage.layers.1.resize': f'{HEAD}.resize_layers.1',
    'neck.reassemble_stage.layers.3.resize': f'{HEAD}.resize_layers.3',
    'neck.convs.0': f'{SCRATCH}.layer1_rn',
    'neck.convs.1': f'{SCRATCH}.layer2_rn',
    'neck.convs.2': f'{SCRATCH}.layer3_rn',
    'neck.convs.3': f'{SCRATCH}.layer4_rn',
    'head.conv1': f'{SCRATCH}.output_conv1',
    'head.conv2': f'{SCRATCH}.output_conv2.0',
    'head.conv3': f'{SCRATCH}.output_conv2.2',
}
IN_BLOCK = {
    'norm1': 'norm1',
    'attention.output.dense': 'attn.proj',
    'norm2': 'norm2',
    'mlp.fc1': 'mlp.fc1',
    'mlp.fc2': 'mlp.fc2',
}
IN_FUSION = {
    'projection': 'out_conv',
    'residual_layer1.convolution1': 'resConfUnit1.conv1',
    'residual_layer1.convolution2': 'resConfUnit1.conv2',
    'residual_layer2.convolution1': 'resConfUnit2.conv1',
    'residual_layer2.convolution2': 'resConfUnit2.conv2',
}
REFINENETS = {0: 4, 1: 3, 2: 2, 3: 1}


def as_transformers_writes_it(state: dict[str, Any]) -> dict[str, Any]:
    modules = dict(MODULES)
    names = {
        'backbone.embeddings.cls_token': 'pretrained.cls_token',
        'backbone.embeddings.mask_token': 'pretrained.mask_token',
        'backbone.embeddings.position_embeddings': 'pretrained.pos_embed',
    }
    written = {}
    for block in range(DEPTH):
        there, here = f'backbone.encoder.layer.{block}', f'pretrained.blocks.{block}'
        modules |= {f'{there}.{a}': f'{here}.{b}' for a, b in IN_BLOCK.items()}
        for scale in '12':
            names[f'{there}.layer_scale{scale}.lambda1'] = f'{here}.ls{scale}.gamma'
        for what in ('weight', 'bias'):
            parts = state[f'{here}.attn.qkv.{what}'].chunk(3)
            for part, value in zip(('query', 'key', 'value'), parts, strict=True):
                written[f'{there}.attention.attention.{part}.{what}'] = value.clone()
    for layer, refinenet in REFINENETS.items():
        there, here = f'neck.fusion_stage.layers.{layer}', f'{SCRATCH}.refinenet{refinenet}'
        modules |= {f'{there}.{a}': f'{here}.{b}' for a, b in IN_FUSION.items()}
    for there, here in modules.items():
        for what in ('weight', 'bias'):
            if f'{here}.{what}' in state:
                names[f'{there}.{what}'] = f'{here}.{what}'
    return written | {there: state[here] for there, here in names.items()}


@pytest.fixture
def state() -> dict[str, Any]:
    return key_named_state(TINY.build())


def test_file_of_transformers_loads(state: dict[str, Any], tmp_path: Path) -> None:
    written = as_transformers_writes_it(state)
    assert len(written) == len(state) + 2 * 2 * DEPTH  # three for one, weight and bias
    safetensors.torch.save_file(written, tmp_path / 'model.safetensors')
    network = TINY.build()
    store.load(network, tmp_path / 'model.safetensors')
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_names_that_version_5_has_in_memory_load_too(state: dict[str, Any]) -> None:
    names = {
        'attention.attention.query': 'attention.q_proj',
        'attention.attention.key': 'attention.k_proj',
        'attention.attention.value': 'attention.v_proj',
        'attention.output.dense': 'attention.o_proj',
    }
    written = as_transformers_writes_it(state)
    for old, new in names.items():
        written = {name.replace(old, new): value for name, value in written.items()}
    assert 'backbone.encoder.layer.0.attention.q_proj.weight' in written
    found = TINY.build().official_names(written)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_official_names_stay(state: dict[str, Any]) -> None:
    network = TINY.build()
    assert isinstance(network, PublishedTwice)
    found = network.official_names(state)
    assert list(found) == list(state)
    assert all(found[name] is state[name] for name in state)


def test_what_is_missing_stays_missing(state: dict[str, Any], tmp_path: Path) -> None:
    written = as_transformers_writes_it(state)
    del written['backbone.encoder.layer.2.attention.attention.key.bias']
    safetensors.torch.save_file(written, tmp_path / 'model.safetensors')
    with pytest.raises(ModelError, match=r'1 missing: pretrained\.blocks\.2\.attn\.qkv\.bias'):
        store.load(TINY.build(), tmp_path / 'model.safetensors')
