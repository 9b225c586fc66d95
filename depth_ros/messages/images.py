"""Camera images in: any encoding of sensor_msgs/Image to (H, W, 3) uint8 RGB.

Nothing is copied where the bytes already are RGB. Where cv_bridge knows an encoding, the result
equals its own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import NodeError
from depth_ros.frame import UInt8
from depth_ros.messages.jpeg import JPEG, jpeg_length


class UnknownEncodingError(NodeError):
    """An encoding that is not known here; others may convert it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 'unknown_encoding')


class Layout(NamedTuple):
    """How the bytes of an encoding become pixels, and pixels RGB."""

    dtype: str
    channels: int
    to_rgb: int | None  # cv2.cvtColor code; None: they are RGB


# ROS names a Bayer pattern by its first two rows (rggb), OpenCV by the second and third pixel of
# its second row (BG). OpenCV's newer names are ROS's, but 4.5 on Humble does not know them.
BAYER = {
    f'bayer_{pattern}{bits}': Layout(f'u{bits // 8}', 1, code)
    for bits in (8, 16)
    for pattern, code in (
        ('rggb', cv2.COLOR_BayerBG2RGB),
        ('bggr', cv2.COLOR_BayerRG2RGB),
        ('gbrg', cv2.COLOR_BayerGR2RGB),
        ('grbg', cv2.COLOR_BayerGB2RGB),
    )
}

# OpenCV's type names say nothing of colour, and cv_bridge refuses to guess. They come from
# `cv2_to_imgmsg(image)` without an encoding, where the image is OpenCV's: grey, BGR or BGRA.
# 16UC1 stays out: by REP-118 it is depth in millimetres.
OPENCV_TYPES = {
    '8UC1': Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    '8UC3': Layout('u1', 3, cv2.COLOR_BGR2RGB),
    '8UC4': Layout('u1', 4, cv2.COLOR_BGRA2RGB),
    '16UC3': Layout('u2', 3, cv2.COLOR_BGR2RGB),
    '16UC4': Layout('u2', 4, cv2.COLOR_BGRA2RGB),
}

ENCODINGS: dict[str, Layout] = {
    'rgb8': Layout('u1', 3, None),
    'bgr8': Layout('u1', 3, cv2.COLOR_BGR2RGB),
    'rgba8': Layout('u1', 4, cv2.COLOR_RGBA2RGB),
    'bgra8': Layout('u1', 4, cv2.COLOR_BGRA2RGB),
    'rgb16': Layout('u2', 3, None),
    'bgr16': Layout('u2', 3, cv2.COLOR_BGR2RGB),
    'rgba16': Layout('u2', 4, cv2.COLOR_RGBA2RGB),
    'bgra16': Layout('u2', 4, cv2.COLOR_BGRA2RGB),
    'mono8': Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    'mono16': Layout('u2', 1, cv2.COLOR_GRAY2RGB),
    **BAYER,
    'yuv422': Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    **OPENCV_TYPES,
}
"""Encodings whose pixels lie one beside the other."""

PLANAR: dict[str, int | None] = {
    'nv12': cv2.COLOR_YUV2RGB_NV12,
    'nv21': cv2.COLOR_YUV2RGB_NV21,
    'nv24': None,
    'i420': cv2.COLOR_YUV2RGB_I420,
    'yv12': cv2.COLOR_YUV2RGB_YV12,
}
"""cv2.cvtColor codes of encodings with a plane of luma before one or two of colour.

The colour has half the size each way; nv24 has it for each pixel, for which OpenCV has no code.
"""
# ITU-R BT.601 with limited range: of Y, U, V and 1.
_RGB_OF_YUV = np.array(
    [
        [1.164383, 0.0, 1.596027, -222.921],
        [1.164383, -0.391762, -0.812968, 135.576],
        [1.164383, 2.017232, 0.0, -276.836],
    ]
)
_SPLIT = ('i420', 'yv12')  # a plane for U and one for V, with rows of half the step

