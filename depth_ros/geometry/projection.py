"""LiDAR returns to sparse depth: which are usable, projection, z-buffer, occlusion filter."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import GeometryError
from depth_ros.frame import Bool, Float32, Float64
from depth_ros.geometry.camera import Intrinsics

NEAR_PLANE_M = 0.1
"""Returns nearer to the image plane than this have no stable projection."""


def usable_returns(
    points: npt.NDArray[np.floating],
    min_range_m: float,
    max_range_m: float,
    ego_box: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> Bool:
    """Mask (N,) of the returns that measure the world.

    Out go NaN and infinite returns, (0, 0, 0) (a driver's mark for no echo), those outside
    [min_range_m, max_range_m] from the LiDAR, and those inside the robot's own box.

    Args:
        points: (N, 3) in the LiDAR frame, metres.
        min_range_m: nearest range kept.
        max_range_m: farthest range kept.
        ego_box: lower and upper corner (3,) of the robot in the LiDAR frame, metres.
    """
    x, y, z = points.T
    with np.errstate(over='ignore'):
        range2 = x * x + y * y + z * z
    # NaN compares false and an infinite range is beyond every maximum, so both drop out here.
    keep: Bool = (range2 > 0) & (range2 >= min_range_m**2) & (range2 <= max_range_m**2)
    if ego_box is not None:
        lower, upper = np.asarray(ego_box, dtype=points.dtype)
        keep &= ~((points >= lower) & (points <= upper)).all(axis=1)
    return keep


def returns_in_view(
    points: npt.NDArray[np.floating], T_camera_lidar: Float64, intrinsics: Intrinsics
) -> npt.NDArray[np.floating]:
    """The points (M, 3) of a sweep (N, 3) that a rectified camera has in its image.

    Most of a spinning LiDAR's sweep lies behind the camera: what follows gets shorter work.
    """
    return points.take(indices_in_view(points, T_camera_lidar, intrinsics), axis=0)


def indices_in_view(
    points: npt.NDArray[np.floating], T_camera_lidar: Float64, intrinsics: Intrinsics
) -> npt.NDArray[np.intp]:
    """Which (M,) of the points (N, 3) `returns_in_view` keeps."""
    with np.errstate(invalid='ignore', over='ignore'):  # NaN and Inf are not in view
        u, v, z = _homogeneous(points, T_camera_lidar, intrinsics)
        # Integer (u, v) is a pixel's centre, so pixel i covers [i - 0.5, i + 0.5).
        seen = (z > NEAR_PLANE_M) & (u >= -0.5 * z) & (v >= -0.5 * z)
        seen &= (u < (intrinsics.width - 0.5) * z) & (v < (intrinsics.height - 0.5) * z)
    return np.flatnonzero(seen)


def project_lidar(
    points: npt.NDArray[np.floating], T_camera_lidar: Float64, intrinsics: Intrinsics
) -> Float32:
    """Project returns into a rectified camera; the nearest return of a pixel wins.

    Args:
        points: (N, 3) in the LiDAR frame, metres; those out of view or not finite are ignored.
        T_camera_lidar: (4, 4), `p_camera = T_camera_lidar @ p_lidar`.
        intrinsics: the rectified pinhole camera.

    Returns:
        (H, W) float32 depth along the optical axis in metres, 0 = no return.
    """
    seen = returns_in_view(points, T_camera_lidar, intrinsics)
    index, z = pixels_of(seen, T_camera_lidar, intrinsics)
    nearest = np.full(intrinsics.height * intrinsics.width, np.inf, dtype=np.float32)
    np.minimum.at(nearest, index, z)
    sparse_m = np.zeros((intrinsics.height, intrinsics.width), dtype=np.float32)
    sparse_m.put(index, nearest.take(index))
    return sparse_m


def pixels_of(
    points: npt.NDArray[np.floating], T_camera_lidar: Float64, intrinsics: Intrinsics
) -> tuple[npt.NDArray[np.intp], Float32]:
    """Flat index of the pixel, and depth in metres, both (N,), of points (N, 3) in view."""
    u, v, z = _homogeneous(points, T_camera_lidar, intrinsics)
    # Rounding may carry a pixel on the border over it.
    columns = np.clip(np.rint(u / z), 0, intrinsics.width - 1).astype(np.intp)
    rows = np.clip(np.rint(v / z), 0, intrinsics.height - 1).astype(np.intp)
    return rows * intrinsics.width + columns, z


def projection_rows(T_camera_lidar: Float64, intrinsics: Intrinsics) -> list[list[float]]:
    """Rows of K [R t]: what times (x, y, z, 1) gives u z, v z and z, rounded to float32."""
    rows: list[list[float]] = (intrinsics.matrix @ T_camera_lidar[:3]).astype(np.float32).tolist()
    return rows


def _homogeneous(
    points: npt.NDArray[np.floating], T_camera_lidar: Float64, intrinsics: Intrinsics
) -> tuple[Float32, Float32, Float32]:
    """Homogeneous pixels u z, v z and z, each (N,), of points (N, 3)."""
    rows = projection_rows(T_camera_lidar, intrinsics)
    x, y, z = points.T.astype(np.float32, copy=False)
    # No `@` here: BLAS splits it over threads, which wait for one another on a busy machine.
    u_z, v_z, depth = (a * x + b * y + c * z + d for a, b, c, d in rows)
    return u_z, v_z, depth


def mean_spacing_px(sparse_m: Float32) -> float:
    """Mean distance between returns in pixels: 1 / sqrt(density) within their bounding box.

    Raises:
        GeometryError: there is no return.
    """
    found = (sparse_m > 0).view(np.uint8)
    _, _, width, height = cv2.boundingRect(found)
    return spacing_px(width * height, cv2.countNonZero(found))


def spacing_px(pixels: int, returns: int) -> float:
    """Mean distance in pixels between returns that are spread over so many pixels.

    Raises:
        GeometryError: there is no return.
    """
    if returns == 0:
        raise GeometryError('No LiDAR return falls into the image; check the extrinsic.')
    return math.sqrt(pixels / returns)


def occlusion_window(width_px: int) -> tuple[int, int]:
    """Height and width in pixels, both odd, of the window of `remove_occluded`."""
    width = width_px | 1
    return int(1.4 * width) | 1, width


def occlusion_width_px(mean_spacing_px: float) -> int:
    """Width of that window for returns of a density, 3 to 31 pixels."""
    return min(max(int(1.25 * mean_spacing_px), 3), 31)


def remove_occluded(sparse_m: Float32, margin: float, window_px: int = 0) -> Float32:
    """Drop returns that the camera cannot see because something nearer covers them.

    A camera beside the LiDAR looks past a foreground object whose returns are sparse, so that
    background returns shine through it. A return goes if a window around it holds one whose
    inverse depth is larger by more than `margin`, relatively. The margin also has to let the
    slope of the ground pass, hence a share of depth and not metres.

    Args:
        sparse_m: (H, W) depth in metres, 0 = none.
        margin: relative excess of depth, > 0.
        window_px: width of the window, an even one is made odd; its height is 1.4 times that,
            since scan lines lie further apart than the returns on them. 0 takes 1.25 times the
            mean spacing, from 3 to 31 pixels.
    """
    window = occlusion_window(window_px or occlusion_width_px(mean_spacing_px(sparse_m)))
    index = np.flatnonzero(sparse_m > 0)
    inverse = 1.0 / sparse_m.take(index)
    nearest = np.zeros_like(sparse_m)
    nearest.put(index, inverse)
    nearest = cv2.dilate(nearest, np.ones(window, dtype=np.uint8))
    covered = nearest.take(index) > inverse * (1.0 + margin)
    visible_m = sparse_m.copy()
    visible_m.put(index[covered], 0.0)
    return visible_m
