"""What networks cost: parameters, and floating-point operations at the sizes that are in use.

Counted on networks without values (PyTorch's meta device), so no memory is needed for the largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from depth_ros.errors import MissingDependencyError
from depth_ros.weights.registry import family

Size = tuple[int, int]


class Network(NamedTuple):
    """A network to be counted.

    Attributes:
        title: what it is called.
        family: its name in `depth_ros.weights.registry.FAMILIES`.
        sizes: (height, width) of its inputs.
        unused: module whose parameters it has, but does not run.
    """

    title: str
    family: str
    sizes: tuple[Size, ...]
    unused: str = ''


class Cost(NamedTuple):
    """What one run of a network costs.

    Attributes:
        network: its title.
        height: of its input in pixels.
        width: of its input in pixels.
        parameters: number of those that it runs.
        flops: two for each multiplication with an addition, of convolutions and matrix products;
            what else there is, is not counted.
    """

    network: str
    height: int
    width: int
    parameters: int
    flops: int


# 518 is what Depth Anything was trained at. 4:3, 16:9 and KITTI's images; then less, for speed.
_DEPTH_ANYTHING = (
    *((252, 336), (252, 840), (308, 406), (364, 490)),
    *((518, 518), (518, 686), (518, 924), (518, 1722)),
)
_COMPLETION = (256, 320), (352, 1216)  # what BP-Net was trained at, indoors and on KITTI

NETWORKS = (
    Network('BP-Net, DMD3C', 'bpnet', _COMPLETION),
    Network('Depth Anything Small', 'depth_anything_v2_s', _DEPTH_ANYTHING),
    Network('Depth Anything Base', 'depth_anything_v2_b', _DEPTH_ANYTHING),
    Network('Depth Anything Large', 'depth_anything_v2_l', _DEPTH_ANYTHING),
    Network('Depth Pro', 'depth_pro', ((1536, 1536),), unused='fov'),
    Network('Depth Pro, field of view too', 'depth_pro_fov', ((1536, 1536),)),
)
"""Networks of the public weights. V1 and V2 of Depth Anything cost the same, in metres or not."""


def costs(network: Network) -> Iterator[Cost]:
    """What a network costs at each of its sizes, as it is run here in fp32, batch 1.

    Raises:
        MissingDependencyError: PyTorch is not installed.
    """
    try:
        import torch
        from torch.utils.flop_counter import FlopCounterMode
    except ModuleNotFoundError as error:
        raise MissingDependencyError('torch', 'torch') from error

    known = family(network.family)
    with torch.device('meta'):
        model = known.build()
    parameters = sum(
        values.numel()
        for name, values in model.named_parameters()
        if name.partition('.')[0] != network.unused
    )
    for height, width in network.sizes:
        inputs = known.golden_inputs(height, width).values()
        tensors = [torch.from_numpy(values).to('meta') for values in inputs]
        counter = FlopCounterMode(display=False)
        with torch.device('meta'), torch.no_grad():
            deployed = known.deployed(model, 'fp32', (height, width))
            with counter:
                deployed(*tensors)
        yield Cost(network.title, height, width, parameters, counter.get_total_flops())
