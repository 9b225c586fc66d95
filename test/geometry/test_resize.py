"""Image, returns and intrinsics at another size: nothing is invented, all three still agree."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar
from depth_ros.geometry.resize import (
    enlarge_estimate,
    resize_image,
    resize_sparse,
    resize_view,
)

SIZES = [(200, 120), (100, 60), (77, 41), (400, 240), (1, 1)]


def scan(seed=0):
    rng = np.random.default_rng(seed)
    sparse_m = np.zeros((120, 200), np.float32)
    sparse_m.flat[rng.choice(sparse_m.size, 900, replace=False)] = rng.uniform(1, 80, 900)
    return sparse_m


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_returns_are_moved_and_never_mixed(width, height):
    """Against a loop: the depth of a pixel is that of the nearest return that falls into it."""
    sparse_m = scan()
    expected = np.zeros((height, width), np.float32)
    for v, u in np.argwhere(sparse_m):
        row, column = int((v + 0.5) * height / 120), int((u + 0.5) * width / 200)
        known = expected[row, column] or np.inf
        expected[row, column] = min(known, sparse_m[v, u])
    assert np.array_equal(resize_sparse(sparse_m, width, height), expected)


def test_nearest_return_wins_by_hand():
    sparse_m = np.array([[0, 7, 0, 0], [3, 9, 0, 2]], np.float32)
    assert resize_sparse(sparse_m, 2, 1).tolist() == [[3, 2]]
    assert resize_sparse(np.zeros((2, 4), np.float32), 2, 1).tolist() == [[0, 0]]


def test_shrunk_image_is_the_mean_of_its_areas():
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0], [40]], [[80], [120]]]
    assert resize_image(image, 2, 2)[..., 0].tolist() == [[60, 0], [0, 0]]


def test_view_of_the_same_size_is_the_same():
    view = CameraView(
        np.zeros((120, 200, 3), np.uint8), scan(), Intrinsics(200, 120, 90.0, 90.0, 99.0, 60.0)
    )
    assert resize_view(view, 200, 120) is view


@pytest.mark.parametrize('factor', [0.5, 0.25])
def test_resized_view_is_what_the_resized_camera_sees(factor):
    """Projecting into the resized camera hits the pixels that resizing moves returns to."""
    pinhole = Intrinsics(200, 120, fx=90.0, fy=95.0, cx=103.2, cy=58.9)
    rng = np.random.default_rng(1)
    pixels = np.stack((rng.integers(0, 200, 700), rng.integers(0, 120, 700)), -1)
    points = pinhole.unproject(pixels, rng.uniform(2, 60, 700)).astype(np.float32)
    image = np.zeros((120, 200, 3), np.uint8)
    view = CameraView(image, project_lidar(points, np.eye(4), pinhole), pinhole, stamp_ns=5)
    width, height = int(200 * factor), int(120 * factor)
    small = resize_view(view, width, height)
    assert small.image.shape == (height, width, 3)
    assert small.intrinsics == pinhole.resized(width, height)
    assert small.stamp_ns == 5
    direct = project_lidar(points, np.eye(4), small.intrinsics)
    assert np.allclose(small.sparse_m, direct, rtol=1e-5)


def test_an_enlarged_plane_is_the_plane_and_sigma_keeps_its_share() -> None:
    """Inverse depth of a plane is linear in pixels: 1 / z = 0.1 + 0.01 u at pixel centres."""
    u = np.arange(8, dtype=np.float32)
    depth_m = np.broadcast_to(1 / (0.1 + 0.01 * u), (4, 8)).astype(np.float32)
    sigma_m = (0.05 * depth_m).astype(np.float32)
    depth_m[0], sigma_m[0] = np.nan, np.nan
    large = enlarge_estimate(DepthEstimate(depth_m, sigma_m), width=16, height=8)
    fine_u = (np.arange(16) + 0.5) / 2 - 0.5
    inner = slice(1, 15)  # beyond the outer centres it is constant
    expected_m = np.broadcast_to(1 / (0.1 + 0.01 * fine_u[inner]), (5, 14))
    np.testing.assert_allclose(large.depth_m[3:, inner], expected_m, rtol=1e-5)
    np.testing.assert_allclose(large.sigma_m[3:], 0.05 * large.depth_m[3:], rtol=1e-5)
    assert np.isnan(large.depth_m[:3]).all()
    assert np.isnan(large.sigma_m[:3]).all()


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('sigma_m', [np.nan, np.inf, 1.0], ids=str)
def test_what_is_too_far_stays_too_far_and_unknown_unknown(sigma_m: float) -> None:
    """Sky, a column of walls at 4 m, and a pixel unknown beside the sky: no depth in between."""
    depth_m = np.full((4, 6), np.inf, np.float32)
    depth_m[:, 4:], depth_m[3, 0] = 4.0, np.nan
    sigmas_m = np.where(depth_m == 4, 0.2, sigma_m).astype(np.float32)
    large = enlarge_estimate(DepthEstimate(depth_m, sigmas_m), width=12, height=8)
    expected_m = np.full((8, 12), np.inf, np.float32)
    expected_m[:, 9:] = 4.0  # columns 7 and 8 look between a sky pixel and a wall
    expected_m[5:, :3] = np.nan
    np.testing.assert_allclose(large.depth_m, expected_m, rtol=1e-6)
    expected_sigma_m = np.where(expected_m == 4, np.float32(0.2), np.float32(np.nan))
    np.testing.assert_allclose(large.sigma_m, expected_sigma_m, rtol=1e-6)
