"""Which returns are held out, and that a method does not see them."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.geometry.projection import mean_spacing_px
from depth_ros.methods.guided import MIN_RETURNS
from depth_ros.pipeline.calibration import SigmaCalibrator, hold_out
from depth_ros.pipeline.config import CalibrationConfig


def scan_lines(step_v, step_u):
    sparse_m = np.zeros((240, 600), np.float32)
    shape = sparse_m[::step_v, ::step_u].shape
    sparse_m[::step_v, ::step_u] = np.random.default_rng(0).uniform(3, 60, shape)
    return sparse_m


def scattered(count):
    rng = np.random.default_rng(1)
    sparse_m = np.zeros((240, 600), np.float32)
    sparse_m.flat[rng.choice(sparse_m.size, count, replace=False)] = rng.uniform(3, 60, count)
    return sparse_m


PATTERNS = {
    '64 beams': scan_lines(5, 4),
    '16 beams': scan_lines(16, 3),
    'scattered': scattered(6000),
    'few': scattered(400),
}
with_each_pattern = pytest.mark.parametrize('sparse_m', PATTERNS.values(), ids=PATTERNS.keys())


@with_each_pattern
@pytest.mark.parametrize('share', [0.01, 0.1])
def test_held_out_returns_are_the_share_asked_for_and_hidden(sparse_m, share):
    lost, judged = [], []
    for stamp_ns in range(0, 200 * 10**8, 10**8):
        seen_m, truth_m = hold_out(sparse_m, share, (0, stamp_ns))
        is_lost = (sparse_m > 0) & (seen_m == 0)
        is_judged = truth_m > 0
        assert not (is_judged & ~is_lost).any()  # no judge was seen by the method
        assert np.array_equal(seen_m[~is_lost], sparse_m[~is_lost])
        assert np.array_equal(truth_m[is_judged], sparse_m[is_judged])
        lost.append(is_lost.sum())
        judged.append(is_judged.sum())
    # Windows overlap where many are taken, so that a little less goes.
    assert np.mean(lost) / np.count_nonzero(sparse_m) == pytest.approx(share, rel=0.15)
    assert 0.4 < np.sum(judged) / np.sum(lost) < 0.7


@with_each_pattern
def test_judges_lie_in_gaps_as_wide_as_the_pattern_has(sparse_m):
    """Around a judge, along its line, no return of the method is nearer than about a spacing."""
    spacing = mean_spacing_px(sparse_m)
    for stamp_ns in range(20):
        seen_m, truth_m = hold_out(sparse_m, 0.05, (0, stamp_ns))
        for v, u in np.argwhere(truth_m):
            reach = int(0.8 * spacing)
            assert not seen_m[v, max(0, u - reach) : u + reach + 1].any()


def test_choice_of_returns_is_repeatable_and_new_for_each_frame():
    sparse_m = PATTERNS['64 beams']
    calibrator = SigmaCalibrator(CalibrationConfig(seed=3))
    first, again = (calibrator.hold_out(sparse_m, 123) for _ in range(2))
    assert np.array_equal(first.truth_m, again.truth_m)
    assert first.truth_m.any()
    assert not np.array_equal(first.truth_m, calibrator.hold_out(sparse_m, 124).truth_m)
    other_seed = SigmaCalibrator(CalibrationConfig(seed=4))
    assert not np.array_equal(first.truth_m, other_seed.hold_out(sparse_m, 123).truth_m)
    calibrator.hold_out(sparse_m, -1)  # a clock may start before 1970


@pytest.mark.parametrize('config', [{'enabled': False}, {'held_out_share': 0.0}])
def test_switched_off_it_takes_nothing(config):
    sparse_m = PATTERNS['few']
    seen_m, truth_m = SigmaCalibrator(CalibrationConfig(**config)).hold_out(sparse_m, 7)
    assert np.array_equal(seen_m, sparse_m)
    assert not truth_m.any()


@pytest.mark.parametrize('count', [1, 15, 16, 17, 20, 40])
def test_calibration_leaves_as_many_returns_as_a_method_needs(count):
    sparse_m = np.zeros((100, 160), np.float32)
    sparse_m.flat[np.arange(count) * 397] = 5.0
    calibrator = SigmaCalibrator(CalibrationConfig(held_out_share=0.1))
    taken = 0
    for stamp_ns in range(1500):
        seen_m, truth_m = calibrator.hold_out(sparse_m, stamp_ns)
        taken += np.count_nonzero(truth_m)
        assert np.count_nonzero(seen_m) >= min(count, MIN_RETURNS)
    assert (taken > 0) == (count > MIN_RETURNS)


def test_a_method_that_looks_at_no_return_is_judged_by_all():
    sparse_m = PATTERNS['few']
    for config, judged in (
        ({}, True),
        ({'held_out_share': 0.5}, True),
        ({'enabled': False}, False),
    ):
        calibrator = SigmaCalibrator(CalibrationConfig(**config), sees_returns=False)
        seen_m, truth_m = calibrator.hold_out(sparse_m, 7)
        assert np.array_equal(seen_m, sparse_m)
        assert np.array_equal(truth_m, sparse_m if judged else np.zeros_like(sparse_m))
