"""The ablation table: which rows there are, and what stands in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.datasets.folder import open_folder
from depth_ros.evaluation.ablation import ablate, rows, thinnings
from depth_ros.evaluation.evaluate import REMOVED_LIDAR, evaluate
from depth_ros.evaluation.metrics import score_image
from depth_ros.evaluation.protocols import PROTOCOLS
from depth_ros.evaluation.thinning import Thinning
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline

CAMERA = Camera(Intrinsics(192, 96, 150.0, 150.0, 95.5, 47.5))
AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)


def wall(lines=16):
    """A wall 6 m ahead of camera and LiDAR, whose beams lie between -12 and 12 degrees."""
    azimuth = np.radians(np.arange(-30, 30, 0.2))
    up = np.tan(np.radians(np.linspace(-12, 12, lines)))[:, None]
    y = 6.0 * np.tan(azimuth)
    points = np.stack(np.broadcast_arrays(6.0, y, up * 6.0 / np.cos(azimuth)), -1).reshape(-1, 3)
    image = np.full((96, 192, 3), 90, np.uint8)
    frame = Frame(image, CAMERA, 0, points=points, T_camera_lidar=AXES)
    return Sample('cam_0', 'cam', frame, np.full((96, 192), 6.5, np.float32))


class Walls:
    name = 'walls'
    camera_names = ('cam',)

    def __len__(self):
        return 3

    def sample(self, index):
        sample = wall()
        frame = replace(sample.frame, stamp_ns=index * 10**8)
        return replace(sample, name=f'cam_{index}', frame=frame)


POINTS = (Thinning(points=500), Thinning(points=100))


def test_rows_are_what_the_lidar_can_be_thinned_to():
    sixteen = (Thinning(lines=16), Thinning(lines=8), *POINTS)
    assert thinnings(wall()) == sixteen
    assert thinnings(wall(24)) == (Thinning(lines=24), *sixteen)
    blind = replace(wall(), frame=replace(wall().frame, points=None, T_camera_lidar=None))
    assert thinnings(blind) == POINTS
    scattered = np.random.default_rng(0).uniform(1, 9, (4000, 3))
    cloud = replace(wall(), frame=replace(wall().frame, points=scattered))
    assert thinnings(cloud) == (Thinning(), *POINTS)


def test_real_depth_completion_goes_down_to_eight_lines(data_dir):
    sample = open_folder(data_dir / 'kitti_dc_drive0001').sample(0)
    lines = [Thinning(lines=count) for count in (64, 32, 16, 8)]
    assert thinnings(sample) == (*lines, *POINTS)
    without = replace(sample, frame=replace(sample.frame, T_camera_lidar=None))
    assert thinnings(without) == (Thinning(), *POINTS)


def test_methods_stand_side_by_side_with_their_ratio_to_the_baseline():
    told = []
    configs = [PipelineConfig(method=name) for name in ('guided', 'ip_basic')]
    steps = (Thinning(lines=8), Thinning(points=500))
    trials = ablate(Walls(), configs, steps, progress=lambda done, of: told.append((done, of)))
    found = rows(trials)
    assert [(row['LiDAR'], row['method']) for row in found] == [
        ('8 lines', 'guided'),
        ('8 lines', 'ip_basic'),
        ('500 points', 'guided'),
        ('500 points', 'ip_basic'),
    ]
    assert told == [(i, 4) for i in (1, 2, 3, 4)]
    for ours, baseline in (found[:2], found[2:]):
        assert baseline['rmse_ratio'] == baseline['mae_ratio'] == 1.0
        ratio = ours['rmse_filled_mm'] / baseline['rmse_filled_mm']
        assert ours['rmse_ratio'] == pytest.approx(ratio)
        assert ours['mae_filled_mm'] == pytest.approx(500, abs=5)  # the truth says 6.5 m
        # Raw, sigma of a wall is centimetres, and the LiDAR itself cannot know better.
        assert ours['raw_coverage_2sigma'] == pytest.approx(0.0, abs=0.02)
    assert rows(trials[:1])[0]['rmse_ratio'] is None


def test_only_the_calibrated_trial_has_returns_held_out():
    trials = ablate(Walls(), [PipelineConfig(method='ip_basic')], [Thinning(lines=16)])
    raw, calibrated = trials[0].raw.scores, trials[0].calibrated.scores
    assert raw.coverage_1sigma == pytest.approx(0.0, abs=1e-3)  # 5 % of 6 m against 0.5 m
    assert raw.coverage_2sigma == 1.0
    assert calibrated.nll > raw.nll + 0.1  # held out, all returns agree on 6 m: sigma shrinks


def test_a_protocol_gives_all_returns_so_there_is_nothing_to_calibrate_by():
    class Rooms(Walls):
        def sample(self, index):
            camera = Camera(Intrinsics(640, 480, 519.0, 519.0, 320.0, 240.0))
            frame = Frame(np.zeros((480, 640, 3), np.uint8), camera, index)
            return Sample(f'cam_{index}', 'cam', frame, np.full((480, 640), 3.0, np.float32))

    config = PipelineConfig(method='guided')
    (trial,) = ablate(Rooms(), [config], POINTS[:1], protocol=PROTOCOLS['nyu'])
    assert trial.calibrated is None
    row = rows([trial])[0]
    assert row['coverage_1sigma'] is row['rmse_ratio'] is None
    assert row['rmse_filled_mm'] < 1


class Blind(Walls):
    """Without truth."""

    def sample(self, index):
        return replace(super().sample(index), depth_gt_m=None)


def test_without_truth_the_same_returns_judge_every_row_and_no_method_sees_them(monkeypatch):
    judged, seen = [], []
    complete = FusionPipeline.complete

    def note(pipeline, view, watch=None):
        seen.append(view.sparse_m > 0)
        return complete(pipeline, view, watch)

    def score(depth_m, sigma_m, truth_m):
        judged.append(truth_m > 0)
        return score_image(depth_m, sigma_m, truth_m)

    monkeypatch.setattr(FusionPipeline, 'complete', note)
    monkeypatch.setattr('depth_ros.evaluation.evaluate.score_image', score)
    configs = [PipelineConfig(method=name) for name in ('guided', 'nearest')]
    steps = thinnings(Blind().sample(0))
    trials = ablate(Blind(), configs, steps)
    assert {trial.raw.truth for trial in trials} == {REMOVED_LIDAR}
    assert len(judged) == 2 * len(configs) * len(steps) * 3
    for mask in judged[1:]:
        np.testing.assert_array_equal(mask, judged[0])
    whole = FusionPipeline(configs[0]).observe(Blind().sample(0).frame).sparse_m > 0
    assert judged[0].sum() == pytest.approx(whole.sum() * 2 / 16, rel=0.2)  # two lines judge
    for mask in seen:
        assert not (mask & judged[0]).any()
    returns = [np.count_nonzero(mask) for mask in seen]
    assert sorted(set(returns), reverse=True)[-2:] == [500, 100]


def test_lines_taken_away_judge_a_single_row():
    evaluation = evaluate(
        Blind(), PipelineConfig(method='guided'), thinning=Thinning(lines=4), seed=3
    )
    assert evaluation.truth == REMOVED_LIDAR
    assert evaluation.scores.mae_filled_mm < 5
