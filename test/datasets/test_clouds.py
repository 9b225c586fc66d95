"""Cloud files, built byte by byte."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest

from depth_ros.datasets.clouds import (
    CLOUD_SUFFIXES,
    read_cloud,
    read_sweep,
    write_pcd,
    write_ply,
)
from depth_ros.datasets.pcd import decompress_lzf
from depth_ros.errors import DatasetError

POINTS = np.array([[1.5, -2.0, 3.25], [0.0, 0.0, 0.0], [40.0, 8.0, -1.5]], np.float32)


def pcd_header(fields, sizes, types, data, count='', points=3, width=3, height=1):
    lines = [
        '# .PCD v0.7 - Point Cloud Data file format',
        'VERSION 0.7',
        f'FIELDS {fields}',
        f'SIZE {sizes}',
        f'TYPE {types}',
        *([f'COUNT {count}'] if count else []),
        f'WIDTH {width}',
        f'HEIGHT {height}',
        'VIEWPOINT 0 0 0 1 0 0 0',
        *([f'POINTS {points}'] if points is not None else []),
        f'DATA {data}\n',
    ]
    return '\n'.join(lines).encode()


def xyz_pcd(data, body, points=3):
    return pcd_header('x y z', '4 4 4', 'F F F', data, '1 1 1', points) + body


def literal_lzf(raw):
    """LZF without any back reference: runs of at most 32 bytes, each after its length - 1."""
    runs = [raw[i : i + 32] for i in range(0, len(raw), 32)]
    return b''.join(bytes([len(run) - 1]) + run for run in runs)


def compressed(stream, uncompressed):
    return struct.pack('<II', len(stream), uncompressed) + stream


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def check(path, expected=POINTS, **kwargs):
    points = read_cloud(path, **kwargs)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, expected)


def test_bin_reads_the_named_float32_columns(tmp_path):
    records = b''.join(struct.pack('<5f', 7, *point, 9) for point in POINTS)
    check(write(tmp_path, 'a.bin', records), fields=('ring', 'x', 'y', 'z', 'time'))


def test_bin_default_is_the_kitti_record(tmp_path):
    check(write(tmp_path, 'a.bin', b''.join(struct.pack('<4f', *p, 0.5) for p in POINTS)))


@pytest.mark.parametrize('name', ['ring', 'channel', 'laser_id'])
def test_a_column_that_numbers_the_lasers_is_read_beside_the_points(tmp_path, name):
    table = np.zeros(3, [('x', 'f4'), ('y', 'f4'), ('z', 'f4'), (name, 'u2')])
    table['x'], table[name] = (1, 2, 3), (7, 0, 31)
    write_pcd(tmp_path / 'a.pcd', table)
    points, ring = read_sweep(tmp_path / 'a.pcd')
    assert points[:, 0].tolist() == [1, 2, 3]
    assert ring.tolist() == [7, 0, 31]
    np.array([[1, 0, 0, 7], [2, 0, 0, 5]], '<f4').tofile(tmp_path / 'a.bin')
    assert read_sweep(tmp_path / 'a.bin', ('x', 'y', 'z', name))[1].tolist() == [7, 5]


@pytest.mark.parametrize('number', [-1, 1024, 0.5, np.nan, np.inf])
def test_a_ring_that_numbers_no_lasers_is_left_aside(tmp_path, number):
    np.array([[1, 0, 0, 7], [2, 0, 0, number]], '<f4').tofile(tmp_path / 'a.bin')
    points, ring = read_sweep(tmp_path / 'a.bin', ('x', 'y', 'z', 'ring'))
    assert len(points) == 2
    assert ring is None


def test_without_such_a_column_there_is_no_ring(tmp_path):
    np.zeros((2, 4), '<f4').tofile(tmp_path / 'a.bin')
    assert read_sweep(tmp_path / 'a.bin')[1] is None


def test_empty_bin_is_an_empty_cloud(tmp_path):
    assert read_cloud(write(tmp_path, 'a.bin', b'')).shape == (0, 3)


@pytest.mark.parametrize('dtype', [np.float64, np.float32, np.float16])
def test_npy_and_npz_columns(tmp_path, dtype):
    array = np.column_stack((POINTS, np.ones(3))).astype(dtype)
    np.save(tmp_path / 'a.npy', array)
    np.savez(tmp_path / 'only.npz', anything=array)
    np.savez(tmp_path / 'data.npz', data=array, other=np.zeros(2))
    np.savez(tmp_path / 'named.npz', sweep=array, other=np.zeros(2))
    check(tmp_path / 'a.npy')
    check(tmp_path / 'only.npz')
    check(tmp_path / 'data.npz')
    check(tmp_path / 'named.npz', key='sweep')
    np.save(tmp_path / 'zyx.npy', array[:, [2, 1, 0]])
    check(tmp_path / 'zyx.npy', fields=('z', 'y', 'x'))


def test_npy_structured_columns_are_taken_by_name(tmp_path):
    table = np.zeros(3, [('time', 'f8'), ('z', 'f8'), ('y', 'f4'), ('x', 'f4')])
    table['x'], table['y'], table['z'] = POINTS.T
    np.save(tmp_path / 'a.npy', table)
    check(tmp_path / 'a.npy')


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / 'a.npy', np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match=r'a\.npy.*allow_pickle=False'):
        read_cloud(tmp_path / 'a.npy')


def test_pcd_ascii_in_any_field_order_with_nan(tmp_path):
    body = b'9 3.25 1.5 -2 65\r\n9 0 nan 0 66\n9 -1.5 4e1 8 67\n'
    header = pcd_header('ring z x y label', '2 8 4 4 1', 'U F F F U', 'ascii', '1 1 1 1 1')
    expected = POINTS.copy()
    expected[1, 0] = np.nan
    check(write(tmp_path, 'a.pcd', header + body), expected)


def test_pcd_binary_with_mixed_types_padding_and_counts(tmp_path):
    header = pcd_header(
        'intensity _ x y z _ normal', '2 1 8 4 4 1 4', 'U U F F F U F', 'binary', '1 3 1 1 1 2 3'
    )
    body = b''.join(
        struct.pack('<H3BdffBB3f', 512, 1, 2, 3, *point, 4, 5, 0, 0, 1) for point in POINTS
    )
    check(write(tmp_path, 'a.pcd', header + body))


def test_pcd_without_count_and_points_uses_width_and_height(tmp_path):
    header = pcd_header('x y z', '4 4 4', 'I I I', 'binary', points=None, width=1, height=2)
    body = struct.pack('<6i', 1, -2, 3, 4, 5, 6)
    check(write(tmp_path, 'a.pcd', header + body), [[1, -2, 3], [4, 5, 6]])


def test_pcd_compressed_columns_from_literals_only(tmp_path):
    header = pcd_header('z x tag y', '8 4 1 4', 'F F U F', 'binary_compressed', '1 1 2 1')
    raw = b''.join(
        (
            POINTS[:, 2].astype('<f8').tobytes(),
            POINTS[:, 0].tobytes(),
            bytes(range(6)),
            POINTS[:, 1].tobytes(),
        )
    )
    body = compressed(literal_lzf(raw), len(raw))
    check(write(tmp_path, 'a.pcd', header + body))


def test_pcd_compressed_with_back_references(tmp_path):
    # Three points (2, 2, 2): one float, then 32 bytes copied from 4 bytes before, by a long
    # reference: 7 << 5 means "length in the next byte", which holds 32 - 2 - 7.
    one = struct.pack('<f', 2.0)
    stream = bytes([3]) + one + bytes([7 << 5, 32 - 2 - 7, 3])
    body = compressed(stream, 36)
    check(write(tmp_path, 'a.pcd', xyz_pcd('binary_compressed', body)), np.full((3, 3), 2.0))


def test_lzf_tokens_by_hand():
    assert decompress_lzf(b'') == b''
    assert decompress_lzf(b'\x02abc') == b'abc'
    # 1 << 5: copy 3 bytes; distance byte 2 means 3 back.
    assert decompress_lzf(b'\x02abc' + bytes([1 << 5, 2])) == b'abcabc'
    # Overlap: copy 6 bytes from 2 back.
    assert decompress_lzf(b'\x01ab' + bytes([4 << 5, 1])) == b'ab' + b'ababab'
    # High bits of the distance: 1 << 8 | 0x2B = 299, so 300 back, to the start.
    far = literal_lzf(bytes(range(256)) + bytes(44))
    assert decompress_lzf(far + bytes([1 << 5 | 1, 0x2B]))[-3:] == bytes([0, 1, 2])
    # The longest reference: 255 + 7 + 2 bytes.
    assert decompress_lzf(b'\x00z' + bytes([7 << 5, 255, 0])) == b'z' * 265


@pytest.mark.parametrize('stream', [b'\x05ab', bytes([1 << 5]), b'\x00a' + bytes([7 << 5])])
def test_lzf_refuses_a_cut_stream(stream):
    with pytest.raises(DatasetError, match='ends within a token'):
        decompress_lzf(stream)


def test_lzf_refuses_a_reference_before_the_start():
    with pytest.raises(DatasetError, match='refers back 4 bytes after only 2'):
        decompress_lzf(b'\x01ab' + bytes([1 << 5, 3]))


PLY_BODY = 'property float x\nproperty float y\nproperty float z\n'


@pytest.mark.parametrize(('name', 'order'), [('little', '<'), ('big', '>')])
def test_ply_binary_skips_other_elements_and_properties(tmp_path, name, order):
    header = (
        f'ply\r\nformat binary_{name}_endian 1.0\r\ncomment made by hand\r\n'
        'element camera 1\r\nproperty double focal\r\n'
        'element face 2\r\nproperty list uchar int vertex_indices\r\nproperty uchar flag\r\n'
        'element vertex 3\r\nproperty uchar red\r\nproperty double z\r\nproperty float x\r\n'
        'property int16 ring\r\nproperty float32 y\r\nend_header\r\n'
    )
    body = struct.pack(f'{order}d', 5.0)
    body += struct.pack(f'{order}B3iB', 3, 0, 1, 2, 7) + struct.pack(f'{order}B1iB', 1, 0, 8)
    body += b''.join(struct.pack(f'{order}Bdfhf', 255, z, x, -1, y) for x, y, z in POINTS)
    check(write(tmp_path, 'a.ply', header.encode() + body))


def test_ply_ascii_with_lists_in_the_vertices_too(tmp_path):
    text = (
        'ply\nformat ascii 1.0\nobj_info none\nelement face 1\n'
        'property list uchar int vertex_indices\nelement vertex 3\n'
        'property list uchar float weights\n' + PLY_BODY + 'end_header\n'
        '3 0 1 2\n2 0.5 0.5 1.5 -2 3.25\n0 0 0 0\n1 9 40 8 -1.5\n'
    )
    check(write(tmp_path, 'a.ply', text.encode()))


def test_ply_ascii_plain(tmp_path):
    text = (
        'ply\nformat ascii 1.0\nelement vertex 3\nproperty uchar red\n' + PLY_BODY + 'end_header\n'
        '255 1.5 -2 3.25\n0 0 0 0\n1 4e1 8 -1.5\n'
    )
    check(write(tmp_path, 'a.ply', text.encode()))


def npz_without_data():
    buffer = io.BytesIO()
    np.savez(buffer, a=POINTS, b=POINTS)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


MALFORMED = {
    'short.bin': (b'\0' * 20, '20 bytes are no whole number of 16-byte records'),
    'columns.npy': (npy(np.zeros((4, 2))), r'got \(4, 2\)'),
    'text.npy': (npy(np.array([['a', 'b', 'c']])), 'wanted .* numbers'),
    'magic.npy': (b'junk', 'malformed'),
    'junk.npz': (b'PKjunk', 'malformed'),
    'names.npz': (npz_without_data(), r"no array 'data'; it holds \['a', 'b'\]"),
    'junk.pcd': (b'junk', 'no DATA line'),
    'cut.pcd': (xyz_pcd('binary', bytes(35)), 'truncated: 35 bytes of point data, wanted 36'),
    'cut_ascii.pcd': (xyz_pcd('ascii', b'1 2 3\n4 5 6\n7 8'), 'truncated: 3 rows of 3 values'),
    'word.pcd': (xyz_pcd('ascii', b'1 2 3 4 x 6 7 8 9'), "'x' in column y is no number"),
    'coding.pcd': (xyz_pcd('zip', b''), "DATA 'zip' is unknown"),
    'minus.pcd': (xyz_pcd('binary', b'', points=-1), 'POINTS is -1, no number'),
    'type.pcd': (pcd_header('x y z', '4 4 4', 'F F Q', 'binary'), 'TYPE Q'),
    'size.pcd': (pcd_header('x y z', '4 4 3', 'F F F', 'binary'), 'TYPE F of SIZE 3'),
    'lengths.pcd': (pcd_header('x y z', '4 4', 'F F F', 'binary'), 'SIZE is 4 4; wanted 3'),
    'no_z.pcd': (
        pcd_header('x y', '4 4', 'F F', 'ascii') + b'1 2 3 4 5 6',
        'wanted single columns x, y, z, got x, y',
    ),
    'vector.pcd': (
        pcd_header('x y z', '4 4 4', 'F F F', 'ascii', '2 1 1', 1) + b'1 2 3 4',
        'wanted single columns',
    ),
    'short_lzf.pcd': (
        xyz_pcd('binary_compressed', compressed(literal_lzf(bytes(12)), 12)),
        '12 bytes after decompression, 12 announced, 36 needed',
    ),
    'cut_lzf.pcd': (xyz_pcd('binary_compressed', struct.pack('<II', 50, 36)), 'truncated: 0 by'),
    'junk.ply': (b'junk', 'not a PLY file'),
    'type.ply': (
        b'ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n',
        "type 'quad' is unknown",
    ),
    'order.ply': (b'ply\nproperty float x\nend_header\n', 'not understood'),
    'format.ply': (b'ply\nelement vertex 0\nend_header\n', 'no format line'),
    'faces.ply': (
        b'ply\nformat ascii 1.0\nelement face 0\nproperty int a\nend_header\n',
        r"no vertex element among \['face'\]",
    ),
    'cut.ply': (
        f'ply\nformat binary_little_endian 1.0\nelement vertex 9\n{PLY_BODY}end_header\n'.encode()
        + bytes(100),
        'truncated: 100 bytes left, wanted 108',
    ),
    'cut_ascii.ply': (
        f'ply\nformat ascii 1.0\nelement vertex 2\n{PLY_BODY}end_header\n1 2 3 4'.encode(),
        'truncated: 2 rows of 3 values wanted, but only 4 values left',
    ),
    'no_z.ply': (
        b'ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1',
        'wanted single columns x, y, z, got x',
    ),
    'a.las': (b'LASF', r"cloud format '\.las'"),
}


@pytest.mark.parametrize('name', MALFORMED)
def test_malformed_files_are_named_with_what_is_wrong(tmp_path, name):
    data, message = MALFORMED[name]
    with pytest.raises(DatasetError, match=message) as caught:
        read_cloud(write(tmp_path, name, data))
    assert name in str(caught.value)


@pytest.mark.parametrize('suffix', CLOUD_SUFFIXES)
def test_missing_file_is_named(tmp_path, suffix):
    with pytest.raises(DatasetError, match=f'gone{suffix}: no such cloud file'):
        read_cloud(tmp_path / f'gone{suffix}')


def test_cut_and_flipped_files_never_raise_anything_else(tmp_path):
    cloud = np.zeros((2, 3), [(axis, '<f4') for axis in 'xyz'])
    write_pcd(tmp_path / 'a.pcd', cloud)
    write_ply(tmp_path / 'a.ply', cloud)
    np.savez(tmp_path / 'a.npz', data=POINTS)
    raw = literal_lzf(POINTS.T.tobytes())
    write(tmp_path, 'b.pcd', xyz_pcd('binary_compressed', compressed(raw, POINTS.nbytes)))
    rng = np.random.default_rng(7)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        for _ in range(150):
            broken = bytearray(data[: rng.integers(len(data) + 1)] if rng.random() < 0.5 else data)
            for place in rng.integers(0, max(len(broken), 1), 2):
                broken[place : place + 1] = bytes([rng.integers(256)])
            target = write(tmp_path, f'broken{path.suffix}', bytes(broken))
            with contextlib.suppress(DatasetError):
                assert read_cloud(target).shape[1] == 3


def test_real_ascii_pcd(data_dir):
    points = read_cloud(data_dir / 'pjlab_road_manual' / '0.pcd')
    assert points.shape == (78238, 3)
    np.testing.assert_array_equal(points[0], np.float32([21.647913, 0.19822195, -1.8524752]))
