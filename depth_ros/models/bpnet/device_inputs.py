"""The twin of `graph_inputs` for an image and returns that are on a device already."""

from __future__ import annotations

import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from depth_ros.models.bpnet import INPUTS, VALID_M, padded_size
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
    full_height, full_width = padded_size(height, width)
    sparse_m = F.pad(sparse_m, (0, full_width - width, 0, full_height - height))
    rows = torch.arange(full_height, device=rgb.device).clamp(max=height - 1)
    columns = torch.arange(full_width, device=rgb.device).clamp(max=width - 1)

    def small(values: npt.ArrayLike) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=rgb.device)

    image = rgb if sparse_m.shape == (height, width) else rgb[rows][:, columns]
    neighbours = (index[None] for index in pyramid(sparse_m > VALID_M))
    parts = (image[None], sparse_m[None, None], small(K)[None], small(normalisation))
    return dict(zip(INPUTS, (*parts, *neighbours), strict=True))
