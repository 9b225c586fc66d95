"""Point Cloud Data files of PCL, version 0.7: ascii, binary and binary_compressed.

Source: the PCD format page of the Point Cloud Library's documentation. VIEWPOINT is not applied;
points stay in the frame they were stored in, as PCL itself leaves them.
"""

from __future__ import annotations

import codecs
import math
import re
import struct
from typing import Any

import numpy as np
import numpy.lib.recfunctions as rfn
import numpy.typing as npt

from depth_ros.datasets.ascii_rows import AsciiRows
from depth_ros.errors import DatasetError

Table = npt.NDArray[np.void]  # structured, one named column per field

_KINDS = {'F': 'f', 'D': 'f', 'I': 'i', 'U': 'u'}  # D is none of PCL's, but has one reading
_SIZES = {'F': (2, 4, 8), 'D': (8,), 'I': (1, 2, 4, 8), 'U': (1, 2, 4, 8)}


def decode_pcd(data: bytes) -> Table:
    """The columns of a PCD file, one (N,) row per point; fields of COUNT > 1 are (N, COUNT).

    Columns of an ascii file are float64, with NaN where the text is no number. Headers of before
    version 0.7 are read, too: COLUMNS for FIELDS, no COUNT, no POINTS.

    Raises:
        DatasetError: malformed or truncated.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if b'\n' not in data:
        data = data.replace(b'\r', b'\n')
    end = re.search(rb'^DATA[ \t]+(\w+)[ \t]*(\r?\n|\Z)', data, re.MULTILINE | re.IGNORECASE)
    if end is None:
        raise DatasetError('no DATA line; this is not a PCD file.')
    head = data[: end.end()]
    lines = (line.split() for line in data[: end.start()].decode('ascii', 'replace').splitlines())
    header = {line[0].upper(): line[1:] for line in lines if line and line[0][0] != '#'}
    header.setdefault('FIELDS', header.get('COLUMNS', []))
    body, encoding = data[end.end() :], end.group(1).decode().lower()
    if encoding == 'ascii':
        return _decode_ascii(body, header, head.count(b'\n') + 1)
    dtype = _record(header)
    points = _points(header, len(body), dtype.itemsize if encoding == 'binary' else 0)
    if encoding == 'binary':
        _check_length(len(body), points * dtype.itemsize)
        return np.frombuffer(body, dtype, points)
    if encoding == 'binary_compressed':
        return _decode_compressed(body, dtype, points)
    raise DatasetError(f'DATA {encoding!r} is unknown; wanted ascii, binary or binary_compressed.')


def encode_pcd(cloud: Table, comment: str = '') -> bytes:
    """A binary PCD file of a structured cloud, (N,) or organised (H, W); NaN points are kept."""
    packed = np.asarray(rfn.repack_fields(cloud))
    packed = packed.astype(packed.dtype.newbyteorder('<'), copy=False)
    fields = [packed.dtype[name] for name in packed.dtype.names or ()]
    height, width = (1, *packed.shape)[-2:]
    header = (
        *([f'# {comment}'] if comment else []),
        'VERSION 0.7',
        f'FIELDS {" ".join(packed.dtype.names or ())}',
        f'SIZE {" ".join(str(field.itemsize) for field in fields)}',
        f'TYPE {" ".join(field.kind.upper() for field in fields)}',
        f'COUNT {" ".join("1" for _ in fields)}',
        f'WIDTH {width}',
        f'HEIGHT {height}',
        'VIEWPOINT 0 0 0 1 0 0 0',
        f'POINTS {packed.size}',
        'DATA binary\n',
    )
    return '\n'.join(header).encode() + packed.tobytes()


def decompress_lzf(data: bytes) -> bytes:
    """Bytes of an LZF stream (Marc Lehmann's LibLZF, as PCL writes it).

    A control byte below 32 opens a run of literals; any other one refers back into the output:
    3 bits of length and 13 of distance, with one more length byte where the 3 bits are full.

    Raises:
        DatasetError: the stream ends within a token, or refers to before its start.
    """
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            control = data[position]
            position += 1
            if control < 32:
                run = data[position : position + control + 1]
                if len(run) <= control:
                    raise IndexError
                out += run
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            length += 2
            distance = ((control & 0x1F) << 8 | data[position]) + 1
            position += 1
            start = len(out) - distance
            if start < 0:
                raise DatasetError(f'LZF refers back {distance} bytes after only {len(out)}.')
            pattern = out[start : start + length]  # shorter than length where it repeats itself
            out += (pattern * -(-length // len(pattern)))[:length]
    except IndexError:
        raise DatasetError(f'LZF stream of {len(data)} bytes ends within a token.') from None
    return bytes(out)


def _names(header: dict[str, list[str]]) -> list[str]:
    """Names of the columns; those that occur twice, as paddings called `_` do, get a number."""
    names = header['FIELDS']
    if not names:
        raise DatasetError('the PCD header has no FIELDS.')
    return [
        name if names.count(name) == 1 else f'{name}#{index}' for index, name in enumerate(names)
    ]


def _numbers(header: dict[str, list[str]], key: str, otherwise: list[str]) -> list[int]:
    """The whole numbers of a line of the header, one for each field."""
    words = header.get(key, otherwise)
    if len(words) != len(header['FIELDS']) or not all(word.isdecimal() for word in words):
        raise DatasetError(
            f'{key} is {" ".join(words) or "missing"}; wanted {len(header["FIELDS"])} whole '
            f'numbers, one for each of FIELDS {" ".join(header["FIELDS"])}.'
        )
    return [int(word) for word in words]


def _counts(header: dict[str, list[str]]) -> list[int]:
    return _numbers(header, 'COUNT', ['1'] * len(header['FIELDS']))


def _record(header: dict[str, list[str]]) -> np.dtype[Any]:
    """A point of a binary file; fields of COUNT 0 take no room and are left out."""
    names, sizes, counts = _names(header), _numbers(header, 'SIZE', []), _counts(header)
    types = [word.upper() for word in header.get('TYPE', [])]
    if len(types) != len(names):
        raise DatasetError(f'TYPE is {" ".join(types) or "missing"} for FIELDS {" ".join(names)}.')
    columns: list[Any] = []
    for name, size, kind, count in zip(names, sizes, types, counts, strict=True):
        if size not in _SIZES.get(kind, ()):
            raise DatasetError(f'field {name} has TYPE {kind} of SIZE {size}, which is unknown.')
        if count:
            columns.append((name, f'<{_KINDS[kind]}{size}', *([(count,)] * (count > 1))))
    return np.dtype(columns)


def _points(header: dict[str, list[str]], given: int, record: int) -> int:
    """Number of points: POINTS, else WIDTH x HEIGHT, else what the data has room for."""
    keys = ('POINTS',) if 'POINTS' in header else ('WIDTH', 'HEIGHT')
    if all(key in header for key in keys):
        words = [(header[key] or [''])[0] for key in keys]
        if not all(word.isdecimal() for word in words):
            raise DatasetError(f'{" x ".join(keys)} is {" x ".join(words)}, no number of points.')
        return math.prod(map(int, words))
    if not record or given % record:
        raise DatasetError(
            'the PCD header has neither POINTS nor WIDTH and HEIGHT, and the data does not tell '
            'how many points there are; add POINTS.'
        )
    return given // record


def _decode_ascii(body: bytes, header: dict[str, list[str]], first_line: int) -> Table:
    counts = _counts(header)
    columns = [(name, count) for name, count in zip(_names(header), counts, strict=True) if count]
    rows = AsciiRows(body, first_line)
    values = [name for name, count in columns for _ in range(count)]
    points = _points(header, len(body.split()), len(values))
    tokens = rows.take(points, values)
    table = np.zeros(
        points, [(name, 'f8', *([(count,)] * (count > 1))) for name, count in columns]
    )
    first = 0
    for name, count in columns:
        for index in range(count):
            needed = name.lower() in ('x', 'y', 'z')
            numbers = rows.numbers(tokens[first + index :: len(values)], name, needed)
            (table[name] if count == 1 else table[name][:, index])[:] = numbers
        first += count
    return table


def _decode_compressed(body: bytes, dtype: np.dtype[Any], points: int) -> Table:
    table = np.empty(points, dtype)
    if not points:
        return table
    _check_length(len(body), 8)
    compressed, uncompressed = struct.unpack_from('<II', body)
    _check_length(len(body) - 8, compressed)
    raw = _decompressed(body[8 : 8 + compressed], uncompressed)
    if not len(raw) == uncompressed == table.nbytes:
        raise DatasetError(
            f'{len(raw)} bytes after decompression, {uncompressed} announced, '
            f'{table.nbytes} needed for {points} points.'
        )
    offset = 0
    for name in dtype.names or ():  # stored column after column
        column = table[name]
        column[...] = np.frombuffer(raw, column.dtype, column.size, offset).reshape(column.shape)
        offset += column.nbytes
    return table


def _decompressed(data: bytes, size: int) -> bytes:
    """The bytes of an LZF stream; or of data as it is, which writers store that gains nothing."""
    try:
        raw = decompress_lzf(data)
    except DatasetError:
        if len(data) != size:
            raise
        return data
    return data if len(raw) != size == len(data) else raw


def _check_length(given: int, wanted: int) -> None:
    if given < wanted:
        raise DatasetError(f'truncated: {given} bytes of point data, wanted {wanted}.')
