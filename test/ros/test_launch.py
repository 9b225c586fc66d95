"""The launch files through the real `ros2 launch`, as a user starts them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')
# Not imported here: launch changes the logging of the whole process.
if shutil.which('ros2') is None or find_spec('launch_ros') is None:
    pytest.skip('`ros2 launch` is not installed', allow_module_level=True)

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters
from sensor_msgs.msg import Image

from depth_ros.nodes.dds import PROFILE_VARIABLES

pytestmark = pytest.mark.ros
REPOSITORY = Path(__file__).resolve().parents[2]
START = Callable[..., 'subprocess.Popen[bytes]']


@pytest.fixture
def launched(tmp_path: Path) -> Iterator[START]:
    """`launched('completion.launch.py', 'method:=guided')` starts it; ends it after the test.

    The executables stand where colcon would install them, and run the source tree.
    """
    index = tmp_path / 'share/ament_index/resource_index/packages/depth_ros'
    index.parent.mkdir(parents=True)
    index.touch()
    for name in ('completion_node', 'monocular_node', 'player_node'):
        script = tmp_path / 'lib/depth_ros' / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -m depth_ros.nodes.{name} "$@"\n')
        script.chmod(0o755)
    started: list[subprocess.Popen[bytes]] = []

    def start(file: str, *arguments: str) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if k not in PROFILE_VARIABLES}
        for variable, first in (('AMENT_PREFIX_PATH', tmp_path), ('PYTHONPATH', REPOSITORY)):
            environ[variable] = os.pathsep.join([str(first), environ.get(variable, '')])
        command = ['ros2', 'launch', str(REPOSITORY / 'launch' / file), *arguments]
        process = subprocess.Popen(command, env=environ, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(240)


def call(ros: Any, service_type: Any, name: str, **request: Any) -> Any:
    """The reply of a service; asked again, since one that has just been found may lose a reply."""
    client = ros.node('caller').create_client(service_type, name)
    assert client.wait_for_service(timeout_sec=60.0), name
    for _ in range(20):
        future = client.call_async(service_type.Request(**request))
        deadline = time.monotonic() + 3.0
        while time.monotonic() < deadline:
            if future.done():
                return future.result()
            time.sleep(0.01)
    pytest.fail(f'{name} does not answer')


def state(ros: Any, node: str) -> int:
    return call(ros, GetState, f'{node}/get_state').current_state.id


def children(process: subprocess.Popen[bytes]) -> list[str]:
    """The processes that a launch has running."""
    return Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()


def environment_of_child(process: subprocess.Popen[bytes]) -> list[str]:
    """What the launched process was started with, before it changed anything itself."""
    (child,) = children(process)
    return Path(f'/proc/{child}/environ').read_text().split('\0')


def listeners(node: Any, topic: str) -> list[str]:
    """Full names of the nodes that subscribe to a topic, as far as they are known by now."""
    found = node.get_subscriptions_info_by_topic(topic)
    return [f'{info.node_namespace}/{info.node_name}' for info in found]


def test_arguments_reach_the_node(launched: START, ros: Any, wait_until: Any) -> None:
    process = launched(
        'completion.launch.py',
        *('namespace:=robot', 'image:=/front/image_raw', 'points:=/top/points'),
        *('method:=ip_basic', 'image_transport:=compressed'),
    )
    node, name = ros.node('observer'), '/robot/completion_node'
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, what='active')
    for topic in ('/front/image_raw/compressed', '/front/camera_info', '/top/points'):
        wait_until(lambda topic=topic: listeners(node, topic) == [name], what=topic)
    wait_until(partial(node.get_publishers_info_by_topic, '/robot/depth/points'), what='cloud')
    names = ['method', 'image_transport', 'output.cloud_stride', 'use_sim_time']
    reply = call(ros, GetParameters, f'{name}/get_parameters', names=names)
    method, transport, stride, sim_time = reply.values
    assert (method.string_value, transport.string_value) == ('ip_basic', 'compressed')
    assert stride.integer_value == 2  # from config/completion.yaml
    assert sim_time.bool_value is False
    profile = REPOSITORY / 'config/fastdds_shm.xml'
    for variable in PROFILE_VARIABLES:
        assert f'{variable}={profile}' in environment_of_child(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 0


def test_arguments_reach_the_monocular_node(
    launched: START, ros: Any, wait_until: Any, fetched: Callable[[str], Path]
) -> None:
    fetched('da2-indoor-small')
    fetched('da2-small')
    process = launched(
        'monocular.launch.py',
        *('namespace:=robot', 'image:=/front/image_raw', 'image_transport:=compressed'),
        *('weights:=da2-small', 'output:=relative'),
    )
    node, name = ros.node('observer'), '/robot/monocular_node'
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, what='active')
    for topic in ('/front/image_raw/compressed', '/front/camera_info'):
        (listener,) = wait_until(partial(node.get_subscriptions_info_by_topic, topic), what=topic)
        assert (listener.node_namespace, listener.node_name) == ('/robot', 'monocular_node')
    relative = '/robot/depth/relative'
    wait_until(partial(node.get_publishers_info_by_topic, relative), what=relative)
    assert not node.get_publishers_info_by_topic('/robot/depth/image_dense')
    names = ['mono.weights', 'mono.output', 'image_transport', 'output.cloud_stride']
    reply = call(ros, GetParameters, f'{name}/get_parameters', names=names)
    weights, output, transport, stride = reply.values
    assert (weights.string_value, output.string_value) == ('da2-small', 'relative')
    assert transport.string_value == 'compressed'
    assert stride.integer_value == 2  # from config/monocular.yaml
    process.send_signal(signal.SIGINT)
    assert process.wait(240) == 0


def test_the_extrinsic_the_name_and_tf_are_arguments(
    launched: START, ros: Any, wait_until: Any
) -> None:
    launched(
        'completion.launch.py',
        *('method:=guided', 'node_name:=front_depth', 'namespace:=robot'),
        *('extrinsic_translation:=[0.1, 0, -0.2]', 'extrinsic_quat_xyzw:=0.5 -0.5 0.5 0.5'),
    )
    name = '/robot/front_depth'
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, 60.0, 'active')
    names = [f'extrinsic.{n}' for n in ('source', 'translation', 'quat_xyzw')]
    source, translation, quat = call(
        ros, GetParameters, f'{name}/get_parameters', names=names
    ).values
    assert source.string_value == 'parameters'
    assert list(translation.double_array_value) == [0.1, 0.0, -0.2]
    assert list(quat.double_array_value) == [0.5, -0.5, 0.5, 0.5]


def test_tf_of_one_robot_among_several(launched: START, ros: Any, wait_until: Any) -> None:
    pytest.importorskip('tf2_ros')
    launched(
        'completion.launch.py',
        *('method:=guided', 'namespace:=robot', 'fixed_frame:=odom'),
        *('tf:=tf', 'tf_static:=tf_static'),
    )
    node = ros.node('observer')
    for topic in ('/robot/tf', '/robot/tf_static'):
        wait_until(partial(node.get_subscriptions_info_by_topic, topic), 60.0, topic)
    assert not node.get_subscriptions_info_by_topic('/tf')


def test_a_node_that_is_killed_comes_back(launched: START, ros: Any, wait_until: Any) -> None:
    process = launched('completion.launch.py', 'method:=guided', 'respawn:=true')
    name = '/completion_node'
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, 60.0, 'active')
    (before,) = children(process)
    os.kill(int(before), signal.SIGKILL)
    wait_until(lambda: children(process) not in ([], [before]), 60.0, 'another process')
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, 60.0, 'active')


@pytest.mark.parametrize(
    ('file', 'argument', 'said'),
    [
        ('completion.launch.py', 'params_file:=/nowhere.yaml', '/nowhere.yaml is not there'),
        ('completion.launch.py', 'extrinsic_file:=/none.json', '/none.json is not there'),
        ('completion.launch.py', 'extrinsic_translation:=0.1', 'must be 3 numbers, such as'),
        ('completion.launch.py', 'rviz:=yes', '"yes" is not valid'),
        ('monocular.launch.py', 'params_file:=/nowhere.yaml', '/nowhere.yaml is not there'),
        ('demo.launch.py', 'rate_hz:=fast', "rate_hz must be a number, got 'fast'"),
        ('demo.launch.py', 'frames:=1.5', 'frames must be a whole number, got 1.5'),
    ],
)
def test_an_argument_that_cannot_be_is_said_before_anything_is_started(
    launched: START, capfd: pytest.CaptureFixture[str], file: str, argument: str, said: str
) -> None:
    process = launched(file, argument)
    assert process.wait(240) == 1
    text = ''.join(capfd.readouterr())
    assert said in text
    assert 'process started' not in text


@pytest.mark.parametrize('file', ['completion.launch.py', 'demo.launch.py'])
def test_rviz_that_is_not_installed_is_said_and_leaves_nothing_behind(
    launched: START, capfd: pytest.CaptureFixture[str], file: str
) -> None:
    if shutil.which('rviz2') is not None:
        pytest.skip('RViz 2 is installed')
    process = launched(file, 'rviz:=true')
    assert process.wait(240) == 1
    text = ''.join(capfd.readouterr())
    assert 'rviz:=true needs RViz 2' in text
    assert 'process started' not in text


def test_a_launch_file_may_configure_and_activate(
    launched: START, ros: Any, wait_until: Any
) -> None:
    """The example; it must not find the node active already, nor be left waiting."""
    launched('../examples/managed.launch.py')
    name = '/completion_node'
    wait_until(lambda: state(ros, name) == State.PRIMARY_STATE_ACTIVE, 60.0, 'active')


def test_relative_weights_end_the_launch_with_the_reason(
    launched: START, fetched: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    fetched('da2-small')
    process = launched('monocular.launch.py', 'weights:=da2-small')
    assert process.wait(240) == 0  # `ros2 launch` itself has not failed
    said = ''.join(capfd.readouterr())
    assert 'which is never published as metres' in said
    assert 'exit code 1' in said


def test_without_autostart_the_life_is_managed(launched: START, ros: Any, wait_until: Any) -> None:
    launched('completion.launch.py', 'autostart:=false')
    name = '/completion_node'
    assert state(ros, name) == State.PRIMARY_STATE_UNCONFIGURED
    for transition, expected in (
        (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
    ):
        change = {'transition': Transition(id=transition)}
        call(ros, ChangeState, f'{name}/change_state', **change)
        assert state(ros, name) == expected


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_demo_plays_into_the_node_and_ends(
    launched: START, ros: Any, wait_until: Any, transport: str
) -> None:
    pytest.importorskip('tf2_ros')
    stamps: list[int] = []
    ros.node('listener').create_subscription(
        Image, 'depth/image_rect', lambda m: stamps.append(m.header.stamp.nanosec), 10
    )
    process = launched(
        'demo.launch.py',
        *('source:=simulator:street?width=128&height=72', 'frames:=3', 'rate_hz:=5'),
        *(f'image_transport:={transport}', 'method:=guided'),
    )
    assert process.wait(120) == 0
    wait_until(lambda: len(stamps) == 3, what='depth images')
