"""DINOv2, the transformer that sees in Depth Anything, under its official parameter names.

Oquab et al., "DINOv2: Learning robust visual features without supervision", TMLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_ros.models.vit import NORM_EPSILON, Block, PatchEmbed

PATCH_PX = 14
GRID = 37
"""Patches along each side of the images that the position embedding was learned on: 518 px."""
OFFSET = 0.1
"""Added to a number of patches before it becomes a factor; the weights are used to its effect."""


class DinoV2(nn.Module):
    """A vision transformer for images of any size that is a multiple of `PATCH_PX`.

    Args:
        dim: channels of a token.
        depth: number of blocks.
        heads: of the attention in each.
    """

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.grid = (GRID, GRID)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, dim))  # of the training; here for its name
        self.patch_embed = PatchEmbed(dim, PATCH_PX)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPSILON)

    def forward(self, image: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Normed tokens after some blocks, class token first: (B, 1 + N, dim) each.

        Args:
            image: (B, 3, H, W), normalised.
            taps: numbers of those blocks, from 0 and in order.
        """
        height, width = image.shape[2:]
        tokens = self.patch_embed(image)
        tokens = torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), dim=1)
        tokens = tokens + self.position_embedding(height // PATCH_PX, width // PATCH_PX)
        tapped = []
        for number, block in enumerate(self.blocks):
            tokens = block(tokens)
            if number in taps:
                tapped.append(self.norm(tokens))
        return tapped

    def position_embedding(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows * columns, dim) of that many patches, as the official code makes it.

        The factors of the bicubic interpolation, not its size, are what it is given; that shifts
        what it samples by up to a tenth of a patch.
        """
        if (rows, columns) == self.grid:
            return self.pos_embed
        of_class, of_patches = self.pos_embed.tensor_split((1,), dim=1)
        learned = of_patches.unflatten(1, self.grid).permute(0, 3, 1, 2)
        factors = [(n + OFFSET) / size for n, size in zip((rows, columns), self.grid, strict=True)]
        resized = F.interpolate(learned, scale_factor=factors, mode='bicubic')
        return torch.cat((of_class, resized.flatten(2).transpose(1, 2)), dim=1)

    def bake(self, rows: int, columns: int) -> None:
        """Keep the position embedding of that many patches alone, a constant for a graph."""
        self.pos_embed = nn.Parameter(self.position_embedding(rows, columns).detach())
        self.grid = (rows, columns)
