"""The outputs of a completion: published only where somebody listens, with the image's header."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from depth_ros.nodes.convert import CloudBuffer, ImageBuffer, info_from_intrinsics
from depth_ros.nodes.qos import keep_last
from depth_ros.pipeline.config import OutputConfig
from depth_ros.pipeline.fusion import FusionResult


class DepthPublishers:
    """Publishers of depth, sigma, camera info and cloud, and the messages they refill.

    Args:
        node: lifecycle node that owns the publishers; they are silent until it is active.
        depth_encoding: of depth and sigma, `32FC1` (metres) or `16UC1` (millimetres).
    """

    def __init__(self, node: LifecycleNode, depth_encoding: str) -> None:
        self._node = node
        qos = keep_last()

        def create(message_type: type, topic: str) -> object:
            return node.create_lifecycle_publisher(message_type, topic, qos)

        self._gated = create(Image, 'depth/image_rect')
        self._dense = create(Image, 'depth/image_dense')
        self._sigma = create(Image, 'depth/uncertainty')
        self._cloud = create(PointCloud2, 'depth/points')
        self._info = create(CameraInfo, 'depth/camera_info')
        self._images = {
            publisher: ImageBuffer(depth_encoding)
            for publisher in (self._gated, self._dense, self._sigma)
        }
        self._cloud_buffer = CloudBuffer()
        self._info_message = CameraInfo()

    @property
    def wanted(self) -> bool:
        """Whether anybody listens to any output."""
        outputs = (*self._images, self._cloud, self._info)
        return any(output.get_subscription_count() for output in outputs)

    def publish(self, result: FusionResult, header: Header, config: OutputConfig) -> None:
        """Publish a result under the header of its image, unchanged."""
        depth_m, sigma_m = result.estimate.depth_m, result.estimate.sigma_m
        # CameraInfo first: consumers wait for it.
        info_from_intrinsics(self._info_message, result.view.intrinsics)
        self._info_message.header = header
        self._info.publish(self._info_message)
        if self._gated.get_subscription_count():
            self._publish_image(self._gated, result.gated_depth_m(config), header)
        if self._dense.get_subscription_count():
            self._publish_image(self._dense, depth_m, header)
        if self._sigma.get_subscription_count():
            self._publish_image(self._sigma, sigma_m, header)
        if self._cloud.get_subscription_count():
            self._cloud_buffer.fill(result, config.cloud_stride)
            self._cloud_buffer.msg.header = header
            self._cloud.publish(self._cloud_buffer.msg)

    def destroy(self) -> None:
        """Take the topics off the network."""
        for publisher in (*self._images, self._cloud, self._info):
            self._node.destroy_lifecycle_publisher(publisher)

    def _publish_image(self, publisher: object, values: object, header: Header) -> None:
        buffer = self._images[publisher]
        buffer.fill_depth(values)
        buffer.msg.header = header
        publisher.publish(buffer.msg)
