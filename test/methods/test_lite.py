"""`lite` as a depth method: what goes in and out of the network, and what it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines.base import NetworkRequest
from depth_ros.errors import EngineError, MethodError, ModelError
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.slope import slope_map
from depth_ros.methods import lite as method_module
from depth_ros.methods import network_slot
from depth_ros.methods.base import Preparable
from depth_ros.methods.guided import SIGMA_SCALE, Guided
from depth_ros.methods.lite import Lite
from depth_ros.models import lite

CAMERA = Intrinsics(70, 50, 60.0, 61.0, 34.2, 25.1)


class Recorder:
    """An engine that keeps what it is given and answers with the prior and a sigma of a tenth."""

    backend, device, precision = 'recorder', 'cpu', 'fp32'

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.inputs = dict(inputs)
        depth = inputs['prior'].copy()
        log_variance = np.full(depth.shape, 2 * np.log(0.1), np.float32)
        if depth.shape[-1] < 1000:
            depth[..., 49, :3] = -1.0, np.inf, np.nan
            log_variance[..., 49, 3] = np.inf
        return {'depth': depth, 'log_variance': log_variance}

    def close(self) -> None:
        pass


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NetworkRequest, Recorder]]:
    """What the method opens, in order."""
    opened: list[tuple[NetworkRequest, Recorder]] = []

    def open_engine(request: NetworkRequest, *args: Any, **options: Any) -> Recorder:
        opened.append((request, Recorder()))
        return opened[-1][1]

    monkeypatch.setattr(network_slot, 'open_engine', open_engine)
    return opened


@pytest.fixture
def view() -> CameraView:
    """A slope with returns in the lower half."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    depth_m = np.broadcast_to(np.linspace(30, 5, 50, dtype=np.float32)[:, None], (50, 70))
    sparse_m = np.where(rng.random((50, 70)) < 0.2, depth_m, np.float32(0))
    sparse_m[:25] = 0
    return CameraView(image, sparse_m, CAMERA)


def test_the_network_sees_the_view_and_what_guided_makes_of_it(
    engines: list[Any], view: CameraView
) -> None:
    estimate = Lite(precision='fp32').estimate(view)
    ((request, engine),) = engines
    assert (request.family, request.weights) == ('lite', lite.WEIGHTS)
    assert (request.height, request.width) == (480, 640)
    given, guided = engine.inputs, Guided().estimate(view)
    np.testing.assert_array_equal(given['image'][0, :50, :70], view.image)
    np.testing.assert_array_equal(given['sparse'][0, 0, :50, :70], view.sparse_m)
    bound_m = guided.sigma_m / SIGMA_SCALE
    for name, values in (('prior', guided.depth_m), ('prior_sigma', bound_m)):
        shown = given[name][0, 0, :50, :70]
        np.testing.assert_allclose(shown[guided.valid], values[guided.valid], rtol=1e-5)
        assert np.isfinite(given[name]).all()  # above the LiDAR, too
    assert estimate.depth_m.shape == (50, 70)
    known = estimate.valid.copy()
    # 0.61 of the engine's tenth to the power of 0.9, and half a pixel of the slope.
    slope_m = slope_map(given['prior'][0, 0, :50, :70])
    wanted_m = np.hypot(0.07679 * estimate.depth_m, 0.5 * slope_m)
    known[48:] = False  # beside what the engine says of row 49
    np.testing.assert_allclose(estimate.sigma_m[known], wanted_m[known], rtol=1e-4)


def test_steps_to_what_is_farther_count_as_far_as_they_are_sure() -> None:
    """From 10 to 20 m with a sigma of a quarter: 0.5^2 / (0.5^2 + 0.375^2) = 0.64 of 9 m."""
    prior_m = np.full((1, 6), 10.0, np.float32)
    depth_m = np.array([[20.0, 20.0, 11.0, 4.0, np.inf, np.nan]], np.float32)
    sigma = np.array([[0.25, 1e-4, 0.25, 0.25, 0.25, 0.25]], np.float32)
    got = method_module.restrained(depth_m, prior_m, 2 * np.log(sigma))
    np.testing.assert_allclose(got[0, :4], [11 + 0.64 * 9, 20.0, 11.0, 4.0], rtol=1e-6)
    assert not np.isfinite(got[0, 4:]).any()
    unsure = method_module.restrained(depth_m, prior_m, np.full_like(depth_m, np.inf))
    np.testing.assert_allclose(unsure[0, :4], [11.0, 11.0, 11.0, 4.0])


def test_nothing_is_known_above_the_lidar_unless_that_is_asked_for(
    engines: list[Any], view: CameraView
) -> None:
    below = Lite(precision='fp32').estimate(view)
    np.testing.assert_array_equal(
        np.isnan(below.depth_m)[:49], np.isnan(Guided().estimate(view).depth_m)[:49]
    )
    assert np.isnan(below.depth_m[:15]).all()
    everywhere = Lite(precision='fp32', extrapolate=True).estimate(view)
    assert np.isfinite(everywhere.depth_m[:49]).all()


def test_what_no_depth_can_be_is_unknown(engines: list[Any], view: CameraView) -> None:
    estimate = Lite(precision='fp32').estimate(view)
    assert np.isnan(estimate.depth_m[49, :4]).all()
    assert np.isnan(estimate.sigma_m[49, :4]).all()
    assert estimate.valid[49, 4:].all()


