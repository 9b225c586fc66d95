"""The twin of `graph_inputs` for an image and returns that are on a device already."""

from __future__ import annotations

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from depth_ros.models.bpnet import INPUTS, STRIDE, VALID_M
from depth_ros.models.bpnet.neighbours_torch import pyramid


def graph_inputs(
    rgb: Tensor, sparse_m: Tensor, K: npt.ArrayLike, normalisation: npt.ArrayLike
) -> dict[str, Tensor]:
    """Inputs of the deployed network, batch 1, padded to a multiple of 32.

    They grow at the right and at the bottom, as by `padded`.

    Args:
        rgb: (H, W, 3) uint8.
        sparse_m: (H, W) metres, 0 = none, on the same device.
        K: (3, 3) camera matrix in pixels.
        normalisation: (2, 3) mean and standard deviation of 0..255 RGB.

    Raises:
        ModelError: there is no return.
    """
    height, width = sparse_m.shape
    right, bottom = -width % STRIDE, -height % STRIDE
    rows = torch.arange(height + bottom, device=rgb.device).clamp(max=height - 1)
    columns = torch.arange(width + right, device=rgb.device).clamp(max=width - 1)
    sparse_m = F.pad(sparse_m, (0, right, 0, bottom))

    def small(values: npt.ArrayLike) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=rgb.device)

    image = rgb[rows][:, columns] if right or bottom else rgb
    neighbours = (index[None] for index in pyramid(sparse_m > VALID_M))
    parts = (image[None], sparse_m[None, None], small(K)[None], small(normalisation))
    return dict(zip(INPUTS, (*parts, *neighbours), strict=True))
