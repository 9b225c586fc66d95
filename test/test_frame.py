"""Shapes and types are checked once, at the door; the message says what was wanted and given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from depth_ros.errors import DepthRosError, FrameError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind, Frame
from depth_ros.geometry.camera import Camera, Intrinsics

PINHOLE = Intrinsics(6, 4, fx=5.0, fy=5.0, cx=2.5, cy=1.5)
IMAGE = np.zeros((4, 6, 3), np.uint8)
SPARSE = np.zeros((4, 6), np.float32)
POINTS = np.zeros((9, 3), np.float32)


def frame(**changes):
    values = {'image': IMAGE, 'camera': Camera(PINHOLE), 'stamp_ns': 7}
    return Frame(**(values | changes))


def test_arrays_are_kept_and_not_copied():
    made = frame(points=POINTS, T_camera_lidar=np.eye(4), sparse_m=SPARSE)
    assert made.image is IMAGE
    assert made.points is POINTS
    assert made.sparse_m is SPARSE


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'image': IMAGE[..., 0]}, r'image must have shape \(4, 6, 3\), got \(4, 6\)'),
        ({'image': np.zeros((6, 4, 3), np.uint8)}, r'\(4, 6, 3\), got \(6, 4, 3\)'),
        ({'image': IMAGE.astype(np.float32)}, 'image must be uint8, got float32'),
        ({'points': POINTS.T, 'T_camera_lidar': np.eye(4)}, r'\(N, 3\), got \(3, 9\)'),
        ({'points': POINTS[0], 'T_camera_lidar': np.eye(4)}, r'\(N, 3\), got \(3,\)'),
        ({'points': POINTS}, 'without T_camera_lidar; name the extrinsic'),
        ({'points': POINTS, 'T_camera_lidar': np.eye(3)}, r'must be \(4, 4\), got \(3, 3\)'),
        ({'sparse_m': SPARSE.T}, r'sparse_m must have shape \(4, 6\), got \(6, 4\)'),
        ({'sparse_m': SPARSE.astype(np.float64)}, 'sparse_m must be float32, got float64'),
        ({'sparse_m': SPARSE.astype(np.uint16)}, 'sparse_m must be float32, got uint16'),
    ],
)
def test_frame_refuses(changes, message):
    with pytest.raises(FrameError, match=message):
        frame(**changes)


def test_view_refuses_what_does_not_fit_its_camera():
    CameraView(IMAGE, SPARSE, PINHOLE)
    with pytest.raises(FrameError, match='image must have shape'):
        CameraView(IMAGE[:2], SPARSE, PINHOLE)
    with pytest.raises(FrameError, match='sparse_m must have shape'):
        CameraView(IMAGE, SPARSE[:2], PINHOLE)


def test_estimate_refuses_what_does_not_fit_together():
    with pytest.raises(FrameError, match=r'depth_m must be \(H, W\), got \(4, 6, 3\)'):
        DepthEstimate(IMAGE.astype(np.float32), SPARSE)
    with pytest.raises(FrameError, match='depth_m must be float32, got float64'):
        DepthEstimate(SPARSE.astype(np.float64), SPARSE)
    with pytest.raises(FrameError, match=r'sigma_m must have shape \(4, 6\), got \(6, 4\)'):
        DepthEstimate(SPARSE, SPARSE.T)


def test_valid_is_where_depth_is_finite():
    depth_m = np.array([[1.0, np.nan, np.inf]], np.float32)
    estimate = DepthEstimate(depth_m, np.ones_like(depth_m))
    assert estimate.valid.tolist() == [[True, False, False]]
    assert estimate.kind is DepthKind.METRIC


def test_data_on_its_way_cannot_be_changed():
    for made in (frame(), CameraView(IMAGE, SPARSE, PINHOLE), DepthEstimate(SPARSE, SPARSE)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            made.stamp_ns = 8


def test_one_except_clause_catches_all():
    assert issubclass(FrameError, DepthRosError)
