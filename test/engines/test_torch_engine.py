"""The PyTorch engine, on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines import torch_engine
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.self_check import SelfCheckError, check
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.errors import EngineError, ModelError
from depth_ros.weights.registry import family

torch = pytest.importorskip('torch')
CUDA = pytest.param(
    'cuda:0', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA GPU')
)


@pytest.fixture(params=['cpu', CUDA])
def engine(request: pytest.FixtureRequest, tiny: NetworkRequest) -> Iterator[TorchEngine]:
    opened = TorchEngine(tiny, request.param, threads=1)
    yield opened
    opened.close()


def by_hand(tiny: NetworkRequest, inputs: dict[str, Any]) -> tuple[Any, Any]:
    """The tiny network in NumPy-like steps, from the weights on disk."""
    state = torch.load(tiny.weights, weights_only=True)['net']
    filled = inputs['sparse'].ravel()[inputs['nearest'][0]].reshape(1, 1, 16, 24)
    rgb = inputs['image'].transpose(0, 3, 1, 2) / 255
    x = torch.tensor(np.concatenate((rgb, filled / 100), axis=1)).double()
    weights = [state[f'trunk.{layer}'].double() for layer in ('0.weight', '0.bias')]
    hidden = torch.nn.functional.conv2d(x, *weights, padding=1).clamp(min=0)
    out = torch.einsum('oc,bchw->bohw', state['trunk.2.weight'][..., 0, 0].double(), hidden)
    out = (out + state['trunk.2.bias'].double()[:, None, None]).numpy()
    return filled + out[:, :1], np.exp(out[:, 1:])


def test_arrays_in_arrays_out(engine: TorchEngine, tiny: NetworkRequest) -> None:
    inputs = family('tiny').golden_inputs(16, 24)
    outputs = engine.infer(inputs)
    depth, sigma = by_hand(tiny, inputs)
    assert outputs.keys() == {'depth', 'sigma'}
    assert all(type(output) is np.ndarray for output in outputs.values())
    np.testing.assert_allclose(outputs['depth'], depth, rtol=1e-5)
    np.testing.assert_allclose(outputs['sigma'], sigma, rtol=1e-5)


def test_tensors_in_tensors_out(engine: TorchEngine) -> None:
    inputs = family('tiny').golden_inputs(16, 24)
    of_arrays = engine.infer(inputs)
    tensors = {name: torch.tensor(value).to(engine.device) for name, value in inputs.items()}
    of_tensors = engine.infer(tensors)
    for name, tensor in of_tensors.items():
        assert str(tensor.device) == engine.device
        np.testing.assert_allclose(tensor.cpu().numpy(), of_arrays[name], rtol=1e-6)
        tensor += 1  # nobody is kept from going on in place


def test_every_call_sees_its_own_inputs(engine: TorchEngine) -> None:
    """A replayed CUDA graph reads from where it was captured."""
    inputs = family('tiny').golden_inputs(16, 24)
    first = engine.infer(inputs)['depth'].copy()
    farther = engine.infer({**inputs, 'sparse': inputs['sparse'] + 10})['depth']
    assert np.abs(farther - first).min() > 5
    np.testing.assert_allclose(engine.infer(inputs)['depth'], first, rtol=1e-6)


def test_what_is_replayed_is_fed_and_freed(
    tiny: NetworkRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a lane that is none, on the CPU; the real one needs a GPU."""
    for library in ('onnx', 'onnxruntime'):
        pytest.importorskip(library)
    from fake_tensorrt import HostLane

    monkeypatch.setattr(torch_engine, 'CudaLane', HostLane)
    engine = TorchEngine(tiny, threads=1)
    inputs = family('tiny').golden_inputs(16, 24)
    wanted = engine.infer(inputs)
    zeros = [torch.zeros_like(torch.tensor(inputs[name])) for name in family('tiny').INPUTS]
    with torch.no_grad():
        engine._model = torch_engine._Replayed(engine._model, zeros, 'cuda:0')
    freed = weakref.ref(zeros[0])
    del zeros
    for name, output in engine.infer(inputs).items():
        np.testing.assert_allclose(output, wanted[name], rtol=1e-6)
    assert freed() is not None  # the graph reads it
    engine.close()
    gc.collect()
    assert freed() is None


def test_read_only_and_strided_arrays_are_fine(
    engine: TorchEngine, recwarn: pytest.WarningsRecorder
) -> None:
    inputs = family('tiny').golden_inputs(16, 24)
    wanted = engine.infer(inputs)['depth'].copy()
    inputs['image'] = np.repeat(inputs['image'], 2, axis=2)[:, :, ::2]
    inputs['sparse'].flags.writeable = False
    np.testing.assert_allclose(engine.infer(inputs)['depth'], wanted, rtol=1e-6)
    assert not recwarn.list


