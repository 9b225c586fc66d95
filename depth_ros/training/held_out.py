"""Scores of a network on examples that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from depth_ros.evaluation.metrics import mae_mm, rmse_mm
from depth_ros.evaluation.uncertainty import coverage
from depth_ros.training.learner import Objective, on_device
from depth_ros.training.loader import Batch
from depth_ros.training.students import Prediction, Student
from depth_ros.training.team import Team

if TYPE_CHECKING:
    from torch import nn


def evaluate(
    student: Student,
    objective: Objective,
    model: nn.Module,
    batches: Iterable[Batch],
    team: Team,
) -> dict[str, float]:
    """Means over the examples of all processes, in fp32.

    The loss and its parts, `rmse_mm` and `mae_mm` of the depth, and, where the student states
    its uncertainty, the shares `coverage_1sigma` and `coverage_2sigma`. An example without any
    truth has only the first.

    Args:
        student: of the network.
        objective: what it learns.
        model: the network, in evaluation mode.
        batches: of this process.
        team: all processes, which must all call this.
    """
    import torch

    rows: list[dict[str, float]] = []
    with torch.no_grad():
        for cpu_batch in batches:
            batch = on_device(cpu_batch, team.device)
            prediction = student.predict(model, batch)
            loss, parts = objective.loss(prediction, batch)
            losses = {name: float(value) for name, value in {'loss': loss, **parts}.items()}
            rows += ({**losses, **scores} for scores in _scores(prediction, batch))
    return _means(team.gathered(rows))


def _scores(prediction: Prediction, batch: Batch) -> Iterator[dict[str, float]]:
    """The scores of each image."""
    depths_m = prediction.depths[-1][:, 0].cpu().numpy()
    sigmas_m = None
    if prediction.log_variance is not None:
        sigmas_m = depths_m * np.exp(0.5 * prediction.log_variance[:, 0].cpu().numpy())
    for i, truth_m in enumerate(batch['truth'][:, 0].cpu().numpy()):
        known = truth_m > 0
        if not known.any():
            yield {}
            continue
        scores = {'rmse_mm': rmse_mm(depths_m[i], truth_m), 'mae_mm': mae_mm(depths_m[i], truth_m)}
        if sigmas_m is not None:
            error_m, sigma_m = (depths_m[i] - truth_m)[known], sigmas_m[i][known]
            for k in (1, 2):
                scores[f'coverage_{k}sigma'] = coverage(error_m, sigma_m, k)
        yield scores


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each score over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
