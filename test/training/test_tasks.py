"""Tasks as settings describe them: the right source, and nothing both learnt and judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import ConfigError, TrainingError
from depth_ros.settings import replaced
from depth_ros.training import tasks
from depth_ros.training.config import TrainConfig
from depth_ros.training.examples import Example
from depth_ros.training.shards import ShardConfig
from depth_ros.training.tasks import SOURCES, Part, prepare, task

SIMULATED = {
    'data.path': 'simulator:street?frames=3&width=96&height=64',
    'data.held_out': 1,
    'data.height': 32,
    'data.width': 64,
    'data.teacher': 'exact',
    'objective.l1': 1.0,
    'student.name': 'bpnet',
    'student.width': 4,
}


def settings(**changes: Any) -> TrainConfig:
    named = {f'data.{name}': value for name, value in changes.items()}
    config: TrainConfig = replaced(TrainConfig(), {**SIMULATED, **named})
    return config


class Counted:
    """Examples that say which one of which folder they are."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return int(self.data.path.removeprefix('of'))

    def example(self, index: int, seed: int) -> Example:
        depth_m = np.full((4, 4), index, np.float32)
        return Example(np.zeros((4, 4, 3), np.uint8), depth_m, depth_m, np.eye(3))


@pytest.fixture
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, 'scenes', Counted)


def indices(examples: Any) -> list[int]:
    return [int(examples.example(i, 0).truth_m[0, 0]) for i in range(len(examples))]


@pytest.mark.usefixtures('_counted')
def test_the_first_ones_judge_and_are_not_learnt() -> None:
    found = task(settings(source='scenes', path='of7', held_out=3))
    assert indices(found.examples) == [3, 4, 5, 6]
    assert indices(found.held_out) == [0, 1, 2]


@pytest.mark.usefixtures('_counted')
def test_a_path_of_their_own_is_taken_whole_and_unchanged() -> None:
    changes = {'held_out_path': 'of4', 'held_out_teacher': 'theirs', 'teacher': 'ours'}
    found = task(settings(source='scenes', path='of7', **changes))
    assert (len(found.examples), len(found.held_out)) == (7, 4)
    ours, theirs = found.examples.data, found.held_out.data
    assert (ours.teacher, ours.flip, ours.colour, ours.top) == ('ours', 0.5, 0.1, 50)
    assert (theirs.teacher, theirs.flip, theirs.colour) == ('theirs', 0.0, 0.0)
    assert theirs.top > 10000


@pytest.mark.usefixtures('_counted')
def test_something_must_be_left_to_learn_from() -> None:
    with pytest.raises(
        ConfigError, match=r'data\.held_out 7 leaves none of the 7 examples in of7'
    ):
        task(settings(source='scenes', path='of7', held_out=7))


def test_what_a_source_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'data\.path must say'):
        task(settings(path=''))
    with pytest.raises(ConfigError, match=r'data\.teacher must name'):
        task(settings(source='pretraining', teacher=''))
    with pytest.raises(TrainingError, match='no shards'):
        task(settings(source='scenes', path=str(tmp_path)))
    with pytest.raises(TrainingError, match='no maps of a teacher'):
        task(settings(source='finetuning', teacher=str(tmp_path)))


@pytest.mark.parametrize('source', ['pretraining', 'finetuning'])
def test_both_stages_on_the_simulator(source: str) -> None:
    pytest.importorskip('torch')
    if source == 'pretraining':
        pytest.importorskip('embreex')
    found = task(settings(source=source))
    assert isinstance(found.held_out, Part)
    example = found.examples.example(0, 1)
    assert example.image.shape == (32, 64, 3)
    assert 0 < np.count_nonzero(example.sparse_m) < np.count_nonzero(example.truth_m)
    assert found.student.build().conv_img[0].conv.conv.weight.shape[0] == 4
    once, again = (found.held_out.example(0, seed) for seed in (1, 1))
    np.testing.assert_array_equal(once.sparse_m, again.sparse_m)


def test_preparing_asks_the_teacher_of_both_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(tasks, 'mono_weights', lambda name, output: (name, output))
    monkeypatch.setattr(tasks, 'Mono', lambda weights, output: weights)
    monkeypatch.setattr(tasks, '_dataset', lambda path: path)
    monkeypatch.setattr(tasks, 'write_maps', lambda *arguments: seen.append(arguments[:4]))
    changes = {'held_out_path': 'val', 'held_out_teacher': 'val_maps', 'teacher': 'maps'}
    weights = {'teacher_weights': 'da2-small'}
    prepare(settings(source='finetuning', path='train', **changes, **weights))
    teacher = ('da2-small', 'relative')
    assert seen == [
        ('train', teacher, Path('maps'), 'da2-small'),
        ('val', teacher, Path('val_maps'), 'da2-small'),
    ]
    with pytest.raises(ConfigError, match=r'data\.teacher_weights must name'):
        prepare(settings(source='finetuning', path='train', **changes))


def test_preparing_casts_as_many_scenes_as_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(tasks, 'make_shards', lambda *arguments: seen.append(arguments[:2]))
    prepare(settings(source='scenes', path=str(tmp_path), shards=5))
    assert seen == [(tmp_path, ShardConfig(shards=5, height=32, width=64, seed=0))]
