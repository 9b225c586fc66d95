"""A network family small enough for tests: what `depth_ros.models.base.NetworkFamily` asks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

STRIDE = 4
SIZE = None
INPUTS = ('image', 'sparse', 'nearest')
OUTPUTS = ('depth', 'sigma')


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))


class Deployed(nn.Module):
    def __init__(self, trunk: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.trunk = trunk
        self.dtype = dtype

    def forward(self, image: Tensor, sparse: Tensor, nearest: Tensor) -> tuple[Tensor, Tensor]:
        rgb = image.to(sparse.dtype).permute(0, 3, 1, 2) / 255
        filled = sparse.flatten().index_select(0, nearest.flatten()).view(sparse.shape)
        features = torch.cat((rgb, filled / 100), dim=1).to(self.dtype)
        residual, log_sigma = self.trunk(features).to(sparse.dtype).split(1, dim=1)
        return filled + residual, log_sigma.exp()


def build() -> nn.Module:
    return Tiny()


def deployed(model: nn.Module, precision: str, size: tuple[int, int]) -> nn.Module:
    dtype = torch.float32 if precision == 'fp32' else torch.float16
    copy = Tiny()
    copy.load_state_dict(model.state_dict())
    return Deployed(copy.trunk.to(dtype), dtype)


def golden_inputs(height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sparse = np.zeros((1, 1, height, width), np.float32)
    sparse[..., ::3, ::3] = 5 + 20 * rng.random(sparse[..., ::3, ::3].shape)
    v, u = np.mgrid[0:height, 0:width]
    nearest = (v // 3 * 3 * width + u // 3 * 3).reshape(1, -1).astype(np.int32)
    image = rng.integers(0, 256, (1, height, width, 3), np.uint8)
    return {'image': image, 'sparse': sparse, 'nearest': nearest}
