"""Tables that a resumed run goes on with as if it had never stopped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.training.log import Log, Means


def fill(folder: Path, first: int, last: int, after: int = 0) -> str:
    log = Log(folder, after)
    for step in range(first, last + 1):
        log.write('train', step, {'loss': 1 / step, 'l1': step / 3})
    log.sync()
    log.close()
    return (folder / 'train.csv').read_text()


def test_a_row_is_written_at_once_with_its_header(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write('held_out', 5, {'rmse_mm': 12.5})
    assert (tmp_path / 'held_out.csv').read_text() == 'step,rmse_mm\n5,12.5\n'


def test_rows_after_the_checkpoint_are_written_once(tmp_path: Path) -> None:
    whole = fill(tmp_path / 'whole', 1, 9)
    fill(tmp_path / 'resumed', 1, 7)
    assert fill(tmp_path / 'resumed', 5, 9, after=4) == whole


def test_half_a_row_is_removed(tmp_path: Path) -> None:
    whole = fill(tmp_path / 'whole', 1, 4)
    torn = tmp_path / 'torn' / 'train.csv'
    fill(torn.parent, 1, 3)
    with torn.open('a') as file:
        file.write('4,0.2')
    assert fill(torn.parent, 4, 4, after=3) == whole


@pytest.mark.parametrize('content', ['', 'step,lo'])
def test_without_a_whole_header_the_table_starts_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / 'train.csv').write_text(content)
    assert fill(tmp_path, 1, 1).startswith('step,loss,l1\n1,')


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'mine.csv').write_text('step,x\n99,1\n')
    fill(tmp_path, 1, 1)
    assert (tmp_path / 'mine.csv').read_text() == 'step,x\n99,1\n'


def test_columns_that_change_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, 1, 2)
    with pytest.raises(TrainingError, match=r"columns \['step', 'loss', 'l1'\], got .*'ssi'"):
        Log(tmp_path, 2).write('train', 3, {'loss': 1.0, 'ssi': 2.0})


def test_means_are_over_the_steps_since_the_last_row() -> None:
    means = Means()
    for value in (1.0, 2.0, 6.0):
        means.add({'loss': value})
    assert means.take() == {'loss': 3.0}
    means.add({'loss': 5.0})
    assert means.take() == {'loss': 5.0}


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path: Path) -> None:
    pytest.importorskip('torch.utils.tensorboard')
    accumulator = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    for first, last in ((1, 6), (4, 8)):
        log = Log(tmp_path, first - 1, tensorboard=True)
        for step in range(first, last + 1):
            log.write('train', step, {'loss': float(step)})
        log.close()
    events = accumulator.EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars('train/loss')] == [
        (step, float(step)) for step in range(1, 9)
    ]


def test_tensorboard_is_asked_for_by_name_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    Log(tmp_path)
    with pytest.raises(MissingDependencyError, match=r'tensorboard.*depth_ros\[train\]'):
        Log(tmp_path, tensorboard=True)
