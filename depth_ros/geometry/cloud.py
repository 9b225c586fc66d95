"""Dense depth to an organised, coloured cloud with sigma, and the gate of both."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np

from depth_ros.errors import GeometryError
from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.geometry.camera import Intrinsics

CLOUD_FIELDS = ('x', 'y', 'z', 'rgb', 'sigma')
"""Channels of a cloud array, all float32; `rgb` holds the bits 0x00RRGGBB, as PCL packs it."""


class Gate(NamedTuple):
    """How unsure depth may be that is still handed on.

    Attributes:
        max_relative_sigma: largest sigma as a share of depth; 0 = no limit.
        max_sigma_m: largest sigma in metres; 0 = no limit.
    """

    max_relative_sigma: float = 0.0
    max_sigma_m: float = 0.0

    def passes(self, depth_m: Any, sigma_m: Any) -> Any:
        """Where depth passes: a mask like `depth_m`, of arrays and of torch tensors alike.

        What is too far (+Inf) passes whatever its sigma is; NaN does not.
        """
        sure = sigma_m <= (self.max_sigma_m or math.inf)
        if self.max_relative_sigma:
            sure &= sigma_m <= self.max_relative_sigma * depth_m
        return sure | (depth_m == math.inf)


def cloud_shape(intrinsics: Intrinsics, stride: int = 1) -> tuple[int, int, int]:
    """Shape (h, w, 5) of the cloud of a camera with every `stride`-th row and column."""
    return -(-intrinsics.height // stride), -(-intrinsics.width // stride), len(CLOUD_FIELDS)


def check_cloud(cloud: Float32, intrinsics: Intrinsics, stride: int) -> None:
    """Refuse an array that is not of `cloud_shape`."""
    wanted = cloud_shape(intrinsics, stride)
    if cloud.shape != wanted:
        raise GeometryError(f'cloud must have shape {wanted}, got {cloud.shape}.')


def fill_cloud(
    cloud: Float32,
    depth_m: Float32,
    sigma_m: Float32,
    image: UInt8,
    intrinsics: Intrinsics,
    stride: int = 1,
    gate: Gate = Gate(),  # noqa: B008 (it is immutable)
    T_camera_view: Float64 | None = None,
) -> None:
    """Write the cloud of a depth map in place.

    Where depth is NaN or infinite, or does not pass the gate, x, y, z and sigma are NaN; the
    colour is there all the same.

    Args:
        cloud: (h, w, 5) C-contiguous float32 of `cloud_shape`, in the order of `CLOUD_FIELDS`;
            x, y, z in the camera frame in metres, sigma of depth in metres. May be a message's
            memory.
        depth_m: (H, W) metres along the optical axis.
        sigma_m: (H, W) metres.
        image: (H, W, 3) uint8 RGB.
        intrinsics: the pinhole camera of all three.
        stride: every n-th row and column is taken.
        gate: of depth; by default all of it passes.
        T_camera_view: (4, 4), maps points of the rectified view, which depth is along the axis
            of, into the camera frame; None = they are the same.

    Raises:
        GeometryError: `cloud` has another shape.
    """
    check_cloud(cloud, intrinsics, stride)
    z, sigma = depth_m[::stride, ::stride], sigma_m[::stride, ::stride]
    there = np.isfinite(z) & gate.passes(z, sigma)
    z, sigma = (np.where(there, values, np.float32(np.nan)) for values in (z, sigma))
    u = np.arange(0, intrinsics.width, stride, dtype=np.float32)
    v = np.arange(0, intrinsics.height, stride, dtype=np.float32)
    x = z * ((u - np.float32(intrinsics.cx)) / np.float32(intrinsics.fx))
    y = z * ((v - np.float32(intrinsics.cy)) / np.float32(intrinsics.fy))[:, None]
    if T_camera_view is not None:
        rows = T_camera_view[:3].astype(np.float32).tolist()
        x, y, z = (a * x + b * y + c * z + np.float32(d) for a, b, c, d in rows)
    cv2.merge((x, y, z, packed_rgb(image[::stride, ::stride]), sigma), cloud)


def packed_rgb(image: UInt8) -> Float32:
    """Colours (h, w, 3) uint8 as (h, w) float32 whose bits are 0x00RRGGBB."""
    bgra = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGRA)
    bits = bgra.view('<u4')[..., 0]
    bits &= np.uint32(0x00FFFFFF)
    return bits.view(np.float32)
