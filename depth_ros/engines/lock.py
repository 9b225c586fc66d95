"""One process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from depth_ros.errors import EngineError

POLL_S = 0.1


@contextlib.contextmanager
def locked(path: Path, timeout_s: float | None = None) -> Iterator[None]:
    """Hold the lock of a file, waiting for whoever has it; a process that dies lets go of it.

    The file is made if need be and stays: removing it would let two in.

    Args:
        path: the file.
        timeout_s: longest wait in seconds; None = any.

    Raises:
        EngineError: somebody has held it for too long.
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a') as file:
        if timeout_s is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            _lock_within(file.fileno(), path, timeout_s)
        yield


def _lock_within(descriptor: int, path: Path, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise EngineError(
                    f'Another process has held {path} for {timeout_s:.0f} s; end it or wait.'
                ) from None
        time.sleep(POLL_S)
