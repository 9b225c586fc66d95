"""Accuracy of depth against ground truth, as the benchmarks of the field define it.

`pred_m` and `truth_m` are arrays of one shape in metres along the optical axis. An estimate that
is NaN, infinite or not positive counts as unknown, and so does such a truth (0 in the arrays of a
dataset). Scores are taken over the pixels where both are known and are NaN where no such pixel
is; all raise `EvaluationError` if the shapes differ or the truth is empty.

Sources: RMSE, MAE, iRMSE, iMAE and the mean over images of per-image values: KITTI depth
completion benchmark, Uhrig et al., "Sparsity invariant CNNs", 3DV 2017. REL, squared REL, RMSE
log and delta, with RMSE: Eigen et al., "Depth map prediction from a single image using a
multi-scale deep network", NIPS 2014. SILog: their scale-invariant error as the KITTI depth
prediction benchmark states it, with a root and times 100. log10: Saxena et al., "Make3D", TPAMI
2009. These nine judge monocular depth; `boundary` sees what they do not, its edges.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.evaluation.boundary import boundary_f1
from depth_ros.evaluation.uncertainty import ause, coverage, nll
from depth_ros.frame import Bool, Float64
from depth_ros.methods.nearest import fill_nearest

Depth = npt.NDArray[np.floating]

DENSE_TRUTH = 0.5
"""Share of pixels with known truth from which on it has edges to compare."""


@dataclass(frozen=True)
class Scores:
    """Scores of one image, or means over several.

    Attributes:
        rmse_mm: root mean square error in millimetres.
        mae_mm: mean absolute error in millimetres.
        irmse_1_km: root mean square error of inverse depth in 1/km.
        imae_1_km: mean absolute error of inverse depth in 1/km.
        rel: mean of |error| / truth (AbsRel).
        sq_rel_m: mean of error^2 / truth in metres.
        rmse_log: root mean square of ln(estimate / truth).
        silog: standard deviation of ln(estimate / truth), times 100.
        log10: mean of |log10(estimate / truth)|.
        delta1: share of pixels within a factor of 1.25 of the truth.
        delta2: share of pixels within a factor of 1.25^2.
        delta3: share of pixels within a factor of 1.25^3.
        boundary_f1: agreement of depth edges; NaN where less than `DENSE_TRUTH` of the truth is
            known.
        coverage_1sigma: share of errors within one stated sigma.
        coverage_2sigma: share of errors within two stated sigmas.
        ause: area under the sparsification error.
        nll: mean Gaussian negative log-likelihood in nats, of errors in metres.
        density: share of truth pixels that got an estimate.
        rmse_filled_mm: RMSE with missing estimates filled from the nearest one.
        mae_filled_mm: MAE with missing estimates filled from the nearest one.
    """

    rmse_mm: float
    mae_mm: float
    irmse_1_km: float
    imae_1_km: float
    rel: float
    sq_rel_m: float
    rmse_log: float
    silog: float
    log10: float
    delta1: float
    delta2: float
    delta3: float
    boundary_f1: float
    coverage_1sigma: float
    coverage_2sigma: float
    ause: float
    nll: float
    density: float
    rmse_filled_mm: float
    mae_filled_mm: float


def score_image(pred_m: Depth, sigma_m: Depth, truth_m: Depth) -> Scores:
    """All scores of one image.

    Args:
        pred_m: (H, W) estimate.
        sigma_m: (H, W) stated standard deviation in metres; all NaN if the method states none,
            which makes its four scores NaN.
        truth_m: (H, W) truth.

    Raises:
        EvaluationError: the shapes differ, the truth is empty, or only some of the estimates
            have a positive, finite sigma.
    """
    if sigma_m.shape != pred_m.shape:
        raise EvaluationError(
            f'pred_m and sigma_m must have one shape, got {pred_m.shape} and {sigma_m.shape}.'
        )
    pred, truth = _pairs(pred_m, truth_m)
    sigma = sigma_m[_known(pred_m) & _known(truth_m)]
    error = pred - truth
    stated = not np.isnan(sigma).all()
    filled_m = fill_nearest(pred_m)
    return Scores(
        rmse_mm=rmse_mm(pred_m, truth_m),
        mae_mm=mae_mm(pred_m, truth_m),
        irmse_1_km=irmse_1_km(pred_m, truth_m),
        imae_1_km=imae_1_km(pred_m, truth_m),
        rel=rel(pred_m, truth_m),
        sq_rel_m=sq_rel_m(pred_m, truth_m),
        rmse_log=rmse_log(pred_m, truth_m),
        silog=silog(pred_m, truth_m),
        log10=log10(pred_m, truth_m),
        delta1=delta(pred_m, truth_m),
        delta2=delta(pred_m, truth_m, 1.25**2),
        delta3=delta(pred_m, truth_m, 1.25**3),
        boundary_f1=boundary_f1(pred_m, truth_m) if _is_dense(truth_m) else np.nan,
        coverage_1sigma=coverage(error, sigma, 1.0) if stated else np.nan,
        coverage_2sigma=coverage(error, sigma, 2.0) if stated else np.nan,
        ause=ause(error, sigma) if stated else np.nan,
        nll=nll(error, sigma) if stated else np.nan,
        density=density(pred_m, truth_m),
        rmse_filled_mm=rmse_mm(filled_m, truth_m),
        mae_filled_mm=mae_mm(filled_m, truth_m),
    )


def judged_scores(scores: Scores, judged_m: Depth, truth_m: Depth) -> Scores:
    """Scores whose accuracy is that of the depth a benchmark judges in place of the estimate.

    What concerns sigma, and the density, stay those of the estimate.

    Args:
        scores: of the estimate.
        judged_m: (H, W) estimate as it is judged: stored, filled.
        truth_m: (H, W) truth.

    Raises:
        EvaluationError: as `score_image`.
    """
    judged = score_image(judged_m, np.full_like(judged_m, np.nan), truth_m)
    of_estimate = ('coverage_1sigma', 'coverage_2sigma', 'ause', 'nll', 'density')
    return dataclasses.replace(judged, **{name: getattr(scores, name) for name in of_estimate})


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """Mean of every score over images; NaN in one image is NaN in the mean.

    An image that a method cannot score in must not raise its average by falling out of it. Only
    the boundary score is the mean over the images that have one: which these are is up to the
    truth, not to the method.

    Raises:
        EvaluationError: there are no images.
    """
    if not scores:
        raise EvaluationError('There are no scored images to average; does the dataset have any?')
    table = np.array([dataclasses.astuple(image) for image in scores])
    mean = Scores(*table.mean(axis=0).tolist())
    edges = np.array([image.boundary_f1 for image in scores])
    return dataclasses.replace(mean, boundary_f1=_mean(edges[~np.isnan(edges)]))


def rmse_mm(pred_m: Depth, truth_m: Depth) -> float:
    """Root mean square error [mm]."""
    pred, truth = _pairs(pred_m, truth_m)
    return 1e3 * float(np.sqrt(_mean((pred - truth) ** 2)))


def mae_mm(pred_m: Depth, truth_m: Depth) -> float:
    """Mean absolute error [mm]."""
    pred, truth = _pairs(pred_m, truth_m)
    return 1e3 * _mean(np.abs(pred - truth))


def irmse_1_km(pred_m: Depth, truth_m: Depth) -> float:
    """Root mean square error of inverse depth [1/km]."""
    pred, truth = _pairs(pred_m, truth_m)
    return 1e3 * float(np.sqrt(_mean((1.0 / pred - 1.0 / truth) ** 2)))


def imae_1_km(pred_m: Depth, truth_m: Depth) -> float:
    """Mean absolute error of inverse depth [1/km]."""
    pred, truth = _pairs(pred_m, truth_m)
    return 1e3 * _mean(np.abs(1.0 / pred - 1.0 / truth))


def rel(pred_m: Depth, truth_m: Depth) -> float:
    """Mean of |error| / truth."""
    pred, truth = _pairs(pred_m, truth_m)
    return _mean(np.abs(pred - truth) / truth)


def sq_rel_m(pred_m: Depth, truth_m: Depth) -> float:
    """Mean of error^2 / truth [m]."""
    pred, truth = _pairs(pred_m, truth_m)
    return _mean((pred - truth) ** 2 / truth)


def rmse_log(pred_m: Depth, truth_m: Depth) -> float:
    """Root mean square of ln(estimate / truth)."""
    return float(np.sqrt(_mean(_log_ratio(pred_m, truth_m) ** 2)))


def silog(pred_m: Depth, truth_m: Depth) -> float:
    """Standard deviation of ln(estimate / truth), times 100: the error that scaling leaves."""
    error = _log_ratio(pred_m, truth_m)
    return 100 * float(np.sqrt(_mean((error - _mean(error)) ** 2)))


def log10(pred_m: Depth, truth_m: Depth) -> float:
    """Mean of |log10(estimate / truth)|."""
    return _mean(np.abs(_log_ratio(pred_m, truth_m))) / np.log(10)


def delta(pred_m: Depth, truth_m: Depth, factor: float = 1.25) -> float:
    """Share of pixels where max(pred / truth, truth / pred) < factor."""
    pred, truth = _pairs(pred_m, truth_m)
    return _mean(np.maximum(pred / truth, truth / pred) < factor)


def density(pred_m: Depth, truth_m: Depth) -> float:
    """Share of truth pixels that got an estimate."""
    pred, _ = _pairs(pred_m, truth_m)
    return pred.size / np.count_nonzero(_known(truth_m))


def _known(depth_m: Depth) -> Bool:
    return np.isfinite(depth_m) & (depth_m > 0)


def _is_dense(truth_m: Depth) -> bool:
    return float(_known(truth_m).mean()) >= DENSE_TRUTH


def _log_ratio(pred_m: Depth, truth_m: Depth) -> Float64:
    pred, truth = _pairs(pred_m, truth_m)
    return np.log(pred / truth)


def _pairs(pred_m: Depth, truth_m: Depth) -> tuple[Float64, Float64]:
    """Estimate and truth (N,) of the pixels that have both."""
    if pred_m.shape != truth_m.shape:
        raise EvaluationError(
            f'pred_m and truth_m must have one shape, got {pred_m.shape} and {truth_m.shape}.'
        )
    truth_known = _known(truth_m)
    if not truth_known.any():
        raise EvaluationError(
            f'truth_m {truth_m.shape} has no known pixel; leave this image out of the evaluation.'
        )
    both = truth_known & _known(pred_m)
    return pred_m[both].astype(np.float64), truth_m[both].astype(np.float64)


def _mean(values: npt.NDArray[np.floating] | Bool) -> float:
    return float(values.mean()) if values.size else float('nan')
