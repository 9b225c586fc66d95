"""The plans of TensorRT on disk: what each depends on, and whether it is still what was stored."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from depth_ros.engines.build import build_flags, tensorrt_version
from depth_ros.engines.cpu import import_torch
from depth_ros.engines.exported import Exported
from depth_ros.engines.lock import locked
from depth_ros.engines.tensorrt_engine import DEVICE
from depth_ros.errors import EngineError
from depth_ros.files import cache_dir, write_atomic

SCHEMA = 1
"""Raised when we build plans in another way, so that those of before are not taken."""
LOCK_TIMEOUT_S = 3600.0  # the longest build on a Jetson, twice

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlanKey:
    """All that a plan depends on; with any other value it is another plan.

    Attributes:
        family: of the network, for people who look into the folder.
        onnx_sha256: of the ONNX file, which holds the weights.
        tensorrt: version in full; plans are not portable even between patches.
        cuda: major version of CUDA.
        gpu: name of the GPU.
        compute_capability: of the GPU, such as `8.7`.
        precision: one of `PRECISIONS`.
        shapes: of the inputs.
        flags: of the network and of the builder.
        schema: `SCHEMA`.
    """

    family: str
    onnx_sha256: str
    tensorrt: str
    cuda: str
    gpu: str
    compute_capability: str
    precision: str
    shapes: str
    flags: str
    schema: int = SCHEMA

    @classmethod
    def of(cls, exported: Exported) -> PlanKey:
        """The key of a network with the TensorRT and the GPU that are here.

        Raises:
            EngineError: one of them is not here.
        """
        flags = build_flags(exported.precision)
        cuda = import_torch().cuda
        major, minor = cuda.get_device_capability(DEVICE)
        return cls(
            family=exported.family,
            onnx_sha256=exported.onnx_sha256,
            tensorrt=str(tensorrt_version()),
            cuda=str(import_torch().version.cuda).split('.')[0],
            gpu=cuda.get_device_name(DEVICE),
            compute_capability=f'{major}.{minor}',
            precision=exported.precision,
            shapes=f'{exported.height}x{exported.width}',
            flags='+'.join(flags),
        )

    @property
    def name(self) -> str:
        """Name of the plan's files without suffix."""
        text = json.dumps(asdict(self), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f'{self.family}-{self.shapes}-{self.precision}-{digest[:16]}'


class StoredPlan(NamedTuple):
    """A plan on disk as its description has it; its content was not read.

    Attributes:
        path: of the plan.
        size_bytes: of the file.
        key: what it depends on; None where the description cannot be read.
        fault: why it will not be used, as far as is plain; empty if nothing is.
    """

    path: Path
    size_bytes: int
    key: PlanKey | None
    fault: str = ''


class PlanCache:
    """Plans in a folder: `<name>.plan`, beside it `<name>.json` with the whole key and a hash.

    A plan is code that runs on the GPU: the folder must be the user's own.

    Args:
        folder: default is `plans` in the user's cache.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir('plans')

    def path(self, key: PlanKey) -> Path:
        """Where the plan of a key is or would be."""
        return self.folder / f'{key.name}.plan'

    def timings(self, key: PlanKey) -> Path:
        """Where the timings of kernels are kept that fit a key."""
        text = '-'.join((key.tensorrt, key.cuda, key.gpu, key.compute_capability))
        return self.folder / f'{"".join(c if c.isalnum() else "_" for c in text)}.timings'

    def lookup(self, key: PlanKey) -> bytes | None:
        """The plan of a key, if it is there and whole; one that is not is quarantined."""
        try:
            plan = self.path(key).read_bytes()
        except OSError:
            return None
        reason = self._fault(key, plan)
        if reason is None:
            return plan
        self.quarantine(key, plan, reason)
        return None

    def store(self, key: PlanKey, plan: bytes) -> None:
        """Keep a plan; who looks meanwhile finds none, and a power cut leaves none or all of it.

        Raises:
            EngineError: the folder cannot be written.
        """
        sidecar = {'key': asdict(key), 'size': len(plan), 'sha256': _sha256(plan)}
        path = self.path(key)
        partial = path.with_suffix('.partial')  # under the lock nobody else writes it
        with self._written():
            self._write_json(path.with_suffix('.json'), sidecar)
            try:
                with partial.open('wb') as file:
                    file.write(plan)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    def quarantine(self, key: PlanKey, plan: bytes, reason: str) -> None:
        """Move a plan out of the way, to `<name>.bad`; why is in `<name>.bad.json`.

        Nothing happens where another process has moved or replaced it meanwhile.

        Raises:
            EngineError: the folder cannot be written.
        """
        path = self.path(key)
        with self._written(), contextlib.suppress(FileNotFoundError):
            if path.read_bytes() != plan:
                return
            path.replace(path.with_suffix('.bad'))
            self._write_json(path.with_suffix('.bad.json'), {'reason': reason})
            _log.warning('The plan %s is set aside: %s', path, reason)

    def refuse(self, key: PlanKey, reason: str) -> None:
        """Remember that this plan computes something else however often it is built.

        Raises:
            EngineError: the folder cannot be written.
        """
        with self._written():
            self._write_json(self._refusal(key), {'key': asdict(key), 'reason': reason})

    def refusal(self, key: PlanKey) -> str | None:
        """Why a plan must not be built again, or None."""
        try:
            return str(json.loads(self._refusal(key).read_text())['reason'])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def stored(self) -> Iterator[StoredPlan]:
        """Every plan in the folder, for a report of what is there."""
        for path in sorted(self.folder.glob('*.plan')):
            size_bytes = path.stat().st_size
            try:
                sidecar = json.loads(path.with_suffix('.json').read_text())
                key, wanted = PlanKey(**sidecar['key']), sidecar['size']
            except (OSError, ValueError, KeyError, TypeError) as error:
                fault = f'its description cannot be read ({error})'
                yield StoredPlan(path, size_bytes, None, fault)
                continue
            fault = '' if size_bytes == wanted else f'it has {size_bytes} of {wanted} bytes'
            yield StoredPlan(path, size_bytes, key, fault)

    def set_aside(self) -> dict[str, str]:
        """Why by name: the plans that were quarantined and not deleted since."""
        return self._reasons('.bad.json')

    def refused(self) -> dict[str, str]:
        """Why by name: the plans that are not to be built again."""
        return self._reasons('.refused.json')

    @contextlib.contextmanager
    def locked(self, key: PlanKey, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Keep every other process from building the plan of a key.

        Raises:
            EngineError: another one has built for too long, or the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            with self._written():
                stack.enter_context(locked(self.path(key).with_suffix('.lock'), timeout_s))
            yield

    def _fault(self, key: PlanKey, plan: bytes) -> str | None:
        """What is wrong with a plan on disk, or None."""
        try:
            sidecar = json.loads(self.path(key).with_suffix('.json').read_text())
            stored, size, sha256 = dict(sidecar['key']), sidecar['size'], sidecar['sha256']
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f'its description cannot be read ({error})'
        wanted = asdict(key)
        if stored != wanted:
            other = [name for name in wanted if stored.get(name) != wanted[name]]
            return f'it was built with another {" and ".join(other) or "key"}'
        if size != len(plan):
            return f'it has {len(plan)} of {size} bytes'
        if sha256 != _sha256(plan):
            return 'its content has changed'
        return None

    def _refusal(self, key: PlanKey) -> Path:
        return self.path(key).with_suffix('.refused.json')

    def _reasons(self, suffix: str) -> dict[str, str]:
        reasons = {}
        for path in sorted(self.folder.glob(f'*{suffix}')):
            try:
                reason = str(json.loads(path.read_text())['reason'])
            except (OSError, ValueError, KeyError, TypeError) as error:
                reason = str(error)
            reasons[path.name.removesuffix(suffix)] = reason
        return reasons

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        write_atomic(path, (json.dumps(content, indent=2) + '\n').encode())

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EngineError(
                f'Plans cannot be kept in {self.folder}: {error}. Make room or set '
                f'DEPTH_ROS_CACHE to a folder of yours.'
            ) from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
