"""BP-Net as a depth method, with meaningless weights: what goes in and out of the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.open import Candidate
from depth_ros.errors import MethodError, ModelError
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.device import DeviceView
from depth_ros.methods import bpnet as method_module
from depth_ros.methods import network_slot
from depth_ros.methods.base import DeviceMethod, Preparable
from depth_ros.methods.bpnet import BPNet
from depth_ros.models import bpnet
from depth_ros.models.base import IMAGENET, KITTI
from depth_ros.weights import registry

CAMERA = Intrinsics(70, 50, 60.0, 61.0, 34.2, 25.1)


class Recorder:
    """An engine that keeps what it is given and answers with the depth it is told."""

    backend, device, precision = 'recorder', 'cpu', 'fp32'

    def __init__(self, answer_m: float = 12.0) -> None:
        self.inputs: dict[str, Any] = {}
        self.answer_m = answer_m
        self.closed = False

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        self.inputs = dict(inputs)
        shape = inputs['sparse'].shape
        depth = np.full(shape, self.answer_m, np.float32)
        depth[..., 0, :3] = -1.0, np.inf, np.nan
        sigma = np.full(shape, 0.5, np.float32)
        sigma[..., 0, 3] = np.inf
        if not isinstance(inputs['sparse'], np.ndarray):
            import torch

            return {'depth': torch.from_numpy(depth), 'sigma': torch.from_numpy(sigma)}
        return {'depth': depth, 'sigma': sigma}

    def close(self) -> None:
        self.closed = True


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
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    returns = np.where(rng.random((50, 70)) < 0.05, 5 + 40 * rng.random((50, 70)), 0)
    return CameraView(image, returns.astype(np.float32), CAMERA)


def test_network_sees_the_view_padded_to_a_multiple_of_32(
    engines: list[Any], view: CameraView, tmp_path: Path
) -> None:
    estimate = BPNet(tmp_path / 'own.pth', precision='fp32').estimate(view)
    ((request, engine),) = engines
    assert (request.height, request.width) == (64, 96)
    assert estimate.depth_m.shape == (50, 70)
    given = engine.inputs
    np.testing.assert_array_equal(given['image'][0, :50, :70], view.image)
    np.testing.assert_array_equal(given['image'][0, 63], given['image'][0, 49])
    np.testing.assert_array_equal(given['sparse'][0, 0, :50, :70], view.sparse_m)
    assert given['sparse'].sum() == pytest.approx(view.sparse_m.sum())
    np.testing.assert_array_equal(given['K'][0], CAMERA.matrix.astype(np.float32))
    np.testing.assert_allclose(given['normalisation'], KITTI, rtol=1e-6)


def test_what_no_depth_can_be_is_unknown(
    engines: list[Any], view: CameraView, tmp_path: Path
) -> None:
    estimate = BPNet(tmp_path / 'own.pth', precision='fp32').estimate(view)
    assert np.isnan(estimate.depth_m[0, :4]).all()
    assert np.isnan(estimate.sigma_m[0, :4]).all()
    assert estimate.valid.sum() == np.isfinite(estimate.sigma_m).sum() == 50 * 70 - 4
    assert np.nanmedian(estimate.sigma_m) == 0.5


def test_weights_of_nyu_get_and_give_tenfold_depth(
    engines: list[Any], view: CameraView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nyu = registry.MODELS['bpnet-nyu']
    monkeypatch.setattr(method_module, 'network_card', lambda path: nyu)
    estimate = BPNet(tmp_path / 'nyu.safetensors', precision='fp32').estimate(view)
    ((_, engine),) = engines
    np.testing.assert_allclose(
        engine.inputs['sparse'][0, 0, :50, :70], 10 * view.sparse_m, rtol=1e-6
    )
    np.testing.assert_allclose(engine.inputs['normalisation'], IMAGENET, rtol=1e-6)
    assert np.nanmax(estimate.depth_m) == pytest.approx(1.2)
    assert np.nanmedian(estimate.sigma_m) == pytest.approx(0.05)


def test_engine_is_opened_once_per_size(
    engines: list[Any], view: CameraView, tmp_path: Path
) -> None:
    method = BPNet(tmp_path / 'own.pth', precision='fp32')
    assert isinstance(method, Preparable)
    assert not method.fits(50, 70)
    method.prepare(50, 70)
    assert method.fits(64, 96)  # the same once padded
    assert not method.fits(65, 96)
    method.estimate(view)
    assert len(engines) == 1
    method.prepare(50, 100)
    assert [engine.closed for _, engine in engines] == [True, False]
    method.close()
    assert engines[1][1].closed


def test_what_is_built_is_what_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU `auto` opens FP32 even if FP16 was asked for."""
    path = tmp_path / 'own.pth'
    what = ['--family', 'bpnet', '--size', '64x96']
    ways = {
        'onnxruntime': ('cpu', ['export', str(path), *what, '--precision', 'fp32']),
        'torch': ('cpu', None),
        'tensorrt': (
            'cuda:0',
            ['build', '--progress-json', str(path), *what, '--precision', 'fp16'],
        ),
    }
    for backend, (device, arguments) in ways.items():
        usable = [Candidate('openvino', 'cpu', 'missing'), Candidate(backend, device, '')]
        monkeypatch.setattr(network_slot, 'candidates', lambda _, usable=usable: iter(usable))
        assert BPNet(path, precision='fp16').build_arguments(50, 70) == arguments


