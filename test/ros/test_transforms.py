"""Where the extrinsic comes from, and that it is never invented."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
from geometry_msgs.msg import TransformStamped

from depth_ros.errors import NodeError
from depth_ros.nodes.node_config import ExtrinsicConfig
from depth_ros.nodes.transforms import TfExtrinsic, make_extrinsic

# A camera that looks along the x axis of the LiDAR, 0.2 m before and 0.1 m below it:
# x_camera = -y_lidar, y_camera = -z_lidar, z_camera = x_lidar.
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.2], [0, 0, 0, 1.0]])
TRANSLATION, QUAT_XYZW = (0.0, -0.1, -0.2), (0.5, -0.5, 0.5, 0.5)
FRAMES = ('camera_optical', 'lidar', 1_000, 900)


def refusal(config: ExtrinsicConfig, node: Any = None) -> str:
    with pytest.raises(NodeError) as caught:
        make_extrinsic(config, node).lookup(*FRAMES)
    assert caught.value.reason == 'no_extrinsic'
    return str(caught.value)


def test_parameters_give_the_transform() -> None:
    config = ExtrinsicConfig('parameters', TRANSLATION, QUAT_XYZW)
    np.testing.assert_allclose(
        make_extrinsic(config, None).lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12
    )


def test_parameters_that_were_not_given_are_no_identity() -> None:
    assert 'quat_xyzw is not given' in refusal(ExtrinsicConfig('parameters'))


def test_quaternion_that_is_not_of_norm_1_is_refused() -> None:
    config = ExtrinsicConfig('parameters', TRANSLATION, (0.5, -0.5, 0.5, 0.0))
    assert 'norm 1' in refusal(config)


def calib_file(folder: Path, **transforms: Any) -> str:
    camera = {'width': 8, 'height': 6, 'model': 'pinhole', 'K': [[5, 0, 4], [0, 5, 3], [0, 0, 1]]}
    cameras = {name: {**camera, 'T_cam_lidar': T} for name, T in transforms.items()}
    path = folder / 'calib.json'
    path.write_text(json.dumps({'cameras': cameras}))
    return str(path)


def test_file_gives_the_only_or_the_named_camera(tmp_path: Path) -> None:
    file = calib_file(tmp_path, left=T_CAMERA_LIDAR.tolist())
    source = make_extrinsic(ExtrinsicConfig('file', file=file), None)
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)
    file = calib_file(tmp_path, left=np.eye(4).tolist(), right=T_CAMERA_LIDAR.tolist())
    source = make_extrinsic(ExtrinsicConfig('file', file=file, camera='right'), None)
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)


def test_file_that_does_not_settle_it_is_refused(tmp_path: Path) -> None:
    file = calib_file(tmp_path, left=None, right=T_CAMERA_LIDAR.tolist())
    assert "['left', 'right']" in refusal(ExtrinsicConfig('file', file=file))
    assert "'rear'" in refusal(ExtrinsicConfig('file', file=file, camera='rear'))
    assert 'no T_cam_lidar' in refusal(ExtrinsicConfig('file', file=file, camera='left'))
    assert 'no such file' in refusal(ExtrinsicConfig('file', file=str(tmp_path / 'none.json')))
    assert 'extrinsic.file is not given' in refusal(ExtrinsicConfig('file'))


def test_missing_tf2_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    text = refusal(ExtrinsicConfig('tf'))
    assert 'ros-<distro>-tf2-ros-py' in text
    assert 'extrinsic.source' in text


class TransformError(Exception):
    pass


class Buffer:
    """Stands in for tf2_ros.Buffer: knows lidar -> camera_optical and records what is asked."""

    asked: tuple[Any, ...] = ()

    def lookup_transform(self, target: str, source: str, at: Any, timeout: Any) -> Any:
        self.asked = (target, source, at.nanoseconds, timeout.nanoseconds)
        return self._found(target, source)

    def lookup_transform_full(
        self, target: str, at: Any, source: str, source_at: Any, fixed: str, timeout: Any
    ) -> Any:
        times = (at.nanoseconds, source_at.nanoseconds, timeout.nanoseconds)
        self.asked = (target, source, fixed, *times)
        return self._found(target, source)

    def _found(self, target: str, source: str) -> TransformStamped:
        if (target, source) != FRAMES[:2]:
            raise TransformError(f'"{source}" does not exist')
        message = TransformStamped()
        transform = message.transform
        t, q = transform.translation, transform.rotation
        t.x, t.y, t.z = TRANSLATION
        q.x, q.y, q.z, q.w = QUAT_XYZW
        return message


@pytest.fixture
def tf_buffer(monkeypatch: pytest.MonkeyPatch) -> Buffer:
    buffer = Buffer()
    module = ModuleType('tf2_ros')
    module.__dict__.update(
        Buffer=lambda: buffer,
        TransformListener=lambda *_, **__: SimpleNamespace(),
        TransformException=TransformError,
    )
    monkeypatch.setitem(sys.modules, 'tf2_ros', module)
    return buffer


def test_tf_is_asked_at_the_stamp_of_the_image(tf_buffer: Buffer) -> None:
    found = make_extrinsic(ExtrinsicConfig('tf', tf_timeout_s=0.25), None).lookup(*FRAMES)
    np.testing.assert_allclose(found, T_CAMERA_LIDAR, atol=1e-12)
    assert tf_buffer.asked == ('camera_optical', 'lidar', 1_000, 250_000_000)


def test_tf_compensates_motion_through_the_fixed_frame(tf_buffer: Buffer) -> None:
    found = TfExtrinsic(None, 'odom', timeout_s=0.0).lookup(*FRAMES)
    np.testing.assert_allclose(found, T_CAMERA_LIDAR, atol=1e-12)
    assert tf_buffer.asked == ('camera_optical', 'lidar', 'odom', 1_000, 900, 0)


@pytest.mark.parametrize('fixed_frame', ['', 'odom'])
def test_unknown_frame_is_refused_by_name(tf_buffer: Buffer, fixed_frame: str) -> None:
    source = TfExtrinsic(None, fixed_frame)
    with pytest.raises(NodeError, match=r"'velodyne' to 'camera_optical'.*") as caught:
        source.lookup('camera_optical', 'velodyne', 1_000, 900)
    assert caught.value.reason == 'no_extrinsic'
    assert fixed_frame in str(caught.value)


def test_header_without_a_frame_is_refused(tf_buffer: Buffer) -> None:
    with pytest.raises(NodeError, match='frame_id') as caught:
        TfExtrinsic(None).lookup('camera_optical', '', 1_000, 900)
    assert caught.value.reason == 'no_extrinsic'


def test_real_tf2_static_transform(ros: Any, wait_until: Any) -> None:
    tf2_ros = pytest.importorskip('tf2_ros')
    node = ros.node('tf')
    source = TfExtrinsic(node, timeout_s=0.0)
    message = Buffer()._found(*FRAMES[:2])
    message.header.frame_id, message.child_frame_id = FRAMES[:2]
    broadcaster = tf2_ros.StaticTransformBroadcaster(ros.node('tf_publisher'))
    broadcaster.sendTransform(message)

    def found() -> Any:
        try:
            return [source.lookup(*FRAMES)]
        except NodeError:
            return None

    np.testing.assert_allclose(wait_until(found)[0], T_CAMERA_LIDAR, atol=1e-12)
