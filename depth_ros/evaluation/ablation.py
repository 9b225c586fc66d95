"""How a method copes with less LiDAR, next to others and as a ratio to the published baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.errors import DatasetError, EvaluationError
from depth_ros.evaluation.evaluate import Evaluation, evaluate
from depth_ros.evaluation.metrics import Scores
from depth_ros.evaluation.protocols import Protocol
from depth_ros.evaluation.thinning import Thinning, lines_of
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.methods.nearest import Nearest
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.settings import replaced

BASELINE = IpBasic.name
"""The published one, to which ratios are taken."""
BASELINES = (BASELINE, Nearest.name)
"""The second leaves nothing empty, where the windows of the first end."""
LINES = (64, 32, 16, 8)
POINTS = (500, 100)


@dataclass(frozen=True)
class Trial:
    """A method on a dataset with less LiDAR.

    Attributes:
        thinning: what was left of it.
        raw: all of that given to the method, sigma as the method states it.
        calibrated: a few returns held out and sigma calibrated online by them; None under a
            protocol, which gives all returns to the method.
    """

    thinning: Thinning
    raw: Evaluation
    calibrated: Evaluation | None


def thinnings(sample: Sample) -> tuple[Thinning, ...]:
    """The rows of a table for data like this sample: all lines and `LINES`, if any, `POINTS`."""
    beams = _beam_count(sample)
    fewer = [count for count in LINES if count < beams]
    steps = [Thinning(lines=count) for count in ([beams, *fewer] if beams else [])]
    has_lidar = sample.frame.points is not None or sample.frame.sparse_m is not None
    if has_lidar and not steps:
        steps = [Thinning()]
    return (*steps, *(Thinning(points=count) for count in POINTS))


def ablate(
    dataset: Dataset,
    configs: Sequence[PipelineConfig],
    steps: Sequence[Thinning],
    *,
    seed: int = 0,
    protocol: Protocol | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """Judge every method at every step, without and with online calibration of sigma.

    Args:
        dataset: images; without truth, returns that no step gets judge all of them.
        configs: settings of the pipeline, one for each method.
        steps: what is left of the LiDAR.
        seed: of random points.
        protocol: of a benchmark, or None.
        progress: `progress(done, of)` is called after each method at each step.

    Raises:
        EvaluationError: as `evaluate`.
    """
    trials: list[Trial] = []
    for step in steps:
        judge = partial(
            evaluate, dataset, seed=seed, thinning=step, beside=steps, protocol=protocol
        )
        for config in configs:
            raw = judge(replaced(config, {'calibration.enabled': False}))
            calibrated = None
            if protocol is None:
                calibrated = judge(replaced(config, {'calibration.enabled': True}))
            trials.append(Trial(step, raw, calibrated))
            if progress is not None:
                progress(len(trials), len(steps) * len(configs))
    return trials


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The trials for `report.table`: accuracy, its ratio to `BASELINE`, and what sigma is worth.

    Accuracy, AUSE and time are those of the raw trial, in which missing estimates are filled;
    ratios are None where the baseline was not tried.
    """
    baseline = {
        (trial.thinning, raw.truth): raw.scores
        for trial in trials
        for raw in trial.raw.by_truth()
        if raw.method == BASELINE
    }
    return [
        _row(trial, raw, baseline.get((trial.thinning, raw.truth)))
        for trial in trials
        for raw in trial.raw.by_truth()
    ]


def _row(trial: Trial, raw: Evaluation, baseline: Scores | None) -> dict[str, Any]:
    """A trial on the images that one kind of truth judged."""
    scores, calibrated = raw.scores, None
    if trial.calibrated is not None:
        parts = {part.truth: part.scores for part in trial.calibrated.by_truth()}
        calibrated = parts.get(raw.truth)
    return {
        'LiDAR': trial.thinning.label,
        'method': raw.method,
        'judged by': raw.truth,
        'images': len(raw.images),
        'skipped': len(raw.lost),
        'rmse_filled_mm': scores.rmse_filled_mm,
        'mae_filled_mm': scores.mae_filled_mm,
        'rmse_ratio': scores.rmse_filled_mm / baseline.rmse_filled_mm if baseline else None,
        'mae_ratio': scores.mae_filled_mm / baseline.mae_filled_mm if baseline else None,
        'density': scores.density,
        'ause': scores.ause,
        'raw_coverage_1sigma': scores.coverage_1sigma,
        'raw_coverage_2sigma': scores.coverage_2sigma,
        'coverage_1sigma': calibrated.coverage_1sigma if calibrated else None,
        'coverage_2sigma': calibrated.coverage_2sigma if calibrated else None,
        'total_ms': raw.ms['total'],
    }


def _beam_count(sample: Sample) -> int:
    """Scan lines of the LiDAR, 0 if it has none that can be told apart."""
    try:
        return lines_of(sample)[1]
    except (DatasetError, EvaluationError):
        return 0