def test_view_without_returns_is_refused(
    engines: list[Any], view: CameraView, tmp_path: Path
) -> None:
    empty = CameraView(view.image, np.zeros_like(view.sparse_m), CAMERA)
    with pytest.raises(MethodError, match='at least one'):
        BPNet(tmp_path / 'own.pth', precision='fp32').estimate(empty)


def test_device_twin_gives_the_network_the_same(
    engines: list[Any], view: CameraView, tmp_path: Path
) -> None:
    torch = pytest.importorskip('torch')
    method = BPNet(tmp_path / 'own.pth', precision='fp32')
    assert isinstance(method, DeviceMethod)
    on_host = method.estimate(view)
    from_host = engines[0][1].inputs
    image, sparse_m = torch.from_numpy(view.image), torch.from_numpy(view.sparse_m)
    on_device = method.estimate_on(DeviceView(image, sparse_m, CAMERA))
    from_device = engines[0][1].inputs
    assert list(from_device) == list(from_host) == list(bpnet.INPUTS)
    for name, array in from_host.items():
        assert str(from_device[name].dtype) == f'torch.{array.dtype}'
        np.testing.assert_allclose(from_device[name].numpy(), array, rtol=1e-6)
    np.testing.assert_allclose(on_device.depth_m.numpy(), on_host.depth_m, rtol=1e-6)
    np.testing.assert_allclose(on_device.sigma_m.numpy(), on_host.sigma_m, rtol=1e-6)


def test_depth_equals_that_of_the_public_function(
    key_named_bpnet: Any, key_named_weights: Path, view: CameraView
) -> None:
    """Through a real engine; `complete` is what the oracle vouches for."""
    method = BPNet(key_named_weights, backend='torch')
    estimate = method.estimate(view)
    assert method.describe() == 'torch fp32 on cpu'
    assert method.device is None
    direct = bpnet.complete(key_named_bpnet, view.image, view.sparse_m, CAMERA.matrix)
    known = direct > 0
    np.testing.assert_array_equal(np.isfinite(estimate.depth_m), known)
    np.testing.assert_allclose(estimate.depth_m[known], direct[known], rtol=1e-4, atol=1e-3)


def test_file_that_is_no_checkpoint_is_refused(tmp_path: Path, view: CameraView) -> None:
    pytest.importorskip('torch')
    path = tmp_path / 'result_ema.pth'
    path.write_bytes(b'<!DOCTYPE html><html>Sign in</html>')
    with pytest.raises(ModelError, match=r'result_ema\.pth'):
        BPNet(path, backend='torch').estimate(view)
