"""The field-of-view head of Depth Pro, section 3.3 of its paper."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from depth_ros.models.depth_pro.config import Config
from depth_ros.models.depth_pro.decoder import LastConv2d
from depth_ros.models.depth_pro.encoder import VisionTransformer
from depth_ros.models.vit import Linear


class FieldOfView(nn.Module):
    """A transformer of its own over the image, and the coarsest features of the depth network."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.decoder_features
        self.encoder = nn.Sequential(VisionTransformer(config), Linear(config.dim, width // 2))
        self.downsample = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Sequential(
            nn.Conv2d(width // 2, width // 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width // 4, width // 8, 3, stride=2, padding=1),
            nn.ReLU(),
            LastConv2d(width // 8, 1, config.grid // 4),
        )

    def forward(self, image: Tensor, coarsest: Tensor) -> Tensor:
        """Horizontal field of view (B,) in degrees.

        Args:
            image: (B, 3, side, side) in -1..1, where side is `Config.image_px`.
            coarsest: features (B, C, 2 * grid, 2 * grid) of the decoder.
        """
        quarter = F.interpolate(image, scale_factor=0.25, mode='bilinear', align_corners=False)
        seen = self.downsample(coarsest)
        tokens = self.encoder(quarter)[:, 1:]
        return self.head(seen + tokens.transpose(1, 2).reshape(seen.shape)).flatten()
