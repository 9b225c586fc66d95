"""Teachers: dense depth of single images, exact or by a network, kept on disk.

A network sees each image once, before training, so that no step waits for a transformer:

    write_maps(dataset, Mono(mono_weights('da2-small', 'relative'), output='relative'), folder)
    teacher = StoredMaps(folder)
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.errors import TrainingError
from depth_ros.files import write_atomic
from depth_ros.frame import CameraView, DepthKind, Float32
from depth_ros.geometry.distortion import rectify_image
from depth_ros.methods.base import DepthMethod

KINDS = (DepthKind.METRIC, DepthKind.DISPARITY_AFFINE)
"""What maps of a teacher may mean."""

DESCRIPTION = 'teacher.json'


class Teacher(Protocol):
    """Something that knows dense depth of a dataset's samples.

    Attributes:
        kind: what its maps mean, one of `KINDS`.
    """

    kind: DepthKind

    def map(self, sample: Sample) -> Float32:
        """(H, W) for the rectified image of a sample; NaN = unknown.

        Raises:
            TrainingError: the teacher does not know the sample.
        """
        ...


class Exact:
    """The dense truth of a simulator as a teacher."""

    kind = DepthKind.METRIC

    def map(self, sample: Sample) -> Float32:
        """The sample's truth."""
        if sample.depth_gt_m is None:
            raise TrainingError(f'{sample.name} has no truth that could teach.')
        return np.where(sample.depth_gt_m > 0, sample.depth_gt_m, np.float32(np.nan))


@dataclass(frozen=True)
class Disturbed:
    """Exact depth with the faults of a monocular network: to try distillation without one.

    Per image, depth is raised to a power (so that no scale and shift undoes it all), bent by a
    smooth field, scaled and shifted.

    Attributes:
        distortion: standard deviation of the exponent about 1 and of the field's logarithm.
        seed: of all faults; the name of a sample decides which ones it has.
    """

    distortion: float = 0.1
    seed: int = 0
    kind = DepthKind.METRIC  # of a wrong scale, that is

    def map(self, sample: Sample) -> Float32:
        """The sample's truth with its faults."""
        depth_m = Exact().map(sample)
        rng = np.random.default_rng((self.seed, zlib.crc32(sample.name.encode())))
        coarse = rng.standard_normal((3, 4)).astype(np.float32)
        field = cv2.resize(coarse, depth_m.shape[::-1], interpolation=cv2.INTER_CUBIC)
        exponent = 1.0 + self.distortion * rng.standard_normal()
        scale, shift = np.exp(rng.uniform(-1, 1)), rng.uniform(-1, 1)
        bent = depth_m**exponent * np.exp(self.distortion * field)
        return (scale * (bent + shift)).astype(np.float32)


class StoredMaps:
    """What `write_maps` left in a folder.

    Raises:
        TrainingError: the folder holds no maps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            description = json.loads((folder / DESCRIPTION).read_bytes())
            self.kind = DepthKind(description['kind'])
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f'{folder} has no maps of a teacher: {error}') from error

    def map(self, sample: Sample) -> Float32:
        """The map that was written for a sample."""
        path = self._folder / f'{sample.name}.npy'
        try:
            values: Float32 = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise TrainingError(f'{path}: no map of the teacher: {error}') from error
        return values


def write_maps(
    dataset: Dataset,
    method: DepthMethod,
    folder: Path,
    description: str,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Let a method look at every image of a dataset; what is in the folder is not seen again.

    It may be interrupted and called again: maps are written whole or not at all.

    Args:
        dataset: names its samples, as the maps are.
        method: one that needs no LiDAR, such as `methods.mono.Mono`.
        folder: for the maps (H, W) float32 as `.npy`.
        description: of the teacher, such as the name of its weights.
        progress: `progress(done, of)` is called after each image.

    Raises:
        TrainingError: the method needs LiDAR, or the folder holds maps of another teacher.
    """
    if method.needs_lidar:
        raise TrainingError(f'{method.name} needs LiDAR; a teacher sees an image and no more.')
    for index in range(len(dataset)):
        sample = dataset.sample(index)
        path = folder / f'{sample.name}.npy'
        if not path.exists():
            estimate = method.estimate(_image_alone(sample))
            _claim(folder, {'teacher': description, 'kind': estimate.kind.value})
            known = np.isfinite(estimate.depth_m)
            content = io.BytesIO()
            np.save(content, np.where(known, estimate.depth_m, np.float32(np.nan)))
            write_atomic(path, content.getvalue())
        if progress is not None:
            progress(index + 1, len(dataset))


