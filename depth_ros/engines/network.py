"""From a request to the network in PyTorch, as it is exported and run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.cpu import import_torch
from depth_ros.errors import EngineError
from depth_ros.models.base import NetworkFamily
from depth_ros.weights import store
from depth_ros.weights.registry import family

if TYPE_CHECKING:
    from torch import nn


def family_of(request: NetworkRequest) -> NetworkFamily:
    """The family of a requested network.

    Raises:
        EngineError: the requested size is not one it can have.
        ModelError: the family is unknown.
    """
    network = family(request.family)
    if network.SIZE not in (None, (request.height, request.width)):
        raise EngineError(
            f'{request.family} runs at {"x".join(map(str, network.SIZE))} only, got '
            f'{request.height}x{request.width}; images of any size are brought to that.'
        )
    stride = network.STRIDE
    if (
        min(request.height, request.width) < stride
        or request.height % stride
        or (request.width % stride)
    ):
        fitting = 'x'.join(
            str(max(1, -(-length // stride)) * stride)
            for length in (request.height, request.width)
        )
        raise EngineError(
            f'Height and width of {request.family} must be multiples of {stride}, got '
            f'{request.height}x{request.width}; images of that size run at {fitting}.'
        )
    return network


def load_network(request: NetworkRequest) -> nn.Module:
    """The requested network with its weights, in evaluation mode, on the CPU.

    Raises:
        EngineError: as `family_of`.
        ModelError: the weights are missing, or not those of the network.
        MissingDependencyError: PyTorch is not installed.
    """
    network = family_of(request)
    import_torch()
    model = network.build()
    store.load(model, request.weights)
    return model.eval()
