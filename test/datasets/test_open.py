"""What a path holds is found out."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from depth_ros.datasets.open import open_dataset
from depth_ros.errors import ConfigError, DatasetError

K = [[10, 0, 3.5], [0, 10, 1.5], [0, 0, 1]]


def write_folder(folder):
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / 'a.png'), np.zeros((4, 8, 3), np.uint8))
    calib = {
        'name': 'mine',
        'cameras': {'cam': {'width': 8, 'height': 4, 'model': 'pinhole', 'K': K}},
        'frames': [{'images': {'cam': 'a.png'}}],
    }
    (folder / 'calib.json').write_text(json.dumps(calib))


def write_object_split(folder):
    for part in ('image_2', 'calib'):
        (folder / part).mkdir(parents=True)
    cv2.imwrite(str(folder / 'image_2' / '000000.png'), np.zeros((4, 8, 3), np.uint8))


def test_folder_by_path_string_and_file(tmp_path):
    write_folder(tmp_path / 'mine')
    for source in (tmp_path / 'mine', str(tmp_path / 'mine'), tmp_path / 'mine' / 'calib.json'):
        dataset = open_dataset(source)
        assert (dataset.name, dataset.camera_names, len(dataset)) == ('mine', ('cam',), 1)
        assert dataset.sample(0).name == 'cam_0'


def test_relative_paths(tmp_path, monkeypatch):
    write_folder(tmp_path / 'mine')
    write_object_split(tmp_path / 'training')
    monkeypatch.chdir(tmp_path / 'mine')
    assert open_dataset('.').sample(0).frame.stamp_ns == 0
    monkeypatch.chdir(tmp_path / 'training')
    assert open_dataset('.').name == 'training'


def test_kitti_tree(tmp_path):
    write_object_split(tmp_path / 'training')
    dataset = open_dataset(tmp_path)
    assert (dataset.camera_names, len(dataset)) == (('image_2',), 1)


def test_calib_json_comes_first(tmp_path):
    write_folder(tmp_path / 'both')
    write_object_split(tmp_path / 'both')
    assert open_dataset(tmp_path / 'both').name == 'mine'


def test_cameras_are_passed_on(tmp_path):
    write_object_split(tmp_path)
    with pytest.raises(DatasetError, match=r"no camera \['image_3'\]; it has \['image_2'\]"):
        open_dataset(tmp_path, ['image_3'])


def test_other_paths_are_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(DatasetError, match=r'no dataset here(?s:.*)calib\.json(?s:.*)KITTI raw'):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match='gone: no such file or folder'):
        open_dataset(tmp_path / 'gone')
    (tmp_path / 'a.txt').write_text('hello')
    with pytest.raises(DatasetError, match='not readable as JSON'):
        open_dataset(tmp_path / 'a.txt')


def test_simulator_by_scene():
    dataset = open_dataset('simulator:indoor', ['camera'])
    assert dataset.name == 'simulator_indoor'
    assert dataset.camera_names == ('camera',)
    with pytest.raises(
        DatasetError, match=r"no scene 'moon'; it has \['indoor', 'street', 'warehouse', 'yard'\]"
    ):
        open_dataset('simulator:moon')
    with pytest.raises(DatasetError, match=r"no camera \['left'\]; it has \['camera'\]"):
        open_dataset('simulator:street', ['left'])


def test_settings_of_the_simulator_stand_behind_its_scene():
    simulator = open_dataset('simulator:indoor?sweep.pattern=solid_state&frames=3&width=160')
    assert simulator.config.scene == 'indoor'
    assert simulator.config.sweep.pattern == 'solid_state'
    assert (len(simulator), simulator.config.width) == (3, 160)
    with pytest.raises(ConfigError, match='weather'):
        open_dataset('simulator:street?weather=rain')
