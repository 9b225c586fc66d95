"""No transition ends a node or leaves half of it: the invalid, the failing, the last."""

from __future__ import annotations

import json
import os
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetAvailableTransitions, GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from depth_ros.errors import EngineError
from depth_ros.nodes import completion_node, depth_node, process
from depth_ros.nodes.completion_node import CompletionNode
from depth_ros.nodes.monocular_node import MonocularNode
from depth_ros.nodes.player_node import PlayerNode
from depth_ros.nodes.recorder_node import RecorderNode

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
pytestmark = pytest.mark.ros

IDENTITY = {'extrinsic.source': 'parameters', 'extrinsic.quat_xyzw': [0.0, 0.0, 0.0, 1.0]}
WAYS = {  # (id, label, state that it leads to) by state
    'unconfigured': ((1, 'configure', 'inactive'), (5, 'shutdown', 'finalized')),
    'inactive': (
        (2, 'cleanup', 'unconfigured'),
        (3, 'activate', 'active'),
        (6, 'shutdown', 'finalized'),
    ),
    'active': ((4, 'deactivate', 'inactive'), (7, 'shutdown', 'finalized')),
    'finalized': (),
}
IDS = (*range(9), 10, 30, 62, 99, 255)
LABELS = ('configure', 'cleanup', 'activate', 'deactivate', 'shutdown', 'create', 'destroy')
LABELS = (
    *LABELS,
    'transition_success',
    'transition_error',
    'CONFIGURE',
    'nonsense',
    '\u00e9\u4e16',
)


class Managed:
    """A node of ours that spins, and the services by which another one manages it."""

    def __init__(self, ros, wait_until, kind, **parameters) -> None:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = ros.spin(kind(context=ros.context, parameter_overrides=overrides))
        name = self.node.get_name()
        peer = ros.node('manager')
        self._wait_until = wait_until
        self._change = peer.create_client(ChangeState, f'{name}/change_state')
        self._state = peer.create_client(GetState, f'{name}/get_state')
        self._ways = peer.create_client(
            GetAvailableTransitions, f'{name}/get_available_transitions'
        )

    @property
    def state(self) -> str:
        return self._call(self._state, GetState.Request()).current_state.label

    @property
    def ways(self) -> list[tuple[int, str]]:
        """What the node says is possible."""
        found = self._call(self._ways, GetAvailableTransitions.Request()).available_transitions
        return [(way.transition.id, way.transition.label) for way in found]

    def change(self, number=0, label='') -> bool:
        transition = Transition(id=number, label=label)
        return self._call(self._change, ChangeState.Request(transition=transition)).success

    def _call(self, client, request):
        self._wait_until(client.service_is_ready, timeout_s=240.0, what='the service')
        future = client.call_async(request)
        self._wait_until(future.done, timeout_s=240.0, what='an answer')
        return future.result()


@pytest.fixture
def managed(ros, wait_until):
    made = []

    def make(kind, **parameters):
        made.append(Managed(ros, wait_until, kind, **parameters))
        return made[-1]

    yield make
    for one in made:
        if one.state != 'finalized':
            one.change(label='shutdown')


def completion(tmp_path, request):
    return CompletionNode, {'method': 'guided', **IDENTITY}


def monocular(tmp_path, request):
    request.getfixturevalue('fetched')('da2-indoor-small')
    return MonocularNode, {'mono.weights': 'da2-indoor-small'}


def player(tmp_path, request):
    """One frame of 8x8 pixels and a return."""
    cv2.imwrite(str(tmp_path / '0.png'), np.zeros((8, 8, 3), np.uint8))
    np.array([0, 0, 5], np.float32).tofile(tmp_path / '0.bin')
    camera = {'width': 8, 'height': 8, 'model': 'pinhole', 'D': []}
    camera |= {'K': [[8, 0, 4], [0, 8, 4], [0, 0, 1]], 'T_cam_lidar': np.eye(4).tolist()}
    calib = {
        'cameras': {'front': camera},
        'lidar': {'format': 'bin_f32', 'fields': ['x', 'y', 'z']},
        'frames': [{'id': '0', 't': 0.0, 'images': {'front': '0.png'}, 'lidar': '0.bin'}],
    }
    (tmp_path / 'calib.json').write_text(json.dumps(calib))
    return PlayerNode, {'source': str(tmp_path)}


