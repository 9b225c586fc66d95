"""Images of cameras that are not the usual: planes, other names, 16 bits, steps that are wrong."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import Image

from depth_ros.errors import NodeError
from depth_ros.messages.images import image_to_rgb

# (Y, U, V) of BT.601 with limited range: black, white, and what pure red becomes.
BLACK, WHITE, RED = (16, 128, 128), (235, 128, 128), (81, 90, 240)


def image(encoding, data, width, height, step=None, is_bigendian=0):
    data = bytes(data)
    msg = Image(encoding=encoding, width=width, height=height, is_bigendian=is_bigendian)
    msg.step = step if step is not None else len(data) // height
    msg.data = array.array('B', data)
    return msg


def read(msg):
    said = []
    return image_to_rgb(msg, said.append), said


def planes(encoding, left, right, pad=0):
    """8x4 pixels, the left half of one colour and the right half of another, as their bytes."""
    cells = np.array([[left] * 2 + [right] * 2] * 2, np.uint8)  # a colour for four pixels
    luma = cells[..., 0].repeat(2, axis=0).repeat(2, axis=1)
    u, v = cells[..., 1], cells[..., 2]
    whole = cells.repeat(2, axis=0).repeat(2, axis=1)
    colour = {
        'nv12': [np.stack((u, v), -1).reshape(2, 8)],
        'nv21': [np.stack((v, u), -1).reshape(2, 8)],
        'i420': [u, v],
        'yv12': [v, u],
        'nv24': [whole[..., 1:].reshape(4, 16)],
    }[encoding]
    padding = {4: pad // 2, 8: pad, 16: 2 * pad}
    return b''.join(
        np.pad(plane, ((0, 0), (0, padding[plane.shape[1]])), constant_values=0xEE).tobytes()
        for plane in (luma, *colour)
    )


@pytest.mark.parametrize('pad', [0, 8])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'nv24', 'i420', 'yv12'])
def test_planes_of_luma_and_colour(encoding, pad):
    msg = image(encoding, planes(encoding, RED, WHITE, pad), 8, 4, 8 + pad)
    rgb, said = read(msg)
    assert (rgb.shape, rgb.dtype, said) == ((4, 8, 3), np.uint8, [])
    assert np.abs(rgb[:, :4].astype(int) - [255, 0, 0]).max() <= 1
    assert np.abs(rgb[:, 4:].astype(int) - 255).max() <= 1
    swapped, _ = read(image(encoding, planes(encoding, BLACK, RED, pad), 8, 4, 8 + pad))
    assert np.abs(swapped[:, :4].astype(int)).max() <= 1
    assert np.abs(swapped[:, 4:].astype(int) - [255, 0, 0]).max() <= 1


def test_planes_agree_with_opencv_on_noise():
    data = np.random.default_rng(2).integers(0, 256, (9, 8), np.uint8)
    for encoding, code in (
        ('nv12', cv2.COLOR_YUV2RGB_NV12),
        ('nv21', cv2.COLOR_YUV2RGB_NV21),
        ('yuv420', cv2.COLOR_YUV2RGB_I420),
    ):
        rgb, _ = read(image(encoding, data.tobytes(), 8, 6, 8))
        assert np.array_equal(rgb, cv2.cvtColor(data, code))


@pytest.mark.parametrize('step', [0, 12, 2**32 - 1])
@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'nv24', 'i420', 'yv12'])
def test_a_wrong_step_of_whole_planes_is_read_and_said(encoding, step):
    data = planes(encoding, RED, WHITE)
    right, _ = read(image(encoding, data, 8, 4, 8))
    rgb, (said,) = read(image(encoding, data, 8, 4, step))
    assert np.array_equal(rgb, right)
    assert f'step is {step}' in said


@pytest.mark.parametrize(
    ('encoding', 'width', 'height', 'length', 'step', 'reason'),
    [
        ('nv12', 7, 4, 42, 7, 'bad_image'),
        ('nv12', 8, 5, 60, 8, 'bad_image'),
        ('i420', 8, 3, 36, 8, 'bad_image'),
        ('nv12', 8, 4, 47, 8, 'bad_data_length'),
        ('nv12', 8, 4, 64, 8, 'bad_data_length'),  # two bytes a pixel: yuyv?
        ('nv12', 8, 6, 48, 8, 'bad_data_length'),  # height counts the colour, too
        ('nv24', 8, 4, 95, 8, 'bad_data_length'),
        ('i420', 8, 4, 58, 9, 'bad_step'),
        ('nv12', 8, 4, 50, 4, 'bad_step'),
    ],
)
def test_planes_that_do_not_fit_are_refused(encoding, width, height, length, step, reason):
    with pytest.raises(NodeError, match=r'^Image .*[.?]$') as caught:
        read(image(encoding, bytes(length), width, height, step))
    assert caught.value.reason == reason


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('rgb16', [0, 1, 2]),
        ('bgr16', [2, 1, 0]),
        ('16UC3', [2, 1, 0]),
        ('rgba16', [0, 1, 2, 3]),
        ('bgra16', [2, 1, 0, 3]),
        ('16UC4', [2, 1, 0, 3]),
    ],
)
def test_sixteen_bits_a_channel(encoding, order, is_bigendian):
    # 65535, 129 and 51400 are 255, 1 and 200 of 255; 128 is 0.
    pixels = np.array([[65535, 129, 51400, 7], [0, 65535, 128, 7]])[:, order]
    data = pixels.astype('>u2' if is_bigendian else '<u2').tobytes() + b'\xee' * 6
    rgb, said = read(image(encoding, data, 2, 1, is_bigendian=is_bigendian))
    assert rgb.tolist() == [[[255, 1, 200], [0, 255, 0]]]
    assert len(said) == encoding.startswith('16UC')


@pytest.mark.parametrize('encoding', ['8UC3', '8UC4', '16UC3', '16UC4'])
def test_an_encoding_without_colours_is_taken_for_opencv_and_said(encoding):
    _, (said,) = read(image(encoding, bytes(range(64, 96)), 2, 2, 16))
    assert f'{encoding} says nothing of colour' in said
    assert 'BGR' in said


@pytest.mark.parametrize('encoding', ['mono16', 'bayer_rggb16', 'rgb16'])
@pytest.mark.parametrize(('value', 'dark'), [(0, False), (4095, True), (4096, False)])
def test_twelve_bits_in_sixteen_are_said(encoding, value, dark):
    _, said = read(image(encoding, np.full(48, value, '<u2').tobytes(), 4, 4, 24))
    assert [('upper four' in text) for text in said] == [True] * dark


@pytest.mark.parametrize(
    ('given', 'meaning', 'pixel_bytes'),
    [
        ('RGB8', 'rgb8', 3),
        (' bgr8 ', 'bgr8', 3),
        ('rgb', 'rgb8', 3),
        ('R8G8B8', 'rgb8', 3),
        ('rgb_int8', 'rgb8', 3),
        ('BGRA8', 'bgra8', 4),
        ('8uc3', '8UC3', 3),
        ('L_INT8', 'mono8', 1),
        ('Mono16', 'mono16', 2),
        ('YUV422_YUY2', 'yuv422_yuy2', 2),
        ('YUY2', 'yuyv', 2),
        ('BAYER_GBRG8', 'bayer_gbrg8', 1),
    ],
)
def test_other_names_of_an_encoding_are_understood_and_said(given, meaning, pixel_bytes):
    data = np.random.default_rng(4).integers(0, 256, 8 * 4 * pixel_bytes, np.uint8).tobytes()
    rgb, (said, *_) = read(image(given, data, 8, 4))
    assert np.array_equal(rgb, read(image(meaning, data, 8, 4))[0])
    assert f'{given!r}, it is taken for {meaning!r}' in said


@pytest.mark.parametrize(
    ('encoding', 'words'),
    [
        ('16UC1', 'depth and no camera image.*remap'),
        ('32FC1', 'depth and no camera image.*remap'),
        ('jpeg', 'image_transport to compressed'),
        ('MJPEG', 'image_transport to compressed'),
        ('bgr8; jpeg compressed bgr8', 'image_transport to compressed'),
    ],
)
def test_what_is_no_camera_image_names_the_way_out(encoding, words):
    with pytest.raises(NodeError, match=words) as caught:
        read(image(encoding, bytes(16), 2, 2))
    assert caught.value.reason == 'unknown_encoding'


def test_a_jpeg_in_the_place_of_pixels_is_no_image():
    jpeg = cv2.imencode('.jpg', np.zeros((32, 32, 3), np.uint8))[1].tobytes()
    with pytest.raises(NodeError, match=r'its data are a jpeg.*compressed') as caught:
        read(image('rgb8', jpeg.ljust(3072, b'\0'), 32, 32))
    assert caught.value.reason == 'bad_image'


def test_pixels_that_begin_as_a_jpeg_does_are_pixels():
    data = b'\xff\xd8\xff\xe0\x00\x10' + bytes(range(200, 218))
    assert read(image('rgb8', data, 4, 2))[0].tobytes() == data


@pytest.mark.parametrize(
    ('encoding', 'pixel_bytes', 'step'),
    [('rgb8', 3, 0), ('rgb8', 3, 4), ('mono16', 2, 4), ('mono16', 2, 9), ('rgb8', 3, 2**32 - 1)],
)
def test_a_wrong_step_of_pixels_without_padding_is_read_and_said(encoding, pixel_bytes, step):
    data = bytes(range(100, 100 + 8 * pixel_bytes))
    rgb, (said,) = read(image(encoding, data, 4, 2, step))
    assert np.array_equal(rgb, read(image(encoding, data, 4, 2))[0])
    assert f'step is {step}, its data has rows of {4 * pixel_bytes} bytes' in said


@pytest.mark.parametrize('surplus', [1, 7, 30])
def test_bytes_behind_the_last_row_do_not_matter(surplus):
    data = bytes(range(24))
    rgb, said = read(image('rgb8', data + bytes(surplus), 4, 2, 12))
    assert (rgb.tobytes(), said) == (data, [])


def test_the_last_row_may_lack_its_padding():
    rgb, said = read(image('rgb8', bytes(range(6)) + b'\xee' * 4 + bytes(range(6)), 2, 2, 10))
    assert rgb.tobytes() == bytes(range(6)) * 2
    assert said == []
