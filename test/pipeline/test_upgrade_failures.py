"""A method that fails is left for the stand-in; what is not its fault leaves it in use."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import EngineError, MethodError, PipelineError
from depth_ros.frame import DepthEstimate
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.upgrade import FAILURES
from depth_ros.settings import replaced

WALL_M, FAKE_M = 5.0, 7.0
CUDA_ERROR = RuntimeError('CUDA error:\n an illegal memory access')


@pytest.fixture
def swapped(pipeline, upgrade_of):
    """The upgrade of a pipeline that has come to use the method."""
    upgrade = upgrade_of(pipeline)
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    return upgrade


def failing(error):
    def estimate(view):
        raise error

    return estimate


FAULTS = [
    EngineError('CUDA out of memory.'),
    CUDA_ERROR,
    ValueError('cannot reshape'),
    MemoryError('8 GiB'),
    KeyError('depth'),
]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def timed(pipeline, upgrade_of, clock):
    """As `swapped`, by `clock`."""
    upgrade = upgrade_of(pipeline, clock=clock)
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    return upgrade


def lose(upgrade, fault, frames=FAILURES):
    """So many frames that the method in use fails, as the node would process them."""
    for _ in range(frames):
        with pytest.raises(type(fault)) as caught:
            upgrade.depth_m()
        upgrade.failed(caught.value)


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize('ends_badly', [False, True])
def test_a_method_that_keeps_failing_is_left_whatever_it_raises(
    fault, ends_badly, pipeline, timed
):
    fake = pipeline.wanted
    fake.estimate, fake.ends_badly = failing(fault), ends_badly
    lose(timed, fault)
    said = timed.status.failure
    assert said.startswith('bpnet 64x96 failed 3 frames in a row: ')
    assert ' '.join(str(fault).rstrip('.').split()) in said
    assert said.endswith('. It is tried again in 10 s, or when a setting of it changes')
    for _ in range(5):
        assert timed.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert pipeline.method_reason == 'bpnet failed'
    assert fake.is_closed
    assert fake.prepared == [(64, 96, False)]  # not tried again yet
    timed.close()  # as when the node is activated anew
    del fake.estimate
    timed.wait_until(lambda: timed.depth_m() == FAKE_M, 'the second swap')
    assert timed.status.failure == ''


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_single_bad_frame_costs_one_frame(fault, pipeline, timed):
    for _ in range(5):
        pipeline.wanted.estimate = failing(fault)
        lose(timed, fault, FAILURES - 1)
        del pipeline.wanted.estimate
        assert timed.depth_m() == FAKE_M
    assert timed.status.failure == ''


@pytest.mark.parametrize('fault', [MethodError('no return'), PipelineError('no LiDAR')])
def test_a_frame_that_cannot_be_completed_is_not_the_fault_of_the_method(fault, pipeline, swapped):
    for _ in range(5):
        swapped.failed(fault)
    assert swapped.status.failure == ''
    assert swapped.depth_m() == FAKE_M


def test_it_is_tried_again_after_a_pause_that_grows(pipeline, timed, clock):
    fake, fault = pipeline.wanted, ValueError('odd')
    for pause_s in (10, 20, 40):
        fake.estimate = failing(fault)
        lose(timed, fault)
        assert f'tried again in {pause_s} s' in timed.status.failure
        clock.now_s += pause_s - 0.5
        assert timed.depth_m() == pytest.approx(WALL_M, rel=1e-3)
        assert timed.status.step == ''
        clock.now_s += 1
        del fake.estimate
        timed.wait_until(lambda: timed.depth_m() == FAKE_M, 'another try')
        assert timed.status.failure == ''
    clock.now_s += 41  # it has held longer than it was left
    fake.estimate = failing(fault)
    lose(timed, fault)
    assert 'tried again in 10 s' in timed.status.failure


def test_a_try_that_cannot_even_be_prepared_is_not_the_last(pipeline, timed, clock):
    fake, fault = pipeline.wanted, CUDA_ERROR
    fake.estimate = failing(fault)
    lose(timed, fault)
    type(fake).fault = EngineError('the device has gone')
    clock.now_s += 11
    said = timed.wait_until(
        lambda: timed.depth_m() and 'has gone' in timed.status.failure and timed.status.failure,
        'the second failure',
    )
    assert 'could not be prepared: the device has gone' in said
    timed.wait_until(
        lambda: timed.depth_m() and 'tried again in 20 s' in timed.status.failure, 'the pause'
    )
    type(fake).fault = None
    del fake.estimate
    clock.now_s += 21
    timed.wait_until(lambda: timed.depth_m() == FAKE_M, 'the third try')


def test_a_method_that_needs_no_preparation_is_left_and_tried_again_too(upgrade_of, clock):
    pipeline = FusionPipeline(PipelineConfig(method='ip_basic'))
    upgrade, fault = upgrade_of(pipeline, clock=clock), IndexError('out of range')
    pipeline.wanted.estimate = failing(fault)
    lose(upgrade, fault)
    assert upgrade.status.failure.startswith('ip_basic failed 3 frames in a row: IndexError: out')
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert (pipeline.method_name, pipeline.method_reason) == ('guided', 'ip_basic failed')
    del pipeline.wanted.estimate
    clock.now_s += 11
    upgrade.depth_m()
    assert pipeline.method_name == 'ip_basic'
    assert upgrade.status.failure == ''


def test_other_settings_end_the_pause(pipeline, timed):
    pipeline.wanted.estimate = failing(CUDA_ERROR)
    lose(timed, CUDA_ERROR)
    pipeline.reconfigure(replaced(pipeline.config, {'engine.precision': 'fp16'}))
    timed.wait_until(lambda: timed.depth_m() == FAKE_M, 'the new method')
    assert timed.status.failure == ''


def test_an_error_of_the_stand_in_is_not_held_against_the_method(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    upgrade.depth_m()
    upgrade.wait_until(lambda: pipeline.wanted.size and not upgrade.status.step, 'readiness')
    upgrade.failed(EngineError('of whom?'))
    assert upgrade.depth_m() == FAKE_M


def test_a_method_that_ends_badly_does_not_keep_another_from_its_place(pipeline, swapped):
    pipeline.wanted.ends_badly = True
    pipeline.reconfigure(replaced(pipeline.config, {'method': 'guided'}))
    assert (pipeline.method_name, pipeline.config.method) == ('guided', 'guided')
    assert swapped.depth_m() == pytest.approx(WALL_M, rel=1e-3)


def test_a_preparation_survives_a_method_that_ends_badly(pipeline, upgrade_of):
    type(pipeline.wanted).ends_badly = True
    type(pipeline.wanted).fault = EngineError('too little memory')
    upgrade = upgrade_of(pipeline)
    upgrade.depth_m()
    assert 'too little memory' in upgrade.told()
    type(pipeline.wanted).fault = None
    pipeline.reconfigure(replaced(pipeline.config, {'engine.precision': 'fp16'}))
    upgrade.depth_m()
    upgrade.wait_until(lambda: pipeline.wanted.size and not upgrade.status.step, 'readiness')
    pipeline.reconfigure(replaced(pipeline.config, {'method': 'guided'}))  # cancels it
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)


def test_a_method_that_knows_no_depth_is_not_swapped_in(pipeline, upgrade_of):
    """As a network whose activations overflow in fp16."""
    upgrade = upgrade_of(pipeline)
    nowhere = np.full((64, 96), np.nan, np.float32)
    pipeline.wanted.estimate = lambda view: DepthEstimate(nowhere, nowhere)
    upgrade.depth_m()
    assert 'bpnet found no depth in a made frame of 64x96' in upgrade.told()
    assert 'engine.precision' in upgrade.status.failure
    assert upgrade.depth_m() == pytest.approx(WALL_M, rel=1e-3)


def test_a_build_that_cannot_be_started_leaves_the_next_best(pipeline, upgrade_of):
    """As where there is no `nice`."""
    type(pipeline.wanted).has_lesser = True
    pipeline.wanted.cache.clear()
    upgrade = upgrade_of(pipeline, lambda *_: ['no-such-program'])
    upgrade.wait_until(lambda: upgrade.depth_m() == FAKE_M, 'the swap')
    assert 'the build cannot be started: ' in pipeline.method_reason
    assert 'no-such-program' in pipeline.method_reason


def test_sizes_that_the_method_is_ready_for_need_no_preparation(pipeline, swapped):
    for height, width in ((64, 90), (50, 96), (64, 96)):
        assert swapped.depth_m(height, width) == FAKE_M
    assert pipeline.wanted.prepared == [(64, 96, False)]


def test_settings_of_other_methods_leave_the_one_in_use(pipeline, swapped):
    pipeline.reconfigure(replaced(pipeline.config, {'guided.extrapolate': True}))
    assert swapped.depth_m() == FAKE_M
    assert pipeline.wanted.prepared == [(64, 96, False)]


def test_the_stand_in_follows_its_own_settings(pipeline, upgrade_of):
    upgrade = upgrade_of(pipeline)
    pipeline.wanted.go.clear()
    one = upgrade.frame()
    one.sparse_m[:40] = 0

    def density():
        upgrade.before(one)
        return pipeline.process(one).estimate.valid.mean()

    assert density() < 0.8
    learnt = pipeline.calibrator
    pipeline.reconfigure(replaced(pipeline.config, {'guided.extrapolate': True}))
    assert density() == 1.0
    assert pipeline.calibrator is learnt
    assert pipeline.method_reason == 'bpnet is being prepared'
    pipeline.wanted.go.set()
