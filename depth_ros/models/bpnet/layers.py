"""Convolution blocks of BP-Net, under the names that its checkpoints use.

Every convolution casts its input to the type of its weights, so that a network whose trunk was
cast to half precision (`deploy`) runs without a change.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


def unchanged(x: Tensor) -> Tensor:
    """No activation."""
    return x


class Conv2d(nn.Conv2d):
    """Convolution of several maps (B, C_i, H, W) side by side."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Convolve the parts as one map with all their channels."""
        return super().forward(concatenated(parts, self.weight.dtype))


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution of several maps (B, C_i, H, W) side by side."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Convolve the parts as one map with all their channels."""
        return super().forward(concatenated(parts, self.weight.dtype))


def concatenated(parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """Maps as one with all their channels, in the given type."""
    cast = [part.to(dtype) for part in parts]
    return torch.cat(cast, dim=1) if len(cast) > 1 else cast[0]


class Basic2d(nn.Module):
    """Convolution that keeps the size, batch norm, activation; without norm it has a bias."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        activation: Activation = torch.relu,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        convolution = Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=not norm)
        self.conv.add_module('conv', convolution)
        if norm:
            self.conv.add_module('bn', nn.BatchNorm2d(out_channels))
        self.activation = activation

    def forward(self, *parts: Tensor) -> Tensor:
        """(B, C, H, W) of maps with together `in_channels` channels."""
        return self.normed(self.conv.get_submodule('conv')(*parts))

    def normed(self, x: Tensor) -> Tensor:
        """Norm, if there is one, and activation."""
        for layer in self.conv[1:]:
            x = layer(x)
        return self.activation(x)


class BasicBlock(nn.Module):
    """Residual block of two 3x3 convolutions (He et al., CVPR 2016)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            shortcut = Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H / stride, W / stride)."""
        x = x.to(self.conv1.weight.dtype)
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + identity)


def two_blocks(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Two residual blocks, the first of which has the stride."""
    return nn.Sequential(
        BasicBlock(in_channels, out_channels, stride), BasicBlock(out_channels, out_channels, 1)
    )


class Basic2dTrans(nn.Module):
    """Transposed convolution to twice the size, batch norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvTranspose2d(in_channels, out_channels, 4, 2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, *parts: Tensor) -> Tensor:
        """(B, C, 2 H, 2 W) of maps (B, C_i, H, W)."""
        return torch.relu(self.bn(self.conv(*parts)))


class UpCat(nn.Module):
    """A coarser map at twice its size, joined with one of that size.

    Args:
        coarse_channels: channels of all coarse maps together.
        fine_channels: channels of the fine map.
        out_channels: channels of the result.
    """

    def __init__(self, coarse_channels: int, fine_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upf = Basic2dTrans(coarse_channels, out_channels)
        self.conv = Basic2d(out_channels + fine_channels, out_channels)

    def forward(self, fine: Tensor, *coarse: Tensor) -> Tensor:
        """(B, C, H, W) of a fine map (B, C_f, H, W) and coarse ones (B, C_i, H / 2, W / 2)."""
        return self.conv(self.upf(*coarse), fine)


class UNet(nn.Module):
    """Encoder and decoder with skip connections; channels double with each step, up to 256.

    Args:
        channels: of the feature and of the result.
        extra: channels of the other map that goes in.
        depth: number of times the size is halved.
    """

    def __init__(self, channels: int, extra: int, depth: int) -> None:
        super().__init__()
        first = nn.Sequential(
            Basic2d(channels + extra, channels), two_blocks(channels, channels, stride=1)
        )
        encoder, decoder = [first], []
        for _ in range(depth):
            deeper = min(2 * channels, 256)
            encoder.append(two_blocks(channels, deeper, stride=2))
            decoder.append(UpCat(deeper, channels, channels))
            channels = deeper
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)

    def forward(self, feature: Tensor, extra: Tensor) -> Tensor:
        """(B, C, H, W) of a feature (B, C, H, W) and another map (B, extra, H, W)."""
        join, blocks = self.encoder[0]
        skips = [blocks(join(feature, extra))]
        for stage in self.encoder[1:]:
            skips.append(stage(skips[-1]))
        x = skips.pop()
        for up, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = up(skip, x)
        return x
