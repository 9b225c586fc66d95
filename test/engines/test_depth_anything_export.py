"""Depth Anything in ONNX, at a tiny size: against PyTorch, in each precision, and in TensorRT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from key_named import key_named_state

from depth_ros.engines.base import PRECISIONS, NetworkRequest
from depth_ros.engines.export import export
from depth_ros.engines.exported import Exported
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.models import depth_anything
from depth_ros.weights import registry

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
pytest.importorskip('onnxruntime')

import onnx
import torch

HEIGHT, WIDTH = 70, 98
FAMILY = 'depth_anything_tiny'
TINY = depth_anything.DepthAnything(
    depth_anything.NetworkSize(dim=32, depth=4, heads=2, features=16, channels=(8, 16, 24, 32)),
    taps=(0, 1, 2, 3),
    max_depth_m=80.0,
)


@pytest.fixture(scope='module')
def request_fp32(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkRequest]:
    weights = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save(key_named_state(TINY.build()), weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, FAMILY, 'depth_ros.models.depth_anything')
        patch.setitem(depth_anything.FAMILIES, FAMILY, TINY)
        yield NetworkRequest(FAMILY, weights, HEIGHT, WIDTH)


@pytest.fixture(scope='module')
def exported(request_fp32: NetworkRequest, onnx_folder: Path) -> dict[str, Exported]:
    """The tiny network in metres, by precision."""
    return {
        precision: export(replace(request_fp32, precision=precision), onnx_folder)
        for precision in PRECISIONS
    }


def image() -> Any:
    return np.random.default_rng(0).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32)


@pytest.mark.parametrize(
    ('precision', 'most_m', 'least_m'),
    [('fp32', 1e-4, 0), ('fp16', 0.2, 1e-3), ('fp16_all', 0.2, 1e-3)],
)
def test_onnx_runtime_is_pytorch(
    request_fp32: NetworkRequest,
    exported: dict[str, Exported],
    precision: str,
    most_m: float,
    least_m: float,
) -> None:
    """On another image than the one that the export compares."""
    [wanted_m] = TorchEngine(request_fp32, threads=1).infer({'image': image()}).values()
    outputs = OnnxRuntimeEngine(exported[precision], threads=1).infer({'image': image()})
    assert outputs['depth'].dtype == np.float32
    assert outputs['depth'].shape == (1, 1, HEIGHT, WIDTH)
    assert np.ptp(wanted_m) > 5
    assert least_m <= np.abs(outputs['depth'] - wanted_m).max() < most_m


def types_of(path: Path, *kinds: str) -> set[str]:
    """Element types that nodes of some kinds give."""
    graph = onnx.load(path).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    found = {types[node.output[0]] for node in graph.node if node.op_type in kinds}
    return {onnx.TensorProto.DataType.Name(value) for value in found}


def test_where_half_precision_is(exported: dict[str, Exported]) -> None:
    half, single = {'FLOAT16'}, {'FLOAT'}
    for precision, attention in (('fp32', single), ('fp16', single), ('fp16_all', half)):
        path = exported[precision].onnx
        assert types_of(path, 'Softmax') == attention
        assert types_of(path, 'LayerNormalization', 'Sigmoid') == single
        assert types_of(path, 'Erf', 'ConvTranspose') == (single if precision == 'fp32' else half)


def test_graph_has_nothing_that_depends_on_the_size(exported: dict[str, Exported]) -> None:
    """The position embedding is a constant of this size; the table that it is from is gone."""
    graph = onnx.load(exported['fp32'].onnx).graph
    modes = {
        attribute.s
        for node in graph.node
        if node.op_type == 'Resize'
        for attribute in node.attribute
        if attribute.name == 'mode'
    }
    assert modes == {b'linear'}
    shapes = {tuple(value.dims) for value in graph.initializer}
    assert (1, 1 + 5 * 7, 32) in shapes
    assert not any(1370 in shape for shape in shapes)
    assert not {'IsNaN', 'Where', 'If', 'Loop'} & {node.op_type for node in graph.node}


def test_it_parses_and_builds_with_tensorrt(exported: dict[str, Exported]) -> None:
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    from rtx import assert_built, built

    for result, precision in zip(built(*exported.values()), exported, strict=True):
        assert_built(result, precision)
