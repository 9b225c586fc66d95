"""Random windows, mirroring and colours of examples; image, depth and camera stay consistent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from depth_ros.errors import TrainingError
from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.training.examples import Example


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to an example. The defaults are those of BP-Net on KITTI.

    Attributes:
        height: of the window in pixels.
        width: of the window in pixels.
        top: rows above this one are in no window, as long as one fits below; KITTI's LiDAR sees
            nothing there.
        flip: share of examples that are mirrored.
        colour: standard deviation of the shift along each principal component of the colours of
            an image, in its own standard deviations; 0 = none.
    """

    height: int = 256
    width: int = 1216
    top: int = 50
    flip: float = 0.5
    colour: float = 0.1

    def applied(self, example: Example, rng: np.random.Generator) -> Example:
        """A changed copy.

        Raises:
            TrainingError: the example is smaller than the window.
        """
        height, width = example.sparse_m.shape
        if height < self.height or width < self.width:
            raise TrainingError(
                f'An example of {width}x{height} has no window of {self.width}x{self.height}.'
            )
        lowest = height - self.height
        top = int(rng.integers(min(self.top, lowest), lowest, endpoint=True))
        left = int(rng.integers(0, width - self.width, endpoint=True))
        example = cropped(example, top, left, self.height, self.width)
        if rng.random() < self.flip:
            example = mirrored(example)
        if self.colour > 0:
            image = recoloured(example.image, self.colour * rng.standard_normal(3))
            example = dataclasses.replace(example, image=image)
        return example


def cropped(example: Example, top: int, left: int, height: int, width: int) -> Example:
    """A window; its first pixel is (left, top) of the example."""
    rows, columns = slice(top, top + height), slice(left, left + width)
    K = example.K.copy()
    K[:2, 2] -= left, top
    return _each(example, lambda values: values[rows, columns], K)


def mirrored(example: Example) -> Example:
    """Left and right exchanged, of the teacher's map, too (DMD3C's published code forgets it)."""
    K = example.K.copy()
    K[0, 2] = example.image.shape[1] - 1 - K[0, 2]
    return _each(example, lambda values: values[:, ::-1], K)


def _each(example: Example, change: Callable[[Any], Any], K: Float64) -> Example:
    """An example whose image and maps are changed alike, with its new camera matrix."""
    image, sparse_m, truth_m = map(change, (example.image, example.sparse_m, example.truth_m))
    teacher, hidden_m = (
        None if values is None else change(values)
        for values in (example.teacher, example.hidden_m)
    )
    return Example(image, sparse_m, truth_m, K, teacher, hidden_m)


def recoloured(image: UInt8, shift: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> UInt8:
    """An image (H, W, 3) moved along the principal components of its own colours.

    Krizhevsky et al., "ImageNet classification with deep convolutional neural networks", NIPS
    2012, section 4.1, with the components of the image in place of those of the whole set.

    Args:
        image: (H, W, 3).
        shift: (3,) along each component, in its standard deviations, the smallest one first.
    """
    rgb: Float32 = image.reshape(-1, 3).astype(np.float32)
    variances, components = np.linalg.eigh(np.cov(rgb.T))
    moved = rgb + components @ (np.sqrt(np.maximum(variances, 0.0)) * shift)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8).reshape(image.shape)
