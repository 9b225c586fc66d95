"""`depth_ros bench`: how fast a network runs here, backend by backend."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from depth_ros import __version__
from depth_ros.cli import bench_all
from depth_ros.cli.network import add_network_arguments, requested
from depth_ros.cli.progress import ProgressBar
from depth_ros.engines.base import BACKENDS, PROVIDERS, WARM_UP_RUNS, Engine
from depth_ros.engines.cpu import import_torch, thread_count
from depth_ros.engines.network import family_of
from depth_ros.engines.open import available_backends, open_engine, open_onnxruntime
from depth_ros.errors import DepthRosError, EngineError
from depth_ros.evaluation.report import json_text, table
from depth_ros.models.base import Arrays
from depth_ros.weights.registry import FAMILIES

STAGES = ('upload', 'network', 'download')
MIB = 2**20
LEAST_RUNS = 3  # measured even where time is short

T = TypeVar('T')

_CPU_INFO = Path('/proc/cpuinfo')
_STATUS = Path('/proc/self/status')
_CLEAR_REFS = Path('/proc/self/clear_refs')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_network_arguments(parser, optional=True)
    parser.add_argument(
        '--backend',
        action='append',
        choices=BACKENDS,
        dest='backends',
        help='backend to measure; give it several times to compare (default: all that run here)',
    )
    parser.add_argument(
        '--threads', type=int, default=0, metavar='N', help='CPU threads; 0 (default) = chosen'
    )
    parser.add_argument(
        '--provider',
        default='cpu',
        choices=tuple(PROVIDERS),
        help='what ONNX Runtime runs on (%(default)s)',
    )
    parser.add_argument(
        '--runs', type=_positive, default=20, metavar='N', help='runs measured (%(default)s)'
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=math.inf,
        metavar='S',
        help='begin no further run after this time, but measure three (default: no limit)',
    )
    parser.add_argument('--json', action='store_true', help='print an object instead')
    every = parser.add_argument_group('every network that there is, instead of MODEL')
    every.add_argument(
        '--all',
        action='store_true',
        help='export, build, check and time them all at their usual sizes, with made-up weights '
        'where none are fetched; writes bench.md and bench.json',
    )
    every.add_argument(
        '-o',
        '--output',
        type=Path,
        default=Path('out/bench'),
        metavar='FOLDER',
        help='where they go (%(default)s)',
    )
    every.add_argument(
        '--minutes',
        type=float,
        default=9.5,
        metavar='M',
        help='what is not done after this time is left out and named (%(default)s)',
    )
    every.add_argument(
        '--only',
        action='append',
        choices=tuple(FAMILIES),
        metavar='FAMILY',
        help='this network; give it several times for more',
    )


def main(args: argparse.Namespace) -> int:
    """Measure and print; 2 if a backend that was named cannot be measured, else 0."""
    if args.all:
        if args.model or args.size:
            raise EngineError('--all takes every network at its usual sizes: no MODEL, no --size.')
        machine = {'CPU': f'{cpu_name()}, {os.cpu_count()} cores', 'GPU': gpu_name()}
        return bench_all.main(args, machine)
    if not (args.model and args.size):
        raise EngineError('MODEL and --size say what to measure; --all measures all there is.')
    names = args.backends or [name for name, why in available_backends().items() if not why]
    if not names:
        reasons = (f'{name}: {why}' for name, why in available_backends().items())
        raise EngineError('\n  '.join(['No backend can run here:', *reasons]))
    request = requested(args, names[0])
    if len(names) == 1:
        results = [measure(args, names[0])]
    else:  # their memory and their threads would mix
        results = [result for name in names for result in _measured_apart(args, name)]
    if not results:
        raise EngineError(f'None of {names} could be measured.')
    size = f'{request.height}x{request.width}'
    if args.json:
        about = {'depth_ros': __version__, 'model': args.model, 'size': size, 'runs': args.runs}
        print(json_text({**about, 'cpu': cpu_name(), 'results': results}))
    else:
        known = [key for key in results[0] if any(row[key] is not None for row in results)]
        print(f'{args.model} at {size}, {args.runs} runs\n')
        print(table([{key: row[key] for key in known} for row in results]))
    return 2 if args.backends and len(results) < len(names) else 0


def measure(args: argparse.Namespace, backend: str) -> dict[str, Any]:
    """Latency and memory of one backend, in this process, on the golden input.

    `min`, `p50` and `p95` are of whole runs, `upload`, `network` and `download` medians; a CPU has
    only `network`. `RAM` is the largest resident set of the process during the runs, `GPU` what
    the GPU lost of its free memory.

    Raises:
        DepthRosError: the backend cannot run the network.
    """
    request = requested(args, backend)
    inputs = family_of(request).golden_inputs(request.height, request.width)
    on_gpu = backend in ('tensorrt', 'torch') or args.provider != 'cpu'
    free_mib = _free_gpu_mib() if on_gpu else 0
    if backend == 'onnxruntime' and args.provider != 'cpu':
        engine: Engine = open_onnxruntime(request, args.provider, args.threads)
    else:
        engine = open_engine(request, backend, args.threads)
    runs: list[dict[str, float]] = []
    stop_s = math.inf
    with ProgressBar(f'bench {backend}') as progress:
        for done in range(-WARM_UP_RUNS, args.runs):
            if done == 0:
                runs.clear()
                _forget_peak_memory()
                stop_s = time.monotonic() + args.seconds
            if done >= LEAST_RUNS and time.monotonic() > stop_s:
                break
            runs.append(_run_ms(engine, inputs))
            progress(max(done + 1, 0), args.runs)
    total_ms = [sum(run.values()) for run in runs]
    is_cpu = engine.device == 'cpu' and args.provider == 'cpu'
    row = {
        'backend': backend if args.provider == 'cpu' else f'{backend} {args.provider}',
        'version': sys.modules[backend].__version__.split('-')[0],  # OpenVINO adds its commit
        'device': cpu_name() if is_cpu else gpu_name(),
        'precision': engine.precision,
        'threads': thread_count(args.threads) if is_cpu else None,
        'runs': len(runs),
        'min_ms': min(total_ms),
        'p50_ms': float(np.percentile(total_ms, 50)),
        'p95_ms': float(np.percentile(total_ms, 95)),
        **{f'{stage}_ms': _median(runs, stage) for stage in STAGES},
        'RAM_MiB': _peak_memory_mib(),
        'GPU_MiB': None if is_cpu else free_mib - _free_gpu_mib(),
    }
    engine.close()
    return row


def _measured_apart(args: argparse.Namespace, backend: str) -> list[dict[str, Any]]:
    """As `measure`, in a process of its own; nothing if that fails, which says why on stderr."""
    command = [sys.executable, '-m', 'depth_ros', 'bench', args.model, '--json']
    for option in ('precision', 'family', 'threads', 'runs', 'seconds', 'provider'):
        command += [f'--{option}', str(getattr(args, option))]
    command += ['--size', '{}x{}'.format(*args.size), '--backend', backend]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in answer.stderr.splitlines():
        print(f'{backend}: {line}', file=sys.stderr)
    return json.loads(answer.stdout)['results'] if answer.returncode == 0 else []


def _run_ms(engine: Engine, inputs: Arrays) -> dict[str, float]:
    """Time of each stage of one run in milliseconds."""
    if engine.device == 'cpu':
        return {'network': _timed(lambda: engine.infer(inputs))[1]}
    torch = import_torch()
    wait = torch.cuda.synchronize

    def upload() -> dict[str, Any]:
        return {name: torch.tensor(array).to(engine.device) for name, array in inputs.items()}

    tensors, upload_ms = _timed(upload, wait)
    outputs, network_ms = _timed(lambda: engine.infer(tensors), wait)
    _, download_ms = _timed(lambda: [value.cpu() for value in outputs.values()], wait)
    return dict(zip(STAGES, (upload_ms, network_ms, download_ms), strict=True))


def _timed(work: Callable[[], T], wait: Callable[[], None] = lambda: None) -> tuple[T, float]:
    wait()
    start_s = time.perf_counter()
    result = work()
    wait()
    return result, 1e3 * (time.perf_counter() - start_s)


def _median(runs: Sequence[Mapping[str, float]], stage: str) -> float | None:
    return float(np.median([run[stage] for run in runs])) if stage in runs[0] else None


def cpu_name() -> str:
    """What the processor calls itself."""
    if _CPU_INFO.exists() and (found := re.search(r'model name\s*: (.+)', _CPU_INFO.read_text())):
        return found[1]
    return platform.processor() or platform.machine()


def gpu_name() -> str:
    """The first GPU as PyTorch knows it; empty without one, or without PyTorch."""
    try:
        cuda = import_torch().cuda
    except DepthRosError:
        return ''
    return str(cuda.get_device_name(0)) if cuda.is_available() else ''


def _free_gpu_mib() -> int:
    """Free memory of the GPU; 0 without one."""
    cuda = import_torch().cuda
    return cuda.mem_get_info()[0] // MIB if cuda.is_available() else 0


def _forget_peak_memory() -> None:
    """Have the kernel take the resident set of now for the largest so far, as proc(5) says."""
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text('5')


def _peak_memory_mib() -> int | None:
    """Largest resident set of this process since `_forget_peak_memory`; None if not known."""
    try:
        found = re.search(r'VmHWM:\s*(\d+) kB', _STATUS.read_text())
    except OSError:
        return None
    return int(found[1]) // 1024 if found else None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no positive whole number')
    return int(text)
