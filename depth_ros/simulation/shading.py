"""Colour of what a camera's rays hit: texture, light, shadow, haze, sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float32, Float64
from depth_ros.simulation.materials import Colour
from depth_ros.simulation.parts import FLAT, SHAPES, Int32, Parts
from depth_ros.simulation.raycast import Hits, View, lengths
from depth_ros.simulation.textures import Atlas

_BLOCK = 16384  # rays at once, whose arrays stay in the processor's cache
_LIFT_M = 0.005  # shadow rays start so far off a surface,
_HULL = 0.09  # and off a curved one by this share of its size more: of Embree, hulls cast shadows


@dataclass(frozen=True)
class Lamp:
    """A point light; the sun is one that is very far away.

    Attributes:
        position: (3,) in the world, metres.
        colour: linear RGB of a surface facing it, at `fade_m` from it if that is finite.
        fade_m: distance at which light of a lamp has its full colour; inf = does not fade.
    """

    position: Float64
    colour: Colour
    fade_m: float = np.inf


@dataclass(frozen=True)
class Light:
    """How a world is lit.

    Attributes:
        lamps: lamps, or the sun.
        above: linear RGB light from above (sky, ceiling).
        below: linear RGB light from below (ground, floor).
        zenith: linear RGB of the sky overhead.
        horizon: linear RGB of the sky at the horizon, and of haze.
        clouds: how much of the sky they cover, 0 to 1.
        haze_m: distance over which contrast falls to 1/e; inf indoors.
    """

    lamps: tuple[Lamp, ...]
    above: Colour
    below: Colour
    zenith: Colour = (0.13, 0.30, 0.66)
    horizon: Colour = (0.66, 0.76, 0.88)
    clouds: float = 0.6
    haze_m: float = np.inf


class Shader:
    """Colours what rays hit.

    Args:
        parts: of the world.
        light: in it.
    """

    def __init__(self, parts: Parts, light: Light) -> None:
        self._parts, self._light = parts, light
        self._atlas = Atlas(parts.materials)
        radius = np.zeros(len(parts), np.float32)
        radius[parts.solid] = np.where(
            parts.shape == SHAPES.index('ellipsoid'), parts.half_size.max(axis=1, initial=0),
            parts.half_size[:, :2].max(axis=1, initial=0),
        )  # fmt: skip
        curved = np.where(parts.kind == FLAT, 0, _HULL * radius[parts.part])
        self._lift = curved.astype(np.float32) + np.float32(_LIFT_M)

    def shade(
        self, view: View, origins: Float64, directions: Float64, hits: Hits, pixel_rad: float
    ) -> tuple[Float32, Float32]:
        """Linear RGB, and normals towards the viewer (0 where there is sky), both (N, 3).

        Args:
            view: the world at the times of the rays.
            origins: (3,) or (N, 3) of the rays.
            directions: (N, 3) of the rays.
            hits: what they met.
            pixel_rad: width of a pixel.
        """
        colour = np.empty((len(directions), 3), np.float32)
        normal = np.zeros((len(directions), 3), np.float32)
        for start in range(0, len(directions), _BLOCK):
            rays = slice(start, min(start + _BLOCK, len(directions)))
            self._shade(view, origins, directions, hits, rays, pixel_rad, colour, normal)
        return colour, normal

    def _shade(
        self, view: View, origins: Float64, directions: Float64, hits: Hits,
        rays: slice, pixel_rad: float, colour: Float32, normal: Float32,
    ) -> None:  # fmt: skip
        """Fill in colour and normal of some of the rays."""
        directions, face = directions[rays], hits.face[rays]
        length = lengths(directions)
        unit = (directions / length[:, None]).astype(np.float32)
        is_sky = face < 0
        number: slice | npt.NDArray[np.intp] = rays
        if is_sky.any():
            sky, seen = np.flatnonzero(is_sky), np.flatnonzero(~is_sky)
            colour[rays.start + sky] = self.sky(unit[sky])
            number = rays.start + seen
            directions, unit = directions[seen], unit[seen]
            face, length = face[seen], length[seen]
        if len(face):
            t, start = hits.t[number], origins if origins.ndim == 1 else origins[number]
            distance = (t * length).astype(np.float32)
            colour[number], normal[number] = self._surface(
                view.of(number), directions * t[:, None] + start, unit, face, distance,
                distance * np.float32(pixel_rad),
            )  # fmt: skip

    def sky(self, unit: Float32) -> Float32:
        """Linear RGB (N, 3) of the sky along unit vectors; the horizon goes on below it."""
        light = self._light
        horizon, zenith = np.array(light.horizon, np.float32), np.array(light.zenith, np.float32)
        height = np.sqrt(np.clip(unit[:, 2:], 0, 1))
        colour = horizon + (zenith - horizon) * height
        if light.clouds:
            # Waves of many lengths and ways on a plane overhead, as a cheap and endless texture.
            plane = unit[:, :2] / (np.abs(unit[:, 2:]) + np.float32(0.12))
            wave = np.zeros(len(unit), np.float32)
            for x, y, phase, strength in _WAVES:
                wave += strength * np.sin(x * plane[:, 0] + y * plane[:, 1] + phase + wave)
            cover = np.clip(wave + np.float32(2 * light.clouds - 1), 0, 1)
            cover *= np.float32(0.85) * np.clip(unit[:, 2] * 5, 0, 1)
            colour += cover[:, None] * (np.float32(max(light.horizon)) * 1.1 - colour)
        return colour

    def _surface(
        self,
        view: View,
        points: Float64,
        unit: Float32,
        face: Int32,
        distance: Float32,
        width_m: Float32,
    ) -> tuple[Float32, Float32]:
        """Colour and normals towards the viewer, both (N, 3)."""
        normal, uv = view.describe(points, face)
        facing = -np.einsum('ij,ij->i', normal, unit)
        normal *= np.where(facing < 0, np.float32(-1), np.float32(1))[:, None]
        facing = np.abs(facing)
        footprint = width_m / np.sqrt(np.maximum(facing, np.float32(0.04)))
        colour, gloss = self._atlas.sample(self._parts.material[face], uv, footprint)
        colour *= self._incoming(view, points, normal, self._lift[face])
        glossy = np.flatnonzero(gloss > 0.01)
        if len(glossy):
            colour[glossy] += self._mirrored(
                unit[glossy], normal[glossy], facing[glossy, None], gloss[glossy, None]
            )
        if np.isfinite(self._light.haze_m):
            clear = np.exp(distance * np.float32(-1 / self._light.haze_m))[:, None]
            haze = np.array(self._light.horizon, np.float32)
            colour = haze + (colour - haze) * clear
        return colour, normal

    def _incoming(self, view: View, points: Float64, normal: Float32, lift: Float32) -> Float32:
        """Light (N, 3) that falls on points."""
        above, below = (np.array(c, np.float32) for c in (self._light.above, self._light.below))
        light = np.asarray((above + below + normal[:, 2:] * (above - below)) / 2, np.float32)
        for lamp in self._light.lamps:
            towards = (lamp.position - points).astype(np.float32)
            distance = np.sqrt(np.einsum('ij,ij->i', towards, towards))
            cosine = np.einsum('ij,ij->i', normal, towards) / distance
            facing = np.flatnonzero(cosine > 0)
            if not len(facing):
                continue
            start = points[facing] + normal[facing] * lift[facing, None]
            free = facing[~view.of(facing).blocked(start, lamp.position)]
            strength = cosine[free]
            if np.isfinite(lamp.fade_m):
                strength *= (np.float32(lamp.fade_m) / np.maximum(distance[free], 0.3)) ** 2
            light[free] += strength[:, None] * np.array(lamp.colour, np.float32)
        return light

    def _mirrored(
        self, unit: Float32, normal: Float32, cosine: Float32, gloss: Float32
    ) -> Float32:
        """Light (N, 3) mirrored by glossy surfaces, more at grazing angles (Schlick 1994)."""
        ray = unit + 2 * cosine * normal
        share = gloss * (np.float32(0.25) + np.float32(0.75) * (1 - cosine) ** 5)
        if np.isfinite(self._light.haze_m):
            return share * np.where(ray[:, 2:] < 0.12, np.float32(0.2), self.sky(ray))
        return share * np.float32(0.25) * np.array(self._light.above, np.float32)


def _waves() -> list[tuple[float, ...]]:
    rng = np.random.default_rng(3)
    waves = []
    for octave in range(6):
        angle, length = rng.uniform(0, 2 * np.pi), 1.3 * 1.9**octave
        strength = 0.55 * 0.62**octave
        waves.append((length * np.cos(angle), length * np.sin(angle), rng.uniform(0, 6), strength))
    return [tuple(float(value) for value in wave) for wave in waves]


_WAVES = _waves()


def tone(linear: Float32) -> Float32:
    """Linear light to sRGB 0 to 255 by the filmic curve of Narkowicz (2015): highlights stay."""
    film = linear * (np.float32(2.51) * linear + np.float32(0.03))
    film /= linear * (np.float32(2.43) * linear + np.float32(0.59)) + np.float32(0.14)
    steps = np.clip(film * np.float32(len(_GAMMA) - 1), 0, len(_GAMMA) - 1)
    return _GAMMA[steps.astype(np.uint16)]


_GAMMA = (255 * (np.arange(8192) / 8191) ** (1 / 2.2)).astype(np.float32)


def daylight(rng: np.random.Generator, wild: float = 0.0) -> Light:
    """A fair day; with the chance `wild` any sky: low or no sun, haze, twilight."""
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 60))
    if rng.random() >= wild:
        return Light(
            (_sun(azimuth, elevation, (2.05, 1.90, 1.66)),),
            above=(0.29, 0.35, 0.45),
            below=(0.14, 0.13, 0.11),
            haze_m=1200.0,
        )
    tint = np.clip(1 + 0.12 * rng.standard_normal(3), 0.5, 1.5)
    sky = rng.uniform(0.25, 1.1) * np.clip(1 + 0.15 * rng.standard_normal(3), 0.5, 1.5)
    strength = 0.0 if rng.random() < 0.25 else rng.uniform(0.4, 2.5)
    sun = _sun(azimuth, np.radians(rng.uniform(5, 75)), _colour(strength * tint))
    ambient = rng.uniform(0.3, 0.8) * sky
    return Light(
        (sun,) if strength else (),
        above=_colour(ambient),
        below=_colour(0.5 * ambient),
        zenith=_colour(sky * rng.uniform(0.2, 1.0)),
        horizon=_colour(sky),
        clouds=rng.uniform(0, 1),
        haze_m=1e4 if rng.random() < 0.6 else float(np.exp(rng.uniform(3.5, 6.5))),
    )


def _sun(azimuth: float, elevation: float, colour: Colour) -> Lamp:
    flat = np.cos(elevation)
    towards = np.array((flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)))
    return Lamp(1e4 * towards, colour)


def _colour(values: Float64) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
