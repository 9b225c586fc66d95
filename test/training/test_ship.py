"""What ships with the package: sigma scaled by held-out errors, ONNX, nothing left over."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import TrainingError
from depth_ros.models import lite
from depth_ros.settings import replaced
from depth_ros.training import ship as shipping
from depth_ros.training.config import TrainConfig
from depth_ros.training.result import write_result
from depth_ros.training.ship import ship, sigma_factor
from depth_ros.training.students import LiteStudent, Prediction
from depth_ros.training.train import Task

torch = pytest.importorskip('torch')
for library in ('onnx', 'onnxscript', 'onnxruntime', 'safetensors'):
    pytest.importorskip(library)
from toy_task import ToyExamples  # noqa: E402

from depth_ros.training.distill import LITE  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Sure:
    """A student that is off by 1 to 100 percent of 10 m and states a sigma of 1 m."""

    stride: int = 1

    def predict(self, model: Any, batch: Mapping[str, Any]) -> Prediction:
        depth_m = torch.full_like(batch['truth'], 10.0)
        return Prediction((depth_m,), torch.full_like(depth_m, 2 * math.log(0.1)))


def test_the_factor_holds_the_share_of_all_errors_within_two_sigma() -> None:
    """Errors of 0.01 to 1 m twice and of 0.02 to 2 m: 95.45 % of them are below 1.727 m."""
    errors_m = torch.linspace(0.01, 1.0, 100)
    truths = [10.0 - k * errors_m for k in (1.0, 1.0, 2.0)]
    nothing = torch.zeros(1, 1, 10, 10)
    batch = {'truth': torch.stack([t.reshape(1, 10, 10) for t in truths])}
    factor = sigma_factor(Sure(), torch.nn.Identity(), [batch, {'truth': nothing}])
    assert factor == pytest.approx(1.727 / 2, abs=0.01)
    with pytest.raises(TrainingError, match='No held-out example'):
        sigma_factor(Sure(), torch.nn.Identity(), [{'truth': nothing}])


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, TrainConfig]:
    """Weights of a run, and its settings; one small size is shipped."""
    torch.manual_seed(0)
    model = lite.build()
    torch.nn.init.normal_(model.head.weight, std=0.01)
    weights = tmp_path / 'best.safetensors'
    write_result(weights, model, {'step': 7, 'config': {'seed': 3, 'run.output': '/home/me'}})
    examples = ToyExamples()
    task = Task(LiteStudent(), examples, examples, LITE)
    monkeypatch.setattr(shipping, 'task', lambda config: task)
    monkeypatch.setattr(lite, 'SIZES', ((32, 48),))
    config = replaced(TrainConfig(), {'held_out.examples': 4})
    return weights, config


def test_shipped_weights_state_the_depth_of_the_run_and_another_sigma(
    trained: tuple[Path, TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, config = trained
    folder = tmp_path / 'shipped'
    monkeypatch.setattr(shipping, 'sigma_factor', lambda *arguments: 0.5)
    folder.mkdir()
    (folder / 'lite-of-old-weights.onnx').touch()
    sizes = ship(weights, config, folder)
    assert {path.name for path in folder.iterdir()} == set(sizes)
    assert sum(name.endswith('.onnx') for name in sizes) == 1
    description = json.loads((folder / 'lite.json').read_bytes())
    assert (description['step'], description['sigma_factor']) == (7, 0.5)
    assert description['config'] == {'seed': 3}
    (exported,) = folder.glob('*.onnx')
    assert b'network.py' not in exported.read_bytes()  # no paths of this machine
    from depth_ros.models.weights import load

    inputs = [torch.from_numpy(values) for values in lite.golden_inputs(32, 48).values()]
    before, after = lite.build(), lite.build()
    load(before, weights)
    load(after, folder / 'lite.safetensors')
    with torch.no_grad():
        depth, log_variance = before(*inputs)
        shipped, scaled = after(*inputs)
    np.testing.assert_allclose(shipped, depth, rtol=1e-6)
    np.testing.assert_allclose((0.5 * (scaled - log_variance)).exp(), 0.5, rtol=1e-4)


def test_too_much_is_not_shipped(
    trained: tuple[Path, TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, 'MAX_BYTES', 10**6)
    with pytest.raises(TrainingError, match='at most 1000000'):
        ship(*trained, tmp_path / 'shipped')
