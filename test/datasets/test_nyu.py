"""NYUv2 in the files that the depth completion papers take, made small."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from depth_ros.datasets.nyu import is_nyu, open_nyu
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import DatasetError, MissingDependencyError


def write_h5(path: Path, rgb=None, depth=None, **more):
    h5py = pytest.importorskip('h5py')
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.zeros((3, 480, 640), np.uint8) if rgb is None else rgb
    depth = np.full((480, 640), 2.5, np.float32) if depth is None else depth
    with h5py.File(path, 'w') as file:
        for name, array in {'rgb': rgb, 'depth': depth, **more}.items():
            file[name] = array


def test_test_images_open_by_any_folder_of_the_official_tree(tmp_path):
    rgb = np.zeros((3, 480, 640), np.uint8)
    rgb[0, 7, 9], rgb[2, 7, 9] = 200, 50
    depth = np.full((480, 640), 2.5, np.float32)
    depth[0, :3] = np.nan, np.inf, 0.0
    root = tmp_path / 'nyudepthv2'
    write_h5(root / 'val/official/00009.h5')
    write_h5(root / 'val/official/00002.h5', rgb, depth)
    write_h5(root / 'train/study_0001/00001.h5')
    for folder in (root, root / 'val', root / 'val/official'):
        dataset = open_dataset(folder)
        assert (len(dataset), dataset.camera_names) == (2, ('cam',))
        sample = dataset.sample(0)
        assert sample.name == 'cam_00002'
        assert sample.frame.image[7, 9].tolist() == [200, 0, 50]
        assert sample.frame.sparse_m is sample.frame.points is None
        assert sample.depth_gt_m.dtype == np.float32
        assert sample.depth_gt_m[0, :4].tolist() == [0, 0, 0, 2.5]
        assert sample.frame.camera.rectified.fx == pytest.approx(518.857901)
        assert dataset.sample(1).frame.stamp_ns == 100_000_000
    assert open_nyu(root / 'train/study_0001').sample(0).name == 'cam_00001'
    with pytest.raises(DatasetError, match=r"no camera \['left'\]"):
        open_nyu(root, ['left'])


def test_malformed_files_are_named(tmp_path):
    write_h5(tmp_path / '1.h5', rgb=np.zeros((480, 640, 3), np.uint8))
    (tmp_path / '2.h5').write_bytes(b'not HDF5')
    write_h5(tmp_path / '3.h5', depth=np.zeros((240, 320), np.float32))
    dataset = open_nyu(tmp_path)
    with pytest.raises(DatasetError, match=r'1\.h5: wanted rgb \(3, 480, 640\).*480, 640, 3'):
        dataset.sample(0)
    with pytest.raises(DatasetError, match=r'2\.h5: not an HDF5 file'):
        dataset.sample(1)
    with pytest.raises(DatasetError, match=r'3\.h5: wanted'):
        dataset.sample(2)


def test_other_folders_are_not_nyu(tmp_path):
    assert not is_nyu(tmp_path)
    assert not is_nyu(tmp_path / 'gone')
    with pytest.raises(DatasetError, match='not NYUv2'):
        open_nyu(tmp_path)


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / '1.h5').touch()
    monkeypatch.setitem(sys.modules, 'h5py', None)
    with pytest.raises(MissingDependencyError, match=r"'h5py'.*depth_ros\[nyu\]"):
        open_dataset(tmp_path)
