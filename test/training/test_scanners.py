"""Random scanners stay in the ranges that are documented, and come in the shares stated."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from depth_ros.simulation.lidar import HDL64_ELEVATIONS_DEG
from depth_ros.training.scanners import (
    INDOOR,
    OPTICAL_FROM_LIDAR,
    OUTDOOR,
    Scanner,
    ScannerRanges,
    random_scanner,
)


def draw(indoor: bool, count: int = 400) -> list[Scanner]:
    rng = np.random.default_rng(0)
    return [random_scanner(rng, indoor) for _ in range(count)]


def angle_deg(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def test_the_hdl64_has_two_blocks() -> None:
    """32 beams from +2 deg down by 1/3 deg, 32 from -8.83 to -24.33 deg by 1/2 deg."""
    elevations = np.array(HDL64_ELEVATIONS_DEG)
    assert len(elevations) == 64
    np.testing.assert_allclose(np.diff(elevations[:32]), 0.5)
    np.testing.assert_allclose(np.diff(elevations[32:]), 1 / 3, atol=1e-3)
    assert elevations[[0, 31, 32, 63]] == pytest.approx([-24.33, -8.83, -8.33, 2.0])


@pytest.mark.parametrize(('indoor', 'ranges'), [(False, OUTDOOR), (True, INDOOR)])
def test_patterns_come_in_their_shares(indoor: bool, ranges: ScannerRanges) -> None:
    """400 draws: three binomial sigmas are at most 7.5 %."""
    found: collections.Counter[int] = collections.Counter()
    for scanner in draw(indoor):
        two_blocks = scanner.rings == 64 and np.allclose(
            scanner.elevations_deg, HDL64_ELEVATIONS_DEG, atol=0.2
        )
        found[0 if two_blocks else {64: 1, 128: 1, 32: 2, 16: 3, 1: 4}[scanner.rings]] += 1
    for kind, share in enumerate(ranges.patterns):
        assert found[kind] / 400 == pytest.approx(share, abs=0.075)


@pytest.mark.parametrize(('indoor', 'ranges'), [(False, OUTDOOR), (True, INDOOR)])
def test_rigs_stay_in_their_ranges(indoor: bool, ranges: ScannerRanges) -> None:
    scanners = draw(indoor)
    offsets = np.array([s.T_camera_lidar[:3, 3] for s in scanners])
    low, high = np.array(ranges.offset_m).T
    assert (offsets >= low).all()
    assert (offsets <= high).all()
    assert (offsets[:, 1] < 0).mean() > 0.7, 'the LiDAR is mostly above the camera'
    for scanner in scanners:
        lidar = scanner.lidar
        assert ranges.max_range_m[0] <= lidar.max_range_m <= ranges.max_range_m[1]
        assert ranges.drop_out[0] <= lidar.drop_out <= ranges.drop_out[1]
        assert 0.1 <= lidar.azimuth_step_deg <= 0.4
        assert len(scanner.range_bias_m) == len(scanner.azimuth_offsets_deg) == scanner.rings
        turn = scanner.T_camera_lidar[:3, :3] @ OPTICAL_FROM_LIDAR.T
        assert angle_deg(turn) < 5 * ranges.turn_deg


def test_calibration_errors_have_the_documented_size() -> None:
    """A sigma of s u^2, u uniform from 0 to 1, has the mean square s^2 / 5 on each axis."""
    errors = [scanner.T_error for scanner in draw(indoor=False)]
    angle = np.array([angle_deg(error[:3, :3]) for error in errors])
    assert np.sqrt(np.mean(angle**2)) == pytest.approx(0.06 * np.sqrt(3 / 5), rel=0.15)
    aside, ahead = np.array([error[:3, 3] for error in errors]).T[[0, 2]]
    assert np.sqrt(np.mean(aside**2)) == pytest.approx(0.01 / np.sqrt(5), rel=0.15)
    assert ahead.std() > 1.5 * aside.std(), 'the delay adds to it along the way'


def test_a_seed_repeats() -> None:
    one, same = (random_scanner(np.random.default_rng(3), indoor=False) for _ in range(2))
    assert one.lidar == same.lidar
    assert one.elevations_deg == same.elevations_deg
    np.testing.assert_array_equal(one.T_error, same.T_error)
    np.testing.assert_array_equal(one.T_camera_lidar, same.T_camera_lidar)
