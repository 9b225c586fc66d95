"""Image-guided completion without a network: the embedded default on CPU."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import MethodError
from depth_ros.frame import Bool, CameraView, DepthEstimate, Float32, UInt8
from depth_ros.geometry.projection import mean_spacing_px
from depth_ros.methods.plane_pyramid import Planes, bounded, fit_planes, halve, refine, smooth

MIN_RETURNS = 16
"""Fewer returns cannot say anything about a whole image."""


class Guided:
    """Local planes in inverse depth through the returns, steered by the image.

    Args:
        extrapolate: also fill above the highest return, with the planes found below.
    """

    name = 'guided'
    needs_lidar = True

    def __init__(self, extrapolate: bool = False) -> None:
        self.extrapolate = extrapolate

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view.

        Raises:
            MethodError: fewer than `MIN_RETURNS` returns lie in the image.
        """
        found = view.sparse_m > 0
        if np.count_nonzero(found) < MIN_RETURNS:
            raise MethodError(
                f'guided needs at least {MIN_RETURNS} LiDAR returns in the image, got '
                f'{np.count_nonzero(found)}; check the extrinsic and the range limits.'
            )
        top = np.zeros(view.intrinsics.width, np.int32)
        if not self.extrapolate:
            top = top_of_lidar(view.sparse_m)
        depth_m, sigma_m = complete_below(view.image, view.sparse_m, int(top.min()))
        sigma_m *= SIGMA_SCALE
        above = rows_above(top, view.intrinsics.height)
        depth_m[above] = sigma_m[above] = np.nan
        return DepthEstimate(depth_m, sigma_m)


SIGMA_SCALE = np.float32(0.45)
"""What remains of sigma: its parts are bounds, which seldom hold all at once. Fitted on simulation
and half of the real sets: docs/uncertainty.md."""
FLOOR_M = 0.005
"""Floor of sigma: what remains of a LiDAR's range noise where planes average it."""
INVERSE_FLOOR = 3e-4
"""Floor of sigma in inverse depth [1/m]: 3 cm at 10 m, 0.5 m at 40 m."""
REGISTRATION_PX = 1.0
"""Uncertainty of where a return belongs in the image."""


def complete_below(image: UInt8, sparse_m: Float32, row: int) -> tuple[Float32, Float32]:
    """As `complete`, but nothing is computed above a row: there each column repeats that row."""
    depth_m, sigma_m = np.empty((2, *sparse_m.shape), dtype=np.float32)
    depth_m[row:], sigma_m[row:] = complete(image[row:], sparse_m[row:])
    depth_m[:row], sigma_m[:row] = depth_m[row], sigma_m[row]
    return depth_m, sigma_m


def complete(image: UInt8, sparse_m: Float32) -> tuple[Float32, Float32]:
    """Depth and a bound of its sigma (H, W) in metres of an image (H, W, 3) and its returns."""
    found = sparse_m > 0
    mask = found.astype(np.float32)
    inverse = np.divide(mask, np.where(found, sparse_m, np.float32(1.0)))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    planes = bounded(fit_planes(inverse, mask, grey), inverse, mask, mean_spacing_px(sparse_m))
    value, left_out = refine(planes, inverse, mask)
    # Planes may leave the range of what was measured where they run far from any return.
    np.clip(value, 0.9 / sparse_m.max(), 1.1 * inverse.max(), out=value)
    depth_m = 1.0 / value
    # A step of inverse depth is a step of depth times depth squared.
    sigma_m = _raw_sigma(planes, left_out, mask, grey) * depth_m * depth_m + FLOOR_M
    return depth_m, sigma_m


def _raw_sigma(planes: Planes, left_out: Float32, mask: Float32, grey: UInt8) -> Float32:
    """Sigma of inverse depth (H, W) [1/m] before calibration.

    Spread: how badly the others predict each return around a pixel. Slope: a return may belong
    to the next pixel. Both grow with the distance to support, faster where image edges lie,
    since an edge between a pixel and its support may be a depth edge.

    Args:
        planes: the fit at half size.
        left_out: (H, W) leave-one-out residuals at the returns, 0 elsewhere.
        mask: (H, W) 1 at returns, 0 elsewhere.
        grey: (H, W) luminance.
    """
    # All of it varies slowly, so half size will do.
    density = halve(mask)
    spread = np.sqrt(smooth(halve(left_out * left_out), density))
    slope = 0.5 * cv2.magnitude(planes.du, planes.dv)
    nothing = (density == 0).view(np.uint8)
    distance_px = 2.0 * cv2.distanceTransform(nothing, cv2.DIST_L2, 3)
    edges = _edges(halve(grey, cv2.BORDER_REPLICATE))
    # Linear as other things may lie between, quadratic as the slope of a plane is uncertain.
    growth = 1.0 + distance_px * (0.1 + 0.03 * edges + 0.03 * distance_px)
    sigma = (spread + REGISTRATION_PX * slope + INVERSE_FLOOR) * growth
    return cv2.resize(sigma, None, fx=2, fy=2)[: grey.shape[0], : grey.shape[1]]


def _edges(grey: UInt8) -> Float32:
    """Strength of image edges around each pixel, 0 none to 3 strong; 1 = 10 grey levels/pixel."""
    blurred = cv2.GaussianBlur(grey, (3, 3), 0)
    du, dv = cv2.Sobel(blurred, cv2.CV_16S, 1, 0), cv2.Sobel(blurred, cv2.CV_16S, 0, 1)
    # A Sobel response of 8 is a slope of one grey level per pixel.
    strength = cv2.addWeighted(cv2.convertScaleAbs(du), 0.5, cv2.convertScaleAbs(dv), 0.5, 0)
    strength = cv2.dilate(strength, np.ones((3, 3), np.uint8))
    return np.minimum(strength.astype(np.float32) * np.float32(1 / 80), np.float32(3.0))


def top_of_lidar(sparse_m: Float32) -> npt.NDArray[np.int32]:
    """First row (W,) that the LiDAR sees in each column; H where it sees nothing.

    Columns that lack a high return, four spacings of them at most, borrow their neighbours'
    (a morphological opening, which leaves steps such as the edge of a pillar in place); all
    reach one spacing above their return.
    """
    reach = int(np.ceil(2 * mean_spacing_px(sparse_m)))
    height = sparse_m.shape[0]
    found = sparse_m > 0
    top = np.where(found.any(axis=0), np.argmax(found, axis=0), height).astype(np.uint16)
    window = np.ones((1, 2 * reach + 1), np.uint8)
    top = cv2.morphologyEx(top[None], cv2.MORPH_OPEN, window)[0].astype(np.int32)
    return np.where(top < height, np.maximum(top - reach // 2, 0), height)


def rows_above(top: npt.NDArray[np.int32], height: int) -> Bool:
    """Mask (height, W) of the pixels above the first row (W,) of each column."""
    return np.arange(height, dtype=np.int32)[:, None] < top
