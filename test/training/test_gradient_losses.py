"""Gradient losses against numbers worked out by hand and against SciPy-free NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from depth_ros.training import gradient_losses as losses

torch = pytest.importorskip('torch')

LOSSES: dict[str, Callable[[Any, Any, Any], Any]] = {
    'gradient_matching': losses.gradient_matching,
    'trimmed_l1': losses.trimmed_l1,
    'mage': losses.mage,
    'male': losses.male,
    'msge': losses.msge,
}


def image(values: Any) -> Any:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))[None, None]


def everywhere(values: Any) -> Any:
    return torch.ones_like(values, dtype=torch.bool)


@pytest.mark.parametrize('name', LOSSES)
def test_pixels_outside_the_mask_are_not_seen_and_an_image_without_pixels_is_0(name: str) -> None:
    loss = LOSSES[name]
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.uniform(2, 9, (2, 1, 12, 14)))
    values = torch.from_numpy(rng.uniform(2, 9, (2, 1, 12, 14)))
    mask = torch.ones(2, 1, 12, 14, dtype=torch.bool)
    mask[0, :, 3, 4:6] = False
    mask[1] = False
    clean = loss(values, truth, mask)
    assert clean.item() == pytest.approx(loss(values[:1], truth[:1], mask[:1]).item() / 2)
    assert clean.item() > 0
    truth[~mask], values[~mask] = math.nan, math.inf
    values.requires_grad_()
    got = loss(values, truth, mask)
    got.backward()
    assert got.item() == pytest.approx(clean.item())
    assert values.grad.isfinite().all()
    assert (values.grad[~mask] == 0).all()


def test_gradient_matching_by_hand() -> None:
    """R = u^2 in five columns: |dx| is 1 3 5 7, then 4 12, then 16, then nothing; no dy."""
    residual = image([[0.0, 1.0, 4.0, 9.0, 16.0]] * 5)
    target = torch.full_like(residual, 3.0)
    got = losses.gradient_matching(target + residual, target, everywhere(target))
    assert got.item() == pytest.approx(4.0 + 8.0 + 16.0)


def test_a_difference_counts_if_both_of_its_pixels_do() -> None:
    """Without the third column 0 1 and 9 16 remain, of step 2 nothing, of step 4 0 16."""
    residual = image([[0.0, 1.0, 4.0, 9.0, 16.0]])
    mask = everywhere(residual)
    mask[..., 2] = False
    got = losses.gradient_matching(residual, torch.zeros_like(residual), mask)
    assert got.item() == pytest.approx((1 + 7) / 2 + 0 + 16)


def test_canonical_inverse_by_hand() -> None:
    """f 50 pixels, 4 columns, 10 m: 50 / (4 * 10)."""
    depth_m = torch.full((2, 1, 3, 4), 10.0)
    got = losses.canonical_inverse(depth_m, torch.tensor([50.0, 100.0]))
    assert got[0, 0, 0].tolist() == pytest.approx([1.25] * 4)
    assert got[1, 0, 0].tolist() == pytest.approx([2.5] * 4)


def test_a_fifth_of_the_pixels_is_dropped_and_has_no_gradient() -> None:
    """Errors 1 2 3 4 100: the mean of the first four; all without the drop."""
    truth = image([[0.0] * 5])
    prediction = image([[1.0, -2.0, 3.0, 100.0, 4.0]]).requires_grad_()
    loss = losses.trimmed_l1(prediction, truth, everywhere(truth))
    loss.backward()
    assert loss.item() == pytest.approx(2.5)
    assert prediction.grad.flatten().tolist() == [0.25, -0.25, 0.25, 0.0, 0.25]
    got = losses.trimmed_l1(prediction, truth, everywhere(truth), dropped=0.0)
    assert got.item() == pytest.approx(110 / 5)


@pytest.mark.parametrize(('name', 'expected'), [('mage', 3.0), ('msge', 5.0), ('male', 0.0)])
def test_a_ramp_has_its_slope_and_no_curvature(name: str, expected: float) -> None:
    """R = 2 u + v on 8x8: slopes 2 and 1; 4 and 2 at half size, where 2x2 pixels have no kernel.

    Scales 8 and 4 see it, of six: (3 + 6) / 6, squared (5 + 20) / 6.
    """
    v, u = np.mgrid[:8, :8]
    residual = image(2.0 * u + v)
    got = LOSSES[name](residual, torch.zeros_like(residual), everywhere(residual)).item()
    coarser = {'mage': 6.0, 'msge': 20.0, 'male': 0.0}[name]
    assert got == pytest.approx((expected + coarser) / 6, abs=1e-12)


def test_laplace_of_a_bump_by_hand() -> None:
    """One pixel of 1 in 3x3: |-4| at the only place; nothing coarser."""
    residual = image([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    got = losses.male(residual, torch.zeros_like(residual), everywhere(residual)).item()
    assert got == pytest.approx(4 / 6)


def test_scharr_of_a_step_by_hand() -> None:
    """0 0 1 in three columns: (3 + 10 + 3) / 32 along x, nothing along y."""
    residual = image([[0, 0, 1]] * 3)
    got = losses.mage(residual, torch.zeros_like(residual), everywhere(residual)).item()
    assert got == pytest.approx(0.5 / 6)