def test_wrong_inputs_are_refused(engine: TorchEngine) -> None:
    inputs = family('tiny').golden_inputs(16, 24)
    with pytest.raises(EngineError, match="'nearest' must be int32"):
        engine.infer({**inputs, 'nearest': inputs['nearest'].astype(np.int64)})


def test_failure_inside_is_ours(engine: TorchEngine) -> None:
    if engine.device != 'cpu':
        pytest.skip('an index out of range leaves CUDA unusable for the rest of the process')
    inputs = family('tiny').golden_inputs(16, 24)
    inputs['nearest'] += 16 * 24
    with pytest.raises(EngineError, match=r'PyTorch on cpu: .*out of range'):
        engine.infer(inputs)


@pytest.mark.parametrize('device', ['cpu', CUDA])
def test_half_precision_passes_the_self_check(
    tiny: NetworkRequest, tiny_fp32: Exported, device: str
) -> None:
    engine = TorchEngine(replace(tiny, precision='fp16'), device, threads=1)
    assert (engine.backend, engine.device, engine.precision) == ('torch', device, 'fp16')
    differences = check(engine, tiny_fp32)
    assert 0 < differences['depth'].max < 0.01  # it did run in half precision
    assert check(TorchEngine(tiny, device, threads=1), tiny_fp32)['depth'].mean < 1e-6


def test_half_precision_that_computes_something_else_is_refused(
    tiny: NetworkRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family('tiny'), 'deployed', spoilt_in('fp16'))
    wanted = "torch on cpu failed the self-check on tiny: output 'depth' is off by mean"
    with pytest.raises(SelfCheckError, match=wanted):
        TorchEngine(replace(tiny, precision='fp16'), threads=1)
    TorchEngine(tiny, threads=1)


def test_what_is_not_finite_is_refused(
    tiny: NetworkRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(family('tiny'), 'deployed', spoilt_in('fp32', torch.nan))
    with pytest.raises(SelfCheckError, match="'depth' is NaN or infinite in 384 of 384"):
        TorchEngine(tiny, threads=1)


def spoilt_in(precision: str, bias: float = 50.0) -> Any:
    """`deployed` of the tiny network, which adds to the depth in a precision."""
    deployed = family('tiny').deployed

    def spoilt(model: Any, wanted: str, size: tuple[int, int]) -> Any:
        network = deployed(model, wanted, size)
        if wanted == precision:
            network.trunk[-1].bias.data[0] += bias
        return network

    return spoilt


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_weights_are_loaded_once_and_one_network_is_kept(
    tiny: NetworkRequest, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Any] = []
    made: list[weakref.ref[Any]] = []
    load, deployed = torch_engine.load_network, family('tiny').deployed

    def counted(request: NetworkRequest) -> Any:
        loads.append(network := load(request))
        return network

    def watched(model: Any, wanted: str, size: tuple[int, int]) -> Any:
        assert not any(network() for network in made)  # never two on the device
        made.append(weakref.ref(network := deployed(model, wanted, size)))
        return network

    monkeypatch.setattr(torch_engine, 'load_network', counted)
    monkeypatch.setattr(family('tiny'), 'deployed', watched)
    TorchEngine(replace(tiny, precision=precision), threads=1)
    assert len(loads) == 1
    assert len(made) == (1 if precision == 'fp32' else 2)


def test_the_end_is_quiet_after_cuda_failed(
    tiny: NetworkRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    engine = TorchEngine(tiny, threads=1)
    engine._device = torch.device('cuda:0')
    monkeypatch.setattr(torch.cuda, 'empty_cache', fail)
    engine.close()
    assert engine._model is None
    assert 'ended with an error: CUDA error: an illegal memory access' in caplog.text


def test_threads(tiny: NetworkRequest) -> None:
    before = torch.get_num_threads()
    TorchEngine(tiny, threads=3)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_a_device_that_is_not_there(tiny: NetworkRequest) -> None:
    with pytest.raises(EngineError, match=r"finds the devices \['cpu'.*not 'cuda:99'"):
        TorchEngine(tiny, 'cuda:99')


def test_a_size_that_the_network_cannot_have(tiny: NetworkRequest) -> None:
    with pytest.raises(EngineError, match='tiny must be multiples of 4, got 16x25'):
        TorchEngine(replace(tiny, width=25))
    with pytest.raises(EngineError, match='got 0x24'):
        TorchEngine(replace(tiny, height=0))


def test_weights_that_are_not_there(tiny: NetworkRequest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match='nowhere'):
        TorchEngine(replace(tiny, weights=tmp_path / 'nowhere.pth'))
