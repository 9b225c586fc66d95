"""Gathers what is on the ROS graph; for `doctor`, it also listens to the sensors for a while.

`python -m depth_ros.nodes.graph_report` writes it to stdout as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import rclpy
import sensor_msgs.msg
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile

from depth_ros.nodes.graph import INFINITE_S, SENSOR_TYPES, Endpoint

_UNKNOWN = '_NODE_NAME_UNKNOWN_'  # rmw: its name has not been heard yet, as its topic has
MIN_LISTEN_S = 1.5  # discovery takes up to half of it where the machine is idle
STABLE_S = 4.0  # a graph that has not changed for so long is whole
MAX_LISTEN_S = 10.0
MESSAGES = 20  # of a topic, whose stamps are remembered


@dataclass(frozen=True)
class Heard:
    """What came on a topic.

    Attributes:
        messages: how many.
        rate_hz: messages per second; 0 for fewer than two.
        age_s: median time between stamp and arrival, below 0 if stamps are ahead.
        is_stamped: whether a stamp is other than 0.
    """

    messages: int = 0
    rate_hz: float = 0.0
    age_s: float = 0.0
    is_stamped: bool = True


@dataclass(frozen=True)
class GraphReport:
    """What `doctor` is told of the graph.

    Attributes:
        publishers: of all topics.
        subscriptions: of all topics.
        heard: by topic, what came from its publishers; topics of nodes that themselves listen to
            sensors are not subscribed, lest they begin to work.
    """

    publishers: list[Endpoint] = field(default_factory=list)
    subscriptions: list[Endpoint] = field(default_factory=list)
    heard: dict[str, Heard] = field(default_factory=dict)


def publishers_of(node: Node, topics: Iterable[str] | None = None) -> list[Endpoint]:
    """Publishers of topics (full names; None = all) but those of the node itself."""
    topics = _topics(node) if topics is None else topics
    return list(_others(node, 'publishers', topics))


def subscriptions_of(node: Node, topics: Iterable[str] | None = None) -> list[Endpoint]:
    """Subscriptions to topics (full names; None = all) but those of the node itself."""
    topics = _topics(node) if topics is None else topics
    return list(_others(node, 'subscriptions', topics))


def _topics(node: Node) -> list[str]:
    return [topic for topic, _ in node.get_topic_names_and_types()]


def infos_of(node: Any, kind: str, topic: str) -> list[Any]:
    """`TopicEndpointInfo` of each end of a topic, by its full name as it is on the network.

    rclpy remaps the name that it is given, so that a topic whose own name is remapped would be
    looked up under another one. Such a topic is asked for by the name that it has in DDS; where
    the middleware has no such names, it is asked for as it is.

    Args:
        node: node whose graph is asked.
        kind: `publishers` or `subscriptions`.
        topic: full name.
    """
    ask = getattr(node, f'get_{kind}_info_by_topic')
    if node.resolve_topic_name(topic) == topic:
        return list(ask(topic))
    infos = [info for name in (f'rt{topic}', topic) for info in ask(name, no_mangle=True)]
    for info in infos:  # sensor_msgs::msg::dds_::Image_ is sensor_msgs/msg/Image
        if '::dds_::' in info.topic_type:
            plain = info.topic_type.replace('::dds_::', '::').removesuffix('_')
            info.topic_type = plain.replace('::', '/')
    return infos


def _others(node: Node, kind: str, topics: Iterable[str]) -> Iterator[Endpoint]:
    own = node.get_fully_qualified_name()
    for topic in topics:
        for info in infos_of(node, kind, topic):
            name = f'{info.node_namespace.rstrip("/")}/{info.node_name}'
            if info.node_name == _UNKNOWN:
                name = 'a node'
            if name != own:
                yield endpoint(topic, info.topic_type, name, info.qos_profile)


def endpoint(topic: str, message_type: str, node: str, qos: QoSProfile) -> Endpoint:
    """An endpoint with what its quality of service says."""
    return Endpoint(
        topic,
        message_type,
        node,
        qos.reliability.name.lower(),
        qos.durability.name.lower(),
        qos.deadline.nanoseconds / 1e9 or INFINITE_S,  # 0 is the middleware's default: none
        qos.liveliness.name.lower(),
    )


def listen(max_s: float = MAX_LISTEN_S) -> GraphReport:
    """Listen to the graph, in a context that is gone afterwards.

    Until two messages of every sensor have come, of latched ones one; where a sensor is silent or
    slower than that until `max_s`. Without sensors until the graph has been the same for 4 s.

    Args:
        max_s: longest time that it takes.

    Raises:
        RuntimeError: the middleware does not start (`RCLError`, `RMWError`).
    """
    context = Context()
    rclpy.init(args=[], context=context)
    try:
        node: Any = Node(  # not all of its methods have types
            'depth_ros_doctor',
            context=context,
            enable_rosout=False,
            start_parameter_services=False,
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            return _Listener(node).until_done(executor, max_s)
        finally:
            executor.shutdown()
            node.destroy_node()
    finally:
        context.try_shutdown()


class _Listener:
    """Subscribes to what sensors publish, as they turn up, and takes note of what comes."""

    def __init__(self, node: Any) -> None:
        self._node = node
        # (monotonic, age, stamp) [ns] by topic
        self._arrivals: dict[str, list[tuple[int, int, int]]] = {}

    def until_done(self, executor: SingleThreadedExecutor, max_s: float) -> GraphReport:
        """Spin until everything is known."""
        start_s = changed_s = time.monotonic()
        before: tuple[list[Endpoint], list[Endpoint]] | None = None
        while (now_s := time.monotonic()) - start_s < max_s:
            graph = publishers_of(self._node), subscriptions_of(self._node)
            if graph != before:
                before, changed_s = graph, now_s
                self._subscribe(*graph)
            waits, same_s = self._waits_for(graph[0]), now_s - changed_s
            is_whole = same_s >= (1.0 if self._arrivals else STABLE_S)
            if now_s - start_s >= MIN_LISTEN_S and is_whole and not waits:
                break
            end_s = now_s + 0.2
            while (rest_s := end_s - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=rest_s)
        publishers, subscriptions = before or ([], [])
        return GraphReport(
            publishers,
            subscriptions,
            {topic: _heard(arrivals) for topic, arrivals in self._arrivals.items()},
        )

    def _waits_for(self, publishers: list[Endpoint]) -> bool:
        """Whether a sensor that is there has not been heard yet as often as it takes."""
        return any(
            len(self._arrivals[p.topic]) < (1 if p.durability == 'transient_local' else 2)
            for p in publishers
            if p.topic in self._arrivals
        )

    def _subscribe(self, publishers: list[Endpoint], subscriptions: list[Endpoint]) -> None:
        workers = {s.node for s in subscriptions if s.type in SENSOR_TYPES}
        for publisher in publishers:
            topic = publisher.topic
            if publisher.type not in SENSOR_TYPES or topic in self._arrivals:
                continue
            if publisher.node in workers:
                continue
            self._arrivals[topic] = []
            qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5)
            same = [p for p in publishers if (p.topic, p.type) == (topic, publisher.type)]
            for policy, kind in (('reliability', 'reliable'), ('durability', 'transient_local')):
                weakest = {'reliability': 'best_effort', 'durability': 'volatile'}[policy]
                all_offer = all(getattr(p, policy) == kind for p in same)
                chosen = kind if all_offer else weakest
                setattr(qos, policy, type(getattr(qos, policy))[chosen.upper()])
            self._node.create_subscription(
                getattr(sensor_msgs.msg, publisher.message),
                topic,
                lambda raw, topic=topic: self._on_message(topic, raw),
                qos,
                raw=True,
            )

    def _on_message(self, topic: str, raw: bytes) -> None:
        # All sensor messages begin with the stamp of their header, after 4 bytes of CDR's own.
        order = '<' if raw[1] & 1 else '>'
        sec, nanosec = struct.unpack_from(f'{order}iI', raw, 4)
        stamp_ns = sec * 1_000_000_000 + nanosec
        arrival = time.monotonic_ns(), time.time_ns() - stamp_ns, stamp_ns
        self._arrivals[topic] = [*self._arrivals[topic][-MESSAGES:], arrival]


def _heard(arrivals: list[tuple[int, int, int]]) -> Heard:
    if not arrivals:
        return Heard()
    times_ns, ages_ns, stamps_ns = zip(*arrivals, strict=True)
    took_s = (times_ns[-1] - times_ns[0]) / 1e9
    rate_hz = (len(times_ns) - 1) / took_s if took_s > 0 else 0.0
    return Heard(len(arrivals), rate_hz, statistics.median(ages_ns) / 1e9, any(stamps_ns))


if __name__ == '__main__':
    json.dump(dataclasses.asdict(listen()), sys.stdout)
