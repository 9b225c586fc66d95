"""The conventions of docs/conventions.md, each pinned by one test."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from depth_ros import frame as data
from depth_ros.frame import CameraView, DepthEstimate, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.cloud import CLOUD_FIELDS, cloud_shape, fill_cloud
from depth_ros.geometry.projection import project_lidar
from depth_ros.geometry.transforms import from_translation_quat, to_translation_quat
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import FusionResult
from depth_ros.settings import flatten

PINHOLE = Intrinsics(60, 40, fx=50.0, fy=50.0, cx=29.5, cy=19.5)


def scan():
    """A wall at 8 m, seen in the lower three quarters of the image."""
    sparse_m = np.zeros((40, 60), np.float32)
    sparse_m[10::3, ::2] = 8.0
    return sparse_m


WITHOUT_WEIGHTS = [name for name in METHODS if name not in ('bpnet', 'mono')]


def view():
    return CameraView(np.zeros((40, 60, 3), np.uint8), scan(), PINHOLE)


def test_convention_depth_is_metres_along_the_optical_axis():
    point = np.array([[3.0, 0.0, 4.0]])  # 5 m away, 4 m deep
    assert project_lidar(point, np.eye(4), Intrinsics(99, 9, 10.0, 10.0, 49.0, 4.0)).max() == 4.0


def test_convention_no_measurement_is_zero():
    sparse_m = project_lidar(np.array([[0.0, 0.0, 8.0]]), np.eye(4), PINHOLE)
    assert np.isfinite(sparse_m).all()
    assert np.count_nonzero(sparse_m) == 1


@pytest.mark.parametrize('method', WITHOUT_WEIGHTS)
def test_convention_estimates_are_float32_and_unknown_is_nan(method):
    estimate = METHODS[method]().estimate(view())
    assert estimate.depth_m.dtype == estimate.sigma_m.dtype == np.float32
    assert (estimate.depth_m[estimate.valid] > 0).all()
    assert np.isnan(estimate.depth_m[~estimate.valid]).all()


@pytest.mark.parametrize('method', WITHOUT_WEIGHTS)
def test_convention_sigma_is_a_depth_error_in_metres_known_where_depth_is(method):
    estimate = METHODS[method]().estimate(view())
    assert estimate.sigma_m.shape == estimate.depth_m.shape
    assert np.array_equal(np.isfinite(estimate.sigma_m), estimate.valid)
    assert (estimate.sigma_m[estimate.valid] > 0).all()


def test_convention_whole_pixels_are_centres():
    centre = PINHOLE.unproject(np.array([29.5, 19.5]), np.array(2.0))
    assert centre.tolist() == [0.0, 0.0, 2.0]
    ray = PINHOLE.unproject(np.array([10.0, 30.0]), np.array(1.0))
    assert ray.tolist() == [(10 - 29.5) / 50, (30 - 19.5) / 50, 1.0]
    # The image reaches from -0.5 to 59.5, so its middle is 29.5.
    assert PINHOLE.resized(30, 20).cx == 14.5


def test_convention_optical_frame_is_x_right_y_down_z_forward():
    sparse_m = project_lidar(np.array([[1.0, 0.5, 5.0]]), np.eye(4), PINHOLE)
    (v, u), = np.argwhere(sparse_m).tolist()  # fmt: skip
    assert u > 29.5
    assert v > 19.5


def test_convention_transforms_read_from_right_to_left():
    """p_camera = T_camera_lidar @ p_lidar: a LiDAR 1 m left of the camera has x = -1 there."""
    T_camera_lidar = from_translation_quat((-1.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    sparse_m = project_lidar(np.array([[1.0, 0.0, 5.0]]), T_camera_lidar, PINHOLE)
    assert sparse_m[19:21, 29:31].max() == 5.0


def test_convention_quaternions_are_x_y_z_w():
    half = np.sqrt(0.5)
    quarter_turn_about_z = from_translation_quat((0, 0, 0), (0, 0, half, half))
    assert np.allclose(quarter_turn_about_z @ (1, 0, 0, 1), (0, 1, 0, 1))
    assert np.allclose(to_translation_quat(quarter_turn_about_z)[1], (0, 0, half, half))


def test_convention_time_is_whole_nanoseconds():
    classes = [item for item in vars(data).values() if dataclasses.is_dataclass(item)]
    fields = [field for item in classes for field in dataclasses.fields(item)]
    stamps = [field for field in fields if 'stamp' in field.name or 'time' in field.name]
    assert stamps
    for field in stamps:
        assert field.name.endswith('_ns')
        assert field.type in ('int', 'int | None')


def test_convention_nanoseconds_survive_the_pipeline():
    stamp_ns = 1_700_000_000_123_456_789  # a float64 of seconds would lose the last digits
    frame = Frame(view().image, Camera(PINHOLE), stamp_ns, sparse_m=scan())
    assert FusionPipeline().process(frame).view.stamp_ns == stamp_ns


def test_convention_units_are_in_the_names_of_settings():
    """Numbers without a unit are shares, counts or switches."""
    unitless = {
        'projection.occlusion_margin',
        'calibration.held_out_share',
        'output.scale',
        'output.max_relative_sigma',
        'mono.relative_sigma',
    }
    for name, value in flatten(PipelineConfig()).items():
        if isinstance(value, float) and name not in unitless:
            assert name.endswith(('_m', '_s', '_px')), name


def test_convention_cloud_is_organised_with_nan_where_unknown():
    assert CLOUD_FIELDS == ('x', 'y', 'z', 'rgb', 'sigma')
    depth_m = np.full((40, 60), 8.0, np.float32)
    depth_m[:10] = np.nan
    cloud = np.empty(cloud_shape(PINHOLE, stride=2), np.float32)
    fill_cloud(cloud, depth_m, depth_m / 10, view().image, PINHOLE, stride=2)
    assert cloud.shape == (20, 30, 5)
    assert np.isnan(cloud[:5, :, [0, 1, 2, 4]]).all()
    assert np.isfinite(cloud[5:]).all()


def test_convention_cloud_message_is_not_dense():
    pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')
    from depth_ros.nodes.buffers import CloudBuffer

    buffer = CloudBuffer()
    depth_m = np.full((40, 60), 8.0, np.float32)
    estimate = DepthEstimate(depth_m, depth_m / 10)
    buffer.fill(FusionResult(view(), estimate, 'made', {}, None), OutputConfig(cloud_stride=2))
    assert (buffer.msg.height, buffer.msg.width, buffer.msg.point_step) == (20, 30, 20)
    assert buffer.msg.is_dense is False


def test_convention_depth_image_is_32fc1_or_millimetres():
    pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')
    from depth_ros.nodes.buffers import ImageBuffer, depth_to_mm

    assert ImageBuffer().msg.encoding == '32FC1'
    assert depth_to_mm(np.array([[1.234, np.nan]], np.float32)).tolist() == [[1234, 0]]


def test_convention_camera_info_out_describes_a_rectified_image():
    pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')
    from sensor_msgs.msg import CameraInfo

    from depth_ros.nodes.convert import info_from_intrinsics

    msg = CameraInfo()
    info_from_intrinsics(msg, PINHOLE.resized(30, 20))
    assert (msg.width, msg.height) == (30, 20)
    assert not any(msg.d)
    assert np.reshape(msg.r, (3, 3)).tolist() == np.eye(3).tolist()
    assert np.array_equal(np.reshape(msg.p, (3, 4))[:, :3], np.reshape(msg.k, (3, 3)))
