"""Losses on depth, pixel by pixel and up to scale and shift.

All take maps (B, 1, H, W) and a bool mask of the pixels that count. Other pixels may hold
anything, NaN too, and get no gradient. A loss is the mean over the batch of each image's mean; an
image without such a pixel contributes 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DEGENERATE = 1e-6
"""A map whose spread is below this share of its size is constant."""

SMALL_SHARE = 1e-3
"""Errors that are this share of the truth are as good as none."""
SMALLEST_ERROR = 1e-5
"""Errors below have the logarithm of this one."""
GAUSSIAN_SHARES = {1: 0.6827, 2: 0.9545}
"""Shares of a Gaussian's errors within so many sigma."""


def image_means(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each image over its mask, (B,); 0 where the mask is empty."""
    total = values.where(mask, 0.0).flatten(1).sum(1)
    return total / mask.flatten(1).sum(1).clamp_min(1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the batch of `image_means`."""
    return image_means(values, mask).mean()


def neutral(mask: Tensor, *maps: Tensor) -> list[Tensor]:
    """Maps with 1 outside a mask, where even a logarithm has a value and a gradient."""
    return [values.where(mask, 1.0) for values in maps]


def l1(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error; L_sup and L_pre of DMD3C (CVPR 2025)."""
    prediction, truth = neutral(mask, prediction, truth)
    return masked_mean((prediction - truth).abs(), mask)


def l2(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error."""
    prediction, truth = neutral(mask, prediction, truth)
    return masked_mean((prediction - truth).square(), mask)


def l2_of_all(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Squared errors of the mask, summed and divided by the number of all pixels.

    One level of the loss MSMSE in the published code of BP-Net (CVPR 2024).
    """
    prediction, truth = neutral(mask, prediction, truth)
    return (prediction - truth).square().mean()


def clipped_l1(prediction: Tensor, truth: Tensor, mask: Tensor, limit: float) -> Tensor:
    """Mean absolute error, each at most `limit`: what is hopeless does not pull."""
    prediction, truth = neutral(mask, prediction, truth)
    return masked_mean((prediction - truth).abs().clamp_max(limit), mask)


def relative_l2(prediction: Tensor, truth: Tensor, mask: Tensor, limit: float = 0.5) -> Tensor:
    """Mean squared error as a share of the truth, each share at most `limit`."""
    prediction, truth = neutral(mask, prediction, truth)
    share = (prediction - truth) / truth
    return masked_mean(share.clamp(-limit, limit).square(), mask)


def log_l1(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of the logarithm; maps are positive in the mask."""
    prediction, truth = neutral(mask, prediction, truth)
    return masked_mean((prediction.log() - truth.log()).abs(), mask)


def ratio(prediction: Tensor, baseline: Tensor, truth: Tensor, mask: Tensor, power: int) -> Tensor:
    """What a prediction has of the error of a baseline, (mean |error|^p)^(1/p) of each image.

    So an image that is hard for both weighs no more than one that is easy. A tenth of a per cent
    of the mean truth is added to both, for an image in which the baseline has no error.

    Args:
        prediction: teaches.
        baseline: does not.
        truth: of both.
        mask: of the pixels that count.
        power: 1 is a mean absolute error, 2 a root mean square.
    """
    prediction, baseline, truth = neutral(mask, prediction, baseline.detach(), truth)
    floor = (SMALL_SHARE * image_means(truth, mask)).clamp_min(DEGENERATE).pow(power)

    def error(values: Tensor) -> Tensor:
        return (image_means((values - truth).abs().pow(power), mask) + floor).pow(1 / power)

    return (error(prediction) / error(baseline)).where(mask.flatten(1).any(1), 0.0).mean()


def scale_and_shift(source: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Least squares s, b of s source + b = target in each image.

    In closed form: s = cov(source, target) / var(source), b = mean(target) - s mean(source).

    Returns:
        s, b and whether they are determined, each (B, 1, 1, 1). A constant source, or a single
        pixel, determines nothing; then s = 0 and b is the mean of the target.
    """
    source, target = neutral(mask, source, target)

    def mean(values: Tensor) -> Tensor:
        return image_means(values, mask)[:, None, None, None]

    source_mean, target_mean = mean(source), mean(target)
    centred = source - source_mean
    variance = mean(centred.square())
    determined = variance > (DEGENERATE * mean(source.abs())).square()
    covariance = mean(centred * (target - target_mean))
    scale = (covariance / variance.where(determined, 1.0)).where(determined, 0.0)
    return scale, target_mean - scale * source_mean, determined


def aligned(source: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A map brought to the scale and shift of another, and the mask without undetermined images.

    Gradients flow through scale and shift, so that a loss of the result is invariant to both.
    """
    scale, shift, determined = scale_and_shift(source, target, mask)
    return scale * source.where(mask, 1.0) + shift, mask & determined


def ssi(prediction: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Scale- and shift-invariant error: mean |D_f - (s D_m + b)|, s and b by least squares.

    L_SSIL of DMD3C (CVPR 2025). An image in which the teacher is constant teaches nothing
    and contributes 0.
    """
    fitted, mask = aligned(teacher, prediction, mask)
    return l1(prediction, fitted, mask)


def normalised(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Each image less its median, over its mean absolute deviation from it.

    t = median(d), s = mean |d - t|: Ranftl et al., "Towards robust monocular depth estimation",
    TPAMI 2020. Of an even number of values, the median is the lower one.

    Returns:
        the maps, and the mask without images that are constant.
    """
    (values,) = neutral(mask, values)
    median = values.masked_fill(~mask, math.nan).flatten(1).nanmedian(dim=1).values
    centred = values - median.nan_to_num()[:, None, None, None]
    deviation = image_means(centred.abs(), mask)[:, None, None, None]
    varied = deviation > DEGENERATE * image_means(values.abs(), mask)[:, None, None, None]
    return centred / deviation.where(varied, 1.0), mask & varied


def affine_invariant(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of both maps `normalised`, as MiDaS and Depth Anything have it."""
    one, one_mask = normalised(prediction, mask)
    other, other_mask = normalised(target, mask)
    return l1(one, other, one_mask & other_mask)


def silog(prediction: Tensor, truth: Tensor, mask: Tensor, share: float = 0.5) -> Tensor:
    """Scale-invariant log error sqrt(mean g^2 - share (mean g)^2), g = ln prediction - ln truth.

    Eigen et al., "Depth map prediction from a single image", NIPS 2014, eq. 4, under a root.
    """
    prediction, truth = neutral(mask, prediction, truth)
    g = prediction.log() - truth.log()
    squared = image_means(g.square(), mask) - share * image_means(g, mask).square()
    some = squared > 1e-12  # at 0 a root has no gradient
    return squared.where(some, 1.0).sqrt().where(some, 0.0).mean()


def silog_zoedepth(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """10 sqrt(var g + 0.15 (mean g)^2) of ZoeDepth, which is 10 `silog` with a share of 0.85.

    With the variance of the population; their code takes that of a sample.
    """
    return 10.0 * silog(prediction, truth, mask, share=0.85)


def laplace_nll(error: Tensor, log_variance: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of errors under a Laplace law, in nats.

    ln(2 b) + |error| / b with b^2 = variance / 2; Kendall & Gal, "What uncertainties do we need",
    NIPS 2017.
    """
    error, log_variance = error.where(mask, 0.0), log_variance.where(mask, 0.0)
    log_b = 0.5 * (log_variance - math.log(2.0))
    return masked_mean(math.log(2.0) + log_b + error.abs() * (-log_b).exp(), mask)


def coverage(error: Tensor, log_variance: Tensor, mask: Tensor) -> Tensor:
    """Quantile loss of ln |error| at ln sigma and ln 2 sigma, for a Gaussian's shares within them.

    Least where errors at which a network says the same lie within 1 and 2 sigma as often as a
    Gaussian's, whatever their own law, as far as one sigma can have both. A likelihood would have
    few large errors decide, since the tails of a completion's errors are heavy. The loss is that
    of Koenker and Bassett, "Regression quantiles", Econometrica 1978.
    """
    error, log_variance = error.where(mask, 0.0), log_variance.where(mask, 0.0)
    excess = error.abs().clamp_min(SMALLEST_ERROR).log() - 0.5 * log_variance
    total = 0.0
    for k, share in GAUSSIAN_SHARES.items():
        beyond = excess - math.log(k)
        total = total + masked_mean(beyond.clamp_min(0.0) - (1 - share) * beyond, mask)
    return total


def log_error_l1(uncertainty: Tensor, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """How far a stated uncertainty is from the error | ln prediction - ln truth |.

    The error is taken after the median ratio is divided out, and teaches the uncertainty only:
    the confidence loss of Piccinelli et al., "UniDepthV2", 2025.
    """
    uncertainty, prediction, truth = neutral(mask, uncertainty, prediction.detach(), truth)
    g = prediction.log() - truth.log()
    offset = g.masked_fill(~mask, math.nan).flatten(1).nanmedian(dim=1).values.nan_to_num()
    return masked_mean((uncertainty - (g - offset[:, None, None, None]).abs()).abs(), mask)
