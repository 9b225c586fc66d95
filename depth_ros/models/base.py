"""What a network must offer to be loaded, exported and run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy.typing as npt

from depth_ros.frame import DepthKind, Float32, UInt8

if TYPE_CHECKING:
    from torch import Tensor, nn

Arrays = dict[str, npt.NDArray[Any]]
"""Inputs or outputs of a network by name."""
Rgb = tuple[float, float, float]
Normalisation = tuple[Rgb, Rgb]
"""Mean and standard deviation of RGB in 0..255."""

# configs/data/KITTI.yaml of BP-Net.
KITTI: Normalisation = ((90.9950, 96.2278, 94.3213), (79.2382, 80.5267, 82.1483))
# 255 times 0.485 0.456 0.406 and 0.229 0.224 0.225. BP-Net's loader of NYU images takes these; the
# values in its configs/data/NYU.yaml are not used.
IMAGENET: Normalisation = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


class NetworkFamily(Protocol):
    """A family of networks that differ in their weights only: a module, or an object in one.

    Attributes:
        INPUTS: names of the inputs of what `deployed` returns, in order.
        OUTPUTS: names of its outputs, in order.
        STRIDE: height and width must be multiples of it.
        SIZE: (height, width), the only ones that it runs at; None = all multiples of `STRIDE`.
    """

    INPUTS: tuple[str, ...]
    OUTPUTS: tuple[str, ...]
    STRIDE: int
    SIZE: tuple[int, int] | None

    def build(self) -> nn.Module:
        """The network with initial weights, under the official parameter names."""
        ...

    def deployed(self, model: nn.Module, precision: str, size: tuple[int, int]) -> nn.Module:
        """A copy of a loaded network as it is exported and run.

        Its `forward` takes tensors in the order of `INPUTS` and returns a tuple in the order of
        `OUTPUTS`.

        Args:
            model: what `build` returned, loaded.
            precision: one of `depth_ros.engines.base.PRECISIONS`. Inputs and outputs have the
                same types in all of them.
            size: (height, width) of its inputs in pixels; tables that depend on it are made now.
        """
        ...

    def golden_inputs(self, height: int, width: int) -> Arrays:
        """Inputs for the self-check of an engine: made up, always the same, not degenerate."""
        ...


class MonocularFamily(NetworkFamily, Protocol):
    """A family whose networks see one image and nothing else.

    The first of its `OUTPUTS` is a map (1, 1, h, w); a second one, `fov_deg` (1,), is the
    horizontal field of view that the network believes in.

    Attributes:
        KIND: what the numbers of that map mean.
    """

    KIND: DepthKind

    def network_size(self, height: int, width: int, short_side_px: int) -> tuple[int, int]:
        """(h, w) at which the network runs for images (height, width).

        Args:
            height: of the image in pixels.
            width: of the image in pixels.
            short_side_px: wanted for the shorter side; ignored if there is a `SIZE`.
        """
        ...

    def preprocess(self, rgb: UInt8, size: tuple[int, int]) -> Float32:
        """The network's `image`, (1, 3, h, w), of an image (H, W, 3), as its authors make it.

        Args:
            rgb: (H, W, 3).
            size: (h, w), as `network_size` gives it.
        """
        ...

    def restored(self, output: Float32, height: int, width: int) -> Float32:
        """The network's map (h, w) at the size of the image, as its authors make it."""
        ...


@runtime_checkable
class Shipped(Protocol):
    """A family whose weights come with the package, exported at some sizes.

    Attributes:
        SHIPPED: folder of the files.
    """

    SHIPPED: Path


@runtime_checkable
class PublishedTwice(Protocol):
    """A network whose weights are also published under the names of another library."""

    def official_names(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The parameters under the official names; those that have them already as they are.

        What is missing or unknown stays so, for the strict check to tell.
        """
        ...
