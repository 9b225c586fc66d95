"""The extrinsic of TF: asked at the right time, waited for, never invented."""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

pytest.importorskip('rclpy')
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import deserialize_message, serialize_message
from rclpy.time import Time

from depth_ros.errors import NodeError
from depth_ros.nodes import transforms
from depth_ros.nodes.convert import ns_to_stamp, stamp_to_ns
from depth_ros.nodes.node_config import ExtrinsicConfig
from depth_ros.nodes.transforms import TfExtrinsic, make_extrinsic

# A camera that looks along the x axis of the LiDAR, 0.2 m before and 0.1 m below it:
# x_camera = -y_lidar, y_camera = -z_lidar, z_camera = x_lidar.
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.2], [0, 0, 0, 1.0]])
TRANSLATION, QUAT_XYZW = (0.0, -0.1, -0.2), (0.5, -0.5, 0.5, 0.5)
FRAMES = ('camera_optical', 'lidar', 1_000, 900)


class TransformError(Exception):
    pass


def moved(parent: str, child: str, stamp_ns: int = 0) -> TransformStamped:
    """The transform of TF from the frame `child` to `parent`: that of the camera here."""
    message = TransformStamped()
    message.header.stamp, message.header.frame_id = ns_to_stamp(stamp_ns), parent
    message.child_frame_id = child
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = TRANSLATION
    q.x, q.y, q.z, q.w = QUAT_XYZW
    return message


class Buffer:
    """Stands in for tf2_ros.Buffer: knows who is whose child since when, and what is asked."""

    def __init__(self) -> None:
        self.asked: tuple[Any, ...] = ()
        self.static: list[tuple[str, str]] = []
        self.moving: dict[tuple[str, str], int] = {}

    def lookup_transform(self, target: str, source: str, at: Any) -> Any:
        self.asked = (target, source, at.nanoseconds)
        return self._found(target, source, at.nanoseconds)

    def lookup_transform_full(
        self, target: str, at: Any, source: str, source_at: Any, fixed: str
    ) -> Any:
        self.asked = (target, source, fixed, at.nanoseconds, source_at.nanoseconds)
        return self._found(target, source, at.nanoseconds)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        self.static.append((transform.header.frame_id, transform.child_frame_id))

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        key = transform.header.frame_id, transform.child_frame_id
        self.moving[key] = stamp_to_ns(transform.header.stamp)

    def get_latest_common_time(self, target: str, source: str) -> Time:
        return Time(nanoseconds=max(self.moving.values(), default=0))

    def clear(self) -> None:
        self.moving.clear()

    def _found(self, target: str, source: str, at_ns: int) -> TransformStamped:
        known = 1 < at_ns <= self.moving.get((target, source), 0)
        if known or (target, source) in self.static:
            return moved(target, source)
        raise TransformError(f'"{source}" does not exist')


class Listener:
    """Stands in for a node, and for the topics of TF.

    Attributes:
        topics: those subscribed to now, and what waits on each.
        read: messages that were deserialised.
    """

    def __init__(self) -> None:
        self.topics: dict[str, list[bytes]] = {}
        self.callbacks: dict[str, Any] = {}
        self.read: list[str] = []

    def create_subscription(
        self, kind: Any, topic: str, callback: Any, qos: Any, **options: Any
    ) -> Any:
        waiting = self.topics[topic] = []
        self.callbacks[topic] = callback

        def take(kind: Any, raw: bool) -> Any:
            return (waiting.pop(0), None) if waiting else None

        handle = MagicMock(take_message=take)
        return SimpleNamespace(handle=handle, msg_type=kind, topic=topic)

    def destroy_subscription(self, subscription: Any) -> None:
        del self.topics[subscription.topic]

    def get_name(self) -> str:
        return 'listener'

    def static(self, parent: str, child: str) -> None:
        """A message on /tf_static."""
        self.callbacks['/tf_static'](SimpleNamespace(transforms=[moved(parent, child)]))

    def moving(self, parent: str, child: str, stamp_ns: int) -> None:
        """A message that waits on /tf: as in a TFMessage, but for the count before it."""
        self.topics['/tf'].append(serialize_message(moved(parent, child, stamp_ns)))

    def deserialize(self, raw: bytes, kind: Any) -> Any:
        transform = deserialize_message(raw, TransformStamped)
        self.read.append(transform.child_frame_id)
        return SimpleNamespace(transforms=[transform])


