"""Costs of networks, by hand and against tables made of the official code."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from depth_ros.errors import MissingDependencyError
from depth_ros.weights.completion_cards import COMPLETION
from depth_ros.weights.flops import NETWORKS, Cost, Network, costs
from depth_ros.weights.monocular_cards import MONOCULAR
from depth_ros.weights.registry import FAMILIES, MODELS


def test_a_convolution_and_a_matrix_by_hand(monkeypatch):
    torch = pytest.importorskip('torch')

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)
            self.linear = torch.nn.Linear(4, 5)
            self.spare = torch.nn.Linear(7, 7)

        def forward(self, image):
            return (self.linear(self.conv(image).flatten(2).transpose(1, 2)),)

    family = SimpleNamespace(
        build=Tiny,
        deployed=lambda model, precision, size: model,
        golden_inputs=lambda height, width: {'image': np.zeros((1, 3, height, width), np.float32)},
    )
    monkeypatch.setitem(sys.modules, 'tiny_family', family)
    monkeypatch.setitem(FAMILIES, 'tiny', 'tiny_family')
    parameters = (4 * 3 * 9 + 4) + (4 * 5 + 5)
    counted = costs(Network('Tiny', 'tiny', ((6, 8), (2, 3)), unused='spare'))
    assert list(counted) == [
        Cost('Tiny', 6, 8, parameters, 2 * 48 * (4 * 3 * 9 + 4 * 5)),
        Cost('Tiny', 2, 3, parameters, 2 * 6 * (4 * 3 * 9 + 4 * 5)),
    ]


# In GFLOP, two to a multiplication with an addition, of the official code.
DEPTH_ANYTHING = {
    (252, 336): (29, 105, 372),
    (252, 840): (85, 289, 998),
    (308, 406): (45, 160, 562),
    (364, 490): (69, 238, 826),
    (518, 518): (115, 381, 1304),
    (518, 686): (167, 534, 1806),
    (518, 924): (254, 775, 2583),
    (518, 1722): (650, 1799, 5757),
}


def named(title):
    return next(network for network in NETWORKS if network.title == title)


@pytest.mark.parametrize('index', range(3))
def test_depth_anything_costs_what_the_official_code_does(index):
    pytest.importorskip('torch')
    letter, size = 'sbl'[index], ('Small', 'Base', 'Large')[index]
    assert set(named(f'Depth Anything {size}').sizes) == set(DEPTH_ANYTHING)
    some = tuple(DEPTH_ANYTHING)[index::3]
    for family in (f'depth_anything_v2_{letter}', f'depth_anything_v1_{letter}'):
        for cost in costs(Network(size, family, some)):
            assert round(cost.flops / 1e9) == DEPTH_ANYTHING[cost.height, cost.width][index]
            assert cost.parameters == MODELS[f'da2-{size.lower()}'].parameters


def test_depth_pro_costs_what_the_official_code_does():
    """Without its field of view a third of the weights is saved, but 2 % of the operations."""
    pytest.importorskip('torch')
    (lean,), (whole,) = costs(named('Depth Pro')), costs(named('Depth Pro, field of view too'))
    assert (lean.parameters, whole.parameters) == (647_731_777, 951_991_330)
    assert (round(lean.flops / 1e9, -1), round(whole.flops / 1e9, -1)) == (18_860, 19_250)
    assert whole.parameters == MODELS['depth-pro'].parameters


def test_every_family_is_counted_or_costs_the_same_as_one_that_is():
    counted = {network.family for network in NETWORKS}
    for family in {card.family for card in (*COMPLETION, *MONOCULAR)}:
        version_2 = family.replace('v1', 'v2').removesuffix('_20m').removesuffix('_80m')
        assert version_2 in counted


def test_without_pytorch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(MissingDependencyError, match='torch'):
        list(costs(NETWORKS[0]))
