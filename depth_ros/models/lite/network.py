"""The network of `lite`: a small U-Net that sees full size through cells of 2x2 and 4x4 pixels.

All of it is relative to the prior, so that it knows no unit and serves a room as well as a street.
Where the prior blends a near and a far surface, a gate moves each pixel towards the one or the
other; how far around these are looked for is decided for each cell. What remains is a factor, and
at returns a share of what they say themselves. Pixels of a cell are channels of the output (Shi et
al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
neural network", CVPR 2016), so that no convolution runs at full size.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

CELL = 4
VALID_M = 1e-3
"""Sparse depth up to here means no measurement."""
WIDTHS = (16, 32, 48, 96)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the size."""
CUES = 11
"""Channels that are computed of the prior and the returns, not learned."""
_PER_PIXEL = 3  # a gate, a factor, and how much a return is trusted
_DISTRUST = 4.0  # log-odds against a return, before anything is learned,
_HERE = 2.0  # and against surfaces that are farther around


class Lite(nn.Module):
    """The network; untrained, it gives the prior and its sigma, but for 2 % of it at returns."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.stem = ConvUnit(6, half, 2, stride=2)
        self.down4 = ConvUnit(half, quarter - CUES, 3, stride=2)
        self.down8 = ConvUnit(quarter, eighth, 3, stride=2)
        self.encode8 = _units(eighth, (1, 2))
        self.down16 = ConvUnit(eighth, sixteenth, 3, stride=2)
        self.encode16 = _units(sixteenth, (1, 2, 4))
        self.up8 = nn.Conv2d(sixteenth, eighth, 1)
        self.decode8 = _units(eighth, (1,))
        self.up4 = nn.Conv2d(eighth, quarter, 1)
        self.decode4 = _units(quarter, (1,))
        self.reach = nn.Conv2d(quarter, 4, 1)
        self.up2 = nn.Conv2d(quarter, half, 1)
        self.decode2 = _units(half, (1, 1))
        # The same as a convolution of 1x1 and `pixel_shuffle`, in less time.
        self.pixels = nn.ConvTranspose2d(half, _PER_PIXEL, 2, 2)
        self.variance = nn.Conv2d(half, 1, 1)
        for layer in (self.reach, self.pixels, self.variance):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, image: Tensor, sparse: Tensor, prior: Tensor, prior_sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Depth in metres, and the log of the variance of its relative error, each (B, 1, H, W).

        Args:
            image: (B, H, W, 3) uint8 RGB.
            sparse: (B, 1, H, W) depth of the returns in metres, 0 = none; negative where the
                occlusion filter took one out.
            prior: (B, 1, H, W) dense depth in metres, > 0.
            prior_sigma: (B, 1, H, W) its sigma in metres, > 0.
        """
        inverse = 1.0 / prior
        mean = F.avg_pool2d(inverse, CELL)
        found = (sparse > VALID_M).to(inverse.dtype)
        # How far returns lie behind the prior (+) or before it (-), at most by its own depth.
        residual = ((sparse - prior) * inverse * found).clamp(-1.0, 1.0)
        hidden = (-sparse * inverse - 1.0).clamp(-1.0, 2.0)  # -1 where none was taken out
        around = F.avg_pool2d(mean, 5, 1, 2, count_include_pad=False)
        relief = (inverse * _repeat(1.0 / around) - 1.0).clamp(-1.0, 2.0)
        # TensorRT casts bytes but does not move them.
        rgb = image.to(inverse.dtype).permute(0, 3, 1, 2) * (1 / 255) - 0.5
        full = torch.cat((rgb, 3 * relief, 5 * residual, found), 1)

        near, far = _extremes(inverse)
        # The farthest is the nearest of the negatives, so that one pooling does both.
        both = torch.cat((near, -far), 1)
        wide = F.max_pool2d(both, 7, 1, 3)
        widest = _repeat(F.max_pool2d(F.max_pool2d(both, 4), 5, 1, 2))
        behind, before = _extremes(residual)
        log_sigma = F.avg_pool2d(prior_sigma * inverse, CELL).log()
        bounds = torch.cat((both, wide, widest), 1) / mean
        cues = (
            *(bounds, 5 * behind, 5 * before, F.max_pool2d(hidden, CELL)),
            *(log_sigma / 2 + 2, mean.clamp(min=1e-3).log() / 3 + 1),
        )
        pixels, log_variance, reach = self._trunk(full, torch.cat(cues, 1))

        gate, factor, trust = pixels.to(inverse.dtype).split(1, 1)
        first, second = (reach.to(inverse.dtype) - _HERE).sigmoid().split(2, 1)
        both = both + first * (wide - both)
        near, far = (both + second * (widest - both)).split(1, 1)
        chosen = _towards(inverse, gate.tanh(), near, -far)
        depth = (0.1 * factor).exp() / chosen
        depth = depth + (trust - _DISTRUST).sigmoid() * found * (sparse - depth)
        return depth, _repeat(log_variance.to(inverse.dtype) + 2 * _repeat(log_sigma, 2), 2)

    def _trunk(self, full: Tensor, cues: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is learned, of full-size channels and cues of 4x4 cells.

        Returns:
            What each pixel does, a log-variance of 2x2 cells, and how far 4x4 cells reach.
        """
        dtype = self.variance.weight.dtype
        half = self.stem(full.to(dtype))
        quarter = torch.cat((self.down4(half), cues.to(dtype)), 1)
        eighth = self.encode8(self.down8(quarter))
        sixteenth = self.encode16(self.down16(eighth))
        eighth = self.decode8(eighth + _repeat(self.up8(sixteenth), 2))
        quarter = self.decode4(quarter + _repeat(self.up4(eighth), 2))
        half = self.decode2(half + _repeat(self.up2(quarter), 2))
        return self.pixels(half), self.variance(half), self.reach(quarter)


class ConvUnit(nn.Module):
    """A convolution, a normalisation that `deploy` folds into it, and ReLU."""

    def __init__(
        self, channels: int, out: int, size: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * ((size - stride + 1) // 2) if size > stride else 0
        self.conv = nn.Conv2d(channels, out, size, stride, padding, dilation, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(out)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, out, H / stride, W / stride) of features (B, channels, H, W)."""
        return F.relu(self.norm(self.conv(features)))


def deploy(model: nn.Module, precision: str) -> Lite:
    """A copy of a loaded network, ready to be run or exported.

    In all but `fp32` the trunk is in half precision; depth and what is divided by it is not.
    """
    if not isinstance(model, Lite):
        raise TypeError(f'Lite wanted, got {type(model).__name__}.')
    network = copy.deepcopy(model).eval()
    for unit in network.modules():
        if isinstance(unit, ConvUnit):
            unit.conv = fuse_conv_bn_eval(unit.conv, unit.norm)
            unit.norm = nn.Identity()
    return network if precision == 'fp32' else network.half()


def _units(channels: int, dilations: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*(ConvUnit(channels, channels, 3, dilation=d) for d in dilations))


def _extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Maximum and minimum over each cell and its neighbours, (B, 1, H / 4, W / 4)."""
    cells = torch.cat((F.max_pool2d(values, CELL), F.max_pool2d(-values, CELL)), 1)
    highest, lowest = F.max_pool2d(cells, 3, 1, 1).split(1, 1)
    return highest, -lowest


def _towards(inverse: Tensor, gate: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """Inverse depth moved to the near bound by a gate of 1, to the far one by -1.

    gate (near - inverse) if gate > 0, else -gate (far - inverse), written without a branch, so
    that a gate of 0 has a slope to learn from.
    """
    step = gate * _repeat(near - far) + gate.abs() * (_repeat(near + far) - 2 * inverse)
    return inverse + 0.5 * step


def _repeat(values: Tensor, factor: int = CELL) -> Tensor:
    return F.interpolate(values, scale_factor=float(factor), mode='nearest')
