"""Point Cloud Data files of PCL, version 0.7: ascii, binary and binary_compressed.

Source: the PCD format page of the Point Cloud Library's documentation. VIEWPOINT is not applied;
points stay in the frame they were stored in, as PCL itself leaves them.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import numpy.lib.recfunctions as rfn
import numpy.typing as npt

from depth_ros.errors import DatasetError

Table = npt.NDArray[np.void]  # structured, one named column per field

_KINDS = {'F': 'f', 'I': 'i', 'U': 'u'}


def decode_pcd(data: bytes) -> Table:
    """The columns of a PCD file, one (N,) row per point; fields of COUNT > 1 are (N, COUNT).

    Raises:
        DatasetError: malformed or truncated.
    """
    end = re.search(rb'^DATA[ \t]+(\w+)[ \t]*\r?\n', data, re.MULTILINE)
    if end is None:
        raise DatasetError('no DATA line; this is not a PCD file.')
    lines = (line.split() for line in data[: end.start()].decode('ascii', 'replace').splitlines())
    header = {line[0]: line[1:] for line in lines if line and not line[0].startswith('#')}
    dtype, points = _layout(header)
    body, encoding = data[end.end() :], end.group(1).decode()
    if encoding == 'ascii':
        return _decode_ascii(body, dtype, points)
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


def _layout(header: dict[str, list[str]]) -> tuple[np.dtype[Any], int]:
    missing = [key for key in ('FIELDS', 'SIZE', 'TYPE') if key not in header]
    if missing:
        raise DatasetError(f'the PCD header has no {" ".join(missing)}.')
    names, sizes, types = header['FIELDS'], header['SIZE'], header['TYPE']
    counts = header.get('COUNT', ['1'] * len(names))
    if not len(names) == len(sizes) == len(types) == len(counts):
        raise DatasetError(f'FIELDS {names}, SIZE {sizes}, TYPE {types}, COUNT {counts} disagree.')
    columns: list[Any] = []
    for index, (name, size, kind, count) in enumerate(
        zip(names, sizes, types, counts, strict=True)
    ):
        if kind not in _KINDS or int(count) < 1:
            raise DatasetError(f'field {name} has TYPE {kind}, COUNT {count}.')
        # Padding fields may all be called `_`; columns must be told apart.
        unique = name if names.count(name) == 1 else f'{name}#{index}'
        columns.append((unique, f'<{_KINDS[kind]}{size}', *([(int(count),)] * (int(count) > 1))))
    if 'POINTS' in header:
        points = int(header['POINTS'][0])
    else:
        points = int(header['WIDTH'][0]) * int(header['HEIGHT'][0])
    if points < 0:
        raise DatasetError(f'POINTS is {points}.')
    return np.dtype(columns), points


def _decode_ascii(body: bytes, dtype: np.dtype[Any], points: int) -> Table:
    tokens = body.split()
    widths = [int(np.prod(dtype[name].shape)) for name in dtype.names or ()]
    if len(tokens) < points * sum(widths):
        raise DatasetError(
            f'truncated: {points} points of {sum(widths)} values, but only {len(tokens)} values.'
        )
    values = np.array(tokens[: points * sum(widths)], dtype=bytes).reshape(points, sum(widths))
    table = np.zeros(points, dtype)
    first = 0
    for name, width in zip(dtype.names or (), widths, strict=True):
        column = values[:, first : first + width].reshape(table[name].shape)
        table[name] = column.astype(table[name].dtype)
        first += width
    return table


def _decode_compressed(body: bytes, dtype: np.dtype[Any], points: int) -> Table:
    _check_length(len(body), 8)
    compressed, uncompressed = struct.unpack_from('<II', body)
    _check_length(len(body) - 8, compressed)
    raw = decompress_lzf(body[8 : 8 + compressed])
    if not len(raw) == uncompressed == points * dtype.itemsize:
        raise DatasetError(
            f'{len(raw)} bytes after decompression, {uncompressed} announced, '
            f'{points * dtype.itemsize} needed for {points} points.'
        )
    table = np.empty(points, dtype)
    offset = 0
    for name in dtype.names or ():  # stored column after column
        column = table[name]
        column[...] = np.frombuffer(raw, column.dtype, column.size, offset).reshape(column.shape)
        offset += column.nbytes
    return table


def _check_length(given: int, wanted: int) -> None:
    if given < wanted:
        raise DatasetError(f'truncated: {given} bytes of point data, wanted {wanted}.')
