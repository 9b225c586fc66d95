"""An edge that the image shows and scan lines miss: the rear of a box truck in a street."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import Lidar, LidarConfig
from depth_ros.simulation.materials import Material
from depth_ros.simulation.rig import Rig, looking
from depth_ros.simulation.shading import Lamp, Light
from depth_ros.simulation.world import World

CAMERA = Intrinsics(1600, 900, 1266.0, 1266.0, 816.0, 491.0)
SUN = Light(
    (Lamp(np.array([-3e4, 2e4, 3e4]), (0.9, 0.85, 0.75)),), (0.35, 0.4, 0.5), (0.15, 0.15, 0.14)
)
CLOUDS = Light((), (0.5, 0.52, 0.55), (0.25, 0.25, 0.24))
NEAR_M, FAR_M = 14.0, 32.0
LINES = {32: (-30.0, 10.0), 16: (-15.0, 15.0)}
"""Lowest and highest of so many lines, in degrees."""


def seen(light: Light, lines: int, aside_m: float) -> tuple[Frame, np.ndarray]:
    """A frame, and its true depth, of a box truck 14 m ahead, before a wall at 32 m."""
    builder = Builder()
    asphalt, brick = Material('asphalt', reflectivity=0.3), Material('brick', reflectivity=0.4)
    paint = Material('plain', (0.75, 0.77, 0.78), reflectivity=0.6, stains=0.3)
    builder.box((40.0, 0.0, -1.0), (120.0, 60.0, 1.0), asphalt)
    builder.box((FAR_M + 1.0, 0.0, 0.0), (2.0, 60.0, 12.0), brick)
    builder.box((NEAR_M + 4.0, aside_m, 0.9), (8.0, 2.5, 2.9), paint)
    builder.box((NEAR_M + 4.0, aside_m, 0.3), (7.0, 2.2, 0.6), Material('plain', (0.1, 0.1, 0.1)))
    world = World(builder.parts, light)
    low, high = LINES[lines]
    T_rig_lidar = np.eye(4)
    T_rig_lidar[:3, 3] = -0.3, 0.1, 1.9
    rig = Rig(
        {'camera': CameraSensor(Camera(CAMERA), metered=True)},
        {'camera': looking((0.0, 0.0, 1.65))},
        Lidar(LidarConfig(beams=lines, lowest_deg=low, highest_deg=high)),
        T_rig_lidar,
    )
    rng = np.random.default_rng(lines)
    photo = rig.photograph(world, 'camera', 0.0, rng)
    sweep = rig.sweep(world, 0.0, rng)
    T_camera_lidar = rig.T_camera_lidar('camera')
    return Frame(photo.image, Camera(CAMERA), 0, sweep.points, T_camera_lidar), photo.depth_m


def edge_error_px(depth_m: np.ndarray, true_m: np.ndarray) -> float:
    """RMS over rows of how far the right edge of the truck is from where it truly is."""
    middle_m = np.sqrt(NEAR_M * FAR_M)  # half the way in the logarithm of depth
    off = []
    for row in range(430, 540):
        edge = np.flatnonzero(true_m[row] < middle_m)[-1] + 1
        near = np.where(depth_m[row, edge - 80 : edge + 80] < middle_m, 1, -1)
        # The step that fits best: near up to there, far from there on.
        score = np.concatenate(([0], np.cumsum(near))) - np.concatenate(
            (np.cumsum(near[::-1])[::-1], [0])
        )
        off.append(np.argmax(score) - 80)
    return float(np.sqrt(np.mean(np.square(off))))


@pytest.mark.parametrize('lines', [32, 16])
@pytest.mark.parametrize('light', [SUN, CLOUDS], ids=['sun', 'shadow'])
def test_the_edge_of_a_truck_is_where_the_image_shows_it(light: Light, lines: int) -> None:
    frame, true_m = seen(light, lines, aside_m=-2.0)
    config = replaced(PipelineConfig(method='lite'), {'calibration.enabled': False})
    depth_m = FusionPipeline(config).process(frame).estimate.depth_m
    assert edge_error_px(true_m, true_m) == 0
    assert edge_error_px(depth_m, true_m) < 8
