"""What `depth_ros doctor` says of ROS: libraries, middleware, live topics."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from depth_ros.cli.finding import OK, WARN, Finding, library, version_of
from depth_ros.nodes import dds, graph
from depth_ros.nodes.graph import Endpoint
from depth_ros.pipeline.clocks import Cause, duration

MIB = 2**20
ROS_PROCESSES = 4  # camera, LiDAR, completion and who uses the depth
MIN_RECEIVE_BUFFER = 4 * MIB  # room for one image; Linux gives 208 KiB
GRAPH_TIMEOUT_S = 30.0  # it listens for 10 s at most
DEFAULT_TOPICS = (
    ('/image', graph.IMAGE),
    ('/camera_info', graph.INFO),
    ('/points', graph.CLOUD),
)
"""What our nodes listen to unless they are remapped."""
AHEAD_S, OTHER_CLOCK_S = 0.1, 86400.0

_RECEIVE_BUFFER = Path('/proc/sys/net/core/rmem_max')
_DEFAULT_RMW = 'rmw_fastrtps_cpp'
_FAST_DDS_2 = ('humble', 'iron', 'jazzy')
_SET_BOTH = f'set both {" and ".join(dds.PROFILE_VARIABLES)} to it'


def ros() -> Iterator[Finding]:
    """What nodes need."""
    distro = os.environ.get('ROS_DISTRO')
    version = version_of('rclpy')
    if version is None:
        way_out = 'source /opt/ros/<distro>/setup.bash, or pip install "depth_ros[ros]"'
        yield Finding(WARN, 'rclpy', 'not installed: no nodes, no demo', way_out)
    else:
        yield Finding(OK, 'rclpy', f'{version} ({distro or "ROS_DISTRO is not set"})')
        lack = 'give the extrinsic by extrinsic.source parameters or file'
        tf = version_of('tf2_ros')
        yield Finding(OK if tf else WARN, 'tf2_ros', tf or 'not installed', '' if tf else lack)
    yield _cv_bridge()
    yield library('sensor_msgs_py')


def _cv_bridge() -> Finding:
    version = version_of('cv_bridge')
    if version is None:
        return Finding(OK, 'cv_bridge', 'not installed (optional): only rare encodings need it')
    numpy = version_of('numpy') or ''
    if numpy.startswith('2.'):
        way_out = 'unless it was built for NumPy 2 it crashes: pip install "numpy<2"'
        return Finding(WARN, 'cv_bridge', f'{version} beside NumPy {numpy}', way_out)
    return Finding(OK, 'cv_bridge', version)


def middleware() -> Iterator[Finding]:
    """How messages travel: RMW, DDS profile, shared memory, socket buffers, discovery."""
    yield Finding(OK, 'RMW', os.environ.get('RMW_IMPLEMENTATION') or f'{_DEFAULT_RMW} (default)')
    yield _profile()
    yield _shared_memory()
    yield _receive_buffer()
    yield _discovery_range()
    yield _domain()


def _profile() -> Finding:
    what = 'DDS profile'
    if not _is_fast_dds():
        return Finding(OK, what, 'none: this RMW is not Fast DDS')
    given = _given_profiles()
    if not given:
        path = dds.use_shared_memory_profile(environ=dict(os.environ))
        if path is None:
            way_out = 'large best-effort messages may be lost; the warning says why'
            return Finding(WARN, what, 'none', way_out)
        return Finding(OK, what, f'{path}, set by our nodes; others need it in their shell')
    value = ', '.join(f'{variable}={path}' for variable, path in given.items())
    distro = os.environ.get('ROS_DISTRO')
    newer, older = dds.PROFILE_VARIABLES
    read = {newer, older} if distro is None else {older if distro in _FAST_DDS_2 else newer}
    if not read <= given.keys():
        return Finding(WARN, what, value, f'this Fast DDS may not read it; {_SET_BOTH}')
    for file in given.values():
        if not Path(file).is_file():
            return Finding(WARN, what, value, f'{file} is no file')
    return Finding(OK, what, value)


def _shared_memory() -> Finding:
    what = '/dev/shm free'
    try:
        free_bytes = shutil.disk_usage(what.split()[0]).free
    except OSError:
        return Finding(WARN, what, 'missing', 'large messages between processes may be lost')
    profile = dds.find_share_file(f'config/{dds.IMAGES_PROFILE}')
    needed_bytes = ROS_PROCESSES * dds.segment_bytes(profile) if profile else 0
    value = f'{free_bytes / MIB:.0f} MiB'
    if free_bytes >= needed_bytes:
        return Finding(OK, what, value)
    way_out = (
        f'{ROS_PROCESSES} processes take {needed_bytes / MIB:.0f} MiB; '
        'start a container with --ipc=host or --shm-size=256m'
    )
    return Finding(WARN, what, value, way_out)


def _receive_buffer() -> Finding:
    what = 'net.core.rmem_max'
    try:
        size_bytes = int(_RECEIVE_BUFFER.read_text())
    except (OSError, ValueError):
        return Finding(WARN, what, 'not visible here', f'look on the host: sysctl {what}')
    value = f'{size_bytes} bytes'
    if size_bytes >= MIN_RECEIVE_BUFFER:
        return Finding(OK, what, value)
    way_out = (
        'little for large messages between machines: '
        f'sudo sysctl -w {what}={2 * MIN_RECEIVE_BUFFER}'
    )
    return Finding(WARN, what, value, way_out)


def _discovery_range() -> Finding:
    what = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
    value = os.environ.get(what)
    if not value:
        return Finding(OK, what, 'not set: the subnet')
    if value in ('SUBNET', 'LOCALHOST', 'SYSTEM_DEFAULT'):
        return Finding(OK, what, value)
    if value == 'OFF':
        return Finding(WARN, what, value, 'no node finds another one; LOCALHOST is this machine')
    return Finding(WARN, what, value, 'must be SUBNET, LOCALHOST, OFF or SYSTEM_DEFAULT')


def _domain() -> Finding:
    what = 'ROS_DOMAIN_ID'
    value = os.environ.get(what)
    if not value:
        return Finding(OK, what, 'not set: 0')
    if value.isdecimal() and int(value) <= 101:
        return Finding(OK, what, value)
    return Finding(WARN, what, value, 'take 0 to 101; the ports of higher ones may be in use')


def topics() -> Iterator[Finding]:
    """The sensor topics that are live, and what would be lost on the way."""
    what = 'live topics'
    if importlib.util.find_spec('rclpy') is None:
        yield Finding(OK, what, 'not looked for: there is no rclpy')
        return
    try:
        report = _graph_report()
    except subprocess.CalledProcessError as error:
        said = f'{error.stdout}\n{error.stderr}'.strip() or f'exit code {error.returncode}'
        yield Finding(WARN, what, said.splitlines()[-1], 'ROS does not start in this shell')
        return
    except subprocess.TimeoutExpired:
        yield Finding(WARN, what, f'ROS did not answer within {GRAPH_TIMEOUT_S:g} s')
        return
    publishers = [Endpoint(**publisher) for publisher in report['publishers']]
    subscriptions = [Endpoint(**subscription) for subscription in report['subscriptions']]
    sensors = [p for p in publishers if p.type in graph.SENSOR_TYPES]
    if not sensors:
        way_out = 'start the sensors in this ROS_DOMAIN_ID and discovery range'
        yield Finding(OK, what, 'no image, camera_info or cloud', way_out)
    may_lose = _is_fast_dds() and not _given_profiles()
    for publisher in sorted(sensors, key=lambda p: p.topic):
        yield _sensor(publisher, report['heard'].get(publisher.topic), may_lose)
    for topic, cause in _unheard(publishers, subscriptions):
        yield Finding(WARN, topic, cause.sentence, cause.way_out)


def _sensor(publisher: Endpoint, heard: dict[str, Any] | None, may_lose: bool) -> Finding:
    """A topic, what came on it, and what would be lost of it."""
    message = publisher.message
    value = f'{message} from {publisher.node}, {publisher.reliability}'
    if publisher.durability == 'transient_local':
        value += ', latched'
    is_large = publisher.type in (graph.IMAGE, graph.CLOUD)
    if may_lose and publisher.reliability == 'best_effort' and is_large:
        way_out = f'may lose messages over 512 KiB: {_profile_advice()}'
        return Finding(WARN, publisher.topic, value, way_out)
    if heard is None:  # of a node that works on what it hears
        return Finding(OK, publisher.topic, value)
    if not heard['messages']:
        way_out = 'look whether its node is active and the sensor connected'
        return Finding(WARN, publisher.topic, f'{value}, silent', way_out)
    if heard['rate_hz']:
        value += f', {heard["rate_hz"]:.1f} Hz'
    if message == 'CameraInfo':  # its stamp matters to nobody, and a latched one is old
        return Finding(OK, publisher.topic, value)
    age_s = heard['age_s']
    if not heard['is_stamped']:
        way_out = 'have its driver fill header.stamp with the time of capture'
        return Finding(WARN, publisher.topic, f'{value}, stamps 0', way_out)
    if age_s < -AHEAD_S or age_s > OTHER_CLOCK_S:
        value += f', stamps {duration(abs(age_s))} s {"ahead" if age_s < 0 else "old"}'
        way_out = 'a sensor on another clock, or a recording (set use_sim_time for that)'
        return Finding(WARN, publisher.topic, value, way_out)
    return Finding(OK, publisher.topic, value)


def _unheard(
    publishers: list[Endpoint], subscriptions: list[Endpoint]
) -> Iterator[tuple[str, Cause]]:
    """Subscriptions to sensors that hear nobody; and what our nodes could not use if they ran."""
    yield from graph.unheard(publishers, subscriptions)
    listened = {subscription.topic for subscription in subscriptions}
    for topic, wanted in DEFAULT_TOPICS:
        cause = graph.explain_silence(Endpoint(topic, wanted, 'a node of ours'), publishers)
        if topic not in listened and cause is not None and cause.key == 'wrong_type':
            yield topic, cause


def _graph_report() -> dict[str, Any]:
    """`nodes.graph_report` in a process of its own: a broken middleware ends its process."""
    command = [sys.executable, '-m', 'depth_ros.nodes.graph_report']
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=GRAPH_TIMEOUT_S, check=True
    )
    # Fast DDS writes its complaints to stdout, too.
    report: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return report


def _profile_advice() -> str:
    path = dds.find_share_file(f'config/{dds.IMAGES_PROFILE}') or dds.IMAGES_PROFILE
    return f'give its publisher {path} ({_SET_BOTH}), or publish reliable'


def _is_fast_dds() -> bool:
    return 'fastrtps' in (os.environ.get('RMW_IMPLEMENTATION') or _DEFAULT_RMW)


def _given_profiles() -> dict[str, str]:
    """The profile variables that the user has set."""
    return {name: os.environ[name] for name in dds.PROFILE_VARIABLES if os.environ.get(name)}
