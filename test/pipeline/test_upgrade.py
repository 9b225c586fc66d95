"""A method is got ready beside a running pipeline and swapped in between two frames."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from depth_ros.errors import EngineError, MethodError, ModelError, NotReadyError
from depth_ros.methods.base import Preparable
from depth_ros.pipeline import preparation
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline, warm_up
from depth_ros.pipeline.preparation import Preparation, build_command
from depth_ros.settings import replaced

WALL_M, FAKE_M = 5.0, 7.0


def python(code):
    """A builder that runs a Python program."""
    return lambda method, height, width: [sys.executable, '-c', code]


def exists(pid):
    return Path(f'/proc/{pid}').exists() and 'Z' not in state_of(pid)


def state_of(pid):
    return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]


def test_the_stand_in_works_until_the_method_is_ready_and_then_it_works(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    assert pipeline.method_name == 'guided'
    pipeline.wanted.go.clear()
    for _ in range(5):
        assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert 'bpnet is being prepared' in pipeline.method_reason
    assert upgrade.status.step == 'bpnet 64x96: opening'
    learnt = pipeline.calibrator
    pipeline.wanted.go.set()
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    assert pipeline.method_name == 'bpnet'
    assert pipeline.method_reason == 'chosen by the parameter `method`; it runs on fake fp16'
    assert pipeline.calibrator is not learnt  # another raw sigma
    assert (upgrade.status.step, upgrade.status.failure) == ('', '')
    assert pipeline.wanted.prepared == [(64, 96, False)]
    assert pipeline.wanted.threads[0] is not threading.current_thread()


def test_no_frame_waits_for_the_preparation(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    pipeline.wanted.go.clear()
    for _ in range(100):
        upgrade.before(upgrade.frame())
    upgrade.wait_until(lambda: pipeline.wanted.prepared, 'the preparation')
    for _ in range(100):
        upgrade.before(upgrade.frame())
    assert pipeline.wanted.size is None  # it has not ended, and did not have to
    pipeline.wanted.go.set()


def test_a_method_that_needs_no_preparation_is_left_alone(upgrade_of):
    pipeline = FusionPipeline(PipelineConfig(method='ip_basic'))
    upgrade = upgrade_of(pipeline)
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert pipeline.method_name == 'ip_basic'
    assert pipeline.method_reason == 'chosen by the parameter `method`'


def test_what_the_cache_lacks_is_built_in_a_process_that_tells_how_far_it_is(
    pipeline, upgrade_of, tmp_path
):
    pipeline.wanted.cache.clear()
    go = tmp_path / 'go'
    code = f"""
