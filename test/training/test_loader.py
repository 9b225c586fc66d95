"""The order of examples: complete, shuffled, and the same whoever loads them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from depth_ros.errors import DatasetError, TrainingError
from depth_ros.training.examples import Example
from depth_ros.training.loader import Item, held_out_plan, load, training_item, training_plan

torch = pytest.importorskip('torch')
from toy_task import REPOSITORY, ToyExamples, ToyStudent  # noqa: E402


def test_every_epoch_has_each_example_once_in_another_order() -> None:
    epochs = [[training_item(3, 10, 10 * e + i).number for i in range(10)] for e in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_random_choices_differ_between_epochs_and_follow_from_the_seed() -> None:
    items = [training_item(3, 4, position) for position in range(40)]
    assert len({item.seed for item in items}) == 40
    assert items == [training_item(3, 4, position) for position in range(40)]
    assert items != [training_item(4, 4, position) for position in range(40)]


def test_a_plan_may_begin_anywhere() -> None:
    whole = list(training_plan(0, 10, 4, range(9)))
    assert list(training_plan(0, 10, 4, range(5, 9))) == whole[5:]


def test_two_processes_take_what_one_with_the_double_batch_takes() -> None:
    whole = list(training_plan(0, 10, 4, range(6)))
    parts = zip(*(training_plan(0, 10, 2, range(6), rank, 2) for rank in range(2)), strict=True)
    assert [first + second for first, second in parts] == whole


def test_held_out_examples_come_in_order_and_are_divided() -> None:
    whole = [item for batch in held_out_plan(0, 7, 3) for item in batch]
    assert [item.number for item in whole] == list(range(7))
    parts = [list(held_out_plan(0, 7, 3, rank, 2)) for rank in range(2)]
    assert [len(batch) for part in parts for batch in part] == [3, 1, 3]
    assert sorted(item for part in parts for batch in part for item in batch) == whole


@pytest.mark.parametrize('workers', [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    def batches(workers: int) -> list[dict[str, torch.Tensor]]:
        plan = training_plan(0, 32, 3, range(5))
        return list(load(ToyStudent(), ToyExamples(), plan, workers))

    for one, other in zip(batches(0), batches(workers), strict=True):
        assert one.keys() == other.keys() == {'image', 'sparse', 'truth', 'teacher'}
        assert one['sparse'].shape == (3, 1, 16, 16)
        for name, tensor in one.items():
            assert torch.equal(tensor.nan_to_num(-1.0), other[name].nan_to_num(-1.0))


class Faulty(ToyExamples):
    """Examples from 5 on cannot be made, in a way that a test chooses."""

    fault = 'empty'

    def example(self, index: int, seed: int) -> Example:
        if index < 5:
            return super().example(index, seed)
        if self.fault == 'dies':
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == 'dataset':
            raise DatasetError('image_7.png: no such file.')
        raise TrainingError('No returns.')


def one_batch(number: int, workers: int = 0) -> dict[str, torch.Tensor]:
    return next(load(ToyStudent(), Faulty(8), iter([[Item(number, 0)]]), workers))


def test_a_worker_that_dies_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faulty, 'fault', 'dies')
    with pytest.raises(TrainingError, match=r'worker died .*memory.*run\.workers') as error:
        one_batch(6, workers=1)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('workers', [0, 1])
def test_an_example_that_cannot_be_made_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(Faulty, 'fault', 'dataset')
    with pytest.raises((DatasetError, TrainingError), match=r'image_7\.png: no such') as error:
        one_batch(7, workers)
    assert '\n' not in str(error.value)


def test_useless_examples_are_replaced_by_the_next_ones(caplog: pytest.LogCaptureFixture) -> None:
    replaced, wanted = one_batch(6)['truth'], one_batch(0)['truth']
    assert torch.equal(replaced, wanted)
    assert 'Example 6, seed 0: No returns.' in caplog.text


def test_many_useless_examples_in_a_row_are_an_error() -> None:
    student, faulty = ToyStudent(), Faulty(40)
    with pytest.raises(TrainingError, match=r'5 examples in a row .* No returns'):
        next(load(student, faulty, iter([[Item(10, 0)]])))


def test_images_keep_their_values() -> None:
    example = ToyExamples().example(3, 11)
    batch = next(load(ToyStudent(), ToyExamples(), iter([[Item(3, 11)]])))
    np.testing.assert_array_equal(batch['truth'][0, 0].numpy(), example.truth_m)
    np.testing.assert_array_equal(batch['image'][0].numpy(), example.image.transpose(2, 0, 1))


def in_a_process_of_its_own(code: str) -> str:
    """What a program prints that might never end."""
    path = os.pathsep.join((str(REPOSITORY), str(Path(__file__).parent)))
    answer = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_workers_start_although_opencv_has_threads_here() -> None:
    code = (
        'import cv2, numpy as np\n'
        'from depth_ros.training.loader import load, training_plan\n'
        'from toy_task import ToyExamples, ToyStudent\n'
        'cv2.setNumThreads(4)\n'
        'cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (9, 9), 0)\n'
        'plan = training_plan(0, 32, 3, range(2))\n'
        'print(len(list(load(ToyStudent(), ToyExamples(), plan, 1))), cv2.getNumThreads())\n'
    )
    assert in_a_process_of_its_own(code) == '2 4\n'


def test_workers_end_with_the_error_of_one_although_it_is_kept() -> None:
    code = (
        'import multiprocessing\n'
        'from depth_ros.training.loader import Item, load\n'
        'from toy_task import ToyExamples, ToyStudent\n'
        'kept = None\n'
        'try:\n'
        '    next(load(ToyStudent(), ToyExamples(), iter([[Item(None, 0)]]), 2))\n'
        'except TypeError as error:\n'
        '    kept = error\n'
        'print(type(kept).__name__, multiprocessing.active_children())\n'
    )
    assert in_a_process_of_its_own(code) == 'TypeError []\n'


def test_a_process_ends_although_its_workers_were_not_closed() -> None:
    """Then they are sent SIGTERM, and waited for."""
    code = (
        'import multiprocessing, os, signal\n'
        'from depth_ros.training import loader\n'
        'from toy_task import ToyExamples, ToyStudent\n'
        'loader.GRACE_S = 2\n'
        'plan = loader.training_plan(0, 32, 3, range(50))\n'
        'batches = loader.load(ToyStudent(), ToyExamples(), plan, 1)\n'
        'next(batches)\n'
        'worker, = multiprocessing.active_children()\n'
        'os.kill(worker.pid, signal.SIGTERM)\n'
        'for _ in range(20):\n'
        '    next(batches)\n'
        'print(worker.is_alive())\n'
    )
    assert in_a_process_of_its_own(code) == 'True\n'
