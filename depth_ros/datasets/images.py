"""Image files of datasets: RGB pictures, and depth or disparity as 16-bit PNG or NumPy array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import DatasetError
from depth_ros.files import write_atomic
from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Intrinsics
from depth_ros.messages.jpeg import JPEG, jpeg_length

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')

UInt16 = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class DepthEncoding:
    """How a file stores depth.

    Attributes:
        scale_m: metres per unit; of disparity, depth times stored value.
        invalid: values that mean "no depth".
        is_disparity: whether the stored value is inverse to depth: depth = scale_m / value.
        is_array: whether the file is a .npy of any numbers, not an image of uint16.
    """

    scale_m: float
    invalid: tuple[float, ...] = (0,)
    is_disparity: bool = False
    is_array: bool = False


@dataclass(frozen=True)
class DepthCamera:
    """A depth camera beside the colour camera.

    Attributes:
        intrinsics: its pinhole.
        T_camera_depth: (4, 4), maps its points into the colour camera.
    """

    intrinsics: Intrinsics
    T_camera_depth: Float64


def read_image(path: Path) -> UInt8:
    """An image as (H, W, 3) uint8 RGB; grey ones get three equal channels.

    EXIF orientation is ignored: the calibration is that of the stored pixels.

    Raises:
        DatasetError: missing or not an image.
    """
    bgr = _imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)


def read_depth(path: Path, encoding: DepthEncoding) -> Float32:
    """A depth image as (H, W) float32 metres, 0 = unknown.

    NaN, infinite and negative values of an array are unknown, too, and so is a disparity of 0.

    Raises:
        DatasetError: missing, not of the encoding, or not one channel.
    """
    if encoding.is_array != (path.suffix.lower() == '.npy'):
        given, other = ('npy', 'uint16 png') if encoding.is_array else ('uint16 png', 'npy')
        raise DatasetError(
            f'{path}: the encoding of depth is {given!r}, this file is of another kind; set '
            f'`depth.encoding` to {other!r}, or convert the file.'
        )
    stored = _load_array(path) if encoding.is_array else _imread(path, cv2.IMREAD_UNCHANGED)
    if stored.ndim != 2 or not (encoding.is_array or stored.dtype == np.uint16):
        wanted = '(H, W) numbers' if encoding.is_array else 'one channel of uint16'
        raise DatasetError(
            f'{path}: depth must be {wanted}, got {stored.shape} of {stored.dtype}.'
        )
    values = stored.astype(np.float32)
    known = np.isfinite(values) & (values > 0) & ~np.isin(stored, encoding.invalid)
    scale_m, one = np.float32(encoding.scale_m), np.float32(1.0)
    if encoding.is_disparity:
        depth_m = scale_m / np.where(known, values, one)
    else:
        depth_m = np.where(known, values, one) * scale_m
    return np.where(known & np.isfinite(depth_m), depth_m, np.float32(0.0))


def store_depth(depth_m: Float32, encoding: DepthEncoding) -> UInt16:
    """Depth (H, W) in metres as `read_depth` finds it in a file; 0 where it is unknown.

    Known depth stays known: what is below or beyond the numbers of the file is its nearest one.
    """
    known = np.isfinite(depth_m) & (depth_m > 0)
    units = np.where(known, depth_m, 0.0) / encoding.scale_m
    stored = np.where(known, np.clip(np.rint(units), 1, np.iinfo(np.uint16).max), 0)
    return stored.astype(np.uint16)


def write_depth(path: Path, depth_m: Float32, encoding: DepthEncoding) -> None:
    """Write depth (H, W) in metres as a PNG that `read_depth` reads, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_atomic(path, cv2.imencode('.png', store_depth(depth_m, encoding))[1].tobytes())


def register_depth(depth_m: Float32, source: DepthCamera, target: Intrinsics) -> Float32:
    """Depth of a depth camera as the colour camera sees it; 0 where that is unknown.

    Every measured pixel is moved and drawn at its nearest pixel; the nearest surface wins.

    Args:
        depth_m: (h, w) metres along the axis of the depth camera, 0 = unknown.
        source: the depth camera.
        target: pinhole of the rectified colour camera, (H, W) pixels.
    """
    rows, columns = np.nonzero(depth_m)
    pixels = np.stack((columns, rows), axis=-1).astype(np.float64)
    points = source.intrinsics.unproject(pixels, depth_m[rows, columns].astype(np.float64))
    points = transforms.apply(source.T_camera_depth, points)
    points = points[points[:, 2] > 0]
    uv = np.rint(target.project(points))
    inside = ((uv >= 0) & (uv < (target.width, target.height))).all(axis=1)
    u, v = uv[inside].astype(np.intp).T
    z = points[inside, 2].astype(np.float32)
    registered = np.full((target.height, target.width), np.inf, np.float32)
    np.minimum.at(registered, (v, u), z)
    registered[np.isinf(registered)] = 0.0
    return registered


def _load_array(path: Path) -> npt.NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f'{path}: no such file.') from None
    except Exception as error:  # NumPy's parser raises whatever a bad byte leads to
        raise DatasetError(f'{path}: not readable as a NumPy array: {error}') from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        raise DatasetError(f'{path}: depth must be numbers, got an archive or other objects.')
    return array


def _imread(path: Path, flags: int) -> npt.NDArray[np.generic]:
    if not path.is_file():
        raise DatasetError(f'{path}: no such image.')
    try:
        data = path.read_bytes()
        if data.startswith(JPEG):
            data = data[: jpeg_length(data)]
            if not data:
                raise DatasetError(f'{path}: the jpeg breaks off before its end.')
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except (OSError, cv2.error) as error:
        raise DatasetError(f'{path}: cannot be decoded: {error}') from error
    if image is None:
        raise DatasetError(f'{path}: not an image that OpenCV can decode.')
    return np.asarray(image)
