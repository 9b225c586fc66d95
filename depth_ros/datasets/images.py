"""Image files of datasets: RGB pictures, and depth stored as 16-bit PNG."""

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

UInt16 = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class DepthEncoding:
    """How a uint16 image stores depth.

    Attributes:
        scale_m: metres per unit.
        invalid: values that mean "no depth".
    """

    scale_m: float
    invalid: tuple[int, ...] = (0,)


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

    Raises:
        DatasetError: missing, not an image, or not one channel of uint16.
    """
    stored = _imread(path, cv2.IMREAD_UNCHANGED)
    if stored.ndim != 2 or stored.dtype != np.uint16:
        raise DatasetError(
            f'{path}: depth must be one channel of uint16, got {stored.shape} of {stored.dtype}.'
        )
    depth_m: Float32 = stored.astype(np.float32) * np.float32(encoding.scale_m)
    depth_m[np.isin(stored, encoding.invalid)] = 0.0
    return depth_m


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


def _imread(path: Path, flags: int) -> npt.NDArray[np.generic]:
    if not path.is_file():
        raise DatasetError(f'{path}: no such image.')
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    except (OSError, cv2.error) as error:
        raise DatasetError(f'{path}: cannot be decoded: {error}') from error
    if image is None:
        raise DatasetError(f'{path}: not an image that OpenCV can decode.')
    return np.asarray(image)
