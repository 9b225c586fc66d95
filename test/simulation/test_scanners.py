"""LiDARs beside a camera: what is cast and what their user believes, and that they vary."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
from quiet_rig import CAMERA, LEVEL, QUIET, extrinsic, rng, wall

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import returns_in_view
from depth_ros.simulation.lidar import HDL64_ELEVATIONS_DEG, Lidar
from depth_ros.simulation.scanners import (
    INDOOR,
    OPTICAL_FROM_LIDAR,
    OUTDOOR,
    Scanner,
    ScannerRanges,
    random_scanner,
)
from depth_ros.simulation.world import World


def test_the_lidar_is_beside_the_camera_where_the_user_believes() -> None:
    """2 m ahead of the camera and 1 m to its right, the plane x = 10 is 8 m from the LiDAR."""
    scanner = Scanner(Lidar(QUIET), extrinsic(x=1.0, z=2.0))
    box = wall(10.0, half=0.5, left=-1.0)
    found = scanner.sweep(World((box,)), LEVEL, 0.0, rng())
    np.testing.assert_allclose(found.points[:, 0], 8.0, rtol=1e-5)
    assert found.points[:, 1].min() == pytest.approx(-found.points[:, 1].max(), abs=1e-3)
    assert len(found.points) > 5


def test_what_the_user_does_not_know_moves_the_lidar() -> None:
    """It is truly 0.5 m farther ahead than believed: 10 m are measured as 9.5 m."""
    T_error = np.eye(4)
    T_error[2, 3] = 0.5
    scanner = Scanner(Lidar(QUIET), extrinsic(), T_error)
    found = scanner.sweep(World((wall(10.0),)), LEVEL, 0.0, rng())
    np.testing.assert_allclose(found.points[:, 0], 9.5, rtol=1e-5)


def test_a_moving_scanner_is_nearer_to_the_right_than_to_the_left() -> None:
    """10 m in a turn, clockwise: 60 degrees to the right 1/6 turn late, 10/6 m nearer. In the
    middle of the sweep, whenever that is, it is where the camera says. Also if it looks back."""
    scanner = Scanner(Lidar(QUIET), extrinsic(), velocity_mps=(100.0, 0.0, 0.0))
    back = np.diag((-1.0, -1.0, 1.0, 1.0)) @ LEVEL
    for time_s, x, pose in ((0.0, 20.0, LEVEL), (7.7, 20.0, LEVEL), (0.0, -20.0, back)):
        found = scanner.sweep(World((wall(x),)), pose, time_s, rng())
        azimuth_deg = np.degrees(np.arctan2(found.points[:, 1], found.points[:, 0]))
        for wanted_deg, x in ((0.0, 20.0), (-60.0, 20 - 10 / 6), (60.0, 20 + 10 / 6)):
            at = np.abs(azimuth_deg - wanted_deg) < 0.5
            np.testing.assert_allclose(found.points[at, 0], x, rtol=1e-4)


def test_casting_only_what_the_image_can_see_loses_nothing_of_it() -> None:
    """With parallax, calibration error and something very near, over all of the image."""
    T_error = np.eye(4)
    T_error[:3, 3] = 0.01, -0.01, 0.02
    config = dataclasses.replace(
        QUIET, beams=64, lowest_deg=-30, azimuth_step_deg=0.25, min_range_m=0.8
    )
    near = wall(1.7, half=0.2, left=0.7), wall(1.0, half=0.2, left=0.75)
    world = World((*near, wall(12.0, half=3.0, left=-5.0), wall(40.0)))
    for at in ((0.6, -0.4, -0.3), (-0.6, 0.3, 0.4), (0.6, 0.3, 0.4)):
        scanner = Scanner(Lidar(config), extrinsic(*at), T_error)
        everything = scanner.sweep(world, LEVEL, 0.0, rng())
        seen = scanner.sweep(world, LEVEL, 0.0, rng(), CAMERA)
        assert len(seen.points) < 0.7 * len(everything.points)
        found, expected = (
            {tuple(p) for p in returns_in_view(s.points, scanner.T_camera_lidar, CAMERA).tolist()}
            for s in (seen, everything)
        )
        # Survival at a grazing angle is drawn for each beam: up to a few differ by chance.
        assert len(expected) > 2000
        assert len(found ^ expected) <= 0.002 * len(expected)


def test_a_window_that_no_beam_reaches_is_empty() -> None:
    sky = Intrinsics(200, 100, 100.0, 100.0, 99.5, 2000.0)
    found = Scanner(Lidar(QUIET), extrinsic()).sweep(World((wall(10.0),)), LEVEL, 0.0, rng(), sky)
    assert found.points.shape == (0, 3)


def test_a_rosette_differs_from_sweep_to_sweep() -> None:
    config = dataclasses.replace(QUIET, pattern='solid_state', fov_h_deg=60, fov_v_deg=20)
    scanner, generator = Scanner(Lidar(config), extrinsic()), rng()
    world = World((wall(10.0),))
    first, second = (scanner.sweep(world, LEVEL, 0.0, generator).points for _ in range(2))
    azimuth_deg = np.degrees(np.arctan2(first[:, 1], first[:, 0]))
    assert 29 < azimuth_deg.max() <= 30.01
    assert not np.array_equal(first[:1000], second[:1000])


def test_an_extrinsic_that_is_no_rigid_transform_is_refused() -> None:
    with pytest.raises(GeometryError, match='T_camera_lidar'):
        Scanner(Lidar(QUIET), np.zeros((4, 4)))
    with pytest.raises(GeometryError, match='T_error'):
        Scanner(Lidar(QUIET), extrinsic(), 2 * np.eye(4))


def draw(indoor: bool, count: int = 400) -> list[Scanner]:
    generator = rng()
    return [random_scanner(generator, indoor) for _ in range(count)]


def angle_deg(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def kind(scanner: Scanner) -> int:
    """Position in `ScannerRanges.patterns`."""
    config = scanner.lidar.config
    if config.pattern != 'spinning':
        return 4
    if config.rings == 'hdl64e':
        np.testing.assert_array_equal(config.elevations_deg, HDL64_ELEVATIONS_DEG)
        return 0
    return {64: 1, 128: 1, 32: 2, 16: 3}[len(config.elevations_deg)]


BOTH = pytest.mark.parametrize(('indoor', 'ranges'), [(False, OUTDOOR), (True, INDOOR)])


@BOTH
def test_patterns_come_in_their_shares(indoor: bool, ranges: ScannerRanges) -> None:
    """400 draws: three binomial sigmas are at most 7.5 %."""
    found = collections.Counter(kind(scanner) for scanner in draw(indoor))
    for number, share in enumerate(ranges.patterns):
        assert found[number] / 400 == pytest.approx(share, abs=0.075)


@BOTH
def test_rigs_stay_in_their_ranges(indoor: bool, ranges: ScannerRanges) -> None:
    scanners = draw(indoor)
    offsets = np.array([s.T_camera_lidar[:3, 3] for s in scanners])
    low, high = np.array(ranges.offset_m).T
    assert (offsets >= low).all()
    assert (offsets <= high).all()
    assert (offsets[:, 1] < 0).mean() > 0.7, 'the LiDAR is mostly above the camera'
    for scanner in scanners:
        config = scanner.lidar.config
        for name in ('max_range_m', 'drop_out', 'range_sigma_m', 'grazing', 'shots'):
            least, most = getattr(ranges, name)
            assert least <= getattr(config, name) <= most, name
        assert config.min_range_m == ranges.min_range_m
        assert 0.1 <= config.azimuth_step_deg <= 0.4
        assert ranges.lowest_deg[0] <= config.lowest_deg <= ranges.lowest_deg[1]
        assert ranges.highest_deg[0] <= config.highest_deg <= ranges.highest_deg[1]
        turn = scanner.T_camera_lidar[:3, :3] @ OPTICAL_FROM_LIDAR.T
        assert angle_deg(turn) < 5 * ranges.turn_deg


@BOTH
def test_each_ring_is_built_with_errors_of_its_own(indoor: bool, ranges: ScannerRanges) -> None:
    """Off by one sigma of 0.05 degrees, turned within a step; biases of all draws have the mean
    square of their sigmas, of a to b: (a^2 + ab + b^2) / 3."""
    lidars = [scanner.lidar for scanner in draw(indoor)]
    for lidar in lidars:
        rings = max(len(lidar.config.elevations_deg), 1)
        assert len(lidar.off_deg) == len(lidar.turned_deg) == len(lidar.range_bias_m) == rings
        assert 0 <= min(lidar.turned_deg) <= max(lidar.turned_deg) <= lidar.config.azimuth_step_deg
    off_deg = np.concatenate([lidar.off_deg for lidar in lidars])
    assert off_deg.std() == pytest.approx(ranges.ring_sigma_deg, rel=0.05)
    a, b = ranges.ring_bias_m
    bias_m = np.array([np.mean(np.square(lidar.range_bias_m)) for lidar in lidars])
    assert np.sqrt(bias_m.mean()) == pytest.approx(np.sqrt((a * a + a * b + b * b) / 3), rel=0.15)


@BOTH
def test_some_drivers_undo_the_motion(indoor: bool, ranges: ScannerRanges) -> None:
    """A share of 0.6; the speed of the others is even up to its limit, a tenth for a rosette.

    Of 16 rosettes that move, three sigmas of the mean are 43 %.
    """
    scanners = draw(indoor)
    speeds = np.array([scanner.velocity_mps for scanner in scanners])
    np.testing.assert_array_equal(speeds[:, 1:], 0)
    assert (speeds[:, 0] == 0).mean() == pytest.approx(ranges.deskewed, abs=0.075)
    rosette = np.array([kind(scanner) == 4 for scanner in scanners])
    for chosen, fastest in ((~rosette, ranges.speed_mps[1]), (rosette, ranges.speed_mps[1] / 10)):
        moving = speeds[chosen & (speeds[:, 0] > 0), 0]
        assert moving.max() <= fastest
        assert moving.mean() == pytest.approx(fastest / 2, rel=0.45)


def test_calibration_errors_have_the_documented_size() -> None:
    """A sigma of s u^2, u uniform from 0 to 1, has the mean square s^2 / 5 on each axis."""
    errors = [scanner.T_error for scanner in draw(indoor=False)]
    angle = np.array([angle_deg(error[:3, :3]) for error in errors])
    assert np.sqrt(np.mean(angle**2)) == pytest.approx(0.06 * np.sqrt(3 / 5), rel=0.15)
    aside, ahead = np.array([error[:3, 3] for error in errors]).T[[0, 2]]
    assert np.sqrt(np.mean(aside**2)) == pytest.approx(0.01 / np.sqrt(5), rel=0.15)
    assert ahead.std() > 1.5 * aside.std(), 'the delay adds to it along the way'


def test_a_seed_repeats() -> None:
    one, same, other = (random_scanner(rng(seed), indoor=False) for seed in (3, 3, 4))
    assert one.lidar == same.lidar != other.lidar
    np.testing.assert_array_equal(one.T_error, same.T_error)
    np.testing.assert_array_equal(one.T_camera_lidar, same.T_camera_lidar)
