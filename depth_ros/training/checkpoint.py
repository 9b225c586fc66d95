"""The state of a run on disk: whole or not there, with the one before it kept."""

from __future__ import annotations

import logging
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

from depth_ros.errors import TrainingError

KEPT = 2
"""Checkpoints that stay in a folder."""

_NAME = re.compile(r'checkpoint_(\d+)\.pt')
_log = logging.getLogger(__name__)


def save(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write the state after `step` steps and remove all but the newest two.

    It is on the disk itself before it gets its name, so no crash leaves half of it.

    Args:
        folder: made if need be.
        step: steps done.
        state: tensors, numbers and strings in dicts and lists.

    Raises:
        OSError: the folder cannot be written.
    """
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'checkpoint_{step:09d}.pt'
    temporary = folder / f'.{path.name}.tmp'
    try:
        with temporary.open('wb') as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(folder)
    for old in _checkpoints(folder)[KEPT:]:
        old.unlink()
    return path


def exists(folder: Path) -> bool:
    """Whether a folder has a checkpoint."""
    return bool(_checkpoints(folder))


def newest(folder: Path) -> dict[str, Any] | None:
    """The newest state in a folder that is intact, on the CPU; None if there is no checkpoint.

    Raises:
        TrainingError: there are checkpoints, but all are damaged.
    """
    paths = _checkpoints(folder)
    for path in paths:
        state = _read(path)
        if state is not None:
            return state
        _log.warning('%s is damaged; taking the one before.', path)
    if paths:
        raise TrainingError(
            f'All checkpoints in {folder} are damaged; remove them to start over: '
            f'{", ".join(path.name for path in paths)}.'
        )
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """Newest first."""
    found = {path: _NAME.fullmatch(path.name) for path in folder.glob('checkpoint_*.pt')}
    steps = {path: int(match[1]) for path, match in found.items() if match}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def _read(path: Path) -> dict[str, Any] | None:
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip():  # torch.load does not look at checksums
                return None
        state: dict[str, Any] = torch.load(path, map_location='cpu', weights_only=True)
    except (zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError):
        return None
    return state


def _sync_folder(folder: Path) -> None:
    """A new name is safe once its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
