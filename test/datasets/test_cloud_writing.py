"""Clouds as files: what is written, byte by byte, and what stays if writing fails."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from depth_ros.datasets.clouds import read_cloud, write_pcd, write_ply
from depth_ros.errors import DatasetError

CLOUD_DTYPE = [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<f4'), ('sigma', '<f4')]


def organised_cloud():
    cloud = np.zeros((2, 3), CLOUD_DTYPE)
    cloud['x'], cloud['y'], cloud['z'] = np.arange(18, dtype=np.float32).reshape(3, 2, 3)
    cloud['rgb'] = np.full((2, 3), 0x00FF8001, np.uint32).view(np.float32)
    cloud['sigma'] = 0.25
    for name in ('x', 'y', 'z', 'sigma'):
        cloud[name][1, 1] = np.nan
    return cloud


def test_pcd_written_keeps_grid_colour_and_nan(tmp_path):
    cloud = organised_cloud()
    write_pcd(tmp_path / 'a.pcd', cloud)
    data = (tmp_path / 'a.pcd').read_bytes()
    header, body = data.split(b'DATA binary\n')
    assert b'FIELDS x y z rgb sigma\nSIZE 4 4 4 4 4\nTYPE F F F F F\nCOUNT 1 1 1 1 1' in header
    assert b'WIDTH 3\nHEIGHT 2\n' in header
    assert body == cloud.tobytes()
    xyz = np.stack([cloud[axis].ravel() for axis in 'xyz'], axis=-1)
    np.testing.assert_array_equal(read_cloud(tmp_path / 'a.pcd'), xyz)


def test_ply_written_has_the_finite_points_with_colour_bytes(tmp_path):
    write_ply(tmp_path / 'a.ply', organised_cloud())
    header, body = (tmp_path / 'a.ply').read_bytes().split(b'end_header\n')
    assert header.decode().splitlines() == [
        'ply',
        'format binary_little_endian 1.0',
        'element vertex 5',
        'property float x',
        'property float y',
        'property float z',
        'property uchar red',
        'property uchar green',
        'property uchar blue',
        'property float sigma',
    ]
    assert struct.unpack_from('<fffBBBf', body, 19) == (1.0, 7.0, 13.0, 0xFF, 0x80, 0x01, 0.25)
    assert len(body) == 5 * 19
    assert read_cloud(tmp_path / 'a.ply').shape == (5, 3)


@pytest.mark.parametrize('write_cloud', [write_pcd, write_ply])
def test_plain_float_clouds_are_written_as_their_structured_twins(tmp_path, write_cloud):
    cloud = organised_cloud()
    write_cloud(tmp_path / 'structured', cloud)
    write_cloud(tmp_path / 'plain', cloud.view(np.float32).reshape(2, 3, 5))
    assert (tmp_path / 'plain').read_bytes() == (tmp_path / 'structured').read_bytes()
    with pytest.raises(DatasetError, match=r'got \(2, 3, 4\) of float32'):
        write_cloud(tmp_path / 'a', np.zeros((2, 3, 4), np.float32))


def test_writing_replaces_and_leaves_nothing_behind(tmp_path, monkeypatch):
    cloud = organised_cloud()
    write_ply(tmp_path / 'a.ply', cloud)
    before = (tmp_path / 'a.ply').read_bytes()
    monkeypatch.setattr('pathlib.Path.replace', lambda *_: (_ for _ in ()).throw(OSError('full')))
    with pytest.raises(OSError, match='full'):
        write_ply(tmp_path / 'a.ply', cloud[:1])
    assert [path.name for path in tmp_path.iterdir()] == ['a.ply']
    assert (tmp_path / 'a.ply').read_bytes() == before


def test_clouds_without_xyz_are_not_written(tmp_path):
    with pytest.raises(DatasetError, match='wanted single columns x, y, z'):
        write_pcd(tmp_path / 'a.pcd', np.zeros(3, [('x', 'f4'), ('sigma', 'f4')]))
