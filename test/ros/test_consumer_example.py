"""The example consumer, as a process, on what our buffers publish."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2 (extra "ros")')
pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
pytest.importorskip('sensor_msgs_py', reason='sensor_msgs_py is not installed')

from sensor_msgs.msg import Image, PointCloud2

from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.nodes.convert import ns_to_stamp
from depth_ros.pipeline.result import FusionResult

CONSUMER = Path(__file__).resolve().parents[2] / 'examples' / 'consumer.py'
PINHOLE = Intrinsics(60, 40, fx=50.0, fy=50.0, cx=29.5, cy=19.5)

pytestmark = pytest.mark.ros


@pytest.fixture
def consumer(ros):  # `ros` first: it sets the domain that the process inherits
    process = subprocess.Popen(
        [sys.executable, str(CONSUMER)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def test_prints_the_nearest_obstacle_and_ends_cleanly(ros, consumer, wait_until):
    depth_m = np.full((40, 60), 20.0, np.float32)
    depth_m[:4] = np.nan
    depth_m[10:20, 2:8] = 1.0  # nearer, but not ahead
    depth_m[25, 33] = 5.0
    sigma_m = depth_m / 40
    black = CameraView(np.zeros((40, 60, 3), np.uint8), np.zeros_like(depth_m), PINHOLE)
    image, sigma, cloud = ImageBuffer(), ImageBuffer(), CloudBuffer()
    image.fill_depth(depth_m)
    sigma.fill_depth(sigma_m)
    cloud.fill(FusionResult(black, DepthEstimate(depth_m, sigma_m), 'made', {}, None))

    node = ros.node('publisher')
    messages = {
        node.create_publisher(kind, f'depth/{topic}', 1): buffer.msg
        for kind, topic, buffer in (
            (Image, 'image_rect', image),
            (Image, 'uncertainty', sigma),
            (PointCloud2, 'points', cloud),
        )
    }
    wait_until(
        lambda: all(p.get_subscription_count() for p in messages),
        what='subscriptions of the consumer',
    )
    for msg in messages.values():
        msg.header.stamp, msg.header.frame_id = ns_to_stamp(1_000_000_007), 'camera_optical'

    def printed():
        for publisher, msg in messages.items():
            publisher.publish(msg)
        ready, _, _ = select.select([consumer.stdout], [], [], 0.5)
        return ready and consumer.stdout.readline()

    # Pixel (33, 25) at 5 m: x = (33 - 29.5) / 50 * 5 = 0.35, y = (25 - 19.5) / 50 * 5 = 0.55.
    assert wait_until(printed, what='a printed line') == (
        'nearest ahead: 5.00 m, sigma 0.12 m, at x=0.35 y=0.55 z=5.00 in camera_optical\n'
    )
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait(timeout=240) == 0
