"""Views that stereo rectification turns or moves: depth as image_proc has it, points as TF."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from depth_ros.errors import FrameError
from depth_ros.frame import DepthEstimate, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import FusionResult
from depth_ros.settings import replaced

PINHOLE = Intrinsics(160, 100, fx=90.0, fy=90.0, cx=79.0, cy=48.0)
LENS = Camera(PINHOLE, 'plumb_bob', (-0.25, 0.08, 0.001, -0.001, 0.0))
WALL_M = 6.0
# By atan 0.1 about y.
C, S = 1 / np.sqrt(1.01), 0.1 / np.sqrt(1.01)
R = np.array([[C, 0.0, -S], [0.0, 1.0, 0.0], [S, 0.0, C]])


def image():
    coarse = np.random.default_rng(0).integers(0, 256, (10, 16, 3), np.uint8)
    return cv2.resize(coarse, (160, 100))


def wall():
    """Returns from a wall across the camera's axis, wider than any view of it."""
    y, x = np.mgrid[-6:6:0.1, -12:12:0.1]
    return np.stack((x, y, np.full_like(x, WALL_M)), -1).reshape(-1, 3)


def frame(camera, **changes):
    values = {'image': image(), 'camera': camera, 'stamp_ns': 7, 'points': wall()}
    return Frame(**(values | {'T_camera_lidar': np.eye(4)} | changes))


def pipeline(**settings):
    return FusionPipeline(replaced(PipelineConfig(method='guided'), settings))


def rays_in_the_camera():
    """(H, W, 3): for the ray (x, y, 1) of a pixel of the view, R^T of it."""
    pixels = np.stack(np.meshgrid(np.arange(160), np.arange(100)), -1)
    return PINHOLE.unproject(pixels, np.ones((100, 160))) @ R


def test_a_raw_image_is_turned_as_image_proc_turns_it():
    view = pipeline().observe(frame(replace(LENS, R_rect=tuple(R.ravel()))))
    K, D = PINHOLE.matrix, np.array(LENS.D)
    maps = cv2.initUndistortRectifyMap(K, D, R, K, (160, 100), cv2.CV_32FC1)
    expected = cv2.remap(image(), *maps, cv2.INTER_LINEAR)
    assert np.abs(view.image.astype(int) - expected).max() <= 4  # roundings of another remap
    straight = pipeline().observe(frame(LENS)).image
    assert np.abs(view.image.astype(int) - straight).max() > 50


@pytest.mark.parametrize('is_rectified', [False, True])
def test_depth_is_along_the_axis_of_the_view_and_the_cloud_in_the_frame_of_the_camera(
    is_rectified,
):
    camera = replace(LENS, R_rect=tuple(R.ravel()))
    result = pipeline(image_is_rectified=is_rectified).process(frame(camera))
    # The third coordinate of a ray in the view is 1, so where it ends is the depth there.
    depth_m = WALL_M / rays_in_the_camera()[..., 2]
    assert np.ptp(depth_m) > 1.0
    found_m = result.estimate.depth_m
    known = np.isfinite(found_m)
    assert known.mean() > 0.9
    np.testing.assert_allclose(found_m[known], depth_m[known], rtol=0.01)
    points = result.cloud(OutputConfig(), gated=False)[known][:, :3]
    expected = (rays_in_the_camera() * depth_m[..., None])[known]
    np.testing.assert_allclose(points, expected, atol=0.06)
    assert np.abs(points[:, 2] - WALL_M).max() < 0.06


def only_point(camera, point, **settings):
    """Pixel, depth and point of the cloud of a lone return."""
    view = pipeline(**settings).observe(frame(camera, points=np.array([point])))
    depth_m = np.where(view.sparse_m > 0, view.sparse_m, np.float32(np.nan))
    ((row, column),) = np.argwhere(np.isfinite(depth_m)).tolist()
    made = FusionResult(view, DepthEstimate(depth_m, depth_m), 'made', {}, None)
    cloud = made.cloud(OutputConfig(), gated=False)
    return (row, column), float(depth_m[row, column]), cloud[row, column, :3]


@pytest.mark.parametrize('is_rectified', [False, True])
def test_a_turned_view_by_hand(is_rectified):
    """The return 10 m straight ahead moves by 0.1 f = 9 px to the left, and 10 / sqrt(1.01) m
    lie along the axis of the turned view."""
    camera = Camera(PINHOLE, R_rect=tuple(R.ravel()))
    pixel, depth_m, point = only_point(camera, (0, 0, 10), image_is_rectified=is_rectified)
    assert pixel == (48, 79 - 9)
    assert depth_m == pytest.approx(9.950372, rel=1e-6)
    np.testing.assert_allclose(point, (0, 0, 10), atol=1e-5)


def test_a_second_camera_by_hand():
    """It stands 0.5 m right of the first, whose frame is that of the points: P[0, 3] = -45, and
    what is 5 m ahead of the first is 45 / 5 = 9 px further left in the second."""
    camera = Camera(PINHOLE, t_rect=(-0.5, 0.0, 0.0))
    pixel, depth_m, point = only_point(camera, (0, 0, 5))
    assert pixel == (48, 79 - 9)
    assert depth_m == 5.0
    np.testing.assert_allclose(point, (0, 0, 5), atol=1e-5)


def test_sparse_depth_has_the_size_of_the_rectified_camera():
    camera = replace(LENS, rectified=Intrinsics(150, 90, fx=85.0, fy=85.0, cx=74.0, cy=44.0))
    sparse_m = np.zeros((90, 150), np.float32)
    sparse_m[20::4, ::3] = 7.0
    given = frame(camera, points=None, T_camera_lidar=None, sparse_m=sparse_m)
    result = pipeline(**{'projection.occlusion_filter': False}).process(given)
    assert np.array_equal(result.view.sparse_m, sparse_m)
    assert np.nanmedian(result.estimate.depth_m) == pytest.approx(7.0, rel=1e-3)
    said = r'sparse_m must have shape \(90, 150\), got \(100, 160\)'
    with pytest.raises(FrameError, match=said):
        replace(given, sparse_m=np.zeros((100, 160), np.float32))
