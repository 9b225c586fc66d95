"""Checkpoints of every make give the same parameters; everything else is refused, not run."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import ModelError
from depth_ros.weights import checkpoint as checkpoint_module
from depth_ros.weights.checkpoint import read_state_dict

torch = pytest.importorskip('torch')


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[k], other[k]) for k in one)


def saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def prefixed(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(
    'wrap',
    [
        lambda net: net,
        lambda net: {'net': net},
        lambda net: {'epoch': 29, 'net': net, 'best_metric_ema': 0.7175},
        lambda net: {'best_metric_ema': torch.tensor(0.7175), 'net': net, 'optimizer': {'lr': 1}},
        lambda net: {'state_dict': net},
        lambda net: {'model': net, 'epoch': 3},
        lambda net: {**net, 'epoch': 29},
        lambda net: {'net': prefixed('module.', net)},
        lambda net: {'state_dict': prefixed('model.', net)},
        lambda net: prefixed('model.module.', net),
        lambda net: prefixed('module.model.', net),
    ],
)
def test_parameters_are_found_wherever_training_put_them(
    wrap: Any, tiny: Any, tmp_path: Path
) -> None:
    state = tiny().state_dict()
    path = tmp_path / 'weights.pth'
    torch.save(wrap(state), path)
    assert same(read_state_dict(path), dict(state))


def test_a_prefix_of_some_names_only_stays(tmp_path: Path) -> None:
    path = tmp_path / 'weights.pth'
    torch.save({'module.a': torch.ones(1), 'b': torch.ones(1)}, path)
    assert list(read_state_dict(path)) == ['module.a', 'b']


def test_both_formats_of_torch_and_safetensors_agree(
    checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    safetensors = pytest.importorskip('safetensors.torch')
    state = dict(checkpoint['net'])
    contents = {
        'new.pth': saved(checkpoint),
        'old.pth': saved(checkpoint, _use_new_zipfile_serialization=False),
        'any.name': safetensors.save(state),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        read = read_state_dict(tmp_path / name)
        assert {k: v.dtype for k, v in read.items()} == {k: v.dtype for k, v in state.items()}
        assert same({k: read[k] for k in state}, state)


def zipped(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def tarred(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, 'w:gz' if path.suffix == '.gz' else 'w') as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


ARCHIVES = pytest.mark.parametrize(
    ('name', 'pack'), [('a.zip', zipped), ('a.tar', tarred), ('a.tar.gz', tarred)]
)


@ARCHIVES
def test_the_checkpoint_in_an_archive(
    name: str, pack: Any, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    members = {
        'BP_KITTI/result_ema.pth': saved(checkpoint),
        'BP_KITTI/config.yaml': b'lr: 1',
        '../../escaped.txt': b'nothing is unpacked',
    }
    pack(tmp_path / name, members)
    assert same(read_state_dict(tmp_path / name), dict(checkpoint['net']))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not (tmp_path.parents[1] / 'escaped.txt').exists()


@ARCHIVES
def test_an_archive_must_hold_exactly_one(
    name: str, pack: Any, checkpoint: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / name
    pack(path, {'a/result_ema.pth': saved(checkpoint), 'b/result_ema.pth': b''})
    with pytest.raises(ModelError, match=r'it holds a/result_ema.pth, b/result_ema.pth'):
        read_state_dict(path)
    pack(path, {'README.md': b'hello'})
    with pytest.raises(ModelError, match=r'it holds README.md'):
        read_state_dict(path)


@ARCHIVES
def test_an_archive_that_would_fill_the_memory_is_not_unpacked(
    name: str, pack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, '_MAX_MEMBER_BYTES', 1000)
    pack(tmp_path / name, {'result_ema.pth': bytes(1001)})
    with pytest.raises(ModelError, match='claims to have 1001 bytes'):
        read_state_dict(tmp_path / name)


class Villain:
    """Unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path) -> None:
    crime = tmp_path / 'crime'
    for options in ({}, {'_use_new_zipfile_serialization': False}):
        content = saved({'net': {'a': torch.ones(1)}, 'extra': Villain(crime)}, **options)
        (tmp_path / 'weights.pth').write_bytes(content)
        zipped(tmp_path / 'weights.zip', {'weights.pth': content})
        for name in ('weights.pth', 'weights.zip'):
            with pytest.raises(ModelError, match=r'could run code'):
                read_state_dict(tmp_path / name)
    assert not crime.exists()


