"""PointCloud2 in: any layout to (N, 3) float32 metres.

What a sensor sends is never trusted. Headers that contradict their data are read where one reading
is left, which is said; all others raise `NodeError`, whose `reason` is the key under which the
node counts the drop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.errors import NodeError
from depth_ros.frame import Float32

# sensor_msgs/PointField
_NAMES = ('INT8', 'UINT8', 'INT16', 'UINT16', 'INT32', 'UINT32', 'FLOAT32', 'FLOAT64')
_DATATYPES = dict(enumerate(_NAMES, start=1))
_BYTES = dict(enumerate((1, 1, 2, 2, 4, 4, 4, 8), start=1))
_FLOATS = {7: 'f4', 8: 'f8'}

# Coordinates of a sensor in metres; of floats read in the wrong byte order few lie in between.
_SMALLEST_M, _LARGEST_M = 1e-9, 1e6
_SAMPLED_ROWS, _SAMPLED_COLUMNS = 16, 64


class _Place(NamedTuple):
    """Where a field lies in a point."""

    offset: int
    datatype: int
    length: int = 1

    @property
    def end(self) -> int:
        return self.offset + _BYTES.get(self.datatype, 1) * self.length


class _Rows(NamedTuple):
    """How points lie in the data."""

    height: int
    width: int
    row_step: int
    point_step: int


def cloud_to_points(msg: Any, say: Callable[[str], None] | None = None) -> Float32:
    """The cloud's x y z as (N, 3) float32 metres, in a fresh array, row after row.

    Any order and place of the fields, float32 or float64, either byte order, padded or not. Data
    may be longer than the points need. Wrong steps, a height of 0 and a wrong `is_bigendian` are
    read where all the rest of the message agrees on one other value.

    Args:
        msg: sensor_msgs/PointCloud2.
        say: is told in a sentence what the message has wrong and how it was read.

    Raises:
        NodeError: reason `empty_cloud` (no points, or not one return among them),
            `missing_fields`, `bad_step` or `bad_data_length`.
    """
    columns = _coordinates(msg)
    rows, problem = _rows(msg, columns)
    points = _read(msg, columns, rows, bool(msg.is_bigendian))
    if _nonsense(points, rows):
        other = _read(msg, columns, rows, not msg.is_bigendian)
        if not _nonsense(other, rows):
            points = other
            problem = problem or (
                f'is_bigendian is {bool(msg.is_bigendian)}, but its coordinates make sense only '
                'the other way round; they are read so'
            )
        elif not (np.isfinite(points).all(axis=1) & (points != 0).any(axis=1)).any():
            raise NodeError(
                f'Cloud of {len(points)} points holds no return: each is NaN or (0, 0, 0). Is the '
                'LiDAR covered, or do its driver and its model differ?',
                'empty_cloud',
            )
    if problem and say:
        say(f'The cloud of {msg.header.frame_id!r} has a wrong header: {problem}.')
    return points


def _coordinates(msg: Any) -> list[_Place]:
    """Where x, y and z lie."""
    found = [_named(msg, axis, axis.upper()) for axis in 'xyz']
    vector = _named(msg, 'xyz', 'XYZ')
    if not any(found) and len(vector) == 1:
        first = vector.pop()
        width = _BYTES.get(first.datatype, 1)
        if first.length == 3:
            found = [{_Place(first.offset + i * width, first.datatype)} for i in range(3)]
    if not all(found) or any(place.datatype not in _FLOATS for p in found for place in p):
        text = f'Cloud needs x, y and z as FLOAT32 or FLOAT64, its fields are: {_listed(msg)}.'
        if all(found):
            text += ' The scale of integers is not in the message; have the driver give metres.'
        raise NodeError(text, 'missing_fields')
    if any(len(places) > 1 or place.length > 1 for places in found for place in places):
        raise NodeError(
            f'Cloud has more than one x, y or z in each point: {_listed(msg)}.', 'missing_fields'
        )
    columns = [places.pop() for places in found]
    ordered = sorted(columns)
    if ordered[0].end > ordered[1].offset or ordered[1].end > ordered[2].offset:
        raise NodeError(
            f'Cloud has x, y and z one over the other: {_listed(msg)}; each needs its own offset.',
            'missing_fields',
        )
    return columns


def _described(field: Any) -> tuple[str, _Place]:
    # Many drivers leave `count` at 0 where they mean 1.
    return field.name, _Place(field.offset, field.datatype, max(field.count, 1))


def _named(msg: Any, *names: str) -> set[_Place]:
    """The places of the first of these names that there is."""
    described = [_described(field) for field in msg.fields]
    places = ({place for given, place in described if given == name} for name in names)
    return next(filter(None, places), set())


def _listed(msg: Any) -> str:
    fields = [
        f'{name} ({place.length} x {_DATATYPES.get(place.datatype, place.datatype)} at '
        f'{place.offset})'
        for name, place in map(_described, msg.fields)
    ]
    return ', '.join(fields) or 'none'


def _rows(msg: Any, columns: list[_Place]) -> tuple[_Rows, str]:
    """The layout that the message means, and what of its header is wrong; '' if nothing is."""
    height, width, row_step, length = msg.height, msg.width, msg.row_step, len(msg.data)
    point_step, problem = _point_step(msg, max(column.end for column in columns))
    if not height or not width:
        if not length or max(height, width) * point_step != length:
            raise NodeError(f'Cloud is empty: {width}x{height} points.', 'empty_cloud')
        problem = f'it is {width}x{height}, but its data has {max(height, width)} points'
        return _Rows(1, max(height, width), length, point_step), problem
    tight = width * point_step
    fits = row_step >= tight and length >= row_step * (height - 1) + tight
    if not fits:
        # One row needs no step; and data of just these points leaves no room for padding.
        if not (length == tight * height or (height == 1 and length >= tight)):
            raise _misfit(msg, point_step)
        problem = problem or f'row_step is {row_step}, its data has rows of {tight} bytes'
        row_step = tight
    return _Rows(height, width, row_step, point_step), problem


def _point_step(msg: Any, needed: int) -> tuple[int, str]:
    """Bytes from point to point, and what is wrong with what the message says of it."""
    if msg.point_step >= needed:
        return msg.point_step, ''
    all_fields = max(place.end for _, place in map(_described, msg.fields))
    step, rest = divmod(msg.row_step, max(msg.width, 1))
    if rest or step < all_fields or msg.row_step * msg.height != len(msg.data):
        raise NodeError(
            f'Cloud has point_step {msg.point_step}, its fields need {needed} bytes a point, and '
            f'row_step {msg.row_step} of {msg.width} points does not settle it.',
            'bad_step',
        )
    return step, f'point_step is {msg.point_step}, row_step and data make it {step}'


def _misfit(msg: Any, point_step: int) -> NodeError:
    tight = msg.width * point_step
    if msg.row_step < tight:
        return NodeError(
            f'Cloud of width {msg.width} has row_step {msg.row_step}, which must be at least '
            f'width x point_step = {tight}, and {len(msg.data)} bytes of data where just these '
            f'points take {tight * msg.height}.',
            'bad_step',
        )
    return NodeError(
        f'Cloud data has {len(msg.data)} bytes, row_step x height = {msg.row_step} x '
        f'{msg.height} asks for {msg.row_step * msg.height}.',
        'bad_data_length',
    )


def _read(msg: Any, columns: list[_Place], rows: _Rows, is_bigendian: bool) -> Float32:
    shape, strides = (rows.height, rows.width), (rows.row_step, rows.point_step)
    points = np.empty((*shape, 3), np.float32)
    # Column by column: NumPy copies a (N, 3) view five times slower, its inner loop being 3 long.
    with np.errstate(over='ignore', invalid='ignore'):  # a wild float64 becomes inf, silently
        for axis, (offset, datatype, _) in enumerate(columns):
            dtype = np.dtype(('>' if is_bigendian else '<') + _FLOATS[datatype])
            points[..., axis] = np.ndarray(shape, dtype, msg.data, offset, strides)
    return points.reshape(-1, 3)


def _nonsense(points: Float32, rows: _Rows) -> bool:
    """Whether hardly any of a sample of points can be where a sensor sees something."""
    step = (max(1, rows.height // _SAMPLED_ROWS), max(1, rows.width // _SAMPLED_COLUMNS))
    sample = points.reshape(rows.height, rows.width, 3)[:: step[0], :: step[1]].reshape(-1, 3)
    size: npt.NDArray[np.float32] = np.abs(sample)
    possible = (size == 0) | ((size > _SMALLEST_M) & (size < _LARGEST_M))  # NaN is neither
    returns = possible.all(axis=1) & (size > 0).any(axis=1)
    return 10 * int(returns.sum()) < len(sample)
