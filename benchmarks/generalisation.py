"""Completion on every set, with every kind of LiDAR: one table, the worst rows first.

Run: python3 benchmarks/generalisation.py [--json FILE] [--only fit|judge|simulated]
     [--set NAME ...] [--images 6] [--method lite]
Real sets lie in $DEPTH_ROS_DATA (default ../shared) data/; real_sets.py says which ones constants
may be fitted on, and which ones judge. Claims come from those, and from the worst row of all.
`--only simulated` takes rigs of the simulator instead, where every pixel has truth: lenses, sizes
and edges that no real set has. Networks of ours learned in such worlds, of other seeds.

Each set is given with all its scan lines, 32, 16 and 8 of them, as a rosette, and as 500, 200 and
100 points, to the method that is judged (`--method`) and to what it has to beat (`RIVALS`),
without and with online calibration of sigma. Without truth, returns that no row gets judge.

`ratio` is that of the judged method to the best of its rivals, and rows go by it, the worst
first. A second table has the error by the distance to the next return; the last lines count on
how many rows the default is to be what it should.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from real_sets import FIT, JUDGE, ROOT, part_of, spread

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.open import open_dataset
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import DepthRosError
from depth_ros.evaluation.ablation import BASELINES, Trial, ablate, thinnings
from depth_ros.evaluation.evaluate import Evaluation
from depth_ros.evaluation.report import markdown, write_json
from depth_ros.evaluation.support import EDGES_PX
from depth_ros.evaluation.thinning import Thinning
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import PipelineConfig

RIVALS = ('guided', *BASELINES)
EXTRA = (Thinning(rosette=True), *(Thinning(points=count) for count in (500, 200, 100)))
TRUTH_M = 85.0
"""Truth ends here: the farthest of KITTI's is at 85 m; the simulator's has no end."""
GAUSS = 0.683, 0.954
SIMULATED: dict[str, dict[str, Any]] = {
    'sim_street': {'scene': 'street', 'width': 1242, 'height': 375, 'fov_deg': 81.0},
    'sim_yard': {'scene': 'yard', 'width': 848, 'height': 480, 'fov_deg': 69.0},
    'sim_room': {'scene': 'indoor', 'width': 640, 'height': 480, 'fov_deg': 69.0},
    'sim_warehouse': {'scene': 'warehouse', 'width': 1280, 'height': 720, 'fov_deg': 69.0},
    'sim_street_fisheye': {
        'scene': 'street',
        'lens': 'equidistant',
        'fov_deg': 118.0,
        'width': 1280,
        'height': 960,
    },
    'sim_street_4k': {'scene': 'street', 'width': 3840, 'height': 2160, 'fov_deg': 90.0},
}
"""Rigs of the simulator with a LiDAR of 64 rings, by name; of a seed that nothing learned from."""
_SEED = 7001
_FRAMES, _RATE_HZ = 40, 2.0  # 20 s of driving
BINS = [f'{low:g}-{high:g} px' for low, high in itertools.pairwise(EDGES_PX)]


@dataclass(frozen=True)
class Some:
    """Some of the samples of a dataset, spread over it; truth ends where LiDAR sees little."""

    whole: Dataset
    images: int

    @property
    def name(self) -> str:
        """That of the dataset."""
        return self.whole.name

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Those of the dataset."""
        return self.whole.camera_names

    def __len__(self) -> int:
        return min(self.images, len(self.whole))

    def sample(self, index: int) -> Sample:
        """One of them."""
        sample = self.whole.sample(spread(len(self.whole), self.images)[index])
        truth_m = sample.depth_gt_m
        if truth_m is None:
            return sample
        return replace(sample, depth_gt_m=np.where(truth_m <= TRUTH_M, truth_m, np.float32(0)))


def opened(name: str) -> Dataset:
    """A set by its name; errors are those of `open_dataset`."""
    if name in SIMULATED:
        return Simulator(frames=_FRAMES, rate_hz=_RATE_HZ, seed=_SEED, **SIMULATED[name])
    return open_dataset(str(ROOT / 'data' / name))


