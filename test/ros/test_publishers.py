"""What an estimate is published as: never as something that it is not."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header

from depth_ros.errors import NodeError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind
from depth_ros.geometry.camera import Intrinsics
from depth_ros.nodes.publishers import IMAGES, DepthPublishers
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.result import FusionResult

SUCCESS = TransitionCallbackReturn.SUCCESS
OUTPUTS = {f'/{topic}' for images in IMAGES.values() for topic in images} | {'/depth/points'}


def test_each_camera_info_is_a_message_of_its_own(ros, monkeypatch):
    """Two threads publish: one must not fill what the other is about to send."""
    outputs, sent = DepthPublishers(LifecycleNode('publisher', context=ros.context), '32FC1'), []
    monkeypatch.setattr(outputs._info, 'publish', sent.append)
    for width in (8, 16):
        header = Header(frame_id=f'{width}')
        outputs.publish_info(Intrinsics(width, 8, 8.0, 8.0, 3.5, 3.5), header)
    assert [(info.width, info.header.frame_id) for info in sent] == [(8, '8'), (16, '16')]


def result_of(kind: DepthKind) -> FusionResult:
    values = np.ones((8, 8), np.float32)
    intrinsics = Intrinsics(8, 8, 8.0, 8.0, 3.5, 3.5)
    view = CameraView(np.zeros((8, 8, 3), np.uint8), values, intrinsics)
    return FusionResult(view, DepthEstimate(values, values, kind), 'mono', {}, None)


@pytest.mark.parametrize('promised', IMAGES, ids=lambda kind: kind.value)
@pytest.mark.parametrize('given', DepthKind, ids=lambda kind: kind.value)
def test_nothing_is_published_as_what_it_is_not(ros, wait_until, promised, given):
    node = ros.spin(LifecycleNode('publisher', context=ros.context))
    outputs = DepthPublishers(node, '32FC1', promised)
    assert node.trigger_configure() == node.trigger_activate() == SUCCESS
    listener, heard = ros.node('listener'), []
    for topic in OUTPUTS:
        kind = PointCloud2 if topic.endswith('points') else Image
        listener.create_subscription(kind, topic, heard.append, 10)
    topics = {f'/{topic}' for topic in IMAGES[promised]}
    wait_until(lambda: all(listener.count_publishers(topic) for topic in topics))
    wait_until(lambda: all(node.count_subscribers(topic) for topic in topics))
    header, later = Header(frame_id='refused'), Header(frame_id='later')
    if given is promised:
        outputs.publish(result_of(given), header, PipelineConfig())
        wait_until(lambda: len(heard) >= len(topics), what='every image')
        return
    with pytest.raises(NodeError, match=given.value) as caught:
        outputs.publish(result_of(given), header, PipelineConfig())
    assert caught.value.reason == 'wrong_kind'
    # One that is fit, after it: had anything of that one been sent, it would have come before.
    outputs.publish(result_of(promised), later, PipelineConfig())
    wait_until(lambda: len(heard) >= len(topics), what='every image')
    assert {msg.header.frame_id for msg in heard} == {'later'}
