"""What the outputs promise of one another: colour, gate and cloud have the same pixels, live."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from depth_ros.nodes.publishers import DepthPublishers

pytestmark = pytest.mark.ros

D = (-0.3, 0.1, 0.002, -0.001, 0.0)
SIZE = (96, 64)


def pattern() -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)


def pixels_of(msg, kind=np.float32) -> np.ndarray:
    return np.frombuffer(msg.data, kind).reshape(msg.height, msg.width, -1).squeeze()


def patterned(one):
    return one.image_msg(data=array.array('B', pattern().tobytes()))


def heard_together(one, topics, **messages):
    """The messages of the first stamp that has come on all of the topics."""
    for topic in topics:
        one.listen(topic)

    def together():
        stamps = [{str(m.header.stamp): m for m in one.heard[topic]} for topic in topics]
        common = set(stamps[0]).intersection(*stamps[1:])
        return common and [by_stamp[min(common)] for by_stamp in stamps]

    return one.send_until(together, 'all outputs of one image', **messages)


@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_the_rectified_image_has_the_pixels_of_the_depth(rig, scale):
    one = rig(**{'output.scale': scale, 'points.gated': False}).start()
    color, depth, info, cloud = heard_together(
        one,
        ['image_rect', 'depth/image_dense', 'depth/camera_info', 'depth/points'],
        image=lambda: patterned(one),
        info=lambda: one.info_msg(d=list(D)),
    )
    assert color.header == depth.header == info.header == cloud.header
    assert color.header.frame_id == 'camera_optical_frame'
    width, height = round(96 * scale), round(64 * scale)
    for msg in (color, depth, info, cloud):
        assert (msg.width, msg.height) == (width, height)
    assert (color.encoding, color.step) == ('rgb8', 3 * width)

    K = np.array(one.info_msg().k).reshape(3, 3)
    expected = cv2.undistort(pattern(), K, np.array(D))
    if scale != 1.0:
        expected = cv2.resize(expected, (width, height), interpolation=cv2.INTER_AREA)
    found = pixels_of(color, np.uint8)
    assert np.abs(found.astype(int) - expected).max() <= 2  # roundings of another remap
    assert np.abs(found.astype(int) - pattern()[:height, :width]).max() > 50
    # The colours of the points are those of the pixels.
    bits = pixels_of(cloud)[..., 3].copy().view(np.uint32)
    assert np.array_equal(np.stack((bits >> 16, bits >> 8 & 255, bits & 255), -1), found)


def test_a_node_whose_input_is_the_rectified_image_does_not_answer_itself(ros):
    remapped = LifecycleNode(
        'rectified', context=ros.context, cli_args=['--ros-args', '-r', 'image:=image_rect']
    )
    ros.spin(remapped)
    outputs = DepthPublishers(remapped, '32FC1')
    names = [publisher.topic_name for publisher in remapped.publishers]
    assert '/depth/image_rect' in names
    assert '/image_rect' not in names
    outputs.destroy()


@pytest.mark.parametrize('gated', [True, False])
def test_the_cloud_is_gated_as_the_depth_is(rig, gated):
    # Past the returns depth is spread from the last ones, and less sure.
    settings = {'output.max_relative_sigma': 0.02, 'output.cloud_stride': 2}
    one = rig(**settings, **({} if gated else {'points.gated': False})).start()
    returns = one.cloud_msg(depth_m=5.0)
    u = np.frombuffer(returns.data, np.float32).reshape(-1, 3)[:, 0]

    def sloped():
        msg = one.cloud_msg()
        points = np.frombuffer(msg.data, np.float32).reshape(-1, 3).copy()
        points *= np.where(u > 0, 1.0 + 3.0 * (np.arange(u.size) % 2), 1.0)[:, None]
        msg.data = array.array('B', points.astype(np.float32).tobytes())
        return msg

    dense, rect, cloud = heard_together(
        one, ['depth/image_dense', 'depth/image_rect', 'depth/points'], cloud=sloped
    )
    dense_m, gated_m = pixels_of(dense), pixels_of(rect)
    points = pixels_of(cloud)
    expected = (gated_m if gated else dense_m)[::2, ::2]
    assert np.array_equal(points[..., 2], expected, equal_nan=True)
    assert np.array_equal(np.isfinite(points[..., [0, 1, 4]]).all(-1), np.isfinite(expected))
    assert 0 < np.isfinite(gated_m).sum() < np.isfinite(dense_m).sum()


def test_millimetres_are_for_depth_and_never_for_sigma(rig):
    one = rig(depth_encoding='16UC1').start()
    topics = ['depth/image_rect', 'depth/image_dense', 'depth/uncertainty']
    rect, dense, sigma = heard_together(one, topics)
    for depth in (rect, dense):
        assert depth.encoding == '16UC1'
        np.testing.assert_allclose(pixels_of(depth, np.uint16), 5000, atol=5)
    assert sigma.encoding == '32FC1'
    assert ((pixels_of(sigma) > 0) & (pixels_of(sigma) < 1)).all()


def test_the_rectified_image_is_wanted_once_somebody_listens(ros, wait_until):
    node = ros.spin(LifecycleNode('lazy', context=ros.context))
    outputs = DepthPublishers(node, '32FC1')
    assert '/image_rect' in [publisher.topic_name for publisher in node.publishers]
    assert not outputs.wanted
    ros.node('viewer').create_subscription(Image, 'image_rect', lambda msg: None, 10)
    wait_until(lambda: outputs.wanted, 30.0, 'a listener')
