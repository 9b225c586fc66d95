"""What is malformed, missing or late is dropped, counted and named; the node lives on."""

from __future__ import annotations

import array
import threading

import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, PointField

from depth_ros.errors import MethodError, NodeError, reason_of
from depth_ros.nodes import depth_node
from depth_ros.nodes.convert import ns_to_stamp, stamp_to_ns
from depth_ros.pipeline import upgrade

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
pytestmark = pytest.mark.ros

BAD_IMAGES = {
    'bad_data_length': {'data': array.array('B', bytes(100))},
    'unknown_encoding': {'encoding': 'holographic8'},
    'empty_image': {'width': 0, 'step': 0, 'data': array.array('B')},
    'bad_step': {'step': 7, 'data': array.array('B', bytes(100))},
}
NAN = float('nan')
BAD_INFOS = {
    'zero': {'k': [0.0] * 9},
    'nan': {'k': [NAN, 0.0, 47.5, 0.0, NAN, 31.5, 0.0, 0.0, 1.0]},
    'width 0': {'width': 0},
    'lens': {'distortion_model': 'kaleidoscope', 'd': [0.1, 0.2]},
}
BAD_CLOUDS = {
    'missing_fields': {
        'fields': [PointField(name='x', offset=0, datatype=PointField.FLOAT32, count=1)]
    },
    'empty_cloud': {'width': 0, 'row_step': 0, 'data': array.array('B')},
    'bad_step': {'point_step': 3, 'row_step': 7},
    'bad_data_length': {'data': array.array('B', bytes(12))},
}


def recovers(one) -> None:
    """A good frame after the bad ones comes out."""
    count = len(one.depth)
    one.send_until(lambda: len(one.depth) > count, 'depth after the fault')


def is_named(one, reason: str) -> bool:
    return one.dropped(reason) > 0 and reason in one.value('output', 'message')


@pytest.mark.parametrize('reason', BAD_IMAGES)
def test_bad_images_are_dropped_counted_and_named(rig, reason):
    one = rig().start()
    changes = BAD_IMAGES[reason]
    one.send_until(lambda: is_named(one, reason), reason, image=lambda: one.image_msg(**changes))
    recovers(one)


@pytest.mark.parametrize('fault', BAD_INFOS)
def test_an_uncalibrated_camera_is_refused(rig, fault):
    one = rig().start()
    changes = BAD_INFOS[fault]
    one.send_until(
        lambda: is_named(one, 'bad_camera_info'), fault, info=lambda: one.info_msg(**changes)
    )
    assert not one.depth
    recovers(one)


@pytest.mark.parametrize('reason', BAD_CLOUDS)
def test_bad_clouds_are_dropped_counted_and_named(rig, reason):
    one = rig().start()
    changes = BAD_CLOUDS[reason]

    def frame():
        # The image first: its stamp is the sweep's.
        image = one.image_msg()
        one.send(image=image, cloud=one.cloud_msg(**changes))

    one.repeat_until(lambda: is_named(one, reason), reason, frame)
    recovers(one)


def test_an_image_before_any_camera_info_waits_for_none(rig):
    one = rig().start()

    def frame():
        image = one.image_msg()
        one.points.publish(one.cloud_msg())
        one.image.publish(image)

    one.repeat_until(lambda: is_named(one, 'no_camera_info'), 'the drop', frame)
    recovers(one)


def test_an_image_without_a_sweep_is_counted(rig):
    one = rig().start()
    one.repeat_until(
        lambda: one.dropped('no_sweep'), 'the drop', lambda: one.image.publish(one.image_msg())
    )
    recovers(one)


