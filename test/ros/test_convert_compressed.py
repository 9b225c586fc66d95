"""Compressed images: jpeg as cameras and recorders leave it, png, and what is none of them."""

from __future__ import annotations

import array
import io

import cv2
import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import CompressedImage

from depth_ros.errors import NodeError
from depth_ros.messages.camera_info import camera_from_info
from depth_ros.messages.compressed import compressed_size, compressed_to_rgb, jpeg_length
from depth_ros.nodes import convert
from depth_ros.nodes.buffers import CloudBuffer

RED_GREEN_DIM = [[255, 0, 0], [0, 255, 0], [10, 20, 30]]


def drop_reason(msg):
    with pytest.raises(NodeError) as caught:
        compressed_to_rgb(msg)
    return caught.value.reason


def compressed(pixels, suffix='.png', form=None):
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    return CompressedImage(format=form or suffix[1:], data=array.array('B', data))


BGR = np.array([[[0, 0, 255], [0, 255, 0], [30, 20, 10]]], np.uint8)


@pytest.mark.parametrize(
    ('pixels', 'expected'),
    [
        (BGR, RED_GREEN_DIM),
        (np.dstack((BGR, np.full((1, 3), 9, np.uint8))), RED_GREEN_DIM),
        (BGR.astype(np.uint16) * 257, RED_GREEN_DIM),
        (np.array([[7, 8, 9]], np.uint8), [[7] * 3, [8] * 3, [9] * 3]),
        (np.array([[128, 129, 65535]], np.uint16), [[0] * 3, [1] * 3, [255] * 3]),
    ],
)
def test_png_of_every_depth_and_channel_count(pixels, expected):
    assert compressed_to_rgb(compressed(pixels))[0].tolist() == expected


def test_jpeg_is_rgb():
    msg = compressed(np.full((16, 16, 3), (200, 30, 10), np.uint8), '.jpg')
    rgb = compressed_to_rgb(msg).astype(int)
    assert rgb.shape == (16, 16, 3)
    assert np.abs(rgb - [10, 30, 200]).max() <= 3


def test_jpeg_keeps_the_sensor_rows_whatever_exif_says():
    msg = compressed(np.zeros((16, 24, 3), np.uint8), '.jpg')
    rotate_90 = (
        b'\xff\xe1\x00\x22Exif\0\0MM\x00\x2a\x00\x00\x00\x08\x00\x01'
        b'\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00'
    )
    data = msg.data.tobytes()
    msg.data = array.array('B', data[:2] + rotate_90 + data[2:])
    assert cv2.imdecode(np.asarray(msg.data), cv2.IMREAD_COLOR).shape == (24, 16, 3)
    assert compressed_to_rgb(msg).shape == (16, 24, 3)


