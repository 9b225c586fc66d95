"""Depth Pro as it is exported and run: without what is not asked for, in half precision."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from depth_ros.models.depth_pro.decoder import LastConv2d
from depth_ros.models.depth_pro.network import DepthProNetwork
from depth_ros.models.vit import PatchEmbed, halve


def deploy(model: nn.Module, precision: str, with_fov: bool) -> DepthProNetwork:
    """A copy of a loaded Depth Pro that shares the parameters whose type does not change.

    Unless in `fp32`, the linear maps of the transformers and the convolutions are in half
    precision; but for those that make tokens of pixels, and those that give the outputs.

    Args:
        model: loaded; the copy is on its device.
        precision: one of `depth_ros.engines.base.PRECISIONS`.
        with_fov: whether the field of view is wanted.
    """
    if not isinstance(model, DepthProNetwork):
        raise TypeError(f'DepthProNetwork wanted, got {type(model).__name__}.')
    with torch.device('meta'):  # types and shapes, no memory
        network = DepthProNetwork(model.config)
    if not with_fov:
        network.fov = None
    if precision != 'fp32':
        halve(network, precision)
        for convolution in _halved_convolutions(network):
            convolution.half()
    given = model.state_dict()
    types = {name: value.dtype for name, value in network.state_dict().items()}
    cast = {name: given[name].to(dtype) for name, dtype in types.items()}
    network.load_state_dict(cast, assign=True)
    return network.eval().requires_grad_(False)


def _halved_convolutions(network: nn.Module) -> Iterator[nn.Module]:
    full = [module.proj for module in network.modules() if isinstance(module, PatchEmbed)]
    for module in network.modules():
        if isinstance(module, LastConv2d) or module in full:
            continue
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            yield module