import json, pathlib, time
print('no JSON', flush=True)
print(json.dumps({{'phase': 'building plan', 'fraction': 0.43}}), flush=True)
while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)
print(json.dumps({{'plan': 'x.plan'}}), flush=True)
"""
    upgrade = upgrade_of(pipeline, python(code))
    step = 'bpnet 64x96: building plan 43 %'
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    upgrade.wait_until(lambda: upgrade.status.step == step, 'the progress')
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    pipeline.wanted.cache.add((64, 96))
    go.touch()
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    assert pipeline.wanted.prepared == 2 * [(64, 96, False)]


def test_the_build_is_the_command_line_at_low_priority(pipeline):
    method = pipeline.wanted
    assert isinstance(method, Preparable)
    command = build_command(method, 64, 96)
    assert command[:5] == ['nice', '-n', '10', sys.executable, '-m']
    assert command[5:] == ['depth_ros', 'build', str(method.weights), '--size', '64x96']
    method.build_arguments = lambda height, width: None
    assert build_command(method, 64, 96) is None


@pytest.mark.parametrize(
    ('code', 'reason'),
    [
        ('print(\'{"error": "the weights are rotten"}\'); exit(2)', 'the weights are rotten'),
        ("import sys; print('it\\nbroke', file=sys.stderr); exit(3)", 'exit code 3: broke'),
        ('import os; os.kill(os.getpid(), 9)', 'killed by signal 9'),
        ('pass', 'there is no plan'),  # it says that it is done, and is not
    ],
)
def test_a_build_that_fails_leaves_the_stand_in_and_the_reason(code, reason, pipeline, upgrade_of):
    pipeline.wanted.cache.clear()
    upgrade = upgrade_of(pipeline, python(code))
    upgrade.depth_m()
    assert reason in upgrade.told()
    assert 'bpnet 64x96' in upgrade.status.failure
    assert upgrade.status.step == ''
    attempts = len(pipeline.wanted.prepared)
    for _ in range(20):
        assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert pipeline.method_reason == 'bpnet failed'
    assert len(pipeline.wanted.prepared) == attempts  # nothing is tried again
    assert pipeline.wanted.is_closed


def test_where_the_best_cannot_be_built_the_next_best_is_taken(pipeline, upgrade_of):
    """As PyTorch on the GPU where TensorRT refuses the network."""
    type(pipeline.wanted).has_lesser = True
    upgrade = upgrade_of(pipeline, python('print(\'{"error": "no such operator"}\'); exit(2)'))
    upgrade.before(upgrade.frame(32, 64))
    upgrade.wait_until(lambda: not upgrade.status.step, 'the end')
    assert upgrade.status.failure == ''
    assert upgrade.depth_m(32, 64) == FAKE_M
    because = 'runs on something lesser, as the best failed: no such operator'
    assert because in pipeline.method_reason


@pytest.mark.parametrize('fault', [ModelError('not its weights'), RuntimeError('out of memory')])
def test_an_error_on_opening_is_told_whatever_it_is(fault, pipeline, upgrade_of):
    type(pipeline.wanted).fault = fault
    upgrade = upgrade_of(pipeline, python('raise SystemExit(9)'))  # not run
    upgrade.depth_m()
    assert str(fault) in upgrade.told()
    assert 'exit code' not in upgrade.status.failure
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)


def test_a_method_that_cannot_complete_a_frame_is_not_swapped_in(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    pipeline.wanted.estimate = lambda view: 1 / 0
    upgrade.depth_m()
    assert 'ZeroDivisionError' in upgrade.told()
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)


def test_other_settings_give_what_failed_another_try(pipeline, upgrade_of):
    type(pipeline.wanted).fault = EngineError('too little memory')
    upgrade = upgrade_of(pipeline)
    upgrade.depth_m()
    upgrade.told()
    type(pipeline.wanted).fault = None
    pipeline.reconfigure(replaced(pipeline.config, {'engine.precision': 'fp16'}))
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    assert pipeline.wanted.precision == 'fp16'


def test_another_size_runs_on_the_stand_in_while_the_method_is_prepared_for_it(
    pipeline, upgrade_of
):
    upgrade = upgrade_of(pipeline)
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    pipeline.wanted.cache.add((32, 64))
    pipeline.wanted.go.clear()
    assert upgrade.depth_m(32, 64) == pytest.approx(WALL_M, rel=1e-3)
    assert 'bpnet is being prepared' in pipeline.method_reason
    pipeline.wanted.go.set()
    upgrade.wait_until(lambda: upgrade.depth_m(32, 64) == FAKE_M, 'the second swap')
    assert (32, 64, False) in pipeline.wanted.prepared


def test_the_size_is_that_of_the_scaled_view(pipeline, upgrade_of):
    pipeline.wanted.cache.add((32, 48))
    pipeline.reconfigure(replaced(pipeline.config, {'output.scale': 0.5}))
    upgrade = upgrade_of(pipeline)
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    assert pipeline.wanted.prepared == [(32, 48, False)]


def test_a_size_that_changes_during_the_preparation_waits_for_its_end(
    pipeline, upgrade_of, monkeypatch
):
    """The method is one object: two threads never work on it, however long the first takes."""
    end, gone_by = Preparation.end, threading.Event()
    monkeypatch.setattr(preparation, 'PATIENCE_S', 0.01)
    monkeypatch.setattr(Preparation, 'end', lambda first: (end(first), gone_by.set()))
    upgrade = upgrade_of(pipeline)
    pipeline.wanted.cache.add((32, 64))
    pipeline.wanted.go.clear()
    upgrade.depth_m()
    upgrade.wait_until(lambda: pipeline.wanted.prepared, 'the first preparation')
    upgrade.depth_m(32, 64)
    upgrade.wait_until(gone_by.is_set, 'the end of the patience with the first')
    assert pipeline.wanted.prepared == [(64, 96, False)]
    pipeline.wanted.go.set()
    upgrade.wait_until(lambda: upgrade.depth_m(32, 64) == FAKE_M, 'the swap')
    assert pipeline.wanted.prepared == [(64, 96, False), (32, 64, False)]
    assert pipeline.wanted.at_once == 1


def test_a_method_no_longer_wanted_is_closed_and_never_swapped_in(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    fake = pipeline.wanted
    fake.go.clear()
    upgrade.depth_m()
    upgrade.wait_until(lambda: fake.prepared, 'the preparation')
    pipeline.reconfigure(replaced(pipeline.config, {'method': 'ip_basic'}))
    upgrade.depth_m()
    assert upgrade.status.step == ''
    fake.go.set()
    upgrade.wait_until(lambda: fake.is_closed, 'its end')
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert (pipeline.method_name, fake.size) == ('ip_basic', None)


def test_close_awaits_a_preparation_that_is_no_longer_wanted(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    fake = pipeline.wanted
    fake.go.clear()
    upgrade.depth_m()
    upgrade.wait_until(lambda: fake.prepared, 'the preparation')
    pipeline.reconfigure(replaced(pipeline.config, {'method': 'ip_basic'}))
    upgrade.depth_m()
    threading.Timer(0.1, fake.go.set).start()
    upgrade.close()
    assert fake.is_closed


def test_a_method_that_was_ready_but_not_yet_used_is_closed_too(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    fake = pipeline.wanted
    upgrade.depth_m()
    upgrade.wait_until(lambda: fake.size and not upgrade.status.step, 'readiness')
    pipeline.reconfigure(replaced(pipeline.config, {'method': 'ip_basic'}))
    upgrade.depth_m()
    assert fake.size is None


@pytest.mark.parametrize('stubborn', [False, True])
def test_close_ends_the_build_and_all_that_it_started(stubborn, pipeline, upgrade_of, tmp_path):
    pipeline.wanted.cache.clear()
    pids = tmp_path / 'pids'
    code = f"""
