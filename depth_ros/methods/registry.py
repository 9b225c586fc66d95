"""Which depth methods exist, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Callable

from depth_ros.engines.open import Candidate, candidates
from depth_ros.errors import ModelError, callable_here
from depth_ros.methods.base import DepthMethod
from depth_ros.methods.bpnet import BPNet
from depth_ros.methods.guided import Guided
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.methods.lite import Lite
from depth_ros.methods.mono import Mono
from depth_ros.methods.nearest import Nearest
from depth_ros.weights.store import locate, network_card

METHODS: dict[str, Callable[..., DepthMethod]] = {
    Lite.name: Lite,
    Guided.name: Guided,
    BPNet.name: BPNet,
    Mono.name: Mono,
    IpBasic.name: IpBasic,
    Nearest.name: Nearest,
}


def choose(name: str, weights: str = '', backend: str = 'auto') -> tuple[str, str]:
    """The method that `name` stands for, and why it was taken.

    `auto` is `bpnet` where its weights are and a GPU can run it, for on a CPU it takes seconds
    per frame; else `lite` where anything can run it; else `guided`.

    Args:
        name: one of `METHODS`, or `auto`.
        weights: the setting `bpnet.weights`.
        backend: the setting `engine.backend`.
    """
    if name != 'auto':
        return name, 'chosen by the parameter `method`'
    usable, obstacles = _usable(backend)
    lacking = _lacking(weights)
    if not lacking and usable is not None and usable.device != 'cpu':
        stem = locate(weights).stem
        return BPNet.name, f'the most accurate here, with weights {stem} by {usable}'
    reasons = '; '.join(obstacles) or f'the parameter `engine.backend` is {backend!r}'
    if usable is None:
        return Guided.name, f'the best without a network; nothing can run one ({reasons})'
    lacking = lacking or f'no GPU can run it ({reasons})'
    return Lite.name, f'the best here, by {usable}; BP-Net is not used because {lacking}'


def _usable(backend: str) -> tuple[Candidate | None, list[str]]:
    """The best way to run networks here, and what is against those that would be better."""
    obstacles: list[str] = []
    for candidate in candidates(backend):
        if not candidate.obstacle:
            return candidate, obstacles
        obstacles.append(f'{candidate.backend}: {candidate.obstacle.rstrip(".")}')
    return None, obstacles


def _lacking(weights: str) -> str:
    """Why BP-Net has no weights here; empty if it has."""
    try:
        found = locate(weights)
    except ModelError:
        lacking = f'its weights {weights!r} are not here' if weights else 'no weights are fetched'
        return callable_here(f'{lacking} (`depth_ros models fetch`)')
    try:
        network_card(found)
    except ModelError as error:
        return callable_here(f'{str(error).rstrip(".")} (`depth_ros models fetch`)')
    return ''
