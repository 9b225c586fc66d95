"""Weights of networks: loaded strictly, found in the user's cache, checked against its records."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depth_ros.errors import ModelError
from depth_ros.files import cache_dir, sha256_of
from depth_ros.models.base import PublishedTwice
from depth_ros.weights.card import ModelCard
from depth_ros.weights.checkpoint import read_state_dict
from depth_ros.weights.registry import MODELS, card

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED = 3  # names that a message lists


def load(model: nn.Module, path: Path | str) -> None:
    """Give a network its parameters; each must be there and none besides.

    Values are cast to the network's types.

    Raises:
        ModelError: the file cannot be read, or its parameters are not those of the network.
        MissingDependencyError: PyTorch or safetensors is not installed.
    """
    state = official(model, read_state_dict(path))
    check(model, state, str(path))
    model.load_state_dict(state)


def official(model: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Parameters under the names of a network, be they published under others too."""
    return model.official_names(state) if isinstance(model, PublishedTwice) else state


def check(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Refuse parameters that are not those of a network, or not finite.

    Args:
        model: the network; its own values do not matter.
        state: parameters by name.
        source: where they are from, for the message.

    Raises:
        ModelError: naming the parameters that are missing, unknown, of a wrong shape, not finite.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    faults = {
        'missing': [name for name in wanted if name not in given],
        'unknown': [name for name in given if name not in wanted],
        'of another shape': [
            f'{name} {given[name]} instead of {shape}'
            for name, shape in wanted.items()
            if given.get(name, shape) != shape
        ],
        'not finite': [name for name, tensor in state.items() if not tensor.isfinite().all()],
    }
    found = [f'{len(names)} {what}: {_listed(names)}' for what, names in faults.items() if names]
    if found:
        raise ModelError(
            f'{source} has not the parameters of {type(model).__name__}; {"; ".join(found)}.'
        )


def _listed(names: Sequence[str]) -> str:
    return ', '.join(names[:_NAMED]) + (', …' if len(names) > _NAMED else '')


@dataclass(frozen=True)
class Record:
    """What was written down of weights when they were fetched.

    Attributes:
        name: in the registry.
        source: URL or file that they came from.
        terms: licences that the user accepted.
        fetched: day, as YYYY-MM-DD.
        source_sha256: of the file that they came in.
        source_bytes: size of that file.
        sha256: of the safetensors file in the cache.
        size_bytes: size of that file.
        tensors: number of parameters and buffers.
    """

    name: str
    source: str
    terms: str
    fetched: str
    source_sha256: str
    source_bytes: int
    sha256: str
    size_bytes: int
    tensors: int

    @classmethod
    def read(cls, weights: Path) -> Record:
        """The record beside a safetensors file.

        Raises:
            ModelError: it is missing or malformed.
        """
        path = weights.with_suffix('.json')
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f'{path} is no record of fetched weights: {error}') from error


def weights_path(name: str) -> Path:
    """Where fetched weights lie, or will."""
    return cache_dir('weights') / f'{name}.safetensors'


def is_fetched(name: str) -> bool:
    """Whether weights and their record are in the cache."""
    path = weights_path(name)
    return path.is_file() and path.with_suffix('.json').is_file()


def locate(
    weights: str, families: Collection[str] = ('bpnet',), setting: str = 'bpnet.weights'
) -> Path:
    """The file that is meant by a setting such as `bpnet.weights`.

    Args:
        weights: a name of the registry; or a file; or empty for the first of the registry that
            is fetched.
        families: networks that they may be for; none if only a file will do.
        setting: name of it, for messages.

    Raises:
        ModelError: there is no such file or none is fetched; it says what to do.
    """
    cards = {name: known for name, known in MODELS.items() if known.family in families}
    if weights and (weights not in MODELS or not families):
        with contextlib.suppress(RuntimeError):  # ~nobody is no file
            path = Path(weights).expanduser()
            if path.is_file():
                return path
        known = f', and none of {list(cards)}' if cards else ''
        raise ModelError(f'{setting} {weights!r}: no file{known}.')
    if weights and weights not in cards:
        raise ModelError(f'{setting} {weights!r} is for another network; here fit {list(cards)}.')
    names = [weights] if weights else list(cards)
    for name in names:
        if is_fetched(name):
            return weights_path(name)
    wanted = cards[names[0]]
    lack = f'{weights} is not fetched.' if weights else f'No weights for {setting} are here.'
    fetch = (
        f'`depth_ros models fetch {wanted.name}` fetches them, about {wanted.megabytes} MB '
        f'({wanted.terms}).'
    )
    file = '' if wanted.monocular else f' Or give a file in place of the name ({setting}).'
    raise ModelError(f'{lack} {wanted.by_hand or fetch}{file}')


def verify(name: str) -> Record:
    """Compare fetched weights with their record, to the last bit.

    Raises:
        ModelError: they are not fetched, or not what was fetched.
    """
    path = weights_path(card(name).name)
    if not is_fetched(name):
        raise ModelError(f'{name} is not fetched.')
    record = Record.read(path)
    actual = sha256_of(path)
    if actual != record.sha256:
        raise ModelError(
            f'{path} is damaged: its SHA-256 is {actual}, recorded was {record.sha256}. '
            f'Fetch it again: `depth_ros models fetch {name}`.'
        )
    return record


def intact(name: str) -> Record | None:
    """The record of weights that are what was fetched; None of others."""
    try:
        return verify(name)
    except ModelError:
        return None


def network_card(weights: Path) -> ModelCard | None:
    """The card of the public weights in a file, by the record beside it; None of other files.

    Raises:
        ModelError: the file is in the cache, but its record is missing or malformed.
    """
    try:
        return card(Record.read(weights).name)
    except ModelError:
        if weights.resolve().parent == cache_dir('weights').resolve():
            raise
        return None
