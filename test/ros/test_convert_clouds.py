"""Clouds in, messages out: every layout, every malformed case, and what was refilled in place."""

from __future__ import annotations

import array
import struct

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

import sensor_msgs.msg
from sensor_msgs.msg import PointCloud2, PointField

from depth_ros.errors import NodeError
from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer, depth_to_mm
from depth_ros.nodes.convert import ns_to_stamp, stamp_to_ns
from depth_ros.pipeline.config import OutputConfig
from depth_ros.pipeline.result import FusionResult

CODES = {PointField.FLOAT32: 'f', PointField.FLOAT64: 'd'}
POINTS = [
    (1.5, -2.25, 3.0),
    (4.0, 5.5, -6.0),
    (0.125, 8.0, 9.75),
    (-1, 0, 7),
    (2, 3, 4),
    (5, 6, 8),
]


@pytest.fixture(params=['0', '1'], autouse=True)
def _check_fields(request, monkeypatch):
    """The message classes as ROS_PYTHON_CHECK_FIELDS makes them, which they read at import."""
    for name in ('_image', '_point_cloud2', '_point_field'):
        module = getattr(sensor_msgs.msg, name)
        monkeypatch.setattr(module, 'ros_python_check_fields', request.param, raising=False)


def cloud(
    offsets=(0, 4, 8),
    datatypes=(PointField.FLOAT32,) * 3,
    point_step=12,
    height=1,
    row_pad=0,
    is_bigendian=False,
):
    """POINTS written by `struct`, one value at a time, into bytes that are 0xEE elsewhere."""
    width = len(POINTS) // height
    row_step = width * point_step + row_pad
    data = bytearray(b'\xee' * (row_step * height))
    for i, point in enumerate(POINTS):
        start = i // width * row_step + i % width * point_step
        for value, offset, datatype in zip(point, offsets, datatypes, strict=True):
            code = ('>' if is_bigendian else '<') + CODES[datatype]
            struct.pack_into(code, data, start + offset, value)
    fields = [
        PointField(name=n, offset=o, datatype=t, count=1)
        for n, o, t in zip('xyz', offsets, datatypes, strict=True)
    ]
    return PointCloud2(
        height=height,
        width=width,
        fields=fields,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=is_bigendian,
        data=array.array('B', bytes(data)),
    )


F32, F64 = PointField.FLOAT32, PointField.FLOAT64


@pytest.mark.parametrize('is_bigendian', [False, True])
@pytest.mark.parametrize(('height', 'row_pad'), [(1, 0), (2, 0), (3, 5), (6, 64)])
@pytest.mark.parametrize(
    ('offsets', 'datatypes', 'point_step'),
    [
        ((0, 4, 8), (F32,) * 3, 12),
        ((0, 4, 8), (F32,) * 3, 32),
        ((4, 8, 12), (F32,) * 3, 22),
        ((8, 4, 0), (F32,) * 3, 16),
        ((1, 7, 13), (F32,) * 3, 17),
        ((0, 8, 16), (F64,) * 3, 24),
        ((16, 4, 8), (F64, F32, F64), 27),
    ],
)
def test_any_layout_reads_the_same(offsets, datatypes, point_step, height, row_pad, is_bigendian):
    msg = cloud(offsets, datatypes, point_step, height, row_pad, is_bigendian)
    points = cloud_to_points(msg)
    assert points.dtype == np.float32
    assert points.flags.c_contiguous
    assert points.tolist() == [list(map(float, p)) for p in POINTS]


def test_fields_may_come_in_any_order_among_others():
    msg = cloud((4, 8, 12), point_step=20)
    extra = [
        PointField(name='ring', offset=0, datatype=PointField.UINT16, count=1),
        PointField(name='intensity', offset=16, datatype=PointField.FLOAT32, count=1),
    ]
    msg.fields = [extra[0], *msg.fields[::-1], extra[1]]
    assert cloud_to_points(msg)[0].tolist() == list(POINTS[0])


def test_points_are_a_copy_that_outlives_the_message():
    msg = cloud()
    points = cloud_to_points(msg)
    msg.data[:] = array.array('B', bytes(len(msg.data)))
    assert points[0].tolist() == list(POINTS[0])


