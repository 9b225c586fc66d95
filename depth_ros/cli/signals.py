"""How a command that makes files is ended: by Ctrl-C, or by SIGTERM, with which a node cancels."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

EXIT_TERMINATED = 128 + signal.SIGTERM


@contextlib.contextmanager
def tidied() -> Iterator[None]:
    """Have both signals raise, so that what is half done is removed."""
    with _handled(signal.default_int_handler, _exit):
        yield


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Have both signals end the process: within TensorRT no exception of ours would come up.

    A plan comes into being in one step, so that nothing is left half done.
    """
    with _handled(signal.SIG_DFL, signal.SIG_DFL):
        yield


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_TERMINATED)


@contextlib.contextmanager
def _handled(interrupt: Any, terminate: Any) -> Iterator[None]:
    before = [
        (number, signal.signal(number, handler))
        for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, terminate))
    ]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