def _image_alone(sample: Sample) -> CameraView:
    frame = sample.frame
    intrinsics = frame.camera.rectified
    nothing = np.zeros((intrinsics.height, intrinsics.width), np.float32)
    return CameraView(rectify_image(frame.image, frame.camera), nothing, intrinsics)


def _claim(folder: Path, description: dict[str, str]) -> None:
    """Write whose maps a folder holds; refuse that of another teacher."""
    path = folder / DESCRIPTION
    if not path.exists():
        write_atomic(path, json.dumps(description).encode())
    found = json.loads(path.read_bytes())
    if found != description:
        raise TrainingError(f'{folder} holds maps of {found}, not of {description}.')


@dataclass(frozen=True)
class DepthRange:
    """Between which depths a scene of unknown scale and shift is put; a pair is of bounds.

    DMD3C does not say how it makes metres of relative disparity. Here its ends, near and far,
    are drawn log-uniformly, which is to draw scale and shift of inverse depth.

    Attributes:
        near_m: of the nearest 1 % of the pixels.
        far_m: of the farthest 1 %.
        sky: what is nearer to the far end than this share of the way is unknown: there is no
            telling sky from far away.
    """

    near_m: tuple[float, float] = (0.5, 8.0)
    far_m: tuple[float, float] = (10.0, 120.0)
    sky: float = 0.005

    def metres(self, disparity: Float32, rng: np.random.Generator) -> Float32:
        """Depth (H, W) in metres of relative disparity (H, W); NaN = unknown.

        Raises:
            TrainingError: the disparity is constant or nowhere known.
        """
        known = disparity[np.isfinite(disparity)]
        low, high = np.quantile(known, (0.01, 0.99)) if known.size else (0.0, 0.0)
        if not high > low:
            raise TrainingError(f'A teacher that says {low:g} everywhere teaches no depth.')
        near, far = (1.0 / np.exp(rng.uniform(*np.log(b))) for b in (self.near_m, self.far_m))
        share = (disparity - low) / (high - low)
        share[~(share > self.sky)] = np.nan
        return (1.0 / (far + share * (near - far))).astype(np.float32)


MIN_SUPPORT = 16
"""Returns that a scale and a shift are fitted to."""


def anchored(disparity: Float32, sparse_m: Float32, max_depth_m: float = 200.0) -> Float32:
    """Relative disparity as depth in metres, by its least squares fit to inverse returns.

    Disparity and depth are not the same up to scale and shift, so the terms of stage 2, which
    compare depths, need it; DMD3C's published code takes 1 / (disparity + 0.5), whatever the
    scene.

    Args:
        disparity: (H, W), of unknown scale and shift; NaN = unknown.
        sparse_m: (H, W) returns in metres, 0 = none.
        max_depth_m: farther depth is unknown.

    Returns:
        (H, W) metres, NaN = unknown; all of it if the fit fails or nearer is not larger.
    """
    seen = (sparse_m > 0) & np.isfinite(disparity)
    unknown = np.full_like(disparity, np.nan)
    if np.count_nonzero(seen) < MIN_SUPPORT or np.ptp(disparity[seen]) == 0:
        return unknown
    scale, shift = np.polyfit(disparity[seen].astype(np.float64), 1.0 / sparse_m[seen], 1)
    if scale <= 0:
        return unknown
    inverse = scale * disparity + shift
    plausible = inverse > 1.0 / max_depth_m
    return np.divide(1.0, inverse, out=unknown, where=plausible, casting='unsafe')