# Drivers, simulators and video libraries call them so; what they mean, their data must bear out.
_OTHER_NAMES = {
    **dict.fromkeys(('rgb', 'r8g8b8', 'rgb_int8', 'rgb24'), 'rgb8'),
    **dict.fromkeys(('bgr', 'b8g8r8', 'bgr_int8', 'bgr24'), 'bgr8'),
    **dict.fromkeys(('rgba', 'r8g8b8a8', 'rgba_int8'), 'rgba8'),
    **dict.fromkeys(('bgra', 'b8g8r8a8', 'bgra_int8'), 'bgra8'),
    **dict.fromkeys(('mono', 'gray', 'grey', 'gray8', 'grey8', 'l8', 'l_int8', 'y8'), 'mono8'),
    **dict.fromkeys(('gray16', 'grey16', 'l16', 'l_int16', 'y16'), 'mono16'),
    **dict.fromkeys(('yuy2', 'yuyv422'), 'yuyv'),
    **dict.fromkeys(('yuv420', 'yuv420p', 'iyuv', 'yu12'), 'i420'),
    'uyvy422': 'uyvy',
    **{name.lower(): name for name in OPENCV_TYPES},
}
_DARK = 1 << 12  # 16-bit values below that are those of a sensor of 12 bits
_DEPTH = ('16UC1', '32FC1', '64FC1')
_CODECS = ('jpeg', 'jpg', 'mjpeg', 'mjpg', 'png', 'h264', 'h265', 'hevc')
_COMPRESSED = (
    'have the driver give it as sensor_msgs/CompressedImage, and set image_transport to compressed'
)


def image_to_rgb(msg: Any, say: Callable[[str], None] | None = None) -> UInt8:
    """The image as (H, W, 3) uint8 RGB; for `rgb8` a view of the message's own bytes.

    16-bit values v become round(v / 257), so that 65535 is 255 (as in cv_bridge). YUV is that of
    BT.601 with limited range. Row padding and big-endian 16-bit pixels are honoured; a wrong step
    does not matter where the data are just the pixels. Data may be a little longer.

    Args:
        msg: sensor_msgs/Image.
        say: is told in a sentence what of the message is wrong, or was assumed.

    Raises:
        UnknownEncodingError: reason `unknown_encoding`.
        NodeError: reason `empty_image`, `bad_step`, `bad_data_length`, `bad_image` (YUV of odd
            size, a jpeg in the place of pixels) or `unknown_encoding` (no camera image at all).
    """
    if msg.width == 0 or msg.height == 0:
        raise NodeError(f'Image is empty: {msg.width}x{msg.height}.', 'empty_image')
    encoding = _encoding(msg)
    _refuse_jpeg(msg)
    problems = []
    if encoding != msg.encoding:
        problems.append(f'encoding is {msg.encoding!r}, it is taken for {encoding!r}')
    if encoding in OPENCV_TYPES and OPENCV_TYPES[encoding].channels > 1:
        problems.append(f'encoding {encoding} says nothing of colour, it is taken for BGR')
    if encoding in PLANAR:
        rgb, problem = _planar_to_rgb(msg, encoding)
    else:
        layout = ENCODINGS[encoding]
        pixels, problem = _pixels(msg, layout)
        rgb = to_rgb8(pixels, layout.to_rgb)
        if say and layout.dtype == 'u2' and 0 < pixels.max() < _DARK:
            problems.append(
                f'no value of {encoding} uses the upper four of its 16 bits, so that it is nearly '
                'black. If the sensor has 10 or 12 bits, have the driver shift them up'
            )
    if say:
        for text in filter(None, (*problems, problem)):
            say(f'An image of {msg.header.frame_id!r} is odd: {text}.')
    return rgb


def to_rgb8(pixels: npt.NDArray[Any], code: int | None) -> UInt8:
    """Pixels of 8 or 16 bits as 8-bit RGB, by a cv2.cvtColor code; None: they are RGB."""
    rgb: npt.NDArray[Any] = pixels if code is None else cv2.cvtColor(pixels, code)
    if rgb.dtype == np.uint8:
        return rgb
    # 65535 / 255 = 257. Demosaicing comes first: it rounds, and so keeps the lower bits.
    return cv2.convertScaleAbs(rgb, alpha=1 / 257)


def _encoding(msg: Any) -> str:
    """The name in one of the tables that the message's encoding means."""
    given = msg.encoding
    plain = given.strip().lower()
    for name in (given, plain, _OTHER_NAMES.get(plain, '')):
        if name in ENCODINGS or name in PLANAR:
            return name
    if given.strip().upper() in _DEPTH:
        raise NodeError(
            f"Image encoding {given!r} is depth and no camera image; remap 'image' to the "
            "camera's colour or grey topic, or have a grey camera call it mono16.",
            'unknown_encoding',
        )
    if plain in _CODECS or ';' in plain:
        raise NodeError(
            f'Image encoding {given!r} is compressed; {_COMPRESSED}.', 'unknown_encoding'
        )
    known = ', '.join(sorted({*ENCODINGS, *PLANAR}))
    raise UnknownEncodingError(f'Image encoding {given!r} is not one of {known}')


