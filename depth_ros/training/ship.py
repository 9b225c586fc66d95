"""The weights of `lite` as the package ships them: with an honest sigma, and as ONNX."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.export import export
from depth_ros.errors import TrainingError
from depth_ros.models import lite
from depth_ros.models.weights import load
from depth_ros.training import loader
from depth_ros.training.config import FREE, TrainConfig
from depth_ros.training.loader import Batch
from depth_ros.training.result import write_result
from depth_ros.training.students import Student
from depth_ros.training.tasks import task

if TYPE_CHECKING:
    from torch import nn

WITHIN = 0.9545
"""Share of the errors that shall be within two sigma: that of a Gaussian. It is read there, as the
pipeline's calibration does, since errors have heavier tails than a Gaussian."""
_PIXELS = 2000
"""So many of each example count, evenly spread, so that all count the same."""
GOLDEN_STEP = 16
"""Of golden outputs this much is shipped, so that they are smaller than the network."""
MAX_BYTES = 12 * 10**6
"""All that is shipped, together."""


def ship(weights: Path, config: TrainConfig, folder: Path = lite.SHIPPED) -> dict[str, int]:
    """Write weights, their description and the network as ONNX at `lite.SIZES` into a folder.

    Sigma is scaled first, all of it by one factor, so that `WITHIN` of the errors in held-out
    examples lie within two of it: a likelihood counts the mean of the errors.

    Args:
        weights: result of a run, with its description beside it.
        config: settings of the run; its held-out examples decide the factor.
        folder: ONNX files of other weights of `lite` in it are removed at the end.

    Returns:
        Size of each file in bytes.

    Raises:
        TrainingError: the files are larger than `MAX_BYTES`.
        ModelError: the weights are not those of the network.
        EngineError: the network cannot be exported.
    """
    model = lite.build()
    load(model, weights)
    description = json.loads(weights.with_suffix('.json').read_bytes())
    description['trained_sha256'] = description.pop('weights_sha256')
    description['config'] = {
        name: value
        for name, value in description['config'].items()
        if name != 'data.path' and not name.startswith(FREE)
    }
    learned = task(config)
    count = min(config.held_out.examples or len(learned.held_out), len(learned.held_out))
    plan = loader.held_out_plan(config.seed, count, config.optimizer.batch)
    batches = loader.load(learned.student, learned.held_out, plan)
    factor = sigma_factor(learned.student, model, batches)
    _scale_sigma(model, factor)

    shipped = folder / lite.WEIGHTS.name
    write_result(shipped, model, {**description, 'sigma_factor': round(factor, 4)})
    kept = [shipped, shipped.with_suffix('.json')]
    for height, width in lite.SIZES:
        request = NetworkRequest('lite', shipped, height, width)
        exported = export(request, folder, golden_step=GOLDEN_STEP)
        stem = exported.onnx
        kept += [stem, stem.with_suffix('.golden.npz'), stem.with_suffix('.json')]
    sizes = {path.name: path.stat().st_size for path in kept}
    if sum(sizes.values()) > MAX_BYTES:
        raise TrainingError(f'{folder} takes {sum(sizes.values())} bytes; at most {MAX_BYTES}.')
    for path in folder.glob('lite-*'):
        if path not in kept:
            path.unlink()
    return sizes


def sigma_factor(student: Student, model: nn.Module, batches: Iterable[Batch]) -> float:
    """What sigma must be multiplied by for `WITHIN` of the errors to lie within two of it.

    Raises:
        TrainingError: no example has truth, or the student states no log-variance.
    """
    import torch

    ratios: list[npt.NDArray[np.floating]] = []
    for batch in batches:
        with torch.no_grad():
            prediction = student.predict(model, batch)
        if prediction.log_variance is None:
            raise TrainingError('Only a student that states a log-variance has a sigma.')
        depth_m = prediction.depths[-1]
        sigma_m = depth_m * (0.5 * prediction.log_variance).exp()
        errors = (depth_m - batch['truth']).abs() / sigma_m
        for error, known in zip(errors, batch['truth'] > 0, strict=True):
            found = error[known].numpy()
            ratios.append(found[:: max(1, len(found) // _PIXELS)][:_PIXELS])
    if not any(map(len, ratios)):
        raise TrainingError('No held-out example has truth.')
    return float(np.quantile(np.concatenate(ratios), WITHIN)) / 2


def _scale_sigma(model: nn.Module, factor: float) -> None:
    """Multiply the sigma that `lite` states by a factor: its log-variance is the last channel."""
    import torch

    with torch.no_grad():
        model.head.bias[-1] += 2 * math.log(factor)
