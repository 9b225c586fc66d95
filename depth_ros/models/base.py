"""What a network must offer to be loaded, exported and run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn

Arrays = dict[str, npt.NDArray[Any]]
"""Inputs or outputs of a network by name."""


class NetworkFamily(Protocol):
    """A module of `depth_ros.models` as a family of networks that differ in their weights only.

    Attributes:
        INPUTS: names of the inputs of what `deployed` returns, in order.
        OUTPUTS: names of its outputs, in order.
        STRIDE: height and width must be multiples of it.
    """

    INPUTS: tuple[str, ...]
    OUTPUTS: tuple[str, ...]
    STRIDE: int

    def build(self) -> nn.Module:
        """The network with initial weights, under the official parameter names."""
        ...

    def deployed(self, model: nn.Module, precision: str) -> nn.Module:
        """A copy of a loaded network as it is exported and run.

        Its `forward` takes tensors in the order of `INPUTS` and returns a tuple in the order of
        `OUTPUTS`.

        Args:
            model: what `build` returned, loaded.
            precision: `fp32`, or `fp16`: half precision where the network allows it. Inputs and
                outputs have the same types either way.
        """
        ...

    def golden_inputs(self, height: int, width: int) -> Arrays:
        """Inputs for the self-check of an engine: made up, always the same, not degenerate."""
        ...
