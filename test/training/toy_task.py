"""A student of a few hundred numbers on made-up views: a run of it takes seconds.

As a program it trains with settings `NAME=VALUE`, for tests that kill it or start several.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from depth_ros.models.base import Arrays
from depth_ros.settings import replaced
from depth_ros.training import checkpoint
from depth_ros.training.config import TrainConfig
from depth_ros.training.distill import Objective
from depth_ros.training.examples import Example
from depth_ros.training.students import Prediction
from depth_ros.training.train import Task, train

REPOSITORY = Path(__file__).resolve().parents[2]
SETTINGS = {
    'schedule.steps': 60,
    'optimizer.batch': 4,
    'optimizer.lr': 0.02,
    'held_out.every': 20,
    'held_out.examples': 6,
    'run.workers': 0,
    'run.threads': 1,
    'run.log_every': 7,
    'run.checkpoint_every': 5,
}


class Network(nn.Module):
    """Batch norm for buffers, dropout for chance."""

    def __init__(self, batch_norm: bool = True) -> None:
        super().__init__()
        self.features = nn.Conv2d(4, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8) if batch_norm else nn.Identity()
        self.dropout = nn.Dropout(0.1 if batch_norm else 0.0)
        self.head = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, image: torch.Tensor, sparse: torch.Tensor) -> Any:
        x = torch.cat((image / 255, sparse / 10), 1)
        x = self.head(self.dropout(self.norm(self.features(x)).relu()))
        return 10 * nn.functional.softplus(x[:, :1]), x[:, 1:]


@dataclasses.dataclass(frozen=True)
class ToyStudent:
    stride: int = 4
    batch_norm: bool = True

    def build(self) -> nn.Module:
        return Network(self.batch_norm)

    def inputs(self, example: Example) -> Arrays:
        image = example.image.transpose(2, 0, 1).astype(np.float32)
        return {'image': image, 'sparse': example.sparse_m[None]}

    def predict(self, model: nn.Module, batch: Any) -> Prediction:
        depth_m, log_variance = model(batch['image'], batch['sparse'])
        return Prediction((depth_m,), log_variance)


@dataclasses.dataclass(frozen=True)
class ToyExamples:
    """Slopes whose depth is written in their red; `seed` decides what of it is measured."""

    count: int = 32
    first: int = 0
    pause_s: float = 0.0

    def __len__(self) -> int:
        return self.count

    def example(self, index: int, seed: int) -> Example:
        time.sleep(self.pause_s)
        rng = np.random.default_rng(self.first + index)
        slope, offset = rng.uniform(-0.2, 0.2, 2), rng.uniform(5, 9)
        v, u = np.mgrid[:16, :16] - 7.5
        truth_m = (offset + slope[0] * v + slope[1] * u).astype(np.float32)
        image = np.repeat(np.rint(truth_m * 20).astype(np.uint8)[..., None], 3, -1)
        measured = np.random.default_rng(seed).random(truth_m.shape) < 0.2
        return Example(image, np.where(measured, truth_m, np.float32(0)), truth_m, np.eye(3))


def toy_task(pause_s: float = 0.0, batch_norm: bool = True, laplace: float = 0.1) -> Task:
    return Task(
        ToyStudent(batch_norm=batch_norm),
        ToyExamples(pause_s=pause_s),
        ToyExamples(8, first=1000),
        Objective(l1=1.0, laplace=laplace),
    )


def toy_config(output: Path | str, **changes: Any) -> TrainConfig:
    """Toy settings; `schedule__steps=3` stands for `schedule.steps`."""
    named = {name.replace('__', '.'): value for name, value in changes.items()}
    config: TrainConfig = replaced(TrainConfig(), {**SETTINGS, 'run.output': str(output), **named})
    return config


def newest(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint of a folder holds of the student and its optimiser."""
    state = checkpoint.newest(folder)
    assert state is not None
    return state['learner']


def same(one: Any, other: Any) -> bool:
    """Whether two states are the same to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def rows(path: Path) -> list[dict[str, str]]:
    """A table without its times."""
    with path.open(newline='') as file:
        table = list(csv.DictReader(file))
    for row in table:
        del row['hours']
    return table


def start(folder: Path, *settings: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """This program in a process of its own, training into a folder."""
    command = [sys.executable, *launcher, __file__, f'run.output="{folder}"', *settings]
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get('PYTHONPATH'))))
    environment = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


def main(arguments: list[str]) -> None:
    changes = {name: json.loads(value) for name, _, value in (a.partition('=') for a in arguments)}
    task = toy_task(**{name: changes.pop(name) for name in list(changes) if '.' not in name})
    status = train(task, replaced(TrainConfig(), {**SETTINGS, **changes}))
    sys.stdout.write(f'{status.ended}\n')


if __name__ == '__main__':
    main(sys.argv[1:])
