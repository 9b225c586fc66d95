"""The evaluation loop on a made dataset: a wall whose depth is known."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.errors import ConfigError, EvaluationError, SampleError
from depth_ros.evaluation.evaluate import (
    GROUND_TRUTH,
    HELD_OUT_LIDAR,
    REMOVED_LIDAR,
    evaluate,
    truth_in_view,
)
from depth_ros.evaluation.gallery import pictures, sheet
from depth_ros.evaluation.thinning import Thinning
from depth_ros.frame import DepthEstimate, DepthKind, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline import fusion
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced

GUIDED = PipelineConfig(method='guided')
INTRINSICS = Intrinsics(192, 96, 150.0, 150.0, 95.5, 47.5)
WALL_M = 6.0


class Walls:
    """Frames of a wall seen by two cameras; `changes` replace parts of every sample."""

    name = 'walls'
    camera_names = ('left', 'right')

    def __init__(self, frames: int = 3, **changes: object) -> None:
        self._frames = frames
        self._changes = changes

    def __len__(self) -> int:
        return 2 * self._frames

    def sample(self, index: int) -> Sample:
        shape = (INTRINSICS.height, INTRINSICS.width)
        sparse_m = np.zeros(shape, np.float32)
        sparse_m[::3, ::2] = WALL_M
        image = np.full((*shape, 3), 90, np.uint8)
        frame = Frame(image, Camera(INTRINSICS), index * 10**8, sparse_m=sparse_m)
        camera = self.camera_names[index % 2]
        sample = Sample(f'{camera}_{index // 2}', camera, frame, np.full(shape, 6.5, np.float32))
        return replace(sample, **self._changes)


def test_a_wall_half_a_metre_off_its_truth_scores_half_a_metre():
    evaluation = evaluate(Walls(), GUIDED)
    assert evaluation.truth == GROUND_TRUTH
    assert evaluation.method == 'guided'
    assert evaluation.scores.mae_mm == pytest.approx(500, abs=1)
    assert evaluation.scores.rel == pytest.approx(0.5 / 6.5, abs=1e-3)
    assert [image.name for image in evaluation.images[:3]] == ['left_0', 'right_0', 'left_1']
    assert set(evaluation.ms) >= {
        'rectify',
        'project',
        'hold_out',
        'complete',
        'calibrate',
        'total',
    }


def test_without_truth_held_out_returns_judge():
    evaluation = evaluate(Walls(depth_gt_m=None), GUIDED, held_out_share=0.1)
    assert evaluation.truth == HELD_OUT_LIDAR
    assert evaluation.scores.mae_mm == pytest.approx(0, abs=5)
    assert evaluation.scores.density == 1.0
    with pytest.raises(ConfigError, match=r'must be in \(0, 0.5\], got 0.0'):
        evaluate(Walls(depth_gt_m=None), GUIDED, held_out_share=0.0)


@pytest.mark.parametrize(('truth', 'share_seen'), [({}, 1.0), ({'depth_gt_m': None}, 0.7)])
def test_a_method_never_sees_the_returns_that_judge_it(monkeypatch, truth, share_seen):
    seen = []
    complete = FusionPipeline.complete

    def note(pipeline, view, watch=None):
        seen.append(np.count_nonzero(view.sparse_m))
        return complete(pipeline, view, watch)

    monkeypatch.setattr(FusionPipeline, 'complete', note)
    dataset = Walls(**truth)
    evaluate(dataset, GUIDED, held_out_share=0.3)
    returns = np.count_nonzero(dataset.sample(0).frame.sparse_m)
    assert np.mean(seen) / returns == pytest.approx(share_seen, abs=0.06)


def test_two_kinds_of_truth_are_never_averaged_into_one_number():
    class Mixed(Walls):
        def sample(self, index):
            sample = super().sample(index)
            return sample if index % 2 else replace(sample, depth_gt_m=None)

    evaluation = evaluate(Mixed(2), GUIDED)
    assert evaluation.truth == f'{GROUND_TRUTH} and {HELD_OUT_LIDAR}'
    kinds = [(image.camera_name, image.truth) for image in evaluation.images]
    assert kinds == [('left', HELD_OUT_LIDAR), ('right', GROUND_TRUTH)] * 2
    with pytest.raises(EvaluationError, match='depth_gt and held-out LiDAR have no common mean'):
        evaluation.scores  # noqa: B018
    by_truth, by_returns = evaluation.by_truth()
    assert (by_truth.truth, len(by_truth.images)) == (GROUND_TRUTH, 2)
    assert by_truth.scores.mae_mm == pytest.approx(500, abs=1)
    assert by_returns.truth == HELD_OUT_LIDAR
    assert by_returns.scores.mae_mm == pytest.approx(0, abs=5)


def test_lost_images_are_named_and_the_others_scored():
    class Torn(Walls):
        def sample(self, index):
            sample = super().sample(index)
            if index == 1:
                raise SampleError('sweep.bin: no such cloud file.', sample.name, 'right')
            if index == 2:
                return replace(sample, frame=blind(sample))
            return replace(sample, truth_lost='truth.png: no such image.' * (index == 3))

    told = []
    evaluation = evaluate(Torn(), GUIDED, progress=lambda done, of: told.append((done, of)))
    assert [image.name for image in evaluation.images] == ['left_0', 'left_2', 'right_2']
    assert evaluation.scores.mae_mm == pytest.approx(500, abs=1)
    assert [(image.name, image.camera_name) for image in evaluation.lost] == [
        ('right_0', 'right'),
        ('left_1', 'left'),
        ('right_1', 'right'),
    ]
    reasons = [image.reason for image in evaluation.lost]
    assert reasons[0] == 'sweep.bin: no such cloud file.'
    assert 'There is no LiDAR for guided to complete' in reasons[1]
    assert reasons[2] == 'The ground truth cannot be read: truth.png: no such image.'
    assert told[-1] == (6, 6)


def test_a_camera_learns_sigma_from_its_own_images_only():
    """The right camera's LiDAR is noisy; what it learns must not reach the left."""

    class Noisy(Walls):
        def sample(self, index):
            sample = super().sample(index)
            rng = np.random.default_rng(index)
            noise_m = rng.normal(0.0, 0.5 if index % 2 else 0.02, sample.frame.sparse_m.shape)
            sparse_m = np.where(sample.frame.sparse_m > 0, WALL_M + noise_m, 0.0)
            return replace(
                sample, frame=replace(sample.frame, sparse_m=sparse_m.astype(np.float32))
            )

    class LeftOnly(Noisy):
        camera_names = ('left',)

        def __len__(self):
            return self._frames

        def sample(self, index):
            return replace(super().sample(2 * index), camera_name='left', name=f'left_{index}')

    both = evaluate(Noisy(3), GUIDED)
    alone = evaluate(LeftOnly(3), GUIDED)
    for found, expected in zip(both.images[::2], alone.images, strict=True):
        assert asdict(found.scores) == pytest.approx(asdict(expected.scores), nan_ok=True)


