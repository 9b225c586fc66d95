"""The simulator's LiDARs: where the beams point, what comes back and with what noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from depth_ros.datasets.raycast import Surface, cast, tile_order
from depth_ros.datasets.shading import surface_normals
from depth_ros.frame import Float32, Float64
from depth_ros.pipeline.config import option


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
        flat = np.cos(up)
        return np.stack((flat * np.cos(around), flat * np.sin(around), np.sin(up)), axis=1)


def sweep(
    surfaces: tuple[Surface, ...],
    T_world_lidar: Float64,
    config: LidarConfig,
    index: int,
    rng: np.random.Generator,
) -> Float32:
    """Returns (N, 3) in metres in the LiDAR frame of one sweep taken in an instant.

    A return survives with the probability (1 - drop_out) * (1 - (range / max_range)^3) *
    (1 - exp(-cos(incidence) / 0.03)): weak far away and at grazing incidence.
    """
    beams = config.directions(index)
    origin = T_world_lidar[:3, 3]
    directions = beams @ T_world_lidar[:3, :3].T
    hits = cast(surfaces, origin, directions, limit=config.max_range_m)
    normal = surface_normals(surfaces, _points(origin, directions, hits.t), hits)
    cosine = np.abs(np.einsum('ij,ij->i', normal, directions))
    share = np.minimum(hits.t / config.max_range_m, 1.0)
    survives = (1 - config.drop_out) * (1 - share**3) * (1 - np.exp(-cosine / 0.03))
    kept = np.isfinite(hits.t) & (rng.random(len(beams)) < survives)
    range_m = hits.t + config.range_sigma_m * rng.standard_normal(len(beams))
    return (beams[kept] * range_m[kept, None]).astype(np.float32)


def _points(origin: Float64, directions: Float64, t: Float64) -> Float64:
    return origin + directions * np.where(np.isfinite(t), t, 0.0)[:, None]