@pytest.fixture
def tf_buffer(monkeypatch: pytest.MonkeyPatch) -> Buffer:
    buffer = Buffer()
    tf2_ros, tf2_msgs, messages = (ModuleType(n) for n in ('tf2_ros', 'tf2_msgs', 'tf2_msgs.msg'))
    tf2_ros.__dict__.update(Buffer=lambda: buffer, TransformException=TransformError)
    messages.__dict__.update(TFMessage=SimpleNamespace)
    for module in (tf2_ros, tf2_msgs, messages):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return buffer


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch, tf_buffer: Buffer) -> Listener:
    listener = Listener()
    monkeypatch.setattr(transforms, 'deserialize_message', listener.deserialize)
    return listener


def test_tf_is_asked_at_the_stamp_of_the_image(tf_buffer: Buffer, listener: Listener) -> None:
    source = make_extrinsic(ExtrinsicConfig('tf', tf_timeout_s=0.25), listener)
    listener.static(*FRAMES[:2])
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)
    assert tf_buffer.asked == ('camera_optical', 'lidar', 1_000)


def test_tf_in_millimetres_is_doubted_once(
    listener: Listener, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = TfExtrinsic(listener, timeout_s=0.0)
    monkeypatch.setitem(globals(), 'TRANSLATION', (0.0, -100.0, -200.0))
    listener.static(*FRAMES[:2])
    for _ in range(3):
        source.lookup(*FRAMES)
    (sentence,) = said
    assert sentence.startswith("TF from 'lidar' to 'camera_optical': The LiDAR would be 224 m")


def test_likely_tf_is_not_doubted(listener: Listener, said: list[str]) -> None:
    source = TfExtrinsic(listener, timeout_s=0.0)
    listener.static(*FRAMES[:2])
    source.lookup(*FRAMES)
    assert said == []


def test_who_is_not_patient_does_not_wait(listener: Listener) -> None:
    source = TfExtrinsic(listener, timeout_s=3600.0)
    with pytest.raises(NodeError, match='no transform'):
        source.lookup(*FRAMES, patient=False)


def test_tf_compensates_motion_through_the_fixed_frame(
    tf_buffer: Buffer, listener: Listener
) -> None:
    source = TfExtrinsic(listener, 'odom', timeout_s=0.0)
    assert set(listener.topics) == {'/tf_static', '/tf'}
    listener.moving(*FRAMES[:2], stamp_ns=1_000)
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)
    assert tf_buffer.asked == ('camera_optical', 'lidar', 'odom', 1_000, 900)


def test_what_moves_is_listened_to_only_while_the_static_tree_does_not_answer(
    listener: Listener,
) -> None:
    source = TfExtrinsic(listener, timeout_s=0.0)
    assert set(listener.topics) == {'/tf_static'}
    with pytest.raises(NodeError):
        source.lookup(*FRAMES)
    assert set(listener.topics) == {'/tf_static', '/tf'}
    listener.moving(*FRAMES[:2], stamp_ns=1_000)
    for _ in range(2):
        source.lookup(*FRAMES)
        assert set(listener.topics) == {'/tf_static', '/tf'}
    listener.static(*FRAMES[:2])
    source.lookup(*FRAMES)
    assert set(listener.topics) == {'/tf_static'}
    source.close()
    assert listener.topics == {}
    with pytest.raises(NodeError, match='replaced'):
        source.lookup(*FRAMES)
    assert listener.topics == {}


def test_of_what_moves_only_the_chain_is_read(listener: Listener) -> None:
    source = TfExtrinsic(listener, 'odom', timeout_s=0.0)
    chain = [('camera_optical', 'lidar'), ('base', 'camera_optical'), ('odom', 'base')]
    others = [('lidar', 'wheel'), ('base', 'arm'), ('odom', 'other_base')]
    for parent, child in chain + others:
        listener.moving(parent, child, 1_000)
    source.lookup(*FRAMES)
    assert len(listener.read) == 6  # nobody knows the chain before
    listener.read.clear()
    for parent, child in others + chain:
        listener.moving(parent, child, 2_000)
    source.lookup('camera_optical', 'lidar', 2_000, 2_000)
    assert sorted(listener.read) == ['base', 'camera_optical', 'lidar']
    listener.read.clear()
    listener.moving('map', 'tower', 3_000)
    with pytest.raises(NodeError):
        source.lookup('camera_optical', 'lidar', 3_000, 3_000)
    assert listener.read == []
    listener.moving('map', 'tower', 3_000)  # perhaps the frame that is missing now
    with pytest.raises(NodeError):
        source.lookup('camera_optical', 'lidar', 3_000, 3_000)
    assert listener.read == ['tower']


