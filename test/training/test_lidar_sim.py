"""What the user of a camera and a LiDAR makes of a sweep, also of one of a depth map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from quiet_rig import CAMERA, LEVEL, QUIET, extrinsic, rng, wall

from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar, remove_occluded
from depth_ros.simulation.lidar import NO_RING, Lidar, LidarConfig, Sweep
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.scanners import OPTICAL_FROM_LIDAR, Scanner
from depth_ros.simulation.world import World
from depth_ros.training.lidar_sim import random_intrinsics, simulate, sparse_depth


def scan(*parts: Mesh, scanner: Scanner, camera: Intrinsics | None = None) -> Sweep:
    return scanner.sweep(World(parts), LEVEL, 0.0, rng(), camera)


def test_a_plane_10_m_ahead_of_the_camera_is_10_m_deep_wherever_the_lidar_is() -> None:
    scanner = Scanner(Lidar(QUIET), extrinsic(x=1.0, z=2.0))
    sparse_m, _ = sparse_depth(scan(wall(10.0), scanner=scanner), scanner, CAMERA)
    assert (sparse_m > 0).sum() > 100
    np.testing.assert_allclose(sparse_m[sparse_m > 0], 10.0, rtol=1e-5)


def test_a_beam_past_a_box_shines_through_where_parallax_says() -> None:
    """A LiDAR 1 m to the left of the camera sees the wall behind a box that hides it.

    The box is 4 m ahead, +-0.5 m wide: columns 99.5 +- 12.5 of the camera. From the LiDAR it
    covers azimuths atan(-0.5 / 4) to atan(-1.5 / 4), -7.1 to -20.6 degrees. The beam at -3
    degrees passes it and meets the wall, 20 m ahead, 20 tan(3 deg) - 1 = 0.048 m to the right
    of the camera's axis: at column 99.5 + 100 * 0.048 / 20 = 99.7, amidst the box's image.
    """
    level = LidarConfig(
        beams=1, lowest_deg=0.0, azimuth_step_deg=1.0, range_sigma_m=0.0, drop_out=0.0,
        max_range_m=1e6,
    )  # fmt: skip
    scanner = Scanner(Lidar(level), extrinsic(x=-1.0))
    found = scan(wall(4.0, half=0.5), wall(20.0), scanner=scanner)
    sparse_m, ring = sparse_depth(found, scanner, CAMERA)
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
    scanner = Scanner(Lidar(QUIET), extrinsic(), T_error)
    sparse_m, _ = sparse_depth(scan(wall(10.0), scanner=scanner), scanner, CAMERA)
    assert sparse_m.any()
    np.testing.assert_allclose(sparse_m[sparse_m > 0], 9.5, rtol=1e-4)


def test_a_window_that_no_beam_reaches_is_empty() -> None:
    sky = Intrinsics(200, 100, 100.0, 100.0, 99.5, 2000.0)
    scanner = Scanner(Lidar(QUIET), extrinsic())
    found = scan(wall(10.0), scanner=scanner, camera=sky)
    assert found.points.shape == (0, 3)
    sparse_m, ring = sparse_depth(found, scanner, sky)
    assert not sparse_m.any()
    assert (ring == NO_RING).all()


def test_sparse_depth_is_that_of_the_data_path_and_knows_the_ring() -> None:
    """The nearest return of a pixel wins, with its ring."""
    scanner = Scanner(Lidar(QUIET), extrinsic())
    points: npt.NDArray[np.float32] = np.array(
        [(10, 0, 0), (5, 0.01, 0), (7, -0.01, 0), (10, 2, 1)], dtype=np.float32
    )
    ring = np.array([0, 1, 2, 2], dtype=np.uint8)
    found = scan(wall(10.0), scanner=scanner)._replace(points=points, ring=ring)
    sparse_m, rings = sparse_depth(found, scanner, CAMERA)
    np.testing.assert_array_equal(sparse_m, project_lidar(points, extrinsic(), CAMERA))
    assert sparse_m.max() == 10.0
    assert (sparse_m > 0).sum() == (rings != NO_RING).sum()
    for v, u in zip(*np.nonzero(sparse_m), strict=True):
        assert rings[v, u] in ring[points[:, 0] == sparse_m[v, u]]


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

    def mesher(depth_m: npt.NDArray[np.float32], intrinsics: Intrinsics) -> Mesh:
        seen = wall(4.0)
        return Mesh(np.float32(seen.vertices @ OPTICAL_FROM_LIDAR.T), seen.faces)

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
