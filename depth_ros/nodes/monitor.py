"""Counts what a node does and reports it on /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from depth_ros.frame import Frame
from depth_ros.nodes.diagnostics import (
    LatencyMeter,
    RateMeter,
    Snapshot,
    TopicHealth,
    diagnostic_array,
)
from depth_ros.nodes.qos import AdaptiveSubscription, keep_last
from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.result import FusionResult
from depth_ros.pipeline.upgrade import UpgradeStatus


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


class Monitor:
    """What a node has done since it was configured, and the report of it.

    Args:
        node: node that publishes the diagnostics.

    Attributes:
        problem: the last refusal since the last report, or empty.
    """

    def __init__(self, node: Node) -> None:
        self._drops: Counter[str] = Counter()
        self._lock = threading.Lock()  # the worker counts too
        self._latency, self._output_rate = LatencyMeter(), RateMeter()
        self._lidar_age_s: float | None = None
        self._accuracy: LiveAccuracy | None = None
        self.problem = ''
        self._node = node
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', keep_last(5))
        self._input_rates: dict[str, RateMeter] = {}
        self._since_ns = time.monotonic_ns()

    def listen(self) -> None:
        """Silence counts from now on."""
        self._since_ns = time.monotonic_ns()

    def received(self, name: str) -> None:
        """Count a message of the input `name`."""
        self._input_rates.setdefault(name, RateMeter()).tick(time.monotonic_ns())

    def published(self, frame: Frame, result: FusionResult, times: FrameTimes) -> None:
        """Take note of a frame that has just been published."""
        now_ns = time.monotonic_ns()
        self._output_rate.tick(now_ns)
        if frame.lidar_stamp_ns is not None:
            self._lidar_age_s = (frame.stamp_ns - frame.lidar_stamp_ns) / 1e9
        self._accuracy = result.accuracy
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

    def report(
        self,
        inputs: Mapping[str, tuple[AdaptiveSubscription, float]],
        once: Sequence[str],
        method: tuple[str, str],
        upgrade: UpgradeStatus,
        more_drops: Mapping[str, int],
    ) -> None:
        """Publish the diagnostics.

        Args:
            inputs: subscription and the silence that is reported [s], by name.
            once: names of inputs of which one message is enough for good.
            method: the method in use, and why.
            upgrade: how far a better one is.
            more_drops: drops that others count.
        """
        now_ns = time.monotonic_ns()
        problem, self.problem = self.problem, ''
        with self._lock:
            drops = self._drops + Counter(more_drops)
        snapshot = Snapshot(
            inputs=tuple(
                self._health(name, *inputs[name], now_ns, name in once) for name in inputs
            ),
            output_hz=self._output_rate.rate_hz(now_ns),
            method=method[0],
            method_reason=method[1],
            upgrade=upgrade,
            drops=drops,
            latency_ms=self._latency.percentiles_ms(),
            lidar_age_s=self._lidar_age_s,
            problem=problem,
            accuracy=self._accuracy,
        )
        stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(diagnostic_array(snapshot, self._node.get_name(), stamp))

    def destroy(self) -> None:
        """Take the topic off the network."""
        self._node.destroy_publisher(self._publisher)

    def _health(
        self,
        name: str,
        subscription: AdaptiveSubscription,
        timeout_s: float,
        now_ns: int,
        once: bool,
    ) -> TopicHealth:
        last_ns = subscription.last_receive_ns
        silent_s = (now_ns - (last_ns or self._since_ns)) / 1e9
        rate = self._input_rates.get(name)
        return TopicHealth(
            topic=subscription.topic,
            received=subscription.message_count,
            rate_hz=rate.rate_hz(now_ns) if rate is not None else 0.0,
            silent_s=0.0 if once and last_ns is not None else silent_s,
            timeout_s=timeout_s,
            mismatch=subscription.mismatch,
        )
