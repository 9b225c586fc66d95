"""What `depth_ros doctor` says of GPUs and libraries, on machines made of fakes."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from depth_ros.cli import doctor_networks
from depth_ros.cli.doctor_networks import network_report
from depth_ros.cli.finding import Finding
from depth_ros.weights.store import Record, weights_path

REPOSITORY = Path(__file__).resolve().parents[2]
ORIN = {'name': 'Orin', 'compute_capability': '8.7', 'memory_mib': 62841}
TORCH = """
__version__ = '2.8.0'
class version: cuda = {cuda!r}
class Gpu: name, major, minor, total_memory = 'Orin', 8, 7, 65_893_564_416
class cuda:
    is_available = lambda: {gpus} > 0
    device_count = lambda: {gpus}
    get_device_properties = lambda index: Gpu
"""
SEGFAULT = 'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the files of a machine that has no GPU, no board, no driver."""
    for name in ('_NVIDIA_DRIVER', '_BOARD', '_L4T'):
        monkeypatch.setattr(doctor_networks, name, tmp_path / name)
    monkeypatch.setenv('PATH', str(tmp_path))
    return tmp_path


@pytest.fixture
def libraries(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Python modules that go before those installed: none of them works yet."""
    folder = machine / 'libraries'
    folder.mkdir()
    for module in ('torch', 'tensorrt', 'onnxruntime', 'openvino'):
        (folder / f'{module}.py').write_text('raise ImportError')
    monkeypatch.setenv('PYTHONPATH', f'{folder}{os.pathsep}{REPOSITORY}')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')  # so that PyTorch is asked
    return folder


def nvidia_smi(machine: Path, script: str) -> None:
    program = machine / 'nvidia-smi'
    program.write_text(f'#!/bin/sh\n{script}\n')
    program.chmod(0o755)


def gpu() -> Finding:
    return list(doctor_networks.hardware())[-1]


def test_gpus_as_nvidia_smi_names_them(machine: Path) -> None:
    nvidia_smi(
        machine,
        'test "$1" = --query-gpu=name,compute_cap,memory.total,driver_version || exit 2\n'
        'echo "NVIDIA H200, 9.0, 143771 MiB, 570.86.15"; echo "Orin, 8.7, [N/A], 580.0"',
    )
    assert gpu() == Finding(
        'OK',
        'NVIDIA GPU',
        'NVIDIA H200, compute capability 9.0, 143771 MiB, driver 570.86.15; '
        'Orin, compute capability 8.7, driver 580.0',
    )


def test_an_old_driver_does_not_know_the_compute_capability(machine: Path) -> None:
    nvidia_smi(
        machine,
        'case "$1" in *compute_cap*) echo "Field is not valid"; exit 2;; esac\n'
        'echo "Quadro P1000, 4096 MiB, 470.256.02"',
    )
    assert gpu().value == 'Quadro P1000, 4096 MiB, driver 470.256.02'


@pytest.mark.parametrize(
    ('script', 'value'),
    [
        ('echo "Driver/library version mismatch"; exit 9', 'nvidia-smi names none'),
        ('exec /bin/sleep 60', 'timed out after 0.2 seconds'),
        (None, 'its driver is loaded, but there is no nvidia-smi'),
    ],
)
def test_a_gpu_that_does_not_answer(
    machine: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, value: str
) -> None:
    monkeypatch.setattr(doctor_networks, 'SMI_TIMEOUT_S', 0.2)
    (machine / '_NVIDIA_DRIVER').touch()
    if script is not None:
        nvidia_smi(machine, script)
    finding = gpu()
    assert finding.level == 'WARN'
    assert value in finding.value


def test_no_gpu() -> None:
    assert list(doctor_networks.hardware()) == [Finding('OK', 'NVIDIA GPU', 'none found')]


@pytest.mark.parametrize(
    ('model', 'release', 'board'),
    [
        (
            'NVIDIA Jetson Orin Nano Developer Kit\0',
            '# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n',
            'NVIDIA Jetson Orin Nano Developer Kit, JetPack 6, L4T 36.4.3',
        ),
        (
            'NVIDIA Jetson AGX Thor Developer Kit\0',
            '# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic\n',
            'NVIDIA Jetson AGX Thor Developer Kit, JetPack 7, L4T 39.2.0',
        ),
        (None, '# R99 (release), REVISION: 1.0, GCID: 1\n', 'Tegra, L4T 99.1.0'),
        ('NVIDIA Jetson AGX Orin\0', None, 'NVIDIA Jetson AGX Orin'),
        ('Raspberry Pi 5 Model B Rev 1.0\0', None, ''),
    ],
)
def test_boards(machine: Path, model: str | None, release: str | None, board: str) -> None:
    for name, text in (('_BOARD', model), ('_L4T', release)):
        if text is not None:
            (machine / name).write_text(text)
    findings = {finding.what: finding for finding in doctor_networks.hardware()}
    assert findings.pop('Jetson', Finding('', '', '')).value == board
    assert ('that of the board' in findings['NVIDIA GPU'].value) == bool(board)


def test_the_report_of_a_machine_with_tensorrt(libraries: Path) -> None:
    (libraries / 'torch.py').write_text(TORCH.format(cuda='12.6', gpus=1))
    (libraries / 'tensorrt.py').write_text('print("{hello}"); __version__ = "10.3.0.30"')
    weights = weights_path('dmd3c')
    weights.parent.mkdir(parents=True)
    weights.touch()
    record = Record('dmd3c', 'a file', 'terms', '2026-01-01', '0' * 64, 0, '0' * 64, 0, 1648)
    weights.with_suffix('.json').write_text(json.dumps(dataclasses.asdict(record)))
    found, failure = network_report()
    assert failure == ''
    assert found['torch'] == {'version': '2.8.0', 'cuda': '12.6', 'gpus': [ORIN]}
    assert found['tensorrt'] == '10.3.0.30'
    assert [way for way, obstacle in found['backends'].items() if not obstacle] == [
        'tensorrt on cuda:0',
        'torch on cuda:0',
        'torch on cpu',
    ]
    assert found['method'][0] == 'bpnet'
    assert 'weights dmd3c by tensorrt on cuda:0' in found['method'][1]


def test_the_report_of_a_machine_with_nothing(libraries: Path) -> None:
    found, failure = network_report()
    assert failure == ''
    assert (found['torch'], found['tensorrt']) == (None, None)
    assert all(found['backends'].values())
    assert found['method'][0] == 'guided'


@pytest.mark.parametrize(
    ('module', 'source', 'looked_at', 'failure'),
    [
        ('torch', SEGFAULT, [], 'the look at torch was ended by SIGSEGV'),
        ('tensorrt', SEGFAULT, ['torch'], 'the look at tensorrt was ended by SIGSEGV'),
        (
            'openvino',
            'raise SystemExit("no such plugin")',
            ['torch', 'tensorrt'],
            'the look at backends failed with exit code 1: no such plugin',
        ),
        (
            'tensorrt',
            f'__version__ = ""; import atexit; atexit.register(lambda: exec({SEGFAULT!r}))',
            ['torch', 'tensorrt', 'backends', 'method'],
            'the process was ended by SIGSEGV',
        ),
    ],
)
def test_a_library_that_crashes_is_named(
    libraries: Path, module: str, source: str, looked_at: list[str], failure: str
) -> None:
    (libraries / f'{module}.py').write_text(source)
    found, ending = network_report()
    assert list(found) == looked_at
    assert ending == failure


def test_what_is_left_of_a_report_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = 'the look at tensorrt was ended by SIGSEGV'
    monkeypatch.setattr(doctor_networks, 'network_report', lambda: ({'torch': None}, failure))
    found = {finding.what: finding for finding in doctor_networks.networks()}
    assert (found['networks'].level, found['networks'].value) == ('WARN', failure)
    assert 'method:=guided' in found['networks'].way_out
    assert {'torch', 'cache', 'TensorRT plans'} <= set(found)
    assert not {'tensorrt', 'method auto'} & set(found)


def test_a_library_that_hangs_is_left_alone(
    libraries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_networks, 'REPORT_TIMEOUT_S', 1.5)
    (libraries / 'tensorrt.py').write_text('import time; time.sleep(600)')
    found, failure = network_report()
    assert list(found) in ([], ['torch'])  # on a slow machine not even that
    assert 'takes more than 1.5 s' in failure


def found_in(monkeypatch: pytest.MonkeyPatch, **report: Any) -> dict[str, Finding]:
    """The findings by name where the report is this."""
    monkeypatch.setattr(doctor_networks, 'network_report', lambda: (report, ''))
    return {finding.what: finding for finding in doctor_networks.networks()}


@pytest.mark.parametrize(
    ('torch', 'driver', 'level', 'value'),
    [
        (None, True, 'OK', 'not installed (optional)'),
        ({'cuda': None, 'gpus': []}, False, 'OK', '2.8.0, for CPUs'),
        ({'cuda': '12.6', 'gpus': []}, False, 'OK', '2.8.0, for CUDA 12.6'),
        ({'cuda': None, 'gpus': []}, True, 'WARN', '2.8.0, for CPUs: it finds no GPU'),
        ({'cuda': '13.0', 'gpus': []}, True, 'WARN', '2.8.0, for CUDA 13.0: it finds no GPU'),
        (
            {'cuda': '12.6', 'gpus': [ORIN]},
            True,
            'OK',
            '2.8.0, for CUDA 12.6; Orin, compute capability 8.7, 62841 MiB',
        ),
    ],
)
def test_torch_beside_a_driver_must_see_the_gpu(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    torch: dict[str, Any] | None,
    driver: bool,
    level: str,
    value: str,
) -> None:
    if driver:
        (machine / '_NVIDIA_DRIVER').touch()
    found = found_in(monkeypatch, torch=torch and {'version': '2.8.0', **torch})
    assert (found['torch'].level, found['torch'].value) == (level, value)
    assert (level == 'OK') or found['torch'].way_out


@pytest.mark.parametrize(
    ('version', 'level'),
    [
        ('8.6.1.6', 'OK'),
        ('10.2.0.19', 'WARN'),
        ('10.3.0.30', 'WARN'),
        ('10.4.0.26', 'WARN'),
        ('10.16.2.10', 'OK'),
        ('10.30.0.1', 'OK'),
        ('11.4.0.18', 'OK'),
    ],
)
def test_versions_of_tensorrt_with_known_faults(
    monkeypatch: pytest.MonkeyPatch, version: str, level: str
) -> None:
    finding = found_in(monkeypatch, tensorrt=version)['tensorrt']
    assert (finding.level, finding.value) == (level, version)
    assert ('FP32 runs' in finding.way_out) == (level == 'WARN')


def test_tensorrt_that_is_not_there_or_does_not_load(
    monkeypatch: pytest.MonkeyPatch, modules: dict[str, bool]
) -> None:
    modules['tensorrt'] = False
    assert found_in(monkeypatch, tensorrt=None)['tensorrt'].level == 'OK'
    modules['tensorrt'] = True
    finding = found_in(monkeypatch, tensorrt=None)['tensorrt']
    assert (finding.level, finding.value) == ('WARN', 'installed, but it cannot be imported')


def test_an_obstacle_is_one_line_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = {'openvino on cpu': 'it is\n  not installed', 'torch on cpu': ''}
    found = found_in(monkeypatch, backends=backends, method=['guided', 'no\nweights'])
    assert [found[way] for way in backends] == [
        Finding('OK', 'openvino on cpu', 'cannot run networks here', 'it is not installed'),
        Finding('OK', 'torch on cpu', 'can run networks here'),
    ]
    assert found['method auto'] == Finding('OK', 'method auto', 'guided', 'no weights')
