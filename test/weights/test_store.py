"""Loading is strict, and what a setting means is found or explained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depth_ros.errors import ModelError
from depth_ros.weights.card import ModelCard
from depth_ros.weights.fetch import fetch
from depth_ros.weights.registry import MODELS
from depth_ros.weights.store import Record, check, load, locate, network_card, verify

torch = pytest.importorskip('torch')


@pytest.fixture
def state(tiny: Any) -> dict[str, Any]:
    return dict(tiny().state_dict())


def test_a_loaded_network_has_the_values_of_the_file(
    tiny: Any, state: dict[str, Any], tmp_path: Path
) -> None:
    torch.save({'net': state}, tmp_path / 'weights.pth')
    model = tiny()
    assert not torch.equal(model.conv.weight, state['conv.weight'])
    load(model, tmp_path / 'weights.pth')
    assert torch.equal(model.conv.weight, state['conv.weight'])


def test_values_are_cast_to_the_types_of_the_network(
    tiny: Any, state: dict[str, Any], tmp_path: Path
) -> None:
    state['conv.weight'] = torch.full((3, 2, 1, 1), 0.5, dtype=torch.float16)
    torch.save(state, tmp_path / 'weights.pth')
    model = tiny().double()
    load(model, tmp_path / 'weights.pth')
    assert model.conv.weight.dtype == torch.float64
    assert model.conv.weight.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'conv.weight': None}, '1 missing: conv.weight'),
        ({'bn.bias': None, 'bn.weight': None}, '2 missing: bn.weight, bn.bias'),
        ({'extra': torch.ones(1)}, '1 unknown: extra'),
        (
            {'conv.weight': torch.ones(2, 3, 1, 1)},
            '1 of another shape: conv.weight (2, 3, 1, 1) instead of (3, 2, 1, 1)',
        ),
        (
            {'bn.num_batches_tracked': torch.zeros(1)},
            '1 of another shape: bn.num_batches_tracked (1,) instead of ()',
        ),
        ({'bn.bias': torch.tensor([0.0, float('nan'), 0.0])}, '1 not finite: bn.bias'),
        ({'bn.running_var': torch.tensor([1.0, 1.0, float('inf')])}, 'not finite: bn.running_var'),
        (
            {'bn.bias': None, 'a': torch.ones(1), 'b': torch.ones(1)},
            'Tiny; 1 missing: bn.bias; 2 unknown: a, b.',
        ),
        ({f'x{i}': torch.ones(1) for i in range(9)}, '9 unknown: x0, x1, x2, …'),
    ],
)
def test_parameters_of_something_else_are_refused_by_name(
    change: dict[str, Any], said: str, tiny: Any, state: dict[str, Any], tmp_path: Path
) -> None:
    changed = {k: v for k, v in {**state, **change}.items() if v is not None}
    path = tmp_path / 'weights.pth'
    torch.save({'net': changed}, path)
    model = tiny()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError) as error:
        load(model, path)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_network_without_memory_can_judge(tiny: Any, state: dict[str, Any]) -> None:
    with torch.device('meta'):
        model = tiny()
    check(model, state, 'here')
    with pytest.raises(ModelError, match='here has not the parameters of Tiny; 1 missing'):
        check(model, {k: v for k, v in state.items() if k != 'bn.bias'}, 'here')


def test_the_three_lines_of_the_documentation(key_named_weights: Path) -> None:
    repository = Path(__file__).resolve().parents[2]
    page = (repository / 'docs' / 'models.md').read_text()
    (example,) = (e for e in re.findall(r'```python\n(.*?)```', page, re.DOTALL) if 'bpnet' in e)
    code = f"""
