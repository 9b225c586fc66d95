"""Weights to ONNX: what is in the file, what must not get into the cache, two processes."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from depth_ros.engines import export as exporting
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.export import export, find
from depth_ros.engines.exported import Exported
from depth_ros.engines.lock import locked
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.errors import EngineError, MissingDependencyError, ModelError
from depth_ros.files import sha256_of
from depth_ros.weights.registry import family

for library in ('torch', 'onnx', 'onnxscript', 'onnxruntime'):
    pytest.importorskip(library)


@pytest.fixture
def cached(tiny_fp32: Exported, tmp_path: Path) -> Exported:
    """A copy of what was exported, alone in a folder of its own."""
    folder = tmp_path / 'onnx'
    folder.mkdir()
    for file in tiny_fp32.onnx.parent.glob(f'{tiny_fp32.onnx.stem}.*'):
        shutil.copy2(file, folder)
    return replace(tiny_fp32, onnx=folder / tiny_fp32.onnx.name)


def files_in(folder: Path) -> set[str]:
    return {file.suffix for file in folder.iterdir() if file.suffix != '.lock'}


def test_file_is_portable(tiny: NetworkRequest, tiny_fp32: Exported) -> None:
    import onnx

    model = onnx.load(tiny_fp32.onnx)
    given = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert given == {
        'image': [1, 16, 24, 3],
        'sparse': [1, 1, 16, 24],
        'nearest': [1, 384],
        'depth': [1, 1, 16, 24],
        'sigma': [1, 1, 16, 24],
    }
    assert {node.domain for node in model.graph.node} == {''}
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [('', 18)]
    assert all(not initial.external_data for initial in model.graph.initializer)


def test_description_is_true(tiny: NetworkRequest, tiny_fp32: Exported) -> None:
    digest = sha256_of(tiny.weights)
    assert tiny_fp32.onnx.name == f'tiny-{digest[:12]}-16x24-fp32.onnx'
    assert (tiny_fp32.weights_sha256, tiny_fp32.opset) == (digest, 18)
    assert Exported.read(tiny_fp32.onnx) == tiny_fp32
    inputs, reference = tiny_fp32.golden()
    for name, wanted in family('tiny').golden_inputs(16, 24).items():
        assert inputs[name].dtype == wanted.dtype
        np.testing.assert_array_equal(inputs[name], wanted)
    for name, output in TorchEngine(tiny, threads=1).infer(inputs).items():
        np.testing.assert_allclose(reference[name], output, rtol=1e-5)


def test_half_precision_has_half_the_weights_and_the_same_reference(
    tiny_fp32: Exported, tiny_fp16: Exported
) -> None:
    import onnx

    types = {
        value.data_type for value in onnx.load(tiny_fp16.onnx).graph.initializer if value.dims
    }
    assert onnx.TensorProto.FLOAT16 in types
    for name, wanted in tiny_fp32.golden()[1].items():
        np.testing.assert_allclose(tiny_fp16.golden()[1][name], wanted, rtol=1e-6)
    graph = onnx.load(tiny_fp16.onnx).graph
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_nothing_is_exported_twice(tiny: NetworkRequest, cached: Exported) -> None:
    folder = cached.onnx.parent
    written = cached.onnx.stat().st_mtime_ns
    assert find(tiny, folder) == export(tiny, folder) == cached
    assert cached.onnx.stat().st_mtime_ns == written
    assert find(replace(tiny, precision='fp16'), folder) is None
    assert find(replace(tiny, height=20), folder) is None


def test_default_folder_is_in_the_cache(
    tiny: NetworkRequest, cached: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(cached.onnx.parents[1]))
    assert find(tiny) == export(tiny) == cached


@pytest.mark.parametrize('damage', ['onnx', 'json', 'golden', 'no golden', 'version'])
def test_what_is_damaged_or_old_does_not_count(
    tiny: NetworkRequest, cached: Exported, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    description = cached.onnx.with_suffix('.json')
    if damage == 'onnx':
        cached.onnx.write_bytes(cached.onnx.read_bytes()[:-1])
    elif damage == 'json':
        description.write_text('{')
    elif damage == 'golden':
        cached.onnx.with_suffix('.golden.npz').write_bytes(b'no archive')
    elif damage == 'no golden':
        cached.onnx.with_suffix('.golden.npz').unlink()
    else:
        old = {**json.loads(description.read_text()), 'version': '0.0.1'}
        description.write_text(json.dumps(old))
    assert find(tiny, cached.onnx.parent) is None
    assert bool(caplog.records) == (damage != 'version')


def test_golden_arrays_that_are_lost_are_made_anew(tiny: NetworkRequest, cached: Exported) -> None:
    cached.onnx.with_suffix('.golden.npz').unlink()
    assert export(tiny, cached.onnx.parent) == cached
    assert cached.golden()[0].keys() == {'image', 'sparse', 'nearest'}


def test_exporter_is_quiet(
    tiny: NetworkRequest, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().addHandler(handler := logging.StreamHandler())
    handler.setLevel(logging.WARNING)  # what we say ourselves is less
    with warnings.catch_warnings(record=True) as caught:
        export(tiny, tmp_path)
    logging.getLogger().removeHandler(handler)
    assert capfd.readouterr() == ('', '')
    assert not caught


def test_a_wrong_export_does_not_get_into_the_cache(
    tiny: NetworkRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = OnnxRuntimeEngine.infer

    def wrong(self: Any, inputs: Any) -> Any:
        return {name: value * np.float32(1.01) for name, value in infer(self, inputs).items()}

    monkeypatch.setattr(OnnxRuntimeEngine, 'infer', wrong)
    with pytest.raises(EngineError, match=r'onnxruntime on cpu failed the self-check'):
        export(tiny, tmp_path)
    assert files_in(tmp_path) == set()


def test_what_a_crash_left_is_no_hindrance(tiny: NetworkRequest, cached: Exported) -> None:
    folder = cached.onnx.parent
    cached.onnx.write_bytes(b'')  # it died after the second of three renames
    cached.onnx.with_suffix('.json').unlink()
    left = cached.onnx.with_suffix('.partial')
    left.mkdir()
    (left / 'half.onnx').write_bytes(b'')
    assert find(tiny, folder) is None
    assert export(tiny, folder) == find(tiny, folder) == cached  # the same to the last bit
    assert files_in(folder) == {'.onnx', '.npz', '.json'}


def test_another_process_is_waited_for(tiny: NetworkRequest, cached: Exported) -> None:
    """A real second process holds the lock; what it leaves is taken and not made again."""
    folder = cached.onnx.parent
    hidden = [(file, file.rename(file.with_suffix('.hidden'))) for file in folder.glob('*.json')]
    lock = cached.onnx.with_suffix('.lock')
    code = (
        'import sys, pathlib; from depth_ros.engines.lock import locked\n'
        f'with locked(pathlib.Path({str(lock)!r})): print("held", flush=True); sys.stdin.read()'
    )
    other = subprocess.Popen(
        [sys.executable, '-c', code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(exporting.__file__).parents[2],
    )
    assert other.stdout is not None
    assert other.stdout.readline() == 'held\n'
    written = cached.onnx.stat().st_mtime_ns
    got: list[Exported] = []
    waiting = threading.Thread(target=lambda: got.append(export(tiny, folder)))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    for file, elsewhere in hidden:
        elsewhere.rename(file)
    other.kill()  # the lock of a dead process is free
    other.communicate()
    waiting.join(60)
    assert got == [cached]
    assert cached.onnx.stat().st_mtime_ns == written


def test_lock_is_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / 'new' / 'a.lock'
    with locked(lock), pytest.raises(EngineError, match='has held'), locked(lock, timeout_s=0.0):
        pass
    with locked(lock, timeout_s=0.0):
        pass


def test_large_networks_are_refused(
    tiny: NetworkRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, 'MAX_PARAMETER_BYTES', 1000)
    with pytest.raises(EngineError, match='ONNX file holds less than 2 GiB'):
        export(tiny, tmp_path)
    assert files_in(tmp_path) == set()


def graph(**changes: Any) -> Any:
    """A sum of two numbers in ONNX, with one thing wrong."""
    from onnx import TensorProto, helper

    made = SimpleNamespace(op='Add', domain='', opset=18, shape=[2], shape_of_c=[2])
    made.__dict__.update(changes)
    a, b, c = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (('a', made.shape), ('b', [2]), ('c', made.shape_of_c))
    )
    node = helper.make_node(made.op, ['a', 'b'], ['c'], domain=made.domain)
    opsets = [helper.make_opsetid('', made.opset), helper.make_opsetid('mine', 1)]
    return helper.make_model(helper.make_graph([node], 'g', [a, b], [c]), opset_imports=opsets)


@pytest.mark.parametrize(
    ('changes', 'wrong'),
    [
        ({'op': 'Mine', 'domain': 'mine'}, r"operators that are not ONNX: \['mine'\]"),
        ({'opset': 17}, r'must have opset 18, got \[17\]'),
        ({'shape': ['h']}, r"open sizes in \['a'\]"),
        ({'shape_of_c': [None]}, r"open sizes in \['c'\]"),
    ],
)
def test_unportable_graphs_are_refused(
    tmp_path: Path, changes: dict[str, Any], wrong: str
) -> None:
    import onnx

    path = tmp_path / 'a.onnx'
    onnx.save(graph(), path)
    exporting._refuse_unportable(path)
    onnx.save(graph(**changes), path)
    with pytest.raises(EngineError, match=wrong):
        exporting._refuse_unportable(path)


def test_a_second_file_is_refused(tmp_path: Path) -> None:
    import onnx

    onnx.save(graph(), tmp_path / 'a.onnx')
    (tmp_path / 'a.onnx.data').write_bytes(b'weights')
    with pytest.raises(EngineError, match=r"not one file but also \['a\.onnx\.data'\]"):
        exporting._refuse_unportable(tmp_path / 'a.onnx')


@pytest.mark.parametrize('library', ['onnx', 'onnxscript', 'onnxruntime'])
def test_missing_library_is_named_before_the_work(
    tiny: NetworkRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        MissingDependencyError, match=rf"'{library}' is not installed.*depth_ros\["
    ):
        export(tiny, tmp_path)


def test_weights_and_size_are_checked_first(tiny: NetworkRequest, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'nowhere\.pth cannot be read'):
        export(replace(tiny, weights=tmp_path / 'nowhere.pth'), tmp_path)
    with pytest.raises(EngineError, match='multiples of 4, got 18x24'):
        export(replace(tiny, height=18), tmp_path)
    assert list(tmp_path.iterdir()) == []
