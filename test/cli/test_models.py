"""`depth_ros models`: asks before it fetches, says what is here, notices damage."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from depth_ros.cli import models
from depth_ros.cli.main import main
from depth_ros.weights.card import ModelCard
from depth_ros.weights.flops import Cost, Network
from depth_ros.weights.registry import FAMILIES, LEFT_OUT, MODELS


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
    assert main(['models', 'list', 'tiny']) == 0
    out = capsys.readouterr().out
    assert '\n  file        tiny.pth\n  SHA-256     not published; recorded when fetched\n' in out
    assert main(['models', 'fetch', 'tiny', '--accept-licence', '--from', str(weights)]) == 0
    capsys.readouterr()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert main(['models', 'list', 'tiny']) == 0
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
    metric = {row[0] for row in rows if 'metric' in row}
    assert metric == {name for name, known in MODELS.items() if known.gives_metres}
    assert {row[0] for row in rows if row[-3] == 'relative'} == set(MODELS) - metric
    text = ' '.join(out.split())
    for known in MODELS.values():
        others = r'(, [\w-]+)*'
        assert re.search(f'{known.name}{others}: {re.escape(known.weights_licence)}', text)
    for name, reason in LEFT_OUT.items():
        assert f'{name}: {reason}' in text
    lines = out.splitlines()
    assert len(lines) < 60
    assert max(map(len, lines)) <= 100
    assert main(['models', 'list', '--json']) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry['name'] for entry in entries] == list(MODELS)
    assert [entry['fetched'] for entry in entries] == [False] * len(MODELS)
    depth_scales = {entry['name']: entry['depth_scale'] for entry in entries}
    assert depth_scales['bpnet-nyu'] == 10.0
    kinds = {entry['name']: entry['kind'] for entry in entries}
    assert kinds['da2-small'] == 'disparity_affine'


def test_all_about_one_is_told_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['models', 'list', 'bpnet-nyu', 'dmd3c']) == 0
    out = capsys.readouterr().out
    for name in ('bpnet-nyu', 'dmd3c'):
        assert f'\n  project     {MODELS[name].source}\n' in out
        assert f'licences {MODELS[name].terms}' in ' '.join(out.split())
    assert 'da2-small' not in out
    assert main(['models', 'list', 'bpnet-moon']) == 2
    assert "no weights 'bpnet-moon'" in capsys.readouterr().err


def test_both_statements_of_depth_pro_are_shown_before_it_is_fetched(
    capsys: pytest.CaptureFixture[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'stdin', io.StringIO())
    assert main(['models', 'fetch', 'depth-pro']) == 2  # nobody has accepted them
    shown = ' '.join(capsys.readouterr().out.split())
    assert 'the repository says «under the LICENSE terms»' in shown
    assert 'the model card says apple-amlr (research only)' in shown
    assert not cache.exists()


def test_what_networks_cost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [Cost('Large', 252, 840, 335_315_649, 997_953_976_320), Cost('Small', 8, 9, 40_000, 0)]
    monkeypatch.setattr(models, 'NETWORKS', (Network('any', 'any', ()),))
    monkeypatch.setattr(models, 'costs', lambda network: iter(known))
    assert main(['models', 'list', '--flops']) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ['network', 'million', 'parameters', 'input', 'GFLOP']
    assert rows[2:] == [['Large', '335.3', '252x840', '998'], ['Small', '0.0', '8x9', '0']]
    assert main(['models', 'list', '--flops', '--json']) == 0
    first, _ = json.loads(capsys.readouterr().out)
    assert first == {
        'network': 'Large',
        'height': 252,
        'width': 840,
        'parameters': 335_315_649,
        'flops': 997_953_976_320,
    }
    assert main(['models', 'list', '--flops', 'dmd3c']) == 2
    assert 'leave out dmd3c' in capsys.readouterr().err


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
