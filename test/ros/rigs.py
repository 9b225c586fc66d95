"""Nodes of ours with fake sensors around them; rclpy is imported where it is used."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE_S = 240.0
"""Longest wait for what a free machine does at once: only a failure takes so long."""


def wait_until(
    predicate: Callable[[], Any], timeout_s: float = PATIENCE_S, what: str = 'condition'
) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := predicate()):
        if time.monotonic() > deadline:
            pytest.fail(f'{what} not reached within {timeout_s:g} s')
        time.sleep(0.005)
    return result


class Ros:
    """An rclpy context of its own with one executor that spins in a thread.

    Attributes:
        context: give it to what is made outside `node()`.
    """

    def __init__(self, domain_id: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain_id)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._running = True
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def node(self, name: str, **options: Any) -> Any:
        """A node that spins; `options` go to `rclpy.node.Node`."""
        from rclpy.node import Node

        return self.spin(Node(name, context=self.context, **options))

    def spin(self, node: Any) -> Any:
        """Spin a node made with `context=ros.context` until the test ends."""
        self._executor.add_node(node)
        self._executor.wake()
        return node

    def close(self) -> None:
        """Stop spinning, destroy all nodes, shut the context down."""
        self._running = False
        self._executor.wake()
        self._thread.join(PATIENCE_S)
        nodes = self._executor.get_nodes()
        self._executor.shutdown()
        for node in nodes:
            node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        from rclpy._rclpy_pybind11 import InvalidHandle

        while self._running:
            # What a test destroys may be in the wait set that is being built in this thread.
            with contextlib.suppress(InvalidHandle):
                self._executor.spin_once(timeout_sec=0.02)


class CameraRig:
    """A node that makes depth of images, with a fake camera, and what it says of itself.

    Attributes:
        node: the node.
        peer: the node that all fakes and listeners belong to.
        heard: messages received by topic, in order.
        diagnostics: values and message of each status by name, as last reported.
    """

    WIDTH, HEIGHT = 96, 64
    HEARD = ('depth/image_dense', 'depth/camera_info')

    def __init__(self, ros: Ros, wait_until: Callable[..., Any], **parameters: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.parameter import Parameter
        from sensor_msgs.msg import CameraInfo, Image

        self.wait_until = wait_until
        settings = {'diagnostics_period_s': 0.1, 'output.cloud_stride': 1} | parameters
        overrides = [Parameter(name, value=value) for name, value in settings.items()]
        self.node = self._make(context=ros.context, parameter_overrides=overrides)
        ros.spin(self.node)
        self.peer = ros.node('peer')
        self.heard: dict[str, list[Any]] = {}
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.image = self.peer.create_publisher(Image, 'image', 10)
        self.info = self.peer.create_publisher(CameraInfo, 'camera_info', 10)
        for topic in self.HEARD:
            self.listen(topic)
        self.peer.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._stamp_ns = 1_000_000_000

    @property
    def depth(self) -> list[Any]:
        """Depth images received."""
        return self.heard['depth/image_dense']

    @property
    def infos(self) -> list[Any]:
        """Their CameraInfo."""
        return self.heard['depth/camera_info']

    def listen(self, topic: str) -> list[Any]:
        """Keep what is published on a topic, from now on in the list returned."""
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        kinds = {'depth/camera_info': CameraInfo, 'depth/points': PointCloud2}
        messages = self.heard.setdefault(topic, [])
        self.peer.create_subscription(kinds.get(topic, Image), topic, messages.append, 10)
        return messages

    def start(self) -> Any:
        """Configure and activate, and wait until everybody has found everybody."""
        from rclpy.lifecycle import TransitionCallbackReturn

        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.wait_until(self._connected, what='discovery')
        return self

    def stop(self) -> None:
        """End the node's worker, unless the test has ended the node itself."""
        if self.node._state_machine.current_state[1] != 'finalized':
            # Where its callbacks run: they must not find half of it.
            done = self.node.executor.create_task(self.node.trigger_shutdown)
            self.wait_until(done.done, timeout_s=PATIENCE_S, what='the shutdown')

    def image_msg(self, **changes: Any) -> Any:
        """An rgb8 image of the next 0.1 s; `changes` are set on the message."""
        import array

        from sensor_msgs.msg import Image
        from std_msgs.msg import Header

        from depth_ros.nodes.convert import ns_to_stamp

        self._stamp_ns += 100_000_000
        header = Header(stamp=ns_to_stamp(self._stamp_ns), frame_id='camera_optical_frame')
        data = array.array('B', bytes(3 * self.WIDTH * self.HEIGHT))
        msg = Image(
            header=header,
            width=self.WIDTH,
            height=self.HEIGHT,
            encoding='rgb8',
            step=3 * self.WIDTH,
            data=data,
        )
        return _changed(msg, changes)

    def info_msg(self, **changes: Any) -> Any:
        """The camera: f = 80 px, principal point in the middle."""
        from sensor_msgs.msg import CameraInfo

        cx, cy = (self.WIDTH - 1) / 2, (self.HEIGHT - 1) / 2
        k = [80.0, 0.0, cx, 0.0, 80.0, cy, 0.0, 0.0, 1.0]
        msg = CameraInfo(width=self.WIDTH, height=self.HEIGHT, distortion_model='plumb_bob')
        msg.k, msg.d = k, [0.0] * 5
        return _changed(msg, changes)

    def send(self, image: Any = None, info: Any = None) -> Any:
        """Publish an image with its camera (None = a good one); returns the image."""
        image = image if image is not None else self.image_msg()
        self.info.publish(info if info is not None else self.info_msg())
        self.image.publish(image)
        return image

    def send_until(self, predicate: Callable[[], Any], what: str, **messages: Any) -> Any:
        """Send frames, each made anew, until something holds, or fail."""
        return self.repeat_until(
            predicate, what, lambda: self.send(**{name: make() for name, make in messages.items()})
        )

    def repeat_until(self, predicate: Callable[[], Any], what: str, act: Callable[[], Any]) -> Any:
        """Do something again and again until something holds, or fail."""
        deadline = time.monotonic() + PATIENCE_S
        while not (result := predicate()):
            assert time.monotonic() < deadline, f'{what} not reached; {self.diagnostics}'
            act()
            time.sleep(0.03)
        return result

    def settle(self) -> None:
        """Return when nothing is on its way: frames come out, and the last one sent has."""
        self.send_until(lambda: self.depth, 'depth')
        last = self.send().header.stamp
        self.wait_until(lambda: self.depth[-1].header.stamp == last, what='the last frame')

    def value(self, status: str, key: str) -> str:
        """A value of a status of the node, or ''."""
        return self.diagnostics.get(f'{self.node.get_name()}: {status}', {}).get(key, '')

    def dropped(self, reason: str) -> int:
        """How often the node says it dropped something for a reason."""
        return int(self.value('output', f'dropped {reason}') or 0)

    def _make(self, **options: Any) -> Any:
        """The node."""
        raise NotImplementedError

    def _on_diagnostics(self, msg: Any) -> None:
        for status in msg.status:
            values = {pair.key: pair.value for pair in status.values}
            values |= {'message': status.message, 'level': str(status.level[0])}
            self.diagnostics[status.name] = values

    def _connected(self) -> bool:
        heard = all(publisher.get_subscription_count() for publisher in self._sensors())
        return heard and all(self.peer.count_publishers(topic) for topic in self.HEARD)

    def _sensors(self) -> list[Any]:
        return [self.image, self.info]


