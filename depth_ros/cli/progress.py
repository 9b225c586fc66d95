"""A plain progress bar."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_WIDTH = 30


class ProgressBar:
    """A line on stderr that shows how far a loop is; nothing where stderr is no terminal.

    `with ProgressBar('run') as progress: progress(done, of)`; the line is wiped at the end.
    """

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._start_s = time.monotonic()

    def __enter__(self) -> ProgressBar:
        return self

    def __call__(self, done: int, of: int) -> None:
        """Show that `done` of `of` steps are done."""
        elapsed_s = time.monotonic() - self._start_s
        left_s = elapsed_s / done * (of - done) if done else 0.0
        bar = ('#' * (_WIDTH * done // max(of, 1))).ljust(_WIDTH, '.')
        self._draw(f'{self._label} [{bar}] {done}/{of}, {left_s:.0f} s left')

    def note(self, line: str) -> None:
        """Print a line on stdout, clear of the bar."""
        self._draw('')
        print(line, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._draw('')

    def _draw(self, line: str) -> None:
        if self._shown:
            print(f'\r\x1b[K{line}', end='', file=self._stream, flush=True)
