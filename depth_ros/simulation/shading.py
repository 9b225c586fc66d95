"""Colour of what the rays of the simulator's camera hit: texture, light, shadow, haze, sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_ros.frame import Float32, Float64
from depth_ros.simulation.raycast import Caster, Hits
from depth_ros.simulation.surfaces import Int32, Surfaces
from depth_ros.simulation.textures import texture


@dataclass(frozen=True)
class Light:
    """A point light; the sun is one that is very far away.

    Attributes:
        position: (3,) in the world, metres.
        colour: linear RGB of a surface facing it, at `fade_m` from it if that is finite.
        fade_m: distance at which light of a lamp has its full colour; inf = does not fade.
    """

    position: Float64
    colour: tuple[float, float, float]
    fade_m: float = np.inf


@dataclass(frozen=True)
class Scene:
    """Everything there is to see.

    Attributes:
        surfaces: what rays can hit.
        lights: lamps, or the sun.
        ambient_up: linear RGB light from above (sky, ceiling).
        ambient_down: linear RGB light from below (ground, floor).
        haze_m: distance over which contrast falls to 1/e; inf indoors.
    """

    surfaces: Surfaces
    lights: tuple[Light, ...]
    ambient_up: tuple[float, float, float]
    ambient_down: tuple[float, float, float]
    haze_m: float = np.inf


@dataclass(frozen=True)
class Shaded:
    """Colours and what edges are found from.

    Attributes:
        rgb: (N, 3) sRGB, 0 to 1.
        normal: (N, 3) towards the viewer, 0 where there is sky.
        lit: (N,) share of the lights that reaches the surface.
    """

    rgb: Float32
    normal: Float64
    lit: Float64


def shade(
    scene: Scene,
    caster: Caster,
    origin: Float64,
    directions: Float64,
    hits: Hits,
    pixel_rad: float,
) -> Shaded:
    """Colour of rays (N, 3) seen from `origin` (3,) by pixels of `pixel_rad` width."""
    count = len(directions)
    length = np.linalg.norm(directions, axis=1)
    unit = directions / length[:, None]
    colour = np.zeros((count, 3))
    missed = np.flatnonzero(hits.index < 0)
    colour[missed] = sky(unit[missed])
    normal = np.zeros((count, 3))
    lit = np.zeros(count)
    seen = np.flatnonzero(hits.index >= 0)
    if len(seen):
        unit, distance = unit[seen], (hits.t * length)[seen]
        points = origin + unit * distance[:, None]
        albedo, normal_seen = _surfaces(
            scene, points, unit, hits.index[seen], distance * pixel_rad
        )
        light, lit[seen] = _light(scene, caster, points, normal_seen)
        mirror = _mirror(scene, unit, normal_seen, albedo[:, 3])
        surface = albedo[:, :3] * light + mirror
        clear = np.exp(-distance / scene.haze_m)[:, None]
        horizon = unit * (1, 1, 0) + (0, 0, 0.02)
        if np.isfinite(scene.haze_m):
            surface = surface * clear + sky(horizon / np.linalg.norm(horizon, axis=1)[:, None]) * (
                1 - clear
            )
        colour[seen] = surface
        normal[seen] = normal_seen
    return Shaded(_tone(colour), normal, lit)


def sky(unit: Float64) -> Float64:
    """Linear RGB (N, 3) of a fair sky along unit vectors (N, 3); the horizon goes on below it."""
    height = np.clip(unit[:, 2], 0, 1)[:, None]
    colour = (0.66, 0.76, 0.88) + (
        (0.13, 0.30, 0.66) - np.array((0.66, 0.76, 0.88))
    ) * height**0.55
    up = np.flatnonzero(unit[:, 2] > 0.03)
    plane = unit[up, :2] / (unit[up, 2:] + 0.12)
    cloud = texture('cloud').sample(plane, np.full(len(up), 0.004))[:, :1]
    cover = np.clip((cloud - 0.30) * 2.2, 0, 0.85) * np.clip(unit[up, 2:] * 5, 0, 1)
    colour[up] += (np.array((1.0, 0.98, 0.96)) - colour[up]) * cover
    return np.asarray(colour)


def _surfaces(
    scene: Scene, points: Float64, unit: Float64, index: Int32, width_m: Float64
) -> tuple[Float64, Float64]:
    """Albedo with gloss (N, 4) and normals towards the viewer (N, 3)."""
    surfaces = scene.surfaces
    normal, uv, part = surfaces.describe(points, index)
    material = surfaces.material[index, part]
    tint = np.column_stack((surfaces.tint[index], np.ones(len(points))))
    facing = -np.einsum('ij,ij->i', normal, unit)
    normal *= np.where(facing < 0, -1.0, 1.0)[:, None]
    footprint = width_m / np.sqrt(np.maximum(np.abs(facing), 0.04))
    albedo = np.empty((len(points), 4))
    for code in np.unique(material):
        name = surfaces.material_names[code]
        chosen = np.flatnonzero(material == code)
        albedo[chosen] = texture(name).sample(uv[chosen], footprint[chosen])
        if name in ('asphalt', 'paving'):
            wear = texture('stain').sample(uv[chosen], footprint[chosen])
            albedo[chosen, :3] *= 2 * wear[:, :1]
        if name == 'asphalt':
            paint = _markings(uv[chosen], width_m[chosen], facing[chosen])[:, None]
            albedo[chosen, :3] += (0.62 - albedo[chosen, :3]) * paint
    return albedo * tint, normal


def _markings(position: Float64, width_m: Float64, facing: Float64) -> Float64:
    """Share of each road pixel (N,) that is covered by paint.

    A dashed centre line, edge lines of the parking strips and zebra crossings every 60 m;
    pixels are longer along the road than across it.
    """
    x, y = position.T
    along = width_m / np.maximum(np.abs(facing), 0.01)

    def band(offset: Float64, half: float, width: Float64) -> Float64:
        over = np.minimum(offset + width / 2, half) - np.maximum(offset - width / 2, -half)
        return np.clip(over / width, 0, 1)

    dash = band(np.mod(x, 9.0) - 4.5, 1.5, along)
    edge = band(np.abs(y) - 3.45, 0.05, width_m) * band(np.mod(x, 6.0) - 3.0, 2.9, along)
    crossing = band(np.mod(x + 22.0, 60.0) - 30.0, 2.0, along)
    keep = 1 - band(np.mod(x + 22.0, 60.0) - 30.0, 3.5, along)
    zebra = band(np.mod(y, 1.0) - 0.5, 0.25, width_m) * (np.abs(y) < 5.0)
    return np.maximum(np.maximum(band(y, 0.06, width_m) * dash, edge) * keep, zebra * crossing)


def _light(
    scene: Scene, caster: Caster, points: Float64, normal: Float64
) -> tuple[Float64, Float64]:
    """Incoming light (N, 3), and the share of the lights that is not shadowed (N,)."""
    up = (0.5 + 0.5 * normal[:, 2])[:, None]
    light = up * scene.ambient_up + (1 - up) * scene.ambient_down
    lit = np.zeros(len(points))
    for lamp in scene.lights:
        to_lamp = lamp.position - points
        distance = np.linalg.norm(to_lamp, axis=1)
        cosine = np.einsum('ij,ij->i', normal, to_lamp) / distance
        facing = np.flatnonzero(cosine > 0)
        if not len(facing):
            continue
        start = points[facing] + normal[facing] * 0.01
        free = facing[~caster.shadowed(lamp.position, start)]
        fade = 1.0
        if np.isfinite(lamp.fade_m):
            fade = (lamp.fade_m / np.maximum(distance[free], 0.3))[:, None] ** 2
        light[free] += cosine[free, None] * fade * lamp.colour
        lit[free] += 1.0 / len(scene.lights)
    return light, lit


def _mirror(scene: Scene, unit: Float64, normal: Float64, gloss: Float64) -> Float64:
    """Light (N, 3) mirrored by glossy surfaces, more at grazing angles (Schlick 1994)."""
    out = np.zeros_like(unit)
    glossy = np.flatnonzero(gloss > 0.01)
    unit, normal = unit[glossy], normal[glossy]
    cosine = np.abs(np.einsum('ij,ij->i', unit, normal))[:, None]
    ray = unit + 2 * cosine * normal
    share = gloss[glossy, None] * (0.25 + 0.75 * (1 - cosine) ** 5)
    if np.isfinite(scene.haze_m):
        seen = np.where(ray[:, 2:] < 0.12, (0.20, 0.20, 0.20), sky(ray))
    else:
        seen = np.full_like(ray, 0.25) * scene.ambient_up
    out[glossy] = share * seen
    return out


def _tone(linear: Float64) -> Float32:
    """Linear light to sRGB 0 to 1 by the filmic curve of Narkowicz (2015): highlights stay."""
    x = linear.astype(np.float32)
    film = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.asarray(np.clip(film, 0, 1) ** np.float32(1 / 2.2), dtype=np.float32)
