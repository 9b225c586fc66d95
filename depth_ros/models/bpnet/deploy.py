"""BP-Net as it is exported and run: norms folded, the trunk in half precision if wanted."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from depth_ros.models.bpnet.layers import Basic2d, Basic2dTrans, BasicBlock
from depth_ros.models.bpnet.network import BPNet
from depth_ros.models.bpnet.stage import NeighbourConv, Stage, neighbour_convolution

SIGMA_FLOOR_M = 0.02


class Deployed(nn.Module):
    """Image bytes in, depth and raw sigma out.

    Args:
        network: with its norms folded.
    """

    def __init__(self, network: BPNet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, image: Tensor, sparse: Tensor, K: Tensor, normalisation: Tensor, *neighbours: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Depth and raw sigma (1, 1, H, W) in metres.

        Args:
            image: (1, H, W, 3) uint8 RGB.
            sparse: (1, 1, H, W) in metres, 0 = none.
            K: (1, 3, 3) camera matrix in pixels.
            normalisation: (2, 3) mean and standard deviation of 0..255 RGB.
            neighbours: six tensors (1, 4, N_l) int32, by level from 0.
        """
        mean, std = normalisation.view(2, 1, 3, 1, 1)
        image = (image.to(sparse.dtype).permute(0, 3, 1, 2) - mean) / std
        coarser, finest = self.network(image, sparse, K, neighbours)[-2:]
        before = F.interpolate(coarser.depth, scale_factor=2, mode='bilinear', align_corners=True)
        parts = (finest.spread, finest.residual, finest.depth - before)
        sigma = torch.stack(parts).square().sum(dim=0).add(SIGMA_FLOOR_M**2).sqrt()
        return finest.depth, sigma


def deploy(model: nn.Module, precision: str) -> Deployed:
    """A copy of a loaded BP-Net, ready to be run or exported.

    In all but `fp32` the layers that have a norm, the trunk, are in half precision. Depth is
    not: nor the heads that make its weights, nor any convolution over depth or coordinates, which
    is split from that over features. At 80 m half precision knows depth to 6 cm.
    """
    if not isinstance(model, BPNet):
        raise TypeError(f'BPNet wanted, got {type(model).__name__}.')
    network = copy.deepcopy(model).eval().requires_grad_(False)
    with torch.no_grad():
        trunk = list(_fold_norms(network))
        if precision != 'fp32':
            _split_depth_off(network)
            for layer in trunk:
                layer.half()
    return Deployed(network).eval()


def _fold_norms(network: BPNet) -> Iterator[nn.Module]:
    """Fold every batch norm into the convolution before it; gives those convolutions."""
    for module in list(network.modules()):
        for owner, convolution, norm in _pairs(module):
            before = owner.get_submodule(convolution)
            transposed = isinstance(before, nn.ConvTranspose2d)
            folded = fuse_conv_bn_eval(before, owner.get_submodule(norm), transposed)
            setattr(owner, convolution, folded)
            setattr(owner, norm, nn.Identity())
            yield folded


def _pairs(module: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """Convolutions of a block and the norms after them: owner, name, name."""
    if isinstance(module, Basic2d):
        return [(module.conv, 'conv', 'bn')] if hasattr(module.conv, 'bn') else []
    if isinstance(module, Basic2dTrans):
        return [(module, 'conv', 'bn')]
    if isinstance(module, BasicBlock):
        pairs: list[tuple[nn.Module, str, str]] = [(module, 'conv1', 'bn1')]
        pairs.append((module, 'conv2', 'bn2'))
        return pairs + ([(module.downsample, '0', '1')] if module.downsample else [])
    return []


def _split_depth_off(network: BPNet) -> None:
    """Split the convolutions over a feature and depth, or coordinates."""
    for stage in (module for module in network.modules() if isinstance(module, Stage)):
        joins = [(stage.fuse.encoder[0][0].conv, 3), (stage.cspn.convct[0].conv, 3)]
        if hasattr(stage, 'upcat'):
            joins.append((stage.upcat.upf, 1))
        for owner, others in joins:
            owner.conv = SplitConv(owner.conv, others)
        stage.prop.convXF[0] = SplitNeighbourConv(stage.prop.convXF[0])


class SplitConv(nn.Module):
    """A convolution over a feature in half precision and over depth or coordinates in full.

    Args:
        joint: the convolution over both side by side.
        others: number of channels that are not the feature's.
    """

    def __init__(self, joint: nn.Conv2d | nn.ConvTranspose2d, others: int) -> None:
        super().__init__()
        axis = 0 if isinstance(joint, nn.ConvTranspose2d) else 1  # of input channels
        weights = joint.weight.split((joint.in_channels - others, others), axis)
        self.of_feature, self.of_others = copy.deepcopy(joint), copy.deepcopy(joint)
        self.of_feature.weight, self.of_others.weight = (nn.Parameter(w.clone()) for w in weights)
        self.of_feature.bias = None
        self.of_feature.half()

    def forward(self, feature: Tensor, others: Tensor) -> Tensor:
        """As the joint convolution, in the type of `others`."""
        return self.of_feature(feature).to(others.dtype) + self.of_others(others)


class SplitNeighbourConv(nn.Module):
    """A `NeighbourConv` over features in half precision and over coordinates in full."""

    def __init__(self, joint: NeighbourConv) -> None:
        super().__init__()
        convolution = joint.conv.get_submodule('conv')
        weights = convolution.weight.split(joint.parts, dim=1)
        types = (torch.float16, torch.float16, torch.float32, torch.float32)
        cast = (weight.to(dtype) for weight, dtype in zip(weights, types, strict=True))
        self.weights = nn.ParameterList(weight.clone() for weight in cast)
        self.bias = nn.Parameter(convolution.bias.clone())
        self.activation = joint.activation

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, C, 4, N) of the inputs of `neighbour_convolution`."""
        return self.activation(neighbour_convolution(inputs, self.weights, self.bias))
