"""A camera and a LiDAR without noise, and walls: what several tests of LiDARs measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_ros.geometry.camera import Intrinsics
from depth_ros.simulation import shapes
from depth_ros.simulation.lidar import LidarConfig
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.scanners import OPTICAL_FROM_LIDAR

CAMERA = Intrinsics(200, 100, 100.0, 100.0, 99.5, 49.5)
QUIET = LidarConfig(
    beams=3,
    lowest_deg=-10.0,
    highest_deg=10.0,
    azimuth_step_deg=1.0,
    range_sigma_m=0.0,
    drop_out=0.0,
    max_range_m=1e6,
)
LEVEL = np.eye(4)  # T_world_camera of a camera at the world's origin, z up, that looks along x
LEVEL[:3, :3] = OPTICAL_FROM_LIDAR.T


def extrinsic(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:
    """T_camera_lidar of a LiDAR at (x, y, z) of the camera frame that looks where it looks."""
    T_camera_lidar = np.eye(4)
    T_camera_lidar[:3, :3] = OPTICAL_FROM_LIDAR
    T_camera_lidar[:3, 3] = x, y, z
    return T_camera_lidar


def wall(x: float, half: float = 1000.0, left: float = 0.0) -> Mesh:
    """A square at x = const of the world, its middle at y = left."""
    span = (-half, half)
    return shapes.sheet(np.array([[(x, left + y, z) for y in span] for z in span]))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)
