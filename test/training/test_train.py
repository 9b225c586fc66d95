"""The loop: what it learns, keeps and refuses."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
from pathlib import Path
from typing import Any

import pytest

from depth_ros.errors import ConfigError, EngineError, TrainingError

torch = pytest.importorskip('torch')
from toy_task import (  # noqa: E402
    Network,
    ToyExamples,
    newest,
    rows,
    same,
    start,
    toy_config,
    toy_task,
)

from depth_ros.training import train as loop  # noqa: E402
from depth_ros.training.learner import move_average, parameter_groups  # noqa: E402
from depth_ros.training.train import train  # noqa: E402
from depth_ros.weights import store  # noqa: E402


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('run')
    train(toy_task(), toy_config(folder))
    return folder


def test_it_learns_what_holds_for_other_examples(run: Path) -> None:
    first, *_, last = [float(row['rmse_mm']) for row in rows(run / 'held_out.csv')]
    assert last < 0.5 * first
    assert [row['step'] for row in rows(run / 'held_out.csv')] == ['20', '40', '60']


def test_the_log_has_rates_and_terms(run: Path) -> None:
    table = rows(run / 'train.csv')
    assert [int(row['step']) for row in table] == list(range(7, 60, 7))
    for row in table:
        loss = float(row['l1']) + 0.1 * float(row['laplace'])
        assert float(row['loss']) == pytest.approx(loss, rel=1e-4)
    assert max(float(row['lr']) for row in table) <= 0.02


def test_the_best_weights_are_kept_and_load_under_their_names(run: Path) -> None:
    description = json.loads((run / 'best.json').read_text())
    model = Network().eval()
    store.load(model, run / 'best.safetensors')
    assert same(dict(model.state_dict()), newest(run)['average'])  # the last one was the best
    assert (description['step'], description['seed'], description['examples']) == (60, 0, 32)
    assert description['config']['optimizer.lr'] == 0.02
    assert description['machine']['processes'] == 1
    assert description['hours'] >= 0

    errors = []
    for index in range(6):  # the scores in the description are those of the weights
        example = ToyExamples(8, 1000).example(index, _held_out_seed(index))
        image = torch.from_numpy(example.image.transpose(2, 0, 1).astype('float32'))[None]
        with torch.no_grad():
            depth_m, _ = model(image, torch.from_numpy(example.sparse_m)[None, None])
        errors.append(float((depth_m[0, 0] - torch.from_numpy(example.truth_m)).abs().mean()))
    assert description['held_out']['mae_mm'] == pytest.approx(1e3 * sum(errors) / 6, rel=1e-5)


def _held_out_seed(index: int) -> int:
    from depth_ros.training.schedule import Purpose, seed_of

    return seed_of(0, Purpose.HELD_OUT, index)


def test_what_gets_worse_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(loop, 'evaluate', lambda *_: {'rmse_mm': next(scores)})
    status = train(toy_task(), toy_config(tmp_path))
    assert (status.best, status.scores) == (1.0, {'rmse_mm': 2.0})
    assert json.loads((tmp_path / 'best.json').read_text())['step'] == 40
    assert json.loads((tmp_path / 'last.json').read_text())['step'] == 60


def test_the_average_by_hand() -> None:
    average, model = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(model.weight, 3.0)
    model.running_mean.fill_(8.0)
    model.num_batches_tracked.fill_(5)
    move_average(average, model, 0.75)
    assert average.weight.tolist() == [1.5, 1.5]  # 0.75 * 1 + 0.25 * 3
    assert average.running_mean.tolist() == [2.0, 2.0]
    assert average.num_batches_tracked == 5
    assert model.weight.tolist() == [3.0, 3.0]


def test_tensors_of_one_dimension_do_not_decay() -> None:
    decaying, others = parameter_groups(Network(), 0.05)
    assert [p.ndim for p in decaying['params']] == [4, 4]
    assert [p.ndim for p in others['params']] == [1, 1, 1, 1]
    assert (decaying['weight_decay'], others['weight_decay']) == (0.05, 0.0)


def test_batches_accumulate_to_a_larger_one(tmp_path: Path) -> None:
    task = toy_task(batch_norm=False)
    for name, batch, accumulate in (('one', 8, 1), ('four', 2, 4)):
        settings = {'optimizer__batch': batch, 'optimizer__accumulate': accumulate}
        train(task, toy_config(tmp_path / name, schedule__steps=5, **settings))
    one, four = (newest(tmp_path / name)['model'] for name in ('one', 'four'))
    assert all(torch.allclose(one[name], four[name], atol=1e-5) for name in one)


def test_two_processes_learn_what_one_does_with_twice_the_batch(tmp_path: Path) -> None:
    settings = {'schedule.steps': 6, 'held_out.every': 3, 'optimizer.accumulate': 2}
    given = [f'{name}={value}' for name, value in settings.items()]
    torchrun = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2')
    process = start(
        tmp_path / 'two', 'batch_norm=false', 'optimizer.batch=2', *given, launcher=torchrun
    )
    config = toy_config(tmp_path / 'one', **{k.replace('.', '__'): v for k, v in settings.items()})
    train(toy_task(batch_norm=False), config)
    assert process.communicate(timeout=300)[0].split() == ['steps', 'steps']
    one, two = (newest(tmp_path / name) for name in ('one', 'two'))
    for name, value in one['average'].items():
        assert torch.allclose(value, two['average'][name], atol=1e-5), name
    scores = [rows(tmp_path / name / 'held_out.csv') for name in ('one', 'two')]
    for first, second in zip(*scores, strict=True):
        assert {k: float(v) for k, v in first.items()} == pytest.approx(
            {k: float(v) for k, v in second.items()}, rel=1e-3
        )


def test_hours_end_a_run_over_all_its_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = iter(range(0, 10**6, 60))  # a minute each time it is looked at
    monkeypatch.setattr(loop.time, 'monotonic', lambda: float(next(clock_s)))
    config = toy_config(tmp_path, run__max_hours=0.25)
    asked = iter(range(100))
    assert train(toy_task(), config, stop=lambda: next(asked) == 5).ended == 'stopped'
    status = train(toy_task(), config)
    assert status.ended == 'hours'
    assert status.hours == pytest.approx(0.25)
    assert newest(tmp_path)['step'] == status.judged < 60
    assert (tmp_path / 'last.safetensors').exists()
    assert train(toy_task(), toy_config(tmp_path)).ended == 'steps'  # without a limit it goes on


def test_it_starts_from_weights(run: Path, tmp_path: Path) -> None:
    config = toy_config(
        tmp_path, student__weights=str(run / 'best.safetensors'), optimizer__lr=0.0
    )
    train(toy_task(), config, stop=lambda: True)
    assert same(newest(tmp_path)['average'], newest(run)['average'])


@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_reduced_precision_learns_and_resumes_and_keeps_fp32(
    tmp_path: Path, precision: str
) -> None:
    asked = iter(range(100))
    config = toy_config(tmp_path / 'halves', optimizer__precision=precision)
    train(toy_task(), config, stop=lambda: next(asked) == 23)
    train(toy_task(), config)
    whole = toy_config(tmp_path / 'whole', optimizer__precision=precision)
    assert train(toy_task(), whole).scores['rmse_mm'] < 800
    state = newest(tmp_path / 'whole')
    assert same(state, newest(tmp_path / 'halves'))
    assert {v.dtype for v in state['model'].values()} == {torch.float32, torch.int64}
    if precision == 'fp16':  # gradients overflowed, and the scale has become smaller
        assert state['scaler']['scale'] < 65536


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = toy_task()

    class Failing:
        count = 0

        def loss(self, *arguments: Any) -> Any:
            Failing.count += 1
            loss, parts = task.objective.loss(*arguments)
            return (loss * math.nan if Failing.count == 8 else loss), parts

    failing = dataclasses.replace(task, objective=Failing())
    with pytest.raises(TrainingError, match=r'Step 7: loss nan.*optimizer\.lr'):
        train(failing, toy_config(tmp_path))
    assert newest(tmp_path)['step'] == 5
    assert all(value.isfinite().all() for value in newest(tmp_path)['model'].values())


def test_what_cannot_be_had_is_refused(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(TrainingError, match='no GPU'):
            train(toy_task(), toy_config(tmp_path, run__device='cuda'))
    with pytest.raises(ConfigError, match=r'run\.output'):
        train(toy_task(), toy_config(''))


def test_a_folder_is_for_one_run_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, 'PATIENCE_S', 0.0)
    with (tmp_path / 'lock').open('w') as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match='Another process'):
            train(toy_task(), toy_config(tmp_path))


def test_progress_is_told_after_each_step(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    judged: list[int] = []
    config = toy_config(tmp_path, schedule__steps=4, held_out__every=2)
    train(
        toy_task(),
        config,
        progress=lambda done, of: told.append((done, of)),
        evaluated=lambda step, scores: judged.append(step),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert judged == [2, 4]
