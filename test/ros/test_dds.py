"""The shared-memory profile: when it is set, and that it saves large messages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depth_ros.errors import NodeError
from depth_ros.nodes import dds

NEW, OLD = dds.PROFILE_VARIABLES
REPOSITORY = Path(__file__).resolve().parents[2]
MIB = 2**20


@pytest.fixture(autouse=True)
def enough_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dds.shutil, 'disk_usage', lambda _: SimpleNamespace(free=1024 * MIB))


def test_profile_is_set_under_both_names() -> None:
    environ: dict[str, str] = {}
    path = dds.use_shared_memory_profile(environ=environ)
    assert path is not None
    assert path.name == 'fastdds_shm.xml'
    assert environ == {NEW: str(path), OLD: str(path)}


@pytest.mark.parametrize('variable', [NEW, OLD])
def test_profile_of_the_user_is_left_alone(variable: str) -> None:
    environ = {variable: '/robot/own.xml'}
    assert dds.use_shared_memory_profile(environ=environ) is None
    assert environ == {variable: '/robot/own.xml'}


def test_empty_variable_counts_as_unset_and_goes() -> None:
    environ = {NEW: '', OLD: '/robot/own.xml'}
    assert dds.use_shared_memory_profile(environ=environ) is None
    assert environ == {OLD: '/robot/own.xml'}
    environ = {NEW: '', OLD: ''}
    assert str(dds.use_shared_memory_profile(environ=environ)) == environ[NEW] == environ[OLD]


def test_other_middleware_is_left_alone() -> None:
    environ = {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}
    assert dds.use_shared_memory_profile(environ=environ) is None
    assert list(environ) == ['RMW_IMPLEMENTATION']


def test_small_shared_memory_is_reported_and_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dds.shutil, 'disk_usage', lambda _: SimpleNamespace(free=64 * MIB))
    environ: dict[str, str] = {}
    with caplog.at_level(logging.WARNING):
        assert dds.use_shared_memory_profile(dds.CLOUDS_PROFILE, environ) is None
    assert environ == {}
    assert '64 MiB' in caplog.text
    assert '128' in caplog.text
    assert '--ipc=host' in caplog.text
    assert dds.use_shared_memory_profile(dds.IMAGES_PROFILE, environ) is not None


def test_missing_shared_memory_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(_: Path) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(dds.shutil, 'disk_usage', missing)
    assert dds.use_shared_memory_profile(environ={}) is None
    assert '/dev/shm is missing' in caplog.text


@pytest.mark.parametrize(('name', 'mib'), [(dds.IMAGES_PROFILE, 24), (dds.CLOUDS_PROFILE, 128)])
def test_segment_sizes(name: str, mib: int) -> None:
    assert dds.segment_bytes(REPOSITORY / 'config' / name) == mib * MIB


def test_nobody_else_gets_a_domain_before_it_is_given_back() -> None:
    ids = set()
    with contextlib.ExitStack() as claims:
        for _ in range(5):
            environ: dict[str, str] = {}
            domain_id = claims.enter_context(dds.own_domain(environ))
            assert environ == {
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                'ROS_DOMAIN_ID': domain_id,
            }
            ids.add(domain_id)
        code = 'from depth_ros.nodes.dds import own_domain\nwith own_domain({}) as d: print(d)'
        ids.add(
            subprocess.check_output(
                [sys.executable, '-c', code], text=True, cwd=REPOSITORY
            ).strip()
        )
    assert len(ids) == 6
    assert all(1 <= int(domain_id) <= 101 for domain_id in ids)


def test_a_domain_where_others_talk_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    domain_id = 102 + os.getpid() % 100  # outside of what other runs claim
    monkeypatch.setattr(dds, 'DOMAINS', range(domain_id, domain_id + 1))

    def claim() -> str:
        with dds.own_domain({}) as claimed:
            return claimed

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(('', 7400 + 250 * domain_id))
        with pytest.raises(NodeError, match=f'from {domain_id} to {domain_id} is in use'):
            claim()
    with dds.own_domain({}), pytest.raises(NodeError, match='set ROS_DOMAIN_ID'):
        claim()
    assert claim() == str(domain_id)


def test_domain_and_range_of_the_user_are_left_alone() -> None:
    environ = {'ROS_DOMAIN_ID': '42', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}
    for _ in range(2):  # not even claimed: the user may share it
        with dds.own_domain(environ) as first, dds.own_domain(environ) as second:
            assert first == second == '42'
    assert environ == {'ROS_DOMAIN_ID': '42', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}


@pytest.mark.parametrize(
    ('environ', 'only'),
    [
        ({'ROS_DISTRO': 'humble'}, '1'),
        ({'ROS_DISTRO': 'humble', 'ROS_AUTOMATIC_DISCOVERY_RANGE': ''}, '1'),
        ({'ROS_DISTRO': 'humble', 'ROS_LOCALHOST_ONLY': '0'}, '0'),
        ({'ROS_DISTRO': 'humble', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, None),
        ({'ROS_DISTRO': 'jazzy'}, None),  # it would warn of the old name
        ({}, None),
    ],
)
def test_humble_stays_on_loopback_by_its_own_variable(
    environ: dict[str, str], only: str | None
) -> None:
    with dds.own_domain(environ):
        assert environ.get('ROS_LOCALHOST_ONLY') == only


def installed(prefix: Path) -> Path:
    """A copy of the module as pip or colcon would install it, and the profile below `prefix`."""
    profile = prefix / 'share/depth_ros/config/fastdds_shm.xml'
    profile.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / 'config/fastdds_shm.xml', profile)
    return profile


@pytest.fixture
def copy_of_dds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    file = tmp_path / 'site-packages/depth_ros/nodes/dds.py'
    file.parent.mkdir(parents=True)
    shutil.copy(dds.__file__, file)
    spec = importlib.util.spec_from_file_location('installed_dds', file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr(importlib.metadata, 'files', lambda _: None)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'empty'))
    return module


def test_share_file_is_found_below_each_kind_of_prefix(
    copy_of_dds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = copy_of_dds.find_share_file
    assert find('config/fastdds_shm.xml') is None

    below_sys = installed(tmp_path / 'venv')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'venv'))
    assert find('config/fastdds_shm.xml') == below_sys

    below_ament = installed(tmp_path / 'colcon')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/opt/ros/none{os.pathsep}{tmp_path / "colcon"}')
    assert find('config/fastdds_shm.xml') == below_ament

    below_user = installed(tmp_path / 'user')
    entry = importlib.metadata.PackagePath('../user/share/depth_ros/config/fastdds_shm.xml')
    entry.dist = SimpleNamespace(locate_file=(tmp_path / 'site-packages').joinpath)
    monkeypatch.setattr(importlib.metadata, 'files', lambda _: [entry])
    assert find('config/fastdds_shm.xml') == below_user


def test_profile_that_is_not_installed_is_reported(
    copy_of_dds: Any, caplog: pytest.LogCaptureFixture
) -> None:
    environ: dict[str, str] = {}
    assert copy_of_dds.use_shared_memory_profile(environ=environ) is None
    assert environ == {}
    assert 'fastdds_shm.xml is not installed' in caplog.text


TALKER = """
import sys, time
from depth_ros.nodes.dds import use_shared_memory_profile
assert use_shared_memory_profile()
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Int32