def test_mosaic_stored_as_png_is_demosaiced():
    mosaic = np.tile(np.array([[200, 100], [100, 50]], np.uint8), (3, 4))
    msg = compressed(mosaic, form='bayer_rggb8; png compressed ')
    assert (compressed_to_rgb(msg) == [200, 100, 50]).all()
    # As jpeg the publisher has already made it grey.
    grey = compressed(np.full((8, 8), 90, np.uint8), '.jpg', 'bayer_rggb8; jpeg compressed mono8')
    assert np.abs(compressed_to_rgb(grey).astype(int) - 90).max() <= 1


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_compressed_image_that_breaks_off_is_refused(suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    msg = compressed(pixels, suffix)
    data = msg.data.tobytes()
    for part in (b'', b'garbage', data[:3], data[: len(data) // 2]):
        msg.data = array.array('B', part)
        assert drop_reason(msg) == 'bad_compressed'
    msg.data = array.array('B', data + bytes(16))  # some cameras pad
    assert compressed_to_rgb(msg).shape == (64, 64, 3)


def test_compressed_depth_is_no_camera_image():
    msg = compressed(np.zeros((4, 4), np.uint16), form='16UC1; compressedDepth png')
    with pytest.raises(NodeError, match='is a depth image'):
        compressed_to_rgb(msg)


def picture(height=48, width=64):
    """A BGR image that jpeg keeps well, with something in every block."""
    noise = np.random.default_rng(1).integers(40, 220, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(*options, pixels=None):
    pixels = picture() if pixels is None else pixels
    return cv2.imencode('.jpg', pixels, list(options))[1].tobytes()


def message(data, form='jpeg'):
    return CompressedImage(format=form, data=array.array('B', data))


RESTARTS = (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
KINDS = {
    'plain': (),
    'progressive': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    'with restart markers': RESTARTS,
    'progressive with restart markers': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, *RESTARTS),
    'optimised': (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    'best': (cv2.IMWRITE_JPEG_QUALITY, 100),
}
BEHIND = {
    'nothing': b'',
    'zeros': bytes(100),
    'fill': b'\xff' * 100,
    'a line break': b'\r\n',
    'alignment': b'\x12\x34',
    'another end': b'\xff\xd9',
    'text': b'--myboundary\r\nContent-Type: image/jpeg\r\n',
    'an older image': jpeg()[700:],
    'a whole image': jpeg(),
}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('behind', BEHIND)
def test_bytes_behind_a_complete_jpeg_do_not_matter(kind, behind):
    data = jpeg(*KINDS[kind])
    assert jpeg_length(data + BEHIND[behind]) == len(data)
    rgb = compressed_to_rgb(message(data + BEHIND[behind]))
    assert np.array_equal(rgb, compressed_to_rgb(message(data)))
    assert np.abs(rgb[..., ::-1].astype(int) - picture()).mean() < 5


@pytest.mark.parametrize('kind', KINDS)
def test_a_jpeg_is_refused_wherever_it_breaks_off(kind):
    data = jpeg(*KINDS[kind])
    assert not any(jpeg_length(data[:end]) for end in range(len(data)))
    for end in (3, 200, len(data) // 2, len(data) - 2, len(data) - 1):
        for padding in (b'', bytes(500), b'\xff' * 9):
            assert drop_reason(message(data[:end] + padding)) == 'bad_compressed'


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image():
    data = jpeg()
    thumbnail = jpeg(pixels=picture(16, 16))
    size = (len(thumbnail) + 2).to_bytes(2, 'big')
    data = data[:2] + b'\xff\xe1' + size + thumbnail + data[2:]
    assert jpeg_length(data) == len(data)
    assert compressed_to_rgb(message(data)).shape == (48, 64, 3)
    with pytest.raises(NodeError, match='breaks off before its end'):
        compressed_to_rgb(message(data[: len(thumbnail) + 300]))


def test_a_jpeg_behind_a_few_bytes_of_a_capture_card_is_found():
    rgb = compressed_to_rgb(message(bytes(2) + jpeg()))
    assert np.array_equal(rgb, compressed_to_rgb(message(jpeg())))


@pytest.mark.parametrize(
    'form', ['', 'jpeg', 'jpg', 'JPEG', 'rgb8; jpeg compressed bgr8', 'bgr8; jpeg compressed bgr8']
)
def test_a_jpeg_is_a_jpeg_whatever_its_format_is_called(form):
    assert np.array_equal(
        compressed_to_rgb(message(jpeg(), form)), compressed_to_rgb(message(jpeg()))
    )


@pytest.mark.parametrize(
    ('mode', 'colour'), [('CMYK', (10, 200, 30)), ('L', (90, 90, 90)), ('RGB', (10, 200, 30))]
)
def test_jpegs_of_other_colour_spaces_are_rgb(mode, colour):
    pillow = pytest.importorskip('PIL.Image', reason='Pillow writes CMYK')
    stream = io.BytesIO()
    pillow.fromarray(np.full((16, 24, 3), colour, np.uint8)).convert(mode).save(stream, 'JPEG')
    rgb = compressed_to_rgb(message(stream.getvalue()))
    assert rgb.shape == (16, 24, 3)
    assert np.abs(rgb.astype(int) - colour).max() <= 4


@pytest.mark.parametrize('suffix', ['.webp', '.tiff', '.bmp'])
def test_other_files_that_opencv_reads_are_read(suffix):
    rgb = compressed_to_rgb(compressed(picture(), suffix))
    assert np.abs(rgb[..., ::-1].astype(int) - picture()).mean() < 3


@pytest.mark.parametrize('form', ['h264', 'hevc', 'nv12', 'avif'])
def test_a_stream_that_is_no_image_names_the_way_out(form):
    with pytest.raises(NodeError, match=f'{form}.*image_transport republish'):
        compressed_to_rgb(message(b'\0\0\0\1\x67' + b'\x42' * 500, form))


@pytest.mark.parametrize('part', [b'', b'\xff', b'\xff\xd8', b'\xff\xd8\xff', b'\xff\xd8\xff\xd9'])
def test_beginnings_of_a_jpeg_have_no_end(part):
    assert jpeg_length(part) == 0
    assert drop_reason(message(part)) == 'bad_compressed'


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('shape', [(16, 24, 3), (48, 10), (1, 300, 3)])
@pytest.mark.parametrize('progressive', [0, 1])
def test_size_is_that_of_the_decoded_image(suffix, shape, progressive):
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive] if suffix == '.jpg' else []
    data = cv2.imencode(suffix, np.zeros(shape, np.uint8), options)[1].tobytes()
    for lead in (b'', b'\0' * 7) if suffix == '.jpg' else (b'',):
        msg = CompressedImage(format=suffix[1:], data=array.array('B', lead + data))
        assert compressed_size(msg) == (shape[1], shape[0])


def test_size_of_a_jpeg_is_known_without_decoding_it(monkeypatch):
    msg = compressed(np.zeros((16, 24, 3), np.uint8), '.jpg')
    monkeypatch.setattr(cv2, 'imdecode', None)
    assert compressed_size(msg) == (24, 16)


@pytest.mark.parametrize(
    'msg',
    [
        CompressedImage(
            format='jpeg',
            data=compressed(np.zeros((16, 24, 3), np.uint8), '.jpg').data[:-9],
        ),
        compressed(np.zeros((16, 24, 3), np.uint8), '.jpg', '16UC1; compressedDepth'),
        CompressedImage(format='png'),
    ],
    ids=['cut', 'depth', 'empty'],
)
def test_size_of_what_cannot_be_used_is_refused(msg):
    with pytest.raises(NodeError) as caught:
        compressed_size(msg)
    assert caught.value.reason == 'bad_compressed'


def test_names_that_scripts_of_users_import_stay_where_they_were():
    assert convert.compressed_to_rgb is compressed_to_rgb
    assert convert.camera_from_info is camera_from_info
    assert convert.CloudBuffer is CloudBuffer
