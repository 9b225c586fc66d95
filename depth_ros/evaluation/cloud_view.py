"""A perspective picture of a coloured cloud, by z-buffered splatting."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.evaluation.figures import PAPER_RGB
from depth_ros.frame import Float64, UInt8

_SUPERSAMPLING = 2
_SPLAT_SIZES_PX = (1, 3, 5, 9, 13)


def cloud_picture(
    points: npt.NDArray[np.floating], colors: UInt8, width: int = 1280, height: int = 720
) -> UInt8:
    """A coloured cloud seen from above and behind the camera that made it.

    Args:
        points: (N, 3) in the optical frame (x right, y down, z forward) in metres; rows that
            are not finite, or behind the camera, are left out.
        colors: (N, 3) uint8 RGB.
        width: of the picture in pixels.
        height: of the picture in pixels.

    Raises:
        EvaluationError: points and colours do not match.
    """
    if points.ndim != 2 or points.shape[1] != 3 or colors.shape != points.shape:
        raise EvaluationError(
            f'points and colors must be (N, 3) alike, got {points.shape} and {colors.shape}.'
        )
    seen = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    seen_points = points[seen].astype(np.float64)
    canvas = np.full((height * _SUPERSAMPLING, width * _SUPERSAMPLING, 3), PAPER_RGB, np.uint8)
    if len(seen_points):
        R_view_cloud, eye = _viewpoint(seen_points)
        in_view = (seen_points - eye) @ R_view_cloud.T
        _splat(canvas, in_view, colors[seen], _spacing_m(seen_points))
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA))


def _viewpoint(points: Float64) -> tuple[Float64, Float64]:
    """Rotation (3, 3) into the view and position (3,) of the eye, from the extent of the cloud."""
    reach_m = float(np.median(points[:, 2]))
    target = np.array([0.0, np.median(points[:, 1]), reach_m])
    eye = target + reach_m * np.array([-0.45, -0.75, -1.25])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    return np.stack((right, np.cross(forward, right), forward)), eye


def _spacing_m(points: Float64) -> Float64:
    """Distance (N,) of each point to its neighbours, if rays are spread evenly over the view."""
    rays = points[:, :2] / points[:, 2:]
    low, high = np.quantile(rays, (0.01, 0.99), axis=0)
    ray_spacing: float = np.sqrt(np.prod(high - low) / len(points))
    return points[:, 2] * ray_spacing


def _splat(canvas: UInt8, points: Float64, colors: UInt8, spacing_m: Float64) -> None:
    """Draw points (N, 3) of the view frame as discs that close their spacing, nearest on top."""
    height, width, _ = canvas.shape
    focal_px = float(width)
    ahead = points[:, 2] > 0.05 * np.median(points[:, 2])
    z = np.where(ahead, points[:, 2], np.inf)
    column = np.round(points[:, 0] / z * focal_px + width / 2).astype(np.int64)
    row = np.round(points[:, 1] / z * focal_px + height / 2).astype(np.int64)
    size_px = focal_px * spacing_m / z
    inside = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    # Far to near: the place in this order is the nearness, and the largest in a pixel wins.
    order = np.argsort(-np.where(inside, z, np.inf), kind='stable')[np.count_nonzero(~inside) :]
    nearness = np.arange(order.size, dtype=np.float32)
    top = np.full((height, width), -1, np.float32)
    covered_px = 0.0
    for splat_px in _SPLAT_SIZES_PX:
        large = size_px[order] >= covered_px
        layer = np.full((height, width), -1, np.float32)
        layer[row[order][large], column[order][large]] = nearness[large]
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (splat_px, splat_px))
        np.maximum(top, cv2.dilate(layer, disc), out=top)
        # Discs on a square grid leave no gap if they are as wide as its diagonal.
        covered_px = splat_px / np.sqrt(2.0)
    drawn = top >= 0
    canvas[drawn] = colors[order[top[drawn].astype(np.int64)]]