import numpy as np
rgb = np.random.default_rng(0).integers(0, 256, (30, 32, 3), np.uint8)
sparse_m = np.zeros((30, 32)); sparse_m[::5, ::5] = 7
K = [[60.0, 0, 16], [0, 60, 15], [0, 0, 1]]
{example}
print(depth_m.shape, np.isfinite(depth_m).all())
"""
    answer = subprocess.run(
        [sys.executable, '-c', code],
        cwd=key_named_weights.parent,
        env={**os.environ, 'PYTHONPATH': str(repository), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stdout == '(30, 32) True\n', answer.stderr


def fetched(card: ModelCard) -> Path:
    fetch(card, accept_licence=True)
    return locate(card.name, (card.family,))


def test_nothing_here_names_the_command_the_licence_and_the_setting(cache: Path) -> None:
    with pytest.raises(ModelError) as error:
        locate('')
    said = str(error.value)
    assert said.startswith(
        'No weights for bpnet.weights are here. `depth_ros models fetch dmd3c` fetches'
    )
    assert 'about 359 MB' in said
    assert 'licence not stated' in said
    assert 'in place of the name (bpnet.weights)' in said
    with pytest.raises(ModelError, match=r'^bpnet-nyu is not fetched\. .*drive\.google\.com'):
        locate('bpnet-nyu')


def test_empty_is_the_first_that_is_fetched(
    tiny_card: ModelCard, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = dataclasses.replace(tiny_card, name='tiny-two')
    monkeypatch.setitem(MODELS, 'tiny-two', second)
    fetched(second)
    assert locate('', ('tiny',)) == cache / 'tiny-two.safetensors'
    fetched(tiny_card)
    assert locate('', ('tiny',)) == cache / 'tiny-one.safetensors'
    assert locate('tiny-two', ('tiny',)) == cache / 'tiny-two.safetensors'
    with pytest.raises(ModelError, match=r'No weights for bpnet\.weights are here'):
        locate('')


def test_a_file_is_itself(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'own.pth').write_bytes(b'x')
    assert locate(str(tmp_path / 'own.pth')) == tmp_path / 'own.pth'
    monkeypatch.setenv('HOME', str(tmp_path))
    assert locate('~/own.pth') == tmp_path / 'own.pth'
    for wrong in ('dmd4c', str(tmp_path), '/no/such/file.pth', '~nosuchuser/own.pth'):
        with pytest.raises(ModelError, match=rf"^bpnet.weights '{wrong}': no file.*dmd3c"):
            locate(wrong)


def test_weights_of_another_network_are_refused(tiny_card: ModelCard) -> None:
    with pytest.raises(
        ModelError, match=r"bpnet.weights 'tiny-one' is for another network; here fit .*dmd3c"
    ):
        locate('tiny-one')


def test_half_of_a_fetch_does_not_count(tiny_card: ModelCard, cache: Path) -> None:
    path = fetched(tiny_card)
    path.with_suffix('.json').unlink()
    with pytest.raises(ModelError, match=r'No weights for bpnet\.weights are here'):
        locate('', ('tiny',))


def test_verify_sees_one_flipped_bit(tiny_card: ModelCard) -> None:
    with pytest.raises(ModelError, match='tiny-one is not fetched'):
        verify('tiny-one')
    path = fetched(tiny_card)
    content = bytearray(path.read_bytes())
    assert verify('tiny-one').sha256 == hashlib.sha256(content).hexdigest()
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r'is damaged: .*depth_ros models fetch tiny-one'):
        verify('tiny-one')
    with pytest.raises(ModelError, match="no weights 'dmd4c'"):
        verify('dmd4c')


def test_the_card_of_a_file_comes_from_its_record(tiny_card: ModelCard, tmp_path: Path) -> None:
    path = fetched(tiny_card)
    assert network_card(path) is tiny_card
    copy = tmp_path / 'robot.safetensors'
    copy.write_bytes(path.read_bytes())
    assert network_card(copy) is None
    copy.with_suffix('.json').write_bytes(path.with_suffix('.json').read_bytes())
    assert network_card(copy) is tiny_card


@pytest.mark.parametrize('record', ['', '{}', '[1]', '{"name": "tiny-one"}', None])
def test_a_spoilt_record_is_no_guess(
    record: str | None, tiny_card: ModelCard, tmp_path: Path
) -> None:
    """NYU weights taken for KITTI's would give wrong depth without a word."""
    path = fetched(tiny_card)
    beside = tmp_path / 'own.pth'
    if record is None:
        path.with_suffix('.json').unlink()
    else:
        path.with_suffix('.json').write_text(record)
        beside.with_suffix('.json').write_text(record)
    with pytest.raises(ModelError, match='is no record'):
        network_card(path)
    assert network_card(beside) is None


def test_a_record_of_weights_that_are_unknown_now(tiny_card: ModelCard) -> None:
    path = fetched(tiny_card)
    content = json.loads(path.with_suffix('.json').read_text())
    path.with_suffix('.json').write_text(json.dumps({**content, 'name': 'dmd4c'}))
    assert Record.read(path).name == 'dmd4c'
    with pytest.raises(ModelError, match="no weights 'dmd4c'"):
        network_card(path)


@pytest.mark.parametrize('own', ['~nosuchuser/own.pth', '/no/such/file.pth', 'bpnet-nyu'])
def test_weights_of_lite_are_a_file_or_refused_when_they_are_set(own: str) -> None:
    with pytest.raises(ModelError, match=rf"^lite.weights '{own}': no file\.$"):
        locate(own, (), 'lite.weights')
