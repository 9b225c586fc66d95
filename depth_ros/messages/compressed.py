"""CompressedImage in: jpeg, png and what else OpenCV decodes, to (H, W, 3) uint8 RGB."""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import NodeError
from depth_ros.frame import UInt8
from depth_ros.messages.images import BAYER, to_rgb8
from depth_ros.messages.jpeg import JPEG, jpeg_length, jpeg_size

_LEAD = 64
"""Bytes before a jpeg that are skipped: headers of capture cards, alignment."""


def compressed_to_rgb(msg: Any) -> UInt8:
    """The decoded image as (H, W, 3) uint8 RGB; alpha is dropped.

    16 bits become 8 as in `image_to_rgb`. EXIF orientation is ignored, because CameraInfo
    describes the sensor's own rows and columns. A Bayer mosaic that compressed_image_transport
    stored as a grey png is turned into colour by the encoding that `format` begins with. Bytes
    around a complete jpeg are ignored.

    Args:
        msg: sensor_msgs/CompressedImage.

    Raises:
        NodeError: reason `bad_compressed`, nothing (complete) to decode, or compressedDepth.
    """
    if 'compressedDepth' in msg.format:
        raise NodeError(
            f'Format {msg.format!r} is a depth image and no camera image; '
            "remap 'image' to the camera's colour or grey topic.",
            'bad_compressed',
        )
    pixels = _decode(bytes(msg.data), msg.format)
    if pixels.ndim == 3:
        return to_rgb8(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    encoding, _, codec = msg.format.partition(';')
    layout = BAYER.get(encoding.strip()) if 'jpeg' not in codec else None
    return to_rgb8(pixels, layout.to_rgb if layout else cv2.COLOR_GRAY2RGB)


def compressed_size(msg: Any) -> tuple[int, int]:
    """(width, height) of what `compressed_to_rgb` gives; a jpeg is not decoded for it.

    Raises:
        NodeError: as `compressed_to_rgb`, if the image is known to be broken without decoding it.
    """
    body = _body(bytes(msg.data), msg.format)
    if 'compressedDepth' not in msg.format and jpeg_length(body):
        size = jpeg_size(body)
        if size is not None:
            return size
    height, width = compressed_to_rgb(msg).shape[:2]
    return width, height


def _body(data: bytes, form: str) -> bytes:
    """Data without what capture cards put before a jpeg."""
    return data[max(data.find(JPEG, 0, _LEAD), 0) if 'jp' in form.lower() else 0 :]


def _decode(data: bytes, form: str) -> npt.NDArray[np.generic]:
    body, is_cut = _body(data, form), False
    if body.startswith(JPEG):
        body = body[: jpeg_length(body)]
        is_cut = not body
    if body:
        try:
            pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            pixels = None
        if pixels is not None and pixels.dtype in (np.uint8, np.uint16):
            return np.asarray(pixels)
    if is_cut:
        why = 'the jpeg breaks off before its end'
    elif not form or re.search('jpe?g|png|tiff|webp|bmp', form.lower()):
        why = 'it must be a complete jpeg or png'
    else:
        why = (
            'its format is none of jpeg, png, tiff, webp and bmp. Have the camera give jpeg, or '
            'decode it with `ros2 run image_transport republish`'
        )
    raise NodeError(
        f'Compressed image of {len(data)} bytes, format {form!r}, cannot be decoded: {why}.',
        'bad_compressed',
    )
