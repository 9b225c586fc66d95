"""What the ROS graph tells of a topic that is not heard, for the nodes and for `doctor`. ROS-free.

An endpoint is known by its topic, type, node and quality of service; who gathers them is
`graph_report`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from depth_ros.pipeline.clocks import Cause

IMAGE, COMPRESSED, INFO, CLOUD = (
    f'sensor_msgs/msg/{name}' for name in ('Image', 'CompressedImage', 'CameraInfo', 'PointCloud2')
)
SENSOR_TYPES = (IMAGE, COMPRESSED, INFO, CLOUD)
MAX_EDITS = 2  # a name is a misspelt one if it is no more than this away
MAX_NAMED = 3
INFINITE_S = 1e9  # what the middleware takes for ever

_INSTEAD = {
    (IMAGE, COMPRESSED): (
        'Set image_transport to compressed and remap image/compressed to {topic}.'
    ),
    (COMPRESSED, IMAGE): 'Set image_transport to raw and remap image to {topic}.',
    (CLOUD, 'sensor_msgs/msg/LaserScan'): (
        'One scan line is not enough for dense depth; for a first look, laser_geometry makes a '
        'PointCloud2 of it.'
    ),
    (CLOUD, 'sensor_msgs/msg/PointCloud'): 'Have the driver publish PointCloud2.',
    (CLOUD, 'livox_ros_driver2/msg/CustomMsg'): 'Set xfer_format of the Livox driver to 0.',
    (CLOUD, 'livox_ros_driver/msg/CustomMsg'): 'Set xfer_format of the Livox driver to 0.',
}
"""Way out by (wanted, found) type."""
_PACKETS = 'Start the node of the driver that makes PointCloud2 of its packets.'


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription.

    Attributes:
        topic: full name of the topic.
        type: of its messages, such as `sensor_msgs/msg/Image`.
        node: full name of its node.
        reliability: `reliable` or `best_effort`.
        durability: `volatile` or `transient_local`.
        deadline_s: time between messages that is promised or asked for [s]; at least
            `INFINITE_S` for none.
        liveliness: `automatic` or `manual_by_topic`.
    """

    topic: str
    type: str
    node: str
    reliability: str = 'reliable'
    durability: str = 'volatile'
    deadline_s: float = INFINITE_S
    liveliness: str = 'automatic'

    @property
    def message(self) -> str:
        """Name of the message without its package."""
        return self.type.rpartition('/')[2]


def explain_silence(
    listener: Endpoint, publishers: Iterable[Endpoint], given: str = '', silent: bool = True
) -> Cause | None:
    """Why nothing comes on a topic that is subscribed.

    Args:
        listener: the subscription.
        publishers: all of the graph, but those of the subscriber itself.
        given: name that is remapped; by default the last part of the topic.
        silent: whether nothing comes at all; else only publishers that cannot be heard are
            looked for, and None says that all can.
    """
    publishers = list(publishers)
    here = [p for p in publishers if p.topic == listener.topic]
    right = [p for p in here if p.type == listener.type]
    for publisher in right:
        if found := explain_mismatch(publisher, listener):
            return found
    if not silent:
        return None
    if not here:
        given = given or listener.topic.rpartition('/')[2]
        return _nobody(listener.topic, listener.type, publishers, given)
    if not right:
        return _wrong_type(listener.topic, listener.type, here)
    way_out = 'Look whether it is active and its sensor connected'
    if listener.type in (IMAGE, CLOUD):
        way_out += '; large messages may be lost on the way, see `depth_ros doctor`'
    nodes = _names(p.node for p in right)
    return Cause('idle', f'{nodes} publishes it but nothing arrives now', f'{way_out}.')


def explain_mismatch(publisher: Endpoint, listener: Endpoint) -> Cause | None:
    """Why a subscription cannot hear a publisher of its topic and type; None if it can."""
    who, asks = publisher.node, listener.node
    pairs = (
        ('reliability', 'reliable', 'best_effort', 'best effort', 'reliable'),
        ('durability', 'transient_local', 'volatile', 'volatile', 'transient local'),
        ('liveliness', 'manual_by_topic', 'automatic', 'automatic', 'manual'),
    )
    for policy, asked, offered, offered_words, asked_words in pairs:
        if getattr(listener, policy) == asked and getattr(publisher, policy) == offered:
            return Cause(
                f'qos_{policy}',
                f'{who} publishes {offered_words} but {asks} asks for {asked_words}, so that '
                'nothing passes',
                'Publish reliable, or set qos to auto where a node of ours listens.'
                if policy == 'reliability'
                else f'Set the {policy} of one of them to that of the other.',
            )
    if min(publisher.deadline_s, INFINITE_S) > listener.deadline_s:
        promised = (
            f'a deadline of {publisher.deadline_s:g} s'
            if publisher.deadline_s < INFINITE_S
            else 'no deadline'
        )
        return Cause(
            'qos_deadline',
            f'{who} promises {promised} but {asks} asks for one of {listener.deadline_s:g} s, '
            'so that nothing passes',
            'Take the deadline out of the subscription.',
        )
    return None