def test_float64_beyond_float32_is_infinite_and_silent(recwarn):
    msg = cloud((0, 8, 16), (F64,) * 3, 24)
    struct.pack_into('<d', msg.data, 0, 1e300)
    assert cloud_to_points(msg)[0].tolist() == [float('inf'), -2.25, 3.0]
    assert not recwarn


@pytest.mark.parametrize(
    ('reason', 'change'),
    [
        ('empty_cloud', {'width': 0, 'row_step': 0, 'data': array.array('B')}),
        ('empty_cloud', {'height': 0, 'data': array.array('B')}),
        ('missing_fields', {'fields': []}),
        ('empty_cloud', {'height': 0, 'data': array.array('B', bytes(71))}),
        ('empty_cloud', {'data': array.array('B', bytes(72))}),
        ('empty_cloud', {'data': array.array('B', b'\xff' * 72)}),
        ('bad_step', {'point_step': 0, 'row_step': 0}),
        ('bad_step', {'point_step': 11, 'width': 5}),
        ('bad_step', {'point_step': 11, 'width': 12}),
        ('bad_step', {'point_step': 11, 'height': 2}),
        ('bad_step', {'row_step': 71, 'data': array.array('B', bytes(71))}),
        (
            'bad_step',
            {'row_step': 35, 'width': 3, 'height': 2, 'data': array.array('B', bytes(73))},
        ),
        ('bad_step', {'point_step': 2**32 - 1}),
        ('bad_step', {'width': 2**32 - 1}),
        ('bad_data_length', {'height': 2}),
        ('bad_data_length', {'data': array.array('B', bytes(71))}),
    ],
)
def test_malformed_cloud_is_refused(reason, change):
    msg = cloud()
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(NodeError) as caught:
        cloud_to_points(msg)
    assert caught.value.reason == reason


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize(
    ('attribute', 'value'), [('name', 'intensity'), ('datatype', PointField.INT16)]
)
def test_cloud_without_float_xyz_is_refused(axis, attribute, value):
    msg = cloud()
    setattr(msg.fields[axis], attribute, value)
    with pytest.raises(NodeError, match='needs x, y and z') as caught:
        cloud_to_points(msg)
    assert caught.value.reason == 'missing_fields'


def test_field_beyond_the_point_is_refused():
    msg = cloud()
    msg.fields[2].offset = 2**32 - 4
    with pytest.raises(NodeError) as caught:
        cloud_to_points(msg)
    assert caught.value.reason == 'bad_step'


def estimate_and_view(height, width):
    """Depth, sigma and colours that all differ, with one unknown pixel; focal length 4 px."""
    depth_m = 1 + np.arange(height * width, dtype=np.float32).reshape(height, width) / 8
    sigma_m = depth_m / 16
    depth_m[0, 1] = sigma_m[0, 1] = np.nan
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3) + 200
    pinhole = Intrinsics(width, height, fx=4.0, fy=4.0, cx=2.0, cy=1.0)
    return DepthEstimate(depth_m, sigma_m), CameraView(image, np.zeros_like(depth_m), pinhole)


@pytest.mark.parametrize('stride', [1, 2])
def test_cloud_reads_right_by_its_own_header(stride):
    estimate, view = estimate_and_view(height=3, width=5)
    buffer = CloudBuffer()
    buffer.fill(FusionResult(view, estimate, 'made', {}, None), OutputConfig(cloud_stride=stride))
    msg = buffer.msg
    height, width = {1: (3, 5), 2: (2, 3)}[stride]
    assert (msg.height, msg.width) == (height, width)
    assert (msg.point_step, msg.row_step) == (20, 20 * width)
    assert not msg.is_dense
    assert [(f.name, f.offset, f.datatype, f.count) for f in msg.fields] == [
        ('x', 0, 7, 1),
        ('y', 4, 7, 1),
        ('z', 8, 7, 1),
        ('rgb', 12, 7, 1),
        ('sigma', 16, 7, 1),
    ]
    order = '>' if msg.is_bigendian else '<'
    data = msg.data.tobytes()
    for row, v in enumerate(range(0, 3, stride)):
        for column, u in enumerate(range(0, 5, stride)):
            at = row * msg.row_step + column * msg.point_step
            x, y, z, rgb, sigma_m = struct.unpack_from(f'{order}fffIf', data, at)
            depth_m = estimate.depth_m[v, u]
            point = ((u - 2) / 4 * depth_m, (v - 1) / 4 * depth_m, depth_m)
            assert np.array_equal((x, y, z), point, equal_nan=True)
            red, green, blue = view.image[v, u].tolist()
            assert rgb == red << 16 | green << 8 | blue
            assert np.array_equal(sigma_m, estimate.sigma_m[v, u], equal_nan=True)


