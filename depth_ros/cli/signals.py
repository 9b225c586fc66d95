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


@contextlib.contextmanager
def noted() -> Iterator[list[int]]:
    """Have both signals only be noted, for a loop that then ends by itself.

    torchrun passes on what the terminal has sent to every process already, so a second signal
    means nothing more. Gives the list that their numbers go to.
    """
    numbers: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        numbers.append(number)

    with _handled(note, note):
        yield numbers


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
