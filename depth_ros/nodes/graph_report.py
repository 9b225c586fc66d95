"""What is on the ROS graph now: the sensor topics and the reliability each publisher offers.

`python -m depth_ros.nodes.graph_report` writes it to stdout as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node

SENSOR_MESSAGES = ('Image', 'CompressedImage', 'PointCloud2', 'CameraInfo')
LISTEN_S = 1.5  # discovery takes up to half of it; start and end stay within 2 s


@dataclass(frozen=True)
class Offer:
    """One publisher of a sensor topic.

    Attributes:
        topic: full name of the topic.
        message: its message, one of `SENSOR_MESSAGES`.
        node: full name of the publishing node.
        reliability: what it offers, such as `reliable` or `best_effort`.
    """

    topic: str
    message: str
    node: str
    reliability: str


def sensor_offers(listen_s: float = LISTEN_S) -> list[Offer]:
    """Listen to the graph for a moment, in a context that is gone afterwards.

    Args:
        listen_s: time given to discovery.

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
        try:
            time.sleep(listen_s)  # the middleware discovers in threads of its own
            return _offers(node)
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


def _offers(node: Node) -> list[Offer]:
    wanted = {f'sensor_msgs/msg/{message}': message for message in SENSOR_MESSAGES}
    return [
        Offer(
            topic,
            wanted[info.topic_type],
            f'{info.node_namespace.rstrip("/")}/{info.node_name}',
            info.qos_profile.reliability.name.lower(),
        )
        for topic, types in sorted(node.get_topic_names_and_types())
        if wanted.keys() & set(types)
        for info in node.get_publishers_info_by_topic(topic)
        if info.topic_type in wanted
    ]


if __name__ == '__main__':
    json.dump([dataclasses.asdict(offer) for offer in sensor_offers()], sys.stdout)
