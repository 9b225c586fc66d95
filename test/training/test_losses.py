"""Losses against numbers worked out by hand, and what they must not depend on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from depth_ros.training import losses

torch = pytest.importorskip('torch')


def maps(*rows: list[float]) -> Any:
    """One image (1, 1, H, W)."""
    return torch.tensor([[rows]], dtype=torch.float64)


def everywhere(values: Any) -> Any:
    return torch.ones_like(values, dtype=torch.bool)


NAN = math.nan
LOSSES: dict[str, Callable[[Any, Any, Any], Any]] = {
    'l1': losses.l1,
    'l2': losses.l2,
    'l2_of_all': losses.l2_of_all,
    'clipped_l1': lambda p, t, m: losses.clipped_l1(p, t, m, 2.0),
    'log_l1': losses.log_l1,
    'relative_l2': losses.relative_l2,
    'ssi': losses.ssi,
    'affine_invariant': losses.affine_invariant,
    'silog': losses.silog,
    'silog_zoedepth': losses.silog_zoedepth,
    'laplace_nll': lambda p, t, m: losses.laplace_nll(t - 2.0, p, m),
    'coverage': lambda p, t, m: losses.coverage(t - 2.0, p, m),
    'log_error_l1': lambda p, t, m: losses.log_error_l1(p, t + 1.0, t, m),
}


@pytest.mark.parametrize('name', LOSSES)
def test_pixels_outside_the_mask_are_not_seen_and_an_image_without_pixels_is_0(name: str) -> None:
    """Also where they hold NaN, 0 or infinity; gradients stay finite."""
    loss = LOSSES[name]
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.uniform(2, 9, (2, 1, 4, 5)))
    values = torch.from_numpy(rng.uniform(2, 9, (2, 1, 4, 5)))
    mask = torch.from_numpy(rng.random((2, 1, 4, 5)) < 0.6)
    mask[1] = False
    clean = loss(values, truth, mask)
    first = loss(values[:1], truth[:1], mask[:1])
    assert clean.item() == pytest.approx(first.item() / 2)  # the second image contributes 0
    outside = int((~mask).sum())
    dirty = values.clone()
    dirty[~mask] = torch.tensor([NAN, 0.0, math.inf, -1.0]).double().repeat(10)[:outside]
    truth[~mask] = torch.tensor([0.0, NAN]).double().repeat(20)[:outside]
    dirty.requires_grad_()
    got = loss(dirty, truth, mask)
    got.backward()
    assert got.item() == pytest.approx(clean.item())
    assert dirty.grad.isfinite().all()
    assert (dirty.grad[~mask] == 0).all()
    assert (dirty.grad[mask] != 0).any()


OF_UNCERTAINTY = 'laplace_nll', 'coverage', 'log_error_l1'


@pytest.mark.parametrize('name', [n for n in LOSSES if n not in OF_UNCERTAINTY])
def test_a_perfect_prediction_costs_nothing_and_has_a_gradient(name: str) -> None:
    truth = maps([2.0, 4.0, 7.0], [3.0, 9.0, 5.0])
    prediction = truth.clone().requires_grad_()
    loss = LOSSES[name](prediction, truth, everywhere(truth))
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=2e-5)
    assert prediction.grad.isfinite().all()


def test_l1_l2_and_clipped_by_hand() -> None:
    prediction, truth = maps([1.0, 5.0, 4.0]), maps([2.0, 2.0, 0.0])
    mask = truth > 0
    assert losses.l1(prediction, truth, mask).item() == 2.0  # (1 + 3) / 2
    assert losses.l2(prediction, truth, mask).item() == 5.0  # (1 + 9) / 2
    assert losses.l2_of_all(prediction, truth, mask).item() == pytest.approx(10 / 3)
    assert losses.clipped_l1(prediction, truth, mask, 2.0).item() == 1.5  # (1 + 2) / 2


def test_relative_l2_by_hand() -> None:
    prediction, truth = maps([3.0, 5.0, 40.0]), maps([2.5, 4.0, 10.0])
    got = losses.relative_l2(prediction, truth, everywhere(truth))
    assert got.item() == pytest.approx((0.2**2 + 0.25**2 + 0.5**2) / 3)  # the last one is cut


def test_ratio_is_that_of_the_errors_of_each_image() -> None:
    """Errors 1 3 against 2 4: sqrt(5 / 10) and 4 / 6; the second image has half of the errors."""
    truth = maps([100.0, 100.0]).repeat(2, 1, 1, 1)
    prediction = truth + maps([1.0, -3.0])
    baseline = truth + maps([-2.0, 4.0]) * torch.tensor([1.0, 0.5])[:, None, None, None]
    for power, first in ((2, math.sqrt(5 / 10)), (1, 4 / 6)):
        got = losses.ratio(prediction, baseline, truth, everywhere(truth), power)
        assert got.item() == pytest.approx((first + 2 * first) / 2, rel=0.02)  # the floor of both
        scaled = losses.ratio(
            0.1 * prediction, 0.1 * baseline, 0.1 * truth, everywhere(truth), power
        )
        assert scaled.item() == pytest.approx(got.item())


@pytest.mark.parametrize('power', [1, 2])
def test_ratio_to_a_baseline_without_error_is_finite_and_teaches_the_prediction_only(
    power: int,
) -> None:
    truth = maps([5.0, 8.0, 0.0])
    prediction, baseline = (truth.clone().requires_grad_() for _ in range(2))
    loss = losses.ratio(prediction, baseline, truth, truth > 0, power)
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert prediction.grad.isfinite().all()
    assert baseline.grad is None
    with torch.no_grad():
        worse = losses.ratio(prediction + 1.0, baseline, truth, truth > 0, power)
    assert worse.item() > 100
    assert losses.ratio(prediction, baseline, truth, truth > 9, power).item() == 0.0


def test_log_l1_by_hand() -> None:
    got = losses.log_l1(maps([math.e, 1.0]), maps([1.0, math.e**3]), everywhere(maps([1.0, 1.0])))
    assert got.item() == pytest.approx(2.0)  # (1 + 3) / 2


def test_scale_and_shift_are_those_of_a_line_fit() -> None:
    rng = np.random.default_rng(1)
    source, target = rng.uniform(0, 1, (2, 30)), rng.uniform(2, 80, (2, 30))
    scale, shift, determined = losses.scale_and_shift(
        torch.from_numpy(source.reshape(2, 1, 5, 6)),
        torch.from_numpy(target.reshape(2, 1, 5, 6)),
        torch.ones(2, 1, 5, 6, dtype=torch.bool),
    )
    assert determined.all()
    for i in range(2):
        expected = np.polyfit(source[i], target[i], 1)
        np.testing.assert_allclose([scale[i].item(), shift[i].item()], expected, rtol=1e-9)


def test_ssi_by_hand() -> None:
    """Teacher 0 1 2, depth 1 4 4: s = 1.5, b = 1.5, residuals 0.5 1 0.5."""
    teacher, prediction = maps([0.0, 1.0, 2.0]), maps([1.0, 4.0, 4.0])
    assert losses.ssi(prediction, teacher, everywhere(teacher)).item() == pytest.approx(2 / 3)


def test_ssi_depends_on_neither_scale_nor_shift() -> None:
    rng = np.random.default_rng(2)
    prediction = torch.from_numpy(rng.uniform(2, 80, (1, 1, 4, 6))).requires_grad_()
    teacher = torch.from_numpy(rng.uniform(0, 1, (1, 1, 4, 6)))
    mask = everywhere(teacher)
    one = losses.ssi(prediction, teacher, mask)
    other = losses.ssi(prediction, -300 * teacher + 7, mask)
    assert one.item() == pytest.approx(other.item())
    one.backward()
    # Nor on the shift of the prediction, to first order: gradients add up to nothing.
    assert prediction.grad.sum().item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize('value', [0.0, 0.3, 80.0])
def test_a_constant_teacher_teaches_nothing(value: float) -> None:
    """Were it fitted, the loss would flatten the prediction."""
    prediction = torch.tensor([[[[1.0, 4.0, 9.0]]]], requires_grad=True)
    teacher = torch.full((1, 1, 1, 3), value)
    for loss in (losses.ssi, losses.affine_invariant):
        got = loss(prediction, teacher, everywhere(teacher))
        got.backward()
        assert got.item() == 0
        assert (prediction.grad == 0).all()


def test_one_pixel_determines_no_line() -> None:
    source = maps([3.0, 5.0])
    scale, shift, determined = losses.scale_and_shift(source, source + 1, maps([1.0, 0.0]) > 0)
    assert not determined.any()
    assert (scale.item(), shift.item()) == (0.0, 4.0)


def test_affine_invariant_by_hand() -> None:
    """0 1 5 -> t 1, s 5/3; 2 6 10 -> t 6, s 8/3: -0.6 0 2.4 against -1.5 0 1.5."""
    prediction, target = maps([0.0, 1.0, 5.0]), maps([2.0, 6.0, 10.0])
    mask = everywhere(target)
    got = losses.affine_invariant(prediction, target, mask).item()
    assert got == pytest.approx((0.9 + 0.0 + 0.9) / 3)
    again = losses.affine_invariant(0.01 * prediction + 5, 7 * target - 3, mask).item()
    assert again == pytest.approx(got)


def test_silog_by_hand() -> None:
    """g = 0 and 2: mean square 2, mean 1, variance 1."""
    prediction, truth = maps([1.0, math.exp(2)]), maps([1.0, 1.0])
    mask = everywhere(truth)
    assert losses.silog(prediction, truth, mask).item() == pytest.approx(math.sqrt(1.5))
    got = losses.silog_zoedepth(prediction, truth, mask).item()
    assert got == pytest.approx(10 * math.sqrt(1 + 0.15))


def test_laplace_likelihood_is_that_of_its_density() -> None:
    """b = 0.5: variance 2 b^2 = 0.5; density exp(-|e| / b) / (2 b)."""
    error = maps([0.0, 1.0, -2.0])
    log_variance = torch.full_like(error, math.log(0.5))
    density = np.exp(-np.abs([0.0, 1.0, -2.0]) / 0.5) / (2 * 0.5)
    got = losses.laplace_nll(error, log_variance, everywhere(error)).item()
    assert got == pytest.approx(-np.log(density).mean())


def test_laplace_likelihood_is_best_at_the_variance_of_the_errors() -> None:
    """Errors of |e| = 0.3 each want b = 0.3."""
    error = maps([0.3, -0.3])
    log_variance = torch.full_like(error, math.log(2 * 0.3**2)).requires_grad_()
    losses.laplace_nll(error, log_variance, everywhere(error)).backward()
    assert log_variance.grad.abs().max().item() < 1e-12


@pytest.mark.parametrize('heavy', [False, True])
def test_coverage_is_best_where_errors_lie_within_sigma_as_often_as_a_gaussians(
    heavy: bool,
) -> None:
    """Within 1 and 2 sigma together; of a Gaussian that is its own sigma."""
    rng = np.random.default_rng(0)
    error = 0.3 * (rng.standard_t(2, 40000) if heavy else rng.standard_normal(40000))
    sigmas = 0.3 * np.exp(np.linspace(-1, 1, 201))
    error_map = torch.from_numpy(error)[None, None, None]
    found = [
        losses.coverage(
            error_map, torch.full_like(error_map, 2 * math.log(s)), error_map < math.inf
        )
        for s in sigmas
    ]
    best = sigmas[int(np.argmin(found))]
    within = sum(float((np.abs(error) < k * best).mean()) for k in (1, 2))
    assert within == pytest.approx(0.6827 + 0.9545, abs=0.01)
    assert heavy or best == pytest.approx(0.3, rel=0.02)


def test_log_error_is_taken_without_the_median_ratio_and_teaches_only_the_uncertainty() -> None:
    """ln ratios 1 2 4, less their median: errors 1 0 2; stated 1 1 1."""
    truth = maps([1.0, 1.0, 1.0])
    prediction = maps([math.e, math.e**2, math.e**4]).requires_grad_()
    stated = maps([1.0, 1.0, 1.0]).requires_grad_()
    loss = losses.log_error_l1(stated, prediction, truth, everywhere(truth))
    loss.backward()
    assert loss.item() == pytest.approx((0 + 1 + 1) / 3)
    assert prediction.grad is None
    assert stated.grad.flatten().tolist() == pytest.approx([0.0, 1 / 3, -1 / 3], abs=1e-9)
