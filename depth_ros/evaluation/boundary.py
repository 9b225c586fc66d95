"""Sharpness of depth edges, whatever the scale of the depth.

Two neighbours of which one is nearer by more than a factor t are an edge, with the nearer one in
the foreground; there are edges to the left, the top, the right and the bottom. Scores are taken
for ten t from 1.05 to 1.25 and averaged, weighted by t.

A depth of +Inf is farther than any number, so the border of a finite one to it is an edge. Any
other depth that is not positive (NaN, 0, -Inf) is unknown, and pixels beside it have no edge
towards it: in a prediction that is an edge missed, while beside an unknown target the prediction
is not judged.

Source: Bochkovskii et al., "Depth Pro: Sharp monocular metric depth in less than a second", ICLR
2025, and for what that leaves open its published `boundary_metrics.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.frame import Bool, Float64

Map = npt.NDArray[np.floating]

THRESHOLDS: Float64 = np.linspace(1.05, 1.25, 10)
WEIGHTS: Float64 = THRESHOLDS / THRESHOLDS.sum()
_NEAREST_M, _FARTHEST_M = 1e-6, 1e9  # so that neither 0 nor infinity is divided by
_FOREGROUND = 0.1  # a mask may be an alpha matte, 0 to 1

# Foreground and background of edges to the left and the right; up and down are these, transposed.
_SIDES = (np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:, 1:], np.s_[:, :-1])


class EdgeAgreement(NamedTuple):
    """Agreement of the edges of two depth maps, (10,) each, for the `THRESHOLDS`.

    Each is the mean over four directions; a direction without edges counts as 0, so even equal
    maps may have less than 1.

    Attributes:
        precision: share of the predicted edges that the target has.
        recall: share of the edges of the target that are predicted.
    """

    precision: Float64
    recall: Float64

    @property
    def f1(self) -> Float64:
        """Harmonic mean of both; 0 where both are."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / np.where(both > 0, both, 1.0)


def boundary_f1(pred_m: Map, target_m: Map) -> float:
    """F1 score of the edges of a prediction against those of dense truth, 0 to 1.

    Args:
        pred_m: (H, W) depth; any scale of it gives the same score.
        target_m: (H, W) true depth, 0 or NaN = unknown.

    Raises:
        EvaluationError: they are not two-dimensional or differ in shape.
    """
    return float(WEIGHTS @ edge_agreement(pred_m, target_m).f1)


def boundary_recall(pred_m: Map, mask: npt.NDArray[Any]) -> float:
    """Share of the border of a mask that a prediction has an edge on, 0 to 1.

    The prediction pays for blur: of neighbouring edges only the steepest counts.

    Args:
        pred_m: (H, W) depth; any scale of it gives the same score.
        mask: (H, W) bool, or 0 to 1, of what is in the foreground.

    Raises:
        EvaluationError: they are not two-dimensional or differ in shape.
    """
    return float(WEIGHTS @ mask_recall(pred_m, mask))


def edge_agreement(pred_m: Map, target_m: Map) -> EdgeAgreement:
    """Precision and recall behind `boundary_f1`; arguments and errors are its."""
    _check(pred_m, target_m, 'target_m')
    shares = []
    for pred, target in zip(_ratios(pred_m), _ratios(target_m), strict=True):
        predicted, wanted = _above(pred[~np.isnan(target)]), _above(target)
        right = _above(np.minimum(pred, target))
        shares.append((right / np.maximum(predicted, 1), right / np.maximum(wanted, 1)))
    return EdgeAgreement(*np.mean(shares, axis=0))


def mask_recall(pred_m: Map, mask: npt.NDArray[Any]) -> Float64:
    """The shares (10,) behind `boundary_recall`, by threshold; arguments and errors are its."""
    _check(pred_m, mask, 'mask')
    shares = []
    for ratio, border in zip(_ratios(pred_m), _borders(mask > _FOREGROUND), strict=True):
        found = [np.count_nonzero(border & _thinned(ratio, t)) for t in THRESHOLDS.tolist()]
        shares.append(np.array(found) / max(np.count_nonzero(border), 1))
    mean: Float64 = np.mean(shares, axis=0)
    return mean


def _ratios(depth_m: Map) -> Iterator[Map]:
    """By how much a pixel is nearer than its neighbour, in each direction; NaN = unknown."""
    inverse = 1.0 / np.clip(depth_m, _NEAREST_M, _FARTHEST_M)
    inverse[~(depth_m > 0)] = np.nan
    for grid in (inverse, inverse.T):
        for near, far in _SIDES:
            yield grid[near] / grid[far]


def _borders(mask: Bool) -> Iterator[Bool]:
    """Where a pixel is in a mask and its neighbour is not, in each direction."""
    for grid in (mask, mask.T):
        for near, far in _SIDES:
            yield grid[near] & ~grid[far]


def _above(ratio: Map) -> npt.NDArray[np.intp]:
    """How many ratios are above each threshold; NaN is above none."""
    edges = np.sort(ratio[ratio > THRESHOLDS[0]])
    return edges.size - np.searchsorted(edges, THRESHOLDS, side='right')


def _thinned(ratio: Map, threshold: float) -> Bool:
    """The largest ratio, (H, W) bool, of each run along a row above a threshold, or the first."""
    edge = ratio > threshold
    begins = edge.copy()
    begins[:, 1:] &= ~edge[:, :-1]
    thin = np.zeros_like(edge)
    if edge.any():
        values, run = ratio[edge], np.cumsum(begins[edge]) - 1
        peak = np.maximum.reduceat(values, np.flatnonzero(begins[edge]))
        at_peak = np.flatnonzero(values == peak[run])
        _, first = np.unique(run[at_peak], return_index=True)
        thin.flat[np.flatnonzero(edge)[at_peak[first]]] = True
    return thin


def _check(pred_m: Map, other: npt.NDArray[Any], name: str) -> None:
    if pred_m.ndim != 2 or pred_m.shape != other.shape:
        raise EvaluationError(
            f'pred_m and {name} must be (H, W) alike, got {pred_m.shape} and {other.shape}.'
        )
