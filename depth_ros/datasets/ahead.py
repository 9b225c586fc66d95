"""Samples read or rendered in a thread, ahead of their use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from depth_ros.datasets.base import Sample
from depth_ros.datasets.lost import why
from depth_ros.errors import DatasetError

KEPT_SAMPLES = 150  # the first, which come again when a recording starts again
AHEAD_SAMPLES = 50
HOPELESS_SAMPLES = 50  # so many are tried of a recording of which none can be used
LOOK_FOR_STOP_S = 0.1
PATIENCE_S = 5.0


class ReadAhead:
    """The samples of a dataset in order, read in a thread while the first are in use already.

    A sample that cannot be read is left out. Call `close` in the end.

    Args:
        read: sample `index`; raises whatever it will if there is none.
        length: how many there are.
        loop: begin again after the last.
        skipped: called from the thread, once for each sample that is left out, with the reason.
        preload: read all that are kept before the first comes.

    Attributes:
        loaded: up to which of the samples that are kept all are read.
        lost: how many were left out.
    """

    def __init__(
        self,
        read: Callable[[int], Sample],
        length: int,
        loop: bool,
        skipped: Callable[[str], None],
        preload: bool = False,
    ) -> None:
        self.loaded = self.lost = 0
        self._read, self._skipped = read, skipped
        self._length, self._loop, self._preload = length, loop, preload
        self._kept: dict[int, Sample | None] = {}  # None = left out
        self._waiting: queue.Queue[Sample] = queue.Queue(AHEAD_SAMPLES)
        self._failure: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='read ahead', daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return not self._thread.is_alive() and self._waiting.empty()

    def next(self) -> Sample | None:
        """The next sample, or None where it is not there yet, or never will be (`ended`).

        Raises:
            DatasetError: reading has failed for good.
        """
        try:
            return self._waiting.get_nowait()
        except queue.Empty:
            if (error := self._failure) is None:
                return None
            text = str(error)
            if not isinstance(error, DatasetError):
                text = f'Reading has failed, {type(error).__name__}: {text}'
            raise DatasetError(text) from error

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(PATIENCE_S)

    def _run(self) -> None:
        try:
            if self._preload:
                for index in range(min(self._length, KEPT_SAMPLES)):
                    self._sample(index)
            self._offer_all()
            while self._loop and self.lost < self._length and not self._stop.is_set():
                self._offer_all()
        except Exception as error:  # whatever it is, who waits for samples must hear of it
            self._failure = error

    def _offer_all(self) -> None:
        for index in range(self._length):
            self._offer(self._sample(index))

    def _sample(self, index: int) -> Sample | None:
        """A sample, or None if there is none; only the first time costs anything."""
        if self._stop.is_set():
            return None
        if index not in self._kept:
            sample = self._try(index)
            if sample is not None and index >= KEPT_SAMPLES:
                return sample
            self._kept[index] = sample
        self.loaded = max(self.loaded, index + 1)
        if self.lost == self.loaded == HOPELESS_SAMPLES:
            raise DatasetError(f'None of the first {self.lost} frames can be used.')
        return self._kept[index]

    def _try(self, index: int) -> Sample | None:
        try:
            return self._read(index)
        except Exception as error:  # a decoder raises anything
            self.lost += 1
            self._skipped(why(error))
            return None

    def _offer(self, sample: Sample | None) -> None:
        """Put a sample where it waits for its use, once there is room."""
        while sample is not None and not self._stop.is_set():
            try:
                self._waiting.put(sample, timeout=LOOK_FOR_STOP_S)
                return
            except queue.Full:
                pass
