"""Both stages' examples, from simulated frames and from pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import TrainingError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind
from depth_ros.training.augment import Augmentation
from depth_ros.training.stages import CameraRange, Finetuning, Photos, Pretraining
from depth_ros.training.teachers import Exact, StoredMaps, write_maps

HEIGHT, WIDTH = 64, 96


class Grey:
    """A network that says the grey level."""

    name = 'grey'
    needs_lidar = False

    def __init__(self, kind: DepthKind = DepthKind.DISPARITY_AFFINE) -> None:
        self._kind = kind

    def estimate(self, view: CameraView) -> DepthEstimate:
        grey = view.image[..., 0].astype(np.float32)
        return DepthEstimate(grey, np.ones_like(grey), self._kind)


@pytest.fixture(scope='module')
def room() -> Simulator:
    rays = {'sweep.beams': 32, 'sweep.azimuth_step_deg': 0.8}
    return Simulator(scene='indoor', frames=2, width=120, height=80, **rays)


def test_returns_of_stage_1_are_of_the_surface_that_is_the_truth(room: Simulator) -> None:
    pytest.importorskip('embreex')
    stage = Pretraining(room, Exact(), HEIGHT, WIDTH)
    close = []
    for seed in range(6):
        example = stage.example(1, seed)
        assert example.image.shape == (HEIGHT, WIDTH, 3)
        found = example.sparse_m > 0
        assert np.count_nonzero(found) > 50
        error = np.abs(example.sparse_m / example.truth_m - 1)[found & (example.truth_m > 0)]
        close.append(np.mean(error < 0.05))
    assert np.mean(close) > 0.85  # the rest is parallax, noise and calibration


def test_a_seed_repeats_an_example_and_another_does_not(room: Simulator) -> None:
    pytest.importorskip('embreex')
    stage = Pretraining(room, Exact(), HEIGHT, WIDTH)
    one, same, other = (stage.example(0, seed) for seed in (3, 3, 4))
    for name in ('image', 'sparse_m', 'truth_m', 'K'):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))


def test_without_a_drawn_camera_the_calibrated_one_is_cut_and_scaled(room: Simulator) -> None:
    """Depth is linear in inverse depth on the floor, whose plane is the same in every window."""
    pytest.importorskip('embreex')
    stage = Pretraining(room, Exact(), HEIGHT, WIDTH, cameras=None, flip=0.0)
    sample = room.sample(0)
    camera = sample.frame.camera.intrinsics
    for seed in range(3):
        K = stage.example(0, seed).K
        zoom = camera.fx / K[0, 0]
        assert 1.0 <= zoom <= 1.25 + 1e-9
        assert camera.fy / K[1, 1] == pytest.approx(zoom, rel=0.02)  # whole pixels
        left = camera.cx + 0.5 - (K[0, 2] + 0.5) * zoom
        assert left == pytest.approx(round(left), abs=0.02 * WIDTH)
        assert -1 <= left <= 120 - zoom * WIDTH + 1


def test_cameras_are_drawn_between_their_bounds() -> None:
    rng = np.random.default_rng(0)
    cameras = [CameraRange((50.0, 90.0), 0.1).drawn(HEIGHT, WIDTH, rng) for _ in range(200)]
    fov_deg = 2 * np.degrees(np.arctan([WIDTH / 2 / camera.fx for camera in cameras]))
    assert 50 <= fov_deg.min() < 53
    assert 87 < fov_deg.max() <= 90
    offset = np.array([(c.cx + 0.5) / WIDTH - 0.5 for c in cameras])
    assert 0.09 < np.abs(offset).max() <= 0.1


def test_pictures_with_a_teacher_of_disparity_make_examples(tmp_path: Path) -> None:
    """The teacher says the grey level: a bright disc before a dark wall, sky above."""
    pytest.importorskip('embreex')
    grey = np.full((HEIGHT, WIDTH), 100, np.uint8)
    grey[:16] = 0
    cv2.circle(grey, (50, 40), 14, 220, -1)
    cv2.imwrite(str(tmp_path / 'disc.png'), grey)
    images = Photos(tmp_path)
    write_maps(images, Grey(), tmp_path / 'maps', 'grey')
    stage = Pretraining(images, StoredMaps(tmp_path / 'maps'), HEIGHT, WIDTH, flip=0.0)
    assert stage.teacher.kind is DepthKind.DISPARITY_AFFINE
    example = stage.example(0, 1)
    assert (example.truth_m[2:14] == 0).all()  # sky
    assert 0 < example.truth_m[40, 50] < 0.8 * example.truth_m[40, 10]
    assert np.count_nonzero(example.sparse_m) > 20


def test_too_small_a_picture_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 200), np.uint8))
    write_maps(Photos(tmp_path), Grey(DepthKind.METRIC), tmp_path / 'maps', 'grey')
    stage = Pretraining(Photos(tmp_path), StoredMaps(tmp_path / 'maps'), HEIGHT, WIDTH)
    with pytest.raises(TrainingError, match='200x40'):
        stage.example(0, 0)
    with pytest.raises(TrainingError, match='no images'):
        Photos(tmp_path / 'maps')


def test_stage_2_has_sparse_truth_returns_and_a_teacher(room: Simulator) -> None:
    whole = Augmentation(80, 120, top=0, flip=0.0, colour=0.0)
    example = Finetuning(room, Exact(), whole, share=0.15).example(1, 0)
    truth_m = room.sample(1).depth_gt_m
    assert truth_m is not None
    known = example.truth_m > 0
    assert known.mean() == pytest.approx(0.15, abs=0.02)
    np.testing.assert_array_equal(example.truth_m[known], truth_m[known])
    assert example.teacher is not None
    np.testing.assert_array_equal(np.nan_to_num(example.teacher), truth_m)
    found = (example.sparse_m > 0) & (truth_m > 0)
    assert np.median(np.abs(example.sparse_m - truth_m)[found]) < 0.05
    again = Finetuning(room, None, whole, share=0.15).example(1, 9)
    np.testing.assert_array_equal(again.truth_m, example.truth_m)  # sparse truth is given once
    assert again.teacher is None


def test_returns_that_the_camera_cannot_see_are_removed_if_wanted(room: Simulator) -> None:
    whole = Augmentation(80, 120, top=0, flip=0.0, colour=0.0)
    all_m, seen_m = (
        Finetuning(room, None, whole, occlusion_filter=kept).example(0, 0).sparse_m
        for kept in (False, True)
    )
    removed = (all_m > 0) & (seen_m == 0)
    assert 0 < np.count_nonzero(removed) < 0.3 * np.count_nonzero(all_m)
    np.testing.assert_array_equal(seen_m[~removed], all_m[~removed])


def test_a_sample_without_truth_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((80, 120), np.uint8))
    stage = Finetuning(Photos(tmp_path), None, Augmentation(HEIGHT, WIDTH))
    with pytest.raises(TrainingError, match='truth'):
        stage.example(0, 0)
