"""The method `mono` with a network of the test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from saying_network import Answering, Bench, Family

from depth_ros.engines.base import NetworkRequest
from depth_ros.methods import mono as mono_module
from depth_ros.methods import network_slot
from depth_ros.weights.registry import card


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(Family(), [], lambda red: np.full_like(red, 4.0))

    def open_engine(request: NetworkRequest, *args: Any, **options: Any) -> Answering:
        made.opened.append(request)
        return Answering(lambda red: made.says(red))

    monkeypatch.setattr(network_slot, 'open_engine', open_engine)
    monkeypatch.setattr(mono_module, 'network_card', lambda path: card(made.name))
    monkeypatch.setattr(mono_module, 'monocular_family', lambda name: made.family)
    return made
