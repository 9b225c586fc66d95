"""The training loop.

What decides a step follows from the settings and the number of the step; all else is in the
checkpoint. So a run that was ended anyhow, `kill -9` included, and goes on from its last
checkpoint becomes the run that was never ended: on a CPU, to the last bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from depth_ros.engines.cpu import import_torch
from depth_ros.engines.lock import locked
from depth_ros.errors import ConfigError
from depth_ros.settings import flatten
from depth_ros.training import checkpoint
from depth_ros.training.config import TrainConfig, differences
from depth_ros.training.examples import Examples
from depth_ros.training.held_out import evaluate
from depth_ros.training.learner import Learner, Objective
from depth_ros.training.loader import Batch, held_out_plan, load, training_plan, worker_errors
from depth_ros.training.log import Log, Means
from depth_ros.training.result import machine, write_result
from depth_ros.training.students import Student
from depth_ros.training.team import Team, joined

PATIENCE_S = 15.0
"""A run that was killed holds its folder until its workers have noticed."""


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        student: the network.
        examples: what it learns from.
        held_out: other examples, which tell how good it is.
        objective: what it is to make small.
    """

    student: Student
    examples: Examples
    held_out: Examples
    objective: Objective


@dataclass
class Status:
    """How far a run is, besides what its `Learner` knows.

    Attributes:
        hours: of work, over all its sessions.
        best: lowest score so far.
        scores: of the last evaluation.
        judged: step of the last evaluation.
        means: for the next row of the log.
        ended: why it ended: 'steps', 'hours', or 'stopped'; empty while it goes on.
    """

    hours: float = 0.0
    best: float = math.inf
    scores: dict[str, float] = field(default_factory=dict)
    judged: int = 0
    means: Means = field(default_factory=Means)
    ended: str = ''


