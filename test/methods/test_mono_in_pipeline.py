"""`mono` in the pipeline: LiDAR calibrates it and is not needed, relative is never metres."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from saying_network import CAMERA, FILE, HEIGHT, WIDTH, Bench, view

from depth_ros.errors import PipelineError
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced


@pytest.fixture
def pipeline(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FusionPipeline]:
    def make(name: str = 'da2-outdoor-small', **settings: Any) -> FusionPipeline:
        bench.name = name
        monkeypatch.setattr('depth_ros.pipeline.fusion.mono_weights', lambda *args: FILE)
        changes = {key.replace('__', '.'): value for key, value in settings.items()}
        changes |= {'mono.short_side_px': 56, 'engine.precision': 'fp32'}
        return FusionPipeline(replaced(PipelineConfig(method='mono'), changes))

    return make


def frame(stamp_ns: int = 0, wall_m: float | None = None) -> Frame:
    """An image, with LiDAR returns of a wall if wanted."""
    points = None
    if wall_m is not None:
        v, u = np.mgrid[0:HEIGHT:2, 0:WIDTH:2].reshape(2, -1)
        points = CAMERA.unproject(np.stack((u, v), axis=-1), np.full(u.size, wall_m))
    image = view().image
    return Frame(image, Camera(CAMERA), stamp_ns, points, None if points is None else np.eye(4))


def test_pipeline_needs_no_lidar(pipeline: Callable[..., FusionPipeline]) -> None:
    result = pipeline().process(frame())
    assert np.unique(result.estimate.depth_m) == 4.0
    assert not result.view.sparse_m.any()
    assert result.accuracy is None
    assert np.unique(result.gated_depth_m(OutputConfig(max_relative_sigma=0.2))) == 4.0
    assert np.isnan(result.gated_depth_m(OutputConfig(max_relative_sigma=0.1))).all()


def test_lidar_calibrates_sigma_and_leaves_depth_alone(
    pipeline: Callable[..., FusionPipeline],
) -> None:
    """The network is off by 1 m of 5 everywhere, of which its sigma of 15 % of 4 m knows 0.6."""
    taught = pipeline(calibration__held_out_share=0.5, mono__relative_sigma=0.15)
    for index in range(40):
        result = taught.process(frame(index, wall_m=5.0))
    assert np.unique(result.estimate.depth_m) == 4.0
    assert np.median(result.estimate.sigma_m) == pytest.approx(1.0, rel=0.1)
    assert result.accuracy.median_error_m == pytest.approx(1.0)


def test_lidar_that_misses_the_image_is_no_fault(
    pipeline: Callable[..., FusionPipeline],
) -> None:
    behind = dataclasses.replace(frame(wall_m=5.0), T_camera_lidar=np.diag([1.0, -1, -1, 1]))
    assert pipeline().process(behind).estimate.valid.all()


def test_relative_results_have_neither_depth_nor_cloud(
    pipeline: Callable[..., FusionPipeline],
) -> None:
    result = pipeline('da2-small', mono__output='relative').process(frame(wall_m=5.0))
    assert not result.is_metric
    for metric in (
        lambda: result.gated_depth_m(OutputConfig()),
        lambda: result.fill_cloud(np.empty((HEIGHT, WIDTH, 5), np.float32)),
    ):
        with pytest.raises(PipelineError, match='disparity_affine of mono is not in metres'):
            metric()
    assert result.accuracy is None


def test_what_is_too_far_stays_so_when_gated_and_is_no_point(
    bench: Bench, pipeline: Callable[..., FusionPipeline]
) -> None:
    bench.says = lambda red: np.where(red < 30, 5.0, 80.0)
    result = pipeline(mono__relative_sigma=0.05).process(frame())
    gated_m = result.gated_depth_m(OutputConfig())
    assert np.unique(gated_m[:, :30]) == 5.0
    assert np.isposinf(gated_m[:, 30:]).all()
    cloud = np.empty((HEIGHT, WIDTH, 5), np.float32)
    result.fill_cloud(cloud)
    assert np.isnan(cloud[:, 30:, :3]).all()
    assert np.isfinite(cloud[:, :30, :3]).all()


def test_rectified_corners_outside_of_the_image_have_no_depth(
    pipeline: Callable[..., FusionPipeline],
) -> None:
    """A barrel lens, and a rectified view wider than it: black at the border."""
    wide = dataclasses.replace(CAMERA, fx=20.0, fy=20.0)
    lens = Camera(CAMERA, 'plumb_bob', (-0.3, 0.08, 0.0, 0.0), wide)
    for scale in (1.0, 0.85):
        one = pipeline(output__scale=scale)
        image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
        result = one.process(Frame(image, lens, 0))
        black = result.view.image.max(axis=2) < 200
        assert 0.1 < black.mean() < 0.9
        np.testing.assert_array_equal(np.isnan(result.estimate.depth_m), black)


def test_other_settings_of_the_method_start_calibration_anew(
    pipeline: Callable[..., FusionPipeline],
) -> None:
    taught = pipeline(calibration__held_out_share=0.5)
    for index in range(20):
        taught.process(frame(index, wall_m=5.0))
    before = taught.calibrator
    taught.reconfigure(replaced(taught.config, {'output.cloud_stride': 2}))
    assert taught.calibrator is before
    taught.reconfigure(replaced(taught.config, {'mono.relative_sigma': 0.6}))
    assert taught.calibrator is not before
