"""A node starts on `guided`; when the method that it wants is ready, that one takes over."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from depth_ros.engines.base import NotBuiltError
from depth_ros.errors import EngineError, MethodError
from depth_ros.frame import DepthEstimate
from depth_ros.methods.registry import METHODS
from depth_ros.nodes import depth_node
from depth_ros.nodes.convert import stamp_to_ns
from depth_ros.pipeline.upgrade import Upgrade

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
pytestmark = pytest.mark.ros

WALL_M, NETWORK_M = 5.0, 7.0
PERIOD_S = 0.06
BUILDING = """
import json, os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / 'pid').write_text(f'{os.getpid()} end')
print(json.dumps({'phase': 'building plan', 'fraction': 0.43}), flush=True)
while not (folder / 'go').exists():
    time.sleep(0.01)
(folder / 'plan').touch()
"""


class Network:
    """Says 7 m everywhere, once a process of its own has built what it opens."""

    name = 'bpnet'
    needs_lidar = True
    fault: Exception | None = None
    frames_left = 10**9
    ends_badly = False

    def __init__(self, weights, backend, precision, threads):
        self.folder, self.size = weights.parent, None

    def prepare(self, height, width, may_build=True, may_skip=False):
        if self.fits(height, width):
            return
        assert threading.current_thread().name == 'depth_ros_upgrade'
        if self.fault is not None:
            raise self.fault
        if not (self.folder / 'plan').exists():
            raise NotBuiltError('there is no plan')
        time.sleep(0.3)
        self.size = (height, width)

    def check_camera(self, camera):
        if camera.height < 8:
            raise MethodError('too small', 'image_size')

    def fits(self, height, width):
        return self.size == (height, width)

    def estimate(self, view):
        self.frames_left -= 1
        if self.frames_left < 0:
            raise EngineError('CUDA on cuda:0: out of memory')
        assert self.size == view.sparse_m.shape, 'used before it was ready'
        depth_m = np.full(self.size, NETWORK_M, np.float32)
        return DepthEstimate(depth_m, depth_m / 100)

    def build_arguments(self, height, width):
        return []

    def describe(self):
        return 'tensorrt fp16 on cuda:0'

    def close(self):
        self.size = None
        if self.ends_badly:
            raise RuntimeError('an illegal memory access was encountered')


class Build:
    """The process that builds, as the test sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finish(self) -> None:
        (self.folder / 'go').touch()

    @property
    def pid(self) -> int | None:
        """Of the last one; None before there was one."""
        file = self.folder / 'pid'
        text = file.read_text() if file.exists() else ''
        return int(text.split()[0]) if text.endswith('end') else None

    @property
    def runs(self) -> bool:
        stat = Path(f'/proc/{self.pid}/stat')
        return stat.exists() and stat.read_text().rsplit(')', 1)[1].split()[0] != 'Z'


@pytest.fixture
def build(monkeypatch, tmp_path):
    """What `bpnet` stands for in the test: a network, and the process that builds its plan."""
    monkeypatch.setitem(METHODS, 'bpnet', Network)
    command = [sys.executable, '-c', BUILDING, str(tmp_path)]
    upgrade = functools.partial(Upgrade, builder=lambda method, height, width: command)
    monkeypatch.setattr(depth_node, 'Upgrade', upgrade)
    (tmp_path / 'weights').touch()
    return Build(tmp_path)


def wanting_bpnet(build):
    return {'method': 'bpnet', 'bpnet.weights': str(build.folder / 'weights')}


def depth_of(msg) -> float:
    return round(float(np.nanmedian(np.frombuffer(msg.data, np.float32))), 2)


def start(rig, build):
    """A node that wants `bpnet` and gets frames; all that were sent have come out."""
    one = rig(**wanting_bpnet(build)).start()
    assert 'guided' in one.node._announced  # up at once, on what can run
    one.send_until(lambda: one.depth, 'the first depth')
    last_ns = one._stamp_ns
    one.wait_until(lambda: last_ns in came_out(one), what='the last of the first frames')
    one.depth.clear()
    return one


def stream(one, predicate, what, sent):
    """Send a frame a period until something holds; their stamps go to `sent`.

    The next one waits until the last has come out or is counted as dropped, so that a machine
    that is busy with other things loses none.
    """

    def frame():
        before = drops(one)
        sent.append(stamp_to_ns(one.send().header.stamp))
        time.sleep(PERIOD_S)
        one.wait_until(
            lambda: sent[-1] in came_out(one) or drops(one) > before, what=f'frame {len(sent)}'
        )

    one.repeat_until(predicate, what, frame)


