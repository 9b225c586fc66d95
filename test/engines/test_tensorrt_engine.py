"""Running plans: buffers, types, errors and the end, on a fake that computes; CUDA where it is."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

import onnx
import onnxruntime
import torch
from fake_tensorrt import VERSIONS, Context, HostLane, Runtime, fake, install, plan_of

from depth_ros.engines.build import build_plan
from depth_ros.engines.cuda import CudaLane
from depth_ros.engines.exported import Exported
from depth_ros.engines.tensorrt_engine import PlanError, TensorRTEngine
from depth_ros.errors import EngineError
from depth_ros.files import sha256_of


@pytest.fixture(params=VERSIONS)
def trt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return install(fake(request.param), monkeypatch)


@pytest.fixture
def trt10(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return install(fake('10.3.0.30'), monkeypatch)


@pytest.fixture
def engine(trt10: ModuleType, tiny_fp32: Exported) -> TensorRTEngine:
    return TensorRTEngine(build_plan(tiny_fp32), tiny_fp32)


def test_arrays_in_arrays_out(trt: ModuleType, tiny_fp16: Exported) -> None:
    engine = TensorRTEngine(build_plan(tiny_fp16), tiny_fp16)
    inputs, _ = tiny_fp16.golden()
    session = onnxruntime.InferenceSession(tiny_fp16.onnx)
    wanted = dict(zip(['depth', 'sigma'], session.run(['depth', 'sigma'], inputs), strict=True))
    first = engine.infer(inputs)
    kept = {name: value.copy() for name, value in first.items()}
    for name, value in wanted.items():
        np.testing.assert_array_equal(first[name], value)
    # What was returned is the caller's: the next call changes nothing in it.
    engine.infer({**inputs, 'sparse': 2 * inputs['sparse']})
    for name, value in kept.items():
        np.testing.assert_array_equal(first[name], value)


def test_arrays_need_not_be_contiguous(engine: TensorRTEngine, tiny_fp32: Exported) -> None:
    inputs, reference = tiny_fp32.golden()
    inputs['image'] = np.asfortranarray(inputs['image'])
    np.testing.assert_allclose(engine.infer(inputs)['depth'], reference['depth'], rtol=1e-5)


def test_tensors_in_tensors_out(engine: TensorRTEngine, tiny_fp32: Exported) -> None:
    inputs, reference = tiny_fp32.golden()
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    first = engine.infer(tensors)
    np.testing.assert_allclose(first['depth'].numpy(), reference['depth'], rtol=1e-5)
    second = engine.infer({**tensors, 'sparse': 2 * tensors['sparse']})
    assert second['depth'].data_ptr() == first['depth'].data_ptr()  # nothing is allocated


def test_wrong_inputs_are_refused(engine: TensorRTEngine, tiny_fp32: Exported) -> None:
    inputs, _ = tiny_fp32.golden()
    with pytest.raises(EngineError, match=r"'sparse' must be float32 \(1, 1, 16, 24\), got"):
        engine.infer({**inputs, 'sparse': inputs['sparse'][..., :-1]})
    with pytest.raises(EngineError, match="'image' must be uint8"):
        engine.infer({**inputs, 'image': inputs['image'].astype(np.float32)})
    with pytest.raises(EngineError, match='inputs must be'):
        engine.infer({'image': inputs['image']})


def test_int64_inputs_are_narrowed_where_tensorrt_has_none(
    trt: ModuleType, tmp_path: Path
) -> None:
    """TensorRT 8 turns them to int32; the caller need not know."""
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node('Gather', ['values', 'index'], ['picked'])],
        'pick',
        [
            helper.make_tensor_value_info('values', kinds.FLOAT, [4]),
            helper.make_tensor_value_info('index', kinds.INT64, [3]),
        ],
        [helper.make_tensor_value_info('picked', kinds.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    onnx.save(model, tmp_path / 'pick.onnx')
    digest = sha256_of(tmp_path / 'pick.onnx')
    exported = Exported(tmp_path / 'pick.onnx', digest, '', 'pick', 1, 4, 'fp32', 18)
    inputs = {'values': np.float32([5, 6, 7, 8]), 'index': np.int64([3, 0, 0])}
    exported.write_sidecars(inputs, {'picked': np.float32([8, 5, 5])})
    engine = TensorRTEngine(build_plan(exported), exported)
    assert engine.infer(inputs)['picked'].tolist() == [8, 5, 5]
    tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
    assert engine.infer(tensors)['picked'].tolist() == [8, 5, 5]


@pytest.mark.parametrize(
    'plan',
    [b'', b'x' * 100, plan_of('10.3.0.31', False, b''), plan_of('10.3.0.30', False, b'')[:-9]],
)
def test_a_plan_that_tensorrt_refuses(plan: bytes, trt10: ModuleType, tiny_fp32: Exported) -> None:
    with pytest.raises(PlanError, match=r'TensorRT 10\.3\.0\.30 refuses .*: Serialization asser'):
        TensorRTEngine(plan, tiny_fp32)


@pytest.mark.parametrize(
    'reason',
    [
        '[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)',
        'Error Code 2: OutOfMemory (Requested size was 104857600 bytes.)',
        'CUDA_ERROR_OUT_OF_MEMORY',
    ],
)
def test_a_plan_that_finds_no_memory_is_not_refused(
    reason: str, trt10: ModuleType, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = build_plan(tiny_fp32)
    monkeypatch.setattr(
        Runtime, 'deserialize_cuda_engine', lambda self, plan: self._logger.complain(reason)
    )
    with pytest.raises(EngineError, match='no memory for the plan: ') as caught:
        TensorRTEngine(plan, tiny_fp32)
    assert not isinstance(caught.value, PlanError)


def test_what_tensorrt_returns_false_for_is_an_error(
    trt10: ModuleType, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = build_plan(tiny_fp32)
    engine = TensorRTEngine(plan, tiny_fp32)
    monkeypatch.setattr(Context, 'execute_async_v3', lambda self, stream: False)
    with pytest.raises(EngineError, match='did not run the plan, and gives no reason'):
        engine.infer(tiny_fp32.golden()[0])
    monkeypatch.setattr(Context, 'set_tensor_address', lambda self, name, address: False)
    with pytest.raises(PlanError, match="takes no buffer for 'image'"):
        TensorRTEngine(plan, tiny_fp32)


def test_it_runs_on_its_own_stream(
    engine: TensorRTEngine, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[int] = []
    execute = Context.execute_async_v3
    monkeypatch.setattr(
        Context,
        'execute_async_v3',
        lambda self, stream: streams.append(stream) or execute(self, stream),
    )
    engine.infer(tiny_fp32.golden()[0])
    assert streams == [1234]  # never 0, the default stream, on which TensorRT waits for all


def test_it_ends_in_reverse_order(trt10: ModuleType, tiny_fp32: Exported) -> None:
    engine = TensorRTEngine(build_plan(tiny_fp32), tiny_fp32)
    ended: list[str] = []
    for name in ('_runtime', '_engine', '_context'):
        weakref.finalize(getattr(engine, name), ended.append, name)
    engine.close()
    engine.close()
    assert ended == ['_context', '_engine', '_runtime']
    with pytest.raises(EngineError, match='closed'):
        engine.infer(tiny_fp32.golden()[0])


def test_the_end_is_quiet_after_cuda_failed(
    engine: TensorRTEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: HostLane) -> None:
        raise EngineError('an illegal memory access was encountered')

    ended: list[str] = []
    weakref.finalize(engine._engine, ended.append, 'engine')
    monkeypatch.setattr(HostLane, 'synchronize', fail)
    engine.close()
    assert ended == ['engine']
    assert 'ended with an error: an illegal memory access' in caplog.text


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs an NVIDIA GPU')


@needs_cuda
def test_a_lane_replays_what_it_captured_in_order_with_the_caller() -> None:
    lane = CudaLane('cuda:0')
    given, doubled = lane.zeros((1 << 20,), 'float32'), lane.zeros((1 << 20,), 'float32')
    run = lane.captured(lambda: torch.mul(given, 2, out=doubled))
    assert run.__name__ == 'replay'
    for value in range(5):
        source = torch.full((1 << 20,), float(value), device='cuda:0')
        with lane.ordered():
            given.copy_(source, non_blocking=True)
            run()
        assert (doubled + 1).sum().item() == (2 * value + 1) * (1 << 20)


@needs_cuda
def test_a_lane_runs_what_cannot_be_captured(caplog: pytest.LogCaptureFixture) -> None:
    lane = CudaLane('cuda:0')
    buffer = lane.zeros((8,), 'float32')
    staging = lane.host_buffer(buffer)
    assert staging.is_pinned()

    def run() -> None:
        buffer.add_(1)
        buffer.sum().item()  # waits for the GPU, which no capture allows

    assert lane.captured(run) is run
    assert 'runs without a CUDA graph' in caplog.text
    with lane.ordered():
        run()
        staging.copy_(buffer, non_blocking=True)
    lane.synchronize()
    assert staging.tolist() == [4.0] * 8  # three warm-ups, and none of the capture
