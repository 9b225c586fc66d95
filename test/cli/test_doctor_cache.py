"""What `depth_ros doctor` says of a cache: what is in it, what is wrong with that."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from depth_ros.cli import doctor_cache
from depth_ros.cli.finding import Finding
from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache, PlanKey
from depth_ros.weights.store import Record, weights_path

MACHINE = {'tensorrt': '10.3.0.30', 'cuda': '12', 'gpu': 'Orin', 'compute_capability': '8.7'}
KEY = PlanKey(
    family='bpnet',
    onnx_sha256='ab' * 32,
    precision='fp16',
    shapes='352x1216',
    flags='EXPLICIT_BATCH',
    **MACHINE,
)
RECORD = Record(
    name='dmd3c',
    source='https://example.org/dmd3c.pth',
    terms='MIT',
    fetched='2026-11-20',
    source_sha256='cd' * 32,
    source_bytes=3,
    sha256='ef' * 32,
    size_bytes=3_000_000,
    tensors=1,
)

pytestmark = pytest.mark.usefixtures('cache')


def findings(machine: dict[str, str] = MACHINE) -> dict[str, Finding]:
    """By name, the first of each."""
    found: dict[str, Finding] = {}
    for finding in doctor_cache.cache(machine):
        found.setdefault(finding.what, finding)
    return found


def warnings() -> list[Finding]:
    return [finding for finding in doctor_cache.cache(MACHINE) if finding.level == 'WARN']


def dated(path: Path, time_s: float) -> None:
    os.utime(path, (time_s, time_s))


def test_an_empty_cache_is_well_and_stays_as_it_is(cache: Path) -> None:
    found = findings()
    assert {finding.level for finding in found.values()} == {'OK'}
    assert str(cache) in found['cache'].value
    assert found['weights'].value == 'none fetched'
    assert found['ONNX exports'].value == found['TensorRT plans'].value == 'none'
    assert not cache.exists()


def test_a_cache_without_room(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    usage = SimpleNamespace(free=1_900_000_000)
    monkeypatch.setattr(doctor_cache.shutil, 'disk_usage', lambda _: usage)
    finding = findings()['cache']
    assert (finding.level, finding.value) == ('WARN', f'{cache}, 1.9 GB free')


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'file' / 'cache'))
    finding = findings()['cache']
    assert finding.level == 'WARN'
    assert 'cannot be written: Not a directory' in finding.value
    assert 'DEPTH_ROS_CACHE' in finding.way_out


@pytest.mark.parametrize(
    ('size_bytes', 'record', 'level', 'value'),
    [
        (3_000_000, RECORD, 'OK', '3 MB, fetched 2026-11-20'),
        (2_999_999, RECORD, 'WARN', '2999999 bytes; fetched were 3000000'),
        (3_000_000, None, 'WARN', 'no record of fetched weights'),
    ],
)
def test_weights(size_bytes: int, record: Record | None, level: str, value: str) -> None:
    path = weights_path('dmd3c')
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size_bytes))
    if record is not None:
        path.with_suffix('.json').write_text(json.dumps(asdict(record)))
    found = findings()
    assert 'weights' not in found
    finding = found['weights dmd3c']
    assert finding.level == level
    assert value in finding.value
    assert ('depth_ros models fetch dmd3c' in finding.way_out) == (level == 'WARN')


@pytest.mark.parametrize(
    ('names', 'value'),
    [
        ((), 'no weights that give metres are fetched'),
        (('dmd3c', 'da2-small'), 'no weights that give metres are fetched'),
        (('da2-small', 'da2-outdoor-small'), 'takes da2-outdoor-small'),
    ],
)
def test_what_the_monocular_node_takes(names: tuple[str, ...], value: str) -> None:
    for name in names:
        path = weights_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.with_suffix('.json').write_text(json.dumps(asdict(replace(RECORD, name=name))))
    finding = findings()['method mono']
    assert (finding.level, finding.value) == ('OK', value)
    assert ('depth_ros models fetch da2-' in finding.way_out) == ('takes' not in value)


def test_exports_and_those_of_another_version(cache: Path) -> None:
    folder = cache / 'onnx'
    folder.mkdir(parents=True)
    for name, size_bytes in (('new', 1_000_000), ('old', 2_000_000), ('lone', 0)):
        (folder / f'{name}.onnx').write_bytes(bytes(size_bytes))
        dated(folder / f'{name}.onnx', 86_400 * size_bytes / 1e6)
    new = Exported(folder / 'new.onnx', '', '', 'bpnet', 64, 96, 'fp32', 18)
    for exported in (new, replace(new, onnx=folder / 'old.onnx', version='0.0.1')):
        exported.write_sidecars({'x': np.zeros(1)}, {'y': np.zeros(1)})
    found = findings()
    assert found['ONNX exports'].value.startswith('3, 3 MB; newest old.onnx, 1970-01-')
    _, stale = (f for f in doctor_cache.cache(MACHINE) if f.what == 'ONNX exports')
    assert stale.level == 'OK'
    assert stale.value == '2 not exported by this depth_ros, not used'
    assert stale.way_out == 'can be deleted: lone.onnx, old.onnx'


def test_plans_for_this_machine_and_for_others() -> None:
    plans = PlanCache()
    plans.store(KEY, bytes(4_000_000))
    plans.store(replace(KEY, tensorrt='10.16.2.10'), bytes(1_000_000))
    plans.store(replace(KEY, gpu='Thor'), bytes(1_000_000))
    dated(plans.path(KEY), 2e9)
    finding = findings()['TensorRT plans']
    assert finding.level == 'OK'
    newest = f'newest {plans.path(KEY).name}, 2033-05-18'
    assert finding.value == f'3, 6 MB; {newest}; 1 for the TensorRT and the GPU here'
    assert findings({})['TensorRT plans'].value.endswith('; 0 for the TensorRT and the GPU here')


def test_a_plan_that_is_damaged_or_not_described() -> None:
    plans = PlanCache()
    plans.store(KEY, bytes(100))
    assert warnings() == []
    plans.path(KEY).write_bytes(bytes(99))
    assert [finding.value for finding in warnings()] == [
        f'{KEY.name}.plan: it has 99 of 100 bytes'
    ]
    for text in ('{', '[]', '{"key": {"a": 1}, "size": 99}', '{"size": 99}'):
        plans.path(KEY).with_suffix('.json').write_text(text)
        (finding,) = warnings()
        assert finding.value.startswith(f'{KEY.name}.plan: its description cannot be read')
        assert findings()['TensorRT plans'].value.endswith('; 0 for the TensorRT and the GPU here')


def test_plans_that_were_set_aside_or_refused() -> None:
    plans = PlanCache()
    other = replace(KEY, shapes='64x96')
    plans.store(KEY, bytes(10))
    plans.quarantine(KEY, bytes(10), 'off by\n20 %')
    plans.refuse(other, 'NaN in FP16')
    bad, refused = warnings()
    assert bad.value == f'{KEY.name} is set aside: off by 20 %'
    assert refused.value == f'{other.name} is not built again: NaN in FP16'
    assert 'FP32' in refused.way_out
    pattern = bad.way_out.split('delete ')[1]
    for path in Path('/').glob(pattern.lstrip('/')):
        path.unlink()
    assert warnings() == [refused]


def test_an_unreadable_reason_is_no_crash() -> None:
    plans = PlanCache()
    plans.refuse(KEY, 'off')
    (plans.folder / f'{KEY.name}.refused.json').write_text('[]')
    assert len(warnings()) == 1
