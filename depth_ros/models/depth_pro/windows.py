"""Square windows that overlap: an image is split into them, their features are joined again."""

from __future__ import annotations

import torch
from torch import Tensor


def split(image: Tensor, window_px: int, count: int) -> Tensor:
    """(count * count * B, C, window, window), row by row, of an image (B, C, side, side).

    The windows are spread evenly from edge to edge.
    """
    step = (image.shape[-1] - window_px) // (count - 1)
    windows = image.unfold(2, window_px, step).unfold(3, window_px, step)
    return windows.permute(2, 3, 0, 1, 4, 5).flatten(0, 2)


def merge(windows: Tensor, count: int, margin: int) -> Tensor:
    """(B, C, side, side) of what `split` made, or of what has become of it.

    Args:
        windows: (count * count * B, C, size, size).
        count: windows along a side.
        margin: what each of two neighbours gives up where they overlap.
    """
    columns = windows.unflatten(0, (count, count, -1)).transpose(0, 1)
    return _joined(_joined(columns, margin, dim=-1), margin, dim=-2)


def _joined(windows: Tensor, margin: int, dim: int) -> Tensor:
    """Windows in a line, given along the first axis, as one along `dim`, counted from the end."""
    inner = windows.shape[dim] - 2 * margin
    inside = windows.narrow(dim, margin, inner).movedim(0, dim - 1).flatten(dim - 1, dim)
    start = windows[0].narrow(dim, 0, margin)
    end = windows[-1].narrow(dim, margin + inner, margin)
    return torch.cat((start, inside, end), dim)
