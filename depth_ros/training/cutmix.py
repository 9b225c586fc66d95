"""CutMix of unlabelled images, and the loss against two teachers.

Yun et al., "CutMix", ICCV 2019; for depth: Yang et al., "Depth Anything", CVPR 2024, section 3.2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from depth_ros.frame import Bool
from depth_ros.training.losses import affine_invariant

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PROBABILITY = 0.5
"""Share of images that Depth Anything mixes."""


def rectangle(height: int, width: int, rng: np.random.Generator) -> Bool:
    """Mask (H, W) of a rectangle: its share of the area is uniform, its shape that of the image.

    Its centre is uniform, and what lies outside the image is cut off (CutMix, eq. 2).
    """
    share = math.sqrt(rng.uniform())
    v, u = rng.uniform(0, height), rng.uniform(0, width)
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    inside_v = np.abs(rows - v) < share * height / 2
    inside_u = np.abs(columns - u) < share * width / 2
    return np.logical_and.outer(inside_v, inside_u)


def mixed(inside: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """`one` inside, `other` outside a mask (B, 1, H, W); u_ab of Depth Anything, eq. 4."""
    return one.where(inside, other)


def cutmix_loss(
    prediction: Tensor,
    one: Tensor,
    other: Tensor,
    inside: Tensor,
    mask: Tensor,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] = affine_invariant,
) -> Tensor:
    """The loss inside against one teacher and outside against the other, averaged by area.

    Sum M / HW L(M) + sum (1 - M) / HW L(1 - M): Depth Anything, eq. 5 to 7. Scale and shift are
    free on each side.

    Args:
        prediction: (B, 1, H, W) for the mixed image.
        one: the teacher's map for the image inside.
        other: its map for the image outside.
        inside: (B, 1, H, W) bool.
        mask: pixels that count.
        loss: of a batch of maps, invariant to scale and shift.
    """
    total = prediction.new_zeros(())
    for i in range(len(prediction)):
        at = slice(i, i + 1)
        for side, teacher in ((inside[at], one[at]), (~inside[at], other[at])):
            share = side.to(prediction.dtype).mean()
            total = total + share * loss(prediction[at], teacher, mask[at] & side)
    return total / len(prediction)
