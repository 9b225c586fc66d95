"""A method that needs no LiDAR does not wait for one; who hears the camera alone costs nothing."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.parameter import Parameter

from depth_ros.errors import NodeError
from depth_ros.frame import DepthEstimate
from depth_ros.methods.registry import METHODS
from depth_ros.nodes.buffers import CloudBuffer
from depth_ros.nodes.convert import ns_to_stamp

pytestmark = pytest.mark.ros

DEPTH_M = 7.0


class NoLidar:
    """Says 7 m everywhere and remembers how many returns each view had."""

    name, needs_lidar = 'ip_basic', False

    def __init__(self) -> None:
        self.returns: list[int] = []

    def estimate(self, view):
        self.returns.append(np.count_nonzero(view.sparse_m))
        depth_m = np.full(view.sparse_m.shape, DEPTH_M, np.float32)
        return DepthEstimate(depth_m, depth_m / 10)


@pytest.fixture
def blind(rig, monkeypatch):
    """A completion node whose method needs no LiDAR, and the method."""
    monkeypatch.setitem(METHODS, 'ip_basic', NoLidar)
    one = rig(method='ip_basic').start()
    method = one.node._pipeline.method
    method.returns.clear()  # those of the warm-up
    return one, method


def send_image(one) -> None:
    image = one.image_msg()
    one.info.publish(one.info_msg())
    one.image.publish(image)


def listen_until(one, predicate, what, send):
    def step():
        send(one)
        return predicate()

    one.wait_until(step, timeout_s=60.0, what=what)


def test_it_is_published_while_the_lidar_is_silent(blind):
    one, method = blind
    listen_until(one, lambda: len(one.depth) > 5, 'depth', send_image)
    assert set(method.returns) == {0}
    values = np.frombuffer(one.depth[-1].data, np.float32)
    np.testing.assert_allclose(values, DEPTH_M)
    assert one.dropped('no_sweep') == 0
    silent = '/points: no message yet'
    listen_until(one, lambda: silent in one.value('inputs', 'message'), silent, send_image)
    assert one.value('inputs', 'level') == '1'  # depth goes out all the same


def test_images_that_find_a_sweep_still_use_it(blind):
    one, method = blind
    listen_until(one, lambda: method.returns and method.returns[-1], 'returns', lambda o: o.send())
    one.wait_until(lambda: len(one.depth) > 0, timeout_s=60.0, what='depth')
    one._stamp_ns += 10_000_000_000  # the LiDAR has fallen silent
    count = len(method.returns)
    listen_until(one, lambda: len(method.returns) > count + 3, 'depth without it', send_image)
    assert method.returns[-1] == 0


def test_a_sweep_that_cannot_be_used_costs_no_image(blind):
    one, method = blind

    def send(rig):
        image = rig.image_msg()
        rig.send(image=image, cloud=rig.cloud_msg(data=array.array('B', bytes(12))))

    listen_until(one, lambda: len(one.depth) > 3, 'depth', send)
    assert set(method.returns) == {0}


@pytest.fixture
def camera_only(rig):
    """A completion node of which nobody hears more than the camera."""
    one = rig()
    for subscription in list(one.peer.subscriptions):
        if subscription.topic_name == '/depth/image_dense':
            one.peer.destroy_subscription(subscription)
    return one.start()


def test_who_hears_only_the_camera_info_costs_no_completion(camera_only, monkeypatch):
    one, completed = camera_only, []
    pipeline = one.node._pipeline
    monkeypatch.setattr(pipeline, 'process', completed.append)
    listen_until(one, lambda: len(one.infos) > 5, 'the camera', lambda o: o.send())
    assert completed == []
    info = one.infos[-1]
    assert (info.width, info.height, info.k[0], info.header.frame_id) == (
        96,
        64,
        80.0,
        'camera_optical_frame',
    )
    assert info.header.stamp != ns_to_stamp(0)
    one.wait_until(lambda: one.dropped('nobody_listens') > 0, timeout_s=60.0, what='the count')
    assert one.dropped('no_camera_info') == 0


def divide_by_zero(*_):
    raise ZeroDivisionError('division by zero')


@pytest.mark.parametrize('reason', ['bad_camera_info', 'zero_division_error'])
def test_an_image_without_a_camera_is_counted_once_and_the_node_lives_on(
    reason, camera_only, monkeypatch
):
    one, changes = camera_only, {}
    listen_until(one, lambda: one.infos, 'the camera', lambda o: o.send())
    one.wait_until(lambda: one.dropped('nobody_listens'), timeout_s=60.0, what='the count')
    if reason == 'bad_camera_info':
        changes = {'k': [0.0] * 9}
    else:
        monkeypatch.setattr(one.node._intake, 'camera', divide_by_zero)
    listen_until(
        one,
        lambda: reason in one.value('output', 'message'),
        'the warning',
        lambda o: o.send(info=o.info_msg(**changes)),
    )
    assert 'nobody subscribes' not in one.value('output', 'message')
    rested, received = one.dropped('nobody_listens'), one.dropped(reason)
    listen_until(
        one,
        lambda: one.dropped(reason) > received + 5,
        'more of them',
        lambda o: o.send(info=o.info_msg(**changes)),
    )
    assert one.dropped('nobody_listens') <= rested + 2  # those that waited for their sweep
    monkeypatch.undo()
    count = len(one.infos)
    listen_until(one, lambda: len(one.infos) > count, 'the camera again', lambda o: o.send())


def test_a_method_without_lidar_can_be_set_while_the_lidar_is_silent(rig, monkeypatch):
    monkeypatch.setitem(METHODS, 'ip_basic', NoLidar)
    one = rig(**{'sync.lidar_timeout_s': 0.2}).start()
    listen_until(one, lambda: one.dropped('no_sweep'), 'images without a sweep', send_image)
    assert not one.depth
    assert one.node.set_parameters([Parameter('method', value='ip_basic')])[0].successful
    listen_until(one, lambda: len(one.depth) > 3, 'depth', send_image)
    np.testing.assert_allclose(np.frombuffer(one.depth[-1].data, np.float32), DEPTH_M)
    assert one.node.set_parameters([Parameter('method', value='guided')])[0].successful
    lost = one.dropped('no_sweep')
    listen_until(one, lambda: one.dropped('no_sweep') > lost, 'drops as before', send_image)


class NoLidarInTime(NoLidar):
    """Must be prepared before it is used, as `mono`."""

    def __init__(self) -> None:
        super().__init__()
        self.size = None

    def prepare(self, height, width, may_build=True, may_skip=False):
        self.size = (height, width)

    def check_camera(self, camera):
        pass

    def fits(self, height, width):
        return self.size == (height, width)

    def build_arguments(self, height, width):
        return []

    def describe(self):
        return 'nothing on cpu'

    def close(self):
        self.size = None


class NoExtrinsic:
    """Knows no transform."""

    def lookup(self, *frames, **options):
        raise NodeError('TF has no transform.', 'no_extrinsic')

    def clear(self):
        pass


@pytest.mark.parametrize('count', [20, 0], ids=['no extrinsic', 'empty clouds'])
def test_sweeps_that_cannot_be_used_do_not_keep_it_from_being_prepared(count, rig, monkeypatch):
    monkeypatch.setitem(METHODS, 'ip_basic', NoLidarInTime)
    one = rig(method='ip_basic').start()
    assert one.node._pipeline.stands_in
    if count:
        monkeypatch.setattr(one.node._intake, 'extrinsic', NoExtrinsic())

    def send(rig):
        image, buffer = rig.image_msg(), CloudBuffer(('x', 'y', 'z'))
        buffer.view(1, count)[...] = 5.0
        buffer.msg.header.stamp, buffer.msg.header.frame_id = image.header.stamp, 'lidar'
        rig.send(image=image, cloud=buffer.msg)

    listen_until(one, lambda: len(one.depth) > 3, 'depth', send)
    np.testing.assert_allclose(np.frombuffer(one.depth[-1].data, np.float32), DEPTH_M)
    assert one.dropped('no_extrinsic') == one.dropped('empty_cloud') == 0
