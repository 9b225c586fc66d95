"""Teachers: their maps on disk, and metres of what has no scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.errors import TrainingError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind, Float32, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.training.teachers import (
    DepthRange,
    Disturbed,
    Exact,
    StoredMaps,
    anchored,
    write_maps,
)

CAMERA = Camera(Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5))


class Photos:
    """Images of one grey level each."""

    name = 'photos'
    camera_names = ('camera',)

    def __init__(self, count: int = 3) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def sample(self, index: int) -> Sample:
        frame = Frame(np.full((4, 6, 3), 10 * index, np.uint8), CAMERA, index)
        return Sample(f'camera_{index}', 'camera', frame)


class Grey:
    """Says the grey level."""

    name = 'grey'
    needs_lidar = False

    def __init__(self, kind: DepthKind = DepthKind.DISPARITY_AFFINE) -> None:
        self.kind = kind
        self.seen = 0

    def estimate(self, view: CameraView) -> DepthEstimate:
        self.seen += 1
        depth_m = view.image[..., 0].astype(np.float32)
        depth_m[0, 0] = np.inf
        return DepthEstimate(depth_m, np.ones_like(depth_m), self.kind)


def test_maps_are_what_the_method_said(tmp_path: Path) -> None:
    write_maps(Photos(), Grey(), tmp_path, 'grey')
    teacher = StoredMaps(tmp_path)
    assert teacher.kind is DepthKind.DISPARITY_AFFINE
    values = teacher.map(Photos().sample(2))
    assert np.isnan(values[0, 0])  # too far is unknown
    assert (values.ravel()[1:] == 20).all()


def test_an_image_is_seen_once_and_a_run_goes_on_where_it_ended(tmp_path: Path) -> None:
    write_maps(Photos(2), Grey(), tmp_path, 'grey')
    method = Grey()
    steps: list[tuple[int, int]] = []
    write_maps(Photos(3), method, tmp_path, 'grey', lambda done, of: steps.append((done, of)))
    assert method.seen == 1
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert not list(tmp_path.glob('*.tmp'))


def test_maps_of_two_teachers_are_not_mixed(tmp_path: Path) -> None:
    write_maps(Photos(1), Grey(), tmp_path, 'grey')
    for method, name in ((Grey(), 'other'), (Grey(DepthKind.METRIC), 'grey')):
        with pytest.raises(TrainingError, match='not of'):
            write_maps(Photos(2), method, tmp_path, name)
    with pytest.raises(TrainingError, match='camera_1'):
        StoredMaps(tmp_path).map(Photos().sample(1))


def test_a_folder_without_maps_and_a_teacher_with_lidar_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match='no maps'):
        StoredMaps(tmp_path)
    method = Grey()
    method.needs_lidar = True
    with pytest.raises(TrainingError, match='LiDAR'):
        write_maps(Photos(), method, tmp_path, 'grey')


def known(depth_m: Float32) -> Sample:
    frame = Frame(np.zeros((4, 6, 3), np.uint8), CAMERA, 0)
    return Sample('one', 'camera', frame, depth_m)


def test_the_exact_teacher_says_the_truth() -> None:
    depth_m = np.arange(24, dtype=np.float32).reshape(4, 6)
    values = Exact().map(known(depth_m))
    assert np.isnan(values[0, 0])
    np.testing.assert_array_equal(values.ravel()[1:], depth_m.ravel()[1:])
    with pytest.raises(TrainingError, match='camera_0'):
        Exact().map(Photos().sample(0))


def test_a_disturbed_teacher_keeps_order_but_not_scale_and_repeats_itself() -> None:
    depth_m = np.linspace(2, 60, 24, dtype=np.float32).reshape(4, 6)
    depth_m[0, 3] = 0.0
    teacher = Disturbed(distortion=0.0)
    values = teacher.map(known(depth_m))
    assert np.isnan(values[0, 3])
    seen = depth_m > 0
    assert (np.diff(values[seen]) > 0).all()
    slope, shift = np.polyfit(depth_m[seen], values[seen], 1)
    assert abs(slope - 1) > 0.05
    assert abs(shift) > 0.05
    np.testing.assert_array_equal(teacher.map(known(depth_m)), values)
    assert not np.array_equal(Disturbed(distortion=0.3).map(known(depth_m)), values)


def test_disparity_becomes_depth_between_the_ends_that_were_drawn() -> None:
    disparity = np.linspace(-3, 8, 10_000, dtype=np.float32).reshape(100, 100)
    depth_m = DepthRange((2.0, 2.0), (50.0, 50.0), sky=0.0).metres(
        disparity, np.random.default_rng(0)
    )
    low, high = np.quantile(disparity, (0.01, 0.99))
    at = disparity.ravel().searchsorted((low + 0.01, (low + high) / 2, high))
    expected = [50.0, 2 / (1 / 2 + 1 / 50), 2.0]  # the middle of inverse depth
    np.testing.assert_allclose(depth_m.ravel()[at], expected, rtol=0.03)
    assert np.isnan(depth_m.ravel()[: at[0] - 20]).all()


def test_sky_is_unknown_and_ends_are_drawn_anew_each_time() -> None:
    disparity = np.zeros((100, 100), np.float32)
    disparity[20:] = np.linspace(0.01, 1, 8000).reshape(80, 100)
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(100):
        depth_m = DepthRange().metres(disparity, rng)
        assert np.isnan(depth_m[:20]).all()
        ends.append((np.nanquantile(depth_m, 0.02), np.nanmax(depth_m)))
    near, far = np.transpose(ends)
    assert 0.4 < near.min() < 1.0 < 4.0 < near.max() < 9.0
    assert far.min() < 20
    assert far.max() > 60


@pytest.mark.parametrize('value', [0.7, np.nan])
def test_a_teacher_that_says_one_thing_teaches_no_depth(value: float) -> None:
    with pytest.raises(TrainingError, match='everywhere'):
        DepthRange().metres(np.full((4, 6), value, np.float32), np.random.default_rng(0))


def test_disparity_is_anchored_by_inverse_returns() -> None:
    """Disparity is 40 / depth - 1 exactly: so is what comes back."""
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(2, 80, (20, 30)).astype(np.float32)
    disparity = 40 / depth_m - 1
    disparity[0, 0] = np.nan
    sparse_m = np.where(rng.random(depth_m.shape) < 0.1, depth_m, np.float32(0))
    got = anchored(disparity, sparse_m)
    assert np.isnan(got[0, 0])
    np.testing.assert_allclose(got.ravel()[1:], depth_m.ravel()[1:], rtol=1e-3)
    assert np.isnan(anchored(-disparity, sparse_m)).all()  # nearer must be larger
    assert np.isnan(anchored(disparity, 0 * sparse_m)).all()
    assert np.isnan(anchored(0 * disparity, sparse_m)).all()


def test_what_the_fit_puts_beyond_the_world_is_unknown() -> None:
    depth_m = np.linspace(2, 80, 600, dtype=np.float32).reshape(20, 30)
    disparity = 1 / depth_m
    disparity[0, :5] = 0.0, -1.0, 1 / 199, 1 / 201, 0.5
    sparse_m = depth_m.copy()
    sparse_m[0] = 0.0
    got = anchored(disparity, sparse_m)[0, :5]
    assert np.isnan(got).tolist() == [True, True, False, True, False]
