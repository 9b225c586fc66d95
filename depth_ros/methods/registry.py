"""Which depth methods exist, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Callable

from depth_ros.engines.open import candidates
from depth_ros.errors import ModelError
from depth_ros.methods.base import DepthMethod
from depth_ros.methods.bpnet import BPNet
from depth_ros.methods.guided import Guided
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.methods.mono import Mono
from depth_ros.models.weights import locate, network_card

METHODS: dict[str, Callable[..., DepthMethod]] = {
    Guided.name: Guided,
    BPNet.name: BPNet,
    Mono.name: Mono,
    IpBasic.name: IpBasic,
}


def choose(name: str, weights: str = '', backend: str = 'auto') -> tuple[str, str]:
    """The method that `name` stands for, and why it was taken.

    `auto` is `bpnet` where its weights are and a GPU can run it, else `guided`: on a CPU the
    network takes seconds per frame.

    Args:
        name: one of `METHODS`, or `auto`.
        weights: the setting `bpnet.weights`.
        backend: the setting `engine.backend`.
    """
    if name != 'auto':
        return name, 'chosen by the parameter `method`'
    try:
        found = locate(weights)
    except ModelError:
        lacking = f'its weights {weights!r} are not here' if weights else 'no weights are fetched'
        return _without_network(f'{lacking} (`depth_ros models fetch`)')
    try:
        network_card(found)
    except ModelError as error:
        return _without_network(f'{str(error).rstrip(".")} (`depth_ros models fetch`)')
    obstacles = []
    for candidate in candidates(backend):  # only now: a look at the GPU imports PyTorch
        if candidate.device == 'cpu':
            break
        if not candidate.obstacle:
            return BPNet.name, f'the most accurate here, with weights {found.stem} by {candidate}'
        obstacles.append(f'{candidate.backend}: {candidate.obstacle.rstrip(".")}')
    reasons = '; '.join(obstacles) or f'the parameter `engine.backend` is {backend!r}'
    return _without_network(f'no GPU can run it ({reasons})')


def _without_network(lacking: str) -> tuple[str, str]:
    return Guided.name, f'the best without a network; BP-Net is not used because {lacking}'
