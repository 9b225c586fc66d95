"""LiDARs: where and when their beams point, what comes back, and with what noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.errors import ConfigError
from depth_ros.frame import Bool, Float32, Float64, UInt8
from depth_ros.settings import option
from depth_ros.simulation.raycast import tile_order
from depth_ros.simulation.trajectory import Poses
from depth_ros.simulation.world import Moment, World

Floats = npt.NDArray[np.floating]

NO_RING = 255
"""Mark of a pixel without a return; a LiDAR has at most as many rings."""
STATED_REFLECTIVITY = 0.8
"""Reflectivity at which a LiDAR reaches its maximum range: the HDL-64E's data sheet states 120 m
at 0.8 and 50 m at 0.1, which is about the square root that the law of the echo, reflectivity
over range squared, demands."""
HDL64_ELEVATIONS_DEG: tuple[float, ...] = tuple(
    np.concatenate((np.linspace(-24.33, -8.83, 32), np.linspace(-8.33, 2.0, 32))).tolist()
)
"""Rings of a Velodyne HDL-64E from the lowest up: a block at 1/2, above it one at 1/3 degree."""
VLP32_ELEVATIONS_DEG: tuple[float, ...] = (
    *(-25.0, -15.639, -11.31, -8.843, -7.254, -6.148, -5.333, -4.667, -4.0, -3.667, -3.333, -3.0),
    *(-2.667, -2.333, -2.0, -1.667, -1.333, -1.0, -0.667, -0.333, 0.0, 0.333, 0.667, 1.0),
    *(1.333, 1.667, 2.333, 3.333, 4.667, 7.0, 10.333, 15.0),
)
"""Rings of a Velodyne VLP-32C, close together at the horizon (its user manual, table 9-1)."""
_TABLES = {'hdl64e': HDL64_ELEVATIONS_DEG, 'vlp32c': VLP32_ELEVATIONS_DEG}
_PANES = 3  # of glass that a beam may pass
_BEHIND_M = 2e-3  # where it goes on behind one


@dataclass(frozen=True)
class LidarConfig:
    """A virtual LiDAR; x forward, y left, z up."""

    pattern: str = option(
        'spinning',
        'Beams in rings, or the rosette of two prisms in a limited field of view.',
        choices=('spinning', 'solid_state'),
    )
    rings: str = option(
        'even',
        'Elevations of the rings: even from the lowest to the highest, or those of an HDL-64E or '
        'a VLP-32C.',
        choices=('even', *_TABLES),
    )
    beams: int = option(64, 'Even rings of a spinning LiDAR.', minimum=1, maximum=254)
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
    max_range_m: float = option(
        100.0, 'No return from farther away than this, of light surfaces [m].', minimum=1.0
    )
    min_range_m: float = option(0.3, 'No return from nearer [m].', minimum=0.0)
    sweep_s: float = option(
        0.1,
        'Duration of one sweep [s], whose middle is forward; 0 = all is measured at once.',
        minimum=0.0,
        maximum=10.0,
    )
    deskewed: bool = option(
        False, 'The driver moves each return to where it is seen from in the middle of the sweep.'
    )

    @property
    def elevations_deg(self) -> Float64:
        """Elevation of each ring, from the lowest up; none for a rosette."""
        if self.pattern != 'spinning':
            return np.zeros(0)
        if self.rings != 'even':
            return np.array(_TABLES[self.rings])
        return np.linspace(self.lowest_deg, self.highest_deg, self.beams)


class Beams(NamedTuple):
    """Where and when a LiDAR shoots, neighbours near each other.

    Attributes:
        directions: (N, 3) unit vectors in the LiDAR frame.
        ring: (N,) number of the ring, from the lowest up; 0 for a rosette.
        time: (N,) time since the middle of the sweep in sweeps, -0.5 to 0.5.
    """

    directions: Float64
    ring: UInt8
    time: Float64

    def of(self, chosen: Bool | npt.NDArray[np.intp]) -> Beams:
        """Some of them."""
        return Beams(self.directions[chosen], self.ring[chosen], self.time[chosen])


class Sweep(NamedTuple):
    """Returns of one sweep, in the order of their times.

    Attributes:
        points: (N, 3) in metres in the LiDAR frame: that of each shot's own time, or, where the
            driver undoes the motion, that of the middle of the sweep.
        ring: (N,) number of the ring, from the lowest up.
        time_s: (N,) time of the shot after the middle of the sweep.
        intensity: (N,) 0 to 255: 100 is what a facing diffuse surface returns that scatters all
            light, 101 to 255 are retro-reflectors.
    """

    points: Float32
    ring: UInt8
    time_s: Float32
    intensity: Float32


@dataclass(frozen=True)
class Lidar:
    """A LiDAR as it was built; its frame is x forward, y left, z up.

    Attributes:
        config: pattern of the beams, noise and losses.
        off_deg: of each ring, elevation beside its stated one, or empty.
        turned_deg: of each ring, turn against the others, or empty.
        range_bias_m: what each ring measures too far, or empty.

    Raises:
        ConfigError: a value for each ring is not given for each, or there are too many rings.
    """

    config: LidarConfig = LidarConfig()
    off_deg: tuple[float, ...] = ()
    turned_deg: tuple[float, ...] = ()
    range_bias_m: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        rings = max(len(self.config.elevations_deg), 1)
        if rings >= NO_RING:
            raise ConfigError(f'A LiDAR has at most {NO_RING - 1} rings, got {rings}.')
        for name in ('off_deg', 'turned_deg', 'range_bias_m'):
            values = getattr(self, name)
            if values and len(values) != rings:
                raise ConfigError(f'{name} has {len(values)} values for {rings} rings.')

    def beams(self, index: int = 0) -> Beams:
        """All beams of a sweep.

        Rings repeat with every sweep; they turn clockwise, from behind over the left. The rosette
        is that of two prisms turning at rates without a common period (Risley), so it fills its
        field of view over many sweeps.
        """
        config = self.config
        if config.pattern != 'spinning':
            turn = 2 * math.pi * (np.arange(config.shots) / config.shots + index)
            first, second = 61.0 * turn, -23.0 * math.sqrt(2) * turn
            around = math.radians(config.fov_h_deg / 4) * (np.cos(first) + np.cos(second))
            up = math.radians(config.fov_v_deg / 4) * (np.sin(first) + np.sin(second))
            time = (np.arange(config.shots) + 0.5) / config.shots - 0.5
            return Beams(_unit_vectors(up, around), np.zeros(config.shots, np.uint8), time)
        stated = config.elevations_deg
        up = np.radians(stated + (self.off_deg or np.zeros(len(stated))))
        turned = np.radians(self.turned_deg or np.zeros(len(stated)))
        steps = round(360.0 / config.azimuth_step_deg)
        ring, step = np.divmod(tile_order(len(stated), steps), steps)
        time = step / steps - 0.5
        around = turned[ring] - 2 * math.pi * time
        return Beams(_unit_vectors(up[ring], around), ring.astype(np.uint8), time)

    def sweep(
        self,
        world: World,
        poses: Poses,
        time_s: float,
        rng: np.random.Generator,
        beams: Beams | None = None,
    ) -> Sweep:
        """What the LiDAR measures, each shot from where it is at its own time.

        Args:
            world: what is hit.
            poses: T_world_lidar (..., 4, 4) at times (...).
            time_s: middle of the sweep.
            rng: decides what is lost, and the noise.
            beams: those to shoot; None takes all of the sweep that is due.
        """
        config = self.config
        if beams is None:
            beams = self.beams(round(time_s / (config.sweep_s or 0.1)))
        if not len(beams.time):
            return Sweep(np.zeros((0, 3), np.float32), beams.ring, *(np.zeros(0, np.float32),) * 2)
        shot_s = config.sweep_s * beams.time
        times_s, number = np.unique(shot_s, return_inverse=True)
        pose = poses(time_s + times_s)
        directions = np.einsum('nij,nj->ni', pose[number, :3, :3], beams.directions)
        origins = pose[number, :3, 3] if len(times_s) > 1 else pose[0, :3, 3]
        moment = world.at(time_s + shot_s if config.sweep_s and world.movers else time_s)
        t_m, cosine, reflectivity = self._meet(world, moment, origins, directions, rng)
        reach = np.sqrt(reflectivity / STATED_REFLECTIVITY)
        kept, range_m = echoes(t_m, cosine, config, rng, reach)
        kept &= t_m >= config.min_range_m
        if self.range_bias_m:
            range_m = range_m + np.array(self.range_bias_m)[beams.ring]
        found = np.flatnonzero(kept)
        found = found[np.lexsort((beams.ring[found], beams.time[found]))]
        points = beams.directions[found] * range_m[found, None]
        if config.deskewed and len(times_s) > 1:
            moved = np.linalg.inv(poses(time_s)) @ pose
            turn, shift = moved[number[found], :3, :3], moved[number[found], :3, 3]
            points = np.einsum('nij,nj->ni', turn, points) + shift
        retro = 100 + 155 * (1 - np.exp(1 - reflectivity))
        intensity = np.where(reflectivity > 1, retro, 100 * reflectivity * cosine)[found]
        return Sweep(
            points.astype(np.float32),
            beams.ring[found],
            shot_s[found].astype(np.float32),
            intensity.astype(np.float32),
        )

    def _meet(
        self,
        world: World,
        moment: Moment,
        origins: Float64,
        directions: Float64,
        rng: np.random.Generator,
    ) -> tuple[Float64, Float64, Float64]:
        """Range, cosine of incidence and reflectivity of what each beam meets behind glass."""
        limit = 4.0 * self.config.max_range_m  # retro-reflectors are seen from so far
        t = np.full(len(directions), np.inf)
        cosine, reflectivity = np.zeros(len(t)), np.ones(len(t))
        materials = world.parts.materials
        share = np.array([material.see_through for material in materials])
        light = np.array([material.reflectivity for material in materials])
        live, passed = np.arange(len(t)), np.zeros(len(t))
        for _ in range(_PANES + 1):
            at = moment.of(live)
            start = origins if origins.ndim == 1 else origins[live]
            start = start + directions[live] * passed[live, None] if passed.any() else start
            hits = at.cast(start, directions[live], limit)
            hit = np.flatnonzero(hits.face >= 0)
            live, face, found = live[hit], hits.face[hit], hits.t[hit]
            start = start if start.ndim == 1 else start[hit]
            normal, _ = at.of(hit).describe(start + directions[live] * found[:, None], face)
            material = world.parts.material[face]
            t[live] = passed[live] + found
            cosine[live] = np.abs(np.einsum('ij,ij->i', normal, directions[live]))
            reflectivity[live] = light[material]
            through = rng.random(len(live)) < share[material]
            live = live[through]
            if not len(live):
                break
            passed[live] = t[live] + _BEHIND_M
            t[live] = np.inf
        return t, cosine, reflectivity


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
    with np.errstate(divide='ignore'):  # what is black has no reach
        share = np.minimum(t_m / (config.max_range_m * np.asarray(reach)), 1.0)
    survives = (1 - config.drop_out) * (1 - share**3) * (1 - np.exp(-cosine / config.grazing))
    kept = np.isfinite(t_m) & (rng.random(len(t_m)) < survives)
    return kept, t_m + config.range_sigma_m * rng.standard_normal(len(t_m))


def _unit_vectors(up_rad: Floats, around_rad: Floats) -> npt.NDArray[Any]:
    """Unit vectors (N, 3) of elevations and azimuths (N,)."""
    flat = np.cos(up_rad)
    return np.stack((flat * np.cos(around_rad), flat * np.sin(around_rad), np.sin(up_rad)), axis=1)
