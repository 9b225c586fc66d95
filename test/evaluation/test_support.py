"""Scores by the distance to the next return, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.evaluation.support import EDGES_PX, by_support, mean_support


def row(width=400, returns=(0,)):
    """Truth of 10 m everywhere, and where in the image (10, width) returns are, whole columns."""
    truth_m = np.full((10, width), 10.0, np.float32)
    sparse_m = np.zeros_like(truth_m)
    sparse_m[:, list(returns)] = 10.0
    return truth_m, sparse_m


def test_a_pixel_is_in_the_bin_of_its_distance_to_the_nearest_return():
    truth_m, sparse_m = row()
    found = by_support(truth_m, np.ones_like(truth_m), truth_m, sparse_m)
    # Columns 0 to 4, 5 to 19, 20 to 59, 60 to 199 of ten rows; what is farther is in none.
    assert EDGES_PX == (0, 5, 20, 60, 200)
    np.testing.assert_array_equal(found.pixels, [50, 150, 400, 1400])


def test_error_grows_with_distance():
    truth_m, sparse_m = row()
    away = np.arange(400, dtype=np.float32)
    pred_m = truth_m - np.where(away < 20, 0.0, 1.0)  # a metre too near from 20 pixels on
    sigma_m = np.where(away < 60, 2.0, 0.6) * np.ones_like(truth_m)
    found = by_support(pred_m, sigma_m, truth_m, sparse_m)
    np.testing.assert_allclose(found.bias, [0, 0, -0.1, -0.1])
    np.testing.assert_allclose(found.rmse_mm, [0, 0, 1000, 1000])
    np.testing.assert_allclose(found.mae_mm, [0, 0, 1000, 1000])
    np.testing.assert_array_equal(found.coverage_1sigma, [1, 1, 1, 0])
    np.testing.assert_array_equal(found.coverage_2sigma, [1, 1, 1, 1])


def test_the_median_is_signed_and_an_outlier_does_not_move_it():
    truth_m, sparse_m = row()
    pred_m = 1.02 * truth_m
    pred_m[0] = 80.0
    found = by_support(pred_m, np.full_like(truth_m, np.nan), truth_m, sparse_m)
    np.testing.assert_allclose(found.bias, 0.02, rtol=1e-5)
    assert np.isnan(found.coverage_1sigma).all()
    assert found.rmse_mm.min() > 20_000


def test_few_pixels_say_nothing():
    truth_m, sparse_m = row()
    truth_m[:, 5:15] = 0.0  # 50 pixels are left of the second bin
    full = by_support(truth_m, truth_m, truth_m, sparse_m)
    assert full.pixels[1] == 50
    assert full.bias[1] == 0
    truth_m[0, 15] = 0.0
    assert np.isnan(by_support(truth_m, truth_m, truth_m, sparse_m).bias[1])


def test_images_weigh_by_their_pixels_where_they_say_something():
    truth_m, sparse_m = row()
    wide = by_support(1.1 * truth_m, truth_m, truth_m, sparse_m)
    truth_m, sparse_m = row(width=20)
    narrow = by_support(truth_m, truth_m, truth_m, sparse_m)
    mean = mean_support([wide, narrow])
    np.testing.assert_array_equal(mean.pixels, [100, 300, 400, 1400])
    np.testing.assert_allclose(mean.bias, [0.05, 0.05, 0.1, 0.1], rtol=1e-4)
    nothing = mean_support([narrow])
    assert nothing.bias[0] == pytest.approx(0)
    assert np.isnan(nothing.bias[2])
