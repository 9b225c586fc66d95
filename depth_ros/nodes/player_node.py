"""Plays a dataset folder or the simulator as a camera and a LiDAR."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from depth_ros.datasets.ahead import ReadAhead
from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import DatasetError
from depth_ros.frame import Float64, Frame
from depth_ros.geometry.transforms import to_translation_quat
from depth_ros.nodes import params
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.nodes.convert import info_from_camera, ns_to_stamp
from depth_ros.nodes.process import ManagedNode, run_node, steady_clock
from depth_ros.nodes.qos import keep_last
from depth_ros.settings import flatten, option, validate

LIDAR_FRAME = 'lidar'


@dataclass(frozen=True)
class PlayerConfig:
    """What is played, and how; fixed once the node runs."""

    source: str = option(
        'simulator:street', 'Dataset folder, or simulator:street|indoor|warehouse|yard.'
    )
    camera: str = option('', 'Name of the camera to play; empty = the first.')
    rate_hz: float = option(10.0, 'Frames per second.', minimum=0.1, maximum=1000.0)
    loop: bool = option(True, 'Start again at the end; else the node ends after the last frame.')
    frames: int = option(0, 'Number of frames to publish; 0 = no limit.', minimum=0)
    stamps: str = option(
        'now',
        'Stamps of the messages: time of playing, or as recorded.',
        choices=('now', 'recorded'),
    )
    image_transport: str = option(
        'raw', 'Publish Image, or CompressedImage (jpeg).', choices=('raw', 'compressed')
    )
    wait_for_subscribers: bool = option(
        True, 'Begin when every topic that is played has a subscriber.'
    )
    lidar: bool = option(
        True, 'Play the LiDAR sweeps too; false = the camera alone, as for the monocular node.'
    )
    settle_s: float = option(
        1.0,
        'Wait this long for the subscribers to find their own listeners [s].',
        minimum=0.0,
        maximum=60.0,
    )
    preload: bool = option(
        False,
        'Load the frames before the first is played, so that playing is even from the start; '
        'else the first come as fast as they can be rendered or read.',
    )
    autostart: bool = option(True, 'Configure and activate at the start.')

    def __post_init__(self) -> None:
        validate(self)


class PlayerNode(ManagedNode):
    """Publishes image (raw or compressed), camera_info, points and the static transform.

    The last two only where LiDAR is played.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('player_node', **options)
        params.declare(self, PlayerConfig(), read_only=set(flatten(PlayerConfig())))
        self._config: PlayerConfig = params.read(self, PlayerConfig())
        params.warn_of_unknown(self)

    def _configure(self, taken: ExitStack) -> None:
        """Open the dataset, have its frames loaded from now on, and make the publishers."""
        config = self._config
        camera = config.camera or open_dataset(config.source).camera_names[0]
        self._dataset: Dataset = open_dataset(config.source, [camera])
        self._length = min(len(self._dataset), config.frames or len(self._dataset))
        compressed = config.image_transport == 'compressed'
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        self._topics: list[Any] = []
        self._image = self._offer(taken, kind, topic)
        self._info = self._offer(taken, CameraInfo, 'camera_info')
        self._image_buffer = ImageBuffer('rgb8')
        self._T_camera_lidar: Float64 | None = None  # once there is a frame
        if config.lidar:
            self._points = self._offer(taken, PointCloud2, 'points')
            self._cloud_buffer = CloudBuffer(('x', 'y', 'z'))
            self._broadcaster = self._make_broadcaster(taken)
        self._next = 0
        self._ready: Sample | None = None  # the next to be played
        self._ahead = ReadAhead(
            self._sample, self._length, config.loop, self._skip, preload=config.preload
        )
        taken.callback(self._ahead.close)

    def _activate(self, taken: ExitStack) -> None:
        """Begin to play, until paused by the deactivation."""
        self._complete_since_ns = self._played_ns = time.monotonic_ns()
        timer = self.create_timer(1.0 / self._config.rate_hz, self._tick, clock=steady_clock())
        taken.callback(self.destroy_timer, timer)

    def _offer(self, taken: ExitStack, kind: type, topic: str) -> Any:
        """A publisher that is played on."""
        publisher = self.create_lifecycle_publisher(kind, topic, keep_last())
        taken.callback(self.destroy_lifecycle_publisher, publisher)
        self._topics.append(publisher)
        return publisher

    def _sample(self, index: int) -> Sample:
        """A frame that can be played.

        Raises:
            DatasetError: it cannot be read, or has no sweep to be played.
        """
        sample = self._dataset.sample(index)
        has_sweep = sample.frame.points is not None and sample.frame.T_camera_lidar is not None
        if self._config.lidar and not has_sweep:
            raise DatasetError(
                f'{self._config.source}, {sample.name} has no LiDAR sweep to play; the parameter '
                'lidar:=false plays the camera alone.'
            )
        return sample

    def _skip(self, why: str) -> None:
        """Say which frame is not played."""
        self.get_logger().warning(f'A frame is skipped. {why}')

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns - self._played_ns < 0.5e9 / self._config.rate_hz:
            return  # the last tick came late; a camera does not hurry to make up for it
        if 0 < self._config.frames <= self._next:
            self._end()
        if self._ready is None and not self._take_next():
            return
        if self._next == 0 and not self._may_begin():
            return
        self._played_ns = now_ns
        self._play(self._ready)
        self._ready = None
        self._next += 1

    def _take_next(self) -> bool:
        """Whether the next frame is there; if none will ever be, the end."""
        ended = self._ahead.ended  # asked first: what has come since is still there
        try:
            self._ready = self._ahead.next()
            if self._ready is None and ended:
                self._end()
        except DatasetError as error:
            self.get_logger().error(str(error))
            raise SystemExit(1) from error
        if self._ready is None:
            self._say_loading()
        elif self._T_camera_lidar is None and self._config.lidar:
            self._T_camera_lidar = self._ready.frame.T_camera_lidar
            self._broadcast(self._ready)
        return self._ready is not None

    def _say_loading(self) -> None:
        self.get_logger().info(
            f'Loaded {self._ahead.loaded} of {self._length} frames.', throttle_duration_sec=5.0
        )

    def _may_begin(self) -> bool:
        """Whether everybody is there, and has been for `settle_s`."""
        if not self._config.wait_for_subscribers:
            return True
        now_ns = time.monotonic_ns()
        if not all(topic.get_subscription_count() for topic in self._topics):
            self.get_logger().info('Waiting for subscribers.', throttle_duration_sec=5.0)
            self._complete_since_ns = now_ns
        return now_ns - self._complete_since_ns >= self._config.settle_s * 1e9

    def _play(self, sample: Sample) -> None:
        frame, now_ns = sample.frame, self.get_clock().now().nanoseconds
        recorded = self._config.stamps == 'recorded'
        if self._config.lidar:
            self._play_sweep(frame, 0 if recorded else now_ns - frame.stamp_ns)
        image_ns = frame.stamp_ns if recorded else now_ns
        optical_frame = f'{sample.camera_name}_optical_frame'
        header = Header(stamp=ns_to_stamp(image_ns), frame_id=optical_frame)
        info = CameraInfo(header=header)
        info_from_camera(info, frame.camera)
        self._info.publish(info)
        self._image.publish(self._image_message(frame.image, header))

    def _play_sweep(self, frame: Frame, later_ns: int) -> None:
        """Publish the points of a frame, so much later than recorded."""
        if not np.allclose(frame.T_camera_lidar, self._T_camera_lidar, atol=1e-6):
            self.get_logger().warning(
                'The extrinsic of this recording changes from frame to frame; /tf_static and '
                'calib.json have only one.',
                once=True,
            )
        lidar_ns = frame.stamp_ns if frame.lidar_stamp_ns is None else frame.lidar_stamp_ns
        stamp = ns_to_stamp(lidar_ns + later_ns)
        self._cloud_buffer.view(1, len(frame.points))[0] = frame.points
        self._cloud_buffer.msg.header = Header(stamp=stamp, frame_id=LIDAR_FRAME)
        self._points.publish(self._cloud_buffer.msg)

    def _image_message(self, image: Any, header: Header) -> Image | CompressedImage:
        if self._config.image_transport == 'compressed':
            _, jpeg = cv2.imencode('.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            return CompressedImage(
                header=header, format='rgb8; jpeg compressed bgr8', data=jpeg.tobytes()
            )
        self._image_buffer.view(*image.shape[:2])[...] = image
        self._image_buffer.msg.header = header
        return self._image_buffer.msg

    def _make_broadcaster(self, taken: ExitStack) -> Any:
        """What publishes the static transform where tf2_ros is installed; else say what to do."""
        try:
            from tf2_ros import StaticTransformBroadcaster
        except ImportError:
            self.get_logger().info(
                'tf2_ros is not installed: /tf_static is not published. Give the extrinsic to the '
                'completion node by extrinsic.source parameters or file.'
            )
            return None
        broadcaster = StaticTransformBroadcaster(self)
        taken.callback(self.destroy_publisher, broadcaster.pub_tf)
        return broadcaster

    def _broadcast(self, sample: Sample) -> None:
        """Publish the static transform."""
        if self._broadcaster is None:
            return
        translation, quat_xyzw = to_translation_quat(sample.frame.T_camera_lidar)
        message = TransformStamped()
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = f'{sample.camera_name}_optical_frame'
        message.child_frame_id = LIDAR_FRAME
        t, q = message.transform.translation, message.transform.rotation
        t.x, t.y, t.z = (float(x) for x in translation)
        q.x, q.y, q.z, q.w = (float(x) for x in quat_xyzw)
        self._broadcaster.sendTransform(message)

    def _end(self) -> None:
        """End the process once everything has arrived."""
        if self._next == 0:
            raise DatasetError(f'{self._config.source} has no frame that can be played.')
        for publisher in self._topics:
            publisher.wait_for_all_acked(Duration(seconds=5))
        lost = f', {self._ahead.lost} of the source skipped' if self._ahead.lost else ''
        self.get_logger().info(f'Played {self._next} frames{lost}.')
        raise SystemExit(0)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `player_node`."""
    return run_node(PlayerNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
