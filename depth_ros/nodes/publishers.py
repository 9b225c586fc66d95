"""The outputs of a node: published only where somebody listens, with the image's header."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_ros.errors import NodeError
from depth_ros.frame import DepthKind, Float32
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.transforms import inverse
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.nodes.convert import info_from_intrinsics
from depth_ros.nodes.qos import keep_last
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.result import FusionResult

Values = Callable[[FusionResult, OutputConfig], Float32]

IMAGES: Mapping[DepthKind, Mapping[str, Values]] = {
    DepthKind.METRIC: {
        'depth/image_rect': lambda result, config: result.gated_depth_m(config),
        'depth/image_dense': lambda result, config: result.estimate.depth_m,
        'depth/uncertainty': lambda result, config: result.estimate.sigma_m,
    },
    DepthKind.DISPARITY_AFFINE: {
        'depth/relative': lambda result, config: result.estimate.depth_m,
    },
}
"""What is published of an estimate that means this, by topic. No topic has two meanings."""

IN_METRES = ('depth/image_rect', 'depth/image_dense')
"""The images that `depth_encoding` is about."""


class DepthPublishers:
    """Publishers of images, their camera info and, of metres, a cloud; and what they refill.

    `image_rect` is the rectified colour image that depth was made of, so it has the pixels of
    the depth and the same `depth/camera_info`. A node whose own input is that topic has it
    already, and would answer itself: then it is not published.

    Args:
        node: lifecycle node that owns the publishers; they are silent until it is active.
        depth_encoding: of depth in metres, `32FC1`, or `16UC1` for millimetres. What has no unit
            is 32FC1, and so is sigma: as millimetres, unknown would be 0, which reads as certain.
        kind: what the numbers of all estimates mean; one of `IMAGES`.
    """

    def __init__(
        self, node: LifecycleNode, depth_encoding: str, kind: DepthKind = DepthKind.METRIC
    ) -> None:
        self._node, self._kind = node, kind
        is_metric = kind is DepthKind.METRIC
        self._images = {
            self._create(Image, topic): (
                values,
                ImageBuffer(depth_encoding if topic in IN_METRES else '32FC1'),
            )
            for topic, values in IMAGES[kind].items()
        }
        self._color_buffer = ImageBuffer('rgb8')
        self._color = None
        if node.resolve_topic_name('image_rect') != node.resolve_topic_name('image'):
            self._color = self._create(Image, 'image_rect')
        self._cloud = self._create(PointCloud2, 'depth/points') if is_metric else None
        self._cloud_buffer = CloudBuffer()
        self._info = self._create(CameraInfo, 'depth/camera_info')

    @property
    def wanted(self) -> bool:
        """Whether anybody listens to an output that a frame must be completed for."""
        costly = (output for output in self.publishers if output is not self._info)
        return any(output.get_subscription_count() for output in costly)

    @property
    def only_info_wanted(self) -> bool:
        """Whether only the camera is listened to, which needs no completion."""
        return self._info.get_subscription_count() > 0 and not self.wanted

    def publish_info(
        self, intrinsics: Intrinsics, header: Header, offset_m: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> None:
        """Publish the camera of the outputs; `offset_m` as for `info_from_intrinsics`."""
        info = CameraInfo(header=header)  # one each: the worker and the executor both publish
        info_from_intrinsics(info, intrinsics, offset_m)
        self._info.publish(info)

    def publish(self, result: FusionResult, header: Header, config: PipelineConfig) -> None:
        """Publish a result under the header of its image, unchanged.

        Raises:
            NodeError: its numbers mean something else than the topics promise.
        """
        kind = result.estimate.kind
        if kind is not self._kind:
            raise NodeError(
                f'{result.method} gives {kind.value}, which these topics cannot carry: they are '
                f'of {self._kind.value}; see mono.output of the monocular node.',
                'wrong_kind',
            )
        # CameraInfo first: consumers wait for it.
        T_camera_view = result.view.T_camera_view
        offset_m = np.zeros(3) if T_camera_view is None else inverse(T_camera_view)[:3, 3]
        self.publish_info(result.view.intrinsics, header, offset_m)
        for publisher, (values, buffer) in self._images.items():
            if publisher.get_subscription_count():
                buffer.fill_depth(values(result, config.output))
                buffer.msg.header = header
                publisher.publish(buffer.msg)
        if self._color is not None and self._color.get_subscription_count():
            self._color_buffer.fill_rgb(result.view.image)
            self._color_buffer.msg.header = header
            self._color.publish(self._color_buffer.msg)
        if self._cloud is not None and self._cloud.get_subscription_count():
            self._cloud_buffer.fill(result, config.output, config.points.gated)
            self._cloud_buffer.msg.header = header
            self._cloud.publish(self._cloud_buffer.msg)

    def destroy(self) -> None:
        """Take the topics off the network."""
        for publisher in self.publishers:
            self._node.destroy_lifecycle_publisher(publisher)

    def _create(self, message_type: type, topic: str) -> Any:
        return self._node.create_lifecycle_publisher(message_type, topic, keep_last())

    @property
    def publishers(self) -> list[Any]:
        """Every publisher."""
        return [*self._images, self._info, *filter(None, [self._cloud, self._color])]
