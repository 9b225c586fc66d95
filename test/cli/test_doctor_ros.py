"""What `depth_ros doctor` says of ROS on machines as they come."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depth_ros.cli import doctor_ros
from depth_ros.cli.finding import Finding
from depth_ros.nodes import dds

NEW, OLD = dds.PROFILE_VARIABLES
MIB = 2**20

pytestmark = pytest.mark.usefixtures('bare_ros')


def offers(monkeypatch: pytest.MonkeyPatch, *found: dict[str, str]) -> None:
    monkeypatch.setattr(doctor_ros, '_sensor_offers', lambda: list(found))


def offer(message: str, reliability: str) -> dict[str, str]:
    return {'topic': '/in', 'message': message, 'node': '/driver', 'reliability': reliability}


def test_without_rclpy_the_way_out_is_named(modules: dict[str, bool]) -> None:
    modules['rclpy'] = False
    ros = {finding.what: finding for finding in doctor_ros.ros()}
    assert ros['rclpy'].level == 'WARN'
    assert 'depth_ros[ros]' in ros['rclpy'].way_out
    (topics,) = doctor_ros.topics()
    assert (topics.level, topics.value) == ('OK', 'not looked for: there is no rclpy')


@pytest.mark.parametrize(('numpy', 'level'), [('1.26.4', 'OK'), ('2.1.0', 'WARN')])
def test_cv_bridge_beside_numpy_2_is_a_warning_and_is_not_imported(
    monkeypatch: pytest.MonkeyPatch, numpy: str, level: str
) -> None:
    versions = {'cv_bridge': '3.2.1', 'numpy': numpy}
    monkeypatch.setattr(doctor_ros, 'version_of', versions.get)
    real = builtins.__import__

    def guarded(name: str, *rest: Any) -> Any:
        assert name != 'cv_bridge'
        return real(name, *rest)

    monkeypatch.setattr(builtins, '__import__', guarded)
    finding = doctor_ros._cv_bridge()
    assert finding.level == level
    assert '3.2.1' in finding.value
    assert 'cv_bridge' not in sys.modules


def test_our_profile_is_named() -> None:
    finding = doctor_ros._profile()
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
    finding = doctor_ros._profile()
    assert finding.level == level
    assert str(profile) in finding.value
    assert (NEW in finding.way_out and OLD in finding.way_out) == (level == 'WARN')


def test_profile_that_does_not_exist_or_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NEW, '/no/such.xml')
    monkeypatch.setenv(OLD, '/no/such.xml')
    assert doctor_ros._profile().way_out == '/no/such.xml is no file'
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    assert doctor_ros._profile() == Finding('OK', 'DDS profile', 'none: this RMW is not Fast DDS')


@pytest.mark.parametrize(('free_mib', 'level'), [(64, 'WARN'), (95, 'WARN'), (96, 'OK')])
def test_shared_memory_for_four_processes_of_24_mib(
    monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str
) -> None:
    usage = SimpleNamespace(free=free_mib * MIB)
    monkeypatch.setattr(doctor_ros.shutil, 'disk_usage', lambda _: usage)
    finding = doctor_ros._shared_memory()
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
    monkeypatch.setattr(doctor_ros, '_RECEIVE_BUFFER', file)
    finding = doctor_ros._receive_buffer()
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
    findings = {finding.what: finding for finding in doctor_ros.middleware()}
    assert (findings[variable].level, findings[variable].value) == (level, shown)


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
    (finding,) = doctor_ros.topics()
    assert (finding.level, finding.what) == (level, '/in')
    assert finding.value == f'{message} from /driver, {reliability}'
    assert ('fastdds_shm.xml' in finding.way_out) == (level == 'WARN')


def test_a_middleware_that_ends_its_process_is_a_warning(
    modules: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules['rclpy'] = True

    def run(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(102, 'python', '', 'first\nno such RMW\n')

    monkeypatch.setattr(doctor_ros.subprocess, 'run', run)
    (finding,) = doctor_ros.topics()
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
        deadline_s = time.monotonic() + 60.0
        while len(found := list(doctor_ros.topics())) < 2 and time.monotonic() < deadline_s:
            pass  # on a busy machine discovery takes longer than the doctor listens
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [(finding.what, finding.value, finding.level) for finding in found] == [
        ('/front/image', 'Image from /front/driver, best_effort', 'WARN'),
        ('/front/info', 'CameraInfo from /front/driver, reliable', 'OK'),
    ]


@pytest.mark.ros
def test_ros_that_does_not_start_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_DOMAIN_ID', 'robot')
    (finding,) = doctor_ros.topics()
    assert finding.level == 'WARN'
    assert 'ROS_DOMAIN_ID' in finding.value