def test_a_file_cut_anywhere_is_damaged(checkpoint: dict[str, Any], tmp_path: Path) -> None:
    safetensors = pytest.importorskip('safetensors.torch')
    path = tmp_path / 'weights'
    tarred(tmp_path / 'a.tar.gz', {'result_ema.pth': saved(checkpoint)})
    contents = [
        saved(checkpoint),
        saved(checkpoint, _use_new_zipfile_serialization=False),
        safetensors.save(dict(checkpoint['net'])),
        (tmp_path / 'a.tar.gz').read_bytes(),
    ]
    for content in contents:
        path.write_bytes(content)
        assert len(read_state_dict(path)) == 6
        for length in [*range(1, len(content), 61), len(content) - 1]:
            path.write_bytes(content[:length])
            with pytest.raises(ModelError, match='weights'):
                read_state_dict(path)


def test_a_flipped_bit_is_seen_where_there_is_a_checksum(tmp_path: Path) -> None:
    values = torch.arange(1000.0)
    path = tmp_path / 'weights.pth'
    pth = saved({'net': {'a': values}})
    tarred(tmp_path / 'a.tar.gz', {'result_ema.pth': saved({'net': {'a': values}})})
    zipped(tmp_path / 'a.zip', {'result_ema.pth': saved({'net': {'a': values}})})
    packed = [(tmp_path / name).read_bytes() for name in ('a.tar.gz', 'a.zip')]
    flips = [(pth, pth.find(values.numpy().tobytes()) + 1500)]
    flips += [(content, len(content) // 2) for content in packed]
    for content, position in flips:
        path.write_bytes(content)
        assert torch.equal(read_state_dict(path)['a'], values)
        flipped = bytearray(content)
        flipped[position] ^= 4
        path.write_bytes(flipped)
        with pytest.raises(ModelError, match='damaged'):
            read_state_dict(path)


def test_noise_is_damaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / 'weights.pth'
    for start in (b'', b'PK\x03\x04', b'\x80\x02', b'\x1f\x8b', b'\x10' + bytes(7) + b'{'):
        path.write_bytes(start + rng.bytes(2000))
        with pytest.raises(ModelError, match='damaged or no checkpoint'):
            read_state_dict(path)


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'', 'is empty'),
        (b'  \n<!DOCTYPE html><title>Google Drive - Virus scan warning</title>', 'is a web page'),
        (b'<html><head>', 'is a web page'),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n', 'git lfs pull'),
        (saved({'epoch': 3}), r"holds no parameters but the entries \['epoch'\]"),
        (saved({'net': {'epoch': 3}}), 'holds no parameters'),
        (saved([torch.ones(1)]), 'holds no parameters but .*list'),
        (saved(torch.ones(1)), 'holds no parameters but .*Tensor'),
    ],
)
def test_what_is_no_checkpoint_is_told_apart(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_state_dict(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / 'none.pth', tmp_path):
        with pytest.raises(ModelError, match='is no file'):
            read_state_dict(path)


def test_the_official_form_gives_the_official_names_and_shapes(
    key_named_weights: Path, oracle_dir: Path
) -> None:
    official = json.loads((oracle_dir / 'bpnet_state_dict.json').read_text())
    state = read_state_dict(key_named_weights)
    assert {name: list(value.shape) for name, value in state.items()} == {
        name: entry['shape'] for name, entry in official.items()
    }
    assert len(state) == 1648
