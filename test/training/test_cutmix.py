"""CutMix: rectangles, and the loss on both sides of them."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.training import losses
from depth_ros.training.cutmix import cutmix_loss, mixed, rectangle

torch = pytest.importorskip('torch')


def test_rectangles_are_rectangles_of_many_sizes_and_a_seed_repeats_them() -> None:
    rng = np.random.default_rng(0)
    masks = [rectangle(40, 60, rng) for _ in range(400)]
    for mask in masks:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        assert (mask == np.logical_and.outer(rows, columns)).all()
        assert np.count_nonzero(np.diff(rows.astype(int)) == 1) <= 1  # in one piece
    areas = [mask.mean() for mask in masks]
    # Uniform area 1/2 on average, of which what lies outside the image is cut off.
    assert 0.2 < np.mean(areas) < 0.45
    assert min(areas) < 0.02
    assert max(areas) > 0.7
    assert (rectangle(40, 60, np.random.default_rng(0)) == masks[0]).all()


def test_each_side_is_judged_by_its_own_teacher_and_weighs_by_area() -> None:
    """L1 of 1 on a quarter, of 3 on the rest: 0.25 + 2.25."""
    inside = torch.tensor([[[[True, False, False, False]]]])
    prediction = torch.zeros(1, 1, 1, 4)
    one, other = torch.full_like(prediction, 1.0), torch.full_like(prediction, 3.0)
    mask = torch.ones_like(inside)
    got = cutmix_loss(prediction, one, other, inside, mask, losses.l1).item()
    assert got == pytest.approx(2.5)


def test_scale_and_shift_are_free_on_each_side() -> None:
    """A prediction that follows each teacher up to its own scale and shift is perfect."""
    rng = np.random.default_rng(1)
    one, other = torch.from_numpy(rng.uniform(1, 9, (2, 2, 1, 8, 10)))
    inside = torch.zeros(2, 1, 8, 10, dtype=torch.bool)
    inside[0, :, 2:6, 3:9] = True
    prediction = mixed(inside, 2 * one + 5, 0.1 * other - 1)
    mask = torch.ones_like(inside)
    assert cutmix_loss(prediction, one, other, inside, mask).item() == pytest.approx(0, abs=1e-12)
    wrong = cutmix_loss(prediction, other, one, inside, mask).item()
    assert wrong > 0.3
