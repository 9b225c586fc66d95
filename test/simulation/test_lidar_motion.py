"""Each shot of a LiDAR is taken from where it is at its own time, at what is there then."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.lidar import Lidar, LidarConfig, Sweep
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.rig import mounted
from depth_ros.simulation.trajectory import Trajectory, still, straight
from depth_ros.simulation.world import Mover, World

QUIET = LidarConfig(
    beams=9,
    lowest_deg=-20.0,
    highest_deg=20.0,
    azimuth_step_deg=1.0,
    range_sigma_m=0.0,
    drop_out=0.0,
    grazing=1e-6,
    max_range_m=1e6,
    min_range_m=0.0,
    shots=3000,
)
HALF_ROOM = np.array((20.0, 15.0, 6.0))
PLAIN = Material()


def quiet(**changes: Any) -> LidarConfig:
    return dataclasses.replace(QUIET, **changes)


def wall(x: float, material: Material = PLAIN) -> Mesh:
    sheet = shapes.sheet(np.array([[(x, y, z) for y in (-900, 900)] for z in (-900, 900)]))
    return dataclasses.replace(sheet, material=material)


def room() -> World:
    """A hollow box, whatever way one looks."""
    builder = Builder()
    builder.box((0, 0, -HALF_ROOM[2]), tuple(2 * HALF_ROOM), PLAIN)
    return World(builder.parts)


def off_the_walls_m(points: Any) -> Any:
    """How far points (N, 3) of the world are from the nearest wall of the room."""
    return np.abs(np.abs(points) - HALF_ROOM).min(axis=1)


def wild_ride() -> Trajectory:
    """At 8 m/s and 1 rad/s, rolling and pitching; its first sweep is in a curve."""
    return Trajectory(
        lambda t: np.stack((8 * t, np.sin(2 * t), 0.2 * np.cos(9 * t)), axis=1),
        lambda t: np.stack((1.0 * t, 0.1 * np.sin(5 * t), 0.15 * np.sin(7 * t)), axis=1),
    )


def sweep(world: World, config: LidarConfig, poses: Any, time_s: float = 0.0) -> Sweep:
    return Lidar(config).sweep(world, poses, time_s, np.random.default_rng(0))


def apply(poses: Any, points: Any) -> Any:
    """Points (N, 3) moved by one pose or one each."""
    return np.einsum('...ij,...j->...i', poses[..., :3, :3], points) + poses[..., :3, 3]


def test_the_time_of_a_return_is_that_of_its_shot() -> None:
    """A turn takes 0.1 s, clockwise, and looks ahead in its middle: 90 degrees to the left
    0.025 s before. Returns come in the order of their times, then of their rings."""
    found = sweep(room(), QUIET, still(np.eye(4)), time_s=5.0)
    azimuth = np.arctan2(found.points[:, 1], found.points[:, 0].astype(np.float64))
    azimuth[found.time_s < -0.0499] = np.pi  # straight behind is where it begins
    np.testing.assert_allclose(found.time_s, -azimuth / (2 * np.pi) * 0.1, atol=1e-6)
    assert found.time_s.min() == pytest.approx(-0.05)
    assert found.time_s.max() > 0.049
    order = np.lexsort((found.ring, found.time_s))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    assert len(order) == 9 * 360


def test_a_turned_ring_looks_there_at_the_same_time() -> None:
    turned = (0.0, 0.3, 0.6) * 3
    straight_, off = (
        Lidar(QUIET, turned_deg=by).sweep(room(), still(np.eye(4)), 0, np.random.default_rng(0))
        for by in ((), turned)
    )
    np.testing.assert_array_equal(straight_.time_s, off.time_s)


def test_shots_of_a_rosette_follow_each_other_evenly() -> None:
    found = sweep(room(), quiet(pattern='solid_state', sweep_s=0.2), still(np.eye(4)))
    assert len(found.time_s) == 3000
    np.testing.assert_allclose(np.diff(found.time_s), 0.2 / 3000, atol=1e-6)
    assert (found.time_s[0], found.time_s[-1]) == pytest.approx((-0.1, 0.1), abs=1e-4)


def test_a_moving_lidar_is_nearer_to_the_right_than_to_the_left() -> None:
    """10 m in a turn, clockwise: 60 degrees to the right 1/6 turn late, 10/6 m nearer."""
    poses = straight((0, 0, 0), (100, 0, 0)).poses
    found = sweep(World((wall(20.0),)), QUIET, poses)
    azimuth_deg = np.degrees(np.arctan2(found.points[:, 1], found.points[:, 0]))
    for wanted_deg, x in ((0.0, 20.0), (-60.0, 20 - 10 / 6), (60.0, 20 + 10 / 6)):
        at = np.abs(azimuth_deg - wanted_deg) < 0.5
        assert at.sum() == 9
        np.testing.assert_allclose(found.points[at, 0], x, rtol=1e-5)


@pytest.mark.parametrize('pattern', ['spinning', 'solid_state'])
def test_returns_of_a_moving_lidar_are_true_once_its_motion_is_undone(pattern: str) -> None:
    """By where it truly was at the time of each: to 1 mm. Without that they are far off."""
    ride = wild_ride()
    found = sweep(room(), quiet(pattern=pattern), ride.poses, time_s=1.3)
    assert len(found.points) > 2900
    true = apply(ride.poses(1.3 + found.time_s.astype(np.float64)), found.points)
    assert off_the_walls_m(true).max() < 1e-3
    at_once = apply(ride.poses(1.3), found.points)
    assert np.linalg.norm(at_once - true, axis=1).max() > 0.5


@pytest.mark.parametrize('pattern', ['spinning', 'solid_state'])
def test_a_driver_that_undoes_the_motion_gives_the_same_points(pattern: str) -> None:
    """As they are seen from the middle of the sweep; ring, time and intensity stay."""
    ride = wild_ride()
    raw = sweep(room(), quiet(pattern=pattern), ride.poses, time_s=1.3)
    found = sweep(room(), quiet(pattern=pattern, deskewed=True), ride.poses, time_s=1.3)
    world = apply(ride.poses(1.3), found.points)
    true = apply(ride.poses(1.3 + raw.time_s.astype(np.float64)), raw.points)
    np.testing.assert_allclose(world, true, atol=1e-3)
    for values, same in zip(found[1:], raw[1:], strict=True):
        np.testing.assert_array_equal(values, same)
    assert np.abs(found.points - raw.points).max() > 0.5


def test_a_sweep_that_takes_no_time_is_seen_from_one_place() -> None:
    ride = wild_ride()
    found = sweep(room(), quiet(sweep_s=0.0), ride.poses, time_s=1.3)
    np.testing.assert_array_equal(found.time_s, 0)
    assert off_the_walls_m(apply(ride.poses(1.3), found.points)).max() < 1e-3
    standing = sweep(room(), QUIET, still(ride.poses(1.3)))
    order = np.lexsort((found.points[:, 1], found.points[:, 0]))
    same = np.lexsort((standing.points[:, 1], standing.points[:, 0]))
    np.testing.assert_allclose(found.points[order], standing.points[same], atol=1e-5)


def test_noise_and_bias_are_along_the_beam_before_the_motion_is_undone() -> None:
    """5 m too far: the wall at 20 m seems to be 5 m behind, seen from where each shot was."""
    poses = straight((0, 0, 0), (100, 0, 0)).poses
    lidar = Lidar(quiet(deskewed=True), range_bias_m=(5.0,) * 9)
    found = lidar.sweep(World((wall(20.0),)), poses, 0.0, np.random.default_rng(0))
    start = poses(found.time_s.astype(np.float64))[:, :3, 3]
    way = found.points - start
    true = start + way * (1 - 5 / np.linalg.norm(way, axis=1, keepdims=True))
    near = np.linalg.norm(way, axis=1) < 100
    assert near.sum() > 1000
    np.testing.assert_allclose(true[near, 0], 20.0, atol=1e-3)


def test_what_moves_is_seen_where_it_is_at_the_time_of_each_shot() -> None:
    """A front that comes at 30 m/s: 9 m - 30 t; over the sweep's width that is more than 1 m."""
    mover = Mover((wall(0.0),), straight((9 + 150, 0, 0), (-30, 0, 0)))
    found = sweep(World((), movers=(mover,)), QUIET, still(np.eye(4)), time_s=5.0)
    assert len(found.points) > 1000
    near = np.abs(found.points[:, 1]) < 100
    expected = 9 - 30 * found.time_s[near]
    np.testing.assert_allclose(found.points[near, 0], expected, atol=1e-3)
    assert np.ptp(expected) > 1
    at_once = sweep(World((), movers=(mover,)), quiet(sweep_s=0.0), still(np.eye(4)), time_s=5.0)
    np.testing.assert_allclose(at_once.points[:, 0], 9, rtol=1e-5)


def test_glass_that_moves_is_looked_through_where_it_is() -> None:
    """A pane that drives along with the LiDAR, and one that stands; behind both the wall."""
    clear = Material(see_through=1.0)
    rig = straight((0, 0, 0), (40, 0, 0))
    pane = Mover((wall(2.0, clear),), rig)
    world = World((wall(30.0, clear), wall(60.0)), movers=(pane,))
    poses = mounted(rig.poses, np.eye(4))
    found = sweep(world, QUIET, poses)
    true = apply(poses(found.time_s.astype(np.float64)), found.points)
    near = np.abs(true[:, 1]) < 200
    assert near.sum() > 1000
    np.testing.assert_allclose(true[near, 0], 60.0, atol=1e-3)
