"""`depth_ros train`: from a file to weights, ended by signals, resumed by itself."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from depth_ros.cli import train as command
from depth_ros.cli.main import main
from depth_ros.training.examples import Example

pytest.importorskip('torch')
pytest.importorskip('yaml')
from toy_task import SETTINGS, ToyExamples, newest, same, toy_task


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A toy in place of what the settings describe."""
    monkeypatch.setattr(command, 'task', lambda config: toy_task())
    lines = [f'{name}: {value}' for name, value in SETTINGS.items()]
    file = tmp_path / 'toy.yaml'
    file.write_text('\n'.join([*lines, f'run.output: {tmp_path / "out"}']))
    return ['train', '--config', str(file)]


def test_a_file_becomes_weights(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, '--set', 'schedule.steps=40']) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith('step 20: loss ')
    assert lines[1].startswith('step 40: loss ')
    assert lines[2].startswith(f'{tmp_path}/out/best.safetensors: rmse_mm ')
    assert lines[3].startswith(f'{tmp_path}/out/last.safetensors: loss ')
    assert (tmp_path / 'out/last.safetensors').exists()


@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=['SIGINT', 'SIGTERM']
)
def test_a_signal_ends_it_after_the_step_and_the_same_command_goes_on(
    arguments: list[str],
    number: signal.Signals,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = ToyExamples.example
    left = iter(range(30, -1000, -1))

    def example(self: ToyExamples, index: int, seed: int) -> Example:
        if next(left) == 0:
            os.kill(os.getpid(), number)
        return make(self, index, seed)

    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(ToyExamples, 'example', example)
        assert main(arguments) == code
    assert newest(tmp_path / 'out')['step'] == 8  # of 4 examples; it came within the eighth
    assert 'stopped' in capsys.readouterr().out
    assert main([*arguments, '--resume']) == 0
    assert main([*arguments, '--set', f'run.output={tmp_path / "undisturbed"}']) == 0
    assert same(newest(tmp_path / 'out'), newest(tmp_path / 'undisturbed'))
    assert signal.getsignal(number) == handler


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (['--resume'], 'no checkpoint in'),
        (['--set', 'schedule.step=3'], "Unknown setting 'schedule.step'"),
        (['--set', 'seed'], '--set wants NAME=VALUE'),
        (['--set', 'run.output='], 'run.output must name a folder'),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], extra: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *extra]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count('\n') == 1


def test_other_settings_do_not_go_on(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, '--set', 'schedule.steps=3']) == 0
    capsys.readouterr()
    assert main([*arguments, '--set', 'schedule.steps=4']) == 2
    assert 'schedule.steps: 3 -> 4' in capsys.readouterr().err


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['train', '--config', 'missing.yaml']) == 2
    assert 'missing.yaml' in capsys.readouterr().err