def test_the_network_sees_no_rows_above_the_lidar_if_a_lower_size_ships(
    engines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """KITTI's width; returns reach up to row 150, or to row 20 in one frame."""
    rng = np.random.default_rng(0)
    camera = Intrinsics(1242, 375, 720.0, 720.0, 610.0, 173.0)
    image = rng.integers(0, 256, (375, 1242, 3), dtype=np.uint8)
    sparse_m = np.where(rng.random((375, 1242)) < 0.05, np.float32(9), np.float32(0))
    low, high = sparse_m.copy(), sparse_m.copy()
    low[:150], high[:20] = 0, 0
    method = Lite(precision='fp32')
    estimates = {}
    for name, returns in (('low', low), ('high', high)):
        estimates[name] = method.estimate(CameraView(image, returns, camera))
        assert estimates[name].depth_m.shape == (375, 1242)
    (whole, first), (lower, second) = engines
    assert ((whole.height, lower.height), whole.width) == ((384, 272), lower.width)
    np.testing.assert_array_equal(second.inputs['image'][0, :, :1242], image[103:])
    np.testing.assert_array_equal(second.inputs['sparse'][0, 0, :, :1242], low[103:])
    np.testing.assert_array_equal(first.inputs['sparse'][0, 0, :375, :1242], high)
    known = estimates['low'].valid
    assert not known[:140].any()
    assert known[160:300].all()
    np.testing.assert_allclose(estimates['low'].depth_m[known], 9, rtol=0.02)
    assert estimates['high'].valid[30:300].all()


@pytest.mark.parametrize(('may_export', 'size'), [(True, (512, 704)), (False, (720, 1280))])
def test_a_size_that_does_not_ship_is_exported_if_that_is_possible(
    engines: list[Any], may_export: bool, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_module, 'can_export', lambda: may_export)
    method = Lite(precision='fp32')
    assert isinstance(method, Preparable)
    method.prepare(500, 700)
    assert [(request.height, request.width) for request, _ in engines] == [size]
    assert method.fits(500, 700)
    assert method.fits(499, 699)
    assert not method.fits(480, 640)


LARGE = {  # (height, width) of images: at which the network sees them, and runs
    (480, 640): ((480, 640), (480, 640)),
    (1208, 1920): ((720, 1144), (720, 1280)),
    (1536, 2048): ((720, 960), (720, 1280)),
    (2056, 2464): ((720, 863), (720, 1280)),
    (2160, 3840): ((720, 1280), (720, 1280)),
    (8, 8): ((8, 8), (480, 640)),
    (40, 5000): ((15, 1920), (1200, 1920)),
    (5000, 40): ((1200, 10), (1200, 1920)),
}


def plane(height: int, width: int) -> CameraView:
    """A road up to a quarter of the image, returns on every 9th pixel, or on all of a few."""
    camera = Intrinsics(width, height, width, width, (width - 1) / 2, (height - 1) / 2)
    rows = np.arange(height, dtype=np.float32)[:, None]
    depth_m = np.broadcast_to(np.float32(5) * height / (rows + height / 8), (height, width))
    sparse_m = np.zeros((height, width), np.float32)
    spacing = 9 if min(height, width) > 40 else 1
    first = height // 4
    sparse_m[first::spacing, ::spacing] = depth_m[first::spacing, ::spacing]
    return CameraView(np.full((height, width, 3), 99, np.uint8), sparse_m, camera)


@pytest.mark.parametrize('size', LARGE, ids=str)
def test_images_of_every_size_are_completed_without_an_export(
    size: tuple[int, int], engines: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a default install, which has ONNX Runtime and the shipped files alone."""
    monkeypatch.setattr(method_module, 'can_export', lambda: False)
    method, view = Lite(precision='fp32'), plane(*size)
    seen, network = LARGE[size]
    estimate = method.estimate(view)
    ((request, engine),) = engines
    assert (request.height, request.width) == network
    height, width = seen
    assert engine.inputs['sparse'][0, 0, :height, :width].any()
    assert not engine.inputs['sparse'][0, 0, height:].any()
    assert estimate.depth_m.shape == size
    known = estimate.valid & (view.sparse_m > 0)
    assert known.sum() > 0.9 * (view.sparse_m > 0).sum() - 9
    if min(seen) > 15:
        errors = estimate.depth_m[known] / view.sparse_m[known] - 1
        assert np.median(np.abs(errors)) < 0.02
    said = f'recorder fp32 on cpu at {network[0]}x{network[1]}'
    if seen != size:
        said += f', images of {size[0]}x{size[1]} reduced to {height}x{width}'
    assert method.describe() == said
    assert method.fits(*size)


def test_where_an_export_fails_a_shipped_size_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def open_engine(request: NetworkRequest, *args: Any, **options: Any) -> Recorder:
        asked.append((request.height, request.width))
        if asked[-1] not in lite.SIZES:
            raise EngineError('The exporter has no memory left.')
        return Recorder()

    monkeypatch.setattr(network_slot, 'open_engine', open_engine)
    monkeypatch.setattr(method_module, 'can_export', lambda: True)
    method = Lite(precision='fp32')
    method.prepare(500, 700)
    assert asked == [(512, 704), (720, 1280)]
    assert method.fits(500, 700)
    assert method.describe() == 'recorder fp32 on cpu at 720x1280'


def test_too_few_returns_are_refused(engines: list[Any], view: CameraView) -> None:
    few = np.zeros_like(view.sparse_m)
    few[40, :5] = 9.0
    with pytest.raises(MethodError, match='16 LiDAR returns in the image, got 5'):
        Lite(precision='fp32').estimate(CameraView(view.image, few, CAMERA))
    assert not engines


def test_weights_of_ones_own_must_be_there(view: CameraView, tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    method = Lite(tmp_path / 'mine.safetensors', backend='onnxruntime', precision='fp32')
    with pytest.raises(ModelError, match=r'mine\.safetensors'):
        method.estimate(view)
