"""Depth Anything: DINOv2 under the head of a dense prediction transformer, with official names.

Ranftl et al., "Vision transformers for dense prediction", ICCV 2021; Yang et al., "Depth
Anything", CVPR 2024, and "Depth Anything V2", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from depth_ros.models import vit
from depth_ros.models.depth_anything_names import RULES
from depth_ros.models.dinov2 import PATCH_PX, DinoV2
from depth_ros.models.hub_names import renamed

if TYPE_CHECKING:
    from depth_ros.models.depth_anything import DepthAnything

HIDDEN = 32


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps (B, C, h, w) brought to (B, C, *size), corner pixel onto corner pixel."""
    return F.interpolate(maps, tuple(size), mode='bilinear', align_corners=True)


class ResidualUnit(nn.Module):
    """Two convolutions, each after its activation, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) of (B, C, H, W)."""
        return maps + self.conv2(F.relu(self.conv1(F.relu(maps))))


class Fusion(nn.Module):
    """A level of the head joins what the coarser ones made."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resConfUnit1 = ResidualUnit(channels)
        self.resConfUnit2 = ResidualUnit(channels)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, level: Tensor, coarser: Tensor | None, size: Sequence[int]) -> Tensor:
        """(B, C, *size) of two maps (B, C, h, w); the coarsest level has none before it."""
        joined = level if coarser is None else coarser + self.resConfUnit1(level)
        return self.out_conv(resized(self.resConfUnit2(joined), size))


class Scratch(nn.Module):
    """From four levels to one map, coarse to fine.

    Args:
        levels: channels of the four, from fine to coarse.
        features: channels of all in between.
        last: activation of the map.
    """

    def __init__(self, levels: Sequence[int], features: int, last: nn.Module) -> None:
        super().__init__()
        self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn = (
            nn.Conv2d(channels, features, 3, padding=1, bias=False) for channels in levels
        )
        self.refinenet1, self.refinenet2, self.refinenet3, self.refinenet4 = (
            Fusion(features) for _ in levels
        )
        self.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, HIDDEN, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(HIDDEN, 1, 1),
            last,
        )

    def forward(self, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """(B, 1, *size) of four maps (B, C_l, h_l, w_l), from fine to coarse."""
        layers = (self.layer1_rn, self.layer2_rn, self.layer3_rn, self.layer4_rn)
        finest, fine, coarse, coarsest = (
            layer(level) for layer, level in zip(layers, levels, strict=True)
        )
        path = self.refinenet4(coarsest, None, coarse.shape[2:])
        path = self.refinenet3(coarse, path, fine.shape[2:])
        path = self.refinenet2(fine, path, finest.shape[2:])
        path = self.refinenet1(finest, path, [2 * length for length in finest.shape[2:]])
        path = self.output_conv1(path).to(self.output_conv2[0].weight.dtype)
        return self.output_conv2(resized(path, size))


class Head(nn.Module):
    """From the tokens of four blocks to one map.

    Args:
        dim: channels of the tokens.
        levels: channels of the maps that are made of them, at 4, 2, 1 and 1/2 times their grid.
        features: channels of the fusion.
        last: activation of the map.
    """

    def __init__(self, dim: int, levels: Sequence[int], features: int, last: nn.Module) -> None:
        super().__init__()
        finest, fine, _, coarsest = levels
        self.projects = nn.ModuleList(nn.Conv2d(dim, channels, 1) for channels in levels)
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(finest, finest, 4, stride=4),
                nn.ConvTranspose2d(fine, fine, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(coarsest, coarsest, 3, stride=2, padding=1),
            )
        )
        self.scratch = Scratch(levels, features, last)

    def forward(self, tapped: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """(B, 1, *size) of tokens (B, 1 + N, dim); the class token takes no part."""
        rows = size[0] // PATCH_PX
        levels = []
        for tokens, project, resize in zip(tapped, self.projects, self.resize_layers, strict=True):
            patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (rows, -1))
            levels.append(resize(project(patches.to(project.weight.dtype))))
        return self.scratch(levels, size)


class DepthAnythingNetwork(nn.Module):
    """The network of a family, as `DepthAnything` describes it."""

    def __init__(self, family: DepthAnything) -> None:
        super().__init__()
        self.taps, self.factor = family.taps, family.max_depth_m or 1.0
        last = nn.Sigmoid() if family.max_depth_m else nn.ReLU()
        size = family.size
        self.pretrained = DinoV2(size.dim, size.depth, size.heads)
        self.depth_head = Head(size.dim, size.channels, size.features, last)

    def forward(self, image: Tensor) -> Tensor:
        """Metres or disparity (B, 1, H, W) of a normalised image (B, 3, H, W)."""
        tapped = self.pretrained(image, self.taps)
        return self.depth_head(tapped, image.shape[2:]) * self.factor

    def official_names(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The parameters under the official names; see `PublishedTwice`."""
        return renamed(state, RULES)


class Deployed(nn.Module):
    """The network at one size, as it is exported and run.

    In half precision are the linear maps of the blocks and the convolutions of the head, all but
    the last ones. The sum over the blocks and the output are not.

    Args:
        network: is changed.
        precision: one of `depth_ros.engines.base.PRECISIONS`.
        size: (height, width) in pixels.
    """

    def __init__(
        self, network: DepthAnythingNetwork, precision: str, size: tuple[int, int]
    ) -> None:
        super().__init__()
        height, width = size
        network.pretrained.bake(height // PATCH_PX, width // PATCH_PX)
        if precision != 'fp32':
            vit.halve(network, precision)
            network.depth_head.half()
            network.depth_head.scratch.output_conv2.float()
        self.network = network.requires_grad_(False)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        """Metres or disparity (1, 1, H, W) of a normalised image (1, 3, H, W)."""
        return (self.network(image),)
