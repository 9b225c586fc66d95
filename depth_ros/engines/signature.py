"""What a network takes, and the check that it gets it: the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from depth_ros.errors import EngineError
from depth_ros.models.base import Arrays


class InputSpec(NamedTuple):
    """Shape and type of one input; the type as NumPy names it, such as `float32`."""

    shape: tuple[int, ...]
    dtype: str


Signature = Mapping[str, InputSpec]
"""Inputs of a network by name."""


def signature_of(inputs: Arrays) -> Signature:
    """The signature of a network that takes these inputs."""
    return {name: InputSpec(value.shape, str(value.dtype)) for name, value in inputs.items()}


def check_inputs(inputs: Mapping[str, Any], signature: Signature, device: str = '') -> bool:
    """Refuse inputs that are not those of the network.

    Args:
        inputs: by name; either all NumPy arrays or all torch tensors on `device`.
        signature: what the network takes.
        device: torch device whose tensors the engine takes; empty if it takes none.

    Returns:
        Whether the inputs are tensors.

    Raises:
        EngineError: an input is missing or unknown, or has the wrong shape, type or device.
    """
    if set(inputs) != set(signature):
        raise EngineError(f'The inputs must be {sorted(signature)}, got {sorted(inputs)}.')
    places = {_place(value) for value in inputs.values()}
    if len(places) != 1 or not places <= {'NumPy', device}:
        tensors = f' or all torch tensors on {device}' if device else ''
        raise EngineError(f'The inputs must all be NumPy arrays{tensors}, got {sorted(places)}.')
    for name, wanted in signature.items():
        value = inputs[name]
        given = InputSpec(tuple(value.shape), str(value.dtype).removeprefix('torch.'))
        if given != wanted:
            raise EngineError(
                f'Input {name!r} must be {wanted.dtype} {wanted.shape}, got {given.dtype} '
                f'{given.shape}.'
            )
    return 'NumPy' not in places


def _place(value: Any) -> str:
    """`NumPy`, the device of a tensor, or the type of anything else."""
    if isinstance(value, np.ndarray):
        return 'NumPy'
    return str(getattr(value, 'device', type(value).__name__))
