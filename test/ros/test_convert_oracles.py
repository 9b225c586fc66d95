"""Our conversions against cv_bridge and sensor_msgs_py, where those are installed."""

from __future__ import annotations

import array
import warnings

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from depth_ros.errors import NodeError
from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.messages.compressed import compressed_to_rgb
from depth_ros.messages.images import ENCODINGS
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.nodes.convert import image_to_rgb
from depth_ros.pipeline.result import FusionResult

RNG = np.random.default_rng(7)
# cv_bridge converts none of these; the array it passes through is what cv2 users take as BGR.
OPENCV_TYPES = {
    '8UC1': 'mono8',
    '8UC3': 'bgr8',
    '8UC4': 'bgra8',
    '16UC3': 'bgr16',
    '16UC4': 'bgra16',
}


@pytest.fixture(scope='module')
def bridge():
    return pytest.importorskip('cv_bridge', reason='cv_bridge is not installed').CvBridge()


@pytest.fixture(scope='module')
def point_cloud2():
    return pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py is not installed'
    )


def random_image(encoding, pixel_bytes, *, pad=0, is_bigendian=0, height=30, width=46):
    msg = Image(encoding=encoding, height=height, width=width, is_bigendian=is_bigendian)
    msg.step = width * pixel_bytes + pad
    msg.data = array.array('B', RNG.bytes(msg.step * height))
    return msg


def pixel_bytes(layout):
    return layout.channels * np.dtype(layout.dtype).itemsize


@pytest.mark.parametrize('encoding', sorted(set(ENCODINGS) - set(OPENCV_TYPES)))
@pytest.mark.parametrize('pad', [0, 1], ids=['tight', 'padded'])
@pytest.mark.parametrize('is_bigendian', [0, 1], ids=['little', 'big'])
def test_rgb_equals_cv_bridge(bridge, encoding, pad, is_bigendian):
    size = pixel_bytes(ENCODINGS[encoding])
    msg = random_image(encoding, size, pad=pad * size, is_bigendian=is_bigendian)
    if is_bigendian and not hasattr(np.ndarray, 'newbyteorder'):
        pytest.skip('this cv_bridge cannot swap bytes on NumPy 2')
    # The deprecated names of YUV are the only ones that every cv_bridge knows.
    names = {'uyvy': 'yuv422', 'yuyv': 'yuv422_yuy2'}
    old = Image(
        **{f: getattr(msg, f) for f in ('height', 'width', 'step', 'is_bigendian', 'data')}
    )
    old.encoding = names.get(encoding, encoding)
    assert np.array_equal(image_to_rgb(msg), bridge.imgmsg_to_cv2(old, 'rgb8'))


def test_every_sixteen_bit_value_scales_as_in_cv_bridge(bridge):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    msg = bridge.cv2_to_imgmsg(values, 'mono16')
    assert np.array_equal(image_to_rgb(msg), bridge.imgmsg_to_cv2(msg, 'rgb8'))


@pytest.mark.parametrize(('encoding', 'meaning'), OPENCV_TYPES.items())
def test_opencv_types_mean_what_cv2_users_take_them_for(bridge, encoding, meaning):
    msg = random_image(encoding, pixel_bytes(ENCODINGS[encoding]))
    with pytest.raises(TypeError, match='not a color format'):
        bridge.imgmsg_to_cv2(msg, 'rgb8')
    rgb = image_to_rgb(msg)
    msg.encoding = meaning
    assert np.array_equal(rgb, bridge.imgmsg_to_cv2(msg, 'rgb8'))


@pytest.mark.parametrize('encoding', ['8SC3', '32FC3', 'holographic8', ''])
def test_what_cv_bridge_refuses_is_dropped_with_its_reason(bridge, encoding):
    with pytest.raises(NodeError, match='cv_bridge cannot convert it') as caught:
        image_to_rgb(random_image(encoding, 12))
    assert caught.value.reason == 'unknown_encoding'


@pytest.mark.parametrize('codec', ['png', 'jpeg'])
def test_compressed_equals_cv_bridge(bridge, codec):
    msg = bridge.cv2_to_compressed_imgmsg(RNG.integers(0, 256, (20, 30, 3), np.uint8), codec)
    assert np.array_equal(compressed_to_rgb(msg), bridge.compressed_imgmsg_to_cv2(msg, 'rgb8'))


