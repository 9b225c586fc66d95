"""Where the two stages of distillation get their examples from.

Stage 1, `Pretraining`: images, dense depth of a teacher, and the LiDAR that would have seen it.
Stage 2, `Finetuning`: recorded images and returns, sparse truth, dense depth of a teacher up to
scale and shift. Liang et al., DMD3C, CVPR 2025; see `distill` for what is taught with them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.images import read_image
from depth_ros.datasets.photos import CAMERA, photos
from depth_ros.errors import TrainingError
from depth_ros.frame import DepthKind, Float32, Frame, UInt8
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import rectify_image
from depth_ros.pipeline.config import PipelineConfig, ProjectionConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.simulation.scanners import ScannerRanges, random_scanner
from depth_ros.simulation.world import World
from depth_ros.training.augment import Augmentation
from depth_ros.training.examples import Example
from depth_ros.training.lidar_sim import sparse_depth
from depth_ros.training.shards import Shards
from depth_ros.training.surface import Mesher, grid_mesh
from depth_ros.training.teachers import DepthRange, Teacher, anchored

INDOOR_M = 15.0
"""Where nine tenths of a view are nearer than this, its LiDAR is one for rooms."""


class Photos:
    """A folder of images that nothing is known of, as a `Dataset`.

    Their camera has the field of view that is given; stage 1 draws another one anyway.

    Args:
        folder: of images.
        fov_deg: horizontal field of view.

    Raises:
        TrainingError: there are none.
    """

    camera_names: tuple[str, ...] = (CAMERA,)

    def __init__(self, folder: Path, fov_deg: float = 65.0) -> None:
        self._files = photos(folder)
        if not self._files:
            raise TrainingError(f'{folder} holds no images.')
        self.name = folder.resolve().name
        self._half_width = math.tan(math.radians(fov_deg) / 2)

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Image `index`, named by its file."""
        file = self._files[index]
        image = read_image(file)
        height, width = image.shape[:2]
        f_px = width / (2 * self._half_width)
        camera = Camera(Intrinsics(width, height, f_px, f_px, (width - 1) / 2, (height - 1) / 2))
        return Sample(file.stem, CAMERA, Frame(image, camera, stamp_ns=index))


class Scenes:
    """Procedural views with exact depth, as a `Dataset` of images for stage 1.

    Args:
        shards: the views.
    """

    name = 'scenes'
    camera_names: tuple[str, ...] = (CAMERA,)

    def __init__(self, shards: Shards) -> None:
        self._shards = shards

    def __len__(self) -> int:
        return len(self._shards)

    def sample(self, index: int) -> Sample:
        """View `index`."""
        view = self._shards.example(index, seed=0)
        height, width = view.truth_m.shape
        camera = Camera(Intrinsics.from_matrix(view.K, width, height))
        frame = Frame(view.image, camera, stamp_ns=index, sparse_m=view.sparse_m)
        return Sample(f'{CAMERA}_{index:06d}', CAMERA, frame, view.truth_m)


@dataclass(frozen=True)
class CameraRange:
    """Cameras that an image is said to be taken with, in stage 1; DMD3C publishes no numbers.

    Attributes:
        fov_deg: bounds of the horizontal field of view, uniform.
        centre: largest distance of the principal point from the middle, as a share of the size.
    """

    fov_deg: tuple[float, float] = (40.0, 100.0)
    centre: float = 0.05

    def drawn(self, height: int, width: int, rng: np.random.Generator) -> Intrinsics:
        """A camera of square pixels."""
        f_px = width / (2 * math.tan(math.radians(rng.uniform(*self.fov_deg)) / 2))
        x, y = 0.5 + rng.uniform(-self.centre, self.centre, 2)
        return Intrinsics(width, height, f_px, f_px, x * width - 0.5, y * height - 0.5)


