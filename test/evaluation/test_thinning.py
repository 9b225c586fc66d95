"""Less LiDAR: the right pixels stay, and only they."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.datasets.scan_lines import Block
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.thinning import Thinning, sampled_frame, thinned_frame
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics

CAMERA = Camera(Intrinsics(96, 48, 60.0, 60.0, 47.5, 23.5))
SHAPE = (48, 96)
AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
FOUR_BEAMS = Block((3.0, 1.0, -1.0, -3.0))


def sample(truth_m=None, **changes):
    image = np.zeros((*SHAPE, 3), np.uint8)
    return Sample('cam_0', 'cam', Frame(image, CAMERA, 0, **changes), truth_m)


def fan(block):
    """Returns 10 m away, all around."""
    azimuth = np.radians(np.arange(0, 360, 0.5))
    up = np.tan(np.radians(block.elevations_deg))[:, None]
    flat = np.broadcast_arrays(10 * np.cos(azimuth), 10 * np.sin(azimuth), 10 * up)
    return np.stack(flat, axis=-1).reshape(-1, 3)


def test_points_are_returns_of_the_image_where_there_is_a_lidar():
    truth_m = np.full(SHAPE, 4.0, np.float32)
    sparse_m = np.zeros(SHAPE, np.float32)
    sparse_m[::2] = 7.0
    frame = sampled_frame(sample(truth_m, sparse_m=sparse_m), 100)
    assert np.count_nonzero(frame.sparse_m) == 100
    assert (frame.sparse_m[frame.sparse_m > 0] == 7.0).all()
    assert not frame.sparse_m[1::2].any()

    cloud = sample(truth_m, points=fan(FOUR_BEAMS), T_camera_lidar=AXES)
    frame = sampled_frame(cloud, 50)
    assert frame.points is None
    assert np.count_nonzero(frame.sparse_m) == 50  # of those in view, not of those behind
    assert 7.5 < frame.sparse_m[frame.sparse_m > 0].min() <= frame.sparse_m.max() < 10.01


def test_points_are_truth_where_there_is_none():
    truth_m = np.full(SHAPE, np.inf, np.float32)
    truth_m[:, :10] = 4.0
    blind = sample(truth_m)
    frame = sampled_frame(blind, 100)
    assert np.count_nonzero(frame.sparse_m) == 100
    assert set(np.unique(frame.sparse_m)) == {0.0, 4.0}
    assert np.count_nonzero(sampled_frame(blind, 10**6).sparse_m) == 10 * SHAPE[0]
    np.testing.assert_array_equal(frame.sparse_m, sampled_frame(blind, 100).sparse_m)
    assert (frame.sparse_m != sampled_frame(blind, 100, seed=1).sparse_m).any()
    other = replace(blind, name='cam_1')
    assert (frame.sparse_m != sampled_frame(other, 100).sparse_m).any()
    with pytest.raises(EvaluationError, match='no returns and no truth'):
        sampled_frame(sample(), 10)
    with pytest.raises(EvaluationError, match='at least 1, got 0'):
        sampled_frame(blind, 0)


def test_lines_of_a_sweep():
    points = fan(FOUR_BEAMS)
    frame = sample(points=points, T_camera_lidar=AXES).frame
    thinned = thinned_frame(frame, 2)
    assert sorted(set(np.round(thinned.points[:, 2], 3))) == [-0.524, 0.175]  # -3 and 1 degree
    assert len(thinned.points) == len(points) / 2


def test_lines_of_a_depth_image_need_the_extrinsic():
    sparse_m = np.zeros(SHAPE, np.float32)
    sparse_m[:, 30:60] = 60.0
    bare = sample(sparse_m=sparse_m).frame
    assert thinned_frame(bare, 64) is bare
    with pytest.raises(EvaluationError, match='without T_camera_lidar'):
        thinned_frame(bare, 16)
    with pytest.raises(EvaluationError, match='no LiDAR whose lines'):
        thinned_frame(sample().frame, 16)


def test_lines_then_points():
    cloud = sample(points=fan(FOUR_BEAMS), T_camera_lidar=AXES)
    frame = Thinning(lines=2, points=40).frame(cloud)
    rows = np.nonzero(frame.sparse_m)[0]
    assert rows.size == 40
    assert rows.min() < 23.5 < rows.max()
    every = Thinning(points=40).frame(cloud)
    assert len(set(np.nonzero(every.sparse_m)[0])) > len(set(rows))
    assert Thinning().frame(cloud) is cloud.frame


@pytest.mark.parametrize(
    ('thinning', 'label'),
    [
        (Thinning(), 'all'),
        (Thinning(lines=16), '16 lines'),
        (Thinning(points=500), '500 points'),
        (Thinning(16, 500), '16 lines, 500 points'),
    ],
)
def test_labels(thinning, label):
    assert thinning.label == label
