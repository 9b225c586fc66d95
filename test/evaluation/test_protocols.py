"""The benchmarks' rules against numbers worked out by hand, and against Pillow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.datasets.folder import open_folder
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.evaluate import evaluate
from depth_ros.evaluation.protocols import PROTOCOLS, crop, kitti_judged, kitti_view, nyu_view
from depth_ros.evaluation.thinning import Thinning
from depth_ros.frame import DepthEstimate, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline

GUIDED = PipelineConfig(method='guided')
NAN = np.nan
NYU = Intrinsics(640, 480, 518.9, 519.5, 325.6, 253.7)


def sample(width, height, sparse_m=None, truth_m=None, image=None, camera=None):
    image = np.zeros((height, width, 3), np.uint8) if image is None else image
    camera = camera or Camera(Intrinsics(width, height, 700.0, 700.0, width / 2, height / 2))
    return Sample('cam_0', 'cam', Frame(image, camera, 0, sparse_m=sparse_m), truth_m)


def numbered(height, width):
    return np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)


def test_kitti_judges_the_bottom_centre():
    image = np.zeros((375, 1242, 3), np.uint8)
    image[23, 13] = 9  # 375 - 352 rows and (1242 - 1216) / 2 columns are lost
    whole = sample(1242, 375, numbered(375, 1242), 2 * numbered(375, 1242), image)
    part = kitti_view(whole)
    intrinsics = part.frame.camera.rectified
    assert (intrinsics.width, intrinsics.height) == (1216, 352)
    assert (intrinsics.cx, intrinsics.cy) == (621 - 13, 187.5 - 23)
    assert (part.frame.image[0, 0] == 9).all()
    assert part.frame.sparse_m[0, 0] == 23 * 1242 + 13 + 1
    assert part.depth_gt_m[-1, -1] == 2 * (374 * 1242 + 1228 + 1)


def test_what_kitti_has_cropped_stays_as_it_is():
    whole = sample(1216, 352, numbered(352, 1216), numbered(352, 1216))
    part = kitti_view(whole)
    assert part.frame.camera == whole.frame.camera
    np.testing.assert_array_equal(part.frame.sparse_m, whole.frame.sparse_m)
    np.testing.assert_array_equal(part.depth_gt_m, whole.depth_gt_m)


def test_images_that_a_protocol_cannot_judge_are_refused():
    with pytest.raises(EvaluationError, match='640x480 pixels has no window of 1216x352'):
        kitti_view(sample(640, 480))
    with pytest.raises(EvaluationError, match='640x480 pixels, got 1242x375'):
        nyu_view(sample(1242, 375))
    lens = Camera(Intrinsics(1242, 375, 700, 700, 600, 180), 'plumb_bob', (0.1, 0, 0, 0))
    with pytest.raises(EvaluationError, match='not rectified'):
        crop(sample(1242, 375, camera=lens), 0, 0, 8, 8)


def test_kitti_reads_256ths_of_a_metre_and_no_gaps():
    estimate_m = np.array([[10.001, NAN, 20.0, 300.0]], np.float32)
    judged_m = kitti_judged(estimate_m)
    # 10.001 * 256 = 2560.3; the gap takes a neighbour; 65535 / 256 is the farthest.
    assert judged_m[0, 0] == 10.0
    assert judged_m[0, 1] in (10.0, 20.0)
    assert judged_m[0, 2:].tolist() == [20.0, 65535 / 256]


class Scene:
    """One frame of 1216x352 pixels whose returns are 10 m away, and truth in three pixels."""

    name = 'scene'
    camera_names = ('cam',)
    points = np.array([[100, 100], [200, 600], [300, 900]])

    def __init__(self, truth=True):
        self.truth = truth

    def __len__(self):
        return 1

    def sample(self, index):
        sparse_m = np.zeros((352, 1216), np.float32)
        sparse_m[::3, ::3] = 10.0
        truth_m = np.zeros_like(sparse_m)
        truth_m[tuple(self.points.T)] = 8.0, 10.0, 10.5
        return sample(1216, 352, sparse_m, truth_m if self.truth else None)


class Says10(IpBasic):
    """10 m everywhere but at the first pixel with truth, which it does not know; sigma 1 m."""

    def estimate(self, view):
        depth_m = np.full(view.sparse_m.shape, 10.0, np.float32)
        depth_m[100, 100] = NAN
        return DepthEstimate(depth_m, np.where(np.isnan(depth_m), NAN, np.float32(1.0)))


def test_kitti_scores_by_hand(monkeypatch):
    """Every pixel with truth counts, also the one that the method left out."""
    monkeypatch.setitem(METHODS, 'ip_basic', Says10)
    config = PipelineConfig(method='ip_basic')
    scores = evaluate(Scene(), config, protocol=PROTOCOLS['kitti-dc']).scores
    assert scores.rmse_mm == pytest.approx(1000 * math.sqrt((4 + 0 + 0.25) / 3))
    assert scores.mae_mm == pytest.approx(1000 * 2.5 / 3)
    inverse = 1000 * (1 / 8 - 1 / 10), 1000 * (1 / 10 - 1 / 10.5)  # 1/km
    assert scores.imae_1_km == pytest.approx(sum(inverse) / 3)
    assert scores.irmse_1_km == pytest.approx(math.hypot(*inverse) / math.sqrt(3))
    assert (scores.rmse_filled_mm, scores.mae_filled_mm) == (scores.rmse_mm, scores.mae_mm)
    # What it says of itself is judged where it says something.
    assert scores.density == pytest.approx(2 / 3)
    assert (scores.coverage_1sigma, scores.coverage_2sigma) == (1.0, 1.0)


def test_under_a_protocol_a_method_sees_every_return_and_sigma_is_raw(monkeypatch):
    seen = []

    class Sees(Says10):
        def estimate(self, view):
            seen.append(np.count_nonzero(view.sparse_m))
            return super().estimate(view)

    monkeypatch.setitem(METHODS, 'ip_basic', Sees)
    config = PipelineConfig(method='ip_basic')
    returns = np.count_nonzero(Scene().sample(0).frame.sparse_m)
    evaluate(Scene(), config)
    evaluate(Scene(), config, protocol=PROTOCOLS['kitti-dc'])
    evaluate(Scene(), config, protocol=PROTOCOLS['kitti-dc'], thinning=Thinning(points=70))
    assert seen[0] < returns
    assert seen[1:] == [returns, 70]


def test_a_benchmark_does_not_judge_without_truth():
    with pytest.raises(EvaluationError, match='scene, cam_0: There is no ground truth'):
        evaluate(Scene(truth=False), GUIDED, protocol=PROTOCOLS['kitti-dc'])


def test_nyu_judges_the_middle_of_half_the_size():
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    truth_m = (2 + u / 640 + v / 480).astype(np.float32)  # a plane stays one
    part = nyu_view(sample(640, 480, truth_m=truth_m, camera=Camera(NYU)))
    intrinsics = part.frame.camera.rectified
    assert (intrinsics.width, intrinsics.height) == (304, 228)
    # The first pixel left is 8 and 6 of the half size; its centre lies between 16, 17 and 12, 13.
    assert part.depth_gt_m[0, 0] == pytest.approx(2 + 16.5 / 640 + 12.5 / 480, abs=1e-6)
    assert part.depth_gt_m[-1, -1] == pytest.approx(2 + 622.5 / 640 + 466.5 / 480, abs=1e-6)
    # A ray keeps its direction: what was at 16.5, 12.5 is now at 0, 0.
    assert -intrinsics.cx / intrinsics.fx == pytest.approx((16.5 - NYU.cx) / NYU.fx)
    assert -intrinsics.cy / intrinsics.fy == pytest.approx((12.5 - NYU.cy) / NYU.fy)


def test_unknown_truth_is_not_mixed_into_known():
    truth_m = np.full((480, 640), 3.0, np.float32)
    truth_m[100, 100] = 0.0
    part = nyu_view(sample(640, 480, truth_m=truth_m, camera=Camera(NYU)))
    rows, columns = np.nonzero(part.depth_gt_m == 0)
    # Pixel i of the half size has a share of 2 i - 1 to 2 i + 2: those of 100 are 49 and 50.
    assert sorted(zip(rows + 6, columns + 8, strict=True)) == [
        (i, j) for i in (49, 50) for j in (49, 50)
    ]
    assert np.unique(part.depth_gt_m).tolist() == [0.0, 3.0]


def test_nyu_images_and_depth_are_those_of_the_loaders_of_the_field():
    """They resize by Pillow's bilinear filter and cut 8 columns and 6 rows off each side."""
    pil = pytest.importorskip('PIL.Image')
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    truth_m = rng.uniform(0.7, 10, (480, 640)).astype(np.float32)
    part = nyu_view(sample(640, 480, truth_m=truth_m, image=image, camera=Camera(NYU)))
    window = np.s_[6:-6, 8:-8]
    halves = [
        np.asarray(pil.fromarray(whole).resize((320, 240), pil.Resampling.BILINEAR))[window]
        for whole in (image, truth_m)
    ]
    np.testing.assert_array_equal(part.frame.image, halves[0])
    np.testing.assert_allclose(part.depth_gt_m, halves[1], rtol=0, atol=1e-5)


