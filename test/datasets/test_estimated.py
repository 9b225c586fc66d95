"""Cameras whose focal length is guessed, here from the brightness of their images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.datasets.base import iterate
from depth_ros.datasets.estimated import CameraEstimator
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import DatasetError, ModelError
from depth_ros.geometry.camera import Intrinsics

K = [[10.0, 0, 3.5], [0, 11.0, 1.5], [0, 0, 1]]
CAMERA = {'width': 8, 'height': 4, 'model': 'pinhole', 'D': [], 'T_cam_lidar': np.eye(4).tolist()}


def brightness(rgb) -> float:
    """The focal length of an image: its brightness in pixels."""
    return float(rgb[0, 0, 0])


def write_image(path: Path, grey: int, width: int = 8, height: int = 4) -> None:
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), grey, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Seven frames of a camera with K and of one without, each with a sweep."""
    np.ones((5, 3), np.float32).tofile(tmp_path / 'sweep.bin')
    cv2.imwrite(str(tmp_path / 'depth.png'), np.full((4, 8), 3000, np.uint16))
    frames = []
    for index in range(7):
        for camera, grey in (('known', 0), ('unknown', 10 * index + 10)):
            write_image(tmp_path / camera / f'{index}.png', grey)
        frames.append(
            {
                'id': str(index),
                'images': {name: f'{name}/{index}.png' for name in ('known', 'unknown')},
                'lidar': 'sweep.bin',
                'sparse_depth': {'unknown': 'depth.png'},
                'depth_gt': {'unknown': 'depth.png'},
            }
        )
    content = {
        'cameras': {'known': {**CAMERA, 'K': K}, 'unknown': {**CAMERA, 'K': None}},
        'lidar': {'fields': ['x', 'y', 'z']},
        'depth': {'scale': 0.001},
        'frames': frames,
    }
    (tmp_path / 'calib.json').write_text(json.dumps(content))
    return tmp_path


def test_the_median_of_five_images_is_the_focal_length_of_all(folder):
    seen = []

    def noted(rgb):
        seen.append(brightness(rgb))
        return 300.0 if len(seen) == 1 else seen[-1]  # one that errs

    estimator = CameraEstimator(noted)
    dataset = open_dataset(folder, estimator=estimator)
    assert seen == [10, 30, 40, 50, 70]  # of 10 to 70, evenly spaced; 1.5 and 4.5 go to the even
    (name,) = estimator.cameras
    assert name == 'unknown'
    assert estimator.cameras[name].f_px == (300, 30, 40, 50, 70)
    wanted = Intrinsics(8, 4, 50.0, 50.0, 3.5, 1.5)
    assert estimator.cameras[name].intrinsics == wanted
    assert estimator.cameras[name].fov_deg == pytest.approx(2 * np.degrees(np.arctan(4 / 50)))
    for sample in iterate(dataset):
        guessed = sample.camera_name == 'unknown'
        assert sample.intrinsics_estimated == guessed
        assert (sample.frame.camera.intrinsics == wanted) == guessed


def test_a_guessed_camera_sees_no_lidar_but_keeps_truth_in_its_pixels(folder):
    for sample in iterate(open_dataset(folder, estimator=CameraEstimator(brightness))):
        frame = sample.frame
        if sample.camera_name == 'known':
            assert len(frame.points) == 5
        else:
            assert frame.points is frame.T_camera_lidar is frame.sparse_m is None
            assert np.unique(sample.depth_gt_m) == pytest.approx(3.0)


def test_truth_of_a_sensor_beside_a_guessed_camera_is_left_out(folder):
    content = json.loads((folder / 'calib.json').read_text())
    content['depth_camera'] = {'width': 8, 'height': 4, 'K': K, 'T_cam_depth': np.eye(4).tolist()}
    (folder / 'calib.json').write_text(json.dumps(content))
    dataset = open_dataset(folder, ['unknown'], CameraEstimator(brightness))
    assert dataset.sample(0).depth_gt_m is None


def test_only_wanted_cameras_are_estimated(folder):
    estimator = CameraEstimator(brightness)
    open_dataset(folder, ['known'], estimator)
    assert estimator.cameras == {}


@pytest.mark.parametrize('f_px', [0.0, -3.0, np.nan, np.inf])
def test_no_camera_has_such_a_focal_length(folder, f_px):
    with pytest.raises(DatasetError, match=r'unknown/0\.png: a focal length of'):
        open_dataset(folder, estimator=CameraEstimator(lambda _: f_px))


def test_what_the_network_refuses_comes_through(folder):
    def lacking(rgb):
        raise ModelError('no weights')

    with pytest.raises(ModelError, match='no weights'):
        open_dataset(folder, estimator=CameraEstimator(lacking))


def test_photos_count_as_their_names_do(tmp_path):
    for name, grey in (('b_10.jpg', 100), ('b_9.png', 90), ('a.JPEG', 80), ('B 1.jpeg', 70)):
        write_image(tmp_path / 'tour' / name.replace('JPEG', 'jpeg'), grey)
    (tmp_path / 'tour' / 'notes.txt').write_text('sunny')
    dataset = open_dataset(tmp_path / 'tour', estimator=CameraEstimator(brightness))
    samples = list(iterate(dataset))
    names = ['camera_B_1', 'camera_a', 'camera_b_9', 'camera_b_10']
    assert [sample.name for sample in samples] == names
    assert [sample.frame.stamp_ns for sample in samples] == [0, 10**8, 2 * 10**8, 3 * 10**8]
    assert (dataset.name, dataset.camera_names) == ('tour', ('camera',))
    assert samples[0].frame.camera.intrinsics.fx == pytest.approx(85.0, abs=1)  # jpeg
    with pytest.raises(DatasetError, match=r"no camera \['left'\]"):
        open_dataset(tmp_path / 'tour', ['left'], CameraEstimator(brightness))


def test_one_photo_is_a_dataset(tmp_path):
    write_image(tmp_path / 'me.png', 50)
    write_image(tmp_path / 'you.png', 60)
    dataset = open_dataset(tmp_path / 'me.png', estimator=CameraEstimator(brightness))
    assert len(dataset) == 1
    assert dataset.sample(0).frame.camera.intrinsics.fx == 50.0


def test_photos_without_an_estimator_are_refused_with_the_way_out(tmp_path):
    write_image(tmp_path / 'me.png', 50)
    for source in (tmp_path, tmp_path / 'me.png'):
        with pytest.raises(DatasetError, match=r'1 images(?s:.*)--estimate-intrinsics'):
            open_dataset(source)


@pytest.mark.parametrize('odd', [0, 1, 6])
def test_photos_of_several_sizes_are_of_several_cameras(tmp_path, odd):
    """Seen at opening if among the five, else when the image is read."""
    for index in range(7):
        write_image(tmp_path / f'{index}.png', 50, width=9 if index == odd else 8)
    with pytest.raises(DatasetError, match='but other images of its camera are'):
        list(iterate(open_dataset(tmp_path, estimator=CameraEstimator(brightness))))


def test_a_calibration_is_never_replaced(folder):
    content = json.loads((folder / 'calib.json').read_text())
    content['cameras']['unknown']['K'] = K
    (folder / 'calib.json').write_text(json.dumps(content))

    def unwanted(rgb):
        raise AssertionError

    sample = open_dataset(folder, estimator=CameraEstimator(unwanted)).sample(1)
    assert sample.frame.camera.intrinsics.fx == 10.0
    assert not sample.intrinsics_estimated