def steps_of(sample: Sample) -> tuple[Thinning, ...]:
    """What is left of the LiDAR of a set, row by row."""
    lines = [step for step in thinnings(sample) if step.points is None]
    return (*lines, *EXTRA)


def rows_of(name: str, trials: Sequence[Trial], method: str) -> list[dict[str, Any]]:
    """A row per LiDAR and kind of truth of one set: the method, its rivals, and its sigma."""
    rows = []
    for step in dict.fromkeys(trial.thinning for trial in trials):
        of_step = {trial.raw.method: trial for trial in trials if trial.thinning == step}
        for raw in of_step[method].raw.by_truth():
            rivals = {
                rival: _same(of_step[rival].raw, raw.truth) for rival in RIVALS if rival != method
            }
            calibrated = of_step[method].calibrated
            assert calibrated is not None
            rows.append(_row(name, step, raw, _same(calibrated, raw.truth), rivals))
    return rows


def _same(evaluation: Evaluation, truth: str) -> Evaluation:
    """The part of an evaluation that one kind of truth judged."""
    return next(part for part in evaluation.by_truth() if part.truth == truth)


def _row(
    name: str,
    step: Thinning,
    raw: Evaluation,
    calibrated: Evaluation,
    rivals: dict[str, Evaluation],
) -> dict[str, Any]:
    ours = raw.scores
    best = {
        key: min(getattr(rival.scores, key) for rival in rivals.values())
        for key in ('rmse_filled_mm', 'mae_filled_mm')
    }
    return {
        'set': name,
        'part': 'simulated' if name in SIMULATED else part_of(name),
        'LiDAR': step.label,
        'judged by': raw.truth,
        'images': len(raw.images),
        'rmse_ratio': ours.rmse_filled_mm / best['rmse_filled_mm'],
        'mae_ratio': ours.mae_filled_mm / best['mae_filled_mm'],
        'rmse_filled_mm': ours.rmse_filled_mm,
        'mae_filled_mm': ours.mae_filled_mm,
        'boundary_f1': ours.boundary_f1,
        'raw_coverage_1sigma': ours.coverage_1sigma,
        'raw_coverage_2sigma': ours.coverage_2sigma,
        'coverage_1sigma': calibrated.scores.coverage_1sigma,
        'coverage_2sigma': calibrated.scores.coverage_2sigma,
        'ause': ours.ause,
        'nll': ours.nll,
        'total_ms': raw.ms['total'],
        'support': raw.support._asdict(),
        'rivals': {
            rival: {
                'rmse_filled_mm': found.scores.rmse_filled_mm,
                'mae_filled_mm': found.scores.mae_filled_mm,
                'boundary_f1': found.scores.boundary_f1,
                'total_ms': found.ms['total'],
                'support': found.support._asdict(),
            }
            for rival, found in rivals.items()
        },
    }


def worse(row: dict[str, Any]) -> float:
    """By what rows are sorted: the worse of the two ratios."""
    return max(row['rmse_ratio'], row['mae_ratio'])


def accuracy(rows: Sequence[dict[str, Any]]) -> str:
    """The first table."""
    shown = []
    for row in rows:
        rivals = row['rivals']
        shown.append(
            {key: row[key] for key in ('set', 'part', 'LiDAR', 'judged by', 'images')}
            | {key: row[key] for key in ('rmse_ratio', 'mae_ratio')}
            | {key: row[key] for key in ('rmse_filled_mm', 'mae_filled_mm')}
            | {name: _pair(rivals[name]) for name in rivals}
            | {'boundary_f1': row['boundary_f1']}
            | {f'F1 of {name}': rivals[name]['boundary_f1'] for name in rivals if name == 'guided'}
            | {key: row[key] for key in ('raw_coverage_1sigma', 'raw_coverage_2sigma')}
            | {key: row[key] for key in ('coverage_1sigma', 'coverage_2sigma', 'ause', 'nll')}
            | {'total_ms': row['total_ms']}
        )
    return markdown(shown)


