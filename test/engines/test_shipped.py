"""What ships of `lite`: whole, found without PyTorch, and what its settings say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depth_ros.engines import export as exporting
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.export import export, find
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.open import open_engine
from depth_ros.engines.self_check import SelfCheckError, check
from depth_ros.files import sha256_of
from depth_ros.models import lite

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_BYTES = 12e6


def requested(size: tuple[int, int], precision: str = 'fp32') -> NetworkRequest:
    return NetworkRequest('lite', lite.WEIGHTS, *size, precision)


def test_all_of_it_is_small_and_nothing_is_left_over() -> None:
    files = sorted(lite.SHIPPED.iterdir())
    assert sum(file.stat().st_size for file in files) < MAX_BYTES
    assert len(files) == 2 + 3 * len(lite.SIZES)


@pytest.mark.parametrize('size', lite.SIZES, ids=lambda size: 'x'.join(map(str, size)))
def test_each_size_computes_what_pytorch_computed(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))  # nothing was exported here
    found = find(requested(size))
    assert found is not None
    assert (found.height, found.width) == size
    for difference in check(OnnxRuntimeEngine(found, threads=1), found).values():
        assert difference.rms < 1e-4


def test_it_opens_without_libraries_for_an_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))

    def nothing(*arguments: object) -> None:
        raise AssertionError('an export was begun')

    monkeypatch.setattr(exporting, '_export_to', nothing)
    engine = open_engine(requested((480, 640)), 'onnxruntime', threads=1)
    assert engine.backend == 'onnxruntime'
    engine.close()


def test_a_thinned_golden_output_still_tells_another_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    found = find(requested((480, 640)))
    assert found is not None
    _, outputs = found.golden()
    assert outputs['depth'].shape == (1, 1, 30, 40)
    wrong = replace(found, onnx=tmp_path / found.onnx.name)
    wrong.onnx.write_bytes(found.onnx.read_bytes())
    np.savez(
        wrong.onnx.with_suffix('.golden.npz'),
        **{f'out.{name}': 1.01 * values for name, values in outputs.items()},
    )
    with pytest.raises(SelfCheckError, match='off by'):
        check(OnnxRuntimeEngine(wrong, threads=1), wrong)


def test_weights_are_those_of_their_description_and_of_the_settings_that_ship() -> None:
    description = json.loads(lite.WEIGHTS.with_suffix('.json').read_bytes())
    assert description['weights_sha256'] == sha256_of(lite.WEIGHTS)
    config = pytest.importorskip('depth_ros.training.config')
    pytest.importorskip('yaml')
    settings = config.read(REPOSITORY / 'config/train_lite_stage1.yaml')
    saved = {**description['config'], 'data.path': settings.data.path}
    # They were trained in several runs, each from the weights of the last one, on scenes of two
    # seeds: docs/lite.md.
    runs = (
        *('student.weights', 'optimizer.lr', 'schedule.steps', 'schedule.warmup_share'),
        *('seed', 'data.shards'),
    )
    assert all(found.startswith(runs) for found in config.differences(saved, settings))
    assert description['config']['data.source'] == 'scenes'  # no data of others


def test_half_precision_is_within_a_hundredth_and_both_build(tmp_path: Path) -> None:
    pytest.importorskip('torch')
    for library in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(library)
    single, half = (export(requested((64, 96), p), tmp_path) for p in ('fp32', 'fp16'))
    inputs, reference = single.golden()
    outputs = OnnxRuntimeEngine(half, threads=1).infer(inputs)
    np.testing.assert_allclose(outputs['depth'], reference['depth'], rtol=1e-2)
    sigma, wanted = (np.exp(0.5 * maps['log_variance']) for maps in (outputs, reference))
    np.testing.assert_allclose(sigma, wanted, rtol=3e-2)
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    from rtx import built

    for result in built(single, half):
        assert result.get('error') is None
        assert result['bytes'] > 10_000