@dataclass(frozen=True)
class Pretraining:
    """Stage 1: what a teacher makes of images, seen by a LiDAR that never was.

    A window of the image is put at random depths (of a teacher of disparity) and behind a random
    camera, meshed, and scanned from beside by a random scanner. The truth is the teacher's depth.

    Attributes:
        dataset: images; anything else of it is not looked at, unless the teacher does.
        teacher: their dense depth.
        height: of the examples in pixels.
        width: of the examples in pixels.
        depths: for a teacher that does not know metres.
        cameras: for the images; None = as they are calibrated.
        scanners: from which one is drawn for each example; None = by how far the view reaches.
        mesher: makes the surface.
        flip: share of examples that are mirrored.
    """

    dataset: Dataset
    teacher: Teacher
    height: int
    width: int
    depths: DepthRange = field(default_factory=DepthRange)
    cameras: CameraRange | None = field(default_factory=CameraRange)
    scanners: ScannerRanges | None = None
    mesher: Mesher = grid_mesh
    flip: float = 0.5

    def __len__(self) -> int:
        return len(self.dataset)

    def example(self, index: int, seed: int) -> Example:
        """Image `index` as `seed` makes it.

        Raises:
            TrainingError: the image is too small, or the teacher's map cannot be meshed.
        """
        rng = np.random.default_rng((seed, index))
        sample = self.dataset.sample(index)
        camera = sample.frame.camera
        image, depth_m = rectify_image(sample.frame.image, camera), self.teacher.map(sample)
        if self.teacher.kind is DepthKind.DISPARITY_AFFINE:
            depth_m = self.depths.metres(depth_m, rng)
        image, depth_m, intrinsics = self._window(image, depth_m, camera.rectified, rng)
        if self.cameras is not None:
            intrinsics = self.cameras.drawn(self.height, self.width, rng)
        sparse_m = self._scanned(depth_m, intrinsics, rng)
        whole = Augmentation(self.height, self.width, top=0, flip=self.flip, colour=0.0)
        example = Example(image, sparse_m, np.nan_to_num(depth_m), intrinsics.matrix)
        return whole.applied(example, rng)

    def _window(
        self, image: UInt8, depth_m: Float32, camera: Intrinsics, rng: np.random.Generator
    ) -> tuple[UInt8, Float32, Intrinsics]:
        """A random window of a random size, brought to that of the examples."""
        largest = min(camera.height / self.height, camera.width / self.width)
        if largest < 1:
            raise TrainingError(
                f'An image of {camera.width}x{camera.height} has no window of '
                f'{self.width}x{self.height}.'
            )
        zoom = rng.uniform(1.0, largest)
        width, height = round(zoom * self.width), round(zoom * self.height)
        left = int(rng.integers(0, camera.width - width, endpoint=True))
        top = int(rng.integers(0, camera.height - height, endpoint=True))
        rows, columns = slice(top, top + height), slice(left, left + width)
        size = self.width, self.height
        return (
            cv2.resize(image[rows, columns], size, interpolation=cv2.INTER_AREA),
            # Between two depths lies none that is true of both.
            cv2.resize(depth_m[rows, columns], size, interpolation=cv2.INTER_NEAREST_EXACT),
            camera.cropped(left, top, width, height).resized(*size),
        )

    def _scanned(
        self, depth_m: Float32, intrinsics: Intrinsics, rng: np.random.Generator
    ) -> Float32:
        """Sparse depth (H, W) of a scanner beside the camera."""
        known = depth_m[np.isfinite(depth_m)]
        if not known.size:
            raise TrainingError('The teacher knows nothing of this window.')
        indoor = float(np.quantile(known, 0.9)) < INDOOR_M
        scanner = random_scanner(rng, indoor, self.scanners)
        world = World([self.mesher(depth_m, intrinsics)])
        sweep = scanner.sweep(world, np.eye(4), 0.0, rng, intrinsics)
        return sparse_depth(sweep, scanner, intrinsics)[0]


@dataclass(frozen=True)
class Finetuning:
    """Stage 2: recorded frames with sparse truth, and a teacher's dense depth of them.

    Attributes:
        dataset: with truth.
        teacher: of the same images; None where no term needs one.
        augmentation: window, mirroring and colours.
        occlusion_filter: whether returns that the camera cannot see are removed first, as the
            pipeline does; BP-Net is trained on all.
        share: of the pixels with truth that are kept, to make dense truth sparse; which ones
            depends on the sample alone.
    """

    dataset: Dataset
    teacher: Teacher | None
    augmentation: Augmentation
    occlusion_filter: bool = True
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.dataset)

    def example(self, index: int, seed: int) -> Example:
        """Frame `index` as `seed` makes it.

        Raises:
            TrainingError: the sample has no truth, or the teacher does not know it.
        """
        sample = self.dataset.sample(index)
        if sample.depth_gt_m is None:
            raise TrainingError(f'{sample.name} of {self.dataset.name} has no truth.')
        view = _pipeline(self.occlusion_filter).observe(sample.frame)
        truth_m = sample.depth_gt_m
        if self.share < 1:
            kept = np.random.default_rng(index).random(truth_m.shape) < self.share
            truth_m = np.where(kept, truth_m, np.float32(0))
        whole = Example(
            view.image,
            view.sparse_m,
            truth_m,
            view.intrinsics.matrix,
            self._taught(sample, view.sparse_m),
        )
        return self.augmentation.applied(whole, np.random.default_rng((seed, index)))

    def _taught(self, sample: Sample, sparse_m: Float32) -> Float32 | None:
        if self.teacher is None:
            return None
        values = self.teacher.map(sample)
        if self.teacher.kind is DepthKind.DISPARITY_AFFINE:
            return anchored(values, sparse_m)
        return values


@functools.lru_cache(maxsize=2)
def _pipeline(occlusion_filter: bool) -> FusionPipeline:
    projection = ProjectionConfig(occlusion_filter=occlusion_filter)
    return FusionPipeline(PipelineConfig(method='guided', projection=projection))
