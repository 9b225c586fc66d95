"""Less LiDAR: the right pixels stay, and only they."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.datasets.scan_lines import Block
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.thinning import Thinning, sampled_frame, split, thinned_frame
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.projection import project_lidar

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
    thinned = thinned_frame(sample(points=points, T_camera_lidar=AXES), 2)
    assert sorted(set(np.round(thinned.points[:, 2], 3))) == [-0.524, 0.175]  # -3 and 1 degree
    assert len(thinned.points) == len(points) / 2


def test_lines_of_a_depth_image_need_the_extrinsic():
    sparse_m = np.zeros(SHAPE, np.float32)
    sparse_m[:, 30:60] = 60.0
    bare = sample(sparse_m=sparse_m)
    assert thinned_frame(bare, 64) is bare.frame
    with pytest.raises(EvaluationError, match='without T_camera_lidar'):
        thinned_frame(bare, 16)
    with pytest.raises(EvaluationError, match='no LiDAR whose lines could be thinned; --points N'):
        thinned_frame(sample(), 16)


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
        (Thinning(rosette=True), 'rosette'),
        (Thinning(), 'all'),
        (Thinning(lines=16), '16 lines'),
        (Thinning(points=500), '500 points'),
        (Thinning(16, 500), '16 lines, 500 points'),
    ],
)
def test_labels(thinning, label):
    assert thinning.label == label


EIGHT_BEAMS = Block((7.0, 5.0, 3.0, 1.0, -1.0, -3.0, -5.0, -7.0))


def heights(frame):
    """Beams of the points of a frame by their elevation in degrees."""
    points = frame.points
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    return sorted(set(np.rint(elevation).astype(int)), reverse=True)


def test_lines_that_were_taken_away_judge():
    cloud = sample(points=fan(EIGHT_BEAMS), T_camera_lidar=AXES)
    two = Thinning(lines=2)
    seen, judges = split(cloud, two, [two], share=0.1)
    assert heights(seen) == [3, -5]
    assert heights(judges) == [7, 5, 1, -1, -3, -7]
    assert len(seen.points) + len(judges.points) == len(cloud.frame.points)


def test_the_same_lines_judge_every_row():
    """Of eight, two get 3 and -5, four get 5, 1, -3 and -7: one of 7 and -1 judges the others."""
    cloud = sample(points=fan(EIGHT_BEAMS), T_camera_lidar=AXES)
    rows = [Thinning(lines=8), Thinning(lines=4), Thinning(lines=2), Thinning(points=30)]
    splits = [split(cloud, row, rows, share=0.1) for row in rows]
    assert [heights(one.judges) for one in splits] == 4 * [[-1]]
    assert heights(splits[0].seen) == [7, 5, 3, 1, -3, -5, -7]
    assert heights(splits[1].seen) == [5, 1, -3, -7]
    assert heights(splits[2].seen) == [3, -5]
    drawn_m = splits[3].seen.sparse_m
    assert np.count_nonzero(drawn_m) == 30
    without, _ = split(cloud, rows[0], rows, share=0.1)
    assert not (drawn_m[sparse_of(without) == 0]).any()


def sparse_of(frame):
    return project_lidar(frame.points, AXES, CAMERA.intrinsics)


def test_rings_are_followed_when_lines_are_taken():
    points = np.random.default_rng(0).uniform(2, 9, (400, 3))  # no lines at all
    ring = np.arange(400) % 4
    cloud = replace(sample(points=points, T_camera_lidar=AXES), ring=ring)
    points[:, 2] = 0.1 * ring * np.hypot(points[:, 0], points[:, 1])
    seen, judges = split(cloud, Thinning(lines=2), [Thinning(lines=2)], share=0.1)
    np.testing.assert_array_equal(seen.points, points[np.isin(ring, (0, 2))])
    np.testing.assert_array_equal(judges.points, points[np.isin(ring, (1, 3))])


def test_points_that_were_not_drawn_judge():
    cloud = sample(points=fan(FOUR_BEAMS), T_camera_lidar=AXES)
    rows = [Thinning(points=40), Thinning(points=10)]
    first, second = (split(cloud, row, rows, share=0.1) for row in rows)
    whole_m = sparse_of(cloud.frame)
    assert np.count_nonzero(first.seen.sparse_m) == 40
    assert np.count_nonzero(second.seen.sparse_m) == 10
    np.testing.assert_array_equal(first.judges.sparse_m, second.judges.sparse_m)
    judged = first.judges.sparse_m > 0
    either = (first.seen.sparse_m > 0) | (second.seen.sparse_m > 0)
    assert not (judged & either).any()
    np.testing.assert_array_equal(judged | either, whole_m > 0)


def test_where_a_row_gets_everything_and_there_are_no_lines_windows_judge():
    sparse_m = np.zeros(SHAPE, np.float32)
    sparse_m[::2, ::3] = np.random.default_rng(0).uniform(4, 9, sparse_m[::2, ::3].shape)
    solid_state = sample(sparse_m=sparse_m)
    rows = [Thinning(), Thinning(points=100)]
    everything, drawn = (split(solid_state, row, rows, share=0.2) for row in rows)
    np.testing.assert_array_equal(everything.judges.sparse_m, drawn.judges.sparse_m)
    assert np.count_nonzero(everything.judges.sparse_m) > 10
    for one, returns in ((everything, 500), (drawn, 100)):
        assert np.count_nonzero(one.seen.sparse_m) >= returns
        assert not one.seen.sparse_m[one.judges.sparse_m > 0].any()


def test_without_lidar_nothing_can_be_split():
    for row, match in ((Thinning(lines=8), 'no LiDAR whose'), (Thinning(points=9), 'neither')):
        with pytest.raises(EvaluationError, match=match):
            split(sample(), row, [row], share=0.1)


def test_a_rosette_leaves_what_its_shots_hit():
    """The same depths, fewer, all over the image, and others in another image."""
    camera = Camera(Intrinsics(640, 480, 500.0, 500.0, 319.5, 239.5))
    dense_m = np.random.default_rng(0).uniform(1, 9, (480, 640)).astype(np.float32)
    frame = Frame(np.zeros((480, 640, 3), np.uint8), camera, 0)
    room = Sample('cam_0', 'cam', frame, dense_m)
    thinned_m = Thinning(rosette=True).frame(room).sparse_m
    kept = thinned_m > 0
    np.testing.assert_array_equal(thinned_m[kept], dense_m[kept])
    assert 0.1 < kept.mean() < 0.6  # 24,000 shots and their neighbours
    middle = kept[120:360, 160:480]
    assert kept.mean() < middle.mean()  # a rosette's shots are densest there
    assert min(half.mean() for half in np.array_split(middle, 4)) > 0.1
    np.testing.assert_array_equal(Thinning(rosette=True).frame(room).sparse_m, thinned_m)
    other_m = Thinning(rosette=True).frame(replace(room, name='cam_1')).sparse_m
    assert ((other_m > 0) != kept).any()
    few_m = Thinning(rosette=True, points=50).frame(room).sparse_m
    assert np.count_nonzero(few_m) == 50
    assert not few_m[~kept].any()
