"""What the outputs promise of one another: colour, gate and cloud have the same pixels, live."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.parameter import Parameter
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
    DepthPublishers(remapped, '32FC1')
    names = [publisher.topic_name for publisher in remapped.publishers]
    assert '/depth/image_rect' in names
    assert '/image_rect' not in names


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


@pytest.fixture
def mask_file(tmp_path):
    masked = np.zeros((64, 96), np.uint8)
    masked[48:, 20:70] = 255
    path = tmp_path / 'bonnet.png'
    assert cv2.imwrite(str(path), masked)
    return path


def test_what_the_mask_hides_is_in_no_output(rig, mask_file):
    one = rig(**{'mask.file': str(mask_file), 'points.gated': False}).start()
    images = ['depth/image_dense', 'depth/image_rect', 'depth/uncertainty']
    *depths, color, cloud = heard_together(
        one, [*images, 'image_rect', 'depth/points'], image=lambda: patterned(one)
    )
    hidden = np.zeros((64, 96), bool)
    hidden[48:, 20:70] = True
    for msg in depths:
        assert np.array_equal(np.isnan(pixels_of(msg)), hidden)
    points, image = pixels_of(cloud), pixels_of(color, np.uint8)
    assert np.array_equal(np.isnan(points[..., 2]), hidden)
    assert not points[hidden][:, 3].any()
    assert np.array_equal(image, np.where(hidden[..., None], 0, pattern()))


def test_a_wrong_mask_is_refused_and_one_of_another_size_costs_its_frames(rig, mask_file):
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')

    def set_mask(path):
        return one.node.set_parameters([Parameter('mask.file', value=str(path))])[0]

    refused = set_mask(mask_file.with_name('none.png'))
    assert not refused.successful
    assert 'none.png cannot be read' in refused.reason
    small = mask_file.with_name('small.png')
    cv2.imwrite(str(small), cv2.imread(str(mask_file), cv2.IMREAD_UNCHANGED)[:, ::2])
    assert set_mask(small).successful
    one.send_until(lambda: one.dropped('mask_size'), 'refused frames')
    assert 'small.png is 48x64 and the image 96x64' in one.value('output', 'message')
    assert set_mask('').successful
    known = len(one.depth)
    one.send_until(lambda: len(one.depth) > known, 'depth without the mask')


def test_a_node_with_a_wrong_mask_does_not_start(rig, tmp_path):
    one = rig(**{'mask.file': str(tmp_path / 'none.png')})
    assert one.node.trigger_configure() == TransitionCallbackReturn.FAILURE


@pytest.mark.parametrize('is_rectified', [False, True])
def test_a_turned_camera_has_image_procs_view_and_its_cloud_is_in_frame_id(rig, is_rectified):
    """The wall stands across the camera's axis, not across that of the turned view."""
    c, s = np.cos(0.05), np.sin(0.05)
    R = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    one = rig(image_is_rectified=is_rectified, **{'points.gated': False}).start()
    depth, cloud, color, info = heard_together(
        one,
        ['depth/image_dense', 'depth/points', 'image_rect', 'depth/camera_info'],
        info=lambda: one.info_msg(r=R.ravel().tolist(), d=list(D)),
        image=lambda: patterned(one),
    )
    # By hand: the ray (x, y, 1) of the view is R^T of it in the camera; the wall is at z = 5.
    v, u = np.mgrid[0:64, 0:96]
    rays = np.stack(((u - 47.5) / 80, (v - 31.5) / 80, np.ones((64, 96))), -1) @ R
    found, wanted = pixels_of(depth), 5.0 / rays[..., 2]
    known = np.isfinite(found)
    assert known.mean() > 0.8
    np.testing.assert_allclose(found[known], wanted[known], rtol=0.01)
    assert np.ptp(wanted) > 0.2
    points = pixels_of(cloud)
    assert np.array_equal(np.isfinite(points[..., 2]), known)
    np.testing.assert_allclose(points[known][:, :3], (rays * wanted[..., None])[known], atol=0.06)
    assert np.ptp(points[known][:, 2]) < 0.1
    assert list(info.k) == list(one.info_msg().k)
    assert depth.header.frame_id == 'camera_optical_frame'
    K = np.array(one.info_msg().k).reshape(3, 3)
    maps = cv2.initUndistortRectifyMap(K, np.array(D), R, K, SIZE, cv2.CV_32FC1)
    turned = pattern() if is_rectified else cv2.remap(pattern(), *maps, cv2.INTER_LINEAR)
    assert np.abs(pixels_of(color, np.uint8).astype(int) - turned).max() <= 6


@pytest.mark.parametrize(('decision', 'offset_m'), [('apply', 0.5), ('ignore', 0.0)])
def test_a_second_camera_in_the_frame_of_the_first(rig, decision, offset_m):
    """It stands 0.5 m right of the first, so P[0, 3] = -80 * 0.5; the points of its pixels lie
    0.5 m further right in the frame of the first, whose LiDAR has measured them."""
    p = [80.0, 0.0, 47.5, -40.0, 0.0, 80.0, 31.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    one = rig(stereo_offset=decision, **{'points.gated': False}).start()
    topics = ['depth/points', 'depth/image_dense', 'depth/camera_info']
    cloud, depth, info = heard_together(one, topics, info=lambda: one.info_msg(p=p))
    points = pixels_of(cloud)[:, 4:80]
    np.testing.assert_allclose(points[..., 2], 5.0, rtol=2e-3)
    x = (np.arange(4, 80) - 47.5) / 80 * 5 + offset_m
    np.testing.assert_allclose(points[..., 0], np.broadcast_to(x, (64, 76)), atol=0.01)
    # Unprojected by P, the depth image gives the same points.
    assert list(info.p) == (p if offset_m else [*p[:3], 0.0, *p[4:]])
    z, P = pixels_of(depth)[:, 4:80], np.reshape(info.p, (3, 4))
    unprojected = ((np.arange(4, 80) - P[0, 2]) * z - P[0, 3]) / P[0, 0]
    np.testing.assert_allclose(unprojected, points[..., 0], atol=1e-4)