def test_nyu_gives_500_points_of_the_truth(monkeypatch):
    seen = []
    observe = FusionPipeline.observe

    def note(pipeline, frame, watch=None):
        seen.append(frame.sparse_m)
        return observe(pipeline, frame, watch)

    class Room(Scene):
        def sample(self, index):
            truth_m = np.full((480, 640), 3.0, np.float32)
            return sample(640, 480, truth_m=truth_m, camera=Camera(NYU))

    monkeypatch.setattr(FusionPipeline, 'observe', note)
    evaluation = evaluate(Room(), GUIDED, protocol=PROTOCOLS['nyu'])
    assert seen[0].shape == (228, 304)
    assert np.count_nonzero(seen[0]) == 500
    assert evaluation.scores.rmse_mm < 1
    assert evaluation.scores.delta1 == 1.0


def test_the_published_baseline_reaches_its_reference_on_real_images(data_dir):
    """IP-Basic as published: 1048 mm, 267 mm, 1.6 and 0.9 1/km on these 24 images."""
    dataset = open_folder(data_dir / 'kitti_dc_drive0001')
    config = PipelineConfig(method='ip_basic')
    scores = evaluate(dataset, config, protocol=PROTOCOLS['kitti-dc']).scores
    assert scores.rmse_mm == pytest.approx(1048, abs=3)
    assert scores.mae_mm == pytest.approx(267, abs=1)
    assert scores.irmse_1_km == pytest.approx(1.6, abs=0.05)
    assert scores.imae_1_km == pytest.approx(0.9, abs=0.05)
