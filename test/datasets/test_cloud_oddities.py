"""Cloud files as drivers and tools really write them: read, or refused by line or column."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from depth_ros.datasets.clouds import read_cloud
from depth_ros.errors import DatasetError

XYZ = np.array([[1.5, -2.0, 3.25], [0.25, 0.5, 4.0], [40.0, 8.0, -1.5]], np.float32)
ROWS = ['1.5 -2.0 3.25', '0.25 0.5 4.0', '40 8 -1.5']


def pcd(fields: str, body: bytes | str, data: str = 'ascii', **lines: str | None) -> bytes:
    """A PCD file of three points; `lines` replace lines of its header, None takes one out."""
    count = len(fields.split())
    header: dict[str, str | None] = {
        'VERSION': '0.7',
        'FIELDS': fields,
        'SIZE': ' '.join('4' * count),
        'TYPE': ' '.join('F' * count),
        'COUNT': ' '.join('1' * count),
        'WIDTH': '3',
        'HEIGHT': '1',
        'POINTS': '3',
        **lines,
        'DATA': data,
    }
    text = ''.join(f'{key} {words}\n' for key, words in header.items() if words is not None)
    return text.encode() + (body if isinstance(body, bytes) else body.encode())


def ply(properties: str, body: bytes | str, coding: str = 'ascii', count: int = 3) -> bytes:
    lines = ''.join(f'property {entry}\n' for entry in properties.split(', '))
    head = f'ply\nformat {coding} 1.0\nelement vertex {count}\n{lines}end_header\n'
    return head.encode() + (body if isinstance(body, bytes) else body.encode())


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def with_columns(*columns: str) -> str:
    return '\n'.join(' '.join(row) for row in zip(ROWS, *columns, strict=True)) + '\n'


PLAIN = '\n'.join(ROWS) + '\n'
RAW = XYZ.T.tobytes()
FLOATS = 'float x, float y, float z'
padded = np.zeros(3, [('p', '<f4', (3,)), ('pad', 'u1', (4,)), ('ring', '<u2')])
padded['p'] = XYZ
listed = np.zeros(3, [('p', '<f4', (3,)), ('n', 'u1'), ('list', '<u4', (2,))])
listed['p'], listed['n'] = XYZ, 2
uneven = b''.join(
    row.tobytes() + bytes([n]) + bytes(4 * n) for row, n in zip(XYZ, (0, 3, 1), strict=True)
)
words = ('1.5e+01', 'nan', '-1')

READ = {
    'count_0.pcd': pcd(
        'x y z _ ring _', padded.tobytes(), 'binary',
        SIZE='4 4 4 1 2 1', TYPE='F F F U U U', COUNT='1 1 1 4 1 0',
    ),
    'words_in_an_integer_column.pcd': pcd('x y z label', with_columns(words), TYPE='F F F U'),
    'out_of_range.pcd': pcd(
        'x y z label', with_columns(('300', '-7', '1e99')), SIZE='4 4 4 1', TYPE='F F F U'
    ),
    'text_column.pcd': pcd('x y z name', with_columns(('car', 'tree', '-'))),
    'old_version.pcd': pcd(
        'x', PLAIN, VERSION='.5', FIELDS=None, COLUMNS='x y z', SIZE='4 4 4', TYPE='F F F',
        COUNT=None, POINTS=None,
    ),
    'no_points.pcd': pcd('x y z', XYZ.tobytes(), 'binary', WIDTH=None, HEIGHT=None, POINTS=None),
    'no_points_ascii.pcd': pcd('x y z', PLAIN, WIDTH=None, HEIGHT=None, POINTS=None),
    'ascii_without_types.pcd': pcd('x y z', PLAIN, SIZE=None, TYPE=None),
    'lower_types.pcd': pcd('x y z', PLAIN, TYPE='f f f'),
    'double_types.pcd': pcd(
        'x y z', XYZ.astype('<f8').tobytes(), 'binary', SIZE='8 8 8', TYPE='D D D'
    ),
    'capitals.pcd': pcd('X Y Z', PLAIN, 'ASCII'),
    'crlf.pcd': pcd('x y z', PLAIN).replace(b'\n', b'\r\n'),
    'cr.pcd': pcd('x y z', PLAIN).replace(b'\n', b'\r'),
    'bom.pcd': b'\xef\xbb\xbf' + pcd('x y z', PLAIN),
    'stored.pcd': pcd(
        'x y z', struct.pack('<II', len(RAW), len(RAW)) + RAW, 'binary_compressed'
    ),
    'blank_lines.pcd': pcd('x y z', '\n\n'.join(ROWS)),
    'twice.pcd': pcd('x y z i i', with_columns(('1', '2', '3'), ('4', '5', '6'))),
    'two_lines.ply': ply(FLOATS + ', uchar red', PLAIN.replace('\n', '\n 255\n')),
    'one_line.ply': ply(FLOATS, ' '.join(ROWS)),
    'twice.ply': ply(FLOATS + ', int i, int i', with_columns(('1', '2', '3'), ('4', '5', '6'))),
    'integers.ply': ply(FLOATS + ', uchar red', with_columns(('12.5', 'nan', '-3'))),
    'integers_beside_a_list.ply': ply(
        'list uchar int seen, int id, ' + FLOATS,
        ''.join(f'2 7 8 nan {row}\n' for row in ROWS),
    ),
    'list.ply': ply(FLOATS + ', list uchar uint seen', listed.tobytes(), 'binary_little_endian'),
    'uneven_lists.ply': ply(FLOATS + ', list uchar uint seen', uneven, 'binary_little_endian'),
    'int64.ply': ply(
        'int64 t, ' + FLOATS,
        b''.join(bytes(8) + row.tobytes() for row in XYZ),
        'binary_little_endian',
    ),
    'capitals.ply': ply('float X, float Y, float Z', PLAIN).replace(b'ply', b'PLY'),
    'cr.ply': ply(FLOATS, PLAIN).replace(b'\n', b'\r'),
    'crlf.ply': ply(FLOATS, PLAIN).replace(b'\n', b'\r\n'),
    'cr_binary.ply': (
        ply(FLOATS, '', 'binary_little_endian').replace(b'\n', b'\r') + XYZ.tobytes()
    ),
    'bom_and_blank.ply': b'\xef\xbb\xbf\n' + ply(FLOATS, PLAIN),
    'organised.npy': npy(XYZ.reshape(3, 1, 3)),
    'batch.npy': npy(XYZ.astype('>f8')[None]),
    'points.npz': npz(points=XYZ, labels=np.zeros(3)),
    'axes.npz': npz(x=XYZ[:, 0], y=XYZ[:, 1], z=XYZ[:, 2], t=np.zeros(3)),
}  # fmt: skip


@pytest.mark.parametrize('name', READ)
def test_what_has_one_reading_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(READ[name])
    points = read_cloud(tmp_path / name)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, XYZ)


@pytest.mark.parametrize('nan', ['nan', '-NaN', '-nan(ind)', '1.#QNAN', '-1.#IND', 'nan(0x7)'])
def test_every_way_to_write_nan_is_known(tmp_path: Path, nan: str) -> None:
    for name, data in {
        'a.pcd': pcd('x y z', f'1 2 3\n{nan} {nan} {nan}\n7 8 9'),
        'a.ply': ply(FLOATS, f'1 2 3\n{nan} {nan} {nan}\n7 8 9'),
    }.items():
        (tmp_path / name).write_bytes(data)
        points = read_cloud(tmp_path / name)
        np.testing.assert_array_equal(points[[0, 2]], [[1, 2, 3], [7, 8, 9]])
        assert np.isnan(points[1]).all()


def test_an_empty_compressed_cloud_needs_no_sizes(tmp_path: Path) -> None:
    (tmp_path / 'a.pcd').write_bytes(pcd('x y z', b'', 'binary_compressed', POINTS='0'))
    assert read_cloud(tmp_path / 'a.pcd').shape == (0, 3)


REFUSED = {
    'longer_rows.pcd': (
        pcd('x y z', with_columns(('7', '8', '9'))),
        'line 10 has 4 values, but the header names 3 (x, y, z)',
    ),
    'twice_as_long_rows.pcd': (
        pcd('x y z', with_columns(*[('7', '8', '9')] * 3)),
        'line 10 has 6 values, but the header names 3',
    ),
    'a_longer_row.pcd': (
        pcd('x y z', f'{ROWS[0]}\n{ROWS[1]} 9\n{ROWS[2]}'), 'line 11 has 4 values'
    ),
    'a_shorter_row.pcd': (
        pcd('x y z', '1 2 3\n4 5\n6 7 8\n9 9 9'), 'line 11 has 2 values'
    ),
    'moved_value.pcd': (pcd('x y z', '1 2 3\n4 5\n6 7 8 9'), 'line 11 has 2 values'),
    'commas.pcd': (pcd('x y z', PLAIN.replace(' ', ', ')), "'1.5,' in column x is no number"),
    'decimal_commas.ply': (
        ply(FLOATS, PLAIN.replace('.', ',')), "'1,5' in column x is no number; numbers have a "
    ),
    'count.pcd': (
        pcd('x y z', PLAIN, COUNT='1 1 x'),
        'COUNT is 1 1 x; wanted 3 whole numbers, one for each of FIELDS x y z',
    ),
    'no_size.pcd': (pcd('x y z', XYZ.tobytes(), 'binary', SIZE=None), 'SIZE is missing; wanted 3'),
    'no_number_of_points.pcd': (
        pcd('x y z', bytes(37), 'binary', WIDTH=None, HEIGHT=None, POINTS=None), 'add POINTS'
    ),
    'x_twice.pcd': (pcd('x y z x', with_columns(('1', '2', '3'))), 'single columns x, y, z, got'),
    'longer_rows.ply': (
        ply(FLOATS, with_columns(('255', '0', '1'))),
        'line 8 has 4 values, but the header names 3 (x, y, z)',
    ),
    'a_shorter_row.ply': (ply(FLOATS, '1 2 3\n4 5\n6 7 8\n9 9 9'), 'line 9 has 2 values'),
    'longer_rows_with_lists.ply': (
        ply(FLOATS + ', list uchar int seen', '1 2 3 1 5 6\n' * 3), 'line 9 has more values than'
    ),
    'x_twice.ply': (ply('float x, ' + FLOATS, '1 2 3 4\n' * 3), 'single columns x, y, z, got'),
    'transposed.npy': (npy(np.ones((4, 50))), '(4, 50) of float64 has a point in each column'),
    'transposed_xyz.npz': (npz(data=np.ones((3, 50))), 'store the transpose'),
    'many.npz': (npz(a=XYZ, b=XYZ), 'Name one by `lidar.format`: npz_<array>'),
}  # fmt: skip


@pytest.mark.parametrize('name', REFUSED)
def test_what_has_none_or_two_is_refused_with_the_place(tmp_path: Path, name: str) -> None:
    data, message = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError) as caught:
        read_cloud(tmp_path / name)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))
