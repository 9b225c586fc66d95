"""What stamps tell of the clocks behind them: why images find no sweep, in words."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

RECENT = 15  # messages of each kind whose stamps are remembered
STUCK = 5  # equal stamps in a row that no camera or LiDAR gives by chance
BOOT_CLOCK_S = 3.2e8  # ten years: what has a smaller stamp does not count from 1970
OTHER_CLOCK_S = 1e6
LATE_S = 0.5  # images do not wait for sweeps that are later than this
MAX_SLOP_S = 0.5  # no larger sync.max_sync_slop_s is advised: the scene has moved on
LEAPS = {
    37: 'that is TAI against UTC, as PTP gives it',
    18: 'that is GPS time against UTC',
}
"""Seconds between time scales since 2017."""

_ONE_CLOCK = (
    'Have both drivers stamp by the same clock: the time of the host when data arrive, or PTP or '
    'NTP on both sensors.'
)
_LOOK_AT_LIDAR = 'Look at the LiDAR, its driver and its network.'
_NAMES = {'image': ('image', 'camera'), 'sweep': ('sweep', 'LiDAR')}


class Cause(NamedTuple):
    """Why messages are lost.

    Attributes:
        key: short name of the kind, in snake_case.
        sentence: what is wrong, with its value.
        way_out: what to do about it.
    """

    key: str
    sentence: str
    way_out: str


class Clocks:
    """Remembers the stamps of images and sweeps as they arrive, and how far apart they are.

    Args:
        slop_s: largest time between an image and its sweep.
    """

    def __init__(self, slop_s: float) -> None:
        self._slop_s = slop_s
        self._had_sweep = False
        self._forget()

    def _forget(self) -> None:
        self._stamps = {kind: deque[int](maxlen=RECENT) for kind in _NAMES}
        # image, nearest sweep - image; None until one comes
        self._lost: deque[tuple[int, int | None]] = deque(maxlen=RECENT)
        self._leads_ns: deque[int] = deque(maxlen=RECENT)  # sweep - newest image, on arrival
        self._at_sweep_ns: int | None = None  # image that had come when the last sweep came
        self._images_since_sweep = 0
        self._since_start = dict.fromkeys(_NAMES, 0)  # messages of each kind

    def image(self, stamp_ns: int) -> None:
        """Take note of an image that has come."""
        self._stamps['image'].append(stamp_ns)
        self._since_start['image'] += 1
        self._images_since_sweep += 1

    def sweep(self, stamp_ns: int) -> None:
        """Take note of a sweep that has come."""
        self._stamps['sweep'].append(stamp_ns)
        self._since_start['sweep'] += 1
        self._had_sweep = True
        self._images_since_sweep = 0
        for k, (image_ns, nearest_ns) in enumerate(self._lost):  # it may have come too late
            self._lost[k] = image_ns, _nearer(nearest_ns, stamp_ns - image_ns)
        if images := self._stamps['image']:
            self._leads_ns.append(stamp_ns - images[-1])
            self._at_sweep_ns = images[-1]

    def starts_anew(self, kind: str) -> None:
        """Forget what was before: the stamps of a kind have gone back, as in a recording's loop.

        Stamps that go back again and again, as those of two drivers on one topic do, are one
        state and no new start.
        """
        if self._since_start[kind] > STUCK:
            last_ns = self._stamps[kind][-1]
            self._forget()
            self._stamps[kind].append(last_ns)
        self._since_start = dict.fromkeys(_NAMES, 0)

    def unpaired(self, image_ns: int, nearest_sweep_ns: int | None) -> None:
        """Take note of an image that has found no sweep, and of the nearest there was."""
        nearest_ns = None
        for sweep_ns in self._stamps['sweep'] if nearest_sweep_ns is None else [nearest_sweep_ns]:
            nearest_ns = _nearer(nearest_ns, sweep_ns - image_ns)
        self._lost.append((image_ns, nearest_ns))

    def why_unpaired(self) -> Cause | None:
        """Why images find no sweep; None if stamps do not tell."""
        if not self._stamps['sweep']:
            if self._had_sweep:
                return Cause(
                    'sweeps_stopped',
                    'no sweep has come since stamps went back, as where a recording begins again',
                    _LOOK_AT_LIDAR,
                )
            return Cause(
                'no_sweep_yet',
                'no sweep has come since pairing began',
                'Start the LiDAR driver; the status `inputs` tells what is on the topic.',
            )
        return (
            self._repeated('image')
            or self._repeated('sweep')
            or self._stopped()
            or (self._apart() if self._lost else None)
        )

    def why_repeated(self, kind: str) -> Cause | None:
        """Why stamps of a kind, `image` or `sweep`, come more than once; None if not known."""
        return self._repeated(kind)

    def _repeated(self, kind: str) -> Cause | None:
        """A driver that gives every message the same stamp."""
        both = self._stamps.keys() == {k for k in _NAMES if set(self._stamps[k]) == {0}}
        return repeated_stamps(self._stamps[kind], kind, both)

    def _stopped(self) -> Cause | None:
        """A LiDAR that has gone silent while images go on."""
        sweeps = self._stamps['sweep']
        if self._at_sweep_ns is None:
            return None
        # Not by stamps alone: those of two cameras on one topic may be anything apart.
        silent_s = min(
            (max(self._stamps['image']) - self._at_sweep_ns) / 1e9,
            self._images_since_sweep * (_period_s(self._stamps['image']) or 0.0),
        )
        period_s = max(_period_s(sweeps) or 0.0, LATE_S)
        if silent_s <= 3 * period_s:
            return None
        return Cause(
            'sweeps_stopped',
            f'no sweep has come during the last {duration(silent_s)} s of images',
            _LOOK_AT_LIDAR,
        )

    def _apart(self) -> Cause:
        """Sweeps come, but none is near enough."""
        nearest_ns = [offset_ns for _, offset_ns in self._lost if offset_ns is not None]
        nearest_s = statistics.median(nearest_ns) / 1e9
        spread_s = (max(nearest_ns) - min(nearest_ns)) / 1e9
        lead_s = statistics.median(self._leads_ns) / 1e9 if self._leads_ns else nearest_s
        text = f'the nearest sweep is {duration(abs(nearest_s))} s {_older(nearest_s)}'
        period_s = _period_s(self._stamps['sweep']) or 0.0
        is_near = abs(lead_s) <= LATE_S and abs(nearest_s) <= max(LATE_S, period_s)
        if not is_near:
            offset_s = lead_s if abs(lead_s) > LATE_S else nearest_s
            text = f'the nearest sweep is {duration(abs(offset_s))} s {_older(offset_s)}'
            if abs(offset_s - nearest_s) > 0.02 * abs(offset_s):
                # What is kept of the sweeps happens to be nearer than those that come now.
                text = f'sweeps come with stamps {duration(abs(offset_s))} s {_side(offset_s)}'
            return self._other_clocks(text, offset_s)
        if abs(nearest_s) <= self._slop_s:
            return Cause(
                'sweeps_late',
                'sweeps near enough come, but only after their image was given up: they arrive '
                f'{duration(abs(lead_s))} s behind the newest image',
                'Lower the latency of the LiDAR driver or of what lies between, or have it send '
                'at an even rate.',
            )
        limit = f'{text}, and sync.max_sync_slop_s allows {self._slop_s:g} s'
        largest_s = max(abs(ns) for ns in nearest_ns) / 1e9
        if spread_s <= max(0.02, abs(nearest_s) / 4):
            return Cause(
                'constant_offset',
                f'{limit}: camera and LiDAR do not trigger together or stamp differently',
                f'Set sync.max_sync_slop_s to {_slop(largest_s):g}, or correct the stamps.',
            )
        if period_s > 2 * MAX_SLOP_S:
            return Cause(
                'slow_lidar',
                f'{limit}: sweeps come every {duration(period_s)} s only',
                f'Have the LiDAR send a sweep every {MAX_SLOP_S:g} s at least.',
            )
        if period_s > 2 * self._slop_s:
            return Cause(
                'slow_lidar',
                f'{limit}: sweeps come every {duration(period_s)} s only',
                f'Set sync.max_sync_slop_s to {_slop(period_s / 2):g}, and '
                'extrinsic.fixed_frame if the robot moves.',
            )
        return Cause(
            'no_sweep_near',
            f'{limit}: sweeps are lost or irregular',
            'Look for lost sweeps (`depth_ros doctor` checks what loses large messages), or set '
            f'sync.max_sync_slop_s to {_slop(largest_s):g}.',
        )

    def _other_clocks(self, text: str, offset_s: float) -> Cause:
        """Stamps so far apart that the sensors cannot mean the same time."""
        size_s = abs(offset_s)
        # The newest image may be a period older than the sweep.
        precision_s = 0.5 + (_period_s(self._stamps['image']) or 0.0)
        leap = next((s for s in LEAPS if abs(size_s - s) < precision_s), None)
        half_hours = round(size_s / 1800)
        if size_s >= OTHER_CLOCK_S:
            newest = {k: abs(self._stamps[k][-1]) / 1e9 for k in _NAMES}
            since_boot = min(newest, key=newest.__getitem__)
            why = 'the sensors are on different clocks'
            if newest[since_boot] < BOOT_CLOCK_S:
                why += f'; that of the {_NAMES[since_boot][1]} counts from its own start'
            return Cause('other_clock', f'{text}: {why}', _ONE_CLOCK)
        if leap is not None:
            return Cause(
                'other_time_scale',
                f'{text}: the sensors are on different clocks; {LEAPS[leap]}',
                f'Take the {leap} s off in the driver or its PTP settings (such as '
                'utc_offset), or have it stamp by the time of the host.',
            )
        if half_hours and abs(size_s - 1800 * half_hours) < 2:
            return Cause(
                'time_zone',
                f'{text}: the sensors are on different clocks; {half_hours / 2:g} h look like '
                'a time zone',
                'Set the sensor or the driver to UTC.',
            )
        return Cause(
            'clock_offset',
            f'{text}: the sensors are on different clocks'
            + (', or the LiDAR driver delivers late' if offset_s < 0 else ''),
            f'{_ONE_CLOCK} Images wait {LATE_S:g} s for a late sweep and no longer.',
        )


def repeated_stamps(stamps: Sequence[int], kind: str, both_zero: bool = False) -> Cause | None:
    """What is wrong with a driver that gives every message the same stamp; None if it does not.

    Args:
        stamps: of the messages, as they came [ns]; the last `STUCK` are looked at.
        kind: `image` or `sweep`.
        both_zero: whether those of images and sweeps are 0, both of them.
    """
    last = list(stamps)[-STUCK:]
    if len(last) < STUCK or len(set(last)) > 1:
        return None
    message, sensor = _NAMES[kind]
    if last[0] == 0:
        whose = 'images and sweeps' if both_zero else f'{message}s'
        drivers = 'both drivers' if both_zero else f'the {sensor} driver'
        return Cause(
            'zero_stamps',
            f'the stamps of all {whose} are 0',
            f'Have {drivers} fill header.stamp with the time of capture.',
        )
    return Cause(
        'stuck_stamps',
        f'every {message} has the same stamp, {duration(last[0] / 1e9)} s',
        f'Restart the {sensor} driver, or have it stamp each {message} anew.',
    )


def _nearer(one_ns: int | None, other_ns: int) -> int:
    """That of two offsets which is nearer to 0."""
    return other_ns if one_ns is None else min(one_ns, other_ns, key=abs)


def _period_s(stamps: deque[int]) -> float | None:
    """Median time between stamps that grow; None if fewer than three do."""
    in_order = sorted(set(stamps))
    steps = [b - a for a, b in pairwise(in_order)]
    return statistics.median(steps) / 1e9 if len(steps) >= 2 else None


def _slop(offset_s: float) -> float:
    """A setting of the slop that takes an offset, with some room, in hundredths."""
    return min(math.ceil(offset_s * 110 - 1e-3) / 100, MAX_SLOP_S)


def _side(offset_s: float) -> str:
    return f'{"behind" if offset_s < 0 else "ahead of"} those of the images'


def _older(offset_s: float) -> str:
    return 'older' if offset_s < 0 else 'newer'


def duration(seconds: float) -> str:
    """Seconds with as many digits as mean something: 0.080, 36.9, 1.79e9."""
    if abs(seconds) >= 1e5:
        mantissa, exponent = f'{seconds:.2e}'.split('e')
        return f'{mantissa}e{int(exponent)}'
    return f'{seconds:.3f}' if abs(seconds) < 10 else f'{seconds:.1f}'
