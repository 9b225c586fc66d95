"""Camera images in: any encoding of sensor_msgs/Image, to (H, W, 3) uint8 RGB.

Nothing is copied where the bytes already are RGB. The results equal cv_bridge's, byte for byte.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import NodeError
from depth_ros.frame import UInt8

UNKNOWN_ENCODING = 'unknown_encoding'


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

ENCODINGS: dict[str, Layout] = {
    'rgb8': Layout('u1', 3, None),
    'bgr8': Layout('u1', 3, cv2.COLOR_BGR2RGB),
    'rgba8': Layout('u1', 4, cv2.COLOR_RGBA2RGB),
    'bgra8': Layout('u1', 4, cv2.COLOR_BGRA2RGB),
    'mono8': Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    'mono16': Layout('u2', 1, cv2.COLOR_GRAY2RGB),
    **BAYER,
    'yuv422': Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': Layout('u1', 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': Layout('u1', 2, cv2.COLOR_YUV2RGB_YUY2),
    # OpenCV's type names say nothing of colour, and cv_bridge refuses to guess. They come from
    # `cv2_to_imgmsg(image)` without an encoding, where the image is OpenCV's: grey, BGR or BGRA.
    # 16UC1 stays out: by REP-118 it is depth in millimetres.
    '8UC1': Layout('u1', 1, cv2.COLOR_GRAY2RGB),
    '8UC3': Layout('u1', 3, cv2.COLOR_BGR2RGB),
    '8UC4': Layout('u1', 4, cv2.COLOR_BGRA2RGB),
}


def image_to_rgb(msg: Any) -> UInt8:
    """The image as (H, W, 3) uint8 RGB; for `rgb8` a view of the message's own bytes.

    16-bit values v become round(v / 257), so that 65535 is 255 (as in cv_bridge). Row padding
    and big-endian 16-bit pixels are honoured.

    Raises:
        NodeError: reason `empty_image`, `bad_step`, `bad_data_length`, `bad_image` (4:2:2 of
            odd width) or `unknown_encoding`.
    """
    if msg.width == 0 or msg.height == 0:
        raise NodeError(f'Image is empty: {msg.width}x{msg.height}.', 'empty_image')
    layout = ENCODINGS.get(msg.encoding)
    if layout is None:
        known = ', '.join(sorted(ENCODINGS))
        raise NodeError(f'Image encoding {msg.encoding!r} is not one of {known}', UNKNOWN_ENCODING)
    return to_rgb8(_pixels(msg, layout), layout.to_rgb)


def _pixels(msg: Any, layout: Layout) -> npt.NDArray[np.generic]:
    """(H, W) or (H, W, C) view of the message's bytes, in native byte order."""
    dtype = np.dtype(layout.dtype).newbyteorder('>' if msg.is_bigendian else '<')
    pixel_bytes = dtype.itemsize * layout.channels
    if msg.step < msg.width * pixel_bytes or msg.step % dtype.itemsize:
        raise NodeError(
            f'Image step {msg.step} cannot hold rows of {msg.width} {msg.encoding} pixels; '
            f'it must be at least {msg.width * pixel_bytes} and a multiple of {dtype.itemsize}.',
            'bad_step',
        )
    if len(msg.data) != msg.step * msg.height:
        raise NodeError(
            f'Image data has {len(msg.data)} bytes, step x height = {msg.step} x {msg.height} '
            f'asks for {msg.step * msg.height}.',
            'bad_data_length',
        )
    if layout.channels == 2 and msg.width % 2:
        raise NodeError(
            f'Image of encoding {msg.encoding} is {msg.width} wide; its pixels come in pairs.',
            'bad_image',
        )
    shape = (msg.height, msg.width, layout.channels)
    strides = (msg.step, pixel_bytes, dtype.itemsize)
    pixels = np.ndarray(shape, dtype, msg.data, strides=strides)
    pixels = pixels.astype(dtype.newbyteorder('='), copy=False)
    return pixels[..., 0] if layout.channels == 1 else pixels


def to_rgb8(pixels: npt.NDArray[np.generic], code: int | None) -> UInt8:
    """Pixels of 8 or 16 bits as 8-bit RGB, by a cv2.cvtColor code; None: they are RGB."""
    if code is None:
        return np.asarray(pixels, dtype=np.uint8)
    rgb = cv2.cvtColor(pixels, code)
    # 65535 / 255 = 257. Demosaicing comes first: it rounds, and so keeps the lower bits.
    return rgb if rgb.dtype == np.uint8 else cv2.convertScaleAbs(rgb, alpha=1 / 257)
