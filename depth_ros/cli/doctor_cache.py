"""What `depth_ros doctor` says of the user's cache: weights, exported networks, plans."""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from depth_ros import __version__
from depth_ros.cli.finding import OK, WARN, Finding, one_line
from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache
from depth_ros.errors import ModelError
from depth_ros.files import cache_dir
from depth_ros.methods.mono import mono_weights
from depth_ros.weights.registry import MODELS
from depth_ros.weights.store import Record, weights_path

ROOM_BYTES = 2 * 10**9
"""What BP-Net takes: its weights, two ONNX files, a plan, and some of them twice for a moment."""


def cache(machine: Mapping[str, str]) -> Iterator[Finding]:
    """The folder and what is in it. Nothing is hashed: `depth_ros models verify` does that.

    Args:
        machine: what plans must have been built for, as in `PlanKey`; empty if none can run.
    """
    yield _folder()
    yield from _weights()
    yield _monocular()
    yield from _exports()
    yield from _plans(machine)


def _folder() -> Finding:
    what = 'cache'
    folder = cache_dir()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        way_out = 'set DEPTH_ROS_CACHE to a folder of yours'
        return Finding(WARN, what, f'{folder} cannot be written: {error.strerror}', way_out)
    value = f'{folder}, {free_bytes / 1e9:.1f} GB free'
    if free_bytes >= ROOM_BYTES:
        return Finding(OK, what, value)
    way_out = (
        f'BP-Net takes {ROOM_BYTES / 1e9:.0f} GB, Depth Pro four times that; DEPTH_ROS_CACHE is '
        'another folder'
    )
    return Finding(WARN, what, value, way_out)


def _weights() -> Iterator[Finding]:
    there = {name: path for name in MODELS if (path := weights_path(name)).is_file()}
    if not there:
        yield Finding(
            OK, 'weights', 'none fetched', '`depth_ros models list` has those that exist'
        )
    for name, path in there.items():
        what = f'weights {name}'
        again = f'fetch them again: `depth_ros models fetch {name}`'
        try:
            record = Record.read(path)
        except ModelError as error:
            yield Finding(WARN, what, str(error), again)
            continue
        size_bytes = path.stat().st_size
        if size_bytes == record.size_bytes:
            yield Finding(OK, what, f'{_megabytes(size_bytes)}, fetched {record.fetched}')
        else:
            value = f'{size_bytes} bytes; fetched were {record.size_bytes}'
            yield Finding(WARN, what, value, again)


def _monocular() -> Finding:
    """The weights that the monocular node takes unless it is told others."""
    what = 'method mono'
    try:
        return Finding(OK, what, f'takes {mono_weights("", "metric").stem}')
    except ModelError as error:
        return Finding(OK, what, 'no weights that give metres are fetched', str(error))


def _exports() -> Iterator[Finding]:
    what = 'ONNX exports'
    paths = sorted(cache_dir('onnx').glob('*.onnx'))
    yield Finding(OK, what, _summary(paths))
    if stale := [path.name for path in paths if _version_of(path) != __version__]:
        way_out = f'can be deleted: {", ".join(stale)}'
        yield Finding(OK, what, f'{len(stale)} not exported by this depth_ros, not used', way_out)


def _version_of(onnx: Path) -> str | None:
    """Version of this package that exported a file; None if nothing says so."""
    try:
        description = json.loads(onnx.with_suffix('.json').read_text())
        return Exported(onnx=onnx, **description).version
    except (OSError, ValueError, TypeError):
        return None


def _plans(machine: Mapping[str, str]) -> Iterator[Finding]:
    what = 'TensorRT plans'
    plans = PlanCache()
    stored = list(plans.stored())
    fitting = [plan for plan in stored if plan.key and machine.items() <= asdict(plan.key).items()]
    value = _summary([plan.path for plan in stored])
    if stored:
        value += f'; {len(fitting) if machine else 0} for the TensorRT and the GPU here'
    yield Finding(OK, what, value)
    for plan in stored:
        if plan.fault:
            way_out = 'at its next use it is set aside and built again'
            yield Finding(WARN, what, f'{plan.path.name}: {plan.fault}', way_out)
    for name, reason in plans.set_aside().items():
        way_out = f'it is built again when it is needed; delete {plans.folder / name}.bad*'
        yield Finding(WARN, what, f'{name} is set aside: {one_line(reason)}', way_out)
    for name, reason in plans.refused().items():
        way_out = 'its network runs in FP32 until TensorRT is another version'
        yield Finding(WARN, what, f'{name} is not built again: {one_line(reason)}', way_out)


def _summary(paths: Sequence[Path]) -> str:
    """How many files, how large, and the newest."""
    if not paths:
        return 'none'
    stats = {path: path.stat() for path in paths}
    newest = max(paths, key=lambda path: stats[path].st_mtime)
    day = datetime.date.fromtimestamp(stats[newest].st_mtime).isoformat()
    size = _megabytes(sum(stat.st_size for stat in stats.values()))
    return f'{len(paths)}, {size}; newest {newest.name}, {day}'


def _megabytes(size_bytes: int) -> str:
    return f'{size_bytes / 1e6:.0f} MB'
