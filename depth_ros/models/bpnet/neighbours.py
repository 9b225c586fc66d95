"""The four nearest returns of every pixel, at each of BP-Net's six levels.

They depend on where returns lie and on nothing else, so they are inputs of the network and not
part of it: the graph has no search, no data-dependent shape and no custom operator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.errors import ModelError
from depth_ros.frame import Bool

LEVELS = 6
NEIGHBOURS = 4
NOTHING = 2**62
"""Key of a neighbour that does not exist; leaves room to add to it."""

Keys = npt.NDArray[np.int64]


def pyramid(found: Bool) -> list[npt.NDArray[np.int32]]:
    """Flat indices (4, h w) of the nearest returns at levels 0 to 5.

    Args:
        found: (H, W) bool, True where there is a return; H and W are multiples of 32.

    Raises:
        ModelError: there is no return at all.
    """
    height, width = found.shape
    cells = (2**level for level in range(LEVELS))
    grids = (found.reshape(height // cell, cell, width // cell, cell) for cell in cells)
    return [nearest(np.any(grid, axis=(1, 3))) for grid in grids]


def nearest(found: Bool) -> npt.NDArray[np.int32]:
    """Flat indices (4, h w) of the four returns nearest to each pixel of a mask (h, w).

    In order of distance; of returns at the same distance the one later in raster order comes
    first, as in the official CUDA operator. Where there are fewer than four, the last one is
    repeated.

    Raises:
        ModelError: there is no return at all.
    """
    if not found.any():
        raise ModelError('No LiDAR return in the image: BP-Net needs at least one.')
    height, width = found.shape
    size = height * width
    rows = np.flatnonzero(found.any(axis=1))
    row_keys = _row_keys(found[rows], rows * width, size)
    best = np.full((NEIGHBOURS, height, width), NOTHING, dtype=np.int64)
    at_or_below = np.searchsorted(rows, np.arange(height))
    for start, step in ((at_or_below, 1), (at_or_below - 1, -1)):
        y, at = np.arange(height), start
        while True:
            # A row is done when its next source row is farther than its fourth neighbours.
            inside = (at >= 0) & (at < rows.size)
            farther = (rows.take(at, mode='clip') - y) ** 2 * size
            left = np.flatnonzero(inside & (best[-1, y].max(axis=1) > farther))
            if left.size == 0:
                break
            y, at, farther = y[left], at[left], farther[left]
            best[:, y] = _merge(best[:, y], row_keys[:, at] + farther[:, None])
            at = at + step
    for i in range(1, NEIGHBOURS):
        best[i] = np.where(best[i] < NOTHING, best[i], best[i - 1])
    return (size - 1 - best % size).reshape(NEIGHBOURS, size).astype(np.int32)


def _row_keys(found: Bool, first: npt.NDArray[np.intp], size: int) -> Keys:
    """Sorted keys (4, m, w) of the returns nearest to each pixel within its own row.

    A key orders neighbours and names them: squared distance, then the later flat index first.

    Args:
        found: (m, w) mask of rows that hold returns.
        first: (m,) flat index of their first pixels.
        size: number of pixels of the whole grid.
    """
    columns = np.nonzero(found)[1]
    ends = np.cumsum(np.count_nonzero(found, axis=1))[:, None]
    starts = ends - np.count_nonzero(found, axis=1)[:, None]
    after = starts + np.cumsum(found, axis=1)  # of `columns`, the first right of each pixel
    x = np.arange(found.shape[1])

    def keys(at: npt.NDArray[np.intp]) -> Keys:
        column = columns.take(at, mode='clip')
        key = (column - x) ** 2 * size + (size - 1 - first[:, None] - column)
        return np.where((at >= starts) & (at < ends), key, NOTHING)

    to_the_left = np.stack([keys(after - 1 - i) for i in range(NEIGHBOURS)])
    to_the_right = np.stack([keys(after + i) for i in range(NEIGHBOURS)])
    return _merge(to_the_left, to_the_right)


def _merge(a: Keys, b: Keys) -> Keys:
    """The four smallest of two sorted sets of four along the first axis, sorted.

    Batcher's bitonic merge: the minima of one set and the other reversed are those four.
    """
    low = np.minimum(a, b[::-1])
    low = np.concatenate((np.minimum(low[:2], low[2:]), np.maximum(low[:2], low[2:])))
    pairs = low[0::2], low[1::2]
    merged = np.empty_like(low)
    np.minimum(*pairs, out=merged[0::2])
    np.maximum(*pairs, out=merged[1::2])
    return merged
