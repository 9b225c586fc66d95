"""Cameras that nobody has calibrated: a focal length guessed from their images.

Such a camera is a pinhole without distortion, with its principal point in the middle. A guess
must not be fused with an extrinsic, so its frames come without LiDAR.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from depth_ros.datasets.calib import CalibratedCamera
from depth_ros.datasets.images import read_image
from depth_ros.datasets.records import Record
from depth_ros.errors import DatasetError
from depth_ros.frame import UInt8
from depth_ros.geometry.camera import Camera, Intrinsics

FocalLength = Callable[[UInt8], float]
"""Gives a focal length in pixels for an image (H, W, 3) RGB."""

IMAGES = 5
"""Number of images, at most, whose median is taken."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EstimatedCamera:
    """A guess at a camera.

    Attributes:
        intrinsics: with the median focal length.
        f_px: what each image gave.
    """

    intrinsics: Intrinsics
    f_px: tuple[float, ...]

    @property
    def fov_deg(self) -> float:
        """Horizontal field of view."""
        return math.degrees(2 * math.atan(self.intrinsics.width / (2 * self.intrinsics.fx)))


class CameraEstimator:
    """Guesses the intrinsics of cameras by `f_px_of`, which is only called if there are any.

    Attributes:
        cameras: those guessed so far, by name.
    """

    def __init__(self, f_px_of: FocalLength) -> None:
        self.cameras: dict[str, EstimatedCamera] = {}
        self._f_px_of = f_px_of

    def records(self, records: Sequence[Record], unknown: Collection[str]) -> list[Record]:
        """The records, with those of unknown cameras calibrated by a guess and without LiDAR.

        Raises:
            DatasetError: an image cannot be read, they differ in size, or there is no sensible
                focal length.
        """
        for name in sorted(unknown):
            images = [record.image for record in records if record.camera_name == name]
            if images:
                self.cameras[name] = self._estimated(name, images)
        return [
            _calibrated(record, self.cameras[record.camera_name].intrinsics)
            if record.camera_name in unknown
            else record
            for record in records
        ]

    def _estimated(self, name: str, images: Sequence[Path]) -> EstimatedCamera:
        """One focal length of all images of a camera: the median over some, evenly spaced."""
        chosen = np.linspace(0, len(images) - 1, min(IMAGES, len(images))).round().astype(int)
        f_px, sizes = [], []
        for number, index in enumerate(chosen, start=1):
            _log.info('focal length of camera %r: image %d of %d', name, number, len(chosen))
            rgb = read_image(images[index])
            f_px.append(float(self._f_px_of(rgb)))
            sizes.append(rgb.shape[:2])
            if not (math.isfinite(f_px[-1]) and f_px[-1] > 0):
                raise DatasetError(f'{images[index]}: a focal length of {f_px[-1]} pixels.')
            _check_size(images[index], (sizes[0][1], sizes[0][0]), rgb.shape[1], rgb.shape[0])
        height, width = sizes[0]
        focal = float(np.median(f_px))
        intrinsics = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
        return EstimatedCamera(intrinsics, tuple(f_px))


def _calibrated(record: Record, intrinsics: Intrinsics) -> Record:
    """A record with guessed intrinsics; what other sensors saw is not in its camera."""
    return replace(
        record,
        calibrate=partial(_calibrate, record.image, intrinsics),
        cloud=None,
        lidar_stamp_ns=None,
        sparse=None,
        truth=None if record.depth_camera else record.truth,
        depth_camera=None,
        intrinsics_estimated=True,
    )


def _calibrate(image: Path, intrinsics: Intrinsics, width: int, height: int) -> CalibratedCamera:
    _check_size(image, (intrinsics.width, intrinsics.height), width, height)
    return CalibratedCamera(Camera(intrinsics), None)


def _check_size(image: Path, wanted: tuple[int, int], width: int, height: int) -> None:
    if (width, height) != wanted:
        raise DatasetError(
            f'{image}: {width}x{height}, but other images of its camera are '
            f'{wanted[0]}x{wanted[1]}; put those of each camera into a folder of their own.'
        )
