"""`depth_ros doctor` on machines as they come: findings follow what is there."""

from __future__ import annotations

import builtins
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depth_ros.cli import doctor
from depth_ros.cli.doctor import Finding
from depth_ros.cli.main import main
from depth_ros.nodes import dds

NEW, OLD = dds.PROFILE_VARIABLES
MIB = 2**20
EVERYTHING = {
    *('Python', 'depth_ros', 'NumPy', 'OpenCV', 'CPU cores', 'NVIDIA GPU'),
    *('torch', 'onnxruntime', 'tensorrt', 'open3d'),
    *('rclpy', 'cv_bridge', 'sensor_msgs_py'),
    *('RMW', 'DDS profile', '/dev/shm free', 'net.core.rmem_max'),
    *('ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_DOMAIN_ID'),
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ROS settings but a domain of our own on loopback."""
    for name in (NEW, OLD, 'RMW_IMPLEMENTATION', 'ROS_DISTRO'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(1 + os.getpid() % 101))


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """`modules[name] = False` hides a module from the doctor, True pretends that it is there."""
    there: dict[str, bool] = {}
    find_spec = importlib.util.find_spec

    def pretended(name: str, package: str | None = None) -> Any:
        if name in there:
            return SimpleNamespace(name=name) if there[name] else None
        return find_spec(name, package)

    monkeypatch.setattr(importlib.util, 'find_spec', pretended)
    return there


def offers(monkeypatch: pytest.MonkeyPatch, *found: dict[str, str]) -> None:
    monkeypatch.setattr(doctor, '_sensor_offers', lambda: list(found))


def offer(message: str, reliability: str) -> dict[str, str]:
    return {'topic': '/in', 'message': message, 'node': '/driver', 'reliability': reliability}


def test_every_section_is_there_and_json_says_the_same(
    modules: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    modules['rclpy'] = False
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


def test_without_rclpy_the_way_out_is_named(modules: dict[str, bool]) -> None:
    modules['rclpy'] = False
    ros = {finding.what: finding for finding in doctor._ros()}
    assert ros['rclpy'].level == 'WARN'
    assert 'depth_ros[ros]' in ros['rclpy'].way_out
    (topics,) = doctor._topics()
    assert (topics.level, topics.value) == ('OK', 'not looked for: there is no rclpy')


def test_a_core_library_that_does_not_load_fails(
    modules: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    modules['rclpy'] = False
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


@pytest.mark.parametrize(('numpy', 'level'), [('1.26.4', 'OK'), ('2.1.0', 'WARN')])
def test_cv_bridge_beside_numpy_2_is_a_warning_and_is_not_imported(
    monkeypatch: pytest.MonkeyPatch, numpy: str, level: str
) -> None:
    versions = {'cv_bridge': '3.2.1', 'numpy': numpy}
    monkeypatch.setattr(doctor, '_version', versions.get)
    real = builtins.__import__

    def guarded(name: str, *rest: Any) -> Any:
        assert name != 'cv_bridge'
        return real(name, *rest)

    monkeypatch.setattr(builtins, '__import__', guarded)
    finding = doctor._cv_bridge()
    assert finding.level == level
    assert '3.2.1' in finding.value
    assert 'cv_bridge' not in sys.modules


def test_version_of_what_is_there_and_of_what_is_not(modules: dict[str, bool]) -> None:
    modules.update(tensorrt=True, torch=False)
    assert doctor._version('tensorrt') is not None
    assert doctor._version('torch') is None
    assert doctor._version('cv2')[0].isdigit()  # its distribution has another name


def test_our_profile_is_named() -> None:
    finding = doctor._profile()
    assert finding.level == 'OK'
    assert 'fastdds_shm.xml, set by our nodes' in finding.value
    assert NEW not in os.environ  # looking changes nothing


@pytest.mark.parametrize(
    ('distro', 'variables', 'level'),
    [
        ('jazzy', (OLD,), 'OK'),
        ('jazzy', (NEW,), 'WARN'),
        ('humble', (NEW,), 'WARN'),
        ('kilted', (NEW,), 'OK'),
        ('kilted', (OLD,), 'WARN'),
        (None, (NEW,), 'WARN'),
        (None, (NEW, OLD), 'OK'),
    ],
)
def test_profile_of_the_user_under_the_name_that_is_read(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    distro: str | None,
    variables: tuple[str, ...],
    level: str,
) -> None:
    profile = tmp_path / 'own.xml'
    profile.touch()
    for name in variables:
        monkeypatch.setenv(name, str(profile))
    if distro:
        monkeypatch.setenv('ROS_DISTRO', distro)
    finding = doctor._profile()
    assert finding.level == level
    assert str(profile) in finding.value
    assert (NEW in finding.way_out and OLD in finding.way_out) == (level == 'WARN')


def test_profile_that_does_not_exist_or_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NEW, '/no/such.xml')
    monkeypatch.setenv(OLD, '/no/such.xml')
    assert doctor._profile().way_out == '/no/such.xml is no file'
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    assert doctor._profile() == Finding('OK', 'DDS profile', 'none: this RMW is not Fast DDS')


@pytest.mark.parametrize(('free_mib', 'level'), [(64, 'WARN'), (95, 'WARN'), (96, 'OK')])
def test_shared_memory_for_four_processes_of_24_mib(
    monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str
) -> None:
    usage = SimpleNamespace(free=free_mib * MIB)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda _: usage)
    finding = doctor._shared_memory()
    assert (finding.level, finding.value) == (level, f'{free_mib} MiB')
    assert ('--shm-size=256m' in finding.way_out) == (level == 'WARN')


@pytest.mark.parametrize(
    ('text', 'level', 'value'),
    [
        ('212992\n', 'WARN', '212992 bytes'),
        ('4194304\n', 'OK', '4194304 bytes'),
        (None, 'WARN', 'not visible here'),
    ],
)
def test_receive_buffer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, level: str, value: str
) -> None:
    file = tmp_path / 'rmem_max'
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(doctor, '_RECEIVE_BUFFER', file)
    finding = doctor._receive_buffer()
    assert (finding.level, finding.value) == (level, value)


@pytest.mark.parametrize(
    ('variable', 'value', 'level', 'shown'),
    [
        ('ROS_DOMAIN_ID', '', 'OK', 'not set: 0'),
        ('ROS_DOMAIN_ID', '42', 'OK', '42'),
        ('ROS_DOMAIN_ID', '102', 'WARN', '102'),
        ('ROS_DOMAIN_ID', 'robot', 'WARN', 'robot'),
        ('ROS_AUTOMATIC_DISCOVERY_RANGE', '', 'OK', 'not set: the subnet'),
        ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST', 'OK', 'LOCALHOST'),
        ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'OFF', 'WARN', 'OFF'),
        ('ROS_AUTOMATIC_DISCOVERY_RANGE', 'localhost', 'WARN', 'localhost'),
    ],
)
def test_domain_and_range(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, level: str, shown: str
) -> None:
    monkeypatch.setenv(variable, value)
    findings = {finding.what: finding for finding in doctor._middleware()}
    assert (findings[variable].level, findings[variable].value) == (level, shown)


def test_gpu_as_nvidia_smi_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / 'nvidia-smi'
    fake.write_text('#!/bin/sh\necho "NVIDIA Orin, 15655 MiB"\n')
    fake.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    assert doctor._gpu() == 'NVIDIA Orin, 15655 MiB'
    fake.write_text('#!/bin/sh\nexit 9\n')
    monkeypatch.setattr(doctor, '_NVIDIA_DRIVER', fake)
    assert doctor._gpu() == 'driver loaded, but nvidia-smi does not answer'
    monkeypatch.setattr(doctor, '_NVIDIA_DRIVER', tmp_path / 'none')
    assert doctor._gpu() == 'none found'


@pytest.mark.parametrize(
    ('message', 'reliability', 'environment', 'level'),
    [
        ('Image', 'best_effort', {}, 'WARN'),
        ('PointCloud2', 'best_effort', {}, 'WARN'),
        ('Image', 'reliable', {}, 'OK'),
        ('CameraInfo', 'best_effort', {}, 'OK'),
        ('CompressedImage', 'best_effort', {}, 'OK'),
        ('Image', 'best_effort', {OLD: '/own.xml'}, 'OK'),
        ('Image', 'best_effort', {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}, 'OK'),
    ],
)
def test_large_best_effort_messages_without_a_profile_are_a_warning(
    modules: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    reliability: str,
    environment: dict[str, str],
    level: str,
) -> None:
    modules['rclpy'] = True
    offers(monkeypatch, offer(message, reliability))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (finding,) = doctor._topics()
    assert (finding.level, finding.what) == (level, '/in')
    assert finding.value == f'{message} from /driver, {reliability}'
    assert ('fastdds_shm.xml' in finding.way_out) == (level == 'WARN')


def test_a_middleware_that_ends_its_process_is_a_warning(
    modules: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules['rclpy'] = True

    def run(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(102, 'python', '', 'first\nno such RMW\n')

    monkeypatch.setattr(doctor.subprocess, 'run', run)
    (finding,) = doctor._topics()
    assert (finding.level, finding.value) == ('WARN', 'no such RMW')


_PUBLISHERS = """
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
rclpy.init()
node = rclpy.create_node('driver', namespace='front')
keep = [
    node.create_publisher(Image, 'image', qos_profile_sensor_data),
    node.create_publisher(CameraInfo, 'info', 10),
    node.create_publisher(Header, 'no_sensor', 10),
]
print('ready', flush=True)
rclpy.spin(node)
"""


@pytest.mark.ros
def test_live_topics_with_what_their_publishers_offer() -> None:
    pytest.importorskip('rclpy')
    command = [sys.executable, '-c', _PUBLISHERS]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b'ready\n'
        start_s = time.monotonic()
        found = list(doctor._topics())
        took_s = time.monotonic() - start_s
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [(finding.what, finding.value, finding.level) for finding in found] == [
        ('/front/image', 'Image from /front/driver, best_effort', 'WARN'),
        ('/front/info', 'CameraInfo from /front/driver, reliable', 'OK'),
    ]
    assert took_s < 5.0


@pytest.mark.ros
def test_ros_that_does_not_start_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_DOMAIN_ID', 'robot')
    (finding,) = doctor._topics()
    assert finding.level == 'WARN'
    assert 'ROS_DOMAIN_ID' in finding.value
