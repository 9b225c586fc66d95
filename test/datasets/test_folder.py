"""Folders with a `calib.json`: small ones, made here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from calib_folder import POINTS, SIZE, T_CAPTURE, T_LEFT, K, change, write_folder

from depth_ros.datasets.base import iterate
from depth_ros.datasets.calib import load_calib
from depth_ros.datasets.folder import open_folder
from depth_ros.errors import DatasetError
from depth_ros.geometry.camera import Intrinsics


def test_samples_come_by_frame_then_camera(tmp_path, content):
    dataset = open_folder(write_folder(tmp_path, content))
    assert (dataset.name, dataset.camera_names) == (tmp_path.name, ('left', 'right'))
    assert [sample.name for sample in iterate(dataset)] == ['left_a', 'left_b', 'right_b']
    assert len(open_folder(tmp_path, ['right'])) == 1
    with pytest.raises(IndexError):
        dataset.sample(3)
    with pytest.raises(IndexError):
        dataset.sample(-1)


def test_frames_are_put_in_order_of_time(tmp_path, content):
    content['frames'].reverse()
    dataset = open_folder(write_folder(tmp_path, content))
    assert [sample.name for sample in iterate(dataset)] == ['left_a', 'left_b', 'right_b']


def test_first_sample_holds_what_was_written(tmp_path, content):
    sample = open_folder(write_folder(tmp_path, content)).sample(0)
    frame = sample.frame
    assert (sample.camera_name, sample.T_world_camera) == ('left', None)
    assert frame.image.dtype == np.uint8
    assert frame.image.flags.c_contiguous
    assert (frame.image == (0, 0, 200)).all()  # RGB
    assert frame.camera.intrinsics == Intrinsics(8, 4, 10.0, 11.0, 3.5, 1.5)
    assert frame.camera.is_rectified
    assert (frame.stamp_ns, frame.lidar_stamp_ns) == (300_000_000, 290_000_000)
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_allclose(frame.T_camera_lidar, T_LEFT, atol=1e-15)
    expected = np.zeros((4, 8), np.float32)
    expected[1, 2] = 2.5
    np.testing.assert_array_equal(frame.sparse_m, expected)  # 65535 is invalid too
    expected[0, 0] = 0.001
    np.testing.assert_array_equal(sample.depth_gt_m, expected)


def test_frame_without_lidar_has_none_and_grey_becomes_rgb(tmp_path, content):
    sample = open_folder(write_folder(tmp_path, content), ['right']).sample(0)
    frame = sample.frame
    assert frame.points is frame.T_camera_lidar is frame.sparse_m is frame.lidar_stamp_ns is None
    assert sample.depth_gt_m is None
    assert (frame.image == 77).all()
    assert frame.image.shape == (4, 8, 3)


def test_transform_at_capture_wins_over_the_static_one(tmp_path, content):
    content['frames'][0]['T_cam_lidar_at_capture'] = {'left': T_CAPTURE}
    frame = open_folder(write_folder(tmp_path, content)).sample(0).frame
    np.testing.assert_allclose(frame.T_camera_lidar, T_CAPTURE, atol=1e-15)
    static = load_calib(tmp_path)['left'].T_camera_lidar
    np.testing.assert_allclose(static, T_LEFT, atol=1e-15)


def test_times_per_camera_and_missing_times(tmp_path, content):
    content['frames'][1]['t_camera'] = {'right': '1970-01-01T00:00:00.400000001Z'}
    dataset = open_folder(write_folder(tmp_path, content))
    stamps = [sample.frame.stamp_ns for sample in iterate(dataset)]
    assert stamps == [300_000_000, 400_000_000, 400_000_001]
    for frame in content['frames']:
        for key in ('t', 't_camera', 't_lidar'):
            frame.pop(key, None)
    dataset = open_folder(write_folder(tmp_path, content))
    stamps = [sample.frame.stamp_ns for sample in iterate(dataset)]
    assert stamps == [0, 100_000_000, 100_000_000]


def test_nanoseconds_of_a_long_decimal_survive_json(tmp_path, content):
    path = write_folder(tmp_path, content) / 'calib.json'
    path.write_text(path.read_text().replace('"t": 0.4', '"t": 1317042272.351950337'))
    stamp_ns = open_folder(tmp_path).sample(1).frame.stamp_ns
    assert stamp_ns == 1_317_042_272_351_950_337


def test_pose_of_the_depth_camera_becomes_that_of_the_colour_camera(tmp_path, content):
    world = np.eye(4)
    world[:3, 3] = (7, 8, 9)
    beside = np.eye(4)
    beside[0, 3] = -0.025  # colour camera 25 mm to the right of the depth camera
    content['frames'][0]['T_world_cam'] = {'left': world.tolist()}
    content['depth_camera'] = {**SIZE, 'K': K, 'T_cam_depth': beside.tolist()}
    sample = open_folder(write_folder(tmp_path, content)).sample(0)
    np.testing.assert_allclose(sample.T_world_camera[:3, 3], (7.025, 8, 9), atol=1e-12)


def test_load_calib_takes_lens_models_and_the_file_itself(tmp_path, content):
    content['cameras']['left'].update(model='plumb_bob', rectified=False, D=[-0.1, 0.2, 0, 0])
    content['cameras']['right'].update(model='equidistant', rectified=False, D=[0.1, 0, 0, 0])
    cameras = load_calib(write_folder(tmp_path, content) / 'calib.json')
    left, right = cameras['left'].camera, cameras['right'].camera
    assert (left.distortion_model, left.D) == ('plumb_bob', (-0.1, 0.2, 0.0, 0.0))
    assert (right.distortion_model, cameras['right'].T_camera_lidar) == ('equidistant', None)
    assert not left.is_rectified


@pytest.mark.parametrize('missing', [None, [[0, 0, 0], [0.0, 0, 0], [0, 0, 0]]])
def test_camera_without_k_lists_but_does_not_load(tmp_path, content, missing):
    content['cameras']['left']['K'] = missing
    dataset = open_folder(write_folder(tmp_path, content))
    assert len(dataset) == 3
    with pytest.raises(DatasetError, match=r'calib\.json: cameras: left: no K'):
        dataset.sample(0)
    assert dataset.sample(2).name == 'right_b'
    with pytest.raises(DatasetError, match='left: no K'):
        load_calib(tmp_path)


WRONG_AT_OPENING = [
    (change('cameras', to=[]), 'wanted an object with a `cameras` object'),
    (change('cameras', 'left', 'width', drop=True), "cameras: left: 'width' is missing"),
    (change('cameras', 'left', 'K', 0, 0, to=0.0), 'Focal lengths must be positive'),
    (change('cameras', 'left', 'K', to=[1, 2]), 'Camera matrix must be'),
    (change('cameras', 'left', 'D', to=[0.1, 0, 0, 0]), 'has no distortion, but D is'),
    (
        change('cameras', 'left', to={**SIZE, 'K': K, 'model': 'mei'}),
        "distortion model 'mei' is unknown",
    ),
    (change('cameras', 'left', 'T_cam_lidar', 0, 1, to=0.5), 'T_cam_lidar is not a rotation'),
    (change('cameras', 'left', to=7), 'malformed'),
    (change('lidar', 'format', to='las'), "lidar: format 'las' is unknown"),
    (change('depth', 'encoding', to='png16'), "depth: encoding 'png16' is unknown"),
    (change('depth', 'scale', drop=True), "depth: 'scale' is missing"),
    (change('depth', 'scale', to=0), 'scale must be metres per unit, got 0'),
    (
        change('depth', to={'encoding': 'disparity uint16 png', 'scale': 1, 'f_px': 700}),
        'depth: disparity is no depth without `f_px`, the focal length of the stereo pair in',
    ),
    (
        change('depth_gt', to={'encoding': 'disparity npy', 'baseline_m': 0.5}),
        'depth_gt: disparity is no depth without `f_px`',
    ),
    (
        change('depth', to={'encoding': 'disparity npy', 'f_px': 700, 'baseline_m': -0.5}),
        'baseline_m must be positive, got -0.5',
    ),
    (
        change('depth', to={'encoding': 'disparity npy', 'f_px': 0, 'baseline_m': 0.5}),
        'f_px must be positive, got 0.0',
    ),
    (change('depth', drop=True), r'frame 0: sparse\.png needs the `depth` object'),
    (change('frames', 0, 'images', drop=True), "frame 0: 'images' is missing"),
    (change('frames', 0, 'images', 'top', to='a.png'), r"frame 0: images of \['top'\]"),
    (change('frames', 0, 't', to='noon'), "frame 0: malformed: 'noon' is no ISO 8601 time"),
    (change('frames', 0, 't', to=float('nan')), 'frame 0: malformed'),
    (change('frames', 0, 't', to=float('inf')), 'frame 0: malformed'),
    (change('frames', 0, 't', drop=True), 'some images have a time `t`, others none'),
    (change('frames', 1, 'id', to='a'), "two frames called 'left_a'"),
    (change('frames', 0, to='a'), 'frame 0: malformed'),
    (change('frames', to=[]), 'has no image of'),
    (change('depth_camera', to={'K': K}), "depth_camera: 'width' is missing"),
]


@pytest.mark.parametrize(('alter', 'message'), WRONG_AT_OPENING)
def test_wrong_descriptions_are_refused_at_opening(tmp_path, content, alter, message):
    alter(content)
    with pytest.raises(DatasetError, match=message):
        open_folder(write_folder(tmp_path, content))


WRONG_AT_LOADING = [
    (change('cameras', 'left', 'width', to=9), r"camera 'left' is 9x4, but its image is 8x4"),
    (change('cameras', 'left', 'T_cam_lidar', to=None), r"a\.bin: camera 'left' has no transform"),
    (change('frames', 0, 'lidar', to='gone.bin'), r'gone\.bin: no such cloud file'),
    (change('frames', 0, 'images', 'left', to='gone.png'), r'gone\.png: no such image'),
    (change('frames', 0, 'images', 'left', to='a.bin'), r'a\.bin: not an image'),
    (change('lidar', 'fields', to=['x', 'y', 'z', 'w', 'v']), '24 bytes are no whole number'),
    (change('lidar', 'fields', to=['x', 'y', 'r']), 'wanted single columns x, y, z'),
]


@pytest.mark.parametrize(('alter', 'message'), WRONG_AT_LOADING)
def test_wrong_files_are_named_when_they_are_read(tmp_path, content, alter, message):
    alter(content)
    dataset = open_folder(write_folder(tmp_path, content))
    with pytest.raises(DatasetError, match=message):
        dataset.sample(0)


def test_rings_come_with_the_points(tmp_path, content):
    content['frames'][0]['lidar'] = 'ringed.bin'
    content['lidar']['fields'] = ['x', 'y', 'z', 'intensity', 'ring']
    rows = np.array([[5, 0, 1, 0.3, 12], [6, 1, -1, 0.2, 3]], np.float32)
    rows.tofile(tmp_path / 'ringed.bin')
    sample = open_folder(write_folder(tmp_path, content)).sample(0)
    assert sample.ring.tolist() == [12, 3]


def test_depth_of_another_size_than_its_image_is_refused(tmp_path, content):
    write_folder(tmp_path, content)
    cv2.imwrite(str(tmp_path / 'sparse.png'), np.ones((2, 4), np.uint16))
    with pytest.raises(DatasetError, match=r'sparse\.png: depth is 4x2, its camera 8x4'):
        open_folder(tmp_path).sample(0)


def test_unknown_camera_and_unreadable_json(tmp_path, content):
    write_folder(tmp_path, content)
    with pytest.raises(DatasetError, match=r"has no camera \['top'\]; it has \['left', 'right'\]"):
        open_folder(tmp_path, ['left', 'top'])
    (tmp_path / 'calib.json').write_text('{')
    with pytest.raises(DatasetError, match='not readable as JSON'):
        open_folder(tmp_path)
    with pytest.raises(DatasetError, match='no such file'):
        load_calib(tmp_path / 'gone' / 'calib.json')


def test_names_are_usable_as_file_names(tmp_path, content):
    content['frames'][0]['id'] = '../a b:c'
    name = open_folder(write_folder(tmp_path, content)).sample(0).name
    assert name == 'left_.._a_b_c'


def test_the_example_of_the_documentation_opens(tmp_path):
    docs = Path(__file__).resolve().parents[2] / 'docs' / 'datasets.md'
    example = re.search(r'```json\n(.*?)```', docs.read_text(encoding='utf-8'), re.DOTALL)
    content = json.loads(example.group(1))
    (tmp_path / 'calib.json').write_text(example.group(1))
    size = content['cameras']['front']
    for frame in content['frames']:
        for name in frame['images'].values():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            cv2.imwrite(
                str(tmp_path / name), np.zeros((size['height'], size['width'], 3), np.uint8)
            )
        (tmp_path / frame['lidar']).parent.mkdir(exist_ok=True)
        np.zeros((2, 4), np.float32).tofile(tmp_path / frame['lidar'])
    samples = list(iterate(open_folder(tmp_path)))
    assert len(samples) == 2
    # The point 10 m ahead of the LiDAR is 10 m deep minus the lever arm.
    ahead = samples[0].frame.T_camera_lidar @ (10, 0, 0, 1)
    np.testing.assert_allclose(ahead[2], 9.9, atol=1e-6)
