"""Learning rate and momentum of each step, and every seed: all follow from the step alone.

Nothing here has a state, so nothing has to be saved for a run that goes on to be the same run.
"""

from __future__ import annotations

import enum
import math
from typing import NamedTuple

import numpy as np

from depth_ros.training.config import ScheduleConfig


class Purpose(enum.IntEnum):
    """What a seed is for; no two purposes share one."""

    ORDER = 0
    EXAMPLE = 1
    STEP = 2
    HELD_OUT = 3
    JITTER = 4


def seed_of(seed: int, purpose: Purpose, *counters: int) -> int:
    """An unsigned 32-bit seed for one purpose, unrelated to that of any other counters."""
    sequence = np.random.SeedSequence(seed, spawn_key=(purpose, *counters))
    return int(sequence.generate_state(1)[0])


class Rates(NamedTuple):
    """What the optimiser works with in a step.

    Attributes:
        factor: of the configured learning rate.
        momentum: first coefficient of Adam.
    """

    factor: float
    momentum: float


def rates(config: ScheduleConfig, step: int, seed: int = 0) -> Rates:
    """Learning rate and momentum of step `step`, 0 <= step < config.steps.

    `one_cycle` is that of Smith and Topin, "Super-convergence", 2018, in two cosine phases as
    `torch.optim.lr_scheduler.OneCycleLR` has it; `cosine` warms up in a straight line and keeps
    its momentum.

    Args:
        config: the schedule.
        step: number of steps done before.
        seed: of the jitter.
    """
    high, low = config.momentum, config.momentum_low
    peak = config.warmup_share * config.steps - 1
    if step <= peak:
        done = step / peak if peak > 0 else 1.0
        shape = done if config.kind == 'cosine' else _cosine(done)
        factor, momentum = _between(config.start_factor, 1.0, shape), _between(high, low, shape)
    else:
        done = (step - peak) / (config.steps - 1 - peak) if config.steps > 1 else 1.0
        shape = _cosine(done)
        factor, momentum = _between(1.0, config.end_factor, shape), _between(low, high, shape)
    if config.kind == 'cosine':
        momentum = high
    if config.jitter:
        rng = np.random.default_rng(seed_of(seed, Purpose.JITTER, step))
        factor *= 1.0 + config.jitter * rng.uniform(-1.0, 1.0)
    return Rates(factor, momentum)


def average_decay(decay: float, step: int) -> float:
    """Decay of the moving average of weights after step `step`, counted from 0.

    It rises from 0.1 towards `decay`, so that the average is not held by the initial weights:
    min(decay, (1 + n) / (10 + n)), as TensorFlow's `ExponentialMovingAverage` has it.
    """
    return min(decay, (1 + step) / (10 + step))


def _cosine(done: float) -> float:
    return 0.5 * (1.0 - math.cos(math.pi * done))


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share
