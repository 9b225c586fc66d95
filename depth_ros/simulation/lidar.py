"""The simulator's LiDARs: where the beams point, what comes back and with what noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float32, Float64
from depth_ros.settings import option
from depth_ros.simulation.raycast import Caster, tile_order
from depth_ros.simulation.surfaces import Surfaces

Floats = npt.NDArray[np.floating]

HDL64_ELEVATIONS_DEG: tuple[float, ...] = tuple(
    np.concatenate((np.linspace(-24.33, -8.83, 32), np.linspace(-8.33, 2.0, 32))).tolist()
)
"""Rings of a Velodyne HDL-64E from the lowest up: a block at 1/2, above it one at 1/3 degree."""


@dataclass(frozen=True)
class LidarConfig:
    """A virtual LiDAR; x forward, y left, z up."""

    pattern: str = option(
        'spinning',
        'Beams in rings, or the rosette of two prisms in a limited field of view.',
        choices=('spinning', 'solid_state'),
    )
    beams: int = option(64, 'Rings of a spinning LiDAR.', minimum=1, maximum=256)
    lowest_deg: float = option(-24.8, 'Elevation of the lowest ring.', minimum=-90, maximum=90)
    highest_deg: float = option(2.0, 'Elevation of the highest ring.', minimum=-90, maximum=90)
    azimuth_step_deg: float = option(
        0.2, 'Angle between two shots of a ring.', minimum=0.02, maximum=10.0
    )
    fov_h_deg: float = option(70.0, 'Width of the rosette.', minimum=1, maximum=120)
    fov_v_deg: float = option(25.0, 'Height of the rosette.', minimum=1, maximum=120)
    shots: int = option(24000, 'Shots of the rosette in one sweep.', minimum=1, maximum=1000000)
    range_sigma_m: float = option(0.02, 'Noise of the range [m].', minimum=0.0, maximum=10.0)
    drop_out: float = option(
        0.03, 'Share of the returns that is lost even at best.', minimum=0.0, maximum=1.0
    )
    grazing: float = option(
        0.03,
        'Cosine of the angle of incidence at which 63 % of the shots come back.',
        minimum=1e-6,
        maximum=1.0,
    )
    max_range_m: float = option(100.0, 'No return from farther away [m].', minimum=1.0)

    @property
    def elevations_deg(self) -> Float64:
        """Elevation of each ring (beams,), from the lowest up."""
        return np.linspace(self.lowest_deg, self.highest_deg, self.beams)

    def directions(self, sweep: int = 0) -> Float64:
        """Unit vectors (N, 3) of one sweep, neighbours near each other.

        Rings repeat with every sweep. The rosette is that of two prisms turning at rates
        without a common period (Risley), so it fills its field of view over many sweeps.
        """
        if self.pattern == 'spinning':
            steps = round(360.0 / self.azimuth_step_deg)
            azimuth = np.arange(steps) * (2 * math.pi / steps)
            elevation = np.radians(self.elevations_deg)
            up, around = np.meshgrid(elevation, azimuth, indexing='ij')
            order = tile_order(self.beams, steps)
            up, around = up.ravel()[order], around.ravel()[order]
        else:
            turn = 2 * math.pi * (np.arange(self.shots) / self.shots + sweep)
            first, second = 61.0 * turn, -23.0 * math.sqrt(2) * turn
            around = math.radians(self.fov_h_deg / 4) * (np.cos(first) + np.cos(second))
            up = math.radians(self.fov_v_deg / 4) * (np.sin(first) + np.sin(second))
        return unit_vectors(up, around)


def unit_vectors(up_rad: Floats, around_rad: Floats) -> npt.NDArray[Any]:
    """Unit vectors (..., 3) of elevations and azimuths (...), which are broadcast."""
    flat = np.cos(up_rad)
    x, y = flat * np.cos(around_rad), flat * np.sin(around_rad)
    return np.stack((x, y, np.broadcast_to(np.sin(up_rad), x.shape)), axis=-1)


def echoes(
    t_m: Floats,
    cosine: Floats,
    config: LidarConfig,
    rng: np.random.Generator,
    reach: npt.ArrayLike = 1.0,
) -> tuple[Bool, Floats]:
    """Which shots come back, and the ranges in metres that are measured, both (N,).

    A return survives with the probability (1 - drop_out) * (1 - (range / max_range)^3) *
    (1 - exp(-cos(incidence) / grazing)): weak far away and at grazing incidence.

    Args:
        t_m: (N,) true range, inf where nothing is hit.
        cosine: (N,) cosine of the angle of incidence, 0 to 1.
        config: the LiDAR.
        rng: decides what is lost, and the noise.
        reach: factor (N,) on the maximum range, for surfaces darker than those it is stated for.
    """
    share = np.minimum(t_m / (config.max_range_m * np.asarray(reach)), 1.0)
    survives = (1 - config.drop_out) * (1 - share**3) * (1 - np.exp(-cosine / config.grazing))
    kept = np.isfinite(t_m) & (rng.random(len(t_m)) < survives)
    return kept, t_m + config.range_sigma_m * rng.standard_normal(len(t_m))


def sweep(
    surfaces: Surfaces,
    caster: Caster,
    T_world_lidar: Float64,
    config: LidarConfig,
    index: int,
    rng: np.random.Generator,
) -> Float32:
    """Returns (N, 3) in metres in the LiDAR frame of one sweep taken in an instant."""
    beams = config.directions(index)
    origin = T_world_lidar[:3, 3]
    directions = beams @ T_world_lidar[:3, :3].T
    hits = caster.cast(origin, directions, limit=config.max_range_m)
    hit = np.flatnonzero(hits.index >= 0)
    points = origin + directions[hit] * hits.t[hit, None]
    cosine = np.zeros(len(beams))
    normal = surfaces.describe(points, hits.index[hit])[0]
    cosine[hit] = np.abs(np.einsum('ij,ij->i', normal, directions[hit]))
    kept, range_m = echoes(hits.t, cosine, config, rng)
    return (beams[kept] * range_m[kept, None]).astype(np.float32)
