"""What `depth_ros doctor` says of GPUs and of the libraries that run networks."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from depth_ros.cli.finding import OK, WARN, Finding, library, one_line, version_of
from depth_ros.cli.network_report import STEPS

SMI_TIMEOUT_S = 10.0
REPORT_TIMEOUT_S = 120.0  # a first import of PyTorch from an SD card takes long
LIBRARIES = ('onnxruntime', 'openvino', 'onnx', 'onnxscript', 'safetensors', 'open3d')

_SMI_FIELDS = {
    'name': '',
    'compute_cap': 'compute capability ',
    'memory.total': '',
    'driver_version': 'driver ',
}
_NVIDIA_DRIVER = Path('/proc/driver/nvidia/version')
_BOARD = Path('/proc/device-tree/model')
_L4T = Path('/etc/nv_tegra_release')
_JETPACKS = {'35': 5, '36': 6, '38': 7, '39': 7}  # by the release of L4T
_DOUBTFUL_TENSORRT = {
    '10.2.0.': 'other projects refuse this version',
    '10.3.': 'with some networks FP16 is wrong in this version',
    '10.4.': 'with some networks FP16 is wrong in this version',
}


def hardware() -> Iterator[Finding]:
    """The board if it is a Jetson, and the GPU as its driver names it."""
    if board := _jetson():
        yield Finding(OK, 'Jetson', board)
    yield _gpu()


def networks() -> Iterator[Finding]:
    """What networks can run on, which method `auto` takes for it, and what is in the cache."""
    for module in LIBRARIES:
        yield library(module)
    found, failure = network_report()
    if 'torch' in found:
        yield _torch(found['torch'])
    if 'tensorrt' in found:
        yield _tensorrt(found['tensorrt'])
    for way, obstacle in found.get('backends', {}).items():
        value = 'cannot run networks here' if obstacle else 'can run networks here'
        yield Finding(OK, way, value, one_line(obstacle))
    if 'method' in found:
        name, reason = found['method']
        yield Finding(OK, 'method auto', name, one_line(reason))
    if failure:
        way_out = 'mend or remove what fails; `method:=guided` needs none of it'
        yield Finding(WARN, 'networks', failure, way_out)
    try:
        from depth_ros.cli.doctor_cache import cache
    except ImportError:  # of NumPy; that this fails is said elsewhere
        return
    yield from cache(_plans_must_have(found))


def network_report() -> tuple[dict[str, Any], str]:
    """What `cli.network_report` found by step, and what ended it early, or empty."""
    command = [sys.executable, '-m', 'depth_ros.cli.network_report']
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, errors='replace') as run:
        try:
            out, err = run.communicate(timeout=REPORT_TIMEOUT_S)
            ending = _ending(run.returncode)
        except subprocess.TimeoutExpired:
            run.kill()
            out, err = run.communicate()
            ending = f'takes more than {REPORT_TIMEOUT_S:g} s'
    found: dict[str, Any] = {}
    for line in out.splitlines():
        if line.startswith('{"'):  # libraries talk, too
            with contextlib.suppress(ValueError):
                found |= json.loads(line)
    if not ending:
        return found, ''
    left = [f'the look at {step}' for step in STEPS if step not in found]
    return found, ': '.join([f'{[*left, "the process"][0]} {ending}', *err.splitlines()[-1:]])


def _ending(code: int) -> str:
    if code < 0:
        return f'was ended by {signal.Signals(-code).name}'
    return f'failed with exit code {code}' if code else ''


def _jetson() -> str:
    """Board and release of a Jetson; empty on other machines."""
    model = _text(_BOARD).strip('\0\n')
    release = re.search(r'R(\d+) \(release\), REVISION: ([\d.]+)', _text(_L4T))
    if release is None:
        return model if 'Jetson' in model else ''
    major, minor = release.groups()
    jetpack = f'JetPack {_JETPACKS[major]}, ' if major in _JETPACKS else ''
    return f'{model or "Tegra"}, {jetpack}L4T {major}.{minor}'


def _text(path: Path) -> str:
    try:
        return path.read_text(errors='replace')
    except OSError:
        return ''


def _gpu() -> Finding:
    what = 'NVIDIA GPU'
    try:
        # Drivers before R510 refuse a question about the compute capability.
        gpus = _smi(*_SMI_FIELDS) or _smi('name', 'memory.total', 'driver_version')
    except FileNotFoundError:
        if _jetson():
            return Finding(OK, what, 'that of the board; nvidia-smi comes with JetPack 7')
        if not _NVIDIA_DRIVER.is_file():
            return Finding(OK, what, 'none found')
        return Finding(WARN, what, 'its driver is loaded, but there is no nvidia-smi')
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(WARN, what, one_line(str(error)), 'restart the machine')
    if gpus:
        return Finding(OK, what, gpus)
    return Finding(WARN, what, 'nvidia-smi names none', 'restart after an update of the driver')


def _smi(*fields: str) -> str:
    """What nvidia-smi says of each GPU; empty where it says nothing.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it hangs.
    """
    command = ['nvidia-smi', f'--query-gpu={",".join(fields)}', '--format=csv,noheader']
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False
    )
    if answer.returncode:
        return ''
    return '; '.join(
        ', '.join(
            _SMI_FIELDS[field] + value
            for field, value in zip(fields, line.split(', '), strict=False)
            if not value.startswith('[')  # [N/A], on boards whose memory is the CPU's
        )
        for line in answer.stdout.splitlines()
    )


def _torch(found: dict[str, Any] | None) -> Finding:
    what = 'torch'
    if found is None:
        return Finding(OK, what, 'not installed (optional)', 'GPUs are used through it')
    version, cuda = found['version'], found['cuda']
    built = f'{version}, for CUDA {cuda}' if cuda else f'{version}, for CPUs'
    if found['gpus']:
        gpus = [
            f'{gpu["name"]}, compute capability {gpu["compute_capability"]}, '
            f'{gpu["memory_mib"]} MiB'
            for gpu in found['gpus']
        ]
        return Finding(OK, what, '; '.join([built, *gpus]))
    if not (_jetson() or _NVIDIA_DRIVER.is_file()):
        return Finding(OK, what, built)
    if cuda:
        way_out = 'its CUDA may be too new for the driver; a container needs --gpus all'
    else:
        way_out = 'install PyTorch for CUDA, on a Jetson that of NVIDIA: docs/tensorrt.md'
    return Finding(WARN, what, f'{built}: it finds no GPU', way_out)


def _tensorrt(version: str | None) -> Finding:
    what = 'tensorrt'
    if version is None:
        if version_of(what) is None:
            return Finding(OK, what, 'not installed (optional)')
        return Finding(WARN, what, 'installed, but it cannot be imported', 'see docs/tensorrt.md')
    for doubtful, why in _DOUBTFUL_TENSORRT.items():
        if version.startswith(doubtful):
            way_out = 'each plan is compared with PyTorch; where FP16 is off, FP32 runs'
            return Finding(WARN, what, version, f'{why}: {way_out}')
    return Finding(OK, what, version)


def _plans_must_have(found: Mapping[str, Any]) -> dict[str, str]:
    """The part of a `PlanKey` that is the machine's; empty where no plan can run."""
    torch, tensorrt = found.get('torch'), found.get('tensorrt')
    if not (torch and torch['gpus'] and tensorrt):
        return {}
    gpu = torch['gpus'][0]
    return {
        'tensorrt': tensorrt,
        'cuda': str(torch['cuda']).split('.')[0],
        'gpu': gpu['name'],
        'compute_capability': gpu['compute_capability'],
    }