def test_each_method_is_ready_before_its_first_image_and_closed_after_the_last(
    monkeypatch, tmp_path
):
    """Made ready in time that no image is booked with, on a clock that only that moves."""
    made, now_s = [], [0.0]
    monkeypatch.setattr(time, 'perf_counter', lambda: now_s[0])

    class Slow(IpBasic):
        name = 'bpnet'

        def __init__(self, *_):
            self.life = []
            made.append(self)

        def prepare(self, height, width, may_build=True, may_skip=False):
            if 'ready' not in self.life:
                now_s[0] += 300.0
                self.life.append('ready')

        def check_camera(self, camera):
            pass

        def fits(self, height, width):
            return True

        def build_arguments(self, height, width):
            return None

        def describe(self):
            return 'slow'

        def estimate(self, view):
            assert self.life[0] == 'ready'
            self.life.append('image')
            return super().estimate(view)

        def close(self):
            self.life.append('closed')

    monkeypatch.setitem(METHODS, 'bpnet', Slow)
    (tmp_path / 'weights').touch()
    settings = {'method': 'bpnet', 'bpnet.weights': str(tmp_path / 'weights')}
    evaluation = evaluate(Walls(2), replaced(GUIDED, settings))
    assert [method.life for method in made] == 2 * [['ready', 'image', 'image', 'closed']]
    assert {sum(image.timings_ms.values()) for image in evaluation.images} == {0.0}
    with pytest.raises(EvaluationError):
        evaluate(Walls(frame=blind(Walls().sample(0))), replaced(GUIDED, settings))
    assert [method.life[-1] for method in made[2:]] == 2 * ['closed']


