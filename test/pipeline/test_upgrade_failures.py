"""A method that fails is left for the stand-in; what is not its fault leaves it in use."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import EngineError, MethodError
from depth_ros.frame import DepthEstimate
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


@pytest.mark.parametrize('fault', [EngineError('CUDA out of memory.'), CUDA_ERROR])
@pytest.mark.parametrize('ends_badly', [False, True])
def test_a_method_that_fails_in_use_is_left_at_the_next_frame(
    fault, ends_badly, pipeline, swapped
):
    fake = pipeline.wanted
    fake.estimate, fake.ends_badly = failing(fault), ends_badly
    with pytest.raises(type(fault)) as caught:
        swapped.depth_m()
    swapped.failed(caught.value)
    assert swapped.status.failure.startswith('bpnet 64x96 failed: ')
    assert ' '.join(str(fault).rstrip('.').split()) in swapped.status.failure
    for _ in range(5):
        assert swapped.depth_m() == pytest.approx(WALL_M, rel=1e-3)
    assert pipeline.method_reason == 'bpnet failed'
    assert fake.is_closed
    assert fake.prepared == [(64, 96, False)]  # not tried again
    swapped.close()  # as when the node is activated anew
    del fake.estimate
    swapped.wait_until(lambda: swapped.depth_m() == FAKE_M, 'the second swap')
    assert swapped.status.failure == ''


@pytest.mark.parametrize('fault', [MethodError('no return'), ValueError('a strange frame')])
def test_a_frame_that_cannot_be_completed_is_not_the_fault_of_the_method(fault, pipeline, swapped):
    swapped.failed(fault)
    assert swapped.status.failure == ''
    assert swapped.depth_m() == FAKE_M


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
