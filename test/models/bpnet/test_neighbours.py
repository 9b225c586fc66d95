"""Nearest returns against brute force, by hand, and against the official operator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from depth_ros.errors import ModelError
from depth_ros.models.bpnet import neighbours

Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.integer[Any]]


def in_torch(function: str) -> Callable[[Mask], Any]:
    def call(found: Mask) -> Any:
        torch = pytest.importorskip('torch')
        from depth_ros.models.bpnet import neighbours_torch

        return getattr(neighbours_torch, function)(torch.from_numpy(found))

    return call


NEAREST = pytest.mark.parametrize(
    'nearest', [neighbours.nearest, in_torch('nearest')], ids=['numpy', 'torch']
)


def brute_force(found: Mask) -> Index:
    """Every return measured from every pixel; ties go to the later one in raster order."""
    rows, columns = np.nonzero(found)
    v, u = np.indices(found.shape).reshape(2, -1, 1)
    distance2 = (rows - v) ** 2 + (columns - u) ** 2
    later_first = -np.arange(rows.size)
    order = np.lexsort((np.broadcast_to(later_first, distance2.shape), distance2), axis=1)[:, :4]
    order = order[:, np.minimum(np.arange(4), order.shape[1] - 1)]
    return (rows * found.shape[1] + columns)[order].T


@NEAREST
@pytest.mark.parametrize('density', [0.005, 0.05, 0.4, 1.0])
def test_equals_brute_force(nearest: Callable[[Mask], Any], density: float) -> None:
    rng = np.random.default_rng(1)
    for height, width in [(1, 1), (1, 17), (19, 1), (8, 8), (13, 31), (40, 23)]:
        found = rng.random((height, width)) < density
        found[rng.integers(height), rng.integers(width)] = True
        np.testing.assert_array_equal(np.asarray(nearest(found)), brute_force(found))


@NEAREST
def test_of_equally_near_returns_the_later_one_comes_first(
    nearest: Callable[[Mask], Any],
) -> None:
    cross = np.zeros((3, 3), bool)
    cross[0, 1] = cross[1, 0] = cross[1, 2] = cross[2, 1] = True
    assert np.asarray(nearest(cross))[:, 4].tolist() == [7, 5, 3, 1]
    cross[1, 1] = True  # five in reach: the first of the equally near ones has to go
    assert np.asarray(nearest(cross))[:, 4].tolist() == [4, 7, 5, 3]


@NEAREST
def test_fewer_than_four_returns_repeat_the_last(nearest: Callable[[Mask], Any]) -> None:
    found = np.zeros((2, 5), bool)
    found[0, 0] = found[1, 4] = True
    index = np.asarray(nearest(found))
    assert index[:, 0].tolist() == [0, 9, 9, 9]
    assert index[:, 4].tolist() == [9, 0, 0, 0]


@NEAREST
def test_no_return_is_refused(nearest: Callable[[Mask], Any]) -> None:
    with pytest.raises(ModelError, match='at least one'):
        nearest(np.zeros((4, 4), bool))


@pytest.mark.parametrize(
    'pyramid', [neighbours.pyramid, in_torch('pyramid')], ids=['numpy', 'torch']
)
def test_six_levels_equal_the_official_operator(
    pyramid: Callable[[Mask], Any], oracle_dir: Path
) -> None:
    with np.load(oracle_dir / 'bpnet.npz', allow_pickle=False) as oracle:
        levels = pyramid(oracle['S'][0, 0] > 1e-3)
        assert len(levels) == 6
        for level, index in enumerate(levels):
            np.testing.assert_array_equal(np.asarray(index), oracle[f'l{level}_args'][0])


def test_sky_without_returns_is_reached_from_far_below() -> None:
    """As above a LiDAR's view, where the nearest return is a hundred rows away."""
    found = np.zeros((160, 64), bool)
    found[128::4, ::3] = True
    np.testing.assert_array_equal(neighbours.nearest(found), brute_force(found))