rclpy.init()
node = Node('talker')
qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, 'image', qos)
heard = []
node.create_subscription(Int32, 'heard', lambda msg: heard.append(msg.data), 10)

def wait_until(predicate, what):
    deadline = time.monotonic() + 30
    while not predicate():
        if time.monotonic() > deadline:
            sys.exit(f'{what} after 30 s')
        rclpy.spin_once(node, timeout_sec=0.01)

wait_until(publisher.get_subscription_count, 'nobody listens')
wait_until(lambda: node.count_publishers('heard'), 'nobody answers')
message = Image(height=600, width=1000, step=3000, encoding='rgb8')
message.data.frombytes(bytes(1_800_000))
for k in range(int(sys.argv[1])):
    message.header.stamp.sec = k
    publisher.publish(message)
    wait_until(lambda: k in heard, f'image {k} has not arrived')
node.destroy_node()
rclpy.try_shutdown()
"""


@pytest.mark.ros
def test_best_effort_images_of_another_process_arrive(
    ros: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is sent when the last has arrived, so that only what is too large can be lost."""
    from sensor_msgs.msg import Image
    from std_msgs.msg import Int32

    from depth_ros.nodes.qos import AdaptiveSubscription

    monkeypatch.undo()  # the child looks at the real /dev/shm, and so do we
    if shutil.disk_usage('/dev/shm').free < 64 * MIB:
        pytest.skip('/dev/shm has less than 64 MiB left')
    node = ros.node('listener')
    heard = node.create_publisher(Int32, 'heard', 10)
    AdaptiveSubscription(
        node,
        Image,
        'image',
        lambda image: heard.publish(Int32(data=image.header.stamp.sec)),
        mode='best_effort',
    )
    environ = {k: v for k, v in os.environ.items() if k not in dds.PROFILE_VARIABLES}
    environ['PYTHONPATH'] = os.pathsep.join([str(REPOSITORY), environ.get('PYTHONPATH', '')])
    subprocess.run([sys.executable, '-c', TALKER, '30'], env=environ, check=True, timeout=120)
