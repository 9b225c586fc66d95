"""What a plan depends on, and what becomes of one that is not what was stored."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

import torch
from fake_tensorrt import fake, install

from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache, PlanKey
from depth_ros.errors import EngineError

KEY = PlanKey(
    family='bpnet',
    onnx_sha256='ab' * 32,
    tensorrt='10.3.0.30',
    cuda='12',
    gpu='Orin',
    compute_capability='8.7',
    precision='fp16',
    shapes='352x1216',
    flags='EXPLICIT_BATCH+FP16',
)
OTHER = {
    'family': 'tiny',
    'onnx_sha256': 'cd' * 32,
    'tensorrt': '10.3.0.31',
    'cuda': '13',
    'gpu': 'Orin Nano',
    'compute_capability': '8.6',
    'precision': 'fp32',
    'shapes': '256x320',
    'flags': 'EXPLICIT_BATCH',
    'schema': KEY.schema + 1,
}
PLAN = bytes(range(256)) * 4


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / 'plans')


def test_a_key_says_what_is_here(tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    assert PlanKey.of(tiny_fp16) == PlanKey(
        family='tiny',
        onnx_sha256=hashlib.sha256(tiny_fp16.onnx.read_bytes()).hexdigest(),
        tensorrt='10.3.0.30',
        cuda='12',
        gpu='Orin',
        compute_capability='8.7',
        precision='fp16',
        shapes='16x24',
        flags='EXPLICIT_BATCH+FP16+OBEY_PRECISION_CONSTRAINTS',
        schema=KEY.schema,
    )


def test_a_key_needs_a_gpu(tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(EngineError, match='needs an NVIDIA GPU'):
        PlanKey.of(tiny_fp16)


def test_what_was_stored_is_found(cache: PlanCache) -> None:
    assert cache.lookup(KEY) is None
    cache.store(KEY, PLAN)
    assert cache.lookup(KEY) == PLAN
    assert PlanCache(cache.folder).lookup(dataclasses.replace(KEY)) == PLAN
    assert sorted(p.suffix for p in cache.folder.iterdir()) == ['.json', '.plan']


@pytest.mark.parametrize('part', [field.name for field in dataclasses.fields(PlanKey)])
def test_another_value_of_any_part_is_another_plan(cache: PlanCache, part: str) -> None:
    other = dataclasses.replace(KEY, **{part: OTHER[part]})
    cache.store(KEY, PLAN)
    assert cache.lookup(other) is None
    # Not by its name alone: the plan is refused under the name of the other as well.
    for suffix in ('.plan', '.json'):
        ours = cache.path(KEY).with_suffix(suffix)
        cache.path(other).with_suffix(suffix).write_bytes(ours.read_bytes())
    assert cache.lookup(other) is None
    reason = json.loads(cache.path(other).with_suffix('.bad.json').read_text())['reason']
    assert reason == f'it was built with another {part}'
    assert cache.lookup(KEY) == PLAN


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda plan, sidecar: plan.write_bytes(PLAN[:-1]), 'it has 1023 of 1024 bytes'),
        (lambda plan, sidecar: plan.write_bytes(b''), 'it has 0 of 1024 bytes'),
        (lambda plan, sidecar: plan.write_bytes(PLAN[::-1]), 'its content has changed'),
        (lambda plan, sidecar: sidecar.unlink(), 'its description cannot be read'),
        (lambda plan, sidecar: sidecar.write_text('{'), 'its description cannot be read'),
        (lambda plan, sidecar: sidecar.write_text('[]'), 'its description cannot be read'),
        (
            lambda plan, sidecar: sidecar.write_text('{"key": {}}'),
            'its description cannot be read',
        ),
    ],
)
def test_a_damaged_plan_is_set_aside(
    cache: PlanCache, damage: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(KEY, PLAN)
    path = cache.path(KEY)
    assert callable(damage)
    damage(path, path.with_suffix('.json'))
    broken = path.read_bytes()
    assert cache.lookup(KEY) is None
    assert not path.exists()
    assert path.with_suffix('.bad').read_bytes() == broken
    assert json.loads(path.with_suffix('.bad.json').read_text())['reason'].startswith(reason)
    assert reason in caplog.text
    cache.store(KEY, PLAN)
    assert cache.lookup(KEY) == PLAN


def test_a_plan_that_was_replaced_meanwhile_stays(cache: PlanCache) -> None:
    cache.store(KEY, PLAN)
    cache.quarantine(KEY, b'the bad one before', 'it is wrong')
    assert cache.lookup(KEY) == PLAN
    assert not list(cache.folder.glob('*.bad*'))


def test_a_crash_between_description_and_plan_leaves_no_plan(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        cache.folder.mkdir()
        replace = Path.replace
        patch.setattr(
            Path, 'replace', lambda a, b: crash(a, b) if b.suffix == '.plan' else replace(a, b)
        )
        with pytest.raises(KeyboardInterrupt):
            cache.store(KEY, PLAN)
    assert cache.path(KEY).with_suffix('.json').exists()
    assert cache.lookup(KEY) is None
    assert not list(cache.folder.glob('*.bad*'))
    cache.store(KEY, PLAN)
    assert cache.lookup(KEY) == PLAN
    assert not list(cache.folder.glob('*.partial'))


def test_a_full_disk_is_not_filled_further(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(EngineError, match=r'No space left on device.* Make room'):
        cache.store(KEY, PLAN)
    assert not list(cache.folder.glob('*.partial'))
    assert cache.lookup(KEY) is None


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    cache = PlanCache(tmp_path / 'file' / 'plans')
    assert cache.lookup(KEY) is None
    with pytest.raises(EngineError, match='set DEPTH_ROS_CACHE to a folder of yours'):
        cache.store(KEY, PLAN)
    with pytest.raises(EngineError, match='DEPTH_ROS_CACHE'), cache.locked(KEY):
        pass


def test_the_folder_is_in_the_cache_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    assert PlanCache().path(KEY).parent == tmp_path / 'plans'


def test_a_lock_is_per_key_and_ends_with_its_holder(cache: PlanCache) -> None:
    other = dataclasses.replace(KEY, precision='fp32')
    with cache.locked(KEY):
        with cache.locked(other, timeout_s=0.0):
            pass
        with pytest.raises(EngineError, match='Another process has held'), cache.locked(KEY, 0.2):
            pass
    with cache.locked(KEY, timeout_s=0.0):
        pass


def test_timings_are_per_machine_and_not_per_network(cache: PlanCache) -> None:
    assert cache.timings(dataclasses.replace(KEY, shapes='1x1')) == cache.timings(KEY)
    assert cache.timings(KEY).parent == cache.folder
    for part in ('tensorrt', 'cuda', 'gpu', 'compute_capability'):
        other = dataclasses.replace(KEY, **{part: OTHER[part]})
        assert cache.timings(other) != cache.timings(KEY)


def test_a_refusal_is_remembered_for_its_key_only(cache: PlanCache) -> None:
    assert cache.refusal(KEY) is None
    cache.refuse(KEY, 'depth is off')
    assert PlanCache(cache.folder).refusal(KEY) == 'depth is off'
    assert cache.refusal(dataclasses.replace(KEY, tensorrt='10.16.2.10')) is None
    for damaged in ('', '[]', '{}'):
        cache.path(KEY).with_suffix('.refused.json').write_text(damaged)
        assert cache.refusal(KEY) is None
