"""How far a stated sigma can be trusted: coverage, likelihood and ranking of the errors.

All functions take `error_m` (N,), estimate minus truth in metres, and `sigma_m` (N,), the stated
standard deviation in metres, and raise `EvaluationError` where the two differ in shape, are
empty or not finite, or a sigma is not positive: such a sigma promises nothing that could be held.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.frame import Float64

SPARSIFICATION_STEPS = 100


def coverage(error_m: npt.ArrayLike, sigma_m: npt.ArrayLike, k: float) -> float:
    """Share of errors within k sigma; for Gaussian errors 0.683 at k = 1 and 0.954 at k = 2."""
    error, sigma = _checked(error_m, sigma_m)
    return float(np.mean(np.abs(error) <= k * sigma))


def nll(error_m: npt.ArrayLike, sigma_m: npt.ArrayLike) -> float:
    """Mean negative log-likelihood of the errors under N(0, sigma^2), in nats of metres.

    Smallest, for given errors, where sigma is their standard deviation. Source: Kendall and Gal,
    "What uncertainties do we need in Bayesian deep learning", NeurIPS 2017, eq. 5, with the
    constant kept.
    """
    error, sigma = _checked(error_m, sigma_m)
    return float(np.mean(0.5 * np.log(2.0 * np.pi * sigma**2) + 0.5 * (error / sigma) ** 2))


def ause(error_m: npt.ArrayLike, sigma_m: npt.ArrayLike) -> float:
    """Area under the sparsification error: 0 = sigma ranks the errors as they are.

    The sparsification curve is the MAE of what is left after the share f of pixels with the
    largest sigma is removed, divided by the MAE of all; the oracle removes the largest errors
    instead. The area between the two is taken over f = 0.00, 0.01 ... 0.99. Pixels of equal
    sigma count with their mean error, so the result does not depend on their order.

    Source: Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow",
    ECCV 2018, section 4.1, with the MAE as error measure.
    """
    error, sigma = _checked(error_m, sigma_m)
    error = np.abs(error)
    if not error.any():
        return 0.0
    _, group, size = np.unique(sigma, return_inverse=True, return_counts=True)
    group_mean = np.bincount(group, weights=error) / size
    by_sigma = _sparsification(np.repeat(group_mean, size))
    oracle = _sparsification(np.sort(error))
    return float(np.mean(by_sigma - oracle) / error.mean())


def _sparsification(error: Float64) -> Float64:
    """Mean of the first n - floor(f n) errors for each step f; the first leave last."""
    steps = np.arange(SPARSIFICATION_STEPS)
    kept = error.size - steps * error.size // SPARSIFICATION_STEPS
    means: Float64 = np.cumsum(error)[kept - 1] / kept
    return means


def _checked(error_m: npt.ArrayLike, sigma_m: npt.ArrayLike) -> tuple[Float64, Float64]:
    error = np.asarray(error_m, dtype=np.float64)
    sigma = np.asarray(sigma_m, dtype=np.float64)
    if error.ndim != 1 or error.shape != sigma.shape:
        raise EvaluationError(
            f'error_m and sigma_m must be (N,) alike, got {error.shape} and {sigma.shape}.'
        )
    if not error.size:
        raise EvaluationError('There are no errors to compare sigma with.')
    if not np.isfinite(error).all():
        raise EvaluationError(
            f'{np.sum(~np.isfinite(error))} of {error.size} errors are not finite; '
            'leave out pixels without estimate or truth.'
        )
    bad = ~(np.isfinite(sigma) & (sigma > 0))
    if bad.any():
        raise EvaluationError(
            f'{bad.sum()} of {sigma.size} sigmas are not positive and finite, the first is '
            f'{sigma[bad][0]}; a method must state a sigma wherever it states a depth.'
        )
    return error, sigma
