"""What `scene_statistics.py` measures in one image, of whatever sensor, real or simulated.

Depth is taken in cells of 1/90 rad (0.64 deg), each the median of what is in it, so that returns
and dense depth of any resolution go the same way; images are scaled to 4x4 pixels per cell.

- near, median, far depth [m]: 10, 50 and 90 % quantile over the cells.
- edges across, down [1/10 deg]: depth edges that a scan along a row, or down a column, crosses in
  10 deg of known cells: steps of more than 10 % where no plane fits, also across holes of 1 to 3
  cells.
- planar [%]: share of windows of 8x8 cells (5 deg) whose inverse depth a plane fits to 1 %.
- tilt [deg]: how far the camera looks down (or up): between its own vertical and that of the
  scene, which is the commonest normal of planar windows among those within 45 deg of the former.
- level [%]: share of planar windows with normals within 15 deg of the scene's vertical.
- slanted [%]: share of planar windows that are neither level nor within 15 deg of upright.
- contrast [%]: share of image pixels where the gradient is above 10 grey levels per pixel.
- texture [%]: share of those pixels, where depth is known, with no depth edge within a cell.
- returns [thousand]: pixels with a return; of sweeps only.
- holes [%]: share of the cells below the highest return of their column that hold none; of sweeps
  only, for the holes of depth cameras are not the scene's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from depth_ros.datasets.base import Sample
from depth_ros.frame import Bool, Float32, Float64, UInt8
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar, remove_occluded

CELLS_PER_RAD, PIXELS_PER_CELL = 90.0, 4
MARGIN = 0.3  # of `remove_occluded`, as in the pipeline
EDGE, UNEVEN, REACH = 0.10, 0.02, 4
FLAT, WINDOW, STRIDE, KNOWN = 0.01, 8, 4, 0.6
UPRIGHT_DEG, TILT_DEG = 15.0, 45.0
STRONG, BORDER = 10.0, 3  # grey levels; cells at the image's border that some cameras leave white
UNITS = {
    'near depth': 'm',
    'median depth': 'm',
    'far depth': 'm',
    'edges across': '/10 deg',
    'edges down': '/10 deg',
    'planar': '%',
    'tilt': 'deg',
    'level': '%',
    'slanted': '%',
    'contrast': '%',
    'texture': '%',
    'returns': 'thousand',
    'holes': '%',
}


Floats = npt.NDArray[np.floating]


class Measured(NamedTuple):
    """Of one image: the statistics by name, in `UNITS`, and what histograms are drawn of."""

    values: dict[str, float]
    depth_m: Floats
    gradient: Floats
    misfit_percent: Floats


class Cells(NamedTuple):
    """Coarse depth: what each cell (H, W) holds, NaN where nothing is known."""

    x: Float64  # of the ray with z = 1, in the camera
    y: Float64
    z_m: Float64


def measure(sample: Sample, by_returns: bool) -> Measured:
    """What is in a sample of a rectified camera, by the returns of its sweep or dense truth."""
    pinhole = sample.frame.camera.rectified
    seen_m = _returns(sample) if by_returns else sample.depth_gt_m
    assert seen_m is not None
    cells = cells_of(remove_occluded(seen_m, MARGIN) if by_returns else seen_m, pinhole)
    known = np.isfinite(cells.z_m)
    is_edge, rates = edges(cells)
    normals, misfit = planes(cells, WINDOW, STRIDE)
    fitted = misfit[np.isfinite(misfit)]
    gradient = gradients(sample.frame.image, pinhole)
    strong = gradient > STRONG
    tilt_deg, level, slanted = orientations(normals[misfit < FLAT])
    shares = (
        (fitted < FLAT).mean(),
        level,
        slanted,
        strong[BORDER:-BORDER, BORDER:-BORDER].mean(),
        _texture(strong.sum(axis=-1), is_edge, known),
    )
    percent = [100 * float(share) for share in shares]
    values = [*np.quantile(cells.z_m[known], (0.1, 0.5, 0.9)), *rates, percent[0], tilt_deg]
    values += percent[1:]
    if by_returns:
        below = np.logical_or.accumulate(known, axis=0)
        values += [(seen_m > 0).sum() / 1e3, 100 * (1 - known[below].mean())]
    by_name = dict(zip(UNITS, map(float, values), strict=False))
    return Measured(by_name, cells.z_m[known], gradient, 100 * fitted)


def _returns(sample: Sample) -> Float32 | None:
    frame = sample.frame
    if frame.points is None or frame.T_camera_lidar is None:
        return frame.sparse_m
    return project_lidar(frame.points, frame.T_camera_lidar, frame.camera.rectified)


def _grid(pinhole: Intrinsics) -> tuple[int, int]:
    """Rows and columns of the whole cells in an image."""
    rows, columns = pinhole.height / pinhole.fy, pinhole.width / pinhole.fx
    return int(CELLS_PER_RAD * rows), int(CELLS_PER_RAD * columns)


def cells_of(depth_m: Float32, pinhole: Intrinsics) -> Cells:
    """The pixel with the (lower) median depth of each cell, of depth (H, W), 0 = unknown."""
    height, width = _grid(pinhole)
    v, u = np.nonzero((depth_m > 0) & np.isfinite(depth_m))
    rows = (v * CELLS_PER_RAD / pinhole.fy).astype(np.intp)
    columns = (u * CELLS_PER_RAD / pinhole.fx).astype(np.intp)
    whole = (rows < height) & (columns < width)
    v, u, cell = v[whole], u[whole], (rows * width + columns)[whole]
    z_m = depth_m[v, u].astype(np.float64)
    order = np.lexsort((z_m, cell))
    filled, first, count = np.unique(cell[order], return_index=True, return_counts=True)
    chosen = order[first + (count - 1) // 2]
    found = np.full((3, height * width), np.nan)
    x, y = (u - pinhole.cx) / pinhole.fx, (v - pinhole.cy) / pinhole.fy
    found[:, filled] = np.stack((x, y, z_m))[:, chosen]
    return Cells(*found.reshape(3, height, width))


def planes(cells: Cells, size: int, stride: int) -> tuple[Float64, Float64]:
    """Planes through windows of cells: unit normals (h, w, 3), and the RMS misfit (h, w).

    A plane n p = 1 has the inverse depth n (x, y, 1). The misfit is a share of the mean inverse
    depth; NaN where too little of a window is known.
    """
    x, y, z_m = (sliding_window_view(part, (size, size))[::stride, ::stride] for part in cells)
    shape = (*z_m.shape[:2], size * size)
    known = np.isfinite(z_m).reshape(shape)
    inverse = np.where(known, 1 / z_m.reshape(shape), 0.0)
    rays = np.stack((x, y, np.ones_like(x)), axis=-1).reshape(*shape, 3)
    rays = np.where(known[..., None], rays, 0.0)
    enough = known.mean(axis=-1) >= KNOWN
    square = np.where(
        enough[..., None, None], np.einsum('...ki,...kj->...ij', rays, rays), np.eye(3)
    )
    plane = np.linalg.solve(square, np.einsum('...ki,...k->...i', rays, inverse)[..., None])
    off = (rays @ plane)[..., 0] - inverse
    count = np.where(enough, known.sum(axis=-1), np.nan)
    misfit = np.sqrt((off**2).sum(axis=-1) / count) / (inverse.sum(axis=-1) / count)
    length = np.linalg.norm(plane[..., 0], axis=-1, keepdims=True)
    return plane[..., 0] / np.maximum(length, 1e-12), misfit


def edges(cells: Cells) -> tuple[Bool, tuple[float, float]]:
    """Cells (H, W) at depth edges, and the edges crossed in 10 deg across and down.

    Ground seen at a grazing angle steps from cell to cell too, but a plane fits it.
    """
    uneven = np.zeros(cells.z_m.shape, dtype=bool)
    uneven[1:-1, 1:-1] = ~(planes(cells, 3, 1)[1] < UNEVEN)
    is_edge = np.zeros_like(uneven)
    log_z, rates = np.log(cells.z_m), []
    for z, rough, marked in ((log_z, uneven, is_edge), (log_z.T, uneven.T, is_edge.T)):
        crossed = span = 0
        for gap in range(1, REACH + 1):
            pair = np.isfinite(z[:, :-gap]) & np.isfinite(z[:, gap:])
            for hole in range(1, gap):
                pair &= ~np.isfinite(z[:, hole : hole - gap])
            steep = np.abs(z[:, gap:] - z[:, :-gap]) > np.log1p(EDGE)
            step = pair & steep & rough[:, :-gap] & rough[:, gap:]
            marked[:, :-gap] |= step
            marked[:, gap:] |= step
            crossed, span = crossed + int(step.sum()), span + gap * int(pair.sum())
        rates.append(crossed / span * np.radians(10.0) * CELLS_PER_RAD)
    return is_edge, (rates[0], rates[1])


def orientations(normals: Float64) -> tuple[float, float, float]:
    """Tilt of the camera in degrees, and share of unit normals (N, 3) that are level, and slanted.

    Slanted ones are neither level nor upright.
    """
    if not len(normals):
        return np.nan, np.nan, np.nan
    up = np.array((0.0, 1.0, 0.0))
    upwards = normals * np.sign(normals[:, 1:2])
    steep = upwards[upwards @ up > np.cos(np.radians(TILT_DEG))]
    if len(steep):
        alike = steep @ steep.T > np.cos(np.radians(UPRIGHT_DEG / 2))
        up = steep[alike.sum(axis=1).argmax()]
    share = np.abs(normals @ up)
    is_level = share > np.cos(np.radians(UPRIGHT_DEG))
    is_slanted = ~is_level & (share > np.sin(np.radians(UPRIGHT_DEG)))
    tilt_deg = np.degrees(np.arccos(np.clip(up[1], -1, 1)))
    return float(tilt_deg), float(is_level.mean()), float(is_slanted.mean())


def gradients(image: UInt8, pinhole: Intrinsics) -> Float32:
    """Gradient of the grey image, the pixels of each cell last (H, W, 16)."""
    height, width = _grid(pinhole)
    bottom, right = height * pinhole.fy / CELLS_PER_RAD, width * pinhole.fx / CELLS_PER_RAD
    grey = cv2.cvtColor(image[: round(bottom), : round(right)], cv2.COLOR_RGB2GRAY)
    size = (width * PIXELS_PER_CELL, height * PIXELS_PER_CELL)
    small = cv2.resize(grey.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    dx, dy = (cv2.Sobel(small, cv2.CV_32F, *of, scale=1 / 8) for of in ((1, 0), (0, 1)))
    blocks = np.hypot(dx, dy).reshape(height, PIXELS_PER_CELL, width, PIXELS_PER_CELL)
    return blocks.swapaxes(1, 2).reshape(height, width, -1)


def _texture(strong: Any, is_edge: Bool, known: Bool) -> float:
    """Share of strong pixels, counted by cell (H, W), with no depth edge within a cell."""
    close = cv2.dilate(is_edge.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return float(strong[known & ~close].sum() / max(strong[known].sum(), 1))
