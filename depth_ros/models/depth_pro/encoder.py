"""The encoder of Depth Pro: a vision transformer over windows at three scales, one over the whole.

Bochkovskii et al., "Depth Pro: sharp monocular metric depth in less than a second", ICLR 2025,
section 3.1. Parameters have their official names, which are those of timm in the transformers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_ros.models.depth_pro.config import PATCH_PX, Config
from depth_ros.models.depth_pro.windows import merge, split
from depth_ros.models.vit import NORM_EPSILON, Block, PatchEmbed


class VisionTransformer(nn.Module):
    """A vision transformer over images of one size."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid**2 + 1, config.dim))
        self.patch_embed = PatchEmbed(config.dim, PATCH_PX)
        self.blocks = nn.ModuleList(Block(config.dim, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=NORM_EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        """Normed tokens (B, 1 + N, dim), class token first, of images (B, 3, window, window)."""
        return self.features(images)[-1]

    def features(self, images: Tensor, hooks: Sequence[int] = ()) -> list[Tensor]:
        """What the blocks `hooks` give, as it is, and what `forward` does."""
        patches = self.patch_embed(images)
        classes = self.cls_token.expand(len(patches), -1, -1)
        tokens = torch.cat((classes, patches), dim=1) + self.pos_embed
        found = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in hooks:
                found.append(tokens)
        return [*found, self.norm(tokens)]


class Encoder(nn.Module):
    """Encodings of an image at five resolutions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.patch_encoder = VisionTransformer(config)
        self.image_encoder = VisionTransformer(config)
        dim, (latent, fine, middle, coarse) = config.dim, config.dims_encoder
        self.upsample_latent0 = _upsampler(dim, latent, config.decoder_features, doublings=3)
        self.upsample_latent1 = _upsampler(dim, latent, latent, doublings=2)
        self.upsample0 = _upsampler(dim, fine, fine, doublings=1)
        self.upsample1 = _upsampler(dim, middle, middle, doublings=1)
        self.upsample2 = _upsampler(dim, coarse, coarse, doublings=1)
        self.upsample_lowres = nn.ConvTranspose2d(dim, coarse, 2, stride=2)
        self.fuse_lowres = nn.Conv2d(2 * coarse, coarse, 1)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Five maps, the finest first: half the side of the image, and then half of that each.

        Args:
            image: (B, 3, side, side) in -1..1, where side is `Config.image_px`.
        """
        window_px, grid = self.config.window_px, self.config.grid
        half, quarter = (
            F.interpolate(image, scale_factor=scale, mode='bilinear', align_corners=False)
            for scale in (0.5, 0.25)
        )
        windows = (split(image, window_px, 5), split(half, window_px, 3), quarter)
        counts = [len(part) for part in windows]
        *hooked, tokens = self.patch_encoder.features(torch.cat(windows), self.config.hooks)
        latent0, latent1 = (
            merge(self._maps(found[: counts[0]]), 5, grid // 8) for found in hooked
        )
        fine, middle, coarse = self._maps(tokens).split(counts)
        whole = self._maps(self.image_encoder(quarter))
        return [
            self.upsample_latent0(latent0),
            self.upsample_latent1(latent1),
            self.upsample0(merge(fine, 5, grid // 8)),
            self.upsample1(merge(middle, 3, grid // 4)),
            self.fuse_lowres(
                torch.cat((self.upsample2(coarse), self.upsample_lowres(whole)), dim=1)
            ),
        ]

    def _maps(self, tokens: Tensor) -> Tensor:
        """(B, dim, grid, grid) of tokens (B, 1 + N, dim), in the type of the convolutions."""
        patches = tokens[:, 1:].to(self.fuse_lowres.weight.dtype)
        return patches.transpose(1, 2).unflatten(2, (self.config.grid, self.config.grid))


def _upsampler(dim: int, inner: int, outer: int, doublings: int) -> nn.Sequential:
    """Channels `dim` to `inner` to `outer`, and twice the size for each of the doublings."""
    widths = [inner, *[outer] * doublings]
    steps = (
        nn.ConvTranspose2d(before, after, 2, stride=2, bias=False)
        for before, after in itertools.pairwise(widths)
    )
    return nn.Sequential(nn.Conv2d(dim, inner, 1, bias=False), *steps)
