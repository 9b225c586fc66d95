"""`depth_ros models`: asks before it fetches, says what is here, notices damage."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from depth_ros.cli.main import main
from depth_ros.models.registry import FAMILIES, MODELS, ModelCard


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkpoint of `tiny`, the only weights that the registry knows; the cache is empty."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('safetensors')
    module = ModuleType('tiny_family')
    module.build = lambda: torch.nn.Linear(2, 3)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'tiny_family', module)
    monkeypatch.setitem(FAMILIES, 'tiny', 'tiny_family')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'cache'))
    known = dict(MODELS)  # their order means something: monkeypatch would not give it back
    MODELS.clear()
    card = ModelCard(
        name='tiny',
        family='tiny',
        title='A tiny network',
        source='https://tiny.example',
        file_name='tiny.pth',
        by_hand='Ask its authors.',
        trained_on='nothing',
        code_licence='MIT',
        data_licence='none needed',
        parameters=9,
    )
    MODELS['tiny'] = card
    path = tmp_path / 'tiny.pth'
    torch.save({'net': torch.nn.Linear(2, 3).state_dict()}, path)
    yield path
    MODELS.clear()
    MODELS.update(known)


def test_list_tells_the_hash_once_it_is_known(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', 'list']) == 0
    out = capsys.readouterr().out
    assert '\n  file        tiny.pth\n  SHA-256     not published; recorded when fetched\n' in out
    assert main(['models', 'fetch', 'tiny', '--accept-licence', '--from', str(weights)]) == 0
    capsys.readouterr()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert main(['models', 'list']) == 0
    assert f'\n  SHA-256     {digest}\n' in capsys.readouterr().out
    assert main(['models', 'list', '--json']) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry['fetched'], entry['sha256']) == (True, digest)


class Terminal(io.StringIO):
    """A user who types."""

    def isatty(self) -> bool:
        return True


def test_list_shows_what_exists_and_on_which_terms(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    assert main(['models', 'list']) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.split('\n\n')[0].splitlines()[2:]]
    assert [row[0] for row in rows] == list(MODELS)
    assert {row[-1] for row in rows} == {'no'}
    for known in MODELS.values():
        assert f'\n{known.name}\n  project     {known.source}\n' in out
        assert out.count(known.terms) >= 1
    assert main(['models', 'list', '--json']) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry['name'] for entry in entries] == list(MODELS)
    assert [entry['fetched'] for entry in entries] == [False] * len(MODELS)
    assert entries[-1]['depth_scale'] == 10.0


def test_fetch_from_a_file_then_list_and_verify(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', 'verify']) == 0
    assert 'Nothing is fetched' in capsys.readouterr().out
    fetch = ['models', 'fetch', 'tiny', '--from', str(weights), '--accept-licence']
    assert main(fetch) == 0
    out = capsys.readouterr().out
    assert 'code: MIT; weights: licence not stated; training data: none needed' in out
    stored = weights.parent / 'cache' / 'weights' / 'tiny.safetensors'
    assert f'2 tensors in {stored}\n' in out

    assert main(['models', 'list']) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[-1] == 'yes'
    assert main(['models', 'verify', '--json']) == 0
    assert [(e['name'], e['ok']) for e in json.loads(capsys.readouterr().out)] == [('tiny', True)]

    stored.write_bytes(stored.read_bytes()[:-1] + b'\x01')
    assert main(['models', 'verify', 'tiny']) == 1
    assert capsys.readouterr().out.startswith('FAIL  tiny  ')
    assert main(fetch) == 0
    assert main(['models', 'verify']) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith('OK    tiny  ')


def test_what_is_here_is_not_asked_for_again(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', 'fetch', 'tiny', '--accept-licence', '--from', str(weights)]) == 0
    capsys.readouterr()
    assert main(['models', 'fetch', 'tiny']) == 0
    assert f'tiny is here since {datetime.date.today()}, from {weights}' in capsys.readouterr().out


def test_what_only_a_browser_gets_is_told_before_the_question(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['models', 'fetch', 'tiny', '--accept-licence']) == 2
    answer = capsys.readouterr()
    assert 'Ask its authors.' in answer.err
    assert answer.out == ''


def test_without_a_terminal_the_option_is_named(
    weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'stdin', io.StringIO('y\n'))
    assert main(['models', 'fetch', 'tiny', '--from', str(weights)]) == 2
    answer = capsys.readouterr()
    assert '--accept-licence' in answer.err
    assert 'https://tiny.example' in answer.out
    assert not (weights.parent / 'cache').exists()


@pytest.mark.parametrize(
    ('typed', 'code'), [('y\n', 0), ('Yes\n', 0), ('\n', 2), ('n\n', 2), ('', 2)]
)
def test_on_a_terminal_the_user_is_asked(
    typed: str,
    code: int,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, 'stdin', Terminal(typed))
    assert main(['models', 'fetch', 'tiny', '--from', str(weights)]) == code
    answer = capsys.readouterr()
    assert answer.out.index('licence not stated') < answer.out.index('[y/N]')
    assert ('not fetched' in answer.err) == (code == 2)


def test_what_cannot_be_done_is_one_line(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: dict[str, list[Any]] = {
        "no weights 'dmd4c'": ['fetch', 'dmd4c', '--accept-licence'],
        'Ask its authors.': ['fetch', 'tiny', '--accept-licence'],
        'is no file': ['fetch', 'tiny', '--accept-licence', '--from', '/no/such/file'],
        "no weights 'dmd3c'": ['verify', 'dmd3c'],
    }
    for said, arguments in cases.items():
        assert main(['models', *arguments]) == 2
        err = capsys.readouterr().err
        assert err.startswith('depth_ros models: ')
        assert said in err
        assert err.count('\n') == 1
    assert main(['models', 'verify', 'tiny']) == 1
    assert 'tiny is not fetched' in capsys.readouterr().out
