"""Less LiDAR than a dataset has: fewer scan lines, or a few random points."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.datasets.scan_lines import KITTI_HDL64E, beam_count, thin_cloud, thin_depth
from depth_ros.errors import EvaluationError
from depth_ros.frame import Float32, Frame
from depth_ros.geometry.projection import project_lidar


class Thinning(NamedTuple):
    """What a method gets of the LiDAR; everything by default.

    Attributes:
        lines: number of scan lines that are left, evenly taken.
        points: number of random points that are left.
    """

    lines: int | None = None
    points: int | None = None

    @property
    def label(self) -> str:
        """Such as `16 lines`."""
        if self.lines is None:
            return 'all' if self.points is None else f'{self.points} points'
        return f'{self.lines} lines' + (f', {self.points} points' if self.points else '')

    def frame(self, sample: Sample, seed: int = 0) -> Frame:
        """The frame of a sample with what is left of its LiDAR; errors are those of the steps."""
        if self.lines is not None:
            sample = replace(sample, frame=thinned_frame(sample.frame, self.lines))
        if self.points is not None:
            return sampled_frame(sample, self.points, seed)
        return sample.frame


def thinned_frame(frame: Frame, lines: int) -> Frame:
    """A frame with every k-th scan line, such that a full turn of the LiDAR has so many.

    Lines are told apart by elevation, see `depth_ros.datasets.scan_lines`.

    Raises:
        DatasetError: the LiDAR has no scan lines, or `lines` does not divide their number.
        EvaluationError: there is no LiDAR, or only an image of it and no T_camera_lidar.
    """
    if frame.points is not None:
        return replace(frame, points=thin_cloud(frame.points, lines))
    if frame.sparse_m is None:
        raise EvaluationError('there is no LiDAR whose lines could be thinned; leave lines out.')
    if lines == beam_count(KITTI_HDL64E):
        return frame
    if frame.T_camera_lidar is None:
        raise EvaluationError(
            'the lines of sparse depth cannot be told apart without T_camera_lidar; give '
            "T_cam_lidar, or for KITTI's depth completion the calib_*.txt of the raw drives."
        )
    intrinsics = frame.camera.rectified
    sparse_m = thin_depth(frame.sparse_m, intrinsics, frame.T_camera_lidar, lines)
    return replace(frame, sparse_m=sparse_m)


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
    depth_m = _sparse_depth(sample.frame)
    if depth_m is None:
        depth_m = sample.depth_gt_m
    if depth_m is None:
        raise EvaluationError('there are no returns and no truth to take points from.')
    known = np.flatnonzero(np.isfinite(depth_m) & (depth_m > 0))
    rng = np.random.default_rng(image_seed(sample, seed))
    chosen = rng.choice(known, min(points, known.size), replace=False)
    sparse_m = np.zeros_like(depth_m)
    sparse_m.flat[chosen] = depth_m.flat[chosen]
    return replace(sample.frame, points=None, sparse_m=sparse_m, lidar_stamp_ns=None)


def image_seed(sample: Sample, seed: int) -> tuple[int, int]:
    """Of the name and not the stamp: the calibrator's own choice must be another one."""
    return seed, zlib.crc32(sample.name.encode())


def _sparse_depth(frame: Frame) -> Float32 | None:
    """All returns in the image (H, W) in metres, 0 = none, or None without LiDAR."""
    if frame.points is None or frame.T_camera_lidar is None:
        return frame.sparse_m
    return project_lidar(frame.points, frame.T_camera_lidar, frame.camera.rectified)
