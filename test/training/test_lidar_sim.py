"""A LiDAR beside a camera: where its returns are, what is lost, and what the user makes of it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from depth_ros.errors import GeometryError, TrainingError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar, remove_occluded, returns_in_view
from depth_ros.simulation.lidar import LidarConfig
from depth_ros.training.lidar_sim import random_intrinsics, scan, simulate, sparse_depth
from depth_ros.training.mesh import Caster, Mesh
from depth_ros.training.scanners import NO_RING, OPTICAL_FROM_LIDAR, Scanner

pytest.importorskip('embreex', reason='rays are cast by Embree')

CAMERA = Intrinsics(200, 100, 100.0, 100.0, 99.5, 49.5)
QUIET = LidarConfig(
    beams=3,
    lowest_deg=-10.0,
    highest_deg=10.0,
    azimuth_step_deg=1.0,
    range_sigma_m=0.0,
    drop_out=0.0,
    max_range_m=1e6,
)


def extrinsic(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:
    """T_camera_lidar of a LiDAR at (x, y, z) of the camera frame that looks where it looks."""
    T_camera_lidar = np.eye(4)
    T_camera_lidar[:3, :3] = OPTICAL_FROM_LIDAR
    T_camera_lidar[:3, 3] = x, y, z
    return T_camera_lidar


LEVEL = np.eye(4)  # T_world_camera of a camera at the world's origin, z up, that looks along x
LEVEL[:3, :3] = OPTICAL_FROM_LIDAR.T


def wall(x: float, half: float = 1000.0, left: float = 0.0) -> tuple[Any, Any]:
    """Vertices and faces of a square at x = const of the world, its middle at y = left."""
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    vertices = np.array([(x, left + y, z) for y, z in corners], dtype=np.float32)
    return vertices, np.array([(0, 1, 2), (0, 2, 3)], dtype=np.int32)


def caster(*parts: tuple[Any, Any]) -> Caster:
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    faces = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return Caster(Mesh(np.concatenate([v for v, _ in parts]), np.concatenate(faces)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_plane_10_m_ahead_gives_its_points() -> None:
    """Elevation e and azimuth a meet x = 10 at (10, 10 tan a, 10 tan e / cos a)."""
    scanner = Scanner(QUIET, extrinsic())
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng())
    np.testing.assert_allclose(found.points[:, 0], 10.0, rtol=1e-4)
    azimuth = np.arctan2(found.points[:, 1], found.points[:, 0])
    for ring, elevation_deg in enumerate((-10.0, 0.0, 10.0)):
        mine = found.ring == ring
        expected_z = 10 * math.tan(math.radians(elevation_deg)) / np.cos(azimuth[mine])
        np.testing.assert_allclose(found.points[mine, 2], expected_z, rtol=1e-3, atol=1e-4)
        steps_deg = np.diff(np.sort(np.degrees(azimuth[mine])))
        assert steps_deg.min() == pytest.approx(1.0, abs=1e-3)
    # 1 - exp(-cos(incidence) / 0.03) is below one half only beyond 88.8 degrees.
    assert 3 * 171 <= len(found.points) <= 3 * 179


def test_the_points_are_in_the_frame_of_the_lidar_wherever_it_is() -> None:
    """2 m ahead of the camera and 1 m to its right, the plane is 8 m from the LiDAR."""
    scanner = Scanner(QUIET, extrinsic(x=1.0, z=2.0))
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng())
    np.testing.assert_allclose(found.points[:, 0], 8.0, rtol=1e-4)
    sparse_m, _ = sparse_depth(found, scanner, CAMERA)
    np.testing.assert_allclose(sparse_m[sparse_m > 0], 10.0, rtol=1e-4)


def test_a_beam_past_a_box_shines_through_where_parallax_says() -> None:
    """A LiDAR 1 m to the left of the camera sees the wall behind a box that hides it.

    The box is 4 m ahead, +-0.5 m wide: columns 99.5 +- 12.5 of the camera. From the LiDAR it
    covers azimuths atan(-0.5 / 4) to atan(-1.5 / 4), -7.1 to -20.6 degrees. The beam at -3
    degrees passes it and meets the wall, 20 m ahead, 20 tan(3 deg) - 1 = 0.048 m to the right
    of the camera's axis: at column 99.5 + 100 * 0.048 / 20 = 99.7, amidst the box's image.
    """
    scene = caster(wall(4.0, half=0.5), wall(20.0))
    scanner = Scanner(dataclasses.replace(QUIET, beams=1, lowest_deg=0.0), extrinsic(x=-1.0))
    sparse_m, ring = sparse_depth(scan(scene, LEVEL, scanner, rng()), scanner, CAMERA)
    row = sparse_m[50] if sparse_m[50].any() else sparse_m[49]
    assert row[100] == pytest.approx(20.0, rel=1e-4)
    inside_box = row[88:112]
    assert set(np.round(inside_box[inside_box > 0])) == {4.0, 20.0}
    cleaned = remove_occluded(sparse_m, margin=0.3, window_px=9)
    assert cleaned[:, 100].max() == 0
    assert (ring[sparse_m > 0] == 0).all()
    assert (ring[sparse_m == 0] == NO_RING).all()


def test_what_the_user_does_not_know_moves_the_points() -> None:
    """The LiDAR is truly 0.5 m farther ahead than believed: 10 m are believed to be 9.5 m."""
    T_error = np.eye(4)
    T_error[2, 3] = 0.5
    scanner = Scanner(QUIET, extrinsic(), T_error)
    sparse_m, _ = sparse_depth(scan(caster(wall(10.0)), LEVEL, scanner, rng()), scanner, CAMERA)
    np.testing.assert_allclose(sparse_m[sparse_m > 0], 9.5, rtol=1e-4)


def test_a_moving_lidar_is_nearer_to_the_right_than_to_the_left() -> None:
    """10 m in a turn, clockwise: 60 degrees to the right 1/6 turn late, 10/6 m nearer."""
    scanner = Scanner(QUIET, extrinsic(), motion_m=(10.0, 0.0, 0.0))
    found = scan(caster(wall(20.0)), LEVEL, scanner, rng())
    azimuth_deg = np.degrees(np.arctan2(found.points[:, 1], found.points[:, 0]))
    for wanted_deg, x in ((0.0, 20.0), (-60.0, 20 - 10 / 6), (60.0, 20 + 10 / 6)):
        at = np.abs(azimuth_deg - wanted_deg) < 0.5
        np.testing.assert_allclose(found.points[at, 0], x, rtol=1e-4)


def test_each_ring_measures_with_its_bias() -> None:
    scanner = Scanner(QUIET, extrinsic(), range_bias_m=(0.0, 0.03, -0.02))
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng())
    unbiased = scan(caster(wall(10.0)), LEVEL, Scanner(QUIET, extrinsic()), rng())
    difference = np.linalg.norm(found.points, axis=1) - np.linalg.norm(unbiased.points, axis=1)
    near = np.linalg.norm(unbiased.points, axis=1) < 30  # float32 there resolves 2 um
    expected = np.array([0.0, 0.03, -0.02])[found.ring]
    np.testing.assert_allclose(difference[near], expected[near], atol=1e-5)


def test_each_ring_is_turned_by_its_offset() -> None:
    scanner = Scanner(QUIET, extrinsic(), azimuth_offsets_deg=(0.0, 0.25, 0.5))
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng())
    azimuth_deg = np.degrees(np.arctan2(found.points[:, 1], found.points[:, 0]))
    for ring, offset_deg in enumerate((0.0, 0.25, 0.5)):
        rest = np.mod(azimuth_deg[found.ring == ring] - offset_deg + 0.5, 1.0) - 0.5
        np.testing.assert_allclose(rest, 0.0, atol=1e-3)


def test_noise_has_the_stated_sigma() -> None:
    noisy = dataclasses.replace(QUIET, range_sigma_m=0.05, azimuth_step_deg=0.02)
    found = scan(caster(wall(10.0)), LEVEL, Scanner(noisy, extrinsic()), rng())
    direction = found.points / np.linalg.norm(found.points, axis=1, keepdims=True)
    error = np.linalg.norm(found.points, axis=1) - 10.0 / direction[:, 0]
    error = error[direction[:, 0] > 0.2]
    assert len(error) > 20_000
    assert error.std() == pytest.approx(0.05, rel=0.03)
    assert error.mean() == pytest.approx(0.0, abs=0.002)


def test_losses_are_those_of_the_law_of_survival() -> None:
    """At 10 m of 20 m, seen frontally, 0.9 * (1 - 1/8) = 78.75 % come back."""
    lidar = dataclasses.replace(
        QUIET, drop_out=0.1, max_range_m=20.0, azimuth_step_deg=0.02, lowest_deg=-1, highest_deg=1
    )
    found = scan(caster(wall(10.0)), LEVEL, Scanner(lidar, extrinsic()), rng())
    frontal = np.abs(np.degrees(np.arctan2(found.points[:, 1], found.points[:, 0]))) < 8
    shot = 3 * 16 / 0.02
    # The range grows to 10.1 m at 8 degrees: 78.3 %. Binomial sigma is 0.8 %.
    assert frontal.sum() / shot == pytest.approx(0.786, abs=0.025)


def test_nothing_comes_from_beyond_the_reach_of_a_dark_surface() -> None:
    """0.2 of the light gives back half the reach of 0.8: 10 m of 20 m."""
    lidar = dataclasses.replace(QUIET, max_range_m=20.0)
    scanner, scene = Scanner(lidar, extrinsic()), caster(wall(10.1))
    dark = scan(scene, LEVEL, scanner, rng(), np.full(2, 0.2, dtype=np.float32))
    bright = scan(scene, LEVEL, scanner, rng(), np.full(2, 0.8, dtype=np.float32))
    black = scan(scene, LEVEL, scanner, rng(), np.zeros(2, dtype=np.float32))
    unknown = scan(scene, LEVEL, scanner, rng())
    assert len(dark.points) == len(black.points) == 0
    assert len(bright.points) > 100
    np.testing.assert_array_equal(bright.points, unknown.points)


def test_nothing_comes_from_the_blind_zone() -> None:
    blind = Scanner(QUIET, extrinsic(), min_range_m=4.5)
    found = scan(caster(wall(4.0)), LEVEL, blind, rng())
    assert np.linalg.norm(found.points, axis=1).min() >= 4.5
    assert len(scan(caster(wall(4.0)), LEVEL, Scanner(QUIET, extrinsic()), rng()).points) > len(
        found.points
    )


def test_casting_only_what_the_image_can_see_loses_nothing_of_it() -> None:
    """With parallax, calibration error and something very near, over all of the image."""
    T_error = np.eye(4)
    T_error[:3, 3] = 0.01, -0.01, 0.02
    lidar = dataclasses.replace(QUIET, beams=64, lowest_deg=-30, azimuth_step_deg=0.25)
    scene = caster(wall(1.7, half=0.2, left=0.7), wall(12.0, half=3.0, left=-5.0), wall(40.0))
    for at in ((0.6, -0.4, -0.3), (-0.6, 0.3, 0.4)):
        scanner = Scanner(lidar, extrinsic(*at), T_error, min_range_m=0.8)
        everything = scan(scene, LEVEL, scanner, rng())
        seen = scan(scene, LEVEL, scanner, rng(), intrinsics=CAMERA)
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
    scanner = Scanner(QUIET, extrinsic())
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng(), intrinsics=sky)
    assert found.points.shape == (0, 3)
    sparse_m, ring = sparse_depth(found, scanner, sky)
    assert not sparse_m.any()
    assert (ring == NO_RING).all()


def test_sparse_depth_is_that_of_the_data_path_and_knows_the_ring() -> None:
    """The nearest return of a pixel wins, with its ring."""
    scanner = Scanner(QUIET, extrinsic())
    points: npt.NDArray[np.float32] = np.array(
        [(10, 0, 0), (5, 0.01, 0), (7, -0.01, 0), (10, 2, 1)], dtype=np.float32
    )
    ring = np.array([0, 1, 2, 2], dtype=np.uint8)
    found = scan(caster(wall(10.0)), LEVEL, scanner, rng())._replace(points=points, ring=ring)
    sparse_m, rings = sparse_depth(found, scanner, CAMERA)
    np.testing.assert_array_equal(sparse_m, project_lidar(points, extrinsic(), CAMERA))
    assert sparse_m.max() == 10.0
    assert (sparse_m > 0).sum() == (rings != NO_RING).sum()
    for v, u in zip(*np.nonzero(sparse_m), strict=True):
        assert rings[v, u] in ring[points[:, 0] == sparse_m[v, u]]


def test_a_rosette_fills_its_field_of_view_and_differs_from_sweep_to_sweep() -> None:
    lidar = dataclasses.replace(QUIET, pattern='solid_state', fov_h_deg=60, fov_v_deg=20)
    scanner, generator = Scanner(lidar, extrinsic()), rng()
    assert scanner.rings == 1
    first, second = (scan(caster(wall(10.0)), LEVEL, scanner, generator) for _ in range(2))
    azimuth_deg = np.degrees(np.arctan2(first.points[:, 1], first.points[:, 0]))
    assert 29 < azimuth_deg.max() <= 30.01
    assert not np.array_equal(first.points[:1000], second.points[:1000])


def test_a_seed_repeats_bit_for_bit() -> None:
    lidar = dataclasses.replace(QUIET, range_sigma_m=0.02, drop_out=0.2, beams=16)
    scanner, scene = Scanner(lidar, extrinsic(0.1, -0.2)), caster(wall(10.0))
    one, same, other = (scan(scene, LEVEL, scanner, rng(seed)) for seed in (7, 7, 8))
    assert one.points.tobytes() == same.points.tobytes()
    assert one.ring.tobytes() == same.ring.tobytes()
    assert one.points.shape != other.points.shape


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'range_bias_m': (0.1,)}, 'range_bias_m has 1 values for 3 rings'),
        ({'azimuth_offsets_deg': (0.0,) * 4}, 'azimuth_offsets_deg has 4 values for 3 rings'),
        ({'elevations_deg': tuple(range(255))}, 'at most 254 rings, got 255'),
    ],
)
def test_a_contradictory_scanner_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        Scanner(QUIET, extrinsic(), **change)


def test_an_extrinsic_that_is_no_rigid_transform_is_refused() -> None:
    with pytest.raises(GeometryError, match='T_camera_lidar'):
        Scanner(QUIET, np.zeros((4, 4)))
    with pytest.raises(GeometryError, match='T_error'):
        Scanner(QUIET, extrinsic(), 2 * np.eye(4))


def test_simulate_measures_the_depth_map_in_its_own_pixels() -> None:
    """A sphere before a wall: returns lie on them but for noise, calibration and parallax."""
    v, u = np.mgrid[0:96, 0:160]
    depth_m = np.where((u - 80) ** 2 + (v - 48) ** 2 < 900, 6.0, 15.0).astype(np.float32)
    sparse_m, intrinsics = simulate(depth_m, rng(1), indoor=False)
    assert sparse_m.shape == depth_m.shape
    assert sparse_m.dtype == np.float32
    assert (intrinsics.width, intrinsics.height) == (160, 96)
    found = sparse_m > 0
    assert found.sum() > 200
    near = np.abs(sparse_m - depth_m)[found] / depth_m[found] < 0.02
    assert near.mean() > 0.9


def test_simulate_keeps_the_camera_that_is_given_and_repeats_bit_for_bit() -> None:
    depth_m = np.full((100, 200), 9.0, dtype=np.float32)
    first, camera = simulate(depth_m, rng(5), indoor=True, intrinsics=CAMERA)
    again, _ = simulate(depth_m, rng(5), indoor=True, intrinsics=CAMERA)
    assert camera is CAMERA
    assert first.tobytes() == again.tobytes()
    assert first.any()


def test_simulate_takes_another_mesher() -> None:
    """A mesher that makes a wall at 4 m of whatever it gets."""
    vertices, faces = wall(4.0)

    def mesher(depth_m: npt.NDArray[np.float32], intrinsics: Intrinsics) -> Mesh:
        return Mesh(np.ascontiguousarray(vertices @ OPTICAL_FROM_LIDAR.T, np.float32), faces)

    unseen = np.full((100, 200), 50.0, dtype=np.float32)
    sparse_m, _ = simulate(unseen, rng(2), indoor=True, mesher=mesher)
    assert np.median(sparse_m[sparse_m > 0]) == pytest.approx(4.0, abs=0.1)


def test_random_intrinsics_stay_in_their_range() -> None:
    generator = rng()
    drawn = [random_intrinsics(generator, 640, 480) for _ in range(300)]
    fov_deg = np.degrees(2 * np.arctan(640 / 2 / np.array([camera.fx for camera in drawn])))
    assert 40 <= fov_deg.min() < 43
    assert 97 < fov_deg.max() <= 100
    off_u = np.array([camera.cx - 319.5 for camera in drawn])
    assert off_u.std() == pytest.approx(0.02 * 640, rel=0.15)
    assert all(camera.fx == camera.fy for camera in drawn)
