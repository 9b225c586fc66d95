"""Depth Anything V1 and V2: their sizes, and all that is not in the graph.

    family = FAMILIES['depth_anything_v2_s_80m']
    model = family.build()
    weights.load(model, 'depth_anything_v2_metric_vkitti_vits.pth')

torch is imported when a function is called, not with this module.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from depth_ros.errors import MissingDependencyError
from depth_ros.frame import DepthKind, Float32, UInt8
from depth_ros.models.base import Arrays

if TYPE_CHECKING:
    from torch import nn

# Of ImageNet's RGB in 0..1.
_MEAN, _STD = np.array([(0.485, 0.456, 0.406), (0.229, 0.224, 0.225)])


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is.

    Attributes:
        dim: channels of a token.
        depth: number of blocks.
        heads: of the attention in each.
        features: channels of the head.
        channels: of the four levels that enter it, from fine to coarse.
    """

    dim: int
    depth: int
    heads: int
    features: int
    channels: tuple[int, int, int, int]


SMALL = NetworkSize(384, 12, 6, 64, (48, 96, 192, 384))
BASE = NetworkSize(768, 12, 12, 128, (96, 192, 384, 768))
LARGE = NetworkSize(1024, 24, 16, 256, (256, 512, 1024, 1024))


@dataclass(frozen=True)
class DepthAnything:
    """A family of networks; see `depth_ros.models.base.MonocularFamily`.

    Attributes:
        size: of the network.
        taps: numbers of the four blocks whose tokens enter the head, from 0.
        max_depth_m: metres that the network's 1 stands for; None = it tells disparity, up to an
            unknown scale and shift.
        align_corners: whether its map is brought to the size of an image corner onto corner, as
            the code of V2 does, or edge onto edge, as that of V1.
    """

    size: NetworkSize
    taps: tuple[int, int, int, int]
    max_depth_m: float | None = None
    align_corners: bool = True

    INPUTS = ('image',)
    STRIDE = 14
    SIZE = None

    @property
    def OUTPUTS(self) -> tuple[str, ...]:
        """`depth` in metres, or `disparity`."""
        return ('depth',) if self.max_depth_m else ('disparity',)

    @property
    def KIND(self) -> DepthKind:
        """What the numbers of the output mean."""
        return DepthKind.METRIC if self.max_depth_m else DepthKind.DISPARITY_AFFINE

    def build(self) -> nn.Module:
        """The network with initial weights, in evaluation mode.

        Raises:
            MissingDependencyError: torch is not installed.
        """
        try:
            from depth_ros.models.dpt import DepthAnythingNetwork
        except ModuleNotFoundError as error:
            raise MissingDependencyError('torch', 'torch') from error
        return DepthAnythingNetwork(self).eval()

    def deployed(self, model: nn.Module, precision: str, size: tuple[int, int]) -> nn.Module:
        """A copy as it is exported and run; see `depth_ros.models.base.NetworkFamily`."""
        from depth_ros.models.dpt import Deployed

        return Deployed(copy.deepcopy(model), precision, size).eval()

    def golden_inputs(self, height: int, width: int) -> Arrays:
        """A made scene for the self-check of engines: a tilted ground, a wall, waves on both."""
        v, u = np.mgrid[0:height, 0:width]
        ground = np.maximum(0, 2 * v / height - 1)
        waves = (np.sin(u / 23), np.cos(v / 17), np.sin((u + v) / 31))
        image = np.stack([ground + 0.7 * wave - 0.3 for wave in waves])
        return {'image': image[None].astype(np.float32)}

    def network_size(self, height: int, width: int, short_side_px: int) -> tuple[int, int]:
        """(h, w): the shorter side as wanted or a little more, the aspect kept, multiples of 14.

        This is `lower_bound` of the official code; the long side has no bound.
        """
        scale = max(short_side_px / height, short_side_px / width)
        h, w = (_stepped(scale * length, short_side_px) for length in (height, width))
        return h, w

    def preprocess(self, rgb: UInt8, size: tuple[int, int]) -> Float32:
        """(1, 3, h, w) of an image (H, W, 3), to the last bit as the official code makes it.

        That is in float64, bicubic, neither blurred before it shrinks nor clipped after it.
        """
        height, width = size
        image = np.empty((1, 3, height, width), np.float32)
        for channel, plane in enumerate(image[0]):  # one by one is twice as fast
            values = rgb[..., channel] / 255.0
            values = cv2.resize(values, (width, height), interpolation=cv2.INTER_CUBIC)
            plane[...] = (values - _MEAN[channel]) / _STD[channel]
        return image

    def restored(self, output: Float32, height: int, width: int) -> Float32:
        """The network's map (h, w) at the size of the image, bilinear."""
        if not self.align_corners:
            return cv2.resize(output, (width, height), interpolation=cv2.INTER_LINEAR)
        return _corners_aligned(_corners_aligned(output.T, width).T, height)


def _stepped(length_px: float, least_px: int) -> int:
    """The multiple of 14 next to a length, unless it is below the least."""
    stride = DepthAnything.STRIDE
    nearest = round(length_px / stride) * stride
    return nearest if nearest >= least_px else math.ceil(length_px / stride) * stride


def _corners_aligned(maps: Float32, rows: int) -> Float32:
    """(rows, n) of (m, n): linear between rows, the first on the first, the last on the last."""
    at = np.linspace(0, len(maps) - 1, rows)
    above = at.astype(np.intp)
    below = np.minimum(above + 1, len(maps) - 1)
    share = (at - above).astype(np.float32)[:, None]
    return maps[above] * (1 - share) + maps[below] * share


def _v1_and_v2() -> Iterator[tuple[str, DepthAnything]]:
    """Families by name, as the registry knows them."""
    v2_taps = ((2, 5, 8, 11), (2, 5, 8, 11), (4, 11, 17, 23))
    for letter, size, taps in zip('sbl', (SMALL, BASE, LARGE), v2_taps, strict=True):
        first, second, third, last = range(size.depth - 4, size.depth)
        yield (
            f'depth_anything_v1_{letter}',
            DepthAnything(size, (first, second, third, last), align_corners=False),
        )
        yield f'depth_anything_v2_{letter}', DepthAnything(size, taps)
        for range_m in (20, 80):
            yield f'depth_anything_v2_{letter}_{range_m}m', DepthAnything(size, taps, range_m)


FAMILIES = dict(_v1_and_v2())
