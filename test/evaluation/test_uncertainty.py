"""Coverage, likelihood and sparsification: by hand, and on seeded Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_ros.errors import EvaluationError
from depth_ros.evaluation.uncertainty import ause, coverage, nll


def test_a_gaussian_is_covered_as_gaussians_are():
    error = np.random.default_rng(0).normal(0.0, 0.3, 200_000)
    sigma = np.full_like(error, 0.3)
    assert coverage(error, sigma, 1.0) == pytest.approx(0.6827, abs=0.005)
    assert coverage(error, sigma, 2.0) == pytest.approx(0.9545, abs=0.005)


def test_likelihood_of_one_error_by_hand():
    expected = 0.5 * math.log(2 * math.pi * 4) + 9 / 8  # error 3, sigma 2
    assert nll([3.0], [2.0]) == pytest.approx(expected)


def test_likelihood_is_best_at_the_true_sigma():
    error = np.random.default_rng(1).normal(0.0, 0.5, 50_000)
    at = {sigma: nll(error, np.full_like(error, sigma)) for sigma in (0.25, 0.4, 0.5, 0.6, 1.0)}
    assert min(at, key=at.__getitem__) == 0.5


def test_a_sigma_that_ranks_the_errors_has_no_sparsification_error():
    error = np.random.default_rng(2).exponential(1.0, 1000)
    assert ause(error, 7.0 * error) == pytest.approx(0.0, abs=1e-12)


def test_the_worst_ranking_of_four_errors_by_hand():
    # Left after 0, 1, 2, 3 quarters go: means 2.5, 3, 3.5, 4 against the oracle's 2.5, 2, 1.5, 1.
    # Their differences 0, 1, 2, 3 have the mean 1.5; divided by the mean of all, 2.5.
    assert ause([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]) == pytest.approx(0.6)


def test_a_constant_sigma_says_nothing_in_any_order():
    error = np.array([1.0, 2.0, 3.0, 4.0])
    # The mean of what is left stays 2.5: differences 0, 0.5, 1, 1.5.
    assert ause(error, np.ones(4)) == pytest.approx(0.75 / 2.5)
    assert ause(error[::-1], np.ones(4)) == pytest.approx(0.75 / 2.5)


@pytest.mark.parametrize('sigma', [0.0, -1.0, np.nan, np.inf])
def test_a_sigma_that_is_no_deviation_is_refused(sigma):
    with pytest.raises(EvaluationError):
        coverage([1.0], [sigma], 1.0)


def test_errors_must_be_there_and_finite():
    with pytest.raises(EvaluationError):
        nll([], [])
    with pytest.raises(EvaluationError, match='1 of 2'):
        nll([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(EvaluationError):
        nll([1.0, 2.0], [1.0])
