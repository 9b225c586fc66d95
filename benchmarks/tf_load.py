"""What TF traffic costs the completion node: share of a core by messages per second on /tf.

Run: python3 benchmarks/tf_load.py [--rates 0 100 400 1000] [--seconds 15]. Needs tf2_ros. The node
runs as a process of its own on small images, and is asked three ways: the extrinsic is static
(the default settings), the camera turns on a pan unit, or extrinsic.fixed_frame is odom. One
message in `--others` + 1 moves the robot and its camera; the rest are of frames nobody asks for.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.nodes.convert import ns_to_stamp

WIDTH, HEIGHT, F_PX = 96, 64, 80.0
CAMERA, LIDAR = 'camera_optical_frame', 'lidar'
CASES = {'static': '', 'pan unit': '', 'fixed frame': 'odom'}
START_S, SETTLE_S = 120.0, 3.0


def transform(parent: str, child: str, stamp_ns: int, x_m: float = 0.0) -> TransformStamped:
    """A shift along x."""
    message = TransformStamped()
    message.header.stamp, message.header.frame_id = ns_to_stamp(stamp_ns), parent
    message.child_frame_id, message.transform.translation.x = child, x_m
    return message


def publish_tf(rate_hz: float, others: int, moving: list[tuple[str, str]]) -> None:
    """Until the process is ended: /tf, one transform a message."""
    node = rclpy.create_node('tf_traffic')
    publisher = node.create_publisher(TFMessage, '/tf', 100)
    frames = [*moving, *(('base', f'joint_{n}') for n in range(others))]
    for count in range(sys.maxsize):
        now_ns = time.time_ns()
        parent, child = frames[count % len(frames)]
        publisher.publish(TFMessage(transforms=[transform(parent, child, now_ns)]))
        time.sleep(1.0 / rate_hz)


class Sensors:
    """A camera and a LiDAR that see a wall at 5 m, static TF, and a listener to the depth."""

    def __init__(self, static: list[tuple[str, str]]) -> None:
        self.node = rclpy.create_node('sensors')
        self.depth_images = 0
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._tf = self.node.create_publisher(TFMessage, '/tf_static', latched)
        self._tf.publish(
            TFMessage(transforms=[transform(*pair, time.time_ns()) for pair in static])
        )
        self._image = self.node.create_publisher(Image, 'image', 5)
        self._info = self.node.create_publisher(CameraInfo, 'camera_info', 5)
        self._points = self.node.create_publisher(PointCloud2, 'points', 5)
        self.node.create_subscription(Image, 'depth/image_dense', self._on_depth, 5)
        self._image_buffer, self._cloud = ImageBuffer('rgb8'), CloudBuffer(('x', 'y', 'z'))
        self._image_buffer.view(HEIGHT, WIDTH)[...] = 90
        u, v = np.meshgrid(np.arange(0, WIDTH, 3.0), np.arange(0, HEIGHT, 3.0))
        wall = np.stack(((u - 47.5) / F_PX, (v - 31.5) / F_PX, np.ones_like(u)), -1) * 5.0
        self._cloud.view(1, u.size)[0] = wall.reshape(-1, 3)

    def send(self) -> None:
        """One frame, as of now."""
        stamp = ns_to_stamp(time.time_ns())
        info = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model='plumb_bob', d=[0.0] * 5)
        info.k = [F_PX, 0.0, 47.5, 0.0, F_PX, 31.5, 0.0, 0.0, 1.0]
        image, cloud = self._image_buffer.msg, self._cloud.msg
        for message, frame in ((info, CAMERA), (image, CAMERA), (cloud, LIDAR)):
            message.header.stamp, message.header.frame_id = stamp, frame
        for publisher, message in (
            (self._info, info),
            (self._points, cloud),
            (self._image, image),
        ):
            publisher.publish(message)

    def play(self, rate_hz: float, seconds: float) -> None:
        """Send frames for so long, or with a rate of 0 none."""
        until = time.monotonic() + seconds
        due = time.monotonic()
        while time.monotonic() < until:
            if rate_hz and time.monotonic() >= due:
                self.send()
                due += 1.0 / rate_hz
            rclpy.spin_once(self.node, timeout_sec=0.01)

    def wait_for_node(self, frame_hz: float, depth: bool) -> None:
        """Until the node listens and, where it can, has published, and its start is over."""
        deadline = time.monotonic() + START_S
        while not self._image.get_subscription_count() or (depth and not self.depth_images):
            self.play(frame_hz, 0.5)
            if time.monotonic() > deadline:
                raise SystemExit('The node gives no depth; see its output.')
        self.play(frame_hz, SETTLE_S)

    def _on_depth(self, message: Image) -> None:
        self.depth_images += 1


def cpu_s(pid: int) -> float:
    """Time that all threads of a process have had a core."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(
    case: str, tf_hz: float, frame_hz: float, args: argparse.Namespace
) -> tuple[float, int]:
    """Share of a core in percent, and depth images, of a node in one situation."""
    turns = case == 'pan unit'
    pairs = [('base', LIDAR), ('pan', CAMERA) if turns else ('base', CAMERA)]
    command = [sys.executable, '-m', 'depth_ros.nodes.completion_node', '--ros-args']
    for setting in ('method:=guided', f'extrinsic.fixed_frame:={CASES[case] or repr("")}'):
        command += ['-p', setting]
    traffic = [sys.executable, __file__, '--publish', case, '--others', str(args.others)]
    sensors = Sensors(pairs)
    processes = [subprocess.Popen(command)]
    if tf_hz:
        processes.append(subprocess.Popen([*traffic, '--rates', str(tf_hz)]))
    try:
        sensors.wait_for_node(frame_hz, depth=frame_hz > 0 and (case == 'static' or tf_hz > 0))
        before_s, sensors.depth_images = cpu_s(processes[0].pid), 0
        sensors.play(frame_hz, args.seconds)
        return 100 * (cpu_s(processes[0].pid) - before_s) / args.seconds, sensors.depth_images
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
        sensors.node.destroy_node()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rates', type=float, nargs='+', default=[0, 100, 400, 1000])
    parser.add_argument('--seconds', type=float, default=15.0)
    parser.add_argument('--frame-rates', type=float, nargs='+', default=[0.0, 10.0])
    parser.add_argument('--others', type=int, default=3)
    parser.add_argument('--publish', choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    rclpy.init()
    if args.publish:
        moving = [('odom', 'base'), ('base', 'pan')]
        publish_tf(args.rates[0], args.others, moving)
    print(
        '| extrinsic | images | '
        + ' | '.join(f'{rate:g} /tf a second' for rate in args.rates)
        + ' |'
    )
    print('|---' * (2 + len(args.rates)) + '|')
    for case in CASES:
        for frame_hz in args.frame_rates:
            cells = [measure(case, tf_hz, frame_hz, args) for tf_hz in args.rates]
            shares = ' | '.join(f'{share:.1f} % ({count})' for share, count in cells)
            print(f'| {case} | {frame_hz:g} Hz | {shares} |', flush=True)


if __name__ == '__main__':
    main()
