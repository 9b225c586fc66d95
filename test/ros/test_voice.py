"""A real node that gives nothing says why, on /diagnostics and in the log, once per state."""

from __future__ import annotations

import array
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import LoggingSeverity
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2

from depth_ros.nodes.convert import ns_to_stamp

SUCCESS = TransitionCallbackReturn.SUCCESS
TIMEOUT_S = 60.0
pytestmark = pytest.mark.ros


class Log:
    """What nodes of this process have logged since the last look and before."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._lines: list[str] = []

    def of(self, words: str) -> list[str]:
        """Severities of the lines that hold words."""
        self._lines += self._capfd.readouterr().err.splitlines()
        return [line[1 : line.index(']')] for line in self._lines if words in line]


def sent_until(one: Any, predicate: Any, what: str, send: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not predicate():
        assert time.monotonic() < deadline, f'{what} not reached; {one.diagnostics}'
        send()
        time.sleep(0.03)


def level(one: Any, status: str) -> str:
    return one.value(status, 'level')


def stamped(one: Any, offset_s: float) -> Any:
    """A sweep whose clock differs."""
    cloud = one.cloud_msg()
    cloud.header.stamp = ns_to_stamp(one._stamp_ns + round(offset_s * 1e9))
    return cloud


def test_each_cause_of_silence_is_an_error_with_its_words_and_all_is_well_again_after(
    rig, capfd
) -> None:
    one = rig()
    log = Log(capfd)
    one.start()
    now_ns = 1_700_000_000_000_000_000
    one._stamp_ns = now_ns
    causes = {
        'the sensors are on different clocks; that of the LiDAR': lambda: stamped(
            one, 764 - now_ns / 1e9
        ),
        'TAI against UTC': lambda: stamped(one, 37.0),
        'the stamps of all sweeps are 0': lambda: stamped(one, -one._stamp_ns / 1e9),
    }
    for words, cloud in causes.items():
        sent_until(
            one,
            lambda w=words: level(one, 'output') == '2' and w in one.value('output', 'message'),
            words,
            lambda c=cloud: (image := one.image_msg()) and one.send(image, cloud=c()),
        )
        assert 'gave no depth' in one.value('output', 'message')
        sent_until(
            one,
            lambda w=words: 'ERROR' in log.of(w),
            f'the log of {words}',
            lambda c=cloud: (image := one.image_msg()) and one.send(image, cloud=c()),
        )
        assert len(log.of(words)) <= 2  # WARN and ERROR, once each
    one._stamp_ns = 2 * now_ns
    sent_until(one, lambda: level(one, 'output') == '0', 'recovery', one.send)
    sent_until(one, lambda: log.of('Over after'), 'the end in the log', one.send)


def test_zero_and_stuck_stamps_of_images_are_told(rig) -> None:
    one = rig().start()

    def zero() -> None:
        one._stamp_ns = -100_000_000
        one.send()

    words = 'the stamps of all images and sweeps are 0'
    sent_until(
        one,
        lambda: level(one, 'output') == '2' and words in one.value('output', 'message'),
        words,
        zero,
    )


def test_a_silent_lidar_is_told_by_the_output_too_and_nothing_old_is_repeated(rig) -> None:
    one = rig().start()
    sent_until(
        one,
        lambda: one.value('accuracy', 'held-out returns') and one.value('inputs', 'LiDAR age [s]'),
        'figures',
        one.send,
    )

    def camera_alone() -> None:
        one.info.publish(one.info_msg())
        one.image.publish(one.image_msg())

    sent_until(one, lambda: level(one, 'output') == '2', 'the error', camera_alone)
    assert 'no sweep has come during the last' in one.value('output', 'message')
    sent_until(
        one,
        lambda: 'not measured now' in one.value('accuracy', 'message'),
        'accuracy without figures',
        camera_alone,
    )
    assert one.value('inputs', 'LiDAR age [s]') == ''
    assert one.value('accuracy', 'median error [m]') == ''
    assert '/points: silent for' in one.value('inputs', 'message')


def test_the_graph_is_told_topic_by_topic(rig, ros, ros_environment, capfd) -> None:
    """Another type, a misspelt name, another namespace, and a remedy for each."""
    one = rig()
    for publisher in (one.image, one.info, one.points):
        one.peer.destroy_publisher(publisher)
    drivers = type(ros)(ros_environment)  # one process cannot have two types on a topic
    driver = drivers.node('driver')
    keep = [
        driver.create_publisher(CompressedImage, 'image', 1),
        driver.create_publisher(PointCloud2, 'pionts', 1),
        driver.create_publisher(CameraInfo, 'robot/camera_info', 1),
    ]
    log = Log(capfd)
    assert one.node.trigger_configure() == SUCCESS
    assert one.node.trigger_activate() == SUCCESS
    wanted = (
        '/driver publishes sensor_msgs/msg/CompressedImage there',
        'Set image_transport to compressed',
        '/pionts is spelt almost alike',
        'Remap it: points:=/pionts',
        '/robot/camera_info has the same name in another namespace',
        'Remap it: camera_info:=/robot/camera_info',
    )
    one.wait_until(
        lambda: all(words in one.value('inputs', 'message') for words in wanted),
        TIMEOUT_S,
        'the findings',
    )
    assert level(one, 'inputs') == '2'
    one.wait_until(lambda: log.of('/pionts is spelt almost alike'), TIMEOUT_S, 'the log')
    driver.destroy_publisher(keep[1])
    scan = driver.create_publisher(LaserScan, 'points', 1)
    one.wait_until(
        lambda: 'laser_geometry' in one.value('inputs', 'message'), TIMEOUT_S, 'the scan'
    )
    for publisher in (keep[0], keep[2], scan):
        driver.destroy_publisher(publisher)
    one.wait_until(
        lambda: one.value('inputs', 'message').count('nobody publishes it') == 3,
        TIMEOUT_S,
        'nobody',
    )
    drivers.close()


def test_a_latched_camera_info_sent_once_before_we_came_is_taken(rig) -> None:
    one = rig()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    one.peer.destroy_publisher(one.info)
    one.info = one.peer.create_publisher(CameraInfo, 'camera_info', latched)
    one.info.publish(one.info_msg())
    one.start()

    def without_info() -> None:
        image = one.image_msg()
        one.points.publish(one.cloud_msg())
        one.image.publish(image)

    sent_until(one, lambda: one.depth, 'depth', without_info)


def test_a_listener_that_cannot_hear_an_output_is_told(rig) -> None:
    one = rig().start()
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    one.peer.create_subscription(PointCloud2, 'depth/points', print, latched)
    one.wait_until(
        lambda: '/peer asks for transient local' in one.value('output', 'message'),
        TIMEOUT_S,
        'the listener',
    )
    assert level(one, 'output') == '1'


def test_images_that_are_lost_on_the_way_are_counted_by_their_camera_info(rig) -> None:
    one = rig()
    one.peer.destroy_publisher(one.image)
    one.image = one.peer.create_publisher(
        Image, 'image', QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    one.start()
    sent = 0

    def two_of_three_lost() -> None:
        nonlocal sent
        sent += 1
        image = one.image_msg()
        info = one.info_msg()
        info.header = image.header
        one.info.publish(info)
        one.points.publish(one.cloud_msg())
        if sent % 3 == 0:
            one.image.publish(image)

    sent_until(
        one,
        lambda: 'though their CameraInfo came' in one.value('inputs', 'message'),
        'the loss',
        two_of_three_lost,
    )
    assert level(one, 'inputs') == '1'
    assert 'fastdds_shm.xml' in one.value('inputs', 'message')
    assert one.value('inputs', 'images lost on the way')
    assert one.node.trigger_deactivate() == SUCCESS
    assert one.node.trigger_activate() == SUCCESS
    one.wait_until(
        lambda: not one.value('inputs', 'images lost on the way'), TIMEOUT_S, 'a new account'
    )


def test_an_image_in_a_body_frame_is_suspected_by_its_name(rig) -> None:
    one = rig().start()  # the extrinsic says that LiDAR and camera have the same axes

    def ahead() -> None:
        image = one.image_msg()
        image.header.frame_id = 'camera_link'
        cloud = one.cloud_msg()
        points = np.frombuffer(bytes(cloud.data), np.float32).reshape(-1, 3)
        body = np.ascontiguousarray(points[:, [2, 0, 1]] * (1, -1, -1), np.float32)
        cloud.data = array.array('B', body.tobytes())
        one.send(image, cloud=cloud)

    words = "the frame 'camera_link' of the image looks like a body frame (x forward)"
    sent_until(
        one,
        lambda: level(one, 'output') == '2' and words in one.value('output', 'message'),
        words,
        ahead,
    )
    assert one.dropped('no_return_in_view') > 0


def test_an_image_before_its_camera_info_names_the_topic(rig) -> None:
    one = rig().start()

    def without_info() -> None:
        image = one.image_msg()
        one.points.publish(one.cloud_msg())
        one.image.publish(image)

    sent_until(
        one,
        lambda: 'No CameraInfo has come yet on /camera_info' in one.value('output', 'message'),
        'the topic',
        without_info,
    )


def test_a_slow_method_is_a_warning_with_the_figure_and_the_remedy(rig) -> None:
    one = rig().start()
    sent_until(one, lambda: one.depth, 'depth', one.send)
    method = one.node._pipeline._method
    fast = method.estimate

    def slow(view: Any) -> Any:
        time.sleep(0.3)
        return fast(view)

    method.estimate = slow
    sent_until(
        one,
        lambda: ' ms a frame, and images come every ' in one.value('output', 'message'),
        'the overload',
        one.send,
    )
    assert level(one, 'output') == '1'
    assert 'output.scale' in one.value('output', 'message')


def test_names_of_statuses_and_topics_are_full(rig, ros, wait_until) -> None:
    from diagnostic_msgs.msg import DiagnosticArray

    from depth_ros.nodes.completion_node import CompletionNode

    one = rig()
    heard: list[Any] = []
    one.peer.create_subscription(DiagnosticArray, '/diagnostics', heard.append, 10)
    node = ros.spin(
        CompletionNode(
            context=ros.context,
            namespace='/robot1',
            parameter_overrides=one.node._parameter_overrides.values(),
        )
    )
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    wait_until(lambda: heard, TIMEOUT_S, 'diagnostics')
    full = 'robot1/completion_node'
    names = {status.name for status in heard[0].status}
    assert names == {f'{full}: {kind}' for kind in ('inputs', 'output', 'accuracy')}
    assert {status.hardware_id for status in heard[0].status} == {full}
    wait_until(lambda: '/robot1/points: no message yet' in str(heard[-1]), TIMEOUT_S, 'the topic')
    node.trigger_shutdown()


def test_debug_lines_tell_of_every_frame_and_the_method_follows_its_parameter(rig, capfd) -> None:
    from rclpy.parameter import Parameter

    one = rig(method='ip_basic')
    one.node.get_logger().set_level(LoggingSeverity.DEBUG)
    log = Log(capfd)
    one.start()
    sent_until(one, lambda: one.depth, 'depth', one.send)
    for words in ('goes to the worker with sweeps at', 'converted in', 'completed by ip_basic in'):
        sent_until(one, lambda w=words: log.of(w), words, one.send)
    assert log.of('Listening to /camera_info (sensor_msgs/msg/CameraInfo), /image')
    assert one.node.set_parameters([Parameter('method', value='guided')])[0].successful
    reason = 'method chosen because'
    one.wait_until(
        lambda: 'guided is asked for' in one.value('output', reason), TIMEOUT_S, 'the reason'
    )
    sent_until(
        one,
        lambda: one.value('output', reason) == 'chosen by the parameter `method`',
        'the method',
        one.send,
    )
