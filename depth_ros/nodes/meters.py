"""What a node measures of itself: rates, latency, what was lost on the way, how old stamps are."""

from __future__ import annotations

import statistics
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from depth_ros.nodes.reasons import NO_FAULT, SWEEPS
from depth_ros.pipeline.clocks import Cause, repeated_stamps


class RateMeter:
    """Messages per second over the last few seconds. Thread-safe.

    Attributes:
        count: messages so far.
    """

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._start_ns: int | None = None
        self._ticks_ns: deque[int] = deque()
        self.count = 0
        self._lock = threading.Lock()

    def tick(self, now_ns: int) -> None:
        """Count a message at a monotonic time; the first one only starts the clock."""
        with self._lock:
            self.count += 1
            if self._start_ns is None:
                self._start_ns = now_ns
            else:
                self._ticks_ns.append(now_ns)
                self._forget(now_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Mean rate until now; 0 before the second message."""
        with self._lock:
            self._forget(now_ns)
            if not self._ticks_ns or self._start_ns is None:
                return 0.0
            return len(self._ticks_ns) * 1e9 / min(self._window_ns, now_ns - self._start_ns)

    def _forget(self, now_ns: int) -> None:
        while self._ticks_ns and self._ticks_ns[0] <= now_ns - self._window_ns:
            self._ticks_ns.popleft()


class LatencyMeter:
    """Median and 95th percentile of the time of each stage over the last frames. Thread-safe."""

    def __init__(self, frames: int = 200) -> None:
        self._frames = frames
        self._stages: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stages_ms: Mapping[str, float]) -> None:
        """Add the times of one frame in milliseconds, by stage."""
        with self._lock:
            for stage, ms in stages_ms.items():
                self._stages.setdefault(stage, deque(maxlen=self._frames)).append(ms)

    def percentiles_ms(self) -> dict[str, tuple[float, float]]:
        """(p50, p95) in milliseconds by stage, in the order in which stages were first seen."""
        with self._lock:
            times = {stage: list(ms) for stage, ms in self._stages.items()}
        return {
            stage: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95)))
            for stage, ms in times.items()
        }


class StampMeter:
    """What stamps messages had, and how long before their arrival, over the last of them."""

    def __init__(self, messages: int = 15) -> None:
        self._ages_s: deque[float] = deque(maxlen=messages)
        self._stamps_ns: deque[int] = deque(maxlen=messages)

    def add(self, stamp_ns: int, now_ns: int) -> None:
        """Take note of a stamp and the time of the node's clock when it came."""
        self._ages_s.append((now_ns - stamp_ns) / 1e9)
        self._stamps_ns.append(stamp_ns)

    def repeated(self, kind: str) -> Cause | None:
        """What is wrong with stamps of a kind, `image` or `sweep`, that stay the same."""
        return repeated_stamps(self._stamps_ns, kind)

    def median_s(self) -> float | None:
        """Median age [s], below 0 if stamps are ahead; None before the first message."""
        return statistics.median(self._ages_s) if self._ages_s else None


class LossMeter:
    """Images that were lost on the way: their CameraInfo, small as it is, came without them.

    A driver that stamps both alike, within 2 ms, tells exactly which. Where stamps do not match,
    nothing is said.
    """

    SETTLED = 5  # newest infos whose image may still come
    MIN_MATCHED = 3
    ALIKE_NS = 2_000_000

    def __init__(self, messages: int = 60) -> None:
        self._infos: deque[int] = deque(maxlen=messages)
        self._images: deque[int] = deque(maxlen=2 * messages)

    def info(self, stamp_ns: int) -> None:
        """Take note of a CameraInfo."""
        if self._infos and stamp_ns < self._infos[-1]:  # time went back
            self._infos.clear()
            self._images.clear()
        if not self._infos or stamp_ns > self._infos[-1]:
            self._infos.append(stamp_ns)

    def image(self, stamp_ns: int) -> None:
        """Take note of an image."""
        self._images.append(stamp_ns)

    def lost(self) -> tuple[int, int]:
        """(lost, sent) images among the last; (0, 0) where stamps do not tell."""
        images = sorted(self._images)
        sent = [s for s in self._infos if images and s >= images[0] - self.ALIKE_NS]
        sent = sent[: -self.SETTLED]
        matched = sum(self._is_among(images, stamp_ns) for stamp_ns in sent)
        if matched < self.MIN_MATCHED:
            return 0, 0
        return len(sent) - matched, len(sent)

    def _is_among(self, images: list[int], stamp_ns: int) -> bool:
        """Whether an image has this stamp."""
        after = bisect_left(images, stamp_ns - self.ALIKE_NS)
        return after < len(images) and images[after] <= stamp_ns + self.ALIKE_NS


@dataclass(frozen=True)
class Flow:
    """What became of images during the last seconds.

    Attributes:
        seconds: how long that was.
        received: images that came.
        published: frames that went out.
        drops: dropped messages by reason.
    """

    seconds: float = 0.0
    received: int = 0
    published: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> dict[str, int]:
        """Images that gave no depth and should have, by reason, the commonest first."""
        other = NO_FAULT | SWEEPS
        images = {reason: n for reason, n in self.drops.items() if n > 0 and reason not in other}
        return dict(sorted(images.items(), key=lambda item: -item[1]))

    @property
    def decided(self) -> int:
        """Images that went out or were lost."""
        return self.published + sum(self.lost.values())


class FlowMeter:
    """Totals as they were lately, so that rates follow."""

    MIN_DECIDED = 5
    MAX_WINDOW_NS = 60_000_000_000

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._past: deque[tuple[int, Flow]] = deque()

    def add(self, now_ns: int, received: int, published: int, drops: Mapping[str, int]) -> Flow:
        """The flow up to these totals, over 5 s, or longer where images are rare."""
        now = Flow(0.0, received, published, dict(drops))
        while len(self._past) > 1:
            second_ns, second = self._past[1]
            enough = _since(second, now).decided >= self.MIN_DECIDED
            old = now_ns - self._past[0][0] > self.MAX_WINDOW_NS
            if now_ns - second_ns < self._window_ns or not (enough or old):
                break
            self._past.popleft()
        then_ns, then = self._past[0] if self._past else (now_ns, now)
        self._past.append((now_ns, now))
        flow = _since(then, now)
        return Flow((now_ns - then_ns) / 1e9, flow.received, flow.published, flow.drops)


def _since(then: Flow, now: Flow) -> Flow:
    return Flow(
        0.0,
        now.received - then.received,
        now.published - then.published,
        Counter(now.drops) - Counter(then.drops),
    )
