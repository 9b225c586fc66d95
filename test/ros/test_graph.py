"""What the graph says of topics that are not heard, in words."""

from __future__ import annotations

import pytest

from depth_ros.nodes.graph import (
    CLOUD,
    COMPRESSED,
    IMAGE,
    INFO,
    Endpoint,
    explain_listeners,
    explain_mismatch,
    explain_silence,
    unheard,
)

US = '/completion_node'


def image(topic: str, node: str = '/camera', type: str = IMAGE) -> Endpoint:
    return Endpoint(topic, type, node)


def test_a_topic_that_nobody_publishes_with_nothing_like_it() -> None:
    cause = explain_silence(Endpoint('/points', CLOUD, US), [image('/image')])
    assert cause is not None
    assert cause.key == 'no_publisher'
    assert f'no other topic carries {CLOUD}' in cause.sentence
    assert 'ROS_DOMAIN_ID' in cause.way_out


@pytest.mark.parametrize(
    ('wanted', 'there', 'key', 'hint'),
    [
        ('/camera/image', '/camera/imgae', 'misspelt', 'spelt almost alike'),
        ('/camera/image', '/camera/images', 'misspelt', 'spelt almost alike'),
        ('/image', '/robot/image', 'other_namespace', 'same name in another namespace'),
        ('/front/image', '/image', 'other_namespace', 'same name in another namespace'),
        ('/image', '/camera/color/image_raw', 'no_publisher', 'there is /camera/color/image_raw'),
    ],
)
def test_candidates_are_named_and_the_remap_is_spelt_out(
    wanted: str, there: str, key: str, hint: str
) -> None:
    far = image('/some/thing/else/altogether')
    cause = explain_silence(Endpoint(wanted, IMAGE, US), [far, image(there)], 'image')
    assert cause is not None
    assert cause.key == key
    assert hint in cause.sentence
    assert f'{there} (Image of /camera), {far.topic}' in cause.sentence
    assert cause.way_out == f'Remap it: image:={there}.'


def test_of_many_candidates_three_are_named() -> None:
    cause = explain_silence(
        Endpoint('/image', IMAGE, US), [image(f'/camera_{k}/image_raw') for k in range(5)]
    )
    assert cause is not None
    assert cause.sentence.count('Image of') == 3
    assert cause.sentence.endswith('and 2 more')


@pytest.mark.parametrize(
    ('wanted', 'there', 'way_out'),
    [
        (IMAGE, COMPRESSED, 'image_transport to compressed'),
        (COMPRESSED, IMAGE, 'image_transport to raw'),
        (CLOUD, 'sensor_msgs/msg/LaserScan', 'laser_geometry'),
        (CLOUD, 'livox_ros_driver2/msg/CustomMsg', 'xfer_format'),
        (CLOUD, 'velodyne_msgs/msg/VelodyneScan', 'makes PointCloud2 of its packets'),
        (CLOUD, 'ouster_sensor_msgs/msg/PacketMsg', 'makes PointCloud2 of its packets'),
        (INFO, IMAGE, 'Remap it'),
    ],
)
def test_another_type_on_the_topic_is_named_with_what_to_do(
    wanted: str, there: str, way_out: str
) -> None:
    cause = explain_silence(Endpoint('/in', wanted, US), [image('/in', '/driver', there)])
    assert cause is not None
    assert cause.key == 'wrong_type'
    assert cause.sentence == f'/driver publishes {there} there, but {wanted} is wanted'
    assert way_out in cause.way_out


def test_an_image_that_is_there_compressed_only() -> None:
    there = image('/camera/image/compressed', type=COMPRESSED)
    cause = explain_silence(Endpoint('/camera/image', IMAGE, US), [there])
    assert cause is not None
    assert 'image_transport to compressed' in cause.way_out
    assert there.topic in cause.way_out


def test_the_right_type_beside_a_wrong_one_is_idle() -> None:
    both = [image('/image', '/other', COMPRESSED), image('/image')]
    cause = explain_silence(Endpoint('/image', IMAGE, US), both)
    assert cause is not None
    assert cause.key == 'idle'
    assert cause.sentence == '/camera publishes it but nothing arrives now'
    assert explain_silence(Endpoint('/image', IMAGE, US), both, silent=False) is None


@pytest.mark.parametrize(
    ('offered', 'asked', 'words'),
    [
        ({'reliability': 'best_effort'}, {'reliability': 'reliable'}, 'publishes best effort'),
        ({'durability': 'volatile'}, {'durability': 'transient_local'}, 'transient local'),
        ({'liveliness': 'automatic'}, {'liveliness': 'manual_by_topic'}, 'manual'),
        ({'deadline_s': 0.2}, {'deadline_s': 0.1}, 'a deadline of 0.2 s'),
        ({}, {'deadline_s': 0.1}, 'no deadline'),
    ],
)
def test_quality_of_service_that_does_not_match_is_named_one_way_only(
    offered: dict[str, object], asked: dict[str, object], words: str
) -> None:
    publisher = Endpoint('/in', IMAGE, '/camera', **offered)  # type: ignore[arg-type]
    listener = Endpoint('/in', IMAGE, US, **asked)  # type: ignore[arg-type]
    cause = explain_mismatch(publisher, listener)
    assert cause is not None
    assert cause.key.startswith('qos_')
    assert words in cause.sentence
    assert '/camera' in cause.sentence
    assert US in cause.sentence
    weaker = Endpoint('/in', IMAGE, US, 'best_effort')
    stronger = Endpoint('/in', IMAGE, '/camera', 'reliable', 'transient_local', 0.05)
    assert explain_mismatch(publisher, weaker) is None
    assert explain_mismatch(stronger, weaker) is None


def test_listeners_of_an_output_that_cannot_hear_it() -> None:
    offered = Endpoint('/depth/points', CLOUD, US)
    rviz = Endpoint('/depth/points', CLOUD, '/rviz', durability='transient_local')
    cause = explain_listeners(offered, [Endpoint('/other', IMAGE, '/x'), rviz])
    assert cause is not None
    assert '/rviz asks for transient local' in cause.sentence
    wrong = explain_listeners(offered, [Endpoint('/depth/points', IMAGE, '/viewer')])
    assert wrong is not None
    assert wrong.key == 'deaf_type'
    assert explain_listeners(offered, [Endpoint('/depth/points', CLOUD, '/good')]) is None


def test_subscriptions_that_hear_nobody_are_found_and_others_are_not() -> None:
    publishers = [image('/camera/image_raw'), Endpoint('/points', CLOUD, '/lidar')]
    listeners = [
        Endpoint('/image', IMAGE, US),
        Endpoint('/points', CLOUD, US, 'best_effort'),
        Endpoint('/chatter', 'std_msgs/msg/String', '/listener'),
    ]
    ((topic, cause),) = unheard(publishers, listeners)
    assert topic == '/image'
    assert cause.sentence.startswith(f'{US} listens, but nobody publishes it')
    assert '/camera/image_raw' in cause.way_out
