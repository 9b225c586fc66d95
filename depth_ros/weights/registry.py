"""Networks with public weights: what they are, where they come from, on which terms."""

from __future__ import annotations

import importlib
from typing import cast

from depth_ros.errors import ModelError
from depth_ros.models.base import MonocularFamily, NetworkFamily
from depth_ros.weights.card import ModelCard
from depth_ros.weights.completion_cards import COMPLETION
from depth_ros.weights.monocular_cards import MONOCULAR

MODELS = {card.name: card for card in (*COMPLETION, *MONOCULAR)}
"""What can be fetched, by name; of what is fetched, the first that suits is the default."""

SHIPPED = ('lite',)
"""Families whose weights come with the package, each called as its family."""

LEFT_OUT = {
    'da1-metric': (
        'Depth Anything V1 in metres has another head, that of ZoeDepth; its public weights could '
        'not be described exactly. V2 in metres supersedes it.'
    ),
    'da3metric-large': (
        'Depth Anything 3 in metres (Apache-2.0) is another network than V2; neither its weights '
        'nor numbers to hold it to could be had.'
    ),
}
"""Public weights that no network here runs, and why."""

FAMILIES = {
    'lite': 'depth_ros.models.lite',
    'bpnet': 'depth_ros.models.bpnet',
    **{card.family: 'depth_ros.models.depth_anything' for card in MONOCULAR},
    'depth_pro': 'depth_ros.models.depth_pro',
    'depth_pro_fov': 'depth_ros.models.depth_pro',
}
"""Modules by family: they are a `NetworkFamily`, or have several by name in their `FAMILIES`."""


def card(name: str) -> ModelCard:
    """The card of public weights.

    Raises:
        ModelError: there are none of this name.
    """
    if name not in MODELS:
        raise ModelError(f'There are no weights {name!r}; there are {list(MODELS)}.')
    return MODELS[name]


def family(name: str) -> NetworkFamily:
    """A family of networks; its module is imported now.

    Raises:
        ModelError: there is no such family.
        MissingDependencyError: PyTorch is not installed.
    """
    if name not in FAMILIES:
        raise ModelError(f'There is no network family {name!r}; there are {list(FAMILIES)}.')
    module = importlib.import_module(FAMILIES[name])
    return cast(NetworkFamily, getattr(module, 'FAMILIES', {}).get(name, module))


def monocular_family(name: str) -> MonocularFamily:
    """A family of networks that see one image; as `family`.

    Raises:
        ModelError: its networks see something else.
    """
    network = family(name)
    if not hasattr(network, 'KIND'):
        raise ModelError(f'{name} is no network for one image.')
    return cast(MonocularFamily, network)
