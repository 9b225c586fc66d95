"""The command line: help, exit codes, one-line errors, the README's commands, the progress bar."""

from __future__ import annotations

import argparse
import importlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from depth_ros import __version__
from depth_ros.cli.main import COMMANDS, main
from depth_ros.cli.progress import ProgressBar

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / 'README.md').read_text()
README_COMMANDS = [
    line.split('#')[0].strip()
    for block in re.findall(r'```\w*\n(.*?)```', README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith('depth_ros ')
]


@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, '--help'])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f'usage: depth_ros {command} ')
    summary = COMMANDS[command].summary
    assert summary[:1].upper() + summary[1:] in ' '.join(out.split())


def test_help_and_version_as_a_process() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, '-m', 'depth_ros', *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    answer = run('--help')
    assert (answer.returncode, answer.stderr) == (0, '')
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf'^ +{name} +{summary[:20]}', answer.stdout, re.MULTILINE)
    assert run('--version').stdout == f'depth_ros {__version__}\n'


@pytest.mark.parametrize('arguments', [[], ['fly'], ['run'], ['run', 'a', '-o', 'b', '--fast']])
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert 'usage: depth_ros' in capsys.readouterr().err


def test_commands_of_the_readme_parse() -> None:
    assert {line.split()[1] for line in README_COMMANDS} >= {'run', 'eval', 'doctor'}
    for line in README_COMMANDS:
        _, name, *rest = shlex.split(line)
        parser = argparse.ArgumentParser(exit_on_error=False)
        importlib.import_module(COMMANDS[name].module).add_arguments(parser)
        parser.parse_args(rest)


def test_interrupt_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr('depth_ros.cli.doctor.main', interrupted)
    assert main(['doctor']) == 130


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_silent_without_a_terminal() -> None:
    stream = io.StringIO()
    with ProgressBar('run', stream) as progress:
        progress(1, 2)
    assert stream.getvalue() == ''


def test_progress_on_a_terminal_is_one_line_that_is_wiped() -> None:
    stream = Terminal()
    with ProgressBar('run', stream) as progress:
        progress(0, 2)
        progress(1, 2)
    empty, none, half, wiped = stream.getvalue().split('\r\x1b[K')
    assert none.startswith(f'run [{"." * 30}] 0/2')
    assert half.startswith(f'run [{"#" * 15}{"." * 15}] 1/2')
    assert (empty, wiped) == ('', '')
