"""Settings of a node: what can change when, and what is said of arguments that cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from depth_ros.nodes.completion_node import CompletionNode
from depth_ros.nodes.monocular_node import MonocularNode

pytestmark = pytest.mark.ros
SUCCESS = TransitionCallbackReturn.SUCCESS
TURNED = [0.0, 0.0, 1.0, 0.0]  # half a turn about the optical axis: the wall stays where it is


def put(node: Any, **values: Any) -> Any:
    """Set parameters at once; __ stands for a dot."""
    parameters = [Parameter(k.replace('__', '.'), value=v) for k, v in values.items()]
    return node.set_parameters_atomically(parameters)


def depth_m(image: Any) -> float:
    return float(np.nanmedian(np.frombuffer(image.data, np.float32)))


def shown(one: Any, wanted_m: float) -> Any:
    """Depth images of the wall until they say how far it is."""
    one.send_until(
        lambda: one.depth and abs(depth_m(one.depth[-1]) - wanted_m) < 0.01, f'{wanted_m} m'
    )


def test_an_active_node_takes_another_extrinsic_with_the_next_frame(rig):
    one = rig().start()
    shown(one, 5.0)
    assert put(one.node, extrinsic__translation=[0.0, 0.0, 1.0]).successful
    shown(one, 6.0)
    assert put(one.node, extrinsic__translation=[0, 0, -1], extrinsic__quat_xyzw=TURNED).successful
    shown(one, 4.0)


@pytest.mark.parametrize(
    ('values', 'said'),
    [
        ({'extrinsic__quat_xyzw': [1.0, 1.0, 0.0, 0.0]}, 'norm 1'),
        ({'extrinsic__quat_xyzw': [0.0, 0.0, 0.0, 0.0]}, 'quat_xyzw is not given'),
        ({'extrinsic__translation': [0.0]}, '3 numbers'),
        ({'extrinsic__source': 'file'}, 'extrinsic.file is not given'),
        ({'extrinsic__source': 'guess'}, 'one of'),
        ({'qos': 'reliable'}, 'qos cannot change while the node is configured'),
        ({'image_transport': 'compressed'}, 'ros2 lifecycle set /completion_node cleanup'),
        ({'autostart': False}, 'read-only'),
    ],
)
def test_what_an_active_node_cannot_take_is_refused_and_it_goes_on(rig, values, said):
    one = rig().start()
    shown(one, 5.0)
    result = put(one.node, **values)
    assert not result.successful
    assert said in result.reason
    (name,) = values
    assert one.node.get_parameter(name.replace('__', '.')).value != values[name]
    assert put(one.node, extrinsic__translation=[0.0, 0.0, 1.0]).successful
    shown(one, 6.0)


def test_a_node_that_was_cleaned_up_takes_any_setting(rig, tmp_path: Path):
    T = np.eye(4)
    T[2, 3] = 2.0
    camera = {'width': 96, 'height': 64, 'model': 'pinhole', 'T_cam_lidar': T.tolist()}
    camera['K'] = [[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]]
    (tmp_path / 'calib.json').write_text(json.dumps({'cameras': {'front': camera}}))
    one = rig().start()
    shown(one, 5.0)
    assert one.node.trigger_deactivate() == SUCCESS
    assert one.node.trigger_cleanup() == SUCCESS
    assert put(one.node, extrinsic__source='file').successful  # one after the other
    assert one.node.trigger_configure() != SUCCESS  # which file?
    assert put(one.node, extrinsic__file=str(tmp_path / 'calib.json')).successful
    assert put(one.node, depth_encoding='16UC1').successful
    one.start()
    one.send_until(lambda: one.depth[-1].encoding == '16UC1', 'millimetres')
    assert np.median(np.frombuffer(one.depth[-1].data, np.uint16)) == pytest.approx(7000, abs=20)


def test_the_cloud_of_a_node_is_strided_without_any_file(ros):
    for kind in (CompletionNode, MonocularNode):
        node = ros.spin(kind(context=ros.context))
        assert node.get_parameter('output.cloud_stride').value == 2


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (
            ['-p', 'extrinsic.translation:=[0.0, 0, 0.1]'],
            'Write all numbers of a list alike, such as [0.0, 0.0, 0.1].',
        ),
        (['--params-file', '/nowhere.yaml'], '/nowhere.yaml cannot be read'),
        (['-p', 'method'], '-p method cannot be read'),
        (['-r', 'image'], '-r image cannot be read'),
        (['--log-level', 'loud'], '--log-level loud cannot be read'),
        (['-p', 'extrinsic.translation:=[0.1, 0.2]'], 'extrinsic.translation must be 3 numbers'),
        (['-p', 'extrinsic.translation:=[a, b, c]'], 'extrinsic.translation must be 3 numbers'),
    ],
)
def test_arguments_that_ros_cannot_read_are_a_sentence(ros_environment, arguments, said):
    command = [sys.executable, '-m', 'depth_ros.nodes.completion_node', '--ros-args', *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert said in output
    assert 'Traceback' not in output
    assert '/src/' not in output
