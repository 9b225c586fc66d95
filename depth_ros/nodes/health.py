"""What is wrong with a node, judged by what it has measured: levels and sentences. ROS-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from depth_ros.nodes.meters import Flow
from depth_ros.nodes.reasons import BUSY, NOBODY_LISTENS, NOT_READY, cause_of
from depth_ros.pipeline.calibration import MIN_RETURNS_FOR_ALARM, LiveAccuracy
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.preparation import UpgradeStatus

MIN_LOST, MIN_SECONDS = 3, 1.0  # what is lost before may be the start of the drivers
WARN_SHARE, ERROR_SHARE = 1 / 3, 0.9
ERROR_AFTER_S = 3.0
STALE_AFTER_S = 3.0
MAX_MEDIAN_ERROR_M = 0.7
"""A method that goes by returns misses half of the held-out ones by more only where something is
in the wrong place; depth of an image alone may be off by that and say so."""
LOST_SHARE = 0.2
AHEAD_S = 0.1
APART_S = 0.5
PLAUSIBLE_S = 86400.0
"""Stamps further from the clock than a day come from a recording or from another clock."""


class Level(IntEnum):
    """Levels of REP-107."""

    OK = 0
    WARN = 1
    ERROR = 2


class Finding(NamedTuple):
    """Something that is to be told.

    Attributes:
        level: how bad it is.
        key: what it is, the same as long as the state lasts.
        text: in words, with the figures of now.
        is_logged: whether the log has it already, from where it came up.
    """

    level: Level
    key: str
    text: str
    is_logged: bool = False


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
        trouble: what the graph says of its publishers (`graph.explain_silence`), or None.
        stamps: what is wrong with stamps that do not change, or None.
        age_s: time between stamp and arrival lately, below 0 if stamps are ahead; None if not
            known or not to be judged, as with simulated time.
    """

    topic: str
    received: int
    rate_hz: float
    silent_s: float
    timeout_s: float
    required: bool = True
    trouble: Cause | None = None
    stamps: Cause | None = None
    age_s: float | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come for longer than is allowed."""
        return self.silent_s > self.timeout_s

    def findings(self) -> list[Finding]:
        """What is wrong with it."""
        level = Level.ERROR if self.required else Level.WARN
        found = []
        if self.is_silent:
            since = 'silent' if self.received else 'no message yet'
            text = f'{self.topic}: {since} for {self.silent_s:.1f} s'
            key = f'silent {self.topic}'
            if self.trouble is not None:
                text += f': {_words(self.trouble)}'
                key += f' {self.trouble.key}'
            found.append(Finding(level, key, text))
        elif self.trouble is not None:
            worse = level if not self.received else Level.WARN
            text = f'{self.topic}: {_words(self.trouble)}'
            found.append(Finding(worse, f'{self.trouble.key} {self.topic}', text))
        if self.stamps is not None and not self.is_silent:
            text = f'{self.topic}: {_words(self.stamps)}'
            found.append(Finding(Level.WARN, f'{self.stamps.key} {self.topic}', text))
        if self.age_s is not None and -PLAUSIBLE_S < self.age_s < -AHEAD_S:
            text = (
                f'{self.topic}: its stamps are {-self.age_s:.2f} s ahead of arrival: its clock '
                'and that of this machine differ, and what is paired by stamps may not have been '
                'seen at the same time. Set the clocks by NTP or PTP'
            )
            found.append(Finding(Level.WARN, f'ahead {self.topic}', text))
        return found


def _words(cause: Cause) -> str:
    """A cause as one piece of a message, without its full stop."""
    return f'{cause.sentence.rstrip(".")}. {cause.way_out}'.rstrip('. ')


def _nothing_known(reason: str) -> Cause | None:
    return None


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
        flow: what became of images lately.
        starved_s: time since the last frame went out, or since images began to come.
        why: what is known of a reason beyond the table, or None.
        latency_ms: (p50, p95) by stage, see `LatencyMeter.percentiles_ms`.
        lidar_age_s: time between the newest image and the sweep in use, or None.
        lost: (lost, sent) images, see `LossMeter.lost`.
        problem: reason and sentence of what was refused since the last report, or None.
        accuracy: live figures at held-out returns, or None before there are any.
        judged_s: time since the frame that the figures are of.
        has_lidar: whether there is one at all.
        needs_lidar: whether the method goes by its returns.
        listeners: why subscribers of outputs receive nothing, by topic.
    """

    inputs: tuple[TopicHealth, ...]
    output_hz: float
    method: str
    method_reason: str
    upgrade: UpgradeStatus = field(default_factory=UpgradeStatus)
    drops: Mapping[str, int] = field(default_factory=dict)
    flow: Flow = field(default_factory=Flow)
    starved_s: float = 0.0
    why: Callable[[str], Cause | None] = _nothing_known
    latency_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    lidar_age_s: float | None = None
    lost: tuple[int, int] = (0, 0)
    problem: tuple[str, str] | None = None
    accuracy: LiveAccuracy | None = None
    judged_s: float = 0.0
    has_lidar: bool = True
    needs_lidar: bool = True
    listeners: Mapping[str, Cause] = field(default_factory=dict)

    @property
    def is_stale(self) -> bool:
        """Whether the figures of frames are of frames long gone."""
        return self.judged_s > STALE_AFTER_S


