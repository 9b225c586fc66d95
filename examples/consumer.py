"""Print the nearest obstacle ahead, how sure its depth is, and where it stands.

Run beside the completion node: python3 examples/consumer.py [--ros-args -r __ns:=/robot]
"""

from contextlib import suppress
from functools import partial

import numpy as np
import rclpy
from cv_bridge import CvBridge
from rclpy.executors import ExternalShutdownException
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py.point_cloud2 import read_points

bridge, newest = CvBridge(), {}


def take(topic, msg):
    """Keep the newest message of each topic; report once all three are of one frame."""
    newest[topic] = msg
    if len(newest) == 3 and all(m.header.stamp == msg.header.stamp for m in newest.values()):
        report(**newest)


def report(image_rect, uncertainty, points):
    """Print the smallest depth in the middle third of the image."""
    depth_m = bridge.imgmsg_to_cv2(image_rect, '32FC1')
    sigma_m = bridge.imgmsg_to_cv2(uncertainty, '32FC1')
    height, width = depth_m.shape
    ahead = np.nan_to_num(depth_m[:, width // 3 : 2 * width // 3], nan=np.inf)  # NaN = unknown
    v, u = np.unravel_index(ahead.argmin(), ahead.shape)
    u += width // 3
    # The cloud may be strided; its points come row after row.
    row, column = v * points.height // height, u * points.width // width
    x, y, z = read_points(points, ('x', 'y', 'z'))[row * points.width + column]
    print(
        f'nearest ahead: {depth_m[v, u]:.2f} m, sigma {sigma_m[v, u]:.2f} m, '
        f'at x={x:.2f} y={y:.2f} z={z:.2f} in {points.header.frame_id}',
        flush=True,
    )


rclpy.init()
node = rclpy.create_node('nearest_obstacle')
for topic, kind in ('image_rect', Image), ('uncertainty', Image), ('points', PointCloud2):
    node.create_subscription(kind, f'depth/{topic}', partial(take, topic), 1)
with suppress(KeyboardInterrupt, ExternalShutdownException):  # Ctrl-C: rclpy shuts itself down
    rclpy.spin(node)
