"""How the benchmarks of the field judge depth completion: crops, inputs, ranges, metrics.

All share that a method gets every return, so nothing is held out and sigma is the raw one, and
that every pixel with truth counts: what a method leaves out is filled from the nearest estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.datasets.base import Sample
from depth_ros.datasets.images import store_depth
from depth_ros.datasets.kitti import DEPTH_ENCODING
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.thinning import Thinning
from depth_ros.frame import Float32, UInt8
from depth_ros.geometry.camera import Camera
from depth_ros.methods.nearest import fill_nearest

SETTINGS = MappingProxyType({'calibration.enabled': False, 'output.scale': 1.0})
"""Settings of the pipeline under a protocol."""


@dataclass(frozen=True)
class Protocol:
    """How a benchmark judges.

    Attributes:
        view: the part of a sample that is judged, at the benchmark's size; may raise
            `EvaluationError`.
        judged: the depth (H, W) in metres that is judged, dense, of an estimate with NaN.
        columns: what is reported.
        thinning: what a method gets unless it is told otherwise; None = everything.
    """

    view: Callable[[Sample], Sample]
    judged: Callable[[Float32], Float32]
    columns: tuple[str, ...]
    thinning: Thinning | None = None


KITTI_WIDTH, KITTI_HEIGHT = 1216, 352
NYU_WIDTH, NYU_HEIGHT = 304, 228
NYU_POINTS = 500
_NYU_TAPS = np.array([[0.125, 0.375, 0.375, 0.125]], np.float32)


def crop(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    """A window of a sample whose camera is rectified; clouds and poses stay as they are.

    Raises:
        EvaluationError: the camera has distortion, or the window is not within the image.
    """
    frame, intrinsics = sample.frame, sample.frame.camera.intrinsics
    if frame.camera != Camera(intrinsics):
        raise EvaluationError('the image is not rectified, which this protocol takes for granted.')
    if min(left, top) < 0 or left + width > intrinsics.width or top + height > intrinsics.height:
        raise EvaluationError(
            f'the image of {intrinsics.width}x{intrinsics.height} pixels has no window of '
            f'{width}x{height} at {left}, {top}.'
        )
    window = np.s_[top : top + height, left : left + width]
    cropped = replace(
        frame,
        image=np.ascontiguousarray(frame.image[window]),
        camera=Camera(intrinsics.cropped(left, top, width, height)),
        sparse_m=None if frame.sparse_m is None else frame.sparse_m[window].copy(),
        mask=None if frame.mask is None else frame.mask.cropped(left, top, width, height),
    )
    truth_m = sample.depth_gt_m
    return replace(
        sample, frame=cropped, depth_gt_m=None if truth_m is None else truth_m[window].copy()
    )


def kitti_view(sample: Sample) -> Sample:
    """The bottom centre of 1216x352 pixels: all of an image that KITTI has cropped to that size.

    Errors are those of `crop`.
    """
    intrinsics = sample.frame.camera.intrinsics
    left = (intrinsics.width - KITTI_WIDTH) // 2
    return crop(sample, left, intrinsics.height - KITTI_HEIGHT, KITTI_WIDTH, KITTI_HEIGHT)


def kitti_judged(depth_m: Float32) -> Float32:
    """What KITTI's server would read of an estimate: filled, then stored in steps of 1/256 m.

    Filled here, as by default the server closes a gap in a row with the nearer of its two ends,
    which is no part of a method.
    """
    stored = store_depth(fill_nearest(depth_m), DEPTH_ENCODING)
    return stored * np.float32(DEPTH_ENCODING.scale_m)


def nyu_view(sample: Sample) -> Sample:
    """Half of 640x480 pixels, without their margins: the centre of 304x228.

    Image and truth are reduced by the triangle filter that the loaders of the field have from
    Pillow. Where it would mix unknown depth with known (the test images have none), truth is
    unknown. The principal point keeps its place in the scene; those loaders halve it, which is a
    quarter of a pixel beside it.

    Raises:
        EvaluationError: the image is of another size.
    """
    frame, intrinsics = sample.frame, sample.frame.camera.intrinsics
    if (intrinsics.width, intrinsics.height) != (640, 480):
        raise EvaluationError(
            f'NYUv2 has images of 640x480 pixels, got {intrinsics.width}x{intrinsics.height}.'
        )
    halved = replace(
        frame,
        image=_halve_image(frame.image),
        camera=Camera(intrinsics.resized(320, 240)),
        points=None,
        sparse_m=None,
    )
    truth_m = None if sample.depth_gt_m is None else _halve_depth(sample.depth_gt_m)
    sample = replace(sample, frame=halved, depth_gt_m=truth_m)
    return crop(sample, (320 - NYU_WIDTH) // 2, (240 - NYU_HEIGHT) // 2, NYU_WIDTH, NYU_HEIGHT)


PROTOCOLS = {
    'kitti-dc': Protocol(
        kitti_view, kitti_judged, ('rmse_mm', 'mae_mm', 'irmse_1_km', 'imae_1_km')
    ),
    'nyu': Protocol(
        nyu_view,
        fill_nearest,
        ('rmse_m', 'rel', 'delta1', 'delta2', 'delta3'),
        Thinning(points=NYU_POINTS),
    ),
}


def _halve_image(image: UInt8) -> UInt8:
    """Rounded after each of the two directions, as Pillow does."""
    across = np.floor(_filtered(image, _NYU_TAPS)[:, ::2] + 0.5)
    return np.floor(_filtered(across, _NYU_TAPS.T)[::2] + 0.5).astype(np.uint8)


def _halve_depth(depth_m: Float32) -> Float32:
    taps = _NYU_TAPS.T * _NYU_TAPS
    known = np.isfinite(depth_m) & (depth_m > 0)
    share = _filtered(known, taps)
    halved_m = _filtered(np.where(known, depth_m, 0.0), taps)
    return np.where(share > 1 - 1e-4, halved_m, np.float32(0.0))[::2, ::2].copy()


def _filtered(array: npt.NDArray[np.generic], taps: Float32) -> Float32:
    """Correlation; the second tap of each direction lies on the pixel itself."""
    rows, columns = taps.shape
    anchor = (min(1, columns - 1), min(1, rows - 1))
    filtered: Float32 = cv2.filter2D(array.astype(np.float32), cv2.CV_32F, taps, anchor=anchor)
    return filtered
