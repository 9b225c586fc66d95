"""Things are where their way says, and as fast."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from depth_ros.simulation.trajectory import Trajectory, still, straight

RATE = 0.5  # rad/s


def constant(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Trajectory:
    return Trajectory(
        lambda t: np.zeros((len(t), 3)), lambda t: np.tile((yaw, pitch, roll), (len(t), 1))
    )


def turning(*rates: float, at: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Trajectory:
    """Yaw, pitch and roll that grow at constant rates from where they are at time 0."""
    return Trajectory(
        lambda t: np.zeros((len(t), 3)), lambda t: np.add(at, t[:, None] * np.array(rates))
    )


CIRCLE = Trajectory(  # of 10 m to the left around (0, 10, 2), from the origin along x
    lambda t: np.stack(
        (10 * np.sin(RATE * t), 10 - 10 * np.cos(RATE * t), np.full(len(t), 2.0)), axis=1
    ),
    lambda t: np.stack((RATE * t, 0 * t, 0 * t), axis=1),
)


def test_a_straight_way_goes_on_at_its_velocity() -> None:
    way = straight((1, 2, 3), (4, -1, 0.5), yaw=math.pi / 2)
    poses = way.poses([0.0, 2.0, -1.0])
    np.testing.assert_allclose(poses[:, :3, 3], [(1, 2, 3), (9, 0, 4), (-3, 3, 2.5)])
    np.testing.assert_allclose(poses[:, :3, :3] @ (1, 0, 0), [(0, 1, 0)] * 3, atol=1e-12)


def test_poses_have_the_shape_of_the_times() -> None:
    assert CIRCLE.poses(0.3).shape == (4, 4)
    assert CIRCLE.poses([]).shape == (0, 4, 4)
    grid = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    poses = CIRCLE.poses(grid)
    assert poses.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(poses[1, 0], CIRCLE.poses(3.0))


@pytest.mark.parametrize(
    ('angles', 'along', 'becomes'),
    [
        ((math.pi / 2, 0, 0), (1, 0, 0), (0, 1, 0)),  # to the left
        ((0, math.pi / 2, 0), (1, 0, 0), (0, 0, -1)),  # down
        ((0, 0, math.pi / 2), (0, 1, 0), (0, 0, 1)),  # the left wing up
        ((math.pi / 2, math.pi / 6, 0), (1, 0, 0), (0, math.sqrt(0.75), -0.5)),
    ],
)
def test_a_thing_turns_as_rep_103_says(
    angles: tuple[float, float, float],
    along: tuple[float, float, float],
    becomes: tuple[float, float, float],
) -> None:
    np.testing.assert_allclose(constant(*angles).poses(0)[:3, :3] @ along, becomes, atol=1e-12)


def test_rotations_are_those_about_z_then_y_then_x() -> None:
    """OpenCV's rotations about one axis each are multiplied."""
    for yaw, pitch, roll in np.random.default_rng(0).uniform(-3, 3, (50, 3)):
        about_z, about_y, about_x = (
            cv2.Rodrigues(np.array(axis))[0] for axis in ((0, 0, yaw), (0, pitch, 0), (roll, 0, 0))
        )
        pose = constant(yaw, pitch, roll).poses(1.0)
        np.testing.assert_allclose(pose[:3, :3], about_z @ about_y @ about_x, atol=1e-12)
        np.testing.assert_array_equal(pose[3], (0, 0, 0, 1))


def test_on_a_circle_speed_is_radius_times_rate() -> None:
    """10 m at 0.5 rad/s: 5 m/s ahead and nothing aside, anywhere on it."""
    for time_s in (0.0, 1.0, 7.3):
        linear, angular = CIRCLE.velocity(time_s)
        np.testing.assert_allclose(linear, (5, 0, 0), atol=1e-6)
        np.testing.assert_allclose(angular, (0, 0, RATE), atol=1e-6)
    np.testing.assert_allclose(CIRCLE.poses(math.pi / RATE)[:3, 3], (0, 20, 2), atol=1e-9)


def test_velocity_is_that_in_the_frame_of_the_thing() -> None:
    """It drives to the north and looks to the west: what is ahead of the world is to its right."""
    linear, angular = straight((0, 0, 0), (3, 0, 1), yaw=math.pi / 2).velocity(2.0)
    np.testing.assert_allclose(linear, (0, -3, 1), atol=1e-6)
    np.testing.assert_allclose(angular, 0, atol=1e-6)


def test_angular_velocity_is_that_of_the_body() -> None:
    """About its own axes: nodding about y, rolling about x. One that yaws while it looks down by
    30 degrees turns about its own z by cos 30 of that, and about its own x by -sin 30."""
    for way, expected in (
        (turning(0, 0.3, 0), (0, 0.3, 0)),
        (turning(0, 0, 0.2), (0.2, 0, 0)),
        (turning(0.4, 0, 0, at=(1, math.pi / 6, 0)), (-0.2, 0, 0.4 * math.sqrt(0.75))),
    ):
        np.testing.assert_allclose(way.velocity(0.0)[1], expected, atol=1e-6)


def test_what_is_still_is_there_at_any_time() -> None:
    pose = constant(0.3, 0.2, 0.1).poses(0.0)
    np.testing.assert_array_equal(still(pose)(5.0), pose)
    np.testing.assert_array_equal(still(pose)(np.arange(3.0)), [pose] * 3)
