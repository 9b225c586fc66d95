"""Puts a slow method in use between two frames once it is ready, and leaves one that fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from depth_ros.engines.open import choose_backend
from depth_ros.errors import (
    EngineError,
    FrameError,
    GeometryError,
    MethodError,
    NodeError,
    PipelineError,
)
from depth_ros.frame import Frame
from depth_ros.methods.base import DepthMethod, Preparable
from depth_ros.pipeline.fusion import STAND_IN, FusionPipeline
from depth_ros.pipeline.preparation import (
    Builder,
    Preparation,
    UpgradeStatus,
    build_command,
    in_words,
)

FAILURES = 3
"""Frames in a row that a method fails until it is left."""
PAUSE_S, LONGEST_PAUSE_S = 10.0, 600.0
"""Time until it is tried again, first, and at last: it doubles from failure to failure."""

_REFUSALS = (FrameError, GeometryError, MethodError, NodeError, PipelineError)
"""What says that a frame cannot be completed, and nothing of the method."""


class Upgrade:
    """Lets a pipeline run on its stand-in while the method that it wants is not ready, or fails.

    What the cache lacks is built in a process of its own; then the method is opened, checked and
    warmed up in a thread. What could not be prepared is tried again when the settings or the size
    of the views change, or after `close`. A method that fails `FAILURES` frames in a row, whatever
    it raises, is left and tried again after a pause, too.

    Args:
        pipeline: changes to its stand-in at once if what it wants is `Preparable`.
        builder: see `Builder`.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        pipeline: FusionPipeline,
        builder: Builder = build_command,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._builder = builder
        self._clock = clock
        self._left: Left | None = None
        self._failures, self._completed = 0, 0  # in a row, and when the last of them was
        self._preparation: Preparation | None = None
        if isinstance(pipeline.wanted, Preparable):
            pipeline.stand_in(f'{pipeline.wanted.name} is prepared once images tell their size')
            # The import of PyTorch holds up all threads for long: better now than among frames.
            with contextlib.suppress(EngineError):  # the preparation will tell
                choose_backend(pipeline.config.engine.backend)

    @property
    def status(self) -> UpgradeStatus:
        """How far it is; from any thread."""
        preparation, left = self._preparation, self._left
        if left is not None and left.why:
            return UpgradeStatus(failure=left.why)
        status = UpgradeStatus() if preparation is None else preparation.status
        if not status.failure:
            return status
        again = 'when a setting such as engine.backend changes or the node is activated anew'
        return UpgradeStatus(failure=f'{status.failure}. It is tried again {again}')

    def before(self, frame: Frame) -> None:
        """Have the pipeline use a method that is ready for a frame. Never waits.

        For the thread that processes the frames, before each of them.

        Raises:
            MethodError: the method can do nothing with a frame of this camera; what is prepared
                for others stays.
        """
        pipeline, preparation = self._pipeline, self._preparation
        wanted, is_due = pipeline.wanted, self._is_due()
        if not isinstance(wanted, Preparable):
            if preparation is not None:
                preparation.cancel()
            if not is_due:
                pipeline.stand_in(f'{wanted.name} failed')
            elif pipeline.stands_in:
                if self._left is not None:
                    self._left = replace(self._left, why='', until_s=self._clock())
                pipeline.use(wanted, pipeline.wanted_reason)
            return
        camera = pipeline.view_camera(frame)
        wanted.check_camera(camera)
        size = camera.height, camera.width
        if preparation is None or not preparation.serves(wanted, size):
            pipeline.stand_in(f'{wanted.name} is being prepared')
            self._preparation = Preparation(wanted, size, self._builder, preparation)
        elif preparation.status.failure:
            pipeline.stand_in(f'{wanted.name} failed')
            if self._left is not None and not self._left.why:  # what worked once may work again
                self._leave(preparation.status.failure)
            elif self._left is not None and is_due:
                self._left = replace(self._left, why='', until_s=self._clock())
                self._preparation = Preparation(wanted, size, self._builder, preparation)
        elif preparation.ready and pipeline.stands_in:
            where = f'it runs on {wanted.describe()}{preparation.lesser}'
            pipeline.use(wanted, f'{pipeline.wanted_reason}; {where}')

    def failed(self, error: Exception) -> None:
        """Leave the method, from the next frame on, if it fails frame after frame.

        What goes wrong on a device may show up only when the result is fetched, and a frame that
        is refused (`_REFUSALS`) is not the fault of the method.

        Args:
            error: what completing a frame raised.
        """
        pipeline = self._pipeline
        if pipeline.stands_in or pipeline.wanted.name == STAND_IN or isinstance(error, _REFUSALS):
            return
        if pipeline.completed != self._completed:
            self._failures, self._completed = 0, pipeline.completed
        self._failures += 1
        if self._failures < FAILURES:
            return
        what = f'failed {FAILURES} frames in a row'
        if self._preparation is not None:
            self._preparation.fail(what, error)
            self._leave(self._preparation.status.failure)
        else:
            self._leave(f'{pipeline.wanted.name} {what}: {in_words(error)}')

    def close(self) -> None:
        """End what is being prepared, within seconds; a method in use stays in use."""
        preparation = self._preparation
        self._left, self._failures = None, 0
        if preparation is not None and (self._pipeline.stands_in or not preparation.ready):
            preparation.end()

    def _leave(self, why: str) -> None:
        """Have the stand-in complete for a while, twice as long as the last time."""
        now_s, left, method = self._clock(), self._left, self._pipeline.wanted
        pause_s = PAUSE_S
        if left is not None and left.method is method and now_s - left.until_s <= left.pause_s:
            pause_s = min(2 * left.pause_s, LONGEST_PAUSE_S)
        again = f'{why}. It is tried again in {pause_s:g} s, or when a setting of it changes'
        self._failures = 0
        self._left = Left(method, again, now_s + pause_s, pause_s)

    def _is_due(self) -> bool:
        """Whether the method that is wanted may be tried: it was not left, or long enough ago."""
        left = self._left
        if left is not None and left.method is not self._pipeline.wanted:
            left = self._left = None
        return left is None or self._clock() >= left.until_s


@dataclass(frozen=True)
class Left:
    """That a method was left.

    Attributes:
        method: the method.
        why: and when it is tried again; empty once that is done.
        until_s: when that is or was, by the clock.
        pause_s: how long it was left.
    """

    method: DepthMethod
    why: str
    until_s: float
    pause_s: float
