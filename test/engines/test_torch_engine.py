"""The PyTorch engine, on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines import torch_engine
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.self_check import check
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.errors import EngineError, ModelError
from depth_ros.models.registry import family

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
        np.testing.assert_array_equal(tensor.cpu().numpy(), of_arrays[name])
        tensor += 1  # nobody is kept from going on in place


def test_every_call_sees_its_own_inputs(engine: TorchEngine) -> None:
    """A replayed CUDA graph reads from where it was captured."""
    inputs = family('tiny').golden_inputs(16, 24)
    first = engine.infer(inputs)['depth'].copy()
    farther = engine.infer({**inputs, 'sparse': inputs['sparse'] + 10})['depth']
    assert np.abs(farther - first).min() > 5
    np.testing.assert_array_equal(engine.infer(inputs)['depth'], first)


def test_a_captured_graph_is_fed_replayed_and_freed(tiny: NetworkRequest) -> None:
    """With a graph that is none, on the CPU; the real one needs a GPU."""
    engine = TorchEngine(tiny, threads=1)
    inputs = family('tiny').golden_inputs(16, 24)
    wanted = engine.infer(inputs)
    network = engine._model
    fed = [torch.zeros_like(torch.tensor(inputs[name])) for name in ('image', 'sparse', 'nearest')]
    written = [torch.zeros(1, 1, 16, 24), torch.zeros(1, 1, 16, 24)]

    class Graph:
        def replay(self) -> None:
            for output, value in zip(written, network(*fed), strict=True):
                output.copy_(value)

    engine._captured = torch_engine._Captured(Graph(), fed, written)
    engine._model = None
    for name, output in engine.infer(inputs).items():
        np.testing.assert_array_equal(output, wanted[name])
    engine.close()
    assert engine._captured is None


def test_read_only_and_strided_arrays_are_fine(
    engine: TorchEngine, recwarn: pytest.WarningsRecorder
) -> None:
    inputs = family('tiny').golden_inputs(16, 24)
    wanted = engine.infer(inputs)['depth'].copy()
    inputs['image'] = np.repeat(inputs['image'], 2, axis=2)[:, :, ::2]
    inputs['sparse'].flags.writeable = False
    np.testing.assert_array_equal(engine.infer(inputs)['depth'], wanted)
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
