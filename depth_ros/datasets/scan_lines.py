"""Which beam of a spinning LiDAR measured each return.

Some data says so (a column `ring`). Else a beam keeps its elevation while the LiDAR turns, so
returns tell their beam by it, seen from where the beams meet. In a block of lasers that is a point
on the axis at some height, a few centimetres ahead of or behind it: a return at height z and
horizontal range r is of elevation atan((z - height) / (r + setback)). At 10 m, 20 cm of height are
as much as three beams.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.errors import DatasetError
from depth_ros.frame import Bool, Float32, Float64
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.transforms import apply, inverse

Points = npt.NDArray[np.floating]
Lines = npt.NDArray[np.intp]

MIN_RANGE_M = 1.0
"""Returns nearer than this, (0, 0, 0) among them, do not tell an elevation well."""


class Block(NamedTuple):
    """Lasers of a LiDAR whose beams meet in one point.

    Attributes:
        elevations_deg: of the beams, from the topmost down.
        height_m: of the point above the origin of the LiDAR frame.
        setback_m: how far it lies behind the axis, as seen along the beam.
    """

    elevations_deg: tuple[float, ...]
    height_m: float = 0.0
    setback_m: float = 0.0


Blocks = tuple[Block, ...]

# fmt: off
KITTI_HDL64E: Blocks = (
    Block((
        1.94, 1.57, 1.30, 0.87, 0.58, 0.18, -0.09, -0.45, -0.80, -1.20, -1.49, -1.83, -2.21,
        -2.55, -2.87, -3.24, -3.54, -3.94, -4.22, -4.59, -4.91, -5.25, -5.61, -5.96, -6.33,
        -6.68, -7.00, -7.29, -7.68, -8.06, -8.31, -8.71,
    ), height_m=0.2065, setback_m=0.060),
    Block((
        -9.03, -9.57, -10.06, -10.47, -10.96, -11.60, -12.11, -12.56, -13.04, -13.48, -14.05,
        -14.60, -15.19, -15.66, -16.18, -16.55, -17.19, -17.73, -18.32, -18.80, -19.32, -19.74,
        -20.22, -20.79, -21.32, -21.93, -22.44, -22.86, -23.32, -23.97, -24.51, -25.00,
    ), height_m=0.1304, setback_m=0.032),
)
# fmt: on
"""The Velodyne HDL-64E of KITTI's car, measured on sweeps whose order of points gives the beams;
their returns lie within 0.01 degrees of it."""

_FITS_CLOUD_DEG, _FITS_PIXELS_DEG = 0.02, 0.04
"""Median distance to the nearest beam up to which returns are taken for that LiDAR's. Beams are
0.25 to 0.65 degrees apart, so those of another LiDAR are off by 0.1; a pixel is 0.08 high."""
_MOTIONS = np.linspace(-0.1, 0.6, 15)
"""What a car that reverses at 6 m/s or drives at 38 covers while the LiDAR turns by one radian."""
_GAP_DEG, _BEAM_DEG = 0.05, 0.25
"""Elevations farther apart than this are of two beams; returns of one beam within that."""
_FEW = 1e-3
"""Share of the returns below which a cluster of elevations is no beam."""


def beam_count(blocks: Blocks) -> int:
    """Number of beams of a LiDAR."""
    return sum(len(block.elevations_deg) for block in blocks)


def assign(points: Points, blocks: Blocks) -> tuple[Lines, Float64]:
    """The beam of each return.

    Args:
        points: (N, 3) in the LiDAR frame, z along its axis, metres.
        blocks: the LiDAR.

    Returns:
        Beam (N,) from 0, the topmost, and distance (N,) to its elevation in degrees.
    """
    x, y, z = points.T.astype(np.float64)
    range_m = np.hypot(x, y)
    line = np.zeros(len(points), np.intp)
    residual = np.full(len(points), np.inf)
    first = 0
    for block in blocks:
        elevation = np.degrees(np.arctan2(z - block.height_m, range_m + block.setback_m))
        beams = np.array(block.elevations_deg)
        nearest = np.searchsorted(-(beams[1:] + beams[:-1]) / 2, -elevation)
        distance = np.abs(elevation - beams[nearest])
        better = distance < residual
        line[better], residual[better] = first + nearest[better], distance[better]
        first += len(beams)
    return line, residual


def find_beams(points: Points) -> Blocks:
    """The LiDAR that a whole sweep is of: KITTI's, or the elevations that its returns cluster at.

    Args:
        points: (N, 3) in the LiDAR frame, z along its axis, metres.

    Raises:
        DatasetError: the returns do not lie on scan lines.
    """
    with np.errstate(invalid='ignore'):
        points = points[np.linalg.norm(points, axis=1) >= MIN_RANGE_M]
    if len(points) and np.median(assign(points, KITTI_HDL64E)[1]) < _FITS_CLOUD_DEG:
        return KITTI_HDL64E
    elevation = np.sort(np.degrees(np.arctan2(points[:, 2], np.hypot(*points.T[:2]))))
    clusters = np.split(elevation, np.flatnonzero(np.diff(elevation) > _GAP_DEG) + 1)
    clusters = [cluster for cluster in clusters if len(cluster) > _FEW * len(points)]
    beams = tuple(float(np.median(cluster)) for cluster in reversed(clusters))
    if len(beams) < 2 or max(np.ptp(cluster) for cluster in clusters) > _BEAM_DEG:
        raise DatasetError(
            f'{len(points)} returns do not lie on scan lines: no spinning LiDAR, its axis is not '
            'z, or the sweep was moved to another frame or corrected for motion.'
        )
    return (Block(beams),)


def keep_lines(beams: int, count: int) -> Bool:
    """Which of so many beams make a LiDAR of `count`: as evenly as can be, (beams,).

    Of 64 the middle one of each four make 16; of 40, every second or third. A beam without any
    return does not show, so one of sixteen may be lacking: then all are kept.

    Raises:
        DatasetError: there are fewer beams, or none is wanted.
    """
    if count < 1:
        raise DatasetError(f'At least 1 line must be left, got {count}.')
    if count > beams + beams // 16:
        raise DatasetError(f'The LiDAR has {beams} lines and cannot be thinned to {count}.')
    count = min(count, beams)
    kept = np.zeros(beams, bool)
    kept[(2 * np.arange(count) + 1) * beams // (2 * count)] = True
    return kept


def lines_of_cloud(points: Points, ring: Lines | None = None) -> tuple[Lines, int]:
    """The scan line (N,) of each return, 0 = the topmost, and how many lines there are.

    Args:
        points: (N, 3) in the LiDAR frame, z along its axis, metres.
        ring: (N,) number of the laser, from 0, in whatever order the driver counts; None where
            the data does not say, and elevations have to.

    Raises:
        DatasetError: as `find_beams`, where there is no ring.
    """
    if ring is not None and ring.size and ring.min() != ring.max():
        place = _places(points, ring)
        return place[ring], len(place)
    blocks = find_beams(points)
    with np.errstate(invalid='ignore'):
        line, _ = assign(np.nan_to_num(points), blocks)
    return line, beam_count(blocks)


def _places(points: Points, ring: Lines) -> Lines:
    """The place (B,) of each ring from the top: some drivers count upwards, or as lasers fire."""
    with np.errstate(invalid='ignore'):
        far = np.flatnonzero(np.linalg.norm(points, axis=1) >= MIN_RANGE_M)
    if not far.size:
        return np.arange(ring.max() + 1)
    x, y, z = points[far].T.astype(np.float64)
    elevation = np.arctan2(z, np.hypot(x, y))
    order = np.lexsort((elevation, ring[far]))
    numbers, first, count = np.unique(ring[far][order], return_index=True, return_counts=True)
    median = elevation[order][first + count // 2]
    # Rings without a return lie between their neighbours, if the numbers have any order at all.
    every = np.interp(np.arange(ring.max() + 1), numbers, median)
    place = np.empty(len(every), np.intp)
    place[np.argsort(-every, kind='stable')] = np.arange(len(every))
    return place


def lines_of_depth(sparse_m: Float32, intrinsics: Intrinsics, T_camera_lidar: Float64) -> Lines:
    """The scan line of each return (M,) of KITTI's LiDAR in sparse depth (H, W), row by row.

    Pixels are moved back into the LiDAR frame; rounding to pixels costs at most 0.04 degrees.

    Args:
        sparse_m: (H, W) depth in metres, 0 = none.
        intrinsics: of the rectified camera.
        T_camera_lidar: (4, 4), LiDAR into a camera that looks ahead.

    Raises:
        DatasetError: the returns are not of this LiDAR.
    """
    rows, columns = np.nonzero(sparse_m)
    pixels = np.stack((columns, rows), axis=-1).astype(np.float64)
    points = intrinsics.unproject(pixels, sparse_m[rows, columns].astype(np.float64))
    line, residual = assign(_as_measured(apply(inverse(T_camera_lidar), points)), KITTI_HDL64E)
    if residual.size and np.median(residual) > _FITS_PIXELS_DEG:
        raise DatasetError(
            f'sparse depth is {np.median(residual):.2f} degrees off the beams of a Velodyne '
            'HDL-64E, the only LiDAR whose lines are known; give the sweep itself, not its image.'
        )
    return line


def _as_measured(points: Points) -> Points:
    """Returns (N, 3) ahead of the car before they were moved to where it was at one instant.

    KITTI corrects its depth maps for the motion of the car. That lifts near ground by as much as
    the next beam, so it is undone: the motion is the one with which returns lie on beams best.
    """
    x, y = points[:, 0], points[:, 1]
    ahead = np.zeros_like(points)
    ahead[:, 0] = np.arctan2(y, x)
    some = np.flatnonzero(np.hypot(x, y) < 20.0)[::4]  # far ones hardly move
    if not some.size:
        return points
    off_deg = [assign((points + motion * ahead)[some], KITTI_HDL64E)[1] for motion in _MOTIONS]
    return points + _MOTIONS[np.argmin(np.mean(off_deg, axis=1))] * ahead
