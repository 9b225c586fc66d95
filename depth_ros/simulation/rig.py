"""Cameras and a LiDAR on one body, which moves through a world.

The body's frame has x forward, y left and z up; its origin is on the ground (REP-103).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.geometry import transforms
from depth_ros.simulation.camera import CameraSensor, Photo
from depth_ros.simulation.lidar import Lidar, Sweep
from depth_ros.simulation.trajectory import Poses, Trajectory
from depth_ros.simulation.world import World

_BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Rig:
    """What is mounted where.

    Attributes:
        cameras: by their names.
        T_rig_camera: (4, 4) of each camera, into the frame of the body.
        lidar: the LiDAR.
        T_rig_lidar: (4, 4), likewise.
    """

    cameras: Mapping[str, CameraSensor]
    T_rig_camera: Mapping[str, Float64]
    lidar: Lidar
    T_rig_lidar: Float64

    def T_camera_lidar(self, name: str) -> Float64:
        """(4, 4), from the LiDAR into a camera."""
        return transforms.inverse(self.T_rig_camera[name]) @ self.T_rig_lidar

    def photograph(
        self, world: World, name: str, time_s: float, rng: np.random.Generator
    ) -> Photo:
        """A photo of one of the cameras; see `CameraSensor.photograph`."""
        poses = mounted(world.rig.poses, self.T_rig_camera[name])
        return self.cameras[name].photograph(world, poses, time_s, rng)

    def sweep(self, world: World, time_s: float, rng: np.random.Generator) -> Sweep:
        """A sweep of the LiDAR; see `Lidar.sweep`."""
        return self.lidar.sweep(world, mounted(world.rig.poses, self.T_rig_lidar), time_s, rng)


def mounted(body: Poses, T_body_sensor: Float64) -> Poses:
    """The poses of what is fixed to a body."""
    return lambda time_s: body(time_s) @ T_body_sensor


def looking(
    at: npt.ArrayLike, yaw_deg: float = 0.0, pitch_deg: float = 0.0, roll_deg: float = 0.0
) -> Float64:
    """T_body_camera (4, 4) of a camera turned to the left, tilted down and rolled from forward."""
    angles = np.radians((yaw_deg, pitch_deg, roll_deg))
    transform = Trajectory(lambda t: np.zeros((len(t), 3)), lambda t: angles[None]).poses([0.0])[0]
    transform[:3, :3] = transform[:3, :3] @ _BODY_FROM_OPTICAL
    transform[:3, 3] = at
    return transform
