"""`depth_ros doctor` as a whole: every section, JSON, a core that is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depth_ros.cli import doctor, doctor_networks
from depth_ros.cli.finding import Finding, version_of
from depth_ros.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
EVERYTHING = {
    *('Python', 'depth_ros', 'NumPy', 'OpenCV', 'CPU cores', 'NVIDIA GPU'),
    *('torch', 'onnxruntime', 'openvino', 'tensorrt', 'open3d'),
    *('tensorrt on cuda:0', 'onnxruntime on cpu', 'method auto'),
    *('cache', 'weights', 'ONNX exports', 'TensorRT plans'),
    *('rclpy', 'cv_bridge', 'sensor_msgs_py'),
    *('RMW', 'DDS profile', '/dev/shm free', 'net.core.rmem_max'),
    *('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_DOMAIN_ID'),
}

pytestmark = pytest.mark.usefixtures('bare_ros', 'cache')


def test_every_section_is_there_and_json_says_the_same(
    modules: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    modules['rclpy'] = False
    report = doctor_networks.network_report()
    monkeypatch.setattr(doctor_networks, 'network_report', lambda: report)
    assert main(['doctor']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(['doctor', '--json']) == 0
    findings = [Finding(**entry) for entry in json.loads(capsys.readouterr().out)]
    assert {finding.what for finding in findings} >= EVERYTHING
    assert len(lines) == len(findings)
    for line, finding in zip(lines, findings, strict=True):
        assert line.split()[0] == finding.level
        assert finding.level in ('OK', 'WARN')
        assert line.index(f'  {finding.what}  ') < line.index(f'  {finding.value}')
        assert line.endswith(finding.way_out or finding.value)


def test_a_core_library_that_does_not_load_fails(
    modules: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    modules['rclpy'] = False
    monkeypatch.setattr(doctor_networks, 'network_report', lambda: ({}, ''))
    real = doctor.importlib.import_module

    def broken(name: str) -> Any:
        if name == 'cv2':
            raise ImportError('libGL.so.1: cannot open shared object file\nmore')
        return real(name)

    monkeypatch.setattr(doctor.importlib, 'import_module', broken)
    assert main(['doctor', '--json']) == 1
    findings = {entry['what']: entry for entry in json.loads(capsys.readouterr().out)}
    assert [what for what, entry in findings.items() if entry['level'] == 'FAIL'] == ['OpenCV']
    assert findings['OpenCV']['value'].endswith('cannot open shared object file')


def test_version_of_what_is_there_and_of_what_is_not(modules: dict[str, bool]) -> None:
    modules.update(tensorrt=True, torch=False)
    assert version_of('tensorrt') is not None
    assert version_of('torch') is None
    assert version_of('cv2')[0].isdigit()  # its distribution has another name


def test_it_works_where_numpy_and_opencv_do_not(tmp_path: Path) -> None:
    for module in ('numpy', 'cv2', 'torch', 'rclpy'):
        (tmp_path / f'{module}.py').write_text(f'raise ImportError("{module} is broken")')
    answer = subprocess.run(
        [sys.executable, '-m', 'depth_ros', 'doctor'],
        cwd=REPOSITORY,
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (1, '')
    for what, module in (('NumPy', 'numpy'), ('OpenCV', 'cv2')):
        assert f'FAIL  {what}' in answer.stdout
        assert f'ImportError: {module} is broken' in answer.stdout
    assert 'RMW' in answer.stdout
