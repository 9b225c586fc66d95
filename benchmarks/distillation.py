"""What the two stages of distillation bring: DMD3C's claim in small, with its ablation.

Run: python3 benchmarks/distillation.py [-o out/distillation] [--steps 800]. It needs the extra
`train`. A run that was interrupted goes on.

The student is `lite`. Stage 1 learns from images of procedural scenes, the depth that a teacher
with the faults of a monocular network states of them (`teachers.Disturbed`), and LiDAR simulated
in that. The «real» domain is another world: the simulator's street, whose textures, shading and
16-beam LiDAR stage 1 has never seen; a tenth of its pixels have truth. Stage 2 learns from 32
frames of it, with the teacher's depth of those. Judged are 24 frames of other streets, by the
exact truth of all pixels up to 80 m.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from depth_ros.cli.progress import ProgressBar
from depth_ros.datasets.simulator import Simulator
from depth_ros.evaluation.report import table
from depth_ros.settings import replaced
from depth_ros.training.augment import Augmentation
from depth_ros.training.config import TrainConfig
from depth_ros.training.distill import LITE, LITE_FINETUNING, Objective
from depth_ros.training.examples import Example, Examples
from depth_ros.training.shards import ShardConfig, Shards, make_shards
from depth_ros.training.stages import Finetuning, Pretraining, Scenes
from depth_ros.training.students import LiteStudent
from depth_ros.training.tasks import LOWEST
from depth_ros.training.teachers import Disturbed
from depth_ros.training.train import Task, train

SIZE = (96, 192)  # of the examples
REAL = {'width': 384, 'height': 208, 'sweep.beams': 16, 'sweep.azimuth_step_deg': 0.4}
STREETS, FRAMES = 4, 8  # of each street; they are 3 s apart
JUDGED = (100, 101, 102)
MAX_DEPTH_M = 80.0  # as KITTI's truth; RMSE would know nothing but the horizon
TEACHER = Disturbed()
SHARDS = ShardConfig(shards=60, height=128, width=256, indoor_share=0.0, seed=7)


class Trial(NamedTuple):
    """A way to train: whether it begins with stage 1, and what stage 2 makes small, if any."""

    name: str
    starts_from_stage_1: bool
    objective: Objective | None


TRIALS = (
    Trial('both stages', True, LITE_FINETUNING),
    Trial('stage 1 alone', True, None),
    Trial('no stage 1', False, LITE_FINETUNING),
    Trial('no SSI', True, dataclasses.replace(LITE_FINETUNING, ssi=0.0)),
    Trial('no gradient term', True, dataclasses.replace(LITE_FINETUNING, gradient=0.0)),
    Trial('neither of the teacher’s terms', True, LITE),
)


class Joined:
    """Several sources of examples as one, with truth up to `MAX_DEPTH_M`."""

    def __init__(self, parts: list[Examples]) -> None:
        self._places = [(part, i) for part in parts for i in range(len(part))]

    def __len__(self) -> int:
        return len(self._places)

    def example(self, index: int, seed: int) -> Example:
        """Example `index` of all, as its source makes it."""
        part, number = self._places[index]
        example = part.example(number, seed)
        near_m = np.where(example.truth_m < MAX_DEPTH_M, example.truth_m, np.float32(0))
        return dataclasses.replace(example, truth_m=near_m)


def streets(seeds: tuple[int, ...], augmentation: Augmentation, share: float) -> Joined:
    """Frames of the «real» domain, truth at a share of the pixels, and the teacher's depth."""
    return Joined(
        [
            Finetuning(
                Simulator(seed=seed, frames=FRAMES, rate_hz=1 / 3, **REAL),
                dataclasses.replace(TEACHER, seed=seed),
                augmentation,
                share=share,
            )
            for seed in seeds
        ]
    )


def main() -> None:
    """Train every trial and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('-o', '--output', type=Path, default=Path('out/distillation'))
    parser.add_argument('--steps', type=int, default=800, help='of stage 1; stage 2 takes half')
    arguments = parser.parse_args()
    with ProgressBar('scenes') as progress:
        make_shards(arguments.output / 'shards', SHARDS, workers=2, progress=progress)
    whole = Augmentation(REAL['height'], REAL['width'], top=LOWEST, flip=0.0, colour=0.0)
    held_out = streets(JUDGED, whole, share=1.0)
    crops = Augmentation(*SIZE, top=0, flip=0.5, colour=0.1)
    real = streets(tuple(range(STREETS)), crops, share=0.1)
    scenes = Pretraining(Scenes(Shards(arguments.output / 'shards')), TEACHER, *SIZE)

    def trained(name: str, examples: Examples, objective: Objective, **changes: object) -> Path:
        folder = arguments.output / name.replace(' ', '_')
        config = replaced(TrainConfig(), {'run.output': str(folder), **COMMON, **changes})
        with ProgressBar(name) as progress:
            task = Task(LiteStudent(), examples, held_out, objective)
            scores[name] = train(task, config, progress=progress).scores
        return folder / 'last.safetensors'

    scores: dict[str, dict[str, float]] = {}
    steps = arguments.steps
    stage_1 = trained(
        'stage 1 alone', scenes, LITE, **{'schedule.steps': steps, 'held_out.every': steps}
    )
    stage_2 = {'schedule.steps': steps // 2, 'held_out.every': steps // 2, 'optimizer.lr': 1e-3}
    for trial in TRIALS:
        if trial.objective is not None:
            start = {'student.weights': str(stage_1)} if trial.starts_from_stage_1 else {}
            trained(trial.name, real, trial.objective, **stage_2, **start)
    best = scores['stage 1 alone']['rmse_mm']
    rows = [
        {
            'trained': trial.name,
            'RMSE mm': f'{scores[trial.name]["rmse_mm"]:.0f}',
            'MAE mm': f'{scores[trial.name]["mae_mm"]:.0f}',
            'RMSE to stage 1': f'{scores[trial.name]["rmse_mm"] / best:.3f}',
        }
        for trial in TRIALS
    ]
    print(table(rows))


COMMON = {
    'optimizer.lr': 3e-3,
    'optimizer.weight_decay': 0.01,
    'optimizer.clip': 1.0,
    'optimizer.batch': 8,
    'optimizer.average': 0.98,
    'schedule.kind': 'cosine',
    'held_out.examples': 0,
    'run.workers': 0,
    'run.checkpoint_every': 100,
}

if __name__ == '__main__':
    main()
