"""Extrinsics that do not move: of the settings, of a file; and TF that cannot be imported."""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
from depth_ros.errors import NodeError
from depth_ros.nodes.node_config import ExtrinsicConfig
from depth_ros.nodes.transforms import make_extrinsic

# A camera that looks along the x axis of the LiDAR, 0.2 m before and 0.1 m below it:
# x_camera = -y_lidar, y_camera = -z_lidar, z_camera = x_lidar.
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.2], [0, 0, 0, 1.0]])
TRANSLATION, QUAT_XYZW = (0.0, -0.1, -0.2), (0.5, -0.5, 0.5, 0.5)
FRAMES = ('camera_optical', 'lidar', 1_000, 900)


def refusal(config: ExtrinsicConfig, node: Any = None) -> str:
    with pytest.raises(NodeError) as caught:
        make_extrinsic(config, node).lookup(*FRAMES)
    assert caught.value.reason == 'no_extrinsic'
    return str(caught.value)


def test_parameters_give_the_transform() -> None:
    config = ExtrinsicConfig('parameters', TRANSLATION, QUAT_XYZW)
    np.testing.assert_allclose(
        make_extrinsic(config, None).lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12
    )


def test_parameters_that_were_not_given_are_no_identity() -> None:
    assert 'quat_xyzw is not given' in refusal(ExtrinsicConfig('parameters'))


def test_quaternion_that_is_not_of_norm_1_is_refused() -> None:
    config = ExtrinsicConfig('parameters', TRANSLATION, (0.5, -0.5, 0.5, 0.0))
    assert 'norm 1' in refusal(config)


def calib_file(folder: Path, **transforms: Any) -> str:
    camera = {'width': 8, 'height': 6, 'model': 'pinhole', 'K': [[5, 0, 4], [0, 5, 3], [0, 0, 1]]}
    cameras = {name: {**camera, 'T_cam_lidar': T} for name, T in transforms.items()}
    path = folder / 'calib.json'
    path.write_text(json.dumps({'cameras': cameras}))
    return str(path)


def test_file_gives_the_only_or_the_named_camera(tmp_path: Path) -> None:
    file = calib_file(tmp_path, left=T_CAMERA_LIDAR.tolist())
    source = make_extrinsic(ExtrinsicConfig('file', file=file), None)
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)
    file = calib_file(tmp_path, left=np.eye(4).tolist(), right=T_CAMERA_LIDAR.tolist())
    source = make_extrinsic(ExtrinsicConfig('file', file=file, camera='right'), None)
    np.testing.assert_allclose(source.lookup(*FRAMES), T_CAMERA_LIDAR, atol=1e-12)


def test_file_that_does_not_settle_it_is_refused(tmp_path: Path) -> None:
    file = calib_file(tmp_path, left=None, right=T_CAMERA_LIDAR.tolist())
    assert "['left', 'right']" in refusal(ExtrinsicConfig('file', file=file))
    assert "'rear'" in refusal(ExtrinsicConfig('file', file=file, camera='rear'))
    assert 'no T_cam_lidar' in refusal(ExtrinsicConfig('file', file=file, camera='left'))
    assert 'no such file' in refusal(ExtrinsicConfig('file', file=str(tmp_path / 'none.json')))
    assert 'extrinsic.file is not given' in refusal(ExtrinsicConfig('file'))


def test_missing_tf2_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    text = refusal(ExtrinsicConfig('tf'))
    assert 'ros-<distro>-tf2-ros-py' in text
    assert 'extrinsic.source' in text


class BrokenImport(MetaPathFinder):
    """Has tf2_ros fail as one does whose libraries are for something else."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == 'tf2_ros':
            raise OSError('libtf2.so: cannot open shared object file')


def test_broken_tf2_is_named_with_what_its_import_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, 'tf2_ros', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [BrokenImport(), *sys.meta_path])
    text = refusal(ExtrinsicConfig('tf'))
    assert 'cannot be imported (OSError: libtf2.so: cannot open shared object file)' in text
    assert 'extrinsic.source' in text


def test_a_file_whose_extrinsic_is_turned_round_is_doubted_once(
    tmp_path: Path, said: list[str]
) -> None:
    file = calib_file(tmp_path, left=np.linalg.inv(T_CAMERA_LIDAR).tolist())
    source = make_extrinsic(ExtrinsicConfig('file', file=file), None)
    for _ in range(3):
        source.lookup(*FRAMES)
    (sentence,) = said
    assert sentence.startswith(f"extrinsic.file {file}, camera 'left': The extrinsic lays the")
    assert 'its inverse would not' in sentence


def test_a_likely_extrinsic_is_not_doubted(tmp_path: Path, said: list[str]) -> None:
    file = calib_file(tmp_path, left=T_CAMERA_LIDAR.tolist())
    make_extrinsic(ExtrinsicConfig('file', file=file), None)
    make_extrinsic(ExtrinsicConfig('parameters', TRANSLATION, QUAT_XYZW), None)
    assert said == []
