"""Orders of rays in which neighbours follow each other."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.simulation.raycast import direction_order, tile_order


@pytest.mark.parametrize(('height', 'width'), [(90, 160), (13, 7), (1, 5)])
def test_tile_order_visits_each_pixel_once(height, width):
    order = tile_order(height, width)
    np.testing.assert_array_equal(np.sort(order), np.arange(height * width))


def test_tile_order_keeps_neighbours_together():
    block = tile_order(90, 160)[:64]
    assert np.ptp(block // 160) == np.ptp(block % 160) == 7


def test_direction_order_brings_like_directions_together():
    """A square of 64x64 rays, shuffled: blocks of 64 are as small as squares of 8x8 again."""
    side = np.linspace(-0.4, 0.4, 64)
    rays = np.array([(1.0, y, z) for y in side for z in side])
    shuffled = np.random.default_rng(4).permutation(rays) * 5.0
    order = direction_order(shuffled)
    assert sorted(order) == list(range(len(rays)))

    def widest(directions):
        return np.ptp(directions.reshape(-1, 64, 3), axis=1).max(axis=1)

    assert np.median(widest(shuffled[order])) < 0.25 * np.median(widest(shuffled))
