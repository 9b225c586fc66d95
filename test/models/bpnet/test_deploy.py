"""The network as it runs: norms folded, half precision away from depth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.models import bpnet
from depth_ros.models.base import IMAGENET

torch = pytest.importorskip('torch')


@pytest.fixture(scope='module')
def oracle(oracle_dir: Path) -> dict[str, Any]:
    with np.load(oracle_dir / 'bpnet.npz', allow_pickle=False) as archive:
        return dict(archive)


def run(model: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
    assert tuple(inputs) == bpnet.INPUTS
    with torch.inference_mode():
        depth, sigma = model(*(torch.from_numpy(value) for value in inputs.values()))
    return depth.numpy(), sigma.numpy()


@pytest.fixture(scope='module')
def fp32(key_named_bpnet: Any) -> Any:
    return bpnet.deployed(key_named_bpnet, 'fp32')


@pytest.fixture(scope='module')
def fp16(key_named_bpnet: Any) -> Any:
    return bpnet.deployed(key_named_bpnet, 'fp16')


def test_folded_network_equals_the_official_one(fp32: Any, oracle: dict[str, Any]) -> None:
    inputs = bpnet.graph_inputs(oracle['rgb'], oracle['S'][0, 0], oracle['K'][0])
    depth, sigma = run(fp32, inputs)
    np.testing.assert_allclose(depth, oracle['out5_level0_fp64'], rtol=0, atol=2e-3)
    assert depth.shape == sigma.shape == (1, 1, 64, 96)
    assert (sigma >= 0.02).all()


def test_half_precision_changes_depth_by_less_than_a_percent(
    fp16: Any, oracle: dict[str, Any]
) -> None:
    inputs = bpnet.graph_inputs(oracle['rgb'], oracle['S'][0, 0], oracle['K'][0])
    depth, sigma = run(fp16, inputs)
    truth = oracle['out5_level0_fp64']
    assert depth.dtype == sigma.dtype == np.float32
    assert np.abs(depth - truth).mean() < 0.01 * np.abs(truth).mean()


def test_depth_is_never_in_half_precision(fp16: Any) -> None:
    """Every layer that reads or makes depth, coordinates or their weights is in FP32."""
    types = {name: value.dtype for name, value in fp16.named_parameters()}
    heads = (
        r'.*\.(of_others\.weight|coef\.conv\.weight|weights\.[23]|pred\d\.conv\.weight'
        r'|cspn\.conv\w+\.1\.conv\.conv\.(weight|bias))'
    )
    of_depth = [name for name in types if re.fullmatch(heads, name)]
    assert len(of_depth) == 6 * (3 + 2 + 1 + 1 + 6) - 1  # the coarsest stage joins nothing
    assert {types[name] for name in of_depth} == {torch.float32}
    halves = sum(v.numel() for v in fp16.parameters() if v.dtype == torch.float16)
    assert halves / sum(v.numel() for v in fp16.parameters()) > 0.98


def test_fp16_keeps_a_centimetre_at_eighty_metres() -> None:
    """Half precision has steps of 6 cm there, so depth must not have passed through it.

    Heads of zeros propose each neighbour's depth as it is and kernels start as identity: where
    all returns say 80.01 m, so must the network, whatever its features.
    """
    model = bpnet.build()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if re.fullmatch(r'pred\d\.(prop\.coef\.)?conv\.(weight|bias)', name):
                value.zero_()
    inputs = bpnet.golden_inputs(32, 64)
    inputs['sparse'] = np.where(inputs['sparse'] > 0, np.float32(80.01), np.float32(0))
    depth, _ = run(bpnet.deployed(model, 'fp16'), inputs)
    np.testing.assert_allclose(depth, 80.01, rtol=0, atol=1e-3)


def test_normalisation_is_an_input(fp32: Any, oracle: dict[str, Any]) -> None:
    """The weights for NYU want ImageNet's; the same exported network serves both."""
    arguments = (oracle['rgb'], oracle['S'][0, 0], oracle['K'][0])
    kitti, _ = run(fp32, bpnet.graph_inputs(*arguments))
    imagenet, _ = run(fp32, bpnet.graph_inputs(*arguments, IMAGENET))
    assert np.abs(kitti - imagenet).max() > 0.1


def test_golden_inputs_are_always_the_same_and_of_the_size_asked_for() -> None:
    first, second = bpnet.golden_inputs(64, 96), bpnet.golden_inputs(64, 96)
    assert first['image'].shape == (1, 64, 96, 3)
    assert first['neighbours_5'].shape == (1, 4, 6)
    for name in bpnet.INPUTS:
        np.testing.assert_array_equal(first[name], second[name])


def test_deploying_leaves_the_network_as_it_was(key_named_bpnet: Any) -> None:
    before = {k: v.clone() for k, v in key_named_bpnet.state_dict().items()}
    bpnet.deployed(key_named_bpnet, 'fp16')
    after = key_named_bpnet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