def recorder(tmp_path, request):
    return RecorderNode, {'output': str(tmp_path / 'recording')}


@pytest.mark.parametrize('make', [completion, monocular, player, recorder])
def test_every_transition_in_every_state_is_gone_or_refused(make, managed, tmp_path, request):
    kind, parameters = make(tmp_path, request)
    one = managed(kind, **parameters)
    for way, state in (('', 'unconfigured'), ('configure', 'inactive'), ('activate', 'active')):
        assert not way or one.change(label=way)
        assert one.state == state
        assert sorted(one.ways) == sorted((number, label) for number, label, _ in WAYS[state])
        refuses_all_but(one, state)
    for label, state in (('deactivate', 'inactive'), ('cleanup', 'unconfigured')):
        assert one.change(label=label)
        assert one.state == state
    for number, _, state in (WAYS['unconfigured'][0], WAYS['inactive'][1], WAYS['active'][1]):
        assert one.change(number)
        assert one.state == state
    refuses_all_but(one, 'finalized')


def refuses_all_but(one, state):
    """Whatever does not lead out of a state leaves the node in it."""
    for number in set(IDS) - {number for number, _, _ in WAYS[state]}:
        assert not one.change(number), number
    for label in set(LABELS) - {label for _, label, _ in WAYS[state]}:
        assert not one.change(label=label), label
        assert not one.change(WAYS[state][0][0] if WAYS[state] else 1, label), label
    assert one.state == state


@pytest.fixture
def logged(monkeypatch):
    """What the nodes say of transitions that fail."""
    lines = []
    log = process.ManagedNode._log_failure

    def log_too(self, what, error):
        lines.append((what, str(error)))
        log(self, what, error)

    monkeypatch.setattr(process.ManagedNode, '_log_failure', log_too)
    return lines


FAULTS = [OSError('libcudart.so.12: cannot open'), MemoryError(), KeyError('x'), EngineError('e')]


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: type(fault).__name__)
def test_what_configuring_raises_fails_it_and_nothing_half_made_stays(
    fault, rig, monkeypatch, logged
):
    one = rig()
    before = topics_of(one.node)

    def broken(*_):
        raise fault

    with monkeypatch.context() as patch:  # after the pipeline and before the publishers
        patch.setattr(completion_node, 'make_extrinsic', broken)
        assert one.node.trigger_configure() == FAILURE
    assert logged == [('configure', str(fault))]
    with monkeypatch.context() as patch:  # after the publishers
        patch.setattr(depth_node, 'Monitor', broken)
        assert one.node.trigger_configure() == FAILURE
    assert topics_of(one.node) == before
    one.start()
    one.send_until(lambda: one.depth, 'depth')


def test_what_activating_raises_fails_it_and_nothing_half_made_stays(rig, monkeypatch, logged):
    one = rig()
    assert one.node.trigger_configure() == SUCCESS
    before = topics_of(one.node)

    def broken(*_, **__):
        raise RuntimeError('no timers today')

    with monkeypatch.context() as patch:  # after it has begun to listen
        patch.setattr(one.node._monitor, 'listen', broken)
        assert one.node.trigger_activate() == FAILURE
    assert logged == [('activate', 'no timers today')]
    assert topics_of(one.node) == before
    assert one.node._worker is None
    assert one.node.trigger_activate() == SUCCESS
    one.send_until(lambda: one.depth, 'depth')


@pytest.mark.parametrize('way', ['deactivate', 'cleanup', 'shutdown'])
def test_what_cannot_be_given_back_is_said_and_the_node_can_be_configured_anew(
    way, rig, monkeypatch, logged
):
    one = rig().start()
    before = topics_of(one.node)

    def broken(*_):
        raise OSError('the device has gone')

    if way == 'deactivate':
        one.node._activated.callback(broken)
    else:
        one.node._configured.callback(broken)
    if way == 'cleanup':
        assert one.node.trigger_deactivate() == SUCCESS
    assert getattr(one.node, f'trigger_{way}')() == ERROR
    assert logged == [('give everything back', 'the device has gone')]
    if way == 'shutdown':
        assert one.node._state_machine.current_state[1] == 'finalized'
        return
    assert one.node._state_machine.current_state[1] == 'unconfigured'
    assert one.node.trigger_configure() == SUCCESS
    assert one.node.trigger_activate() == SUCCESS
    assert topics_of(one.node) == before
    one.send_until(lambda: one.depth, 'depth')


