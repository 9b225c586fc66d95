"""Counts what a node does and reports it on /diagnostics and, once per state, in the log."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode

from depth_ros.errors import DepthRosError, reason_of
from depth_ros.frame import Frame
from depth_ros.nodes.diagnostics import diagnostic_array
from depth_ros.nodes.graph import Endpoint, explain_listeners, explain_silence
from depth_ros.nodes.graph_report import endpoint, publishers_of, subscriptions_of
from depth_ros.nodes.health import Level, Snapshot, TopicHealth, Voice
from depth_ros.nodes.meters import FlowMeter, LatencyMeter, LossMeter, RateMeter, StampMeter
from depth_ros.nodes.qos import AdaptiveSubscription, keep_last, type_name
from depth_ros.nodes.reasons import NOBODY_LISTENS, cause_of
from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.preparation import UpgradeStatus
from depth_ros.pipeline.result import FusionResult

SAME_STATE_NS = 30_000_000_000  # a refusal that comes again so soon is not logged again
LOOK_AT_GRAPH_S = 2.0
STAMPED = {'image': 'image', 'points': 'sweep'}
"""What comes by the name of an input whose stamps are judged."""


class FrameTimes(NamedTuple):
    """When a frame entered each stage, monotonic, in nanoseconds.

    Attributes:
        received_ns: its image came.
        started_ns: the worker took it.
        converted_ns: its messages were a frame.
        completed_ns: it had depth.
    """

    received_ns: int
    started_ns: int
    converted_ns: int
    completed_ns: int


class MethodInUse(NamedTuple):
    """What makes the depth now.

    Attributes:
        name: of the method.
        reason: why this one.
        needs_lidar: whether it goes by returns, and gives nothing without.
    """

    name: str
    reason: str
    needs_lidar: bool


class Monitor:
    """What a node has done since it was configured, and the report of it.

    Args:
        node: node that publishes the diagnostics.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._drops: Counter[str] = Counter()
        self._lock = threading.Lock()  # the worker counts too
        self._latency, self._output_rate = LatencyMeter(), RateMeter()
        self._published = 0
        self._lidar_age_s: float | None = None
        self._accuracy: LiveAccuracy | None = None
        self._judged_ns = 0
        self._problem: tuple[str, str] | None = None
        self._refusals: dict[str, Cause] = {}
        self._warned_ns: dict[str, int] = {}
        self._node = node
        self._name = node.get_fully_qualified_name().lstrip('/')
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', keep_last(5))
        self.listen()

    def listen(self) -> None:
        """Silence and loss count from now on."""
        self._since_ns = time.monotonic_ns()
        self._fed_ns: int | None = None  # images come since then, and nothing has gone out
        self._input_rates: dict[str, RateMeter] = {}
        self._stamps: dict[str, StampMeter] = {}
        self._loss = LossMeter()
        self._flow, self._voice = FlowMeter(), Voice()
        self._graph: list[Endpoint] = []
        self._graph_s = 0.0

    def received(self, name: str, stamp_ns: int) -> None:
        """Count a message of the input `name`."""
        now_ns = time.monotonic_ns()
        self._input_rates.setdefault(name, RateMeter()).tick(now_ns)
        if name == 'camera_info':
            self._loss.info(stamp_ns)
            return
        clock_ns = self._node.get_clock().now().nanoseconds
        self._stamps.setdefault(name, StampMeter()).add(stamp_ns, clock_ns)
        if name == 'image':
            self._loss.image(stamp_ns)
            self._fed_ns = now_ns if self._fed_ns is None else self._fed_ns

    def published(self, frame: Frame, result: FusionResult, times: FrameTimes) -> None:
        """Take note of a frame that has just been published."""
        now_ns = time.monotonic_ns()
        self._output_rate.tick(now_ns)
        self._published += 1
        self._fed_ns = now_ns
        if frame.lidar_stamp_ns is not None:
            self._lidar_age_s = (frame.stamp_ns - frame.lidar_stamp_ns) / 1e9
            self._accuracy, self._judged_ns = result.accuracy, now_ns
        self._latency.add(
            {
                'wait': (times.started_ns - times.received_ns) / 1e6,
                'convert': (times.converted_ns - times.started_ns) / 1e6,
                **result.timings_ms,
                'publish': (now_ns - times.completed_ns) / 1e6,
                'receipt to publication': (now_ns - times.received_ns) / 1e6,
            }
        )

    def dropped(self, drops: Mapping[str, int]) -> None:
        """Count dropped messages by reason."""
        with self._lock:
            self._drops.update(drops)
        if drops.get(NOBODY_LISTENS):
            self._fed_ns = time.monotonic_ns()

    def refused(self, error: Exception) -> None:
        """Count a frame that gave no depth, and log why unless that was said of late."""
        reason, text = reason_of(error), ' '.join(str(error).split()) or type(error).__name__
        way_out = '' if isinstance(error, DepthRosError) else cause_of(reason).way_out
        self.dropped({reason: 1})
        self._refusals[reason] = Cause(reason, text, way_out)
        self._problem = reason, text
        kind, now_ns = re.sub(r'[\d.e+-]+', '0', f'{reason}: {text}'), time.monotonic_ns()
        if now_ns - self._warned_ns.get(kind, -SAME_STATE_NS) >= SAME_STATE_NS:
            self._node.get_logger().warning(f'Frame dropped, {reason}: {text}')
        else:
            self._node.get_logger().debug(f'Frame dropped, {reason}: {text}')
        self._warned_ns[kind] = now_ns
        if len(self._warned_ns) > 100:  # texts without end, of messages that are noise
            self._warned_ns.clear()

    def report(
        self,
        inputs: Mapping[str, tuple[AdaptiveSubscription, float]],
        once: Sequence[str],
        method: MethodInUse,
        upgrade: UpgradeStatus,
        more_drops: Mapping[str, int],
        why: Callable[[str], Cause | None],
        outputs: Sequence[Any] = (),
    ) -> None:
        """Publish the diagnostics, and log what has lasted and has not been said.

        Args:
            inputs: subscription and the silence that is reported [s], by name.
            once: names of inputs of which one message is enough for good.
            method: the method in use.
            upgrade: how far a better one is.
            more_drops: drops that others count.
            why: what is known of a reason of drops beyond the table of reasons.
            outputs: publishers whose listeners are looked at.
        """
        now_ns = time.monotonic_ns()
        problem, self._problem = self._problem, None
        with self._lock:
            drops = self._drops + Counter(more_drops)
        images = self._input_rates.get('image')
        snapshot = Snapshot(
            inputs=tuple(
                self._health(
                    name,
                    *inputs[name],
                    now_ns,
                    once=name in once,
                    required=name != 'points' or method.needs_lidar,
                )
                for name in inputs
            ),
            output_hz=self._output_rate.rate_hz(now_ns),
            method=method.name,
            method_reason=method.reason,
            needs_lidar=method.needs_lidar,
            upgrade=upgrade,
            drops=drops,
            flow=self._flow.add(now_ns, images.count if images else 0, self._published, drops),
            starved_s=(now_ns - (self._fed_ns or now_ns)) / 1e9,
            why=lambda reason: why(reason) or self._refusals.get(reason),
            latency_ms=self._latency.percentiles_ms(),
            lidar_age_s=self._lidar_age_s,
            lost=self._loss.lost(),
            problem=problem,
            accuracy=self._accuracy,
            judged_s=(now_ns - self._judged_ns) / 1e9,
            has_lidar='points' in inputs,
            listeners=self._deaf_listeners(outputs),
        )
        array, findings = diagnostic_array(
            snapshot, self._name, self._node.get_clock().now().to_msg()
        )
        self._publisher.publish(array)
        logger = self._node.get_logger()
        for level, text in self._voice.lines(findings, now_ns / 1e9):
            # rclpy wants one severity per line
            if level == Level.ERROR:
                logger.error(text)
            elif level == Level.WARN:
                logger.warning(text)
            else:
                logger.info(text)

    def destroy(self) -> None:
        """Take the topic off the network."""
        self._node.destroy_publisher(self._publisher)

    def _health(
        self,
        name: str,
        subscription: AdaptiveSubscription,
        timeout_s: float,
        now_ns: int,
        *,
        once: bool,
        required: bool,
    ) -> TopicHealth:
        last_ns = subscription.last_receive_ns
        silent_s = (now_ns - (last_ns or self._since_ns)) / 1e9
        if once and last_ns is not None:
            silent_s = 0.0
        rate, stamps = self._input_rates.get(name), self._stamps.get(name)
        simulated = self._node.get_parameter('use_sim_time').value
        return TopicHealth(
            topic=subscription.topic,
            received=subscription.message_count,
            rate_hz=rate.rate_hz(now_ns) if rate is not None else 0.0,
            silent_s=silent_s,
            timeout_s=timeout_s,
            required=required,
            trouble=self._trouble(subscription, silent_s > timeout_s),
            stamps=stamps.repeated(STAMPED[name]) if stamps is not None else None,
            age_s=stamps.median_s() if stamps is not None and not simulated else None,
        )

    def _trouble(self, subscription: AdaptiveSubscription, silent: bool) -> Cause | None:
        """What the graph says of an input that is silent, or that cannot hear all."""
        if not silent and not subscription.incompatible_count:
            return None
        now_s = time.monotonic()
        if not silent:
            publishers = publishers_of(self._node, [subscription.topic])
        else:
            if now_s - self._graph_s >= LOOK_AT_GRAPH_S:
                self._graph, self._graph_s = publishers_of(self._node), now_s
            publishers = self._graph
        listener = endpoint(
            subscription.topic, subscription.type_name, 'this node', subscription.qos
        )
        return explain_silence(listener, publishers, subscription.given_topic, silent)

    def _deaf_listeners(self, outputs: Sequence[Any]) -> dict[str, Cause]:
        """Why subscribers of outputs receive nothing, by topic."""
        found = {}
        for publisher in outputs:
            topic = publisher.topic_name
            offered = endpoint(topic, type_name(publisher.msg_type), 'this node', keep_last())
            listeners = subscriptions_of(self._node, [topic])
            if (cause := explain_listeners(offered, listeners)) is not None:
                found[topic] = cause
        return found
