"""Opening plans: cached, built, set aside, replaced by FP32; by one process and by several."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

from fake_tensorrt import GATE, LOG, VERSIONS, Context, Engine, Runtime, fake, install, plan_of

from depth_ros.engines.base import NotBuiltError
from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache, PlanKey
from depth_ros.engines.plans import open_tensorrt
from depth_ros.engines.tensorrt_engine import TensorRTEngine
from depth_ros.errors import EngineError

SCRIPT = Path(__file__).with_name('open_in_process.py')
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / 'plans')


def no_fp32() -> Exported:
    raise AssertionError('the FP32 network was asked for')


def bad_files(cache: PlanCache) -> int:
    return len(list(cache.folder.glob('*.bad')))


@pytest.mark.parametrize('version', VERSIONS)
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_a_plan_is_built_once_and_computes_what_pytorch_does(
    version: str,
    precision: str,
    cache: PlanCache,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = install(fake(version), monkeypatch)
    exported = tiny_fp16 if precision == 'fp16' else tiny_fp32
    inputs, reference = exported.golden()
    for _ in range(2):
        engine = open_tensorrt(exported, fp32=no_fp32, may_build=True, cache=cache)
        assert (engine.backend, engine.precision) == ('tensorrt', precision)
        outputs = engine.infer(inputs)
        for name, wanted in reference.items():
            np.testing.assert_allclose(outputs[name], wanted, atol=0.02)
        engine.close()
    assert len(trt.builds) == 1
    assert cache.timings(PlanKey.of(exported)).exists()


def test_nothing_is_built_that_may_not_be(
    cache: PlanCache, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    with pytest.raises(NotBuiltError, match='`depth_ros build` makes'):
        open_tensorrt(tiny_fp32, fp32=no_fp32, may_build=False, cache=cache)
    assert not trt.builds
    open_tensorrt(tiny_fp32, fp32=no_fp32, may_build=True, cache=cache)
    open_tensorrt(tiny_fp32, fp32=no_fp32, may_build=False, cache=cache)
    assert len(trt.builds) == 1


def rewrite(cache: PlanCache, key: PlanKey, change: Callable[[bytes], bytes]) -> None:
    """Store a changed plan with a description that fits it, as if it had been built so."""
    plan = cache.lookup(key)
    assert plan is not None
    cache.store(key, change(plan))


@pytest.mark.parametrize(
    'change',
    [
        lambda plan: plan[: len(plan) // 2],
        lambda plan: b'',
        lambda plan: plan.replace(b'10.3.0.30', b'10.3.0.26', 1),
        lambda plan: plan.replace(b'"wrong": false', b'"wrong": true ', 1),
    ],
    ids=['truncated', 'empty', 'foreign', 'wrong'],
)
def test_a_bad_plan_is_set_aside_and_built_once_more(
    change: Callable[[bytes], bytes],
    cache: PlanCache,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    key = PlanKey.of(tiny_fp16)
    open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache).close()
    good = cache.lookup(key)
    rewrite(cache, key, change)
    engine = open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert engine.precision == 'fp16'
    assert len(trt.builds) == 2
    assert bad_files(cache) == 1
    assert cache.lookup(key) == good


def test_a_plan_of_another_network_is_set_aside(
    cache: PlanCache, tiny_fp32: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    trt = install(fake('10.3.0.30'), monkeypatch)
    model = onnx.load(tiny_fp32.onnx)
    [image] = [value for value in model.graph.input if value.name == 'image']
    image.type.tensor_type.shape.dim[1].dim_value += 1
    key = PlanKey.of(tiny_fp32)
    open_tensorrt(tiny_fp32, fp32=no_fp32, may_build=True, cache=cache).close()
    rewrite(cache, key, lambda plan: plan_of('10.3.0.30', False, model.SerializeToString()))
    open_tensorrt(tiny_fp32, fp32=no_fp32, may_build=True, cache=cache).close()
    assert len(trt.builds) == 2
    assert '(1, 17, 24, 3)' in next(cache.folder.glob('*.bad.json')).read_text()


def test_fp16_that_computes_something_else_gives_way_to_fp32_for_good(
    cache: PlanCache,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As with vision transformers on TensorRT 10.3."""
    trt = install(fake('10.3.0.30', wrong=['fp16']), monkeypatch)
    inputs, reference = tiny_fp32.golden()
    for builds in (2, 2):  # FP16 and FP32; the next start asks for neither
        caplog.clear()
        engine = open_tensorrt(tiny_fp16, fp32=lambda: tiny_fp32, may_build=True, cache=cache)
        assert engine.precision == 'fp32'
        np.testing.assert_allclose(engine.infer(inputs)['depth'], reference['depth'], rtol=1e-4)
        assert len(trt.builds) == builds
        assert 'tiny runs in FP32, for in FP16 TensorRT fails' in caplog.text
    assert cache.lookup(PlanKey.of(tiny_fp16)) is None


