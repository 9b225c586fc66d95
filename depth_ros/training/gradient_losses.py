"""Losses on the gradients of depth: edges where the truth has them, and nowhere else.

Conventions are those of `losses`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from depth_ros.training.losses import image_means, masked_mean, neutral

if TYPE_CHECKING:
    from torch import Tensor

_SCHARR = ((3.0, 0.0, -3.0), (10.0, 0.0, -10.0), (3.0, 0.0, -3.0))
_LAPLACE = ((0.0, 1.0, 0.0), (1.0, -4.0, 1.0), (0.0, 1.0, 0.0))


def gradient_matching(prediction: Tensor, target: Tensor, mask: Tensor, scales: int = 4) -> Tensor:
    """Sum over scales of mean |dx R| + mean |dy R|, R = prediction - target.

    Scale k takes every 2^k-th pixel; a difference counts if both of its pixels do. L_reg of
    MiDaS (TPAMI 2020) and, with K = 4, of DMD3C (CVPR 2025).
    """
    prediction, target = neutral(mask, prediction, target)
    total = prediction.new_zeros(())
    for step in (2**k for k in range(scales)):
        residual = (prediction - target)[..., ::step, ::step]
        known = mask[..., ::step, ::step]
        for axis in (-1, -2):
            count = residual.shape[axis] - 1
            after, before = known.narrow(axis, 1, count), known.narrow(axis, 0, count)
            total = total + masked_mean(residual.diff(dim=axis).abs(), after & before)
    return total


def canonical_inverse(depth_m: Tensor, f_px: Tensor) -> Tensor:
    """Depth Pro's canonical inverse depth C = f / (w D), w the width of the map.

    Args:
        depth_m: (B, 1, H, W) in metres.
        f_px: (B,) focal length in pixels.
    """
    return f_px[:, None, None, None] / (depth_m.shape[-1] * depth_m)


def trimmed_l1(prediction: Tensor, truth: Tensor, mask: Tensor, dropped: float = 0.2) -> Tensor:
    """Mean absolute error without the largest errors of each image.

    Depth Pro's MAE (ICLR 2025) on canonical inverse depth: real data have wrong
    truth, so 20 % are dropped; 0 for synthetic data.
    """
    prediction, truth = neutral(mask, prediction, truth)
    errors = (prediction - truth).abs().masked_fill(~mask, math.inf).flatten(1).sort(dim=1).values
    kept = (mask.flatten(1).sum(1) * (1.0 - dropped)).ceil()
    rank = errors.new_ones(errors.shape).cumsum(1)
    return masked_mean(errors, rank <= kept[:, None])


def mage(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Depth Pro's mean absolute gradient error: Scharr, 6 scales."""
    return _derivative_error(prediction, truth, mask, _first_derivatives(), power=1)


def male(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Depth Pro's mean absolute Laplace error: 6 scales."""
    return _derivative_error(prediction, truth, mask, [_LAPLACE], power=1)


def msge(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Depth Pro's mean squared gradient error: Scharr, 6 scales."""
    return _derivative_error(prediction, truth, mask, _first_derivatives(), power=2)


Kernel = tuple[tuple[float, ...], ...]


def _first_derivatives() -> list[Kernel]:
    """Scharr's kernels, scaled so that a slope of 1 per pixel gives 1."""
    along_x = tuple(tuple(value / 32 for value in row) for row in _SCHARR)
    return [along_x, tuple(zip(*along_x, strict=True))]


def _derivative_error(
    prediction: Tensor,
    truth: Tensor,
    mask: Tensor,
    kernels: list[Kernel],
    power: int,
    scales: int = 6,
) -> Tensor:
    """1/M sum_j mean_i |op C_i^j - op C*_i^j|^p, of Depth Pro (ICLR 2025).

    The operators are linear, so they see the residual. Those with two components add the errors
    of both. A response counts if all of its 3x3 pixels do.
    """
    from torch.nn import functional as F

    prediction, truth = neutral(mask, prediction, truth)
    weights = prediction.new_tensor(kernels)[:, None]
    total = prediction.new_zeros(())
    for residual, known in _pyramid(prediction - truth, mask, scales):
        inside = -F.max_pool2d(-known.to(residual.dtype), 3, stride=1) > 0
        errors = F.conv2d(residual, weights).abs().pow(power).sum(dim=1, keepdim=True)
        total = total + image_means(errors, inside).mean()
    return total / scales


def _pyramid(residual: Tensor, mask: Tensor, scales: int) -> Iterator[tuple[Tensor, Tensor]]:
    """A residual and its mask at sizes halved each time, while they hold a 3x3 kernel.

    The blur before each halving is the mean of 2x2 pixels; Depth Pro names none. A coarse pixel
    counts if all four do.
    """
    from torch.nn import functional as F

    for _ in range(scales):
        if min(residual.shape[-2:]) < 3:
            return
        yield residual, mask
        residual = F.avg_pool2d(residual, 2)
        mask = -F.max_pool2d(-mask.to(residual.dtype), 2) > 0
