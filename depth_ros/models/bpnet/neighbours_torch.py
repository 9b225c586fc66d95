"""The twin of `neighbours` for tensors, so that returns on a GPU stay there."""

from __future__ import annotations

import torch
from torch import Tensor

from depth_ros.errors import ModelError
from depth_ros.models.bpnet.neighbours import LEVELS, NEIGHBOURS, NOTHING


def pyramid(found: Tensor) -> list[Tensor]:
    """Flat indices (4, h w) int32 of the nearest returns at levels 0 to 5.

    Args:
        found: (H, W) bool, True where there is a return; H and W are multiples of 32.

    Raises:
        ModelError: there is no return at all.
    """
    height, width = found.shape
    cells = (2**level for level in range(LEVELS))
    grids = (found.view(height // cell, cell, width // cell, cell) for cell in cells)
    return [nearest(grid.any(dim=3).any(dim=1)) for grid in grids]


def nearest(found: Tensor) -> Tensor:
    """Flat indices (4, h w) int32 of the four returns nearest to each pixel of a mask (h, w).

    As `neighbours.nearest`, which explains it. The host waits at every step to learn how many
    rows are left, some forty times for the six levels of an image: to go on with all rows instead
    would move many times the memory.

    Raises:
        ModelError: there is no return at all.
    """
    height, width = found.shape
    size = height * width
    rows = found.any(dim=1).nonzero()[:, 0]
    if rows.numel() == 0:
        raise ModelError('No LiDAR return in the image: BP-Net needs at least one.')
    row_keys = _row_keys(found[rows], rows * width, size)
    best = row_keys.new_full((NEIGHBOURS, height, width), NOTHING)
    all_rows = torch.arange(height, device=found.device)
    at_or_below = torch.searchsorted(rows, all_rows)
    for start, step in ((at_or_below, 1), (at_or_below - 1, -1)):
        y, at = all_rows, start
        while True:
            inside = (at >= 0) & (at < rows.numel())
            farther = (rows[at.clamp(0, rows.numel() - 1)] - y) ** 2 * size
            left = (inside & (best[-1, y].amax(dim=1) > farther)).nonzero()[:, 0]
            if left.numel() == 0:
                break
            y, at, farther = y[left], at[left], farther[left]
            best[:, y] = _merge(best[:, y], row_keys[:, at] + farther[:, None])
            at = at + step
    for i in range(1, NEIGHBOURS):
        best[i] = torch.where(best[i] < NOTHING, best[i], best[i - 1])
    return (size - 1 - best % size).view(NEIGHBOURS, size).int()


def _row_keys(found: Tensor, first: Tensor, size: int) -> Tensor:
    """Sorted keys (4, m, w) of the returns nearest to each pixel within its own row."""
    columns = found.nonzero()[:, 1]
    count = found.sum(dim=1, keepdim=True)
    ends = count.cumsum(dim=0)
    starts = ends - count
    after = starts + found.cumsum(dim=1)
    x = torch.arange(found.shape[1], device=found.device)

    def keys(at: Tensor) -> Tensor:
        column = columns[at.clamp(0, columns.numel() - 1)]
        key = (column - x) ** 2 * size + (size - 1 - first[:, None] - column)
        return torch.where((at >= starts) & (at < ends), key, NOTHING)

    to_the_left = torch.stack([keys(after - 1 - i) for i in range(NEIGHBOURS)])
    to_the_right = torch.stack([keys(after + i) for i in range(NEIGHBOURS)])
    return _merge(to_the_left, to_the_right)


def _merge(a: Tensor, b: Tensor) -> Tensor:
    """The four smallest of two sorted sets of four along the first axis, sorted."""
    low = torch.minimum(a, b.flip(0))
    low = torch.cat((torch.minimum(low[:2], low[2:]), torch.maximum(low[:2], low[2:])))
    pairs = low[0::2], low[1::2]
    return torch.stack((torch.minimum(*pairs), torch.maximum(*pairs)), dim=1).flatten(0, 1)
