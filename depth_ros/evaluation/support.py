"""Errors by how far a pixel is from the next return: a method has to hold in between, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float32, Float64

EDGES_PX = (0.0, 5.0, 20.0, 60.0, 200.0)
"""Edges of the bins: distance to the nearest return in pixels, the first included."""
ENOUGH = 50
"""So many pixels of an image a bin needs to say something."""


class SupportScores(NamedTuple):
    """Scores in each bin (B,) of `EDGES_PX`; NaN where fewer than `ENOUGH` pixels are in it.

    Attributes:
        pixels: number of pixels with truth and estimate.
        bias: median of (estimate - truth) / truth.
        rmse_mm: root mean square error in millimetres.
        mae_mm: mean absolute error in millimetres.
        coverage_1sigma: share of errors within one stated sigma.
        coverage_2sigma: share of errors within two.
    """

    pixels: Float64
    bias: Float64
    rmse_mm: Float64
    mae_mm: Float64
    coverage_1sigma: Float64
    coverage_2sigma: Float64


def by_support(
    pred_m: npt.NDArray[np.floating],
    sigma_m: npt.NDArray[np.floating],
    truth_m: npt.NDArray[np.floating],
    sparse_m: Float32,
) -> SupportScores:
    """Scores of an estimate (H, W) by the distance of each pixel to the nearest return.

    Args:
        pred_m: estimate in metres; NaN or not positive = unknown.
        sigma_m: stated standard deviation in metres, NaN where none is stated.
        truth_m: truth in metres, 0 = unknown.
        sparse_m: the returns that the method was given, 0 = none.
    """
    known = _known(pred_m) & _known(truth_m)
    missing = (~_known(sparse_m)).astype(np.uint8)
    away_px = cv2.distanceTransform(missing, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[known]
    pred, truth, sigma = (m[known].astype(np.float64) for m in (pred_m, truth_m, sigma_m))
    error = pred - truth
    bins = np.searchsorted(EDGES_PX, away_px, side='right') - 1
    table = np.full((len(SupportScores._fields), len(EDGES_PX) - 1), np.nan)
    for column in range(table.shape[1]):
        chosen = bins == column
        table[0, column] = count = np.count_nonzero(chosen)
        if count < ENOUGH:
            continue
        of, stated = error[chosen], sigma[chosen]
        size = np.abs(of)
        table[1:4, column] = (
            np.median(of / truth[chosen]),
            1e3 * np.sqrt(np.mean(of**2)),
            1e3 * size.mean(),
        )
        if not np.isnan(stated).all():
            table[4:, column] = (size <= stated).mean(), (size <= 2 * stated).mean()
    return SupportScores(*table)


def mean_support(images: Sequence[SupportScores]) -> SupportScores:
    """Mean over images of each score in each bin, weighted by pixels, of those that have it."""
    table = np.array(images)  # (images, scores, bins)
    weight = np.where(np.isnan(table), 0.0, table[:, :1])
    with np.errstate(invalid='ignore'):
        mean = np.nansum(weight * table, axis=0) / weight.sum(axis=0)
    mean[0] = table[:, 0].sum(axis=0)
    return SupportScores(*mean)


def _known(depth_m: npt.NDArray[np.floating]) -> Bool:
    return np.isfinite(depth_m) & (depth_m > 0)
