"""NVIDIA's own parser and builder take what we export: TensorRT for RTX, on the CPU.

It shares parser and API with TensorRT 11 and types strongly. It builds for other GPUs than those
of a Jetson and runs nothing here: what a plan computes is not tested by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
pytest.importorskip('torch')
pytest.importorskip('onnxscript')
pytest.importorskip('onnxruntime')

import onnx
from rtx import assert_built, built

from depth_ros.engines.export import OPSET
from depth_ros.engines.exported import Exported
from depth_ros.files import sha256_of


def test_the_tiny_network_parses_and_builds(tiny_fp32: Exported, tiny_fp16: Exported) -> None:
    for result, precision in zip(built(tiny_fp32, tiny_fp16), ('fp32', 'fp16'), strict=True):
        assert_built(result, precision)


def test_offsets_to_neighbours_build_at_the_size_of_an_image(tmp_path: Path) -> None:
    """The builder gave up on `//` and `%` of a large constant before a convolution."""
    import torch

    from depth_ros.models.bpnet import stage

    class Offsets(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(64, 2, 1, 1))

        def forward(self, index: Any) -> Any:
            offset = stage._offset(index, 1216, self.weight)
            return torch.nn.functional.conv2d(offset, self.weight)

    index = np.zeros((1, 4, 128 * 1216), np.int32)
    path = tmp_path / 'offsets.onnx'
    torch.onnx.export(
        Offsets(),
        (torch.from_numpy(index),),
        path,
        input_names=['index'],
        output_names=['sum'],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    network = Exported(path, sha256_of(path), '', 'offsets', 128, 1216, 'fp32', OPSET)
    network.write_sidecars({'index': index}, {'sum': index})
    [result] = built(network)
    assert result.get('error') is None
    assert result['bytes'] > 1000


def test_a_node_that_it_does_not_take_is_named(tmp_path: Path) -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node('NonZero', ['values'], ['found'], name='the_culprit')],
        'found',
        [helper.make_tensor_value_info('values', kinds.FLOAT, [4])],
        [helper.make_tensor_value_info('found', kinds.INT64, [1, 'n'])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    onnx.save(model, tmp_path / 'found.onnx')
    digest = sha256_of(tmp_path / 'found.onnx')
    network = Exported(tmp_path / 'found.onnx', digest, '', 'found', 1, 4, 'fp32', 18)
    network.write_sidecars({'values': np.zeros(4, np.float32)}, {'found': np.zeros((1, 0))})
    [result] = built(network)
    assert 'node the_culprit: ' in result['error']
