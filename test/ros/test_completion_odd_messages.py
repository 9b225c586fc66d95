"""A live node reads what drivers really send: the depth is that of the wall, and K that meant."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import PointField, RegionOfInterest

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 96, 64
K = [80.0, 0.0, 47.5, 0.0, 80.0, 31.5, 0.0, 0.0, 1.0]
SENSOR = [160.0, 0.0, 95.0, 0.0, 160.0, 63.0, 0.0, 0.0, 1.0]  # binning divides it by two
SHIFTED = [80.0, 0.0, 87.5, 0.0, 80.0, 71.5, 0.0, 0.0, 1.0]  # 40 pixels further each way
LENS = [-0.03, 0.02, 1e-4, -1e-4, 0.001]
ROI = RegionOfInterest(x_offset=40, y_offset=40, width=WIDTH, height=HEIGHT)

INFOS = {
    'plumb_bob of eight': {'d': [*LENS, 0.0, 0.0, 0.0]},
    'zeros of any number': {'d': [0.0] * 12},
    'equidistant of five': {'distortion_model': 'equidistant', 'd': [*LENS[:4], 0.0]},
    'another name': {'distortion_model': 'Brown-Conrady', 'd': LENS},
    'no name': {'distortion_model': '', 'd': LENS},
    'P and R of zeros': {'p': [0.0] * 12, 'r': [0.0] * 9},
    'P the identity': {'p': np.eye(3, 4).ravel()},
    'binning': {'width': 192, 'height': 128, 'k': SENSOR, 'binning_x': 2, 'binning_y': 2},
    'K of the binned image': {'binning_x': 2, 'binning_y': 2},
    'K of the sensor, size of the image': {'k': SENSOR, 'binning_x': 2, 'binning_y': 2},
    'a window': {'width': 176, 'height': 144, 'k': SHIFTED, 'roi': ROI},
    'K of the window': {'roi': ROI},
    'size of the window, K of the sensor': {'k': SHIFTED, 'roi': ROI},
    'no size': {'width': 0, 'height': 0},
}
REFUSED_INFOS = {
    'K transposed': ({'k': np.reshape(K, (3, 3)).T.ravel()}, 'transposed'),
    'ten coefficients': ({'d': LENS * 2}, 'with 10 coefficients'),
    'a lens unheard of': ({'distortion_model': 'mei', 'd': LENS}, "'mei' is unknown"),
    'cropped or not': (
        {'roi': RegionOfInterest(x_offset=4, y_offset=4, width=WIDTH, height=HEIGHT)},
        'more than one reading',
    ),
}


def wall(one, image=None, cloud=None, **changes_of_the_info):
    """The median depth of a frame, and the K published with it."""
    received = one.node._inputs['camera_info'].message_count
    one.info.publish(one.info_msg(**changes_of_the_info))
    one.wait_until(
        lambda: one.node._inputs['camera_info'].message_count > received, what='the CameraInfo'
    )
    image = image or one.image_msg()
    one.points.publish(cloud or one.cloud_msg())
    one.image.publish(image)

    def heard(messages):
        return [msg for msg in messages if msg.header.stamp == image.header.stamp]

    one.wait_until(lambda: heard(one.depth) and heard(one.infos), what='depth')
    depth, info = heard(one.depth)[0], heard(one.infos)[0]
    assert (depth.width, depth.height) == (WIDTH, HEIGHT)
    pixels = np.frombuffer(depth.data, np.float32)
    return np.nanmedian(pixels), info.k.tolist()


def test_camera_infos_of_drivers_give_the_camera_that_they_mean(rig):
    one = rig().start()
    for name, changes in INFOS.items():
        depth_m, k = wall(one, **changes)
        assert abs(depth_m - 5.0) < 0.01, name
        assert k == K, name


@pytest.mark.parametrize('name', REFUSED_INFOS)
def test_camera_infos_without_one_reading_are_refused_in_words(rig, name):
    changes, sentence = REFUSED_INFOS[name]
    one = rig().start()
    one.send_until(
        lambda: sentence in one.value('output', 'message'),
        name,
        info=lambda: one.info_msg(**changes),
    )
    assert not one.depth
    assert one.dropped('bad_camera_info')


def test_clouds_of_drivers_give_the_depth_of_the_wall(rig):
    one = rig().start()
    size = one.cloud_msg().width
    little = np.frombuffer(one.cloud_msg().data, '<f4')
    data = one.cloud_msg().data.tobytes()
    for name, changes in {
        'row_step 0': {'row_step': 0},
        'row_step of points': {'row_step': size, 'height': 4, 'width': size // 4},
        'point_step 0': {'point_step': 0},
        'height 0': {'height': 0},
        'a preallocated buffer': {'data': array.array('B', data + bytes(1200))},
        'big-endian, said little': {'data': array.array('B', little.astype('>f4').tobytes())},
        'one field': {'fields': [PointField(name='xyz', offset=0, datatype=7, count=3)]},
    }.items():
        image = one.image_msg()
        depth_m, _ = wall(one, image=image, cloud=one.cloud_msg(**changes))
        assert abs(depth_m - 5.0) < 0.01, name


def test_images_of_drivers_give_depth(rig):
    one = rig().start()
    plane = WIDTH * HEIGHT
    for encoding, pixel_bytes, step in (
        *(('nv12', 1.5, WIDTH), ('nv21', 1.5, 0), ('nv24', 3, WIDTH), ('yuv420', 1.5, WIDTH)),
        *(('rgb16', 6, 6 * WIDTH), ('16UC3', 6, 1), ('8UC4', 4, 4 * WIDTH), ('RGB8', 3, WIDTH)),
    ):
        data = array.array('B', bytes([90]) * int(pixel_bytes * plane))
        image = one.image_msg(encoding=encoding, step=step, data=data)
        depth_m, _ = wall(one, image=image)
        assert abs(depth_m - 5.0) < 0.01, encoding


def test_what_is_odd_is_logged_once(rig, monkeypatch):
    one = rig().start()
    said = []
    monkeypatch.setattr(one.node._intake, '_say', said.append)
    for _ in range(3):
        image = one.image_msg(encoding='RGB8')
        wall(one, image=image, cloud=one.cloud_msg(row_step=0), binning_x=2, binning_y=2)
    assert len(said) == 3
    assert [word for word in ('RGB8', 'binning', 'row_step') if any(word in s for s in said)] == [
        'RGB8',
        'binning',
        'row_step',
    ]