def test_cloud_buffer_makes_what_cloud_to_points_reads():
    buffer = CloudBuffer(('x', 'y', 'z', 'intensity'))
    buffer.view(1, 6)[..., :3] = POINTS
    assert cloud_to_points(buffer.msg).tolist() == [list(map(float, p)) for p in POINTS]


def test_image_reads_right_by_its_own_header():
    depth_m = np.array([[1.5, np.nan, 3.25], [0.0, np.inf, 7.0]], np.float32)
    buffer = ImageBuffer('32FC1')
    buffer.fill_depth(depth_m)
    msg = buffer.msg
    assert (msg.encoding, msg.height, msg.width, msg.step) == ('32FC1', 2, 3, 12)
    values = struct.unpack(('>' if msg.is_bigendian else '<') + '6f', msg.data.tobytes())
    assert np.array_equal(np.reshape(values, (2, 3)), depth_m, equal_nan=True)


@pytest.mark.parametrize(
    ('encoding', 'shape', 'step'),
    [('rgb8', (2, 3, 3), 9), ('bgr8', (2, 3, 3), 9), ('mono8', (2, 3), 3)],
)
def test_colour_and_grey_images_are_buffered_too(encoding, shape, step):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    buffer = ImageBuffer(encoding)
    buffer.view(2, 3)[...] = pixels
    assert buffer.msg.step == step
    assert buffer.msg.data.tobytes() == pixels.tobytes()


def test_millimetres_never_wrap():
    depth_m = np.array(
        [
            [np.nan, np.inf, -np.inf, -1.0],
            [0.0, 0.0014, 0.0016, 1.2345],
            [65.535, 65.536, 70, 1e9],
        ],
        np.float32,
    )
    expected = [[0, 0, 0, 0], [0, 1, 2, 1234], [65535, 0, 0, 0]]  # 1.2345f is a little below
    with np.errstate(all='raise'):
        assert depth_to_mm(depth_m).tolist() == expected
    buffer = ImageBuffer('16UC1')
    buffer.fill_depth(depth_m)
    assert (buffer.msg.step, len(buffer.msg.data)) == (8, 24)
    values = struct.unpack(('>' if buffer.msg.is_bigendian else '<') + '12H', buffer.msg.data)
    assert np.reshape(values, (3, 4)).tolist() == expected


@pytest.mark.parametrize('make', [ImageBuffer, CloudBuffer])
def test_buffer_is_reallocated_only_when_the_size_changes(make):
    buffer = make()
    msg = buffer.msg
    view = buffer.view(4, 6)
    data = msg.data
    assert buffer.view(4, 6) is view
    view[...] = 1.0
    assert msg.data is data
    assert np.frombuffer(data, np.float32).tolist() == [1.0] * view.size

    smaller = buffer.view(6, 4)  # as many bytes, another shape
    assert buffer.msg is msg
    assert (msg.height, msg.width) == (6, 4)
    assert np.shares_memory(smaller, np.frombuffer(msg.data, np.uint8))
    assert len(msg.data) == smaller.nbytes
    assert (data.tobytes(), len(data)) == (view.tobytes(), view.nbytes)  # the old one is intact


def test_unknown_output_encoding_is_refused():
    with pytest.raises(NodeError, match=r"'yuv422'.*32FC1"):
        ImageBuffer('yuv422')


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 10**9, 1_700_000_000_123_456_789, -1])
def test_stamps_keep_every_nanosecond(stamp_ns):
    stamp = ns_to_stamp(stamp_ns)
    assert 0 <= stamp.nanosec < 10**9
    assert stamp_to_ns(stamp) == stamp_ns


def test_stamp_by_hand():
    assert stamp_to_ns(ns_to_stamp(3_000_000_007)) == 3_000_000_007
    assert (ns_to_stamp(3_000_000_007).sec, ns_to_stamp(3_000_000_007).nanosec) == (3, 7)
