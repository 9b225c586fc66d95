"""Every encoding against pixels computed by hand; padding, byte order and every malformed case."""

from __future__ import annotations

import array
import sys
import types

import cv2
import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import Image

from depth_ros.errors import NodeError
from depth_ros.messages.images import ENCODINGS
from depth_ros.nodes.convert import image_to_rgb

# Three pixels that tell every channel order and every pixel apart.
RED_GREEN_DIM = [[255, 0, 0], [0, 255, 0], [10, 20, 30]]


def image(encoding, rows, *, pad=b'', width=None, is_bigendian=0, bytes_per_pixel=None):
    """An Image whose rows are the given byte strings, each followed by `pad`."""
    rows = [bytes(row) for row in rows]
    msg = Image(encoding=encoding, height=len(rows), is_bigendian=is_bigendian)
    msg.width = width if width is not None else len(rows[0]) // (bytes_per_pixel or 1)
    msg.step = len(rows[0] + pad)
    msg.data = array.array('B', b''.join(row + pad for row in rows))
    return msg


def drop_reason(function, msg):
    with pytest.raises(NodeError) as caught:
        function(msg)
    return caught.value.reason


@pytest.mark.parametrize('pad', [b'', b'\xee', b'\xee' * 7])
@pytest.mark.parametrize(
    ('encoding', 'row', 'bytes_per_pixel'),
    [
        ('rgb8', [255, 0, 0, 0, 255, 0, 10, 20, 30], 3),
        ('bgr8', [0, 0, 255, 0, 255, 0, 30, 20, 10], 3),
        ('8UC3', [0, 0, 255, 0, 255, 0, 30, 20, 10], 3),
        ('rgba8', [255, 0, 0, 9, 0, 255, 0, 8, 10, 20, 30, 7], 4),
        ('bgra8', [0, 0, 255, 9, 0, 255, 0, 8, 30, 20, 10, 7], 4),
        ('8UC4', [0, 0, 255, 9, 0, 255, 0, 8, 30, 20, 10, 7], 4),
    ],
)
def test_colour_channels_land_in_rgb(encoding, row, bytes_per_pixel, pad):
    msg = image(encoding, [row, row[::-1]], pad=pad, bytes_per_pixel=bytes_per_pixel)
    rgb = image_to_rgb(msg)
    assert rgb.shape == (2, 3, 3)
    assert rgb.dtype == np.uint8
    assert rgb[0].tolist() == RED_GREEN_DIM


@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
@pytest.mark.parametrize('pad', [b'', b'\xee\xee\xee'])
def test_grey_is_repeated(encoding, pad):
    rgb = image_to_rgb(image(encoding, [[1, 2], [3, 255]], pad=pad))
    assert rgb.tolist() == [[[1] * 3, [2] * 3], [[3] * 3, [255] * 3]]


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('pad', [b'', b'\xee\xee'])
def test_mono16_is_divided_by_257(is_bigendian, pad):
    # 128 / 257 = 0.498 -> 0, 129 / 257 = 0.502 -> 1, 51400 / 257 = 200 exactly.
    row = np.array([0, 128, 129, 51400, 65535], '>u2' if is_bigendian else '<u2').tobytes()
    msg = image('mono16', [row], pad=pad, width=5, is_bigendian=is_bigendian)
    assert image_to_rgb(msg)[0, :, 0].tolist() == [0, 0, 1, 200, 255]


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_pattern_is_read_from_the_top_left(pattern, bits, is_bigendian):
    # A uniform colour: every sensor element shows its own filter's value, and any interpolation
    # gives the colour back everywhere.
    colour = {'r': 200, 'g': 100, 'b': 50}
    tile = np.array([colour[c] for c in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (3, 4)) * (257 if bits == 16 else 1)
    dtype = ('>u2' if is_bigendian else '<u2') if bits == 16 else 'u1'
    msg = image(
        f'bayer_{pattern}{bits}',
        list(mosaic.astype(dtype)),
        pad=b'\xee\xee',
        width=8,
        is_bigendian=is_bigendian,
    )
    rgb = image_to_rgb(msg)
    assert rgb.shape == (6, 8, 3)
    assert (rgb == [200, 100, 50]).all()


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')],
)
@pytest.mark.parametrize('pad', [b'', b'\xee' * 3])
def test_yuv_is_bt601_limited_range(encoding, order, pad):
    def row(y0, y1, u, v):
        pixel = {'uyvy': [u, y0, v, y1], 'yuyv': [y0, u, y1, v]}[order]
        return bytes(pixel * 2)

    grey = row(16, 126, 128, 128)  # (126 - 16) * 255 / 219 = 128.1
    red = row(81, 81, 90, 240)  # the BT.601 code of pure red
    rgb = image_to_rgb(image(encoding, [grey, red], pad=pad, width=4)).astype(int)
    assert rgb[0].tolist() == [[0] * 3, [128] * 3] * 2
    assert np.abs(rgb[1] - [255, 0, 0]).max() <= 1


