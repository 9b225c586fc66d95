"""The monocular node over real rclpy, with an engine that says what the test wants."""

from __future__ import annotations

import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from depth_ros.errors import EngineError
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.methods import network_slot
from depth_ros.nodes.convert import ns_to_stamp, stamp_to_ns
from depth_ros.nodes.publishers import IMAGES
from depth_ros.weights.store import weights_path

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
pytestmark = pytest.mark.ros

METRIC, RELATIVE = 'da2-indoor-small', 'da2-small'
# Neither of the latter is looked for: the test needs no library of networks.
SMALL = {
    'mono.short_side_px': 56,
    'engine.backend': 'onnxruntime',
    'engine.precision': 'fp32',
}
NEAR_M, FAR_M = 4.0, 50.0  # the weights end at 20 m
OUTPUTS = {f'/{topic}' for images in IMAGES.values() for topic in images} | {'/depth/points'}


class Engines:
    """What opens engines in the test, and what they say.

    Attributes:
        gate: nothing is opened until it is set.
        opened: sizes opened, in order.
        fault: raised by the next opening.
        go: no inference ends until it is set.
    """

    backend, device, precision = 'fake', 'cpu', 'fp32'

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.opened: list[tuple[int, int]] = []
        self.fault: Exception | None = None
        self.go = threading.Event()
        self.go.set()

    def open(self, request, backend, threads, **may):
        assert threading.current_thread().name == 'depth_ros_upgrade'
        assert self.gate.wait(60)
        if self.fault is not None:
            raise self.fault
        self.opened.append((request.height, request.width))
        return self

    def infer(self, inputs):
        """Near, but far in the upper half and behind the camera at the left."""
        assert self.go.wait(240)
        height, width = inputs['image'].shape[2:]
        values = np.full((1, 1, height, width), NEAR_M, np.float32)
        values[..., : height // 2, :] = FAR_M
        values[..., : width // 4] = -1.0
        return {'depth': values, 'disparity': values}

    def close(self):
        pass


@pytest.fixture
def engines(monkeypatch, fetched):
    """Fetched weights of one metric and one relative network, whose engines are fakes."""
    fetched(METRIC)
    fetched(RELATIVE)
    made = Engines()
    monkeypatch.setattr(network_slot, 'open_engine', made.open)
    yield made
    made.gate.set()
    made.go.set()


@pytest.fixture
def started(mono_rig, engines):
    """`started(**parameters)` makes a rig with a small network that is active."""
    return lambda **parameters: mono_rig(**SMALL | parameters).start()


def array_of(msg) -> np.ndarray:
    kind = {'32FC1': np.float32, '16UC1': np.uint16}[msg.encoding]
    return np.frombuffer(msg.data, kind).reshape(msg.height, msg.width)


def is_named(one, reason: str) -> bool:
    return one.dropped(reason) > 0 and reason in one.value('output', 'message')


def recovers(one) -> None:
    count = len(one.depth)
    one.send_until(lambda: len(one.depth) > count, 'depth after the fault')


# What comes out


def test_metres_come_out_under_the_header_of_their_image(started):
    one, sent = started(), []
    for topic in ('image_rect', 'depth/image_rect', 'depth/uncertainty', 'depth/points'):
        one.listen(topic)

    def image():
        sent.append(one.image_msg())
        return sent[-1]

    one.send_until(lambda: all(one.heard.values()), 'all outputs', image=image)
    stamps = {stamp_to_ns(msg.header.stamp) for msg in sent}
    for messages in one.heard.values():
        assert {stamp_to_ns(msg.header.stamp) for msg in messages} <= stamps
        assert {msg.header.frame_id for msg in messages} == {'camera_optical_frame'}
    info = one.infos[0]
    assert (info.width, info.height, list(info.d)) == (96, 64, [0.0] * 5)
    assert np.array_equal(info.k, one.info_msg().k)
    assert np.array_equal(info.r, np.eye(3).ravel())
    assert np.array_equal(np.reshape(info.p, (3, 4))[:, :3].ravel(), info.k)

    for topic in ('depth/image_dense', 'depth/image_rect'):
        depth_m = array_of(one.heard[topic][0])
        assert depth_m.shape == (64, 96)
        assert (depth_m[40:, 40:] == NEAR_M).all()
        assert (depth_m[:24, 40:] == np.inf).all()  # REP-117: too far
        assert np.isnan(depth_m[:, :16]).all()
    sigma_m = array_of(one.heard['depth/uncertainty'][0])
    np.testing.assert_allclose(sigma_m[40:, 40:], 0.15 * NEAR_M, rtol=1e-6)
    assert np.isnan(sigma_m[:24, 40:]).all()

    cloud = one.heard['depth/points'][0]
    assert (cloud.height, cloud.width, cloud.is_dense) == (64, 96, False)
    points = cloud_to_points(cloud).reshape(64, 96, 3)
    at = ((71 - 47.5) / 80 * NEAR_M, (50 - 31.5) / 80 * NEAR_M, NEAR_M)
    np.testing.assert_allclose(points[50, 71], at, rtol=1e-6)
    assert np.isnan(points[:24, 40:]).all()
    assert np.isnan(points[:, :16]).all()


def test_in_millimetres_too_far_and_unknown_are_0(started):
    one = started(depth_encoding='16UC1')
    one.send_until(lambda: one.depth, 'depth')
    depth_mm = array_of(one.depth[0])
    assert (depth_mm[40:, 40:] == 4000).all()
    assert not depth_mm[:24, 40:].any()
    assert not depth_mm[:, :16].any()


def test_relative_depth_has_a_topic_of_its_own_and_no_other(started):
    one = started(**{'mono.output': 'relative', 'depth_encoding': '16UC1'})
    one.send_until(lambda: one.heard['depth/relative'] and one.infos, 'relative depth')
    disparity = array_of(one.heard['depth/relative'][0])
    assert disparity.dtype == np.float32  # no unit, so no millimetres
    np.testing.assert_allclose(disparity[40:, 40:], NEAR_M, rtol=1e-6)
    # A number without a scale is neither too far nor behind the camera.
    np.testing.assert_allclose(disparity[:24, 40:], FAR_M, rtol=1e-6)
    np.testing.assert_allclose(disparity[:, :16], -1.0, rtol=1e-6)
    assert one.heard['depth/relative'][0].header == one.infos[0].header
    published = {topic for topic, _ in one.peer.get_topic_names_and_types()}
    assert published & OUTPUTS == {'/depth/relative'}
    one.listen('image_rect')
    color = one.send_until(lambda: one.heard['image_rect'], 'the rectified image')[0]
    assert (color.encoding, color.width, color.height) == ('rgb8', 96, 64)


def test_compressed_images_are_taken(mono_rig, engines):
    one = mono_rig(**SMALL, image_transport='compressed')
    one.image = one.peer.create_publisher(CompressedImage, 'image/compressed', 10)
    one.start()
    _, jpeg = cv2.imencode('.jpg', np.zeros((64, 96, 3), np.uint8))

    def image():
        header = one.image_msg().header
        return CompressedImage(header=header, format='jpeg', data=jpeg.tobytes())

    one.send_until(lambda: one.depth, 'depth', image=image)


# What is refused


def test_relative_weights_are_not_published_as_metres(mono_rig, engines, capfd):
    one = mono_rig(**{'mono.weights': RELATIVE})
    assert one.node.trigger_configure() == FAILURE
    said = capfd.readouterr().err
    assert 'da2-small gives disparity of unknown scale and shift' in said
    assert 'set mono.output to relative' in said


def test_weights_that_are_not_fetched_are_named_with_the_way_out(mono_rig, engines, capfd):
    weights_path(METRIC).unlink()
    assert mono_rig().node.trigger_configure() == FAILURE
    assert 'depth_ros models fetch da2-indoor-small' in capfd.readouterr().err


def test_an_uncalibrated_camera_is_refused_with_the_way_out(started):
    one = started()
    one.send_until(
        lambda: is_named(one, 'bad_camera_info'), 'K = 0', info=lambda: one.info_msg(k=[0.0] * 9)
    )
    message = one.value('output', 'message')
    assert 'calibrate it' in message
    assert 'depth_ros run --estimate-intrinsics' in message
    assert not one.depth
    recovers(one)


@pytest.mark.parametrize(('fx', 'fy'), [(8.0, 8.0), (3000.0, 3000.0), (80.0, 200.0)])
def test_a_focal_length_that_no_camera_has_is_refused(started, fx, fy):
    one = started()
    one.send_until(lambda: one.depth, 'depth')
    k = [fx, 0.0, 47.5, 0.0, fy, 31.5, 0.0, 0.0, 1.0]
    one.send_until(
        lambda: is_named(one, 'focal_length'), 'the refusal', info=lambda: one.info_msg(k=k)
    )
    assert 'CameraInfo' in one.value('output', 'message')
    recovers(one)


def test_an_image_before_any_camera_info_is_counted(started):
    one = started()
    one.repeat_until(
        lambda: is_named(one, 'no_camera_info'),
        'the drop',
        lambda: one.image.publish(one.image_msg()),
    )
    recovers(one)


def sized(one, width: int, height: int) -> None:
    """Have the camera of the rig send images of another size from now on."""
    one.WIDTH, one.HEIGHT = width, height


def test_images_too_small_to_run_are_refused_and_counted(started, engines):
    one = started()
    one.send_until(lambda: one.depth, 'depth')
    before = list(engines.opened)
    sized(one, 24, 16)
    one.send_until(lambda: is_named(one, 'image_size'), 'the refusal')
    assert 'A view of 24x16' in one.value('output', 'message')
    sized(one, 96, 64)
    recovers(one)
    assert engines.opened == before  # what was ready for the others stayed so


# Getting ready


def test_another_image_size_gets_an_engine_of_its_own(started, engines):
    one = started()
    one.send_until(lambda: one.depth, 'depth')
    engines.gate.clear()
    sized(one, 128, 64)
    one.send_until(lambda: one.dropped('not_ready') > 3, 'frames without an engine')
    assert {msg.width for msg in one.depth} == {96}
    engines.gate.set()
    one.send_until(lambda: one.depth[-1].width == 128, 'depth of the new size')
    assert (one.depth[-1].height, one.infos[-1].width) == (64, 128)
    assert engines.opened == [(56, 84), (56, 112)]
    one.wait_until(lambda: one.value('output', 'level') == '0', what='the end of the warning')


def test_frames_before_the_network_is_ready_are_counted_and_told(started, engines):
    engines.gate.clear()
    one = started()
    one.send_until(lambda: is_named(one, 'not_ready'), 'not_ready')
    assert one.value('output', 'level') == '1'
    assert 'preparing mono 64x96: opening' in one.value('output', 'message')
    assert one.value('output', 'preparing') == 'mono 64x96: opening'
    assert not one.depth
    engines.gate.set()
    one.send_until(lambda: one.depth, 'depth')
    one.wait_until(lambda: one.value('output', 'level') == '0', what='the end of the warning')
    assert one.value('output', 'method') == 'mono'
    assert one.value('output', 'method chosen because').endswith('it runs on fake fp32 on cpu')


def test_a_network_that_cannot_run_is_an_error_and_no_crash(started, engines):
    engines.fault = EngineError('there is no room for it')
    one = started()
    one.send_until(lambda: one.value('output', 'level') == '2', 'the error')
    assert one.value('output', 'message').count('there is no room for it') == 1
    assert not one.depth
    engines.fault = None
    changed = one.node.set_parameters([Parameter('mono.short_side_px', value=70)])[0]
    assert changed.successful
    one.send_until(lambda: one.depth, 'depth')
    assert engines.opened == [(70, 112)]


def test_a_slow_network_drops_frames_and_never_queues_them(started, engines):
    one = started()
    one.send_until(lambda: one.depth, 'depth')
    engines.go.clear()
    before = len(one.depth)
    one.send_until(lambda: one.dropped('busy') > 20, 'dropped frames')
    last = ns_to_stamp(one._stamp_ns)
    engines.go.set()
    one.wait_until(lambda: one.depth[-1].header.stamp == last, what='the newest frame')
    # The one in hand, the newest, and any that was handed over between the two.
    assert len(one.depth) - before < 5


# Life


def test_nothing_is_computed_when_nobody_listens(started, engines):
    one = started()
    for subscription in list(one.peer.subscriptions):
        if '/depth/' in subscription.topic_name:
            one.peer.destroy_subscription(subscription)
    one.send_until(lambda: one.dropped('nobody_listens') > 3, 'idleness')
    assert engines.opened == []


def test_the_lifecycle_goes_all_the_way_and_back(started, engines):
    one = started()
    one.settle()
    assert one.node.trigger_deactivate() == SUCCESS
    quiet = len(one.depth)
    heard = one.listen('image')
    one.send_until(lambda: len(heard) > 5, 'images that the node does not listen to')
    assert len(one.depth) == quiet
    assert one.node.trigger_activate() == SUCCESS
    one.wait_until(one._connected, what='discovery')
    one.send_until(lambda: len(one.depth) > quiet, 'depth after the second activation')
    assert len(engines.opened) == 1  # the engine was kept
    assert one.node.trigger_deactivate() == one.node.trigger_cleanup() == SUCCESS
    quiet = len(one.depth)
    one.start()
    one.send_until(lambda: len(one.depth) > quiet, 'depth after the second start')
    assert len(engines.opened) == 2
    assert one.node.trigger_shutdown() == SUCCESS


def test_only_settings_that_matter_here_are_parameters(started):
    one = started()
    names = set(one.node._parameters)
    assert {'mono.weights', 'mono.flip', 'engine.backend', 'output.scale', 'qos'} <= names
    assert {name for name in names if name.startswith('sync.')} == {'sync.camera_timeout_s'}
    unwanted = ('method', 'bpnet.', 'guided.', 'projection.', 'calibration.', 'extrinsic.')
    assert not [name for name in names if name.startswith(unwanted)]
    # The gate of a LiDAR's sigma would leave nothing of the depth of one image.
    gate = one.node.get_parameter('output.max_relative_sigma').value
    assert gate > one.node.get_parameter('mono.relative_sigma').value

    def put(name, value):
        return one.node.set_parameters([Parameter(name, value=value)])[0]

    assert put('output.scale', 0.5).successful
    one.send_until(lambda: one.depth and one.depth[-1].width == 48, 'half size')
    refused = put('mono.weights', RELATIVE)
    assert not refused.successful
    assert 'never published as metres' in refused.reason
    assert not put('mono.output', 'relative').successful  # read-only
    assert put('mono.weights', METRIC).successful
    empty = put('mono.relative_sigma', 0.3)
    assert not empty.successful
    assert 'must be above mono.relative_sigma 0.3' in empty.reason


def test_silence_and_stamps_of_the_camera_are_told_and_no_lidar_is_missed(started):
    one = started(**{'sync.camera_timeout_s': 0.3})
    one.send_until(lambda: one.depth, 'depth')
    one.wait_until(lambda: '/image: silent' in one.value('inputs', 'message'), what='silence')
    assert '/points' not in ' '.join(one.diagnostics['monocular_node: inputs'])
    one.send_until(
        lambda: one.value('inputs', 'message') == 'all topics arrive', 'the end of silence'
    )
    assert one.value('inputs', 'LiDAR age [s]') == ''
    assert one.value('accuracy', 'message') == 'not measured, as there is no LiDAR'
    assert float(one.value('output', 'receipt to publication p50 [ms]')) > 0
    told = '/image: the stamps of all images are 0. Have the camera driver'
    unstamped = {'image': lambda: one.image_msg(header=Header())}
    one.send_until(lambda: told in one.value('inputs', 'message'), told, **unstamped)


def test_a_process_that_cannot_start_says_why_and_fails(fetched):
    command = [sys.executable, '-m', 'depth_ros.nodes.monocular_node']
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert f'depth_ros models fetch {METRIC}' in done.stdout + done.stderr
    assert 'Traceback' not in done.stdout + done.stderr
