"""Weights that follow from the names of the parameters: meaningless, and the same everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_EMBEDDINGS = {'pos_embed', 'cls_token', 'mask_token'}


def key_named(
    shapes: Mapping[str, tuple[int, ...]], overrides: Mapping[str, float] | None = None
) -> dict[str, npt.NDArray[np.float32]]:
    """Values by name, made as for the oracles of the vision transformers.

    Args:
        shapes: of the parameters by name.
        overrides: parameters all of whose values are the same number.
    """
    fixed = overrides or {}
    return {
        name: np.full(shape, fixed[name], np.float32) if name in fixed else _values(name, shape)
        for name, shape in shapes.items()
    }


def key_named_state(model: Any, overrides: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The same for each parameter of a torch module, as its state dictionary."""
    import torch

    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    values = key_named(shapes, overrides)
    return {name: torch.from_numpy(value) for name, value in values.items()}


def _values(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    value = rng.standard_normal(int(np.prod(shape))).reshape(shape)
    last = name.rpartition('.')[2]
    if last == 'gamma':
        value = 0.5 + 0.1 * value
    elif len(shape) == 1 and last == 'weight':
        value = 1 + 0.1 * value
    elif last == 'bias':
        value = 0.05 * value
    elif last in _EMBEDDINGS:
        value = 0.2 * value
    else:
        value = value / np.sqrt(np.prod(shape[1:]))
    return value.astype(np.float32)
