"""Depth Anything's feature alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depth_ros.training.losses import masked_mean

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.85


def feature_alignment(student: Tensor, frozen: Tensor, margin: float = MARGIN) -> Tensor:
    """1 - mean cos(f, f') over the pixels whose features are not yet alike.

    Pixels with a cosine of `margin` or more are left alone: parts of an object may differ in depth
    though a semantic encoder sees one thing. Yang et al., "Depth Anything", CVPR 2024, eq. 8.

    Args:
        student: (B, N, C) features of N pixels or tokens.
        frozen: (B, N, C) of the frozen encoder, such as DINOv2.
        margin: alpha.
    """
    from torch.nn import functional as F

    cosine = F.cosine_similarity(student, frozen.detach(), dim=-1)
    return masked_mean(1.0 - cosine, cosine < margin)
