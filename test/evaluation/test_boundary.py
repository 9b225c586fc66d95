"""Boundary metrics against what the published code computed, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import EvaluationError
from depth_ros.evaluation import boundary
from depth_ros.evaluation.boundary import boundary_f1, boundary_recall

NAN, INF = np.nan, np.inf
CASES = ('step_blur1', 'step_blur3', 'smooth_vs_smooth', 'smooth_vs_step', 'random', 'flat')


@pytest.mark.parametrize('case', CASES)
def test_scores_are_those_of_the_published_code(oracle_dir, case):
    with np.load(oracle_dir / 'depthpro_boundary.npz') as oracle:
        pred, target, mask = (oracle[f'{case}/{name}'] for name in ('pred', 'target', 'mask'))
        np.testing.assert_allclose(boundary.THRESHOLDS, oracle['thresholds'], rtol=1e-12)
        np.testing.assert_allclose(boundary.WEIGHTS, oracle['weights'], rtol=1e-12)
        found = boundary.edge_agreement(pred, target)
        by_threshold = {
            'f1_per_t': found.f1,
            'precision_per_t': found.precision,
            'recall_per_t': found.recall,
            'recall_mask_per_t': boundary.mask_recall(pred, mask),
            'f1': boundary_f1(pred, target),
            'recall': boundary_recall(pred, mask),
        }
        for name, values in by_threshold.items():
            np.testing.assert_allclose(values, oracle[f'{case}/{name}'], rtol=1e-12, err_msg=name)


def square(near=2.0, far=10.0, grown=0):
    """A near square before a far wall, which has edges in all four directions."""
    depth_m = np.full((12, 12), far, np.float32)
    depth_m[4 - grown : 8 + grown, 4 - grown : 8 + grown] = near
    return depth_m


def test_the_same_edges_at_any_scale_are_perfect():
    assert boundary_f1(square(), square()) == pytest.approx(1.0)
    assert boundary_f1(7.0 * square(), square()) == pytest.approx(1.0)
    assert boundary_f1(square(5.0), square(2.0)) == pytest.approx(1.0)
    assert boundary_recall(square(), square() < 5) == pytest.approx(1.0)


def test_an_edge_beside_the_true_one_is_none():
    assert boundary_f1(square(grown=1), square()) == 0.0
    assert boundary_recall(square(grown=1), square() < 5) == 0.0


def test_only_thresholds_below_the_step_see_it():
    """A step of 1.15 is above the thresholds 1.05, 1.072, 1.094, 1.117, 1.139 only."""
    found = boundary.edge_agreement(square(10.0, 11.5), square())
    np.testing.assert_array_equal(found.recall, [1] * 5 + [0] * 5)
    assert boundary_f1(square(10.0, 11.5), square()) == pytest.approx(
        sum(1.05 + 0.2 / 9 * step for step in range(5)) / 11.5
    )


def test_of_a_blurred_edge_only_the_steepest_step_counts_on_a_mask():
    """Ratios along the row: 1.2, 1.5, 1.5, 1.3; the first of the two steepest is kept."""
    row = np.cumprod([1.0, 1.2, 1.5, 1.5, 1.3])[None]
    for last_near, share in ((0, 0.0), (1, 0.25), (2, 0.0), (3, 0.0)):
        mask = np.arange(5)[None] <= last_near
        assert boundary_recall(row, mask) == pytest.approx(share)  # one direction of four
        assert boundary_recall(row.T, mask.T) == pytest.approx(share)


@pytest.mark.parametrize('unknown', [NAN, 0.0, -1.0, -INF])
def test_what_is_unknown_has_no_edges(unknown):
    holed = square()
    holed[0, :] = holed[5, 5] = unknown
    assert boundary_f1(holed, square()) == pytest.approx(1.0)  # no true edge is there
    assert boundary_f1(square(), holed) == pytest.approx(1.0)
    assert boundary_f1(np.full_like(holed, unknown), square()) == 0.0


def test_an_edge_left_out_is_missed_and_one_without_truth_is_not_judged():
    half = square()
    half[:, :6] = NAN
    found = boundary.edge_agreement(half, square())
    # Left edges are lost, right ones not, and half of those at the top and the bottom.
    np.testing.assert_allclose(found.recall, (0 + 1 + 0.5 + 0.5) / 4)
    np.testing.assert_allclose(found.precision, (0 + 1 + 1 + 1) / 4)
    found = boundary.edge_agreement(square(), half)
    np.testing.assert_allclose(found.precision, (0 + 1 + 1 + 1) / 4)
    np.testing.assert_allclose(found.recall, (0 + 1 + 1 + 1) / 4)


def test_the_sky_is_farther_than_anything():
    sky = square(2.0, INF)
    assert boundary_f1(sky, square()) == pytest.approx(1.0)
    assert boundary_f1(square(), sky) == pytest.approx(1.0)
    assert boundary_f1(np.full_like(sky, INF), square()) == 0.0
    torn = square(3.0)
    torn[0, 0] = 5.0  # an edge within the sky is a wrong one
    assert boundary.edge_agreement(torn, sky).precision[0] == pytest.approx(0.25 * (2 + 2 * 0.8))


def test_flat_depth_has_no_edges_and_so_no_score():
    flat = np.full((6, 6), 5.0)
    assert boundary_f1(flat, flat) == 0.0
    assert boundary_f1(np.ones((1, 1)), np.ones((1, 1))) == 0.0


def test_arguments_are_left_as_they_are():
    pred, target = square(), square()
    pred[0, 0] = NAN
    before = pred.copy()
    boundary_f1(pred, target)
    np.testing.assert_array_equal(pred, before)


@pytest.mark.parametrize('shape', [(12, 13), (12,), (1, 12, 12)])
def test_maps_that_do_not_match_are_refused(shape):
    with pytest.raises(EvaluationError, match=r'must be \(H, W\) alike'):
        boundary_f1(square(), np.ones(shape))
    with pytest.raises(EvaluationError, match='mask'):
        boundary_recall(np.ones(shape), np.ones((12, 12), bool))
