"""Sensors on one body see one world, each from its place at its time."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import distort_pixels
from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import Beams, Lidar, LidarConfig
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.rig import Rig, looking, mounted
from depth_ros.simulation.shading import Light
from depth_ros.simulation.trajectory import Trajectory, still, straight
from depth_ros.simulation.world import World

PINHOLE = Intrinsics(160, 96, 100.0, 100.0, 79.5, 47.5)
EVEN = Light((), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
QUIET = LidarConfig(range_sigma_m=0.0, drop_out=0.0, grazing=1e-6, max_range_m=1e6)
RIDE = Trajectory(
    lambda t: np.stack((9 * t, np.sin(2 * t), 0.1 * np.cos(9 * t)), axis=1),
    lambda t: np.stack((0.8 * t - 0.4, 0.05 * np.sin(5 * t), 0.08 * np.sin(7 * t)), axis=1),
)


def plane(at: Any, across: Any, up: Any) -> Mesh:
    corners = [[np.add(at, np.multiply(u, across) + np.multiply(v, up)) for u in (-99, 99)]
               for v in (-99, 99)]  # fmt: skip
    return dataclasses.replace(shapes.sheet(np.array(corners)), material=Material('noise_1'))


WALLS = (plane((25, 0, 0), (0.3, 1, 0), (0.2, 0, 1)), plane((0, 0, -1), (1, 0, 0), (0, 1, 0.02)))


@pytest.mark.parametrize(('yaw', 'pitch'), [(0, 0), (40, 0), (-120, 20), (0, -15), (90, 30)])
def test_looking_points_the_optical_axis_to_the_left_by_yaw_and_down_by_pitch(
    yaw: float, pitch: float
) -> None:
    pose = looking((1.0, 2.0, 3.0), yaw, pitch, 17.0)
    level = math.cos(math.radians(pitch))
    axis = (
        level * math.cos(math.radians(yaw)),
        level * math.sin(math.radians(yaw)),
        -math.sin(math.radians(pitch)),
    )
    np.testing.assert_allclose(pose[:3, 2], axis, atol=1e-12)
    np.testing.assert_array_equal(pose[:, 3], (1, 2, 3, 1))
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)


def test_looking_keeps_the_horizon_level_but_for_roll() -> None:
    """The image's right is the right of who looks; roll lowers it, as an aeroplane's wing."""
    level = looking((0, 0, 0), 30, 12)
    right = (math.sin(math.radians(30)), -math.cos(math.radians(30)), 0)
    np.testing.assert_allclose(level[:3, 0], right, atol=1e-12)
    assert level[2, 1] < 0, 'rows count downwards'
    rolled = looking((0, 0, 0), roll_deg=6)
    down = math.radians(6)
    np.testing.assert_allclose(rolled[:3, 0], (0, -math.cos(down), -math.sin(down)), atol=1e-12)


def test_what_is_mounted_moves_with_the_body() -> None:
    """1 m ahead of a body at (10, 20, 0) that looks to the left, and 2 m above it."""
    body = straight((0, 20, 0), (5, 0, 0), yaw=math.pi / 2)
    T_body_sensor = np.eye(4)
    T_body_sensor[:3, 3] = 1, 0, 2
    poses = mounted(body.poses, T_body_sensor)
    np.testing.assert_allclose(poses(2.0)[:3, 3], (10, 21, 2), atol=1e-12)
    assert poses([0.0, 1.0, 2.0]).shape == (3, 4, 4)
    np.testing.assert_allclose(poses([0.0, 1.0])[1, :3, 3], (5, 21, 2), atol=1e-12)


def rig(readout_s: float = 0.0, lens: str = 'none', deskewed: bool = False) -> Rig:
    D = {'none': (), 'equidistant': (0.02, -0.006, 0.001, 0.0)}[lens]
    sensor = CameraSensor(Camera(PINHOLE, lens, D), readout_s, blur_px=0.0, noise=0.0)
    names = tuple(f'camera_{number}' for number in range(6))
    poses = {
        name: looking((0.3 * math.cos(1.05 * i), 0.3 * math.sin(1.05 * i), 1.5), 60.0 * i, 2.0)
        for i, name in enumerate(names)
    }
    T_rig_lidar = transforms.from_translation_quat((0.1, 0.2, 1.9), (0, 0, 0.1, math.sqrt(0.99)))
    config = dataclasses.replace(QUIET, deskewed=deskewed)
    return Rig(dict.fromkeys(names, sensor), poses, Lidar(config), T_rig_lidar)


def test_six_cameras_look_where_their_yaw_says() -> None:
    """Balls 10 m away, each 60 degrees further: each camera has its own in the middle, 10 m away,
    100 pi / 10^2 pixels large, and no other, of a field of view of 77 degrees."""
    builder, each = Builder(), rig()
    for i, name in enumerate(each.cameras):
        at = each.T_rig_camera[name] @ (0, 0, 10, 1)
        builder.ball((at[0], at[1], at[2]), (1, 1, 1), Material('plain', (0.1 * i + 0.1,) * 3))
    world = World(builder.parts, EVEN)
    for i, name in enumerate(each.cameras):
        photo = each.photograph(world, name, 0.0, np.random.default_rng(0))
        assert set(np.unique(photo.face)) == {-1, i}
        v, u = np.nonzero(photo.face == i)
        assert (u.mean(), v.mean()) == pytest.approx((79.5, 47.5), abs=0.3)
        assert len(u) == pytest.approx(100 * math.pi, rel=0.05)
        assert photo.depth_m[47, 79] == pytest.approx(9, abs=0.01)


def test_the_extrinsic_takes_a_point_from_the_lidar_into_a_camera() -> None:
    each, of_lidar = rig(), np.array((4.0, -2.0, 1.0, 1.0))
    for name in each.cameras:
        of_rig = each.T_rig_lidar @ of_lidar
        np.testing.assert_allclose(
            each.T_rig_camera[name] @ each.T_camera_lidar(name) @ of_lidar, of_rig, atol=1e-12
        )


def test_photos_and_sweeps_are_taken_from_the_way_of_the_rig() -> None:
    """After 2 s it is 18 m ahead: as from a rig that stands there."""
    each, name = rig(), 'camera_1'
    moving = World(WALLS, EVEN, straight((0, 0, 0), (9, 0, 0), yaw=0.2))
    standing = World(WALLS, EVEN, straight((18, 0, 0), (0, 0, 0), yaw=0.2))
    photos = [each.photograph(w, name, 2.0, np.random.default_rng(0)) for w in (moving, standing)]
    np.testing.assert_allclose(photos[0].depth_m, photos[1].depth_m, rtol=1e-6)
    direct = each.cameras[name].photograph(
        standing, still(standing.rig.poses(0) @ each.T_rig_camera[name]), 0.0,
        np.random.default_rng(0),
    )  # fmt: skip
    np.testing.assert_allclose(direct.depth_m, photos[1].depth_m, rtol=1e-6)
    at_once = dataclasses.replace(each, lidar=Lidar(dataclasses.replace(QUIET, sweep_s=0.0)))
    sweeps = [at_once.sweep(w, 2.0, np.random.default_rng(0)) for w in (moving, standing)]
    np.testing.assert_allclose(sweeps[0].points, sweeps[1].points, rtol=1e-5)


@pytest.mark.parametrize('deskewed', [False, True])
@pytest.mark.parametrize('lens', ['none', 'equidistant'])
def test_static_points_agree_once_motion_is_undone(lens: str, deskewed: bool) -> None:
    """A rolling camera and a turning LiDAR see them at other times, from a rig in a curve.

    What pixels see is taken into the world by where the camera was at the time of their row.
    There a beam of the sweep is aimed from where the LiDAR is at a time of its own: it comes
    back, undone by that, from the same place within 1 mm.
    """
    each, name, rng = rig(0.06, lens, deskewed), 'camera_0', np.random.default_rng(4)
    world = World(WALLS, EVEN, RIDE)
    photo = each.photograph(world, name, 0.5, rng)
    v, u = (rng.integers(0, size, 500) for size in (96, 160))
    depth_m = photo.depth_m[v, u].astype(np.float64)
    seen = (depth_m > 0) & (depth_m < 60)
    v, u, depth_m = v[seen], u[seen], depth_m[seen]
    assert len(u) > 300
    pixels = np.stack((u, v), axis=1).astype(np.float64)
    row = distort_pixels(pixels, each.cameras[name].camera)[:, 1]
    camera = mounted(RIDE.poses, each.T_rig_camera[name])(0.5 + 0.06 * (row - 47.5) / 95)
    rays = PINHOLE.unproject(pixels, depth_m)
    points = np.einsum('nij,nj->ni', camera[:, :3, :3], rays) + camera[:, :3, 3]

    when = np.sort(rng.uniform(-0.5, 0.5, len(points)))
    lidar = mounted(RIDE.poses, each.T_rig_lidar)
    poses = lidar(0.58 + 0.1 * when)
    beams = np.einsum('nji,nj->ni', poses[:, :3, :3], points - poses[:, :3, 3])
    beams /= np.linalg.norm(beams, axis=1, keepdims=True)
    found = each.lidar.sweep(
        world, lidar, 0.58, rng, Beams(beams, np.zeros(len(beams), np.uint8), when)
    )
    assert len(found.points) == len(points)
    undone = lidar(np.full(len(points), 0.58)) if deskewed else poses
    true = np.einsum('nij,nj->ni', undone[:, :3, :3], found.points) + undone[:, :3, 3]
    assert np.linalg.norm(true - points, axis=1).max() < 1e-3
    at_once = np.einsum('ij,nj->ni', camera[0, :3, :3], rays) + camera[0, :3, 3]
    assert np.linalg.norm(at_once - points, axis=1).max() > 0.3
