"""LiDARs on a rig: where they shoot, what is wrong with them, and random ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import TrainingError
from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.geometry.transforms import as_transform
from depth_ros.simulation.lidar import HDL64_ELEVATIONS_DEG, LidarConfig, unit_vectors

Span = tuple[float, float]

NO_RING = 255
"""Mark of a pixel without a return."""

OPTICAL_FROM_LIDAR = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Axes of a LiDAR (x forward, y left, z up) in a camera that looks forward (z forward)."""

_SWEEP_S = 0.1
_HDL64_STEP_DEG = 0.15, 0.22
_HDL64, _DENSE, _32, _16, _ROSETTE = range(5)  # order of ScannerRanges.patterns


@dataclass(frozen=True)
class Scanner:
    """A LiDAR on a rig; its frame is x forward, y left, z up.

    Attributes:
        lidar: pattern of the beams, noise, losses and maximum range.
        T_camera_lidar: (4, 4), what the user believes.
        T_error: (4, 4), what the user does not know: a point is truly at
            `p_camera = T_error @ T_camera_lidar @ p_lidar` (calibration and time).
        elevations_deg: elevation of each ring, from the lowest up; empty takes `lidar`'s.
        azimuth_offsets_deg: turn of each ring against the others, or empty.
        range_bias_m: what each ring measures too far, or empty.
        min_range_m: no return from nearer.
        motion_m: (3,) way of the LiDAR in its own frame during one sweep. The beam forward is
            shot in time with the image, those to the left before and those to the right after (it
            turns clockwise); the driver does not undo this.

    Raises:
        TrainingError: a value for each ring is not given for each, or there are more than 255.
        GeometryError: a transform is not rigid.
    """

    lidar: LidarConfig
    T_camera_lidar: Float64
    T_error: Float64 = field(default_factory=lambda: np.eye(4))
    elevations_deg: tuple[float, ...] = ()
    azimuth_offsets_deg: tuple[float, ...] = ()
    range_bias_m: tuple[float, ...] = ()
    min_range_m: float = 0.5
    motion_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        as_transform(self.T_camera_lidar, 'T_camera_lidar')
        as_transform(self.T_error, 'T_error')
        if self.rings >= NO_RING:
            raise TrainingError(f'A scanner has at most {NO_RING - 1} rings, got {self.rings}.')
        for name in ('azimuth_offsets_deg', 'range_bias_m'):
            values = getattr(self, name)
            if values and len(values) != self.rings:
                raise TrainingError(f'{name} has {len(values)} values for {self.rings} rings.')

    @property
    def rings(self) -> int:
        """Number of rings; a rosette is one."""
        if self.lidar.pattern != 'spinning':
            return 1
        return len(self.elevations_deg) or self.lidar.beams

    def beams(self, sweep: int = 0) -> Beams:
        """All beams of one sweep; only a rosette differs from sweep to sweep."""
        if self.lidar.pattern != 'spinning':
            directions = self.lidar.directions(sweep).astype(np.float32)
            time = np.linspace(-0.5, 0.5, len(directions), dtype=np.float32)
            return Beams(directions, np.zeros(len(directions), dtype=np.uint8), time)
        steps = round(360.0 / self.lidar.azimuth_step_deg)
        time = np.linspace(-0.5, 0.5, steps, endpoint=False, dtype=np.float32)
        up = np.radians(self.elevations_deg or self.lidar.elevations_deg, dtype=np.float32)
        offset = np.radians(self.azimuth_offsets_deg or np.zeros(len(up)), dtype=np.float32)
        around = np.float32(-2 * np.pi) * time + offset[:, None]
        ring = np.arange(len(up), dtype=np.uint8).repeat(steps)
        directions = unit_vectors(up[:, None], around).reshape(-1, 3)
        return Beams(directions.astype(np.float32), ring, np.tile(time, len(up)))


class Beams(NamedTuple):
    """Where a LiDAR shoots.

    Attributes:
        directions: (N, 3) unit vectors in the LiDAR frame.
        ring: (N,) number of the ring.
        time: (N,) time since the image in sweeps, -0.5 to 0.5.
    """

    directions: Float32
    ring: UInt8
    time: Float32


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
    lidar = _lidar(rng, ranges, kind)
    elevations_deg = _elevations_deg(rng, ranges, kind)
    rings = max(len(elevations_deg), 1)
    bias_m = rng.uniform(*ranges.ring_bias_m) * rng.standard_normal(rings)
    turned = _rotation(rng, ranges.turn_deg) @ OPTICAL_FROM_LIDAR
    offset_m = [rng.uniform(*span) for span in ranges.offset_m]
    speed_mps = rng.uniform(*ranges.speed_mps)
    way_m = 0.0 if rng.random() < ranges.deskewed else speed_mps * _SWEEP_S
    late_m = speed_mps * ranges.delay_s * rng.standard_normal()
    care = rng.random() ** 2
    error_deg, error_m = (
        low + (high - low) * care for low, high in (ranges.calibration_deg, ranges.calibration_m)
    )
    moved_m = error_m * rng.standard_normal(3) + (0.0, 0.0, late_m)
    return Scanner(
        lidar,
        T_camera_lidar=_transform(turned, offset_m),
        T_error=_transform(_rotation(rng, error_deg), moved_m),
        elevations_deg=elevations_deg,
        azimuth_offsets_deg=tuple(rng.uniform(0, lidar.azimuth_step_deg, rings).tolist()),
        range_bias_m=tuple(bias_m.tolist()),
        min_range_m=ranges.min_range_m,
        motion_m=(way_m * (0.1 if kind == _ROSETTE else 1.0), 0.0, 0.0),
    )


def _lidar(rng: np.random.Generator, ranges: ScannerRanges, kind: int) -> LidarConfig:
    low, high = ranges.drop_out
    return LidarConfig(
        pattern='solid_state' if kind == _ROSETTE else 'spinning',
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
    )


def _elevations_deg(
    rng: np.random.Generator, ranges: ScannerRanges, kind: int
) -> tuple[float, ...]:
    """Elevations of the rings, from the lowest up; none for a rosette."""
    if kind == _ROSETTE:
        return ()
    stated_deg = np.array(HDL64_ELEVATIONS_DEG)
    if kind != _HDL64:
        rings = {_DENSE: int(rng.choice((64, 128))), _32: 32, _16: 16}[kind]
        lowest_deg, highest_deg = rng.uniform(*ranges.lowest_deg), rng.uniform(*ranges.highest_deg)
        stated_deg = np.linspace(lowest_deg, highest_deg, rings)
    off_deg = ranges.ring_sigma_deg * rng.standard_normal(len(stated_deg))
    return tuple((stated_deg + off_deg).tolist())


def _rotation(rng: np.random.Generator, sigma_deg: float) -> Float64:
    """A small random rotation (3, 3)."""
    rotation: Float64 = cv2.Rodrigues(np.radians(sigma_deg) * rng.standard_normal(3))[0]
    return rotation


def _transform(rotation: Float64, translation: npt.ArrayLike) -> Float64:
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = rotation, translation
    return transform
