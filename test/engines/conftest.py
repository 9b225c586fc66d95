"""A tiny network, its weights, and what it exports to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.weights import registry


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkRequest]:
    """A request for the tiny network at 16x24 with weights on disk, registered as a family."""
    torch = pytest.importorskip('torch')
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, 'tiny', 'tiny_family')
        torch.manual_seed(0)
        weights = tmp_path_factory.mktemp('weights') / 'tiny.pth'
        torch.save({'net': registry.family('tiny').build().state_dict()}, weights)
        yield NetworkRequest('tiny', weights, height=16, width=24)


@pytest.fixture(scope='session')
def onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('onnx')


@pytest.fixture(scope='session')
def tiny_fp32(tiny: NetworkRequest, onnx_folder: Path) -> Exported:
    return _exported(tiny, onnx_folder)


@pytest.fixture(scope='session')
def tiny_fp16(tiny: NetworkRequest, onnx_folder: Path) -> Exported:
    return _exported(replace(tiny, precision='fp16'), onnx_folder)


def _exported(request: NetworkRequest, folder: Path) -> Exported:
    for library in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(library)
    from depth_ros.engines.export import export

    return export(request, folder)


@pytest.fixture(scope='session')
def bpnet_fp32(key_named_weights: Path, onnx_folder: Path) -> Exported:
    """BP-Net at 64x96, the size of the oracle. Its export takes most of a minute."""
    return _exported(NetworkRequest('bpnet', key_named_weights, 64, 96), onnx_folder)


@pytest.fixture(scope='session')
def bpnet_fp16(key_named_weights: Path, onnx_folder: Path) -> Exported:
    """The same in half precision; another minute."""
    return _exported(NetworkRequest('bpnet', key_named_weights, 64, 96, 'fp16'), onnx_folder)
