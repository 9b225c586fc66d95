"""What the node says of itself on /diagnostics: rates, drops, latency, silence, live accuracy."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.upgrade import UpgradeStatus

# Levels of REP-107. A ROS `byte` is a bytes object of length 1 in Python; these compare in order.
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

Finding = tuple[bytes, str]


class RateMeter:
    """Messages per second over the last few seconds. Thread-safe."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_ns = round(window_s * 1e9)
        self._start_ns: int | None = None
        self._ticks_ns: deque[int] = deque()
        self._lock = threading.Lock()

    def tick(self, now_ns: int) -> None:
        """Count a message at a monotonic time; the first one only starts the clock."""
        with self._lock:
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


@dataclass(frozen=True)
class TopicHealth:
    """How an input is doing.

    Attributes:
        topic: full name.
        received: messages so far.
        rate_hz: messages per second lately.
        silent_s: time since the last message, or since the start if there was none.
        timeout_s: silence that is reported.
        required: nothing is published without it, so that its silence is an error.
        mismatch: publishers that cannot be heard (`AdaptiveSubscription.mismatch`), or empty.
    """

    topic: str
    received: int
    rate_hz: float
    silent_s: float
    timeout_s: float
    required: bool = True
    mismatch: str = ''

    def findings(self) -> list[Finding]:
        """What is wrong with it."""
        level = ERROR if self.required else WARN
        found = []
        if self.silent_s > self.timeout_s:
            since = 'silent' if self.received else 'no message yet'
            found.append((level, f'{self.topic}: {since} for {self.silent_s:.1f} s'))
        if self.mismatch:
            found.append((level if not self.received else WARN, f'{self.topic}: {self.mismatch}'))
        return found


@dataclass(frozen=True)
class Snapshot:
    """Everything one report says.

    Attributes:
        inputs: the input topics.
        output_hz: frames published per second.
        method: depth method in use.
        method_reason: why this one.
        upgrade: how far a better method is.
        drops: dropped messages by reason since the start.
        latency_ms: (p50, p95) by stage, see `LatencyMeter.percentiles_ms`.
        lidar_age_s: time between the newest image and the sweep in use, or None.
        problem: what was refused since the last report and why, or empty.
        accuracy: live figures at held-out returns, or None before there are any.
    """

    inputs: tuple[TopicHealth, ...]
    output_hz: float
    method: str
    method_reason: str
    upgrade: UpgradeStatus = field(default_factory=UpgradeStatus)
    drops: Mapping[str, int] = field(default_factory=dict)
    latency_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lidar_age_s: float | None = None
    problem: str = ''
    accuracy: LiveAccuracy | None = None


def diagnostic_array(snapshot: Snapshot, node_name: str, stamp: Time) -> DiagnosticArray:
    """The report as three statuses, `<node>: inputs`, `<node>: output`, `<node>: accuracy`."""
    array = DiagnosticArray()
    array.header.stamp = stamp
    array.status = [
        _status(f'{node_name}: inputs', *_inputs(snapshot)),
        _status(f'{node_name}: output', *_output(snapshot)),
        _status(f'{node_name}: accuracy', *_accuracy(snapshot)),
    ]
    return array


def _inputs(snapshot: Snapshot) -> tuple[list[Finding], str, dict[str, str]]:
    values = {}
    for health in snapshot.inputs:
        values[f'{health.topic} rate [Hz]'] = f'{health.rate_hz:.2f}'
        values[f'{health.topic} received'] = str(health.received)
        values[f'{health.topic} silent [s]'] = f'{health.silent_s:.2f}'
    if snapshot.lidar_age_s is not None:
        values['LiDAR age [s]'] = f'{snapshot.lidar_age_s:.3f}'
    found = [finding for health in snapshot.inputs for finding in health.findings()]
    return found, 'all topics arrive', values


def _output(snapshot: Snapshot) -> tuple[list[Finding], str, dict[str, str]]:
    values = {
        'rate [Hz]': f'{snapshot.output_hz:.2f}',
        'method': snapshot.method,
        'method chosen because': snapshot.method_reason,
        'preparing': snapshot.upgrade.step,
    }
    values |= {f'dropped {reason}': str(n) for reason, n in sorted(snapshot.drops.items())}
    for stage, (p50, p95) in snapshot.latency_ms.items():
        values[f'{stage} p50 [ms]'] = f'{p50:.2f}'
        values[f'{stage} p95 [ms]'] = f'{p95:.2f}'
    found = [(WARN, text) for text in (snapshot.problem, snapshot.upgrade.failure) if text]
    all_well = f'{snapshot.method} at {snapshot.output_hz:.1f} Hz'
    if step := snapshot.upgrade.step:
        all_well += f', preparing {step}'
        found += [(OK, f'preparing {step}')] if found else []
    return found, all_well, values


def _accuracy(snapshot: Snapshot) -> tuple[list[Finding], str, dict[str, str]]:
    live = snapshot.accuracy
    if live is None:
        return [], 'not measured yet', {}
    values = {
        'held-out returns': str(live.returns),
        'median error [m]': f'{live.median_error_m:.3f}',
        'p95 error [m]': f'{live.p95_error_m:.3f}',
        'coverage at 1 sigma': f'{live.coverage_1sigma:.3f}',
        'coverage at 2 sigma': f'{live.coverage_2sigma:.3f}',
        'scale of sigma': f'{live.scale:.3f}',
    }
    return [(WARN, live.alarm)] if live.alarm else [], 'sigma holds', values


def _status(
    name: str, findings: list[Finding], all_well: str, values: dict[str, str]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=max((level for level, _ in findings), default=OK),
        name=name,
        message='; '.join(text for _, text in findings) or all_well,
        hardware_id='depth_ros',
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
