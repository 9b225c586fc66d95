"""What `depth_ros doctor` says of ROS on machines as they come."""

from __future__ import annotations

import builtins
import dataclasses
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
from depth_ros.nodes.graph import Endpoint

NEW, OLD = dds.PROFILE_VARIABLES
MIB = 2**20

pytestmark = pytest.mark.usefixtures('bare_ros')


def reports(monkeypatch: pytest.MonkeyPatch, *publishers: Endpoint, **more: Any) -> None:
    """The graph has these publishers; `subscriptions` are endpoints, `heard` is by topic."""
    report = {
        'publishers': [dataclasses.asdict(publisher) for publisher in publishers],
        'subscriptions': [dataclasses.asdict(one) for one in more.get('subscriptions', [])],
        'heard': more.get('heard', {}),
    }
    monkeypatch.setattr(doctor_ros, '_graph_report', lambda: report)


def sensor(message: str, reliability: str = 'reliable', topic: str = '/in') -> Endpoint:
    return Endpoint(topic, f'sensor_msgs/msg/{message}', '/driver', reliability)


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
    reports(monkeypatch, sensor(message, reliability))
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


@pytest.mark.parametrize(
    ('message', 'heard', 'level', 'words'),
    [
        ('Image', {'messages': 9, 'rate_hz': 10.0, 'age_s': 0.05}, 'OK', ', 10.0 Hz'),
        ('Image', {'messages': 0, 'rate_hz': 0.0, 'age_s': 0.0}, 'WARN', ', silent'),
        (
            'PointCloud2',
            {'messages': 9, 'rate_hz': 10.0, 'age_s': -36.96},
            'WARN',
            '10.0 Hz, stamps 37.0 s ahead',
        ),
        (
            'PointCloud2',
            {'messages': 9, 'rate_hz': 10.0, 'age_s': 1.79e9},
            'WARN',
            'stamps 1.79e9 s old',
        ),
        (
            'Image',
            {'messages': 9, 'rate_hz': 10.0, 'age_s': 1.79e9, 'is_stamped': False},
            'WARN',
            '10.0 Hz, stamps 0',
        ),
        ('CameraInfo', {'messages': 1, 'rate_hz': 0.0, 'age_s': 1e6}, 'OK', 'reliable'),
    ],
)
def test_what_came_of_a_topic_is_told(
    modules: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    heard: dict[str, float],
    level: str,
    words: str,
) -> None:
    modules['rclpy'] = True
    reports(monkeypatch, sensor(message), heard={'/in': {'is_stamped': True} | heard})
    (finding,) = doctor_ros.topics()
    assert finding.level == level
    assert finding.value.endswith(words)


def test_listeners_that_hear_nobody_are_told(
    modules: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules['rclpy'] = True
    node = '/completion_node'
    reports(
        monkeypatch,
        sensor('Image', topic='/camera/image_raw'),
        sensor('LaserScan', topic='/points'),
        subscriptions=[
            Endpoint('/image', 'sensor_msgs/msg/Image', node),
            Endpoint('/camera/image_raw', 'sensor_msgs/msg/Image', '/viewer'),
        ],
    )
    image, points = [finding for finding in doctor_ros.topics() if finding.level == 'WARN']
    assert image.what == '/image'
    assert image.value.startswith(f'{node} listens, but nobody publishes it')
    assert image.way_out == 'Remap it: image:=/camera/image_raw.'
    assert points.what == '/points'
    assert 'publishes sensor_msgs/msg/LaserScan there' in points.value


_DRIVER = """
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan
from std_msgs.msg import Header
rclpy.init()
node = rclpy.create_node('driver', namespace='front')
image = node.create_publisher(Image, 'image', qos_profile_sensor_data)
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
info = node.create_publisher(CameraInfo, 'info', latched)
keep = [
    node.create_publisher(Header, 'no_sensor', 10),
    node.create_publisher(LaserScan, 'points', 10),
]
listener = rclpy.create_node('completion_node', namespace='front')
listener.create_subscription(CompressedImage, 'imgae/compressed', print, 10)
def send():
    image.publish(Image(header=Header(stamp=node.get_clock().now().to_msg())))
info.publish(CameraInfo())
node.create_timer(0.1, send)
print('ready', flush=True)
rclpy.spin(node)
"""


@pytest.mark.ros
def test_live_topics_with_what_comes_of_them_and_who_hears_nobody() -> None:
    pytest.importorskip('rclpy')
    command = [sys.executable, '-c', _DRIVER]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b'ready\n'
        deadline_s = time.monotonic() + 60.0
        while len(found := list(doctor_ros.topics())) < 3 and time.monotonic() < deadline_s:
            pass  # on a busy machine discovery may take longer than the doctor listens
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    image, info, misspelt = found
    assert (image.what, image.level) == ('/front/image', 'WARN')
    assert image.value == 'Image from /front/driver, best_effort'
    assert info == Finding('OK', '/front/info', 'CameraInfo from /front/driver, reliable, latched')
    assert misspelt.what == '/front/imgae/compressed'
    assert 'nobody publishes it' in misspelt.value
    assert '/front/image (Image of /front/driver)' in misspelt.value
    assert 'image_transport to raw' in misspelt.way_out


@pytest.mark.ros
def test_the_report_waits_for_a_period_of_a_slow_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip('rclpy')
    from depth_ros.nodes import graph_report

    monkeypatch.setattr(graph_report, 'STABLE_S', 1.0)  # the graph is whole long before
    slow = _DRIVER.replace('0.1, send', '2.2, send')
    process = subprocess.Popen(
        [sys.executable, '-c', slow], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b'ready\n'
        report = graph_report.listen(max_s=60.0)
    finally:
        process.kill()
        process.communicate()
    assert report.heard['/front/image'].messages >= 2
    assert 0.1 < report.heard['/front/image'].rate_hz < 5.0
    assert report.heard['/front/info'].messages == 1


@pytest.mark.ros
def test_ros_that_does_not_start_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_DOMAIN_ID', 'robot')
    (finding,) = doctor_ros.topics()
    assert finding.level == 'WARN'
    assert 'ROS_DOMAIN_ID' in finding.value
