"""What an engine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from depth_ros.errors import EngineError

PRECISIONS = ('fp32', 'fp16', 'fp16_all')
"""Half precision where a network allows it: in `fp16` attention keeps its scores and softmax in
single precision, lest they overflow; in `fp16_all` it does not, which is faster and less safe."""
BACKENDS = ('tensorrt', 'torch', 'onnxruntime', 'openvino')
PROVIDERS = {
    'cpu': 'CPUExecutionProvider',
    'cuda': 'CUDAExecutionProvider',
    'tensorrt': 'TensorrtExecutionProvider',
}
"""What ONNX Runtime can run on, and its own names for that; engines of the nodes take the CPU."""
WARM_UP_RUNS = 3
"""Runs until an engine is as fast as it gets: kernels are chosen and memory is laid out then."""


class NotBuiltError(EngineError):
    """A network could run here, but what it needs is not in the cache and may not be built now."""


@dataclass(frozen=True)
class NetworkRequest:
    """A network to be run at one size.

    Attributes:
        family: name in `depth_ros.weights.registry.FAMILIES`, such as `bpnet`.
        weights: file with its parameters.
        height: of the input in pixels, a multiple of the family's `STRIDE`.
        width: of the input in pixels.
        precision: one of `PRECISIONS`.
    """

    family: str
    weights: Path
    height: int
    width: int
    precision: str = 'fp32'

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise EngineError(f'precision must be one of {PRECISIONS}, got {self.precision!r}.')


class Engine(Protocol):
    """Runs one network at one size, batch 1.

    Attributes:
        backend: one of `BACKENDS`.
        device: `cpu`, or a torch device such as `cuda:0`.
        precision: one of `PRECISIONS`.
    """

    backend: str
    device: str
    precision: str

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name, of inputs by name.

        NumPy arrays in, NumPy arrays out. An engine whose device is not `cpu` also takes torch
        tensors on that device, for all inputs, and then returns tensors on it that stay valid
        until the next call.

        Raises:
            EngineError: an input is missing or unknown, or has the wrong shape or type.
        """
        ...

    def close(self) -> None:
        """Free what it holds; it cannot be used afterwards. Never raises, also called again."""
        ...
