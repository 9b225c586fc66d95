"""The ONNX Runtime engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines.exported import Exported
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.self_check import check
from depth_ros.errors import EngineError

onnxruntime = pytest.importorskip('onnxruntime')


def test_computes_what_pytorch_computes(tiny_fp32: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp32, threads=1)
    assert (engine.backend, engine.device, engine.precision) == ('onnxruntime', 'cpu', 'fp32')
    inputs, reference = tiny_fp32.golden()
    outputs = engine.infer(inputs)
    assert outputs.keys() == reference.keys()
    for name, wanted in reference.items():
        np.testing.assert_allclose(outputs[name], wanted, rtol=1e-5)
    engine.close()


def test_half_precision_is_half_precision(tiny_fp16: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp16, threads=1)
    assert engine.precision == 'fp16'
    assert 0 < check(engine, tiny_fp16)['depth'].max < 0.01


def test_waiting_threads_sleep(tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    session = onnxruntime.InferenceSession

    def spy(path: str, options: Any, **rest: Any) -> Any:
        given.append(options)
        return session(path, options, **rest)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', spy)
    OnnxRuntimeEngine(tiny_fp32, threads=3)
    assert given[0].get_session_config_entry('session.intra_op.allow_spinning') == '0'
    assert given[0].intra_op_num_threads == 3


def test_strided_arrays_are_fine(tiny_fp32: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    wanted = engine.infer(inputs)['depth']
    inputs['image'] = np.repeat(inputs['image'], 2, axis=2)[:, :, ::2]
    np.testing.assert_allclose(engine.infer(inputs)['depth'], wanted, rtol=1e-6)


def test_wrong_inputs_are_refused(tiny_fp32: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    with pytest.raises(EngineError, match=r"'image' must be uint8 \(1, 16, 24, 3\), got float"):
        engine.infer({**inputs, 'image': inputs['image'].astype(np.float32)})
    with pytest.raises(EngineError, match=r"must be .*'nearest'.* got"):
        engine.infer({'image': inputs['image'], 'sparse': inputs['sparse']})


def test_it_can_be_closed_twice(tiny_fp32: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp32, threads=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match='ONNX Runtime'):
        engine.infer(tiny_fp32.golden()[0])


def test_failure_inside_is_ours(tiny_fp32: Exported) -> None:
    engine = OnnxRuntimeEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    inputs['nearest'] += 16 * 24
    with pytest.raises(EngineError, match=r'ONNX Runtime: .*out of'):
        engine.infer(inputs)


@pytest.mark.parametrize('content', [b'', b'no network', None])
def test_a_file_that_is_no_network(
    tiny_fp32: Exported, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / 'a.onnx'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r'ONNX Runtime refuses .*a\.onnx'):
        OnnxRuntimeEngine(replace(tiny_fp32, onnx=path))