def test_rgb8_is_a_view_of_the_message():
    msg = image('rgb8', [[1, 2, 3, 4, 5, 6]], pad=b'\xee' * 2, bytes_per_pixel=3)
    rgb = image_to_rgb(msg)
    msg.data[3] = 77
    assert rgb[0, 1, 0] == 77


def test_padded_view_is_good_enough_for_opencv():
    rows = np.random.default_rng(0).integers(0, 256, (5, 12), np.uint8)
    rgb = image_to_rgb(image('rgb8', list(rows), pad=b'\xee' * 5, bytes_per_pixel=3))
    assert not rgb.flags.c_contiguous
    assert np.array_equal(cv2.flip(rgb, 1), rows.reshape(5, 4, 3)[:, ::-1])


@pytest.mark.parametrize(
    ('reason', 'change'),
    [
        ('empty_image', {'width': 0}),
        ('empty_image', {'height': 0}),
        ('bad_step', {'step': 11, 'data': array.array('B', bytes(22))}),
        ('bad_step', {'step': 0, 'data': array.array('B', bytes(26))}),
        ('bad_data_length', {'step': 2**32 - 1, 'data': array.array('B', bytes(25))}),
        ('bad_data_length', {'height': 3}),
        ('bad_data_length', {'height': 2**32 - 1, 'step': 2**32 - 1}),
        ('bad_step', {'width': 2**32 - 1}),
        ('bad_data_length', {'data': array.array('B')}),
        ('bad_data_length', {'data': array.array('B', bytes(23))}),
        ('bad_data_length', {'data': array.array('B', bytes(32))}),  # four bytes a pixel
        ('unknown_encoding', {'encoding': ''}),
        ('unknown_encoding', {'encoding': 'h264'}),
        ('unknown_encoding', {'encoding': '16UC1'}),
    ],
)
def test_malformed_image_is_refused(reason, change):
    msg = image('rgb8', [bytes(12), bytes(12)], bytes_per_pixel=3)
    for name, value in change.items():
        setattr(msg, name, value)
    assert drop_reason(image_to_rgb, msg) == reason


def test_sixteen_bit_rows_at_an_odd_step_are_refused():
    assert drop_reason(image_to_rgb, image('mono16', [bytes(5)], width=2)) == 'bad_step'


def test_yuv_of_odd_width_is_refused():
    assert drop_reason(image_to_rgb, image('uyvy', [bytes(6)], width=3)) == 'bad_image'


def test_refusal_names_the_encoding_and_the_table(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(NodeError, match=r"'bayer_rggb10'.*nv12.*cv_bridge is not installed"):
        image_to_rgb(image('bayer_rggb10', [bytes(4)]))


def fail(*_, **__):
    raise fail.error


BROKEN = [
    AttributeError('_ARRAY_API not found'),
    ImportError('numpy.core.multiarray failed to import'),
    RuntimeError('module compiled against ABI version 0x1000009 but this version of numpy is 2'),
    SystemError('initialization of cv_bridge_boost raised unreported exception'),
    ModuleNotFoundError("No module named 'cv_bridge.boost'", name='cv_bridge.boost'),
]


@pytest.mark.parametrize('error', BROKEN)
@pytest.mark.parametrize('when', ['imported', 'used'])
def test_a_cv_bridge_broken_by_numpy_2_is_named_so(when, error, monkeypatch):
    """It cannot be installed here; these are its errors, at both places where they come."""
    fail.error = error
    if when == 'imported':
        module = types.ModuleType('cv_bridge')
        module.__getattr__ = fail  # `from cv_bridge import CvBridge`
    else:
        module = types.SimpleNamespace(CvBridge=lambda: types.SimpleNamespace(imgmsg_to_cv2=fail))
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    with pytest.raises(NodeError, match=r'cv_bridge is broken.*"numpy<2".*\.$') as caught:
        image_to_rgb(image('bayer_rggb10', [bytes(4)]))
    assert caught.value.reason == 'unknown_encoding'


def test_a_whole_cv_bridge_is_not_called_broken(monkeypatch):
    fail.error = TypeError('[holographic8] is not a color format')
    bridge = types.SimpleNamespace(CvBridge=lambda: types.SimpleNamespace(imgmsg_to_cv2=fail))
    monkeypatch.setitem(sys.modules, 'cv_bridge', bridge)
    with pytest.raises(NodeError, match=r'cv_bridge cannot convert it: .holographic8. is not'):
        image_to_rgb(image('holographic8', [bytes(4)]))


def test_known_encodings_never_touch_cv_bridge(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    for encoding, layout in ENCODINGS.items():
        row = bytes(8 * layout.channels * np.dtype(layout.dtype).itemsize)
        assert image_to_rgb(image(encoding, [row] * 4, width=8)).shape == (4, 8, 3)
