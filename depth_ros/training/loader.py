"""Batches for a student, in an order that follows from the seed and the step alone.

Worker processes make the examples; how many there are changes nothing in what comes.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import traceback
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import DepthRosError, TrainingError
from depth_ros.models.base import Arrays
from depth_ros.training.examples import Examples
from depth_ros.training.schedule import Purpose, seed_of
from depth_ros.training.students import Student, arrays

if TYPE_CHECKING:
    from torch import Tensor

Batch = dict[str, 'Tensor']
"""Tensors (B, ...) by the names that `students.arrays` gives them."""

GRACE_S = 60
"""A worker that is told to end goes on for so long, lest the main process need it."""
ATTEMPTS = 5
"""Examples in a row that may be useless, such as crops without returns."""

_log = logging.getLogger(__name__)


class Item(NamedTuple):
    """Which example, and the seed of its random choices."""

    number: int
    seed: int


def training_item(seed: int, count: int, position: int) -> Item:
    """The example at a position of the endless training sequence.

    Every epoch of `count` positions shows each example once, in an order of its own.
    """
    epoch, place = divmod(position, count)
    number = int(_order(seed, epoch, count)[place])
    return Item(number, seed_of(seed, Purpose.EXAMPLE, position))


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed_of(seed, Purpose.ORDER, epoch)).permutation(count)


def training_plan(
    seed: int, count: int, batch: int, numbers: range, rank: int = 0, ranks: int = 1
) -> Iterator[list[Item]]:
    """The items of the batches `numbers` of one of `ranks` processes.

    Together the processes take what one process with `ranks` times the batch would take.
    """
    for number in numbers:
        first = (number * ranks + rank) * batch
        yield [training_item(seed, count, place) for place in range(first, first + batch)]


def held_out_plan(
    seed: int, count: int, batch: int, rank: int = 0, ranks: int = 1
) -> Iterator[list[Item]]:
    """The first `count` examples, always with the same seeds; the last batch may be smaller."""
    items = [Item(i, seed_of(seed, Purpose.HELD_OUT, i)) for i in range(rank, count, ranks)]
    for first in range(0, len(items), batch):
        yield items[first : first + batch]


def load(
    student: Student,
    examples: Examples,
    plan: Iterator[list[Item]],
    workers: int = 0,
    pinned: bool = False,
) -> Generator[Batch, None, None]:
    """The batches of a plan; workers end when they are used up, or with `close()`.

    Args:
        student: says what it sees of an example.
        examples: where they come from.
        plan: items of each batch.
        workers: processes that make them ahead; 0 = none, they are made here.
        pinned: whether they lie where a GPU can fetch them.

    Raises:
        TrainingError: an example cannot be made, or a worker died.
    """
    from torch.utils.data import DataLoader

    loader = DataLoader(
        _Items(student, examples),  # type: ignore[arg-type,unused-ignore]
        batch_sampler=plan,
        num_workers=workers,
        pin_memory=pinned,
        worker_init_fn=_start_worker,
    )
    with worker_errors():
        with _opencv_alone():
            batches = iter(loader)  # workers are forked now
        try:
            yield from batches
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold the workers
            raise
        finally:
            del batches  # ends the workers


class _Items:
    """Examples as a student sees them, by item."""

    def __init__(self, student: Student, examples: Examples) -> None:
        self._student = student
        self._examples = examples

    def __getitem__(self, item: Item) -> Arrays:
        """One item; where its example is of no use, the next one that is."""
        for attempt in range(ATTEMPTS):
            index = (item.number + attempt) % len(self._examples)
            try:
                return arrays(self._student, self._examples.example(index, item.seed))
            except TrainingError as error:
                refusal = error
                _log.warning('Example %d, seed %d: %s', index, item.seed, error)
        raise TrainingError(f'{ATTEMPTS} examples in a row are of no use; the last: {refusal}')


@contextlib.contextmanager
def _opencv_alone() -> Iterator[None]:
    """OpenCV without threads of its own: a process that is forked beside them waits for ever."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _start_worker(number: int) -> None:
    """Leave it to the main process when a worker ends, and cores to the other workers.

    A signal to all processes of a job must not take the examples from a run that is about to
    write its last checkpoint. But SIGTERM is also what a main process that ends sends to workers
    that are left, and waits: so it ends a worker after `GRACE_S`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_S))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    cv2.setNumThreads(1)


@contextlib.contextmanager
def worker_errors() -> Iterator[None]:
    """Say in one line what went wrong in a worker; a death may be noticed anywhere.

    Raises:
        TrainingError: an example could not be made, or a worker died.
    """
    try:
        yield
    except DepthRosError as error:
        if 'DataLoader worker' in str(error):  # with the traceback of the worker
            raise TrainingError(str(error).rstrip().splitlines()[-1]) from error
        raise
    except RuntimeError as error:
        if 'DataLoader worker' in str(error):
            raise TrainingError(
                f'A loader worker died ({str(error).splitlines()[0]}): it may have run out of '
                'memory or of /dev/shm. Resume with fewer run.workers.'
            ) from error
        raise
