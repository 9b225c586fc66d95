"""Polygon files (PLY): vertices of ascii and binary ones, of either byte order.

Source: G. Turk, "The PLY Polygon File Format", 1994.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.datasets.pcd import Table
from depth_ros.errors import DatasetError

_NAMES = {
    'i1': ('char', 'int8'),
    'u1': ('uchar', 'uint8'),
    'i2': ('short', 'int16'),
    'u2': ('ushort', 'uint16'),
    'i4': ('int', 'int32'),
    'u4': ('uint', 'uint32'),
    'f4': ('float', 'float32'),
    'f8': ('double', 'float64'),
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    length_type: str | None = None  # of the number of entries, if it is a list


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)


class _Source(Protocol):
    """Numbers in file order."""

    def take(self, count: int, kind: str) -> npt.NDArray[Any]: ...

    def rows(self, count: int, columns: list[tuple[str, str]]) -> Table: ...


def decode_ply(data: bytes) -> Table:
    """The scalar properties of the `vertex` element, one (N,) row per vertex.

    Raises:
        DatasetError: malformed, truncated, or without vertices.
    """
    end = re.search(rb'^end_header[ \t]*\r?\n', data, re.MULTILINE)
    if end is None or not re.match(rb'ply[ \t]*\r?\n', data):
        raise DatasetError('no `ply` first line or no `end_header`; this is not a PLY file.')
    encoding, elements = _parse_header(data[: end.start()].decode('ascii', 'replace'))
    body = data[end.end() :]
    source: _Source = (
        _AsciiSource(body)
        if encoding == 'ascii'
        else _BinarySource(body, '<' if encoding == 'binary_little_endian' else '>')
    )
    for element in elements:
        table = _read_element(source, element)  # those before the vertices are only passed over
        if element.name == 'vertex':
            return table
    raise DatasetError(f'no vertex element among {[element.name for element in elements]}.')


def encode_ply(cloud: Table, comment: str = '') -> bytes:
    """A binary PLY file of the points of a structured cloud whose x, y, z are finite.

    A packed `rgb` column becomes red, green, blue; all others keep name and type. PLY knows no
    organised clouds and its viewers no NaN, so the grid is given up.
    """
    points = cloud.ravel()
    points = points[np.isfinite(points['x']) & np.isfinite(points['y']) & np.isfinite(points['z'])]
    columns: dict[str, npt.NDArray[Any]] = {}
    for name in points.dtype.names or ():
        if name == 'rgb':
            packed = np.ascontiguousarray(points['rgb']).view(np.uint32)
            for channel, shift in (('red', 16), ('green', 8), ('blue', 0)):
                columns[channel] = (packed >> shift & 0xFF).astype(np.uint8)
        else:
            columns[name] = points[name]
    dtype = np.dtype([(name, column.dtype.newbyteorder('<')) for name, column in columns.items()])
    table = np.empty(len(points), dtype)
    for name, column in columns.items():
        table[name] = column
    header = (
        'ply',
        'format binary_little_endian 1.0',
        *([f'comment {comment}'] if comment else []),
        f'element vertex {len(table)}',
        *(
            f'property {_NAMES[column.dtype.str[1:]][0]} {name}'
            for name, column in columns.items()
        ),
        'end_header\n',
    )
    return '\n'.join(header).encode() + table.tobytes()


def _parse_header(text: str) -> tuple[str, list[_Element]]:
    encoding = ''
    elements: list[_Element] = []
    for line in text.splitlines()[1:]:
        match line.split():
            case [] | ['comment' | 'obj_info', *_]:
                pass
            case ['format', ('ascii' | 'binary_little_endian' | 'binary_big_endian') as name, _]:
                encoding = name
            case ['element', name, count] if int(count) >= 0:
                elements.append(_Element(name, int(count)))
            case ['property', 'list', length, kind, name] if elements:
                entry = _Property(name, _type(kind), _type(length))
                elements[-1].properties.append(entry)
            case ['property', kind, name] if elements:
                elements[-1].properties.append(_Property(name, _type(kind)))
            case _:
                raise DatasetError(f'PLY header line {line!r} is not understood.')
    if not encoding:
        raise DatasetError('the PLY header has no format line.')
    return encoding, elements


def _type(name: str) -> str:
    if name not in _TYPES:
        raise DatasetError(f'PLY type {name!r} is unknown; known are {sorted(_TYPES)}.')
    return _TYPES[name]


def _read_element(source: _Source, element: _Element) -> Table:
    columns = [(p.name, p.type) for p in element.properties if p.length_type is None]
    if len(columns) == len(element.properties):
        return source.rows(element.count, columns)
    rows = []
    for _ in range(element.count):
        row = []
        for entry in element.properties:
            if entry.length_type is None:
                row.append(source.take(1, entry.type)[0])
            else:
                source.take(int(source.take(1, entry.length_type)[0]), entry.type)
        rows.append(tuple(row))
    return np.array(rows, dtype=columns)


class _BinarySource:
    def __init__(self, body: bytes, order: str) -> None:
        self._body = body
        self._order = order
        self._offset = 0

    def take(self, count: int, kind: str) -> npt.NDArray[Any]:
        return self._read(count, np.dtype(self._order + kind))

    def rows(self, count: int, columns: list[tuple[str, str]]) -> Table:
        return self._read(count, np.dtype([(name, self._order + kind) for name, kind in columns]))

    def _read(self, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        left = len(self._body) - self._offset
        if not 0 <= count * dtype.itemsize <= left:
            raise DatasetError(f'truncated: {left} bytes left, wanted {count * dtype.itemsize}.')
        values = np.frombuffer(self._body, dtype, count, self._offset)
        self._offset += count * dtype.itemsize
        return values


class _AsciiSource:
    def __init__(self, body: bytes) -> None:
        self._tokens = body.split()
        self._offset = 0

    def take(self, count: int, kind: str) -> npt.NDArray[Any]:
        left = len(self._tokens) - self._offset
        if not 0 <= count <= left:
            raise DatasetError(f'truncated: {left} values left, wanted {count}.')
        tokens = self._tokens[self._offset : self._offset + count]
        self._offset += count
        return np.array(tokens, dtype=bytes).astype(np.float64)

    def rows(self, count: int, columns: list[tuple[str, str]]) -> Table:
        values = self.take(count * len(columns), 'f8').reshape(count, len(columns))
        return np.rec.fromarrays(values.T, dtype=[(name, 'f8') for name, _ in columns])
