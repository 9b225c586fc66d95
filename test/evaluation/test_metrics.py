"""Scores against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from depth_ros.errors import EvaluationError
from depth_ros.evaluation import metrics

NAN = np.nan
# Errors: +1 m at 10 m, -2 m at 20 m; one pixel unknown, one without truth.
PRED = np.array([[11.0, 18.0], [NAN, 7.0]], np.float32)
TRUTH = np.array([[10.0, 20.0], [5.0, 0.0]], np.float32)
SIGMA = np.array([[1.0, 0.5], [NAN, 1.0]], np.float32)


def test_scores_of_two_pixels_by_hand():
    scores = metrics.score_image(PRED, SIGMA, TRUTH)
    assert scores.rmse_mm == pytest.approx(math.sqrt((1 + 4) / 2) * 1000)
    assert scores.mae_mm == pytest.approx(1500)
    inverse = (abs(1 / 11 - 1 / 10) * 1000, abs(1 / 18 - 1 / 20) * 1000)  # 1/km
    assert scores.imae_1_km == pytest.approx(sum(inverse) / 2)
    assert scores.irmse_1_km == pytest.approx(math.hypot(*inverse) / math.sqrt(2))
    assert scores.rel == pytest.approx((0.1 + 0.1) / 2)
    assert scores.sq_rel_m == pytest.approx((1 / 10 + 4 / 20) / 2)
    logs = (math.log(1.1), math.log(0.9))
    assert scores.rmse_log == pytest.approx(math.hypot(*logs) / math.sqrt(2))
    assert scores.silog == pytest.approx(100 * (logs[0] - logs[1]) / 2)  # of two numbers
    assert scores.log10 == pytest.approx((math.log10(1.1) - math.log10(0.9)) / 2)
    assert (scores.delta1, scores.delta2, scores.delta3) == (1.0, 1.0, 1.0)
    assert scores.density == pytest.approx(2 / 3)
    assert scores.coverage_1sigma == 0.5  # |1| <= 1, |2| > 0.5
    assert scores.coverage_2sigma == 0.5  # |2| > 1


def test_one_metre_at_ten_metres_in_the_units_of_the_benchmark():
    pred, truth = np.full((2, 2), 11.0), np.full((2, 2), 10.0)
    assert metrics.mae_mm(pred, truth) == pytest.approx(1000)
    assert metrics.irmse_1_km(pred, truth) == pytest.approx(1000 / 110)
    assert metrics.rel(pred, truth) == pytest.approx(0.1)


def test_a_perfect_estimate_has_no_error():
    scores = metrics.score_image(TRUTH, np.ones_like(TRUTH), TRUTH)
    assert (scores.rmse_mm, scores.mae_mm, scores.rel, scores.delta1) == (0, 0, 0, 1)
    assert scores.density == 1.0


@pytest.mark.parametrize(
    ('ratio', 'within'),
    [
        (1.24, (1, 1, 1)),
        (1 / 1.24, (1, 1, 1)),
        (1.26, (0, 1, 1)),
        (1 / 1.57, (0, 0, 1)),  # 1.25^2 = 1.5625
        (1.95, (0, 0, 1)),  # 1.25^3 = 1.953
        (1.96, (0, 0, 0)),
    ],
)
def test_deltas_are_powers_of_five_quarters_both_ways(ratio, within):
    truth = np.full((1, 1), 10.0)
    scores = metrics.score_image(ratio * truth, truth, truth)
    assert (scores.delta1, scores.delta2, scores.delta3) == within


def test_what_scaling_would_cure_is_no_error_to_silog():
    truth = np.random.default_rng(0).uniform(1, 80, (8, 9))
    assert metrics.silog(1.7 * truth, truth) == pytest.approx(0.0, abs=1e-9)
    assert metrics.rmse_log(1.7 * truth, truth) == pytest.approx(math.log(1.7))
    assert metrics.log10(1.7 * truth, truth) == pytest.approx(math.log10(1.7))
    assert metrics.sq_rel_m(1.7 * truth, truth) == pytest.approx(0.7**2 * truth.mean())


def step(known_rows=4):
    """A near post before a wall, of which only some of 4 rows are known."""
    truth = np.full((4, 6), 10.0)
    truth[1:3, 2:4] = 2.0
    truth[known_rows:] = 0.0
    return truth


def test_edges_are_compared_where_half_of_the_truth_is_known():
    def edges(truth):
        return metrics.score_image(step(), np.ones((4, 6)), truth).boundary_f1

    assert edges(step()) == pytest.approx(1.0)
    assert edges(step(known_rows=2)) > 0
    assert math.isnan(edges(step(known_rows=1)))


def test_the_boundary_score_is_the_mean_of_images_with_dense_truth():
    images = [metrics.score_image(step(), np.ones((4, 6)), step(rows)) for rows in (4, 1)]
    assert metrics.mean_scores(images).boundary_f1 == pytest.approx(1.0)
    assert math.isnan(metrics.mean_scores(images[1:]).boundary_f1)


@pytest.mark.parametrize('unknown', [NAN, np.inf, -np.inf, 0.0])
def test_what_is_no_depth_counts_as_unknown(unknown):
    pred = np.array([[unknown, 20.0]])
    truth = np.array([[10.0, 20.0]])
    assert metrics.density(pred, truth) == 0.5
    assert metrics.mae_mm(pred, truth) == 0.0


def test_leaving_hard_pixels_out_wins_nothing_in_the_filled_scores():
    truth = np.array([[10.0, 10.0, 30.0]], np.float32)
    honest = np.array([[10.0, 10.0, 25.0]], np.float32)
    coward = np.array([[10.0, 10.0, NAN]], np.float32)
    sigma = np.where(np.isnan(coward), NAN, 1.0).astype(np.float32)
    left_out = metrics.score_image(coward, sigma, truth)
    assert left_out.mae_mm == 0.0
    assert left_out.mae_filled_mm == pytest.approx(20_000 / 3)  # 10 m stands in for 30 m
    assert left_out.mae_filled_mm > metrics.mae_mm(honest, truth)


def test_the_mean_is_over_images_not_over_pixels():
    few = metrics.score_image(np.full((1, 1), 11.0), np.ones((1, 1)), np.full((1, 1), 10.0))
    many = metrics.score_image(np.full((9, 9), 10.0), np.ones((9, 9)), np.full((9, 9), 10.0))
    assert metrics.mean_scores([few, many]).mae_mm == pytest.approx(500)


def test_an_image_that_cannot_be_scored_does_not_fall_out_of_the_mean():
    nothing = metrics.score_image(np.full((1, 1), NAN), np.full((1, 1), NAN), np.ones((1, 1)))
    good = metrics.score_image(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))
    assert math.isnan(metrics.mean_scores([good, nothing]).mae_mm)
    assert nothing.density == 0.0


def test_a_method_without_sigma_has_no_scores_of_sigma():
    scores = metrics.score_image(PRED, np.full_like(PRED, NAN), TRUTH)
    assert math.isnan(scores.coverage_1sigma)
    assert math.isnan(scores.ause)
    assert scores.mae_mm == pytest.approx(1500)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(EvaluationError):
        metrics.mae_mm(PRED, np.zeros_like(TRUTH))
    with pytest.raises(EvaluationError, match=r'\(2, 2\)'):
        metrics.mae_mm(PRED, np.ones((3, 3)))
    with pytest.raises(EvaluationError):
        metrics.score_image(PRED, np.ones((3, 3)), TRUTH)
    with pytest.raises(EvaluationError):
        metrics.mean_scores([])
    half = np.array([[1.0, NAN], [1.0, 1.0]], np.float32)
    with pytest.raises(EvaluationError):
        metrics.score_image(PRED, half, TRUTH)
