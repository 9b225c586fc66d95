"""Clouds whose header and data disagree: read where one reading is left, said, else refused."""

from __future__ import annotations

import array
import copy

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import PointCloud2, PointField

from depth_ros.errors import NodeError
from depth_ros.messages.clouds import cloud_to_points

XYZ = np.random.default_rng(3).uniform(-60, 60, (24, 3)).astype(np.float32)
ROW = 6 * 16  # the organised cloud has four rows of six points of 16 bytes


def cloud(rows=1, dtype='<f4', **changes):
    """XYZ in points of x, y, z and 4 bytes or more that nobody reads."""
    kind = np.dtype(dtype)
    points = np.zeros(24, [('x', kind), ('y', kind), ('z', kind), ('rest', 'u4')])
    for axis, values in zip('xyz', XYZ.T, strict=True):
        points[axis] = values
    datatype = PointField.FLOAT32 if kind.itemsize == 4 else PointField.FLOAT64
    fields = [
        PointField(name=name, offset=i * kind.itemsize, datatype=datatype, count=1)
        for i, name in enumerate('xyz')
    ]
    step = points.itemsize
    msg = PointCloud2(height=rows, width=24 // rows, fields=fields, point_step=step)
    msg.row_step, msg.is_bigendian = msg.width * step, kind.byteorder == '>'
    msg.data = array.array('B', points.tobytes())
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def longer(msg, surplus):
    msg.data = array.array('B', msg.data.tobytes() + surplus)
    return msg


def with_fields(msg, *changes):
    """The message with attributes of some fields changed: (index, name, value)."""
    for index, name, value in changes:
        setattr(msg.fields[index], name, value)
    return msg


def read(msg):
    said = []
    return cloud_to_points(msg, said.append), said


RIGHT = {
    'as it should be': lambda: cloud(),
    'organised': lambda: cloud(4),
    'big-endian': lambda: cloud(dtype='>f4'),
    'longer than the points need': lambda: longer(cloud(), b'\xee' * 1000),
    'longer, organised': lambda: longer(cloud(4), b'\xee' * 7),
    'no padding after the last row': lambda: cloud(
        4, row_step=ROW + 8, data=array.array('B', (padded(8))[:-8])
    ),
    'one row, whose step nobody needs': lambda: cloud(row_step=2**32 - 1),
    'count 0': lambda: with_fields(cloud(), (0, 'count', 0), (1, 'count', 0), (2, 'count', 0)),
    'capitals': lambda: with_fields(cloud(), (0, 'name', 'X'), (1, 'name', 'Y'), (2, 'name', 'Z')),
    'the same field twice': lambda: cloud(fields=[*cloud().fields, cloud().fields[1]]),
    'one field of three': lambda: cloud(
        fields=[PointField(name='xyz', offset=0, datatype=PointField.FLOAT32, count=3)]
    ),
    'another field over x': lambda: cloud(
        fields=[PointField(name='union', offset=2, datatype=PointField.FLOAT64), *cloud().fields]
    ),
}


def padded(pad):
    data = cloud(4).data.tobytes()
    return b''.join(data[i : i + ROW] + b'\xee' * pad for i in range(0, len(data), ROW))


@pytest.mark.parametrize('name', RIGHT)
def test_what_the_message_says_is_read_in_silence(name):
    points, said = read(RIGHT[name]())
    assert np.array_equal(points, XYZ)
    assert said == []


WRONG = {
    'row_step 0': (lambda: cloud(row_step=0), 'row_step is 0'),
    'row_step of points': (lambda: cloud(4, row_step=6), 'row_step is 6'),
    'row_step of a part': (lambda: cloud(row_step=160), 'row_step is 160'),
    'row_step of all data': (lambda: cloud(4, row_step=4 * ROW), f'row_step is {4 * ROW}'),
    'row_step without end': (lambda: cloud(4, row_step=2**32 - 1), 'row_step is 4294967295'),
    'one row too long, row_step 0': (
        lambda: longer(cloud(row_step=0), bytes(99)),
        'row_step is 0',
    ),
    'turned round': (lambda: cloud(4, height=6, width=4), f'row_step is {ROW}'),
    'a column': (lambda: cloud(height=24, width=1, row_step=24 * 16), 'row_step is 384'),
    'height 0': (lambda: cloud(height=0), 'it is 24x0'),
    'width 0': (lambda: cloud(height=24, width=0), 'it is 0x24'),
    'point_step 0': (lambda: cloud(point_step=0), 'point_step is 0'),
    'point_step of a coordinate': (lambda: cloud(4, point_step=4), 'row_step and data make it 16'),
    'little, said big': (lambda: cloud(is_bigendian=True), 'is_bigendian is True'),
    'big, said little': (lambda: cloud(dtype='>f4', is_bigendian=False), 'is_bigendian is False'),
    'big float64': (lambda: cloud(dtype='>f8', is_bigendian=False), 'is_bigendian is False'),
}


@pytest.mark.parametrize('name', WRONG)
def test_one_reading_is_read_and_said(name):
    make, sentence = WRONG[name]
    points, (said,) = read(make())
    assert np.array_equal(points, XYZ)
    assert sentence in said
    assert said.endswith('.')


REFUSED = {
    'half of the points are missing': lambda: cloud(data=array.array('B', bytes(12 * 16))),
    'rows of unknown length': lambda: longer(cloud(4, row_step=0), bytes(32)),
    'offsets all 0': lambda: with_fields(cloud(), (1, 'offset', 0), (2, 'offset', 0)),
    'offsets that overlap': lambda: with_fields(cloud(), (1, 'offset', 2)),
    'x in two places': lambda: cloud(
        fields=[*cloud().fields, PointField(name='x', offset=12, datatype=PointField.FLOAT32)]
    ),
    'three of x': lambda: with_fields(cloud(), (0, 'count', 3)),
    'integers': lambda: with_fields(
        cloud(), *((i, 'datatype', PointField.INT32) for i in range(3))
    ),
    'integers in one field': lambda: cloud(
        fields=[PointField(name='xyz', offset=0, datatype=PointField.INT16, count=3)]
    ),
    'unknown datatype': lambda: with_fields(cloud(), (2, 'datatype', 99)),
    'NaN alone': lambda: cloud(data=array.array('B', np.full(96, np.nan, '<f4').tobytes())),
    'zeros alone': lambda: cloud(data=array.array('B', bytes(24 * 16))),
}


@pytest.mark.parametrize('name', REFUSED)
def test_several_readings_or_none_are_refused_in_a_sentence(name):
    with pytest.raises(NodeError, match=r'^Cloud .*[.?]$'):
        read(REFUSED[name]())


def test_integers_say_that_their_scale_is_unknown():
    with pytest.raises(NodeError, match='scale of integers is not in the message'):
        read(REFUSED['integers']())


@pytest.mark.parametrize('share', [0.02, 0.5, 1.0])
@pytest.mark.parametrize('nothing', [np.nan, -np.nan, 0.0, np.inf])
@pytest.mark.parametrize('is_bigendian', [False, True])
def test_few_returns_among_many_without_are_still_read_as_said(share, nothing, is_bigendian):
    rng = np.random.default_rng(5)
    xyz = rng.uniform(-200, 200, (4096, 3)).astype(np.float32)
    xyz[rng.random(4096) > share] = nothing
    xyz[0] = 1.5, -2.5, 3.5
    order = '>f4' if is_bigendian else '<f4'
    msg = cloud(height=16, width=256, point_step=12, row_step=3072, is_bigendian=is_bigendian)
    msg.data = array.array('B', xyz.astype(order).tobytes())
    points, said = read(msg)
    assert np.array_equal(points, xyz, equal_nan=True)
    assert said == []


def test_the_message_is_left_as_it_is():
    msg = cloud(dtype='>f4', is_bigendian=False, row_step=0)
    before = copy.deepcopy(msg)
    read(msg)
    assert msg == before
