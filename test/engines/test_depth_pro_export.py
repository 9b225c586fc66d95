"""Depth Pro in ONNX: against PyTorch, and in front of NVIDIA's parser and builder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rtx import assert_built, built
from tiny_depth_pro import FAMILIES, SMALL, key_named

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.weights import registry

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxscript')
pytest.importorskip('onnxruntime')

import onnx
import torch

pytestmark = pytest.mark.slow

CASES = [
    ('small_depth_pro_fov', 'fp32'),
    ('small_depth_pro', 'fp16'),
    ('small_depth_pro_fov', 'fp16_all'),
]


@pytest.fixture(scope='module')
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Exported]]:
    """The small network, by family and precision; each is exported once, in some seconds."""
    from depth_ros.engines.export import export

    folder = tmp_path_factory.mktemp('depth_pro')
    torch.set_num_threads(1)
    torch.save(key_named(SMALL).state_dict(), folder / 'depth_pro.pt')
    with pytest.MonkeyPatch.context() as patch:
        for name in FAMILIES:
            patch.setitem(registry.FAMILIES, name, 'tiny_depth_pro')
        yield lambda name, precision: export(request(folder, name, precision), folder)


def request(folder: Path, name: str, precision: str) -> NetworkRequest:
    return NetworkRequest(name, folder / 'depth_pro.pt', 512, 512, precision)


@pytest.mark.parametrize(('name', 'precision'), CASES)
def test_onnx_runtime_is_pytorch(
    name: str, precision: str, exported: Callable[..., Exported]
) -> None:
    """On an image that is not the golden one, with which `export` compares."""
    network = exported(name, precision)
    image = np.random.default_rng(1).standard_normal((1, 3, 512, 512)).astype(np.float32)
    in_torch = TorchEngine(request(network.onnx.parent, name, precision), threads=1)
    outputs = OnnxRuntimeEngine(network, threads=1).infer({'image': image})
    assert tuple(outputs) == FAMILIES[name].OUTPUTS
    tolerance = 1e-5 if precision == 'fp32' else 2e-3
    for output, wanted in in_torch.infer({'image': image}).items():
        assert outputs[output].dtype == np.float32
        np.testing.assert_allclose(outputs[output], wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(('name', 'precision'), CASES)
def test_graph_has_no_node_per_window(
    name: str, precision: str, exported: Callable[..., Exported]
) -> None:
    """35 windows are cut out by a gather for each axis and level, and joined by a few more."""
    model = onnx.load(exported(name, precision).onnx)
    transformers = 3 if name.endswith('fov') else 2
    count = Counter(node.op_type for node in model.graph.node)
    assert count['Softmax'] == transformers * SMALL.depth
    assert count['Resize'] == 2
    assert count['Gather'] <= 20
    assert count['Concat'] <= 8 + 1 + 1 + transformers
    assert not count.keys() & {'Loop', 'If', 'Scan', 'ScatterND', 'NonZero', 'Range'}


def test_it_parses_and_builds_with_tensorrt(exported: Callable[..., Exported]) -> None:
    pytest.importorskip('tensorrt_rtx', reason='TensorRT for RTX is not installed')
    networks = [exported(*case) for case in CASES]
    for result, (_, precision) in zip(built(*networks), CASES, strict=True):
        assert_built(result, precision)
        assert result['bytes'] > 1_000_000
