"""Quality of service: what we offer, and subscriptions that fit every publisher of a topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import (
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

REFRESH_PERIOD_S = 0.2

_FIXED = {
    'reliable': ReliabilityPolicy.RELIABLE,
    'best_effort': ReliabilityPolicy.BEST_EFFORT,
}


def keep_last(
    depth: int = 2, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE
) -> QoSProfile:
    """KEEP_LAST, volatile; with the defaults what we publish with."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability)


def choose_reliability(publishers: Sequence[Any]) -> ReliabilityPolicy:
    """RELIABLE if every publisher offers it, else BEST_EFFORT, which matches all.

    Args:
        publishers: `TopicEndpointInfo` of each publisher of the topic.
    """
    offered = (info.qos_profile.reliability for info in publishers)
    if all(reliability == ReliabilityPolicy.RELIABLE for reliability in offered):
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


def explain_mismatch(publishers: Sequence[Any], wanted: ReliabilityPolicy) -> str:
    """Which publishers cannot be received with the wanted reliability; empty if all can.

    Reliability is the only policy on which we ask for more than a publisher may offer.
    """
    if wanted != ReliabilityPolicy.RELIABLE:
        return ''
    deaf = sorted(
        f'{info.node_namespace.rstrip("/")}/{info.node_name}'
        for info in publishers
        if info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    )
    if not deaf:
        return ''
    return f'{", ".join(deaf)} publishes best effort but reliable is asked for; set qos to auto'


class AdaptiveSubscription:
    """A subscription whose reliability follows the publishers of its topic.

    A reliable subscription receives nothing from a best-effort publisher, and a best-effort one
    loses large messages of a reliable publisher; so `auto` starts reliable and subscribes anew
    whenever `choose_reliability` changes its mind. Without publishers it stays as it is.

    Args:
        node: node to subscribe on.
        message_type: class of the messages.
        topic: topic name, before remapping.
        callback: called with each message.
        mode: `auto`, `reliable` or `best_effort`.
        depth: messages kept by the middleware; enough for a pause of the process to cost frames
            that are counted as dropped, not lost unseen.
        callback_group: as for `Node.create_subscription`.

    Attributes:
        topic: full name of the topic, after remapping.
        message_count: messages received.
        last_receive_ns: `time.monotonic_ns()` of the last message, or None.
        incompatible_count: publishers seen whose QoS does not match ours, at the time.
        incompatible_policy: name of the policy that did not match last, such as RELIABILITY.
        reliability: what is asked for now.
    """

    def __init__(
        self,
        node: Node,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        *,
        mode: str = 'auto',
        depth: int = 5,
        callback_group: CallbackGroup | None = None,
    ) -> None:
        self.message_count = 0
        self.last_receive_ns: int | None = None
        self.incompatible_count = 0
        self.incompatible_policy = ''
        self.reliability = _FIXED.get(mode, ReliabilityPolicy.RELIABLE)
        self._node = node
        self._message_type = message_type
        self._given_topic = topic
        self._callback = callback
        self._depth = depth
        self._group = callback_group
        self._subscription = self._subscribe()
        self.topic: str = self._subscription.topic_name
        self._timer = None
        if mode == 'auto':
            # A steady clock: with simulated time the node's own one may stand still.
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(
                REFRESH_PERIOD_S, self.refresh, callback_group=callback_group, clock=steady
            )

    @property
    def mismatch(self) -> str:
        """Publishers that we cannot hear and the way out; empty if there are none."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        return explain_mismatch(publishers, self.reliability)

    def refresh(self) -> None:
        """Subscribe anew if the publishers now call for another reliability."""
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        wanted = choose_reliability(publishers) if publishers else self.reliability
        if wanted != self.reliability:
            self.reliability = wanted
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
            self._given_topic,
            self._on_message,
            keep_last(self._depth, self.reliability),
            callback_group=self._group,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
        )

    def _on_message(self, message: Any) -> None:
        self.message_count += 1
        self.last_receive_ns = time.monotonic_ns()
        self._callback(message)

    def _on_incompatible(self, event: Any) -> None:
        self.incompatible_count += event.total_count_change
        self.incompatible_policy = qos_policy_name_from_kind(event.last_policy_kind)
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