def test_published_depth_reads_through_cv_bridge(bridge):
    depth_m = RNG.uniform(0, 80, (30, 46)).astype(np.float32)
    depth_m[3, 4] = np.nan
    buffer = ImageBuffer('32FC1')
    buffer.fill_depth(depth_m)
    read = bridge.imgmsg_to_cv2(buffer.msg, '32FC1')
    assert np.array_equal(read, depth_m, equal_nan=True)
    millimetres = ImageBuffer('16UC1')
    millimetres.fill_depth(depth_m)
    read = bridge.imgmsg_to_cv2(millimetres.msg, 'passthrough')
    known = depth_m <= 65.535
    assert np.array_equal(read[known], np.rint(depth_m[known] * 1000))
    assert not read[~known].any()


@pytest.mark.parametrize(('height', 'width'), [(7, 11), (11, 7), (1, 13)])
def test_published_cloud_reads_through_sensor_msgs_py(point_cloud2, height, width):
    pinhole = Intrinsics(width, height, fx=9.0, fy=8.0, cx=4.5, cy=2.5)
    depth_m = RNG.uniform(1, 80, (height, width)).astype(np.float32)
    depth_m[0, 1] = np.nan
    image = RNG.integers(0, 256, (height, width, 3), np.uint8)
    sigma_m = RNG.uniform(size=(height, width)).astype(np.float32)
    buffer = CloudBuffer()
    view = CameraView(image, np.zeros_like(depth_m), pinhole)
    buffer.fill(FusionResult(view, DepthEstimate(depth_m, sigma_m), 'made', {}, None))

    read = point_cloud2.read_points(buffer.msg)
    xyz = np.stack([read[axis] for axis in 'xyz'], -1).reshape(height, width, 3)
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    assert np.allclose(xyz, pinhole.unproject(pixels, depth_m), rtol=1e-6, equal_nan=True)
    assert np.array_equal(xyz[..., 2], depth_m, equal_nan=True)
    assert np.array_equal(read['sigma'].reshape(height, width), sigma_m)
    colour = np.ascontiguousarray(read['rgb']).view(np.uint32).reshape(height, width)
    assert np.array_equal(colour >> 16, image[..., 0])
    assert np.array_equal(colour >> 8 & 255, image[..., 1])
    assert np.array_equal(colour & 255, image[..., 2])
    assert len(point_cloud2.read_points(buffer.msg, skip_nans=True)) == height * width - 1


@pytest.mark.parametrize('dtype', ['f4', 'f8'])
@pytest.mark.parametrize('point_step', [32, 37])
def test_points_equal_sensor_msgs_py(point_cloud2, dtype, point_step):
    size = np.dtype(dtype).itemsize
    datatype = PointField.FLOAT32 if dtype == 'f4' else PointField.FLOAT64
    fields = [
        PointField(name=n, offset=4 + size * i, datatype=datatype, count=1)
        for i, n in enumerate('zxy')
    ]
    xyz = point_cloud2.dtype_from_fields(fields, point_step)
    points = np.zeros(200, xyz)
    for name in 'xyz':
        points[name] = RNG.normal(size=200)
    msg = point_cloud2.create_cloud(Header(), fields, points, point_step)
    expected = point_cloud2.read_points_numpy(msg, ['x', 'y', 'z'])
    assert np.array_equal(cloud_to_points(msg), expected.astype(np.float32))


def test_big_endian_points_equal_sensor_msgs_py(point_cloud2):
    values = RNG.normal(size=(50, 3)).astype('>f4')
    fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate('xyz')
    ]
    msg = PointCloud2(height=1, width=50, fields=fields, point_step=12, row_step=600)
    msg.is_bigendian, msg.data = True, array.array('B', values.tobytes())
    ours = cloud_to_points(msg)  # first, because read_points swaps the message's own bytes
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert np.array_equal(ours, point_cloud2.read_points_numpy(msg, ['x', 'y', 'z']))
