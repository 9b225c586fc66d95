"""Dense depth to an organised, coloured cloud with sigma."""

from __future__ import annotations

import cv2
import numpy as np

from depth_ros.errors import GeometryError
from depth_ros.frame import Float32, UInt8
from depth_ros.geometry.camera import Intrinsics

CLOUD_FIELDS = ('x', 'y', 'z', 'rgb', 'sigma')
"""Channels of a cloud array, all float32; `rgb` holds the bits 0x00RRGGBB, as PCL packs it."""


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
) -> None:
    """Write the cloud of a depth map in place; NaN and infinite depth gives NaN points.

    Args:
        cloud: (h, w, 5) C-contiguous float32 of `cloud_shape`, in the order of `CLOUD_FIELDS`;
            x, y, z in the optical frame in metres, sigma in metres. May be a message's memory.
        depth_m: (H, W) metres along the optical axis.
        sigma_m: (H, W) metres.
        image: (H, W, 3) uint8 RGB.
        intrinsics: the pinhole camera of all three.
        stride: every n-th row and column is taken.

    Raises:
        GeometryError: `cloud` has another shape.
    """
    check_cloud(cloud, intrinsics, stride)
    z = depth_m[::stride, ::stride]
    z = np.where(z < np.inf, z, np.float32(np.nan))
    u = np.arange(0, intrinsics.width, stride, dtype=np.float32)
    v = np.arange(0, intrinsics.height, stride, dtype=np.float32)
    x = z * ((u - np.float32(intrinsics.cx)) / np.float32(intrinsics.fx))
    y = z * ((v - np.float32(intrinsics.cy)) / np.float32(intrinsics.fy))[:, None]
    sigma = np.ascontiguousarray(sigma_m[::stride, ::stride])
    cv2.merge((x, y, z, packed_rgb(image[::stride, ::stride]), sigma), cloud)


def packed_rgb(image: UInt8) -> Float32:
    """Colours (h, w, 3) uint8 as (h, w) float32 whose bits are 0x00RRGGBB."""
    bgra = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGRA)
    bits = bgra.view('<u4')[..., 0]
    bits &= np.uint32(0x00FFFFFF)
    return bits.view(np.float32)
