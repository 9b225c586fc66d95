"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from depth_ros.errors import ConfigError


def cache_dir(*parts: str) -> Path:
    """A folder of the user's cache, not made yet: weights, exported networks, plans.

    It is `$DEPTH_ROS_CACHE`, else `depth_ros` in `$XDG_CACHE_HOME` or `~/.cache`.

    Raises:
        ConfigError: `$DEPTH_ROS_CACHE` names the home of a user whom there is not.
    """
    own = os.environ.get('DEPTH_ROS_CACHE')
    if own:
        try:
            return Path(own).expanduser().joinpath(*parts)
        except RuntimeError as error:
            raise ConfigError(
                f'DEPTH_ROS_CACHE={own} is in the home of nobody; set it to a folder, or unset it.'
            ) from error
    shared = os.environ.get('XDG_CACHE_HOME')
    root = Path(shared) if shared else Path.home() / '.cache'
    return root.joinpath('depth_ros', *parts)


def write_atomic(path: Path | str, content: bytes) -> None:
    """Write a file through a temporary one beside it, so that nobody ever reads half of it.

    Missing folders are made, and a link stays a link. If writing fails, what was there before
    stays and the temporary file is removed.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # /dev/null, a pipe: renaming would replace it
        path.write_bytes(content)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