def test_an_fp16_plan_that_went_wrong_later_is_built_once_more_before_fp32(
    cache: PlanCache,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache).close()
    rewrite(cache, PlanKey.of(tiny_fp16), lambda plan: plan.replace(b'false', b'true ', 1))
    trt = install(fake('10.3.0.30', wrong=['fp16']), monkeypatch)
    engine = open_tensorrt(tiny_fp16, fp32=lambda: tiny_fp32, may_build=True, cache=cache)
    assert engine.precision == 'fp32'
    precisions = ['fp16' if 'FP16' in config.flags else 'fp32' for _, config in trt.builds]
    assert precisions == ['fp16', 'fp32']


def test_a_newer_tensorrt_gets_another_chance_with_fp16(
    cache: PlanCache,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(fake('10.3.0.30', wrong=['fp16']), monkeypatch)
    open_tensorrt(tiny_fp16, fp32=lambda: tiny_fp32, may_build=True, cache=cache).close()
    install(fake('10.16.2.10'), monkeypatch)
    engine = open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert engine.precision == 'fp16'


def test_where_fp32_is_wrong_as_well_there_is_no_engine(
    cache: PlanCache,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = install(fake('10.3.0.30', wrong=['fp16', 'fp32']), monkeypatch)
    with pytest.raises(EngineError, match='failed the self-check'):
        open_tensorrt(tiny_fp16, fp32=lambda: tiny_fp32, may_build=True, cache=cache)
    assert len(trt.builds) == 2
    assert not list(cache.folder.glob('*.plan'))


def test_no_memory_is_not_the_fault_of_the_plan(
    cache: PlanCache, tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache).close()
    monkeypatch.setattr(Engine, 'create_execution_context', lambda self: None)
    with pytest.raises(EngineError, match='no memory'):
        open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert len(trt.builds) == 1
    assert cache.lookup(PlanKey.of(tiny_fp16)) is not None


def short_of_memory(self: Runtime, plan: bytes) -> None:
    self._logger.complain('Error Code 1: Cuda Runtime (out of memory)')


def failing_cuda(self: TensorRTEngine, inputs: object) -> None:
    raise EngineError('CUDA error: unspecified launch failure')


@pytest.mark.parametrize(
    ('kind', 'call', 'fails'),
    [
        (Runtime, 'deserialize_cuda_engine', short_of_memory),
        (Context, 'execute_async_v3', lambda self, stream: False),
        (TensorRTEngine, 'infer', failing_cuda),
    ],
    ids=['no memory', 'cannot run', 'CUDA fails'],
)
@pytest.mark.parametrize('built_before', [True, False])
def test_what_passes_with_time_condemns_no_plan(
    built_before: bool,
    kind: type,
    call: str,
    fails: Callable[..., object],
    cache: PlanCache,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    if built_before:
        open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache).close()
    with monkeypatch.context() as patch:
        patch.setattr(kind, call, fails)
        with pytest.raises(EngineError):
            open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert bad_files(cache) == 0
    assert cache.refused() == {}
    engine = open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=False, cache=cache)
    assert engine.precision == 'fp16'
    assert len(trt.builds) == 1


def test_a_new_plan_that_is_refused_does_not_speak_against_fp16(
    cache: PlanCache, tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(Runtime, 'deserialize_cuda_engine', lambda self, plan: None)
        with pytest.raises(EngineError, match='refuses the plan'):
            open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert bad_files(cache) == 1
    engine = open_tensorrt(tiny_fp16, fp32=no_fp32, may_build=True, cache=cache)
    assert engine.precision == 'fp16'


@contextlib.contextmanager
def opening(
    exported: Exported, cache: PlanCache, environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A process that opens the network; killed at the end if it still runs."""
    arguments = [sys.executable, SCRIPT, '10.3.0.30', exported.onnx, cache.folder]
    process = subprocess.Popen(
        [str(part) for part in arguments],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1', **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_builds(log: Path, count: int, patience_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + patience_s
    while not log.exists() or len(log.read_text().split()) < count:
        assert time.monotonic() < deadline_s, 'no build has begun'
        time.sleep(0.02)


def test_processes_build_once_and_a_killed_one_leaves_nothing(
    cache: PlanCache, tiny_fp32: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, gate = tmp_path / 'log', tmp_path / 'gate'
    environment = {LOG: str(log), GATE: str(gate)}
    with contextlib.ExitStack() as stack:

        def another() -> subprocess.Popen[str]:
            return stack.enter_context(opening(tiny_fp32, cache, environment))

        first = another()
        wait_for_builds(log, 1)
        others = [another(), another()]
        for process in others:
            assert process.stdout is not None
            assert process.stdout.readline() == 'opening\n'
        time.sleep(0.3)  # they want the lock now, which the first one holds
        assert len(log.read_text().split()) == 1

        first.send_signal(signal.SIGKILL)  # in the middle of its build
        first.wait()
        wait_for_builds(log, 2)  # one of the others has the lock now, and builds
        assert not list(cache.folder.glob('*.plan'))

        gate.touch()
        for process in others:
            assert process.communicate(timeout=300)[0] == 'tensorrt\n'
    assert len(log.read_text().split()) == 2
    install(fake('10.3.0.30'), monkeypatch)
    assert cache.lookup(PlanKey.of(tiny_fp32)) is not None
    assert not list(cache.folder.glob('*.partial'))