def topics_of(node) -> tuple[list[str], list[str]]:
    """Names of the topics that a node has publishers and subscriptions of."""
    publishers = sorted(publisher.topic_name for publisher in node.publishers)
    return publishers, sorted(one.topic_name for one in node.subscriptions)


@pytest.mark.parametrize('state', ['active', 'inactive'])
def test_a_shutdown_frees_the_method_and_the_topics(state, rig):
    one = rig()
    before = topics_of(one.node)
    one.start()
    closed = []

    class Network:
        name, needs_lidar = 'fake', True

        def prepare(self, height, width, may_build=True, may_skip=False): ...
        def check_camera(self, camera): ...
        def fits(self, height, width): ...
        def build_arguments(self, height, width): ...
        def describe(self): ...
        def estimate(self, view): ...
        def close(self):
            closed.append(True)

    one.node._pipeline.use(Network(), 'a test')
    if state == 'inactive':
        assert one.node.trigger_deactivate() == SUCCESS
    assert one.node.trigger_shutdown() == SUCCESS
    assert closed == [True]
    assert topics_of(one.node) == before


def test_a_process_lives_through_invalid_transitions_and_ends_cleanly(
    start_node, ros, wait_until, tmp_path
):
    """As a launch file that configures a node which has configured itself."""
    log = tmp_path / 'node.log'
    child = start_node('recorder_node', log, output=str(tmp_path / 'out'))
    client = ros.node('launch').create_client(ChangeState, 'recorder_node/change_state')
    wait_until(client.service_is_ready, timeout_s=60.0, what='the service')
    for number in (1, 99):
        asked = []

        def answer(number=number, asked=asked):
            """Of whichever call: that of one made before the node knows its client is lost."""
            if not asked or time.monotonic() - asked[-1][0] > 5.0:
                request = ChangeState.Request(transition=Transition(id=number))
                asked.append((time.monotonic(), client.call_async(request)))
            return next((future.result() for _, future in asked if future.done()), None)

        assert not wait_until(answer, timeout_s=60.0, what='an answer').success
    assert child.poll() is None
    refusal = "id 99 is refused: there is no such transition from the state 'active'"
    assert refusal in log.read_text()


def test_a_broken_install_leaves_guided_and_says_why(
    start_node, tmp_path, wait_until, monkeypatch
):
    """An ONNX Runtime for a GPU without its CUDA, and a PyTorch as bad."""
    for library in ('onnxruntime', 'openvino', 'torch'):
        fault = f'raise OSError("{library} lacks libcudart.so.12")'
        (tmp_path / f'{library}.py').write_text(f'{fault}\n')
    path = os.environ.get('PYTHONPATH', '')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, (str(tmp_path), path))))
    log = tmp_path / 'node.log'
    child = start_node(
        'completion_node',
        log,
        extrinsic__source='parameters',
        extrinsic__quat_xyzw=[0.0, 0.0, 0.0, 1.0],
    )
    wait_until(lambda: 'Method ' in log.read_text(), timeout_s=60.0, what='the choice')
    text = log.read_text()
    assert 'Method guided: ' in text
    assert 'OSError: onnxruntime lacks libcudart.so.12' in text
    assert child.poll() is None


def test_the_executor_is_shut_down_before_its_context(monkeypatch):
    """Else it may complain of that when it is collected, after the node has ended well."""
    ended = []

    class Executor(process.SingleThreadedExecutor):
        def shutdown(self, timeout_sec=None):
            ended.append(self.context.ok())
            return super().shutdown(timeout_sec)

        def spin_once(self, timeout_sec=None):
            raise SystemExit(3)

    monkeypatch.setattr(process, 'SingleThreadedExecutor', Executor)
    monkeypatch.setattr(process.signal, 'signal', lambda *_: None)
    args = ['--ros-args', '-p', 'source:=nowhere', '-p', 'autostart:=false']
    assert process.run_node(PlayerNode, args) == 3
    assert ended == [True]
