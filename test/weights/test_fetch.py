"""Fetching ends with whole weights and a true record, or with the cache as it was."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import hashlib
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from depth_ros.errors import MissingDependencyError, ModelError
from depth_ros.weights import fetch as fetch_module
from depth_ros.weights.card import ModelCard
from depth_ros.weights.checkpoint import read_state_dict
from depth_ros.weights.fetch import fetch
from depth_ros.weights.registry import MODELS
from depth_ros.weights.store import locate, network_card, verify

torch = pytest.importorskip('torch')

WHOLE = {'tiny-one.safetensors', 'tiny-one.json', 'tiny-one.lock'}
RESUMABLE = {'tiny-one.part', 'tiny-one.part.json', 'tiny-one.lock'}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def get(card: ModelCard, **options: Any) -> Any:
    return fetch(card, accept_licence=True, **options)


def saved(path: Path, content: Any) -> bytes:
    torch.save(content, path)
    return path.read_bytes()


def test_fetched_weights_are_those_of_the_server(
    tiny_card: ModelCard, checkpoint: dict[str, Any], server: Any, cache: Path
) -> None:
    record = get(tiny_card)
    assert names(cache) == WHOLE
    content = (cache / 'tiny-one.safetensors').read_bytes()
    assert dataclasses.asdict(record) == {
        'name': 'tiny-one',
        'source': server.url,
        'terms': 'code: MIT; weights: licence not stated; training data: none needed',
        'fetched': datetime.date.today().isoformat(),
        'source_sha256': hashlib.sha256(server.content).hexdigest(),
        'source_bytes': len(server.content),
        'sha256': hashlib.sha256(content).hexdigest(),
        'size_bytes': len(content),
        'tensors': 6,
    }
    assert json.loads((cache / 'tiny-one.json').read_text()) == dataclasses.asdict(record)
    state = read_state_dict(cache / 'tiny-one.safetensors')
    assert state.keys() == checkpoint['net'].keys()
    for name, value in checkpoint['net'].items():
        assert torch.equal(state[name], value)


def test_without_consent_nothing_happens(tiny_card: ModelCard, server: Any, cache: Path) -> None:
    with pytest.raises(ModelError, match=r'licence not stated.*--accept-licence'):
        fetch(tiny_card, accept_licence=False)
    assert server.requests == []
    assert names(cache) == set()


def test_what_is_here_is_not_fetched_again(tiny_card: ModelCard, server: Any) -> None:
    record = get(tiny_card)
    server.close()
    assert get(tiny_card) == record


def test_damaged_weights_are_fetched_again(tiny_card: ModelCard, cache: Path) -> None:
    record = get(tiny_card)
    (cache / 'tiny-one.safetensors').write_bytes(b'damaged')
    assert get(tiny_card) == record
    assert verify('tiny-one') == record


def test_another_file_at_the_source_needs_force(
    tiny_card: ModelCard, tiny: Any, server: Any, cache: Path, tmp_path: Path
) -> None:
    first = get(tiny_card)
    old = server.content
    server.content = saved(tmp_path / 'new.pth', {'net': tiny().state_dict()})
    server.headers['ETag'] = '"2"'
    (cache / 'tiny-one.safetensors').unlink()
    with pytest.raises(ModelError, match=r'another file than on .*--force') as error:
        get(tiny_card)
    assert hashlib.sha256(old).hexdigest() in str(error.value)
    assert json.loads((cache / 'tiny-one.json').read_text()) == dataclasses.asdict(first)
    sent = len(server.requests)
    record = get(tiny_card, force=True)
    assert server.requests[sent]['Range'] == f'bytes={len(server.content)}-'  # all here already
    assert record.source_sha256 == hashlib.sha256(server.content).hexdigest()
    assert names(cache) == WHOLE


def test_a_file_that_its_authors_did_not_sign(
    tiny_card: ModelCard, server: Any, cache: Path
) -> None:
    good = hashlib.sha256(server.content).hexdigest()
    assert get(dataclasses.replace(tiny_card, sha256=good)).source_sha256 == good
    (cache / 'tiny-one.safetensors').unlink()
    (cache / 'tiny-one.json').unlink()
    with pytest.raises(ModelError, match=f'the authors say {"0" * 64}'):
        get(dataclasses.replace(tiny_card, sha256='0' * 64), force=True)
    assert names(cache) == {'tiny-one.lock'}


def test_damage_on_the_way_leaves_nothing(
    tiny_card: ModelCard, server: Any, cache: Path, tiny: Any, tmp_path: Path
) -> None:
    whole = server.content
    state = dict(tiny().state_dict())
    foreign = {**state, 'conv.weight': torch.ones(7)}
    bad = {
        'damaged or no checkpoint': whole[:-100],
        'web page': b'<!DOCTYPE html><title>Sign in</title>',
        r'1 of another shape: conv.weight': saved(tmp_path / 'a.pth', foreign),
        r'1 not finite: bn.bias': saved(
            tmp_path / 'b.pth', {**state, 'bn.bias': torch.full((3,), float('nan'))}
        ),
        'could run code': saved(tmp_path / 'c.pth', {'net': state, 'path': tmp_path}),
    }
    for said, content in bad.items():
        server.content = content
        with pytest.raises(ModelError, match=said):
            get(tiny_card)
        assert names(cache) == {'tiny-one.lock'}
    server.content = whole
    get(tiny_card)
    assert names(cache) == WHOLE


def test_a_broken_download_is_all_that_stays(
    tiny_card: ModelCard, server: Any, cache: Path
) -> None:
    server.break_after = 700
    with pytest.raises(ModelError, match='broke off at 700'):
        get(tiny_card)
    assert names(cache) == RESUMABLE
    server.break_after = None
    get(tiny_card)
    assert server.requests[-1]['Range'] == 'bytes=700-'
    assert names(cache) == WHOLE


def test_an_interrupted_download_is_all_that_stays(tiny_card: ModelCard, cache: Path) -> None:
    def interrupt(done: int, of: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(tiny_card, progress=interrupt)
    assert names(cache) == RESUMABLE


@pytest.mark.parametrize('suffix', ['.new', '.json'])
def test_a_full_disk_costs_no_second_download(
    suffix: str, tiny_card: ModelCard, server: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic = fetch_module.write_atomic

    def full(path: Path, content: bytes) -> None:
        if path.suffix == suffix:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_atomic(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module, 'write_atomic', full)
        with pytest.raises(OSError, match='No space left'):
            get(tiny_card)
    with pytest.raises(ModelError, match=r'No weights for bpnet\.weights are here'):
        locate('', ('tiny',))
    get(tiny_card)
    assert server.requests[-1]['Range'] == f'bytes={len(server.content)}-'
    assert names(cache) == WHOLE


@pytest.mark.parametrize('fails', ['.new', '.json'])
def test_a_full_disk_leaves_what_was_fetched_before(
    fails: str, tiny_card: ModelCard, cache: Path, tmp_path: Path
) -> None:
    before = get(tiny_card)
    state = read_state_dict(cache / 'tiny-one.safetensors')
    other = tmp_path / 'other.pth'
    saved(other, {'net': {name: value + 1 for name, value in state.items()}})
    write_atomic = fetch_module.write_atomic

    def full(path: Path, content: bytes) -> None:
        if path.suffix == fails:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write_atomic(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch_module, 'write_atomic', full)
        with pytest.raises(OSError, match='No space'):
            get(tiny_card, source_file=other, force=True)
    assert verify('tiny-one') == before
    assert names(cache) == WHOLE


def test_two_fetches_do_not_collide(tiny_card: ModelCard, cache: Path) -> None:
    def meanwhile(done: int, of: int | None) -> None:
        with pytest.raises(ModelError, match='Another process is fetching tiny-one'):
            get(tiny_card)

    get(tiny_card, progress=meanwhile)
    assert names(cache) == WHOLE


@pytest.mark.parametrize('library', ['torch', 'safetensors'])
def test_a_missing_library_is_told_before_the_download(
    library: str, tiny_card: ModelCard, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=rf"'{library}'.*depth_ros\[torch\]"):
        get(tiny_card)
    assert server.requests == []


def test_from_a_file(tiny_card: ModelCard, server: Any, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / 'BP_TINY.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('BP_TINY/result_ema.pth', server.content)
    offline = dataclasses.replace(tiny_card, url='', by_hand='Ask the authors.')
    with pytest.raises(
        ModelError, match=r'cannot be downloaded by this command\. Ask the authors\.'
    ):
        get(offline)
    record = get(offline, source_file=path)
    assert record.source == str(path)
    assert record.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (names(cache), server.requests) == (WHOLE, [])
    assert path.exists()

    with pytest.raises(ModelError, match=r'another file than on .*--force'):
        get(tiny_card, source_file=cache / 'tiny-one.safetensors')
    with pytest.raises(ModelError, match='is no file'):
        get(tiny_card, source_file=tmp_path / 'none.pth')
    damaged = tmp_path / 'damaged.pth'
    damaged.write_bytes(server.content[:500])
    with pytest.raises(ModelError, match='damaged'):
        get(tiny_card, source_file=damaged, force=True)
    assert damaged.exists()
    assert verify('tiny-one') == record


def test_the_official_network_from_the_official_form(
    key_named_weights: Path, key_named_bpnet: Any, cache: Path
) -> None:
    pytest.importorskip('safetensors')
    torch.set_num_threads(1)
    record = get(MODELS['dmd3c'], source_file=key_named_weights)
    assert record.tensors == 1648
    path = locate('')
    assert network_card(path) is MODELS['dmd3c']
    state = read_state_dict(path)
    expected = key_named_bpnet.state_dict()
    assert state.keys() == expected.keys()
    for name, value in state.items():
        assert torch.equal(value, expected[name]), name