def explain_listeners(offered: Endpoint, subscriptions: Iterable[Endpoint]) -> Cause | None:
    """Why a subscriber of a publisher's topic hears nothing of it; None if all can."""
    for listener in subscriptions:
        if listener.topic != offered.topic:
            continue
        if listener.type != offered.type:
            return Cause(
                'deaf_type',
                f'{listener.node} subscribes to it as {listener.type}, but it is {offered.type}',
                'Change the type or the topic of that subscription.',
            )
        if found := explain_mismatch(offered, listener):
            return found
    return None


def unheard(
    publishers: Sequence[Endpoint], subscriptions: Iterable[Endpoint]
) -> list[tuple[str, Cause]]:
    """(topic, why) of each subscription to sensor messages that hears nobody."""
    found = {}
    for listener in subscriptions:
        if listener.type not in SENSOR_TYPES:
            continue
        others = [p for p in publishers if p.node != listener.node]
        is_heard = any(
            (p.topic, p.type) == (listener.topic, listener.type)
            and explain_mismatch(p, listener) is None
            for p in others
        )
        cause = explain_silence(listener, others, silent=not is_heard)
        if cause is not None:
            sentence = f'{listener.node} listens, but {cause.sentence}'
            found[listener.topic, listener.node] = cause._replace(sentence=sentence)
    return [(topic, cause) for (topic, _), cause in found.items()]


def _nobody(topic: str, wanted: str, publishers: Sequence[Endpoint], given: str) -> Cause:
    """Nobody publishes the topic: what else there is of its type, the likeliest first."""
    types = {IMAGE: (IMAGE, COMPRESSED), COMPRESSED: (COMPRESSED, IMAGE)}.get(wanted, (wanted,))
    others = {p.topic: p for p in publishers if p.type in types}
    if not others:
        return Cause(
            'no_publisher',
            f'nobody publishes it, and no other topic carries {wanted}',
            'Start its driver, in the same ROS_DOMAIN_ID and discovery range as this node.',
        )
    best = sorted(others.values(), key=lambda p: (types.index(p.type), _unlike(topic, p.topic)))
    first = best[0]
    named = _names(f'{p.topic} ({p.message} of {p.node})' for p in best[:MAX_NAMED])
    more = f' and {len(best) - MAX_NAMED} more' if len(best) > MAX_NAMED else ''
    likeness = _unlike(topic, first.topic)[0]
    key = ('misspelt', 'other_namespace', 'no_publisher')[likeness]
    hint = (
        f'; {first.topic} is spelt almost alike',
        f'; {first.topic} has the same name in another namespace',
        '',
    )[likeness]
    instead = _INSTEAD.get((wanted, first.type), '').format(topic=first.topic)
    return Cause(
        key,
        f'nobody publishes it{hint}; there is {named}{more}',
        instead or f'Remap it: {given}:={first.topic}.',
    )


def _wrong_type(topic: str, wanted: str, here: Sequence[Endpoint]) -> Cause:
    found = here[0].type
    name = found.rpartition('/')[2]
    way_out = _INSTEAD.get((wanted, found), '').format(topic=topic)
    if not way_out and wanted == CLOUD and ('Packet' in name or name.endswith('Scan')):
        way_out = _PACKETS
    return Cause(
        'wrong_type',
        f'{_names(p.node for p in here)} publishes {found} there, but {wanted} is wanted',
        way_out or 'Remap it to a topic of that type.',
    )


def _unlike(topic: str, other: str) -> tuple[int, int]:
    """How unlike two names are: (0 misspelt, 1 another namespace, 2 other), edits."""
    edits = _edits(topic, other)
    if edits <= MAX_EDITS:
        return 0, edits
    last, other_last = (name.rpartition('/')[2] for name in (topic, other))
    return (1 if last == other_last else 2), edits


def _edits(a: str, b: str) -> int:
    """Levenshtein's distance: letters to change, add or take away."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            change = before + (letter != other)
            before, row[j] = row[j], min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _names(names: Iterable[str]) -> str:
    return ', '.join(dict.fromkeys(names))
