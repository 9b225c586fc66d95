"""The OpenVINO engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depth_ros.engines.exported import Exported
from depth_ros.engines.openvino_engine import OpenVinoEngine
from depth_ros.errors import EngineError

pytest.importorskip('openvino')


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_computes_what_pytorch_computes(request: pytest.FixtureRequest, precision: str) -> None:
    """In FP32 even what was exported in FP16, but for its rounded weights."""
    exported: Exported = request.getfixturevalue(f'tiny_{precision}')
    engine = OpenVinoEngine(exported, threads=1)
    assert (engine.backend, engine.device, engine.precision) == ('openvino', 'cpu', precision)
    inputs, reference = exported.golden()
    outputs = engine.infer(inputs)
    assert outputs.keys() == reference.keys()
    for name, wanted in reference.items():
        np.testing.assert_allclose(
            outputs[name], wanted, rtol=1e-5 if precision == 'fp32' else 1e-3
        )
    engine.close()


def test_outputs_stay_when_the_engine_goes_on(tiny_fp32: Exported) -> None:
    engine = OpenVinoEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    first = engine.infer(inputs)['depth']
    kept = first.copy()
    engine.infer({**inputs, 'sparse': inputs['sparse'] + 10})
    np.testing.assert_array_equal(first, kept)


def test_settings_reach_the_network(tiny_fp32: Exported) -> None:
    network = OpenVinoEngine(tiny_fp32, threads=2)._network
    assert network.get_property('INFERENCE_NUM_THREADS') == 2
    assert network.get_property('ENABLE_CPU_PINNING') is False
    assert network.get_property('INFERENCE_PRECISION_HINT').get_type_name() == 'f32'


def test_strided_arrays_are_fine(tiny_fp32: Exported) -> None:
    engine = OpenVinoEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    wanted = engine.infer(inputs)['depth']
    inputs['image'] = np.repeat(inputs['image'], 2, axis=2)[:, :, ::2]
    np.testing.assert_allclose(engine.infer(inputs)['depth'], wanted, rtol=1e-6)


def test_wrong_inputs_are_refused(tiny_fp32: Exported) -> None:
    engine = OpenVinoEngine(tiny_fp32, threads=1)
    inputs, _ = tiny_fp32.golden()
    with pytest.raises(EngineError, match=r"'image' must be uint8 \(1, 16, 24, 3\), got float"):
        engine.infer({**inputs, 'image': inputs['image'].astype(np.float32)})


@pytest.mark.parametrize('content', [b'', b'no network', None])
def test_a_file_that_is_no_network(
    tiny_fp32: Exported, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / 'a.onnx'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=r'OpenVINO refuses .*a\.onnx'):
        OpenVinoEngine(replace(tiny_fp32, onnx=path))
