"""LiDARs beside a camera, drawn at random: what is on sale, as it is mounted and calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float64
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.transforms import as_transform
from depth_ros.simulation.lidar import Beams, Lidar, LidarConfig, Sweep
from depth_ros.simulation.world import World

Span = tuple[float, float]

OPTICAL_FROM_LIDAR = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Axes of a LiDAR (x forward, y left, z up) in a camera that looks forward (z forward)."""

_NEAR_IMAGE = 0.03  # beams that miss the image by so many focal lengths are cast, too
_HDL64_STEP_DEG = 0.15, 0.22
_HDL64, _DENSE, _32, _16, _ROSETTE = range(5)  # order of ScannerRanges.patterns


@dataclass(frozen=True)
class Scanner:
    """A LiDAR beside a camera, and what its user believes of it.

    Attributes:
        lidar: the LiDAR.
        T_camera_lidar: (4, 4), what the user believes.
        T_error: (4, 4), what the user does not know: a point is truly at
            `p_camera = T_error @ T_camera_lidar @ p_lidar` (calibration and time).
        velocity_mps: (3,) of the LiDAR in its own frame.

    Raises:
        GeometryError: a transform is not rigid.
    """

    lidar: Lidar
    T_camera_lidar: Float64
    T_error: Float64 = field(default_factory=lambda: np.eye(4))
    velocity_mps: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        as_transform(self.T_camera_lidar, 'T_camera_lidar')
        as_transform(self.T_error, 'T_error')

    def sweep(
        self,
        world: World,
        T_world_camera: Float64,
        time_s: float,
        rng: np.random.Generator,
        image: Intrinsics | None = None,
    ) -> Sweep:
        """What it measures around a time, when the camera is somewhere; see `Lidar.sweep`.

        Args:
            world: what is hit.
            T_world_camera: (4, 4) true pose of the camera then.
            time_s: middle of the sweep.
            rng: decides what is lost, and the noise.
            image: the camera; with it only beams that land in or near its image are cast.
        """
        T_camera_lidar = self.T_error @ self.T_camera_lidar
        beams = self.lidar.beams(int(rng.integers(1 << 16)))
        if image is not None:
            beams = beams.of(self._can_land(beams, T_camera_lidar, image))
        start = T_world_camera @ T_camera_lidar

        def poses(times_s: npt.ArrayLike) -> Float64:
            way = np.multiply.outer(np.asarray(times_s) - time_s, self.velocity_mps)
            pose = np.broadcast_to(start, (*way.shape[:-1], 4, 4)).copy()
            pose[..., :3, 3] += way @ start[:3, :3].T
            return pose

        return self.lidar.sweep(world, poses, time_s, rng, beams)

    def _can_land(self, beams: Beams, T_camera_lidar: Float64, image: Intrinsics) -> Bool:
        """Which beams (N,) reach each of the four half-spaces of the view at some range.

        `a + r b >= 0` holds for some r between the minimum and the maximum range if it does at
        one of them. The motion of the rig is left to the margin around the image.
        """
        fx, fy, cx, cy = image.fx, image.fy, image.cx, image.cy
        margin = 0.5 + _NEAR_IMAGE * fx
        right, bottom = image.width - 1 + margin, image.height - 1 + margin
        normals = np.array(
            [
                [fx, 0, cx + margin],
                [-fx, 0, right - cx],
                [0, fy, cy + margin],
                [0, -fy, bottom - cy],
            ]
        )
        a = normals @ T_camera_lidar[:3, 3]
        config = self.lidar.config
        needed = np.minimum(-a / max(config.min_range_m, 0.1), -a / config.max_range_m)
        b = normals @ T_camera_lidar[:3, :3] @ beams.directions.T
        inside: Bool = (b >= needed[:, None]).all(axis=0)
        return inside


@dataclass(frozen=True)
class ScannerRanges:
    """From where a scanner is drawn; a pair is the bounds of a uniform distribution.

    DMD3C does not publish the ranges of its simulated LiDAR. These cover the LiDARs on sale
    (HDL-64E, OS0 to OS2, VLP-32 and -16, Livox) and the rigs of KITTI, nuScenes and small robots.
    On roads KITTI's HDL-64E loses 0.3 % of its shots up to 30 m, 1.5 % at a cosine of incidence
    of 0.05 and 4 to 15 % at 0.035: a `grazing` of about 0.012, and next to no `drop_out`.

    Attributes:
        patterns: shares of HDL-64E, 64 or 128 even rings, 32, 16, and rosette.
        lowest_deg: elevation of the lowest of even rings.
        highest_deg: elevation of the highest of even rings.
        ring_sigma_deg: how far rings are from where they are stated to be (KITTI's: 0.05).
        offset_m: place of the LiDAR in the camera frame: aside, down (negative is above), ahead.
        turn_deg: rotation of the LiDAR against the camera, one sigma about each axis.
        speed_mps: speed ahead during the sweep; of that a tenth for a rosette, whose driver has
            to undo it, since shots of all times lie side by side.
        deskewed: share of drivers that undo the motion during the sweep.
        delay_s: time of the sweep against the image, one sigma.
        max_range_m: range of the LiDAR at `STATED_REFLECTIVITY`.
        min_range_m: blind zone.
        range_sigma_m: noise of the range.
        ring_bias_m: one sigma of the bias of a ring.
        azimuth_step_deg: angle between two shots; 0.15 to 0.22 for the HDL-64E.
        fov_h_deg: width of the rosette.
        fov_v_deg: height of the rosette.
        shots: shots of the rosette in one sweep.
        drop_out: losses; low ones are likelier (square of a uniform number).
        grazing: cosine of incidence at which 63 % come back.
        calibration_deg: error of the rotation, one sigma about each axis.
        calibration_m: error of the translation, one sigma along each axis; rigs are calibrated
            well or badly in both, and most of them well (square of a uniform number).
    """

    patterns: tuple[float, ...] = (0.45, 0.15, 0.15, 0.15, 0.10)
    lowest_deg: Span = (-25.0, -15.0)
    highest_deg: Span = (2.0, 15.0)
    ring_sigma_deg: float = 0.05
    offset_m: tuple[Span, Span, Span] = ((-0.6, 0.6), (-0.5, 0.15), (-0.4, 0.4))
    turn_deg: float = 1.0
    speed_mps: Span = (0.0, 15.0)
    deskewed: float = 0.6
    delay_s: float = 0.002
    max_range_m: Span = (80.0, 150.0)
    min_range_m: float = 1.0
    range_sigma_m: Span = (0.005, 0.03)
    ring_bias_m: Span = (0.002, 0.02)
    azimuth_step_deg: Span = (0.1, 0.4)
    fov_h_deg: Span = (40.0, 80.0)
    fov_v_deg: Span = (20.0, 75.0)
    shots: Span = (10_000, 40_000)
    drop_out: Span = (0.0, 0.30)
    grazing: Span = (0.008, 0.03)
    calibration_deg: Span = (0.0, 0.06)
    calibration_m: Span = (0.0, 0.01)