class CompletionRig(CameraRig):
    """A completion node whose camera sees a wall at 5 m; the LiDAR sits in the camera's frame."""

    def __init__(self, ros: Ros, wait_until: Callable[..., Any], **parameters: Any) -> None:
        from sensor_msgs.msg import PointCloud2

        known = {
            'method': 'guided',
            'extrinsic.source': 'parameters',
            'extrinsic.quat_xyzw': [0.0, 0.0, 0.0, 1.0],
        }
        super().__init__(ros, wait_until, **known | parameters)
        self.points = self.peer.create_publisher(PointCloud2, 'points', 10)

    def cloud_msg(self, depth_m: float = 5.0, **changes: Any) -> Any:
        """Returns from a wall, one for every third pixel each way, stamped as the last image."""
        import numpy as np
        from std_msgs.msg import Header

        from depth_ros.nodes.buffers import CloudBuffer
        from depth_ros.nodes.convert import ns_to_stamp

        u, v = np.meshgrid(np.arange(0, self.WIDTH, 3.0), np.arange(0, self.HEIGHT, 3.0))
        cx, cy = (self.WIDTH - 1) / 2, (self.HEIGHT - 1) / 2
        points = np.stack(((u - cx) / 80, (v - cy) / 80, np.ones_like(u)), -1) * depth_m
        buffer = CloudBuffer(('x', 'y', 'z'))
        buffer.view(1, u.size)[0] = points.reshape(-1, 3)
        buffer.msg.header = Header(stamp=ns_to_stamp(self._stamp_ns), frame_id='lidar')
        return _changed(buffer.msg, changes)

    def send(self, image: Any = None, info: Any = None, cloud: Any = None) -> Any:
        """Publish an image with its camera and sweep (None = a good one); returns the image."""
        image = image if image is not None else self.image_msg()
        self.info.publish(info if info is not None else self.info_msg())
        self.points.publish(cloud if cloud is not None else self.cloud_msg())
        self.image.publish(image)
        return image

    def _make(self, **options: Any) -> Any:
        from depth_ros.nodes.completion_node import CompletionNode

        return CompletionNode(**options)

    def _sensors(self) -> list[Any]:
        return [*super()._sensors(), self.points]


class MonocularRig(CameraRig):
    """A monocular node; with `mono.output` relative its only image is heard."""

    def __init__(self, ros: Ros, wait_until: Callable[..., Any], **parameters: Any) -> None:
        if parameters.get('mono.output') == 'relative':
            self.HEARD = ('depth/relative', 'depth/camera_info')
        super().__init__(ros, wait_until, **parameters)

    def _make(self, **options: Any) -> Any:
        from depth_ros.nodes.monocular_node import MonocularNode

        return MonocularNode(**options)


def _changed(msg: Any, changes: dict[str, Any]) -> Any:
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg
