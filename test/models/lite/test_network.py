"""The network of `lite`: what it says untrained, what its gates do, how it is deployed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from depth_ros.models import lite
from depth_ros.weights.registry import family

torch = pytest.importorskip('torch')

from depth_ros.models.lite.network import Lite  # noqa: E402

GATE, FACTOR, TRUST = range(3)
"""Channels of the layer `pixels`."""
HERE, FARTHER, FARTHEST = (-20.0, -20.0), (20.0, -20.0), (0.0, 20.0)
"""Biases of `reach`: how much a cell takes of surfaces farther, and farthest, around it."""


def tensors(width: int = 96, **changes: Any) -> list[Any]:
    inputs = lite.golden_inputs(64, width) | changes
    return [torch.from_numpy(inputs[name]) for name in lite.INPUTS]


def saying(part: int, value: float, reach: tuple[float, float] = HERE) -> Lite:
    """An untrained network of which a channel of each pixel says the same everywhere."""
    model = lite.build()
    with torch.no_grad():
        model.pixels.bias[part] = value
        model.reach.bias[:2], model.reach.bias[2:] = reach
    return model


def answered(model: Any, inputs: list[Any]) -> tuple[Any, Any]:
    with torch.no_grad():
        depth, log_variance = model(*inputs)
    return depth.numpy()[0, 0], log_variance.numpy()[0, 0]


def scrambled() -> Lite:
    """Parameters and statistics as they could be after training."""
    torch.manual_seed(0)
    model = lite.build()
    for layer in (model.pixels, model.variance, model.reach):
        torch.nn.init.normal_(layer.weight, std=0.1)
    for name, values in model.named_buffers():
        if name.endswith('running_mean'):
            values.normal_(0, 0.1)
        elif name.endswith('running_var'):
            values.uniform_(0.5, 2)
    return model


def test_untrained_it_gives_the_prior_and_its_mean_sigma_of_each_cell() -> None:
    """At returns, a fiftieth of the way to them."""
    inputs = tensors()
    depth, log_variance = answered(lite.build(), inputs)
    sparse, prior, sigma = (values.numpy()[0, 0] for values in inputs[1:])
    wanted = np.where(sparse > 0, prior + (sparse - prior) / (1 + math.exp(4)), prior)
    np.testing.assert_allclose(depth, wanted, rtol=1e-5)
    relative = (sigma / prior).reshape(16, 4, 24, 4).mean((1, 3))
    expected = np.kron(relative, np.ones((4, 4)))
    np.testing.assert_allclose(np.exp(0.5 * log_variance), expected, rtol=1e-4)


def step_at_48(width: int) -> list[Any]:
    """A step at column 48 between 5 and 20 m, and no return."""
    prior = np.full((1, 1, 64, width), 5.0, np.float32)
    prior[..., 48:] = 20.0
    return tensors(width, prior=prior, sparse=np.zeros_like(prior))


@pytest.mark.parametrize(('reach', 'pixels'), [(HERE, 4), (FARTHER, 16), (FARTHEST, 48)])
def test_gates_choose_the_nearest_and_the_farthest_prior_around(
    reach: tuple[float, float], pixels: int
) -> None:
    """Cells within one of the step see both sides of it, or within 3 more, or in 16x16 around."""
    inputs = step_at_48(208)
    nearest, _ = answered(saying(GATE, 20.0, reach), inputs)
    farthest, _ = answered(saying(GATE, -20.0, reach), inputs)
    np.testing.assert_allclose(nearest[:, : 48 + pixels], 5.0, rtol=1e-5)
    np.testing.assert_allclose(nearest[:, 48 + pixels :], 20.0, rtol=1e-5)
    np.testing.assert_allclose(farthest[:, : 48 - pixels], 5.0, rtol=1e-5)
    np.testing.assert_allclose(farthest[:, 48 - pixels :], 20.0, rtol=1e-5)


def test_a_half_open_gate_goes_half_the_way_in_inverse_depth() -> None:
    depth, _ = answered(saying(GATE, math.atanh(0.5)), step_at_48(96))
    np.testing.assert_allclose(depth[:, 48:52], 2 / (1 / 5 + 1 / 20), rtol=1e-5)


def test_the_factor_is_one_of_depth() -> None:
    inputs = step_at_48(96)
    depth, _ = answered(saying(FACTOR, 1.0), inputs)
    np.testing.assert_allclose(depth, inputs[2].numpy()[0, 0] * math.exp(0.1), rtol=1e-5)


def test_a_return_that_is_trusted_is_what_is_said_there() -> None:
    """One that the occlusion filter took out, which comes negative, is only looked at."""
    inputs = tensors()
    depth, _ = answered(saying(TRUST, 20.0), inputs)
    sparse, prior = inputs[1].numpy()[0, 0], inputs[2].numpy()[0, 0]
    assert np.any(sparse < 0)
    np.testing.assert_allclose(depth, np.where(sparse > 0, sparse, prior), rtol=1e-5)


def test_a_log_variance_is_added_to_that_of_the_prior() -> None:
    inputs, model = tensors(), lite.build()
    _, before = answered(model, inputs)
    with torch.no_grad():
        model.variance.bias[:] = 0.7
    _, after = answered(model, inputs)
    np.testing.assert_allclose(after - before, 0.7, atol=1e-5)


def test_it_has_less_than_a_million_parameters_and_is_a_family() -> None:
    model = family('lite').build()
    assert sum(values.numel() for values in model.parameters()) < 1_000_000
    assert not model.training


def test_no_neighbour_of_a_pixel_is_lost_at_the_border() -> None:
    """Any multiple of 16 will do."""
    for height, width in ((16, 16), (48, 112)):
        golden = lite.golden_inputs(height, width)
        depth, log_variance = answered(scrambled(), [torch.from_numpy(v) for v in golden.values()])
        assert depth.shape == log_variance.shape == (height, width)
        assert np.isfinite(depth).all()
        assert np.isfinite(log_variance).all()


def test_deployed_it_has_no_normalisation_left_and_says_the_same() -> None:
    model, inputs = scrambled(), tensors()
    network = lite.deployed(model, 'fp32')
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.modules())
    for ours, wanted in zip(answered(network, inputs), answered(model, inputs), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4)
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in model.modules())


def test_in_half_precision_depth_is_within_a_hundredth() -> None:
    model, inputs = scrambled(), tensors()
    depth, _ = answered(lite.deployed(model, 'fp16'), inputs)
    wanted, _ = answered(model, inputs)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, wanted, rtol=1e-2)


def test_another_network_is_refused() -> None:
    with pytest.raises(TypeError, match='Linear'):
        lite.deployed(torch.nn.Linear(1, 1), 'fp32')
