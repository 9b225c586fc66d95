"""Which backend is taken, what happens when it fails, and that a named one is never replaced."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines import open as opening
from depth_ros.engines.base import BACKENDS, NetworkRequest, NotBuiltError
from depth_ros.engines.exported import Exported
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.open import (
    Candidate,
    available_backends,
    candidates,
    choose_backend,
    open_engine,
    resolve_precision,
    suited,
)
from depth_ros.errors import EngineError, ModelError
from depth_ros.methods.registry import choose
from depth_ros.weights.registry import family

torch = pytest.importorskip('torch')
pytest.importorskip('onnxruntime')

Missing = Callable[..., None]


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where these tests run on a machine with a GPU."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    folder = tmp_path / 'onnx'
    folder.mkdir()
    return folder


@pytest.fixture
def exported(tiny_fp32: Exported, tiny_fp16: Exported, cache: Path) -> None:
    """Both precisions are in the cache."""
    shutil.copytree(tiny_fp32.onnx.parent, cache, dirs_exist_ok=True)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Missing:
    """Makes libraries look as if they were not installed."""

    def hide(*libraries: str) -> None:
        for library in libraries:
            monkeypatch.setitem(sys.modules, library, None)

    return hide


@pytest.fixture(autouse=True)
def _gpu_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A device file, so that PyTorch is asked whether there is a GPU."""
    (tmp_path / 'nvidia0').touch()
    monkeypatch.setattr(opening, '_DEVICES', tmp_path)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A machine whose TensorRT can be opened, but fails; what it was asked for."""
    asked: list[dict[str, Any]] = []

    def fail(exported: Exported, **rest: Any) -> Any:
        asked.append({'exported': exported, **rest})
        raise EngineError('out of memory')

    monkeypatch.setattr(opening, '_tensorrt_obstacle', lambda: '')
    monkeypatch.setattr(opening, 'open_tensorrt', fail)
    return asked


def test_order_and_reasons_on_a_cpu(missing: Missing) -> None:
    missing('openvino')
    found = list(candidates())
    assert [(one.backend, one.device) for one in found] == [
        ('tensorrt', 'cuda:0'),
        ('torch', 'cuda:0'),
        ('onnxruntime', 'cpu'),
        ('openvino', 'cpu'),
        ('torch', 'cpu'),
    ]
    assert [one.obstacle == '' for one in found] == [False, False, True, False, True]
    assert 'needs an NVIDIA GPU' in found[0].obstacle
    assert 'finds no CUDA device' in found[1].obstacle
    assert 'depth_ros[openvino]' in found[3].obstacle
    assert str(choose_backend()) == 'onnxruntime on cpu'
    backends = available_backends()
    assert sorted(backends) == sorted(BACKENDS)
    assert backends['torch'] == backends['onnxruntime'] == ''
    assert backends['openvino'] == found[3].obstacle


@pytest.mark.skipif(sys.platform != 'linux', reason='device files are those of Linux')
def test_without_the_device_file_of_a_gpu_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: Missing
) -> None:
    """PyTorch, which cannot be imported here, would be missed otherwise."""
    missing('torch')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    (tmp_path / 'nvidia0').rename(tmp_path / 'nvidiactl')
    found = {str(one): one.obstacle for one in candidates()}
    for way in ('tensorrt on cuda:0', 'torch on cuda:0'):
        assert found[way] == 'There is no device file of a GPU in /dev.'
    assert "'torch' is not installed" in found['torch on cpu']
    for name in ('nvidia0', 'nvhost-gpu', 'nvmap', 'dxg', 'kfd'):
        device = tmp_path / name
        device.touch()
        assert "'torch' is not installed" in {str(o): o.obstacle for o in candidates()}[way], name
        device.unlink()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Missing:
    """Makes libraries look as if they were installed badly."""

    def spoil(*libraries: str) -> None:
        folder = tmp_path / 'site'
        folder.mkdir()
        for library in libraries:
            (folder / f'{library}.py').write_text('raise OSError("libcudart.so.12: none")\n')
            for name in [n for n in sys.modules if n.partition('.')[0] == library]:
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(folder))

    return spoil


def test_a_broken_library_is_an_obstacle_in_words_and_auto_goes_on(broken: Missing) -> None:
    broken('onnxruntime')
    found = {str(one): one.obstacle for one in candidates()}['onnxruntime on cpu']
    assert 'cannot be imported (OSError: libcudart.so.12: none)' in found
    assert choose_backend().backend != 'onnxruntime'


def test_with_no_library_that_works_auto_is_guided_and_says_why(
    broken: Missing, missing: Missing
) -> None:
    broken('onnxruntime', 'openvino')
    missing('torch')
    name, reason = choose('auto')
    assert name == 'guided'
    assert 'onnxruntime: ' in reason
    assert 'OSError: libcudart.so.12: none' in reason


@pytest.mark.parametrize('fault', [OSError('no cuDNN'), RuntimeError('odd'), MemoryError()])
def test_a_backend_that_fails_in_its_own_way_is_passed_over(
    fault: Exception, tiny: NetworkRequest, exported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise fault

    monkeypatch.setitem(opening._ON_CPU, 'onnxruntime', fail)
    engine = open_engine(tiny)
    assert engine.backend in ('openvino', 'torch')
    with pytest.raises(type(fault)):
        open_engine(tiny, 'onnxruntime')


def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_precision('auto') == resolve_precision('auto', 'torch') == 'fp32'
    assert resolve_precision('fp16', 'onnxruntime') == 'fp16'
    with pytest.raises(EngineError, match='Nothing here can run networks:\n  tensorrt on cuda:0'):
        resolve_precision('auto', 'tensorrt')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert resolve_precision('auto') == resolve_precision('auto', 'torch') == 'fp16'
    assert resolve_precision('auto', 'onnxruntime') == 'fp32'


@pytest.mark.usefixtures('exported')
def test_auto_goes_down_the_list(tiny: NetworkRequest, missing: Missing) -> None:
    half = replace(tiny, precision='fp16')
    engine = open_engine(half, threads=1)
    assert (engine.backend, engine.precision) == ('onnxruntime', 'fp32')  # no fp16 on a CPU
    missing('onnxruntime')
    if not available_backends()['openvino']:
        assert open_engine(half, threads=1).backend == 'openvino'
    missing('openvino')
    assert open_engine(half, threads=1).backend == 'torch'


@pytest.mark.usefixtures('exported')
@pytest.mark.parametrize('backend', ['onnxruntime', 'openvino', 'torch'])
def test_a_named_backend_is_taken_with_its_precision(tiny: NetworkRequest, backend: str) -> None:
    pytest.importorskip(backend)
    engine = open_engine(replace(tiny, precision='fp16'), backend, threads=1)
    assert (engine.backend, engine.device, engine.precision) == (backend, 'cpu', 'fp16')


@pytest.mark.usefixtures('exported')
def test_a_named_backend_is_never_replaced(
    tiny: NetworkRequest, missing: Missing, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        EngineError, match=r'Nothing here can run tiny:\n  tensorrt on cuda:0: .*GPU'
    ):
        open_engine(tiny, 'tensorrt')
    monkeypatch.setattr(OnnxRuntimeEngine, 'infer', lambda self, inputs: {})
    with pytest.raises(EngineError, match='onnxruntime on cpu failed the self-check'):
        open_engine(tiny, 'onnxruntime')
    missing('openvino')
    with pytest.raises(EngineError, match=r"'openvino' is not installed.*depth_ros\[openvino\]"):
        open_engine(tiny, 'openvino')
    with pytest.raises(EngineError, match=r"must be one of .*'tensorrt'.* got 'tensorflow'"):
        open_engine(tiny, 'tensorflow')


@pytest.mark.usefixtures('exported')
def test_an_engine_that_fails_the_self_check_is_passed_over(
    tiny: NetworkRequest,
    missing: Missing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    missing('openvino')
    nan = {name: np.full((1, 1, 16, 24), np.nan, np.float32) for name in ('depth', 'sigma')}
    monkeypatch.setattr(OnnxRuntimeEngine, 'infer', lambda self, inputs: nan)
    assert open_engine(tiny, threads=1).backend == 'torch'
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    assert 'onnxruntime on cpu is passed over' in record.message
    assert 'NaN or infinite in 384 of 384' in record.message


def test_torch_in_fp16_that_computes_something_else_gives_way_to_fp32(
    tiny: NetworkRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deployed = family('tiny').deployed

    def overflowing(model: Any, precision: str, size: tuple[int, int]) -> Any:
        network = deployed(model, precision, size)
        if precision == 'fp16':
            network.trunk[0].weight.data *= 3e4  # beyond 65504 in the sum
            network.trunk[-1].weight.data *= 3e4
        return network

    monkeypatch.setattr(family('tiny'), 'deployed', overflowing)
    engine = open_engine(replace(tiny, precision='fp16'), 'torch', threads=1)
    assert (engine.backend, engine.device, engine.precision) == ('torch', 'cpu', 'fp32')
    (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
    wanted = 'tiny runs in FP32, for in FP16 torch on cpu failed the self-check on tiny: output'
    assert record.message.startswith(wanted)


def test_what_is_opened_for_a_candidate(tiny: NetworkRequest) -> None:
    half = replace(tiny, precision='fp16')
    wanted = {
        ('auto', 'cuda:0'): 'fp16',
        ('auto', 'cpu'): 'fp32',
        ('torch', 'cuda:0'): 'fp16',
        ('torch', 'cpu'): 'fp16',
    }
    for (backend, device), precision in wanted.items():
        chosen = suited(half, Candidate('torch', device, ''), backend)
        assert chosen == replace(tiny, precision=precision)
        assert suited(tiny, Candidate('torch', device, ''), backend) == tiny


def test_tensorrt_is_asked_first_and_passed_over_when_it_fails(
    tiny: NetworkRequest, exported: None, tensorrt: list[dict[str, Any]]
) -> None:
    def progress(phase: str, share: float) -> None: ...

    half = replace(tiny, precision='fp16')
    engine = open_engine(half, threads=1, may_build=False, progress=progress)
    assert (engine.backend, engine.precision) == ('onnxruntime', 'fp32')
    (asked,) = tensorrt
    assert asked['exported'].precision == 'fp16'
    assert asked['fp32']().precision == 'fp32'
    assert (asked['may_build'], asked['progress']) == (False, progress)
    with pytest.raises(EngineError, match=r'^out of memory$'):
        open_engine(half, 'tensorrt')


@pytest.mark.usefixtures('tensorrt')
def test_every_reason_is_in_the_last_error(tiny: NetworkRequest, missing: Missing) -> None:
    missing('onnx', 'openvino')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, 'TorchEngine', _no_memory)
        with pytest.raises(EngineError) as caught:
            open_engine(tiny)
    lines = str(caught.value).splitlines()
    assert lines[0] == 'Nothing here can run tiny:'
    for line, wanted in zip(
        lines[1:],
        (
            r"tensorrt on cuda:0: 'onnx' is not",
            'torch on cuda:0: PyTorch',
            "onnxruntime on cpu: 'onnx' is not",
            "openvino on cpu: 'openvino' is not",
            'torch on cpu: no memory',
        ),
        strict=True,
    ):
        assert line.startswith(f'  {wanted}')


def _no_memory(*_: Any) -> Any:
    raise EngineError('no memory')


def test_nothing_is_built_unless_it_may(tiny: NetworkRequest, cache: Path) -> None:
    """And torch, which could run, does not take the place of what can be built."""
    for backend in ('auto', 'onnxruntime'):
        with pytest.raises(NotBuiltError, match='tiny 16x24 fp32 is not exported yet'):
            open_engine(tiny, backend, may_build=False)
    assert not list(cache.iterdir())
    assert open_engine(tiny, 'torch', threads=1, may_build=False).backend == 'torch'


def test_what_is_not_built_is_skipped_if_it_may_be(tiny: NetworkRequest, cache: Path) -> None:
    """A node asks for this after a build has failed; a backend that was named stays named."""
    ready = open_engine(tiny, threads=1, may_build=False, may_skip=True)
    assert ready.backend == 'torch'
    with pytest.raises(NotBuiltError):
        open_engine(tiny, 'onnxruntime', may_build=False, may_skip=True)
    assert not list(cache.iterdir())


def test_what_cannot_be_built_is_passed_over(tiny: NetworkRequest, missing: Missing) -> None:
    missing('onnxscript')
    assert open_engine(tiny, threads=1, may_build=False).backend == 'torch'


def test_a_cache_that_cannot_be_written_is_passed_over(
    tiny: NetworkRequest, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.rmdir()
    cache.write_text('a file in its place')
    assert open_engine(tiny, threads=1).backend == 'torch'
    assert 'cannot be written' in caplog.text


def test_bad_requests_fail_at_once(tiny: NetworkRequest, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r'^Height and width of tiny must be multiples of 4'):
        open_engine(replace(tiny, width=30))
    with pytest.raises(ModelError, match=r'nowhere\.pth cannot be read'):
        open_engine(replace(tiny, weights=tmp_path / 'nowhere.pth'))
