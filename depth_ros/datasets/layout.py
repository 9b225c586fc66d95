"""Whether a file of bare numbers can be a cloud of the columns that its description names.

Columns of a cloud are unlike each other: heights, distances, intensities, ring numbers. Cut into
records of a wrong length, every column becomes a mixture of all, and they are alike; cut into
those of the right length, they are not. A file is refused only if another record explains its
numbers far better than the described one. Nothing is assumed of the order of the points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.errors import DatasetError

_LENGTHS = (3, 4, 5, 6, 7, 8)  # columns that clouds in such files usually have
_BLOCK = 840  # values; a whole number of records of every such length
_BLOCKS = 48
_ENOUGH = 360  # values below which nothing is judged
_ABSURD_M = 1e5  # no sensor measures that, and bytes of another type often seem to
_ABSURD_SHARE = 0.01
_MARGIN = 0.10  # of explained variance


@dataclass(frozen=True)
class Layout:
    """Records of a number of columns of one type."""

    columns: int
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        order = ', big-endian' if self.dtype.byteorder == '>' else ''
        return f'{self.columns} columns of {self.dtype.name}{order}'


def check_layout(data: bytes, fields: Sequence[str]) -> None:
    """Refuse bytes that cannot be records of little-endian float32 columns, x, y, z among them.

    Raises:
        DatasetError: the length is no multiple of a record, coordinates are absurd, or another
            record fits far better; with that other layout.
    """
    columns = len(fields)
    described = Layout(columns, np.dtype('<f4'))
    record = columns * described.dtype.itemsize
    if len(data) % record:
        raise DatasetError(
            f'{len(data)} bytes are no whole number of {record}-byte records ({described}): '
            f'truncated, or other columns.{_hint(data, described)}'
        )
    values = _sample(data, described.dtype)
    if len(values) < _ENOUGH:
        return
    places = [index for index, name in enumerate(fields) if name.lower() in 'xyz']
    absurd = _absurd_share(_table(values, columns)[:, places])
    if absurd > _ABSURD_SHARE:
        raise DatasetError(
            f'{absurd:.0%} of its coordinates are beyond {_ABSURD_M / 1e3:.0f} km or infinite if '
            f'read as {described}; they are stored in another way.{_hint(data, described)}'
        )
    own = distinctness(values, columns)
    best, most = described, own
    for other in _others(data, described):
        if other.dtype == described.dtype:
            found = distinctness(values, other.columns)
            # A multiple of the right length explains as much and no more.
            if found > most * 1.01 and _fits_better(values, own, found, columns, other.columns):
                best, most = other, found
    if best != described:
        raise DatasetError(
            f'read as {described}, its columns are mixtures of each other, but not if read as '
            f'{best}; name those in `lidar.fields` of calib.json, x, y and z among them.'
        )


def distinctness(values: npt.NDArray[np.floating], columns: int) -> float:
    """How unlike the columns of a flat table are: the variance of ranks that they explain, 0 to 1.

    Of the numbers or of their magnitudes, whichever tells more; NaN is left out.
    """
    table = _table(values, columns)
    whole, known = table.ravel(), ~np.isnan(table.ravel())
    column = np.tile(np.arange(columns), len(table))[known]
    return max(_explained(part, column, columns) for part in (whole[known], abs(whole[known])))


def _fits_better(
    values: npt.NDArray[np.floating], own: float, found: float, columns: int, other: int
) -> bool:
    if found < own + _MARGIN:
        return False
    if other % columns:
        return found > 1.5 * own
    # Lasers that fire in turn make points differ by turns, too, but they still measure places.
    table = _table(values, other)
    return not _is_no_place(table[:, :3]) and _is_no_place(table[:, columns : columns + 3])


def _is_no_place(table: npt.NDArray[np.floating]) -> bool:
    """Whether (N, 3) holds whole numbers (rings, colours), constants or unit vectors (normals)."""
    known = table[np.isfinite(table).all(axis=1)]
    constant = (known == known[:1]).all(axis=0)  # one may be: the height of a level laser
    whole = (known == np.rint(known)).all(axis=0) & ~constant
    unit = np.allclose(np.linalg.norm(known, axis=1), 1, atol=1e-3)
    return bool(len(known)) and bool(whole.any() or constant.sum() > 1 or unit)


def _explained(values: npt.NDArray[np.floating], column: Any, columns: int) -> float:
    """Share of the variance of the ranks of values that lies between columns."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2)[place] / max(len(values), 1)
    variance = ranks.var()
    if not variance > 0:
        return 0.0
    sizes = np.bincount(column, minlength=columns)
    means = np.bincount(column, ranks, columns) / np.maximum(sizes, 1)
    return float((sizes * (means - ranks.mean()) ** 2).sum() / len(ranks) / variance)


def _sample(data: bytes, dtype: np.dtype[Any]) -> npt.NDArray[np.floating]:
    """Numbers from all over a file, in whole records of every usual length."""
    values = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    blocks = len(values) // _BLOCK
    if blocks > _BLOCKS:
        chosen = np.linspace(0, blocks - 1, _BLOCKS).astype(int)
        values = values[: blocks * _BLOCK].reshape(blocks, _BLOCK)[chosen].ravel()
    with np.errstate(over='ignore', invalid='ignore'):
        return values.astype(np.float64)


def _table(values: npt.NDArray[np.floating], columns: int) -> npt.NDArray[np.floating]:
    return values[: len(values) // columns * columns].reshape(-1, columns)


def _absurd_share(values: npt.NDArray[np.floating]) -> float:
    known = values[~np.isnan(values)]
    return float((abs(known) > _ABSURD_M).mean()) if len(known) else 0.0


def _others(data: bytes, described: Layout) -> Iterator[Layout]:
    for code in ('<f4', '<f8', '>f4', '>f8'):
        dtype = np.dtype(code)
        for columns in _LENGTHS:
            layout = Layout(columns, dtype)
            if layout != described and len(data) % (columns * dtype.itemsize) == 0:
                yield layout


def _hint(data: bytes, described: Layout) -> str:
    """The layout that fits a file best, as a sentence; empty if none does."""
    best, most = None, _MARGIN
    for other in _others(data, described):
        values = _sample(data, other.dtype)
        places = _table(values, other.columns)[:, :3]
        tiny = (abs(places) < 1e-6) & (places != 0)
        if len(values) < _ENOUGH or _absurd_share(places) > 0 or tiny.mean() > 0.01:
            continue
        found = distinctness(values, other.columns)
        if found > most * 1.01:  # a multiple of the right length explains as much
            best, most = other, found
    return '' if best is None else f' It looks like {best}.'
