"""Inputs of an engine: what is refused, and that the message says what was wanted."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.engines.signature import check_inputs, signature_of
from depth_ros.errors import EngineError

IMAGE = np.zeros((1, 4, 6, 3), np.uint8)
SPARSE = np.zeros((1, 1, 4, 6), np.float32)
SIGNATURE = signature_of({'image': IMAGE, 'sparse': SPARSE})


def test_arrays_that_fit_pass() -> None:
    assert check_inputs({'sparse': SPARSE, 'image': IMAGE}, SIGNATURE) is False
    assert check_inputs({'sparse': SPARSE, 'image': IMAGE}, SIGNATURE, 'cuda:0') is False


@pytest.mark.parametrize(
    ('inputs', 'wrong'),
    [
        ({'image': IMAGE}, r"must be \['image', 'sparse'\], got \['image'\]"),
        ({'image': IMAGE, 'sparse': SPARSE, 'K': SPARSE}, r"got \['K', 'image', 'sparse'\]"),
        ({}, r'got \[\]'),
        (
            {'image': IMAGE, 'sparse': SPARSE[0]},
            r"'sparse' must be float32 \(1, 1, 4, 6\), got float32 \(1, 4, 6\)",
        ),
        (
            {'image': IMAGE, 'sparse': SPARSE.astype(float)},
            r"'sparse' must be float32 .* got float64",
        ),
        ({'image': IMAGE, 'sparse': SPARSE.tolist()}, r"NumPy arrays, got \['NumPy', 'list'\]"),
        ({'image': None, 'sparse': None}, r"NumPy arrays, got \['NoneType'\]"),
    ],
)
def test_what_does_not_fit_is_refused(inputs: dict[str, object], wrong: str) -> None:
    with pytest.raises(EngineError, match=wrong):
        check_inputs(inputs, SIGNATURE)


def test_tensors_pass_on_the_device_of_the_engine_only() -> None:
    torch = pytest.importorskip('torch')
    tensors = {'image': torch.tensor(IMAGE), 'sparse': torch.tensor(SPARSE)}
    assert check_inputs(tensors, SIGNATURE, 'cpu') is True
    with pytest.raises(EngineError, match=r"NumPy arrays, got \['cpu'\]"):
        check_inputs(tensors, SIGNATURE)
    with pytest.raises(EngineError, match=r"or all torch tensors on cuda:0, got \['cpu'\]"):
        check_inputs(tensors, SIGNATURE, 'cuda:0')
    with pytest.raises(EngineError, match=r"got \['NumPy', 'cpu'\]"):
        check_inputs({**tensors, 'image': IMAGE}, SIGNATURE, 'cpu')
    with pytest.raises(EngineError, match=r"'sparse' must be float32 .* got float16"):
        check_inputs({**tensors, 'sparse': tensors['sparse'].half()}, SIGNATURE, 'cpu')
