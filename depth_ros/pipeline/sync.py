"""Pairs each image with the nearest LiDAR sweep by stamp; counts by reason what it drops."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from depth_ros.pipeline.clocks import Cause, Clocks
from depth_ros.pipeline.config import SyncConfig

# Reasons of drops, the keys of `PairSync.drops`.
NO_SWEEP = 'no_sweep'
LATE_IMAGE = 'late_image'
LATE_SWEEP = 'late_sweep'
DUPLICATE_IMAGE = 'duplicate_image'
DUPLICATE_SWEEP = 'duplicate_sweep'
IMAGE_QUEUE_FULL = 'image_queue_full'
TIME_JUMP = 'time_jump'

MAX_WAITING_IMAGES = 32
MAX_SPARE_SWEEPS = 20  # kept besides those that `SyncConfig.sweeps` gathers
JUMP_NS = 1_000_000_000  # a stream that steps back further than this has started anew
LATE_RUN = 3  # and so has one of which so many in a row, in order among themselves, are late
MAX_LAG_NS = 500_000_000  # sweeps that arrive later than this after their image are not awaited
MIN_INTERVALS = 3  # the period of the sweeps is trusted from here on
GAP_PERIODS = 2.5  # sweeps further apart than this have lost two or more between them
AGE_PERIODS = 1.5  # for each further sweep that is gathered, unless a setting says
RECENT = 15  # sweeps whose interval and lag are remembered

ImageT = TypeVar('ImageT')
SweepT = TypeVar('SweepT')
T = TypeVar('T')


@dataclass(frozen=True)
class Pair(Generic[ImageT, SweepT]):
    """An image and its sweeps.

    Attributes:
        image_stamp_ns: time of the image.
        image: what `add_image` was given.
        sweeps: (stamp_ns, payload) of the nearest sweep first, then of those before it, going
            back in time; `SyncConfig.sweeps` of them, or as many as there are that are not too
            old and have no gap between them.
    """

    image_stamp_ns: int
    image: ImageT
    sweeps: tuple[tuple[int, SweepT], ...]


class PairSync(Generic[ImageT, SweepT]):
    """Pairs images and sweeps as they arrive; the same code live and offline.

    An image is paired as soon as its nearest sweep is known: when a sweep at or after it has
    come, or when the last one is at least as near as the next is expected to be. Otherwise it
    waits until the images have moved on by the slop plus the lag with which sweeps have lately
    arrived (a spinning LiDAR delivers a sweep a turn after its stamp), and then takes the nearest
    sweep within the slop or is dropped. When too many wait, the oldest is decided by what has
    come. Pairs come out in the order of their image stamps.

    A stream that steps back by more than 1 s (a bag loop), or goes on in the past (a loop that is
    shorter), clears both buffers. Every image ends
    in exactly one of: a pair, one count in `drops`, `waiting`. Not thread-safe.

    Attributes:
        drops: number of messages dropped by reason.
        jumps: how often time went backwards.
        lone: whether an image without a sweep is a pair of no sweeps instead of a drop. It waits
            for a sweep only while the LiDAR is not silent (`SyncConfig.lidar_timeout_s`).
    """

    def __init__(self, config: SyncConfig) -> None:
        self.drops: Counter[str] = Counter()
        self.jumps = 0
        self.lone = False
        self._clocks = Clocks(config.max_sync_slop_s)
        self._slop_ns = round(config.max_sync_slop_s * 1e9)
        self._gathered = config.sweeps
        self._silence_ns = round(config.lidar_timeout_s * 1e9)
        self._max_age_ns = round(config.max_sweep_age_s * 1e9)
        self._start_anew()

    def _start_anew(self) -> None:
        self._images: list[tuple[int, ImageT]] = []  # waiting, ordered by stamp
        self._sweeps: list[tuple[int, SweepT]] = []  # ordered by stamp
        self._newest_image_ns: int | None = None
        self._newest_sweep_ns: int | None = None
        self._late_images = _LateRun()
        self._late_sweeps = _LateRun()
        self._emitted_ns: int | None = None  # image of the last pair
        self._forgotten_ns: int | None = None  # newest sweep that was let go
        self._intervals_ns: deque[int] = deque(maxlen=RECENT)
        self._lags_ns: deque[int] = deque(maxlen=RECENT)

    @property
    def waiting(self) -> int:
        """Number of images that are not decided yet."""
        return len(self._images)

    def add_image(self, stamp_ns: int, image: ImageT) -> list[Pair[ImageT, SweepT]]:
        """Take an image; returns the pairs that are decided now, oldest first."""
        self._clocks.image(stamp_ns)
        self._check_jump('image', stamp_ns, self._newest_image_ns, self._late_images)
        self._newest_image_ns = _later(self._newest_image_ns, stamp_ns)
        if self._emitted_ns is not None and stamp_ns < self._emitted_ns:
            self.drops[LATE_IMAGE] += 1
        elif stamp_ns == self._emitted_ns or not _insert(self._images, stamp_ns, image):
            self.drops[DUPLICATE_IMAGE] += 1
        return self._decide()

    def add_sweep(self, stamp_ns: int, sweep: SweepT) -> list[Pair[ImageT, SweepT]]:
        """Take a sweep; returns the pairs that are decided now, oldest first."""
        self._clocks.sweep(stamp_ns)
        self._check_jump('sweep', stamp_ns, self._newest_sweep_ns, self._late_sweeps)
        if self._forgotten_ns is not None and stamp_ns <= self._forgotten_ns:
            self.drops[LATE_SWEEP] += 1
            return []
        if not _insert(self._sweeps, stamp_ns, sweep):
            self.drops[DUPLICATE_SWEEP] += 1
            return []
        if self._newest_image_ns is not None:
            self._lags_ns.append(min(max(self._newest_image_ns - stamp_ns, 0), MAX_LAG_NS))
        if self._newest_sweep_ns is not None and stamp_ns > self._newest_sweep_ns:
            self._intervals_ns.append(stamp_ns - self._newest_sweep_ns)
        self._newest_sweep_ns = _later(self._newest_sweep_ns, stamp_ns)
        pairs = self._decide()
        self._forget(len(self._sweeps) - MAX_SPARE_SWEEPS)
        return pairs

    def flush(self) -> list[Pair[ImageT, SweepT]]:
        """Decide all waiting images by what has come; for the end of a recording."""
        return self._decide(all_images=True)

    def why(self, reason: str) -> Cause | None:
        """Why messages were last dropped for a reason, as far as their stamps tell."""
        if reason in (NO_SWEEP, IMAGE_QUEUE_FULL):
            return self._clocks.why_unpaired()
        kinds = {DUPLICATE_IMAGE: 'image', DUPLICATE_SWEEP: 'sweep'}
        return self._clocks.why_repeated(kinds[reason]) if reason in kinds else None

    def _check_jump(self, kind: str, stamp_ns: int, newest_ns: int | None, late: _LateRun) -> None:
        if newest_ns is None:
            return
        if stamp_ns < newest_ns - JUMP_NS or late.length(stamp_ns, newest_ns) >= LATE_RUN:
            self.jumps += 1
            self.drops[TIME_JUMP] += self.waiting
            self._clocks.starts_anew(kind)
            self._start_anew()

    def _decide(self, all_images: bool = False) -> list[Pair[ImageT, SweepT]]:
        pairs: list[Pair[ImageT, SweepT]] = []
        while self._images:
            stamp_ns, image = self._images[0]
            overfull = self.waiting > MAX_WAITING_IMAGES
            if not (all_images or overfull or self._is_final(stamp_ns)):
                break
            del self._images[0]
            nearest = self._nearest(stamp_ns)
            if nearest is None or abs(self._sweeps[nearest][0] - stamp_ns) > self._slop_ns:
                if self.lone:
                    pairs.append(Pair(stamp_ns, image, ()))
                    self._emitted_ns = stamp_ns
                    continue
                self._clocks.unpaired(
                    stamp_ns, self._forgotten_ns if nearest is None else self._sweeps[nearest][0]
                )
                self.drops[IMAGE_QUEUE_FULL if overfull else NO_SWEEP] += 1
                continue
            pairs.append(Pair(stamp_ns, image, self._gather(nearest)))
            self._emitted_ns = stamp_ns
            # Later images reach back to here at most.
            self._forget(bisect_left(self._sweeps, stamp_ns - self._slop_ns, key=_stamp))
        return pairs

    def _is_final(self, image_ns: int) -> bool:
        """Whether no sweep still to come is expected to be nearer to the image."""
        if self.lone and (
            self._newest_sweep_ns is None or image_ns - self._newest_sweep_ns > self._silence_ns
        ):
            return True
        if self._newest_sweep_ns is not None:
            gap_ns = image_ns - self._newest_sweep_ns
            if gap_ns <= 0:
                return True
            if gap_ns <= self._slop_ns and len(self._intervals_ns) >= MIN_INTERVALS:
                expected_ns = self._newest_sweep_ns + statistics.median_low(self._intervals_ns)
                if gap_ns <= abs(expected_ns - image_ns):
                    return True
        patience_ns = self._slop_ns + max(self._lags_ns, default=0)
        return self._newest_image_ns is not None and self._newest_image_ns > image_ns + patience_ns

    def _nearest(self, image_ns: int) -> int | None:
        """Index of the nearest sweep, the earlier of two; None without any."""
        after = bisect_left(self._sweeps, image_ns, key=_stamp)
        near = [
            (abs(self._sweeps[i][0] - image_ns), i)
            for i in (after - 1, after)
            if 0 <= i < len(self._sweeps)
        ]
        return min(near)[1] if near else None

    def _gather(self, nearest: int) -> tuple[tuple[int, SweepT], ...]:
        """The sweep of this index and those before it, back to a gap or to the oldest allowed."""
        found = [self._sweeps[nearest]]
        period_ns = self._usual_interval_ns()
        gap_ns = min(GAP_PERIODS * period_ns, self._silence_ns)
        age_ns = self._max_age_ns or AGE_PERIODS * period_ns * (self._gathered - 1)
        for sweep in self._sweeps[max(nearest + 1 - self._gathered, 0) : nearest][::-1]:
            if found[-1][0] - sweep[0] > gap_ns or found[0][0] - sweep[0] > age_ns:
                break
            found.append(sweep)
        return tuple(found)

    def _usual_interval_ns(self) -> int:
        """Interval that four of five recent ones do not exceed: gaps are not the usual.

        Not the median: where several LiDARs share a topic, their sweeps come in short succession.
        """
        ordered = sorted(self._intervals_ns)
        return ordered[int(0.8 * (len(ordered) - 1))] if ordered else 0

    def _forget(self, count: int) -> None:
        """Let the `count` oldest sweeps go, but for those that the next pair gathers."""
        count = max(count - (self._gathered - 1), 0)
        if count > 0:
            self._forgotten_ns = self._sweeps[count - 1][0]
            del self._sweeps[:count]


class _LateRun:
    """Counts messages in a row that are older than the newest, yet in order among themselves."""

    def __init__(self) -> None:
        self._length = 0
        self._last_ns = 0

    def length(self, stamp_ns: int, newest_ns: int) -> int:
        """The length of the run that ends with this message; 0 if it is not late."""
        if stamp_ns >= newest_ns:
            self._length = 0
        else:
            in_order = self._length > 0 and stamp_ns > self._last_ns
            self._length = self._length + 1 if in_order else 1
        self._last_ns = stamp_ns
        return self._length


def _stamp(stamped: tuple[int, object]) -> int:
    return stamped[0]


def _later(newest_ns: int | None, stamp_ns: int) -> int:
    return stamp_ns if newest_ns is None else max(newest_ns, stamp_ns)


def _insert(ordered: list[tuple[int, T]], stamp_ns: int, payload: T) -> bool:
    """Insert by stamp; False if that stamp is there already."""
    index = bisect_left(ordered, stamp_ns, key=_stamp)
    if index < len(ordered) and ordered[index][0] == stamp_ns:
        return False
    ordered.insert(index, (stamp_ns, payload))
    return True