def test_duplicates_and_late_messages_are_counted(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    image, cloud = one.image_msg(), one.cloud_msg()
    one.send(image=image, cloud=cloud)
    one.send(image=image, cloud=cloud)
    one.wait_until(
        lambda: one.dropped('duplicate_image') and one.dropped('duplicate_sweep'),
        what='duplicates',
    )
    late = one.image_msg()
    late.header.stamp = ns_to_stamp(stamp_to_ns(image.header.stamp) - 500_000_000)
    one.image.publish(late)
    one.wait_until(lambda: one.dropped('late_image'), what='the late image')
    recovers(one)


def test_time_may_go_back_as_when_a_recording_starts_again(rig):
    one = rig().start()
    one.send_until(lambda: len(one.depth) > 15, 'a while of depth')
    one.settle()
    one.image.publish(one.image_msg())  # waits for a sweep that never comes
    one._stamp_ns = 1_000_000_000
    count = len(one.depth)
    one.send_until(lambda: len(one.depth) > count + 2, 'depth after the jump')
    one.wait_until(lambda: one.dropped('time_jump') == 1, what='the image that waited')


def test_a_sweep_that_is_too_old_is_counted(rig):
    one = rig().start()
    one.send_until(lambda: len(one.depth) > 3, 'depth')
    old = one.cloud_msg()
    old.header.stamp = ns_to_stamp(one._stamp_ns - 300_000_000)
    one.points.publish(old)
    one.wait_until(lambda: one.dropped('late_sweep') == 1, what='the late sweep')
    recovers(one)


def test_images_that_wait_while_settings_change_are_counted(rig):
    one = rig().start()
    one.settle()
    one.image.publish(one.image_msg())
    one.wait_until(lambda: one.node._sync.waiting == 1, what='the image')
    changed = one.node.set_parameters([Parameter('sync.max_sync_slop_s', value=0.02)])[0]
    assert changed.successful
    one.wait_until(lambda: one.dropped('reconfigured') == 1, what='the image that waited')
    recovers(one)


def test_a_broken_jpeg_is_named(rig):
    one = rig(image_transport='compressed')
    one.image = one.peer.create_publisher(CompressedImage, 'image/compressed', 10)
    one.start()

    def broken():
        header = one.image_msg().header
        return CompressedImage(header=header, format='jpeg', data=b'no jpeg')

    one.send_until(lambda: is_named(one, 'bad_compressed'), 'bad_compressed', image=broken)


def test_a_sweep_beside_the_camera_gives_no_depth_but_a_reason(rig):
    one = rig().start()

    def behind():
        return one.cloud_msg(depth_m=-5.0)

    one.send_until(lambda: is_named(one, 'no_return_in_view'), 'the reason', cloud=behind)
    assert 'extrinsic' in one.value('output', 'message')
    recovers(one)


def test_a_slow_method_drops_frames_and_never_queues_them(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    method = one.node._pipeline._method
    fast, go = method.estimate, threading.Event()

    def slow(view):
        assert go.wait(240)
        return fast(view)

    method.estimate = slow
    before = len(one.depth)
    one.send_until(lambda: one.dropped('busy') > 20, 'dropped frames')
    last = ns_to_stamp(one._stamp_ns)
    go.set()
    one.wait_until(lambda: one.depth[-1].header.stamp == last, what='the newest frame')
    # The one in hand, the newest, and any that was handed over between the two.
    assert len(one.depth) - before < 5


@pytest.fixture
def stuck(rig, monkeypatch):
    """A node that was deactivated in the middle of a frame, and the event that lets it go on."""
    monkeypatch.setattr(depth_node, 'PATIENCE_S', 0.05)
    monkeypatch.setattr(threading, 'excepthook', lambda raised: errors.append(raised.exc_value))
    one, begun, go, errors = rig().start(), threading.Event(), threading.Event(), []
    one.send_until(lambda: one.depth, 'depth')
    method = one.node._pipeline._method
    estimate = method.estimate

    def slow(view):
        begun.set()
        assert go.wait(240)
        return estimate(view)

    method.estimate = slow
    one.send_until(begun.is_set, 'the frame in hand')
    assert one.node.trigger_deactivate() == SUCCESS
    yield one, go
    go.set()
    one.stop()
    one.wait_until(lambda: not workers(), what='the end of the worker')
    assert errors == []


def workers():
    threads = threading.enumerate()
    return [thread for thread in threads if thread.name == 'depth_ros_worker']


def test_a_node_waits_for_the_frame_in_hand_before_it_works_again(stuck):
    one, go = stuck
    assert one.node.trigger_activate() == FAILURE
    assert len(workers()) == 1
    go.set()
    one.wait_until(lambda: not workers(), what='the end of the frame')
    assert one.node.trigger_activate() == SUCCESS
    assert len(workers()) == 1
    recovers(one)


@pytest.mark.parametrize('ending', ['completed', 'refused'])
def test_nothing_is_given_back_under_the_frame_in_hand(ending, stuck):
    one, go = stuck
    assert one.node.trigger_cleanup() == FAILURE
    if ending == 'refused':
        del one.node._pipeline.calibrator
    go.set()
    one.wait_until(lambda: not workers(), what='the end of the frame')
    assert one.node.trigger_cleanup() == SUCCESS
    one.start()
    recovers(one)


def test_a_shutdown_does_not_wait_for_the_frame_in_hand(stuck):
    one, _ = stuck
    assert one.node.trigger_shutdown() == SUCCESS
    assert workers()  # still at it


def test_an_error_inside_a_method_costs_one_frame(rig):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    method = one.node._pipeline._method
    good = method.estimate

    def broken(view):
        method.estimate = good
        raise MethodError('the network sneezed')

    method.estimate = broken
    one.send_until(lambda: one.dropped('method_error') == 1, 'the error')
    recovers(one)


@pytest.mark.parametrize(
    'fault', [ValueError('cannot reshape'), MemoryError('8 GiB'), KeyError('depth')], ids=repr
)
def test_a_method_that_keeps_failing_is_left_and_later_tried_again(fault, rig, monkeypatch):
    monkeypatch.setattr(upgrade, 'PAUSE_S', 0.5)
    one = rig(method='ip_basic').start()
    one.send_until(lambda: one.depth, 'depth')
    method = one.node._pipeline.wanted

    def broken(view):
        raise fault

    method.estimate = broken
    before = len(one.depth)
    failure = f'ip_basic failed 3 frames in a row: {type(fault).__name__}: '

    def is_said():
        return any(failure in values['message'] for values in one.diagnostics.values())

    one.send_until(is_said, 'the failure in the diagnostics')
    one.send_until(lambda: len(one.depth) > before, 'depth of the stand-in')
    del method.estimate
    one.send_until(lambda: one.node._pipeline.method is method, 'another try')
    one.wait_until(lambda: one.dropped(reason_of(fault)) >= 3, what='the count')
    recovers(one)


def test_an_image_whose_extrinsic_is_not_known_is_named(rig, monkeypatch):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')

    def unknown(*_):
        raise NodeError("TF has no transform from 'lidar'", 'no_extrinsic')

    with monkeypatch.context() as patch:
        patch.setattr(one.node._intake.extrinsic, 'lookup', unknown)
        one.send_until(lambda: is_named(one, 'no_extrinsic'), 'no_extrinsic')
    recovers(one)


def test_images_that_no_sweep_follows_do_not_pile_up(rig):
    one = rig(**{'sync.max_sync_slop_s': 10.0}).start()
    one.repeat_until(
        lambda: one.dropped('image_queue_full'),
        'the drop',
        lambda: one.image.publish(one.image_msg()),
    )
    recovers(one)