def drops(one) -> int:
    status = one.diagnostics.get('completion_node: output', {})
    return sum(int(value) for key, value in status.items() if key.startswith('dropped '))


def came_out(one) -> list[int]:
    return [stamp_to_ns(msg.header.stamp) for msg in one.depth]


def test_no_frame_is_lost_before_during_and_after_the_swap(rig, build):
    one, sent = start(rig, build), []
    stream(one, lambda: 'building plan' in one.value('output', 'preparing'), 'the build', sent)
    stream(one, lambda: len(one.depth) > 10, 'depth by the stand-in', sent)
    assert one.value('output', 'method') == 'guided'
    assert one.value('output', 'method chosen because') == 'bpnet is being prepared'
    assert one.value('output', 'preparing') == 'bpnet 64x96: building plan 43 %'
    assert one.value('output', 'level') == '0'
    message = one.value('output', 'message')
    assert message.startswith('guided at ')
    assert message.endswith('preparing bpnet 64x96: building plan 43 %')

    build.finish()
    stream(one, lambda: one.value('output', 'method') == 'bpnet', 'the swap', sent)
    after = len(sent)
    stream(one, lambda: len(sent) > after + 15, 'frames after it', sent)
    one.wait_until(lambda: sent[-1] in came_out(one), what='the last frame')
    assert came_out(one) == sent  # every one of them once, in order
    depths = [depth_of(msg) for msg in one.depth]
    swap = depths.index(NETWORK_M)
    assert set(depths[:swap]) == {WALL_M}
    assert set(depths[swap:]) == {NETWORK_M}
    assert swap > 10
    reason = one.value('output', 'method chosen because')
    assert reason.endswith('it runs on tensorrt fp16 on cuda:0')
    assert one.value('output', 'preparing') == ''
    assert one.value('output', 'message').startswith('bpnet at ')
    assert one.value('output', 'level') == '0'


def test_a_new_size_runs_on_the_stand_in_until_the_network_fits_it(rig, build):
    one, sent = start(rig, build), []
    build.finish()
    stream(one, lambda: one.depth and depth_of(one.depth[-1]) == NETWORK_M, 'the swap', sent)
    at = len(sent)
    changed = one.node.set_parameters([Parameter('output.scale', value=0.5)])[0]
    assert changed.successful
    stream(one, lambda: len(sent) > at + 15, 'frames after the change', sent)
    one.wait_until(lambda: sent[-1] in came_out(one), what='the last frame')
    assert came_out(one) == sent
    small = [depth_of(msg) for msg in one.depth if msg.width == 48]
    assert small[0] == WALL_M
    assert small[-1] == NETWORK_M


def test_a_preparation_that_fails_leaves_the_stand_in_and_a_warning(rig, build, monkeypatch):
    monkeypatch.setattr(Network, 'fault', EngineError('the plan computes something else'))
    one, sent = start(rig, build), []
    stream(one, lambda: one.value('output', 'level') == '1', 'the warning', sent)
    message = one.value('output', 'message')
    assert 'bpnet 64x96 could not be prepared: the plan computes something else' in message
    assert 'when a setting' in message
    at = len(sent)
    stream(one, lambda: len(sent) > at + 10, 'frames after it', sent)
    one.wait_until(lambda: sent[-1] in came_out(one), what='the last frame')
    assert came_out(one) == sent
    assert {depth_of(msg) for msg in one.depth} == {WALL_M}
    assert one.value('output', 'method') == 'guided'
    assert one.value('output', 'method chosen because') == 'bpnet failed'
    assert one.value('output', 'level') == '1'


