"""Nearest-return fill, the plainest baseline: it leaves nothing empty at any size of image."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import MethodError
from depth_ros.frame import CameraView, DepthEstimate


def fill_nearest(depth_m: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Give each unknown pixel of a map (H, W) the depth of the nearest known one.

    Unknown is what is not finite or not positive. Nearest is by Euclidean distance in pixels, in
    the 5x5 chamfer approximation of OpenCV (Borgefors, 1986; off by at most 2 %). Where nothing
    is known, the result is NaN everywhere.
    """
    known = np.isfinite(depth_m) & (depth_m > 0)
    if not known.any():
        return np.full_like(depth_m, np.nan)
    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Each known pixel has a label of its own, and every other the label of its nearest one.
    value_of = np.empty(int(label.max()) + 1, depth_m.dtype)
    value_of[label[known]] = depth_m[known]
    return np.where(known, depth_m, value_of[label])


class Nearest:
    """Every pixel has the depth of its nearest return; no uncertainty, so a share of depth."""

    name = 'nearest'
    needs_lidar = True
    relative_sigma = 0.05

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view without looking at its image.

        Raises:
            MethodError: there is no return in it.
        """
        if not view.sparse_m.any():
            raise MethodError('nearest needs LiDAR returns in the image, got none.')
        depth_m = fill_nearest(view.sparse_m)
        return DepthEstimate(depth_m, np.float32(self.relative_sigma) * depth_m)
