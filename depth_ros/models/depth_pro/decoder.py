"""The decoder of Depth Pro: encodings fused from coarse to fine, section 3.1 of its paper."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from depth_ros.models.depth_pro.config import Config


class LastConv2d(nn.Conv2d):
    """A convolution that gives an answer: it takes any type and keeps its own."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, out, h, w) of (B, in, h, w)."""
        return super().forward(input.to(self.weight.dtype))


class ResidualUnit(nn.Module):
    """Two convolutions, each after its activation, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) of (B, C, h, w)."""
        return features + self.residual(features)


class Fusion(nn.Module):
    """Adds a finer encoding, if there is one, and doubles the size.

    Args:
        channels: of everything.
        doubles: whether it changes the size.
    """

    def __init__(self, channels: int, doubles: bool) -> None:
        super().__init__()
        self.resnet1 = ResidualUnit(channels)
        self.resnet2 = ResidualUnit(channels)
        if doubles:
            self.deconv = nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)
        self.doubles = doubles
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor, encoding: Tensor | None = None) -> Tensor:
        """(B, C, 2h, 2w), or (B, C, h, w), of (B, C, h, w) both."""
        if encoding is not None:
            features = features + self.resnet1(encoding)
        features = self.resnet2(features)
        return self.out_conv(self.deconv(features) if self.doubles else features)


class Decoder(nn.Module):
    """A pyramid of fusions."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.decoder_features
        self.convs = nn.ModuleList([nn.Identity()])  # the finest encoding has the right width
        for channels in config.dims_encoder:
            self.convs.append(nn.Conv2d(channels, width, 3, padding=1, bias=False))
        self.fusions = nn.ModuleList(Fusion(width, level > 0) for level in range(len(self.convs)))

    def forward(self, encodings: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Features at the finest resolution, and at the coarsest, of encodings, finest first."""
        *finer, coarsest = (
            conv(encoding) for conv, encoding in zip(self.convs, encodings, strict=True)
        )
        features = self.fusions[-1](coarsest)
        for level in reversed(range(len(finer))):
            features = self.fusions[level](features, finer[level])
        return features, coarsest
