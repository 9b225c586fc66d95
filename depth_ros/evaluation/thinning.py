"""Less LiDAR than a dataset has: fewer scan lines, points, a rosette; and what judges it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.datasets.scan_lines import (
    KITTI_HDL64E,
    Lines,
    beam_count,
    keep_lines,
    lines_of_cloud,
    lines_of_depth,
)
from depth_ros.errors import EvaluationError
from depth_ros.frame import Bool, Float32, Frame
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar
from depth_ros.methods.base import DepthMethod
from depth_ros.pipeline.calibration import hold_out
from depth_ros.simulation.lidar import Lidar, LidarConfig

JUDGING_LINES = 8
"""Where a row gets all scan lines, every eighth judges instead, if no other row gets it."""


class Thinning(NamedTuple):
    """What a method gets of the LiDAR; everything by default.

    Attributes:
        lines: number of scan lines that are left, evenly taken.
        points: number of random points that are left.
        rosette: what is left lies where a solid-state LiDAR's shots are, see `in_rosette`.
    """

    lines: int | None = None
    points: int | None = None
    rosette: bool = False

    @property
    def label(self) -> str:
        """Such as `16 lines`."""
        named = (
            f'{self.lines} lines' if self.lines is not None else '',
            'rosette' if self.rosette else '',
            f'{self.points} points' if self.points is not None else '',
        )
        return ', '.join(filter(None, named)) or 'all'

    def frame(self, sample: Sample, seed: int = 0) -> Frame:
        """The frame of a sample with what is left of its LiDAR; errors are those of the steps."""
        if self.lines is not None:
            sample = replace(sample, frame=thinned_frame(sample, self.lines))
        return self.sampled(sample, seed)

    def sampled(self, sample: Sample, seed: int) -> Frame:
        """The frame of a sample with what is in the `rosette`, and so many `points`, if set."""
        if self.rosette:
            depth_m = _known_depth(sample)
            where = in_rosette(sample.frame.camera.rectified, image_seed(sample, seed))
            sample = replace(sample, frame=_with_depth(sample.frame, depth_m * where))
        return sample.frame if self.points is None else sampled_frame(sample, self.points, seed)


class Split(NamedTuple):
    """The LiDAR of a sample without truth: what a method gets of it, and what judges it."""

    seen: Frame
    judges: Frame


def thinned_frame(sample: Sample, lines: int) -> Frame:
    """The frame of a sample with `lines` scan lines of a full turn, taken as evenly as can be.

    Raises:
        DatasetError: the LiDAR has no scan lines, or fewer.
        EvaluationError: there is no LiDAR, or only an image of it and no T_camera_lidar.
    """
    frame = sample.frame
    if frame.points is None and frame.sparse_m is not None and lines == beam_count(KITTI_HDL64E):
        return frame
    line, beams = lines_of(sample)
    return _with_returns(frame, keep_lines(beams, lines)[line])


def lines_of(sample: Sample) -> tuple[Lines, int]:
    """The scan line of each return, 0 = the topmost, and how many lines the LiDAR has.

    Returns are the points of the frame, or else the pixels of its sparse depth, row by row. Lines
    are told by the rings of the sample, else by elevation (`depth_ros.datasets.scan_lines`).

    Raises:
        DatasetError: the LiDAR has no scan lines.
        EvaluationError: there is no LiDAR, or only an image of it and no T_camera_lidar.
    """
    frame = sample.frame
    if frame.points is not None:
        return lines_of_cloud(frame.points, sample.ring)
    if frame.sparse_m is None:
        raise EvaluationError(
            'There is no LiDAR whose lines could be thinned; --points N takes pixels of the '
            'ground truth instead.'
        )
    if frame.T_camera_lidar is None:
        raise EvaluationError(
            'The lines of sparse depth cannot be told apart without T_camera_lidar; give '
            "T_cam_lidar, or for KITTI's depth completion the calib_*.txt of the raw drives."
        )
    line = lines_of_depth(frame.sparse_m, frame.camera.rectified, frame.T_camera_lidar)
    return line, beam_count(KITTI_HDL64E)


def sampled_frame(sample: Sample, points: int, seed: int = 0) -> Frame:
    """A frame whose sparse depth is random pixels: LiDAR returns, or truth where there are none.

    Args:
        sample: with LiDAR, or with `depth_gt_m`.
        points: number of pixels, or all if there are fewer.
        seed: of the choice, which does not depend on other images.

    Raises:
        EvaluationError: the sample has neither, or `points` is not positive.
    """
    if points < 1:
        raise EvaluationError(f'points must be at least 1, got {points}.')
    depth_m = _known_depth(sample)
    known = np.flatnonzero(depth_m)
    rng = np.random.default_rng(image_seed(sample, seed))
    chosen = rng.choice(known, min(points, known.size), replace=False)
    sparse_m = np.zeros_like(depth_m)
    sparse_m.flat[chosen] = depth_m.flat[chosen]
    return _with_depth(sample.frame, sparse_m)


def in_rosette(camera: Intrinsics, seed: tuple[int, int]) -> Bool:
    """Pixels (H, W) that shots of a rosette over the whole image hit, or their neighbours do."""
    fov_deg = [
        math.degrees(2 * math.atan(side / (2 * f)))
        for side, f in ((camera.width, camera.fx), (camera.height, camera.fy))
    ]
    lidar = LidarConfig(
        pattern='solid_state', fov_h_deg=min(fov_deg[0], 120.0), fov_v_deg=min(fov_deg[1], 120.0)
    )
    beams = Lidar(lidar).beams(int(np.random.default_rng(seed).integers(1 << 16))).directions
    u = np.rint((camera.width - 1) / 2 - camera.fx * beams[:, 1] / beams[:, 0]).astype(int)
    v = np.rint((camera.height - 1) / 2 - camera.fy * beams[:, 2] / beams[:, 0]).astype(int)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    hit = np.zeros((camera.height, camera.width), np.uint8)
    hit[v[inside], u[inside]] = 1
    return cv2.dilate(hit, np.ones((3, 3), np.uint8)) > 0


def split(
    sample: Sample, step: Thinning, rows: Sequence[Thinning], share: float, seed: int = 0
) -> Split:
    """What a method gets of a sample without truth, and the returns that judge it and all rows.

    Returns that no row gets judge: lines or points that were taken away. Where a row would get
    all lines, or draw points from all, an eighth of the lines, which the others lack anyway, is
    kept from that one, too. Where nothing else is left to judge, it is windows of the returns in
    the image (`pipeline.calibration.hold_out`).

    Args:
        sample: with LiDAR and without truth.
        step: what the method gets.
        rows: everything whose scores are to be compared, `step` among them.
        share: of the returns in the image that such windows take.
        seed: of random points and windows.

    Raises:
        DatasetError: as `thinned_frame`.
        EvaluationError: as `thinned_frame`, or there is no LiDAR.
    """
    frame = sample.frame
    if any(row.lines is not None for row in rows):
        line, beams = lines_of(sample)
        judging = _judging_lines(beams, rows)
        if judging.any():
            kept = keep_lines(beams, step.lines or beams) & ~judging
            seen = _with_returns(frame, kept[line])
            ring = None if sample.ring is None else sample.ring[kept[line]]
            seen = step.sampled(replace(sample, frame=seen, ring=ring), seed)
            return Split(seen, _with_returns(frame, judging[line]))
    depth_m = _sparse_depth(frame)
    if depth_m is None:
        raise EvaluationError('There is neither ground truth nor LiDAR to judge by.')
    if all(row.points is not None for row in rows):
        judges_m = depth_m.copy()
        for row in rows:
            judges_m[_depth_of(row.frame(sample, seed)) > 0] = 0.0
        return Split(step.frame(sample, seed), _with_depth(frame, judges_m))
    rest_m, judges_m = hold_out(depth_m, share, image_seed(sample, seed))
    rest = replace(sample, frame=_with_depth(frame, rest_m), ring=None)
    return Split(step.sampled(rest, seed), _with_depth(frame, judges_m))


def refuse_without_lidar(sample: Sample, method: DepthMethod) -> None:
    """Name the way out where a method has truth, but no LiDAR to complete.

    Raises:
        EvaluationError: that is so.
    """
    frame = sample.frame
    if method.needs_lidar and frame.points is None and frame.sparse_m is None:
        instead = 'the method mono needs none'
        if sample.depth_gt_m is not None:
            instead = (
                f'with --points N it takes N random pixels of the ground truth, and {instead}'
            )
        raise EvaluationError(f'There is no LiDAR for {method.name} to complete; {instead}.')


def image_seed(sample: Sample, seed: int) -> tuple[int, int]:
    """Of the name and not the stamp: the calibrator's own choice must be another one."""
    return seed, zlib.crc32(sample.name.encode())


