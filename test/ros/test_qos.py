"""Subscriptions that follow what publishers offer, over real DDS."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
from rclpy.qos import ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Int32

from depth_ros.nodes.qos import (
    AdaptiveSubscription,
    PolledSubscription,
    choose_reliability,
    explain_mismatch,
    keep_last,
)

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
Wait = Callable[..., Any]


def publisher(reliability: ReliabilityPolicy, name: str = 'driver') -> Any:
    qos = SimpleNamespace(reliability=reliability)
    return SimpleNamespace(qos_profile=qos, node_name=name, node_namespace='/camera')


@pytest.mark.parametrize(
    ('offered', 'chosen'),
    [
        ([], RELIABLE),
        ([RELIABLE, RELIABLE], RELIABLE),
        ([RELIABLE, BEST_EFFORT], BEST_EFFORT),
        ([BEST_EFFORT], BEST_EFFORT),
        ([ReliabilityPolicy.UNKNOWN], BEST_EFFORT),
    ],
)
def test_reliable_only_if_every_publisher_offers_it(
    offered: list[ReliabilityPolicy], chosen: ReliabilityPolicy
) -> None:
    assert choose_reliability([publisher(r) for r in offered]) == chosen


def test_mismatch_names_the_publisher_and_the_way_out() -> None:
    publishers = [publisher(RELIABLE, 'good'), publisher(BEST_EFFORT, 'deaf')]
    text = explain_mismatch(publishers, RELIABLE)
    assert '/camera/deaf' in text
    assert 'good' not in text
    assert 'auto' in text
    assert explain_mismatch(publishers, BEST_EFFORT) == ''
    assert explain_mismatch(publishers[:1], RELIABLE) == ''


class Stream:
    """A publisher node that sends numbers until something arrives."""

    def __init__(self, ros: Any, reliability: ReliabilityPolicy, name: str) -> None:
        self.node = ros.node(name)
        self.publisher = self.node.create_publisher(Int32, 'numbers', keep_last(2, reliability))
        self.sent = 0

    def send(self) -> None:
        self.sent += 1
        self.publisher.publish(Int32(data=self.sent))

    def until(self, received: Callable[[], bool]) -> Callable[[], bool]:
        def attempt() -> bool:
            self.send()
            return received()

        return attempt


@pytest.mark.parametrize('offered', [RELIABLE, BEST_EFFORT])
@pytest.mark.parametrize('mode', ['auto', 'best_effort', 'reliable'])
def test_every_combination_but_one_receives(
    ros: Any, wait_until: Wait, offered: ReliabilityPolicy, mode: str
) -> None:
    received: list[Int32] = []
    listener = ros.node('listener')
    subscription = AdaptiveSubscription(listener, Int32, 'numbers', received.append, mode=mode)
    stream = Stream(ros, offered, 'talker')
    if (mode, offered) == ('reliable', BEST_EFFORT):
        wait_until(lambda: subscription.incompatible_count == 1)
        stream.send()
        assert subscription.incompatible_policy == 'RELIABILITY'
        assert '/talker' in subscription.mismatch
        assert subscription.message_count == 0
        assert subscription.last_receive_ns is None
        return
    wait_until(stream.until(lambda: len(received) > 2))
    assert subscription.message_count >= len(received) > 2
    assert subscription.last_receive_ns is not None
    assert subscription.mismatch == ''
    wanted = BEST_EFFORT if mode == 'best_effort' else offered
    assert subscription.reliability == wanted


def test_auto_returns_to_reliable_when_the_best_effort_publisher_leaves(
    ros: Any, wait_until: Wait
) -> None:
    received: list[Int32] = []
    subscription = AdaptiveSubscription(ros.node('listener'), Int32, 'numbers', received.append)
    assert subscription.reliability == RELIABLE
    reliable = Stream(ros, RELIABLE, 'reliable')
    wait_until(reliable.until(lambda: bool(received)))
    assert subscription.reliability == RELIABLE
    best_effort = Stream(ros, BEST_EFFORT, 'best_effort')
    wait_until(lambda: subscription.reliability == BEST_EFFORT)
    received.clear()
    wait_until(reliable.until(lambda: bool(received)))
    best_effort.node.destroy_publisher(best_effort.publisher)
    wait_until(lambda: subscription.reliability == RELIABLE)
    received.clear()
    wait_until(reliable.until(lambda: bool(received)))
    reliable.node.destroy_publisher(reliable.publisher)


def test_auto_keeps_its_choice_while_nobody_publishes(ros: Any, wait_until: Wait) -> None:
    listener = ros.node('listener')
    subscription = AdaptiveSubscription(listener, Int32, 'numbers', lambda _: None)
    stream = Stream(ros, BEST_EFFORT, 'talker')
    wait_until(lambda: subscription.reliability == BEST_EFFORT)
    stream.node.destroy_publisher(stream.publisher)
    wait_until(lambda: listener.count_publishers('numbers') == 0)
    subscription.refresh()
    assert subscription.reliability == BEST_EFFORT


def test_topic_is_the_remapped_full_name(ros: Any) -> None:
    node = ros.node(
        'listener', namespace='/robot', cli_args=['--ros-args', '-r', 'numbers:=front/numbers']
    )
    subscription = AdaptiveSubscription(node, Int32, 'numbers', lambda _: None)
    assert subscription.topic == '/robot/front/numbers'
    subscription.destroy()
    assert list(node.subscriptions) == []
    subscription.destroy()


def test_what_is_polled_waits_in_order_and_wakes_nobody(ros: Any, wait_until: Wait) -> None:
    """Of more than there is room for the newest are kept."""
    listener = ros.node('listener')
    polled = PolledSubscription(listener, Int32, 'numbers', keep_last(4))
    publisher = ros.node('talker').create_publisher(Int32, 'numbers', keep_last(10))
    heard: list[int] = []  # by another, so that it is known when all have come
    ros.node('witness').create_subscription(
        Int32, 'numbers', lambda msg: heard.append(msg.data), keep_last(10)
    )
    wait_until(lambda: publisher.get_subscription_count() == 2, 30.0)
    assert polled.take() == []
    for number in range(7):
        publisher.publish(Int32(data=number))
    wait_until(lambda: heard == list(range(7)), 30.0)
    taken: list[int] = []

    def complete() -> bool:
        taken.extend(deserialize_message(raw, Int32).data for raw in polled.take())
        return 6 in taken

    wait_until(complete, 30.0)
    assert taken == list(range(7))[-len(taken) :]
    assert len(taken) >= 4  # all are there together unless the first were taken meanwhile
    (subscription,) = (s for s in listener.subscriptions if s.topic_name == '/numbers')
    assert not subscription.callback_group.can_execute(subscription)
    polled.destroy()
    wait_until(lambda: publisher.get_subscription_count() == 1, 30.0)