def judge_inputs(snapshot: Snapshot) -> list[Finding]:
    """What is wrong with what comes in."""
    causes = [cause for reason in snapshot.flow.lost if (cause := snapshot.why(reason))]
    told = {cause.key for cause in causes}  # by the output: once is enough
    inputs = [
        replace(h, stamps=None) if h.stamps is not None and h.stamps.key in told else h
        for h in snapshot.inputs
    ]
    found = [finding for health in inputs for finding in health.findings()]
    lost, sent = snapshot.lost
    if sent and lost > LOST_SHARE * sent:
        text = (
            f'{lost} of the last {sent} images ({lost / sent:.0%}) are missing, though their '
            'CameraInfo came: they were lost on the way, or the topic is throttled. Give the '
            'camera driver the Fast DDS profile config/fastdds_shm.xml (`depth_ros doctor` says '
            'how), or have it publish reliable'
        )
        found.append(Finding(Level.WARN, 'images lost', text))
    return found + _ages_apart(snapshot.inputs)


def _ages_apart(inputs: Iterable[TopicHealth]) -> list[Finding]:
    """Sensors of which one stamps much earlier than the other: wrong sweeps may be paired."""
    aged = {h.topic: h.age_s for h in inputs if h.age_s is not None and h.received}
    young, old = (f(aged, key=aged.__getitem__, default='') for f in (min, max))
    if not aged or aged[old] - aged[young] <= APART_S or aged[young] < -AHEAD_S:
        return []  # what is ahead has been named
    if aged[old] > PLAUSIBLE_S:  # other clocks: pairing says so, with the figure
        return []
    text = (
        f'{old} arrives {aged[old]:.2f} s after its stamps and {young} {aged[young]:.2f} s: '
        'what is paired by stamps may not have been seen at the same time. Set both clocks by '
        'NTP or PTP, or lower the latency of the driver'
    )
    return [Finding(Level.WARN, 'ages apart', text)]


def judge_output(snapshot: Snapshot) -> list[Finding]:
    """What is wrong with what goes out."""
    found = _judge_flow(snapshot)
    told = {finding.key.split()[1] for finding in found}
    if snapshot.problem is not None and snapshot.problem[0] not in told:
        reason, text = snapshot.problem
        found.append(Finding(Level.WARN, f'frame {reason}', f'{reason}: {text}', True))
    if (failure := snapshot.upgrade.failure) and NOT_READY not in told:
        found.append(Finding(Level.WARN, 'method', failure, True))
    found += [
        Finding(Level.WARN, f'{c.key} {topic}', f'{topic}: {_words(c)}')
        for topic, c in snapshot.listeners.items()
    ]
    return found


def _judge_flow(snapshot: Snapshot) -> list[Finding]:
    """Images come; does depth go out?"""
    flow = snapshot.flow
    if flow.seconds < MIN_SECONDS:
        return []
    lost = sum(flow.lost.values())
    nothing = not flow.published and snapshot.starved_s > ERROR_AFTER_S
    if not flow.decided and flow.received >= MIN_LOST and not flow.drops and nothing:
        text = (
            f'{flow.received} images came during the last {flow.seconds:.0f} s, and the method '
            f'is still at an earlier one. {cause_of(BUSY).way_out}'
        )
        return [Finding(Level.WARN, 'starved busy', text)]
    if lost < MIN_LOST or lost <= WARN_SHARE * flow.decided:
        return []
    reason = next(iter(flow.lost))
    cause = snapshot.why(reason) or cause_of(reason)
    if reason == NOT_READY and snapshot.upgrade.failure:
        cause = Cause('method_failed', snapshot.upgrade.failure, '')
    if reason == BUSY:
        cause = cause._replace(sentence=_busy(snapshot) or cause.sentence)
    others = ''.join(f', {n} {name}' for name, n in list(flow.lost.items())[1:])
    text = (
        f'{lost} of {flow.decided} images of the last {flow.seconds:.0f} s gave no depth '
        f'({flow.lost[reason]} {reason}{others}): {_words(cause)}'
    )
    most = lost >= ERROR_SHARE * flow.decided and flow.seconds > ERROR_AFTER_S
    ends_by_itself = reason == NOT_READY and bool(snapshot.upgrade.step)
    is_error = (nothing or (most and reason != BUSY)) and not ends_by_itself
    level = Level.ERROR if is_error else Level.WARN
    return [Finding(level, f'flow {reason} {cause.key}', text)]


