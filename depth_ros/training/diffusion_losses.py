"""SharpDepth's losses: sharpen by a diffusion model, stay true to metric depth where it is right.

Pham et al., "SharpDepth", CVPR 2025, in the form of its published code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def sds(latent: Tensor, denoised: Tensor, weight: float | Tensor = 1.0) -> Tensor:
    """Score distillation in x0 form: a loss whose gradient is `weight` (z - x0), over the count.

    0.5 mean (z - stopgrad(z - grad))^2, grad = w (z - f(add_noise(z))), w = sigma_t^2.

    Args:
        latent: z, (B, C, h, w), what is trained.
        denoised: x0 that the frozen diffusion model makes of z with noise added.
        weight: sigma_t^2 of that noise.
    """
    target = (latent - weight * (latent - denoised)).detach()
    return 0.5 * (latent - target).square().mean()


def difference_map(one: Tensor, other: Tensor) -> Tensor:
    """How far two maps differ, e = |a - b| / max |a - b| of each image, (B, 1, H, W) in 0..1."""
    difference = (one - other).abs()
    largest = difference.flatten(1).amax(dim=1)[:, None, None, None]
    return difference / largest.where(largest > 0, 1.0)


def noise_aware(prediction: Tensor, metric: Tensor, difference: Tensor) -> Tensor:
    """Reconstruction sum(|p - d| e) / (sum e + 1e-8), over the batch.

    Args:
        prediction: sharpened depth (B, 1, H, W), scaled to 0..1 as the metric one.
        metric: depth of the metric model.
        difference: e, `difference_map` of the metric and the diffusion model.
    """
    return ((prediction - metric).abs() * difference).sum() / (difference.sum() + 1e-8)
