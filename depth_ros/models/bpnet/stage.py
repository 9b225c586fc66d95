"""One stage of BP-Net: propagate sparse depth, fuse it with the image, refine it.

Source: Tang, Tian, An, Li, Tan, "Bilateral Propagation Network for Depth Completion",
CVPR 2024; DMD3C (CVPR 2025) is the same network with other weights. Depth and everything that
is added to it stays in the type of the sparse depth; only features may be in half precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depth_ros.models.bpnet import VALID_M
from depth_ros.models.bpnet.layers import Activation, Basic2d, Conv2d, UNet, UpCat, unchanged
from depth_ros.models.bpnet.neighbours import NEIGHBOURS

EPSILON = 1e-6


class StageOutput(NamedTuple):
    """What a stage of (h, w) pixels gives.

    Attributes:
        feature: (B, C, h, w), for the next stage.
        depth: (B, 1, h, w) in metres.
        spread: (B, 1, h, w) standard deviation of what the neighbours propose, under their
            weights, in metres.
        residual: (B, 1, h, w) what the image adds to the propagated depth, in metres.
    """

    feature: Tensor
    depth: Tensor
    spread: Tensor
    residual: Tensor


class Pool(nn.Module):
    """Sparse depth at 1 / 2^level of its size, each pixel weighted by what the feature says."""

    def __init__(self, channels: int, level: int) -> None:
        super().__init__()
        self.cell = 2**level
        layers = (
            Basic2d(channels, channels, 1),
            Basic2d(channels, channels, 1),
            Conv2d(channels, self.cell**2, 1),
        )
        self.permute = nn.ModuleDict({'conv': nn.Sequential(*layers)})

    def forward(self, sparse: Tensor, feature: Tensor) -> Tensor:
        """(B, 1, h, w) of sparse depth (B, 1, H, W) and a feature (B, C, h, w); 0 = none."""
        cells = F.pixel_unshuffle(sparse, self.cell)  # a channel per pixel of a cell
        found = cells > VALID_M
        logits = self.permute['conv'](feature).to(sparse.dtype)
        nothing = torch.full_like(logits, -1e9)
        highest = torch.where(found, logits, nothing).amax(dim=1, keepdim=True)
        zero = torch.zeros_like(logits)
        weights = torch.where(found, (logits - highest).clamp(max=0.0).exp(), zero)
        # EPSILON on the mean shrinks a lone return a little: the trained weights know it.
        mean = weights.mean(dim=1, keepdim=True)
        return (cells * weights).mean(dim=1, keepdim=True) / (mean + EPSILON)


class NeighbourConv(Basic2d):
    """1x1 convolution over [target feature, neighbour feature, neighbour xyz, offset]."""

    def __init__(self, channels: int) -> None:
        super().__init__(2 * channels + 5, channels, 1, F.gelu)
        self.parts = (channels, channels, 3, 2)

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, C, 4, N) of the inputs of `neighbour_convolution`."""
        convolution = self.conv.get_submodule('conv')
        weights = convolution.weight.split(self.parts, dim=1)
        return self.normed(neighbour_convolution(inputs, weights, convolution.bias))


def neighbour_convolution(
    inputs: Sequence[Tensor], weights: Sequence[Tensor], bias: Tensor | None
) -> Tensor:
    """A linear map (B, C, 4, N) of each pixel and its neighbours.

    Linear, so it is applied to whole maps and the result is gathered: to gather first would take
    2 C + 5 maps of 4 N values.

    Args:
        inputs: feature (B, C, h, w), xyz (B, 3, h, w) in metres, offset to the neighbours
            (B, 2, 4, N) in pixels, their flat index (B, 4, N).
        weights: of the feature at the pixel (C, C, 1, 1), of the feature at the neighbour, of
            its xyz (C, 3, 1, 1), of the offset (C, 2, 1, 1).
        bias: (C,) or None.
    """
    feature, xyz, offset, index = inputs
    of_target, of_neighbour, of_xyz, of_offset = weights
    feature = feature.to(of_target.dtype)
    target = F.conv2d(feature, of_target).to(xyz.dtype)
    source = F.conv2d(feature, of_neighbour).to(xyz.dtype) + F.conv2d(xyz, of_xyz)
    around = gathered(source, index) + F.conv2d(offset, of_offset, bias)
    return target.flatten(2).unsqueeze(2) + around


