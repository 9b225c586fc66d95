"""BP-Net: an image encoder and six stages, from 1/32 of the size to the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from depth_ros.models.bpnet.layers import Basic2d, two_blocks
from depth_ros.models.bpnet.stage import KernelHead, Stage, StageOutput

WIDTH = 32


class BPNet(nn.Module):
    """The network of BP-Net and DMD3C; its parameters have their official names.

    Args:
        width: channels at full size; 32 is the published network.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        channels = [min(width * 2**level, 8 * width) for level in range(6)]
        self.conv_img = nn.Sequential(Basic2d(3, width), two_blocks(width, width, stride=1))
        for level in range(1, 6):
            layer = two_blocks(channels[level - 1], channels[level], stride=2)
            self.add_module(f'layer{level}_img', layer)
        for level in range(6):
            coarse = channels[level + 1] if level < 5 else 0
            self.add_module(f'pred{level}', Stage(level, channels[level], coarse))
        self.apply(_initialise)

    def forward(
        self, image: Tensor, sparse: Tensor, K: Tensor, neighbours: Sequence[Tensor]
    ) -> list[StageOutput]:
        """Results of the six stages, coarsest first; the depth of the last one is the answer.

        Args:
            image: (B, 3, H, W) RGB, normalised; H and W are multiples of 32.
            sparse: (B, 1, H, W) in metres, 0 = none.
            K: (B, 3, 3) camera matrix in pixels.
            neighbours: six tensors (B, 4, N_l), by level from 0, see `neighbours`.
        """
        features = [self.conv_img(image)]
        for level in range(1, 6):
            features.append(self.get_submodule(f'layer{level}_img')(features[-1]))
        results: list[StageOutput] = []
        for level in reversed(range(6)):
            stage = self.get_submodule(f'pred{level}')
            coarser = results[-1] if results else None
            results.append(stage(features[level], sparse, K, neighbours[level], coarser))
        return results


def _initialise(module: nn.Module) -> None:
    """Truncated normal weights, zero biases; kernels start as identity."""
    if isinstance(module, nn.Conv2d):
        fan_out, fan_in = module.weight.shape[:2]
        taps = module.kernel_size[0] * module.kernel_size[1]
        nn.init.trunc_normal_(module.weight, std=math.sqrt(2.0 / (taps * (fan_in + fan_out))))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, KernelHead):
        norm = module.conv[1].conv.get_submodule('bn')
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)
