"""Public weights into the user's cache: downloaded or taken from a file, checked, converted."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from depth_ros.errors import ModelError, import_optional
from depth_ros.files import sha256_of, write_atomic
from depth_ros.weights.card import ModelCard
from depth_ros.weights.checkpoint import read_state_dict
from depth_ros.weights.download import Progress, discard, download
from depth_ros.weights.registry import family
from depth_ros.weights.store import Record, check, intact, official, weights_path

if TYPE_CHECKING:
    from torch import Tensor


def fetch(
    card: ModelCard,
    *,
    accept_licence: bool,
    source_file: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Record:
    """Bring public weights into the cache as safetensors, with a record of where they are from.

    Weights that are there and whole are left as they are. A download that broke off goes on
    where it was; any other failure leaves the cache as it was.

    Args:
        card: what to fetch.
        accept_licence: that the user has seen `card.terms` and agrees.
        source_file: take this checkpoint, or archive of one, instead of downloading.
        force: fetch although they are there, and even if they changed at their source.
        progress: told about the download.

    Raises:
        ModelError: the licence is not accepted, the file cannot be had or is not the network's,
            or it is another one than was fetched before.
        MissingDependencyError: PyTorch or safetensors is not installed.
        OSError: the cache cannot be written.
    """
    if not accept_licence:
        raise ModelError(
            f'{card.name} ({card.terms}): accept these licences by --accept-licence to fetch it.'
        )
    _require_libraries()
    weights = weights_path(card.name)
    with _alone(weights.with_suffix('.lock'), card.name):
        if source_file is not None:
            return _keep(card, source_file, str(source_file.resolve()), force)
        if not force and (record := intact(card.name)):
            return record
        if not card.url:
            raise ModelError(f'{card.name} cannot be downloaded by this command. {card.by_hand}')
        part = weights.with_suffix('.part')
        download(card.url, part, progress)
        try:
            record = _keep(card, part, card.url, force)
        except _UnusableError as error:
            discard(part)
            raise ModelError(f'What {card.url} sent is of no use: {error}') from error
        discard(part)
        return record


class _UnusableError(ModelError):
    """No other attempt will make a good file of this one."""


def _require_libraries() -> None:
    """Before hundreds of megabytes are downloaded."""
    for library in ('torch', 'safetensors'):
        import_optional(library, 'torch')


@contextlib.contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Only one process at a time fetches the same weights; the end of a process frees the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(f'Another process is fetching {name}; wait for it.') from error
        yield


def _keep(card: ModelCard, file: Path, source: str, force: bool) -> Record:
    """Check a checkpoint and write it and its record into the cache."""
    from safetensors.torch import save

    if not file.is_file():
        raise ModelError(f'{file} is no file.')
    source_sha256 = sha256_of(file)
    _refuse_another(card.name, source_sha256, force)
    if card.sha256 not in (None, source_sha256):
        raise _UnusableError(
            f'{source} is damaged or another file: its SHA-256 is {source_sha256}, '
            f'the authors say {card.sha256}.'
        )
    state = _parameters(card, file)
    content: bytes = save({name: tensor.clone() for name, tensor in state.items()})
    record = Record(
        name=card.name,
        source=source,
        terms=card.terms,
        fetched=datetime.date.today().isoformat(),
        source_sha256=source_sha256,
        source_bytes=file.stat().st_size,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        tensors=len(state),
    )
    weights = weights_path(card.name)
    staged = weights.with_suffix('.new')
    text = json.dumps(dataclasses.asdict(record), indent=2) + '\n'
    try:
        write_atomic(staged, content)  # if the disk is too small, it is here
        write_atomic(weights.with_suffix('.json'), text.encode())
        staged.replace(weights)
    finally:
        staged.unlink(missing_ok=True)
    return record


def _refuse_another(name: str, source_sha256: str, force: bool) -> None:
    """The first fetch fixes which file is meant, for the authors publish no hash."""
    try:
        earlier = Record.read(weights_path(name))
    except ModelError:
        return
    if earlier.source_sha256 != source_sha256 and not force:
        raise ModelError(
            f'{name} is another file than on {earlier.fetched}: its SHA-256 is {source_sha256}, '
            f'it was {earlier.source_sha256} from {earlier.source}. '
            'If that is meant, fetch it with --force.'
        )


def _parameters(card: ModelCard, file: Path) -> dict[str, Tensor]:
    """The parameters in a file, which must be those of the card's network."""
    import torch

    with torch.device('meta'):  # names and shapes, no memory
        model = family(card.family).build()
    try:
        state = dict(official(model, read_state_dict(file)))
        check(model, state, str(file))
    except ModelError as error:
        raise _UnusableError(str(error)) from error
    return state