def train(
    task: Task,
    config: TrainConfig,
    *,
    progress: Callable[[int, int], None] | None = None,
    evaluated: Callable[[int, dict[str, float]], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Status:
    """Train until the steps or the hours are used up, from the newest checkpoint if there is one.

    The folder `run.output` gets checkpoints, `train.csv`, `held_out.csv`, and the moving average
    of the weights with a description, `best.safetensors` and `last.safetensors` with `.json`.

    Args:
        task: what is learned.
        config: how.
        progress: `progress(done, of)` is called after each step.
        evaluated: called with the step and the scores of each evaluation.
        stop: asked before each step; once it says yes, a checkpoint is written and that is all.

    Raises:
        ConfigError: there is no `run.output`, or it holds a run with other settings; they are
            named.
        TrainingError: examples cannot be made, a worker died, or the loss is not finite.
        EngineError: another process trains in this folder.
        MissingDependencyError: a library of the extra `train` is not installed.
        OSError: the folder cannot be written.
    """
    if not config.run.output:
        raise ConfigError('run.output must name a folder.')
    with contextlib.ExitStack() as stack:
        team = stack.enter_context(joined(config.run.device))
        stack.enter_context(_threads(config.run.threads))
        stack.enter_context(worker_errors())
        if team.leads:
            stack.enter_context(locked(Path(config.run.output) / 'lock', PATIENCE_S))
        run = _Run(task, config, team)
        batches = stack.enter_context(contextlib.closing(run.batches()))
        while not (ended := run.end(stop)):
            run.learn(itertools.islice(batches, config.optimizer.accumulate))
            step = run.learner.step
            if step % config.run.log_every == 0:
                run.write_means()
            if judging := step % config.held_out.every == 0:
                run.judge(evaluated)
            if judging or step % config.run.checkpoint_every == 0:
                run.save()
            if progress and team.leads:
                progress(step, config.schedule.steps)
        if ended != 'stopped':
            if run.status.judged != run.learner.step:
                run.judge(evaluated)
            run.keep('last')
        run.save()
        run.close()
        return dataclasses.replace(run.status, ended=ended)


class _Run:
    """What the loop is made of. Only the first process of a team writes."""

    def __init__(self, task: Task, config: TrainConfig, team: Team) -> None:
        self._task, self._config, self._team = task, config, team
        self._folder = Path(config.run.output)
        self.learner = Learner(task.student, task.objective, config, team)
        self.status = _resumed(self._folder, config, self.learner)
        self._log: Log | None = None
        if team.leads:
            self._log = Log(self._folder, self.learner.step, config.run.tensorboard)
        self._start_s = time.monotonic() - 3600 * self.status.hours

    def batches(self) -> Generator[Batch, None, None]:
        """The batches of all steps that are left."""
        task, team, optimizer = self._task, self._team, self._config.optimizer
        first, last = (
            step * optimizer.accumulate
            for step in (self.learner.step, self._config.schedule.steps)
        )
        plan = training_plan(
            self._config.seed,
            len(task.examples),
            optimizer.batch,
            range(first, last),
            team.rank,
            team.size,
        )
        return load(task.student, task.examples, plan, self._config.run.workers, team.on_gpu)

    def end(self, stop: Callable[[], bool]) -> str:
        """Why to end before the next step; all processes get the same answer, '' = go on."""
        self.status.hours = (time.monotonic() - self._start_s) / 3600
        if self.learner.step >= self._config.schedule.steps:
            return 'steps'
        if self._team.any(0 < self._config.run.max_hours <= self.status.hours):
            return 'hours'
        return 'stopped' if self._team.any(stop()) else ''

    def learn(self, batches: Iterator[Batch]) -> None:
        """One step."""
        self.status.means.add(self.learner.learn(batches))

    def write_means(self) -> None:
        """A row of the log."""
        means = self.status.means.take()
        if self._log:
            self._log.write('train', self.learner.step, {**means, 'hours': self.status.hours})

    def judge(self, evaluated: Callable[[int, dict[str, float]], None] | None) -> None:
        """Evaluate the average, and keep it if it is the best so far."""
        task, team, settings = self._task, self._team, self._config.held_out
        count = min(settings.examples or len(task.held_out), len(task.held_out))
        plan = held_out_plan(
            self._config.seed, count, self._config.optimizer.batch, team.rank, team.size
        )
        workers = self._config.run.workers
        with contextlib.closing(
            load(task.student, task.held_out, plan, workers, team.on_gpu)
        ) as batches:
            scores = evaluate(task.student, task.objective, self.learner.average, batches, team)
        self.status.scores, self.status.judged = scores, self.learner.step
        if scores[settings.best_by] < self.status.best:
            self.status.best = scores[settings.best_by]
            self.keep('best')
        if self._log:
            self._log.write('held_out', self.learner.step, {**scores, 'hours': self.status.hours})
        if evaluated and team.leads:
            evaluated(self.learner.step, scores)

    def keep(self, name: str) -> None:
        """Write the average as `<name>.safetensors`, with what is to be known of it."""
        if not self._team.leads:
            return
        description = {
            'step': self.learner.step,
            'steps': self._config.schedule.steps,
            'hours': round(self.status.hours, 3),
            'seed': self._config.seed,
            'examples': len(self._task.examples),
            'held_out': self.status.scores,
            'machine': machine(self._team.device, self._team.size),
            'config': flatten(self._config),
        }
        write_result(self._folder / f'{name}.safetensors', self.learner.average, description)

    def save(self) -> None:
        """Write a checkpoint; the log is on the disk before it."""
        if self._log:
            self._log.sync()
            state = {
                'config': flatten(self._config),
                'learner': self.learner.state(),
                'status': dataclasses.asdict(self.status),
            }
            checkpoint.save(self._folder, self.learner.step, state)

    def close(self) -> None:
        """Write what the log still holds."""
        if self._log:
            self._log.close()


def _resumed(folder: Path, config: TrainConfig, learner: Learner) -> Status:
    """Take up the newest checkpoint of a folder; a new run starts from weights if it has any."""
    saved = checkpoint.newest(folder)
    if saved is None:
        if config.student.weights:
            learner.start_from(config.student.weights)
        return Status()
    if differing := differences(saved['config'], config):
        raise ConfigError(
            f'{folder} holds a run with other settings; take another run.output, or these back: '
            f'{"; ".join(differing)}.'
        )
    learner.load_state(saved['learner'])
    status = saved['status']
    return Status(**{**status, 'means': Means(**status['means'])})


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have PyTorch use a number of CPU threads; 0 = as many as it does."""
    torch = import_torch()  # idle threads that spin would take the cores of the loader's workers
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