OUTDOOR = ScannerRanges()
INDOOR = ScannerRanges(
    patterns=(0.0, 0.10, 0.25, 0.25, 0.40),
    lowest_deg=(-45.0, -15.0),
    highest_deg=(15.0, 45.0),
    offset_m=((-0.15, 0.15), (-0.2, 0.05), (-0.1, 0.1)),
    turn_deg=2.0,
    speed_mps=(0.0, 1.0),
    delay_s=0.01,
    max_range_m=(20.0, 60.0),
    min_range_m=0.3,
    range_sigma_m=(0.003, 0.015),
    ring_bias_m=(0.001, 0.01),
)


def random_scanner(
    rng: np.random.Generator, indoor: bool, ranges: ScannerRanges | None = None
) -> Scanner:
    """A scanner on a rig drawn from `ranges`; None takes `INDOOR` or `OUTDOOR`."""
    ranges = ranges or (INDOOR if indoor else OUTDOOR)
    kind = int(rng.choice(len(ranges.patterns), p=ranges.patterns))
    config = _lidar(rng, ranges, kind)
    rings = max(len(config.elevations_deg), 1)
    bias_m = rng.uniform(*ranges.ring_bias_m) * rng.standard_normal(rings)
    off_deg = ranges.ring_sigma_deg * rng.standard_normal(rings)
    turned = _rotation(rng, ranges.turn_deg) @ OPTICAL_FROM_LIDAR
    offset_m = [rng.uniform(*span) for span in ranges.offset_m]
    speed_mps = rng.uniform(*ranges.speed_mps)
    late_m = speed_mps * ranges.delay_s * rng.standard_normal()
    care = rng.random() ** 2
    error_deg, error_m = (
        low + (high - low) * care for low, high in (ranges.calibration_deg, ranges.calibration_m)
    )
    moved_m = error_m * rng.standard_normal(3) + (0.0, 0.0, late_m)
    if kind == _ROSETTE:  # shots of all times lie side by side: its driver has to undo the motion
        speed_mps *= 0.1
    return Scanner(
        Lidar(
            config,
            tuple(off_deg.tolist()),
            tuple(rng.uniform(0, config.azimuth_step_deg, rings).tolist()),
            tuple(bias_m.tolist()),
        ),
        T_camera_lidar=_transform(turned, offset_m),
        T_error=_transform(_rotation(rng, error_deg), moved_m),
        velocity_mps=(0.0 if rng.random() < ranges.deskewed else speed_mps, 0.0, 0.0),
    )


def _lidar(rng: np.random.Generator, ranges: ScannerRanges, kind: int) -> LidarConfig:
    low, high = ranges.drop_out
    return LidarConfig(
        pattern='solid_state' if kind == _ROSETTE else 'spinning',
        rings='hdl64e' if kind == _HDL64 else 'even',
        beams={_DENSE: int(rng.choice((64, 128))), _16: 16}.get(kind, 32),
        lowest_deg=rng.uniform(*ranges.lowest_deg),
        highest_deg=rng.uniform(*ranges.highest_deg),
        azimuth_step_deg=rng.uniform(
            *(_HDL64_STEP_DEG if kind == _HDL64 else ranges.azimuth_step_deg)
        ),
        fov_h_deg=rng.uniform(*ranges.fov_h_deg),
        fov_v_deg=rng.uniform(*ranges.fov_v_deg),
        shots=int(rng.uniform(*ranges.shots)),
        range_sigma_m=rng.uniform(*ranges.range_sigma_m),
        drop_out=low + (high - low) * rng.random() ** 2,
        grazing=rng.uniform(*ranges.grazing),
        max_range_m=rng.uniform(*ranges.max_range_m),
        min_range_m=ranges.min_range_m,
    )


def _rotation(rng: np.random.Generator, sigma_deg: float) -> Float64:
    """A small random rotation (3, 3)."""
    rotation: Float64 = cv2.Rodrigues(np.radians(sigma_deg) * rng.standard_normal(3))[0]
    return rotation


def _transform(rotation: Float64, translation: npt.ArrayLike) -> Float64:
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, translation
    return transform
