"""Slopes of depth maps: of planes, edges, and what is unknown."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.geometry.slope import slope_map, slopes_m_per_px


def test_an_edge_is_no_slope_and_what_is_unknown_has_none():
    """A wall at 5 m before a floor that falls away by 0.3 m a row and 0.4 m a column."""
    v, u = np.mgrid[:6, :8].astype(np.float32)
    depth_m = 20 + 0.3 * v + 0.4 * u
    depth_m[:, :3] = 5.0
    depth_m[2, 6] = np.nan
    depth_m[3, 6] = np.inf
    at = np.array([[1, 1], [1, 2], [1, 3], [0, 7], [5, 4], [4, 6], [2, 5]])
    got = slopes_m_per_px(depth_m, np.ravel_multi_index(at.T, depth_m.shape))
    np.testing.assert_allclose(got, [0, 0, *[0.5] * 5], atol=1e-5)
    alone = np.full((3, 3), np.nan, np.float32)
    alone[1, 1] = 7.0
    assert slopes_m_per_px(alone, np.array([4])) == 0.0


@pytest.mark.parametrize('shape', [(6, 8), (1, 8), (6, 1), (1, 1), (2, 2)])
def test_a_map_of_slopes_is_that_of_each_pixel(shape):
    depth_m = np.random.default_rng(0).uniform(2, 9, shape).astype(np.float32)
    each = slopes_m_per_px(depth_m, np.arange(depth_m.size)).reshape(shape)
    np.testing.assert_allclose(slope_map(depth_m), each, rtol=1e-6)
