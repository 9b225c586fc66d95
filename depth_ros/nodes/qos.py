"""Quality of service: what we offer, and subscriptions that fit every publisher of a topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from depth_ros.nodes.graph_report import infos_of

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

REFRESH_PERIOD_S = 0.2

_ASKS_FOR = (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL)  # little, much

_FIXED = {
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}


def keep_last(
    depth: int = 2,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    """KEEP_LAST; with the defaults what we publish with."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


def choose_reliability(publishers: Sequence[Any]) -> ReliabilityPolicy:
    """RELIABLE if every publisher offers it, else BEST_EFFORT, which matches all.

    Args:
        publishers: `TopicEndpointInfo` of each publisher of the topic.
    """
    offered = (info.qos_profile.reliability for info in publishers)
    if all(reliability == ReliabilityPolicy.RELIABLE for reliability in offered):
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


def choose_durability(publishers: Sequence[Any]) -> DurabilityPolicy:
    """TRANSIENT_LOCAL, which gets what was sent before, if every publisher keeps it for us.

    Args:
        publishers: `TopicEndpointInfo` of each publisher of the topic.
    """
    offered = [info.qos_profile.durability for info in publishers]
    if offered and all(durability == DurabilityPolicy.TRANSIENT_LOCAL for durability in offered):
        return DurabilityPolicy.TRANSIENT_LOCAL
    return DurabilityPolicy.VOLATILE


def type_name(message_type: type) -> str:
    """The name of a class of messages, such as `sensor_msgs/msg/Image`."""
    return f'{message_type.__module__.split(".")[0]}/msg/{message_type.__name__}'


class AdaptiveSubscription:
    """A subscription whose quality of service follows the publishers of its topic.

    A reliable subscription receives nothing from a best-effort publisher, and a best-effort one
    loses large messages of a reliable publisher; so `auto` starts reliable and subscribes anew
    whenever `choose_reliability` changes its mind. Without publishers it stays as it is.

    In every mode a publisher that keeps its last messages for late comers (a latched
    CameraInfo, sent once) is asked for them, unless messages come anyway: a stream is not to
    begin again in its past.

    Args:
        node: node to subscribe on.
        message_type: class of the messages.
        topic: topic name, before remapping.
        callback: called with each message.
        mode: `auto`, `reliable` or `best_effort`.
        latched: messages sent before are welcome at any time, as those of CameraInfo are.
        depth: messages kept by the middleware; enough for a pause of the process to cost frames
            that are counted as dropped, not lost unseen.
        callback_group: as for `Node.create_subscription`.

    Attributes:
        given_topic: topic name before remapping.
        topic: full name of the topic, after remapping.
        type_name: of its messages, such as `sensor_msgs/msg/Image`.
        message_count: messages received.
        last_receive_ns: `time.monotonic_ns()` of the last message, or None.
        incompatible_count: publishers seen whose QoS does not match ours, at the time.
        reliability: what is asked for now.
        durability: likewise.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        *,
        mode: str = 'auto',
        latched: bool = False,
        depth: int = 5,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self.message_count = 0
        self.last_receive_ns: int | None = None
        self.incompatible_count = 0
        self.reliability = _FIXED.get(mode, ReliabilityPolicy.RELIABLE)
        self.durability = DurabilityPolicy.VOLATILE
        self.given_topic = topic
        self.type_name = type_name(message_type)
        self._node = node
        self._message_type = message_type
        self._callback = callback
        self._is_fixed, self._latched = mode in _FIXED, latched
        self._depth = depth
        self._group = callback_group
        self._subscription = self._subscribe()
        self.topic: str = self._subscription.topic_name
        # A steady clock: with simulated time the node's own one may stand still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer: Any = node.create_timer(
            REFRESH_PERIOD_S, self.refresh, callback_group=callback_group, clock=steady
        )

    @property
    def qos(self) -> QoSProfile:
        """What is asked for now."""
        return keep_last(self._depth, self.reliability, self.durability)

    def refresh(self) -> None:
        """Subscribe anew if the publishers now call for another quality of service."""
        publishers = [
            info
            for info in infos_of(self._node, 'publishers', self.topic)
            if info.topic_type == self.type_name
        ]
        if not publishers:
            return
        reliability = self.reliability if self._is_fixed else choose_reliability(publishers)
        durability = choose_durability(publishers)
        if not (self._latched or self.message_count == 0):
            # What came before would come again, unless it is asked for already.
            durability = min(durability, self.durability, key=_ASKS_FOR.index)
        if (reliability, durability) != (self.reliability, self.durability):
            self.reliability, self.durability = reliability, durability
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def destroy(self) -> None:
        """Stop receiving."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self._message_type,
            self.given_topic,
            self._on_message,
            self.qos,
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
        )

    def _on_message(self, message: Any) -> None:
        self.message_count += 1
        self.last_receive_ns = time.monotonic_ns()
        self._callback(message)

    def _on_incompatible(self, event: Any) -> None:
        self.incompatible_count += event.total_count_change
        if self._timer is not None:
            self.refresh()


class PolledSubscription:
    """A subscription that wakes nobody: its messages wait in the middleware until they are taken.

    For a topic of many small messages of which few are ever looked at: waking an executor for
    each costs far more than the message. Of messages that nobody takes the newest are kept.

    Args:
        node: node to subscribe on.
        message_type: class of the messages.
        topic: topic name, before remapping.
        qos: its depth is how many messages wait.
    """

    def __init__(self, node: Node, message_type: type, topic: str, qos: QoSProfile) -> None:
        self._node = node
        self._subscription = node.create_subscription(
            message_type, topic, _never, qos, callback_group=_Unspun(), raw=True
        )

    def take(self) -> list[bytes]:
        """The messages that have come since, serialised, in the order they came."""
        handle, kind = self._subscription.handle, self._subscription.msg_type
        messages = []
        with handle:
            while taken := handle.take_message(kind, True):
                messages.append(taken[0])
        return messages

    def destroy(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)


class _Unspun(CallbackGroup):
    """A group whose members no executor waits for."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        """Nothing has begun."""


def _never(message: bytes) -> None:
    """The callback of what is polled."""
