"""What a frame costs: the whole pipeline by stage, against the published IP-Basic fill alone.

Run: python3 benchmarks/pipeline.py [--method lite --backend openvino --threads 2] [--repeat 100]
[--json]. By default both `guided` and `lite` are measured. Times are medians in milliseconds on
1242x375 and a sweep of 120,000 points: a real one where $DEPTH_ROS_DATA (default ../shared) holds
data/kitti_obj_000001, else one made here. IP-Basic and the pipeline take turns, so that whatever
else the machine does slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import DatasetError
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.cloud import cloud_shape, fill_cloud
from depth_ros.methods import ip_basic
from depth_ros.pipeline.config import EngineConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline

ROOT = Path(os.environ.get('DEPTH_ROS_DATA') or Path(__file__).resolve().parents[2] / 'shared')
SAMPLE = ROOT / 'data' / 'kitti_obj_000001'
WARM_UP = 10
FRAME_NS = 100_000_000


def input_frame() -> tuple[str, Frame]:
    """A frame to process, and what it is."""
    try:
        return f'{SAMPLE.name}, real', open_folder(SAMPLE).sample(0).frame
    except DatasetError:
        return 'synthetic street', synthetic_frame()


def synthetic_frame() -> Frame:
    """A street of ground, two walls and an end, seen by 64 beams of 1,875 returns each."""
    elevation, azimuth = np.meshgrid(
        np.deg2rad(np.linspace(-24.9, 2.0, 64)), np.linspace(-np.pi, np.pi, 1875, endpoint=False)
    )
    rays = np.stack(
        (
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ),
        axis=-1,
    )
    # Ground 1.73 m below, walls 8 m to the left and right, ends 60 m before and behind.
    lower, upper = np.array([-60.0, -8.0, -1.73]), np.array([60.0, 8.0, np.inf])
    with np.errstate(divide='ignore'):
        range_m = np.maximum(lower / rays, upper / rays).min(axis=-1)
    points = (rays * range_m[..., None]).reshape(-1, 3).astype(np.float32)
    T_camera_lidar = np.array(
        [[0.0, -1.0, 0.0, 0.06], [0.0, 0.0, -1.0, -0.08], [1.0, 0.0, 0.0, -0.27], [0, 0, 0, 1]]
    )
    coarse = np.random.default_rng(0).integers(0, 256, (24, 78, 3), np.uint8)
    image = cv2.resize(coarse, (1242, 375), interpolation=cv2.INTER_CUBIC)
    camera = Camera(Intrinsics(1242, 375, fx=721.5, fy=721.5, cx=609.6, cy=172.9))
    return Frame(image, camera, 0, points, T_camera_lidar)


def measure(frame: Frame, repeat: int, config: PipelineConfig) -> dict[str, float]:
    """Median times in milliseconds: of IP-Basic, of each stage, of the cloud, of all of it."""
    pipeline = FusionPipeline(config)
    pipeline.prepare(frame)
    view = pipeline.observe(frame)
    cloud = np.empty(cloud_shape(view.intrinsics), np.float32)
    times: dict[str, list[float]] = {}
    for index in range(-WARM_UP, repeat):
        start = time.perf_counter()
        ip_basic.fill(view.sparse_m)
        filled = time.perf_counter()
        result = pipeline.process(replace(frame, stamp_ns=index * FRAME_NS))
        processed = time.perf_counter()
        depth_m, sigma_m = result.estimate.depth_m, result.estimate.sigma_m
        fill_cloud(cloud, depth_m, sigma_m, result.view.image, result.view.intrinsics)
        end = time.perf_counter()
        row = {
            'ip_basic': (filled - start) * 1e3,
            **result.timings_ms,
            'cloud': (end - processed) * 1e3,
            'total': (end - filled) * 1e3,
        }
        for name, ms in row.items() if index >= 0 else ():
            times.setdefault(name, []).append(ms)
    return {name: statistics.median(series) for name, series in times.items()}


def main() -> None:
    """Print the table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeat', type=int, default=100, help='measured frames (default 100)')
    parser.add_argument(
        '--method', action='append', choices=('guided', 'lite'), help='default is both'
    )
    parser.add_argument('--backend', default='auto', help='of networks (default auto)')
    parser.add_argument('--threads', type=int, default=0, help='of networks; 0 = chosen')
    parser.add_argument('--json', action='store_true', help='print one JSON object instead')
    arguments = parser.parse_args()
    name, frame = input_frame()
    methods = arguments.method or ['guided', 'lite']
    engine = EngineConfig(backend=arguments.backend, threads=arguments.threads)
    ms = {
        method: measure(frame, arguments.repeat, PipelineConfig(method=method, engine=engine))
        for method in methods
    }
    if arguments.json:
        print(json.dumps({'input': name, 'points': len(frame.points), 'ms': ms}))
        return
    height, width = frame.image.shape[:2]
    print(f'{width}x{height}, {len(frame.points):,} points ({name}), median of {arguments.repeat}')
    for method, stages in ms.items():
        print(f'{method}')
        fill = stages.pop('ip_basic')
        rows = {'ip_basic fill alone': fill, **stages}
        print('\n'.join(f'  {row:<24}{value:8.2f} ms' for row, value in rows.items()))
        for stage in ('complete', 'total'):
            print(f'  {f"{stage} / ip_basic":<24}{stages[stage] / fill:8.2f}')


if __name__ == '__main__':
    main()