def _pair(rival: dict[str, Any]) -> str:
    return f'{rival["rmse_filled_mm"]:.0f}/{rival["mae_filled_mm"]:.0f}'


def distances(rows: Sequence[dict[str, Any]]) -> str:
    """The second table: median signed error in per cent and RMSE, by distance to a return."""
    shown = []
    for row in rows:
        line: dict[str, Any] = {key: row[key] for key in ('set', 'LiDAR')}
        for index, name in enumerate(BINS):
            bias, rmse_mm = row['support']['bias'][index], row['support']['rmse_mm'][index]
            known = not np.isnan(bias)
            line[name] = f'{100 * bias:+.1f} %, {rmse_mm:.0f} mm' if known else None
        shown.append(line)
    return markdown(shown)


def promises(rows: Sequence[dict[str, Any]]) -> list[str]:
    """On how many rows the method is no worse than all its rivals, and sigma is what it says."""
    ratios = np.array([worse(row) for row in rows])
    raw, calibrated = (
        np.array([[row[f'{kind}coverage_{k}sigma'] for k in (1, 2)] for row in rows])
        for kind in ('raw_', '')
    )
    bias = np.array([row['support']['bias'] for row in rows])
    lost = np.abs(calibrated - GAUSS) - np.abs(raw - GAUSS)
    return [
        f'{len(rows)} rows',
        f'RMSE and MAE at most 1.00 of the best rival: {_share(ratios <= 1.0)}; '
        f'at most 1.05: {_share(ratios <= 1.05)}; worst {ratios.max():.3f}',
        f'raw sigma covers {_covers(raw, (0.58, 0.90), (0.78, 0.98))}; '
        f'{_covers(raw, (0.50, 0.85), (0.85, 0.99))}',
        f'calibrated sigma covers {_covers(calibrated, (0.62, 0.92), (0.74, 0.97))}; '
        f'no more than 0.03 farther off than raw: {_share((lost <= 0.03).all(axis=1))}',
        'median signed error within 2 %: '
        + ', '.join(
            f'{name} {_share(np.abs(column[~np.isnan(column)]) <= 0.02)}'
            for name, column in zip(BINS, bias.T, strict=True)
        ),
    ]


def _covers(values: Any, low: tuple[float, float], high: tuple[float, float]) -> str:
    """On how many rows the shares (N, 2) within 1 and 2 sigma are in their ranges."""
    spans = ' and '.join(f'{a:.2f}-{b:.2f}' for a, b in zip(low, high, strict=True))
    return f'{spans}: {_share(((values >= low) & (values <= high)).all(axis=1))}'


def _share(holds: Any) -> str:
    return f'{np.count_nonzero(holds)} of {len(holds)}'


def main() -> None:
    """Print the tables and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--method', default='lite', choices=tuple(METHODS), help='that is judged')
    parts = {'fit': FIT, 'judge': JUDGE, 'simulated': tuple(SIMULATED)}
    parser.add_argument('--only', choices=tuple(parts), help='which sets (default: fit and judge)')
    parser.add_argument('--set', nargs='*', metavar='NAME', help='these sets alone')
    parser.add_argument('--images', type=int, default=6, help='of a set (default 6)')
    parser.add_argument('--json', type=Path, help='file for all rows and all methods')
    options = parser.parse_args()
    sets = options.set or (parts[options.only] if options.only else FIT + JUDGE)
    names = list(dict.fromkeys((options.method, *RIVALS)))
    configs = [PipelineConfig(method=name) for name in names]
    rows: list[dict[str, Any]] = []
    for name in sets:
        try:
            dataset = Some(opened(name), options.images)
            trials = ablate(dataset, configs, steps_of(dataset.sample(0)))
        except DepthRosError as error:
            sys.exit(f'{name}: {error}')
        rows += rows_of(name, trials, options.method)
        print(f'{name}: {len(rows)} rows', file=sys.stderr)
    rows.sort(key=worse, reverse=True)
    print(accuracy(rows), distances(rows), '\n'.join(promises(rows)), sep='\n\n')
    if options.json:
        write_json(options.json, rows)


if __name__ == '__main__':
    main()
