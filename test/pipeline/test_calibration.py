"""Sigma from held-out returns: errors of known spread must come out with the right sigma."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_ros.frame import DepthEstimate
from depth_ros.pipeline import calibration
from depth_ros.pipeline.calibration import (
    MIN_SCALE,
    SHRUNK,
    SigmaCalibrator,
)
from depth_ros.pipeline.config import CalibrationConfig

RAW_SIGMA_M = 0.1
SHAPE = (80, 100)
LEAST = MIN_SCALE**SHRUNK


class Stream:
    """Frames whose estimates have a raw sigma of 0.1 m and errors of our choice."""

    def __init__(self, seed=0, **config):
        self.rng = np.random.default_rng(seed)
        exact = {'return_noise_m': 0.0, 'return_noise_px': 0.0}
        self.calibrator = SigmaCalibrator(CalibrationConfig(**{**exact, **config}))

    def estimate(self, nearest_m=3.0, farthest_m=90.0):
        depth_m = self.rng.uniform(nearest_m, farthest_m, SHAPE).astype(np.float32)
        return DepthEstimate(depth_m, np.full_like(depth_m, RAW_SIGMA_M))

    def feed(self, errors_m, frames=3, **ranges):
        """Every pixel is a held-out return; errors_m(rng, depth_m) says how far off."""
        for _ in range(frames):
            estimate = self.estimate(**ranges)
            held_out_m = estimate.depth_m - errors_m(self.rng, estimate.depth_m)
            self.calibrator.update(estimate, held_out_m.astype(np.float32))

    def sigma_at(self, depth_m):
        depth = np.full((1, 1), depth_m, np.float32)
        return self.calibrator.apply(DepthEstimate(depth, 0 * depth + RAW_SIGMA_M)).sigma_m.item()


def gaussian(sigma_m):
    return lambda rng, depth_m: sigma_m * rng.standard_normal(depth_m.shape)


def heavy_tailed(scale_m):
    return lambda rng, depth_m: scale_m * rng.standard_t(3, depth_m.shape)


@pytest.mark.parametrize('factor', [1.0, 3.0, 8.0])
def test_sigma_that_is_too_small_is_corrected(factor):
    stream = Stream()
    stream.feed(gaussian(factor * RAW_SIGMA_M), frames=25, nearest_m=5.0)
    for depth_m in (6, 7.5, 12, 30, 60, 89):
        assert stream.sigma_at(depth_m) == pytest.approx(factor * RAW_SIGMA_M, rel=0.06)
    assert stream.calibrator.accuracy().scale == pytest.approx(factor, rel=0.06)


@pytest.mark.parametrize(('sees_returns', 'power'), [(True, SHRUNK), (False, 1.0)])
def test_of_a_sigma_that_seems_too_large_a_part_is_believed(sees_returns, power):
    """Held-out returns flatter a method that completes returns; another one they judge rightly."""
    stream = Stream()
    stream.calibrator = SigmaCalibrator(stream.calibrator.config, sees_returns)
    stream.feed(gaussian(0.4 * RAW_SIGMA_M), frames=10, nearest_m=5.0)
    for depth_m in (6, 30, 89):
        assert stream.sigma_at(depth_m) == pytest.approx(0.4**power * RAW_SIGMA_M, rel=0.06)


@pytest.mark.parametrize('errors', [gaussian(0.3), heavy_tailed(0.3)])
def test_calibrated_sigma_covers_as_many_errors_as_promised(errors):
    """Of heavy tails, a few more than 68 % within one sigma, a few less than 95 % within two."""
    stream = Stream()
    stream.feed(errors, frames=20)
    estimate = stream.estimate()
    error_m = np.abs(errors(stream.rng, estimate.depth_m))
    sigma_m = stream.calibrator.apply(estimate).sigma_m
    within_1, within_2 = ((error_m < k * sigma_m).mean() for k in (1, 2))
    assert within_1 + within_2 == pytest.approx(0.6827 + 0.9545, abs=0.02)
    assert 0.66 < within_1 < 0.74


def test_one_frame_has_the_raw_sigma_and_none_grades_itself():
    stream = Stream()
    estimate = stream.estimate()
    assert stream.calibrator.apply(estimate) is estimate
    stream.feed(gaussian(0.4), frames=1)
    assert stream.calibrator.accuracy() is None
    assert stream.sigma_at(30) > 0.3  # the next frame has what the first one taught


def test_each_range_has_its_own_scale(monkeypatch):
    monkeypatch.setattr(calibration, 'BORROWED', 50.0)  # little beside the returns of a range here
    stream = Stream()
    stream.feed(lambda rng, z: (0.1 + 0.02 * z) * rng.standard_normal(z.shape), frames=10)
    for depth_m in (7.5, 15, 30, 60):
        assert stream.sigma_at(depth_m) == pytest.approx((0.1 + 0.02 * depth_m), rel=0.12)
    between = [stream.sigma_at(depth_m) for depth_m in np.arange(4, 110, 2.0)]
    assert (np.diff(between) > -1e-6).all()


def test_range_without_returns_takes_the_scale_of_the_others():
    stream = Stream()
    stream.feed(gaussian(0.4), nearest_m=10.0, farthest_m=20.0)
    assert stream.sigma_at(90) == pytest.approx(0.4, rel=0.05)


def test_one_wild_return_in_a_range_means_little():
    stream = Stream()
    stream.feed(gaussian(0.1), nearest_m=10.0, farthest_m=20.0)
    depth_m = np.full((1, 1), 60.0, np.float32)
    far = DepthEstimate(depth_m, np.full_like(depth_m, RAW_SIGMA_M))
    stream.calibrator.update(far, depth_m + 20)
    assert stream.sigma_at(60) < 0.15


def test_noise_of_the_returns_is_not_blamed_on_the_estimate():
    """Depth errors of 0.4 m and return noise of 0.3 m look like 0.5 m."""
    stream = Stream(return_noise_m=0.3)
    stream.feed(gaussian(0.5))
    assert stream.sigma_at(20) == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize('axis', [0, 1])
def test_on_a_slope_a_return_that_lies_in_the_next_pixel_is_not_blamed_on_the_estimate(axis):
    """0.3 pixels of 1 m each, and depth errors of 0.4 m, look like 0.5 m."""
    stream = Stream(return_noise_px=0.3)
    ramp_m = 10 + np.mgrid[: SHAPE[0], : SHAPE[1]][axis].astype(np.float32)
    for _ in range(3):
        error_m = 0.5 * stream.rng.standard_normal(SHAPE).astype(np.float32)
        estimate = DepthEstimate(ramp_m, np.full_like(ramp_m, RAW_SIGMA_M))
        stream.calibrator.update(estimate, ramp_m - error_m)
    assert stream.sigma_at(40) == pytest.approx(0.4, rel=0.05)
    within_2 = math.erf(2 * math.hypot(0.4, 0.3) / 0.5 / 2**0.5)
    assert stream.calibrator.accuracy().coverage_2sigma == pytest.approx(within_2, abs=0.01)


def test_errors_within_the_noise_of_returns_do_not_make_sigma_vanish():
    """A plane of 1 m a pixel, known exactly: returns lie anywhere in their pixels."""
    stream = Stream(return_noise_px=0.45)
    ramp_m = 10 + np.mgrid[: SHAPE[0], : SHAPE[1]][0].astype(np.float32)
    for _ in range(5):
        off_m = stream.rng.uniform(-0.5, 0.5, SHAPE).astype(np.float32)
        estimate = DepthEstimate(ramp_m, np.full_like(ramp_m, RAW_SIGMA_M))
        stream.calibrator.update(estimate, ramp_m + off_m)
    assert stream.sigma_at(40) == pytest.approx(RAW_SIGMA_M * LEAST, rel=0.01)
    assert stream.calibrator.accuracy().scale == pytest.approx(LEAST, rel=0.01)


def test_a_change_is_followed_within_a_few_memory_lengths():
    stream = Stream(memory_frames=5)
    stream.feed(gaussian(0.1), frames=40)
    stream.feed(gaussian(0.4), frames=1)
    assert stream.sigma_at(20) < 0.35  # one frame is not yet believed
    stream.feed(gaussian(0.4), frames=15)
    assert stream.sigma_at(20) == pytest.approx(0.4, rel=0.1)
    stream.feed(gaussian(0.1), frames=25)
    assert stream.sigma_at(20) == pytest.approx(0.1, rel=0.1)


def test_sudden_change_is_followed_within_ten_frames():
    """Errors triple, as when rain sets in."""
    stream = Stream()
    stream.feed(gaussian(0.1), frames=60)
    stream.feed(gaussian(0.3), frames=6)
    assert 0.25 < stream.sigma_at(45) < 0.4
    for frames in (4, 20, 60):  # and it stays there while the slower part takes over
        stream.feed(gaussian(0.3), frames=frames)
        assert 0.27 < stream.sigma_at(45) < 0.4


def test_each_distance_to_support_has_its_own_scale():
    """Errors are four times as large where the next return is far."""
    stream = Stream()
    support_px = np.full((20, 25), 2.0, np.float32)
    support_px[10:] = 72.0
    far = np.arange(SHAPE[0])[:, None] >= 40
    for _ in range(20):
        estimate = stream.estimate()
        error_m = np.where(far, 0.8, 0.2) * stream.rng.standard_normal(SHAPE)
        held_out_m = (estimate.depth_m - error_m).astype(np.float32)
        stream.calibrator.update(estimate, held_out_m, support_px)
    sigma_m = stream.calibrator.apply(estimate, support_px).sigma_m
    assert np.median(sigma_m[:40]) == pytest.approx(0.2, rel=0.1)
    assert np.median(sigma_m[40:]) == pytest.approx(0.8, rel=0.1)


def test_support_is_the_distance_to_the_next_return_that_was_seen():
    calibrator = SigmaCalibrator(CalibrationConfig())
    seen_m = np.zeros((41, 60), np.float32)
    seen_m[1, 2] = seen_m[3, 1] = 7.0
    support_px = calibrator.support_px(seen_m)
    assert support_px.shape == (11, 15)
    assert support_px[0, 0] == 0.0
    assert support_px[0, 10] == pytest.approx(40, rel=0.05)
    assert support_px[10, 0] == pytest.approx(40, rel=0.05)


def test_live_figures_are_those_of_the_held_out_errors():
    stream = Stream()
    assert stream.calibrator.accuracy() is None
    stream.feed(gaussian(0.2), frames=1)
    assert stream.calibrator.accuracy() is None  # the first frame would grade itself
    stream.feed(gaussian(0.2), frames=5)
    figures = stream.calibrator.accuracy()
    assert figures.returns == 5 * SHAPE[0] * SHAPE[1]
    assert figures.median_error_m == pytest.approx(0.6745 * 0.2, rel=0.03)  # of a Gaussian
    assert figures.p95_error_m == pytest.approx(1.96 * 0.2, rel=0.03)
    assert 0.55 < figures.coverage_1sigma < 0.7
    assert 0.9 < figures.coverage_2sigma < 0.965
    assert figures.alarm == ''


def test_alarm_rises_when_errors_are_beyond_what_is_followed_and_falls_when_it_is_learnt():
    stream = Stream(memory_frames=20)
    stream.feed(gaussian(0.1), frames=40)
    assert stream.calibrator.accuracy().alarm == ''
    stream.feed(gaussian(3.0), frames=10)
    assert stream.calibrator.accuracy().alarm.endswith('sigma is too small')
    stream.feed(gaussian(3.0), frames=60)
    assert stream.calibrator.accuracy().alarm == ''


@pytest.mark.parametrize('noise_m', [0.0, 1e-6, 0.005, 0.01, 0.02])
@pytest.mark.parametrize('raw_sigma_m', [1e-4, 0.1, 5.0])
def test_a_lidar_better_than_configured_is_no_alarm(noise_m, raw_sigma_m):
    """Configured are 2 cm; sigma may end far too large, which harms nobody."""
    calibrator = SigmaCalibrator(CalibrationConfig())
    rng = np.random.default_rng(0)
    for _ in range(40):
        depth_m = np.full(SHAPE, 5.0, np.float32)
        held_out_m = 5.0 + noise_m * rng.standard_normal(SHAPE, dtype=np.float32)
        calibrator.update(DepthEstimate(depth_m, np.full_like(depth_m, raw_sigma_m)), held_out_m)
        figures = calibrator.accuracy()
        assert figures is None or figures.alarm == ''
    assert figures.coverage_2sigma > 0.94


def test_a_sigma_that_was_too_large_is_no_alarm_before_it_is_learnt():
    stream = Stream()
    stream.feed(gaussian(0.5), frames=20)
    stream.feed(gaussian(0.01), frames=3)
    figures = stream.calibrator.accuracy()
    assert figures.alarm == ''
    stream.feed(gaussian(0.01), frames=20)
    assert stream.calibrator.accuracy().coverage_1sigma > 0.99
    assert stream.calibrator.accuracy().alarm == ''


def test_few_wide_errors_within_1_sigma_alarm_by_the_second():
    """Four of five errors are tiny, one of five is three of the sigma of its frame."""
    stream = Stream()
    stream.feed(gaussian(0.1), frames=5)
    for _ in range(25):
        wide_m = 3 * stream.sigma_at(45)
        stream.feed(lambda rng, z: np.where(rng.random(z.shape) < 0.2, wide_m, 0.001), frames=1)  # noqa: B023
    alarm = stream.calibrator.accuracy().alarm
    assert '80.' in alarm or '79.' in alarm
    assert 'within 2 sigma, wanted at least 85.0%' in alarm


@pytest.mark.parametrize('noise_m', [0.0, 0.02])
@pytest.mark.parametrize('error_m', [0.0, 0.5])
def test_a_sigma_of_zero_gives_figures_and_no_warning(noise_m, error_m, recwarn):
    """A depth that is exact is within any sigma; one that is not is beyond every sigma of 0."""
    config = CalibrationConfig(return_noise_m=noise_m, return_noise_px=0.0)
    calibrator = SigmaCalibrator(config)
    depth_m = np.full((50, 50), 10.0, np.float32)
    for _ in range(3):
        calibrator.update(DepthEstimate(depth_m, np.zeros_like(depth_m)), depth_m + error_m)
    figures = calibrator.accuracy()
    assert not recwarn.list
    assert figures.coverage_2sigma == (1.0 if error_m == 0.0 else 0.0)
    assert bool(figures.alarm) == (error_m > 0)
    assert (
        figures.scale == pytest.approx(LEAST, rel=0.02) if error_m == 0.0 else figures.scale > 100
    )


def test_figures_tell_of_how_many_frames_they_are():
    stream = Stream()
    stream.feed(gaussian(0.2), frames=2)
    assert stream.calibrator.accuracy().frames == 1
    stream.feed(gaussian(0.2), frames=30)
    assert stream.calibrator.accuracy().frames == calibration.RECENT_FRAMES


def test_the_errors_of_a_method_without_returns_are_those_of_all_pixels():
    """A Gaussian of 0.2 m is covered by 0.2 m."""
    stream = Stream()
    stream.calibrator = SigmaCalibrator(stream.calibrator.config, sees_returns=False)
    stream.feed(gaussian(0.2), frames=10)
    assert stream.sigma_at(30) == pytest.approx(0.2, rel=0.05)


def test_unknown_pixels_are_neither_judged_nor_given_a_sigma():
    stream = Stream()
    estimate = stream.estimate()
    estimate.depth_m[:40] = estimate.sigma_m[:40] = np.nan
    for _ in range(2):
        stream.calibrator.update(estimate, np.full(SHAPE, 20.0, np.float32))
    assert stream.calibrator.accuracy().returns == 40 * SHAPE[1]
    calibrated = stream.calibrator.apply(estimate)
    assert np.array_equal(np.isnan(calibrated.sigma_m), np.isnan(estimate.depth_m))
    assert calibrated.depth_m is estimate.depth_m


def test_without_held_out_returns_nothing_changes():
    stream = Stream()
    estimate = stream.estimate()
    stream.calibrator.update(estimate, np.zeros(SHAPE, np.float32))
    assert stream.calibrator.apply(estimate) is estimate
    assert stream.calibrator.accuracy() is None


def test_a_handful_of_returns_does_not_decide_alone():
    """Three returns that happen to be hit exactly must not make sigma vanish."""
    stream = Stream()
    estimate = stream.estimate()
    truth_m = np.zeros(SHAPE, np.float32)
    truth_m.flat[:3] = estimate.depth_m.flat[:3]
    stream.calibrator.update(estimate, truth_m)
    sigma_m = stream.calibrator.apply(estimate).sigma_m
    assert (sigma_m > 0.5 * estimate.sigma_m).all()