def _judging_lines(beams: int, rows: Sequence[Thinning]) -> Bool:
    """Which lines (B,) of a LiDAR judge these rows; none where every row has them all."""
    gets = [keep_lines(beams, row.lines or beams) for row in rows]
    spare = ~np.any([kept for kept in gets if not kept.all()] or [np.ones(beams, bool)], axis=0)
    if any(kept.all() for kept in gets) and spare.any():
        enclosed = spare.copy()
        enclosed[[0, -1]] = False  # there a method would have to extrapolate
        places = np.flatnonzero(enclosed if enclosed.any() else spare)
        spare = np.isin(np.arange(beams), places)
        wanted = min(max(1, beams // JUDGING_LINES), places.size)
        spare[places[~keep_lines(places.size, wanted)]] = False
    return spare


def _with_returns(frame: Frame, mask: Bool) -> Frame:
    """A frame with those of its returns, points or pixels of sparse depth, that a mask has."""
    if frame.points is not None:
        return replace(frame, points=frame.points[mask])
    assert frame.sparse_m is not None
    rows, columns = np.nonzero(frame.sparse_m)
    sparse_m = frame.sparse_m.copy()
    sparse_m[rows[~mask], columns[~mask]] = 0.0
    return replace(frame, sparse_m=sparse_m)


def _with_depth(frame: Frame, sparse_m: Float32) -> Frame:
    return replace(frame, points=None, sparse_m=sparse_m, lidar_stamp_ns=None)


def _depth_of(frame: Frame) -> Float32:
    depth_m = _sparse_depth(frame)
    assert depth_m is not None
    return depth_m


def _known_depth(sample: Sample) -> Float32:
    """Depth (H, W) of the LiDAR returns of a sample, or its truth without LiDAR; 0 = none.

    Raises:
        EvaluationError: there is neither.
    """
    depth_m = _sparse_depth(sample.frame)
    if depth_m is None:
        depth_m = sample.depth_gt_m
    if depth_m is None:
        raise EvaluationError('there are no returns and no truth to take points from.')
    return np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(0))


def _sparse_depth(frame: Frame) -> Float32 | None:
    """All returns in the image (H, W) in metres, 0 = none, or None without LiDAR."""
    if frame.points is None or frame.T_camera_lidar is None:
        return frame.sparse_m
    return project_lidar(frame.points, frame.T_camera_lidar, frame.camera.rectified)
