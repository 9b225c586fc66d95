"""Opens a network on the fastest backend that can run it here."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from depth_ros.engines import export
from depth_ros.engines.base import BACKENDS, Engine, NetworkRequest, NotBuiltError
from depth_ros.engines.build_monitor import Progress
from depth_ros.engines.cpu import import_torch
from depth_ros.engines.exported import Exported
from depth_ros.engines.network import family_of
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.openvino_engine import OpenVinoEngine
from depth_ros.engines.plans import open_tensorrt
from depth_ros.engines.self_check import SelfCheckError, check
from depth_ros.engines.tensorrt_engine import import_tensorrt
from depth_ros.engines.torch_engine import TorchEngine
from depth_ros.errors import (
    DepthRosError,
    EngineError,
    MissingDependencyError,
    ModelError,
    import_optional,
)

_ON_CPU: dict[str, Callable[[Exported, int], Engine]] = {
    'onnxruntime': OnnxRuntimeEngine,
    'openvino': OpenVinoEngine,
}

_DEVICES = Path('/dev')
_GPU_DEVICES = ('nvidia[0-9]*', 'nvhost-*gpu*', 'nvgpu', 'nvmap', 'dxg', 'kfd')
"""Device files of GPUs that PyTorch calls CUDA: PCIe, Jetson, Windows' subsystem, ROCm."""

NO_GPU_DEVICE = 'There is no device file of a GPU in /dev.'
"""The obstacle of a candidate on a GPU where none can be, whatever is installed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A way to run networks.

    Attributes:
        backend: one of `BACKENDS`.
        device: `cpu` or `cuda:0`.
        obstacle: why it cannot be taken here; empty if it can.
    """

    backend: str
    device: str
    obstacle: str

    def __str__(self) -> str:
        return f'{self.backend} on {self.device}'


def candidates(backend: str = 'auto') -> Iterator[Candidate]:
    """Ways to run networks, the best first, and whether this machine has what they need.

    A GPU is far ahead of any CPU, TensorRT of PyTorch. On a CPU the default is ONNX Runtime;
    PyTorch comes last, though it needs no export.

    Args:
        backend: only this one; `auto` = all.

    Raises:
        EngineError: the backend is unknown.
    """
    if backend not in ('auto', *BACKENDS):
        raise EngineError(f'The backend must be one of {["auto", *BACKENDS]}, got {backend!r}.')
    for name, device, obstacle in (
        ('tensorrt', 'cuda:0', _tensorrt_obstacle),
        ('torch', 'cuda:0', _cuda_obstacle),
        ('onnxruntime', 'cpu', functools.partial(_missing, 'onnxruntime')),
        ('openvino', 'cpu', functools.partial(_missing, 'openvino')),
        ('torch', 'cpu', functools.partial(_missing, 'torch')),
    ):
        if backend in ('auto', name):
            yield Candidate(name, device, obstacle())


def available_backends() -> dict[str, str]:
    """Each backend, the best first: empty if it can run here, else why not."""
    found: dict[str, str] = {}
    for candidate in candidates():
        found[candidate.backend] = found.get(candidate.backend, 'x') and candidate.obstacle
    return found


def choose_backend(backend: str = 'auto') -> Candidate:
    """What `open_engine` would try first here, without opening anything.

    Raises:
        EngineError: nothing can run here; the message has the reason of each candidate.
    """
    refused = []
    for candidate in candidates(backend):
        if not candidate.obstacle:
            return candidate
        refused.append(candidate)
    raise _nothing('networks', refused)


def resolve_precision(precision: str, backend: str = 'auto') -> str:
    """The precision that `auto` stands for: `fp16` on a GPU, `fp32` on a CPU.

    Raises:
        EngineError: as `choose_backend`.
    """
    if precision != 'auto':
        return precision
    return 'fp32' if choose_backend(backend).device == 'cpu' else 'fp16'


