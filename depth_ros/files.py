"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


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
