"""BP-Net against numbers that the official implementation computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import ModelError
from depth_ros.models import bpnet

torch = pytest.importorskip('torch')

Arrays = dict[str, Any]


@pytest.fixture(scope='module')
def oracle(oracle_dir: Path) -> Arrays:
    with np.load(oracle_dir / 'bpnet.npz', allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope='module')
def stages(key_named_bpnet: Any, oracle: Arrays) -> list[Any]:
    """Results of the six stages on the oracle's input in float32, coarsest first."""
    inputs = [torch.from_numpy(oracle[name]) for name in 'ISK']
    levels = [torch.from_numpy(oracle[f'l{level}_args'].astype(np.int64)) for level in range(6)]
    with torch.inference_mode():
        return key_named_bpnet(*inputs, levels)


def test_parameters_have_the_official_names_and_shapes(
    key_named_bpnet: Any, oracle_dir: Path
) -> None:
    official = json.loads((oracle_dir / 'bpnet_state_dict.json').read_text())
    ours = key_named_bpnet.state_dict()
    assert len(official) == 1648
    assert {k: (list(v.shape), str(v.dtype)) for k, v in ours.items()} == {
        k: (v['shape'], f'torch.{v["dtype"]}') for k, v in official.items()
    }


def test_float64_equals_the_official_network(key_named_bpnet: Any, oracle: Arrays) -> None:
    model = key_named_bpnet.double()
    try:
        depth = bpnet.complete(model, oracle['rgb'], oracle['S'][0, 0], oracle['K'][0])
    finally:
        key_named_bpnet.float()
    assert depth.dtype == np.float64
    np.testing.assert_allclose(depth, oracle['out5_level0_fp64'][0, 0], rtol=0, atol=1e-9)


def test_float32_is_within_the_noise_of_the_official_network(
    key_named_bpnet: Any, oracle: Arrays
) -> None:
    depth = bpnet.complete(key_named_bpnet, oracle['rgb'], oracle['S'][0, 0], oracle['K'][0])
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, oracle['out5_level0'][0, 0], rtol=0, atol=2e-3)


@pytest.mark.parametrize('level', range(6))
def test_every_stage_equals_the_official_one(
    stages: list[Any], oracle: Arrays, level: int
) -> None:
    stage = stages[5 - level]
    np.testing.assert_allclose(stage.residual, oracle[f'l{level}_res'], rtol=0, atol=2e-2)
    np.testing.assert_allclose(stage.depth, oracle[f'l{level}_post'], rtol=0, atol=2e-2)
    mean = stage.feature.mean(dim=(0, 2, 3))
    np.testing.assert_allclose(mean, oracle[f'l{level}_fuse_mean_c'], rtol=1e-3, atol=1e-3)


def test_size_that_is_no_multiple_of_32_is_padded_and_cropped(
    key_named_bpnet: Any, oracle: Arrays
) -> None:
    rgb, sparse_m, K = oracle['rgb'], oracle['S'][0, 0], oracle['K'][0]
    depth = bpnet.complete(key_named_bpnet, rgb[:50, :70], sparse_m[:50, :70], K)
    padded_rgb = np.pad(rgb[:50, :70], ((0, 14), (0, 26), (0, 0)), mode='edge')
    padded_m = np.pad(sparse_m[:50, :70], ((0, 14), (0, 26)))
    whole = bpnet.complete(key_named_bpnet, padded_rgb, padded_m, K)
    assert depth.shape == (50, 70)
    np.testing.assert_allclose(depth, whole[:50, :70], rtol=1e-6)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_fewer_than_four_returns_are_enough(
    key_named_bpnet: Any, oracle: Arrays, count: int
) -> None:
    sparse_m = np.zeros((64, 96), np.float32)
    for v, u, z in [(10, 20, 7.5), (33, 70, 15.25), (60, 5, 3.125)][:count]:
        sparse_m[v, u] = z
    depth = bpnet.complete(key_named_bpnet, oracle['rgb'], sparse_m, oracle['K'][0])
    assert np.isfinite(depth).all()


def test_nan_is_no_return(key_named_bpnet: Any, oracle: Arrays) -> None:
    rgb, sparse_m, K = oracle['rgb'], oracle['S'][0, 0], oracle['K'][0]
    with_nan = np.where(sparse_m > 0, sparse_m, np.nan)
    np.testing.assert_allclose(
        bpnet.complete(key_named_bpnet, rgb, with_nan, K),
        bpnet.complete(key_named_bpnet, rgb, sparse_m, K),
        rtol=1e-6,
    )


def test_no_return_is_refused(key_named_bpnet: Any, oracle: Arrays) -> None:
    with pytest.raises(ModelError, match='at least one'):
        bpnet.complete(key_named_bpnet, oracle['rgb'], np.zeros((64, 96)), oracle['K'][0])


def test_image_of_another_size_is_refused(key_named_bpnet: Any, oracle: Arrays) -> None:
    with pytest.raises(ModelError, match=r'\(64, 95\)'):
        bpnet.complete(key_named_bpnet, oracle['rgb'], np.ones((64, 95)), oracle['K'][0])


def test_kernels_of_a_new_network_start_as_identity() -> None:
    """So a new network's refinement hands on what it was given, off the returns."""
    from depth_ros.models.bpnet.stage import Refinement

    torch.manual_seed(0)
    refinement = Refinement(8, iterations=4).eval()
    from depth_ros.models.bpnet.network import _initialise

    refinement.apply(_initialise)
    depth, feature = torch.rand(1, 1, 12, 16) * 50, torch.randn(1, 8, 12, 16)
    with torch.inference_mode():
        out = refinement(feature, depth, torch.zeros_like(depth))
    torch.testing.assert_close(out, depth)
