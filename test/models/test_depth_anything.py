"""Depth Anything against what the official networks computed of the same weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from key_named import key_named_state

from depth_ros.engines.base import PRECISIONS
from depth_ros.errors import MissingDependencyError
from depth_ros.frame import DepthKind
from depth_ros.models.depth_anything import FAMILIES, DepthAnything, NetworkSize
from depth_ros.weights.registry import MODELS, family

pytest.importorskip('torch')

import torch

torch.set_num_threads(1)

TINY = DepthAnything(NetworkSize(32, 4, 2, 16, (8, 16, 24, 32)), (0, 1, 2, 3), max_depth_m=80.0)
CARDS = [card for card in MODELS.values() if card.family.startswith('depth_anything')]

# What LiheYoung/Depth-Anything 1d03336 (vits) computes of the weights and the image of the oracle,
# at [7::14, 7::14]: its first row and its fifth column.
V1_ROW = [0.210745, 0, 0.0325, 0.041129, 0, 0, 0.121197]
V1_COLUMN = [0, 0.47680801, 0, 0, 0.111576]


@pytest.fixture(scope='module')
def oracle(oracle_dir: Path) -> dict[str, Any]:
    with np.load(oracle_dir / 'da2_vits_forward.npz') as archive:
        return dict(archive)


@pytest.fixture(scope='module')
def state() -> dict[str, Any]:
    """Weights of a small network, the same for all its families."""
    return key_named_state(FAMILIES['depth_anything_v2_s'].build())


def loaded(name: str, state: dict[str, Any]) -> Any:
    network = FAMILIES[name].build()
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False)


def tiny() -> Any:
    network = TINY.build()
    network.load_state_dict(key_named_state(network))
    return network.requires_grad_(False)


@pytest.mark.parametrize('name', ['depth_anything_v1_s', 'depth_anything_v2_s_20m'])
def test_parameters_have_the_official_names_and_shapes(name: str, oracle_dir: Path) -> None:
    official = json.loads((oracle_dir / 'da2_vits_state_dict.json').read_text())
    with torch.device('meta'):
        ours = FAMILIES[name].build().state_dict()
    assert len(official) == 239
    assert {key: list(value.shape) for key, value in ours.items()} == official


@pytest.mark.parametrize('card', CARDS, ids=lambda card: card.name)
def test_cards_tell_the_truth_about_the_networks(card: Any) -> None:
    network = family(card.family)
    assert network is FAMILIES[card.family]
    assert network.KIND is card.kind
    if card.kind is DepthKind.METRIC:
        assert network.OUTPUTS == ('depth',)
        assert f'_{network.max_depth_m}m' in card.family
        assert card.max_depth_m <= network.max_depth_m
    else:
        assert network.OUTPUTS == ('disparity',)
    with torch.device('meta'):
        parameters = network.build().parameters()
    assert sum(value.numel() for value in parameters) == card.parameters


@pytest.mark.parametrize(
    ('letter', 'v1', 'v2'),
    [
        ('s', (8, 9, 10, 11), (2, 5, 8, 11)),
        ('b', (8, 9, 10, 11), (2, 5, 8, 11)),
        ('l', (20, 21, 22, 23), (4, 11, 17, 23)),
    ],
)
def test_v1_taps_the_last_blocks_and_v2_all_over(
    letter: str, v1: tuple[int, ...], v2: tuple[int, ...]
) -> None:
    assert FAMILIES[f'depth_anything_v1_{letter}'].taps == v1
    for suffix in ('', '_20m', '_80m'):
        assert FAMILIES[f'depth_anything_v2_{letter}{suffix}'].taps == v2


def test_transformer_is_the_official_one(oracle: dict[str, Any], state: dict[str, Any]) -> None:
    network = loaded('depth_anything_v2_s', state)
    first, _, _, last = network.pretrained(torch.from_numpy(oracle['x']), network.taps)
    np.testing.assert_allclose(first[:, 1:], oracle['feat0'], atol=2e-5)
    np.testing.assert_allclose(last[:, 1:], oracle['feat3'], atol=2e-5)
    np.testing.assert_allclose(last[:, 0], oracle['cls3'], atol=2e-5)
    embedding = network.pretrained.position_embedding(5, 7)
    np.testing.assert_allclose(embedding, oracle['pos_embed_5x7'], atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'output', 'most'),
    [
        ('depth_anything_v2_s', 'relative', 2e-5),
        ('depth_anything_v2_s_20m', 'metric_20', 2e-5),
        ('depth_anything_v2_s_80m', 'metric_80', 8e-5),  # four times the 20 m
    ],
)
def test_v2_is_the_official_network(
    oracle: dict[str, Any], state: dict[str, Any], name: str, output: str, most: float
) -> None:
    network = loaded(name, state)
    image = torch.from_numpy(oracle['x'])
    for result in (network(image), *FAMILIES[name].deployed(network, 'fp32', (70, 98))(image)):
        np.testing.assert_allclose(result[:, 0], oracle[output], atol=most, rtol=0)


def test_v1_is_the_official_network(state: dict[str, Any]) -> None:
    rng = np.random.default_rng(7098)
    image = torch.from_numpy(rng.standard_normal((1, 3, 70, 98)).astype(np.float32))
    result = loaded('depth_anything_v1_s', state)(image)[0, 0, 7::14, 7::14]
    np.testing.assert_allclose(result[0], V1_ROW, atol=2e-5)
    np.testing.assert_allclose(result[:, 1], V1_COLUMN, atol=2e-5)


def test_position_embedding_is_as_learned_at_the_size_of_the_training() -> None:
    network = tiny().pretrained
    assert network.position_embedding(37, 37) is network.pos_embed
    assert network.position_embedding(37, 36).shape == (1, 1 + 37 * 36, 32)


@pytest.mark.parametrize(
    ('precision', 'most_m'), [('fp32', 1e-4), ('fp16', 0.2), ('fp16_all', 0.2)]
)
def test_deployed_is_a_copy_for_one_size(precision: str, most_m: float) -> None:
    network = tiny()
    image = torch.from_numpy(TINY.golden_inputs(70, 98)['image'])
    before = network(image).numpy()
    deployed = TINY.deployed(network, precision, (70, 98))
    [depth_m] = deployed(image)
    assert depth_m.dtype == torch.float32
    assert np.ptp(before) > 1
    np.testing.assert_allclose(depth_m, before, atol=most_m, rtol=0)
    assert deployed.network.pretrained.pos_embed.shape == (1, 36, 32)
    np.testing.assert_allclose(network(image), before, rtol=1e-6)
    assert not deployed.training


def test_last_layers_stay_in_single_precision() -> None:
    deployed = TINY.deployed(tiny(), 'fp16', (70, 98)).network
    single = {
        name.removeprefix('depth_head.scratch.').split('.')[0]
        for name, value in deployed.depth_head.named_parameters(prefix='depth_head')
        if value.dtype == torch.float32
    }
    assert single == {'output_conv2'}


def test_half_precision_is_as_safe_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all scores share overflows in the steps of an exported graph, unless in single."""
    network = tiny()
    for name in ('weight', 'bias'):
        values = getattr(network.pretrained.blocks[2].attn.qkv, name)[:64]  # queries, keys
        values.view(2, 2, 16, -1)[:, :, 0] = 600.0 if name == 'bias' else 0.0
    image = torch.from_numpy(TINY.golden_inputs(42, 42)['image'])
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    [wanted_m], [depth_m], [broken] = (
        TINY.deployed(network, precision, (42, 42))(image) for precision in PRECISIONS
    )
    monkeypatch.undo()
    np.testing.assert_allclose(depth_m, wanted_m, atol=0.5)
    assert broken.isnan().all()


def test_missing_pytorch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'depth_ros.models.dpt', None)
    with pytest.raises(MissingDependencyError, match=r'depth_ros\[torch\]'):
        TINY.build()
