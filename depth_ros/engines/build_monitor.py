"""How far a TensorRT build is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str, float], None]
"""Told the name of the present phase and the share of the whole that is done, 0 to 1."""


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0
    start: float = 0.0  # where it begins in the present step of its parent
    within: float = 0.0  # share of its own present step that is done

    @property
    def share(self) -> float:
        return min(1.0, (self.done + self.within) / self.steps)


class BuildMonitor:
    """Makes one number of TensorRT's tree of phases, and stops the build if nobody listens.

    A phase has a known number of steps, and within a step any number of phases, one after the
    other. Each of those counts as half of what is left of the step, so that the number never
    falls and never claims too much.

    Args:
        progress: told of every rise. What it raises ends the build.

    Attributes:
        failure: what `progress` raised, or None.
    """

    def __init__(self, progress: Progress) -> None:
        self.failure: Exception | None = None
        self._progress = progress
        self._phases: dict[str, _Phase] = {}
        self._share = 0.0
        self._lock = threading.Lock()  # TensorRT builds with several threads

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, in the present step of its parent if it has one."""
        with self._lock:
            start = self._phases[parent].within if parent in self._phases else 0.0
            self._phases[name] = _Phase(parent, max(steps, 1), start=start)

    def step(self, name: str) -> bool:
        """A step of a phase is done; returns whether to go on."""
        with self._lock:
            if (phase := self._phases.get(name)) is not None:
                phase.done += 1
                phase.within = 0.0
                self.report(name, self._carry(phase))
        return self.failure is None

    def finish(self, name: str) -> None:
        """A phase is done, whatever steps it left out."""
        with self._lock:
            if (phase := self._phases.pop(name, None)) is not None:
                phase.done = phase.steps
                self._carry(phase)

    def report(self, name: str, share: float) -> None:
        """Tell that `share` of all is done, unless as much was told before."""
        if share <= self._share or self.failure is not None:
            return
        self._share = share
        try:
            self._progress(name, share)
        except Exception as error:  # must not pass through TensorRT, which cannot handle it
            self.failure = error

    def _carry(self, phase: _Phase) -> float:
        """Carry the share of a phase up to its root; returns the share of the whole."""
        while phase.parent in self._phases:
            parent = self._phases[phase.parent]
            parent.within = phase.start + 0.5 * (1.0 - phase.start) * phase.share
            phase = parent
        return phase.share