def test_the_time_of_a_stage_is_the_median_over_images():
    evaluation = evaluate(Walls(2), GUIDED)
    for stage in ('project', 'complete'):
        times_ms = [image.timings_ms[stage] for image in evaluation.images]
        assert evaluation.ms[stage] == pytest.approx(np.median(times_ms))
    totals_ms = [sum(image.timings_ms.values()) for image in evaluation.images]
    assert evaluation.ms['total'] == pytest.approx(np.median(totals_ms))


class Sees(IpBasic):
    """A stand-in for `mono`, of some kind: 6.5 m ahead, and too far in the upper half."""

    name = 'mono'
    needs_lidar = False
    kind = DepthKind.METRIC

    def __init__(self, **_):
        pass

    def estimate(self, view):
        depth_m = np.full(view.sparse_m.shape, 6.5, np.float32)
        depth_m[: len(depth_m) // 2] = np.inf
        sigma_m = np.where(np.isinf(depth_m), np.nan, np.float32(0.5)).astype(np.float32)
        return DepthEstimate(depth_m, sigma_m, self.kind)


@pytest.fixture
def mono(monkeypatch, tmp_path):
    """Settings of the stand-in; it has no weights."""
    monkeypatch.setitem(METHODS, 'mono', Sees)
    monkeypatch.setattr(fusion, 'mono_weights', lambda *_: tmp_path)
    return PipelineConfig(method='mono')


def blind(sample):
    """A frame without LiDAR."""
    return replace(sample.frame, sparse_m=None)


def test_without_lidar_truth_judges_a_method_that_needs_none(mono):
    evaluation = evaluate(Walls(frame=blind(Walls().sample(0))), mono)
    assert (evaluation.method, evaluation.needs_lidar) == ('mono', False)
    assert evaluation.scores.rel == pytest.approx(0.0)
    assert evaluation.scores.density == 0.5  # what is too far is no depth
    assert evaluation.scores.mae_filled_mm == pytest.approx(0.0)
    with pytest.raises(EvaluationError, match='walls, left_0: There is neither ground truth nor'):
        evaluate(Walls(frame=blind(Walls().sample(0)), depth_gt_m=None), mono)
    with pytest.raises(EvaluationError, match='There is no LiDAR for guided to complete'):
        evaluate(Walls(frame=blind(Walls().sample(0))), PipelineConfig(method='guided'))


def test_held_out_returns_judge_a_method_that_needs_no_lidar(mono):
    evaluation = evaluate(Walls(depth_gt_m=None), mono)
    assert evaluation.truth == HELD_OUT_LIDAR
    assert evaluation.scores.mae_mm == pytest.approx(500, abs=1)  # the returns say 6 m
    assert evaluation.scores.density == pytest.approx(0.5, abs=0.1)
    assert np.isnan(evaluation.scores.boundary_f1)  # sparse truth has no edges


def test_relative_depth_is_not_scored(mono, monkeypatch):
    monkeypatch.setattr(Sees, 'kind', DepthKind.DISPARITY_AFFINE)
    with pytest.raises(ConfigError, match='mono gives disparity_affine'):
        evaluate(Walls(), mono)


def test_a_dataset_without_images_is_refused():
    with pytest.raises(EvaluationError, match='walls has no images to score'):
        evaluate(Walls(0), GUIDED)


def test_the_same_seed_gives_the_same_scores():
    def scores(seed):
        return evaluate(Walls(depth_gt_m=None), GUIDED, seed=seed).scores.mae_mm

    assert scores(1) == scores(1)
    assert scores(1) != scores(2)


def test_progress_is_told_image_by_image():
    told = []
    evaluate(Walls(1), GUIDED, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]


def test_points_of_the_truth_stand_in_for_a_lidar():
    truth_m = np.full((INTRINSICS.height, INTRINSICS.width), 4.0, np.float32)
    walls = Walls(depth_gt_m=truth_m, frame=blind(Walls().sample(0)))
    evaluation = evaluate(walls, GUIDED, thinning=Thinning(points=400))
    assert evaluation.scores.mae_mm == pytest.approx(0, abs=5)


def test_truth_follows_the_size_of_the_output():
    config = PipelineConfig(method='guided', output=OutputConfig(scale=0.5))
    assert evaluate(Walls(1), config).scores.mae_mm == pytest.approx(500, abs=1)
    truth_m = np.zeros((4, 4), np.float32)
    truth_m[3, 3] = 7.0
    assert np.array_equal(truth_in_view(truth_m, 2, 2), [[0, 0], [0, 7]])


def test_an_image_that_cannot_run_is_named():
    shape = (INTRINSICS.height, INTRINSICS.width)
    image = np.zeros((*shape, 3), np.uint8)
    empty = Frame(image, Camera(INTRINSICS), 0, sparse_m=np.zeros(shape, np.float32))
    with pytest.raises(EvaluationError, match=r'walls, left_0: No LiDAR return.*None of the 6'):
        evaluate(Walls(frame=empty), GUIDED)


def test_a_result_has_its_pictures_on_one_sheet():
    sample = Walls().sample(0)
    result = FusionPipeline().process(sample.frame)
    parts = pictures(result, OutputConfig(), sample.depth_gt_m)
    assert list(parts) == ['overlay', 'depth', 'sigma', 'error', 'cloud']
    assert 'error' not in pictures(result, OutputConfig())
    whole = sheet(result, parts)
    assert whole.shape[1] > 2 * INTRINSICS.width
    assert whole.dtype == np.uint8


def test_without_a_lidar_points_of_the_truth_are_named_as_the_way_out():
    frame = replace(Walls().sample(0).frame, sparse_m=None)
    with pytest.raises(EvaluationError) as caught:
        evaluate(Walls(1, frame=frame), GUIDED)
    assert 'There is no LiDAR for guided to complete; with --points N it takes' in str(
        caught.value
    )
    with pytest.raises(EvaluationError) as caught:
        evaluate(Walls(1, frame=frame), GUIDED, thinning=Thinning(lines=16))
    assert 'no LiDAR whose lines could be thinned; --points N' in str(caught.value)
    points = evaluate(Walls(1, frame=frame), GUIDED, thinning=Thinning(points=400))
    assert points.scores.mae_mm < 5


def test_points_that_were_not_drawn_judge_where_there_is_no_truth():
    evaluation = evaluate(Walls(1, depth_gt_m=None), GUIDED, thinning=Thinning(points=200))
    assert evaluation.truth == REMOVED_LIDAR
    assert evaluation.scores.mae_filled_mm < 5
    everything = Thinning(points=10**6)
    with pytest.raises(EvaluationError, match='No return that was taken away is left'):
        evaluate(Walls(1, depth_gt_m=None), GUIDED, thinning=everything)


def test_too_few_returns_to_hold_any_out_are_said_so():
    sparse_m = np.zeros((96, 192), np.float32)
    sparse_m[10:90:20, 10:150:35] = 5.0
    frame = replace(Walls().sample(0).frame, sparse_m=sparse_m)
    with pytest.raises(EvaluationError, match='16 returns in the image are too few to hold any'):
        evaluate(Walls(1, frame=frame, depth_gt_m=None), GUIDED, held_out_share=0.5)
