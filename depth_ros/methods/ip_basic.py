"""IP-Basic, the published hand-made baseline, for comparison.

Source: Ku, Harakeh, Waslander, "In Defense of Classical Image Processing: Fast Depth
Completion on the CPU", CRV 2018; the variant "fast, Gaussian blur, extrapolated".
"""

from __future__ import annotations

import cv2
import numpy as np

from depth_ros.errors import MethodError
from depth_ros.frame import CameraView, DepthEstimate, Float32

MAX_DEPTH_M = 100.0
EMPTY_M = 0.1
DIAMOND_5 = np.array(
    [[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]],
    dtype=np.uint8,
)


def fill(sparse_m: Float32) -> Float32:
    """Dense depth (H, W) in metres, 0 = still empty, of sparse depth (H, W), 0 = none."""
    # Depth is inverted so that dilation, a maximum, lets the near return win (their step 1).
    depth = np.where(sparse_m > EMPTY_M, MAX_DEPTH_M - sparse_m, np.float32(0))
    depth = cv2.dilate(depth, DIAMOND_5)
    depth = cv2.morphologyEx(depth, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    depth = _fill_empty(depth, 7)
    # The topmost value of each column is copied upward, then large holes are filled.
    columns = np.arange(depth.shape[1])
    top = np.argmax(depth > EMPTY_M, axis=0)
    above = np.arange(depth.shape[0])[:, None] < top
    depth = np.where(above, depth[top, columns], depth)
    depth = _fill_empty(depth, 31)
    depth = cv2.medianBlur(depth, 5)
    depth = np.where(depth > EMPTY_M, cv2.GaussianBlur(depth, (5, 5), 0), depth)
    return np.where(depth > EMPTY_M, MAX_DEPTH_M - depth, np.float32(0))


def _fill_empty(depth: Float32, size: int) -> Float32:
    dilated = cv2.dilate(depth, np.ones((size, size), np.uint8))
    return np.where(depth < EMPTY_M, dilated, depth)


class IpBasic:
    """IP-Basic behind our interface; it has no uncertainty, so sigma is a share of depth."""

    name = 'ip_basic'
    needs_lidar = True
    relative_sigma = 0.05

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view without looking at its image."""
        if not view.sparse_m.any():
            raise MethodError('ip_basic needs LiDAR returns in the image, got none.')
        depth_m = fill(view.sparse_m)
        depth_m = np.where(depth_m > EMPTY_M, depth_m, np.float32(np.nan))
        return DepthEstimate(depth_m, np.float32(self.relative_sigma) * depth_m)
