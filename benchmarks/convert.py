"""What it costs to fill and to read messages: ours against the usual ways.

Run: python3 benchmarks/convert.py [--repeat 50]. Times are medians in milliseconds of one call.
Rows of sensor_msgs_py appear where it is installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.cloud import cloud_shape, fill_cloud
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer
from depth_ros.pipeline.result import FusionResult

HEIGHT, WIDTH = 375, 1242
SWEEP_POINTS = 120_000
SLOW_CALLS = 3  # of what takes a second each


def median_ms(call: Callable[[], object], repeat: int) -> float:
    """Median wall time of one call in milliseconds, after one that is not counted."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def image_rows(repeat: int) -> dict[str, float]:
    """Ways to put a 32FC1 depth image into a message."""
    depth_m = np.random.default_rng(0).uniform(1, 80, (HEIGHT, WIDTH)).astype(np.float32)
    msg, buffer, millimetres = Image(), ImageBuffer('32FC1'), ImageBuffer('16UC1')
    raw = depth_m.view(np.uint8).ravel()
    return {
        'refill in place (ImageBuffer)': median_ms(lambda: buffer.fill_depth(depth_m), repeat),
        'refill in place as 16UC1 mm': median_ms(lambda: millimetres.fill_depth(depth_m), repeat),
        'msg.data = depth.tobytes()': median_ms(
            lambda: setattr(msg, 'data', depth_m.tobytes()), repeat
        ),
        'msg.data = ndarray': median_ms(lambda: setattr(msg, 'data', raw), SLOW_CALLS),
    }


def cloud_rows(repeat: int) -> dict[str, float]:
    """Ways to put points, colours and sigma of a depth map into a message."""
    rng = np.random.default_rng(0)
    depth_m = rng.uniform(1, 80, (HEIGHT, WIDTH)).astype(np.float32)
    sigma_m = rng.uniform(size=(HEIGHT, WIDTH)).astype(np.float32)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    pinhole = Intrinsics(WIDTH, HEIGHT, fx=720.0, fy=720.0, cx=620.0, cy=187.0)
    estimate, view = DepthEstimate(depth_m, sigma_m), CameraView(image, depth_m, pinhole)
    result = FusionResult(view, estimate, 'made', {}, None)
    msg, buffer = PointCloud2(), CloudBuffer()

    def fresh() -> np.ndarray:
        cloud = np.empty(cloud_shape(pinhole), np.float32)
        fill_cloud(cloud, depth_m, sigma_m, image, pinhole)
        return cloud

    rows = {
        'refill in place (CloudBuffer)': median_ms(lambda: buffer.fill(result), repeat),
        'fresh array, msg.data = tobytes()': median_ms(
            lambda: setattr(msg, 'data', fresh().tobytes()), repeat
        ),
        'fresh array, msg.data = ndarray': median_ms(
            lambda: setattr(msg, 'data', fresh().view(np.uint8).ravel()), SLOW_CALLS
        ),
    }
    try:
        from sensor_msgs_py.point_cloud2 import create_cloud
    except ImportError:
        return rows
    fields, header = buffer.msg.fields, Header()
    rows['fresh array, sensor_msgs_py.create_cloud'] = median_ms(
        lambda: create_cloud(header, fields, fresh().reshape(-1, 5)), repeat
    )
    return rows


def sweep_rows(repeat: int) -> dict[str, float]:
    """Ways to read x y z of a LiDAR sweep."""
    rng = np.random.default_rng(0)
    buffer = CloudBuffer(('x', 'y', 'z', 'intensity'))
    buffer.view(1, SWEEP_POINTS)[...] = rng.normal(size=(1, SWEEP_POINTS, 4))
    velodyne = PointCloud2(height=1, width=SWEEP_POINTS, point_step=22, row_step=22 * SWEEP_POINTS)
    velodyne.fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate('xyz')
    ]
    velodyne.data.frombytes(bytes(22 * SWEEP_POINTS))
    rows = {
        'cloud_to_points, 16-byte points': median_ms(lambda: cloud_to_points(buffer.msg), repeat),
        'cloud_to_points, 22-byte points': median_ms(lambda: cloud_to_points(velodyne), repeat),
    }
    try:
        from sensor_msgs_py.point_cloud2 import read_points_numpy
    except ImportError:
        return rows
    for size, msg in (16, buffer.msg), (22, velodyne):
        # It returns a strided view; ours is a copy in order, so theirs is put in order too.
        rows[f'sensor_msgs_py.read_points_numpy, {size}-byte points'] = median_ms(
            lambda msg=msg: read_points_numpy(msg, ('x', 'y', 'z')).copy(), repeat
        )
    return rows


def main() -> None:
    """Print one table per message."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeat', type=int, default=50, help='calls per row (default 50)')
    repeat = parser.parse_args().repeat
    for title, rows in (
        (f'Image 32FC1 {WIDTH}x{HEIGHT}, filled', image_rows(repeat)),
        (f'PointCloud2 {WIDTH}x{HEIGHT} x y z rgb sigma, filled', cloud_rows(repeat)),
        (f'PointCloud2 of {SWEEP_POINTS:,} points, read', sweep_rows(repeat)),
    ):
        print(f'{title}\n' + '\n'.join(f'  {name:<48}{ms:9.2f} ms' for name, ms in rows.items()))


if __name__ == '__main__':
    main()
