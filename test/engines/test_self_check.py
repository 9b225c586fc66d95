"""The self-check: hand-computed differences, and engines that must not pass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.engines.exported import Exported
from depth_ros.engines.self_check import TOLERANCES, SelfCheckError, check, check_against, compare
from depth_ros.errors import EngineError

DEPTH = np.array([[2.0, 4.0], [8.0, -2.0]], np.float32)  # mean of |.| is 4, of squares 22


class Fake:
    """An engine that computes `scale` times its input."""

    backend, device = 'tensorrt', 'cuda:0'

    def __init__(self, scale: float, precision: str = 'fp32') -> None:
        self.scale, self.precision = scale, precision

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {'depth': inputs['sparse'] * np.float32(self.scale)}

    def close(self) -> None: ...


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    made = Exported(tmp_path / 'a.onnx', '0', '0', 'tiny', 2, 2, 'fp32', 18)
    made.write_sidecars({'sparse': DEPTH}, {'depth': DEPTH})
    return made


def test_difference_by_hand() -> None:
    off = DEPTH + np.array([[0.02, 0.0], [-0.04, 0.02]], np.float32)
    difference = compare({'depth': off}, {'depth': DEPTH}, 'fp16')['depth']
    assert difference.max == pytest.approx(0.04, rel=1e-4)
    assert difference.mean == pytest.approx(0.02 / 4, rel=1e-4)
    assert difference.rms == pytest.approx((0.0006 / 22) ** 0.5, rel=1e-4)


def test_right_engine_passes(exported: Exported) -> None:
    assert check(Fake(1.0), exported)['depth'] == (0.0, 0.0, 0.0)
    assert check(Fake(1.01, 'fp16'), exported)['depth'].mean == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize('precision', TOLERANCES)
def test_tolerance_is_that_of_the_precision_of_the_engine(
    exported: Exported, precision: str
) -> None:
    mean = TOLERANCES[precision][0]
    check(Fake(1 + 0.9 * mean, precision), exported)
    with pytest.raises(EngineError, match=r"tensorrt on cuda:0 .* a\.onnx: output 'depth' is .*"):
        check(Fake(1 + 1.1 * mean, precision), exported)


def test_without_a_reference_all_that_is_finite_passes() -> None:
    check_against(Fake(1e3), {'sparse': DEPTH}, None, 'tiny')
    with pytest.raises(SelfCheckError, match=r'self-check on tiny: .* NaN or infinite in 4 of 4'):
        check_against(Fake(np.nan), {'sparse': DEPTH}, None, 'tiny')


def test_what_the_engine_says_itself_is_no_verdict(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Fake, inputs: Any) -> Any:
        raise EngineError('CUDA: out of memory')

    monkeypatch.setattr(Fake, 'infer', fail)
    with pytest.raises(EngineError, match=r'^CUDA: out of memory$') as caught:
        check(Fake(1.0), exported)
    assert not isinstance(caught.value, SelfCheckError)


def test_numbers_are_in_the_message(exported: Exported) -> None:
    wanted = r'mean 5\.0e-01, RMS 5\.0e-01 \(at most 4\.0e\+00 absolute\); allowed in fp16 are'
    with pytest.raises(EngineError, match=wanted):
        check(Fake(1.5, 'fp16'), exported)


def test_one_wild_pixel_does_not_drown_in_the_mean() -> None:
    wanted = np.full((1, 1, 100, 100), 10.0, np.float32)
    off = wanted.copy()
    off[..., -1, -1] = 1010.0
    with pytest.raises(EngineError, match=r'mean 1\.0e-02, RMS 1\.0e\+00 \(at most 1\.0e\+03'):
        compare({'depth': off}, {'depth': wanted}, 'fp16')


@pytest.mark.parametrize('precision', TOLERANCES)
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(value: float, precision: str) -> None:
    broken = DEPTH.copy()
    broken[0, 1] = value
    with pytest.raises(EngineError, match="'depth' is NaN or infinite in 1 of 4"):
        compare({'depth': broken}, {'depth': DEPTH}, precision)
    with pytest.raises(EngineError, match='is off by'):  # nor against such a reference
        compare({'depth': DEPTH}, {'depth': broken}, precision)


@pytest.mark.parametrize(
    ('outputs', 'wrong'),
    [
        ({'depth': DEPTH[None]}, r"'depth' must be \(2, 2\), got \(1, 2, 2\)"),
        ({}, r"must be \['depth'\], got \[\]"),
        ({'depth': DEPTH, 'sigma': DEPTH}, r"got \['depth', 'sigma'\]"),
    ],
)
def test_other_outputs_never_pass(outputs: dict[str, Any], wrong: str) -> None:
    with pytest.raises(EngineError, match=wrong):
        compare(outputs, {'depth': DEPTH}, 'fp16')


def test_zeros_are_only_like_zeros() -> None:
    zeros = {'depth': np.zeros((2, 2), np.float32)}
    assert compare(zeros, zeros, 'fp32')['depth'] == (0.0, 0.0, 0.0)
    with pytest.raises(EngineError, match='is off by'):
        compare({'depth': np.full((2, 2), 1e-6, np.float32)}, zeros, 'fp16')
