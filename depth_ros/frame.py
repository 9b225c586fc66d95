"""What travels down the data path: `Frame` in, `CameraView` to a method, `DepthEstimate` out.

All are frozen and check shapes once, at the door. Arrays are not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from depth_ros.errors import FrameError

if TYPE_CHECKING:  # for annotations only: at run time geometry imports frame, never back
    from depth_ros.geometry.camera import Camera, Intrinsics
    from depth_ros.geometry.mask import ImageMask

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


class DepthKind(Enum):
    """What the numbers of an estimate mean. Only `METRIC` may be published as metres."""

    METRIC = 'metric_depth'
    DISPARITY_AFFINE = 'disparity_affine'
    INVERSE_CANONICAL = 'inverse_canonical'
    LOG_AFFINE = 'log_depth_affine'


@dataclass(frozen=True)
class Frame:
    """One camera image and the LiDAR returns that belong to it.

    Attributes:
        image: (H, W, 3) uint8 RGB, as the camera gave it (distorted if the camera is).
        camera: calibration of this image.
        stamp_ns: time of the image in nanoseconds.
        points: (N, 3) float returns in the LiDAR frame in metres, or None.
        T_camera_lidar: (4, 4), maps LiDAR points into the camera frame, or None where unknown.
        sparse_m: float32 depth in metres already projected into the rectified camera, of the size
            of that, 0 = none; an alternative to `points` for datasets that ship it.
        lidar_stamp_ns: time of the sweep, or None.
        mask: what of `image` is not to be used, or None.
        frame_id: name of the frame that the image is in, for messages; empty if it has none.
    """

    image: UInt8
    camera: Camera
    stamp_ns: int
    points: npt.NDArray[np.floating] | None = None
    T_camera_lidar: Float64 | None = None
    sparse_m: Float32 | None = None
    lidar_stamp_ns: int | None = None
    mask: ImageMask | None = None
    frame_id: str = ''

    def __post_init__(self) -> None:
        height, width = self.camera.intrinsics.height, self.camera.intrinsics.width
        _check(self.image, 'image', (height, width, 3), np.uint8)
        if self.mask is not None:
            self.mask.check_size(width, height)
        if self.points is not None:
            if self.points.ndim != 2 or self.points.shape[1] != 3:
                raise FrameError(f'points must be (N, 3), got {self.points.shape}.')
            if self.T_camera_lidar is None:
                raise FrameError('points were given without T_camera_lidar; name the extrinsic.')
        if self.T_camera_lidar is not None and self.T_camera_lidar.shape != (4, 4):
            raise FrameError(f'T_camera_lidar must be (4, 4), got {self.T_camera_lidar.shape}.')
        if self.sparse_m is not None:
            rectified = self.camera.rectified
            _check(self.sparse_m, 'sparse_m', (rectified.height, rectified.width), np.float32)


@dataclass(frozen=True)
class CameraView:
    """What a depth method sees: the rectified image and the sparse depth in it.

    Attributes:
        image: (H, W, 3) uint8 RGB, rectified.
        sparse_m: (H, W) float32 depth along the optical axis in metres, 0 = no measurement.
        intrinsics: pinhole camera of both.
        stamp_ns: time of the image.
        seen: (H, W) False where the camera did not look and the rectified image is black; None =
            it looked everywhere.
        masked: (H, W) True where nothing is to be known: the image is black, there is no return,
            and the pipeline takes away what a method says; None = nowhere.
        T_camera_view: (4, 4), maps points of this view into the frame of the camera, which is
            another one where stereo rectification turned the image; None = the same.
        hidden_m: (H, W) as `sparse_m`, of the returns that are not in it since something nearer
            seems to cover them; None = not known.
    """

    image: UInt8
    sparse_m: Float32
    intrinsics: Intrinsics
    stamp_ns: int = 0
    seen: Bool | None = None
    masked: Bool | None = None
    T_camera_view: Float64 | None = None
    hidden_m: Float32 | None = None

    def __post_init__(self) -> None:
        height, width = self.intrinsics.height, self.intrinsics.width
        _check(self.image, 'image', (height, width, 3), np.uint8)
        _check(self.sparse_m, 'sparse_m', (height, width), np.float32)
        if self.hidden_m is not None:
            _check(self.hidden_m, 'hidden_m', (height, width), np.float32)
        for name, mask in (('seen', self.seen), ('masked', self.masked)):
            if mask is not None:
                _check(mask, name, (height, width), np.bool_)


@dataclass(frozen=True)
class DepthEstimate:
    """Dense depth and how sure it is.

    Attributes:
        depth_m: (H, W) float32 metres along the optical axis; NaN = unknown.
        sigma_m: (H, W) float32 one standard deviation of the depth error in metres; NaN where
            depth is.
        kind: what the numbers mean.
    """

    depth_m: Float32
    sigma_m: Float32
    kind: DepthKind = DepthKind.METRIC

    def __post_init__(self) -> None:
        if self.depth_m.ndim != 2:
            raise FrameError(f'depth_m must be (H, W), got {self.depth_m.shape}.')
        _check(self.depth_m, 'depth_m', self.depth_m.shape, np.float32)
        _check(self.sigma_m, 'sigma_m', self.depth_m.shape, np.float32)

    @property
    def valid(self) -> Bool:
        """(H, W) bool, True where there is a finite estimate."""
        return np.isfinite(self.depth_m)


def _check(
    array: npt.NDArray[np.generic], name: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    if array.shape != shape:
        raise FrameError(f'{name} must have shape {shape}, got {array.shape}.')
    if array.dtype != dtype:
        raise FrameError(f'{name} must be {np.dtype(dtype).name}, got {array.dtype}.')