class Propagation(nn.Module):
    """Bilateral propagation: each pixel takes a weighted, corrected mean of its neighbours."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convXF = nn.Sequential(
            NeighbourConv(channels), Basic2d(channels, channels, 1, F.gelu)
        )
        self.convXL = nn.Sequential(
            Basic2d(channels, channels, 1, F.gelu), Basic2d(channels, channels, 1, unchanged)
        )
        self.coef = nn.ModuleDict({'conv': Conv2d(channels, 3, 1)})

    def forward(self, feature: Tensor, xyz: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Depth and spread (B, 1, h, w) of a feature, its returns and their neighbours.

        Args:
            feature: (B, C, h, w).
            xyz: (B, 3, h, w) returns in the camera frame in metres.
            index: (B, 4, N) flat index of the four returns nearest to each pixel.
        """
        height, width = feature.shape[-2:]
        x = self.convXF[1](self.convXF[0](feature, xyz, _offset(index, width, xyz), index))
        x = F.gelu(x + self.convXL(x))
        coefficients = self.coef['conv'](x).to(xyz.dtype)
        alpha, beta, omega = coefficients.split(1, dim=1)
        proposed = (alpha + 1) * gathered(xyz[:, 2:], index) + beta
        weights = torch.softmax(omega, dim=2)
        depth = (weights * proposed).sum(dim=2, keepdim=True)
        variance = (weights * (proposed - depth) ** 2).sum(dim=2)
        shape = (-1, 1, height, width)
        return depth.reshape(shape), variance.sqrt().reshape(shape)


def gathered(maps: Tensor, index: Tensor) -> Tensor:
    """Values (B, C, 4, N) of maps (B, C, h, w) at flat indices (B, 4, N)."""
    values = [
        flat.index_select(1, at.flatten()).unflatten(1, (NEIGHBOURS, -1))
        for flat, at in zip(maps.flatten(2), index, strict=True)
    ]
    return torch.stack(values)


def _offset(index: Tensor, width: int, like: Tensor) -> Tensor:
    """(B, 2, 4, N) step from each pixel to its neighbours, x then y."""
    at = index.unflatten(2, (-1, width))
    # Rows and columns as they are: TensorRT cannot fold `//` and `%` of a large constant.
    v = torch.arange(at.shape[2], dtype=index.dtype, device=index.device).unsqueeze(1)
    u = torch.arange(width, dtype=index.dtype, device=index.device)
    dx, dy = at % width - u, at // width - v
    return torch.stack((dx, dy), dim=1).flatten(3).to(like.dtype)


class KernelHead(nn.Module):
    """A k x k kernel per pixel whose weights sum to one and whose others have |sum| below 1."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            Basic2d(channels, channels), Basic2d(channels, kernel**2 - 1, activation=unchanged)
        )

    def forward(self, feature: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, k^2, h, w), row by row."""
        around = self.conv(feature).to(dtype)
        around = around / (around.abs().sum(dim=1, keepdim=True) + EPSILON)
        before, after = around.chunk(2, dim=1)
        return torch.cat((before, 1 - around.sum(dim=1, keepdim=True), after), dim=1)


