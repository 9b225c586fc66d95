"""Our compact completion network: it corrects what `guided` makes of the returns.

Its weights ship with the package; docs/lite.md says how they were trained. torch is imported when
a function is called, not with this package.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from depth_ros.errors import MissingDependencyError
from depth_ros.frame import Float32, UInt8
from depth_ros.models.base import Arrays

if TYPE_CHECKING:
    from torch import nn

STRIDE = 16
SIZE: tuple[int, int] | None = None
INPUTS = ('image', 'sparse', 'prior', 'prior_sigma')
OUTPUTS = ('depth', 'log_variance')

SHIPPED = Path(__file__).parent / 'shipped'
"""Where the package has the weights, and the network as ONNX at some sizes."""
WEIGHTS = SHIPPED / 'lite.safetensors'
SIZES = ((272, 1248), (384, 1248), (480, 640), (480, 848), (720, 1280), (1200, 1920))
"""(height, width) of the shipped ONNX files: KITTI, what of it its LiDAR sees, and what cameras of
robots deliver."""
ENOUGH_PX = 500_000
"""Pixels that an image keeps where it must be reduced, if any of `SIZES` allows it."""
SMALL = (480, 640)
"""The shipped size that costs so little that no smaller one is worth an export."""


def build() -> nn.Module:
    """The network with initial weights, which gives the prior, in evaluation mode.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    try:
        from depth_ros.models.lite.network import Lite
    except ModuleNotFoundError as error:
        raise MissingDependencyError('torch', 'torch') from error
    return Lite().eval()


def deployed(model: nn.Module, precision: str, size: tuple[int, int] | None = None) -> nn.Module:
    """A copy as it is exported and run, at any size; see `depth_ros.models.base.NetworkFamily`."""
    from depth_ros.models.lite.network import deploy

    return deploy(model, precision)


def graph_inputs(
    rgb: UInt8, sparse_m: Float32, prior_m: Float32, prior_sigma_m: Float32
) -> Arrays:
    """Inputs of the network, batch 1, of arrays whose sides are multiples of `STRIDE`.

    Args:
        rgb: (H, W, 3) uint8.
        sparse_m: (H, W) metres, as `signed` gives it.
        prior_m: (H, W) dense depth in metres, as `methods.guided` gives it.
        prior_sigma_m: (H, W) its raw sigma in metres.
    """
    maps = {'sparse': sparse_m, 'prior': prior_m, 'prior_sigma': prior_sigma_m}
    return {'image': rgb[None], **{name: values[None, None] for name, values in maps.items()}}


def golden_inputs(height: int, width: int) -> Arrays:
    """A made scene for the self-check of engines: a road, a wall, an object before it, returns.

    Some returns shine through the object, taken out as by the occlusion filter.
    """
    v, u = np.mgrid[0:height, 0:width].astype(np.float32)
    depth_m = np.minimum(60.0, 3.0 + 1.2 * height / (v + 1.0) + 0.01 * u).astype(np.float32)
    object_m = 0.4 * depth_m
    within = np.hypot(u / width - 0.5, v / height - 0.6) < 0.15
    truth_m = np.where(within, object_m, depth_m)
    waves = (np.sin(u / 9.0), np.cos(v / 7.0), np.sin((u + v) / 13.0))
    rgb = np.stack([128 + 60 * wave + 40 * within for wave in waves], axis=-1).astype(np.uint8)
    drawn = np.random.default_rng(0).random((height, width))
    found, through = drawn < 0.05, within & (drawn > 0.95)
    prior_m = (truth_m * (1 + 0.05 * np.sin(u / 5.0) * np.cos(v / 11.0))).astype(np.float32)
    sparse_m = np.where(found, truth_m, np.float32(0))
    sparse_m = np.where(through, -depth_m, sparse_m)
    return graph_inputs(rgb, sparse_m, prior_m, (0.03 + 0.04 * prior_m).astype(np.float32))


def seen_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) at which the network is to see an image: its own if one of `SIZES` holds it.

    Else the image is reduced, its shape kept, to the smallest of them in which it has
    `ENOUGH_PX`, or to where it has most pixels. That is no less accurate than its own size, where
    returns lie farther apart in pixels than in anything that the network has learned from, and
    costs less than half: docs/lite.md.
    """
    if any(size[0] >= height and size[1] >= width for size in SIZES):
        return height, width
    reduced = []
    for size in sorted(SIZES, key=math.prod):
        scale = min(size[0] / height, size[1] / width)
        reduced.append((max(1, round(scale * height)), max(1, round(scale * width))))
    enough = [size for size in reduced if math.prod(size) >= ENOUGH_PX]
    return enough[0] if enough else max(reduced, key=math.prod)


def network_size(height: int, width: int, may_export: bool = True) -> tuple[int, int]:
    """(height, width) at which the network runs for an image, reduced to `seen_size`.

    The smallest of `SIZES` that holds it, for a file of that size is there. Where that is larger
    than `SMALL` and would more than double the work, the smallest multiple of `STRIDE`.

    Args:
        height: of the image in pixels.
        width: of the image in pixels.
        may_export: whether another size can be had; otherwise any of `SIZES` that holds it is
            better.
    """
    height, width = seen_size(height, width)
    exact = height + -height % STRIDE, width + -width % STRIDE
    holding = [size for size in SIZES if size[0] >= height and size[1] >= width]
    smallest = min(holding, key=math.prod)
    limit = max(2 * math.prod(exact), math.prod(SMALL))
    return smallest if math.prod(smallest) <= limit or not may_export else exact


def lower_size(size: tuple[int, int]) -> tuple[int, int] | None:
    """The next lower one of `SIZES` of the same width; None if there is none.

    Nothing is stated above what the LiDAR sees, so that the network need not see it either.
    """
    lower = [other for other in SIZES if other[1] == size[1] and other[0] < size[0]]
    return max(lower, default=None)


def signed(sparse_m: Float32, hidden_m: Float32 | None) -> Float32:
    """Returns (H, W) in metres, those that the occlusion filter took out negative, 0 = none."""
    return sparse_m if hidden_m is None else sparse_m - hidden_m


def padded(
    rgb: UInt8,
    sparse_m: Float32,
    prior_m: Float32,
    prior_sigma_m: Float32,
    size: tuple[int, int],
) -> tuple[UInt8, Float32, Float32, Float32]:
    """The arrays of `graph_inputs` at a larger size: edges repeated, no returns added.

    They grow at the right and at the bottom.
    """
    height, width = sparse_m.shape
    bottom, right = size[0] - height, size[1] - width
    if not (bottom or right):
        return rgb, sparse_m, prior_m, prior_sigma_m

    def repeated(values: Any) -> Any:
        return cv2.copyMakeBorder(values, 0, bottom, 0, right, cv2.BORDER_REPLICATE)

    grown = cv2.copyMakeBorder(sparse_m, 0, bottom, 0, right, cv2.BORDER_CONSTANT)
    return repeated(rgb), grown, repeated(prior_m), repeated(prior_sigma_m)
