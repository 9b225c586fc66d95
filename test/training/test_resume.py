"""A run that was ended anyhow and goes on becomes the run that was never ended, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from depth_ros.errors import ConfigError

torch = pytest.importorskip('torch')
from toy_task import newest, rows, same, start, toy_config, toy_task  # noqa: E402

from depth_ros.training.train import train  # noqa: E402


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('undisturbed')
    assert train(toy_task(), toy_config(folder)).ended == 'steps'
    return folder


def assert_same_run(one: Path, other: Path) -> None:
    assert same(newest(one), newest(other))
    for table in ('train.csv', 'held_out.csv'):
        assert rows(one / table) == rows(other / table)
    for weights in ('best.safetensors', 'last.safetensors'):
        assert (one / weights).read_bytes() == (other / weights).read_bytes()


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(steps + 1))
    return lambda: next(asked) == steps


@pytest.mark.parametrize('workers', [0, 1])
def test_kill_at_a_random_moment(undisturbed: Path, tmp_path: Path, workers: int) -> None:
    process = start(tmp_path, 'pause_s=0.05', f'run.workers={workers}')
    try:
        wait_for(lambda: list(tmp_path.glob('checkpoint_*')))
        delay_s = random.SystemRandom().uniform(0.0, 1.5)
        time.sleep(delay_s)
        assert process.poll() is None, 'it ended before it was killed'
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not (tmp_path / 'last.safetensors').exists()
    train(toy_task(), toy_config(tmp_path))
    assert_same_run(undisturbed, tmp_path)


def test_stops_between_checkpoints_of_a_run_whose_workers_change(
    undisturbed: Path, tmp_path: Path
) -> None:
    assert train(toy_task(), toy_config(tmp_path), stop=stop_after(13)).ended == 'stopped'
    assert newest(tmp_path)['step'] == 13
    changed = toy_config(tmp_path, run__workers=1, run__checkpoint_every=1000)
    assert train(toy_task(), changed, stop=stop_after(20)).ended == 'stopped'
    assert train(toy_task(), toy_config(tmp_path)).ended == 'steps'
    assert_same_run(undisturbed, tmp_path)


def test_a_torn_checkpoint_costs_the_steps_since_the_one_before(
    undisturbed: Path, tmp_path: Path
) -> None:
    train(toy_task(), toy_config(tmp_path), stop=stop_after(33))
    last = tmp_path / 'checkpoint_000000033.pt'
    last.write_bytes(last.read_bytes()[:-1000])
    train(toy_task(), toy_config(tmp_path))
    assert_same_run(undisturbed, tmp_path)


def test_gradients_of_several_batches_survive_a_stop(tmp_path: Path) -> None:
    settings = {'optimizer__accumulate': 3, 'schedule__steps': 6, 'run__log_every': 4}
    settings['schedule__jitter'] = 0.1
    for folder, steps in (('whole', 99), ('halves', 2)):
        config = toy_config(tmp_path / folder, **settings)
        train(toy_task(), config, stop=stop_after(steps))
        train(toy_task(), config)
    assert_same_run(tmp_path / 'whole', tmp_path / 'halves')


def test_a_finished_run_is_left_as_it_is(undisturbed: Path) -> None:
    before = newest(undisturbed)
    status = train(toy_task(), toy_config(undisturbed))
    assert status.ended == 'steps'
    assert status.scores['rmse_mm'] > 0
    assert same(newest(undisturbed), before)


def test_another_seed_gives_other_weights(undisturbed: Path, tmp_path: Path) -> None:
    train(toy_task(), toy_config(tmp_path, seed=1))
    assert not same(newest(undisturbed)['model'], newest(tmp_path)['model'])


def test_other_settings_are_refused_by_name(undisturbed: Path) -> None:
    changed = toy_config(undisturbed, optimizer__lr=0.5, seed=3, run__workers=1)
    with pytest.raises(ConfigError, match=r'seed: 0 -> 3; optimizer\.lr: 0\.02 -> 0\.5\.$'):
        train(toy_task(), changed)
