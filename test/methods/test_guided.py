"""Guided completion on made scenes whose depth is known, and on real ones with truth."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import MethodError
from depth_ros.evaluation.metrics import mae_mm, mean_scores, rmse_mm, score_image
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods import ip_basic
from depth_ros.methods.guided import MIN_RETURNS, Guided
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline

GUIDED = PipelineConfig(method='guided')
HEIGHT, WIDTH = 120, 200
V, U = np.mgrid[:HEIGHT, :WIDTH]
GREY = np.full((HEIGHT, WIDTH), 128, np.uint8)


def scan(depth_m, step_v=6, step_u=4, first_row=0):
    """Scan lines of a dense depth map."""
    sparse_m = np.zeros(depth_m.shape, np.float32)
    rows = np.s_[first_row::step_v, ::step_u]
    sparse_m[rows] = depth_m[rows]
    return sparse_m


def complete(sparse_m, grey=GREY, extrapolate=True):
    height, width = sparse_m.shape
    pinhole = Intrinsics(width, height, fx=150.0, fy=150.0, cx=width / 2, cy=height / 2)
    image = np.repeat(grey[:height, :width, None], 3, axis=2)
    return Guided(extrapolate).estimate(CameraView(image, sparse_m, pinhole))


def slanted_plane():
    """A plane in space: inverse depth is affine in the pixel. 3.6 to 20 m."""
    return (1 / (0.05 + 0.0006 * U + 0.0009 * V)).astype(np.float32)


def two_walls(edge=97):
    """A wall at 5 m to the left of a column, one at 15 m to the right of it, and its picture."""
    depth_m = np.where(edge > U, 5.0, 15.0).astype(np.float32)
    return depth_m, np.where(edge > U, 60, 190).astype(np.uint8)


@pytest.mark.parametrize(('step_v', 'step_u', 'tolerance'), [(3, 3, 1e-3), (6, 4, 1e-2)])
@pytest.mark.parametrize('textured', [False, True])
def test_plane_in_space_stays_one_whatever_the_image_shows(step_v, step_u, tolerance, textured):
    depth_m = slanted_plane()
    texture = np.random.default_rng(0).integers(0, 256, GREY.shape, np.uint8)
    estimate = complete(scan(depth_m, step_v, step_u), texture if textured else GREY)
    error = np.abs(estimate.depth_m / depth_m - 1)
    assert error[20:-20, 20:-20].max() < tolerance
    assert error.max() < 0.03  # at borders there is support on one side only


@pytest.mark.parametrize(('wall_m', 'sigma_m'), [(1.0, 0.0053), (10.0, 0.035), (40.0, 0.485)])
def test_sigma_of_a_flat_wall_is_its_floor(wall_m, sigma_m):
    """0.45 of 5 mm, and 3e-4 1/m of inverse depth: times 10 m squared that is 3 cm."""
    estimate = complete(scan(np.full((HEIGHT, WIDTH), wall_m, np.float32)))
    assert estimate.sigma_m.min() == pytest.approx(0.45 * sigma_m, rel=0.01)


def test_between_returns_sigma_grows_at_an_edge_of_the_image():
    """The wall is flat, but where the picture changes something else may stand."""
    sparse_m = scan(np.full((HEIGHT, WIDTH), 10.0, np.float32), step_v=24, step_u=24)
    _, grey = two_walls(edge=108)  # in the middle between two columns of returns
    ratio = complete(sparse_m, grey).sigma_m / complete(sparse_m).sigma_m
    assert ratio[12::24, 108].min() > 1.05
    np.testing.assert_allclose(ratio[:, :100], 1.0, rtol=1e-3)
    np.testing.assert_allclose(ratio[:, 116:], 1.0, rtol=1e-3)


def test_step_between_two_walls_is_sharp_and_in_place():
    depth_m, grey = two_walls()
    estimate = complete(scan(depth_m), grey).depth_m
    wrong = np.abs(estimate / depth_m - 1) > 0.05
    assert not wrong[:, :90].any()
    assert not wrong[:, 105:].any()
    # Between the last returns on either wall, 4 columns apart, nobody knows; beyond, little.
    crossing = np.argmax(estimate > np.sqrt(5 * 15), axis=1)
    assert np.abs(crossing - 97).max() <= 4


def test_image_edges_steer_where_returns_are_sparse():
    """Returns every 32 pixels: only the image can say where between them the step is."""
    blind, seeing = [], []
    for edge in range(70, 134, 4):
        depth_m, grey = two_walls(edge)
        sparse_m = scan(depth_m, step_v=32, step_u=32)
        blind.append(np.abs(complete(sparse_m).depth_m - depth_m).mean())
        seeing.append(np.abs(complete(sparse_m, grey).depth_m - depth_m).mean())
    assert np.mean(seeing) < 0.97 * np.mean(blind)


def test_twice_the_world_is_twice_the_depth():
    depth_m, grey = two_walls()
    once, twice = complete(scan(depth_m), grey), complete(scan(2 * depth_m), grey)
    assert np.allclose(twice.depth_m, 2 * once.depth_m, rtol=1e-4)


@pytest.mark.parametrize('axis', [0, 1])
def test_mirrored_world_is_mirrored_depth(axis):
    """No direction is preferred, in a size that can be halved evenly."""
    rng = np.random.default_rng(4)
    sparse_m = np.zeros((96, 192), np.float32)
    sparse_m.flat[rng.choice(sparse_m.size, 400, replace=False)] = rng.uniform(3, 40, 400)
    grey = rng.integers(0, 256, sparse_m.shape, np.uint8)
    there = complete(sparse_m, grey)
    mirrored = complete(np.flip(sparse_m, axis).copy(), np.flip(grey, axis).copy())
    assert np.allclose(np.flip(mirrored.depth_m, axis), there.depth_m, rtol=1e-3)
    assert np.allclose(np.flip(mirrored.sigma_m, axis), there.sigma_m, rtol=1e-2)


def test_nothing_is_said_above_the_view_of_the_lidar():
    depth_m = slanted_plane()
    sparse_m = scan(depth_m, first_row=40)
    estimate = complete(sparse_m, extrapolate=False)
    spacing = 5  # sqrt(6 * 4), rounded up
    assert np.isnan(estimate.depth_m[: 40 - 2 * spacing]).all()
    assert estimate.valid[40:].all()
    filled = complete(sparse_m, extrapolate=True)
    assert filled.valid.all()
    assert np.allclose(filled.depth_m[40:], estimate.depth_m[40:], rtol=1e-2)


def test_top_of_the_lidar_follows_the_columns():
    """A tree to the right reaches higher than the scan to the left."""
    sparse_m = scan(slanted_plane(), first_row=60)
    sparse_m[12:60:6, 150::4] = 10.0
    valid = complete(sparse_m, extrapolate=False).valid
    assert not valid[:50, :130].any()
    assert valid[12:, 150:].all()


@pytest.mark.parametrize('extrapolate', [False, True])
def test_sigma_is_known_and_positive_exactly_where_depth_is(extrapolate):
    sparse_m = scan(slanted_plane(), first_row=40)
    estimate = complete(sparse_m, extrapolate=extrapolate)
    assert np.array_equal(np.isnan(estimate.sigma_m), np.isnan(estimate.depth_m))
    assert (estimate.sigma_m[estimate.valid] > 0).all()


def test_sigma_grows_with_the_distance_to_support():
    sparse_m = scan(slanted_plane())
    whole = complete(sparse_m).sigma_m
    sparse_m[40:80, 60:120] = 0
    sigma_m = complete(sparse_m).sigma_m
    assert sigma_m[60, 90] > 3 * whole[60, 90]
    assert sigma_m[60, 90] > 1.5 * sigma_m[44, 66]
    assert np.allclose(sigma_m[100:, 150:], whole[100:, 150:], rtol=0.05)


def test_sigma_is_larger_at_a_step():
    depth_m, grey = two_walls()
    relative = complete(scan(depth_m), grey).sigma_m / depth_m
    step, walls = relative[20:100, 94:100], relative[20:100, 30:70]
    assert np.median(step) > 5 * np.median(walls)


def test_sigma_grows_with_the_noise_of_the_returns():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    noise = np.random.default_rng(2).standard_normal(depth_m.shape).astype(np.float32)
    calm, rough = (complete(scan(depth_m + s * noise)).sigma_m for s in (0.05, 0.5))
    assert np.median(rough) > 4 * np.median(calm)


def test_depth_stays_within_what_was_measured():
    rng = np.random.default_rng(1)
    sparse_m = np.zeros((HEIGHT, WIDTH), np.float32)
    sparse_m.flat[rng.choice(sparse_m.size, 60, replace=False)] = rng.uniform(3, 60, 60)
    estimate = complete(sparse_m).depth_m
    measured = sparse_m[sparse_m > 0]
    assert estimate.min() >= measured.min() / 1.1 - 1e-4
    assert estimate.max() <= measured.max() / 0.9 + 1e-4


def test_too_few_returns_are_refused():
    sparse_m = np.zeros((HEIGHT, WIDTH), np.float32)
    sparse_m[60, : MIN_RETURNS - 1] = 5.0
    with pytest.raises(
        MethodError, match=rf'at least {MIN_RETURNS} .*got 15; check the extrinsic'
    ):
        complete(sparse_m)
    sparse_m[60, MIN_RETURNS - 1] = 5.0
    assert np.allclose(complete(sparse_m).depth_m, 5.0)


@pytest.mark.parametrize(('height', 'width'), [(9, 9), (17, 40), (33, 31), (8, 100)])
def test_small_and_odd_images_work(height, width):
    sparse_m = np.zeros((height, width), np.float32)
    sparse_m[1::2, ::2] = 4.0
    pinhole = Intrinsics(width, height, fx=20.0, fy=20.0, cx=width / 2, cy=height / 2)
    image = np.zeros((height, width, 3), np.uint8)
    estimate = Guided(extrapolate=True).estimate(CameraView(image, sparse_m, pinhole))
    assert np.allclose(estimate.depth_m, 4.0, rtol=1e-4)


@pytest.fixture(scope='module')
def kitti_scores(data_dir):
    """Scores of 24 real images: (ours, [(RMSE, MAE) of IP-Basic])."""
    dataset = open_folder(data_dir / 'kitti_dc_drive0001')
    pipelines = {name: FusionPipeline(GUIDED) for name in dataset.camera_names}
    ours, ip_basics = [], []
    for index in range(len(dataset)):
        sample = dataset.sample(index)
        estimate = pipelines[sample.camera_name].process(sample.frame).estimate
        ours.append(score_image(estimate.depth_m, estimate.sigma_m, sample.depth_gt_m))
        filled_m = ip_basic.fill(sample.frame.sparse_m)
        truth_m = sample.depth_gt_m
        ip_basics.append((rmse_mm(filled_m, truth_m), mae_mm(filled_m, truth_m)))
    return mean_scores(ours), np.mean(ip_basics, axis=0)


def test_real_depth_beats_the_published_baseline(kitti_scores):
    ours, (baseline_rmse_mm, baseline_mae_mm) = kitti_scores
    assert ours.rmse_filled_mm < 0.95 * baseline_rmse_mm
    assert ours.mae_filled_mm < 0.92 * baseline_mae_mm


def test_real_sigma_keeps_its_promise(kitti_scores):
    ours, _ = kitti_scores
    assert 0.60 < ours.coverage_1sigma < 0.76
    assert 0.92 < ours.coverage_2sigma < 0.98