import os, pathlib, signal, subprocess, sys, time
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(['sleep', '600'])
pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}} end')
time.sleep(600)
"""
    upgrade = upgrade_of(pipeline, python(code))
    upgrade.depth_m()
    upgrade.wait_until(lambda: pids.exists() and 'end' in pids.read_text(), 'the build')
    build, child = map(int, pids.read_text().split()[:2])
    assert exists(build)
    upgrade.close()
    upgrade.wait_until(lambda: not exists(build), 'its end')  # it sleeps for much longer
    upgrade.wait_until(lambda: not exists(child), 'the end of its child')
    assert upgrade.status.failure == ''
    assert not pipeline.wanted.size


def test_close_leaves_a_method_in_use_and_the_next_frame_starts_what_it_ended(
    pipeline, upgrade_of
):
    upgrade = upgrade_of(pipeline)
    pipeline.wanted.go.clear()
    upgrade.depth_m()
    closing = threading.Timer(0.1, pipeline.wanted.go.set)
    closing.start()
    upgrade.close()
    assert pipeline.method_name == 'guided'
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    upgrade.close()
    assert upgrade.depth_m() == FAKE_M


def test_the_build_runs_with_nothing_of_ours_to_read_from(pipeline, upgrade_of, tmp_path):
    """It has a session of its own: a Ctrl-C in the terminal reaches the node alone."""
    pipeline.wanted.cache.clear()
    seen = tmp_path / 'seen'
    code = f"""
import os, pathlib, sys
text = f'{{os.getsid(0) == os.getpid()}} {{sys.stdin.read()!r}} {{os.nice(0)}}'
pathlib.Path({str(seen)!r}).write_text(text)
"""
    upgrade = upgrade_of(pipeline, lambda *_: ['nice', '-n', '10', sys.executable, '-c', code])
    upgrade.depth_m()
    upgrade.told()
    niceness = min(os.nice(0) + 10, 19)  # there is nothing beyond
    assert seen.read_text() == f"True '' {niceness}"


def test_without_lidar_frames_are_refused_until_the_method_is_ready(
    pipeline, upgrade_of, monkeypatch
):
    monkeypatch.setattr(type(pipeline.wanted), 'needs_lidar', False)
    blind = FusionPipeline(pipeline.config, has_lidar=False)
    upgrade = upgrade_of(blind)
    warm_up(blind.method)  # there is nothing to warm up, and that is no fault
    blind.wanted.go.clear()
    with pytest.raises(NotReadyError, match='bpnet is not ready') as error:
        upgrade.depth_m()
    assert error.value.reason == 'not_ready'
    assert blind.method_name == 'none'
    blind.wanted.go.set()
    upgrade.wait_until(lambda: blind.wanted.size, 'the preparation')
    upgrade.wait_until(lambda: not upgrade.status.step, 'the end of the preparation')
    assert upgrade.depth_m() == FAKE_M


def test_a_frame_that_no_preparation_would_help_costs_nothing_but_itself(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    upgrade.depth_m()
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    with pytest.raises(MethodError, match='too small') as error:
        upgrade.depth_m(4, 96)
    assert error.value.reason == 'image_size'
    assert upgrade.depth_m() == FAKE_M
    assert pipeline.wanted.prepared == [(64, 96, False)]
