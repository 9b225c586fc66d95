"""What ships with the package: the weights of a run, ONNX, nothing left over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from depth_ros.errors import TrainingError
from depth_ros.models import lite
from depth_ros.training import ship as shipping
from depth_ros.training.result import write_result
from depth_ros.training.ship import ship

torch = pytest.importorskip('torch')
for library in ('onnx', 'onnxscript', 'onnxruntime', 'safetensors'):
    pytest.importorskip(library)

CONFIG = {'seed': 3, 'run.output': '/home/me', 'student.weights': '/home/me/before.safetensors'}


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a run; one small size is shipped."""
    torch.manual_seed(0)
    model = lite.build()
    torch.nn.init.normal_(model.pixels.weight, std=0.01)
    weights = tmp_path / 'best.safetensors'
    write_result(weights, model, {'step': 7, 'config': CONFIG})
    monkeypatch.setattr(lite, 'SIZES', ((32, 48),))
    return weights


def test_shipped_weights_are_those_of_the_run(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'shipped'
    folder.mkdir()
    (folder / 'lite-of-old-weights.onnx').touch()
    sizes = ship(trained, folder)
    assert {path.name for path in folder.iterdir()} == set(sizes)
    assert sum(name.endswith('.onnx') for name in sizes) == 1
    description = json.loads((folder / 'lite.json').read_bytes())
    assert description['step'] == 7
    assert description['config'] == {'seed': 3, 'student.weights': 'before.safetensors'}
    (exported,) = folder.glob('*.onnx')
    assert b'network.py' not in exported.read_bytes()  # no paths of this machine
    from depth_ros.weights.store import load

    inputs = [torch.from_numpy(values) for values in lite.golden_inputs(32, 48).values()]
    before, after = lite.build(), lite.build()
    load(before, trained)
    load(after, folder / 'lite.safetensors')
    with torch.no_grad():
        for said, wanted in zip(after(*inputs), before(*inputs), strict=True):
            np.testing.assert_array_equal(said, wanted)


def test_too_much_is_not_shipped(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, 'MAX_BYTES', 10**6)
    with pytest.raises(TrainingError, match='at most 1000000'):
        ship(trained, tmp_path / 'shipped')
