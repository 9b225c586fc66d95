"""Ground truth of a folder: every way to store it, and what is said where it cannot be read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from calib_folder import K, change, write_folder

from depth_ros.datasets.folder import open_folder

WRONG_TRUTH = [
    (change('frames', 0, 'depth_gt', 'left', to='right.png'), 'right.png: depth must be one ch'),
    (change('frames', 0, 'depth_gt', 'left', to='gone.png'), 'gone.png: no such image'),
    (
        change(
            'depth_camera', to={'width': 4, 'height': 2, 'K': K, 'T_cam_depth': np.eye(4).tolist()}
        ),
        'gt.png: depth is 8x4, its camera 4x2',
    ),
]


@pytest.mark.parametrize(('alter', 'message'), WRONG_TRUTH)
def test_an_image_whose_truth_is_lost_says_so_and_is_there(tmp_path, content, alter, message):
    alter(content)
    sample = open_folder(write_folder(tmp_path, content)).sample(0)
    assert message in sample.truth_lost
    assert sample.depth_gt_m is None
    assert sample.frame.image.shape == (4, 8, 3)


def test_truth_may_be_stored_in_another_way_than_sparse_depth(tmp_path, content):
    truth_m = np.full((4, 8), 7.25)
    truth_m[0] = np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-3, 2.0, -9999.0
    content['depth_gt'] = {'encoding': 'npy'}
    content['frames'][0]['depth_gt']['left'] = 'truth.npy'
    write_folder(tmp_path, content)
    for dtype in (np.float64, np.float32, np.float16):
        np.save(tmp_path / 'truth.npy', truth_m.astype(dtype))
        sample = open_folder(tmp_path).sample(0)
        assert sample.truth_lost == ''
        assert sample.frame.sparse_m[1, 2] == 2.5
        assert sample.depth_gt_m.dtype == np.float32
        np.testing.assert_allclose(sample.depth_gt_m[0], [0] * 5 + [1e-3, 2, 0], rtol=1e-3)
        assert (sample.depth_gt_m[1:] == 7.25).all()


@pytest.mark.parametrize('scale', [None, 0.5])
def test_whole_numbers_of_an_array_take_a_scale_as_well(tmp_path, content, scale):
    content['depth_gt'] = {'encoding': 'npy', 'scale': scale} if scale else {'encoding': 'npy'}
    content['frames'][0]['depth_gt']['left'] = 'truth.npy'
    np.save(tmp_path / 'truth.npy', np.full((4, 8), 9, np.int32))
    truth_m = open_folder(write_folder(tmp_path, content)).sample(0).depth_gt_m
    assert (truth_m == 9 * (scale or 1)).all()


@pytest.mark.parametrize('kind', ['disparity uint16 png', 'disparity npy'])
def test_disparity_becomes_depth_by_focal_length_and_baseline(tmp_path, content, kind):
    """256 units a pixel, 700 px and half a metre: 10 pixels are 35 m, and 0 is unknown."""
    stereo = {'scale': 1 / 256, 'f_px': 700, 'baseline_m': 0.5, 'invalid_also': 3}
    content['depth_gt'] = {'encoding': kind, **stereo}
    name = 'truth.npy' if kind.endswith('npy') else 'truth.png'
    content['frames'][0]['depth_gt']['left'] = name
    stored = np.full((4, 8), 2560, np.uint16)
    stored[0, :3] = 0, 3, 5120
    write_folder(tmp_path, content)
    if name == 'truth.npy':
        np.save(tmp_path / name, stored)
    else:
        cv2.imwrite(str(tmp_path / name), stored)
    truth_m = open_folder(tmp_path).sample(0).depth_gt_m
    np.testing.assert_allclose(truth_m[0, :4], [0, 0, 17.5, 35], rtol=1e-6)
    np.testing.assert_allclose(truth_m[1:], 35, rtol=1e-6)


@pytest.mark.parametrize(
    ('encoding', 'name', 'message'),
    [
        (
            {'encoding': 'npy'},
            'gt.png',
            "encoding of depth is 'npy', this file is of another kind",
        ),
        ({'encoding': 'uint16 png', 'scale': 1}, 'a.npy', "`depth.encoding` to 'npy'"),
        ({'encoding': 'npy'}, 'gone.npy', 'gone.npy: no such file'),
        ({'encoding': 'npy'}, 'garbage.npy', 'garbage.npy: not readable as a NumPy array'),
        ({'encoding': 'npy'}, 'words.npy', 'words.npy: depth must be numbers'),
        ({'encoding': 'npy'}, 'flat.npy', r'flat.npy: depth must be (H, W) numbers, got (32,)'),
        ({'encoding': 'npy'}, 'small.npy', 'small.npy: depth is 4x2, its camera 8x4'),
        ({'encoding': 'npy'}, 'pickle.npy', 'pickle.npy: not readable as a NumPy array'),
    ],
)
def test_truth_of_another_kind_is_named(tmp_path, content, encoding, name, message):
    np.save(tmp_path / 'words.npy', np.full((4, 8), 'far'))
    np.save(tmp_path / 'flat.npy', np.ones(32))
    np.save(tmp_path / 'small.npy', np.ones((2, 4)))
    np.save(tmp_path / 'pickle.npy', np.full((4, 8), {}), allow_pickle=True)
    (tmp_path / 'garbage.npy').write_bytes(b'0123456789')
    content['depth_gt'] = encoding
    content['frames'][0]['depth_gt']['left'] = name
    assert message in open_folder(write_folder(tmp_path, content)).sample(0).truth_lost
