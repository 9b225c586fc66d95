"""Polygon files (PLY): vertices of ascii and binary ones, of either byte order.

Source: G. Turk, "The PLY Polygon File Format", 1994.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.datasets.ascii_rows import AsciiRows
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
    'f2': ('half', 'float16'),
    'i8': ('int64',),
    'u8': ('uint64',),
}
_RUN = 512  # rows with lists that are looked at together
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
    """Rows of elements in file order."""

    def rows(self, element: _Element) -> Table: ...


def decode_ply(data: bytes) -> Table:
    """The scalar properties of the `vertex` element, one (N,) row per vertex.

    Columns of an ascii file are float64, with NaN where the text is no number.

    Raises:
        DatasetError: malformed, truncated, or without vertices.
    """
    data = data.removeprefix(codecs.BOM_UTF8).lstrip()
    first = re.match(rb'ply[ \t]*(\r\n|\n|\r)', data, re.IGNORECASE)
    # A lone \r ends lines only where it ends the first: the body may begin with a \n.
    newline = b'\r' if first is not None and first.group(1) == b'\r' else b'\n'
    end = re.search(rb'(?<=[\r\n])end_header[ \t]*\r?' + newline.replace(b'\r', b''), data)
    if first is None or end is None:
        raise DatasetError('no `ply` first line or no `end_header`; this is not a PLY file.')
    encoding, elements = _parse_header(data[: end.start()].decode('ascii', 'replace'))
    body = data[end.end() :]
    source: _Source = (
        _AsciiSource(body, data[: end.end()].count(newline) + 1)
        if encoding == 'ascii'
        else _BinarySource(body, '<' if encoding == 'binary_little_endian' else '>')
    )
    for element in elements:
        table = source.rows(element)  # those before the vertices are only passed over
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


def _scalars(element: _Element) -> dict[str, str]:
    """Types of the properties that are no lists; names that occur twice get a number."""
    names = [entry.name for entry in element.properties]
    return {
        entry.name if names.count(entry.name) == 1 else f'{entry.name}#{index}': entry.type
        for index, entry in enumerate(element.properties)
        if entry.length_type is None
    }


class _BinarySource:
    def __init__(self, body: bytes, order: str) -> None:
        self._body = body
        self._order = order
        self._offset = 0

    def rows(self, element: _Element) -> Table:
        names = list(_scalars(element))
        if len(names) == len(element.properties):
            return self._read(element.count, self._record(element, []))
        rows = np.zeros(element.count, self._record(element, []))
        done = 0
        while done < element.count:  # in runs of rows whose lists are as long as the first one's
            run = self._run(element, element.count - done)
            rows[done : done + len(run)] = run[names]
            done += len(run)
        return rows

    def _run(self, element: _Element, most: int) -> Table:
        """The next rows of an element with lists of the same lengths."""
        lengths: list[int] = []
        for entry in element.properties:
            if entry.length_type is not None:
                prefix = self._record(element, lengths, until=entry)
                start = self._offset + prefix.itemsize
                lengths.append(self._length(start, entry.length_type))
        record = self._record(element, lengths)
        whole = (len(self._body) - self._offset) // max(record.itemsize, 1)
        count = max(1, min(most, whole, _RUN))
        start, table = self._offset, self._read(count, record)
        same = np.ones(count, bool)
        for index, length in enumerate(lengths):
            same &= table[f'length {index}'] == length
        run = count if same.all() else int(np.argmin(same))
        self._offset = start + run * record.itemsize
        return table[:run]

    def _length(self, start: int, kind: str) -> int:
        dtype = np.dtype(self._order + kind)
        if start + dtype.itemsize > len(self._body):
            raise DatasetError(f'truncated: {len(self._body) - self._offset} bytes left in a row.')
        length = int(np.frombuffer(self._body, dtype, 1, start)[0])
        if not 0 <= length <= len(self._body):
            raise DatasetError(f'truncated: a list of {length} entries.')
        return length

    def _record(
        self, element: _Element, lengths: list[int], until: _Property | None = None
    ) -> np.dtype[Any]:
        """A row with lists of such lengths, up to a property."""
        columns: list[Any] = []
        scalars, lists = iter(_scalars(element).items()), iter(enumerate(lengths))
        for entry in element.properties:
            if entry is until:
                break
            if entry.length_type is None:
                name, kind = next(scalars)
                columns.append((name, self._order + kind))
            elif lengths:
                index, length = next(lists)
                columns.append((f'length {index}', self._order + entry.length_type))
                columns.append((f'list {index}', self._order + entry.type, (length,)))
        return np.dtype(columns)

    def _read(self, count: int, dtype: np.dtype[Any]) -> Table:
        left = len(self._body) - self._offset
        if not 0 <= count * dtype.itemsize <= left:
            raise DatasetError(f'truncated: {left} bytes left, wanted {count * dtype.itemsize}.')
        values = np.frombuffer(self._body, dtype, count, self._offset)
        self._offset += count * dtype.itemsize
        return values


class _AsciiSource:
    def __init__(self, body: bytes, first_line: int) -> None:
        self._rows = AsciiRows(body, first_line)

    def rows(self, element: _Element) -> Table:
        names = list(_scalars(element))
        if len(names) == len(element.properties):
            tokens = self._rows.take(element.count, names)
        else:
            tokens = [token for _ in range(element.count) for token in self._row(element)]
        needed = ('x', 'y', 'z') if element.name == 'vertex' else ()
        table = np.zeros(element.count, [(name, 'f8') for name in names])
        for index, name in enumerate(names):
            is_needed = name.lower() in needed
            table[name] = self._rows.numbers(tokens[index :: len(names)], name, is_needed)
        return table

    def _row(self, element: _Element) -> list[bytes]:
        """The scalars of the next row; lists are passed over."""
        row = []
        for entry in element.properties:
            if entry.length_type is None:
                row += self._rows.take_values(1)
            else:
                self._rows.take_list()
        self._rows.end_row()
        return row
