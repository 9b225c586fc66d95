"""A student while it learns: its weights, their moving average, the optimiser, one step."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from depth_ros.errors import TrainingError
from depth_ros.training.config import TrainConfig
from depth_ros.training.loader import Batch
from depth_ros.training.schedule import Purpose, average_decay, rates, seed_of
from depth_ros.training.students import Prediction, Student
from depth_ros.training.team import Team
from depth_ros.weights.store import load

if TYPE_CHECKING:
    from torch import Tensor, nn


class Objective(Protocol):
    """What a student is to make small."""

    def loss(
        self, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch, a scalar, and its parts by name, always the same names."""
        ...


class Learner:
    """A student, and all that changes while it learns.

    Args:
        student: the network.
        objective: what it learns.
        config: how.
        team: the processes that learn together.

    Attributes:
        model: the network.
        average: its moving average, buffers and all: what is judged and kept.
        step: steps done.

    Raises:
        TrainingError: the precision is not to be had.
        MissingDependencyError: torch is not installed.
    """

    def __init__(
        self, student: Student, objective: Objective, config: TrainConfig, team: Team
    ) -> None:
        import torch

        self._config, self._team = config, team
        torch.manual_seed(config.seed)
        self.model = student.build()
        if team.on_gpu and team.size > 1:
            self.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.model.to(team.device).train()
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.step = 0
        self._optimizer = torch.optim.AdamW(
            parameter_groups(self.model, config.optimizer.weight_decay)
        )
        self._scaler = torch.amp.GradScaler(
            team.device.type, enabled=config.optimizer.precision == 'fp16'
        )
        self._lesson = team.parallel(_lesson(self.model, student, objective, config, team))

    def learn(self, batches: Iterable[Batch]) -> dict[str, float]:
        """One step on `optimizer.accumulate` batches; what it saw, for the log.

        Raises:
            TrainingError: the loss or its gradient is not finite.
        """
        import torch

        config = self._config.optimizer
        factor, momentum = rates(self._config.schedule, self.step, self._config.seed)
        for group in self._optimizer.param_groups:
            group['lr'], group['betas'] = factor * config.lr, (momentum, config.beta2)
        self._optimizer.zero_grad()
        seen: dict[str, float] = {}
        for number, batch in enumerate(batches):
            # Only now: making batches may draw random numbers, once per session.
            counters = self.step, number, self._team.rank
            torch.manual_seed(seed_of(self._config.seed, Purpose.STEP, *counters))
            with self._gathering(last=number + 1 == config.accumulate):
                loss, parts = self._lesson(on_device(batch, self._team.device))
                self._scaler.scale(loss / config.accumulate).backward()
            for name, value in {'loss': loss.detach(), **parts}.items():
                seen[name] = seen.get(name, 0.0) + float(value) / config.accumulate
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), config.clip or math.inf
        ).item()
        if not math.isfinite(seen['loss']) or not (
            math.isfinite(norm) or self._scaler.is_enabled()
        ):
            raise TrainingError(
                f'Step {self.step}: loss {seen["loss"]}, norm of its gradient {norm}. Lower '
                'optimizer.lr or optimizer.clip; the last checkpoint is from before.'
            )
        self._scaler.step(self._optimizer)
        self._scaler.update()
        move_average(self.average, self.model, average_decay(config.average, self.step))
        self.step += 1
        return {**seen, 'lr': factor * config.lr, 'gradient_norm': norm}

    def state(self) -> dict[str, Any]:
        """All of it, for `load_state`; schedule and seeds follow from the step."""
        return {
            'step': self.step,
            'model': self.model.state_dict(),
            'average': self.average.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'scaler': self._scaler.state_dict(),
        }

    def start_from(self, weights: str) -> None:
        """Take the weights of a file.

        Raises:
            ModelError: they cannot be read, or are not those of the network.
        """
        load(self.model, weights)
        self.average.load_state_dict(self.model.state_dict())

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Become what `state` was taken of."""
        self.step = state['step']
        self.model.load_state_dict(state['model'])
        self.average.load_state_dict(state['average'])
        self._optimizer.load_state_dict(state['optimizer'])
        self._scaler.load_state_dict(state['scaler'])

    def _gathering(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients of several processes are averaged once per step, with the last batch."""
        if last or self._team.size == 1:
            return contextlib.nullcontext()
        waiting: contextlib.AbstractContextManager[Any] = self._lesson.no_sync()
        return waiting


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters for an optimiser: tensors of one dimension (biases, norms) do not decay."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {'params': [p for p in learned if p.ndim > 1], 'weight_decay': weight_decay},
        {'params': [p for p in learned if p.ndim <= 1], 'weight_decay': 0.0},
    ]


def move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Make `average` decay * average + (1 - decay) * model; buffers too, whole numbers copied."""
    means, values = average.state_dict(), model.state_dict()  # they share the modules' memory
    for name, mean in means.items():
        if mean.is_floating_point():
            mean.lerp_(values[name], 1.0 - decay)
        else:
            mean.copy_(values[name])


def on_device(batch: Mapping[str, Tensor], device: Any) -> Batch:
    """A batch where the network is."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _lesson(
    model: nn.Module, student: Student, objective: Objective, config: TrainConfig, team: Team
) -> nn.Module:
    """Prediction and loss as one module, which is what can be made parallel.

    The loss is computed in fp32 whatever the precision of the network.
    """
    import torch

    dtype = torch.float16 if config.optimizer.precision == 'fp16' else torch.bfloat16
    reduced = config.optimizer.precision != 'fp32'

    class Lesson(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.autocast(team.device.type, dtype, enabled=reduced):
                depths, log_variance = student.predict(self.model, batch)
            prediction = Prediction(
                tuple(depth_m.float() for depth_m in depths),
                None if log_variance is None else log_variance.float(),
            )
            loss, parts = objective.loss(prediction, batch)
            return loss, {name: value.detach() for name, value in parts.items()}

    return Lesson()
