"""BP-Net in ONNX: against PyTorch, and against what the official network computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtx import assert_built, built

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.self_check import check
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.models import bpnet

pytest.importorskip('torch')

pytestmark = pytest.mark.slow

Arrays = dict[str, Any]


@pytest.fixture(scope='module')
def oracle(oracle_dir: Path) -> tuple[Arrays, Any]:
    """Inputs of the official network, and its depth in float64."""
    with np.load(oracle_dir / 'bpnet.npz') as stored:
        rgb, sparse_m, K = stored['rgb'], stored['S'][0, 0], stored['K'][0]
        return bpnet.graph_inputs(rgb, sparse_m.astype(np.float32), K), stored['out5_level0_fp64']


@pytest.fixture(scope='module')
def fp32(key_named_weights: Path, oracle: tuple[Arrays, Any]) -> Arrays:
    """Outputs of PyTorch in FP32."""
    request = NetworkRequest('bpnet', key_named_weights, 64, 96)
    return TorchEngine(request, threads=1).infer(oracle[0])


def difference(output: Any, wanted: Any) -> float:
    """Largest difference as a share of the largest value."""
    return float(np.abs(output - wanted).max() / np.abs(wanted).max())


def test_pytorch_is_the_official_network(oracle: tuple[Arrays, Any], fp32: Arrays) -> None:
    np.testing.assert_allclose(fp32['depth'], oracle[1], atol=2e-3, rtol=0)


def test_onnx_runtime_is_pytorch(
    oracle: tuple[Arrays, Any], fp32: Arrays, bpnet_fp32: Exported
) -> None:
    inputs, official = oracle
    engine = OnnxRuntimeEngine(bpnet_fp32, threads=1)
    outputs = engine.infer(inputs)
    np.testing.assert_allclose(outputs['depth'], official, atol=2e-3, rtol=0)
    for name, wanted in fp32.items():
        assert difference(outputs[name], wanted) < 1e-4
    assert check(engine, bpnet_fp32)['depth'].rms < 1e-4


def test_half_precision_keeps_the_depth_path(
    oracle: tuple[Arrays, Any],
    fp32: Arrays,
    bpnet_fp16: Exported,
    key_named_weights: Path,
) -> None:
    """Random weights amplify what is rounded; still it stays in the order of 11 bits."""
    request = NetworkRequest('bpnet', key_named_weights, 64, 96, 'fp16')
    for engine in (OnnxRuntimeEngine(bpnet_fp16, threads=1), TorchEngine(request, threads=1)):
        outputs = engine.infer(oracle[0])
        for name, wanted in fp32.items():
            assert outputs[name].dtype == np.float32
            assert 1e-4 < difference(outputs[name], wanted) < 3e-2
        engine.close()


def test_half_precision_is_in_the_trunk_only(bpnet_fp16: Exported) -> None:
    import onnx

    half, graph = onnx.TensorProto.FLOAT16, onnx.load(bpnet_fp16.onnx).graph
    sizes = {half: 0, onnx.TensorProto.FLOAT: 0}
    for value in graph.initializer:
        if value.data_type in sizes:
            sizes[value.data_type] += int(np.prod(value.dims))
    assert sizes[half] > 80e6  # of 90 million parameters
    values = (*graph.value_info, *graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    fragile = ('Exp', 'Softmax', 'GridSample', 'ReduceSum')
    found = [kinds[node.output[0]] for node in graph.node if node.op_type in fragile]
    assert found
    assert half not in found


def test_it_parses_and_builds_with_tensorrt(bpnet_fp32: Exported, bpnet_fp16: Exported) -> None:
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    for result, precision in zip(built(bpnet_fp32, bpnet_fp16), ('fp32', 'fp16'), strict=True):
        assert_built(result, precision)