class Refinement(nn.Module):
    """Convolutional spatial propagation with three kernel sizes (CSPN++, AAAI 2020)."""

    kernels = (3, 5, 7)

    def __init__(self, channels: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.weight3x3 = KernelHead(channels, 3)
        self.weight5x5 = KernelHead(channels, 5)
        self.weight7x7 = KernelHead(channels, 7)
        self.convmask = _three_scores(channels, channels, torch.sigmoid)
        self.convck = _three_scores(channels, channels, _softmax)
        self.convct = _three_scores(channels + 3, channels, _softmax)

    def forward(self, feature: Tensor, depth: Tensor, sparse: Tensor) -> Tensor:
        """Refined depth (B, 1, h, w) of depth, feature (B, C, h, w) and returns (0 = none)."""
        dtype = depth.dtype
        heads = (self.weight3x3, self.weight5x5, self.weight7x7)
        found = (sparse > VALID_M).to(dtype)
        keep = (self.convmask(feature).to(dtype) * found).split(1, dim=1)
        confidence = self.convck(feature).to(dtype)
        # h <- (1 - m) (w * h) + m S, with everything that stays the same taken out of the loop.
        weights = [(1 - m) * head(feature, dtype) for m, head in zip(keep, heads, strict=True)]
        anchors = [m * sparse for m in keep]
        states, history = [depth] * 3, [depth]
        for i in range(self.iterations):
            states = [
                _local_convolution(h, w) + anchor
                for h, w, anchor in zip(states, weights, anchors, strict=True)
            ]
            if i + 1 in (self.iterations // 2, self.iterations):
                mixed = confidence * torch.cat(states, dim=1)
                history.append(mixed.sum(dim=1, keepdim=True))
        candidates = torch.cat(history, dim=1)
        score = self.convct[1](self.convct[0](feature, candidates)).to(dtype)
        return (score * candidates).sum(dim=1, keepdim=True)


def _softmax(x: Tensor) -> Tensor:
    return torch.softmax(x, dim=1)


def _three_scores(channels: int, hidden: int, activation: Activation) -> nn.Sequential:
    return nn.Sequential(
        Basic2d(channels, hidden), Basic2d(hidden, 3, activation=activation, norm=False)
    )


def _local_convolution(depth: Tensor, weights: Tensor) -> Tensor:
    """Correlate depth (B, 1, h, w) with a kernel per pixel (B, k^2, h, w), 0 outside."""
    count = weights.shape[1]
    kernel = round(count**0.5)
    # One channel per tap, cut out by a convolution with unit kernels: one layer in any engine.
    taps = torch.eye(count, dtype=depth.dtype, device=depth.device).view(count, 1, kernel, kernel)
    return (F.conv2d(depth, taps, padding=kernel // 2) * weights).sum(dim=1, keepdim=True)


class Stage(nn.Module):
    """Propagation, fusion and refinement at 1 / 2^level of the size.

    Args:
        level: 0 to 5.
        channels: of the feature.
        coarse: channels of the coarser stage's feature, 0 for the coarsest stage.
    """

    def __init__(self, level: int, channels: int, coarse: int) -> None:
        super().__init__()
        self.scale = 2.0**-level
        if coarse:
            self.upcat = UpCat(coarse + 1, channels, channels)
        if level:
            self.wpool = Pool(channels, level)
        self.prop = Propagation(channels)
        self.fuse = UNet(channels, 3, depth=5 - level)
        self.conv = Conv2d(channels, 1, 3, padding=1)
        self.cspn = Refinement(channels, iterations=2 * (6 - level))

    def forward(
        self,
        image: Tensor,
        sparse: Tensor,
        K: Tensor,
        neighbours: Tensor,
        coarser: StageOutput | None,
    ) -> StageOutput:
        """One stage.

        Args:
            image: (B, C, h, w) feature of the image.
            sparse: (B, 1, H, W) in metres, 0 = none.
            K: (B, 3, 3) camera matrix at full size.
            neighbours: (B, 4, h w) flat index of the nearest returns.
            coarser: result of the stage before.
        """
        feature = image
        if coarser is not None:
            feature = self.upcat(image, coarser.feature, coarser.depth)
        pooled = self.wpool(sparse, feature) if self.scale < 1 else sparse
        xyz = unprojected(pooled, K, self.scale)
        depth, spread = self.prop(feature, xyz, neighbours)
        feature = self.fuse(feature, unprojected(depth, K, self.scale))
        residual = self.conv(feature).to(depth.dtype)
        depth = self.cspn(feature, depth + residual, pooled)
        return StageOutput(feature, depth, spread, residual)


def unprojected(depth: Tensor, K: Tensor, scale: float) -> Tensor:
    """Points (B, 3, h, w) in metres of depth (B, 1, h, w) at `scale` of the camera's size.

    The camera matrix is scaled without a shift by half a pixel: the trained weights know it.
    """
    height, width = depth.shape[-2:]
    u = torch.arange(width, dtype=depth.dtype, device=depth.device).view(1, 1, 1, width)
    v = torch.arange(height, dtype=depth.dtype, device=depth.device).view(1, 1, height, 1)
    fx, fy, cx, cy = (
        K[:, i, j].view(-1, 1, 1, 1) * scale for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))
    )
    return torch.cat((depth * (u - cx) / fx, depth * (v - cy) / fy, depth), dim=1)
