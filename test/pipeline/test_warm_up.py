"""Methods before their first frame: warmed up, and told apart by what they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import EngineError
from depth_ros.frame import DepthEstimate
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline, same_method, warm_up
from depth_ros.settings import replaced


@pytest.mark.parametrize('size', [(64, 96), (375, 1242), (33, 35)])
def test_a_warm_up_completes_one_frame_of_the_size_asked_for(size):
    seen = []

    class Recording(IpBasic):
        def estimate(self, view):
            seen.append(view.sparse_m.shape)
            return super().estimate(view)

    warm_up(Recording(), *size)
    assert seen == [size]
    warm_up(FusionPipeline(PipelineConfig(method='guided')).method, *size)


def test_a_warm_up_refuses_a_method_that_knows_no_depth():
    class Blind(IpBasic):
        def estimate(self, view):
            nowhere = np.full(view.sparse_m.shape, np.nan, np.float32)
            return DepthEstimate(nowhere, nowhere)

    with pytest.raises(EngineError, match='ip_basic found no depth in a made frame of 64x96'):
        warm_up(Blind())


SAME, OTHER = True, False


@pytest.mark.parametrize(
    ('asked', 'made', 'change', 'expected'),
    [
        ('guided', 'guided', {'guided.extrapolate': True}, OTHER),
        ('guided', 'guided', {'engine.precision': 'fp16', 'bpnet.weights': 'x'}, SAME),
        ('guided', 'guided', {'method': 'ip_basic'}, OTHER),
        ('ip_basic', 'ip_basic', {'guided.extrapolate': True, 'engine.threads': 3}, SAME),
        ('bpnet', 'bpnet', {'guided.extrapolate': True, 'output.scale': 0.5}, SAME),
        ('bpnet', 'bpnet', {'bpnet.weights': 'x'}, OTHER),
        ('bpnet', 'bpnet', {'engine.threads': 3}, OTHER),
        ('auto', 'bpnet', {'guided.extrapolate': True}, SAME),
        ('auto', 'bpnet', {'engine.precision': 'fp16'}, OTHER),
        ('auto', 'guided', {'guided.extrapolate': True}, OTHER),
        ('auto', 'guided', {'engine.backend': 'torch'}, OTHER),  # it may choose another now
        ('auto', 'guided', {'calibration.seed': 1}, SAME),
        ('auto', 'lite', {'lite.weights': 'x'}, OTHER),
        ('lite', 'lite', {'guided.extrapolate': True}, OTHER),
        ('lite', 'lite', {'bpnet.weights': 'x'}, SAME),
    ],
)
def test_a_method_is_the_same_unless_what_it_is_made_of_changes(asked, made, change, expected):
    before = PipelineConfig(method=asked)
    assert same_method(before, replaced(before, change), made) is expected
