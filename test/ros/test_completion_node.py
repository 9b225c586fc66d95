"""The completion node over real rclpy: what it publishes, how it lives, what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from depth_ros.messages.clouds import cloud_to_points
from depth_ros.nodes.convert import ns_to_stamp, stamp_to_ns

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
pytestmark = pytest.mark.ros

FIXED_EXTRINSIC = {
    'extrinsic__source': 'parameters',
    'extrinsic__quat_xyzw': [0.0, 0.0, 0.0, 1.0],
}


def state(node) -> str:
    return node._state_machine.current_state[1]


def depth_of(msg) -> np.ndarray:
    return np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width)


def test_a_wall_comes_out_at_its_depth_under_the_headers_of_its_image(rig):
    one = rig().start()
    sent = []
    one.send_until(
        lambda: len(one.depth) >= 3, 'three depth images', image=lambda: keep(sent, one)
    )
    stamps = {stamp_to_ns(msg.header.stamp) for msg in sent}
    for msg in one.depth:
        assert stamp_to_ns(msg.header.stamp) in stamps
        assert msg.header.frame_id == 'camera_optical_frame'
        assert (msg.encoding, msg.width, msg.height) == ('32FC1', 96, 64)
        np.testing.assert_allclose(depth_of(msg), 5.0, rtol=1e-3)
    info = one.infos[0]
    assert stamp_to_ns(info.header.stamp) in stamps
    assert list(info.d) == [0.0] * 5
    assert np.array_equal(info.r, np.eye(3).ravel())
    assert np.array_equal(np.reshape(info.p, (3, 4))[:, :3].ravel(), info.k)


def keep(sent, one):
    sent.append(one.image_msg())
    return sent[-1]


def test_every_output_is_published_where_somebody_listens(rig):
    one = rig(**{'output.max_relative_sigma': 0.05}).start()
    got = {}
    for topic, kind in (
        ('depth/image_rect', Image),
        ('depth/uncertainty', Image),
        ('depth/points', PointCloud2),
    ):
        one.peer.create_subscription(kind, topic, lambda m, t=topic: got.setdefault(t, m), 10)
    one.send_until(lambda: len(got) == 3, 'all outputs')
    assert np.nanmax(depth_of(got['depth/image_rect'])) == pytest.approx(5.0, rel=1e-3)
    assert (depth_of(got['depth/uncertainty']) > 0).all()
    cloud = got['depth/points']
    assert (cloud.height, cloud.width, cloud.is_dense) == (64, 96, False)
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'rgb', 'sigma']
    points = cloud_to_points(cloud).reshape(64, 96, 3)
    # The pixel three columns right of the principal point: x = 2.5 / 80 * 5 m at z = 5 m.
    np.testing.assert_allclose(points[31, 50], (2.5 / 80 * 5, -0.5 / 80 * 5, 5.0), rtol=2e-3)


def test_the_lifecycle_goes_all_the_way_and_back(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    one.settle()
    assert one.node.trigger_deactivate() == SUCCESS
    assert state(one.node) == 'inactive'
    quiet = len(one.depth)
    heard = one.listen('image')
    one.send_until(lambda: len(heard) > 5, 'images that the node does not listen to')
    assert len(one.depth) == quiet
    assert one.node.trigger_cleanup() == SUCCESS
    assert state(one.node) == 'unconfigured'
    assert one.peer.count_publishers('depth/image_dense') <= 1  # discovery may lag
    one.start()
    one.send_until(lambda: len(one.depth) > quiet, 'depth after the second start')
    assert one.node.trigger_shutdown() == SUCCESS
    assert state(one.node) == 'finalized'


def test_a_missing_extrinsic_is_refused_at_configuration_not_invented(rig):
    one = rig(**{'extrinsic.quat_xyzw': [0.0, 0.0, 0.0, 0.0]})
    assert one.node.trigger_configure() == FAILURE
    assert state(one.node) == 'unconfigured'


def test_relative_depth_is_for_another_node(rig):
    one = rig(**{'mono.output': 'relative'})
    assert one.node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert one.node.get_publishers_info_by_topic('/depth/image_rect') == []


def test_parameters_change_at_run_time_or_say_why_not(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')

    def put(name, value):
        return one.node.set_parameters([Parameter(name, value=value)])[0]

    assert put('output.scale', 0.5).successful
    one.send_until(lambda: one.depth[-1].width == 48, 'half size')
    assert one.infos[-1].width == 48
    assert put('method', 'ip_basic').successful
    one.send_until(lambda: one.value('output', 'method') == 'ip_basic', 'another method')
    refused = put('output.scale', 7.0)
    assert not refused.successful
    refused = put('method', 'magic')
    assert not refused.successful
    assert 'guided' in refused.reason
    refused = put('qos', 'reliable')
    assert not refused.successful
    assert 'qos cannot change while the node is configured' in refused.reason
    assert not put('projection.max_range_m', 'far').successful
    assert one.node.get_parameter('method').value == 'ip_basic'


def test_settings_changed_while_inactive_are_in_force_once_active(rig):
    one = rig()
    assert one.node.trigger_configure() == SUCCESS
    changed = one.node.set_parameters([Parameter('sync.max_sync_slop_s', value=0.5)])[0]
    assert changed.successful
    assert one.node.trigger_activate() == SUCCESS
    one.wait_until(one._connected, what='discovery')

    def late_cloud():
        msg = one.cloud_msg()
        msg.header.stamp = ns_to_stamp(one._stamp_ns - 300_000_000)
        return msg

    one.send_until(lambda: one.depth, 'depth from a sweep 0.3 s away', cloud=late_cloud)


def test_the_smallest_scale_can_be_configured(rig):
    assert rig(**{'output.scale': 0.05}).node.trigger_configure() == SUCCESS


def test_diagnostics_go_on_while_simulated_time_stands_still(rig):
    one = rig(use_sim_time=True).start()
    one.wait_until(lambda: 'no message yet' in one.value('inputs', 'message'), what='the report')


def test_a_new_camera_info_is_followed(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    k = [160.0, 0.0, 47.5, 0.0, 160.0, 31.5, 0.0, 0.0, 1.0]
    one.send_until(
        lambda: one.infos and one.infos[-1].k[0] == 160.0,
        'the new focal length',
        info=lambda: one.info_msg(k=k),
    )
    np.testing.assert_allclose(depth_of(one.depth[-1])[32, 48], 5.0, rtol=1e-2)


def test_nothing_is_computed_when_nobody_listens(rig):
    one = rig().start()
    for subscription in list(one.peer.subscriptions):
        if '/depth/' in subscription.topic_name:
            one.peer.destroy_subscription(subscription)
    one.send_until(lambda: one.dropped('nobody_listens') > 3, 'idleness')


def test_a_qos_mismatch_is_named_with_the_way_out(rig, ros):
    one = rig(qos='reliable')
    one.peer.destroy_publisher(one.image)
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    one.image = one.peer.create_publisher(Image, 'image', best_effort)
    assert one.node.trigger_configure() == SUCCESS
    assert one.node.trigger_activate() == SUCCESS
    one.wait_until(
        lambda: 'set qos to auto' in one.value('inputs', 'message'), what='the mismatch'
    )


def test_a_best_effort_camera_is_heard_by_default(rig):
    one = rig()
    one.peer.destroy_publisher(one.image)
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    one.image = one.peer.create_publisher(Image, 'image', best_effort)
    one.start()
    one.send_until(lambda: one.depth, 'depth from a best-effort camera')


def test_silence_of_lidar_and_camera_is_reported_by_topic(rig):
    one = rig(**{'sync.lidar_timeout_s': 0.3, 'sync.camera_timeout_s': 0.3}).start()
    one.send_until(lambda: one.depth, 'depth')

    def only_the_lidar_is_silent():
        message = one.value('inputs', 'message')
        return '/points: silent' in message and '/image: silent' not in message

    one.repeat_until(
        only_the_lidar_is_silent, 'silence', lambda: one.image.publish(one.image_msg())
    )
    assert one.value('inputs', 'level') == '2'
    one.wait_until(lambda: '/image: silent' in one.value('inputs', 'message'), what='silence')
    one.send_until(
        lambda: one.value('inputs', 'message') == 'all topics arrive', 'recovery after silence'
    )


def test_diagnostics_tell_rate_latency_method_and_accuracy(rig):
    one = rig().start()
    one.send_until(lambda: len(one.depth) > 20, 'twenty frames')
    one.send_until(lambda: one.value('accuracy', 'coverage at 2 sigma'), 'live accuracy')
    assert float(one.value('output', 'rate [Hz]')) > 0
    for stage in ('wait', 'convert', 'project', 'complete', 'calibrate', 'publish'):
        assert float(one.value('output', f'{stage} p95 [ms]')) >= 0
    assert one.value('output', 'method') == 'guided'
    assert one.value('output', 'method chosen because')
    one.send_until(lambda: one.value('inputs', 'LiDAR age [s]') == '0.000', 'the age of sweeps')


def test_hundreds_of_frames_leave_memory_as_it_was(rig, start_node, tmp_path, wait_until):
    """If one frame in ten were kept, or a tenth of each, it would show."""
    one = rig()  # its own node stays unconfigured; a process of its own is measured
    one.WIDTH, one.HEIGHT = 4 * one.WIDTH, 4 * one.HEIGHT
    frame_bytes = len(one.image_msg().data) + len(one.cloud_msg().data)
    process = start_node('completion_node', tmp_path / 'log', method='guided', **FIXED_EXTRINSIC)
    wait_until(one._connected, what='discovery')

    def resident_bytes():
        pages = int(Path(f'/proc/{process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE')

    def play(frames):
        for _ in range(frames):
            one.depth.clear()
            one.send()
            wait_until(lambda: one.depth, what='depth')

    one.send_until(lambda: one.depth, 'depth')  # from here on each image has listeners
    play(50)
    before = resident_bytes()
    play(150)
    assert resident_bytes() - before < 0.1 * 150 * frame_bytes


@pytest.mark.parametrize('ending', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_work_ends_the_process_cleanly(
    ending, rig, start_node, tmp_path, wait_until
):
    one = rig()
    log = tmp_path / 'log'
    process = start_node('completion_node', log, **FIXED_EXTRINSIC)
    wait_until(one._connected, what='discovery')
    one.send_until(lambda: len(one.depth) > 20, 'the work')
    one.send()
    process.send_signal(ending)
    for _ in range(20):
        one.send()
        time.sleep(0.005)
    assert process.wait(240) == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


@pytest.mark.parametrize('ending', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_cleanly(ending, start_node, tmp_path, wait_until):
    log = tmp_path / 'log'
    process = start_node('completion_node', log, method='guided', **FIXED_EXTRINSIC)
    wait_until(lambda: 'Method guided' in log.read_text(), what='the start of the node')
    time.sleep(0.3)  # it waits for messages then
    process.send_signal(ending)
    assert process.wait(240) == 0, log.read_text()
    assert 'Traceback' not in log.read_text()


def test_a_process_that_cannot_start_says_why_and_fails(tmp_path):
    command = [sys.executable, '-m', 'depth_ros.nodes.completion_node', '--ros-args']
    command += ['-p', 'extrinsic.source:=file', '-p', f'extrinsic.file:={tmp_path / "none.json"}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert 'none.json' in done.stdout + done.stderr
    assert 'Traceback' not in done.stdout + done.stderr