def _refuse_jpeg(msg: Any) -> None:
    # usb_cam fills the buffer of an Image with the frame as the camera sent it.
    if bytes(msg.data[:3]) == JPEG and jpeg_length(bytes(msg.data)):
        raise NodeError(
            f'Image says {msg.encoding}, but its data are a jpeg; {_COMPRESSED}.', 'bad_image'
        )


def _pixels(msg: Any, layout: Layout) -> tuple[npt.NDArray[Any], str]:
    """(H, W) or (H, W, C) view of the message's bytes, native, and what is wrong with it."""
    dtype = np.dtype(layout.dtype).newbyteorder('>' if msg.is_bigendian else '<')
    pixel_bytes = dtype.itemsize * layout.channels
    row_bytes = msg.width * pixel_bytes
    step, problem = _step(msg, row_bytes, msg.height, dtype.itemsize, unpadded=True)
    if layout.channels == 2 and msg.width % 2:
        raise NodeError(
            f'Image of encoding {msg.encoding} is {msg.width} wide; its pixels come in pairs.',
            'bad_image',
        )
    shape = (msg.height, msg.width, layout.channels)
    strides = (step, pixel_bytes, dtype.itemsize)
    pixels = np.ndarray(shape, dtype, msg.data, strides=strides)
    pixels = pixels.astype(dtype.newbyteorder('='), copy=False)
    return (pixels[..., 0] if layout.channels == 1 else pixels), problem


def _planar_to_rgb(msg: Any, encoding: str) -> tuple[UInt8, str]:
    """The image of luma and colour planes, and what is wrong with it."""
    height, width, code = msg.height, msg.width, PLANAR[encoding]
    is_whole = code is None
    if not is_whole and (height % 2 or width % 2):
        raise NodeError(
            f'Image of encoding {msg.encoding} is {width}x{height}; its pixels come in squares of '
            'four.',
            'bad_image',
        )
    # In rows of luma: a row of nv24's colour takes two.
    rows = 3 * height if is_whole else height * 3 // 2
    step, problem = _step(msg, width, rows, 2 if encoding in _SPLIT else 1)
    luma = np.ndarray((height, width), np.uint8, msg.data, strides=(step, 1))
    start = step * height
    if code is None:
        colour = np.ndarray((height, width, 2), np.uint8, msg.data, start, (2 * step, 2, 1))
        return cv2.transform(np.dstack((luma, colour)), _RGB_OF_YUV), problem
    if encoding in _SPLIT:
        colour = np.ndarray((height, width // 2), np.uint8, msg.data, start, (step // 2, 1))
        colour = colour.reshape(height // 2, width)
    else:
        colour = np.ndarray((height // 2, width), np.uint8, msg.data, start, (step, 1))
    return cv2.cvtColor(np.concatenate((luma, colour)), code), problem


def _step(
    msg: Any, row_bytes: int, rows: int, multiple: int, unpadded: bool = False
) -> tuple[int, str]:
    """Bytes from row to row, and what is wrong with what the message says of it; '' if nothing.

    Args:
        msg: the image.
        row_bytes: what the pixels of a row take.
        rows: number of rows, of all planes.
        multiple: of which the step must be one.
        unpadded: whether the last row may lack its padding.
    """
    step, length = msg.step, len(msg.data)
    wanted = step * rows - (step - row_bytes if unpadded else 0)
    fits = step >= row_bytes and step % multiple == 0
    pixels = msg.width * msg.height
    if fits and step == row_bytes and length > wanted and length % pixels == 0:
        raise NodeError(
            f'Image data has {length} bytes, {length // pixels} a pixel; {msg.encoding} takes '
            f'{wanted}. Is it another encoding?',
            'bad_data_length',
        )
    if fits and length >= wanted:
        return step, ''
    if length == row_bytes * rows:
        return row_bytes, f'step is {step}, its data has rows of {row_bytes} bytes'
    if not fits:
        raise NodeError(
            f'Image step {step} cannot hold rows of {msg.width} {msg.encoding} pixels; it must be '
            f'at least {row_bytes} and a multiple of {multiple}.',
            'bad_step',
        )
    raise NodeError(
        f'Image data has {length} bytes, {rows} rows with step {step} ask for {step * rows}.',
        'bad_data_length',
    )
