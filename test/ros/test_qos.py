"""Subscriptions that follow what publishers offer, over real DDS."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip('rclpy')
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from std_msgs.msg import Int32

from depth_ros.nodes.graph_report import publishers_of, subscriptions_of
from depth_ros.nodes.qos import (
    AdaptiveSubscription,
    PolledSubscription,
    choose_durability,
    choose_reliability,
    keep_last,
)

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
VOLATILE, LATCHED = DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL
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


@pytest.mark.parametrize(
    ('offered', 'chosen'),
    [
        ([], VOLATILE),
        ([LATCHED], LATCHED),
        ([LATCHED, LATCHED], LATCHED),
        ([LATCHED, VOLATILE], VOLATILE),
        ([DurabilityPolicy.UNKNOWN], VOLATILE),
    ],
)
def test_messages_of_before_are_asked_for_only_if_every_publisher_keeps_them(
    offered: list[DurabilityPolicy], chosen: DurabilityPolicy
) -> None:
    publishers = [SimpleNamespace(qos_profile=SimpleNamespace(durability=d)) for d in offered]
    assert choose_durability(publishers) == chosen


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
        assert subscription.message_count == 0
        assert subscription.last_receive_ns is None
        return
    wait_until(stream.until(lambda: len(received) > 2))
    assert subscription.message_count >= len(received) > 2
    assert subscription.last_receive_ns is not None
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


def latched(node: Any, depth: int = 3) -> Any:
    """A publisher that keeps its last messages for late comers."""
    return node.create_publisher(Int32, 'numbers', QoSProfile(depth=depth, durability=LATCHED))


@pytest.mark.parametrize('mode', ['auto', 'reliable'])
def test_what_was_sent_once_before_we_came_is_received(
    ros: Any, wait_until: Wait, mode: str
) -> None:
    publisher = latched(ros.node('talker'))
    publisher.publish(Int32(data=7))
    received: list[Int32] = []
    subscription = AdaptiveSubscription(
        ros.node('listener'), Int32, 'numbers', received.append, mode=mode, latched=True
    )
    wait_until(lambda: received, timeout_s=240.0)
    assert [message.data for message in received] == [7]
    assert subscription.durability == LATCHED


def test_a_stream_that_is_received_does_not_begin_again_in_its_past(
    ros: Any, wait_until: Wait
) -> None:
    received: list[int] = []
    subscription = AdaptiveSubscription(
        ros.node('listener'), Int32, 'numbers', lambda message: received.append(message.data)
    )
    volatile = Stream(ros, RELIABLE, 'talker')
    wait_until(volatile.until(lambda: bool(received)), timeout_s=240.0)
    late = latched(ros.node('late'))
    late.publish(Int32(data=-1))
    volatile.node.destroy_publisher(volatile.publisher)
    names = {'/late'}
    wait_until(
        lambda: {f'/{i.node_name}' for i in publishers(subscription)} == names, timeout_s=240.0
    )
    subscription.refresh()
    assert subscription.durability == VOLATILE
    late.publish(Int32(data=1000))
    wait_until(lambda: received[-1] == 1000, timeout_s=240.0)
    assert received.count(-1) <= 1


def publishers(subscription: AdaptiveSubscription) -> list[Any]:
    infos: list[Any] = subscription._node.get_publishers_info_by_topic(subscription.topic)
    return infos


def test_a_volatile_publisher_beside_a_latched_one_is_heard_too(
    ros: Any, wait_until: Wait
) -> None:
    received: list[int] = []
    subscription = AdaptiveSubscription(
        ros.node('listener'),
        Int32,
        'numbers',
        lambda message: received.append(message.data),
        latched=True,
    )
    first = latched(ros.node('latched'))
    first.publish(Int32(data=-1))
    wait_until(lambda: -1 in received, timeout_s=240.0)
    volatile = Stream(ros, RELIABLE, 'talker')
    wait_until(volatile.until(lambda: received[-1] > 0), timeout_s=240.0)
    assert subscription.durability == VOLATILE


REMAPPED = ['--ros-args', '-r', 'numbers:=/there', '-r', 'there:=/out']


def test_publishers_are_looked_up_under_the_name_that_is_listened_to(
    ros: Any, wait_until: Wait
) -> None:
    """A remapped name that another rule would remap again."""
    listener = ros.node('listener', cli_args=REMAPPED)
    own = listener.create_publisher(Int32, 'there', keep_last(2))
    assert own.topic_name == '/out'
    subscription = AdaptiveSubscription(listener, Int32, 'numbers', lambda _: None)
    assert subscription.topic == '/there'
    talker = ros.node('talker')
    best_effort = talker.create_publisher(Int32, 'there', keep_last(2, BEST_EFFORT))
    wait_until(lambda: subscription.reliability == BEST_EFFORT)
    (found,) = publishers_of(listener, ['/there'])
    assert (found.node, found.type) == ('/talker', 'std_msgs/msg/Int32')
    assert found.reliability == 'best_effort'
    wait_until(lambda: [p.node for p in publishers_of(talker, ['/out'])] == ['/listener'])
    assert publishers_of(listener, ['/out']) == []  # its own
    ear = ros.node('ear')
    ear.create_subscription(Int32, 'there', print, 1)
    wait_until(lambda: [s.node for s in subscriptions_of(listener, ['/there'])] == ['/ear'])
    talker.destroy_publisher(best_effort)
    wait_until(lambda: publishers_of(listener, ['/there']) == [])


def test_publishers_of_a_name_that_is_remapped_away_are_not_those_of_a_misspelt_one(
    ros: Any, wait_until: Wait
) -> None:
    listener = ros.node('listener', cli_args=['--ros-args', '-r', 'numbers:=/camera/typo'])
    talker = ros.node('talker')
    talker.create_publisher(Int32, 'numbers', keep_last())
    wait_until(lambda: publishers_of(listener, ['/numbers']))
    subscription = AdaptiveSubscription(listener, Int32, 'numbers', lambda _: None)
    assert publishers_of(listener, [subscription.topic]) == []
    (found,) = (p for p in publishers_of(listener) if p.type == 'std_msgs/msg/Int32')
    assert (found.topic, found.node) == ('/numbers', '/talker')