@pytest.mark.parametrize('ends_badly', [False, True])
def test_a_network_that_goes_on_failing_costs_three_frames(ends_badly, rig, build, monkeypatch):
    monkeypatch.setattr(Network, 'frames_left', 6)  # the first is the one that warms it up
    monkeypatch.setattr(Network, 'ends_badly', ends_badly)
    one, sent = start(rig, build), []
    build.finish()
    stream(one, lambda: one.value('output', 'level') == '1', 'the warning', sent)
    stream(one, lambda: 'bpnet failed' in one.value('output', 'method chosen because'), 'it', sent)
    at = len(sent)
    stream(one, lambda: len(sent) > at + 10, 'frames after it', sent)
    one.wait_until(lambda: sent[-1] in came_out(one), what='the last frame')
    lost = sorted(set(sent) - set(came_out(one)))
    assert len(lost) == 3
    one.wait_until(lambda: one.dropped('engine_error') == 3, what='the lost frames')
    depths = {stamp_to_ns(msg.header.stamp): depth_of(msg) for msg in one.depth}
    assert [depths[stamp] for stamp in sent if stamp < lost[0]][-5:] == 5 * [NETWORK_M]
    assert {depths[stamp] for stamp in sent if stamp > lost[-1]} == {WALL_M}
    message = one.value('output', 'message')
    assert 'bpnet 64x96 failed 3 frames in a row: CUDA on cuda:0: out of memory' in message
    assert one.value('output', 'level') == '1'
    changed = one.node.set_parameters([Parameter('method', value='guided')])[0]
    assert changed.successful
    one.send_until(lambda: one.value('output', 'level') == '0', 'the end of the warning')
    assert one.value('output', 'method') == 'guided'


def test_a_build_that_is_killed_is_a_failure_with_its_signal(rig, build):
    one = rig(**wanting_bpnet(build)).start()
    one.send_until(lambda: build.pid, 'the build')
    os.kill(build.pid, 9)
    one.send_until(lambda: 'killed by signal 9' in one.value('output', 'message'), 'the warning')
    assert one.value('output', 'method') == 'guided'


@pytest.mark.parametrize('ending', ['trigger_deactivate', 'trigger_shutdown'])
def test_the_build_ends_with_the_node_that_started_it(ending, rig, build):
    one = rig(**wanting_bpnet(build)).start()
    one.send_until(lambda: build.pid, 'the build')
    assert build.runs
    assert getattr(one.node, ending)() == SUCCESS
    assert not build.runs
    assert 'depth_ros_upgrade' not in {thread.name for thread in threading.enumerate()}


def test_a_node_that_is_activated_anew_takes_the_preparation_up_again(rig, build):
    one = rig(**wanting_bpnet(build)).start()
    one.send_until(lambda: build.pid, 'the build')
    assert one.node.trigger_deactivate() == SUCCESS
    build.finish()
    assert one.node.trigger_activate() == SUCCESS
    one.wait_until(one._connected, what='discovery')
    one.send_until(lambda: depth_of(one.depth[-1]) == NETWORK_M, 'the swap')
    network = one.node._pipeline.wanted
    assert one.node.trigger_deactivate() == SUCCESS
    assert network.size == (64, 96)  # at hand for the next activation
    assert one.node.trigger_cleanup() == SUCCESS
    assert network.size is None


def test_weights_that_are_not_there_are_refused_with_the_way_out(rig, build):
    settings = {'method': 'bpnet', 'bpnet.weights': 'no/such/file'}
    assert rig(**settings).node.trigger_configure() == FAILURE
    one = rig().start()
    one.send_until(lambda: one.depth, 'depth')
    changes = [Parameter(name, value=value) for name, value in settings.items()]
    refused = one.node.set_parameters_atomically(changes)
    assert not refused.successful
    assert 'no/such/file' in refused.reason
    count = len(one.depth)
    one.send_until(lambda: len(one.depth) > count, 'depth as before')


def test_by_default_the_network_that_ships_takes_over_and_no_frame_is_lost(
    rig, tmp_path, monkeypatch
):
    """Nothing is fetched, exported or built; `auto` is `lite`, and `guided` until it is open."""
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    one = rig(method='auto', **{'engine.backend': 'onnxruntime'}).start()
    one.send_until(lambda: one.depth, 'the first depth')
    sent = []
    stream(one, lambda: one.value('output', 'method') == 'lite', 'the swap', sent)
    reason = one.value('output', 'method chosen because')
    assert reason.startswith('the best here, by onnxruntime on cpu; ')
    assert 'it runs on onnxruntime fp32 on cpu' in reason
    stream(one, lambda: len(sent) > 5, 'more frames', sent)
    one.wait_until(lambda: set(sent) <= set(came_out(one)), what='every frame')
    assert depth_of(one.depth[-1]) == pytest.approx(5.0, abs=0.05)
    assert list(tmp_path.iterdir()) == []
