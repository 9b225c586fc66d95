"""One attempt to make a method ready, in a thread and where needed a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from depth_ros.engines.base import NotBuiltError
from depth_ros.errors import DepthRosError, EngineError
from depth_ros.methods.base import Preparable, release
from depth_ros.pipeline.fusion import warm_up

Builder = Callable[[Preparable, int, int], 'list[str] | None']
"""Command that makes what a method lacks for views (height, width); None if there is none."""

PATIENCE_S = 2.0
"""Time given to a process after SIGTERM, and to a thread after that."""


def build_command(method: Preparable, height: int, width: int) -> list[str] | None:
    """The `depth_ros` command of the method, run by this Python at low priority."""
    arguments = method.build_arguments(height, width)
    if arguments is None:
        return None
    return ['nice', '-n', '10', sys.executable, '-m', 'depth_ros', *arguments]


@dataclass(frozen=True)
class UpgradeStatus:
    """How far an upgrade is.

    Attributes:
        step: what is being done, such as `bpnet 384x1248: building plan 43 %`; empty if nothing.
        failure: why the method cannot be used and the way out; empty if it can.
    """

    step: str = ''
    failure: str = ''


class Preparation:
    """One attempt to make a method ready for one size of view, in a thread of its own.

    Args:
        method: nobody else may use it until it is ready.
        size: (height, width) of the views.
        builder: see `Builder`.
        before: the attempt whose place this one takes: it is cancelled now and awaited first.

    Attributes:
        status: how far it is.
        ready: whether the method can be used.
        lesser: why it runs on something lesser than it could, as the end of a sentence; or empty.
    """

    def __init__(
        self,
        method: Preparable,
        size: tuple[int, int],
        builder: Builder,
        before: Preparation | None = None,
    ) -> None:
        self.status = UpgradeStatus()
        self.ready = False
        self.lesser = ''
        self._method, self._size, self._builder = method, size, builder
        self._label = f'{method.name} {size[0]}x{size[1]}'
        self._cancelled = False
        self._process: subprocess.Popen[str] | None = None
        self._changing = threading.Lock()  # of the three above
        self._enter('waiting')
        if before is not None:
            before.cancel()
        self._thread = threading.Thread(
            target=self._run, args=(before,), name='depth_ros_upgrade', daemon=True
        )
        self._thread.start()

    def serves(self, method: Preparable, size: tuple[int, int]) -> bool:
        """Whether it is for this method and views of this size, and not cancelled."""
        if self._method is not method or self._cancelled:
            return False
        return self._size == size or (self.ready and method.fits(*size))

    def fail(self, what: str, error: Exception) -> None:
        """The method is no longer ready, as it failed in use."""
        with self._changing:
            if self.ready:
                self.ready = False
                self.status = UpgradeStatus(failure=self._explain(what, error))

    def cancel(self) -> None:
        """Give up without waiting; the method is closed as soon as nothing works on it."""
        with self._changing:
            if self._cancelled:
                return
            self._cancelled = True
            self.status = UpgradeStatus()
            if self.ready:
                self.ready = False
                release(self._method)
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Give up, and wait for seconds at most until nothing is left."""
        self.cancel()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join(PATIENCE_S)

    def _run(self, before: Preparation | None) -> None:
        if before is not None:
            before.end()
            before._thread.join()  # it may still be opening the same method
        failure = ''
        try:
            self._make_ready()
        except _CancelledError:
            pass
        except Exception as error:  # what a backend raises if it runs out of memory, say
            failure = self._explain('could not be prepared', error)
        with self._changing:
            self.ready = not self._cancelled and not failure
            if not self.ready:
                release(self._method)
            if not self._cancelled:
                self.status = UpgradeStatus(failure=failure)

    def _make_ready(self) -> None:
        """Open, check and warm up the method; what it lacks is built first."""
        self._enter('opening')
        try:
            self._method.prepare(*self._size, may_build=False)
        except NotBuiltError:
            command = self._builder(self._method, *self._size)
            if command is None:
                raise
            self._enter('exporting' if 'export' in command else 'building')
            try:
                self._build(command)
                self._enter('opening')
                self._method.prepare(*self._size, may_build=False)
            except EngineError as error:
                self._open_lesser(error)
        self._enter('warming up')
        warm_up(self._method, *self._size)

    def _open_lesser(self, failure: EngineError) -> None:
        """Open the best that needs no build, after the build of the best has failed.

        Raises:
            EngineError: the failure, as there is nothing else.
        """
        self._enter('opening what needs no build')
        try:
            self._method.prepare(*self._size, may_build=False, may_skip=True)
        except EngineError:
            raise failure from None
        self.lesser = f', as the best failed: {str(failure).rstrip(".")}'

    def _build(self, command: list[str]) -> None:
        """Run a command that tells of itself in JSON lines, and follow it to its end."""
        with tempfile.TemporaryFile('w+', errors='replace') as log:
            error = ''
            with self._started(command, log) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    news = _news(line)
                    error = str(news.get('error', error))
                    if 'phase' in news:
                        self._enter(_step(news))
            if error or process.returncode:
                raise EngineError(error or _ending(process.returncode, log))

    def _started(self, command: list[str], log: IO[str]) -> subprocess.Popen[str]:
        with self._changing:
            if self._cancelled:
                raise _CancelledError
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    errors='replace',
                    start_new_session=True,  # with all that it starts, one group to end
                )
            except OSError as error:
                raise EngineError(f'the build cannot be started: {error}') from error
            return self._process

    def _enter(self, step: str) -> None:
        with self._changing:
            if self._cancelled:
                raise _CancelledError
            self.status = UpgradeStatus(step=f'{self._label}: {step}')

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the build and all that it started; nothing if there is none."""
        with self._changing:
            process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _explain(self, what: str, error: Exception) -> str:
        return f'{self._label} {what}: {in_words(error)}'


class _CancelledError(Exception):
    """Ends a preparation that nobody wants any longer."""


def in_words(error: Exception) -> str:
    """What an error says, on one line; with its type if it is none of ours."""
    kind = '' if isinstance(error, DepthRosError) else f'{type(error).__name__}: '
    return kind + ' '.join(str(error).split()).rstrip('.')


def _news(line: str) -> dict[str, Any]:
    """What a line of a build's output says; nothing if it is none of the JSON lines."""
    try:
        news = json.loads(line)
    except ValueError:
        return {}
    return news if isinstance(news, dict) else {}


def _step(news: dict[str, Any]) -> str:
    fraction = news.get('fraction')
    percent = f' {100 * fraction:.0f} %' if isinstance(fraction, int | float) else ''
    return f'{news["phase"]}{percent}'


def _ending(code: int, log: IO[str]) -> str:
    """How a build ended that did not say so itself, with the last line of its log."""
    how = f'ended with exit code {code}' if code > 0 else f'was killed by signal {-code}'
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    return f'the build {how}' + (f': {lines[-1]}' if lines else '')
