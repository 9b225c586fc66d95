"""The files of an exported network: a round trip, and damage that must not go unseen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from depth_ros.engines.exported import Exported
from depth_ros.errors import EngineError

INPUTS = {'image': np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)}
OUTPUTS = {'depth': np.array([[1.5, -2.0]], np.float32)}
SHA256_OF_ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'  # FIPS 180


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    onnx = tmp_path / 'bpnet-0123456789ab-64x96-fp16.onnx'
    onnx.write_bytes(b'abc')
    made = Exported(onnx, SHA256_OF_ABC, 64 * 'f', 'bpnet', 64, 96, 'fp16', 18)
    made.write_sidecars(INPUTS, OUTPUTS)
    return made


def test_round_trip(exported: Exported) -> None:
    assert Exported.read(exported.onnx) == exported
    inputs, outputs = exported.golden()
    assert inputs.keys() == INPUTS.keys()
    assert outputs.keys() == OUTPUTS.keys()
    for found, wanted in (
        (inputs['image'], INPUTS['image']),
        (outputs['depth'], OUTPUTS['depth']),
    ):
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(found, wanted)


def test_it_can_be_moved_with_its_files(exported: Exported, tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    for file in tmp_path.glob('bpnet-*'):
        file.rename(other / file.name)
    assert Exported.read(other / exported.onnx.name).onnx_sha256 == SHA256_OF_ABC


def test_another_onnx_file_is_seen(exported: Exported) -> None:
    exported.onnx.write_bytes(b'abd')
    with pytest.raises(EngineError, match=r'is not the file that .*\.json describes'):
        Exported.read(exported.onnx)


@pytest.mark.parametrize('text', ['', '{', '[]', '{}', '{"family": "bpnet", "height": 64}', None])
def test_damaged_description_is_seen(exported: Exported, text: str | None) -> None:
    path = exported.onnx.with_suffix('.json')
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(EngineError, match='is no exported network'):
        Exported.read(exported.onnx)


def test_unknown_entry_is_seen(exported: Exported) -> None:
    path = exported.onnx.with_suffix('.json')
    path.write_text(json.dumps({**json.loads(path.read_text()), 'onnx': '/elsewhere'}))
    with pytest.raises(EngineError, match='is no exported network'):
        Exported.read(exported.onnx)


def test_missing_onnx_file_is_seen(exported: Exported) -> None:
    exported.onnx.unlink()
    with pytest.raises(EngineError, match='is no exported network'):
        Exported.read(exported.onnx)


@pytest.mark.parametrize('share', [0.0, 0.5, None])
def test_damaged_golden_arrays_are_seen(exported: Exported, share: float | None) -> None:
    path = exported.onnx.with_suffix('.golden.npz')
    content = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(EngineError, match=r'golden\.npz cannot be read'):
        exported.golden()


def test_flipped_bits_in_golden_arrays_are_seen(exported: Exported) -> None:
    path = exported.onnx.with_suffix('.golden.npz')
    content = bytearray(path.read_bytes())
    content[70] ^= 0xFF  # in the compressed data of the first array
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r'golden\.npz cannot be read'):
        exported.golden()


def test_what_is_no_archive_of_golden_arrays_is_seen(exported: Exported) -> None:
    path = exported.onnx.with_suffix('.golden.npz')
    with path.open('wb') as file:
        np.save(file, OUTPUTS['depth'])  # a .npy
    with pytest.raises(EngineError, match='cannot be read'):
        exported.golden()
    np.savez(path, other=OUTPUTS['depth'])
    with pytest.raises(EngineError, match='has no golden arrays'):
        exported.golden()


def test_no_flipped_byte_is_anything_but_an_error_of_ours(exported: Exported) -> None:
    path = exported.onnx.with_suffix('.golden.npz')
    content = path.read_bytes()
    refused = 0
    for index in range(len(content)):
        path.write_bytes(content[:index] + bytes([content[index] ^ 0xFF]) + content[index + 1 :])
        try:
            exported.golden()
        except EngineError:
            refused += 1
    assert refused > len(content) / 2


def test_golden_arrays_run_no_code(exported: Exported) -> None:
    path = exported.onnx.with_suffix('.golden.npz')
    np.savez(path, **{'in.image': np.array([{'a': 1}], dtype=object)})
    with pytest.raises(EngineError, match='cannot be read'):
        exported.golden()