def open_engine(
    request: NetworkRequest,
    backend: str = 'auto',
    threads: int = 0,
    *,
    may_build: bool = True,
    may_skip: bool = False,
    progress: Progress | None = None,
) -> Engine:
    """The requested network on a backend, self-checked.

    `auto` takes the first of `candidates` that works, as `suited`. A backend that was named is
    taken or refused. Where FP16 computes something else, FP32 runs on the same device.

    Args:
        request: network, size and precision.
        backend: one of `BACKENDS`, or `auto`.
        threads: CPU threads; 0 = as `thread_count`.
        may_build: whether an ONNX file or a plan that is missing in the cache may be made, which
            takes minutes. Otherwise the best candidate raises and is not passed over for a lesser
            one,
        may_skip: unless this is given: `auto` then takes the best that is ready or needs none.
        progress: told how far a build is.

    Raises:
        EngineError: nothing can run it; the message has the reason of each candidate.
        NotBuiltError: what is missing in the cache could be built, but may not.
        ModelError: the weights are missing, or not those of the network.
    """
    family_of(request)
    refused = []
    for candidate in candidates(backend):
        if not candidate.obstacle:
            chosen = suited(request, candidate, backend)
            try:
                return _open(candidate, chosen, threads, may_build, progress)
            except ModelError:  # no other candidate would find other weights
                raise
            except Exception as error:  # what a broken library raises is an obstacle like others
                waits = isinstance(error, NotBuiltError) and not may_skip
                if backend != 'auto' or waits:
                    raise
                foreign = not isinstance(error, DepthRosError)
                obstacle = f'{type(error).__name__}: {error}' if foreign else str(error)
                candidate = dataclasses.replace(candidate, obstacle=obstacle)
                _log.warning('%s is passed over: %s', candidate, error)
        refused.append(candidate)
    raise _nothing(request.family, refused)


def open_onnxruntime(
    request: NetworkRequest, provider: str, threads: int = 0
) -> OnnxRuntimeEngine:
    """The requested network in ONNX Runtime on one of `PROVIDERS`, exported now if need be.

    Raises:
        EngineError: it cannot be exported, the provider is not there, or it computes something
            else than PyTorch.
    """
    exported = _exported(request, may_build=True)
    engine = OnnxRuntimeEngine(exported, threads, provider)
    check(engine, exported)
    return engine


def suited(request: NetworkRequest, candidate: Candidate, backend: str) -> NetworkRequest:
    """What `open_engine` opens for a candidate: FP32 on a CPU, unless its backend was named.

    FP16 is slower there.
    """
    return _in_fp32(request) if backend == 'auto' and candidate.device == 'cpu' else request


def _in_fp32(request: NetworkRequest) -> NetworkRequest:
    return dataclasses.replace(request, precision='fp32')


def _nothing(what: str, refused: Sequence[Candidate]) -> EngineError:
    reasons = [f'{candidate}: {candidate.obstacle}' for candidate in refused]
    return EngineError('\n  '.join([f'Nothing here can run {what}:', *reasons]))


def _open(
    candidate: Candidate,
    request: NetworkRequest,
    threads: int,
    may_build: bool,
    progress: Progress | None,
) -> Engine:
    if candidate.backend == 'torch':
        return _open_torch(request, candidate.device, threads)
    exported = _exported(request, may_build)
    if candidate.backend == 'tensorrt':
        return open_tensorrt(
            exported,
            fp32=lambda: _exported(_in_fp32(request), may_build),
            may_build=may_build,
            progress=progress,
        )
    engine = _ON_CPU[candidate.backend](exported, threads)
    check(engine, exported)
    return engine


def _open_torch(request: NetworkRequest, device: str, threads: int) -> Engine:
    try:
        return TorchEngine(request, device, threads)
    except SelfCheckError as error:
        if request.precision == 'fp32':
            raise
        _log.warning('%s runs in FP32, for in FP16 %s', request.family, error)
    return TorchEngine(_in_fp32(request), device, threads)


def _exported(request: NetworkRequest, may_build: bool) -> Exported:
    found = export.find(request)
    if found is not None:
        return found
    if may_build:
        return export.export(request)
    export.require_libraries()
    raise NotBuiltError(
        f'{request.family} {request.height}x{request.width} {request.precision} is not exported '
        f'yet; `depth_ros export` does that.'
    )


def _no_gpu_device() -> bool:
    """Whether there cannot be a GPU: importing PyTorch, which would tell, takes seconds."""
    if sys.platform != 'linux' or os.environ.get('CUDA_VISIBLE_DEVICES'):  # somebody knows better
        return False
    return not any(any(_DEVICES.glob(name)) for name in _GPU_DEVICES)


def _tensorrt_obstacle() -> str:
    if _no_gpu_device():
        return NO_GPU_DEVICE
    try:
        import_tensorrt()
    except DepthRosError as error:
        return str(error)
    return ''


def _cuda_obstacle() -> str:
    if _no_gpu_device():
        return NO_GPU_DEVICE
    try:
        torch = import_torch()
    except MissingDependencyError as error:
        return str(error)
    try:
        if torch.cuda.is_available():
            return ''
    except Exception as error:  # a driver may be as broken as a library
        return f'PyTorch {torch.__version__} cannot look for a CUDA device: {error}'
    return f'PyTorch {torch.__version__} finds no CUDA device.'


def _missing(library: str) -> str:
    try:
        import_optional(library, library)
    except MissingDependencyError as error:
        return str(error)
    return ''