def _busy(snapshot: Snapshot) -> str:
    """How long the method takes and how far images are apart."""
    flow, took = snapshot.flow, snapshot.latency_ms
    if 'receipt to publication' not in took or not flow.received:
        return ''
    each_ms = took['receipt to publication'][0] - took.get('wait', (0.0, 0.0))[0]
    apart_ms = 1e3 * flow.seconds / flow.received
    return (
        f'{snapshot.method} takes {each_ms:.0f} ms a frame, and images come every '
        f'{apart_ms:.0f} ms'
    )


def well_output(snapshot: Snapshot) -> str:
    """What the output says if nothing is wrong with it."""
    if not snapshot.flow.published and snapshot.flow.drops.get(NOBODY_LISTENS):
        text = f'{snapshot.method} rests: {cause_of(NOBODY_LISTENS).sentence}'
    else:
        text = f'{snapshot.method} at {snapshot.output_hz:.1f} Hz'
    return text + (f', preparing {step}' if (step := snapshot.upgrade.step) else '')


def judge_accuracy(snapshot: Snapshot) -> list[Finding]:
    """What is wrong with the promise of sigma; nothing if there are no figures of now."""
    live = snapshot.accuracy
    if live is None or snapshot.is_stale:
        return []
    found = [Finding(Level.WARN, 'sigma', live.alarm)] if live.alarm else []
    is_far_off = live.median_error_m > MAX_MEDIAN_ERROR_M
    if is_far_off and snapshot.needs_lidar and live.returns >= MIN_RETURNS_FOR_ALARM:
        text = (
            f'half of the held-out returns are missed by more than {live.median_error_m:.2f} m: '
            'the returns do not lie where the image shows things. Check the extrinsic, the '
            'clocks and, if the robot moves, extrinsic.fixed_frame'
        )
        found.append(Finding(Level.WARN, 'median error', text))
    return found


def well_accuracy(snapshot: Snapshot) -> str:
    """What the accuracy says if nothing is wrong with it."""
    live = snapshot.accuracy
    if not snapshot.has_lidar:
        return 'not measured, as there is no LiDAR'
    if live is None:
        return 'not measured yet: it takes two frames with LiDAR returns'
    if snapshot.is_stale:
        return f'not measured now: no frame with LiDAR returns for {snapshot.judged_s:.1f} s'
    if live.returns < MIN_RETURNS_FOR_ALARM:
        return (
            f'too few to judge: {live.returns} held-out returns of {live.frames} frames, '
            f'{MIN_RETURNS_FOR_ALARM} are needed'
        )
    return f'sigma holds at {live.returns} held-out returns of {live.frames} frames'


class Voice:
    """Says each state once when it has lasted, again if it gets worse, and when it is over."""

    HOLD_S = 2.0  # what is over sooner is not worth a line
    OVER_S = 5.0

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}

    def lines(self, findings: Iterable[Finding], now_s: float) -> list[tuple[Level, str]]:
        """What is to be logged now; level OK is for what is over."""
        said = []
        for level, key, text, is_logged in findings:
            if level == Level.OK or is_logged:
                continue
            state = self._states.setdefault(key, _State(now_s))
            state.seen_s = now_s
            if now_s - state.since_s >= self.HOLD_S and level > state.told:
                state.told = level
                state.text = text
                said.append((level, f'{text.rstrip(".")}.'))
        for key, state in list(self._states.items()):
            if now_s - state.seen_s >= self.OVER_S:
                del self._states[key]
                if state.told:
                    lasted_s = state.seen_s - state.since_s
                    said.append((Level.OK, f'Over after {lasted_s:.0f} s: {state.text}'))
        return said


@dataclass
class _State:
    """Something that lasts."""

    since_s: float
    seen_s: float = 0.0
    told: Level = Level.OK
    text: str = ''