def test_time_that_went_backwards_forgets_what_moved_and_what_waits(
    tf_buffer: Buffer, listener: Listener
) -> None:
    source = TfExtrinsic(listener, 'odom', timeout_s=0.0)
    listener.moving(*FRAMES[:2], stamp_ns=1_000)
    source.lookup(*FRAMES)
    listener.moving(*FRAMES[:2], stamp_ns=2_000)
    source.clear()
    assert (tf_buffer.moving, listener.topics['/tf']) == ({}, [])


def test_tf_that_comes_late_names_the_timeout(listener: Listener) -> None:
    source = TfExtrinsic(listener, 'odom', timeout_s=0.01)
    listener.moving(*FRAMES[:2], stamp_ns=1_000_000_000)
    with pytest.raises(NodeError) as caught:
        source.lookup('camera_optical', 'lidar', 1_300_000_000, 1_300_000_000)
    assert 'TF comes 0.31 s or more after the message' in str(caught.value)
    assert 'raise extrinsic.tf_timeout_s, now 0.01, above that' in str(caught.value)
    with pytest.raises(NodeError) as caught:
        source.lookup('camera_optical', 'lidar', 38_000_000_000, 38_000_000_000)
    assert '37 s older than the message; TF has stopped, or is on another clock' in str(
        caught.value
    )


@pytest.mark.parametrize('fixed_frame', ['', 'odom'])
def test_unknown_frame_is_refused_by_name(listener: Listener, fixed_frame: str) -> None:
    source = TfExtrinsic(listener, fixed_frame)
    with pytest.raises(NodeError, match=r"'velodyne' to 'camera_optical'.*") as caught:
        source.lookup('camera_optical', 'velodyne', 1_000, 900)
    assert caught.value.reason == 'no_extrinsic'
    assert fixed_frame in str(caught.value)
    assert 'tf_timeout_s' not in str(caught.value)


def test_header_without_a_frame_is_refused(listener: Listener) -> None:
    with pytest.raises(NodeError, match='frame_id') as caught:
        TfExtrinsic(listener).lookup('camera_optical', '', 1_000, 900)
    assert caught.value.reason == 'no_extrinsic'


def test_real_tf2_static_transform(ros: Any, wait_until: Any) -> None:
    tf2_ros = pytest.importorskip('tf2_ros')
    node = ros.node('tf')
    source = TfExtrinsic(node, timeout_s=0.0)
    broadcaster = tf2_ros.StaticTransformBroadcaster(ros.node('tf_publisher'))
    broadcaster.sendTransform(moved(*FRAMES[:2]))
    found = wait_until(partial(answer, source, *FRAMES), 30.0, 'the static transform')
    np.testing.assert_allclose(found[0], T_CAMERA_LIDAR, atol=1e-12)
    assert '/tf' not in dict(node.get_subscriber_names_and_types_by_node('tf', '/'))


def test_real_tf2_camera_on_a_pan_unit(ros: Any, wait_until: Any) -> None:
    """Without a fixed frame; beside it moves what nobody asks for."""
    tf2_ros = pytest.importorskip('tf2_ros')
    source = TfExtrinsic(ros.node('tf'), timeout_s=0.0)
    talker = ros.node('tf_publisher')
    static = tf2_ros.StaticTransformBroadcaster(talker)
    static.sendTransform([moved('mast', 'camera_optical'), moved('base', 'lidar')])
    moving = tf2_ros.TransformBroadcaster(talker)
    sent = iter(range(6, 1_000_000))

    def look() -> Any:
        """At 10 ms after the last: the mast stands at 0.001 m times the number of the message."""
        number = next(sent)
        mast = TransformStamped()
        mast.header.stamp, mast.header.frame_id = ns_to_stamp(10_000_000 * number), 'base'
        mast.child_frame_id, mast.transform.translation.x = 'mast', 0.001 * number
        moving.sendTransform([mast])
        moving.sendTransform([moved('mast', f'joint_{number % 7}', 10_000_000 * number)])
        stamp_ns = 10_000_000 * (number - 5)
        found = answer(source, 'camera_optical', 'lidar', stamp_ns, stamp_ns)
        return found and (found[0], 0.001 * (number - 5))

    for _ in range(3):
        T_found, mast_m = wait_until(look, 30.0, 'the moving transform')
        T_mast_camera, T_base_mast = T_CAMERA_LIDAR, np.eye(4)
        T_base_mast[0, 3] = mast_m
        expected = np.linalg.inv(T_base_mast @ T_mast_camera) @ T_CAMERA_LIDAR
        np.testing.assert_allclose(T_found, expected, atol=1e-9)


def answer(source: TfExtrinsic, *asked: Any) -> Any:
    """What a lookup gives, in a list, or None."""
    try:
        return [source.lookup(*asked)]
    except NodeError:
        return None
