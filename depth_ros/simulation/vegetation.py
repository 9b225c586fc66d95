"""What grows: solid cores, and around them leaves and twigs that rays partly pass."""

from __future__ import annotations

import math

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.materials import Material
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.parts import Mesh

_TREES = {
    'round': (0.25, 0.66, 0.19, 8), 'wide': (0.34, 0.66, 0.16, 10), 'slim': (0.10, 0.56, 0.30, 7),
    'young': (0.15, 0.72, 0.16, 4), 'bare': (0.3, 0.68, 0.22, 12), 'conifer': (0.36, 0.5, 0.36, 6),
}  # fmt: skip
"""Reach, middle and half height of the crown by the height of the tree, and how many lumps."""
_TRUNK = shapes.revolution(((1.5, -0.1), (1.0, 0.06), (0.8, 0.5), (0.12, 1.0)), 7)
_POT = ((0.0, 0.0), (0.38, 0.0), (0.5, 0.9), (0.54, 0.9), (0.54, 1.0), (0.46, 1.0), (0.44, 0.9))


def tree(
    place: Builder, palette: Palette, rng: np.random.Generator, height_m: float, kind: str = ''
) -> None:
    """A tree: `round`, `wide`, `slim`, `young`, `bare`, `conifer`, or any of them."""
    kind = kind or str(rng.choice(list(_TREES), p=(0.42, 0.24, 0.06, 0.06, 0.1, 0.12)))
    reach, middle, half, count = np.array(_TREES[kind]) * (*[height_m] * 3, 1)
    thick, bark = height_m * rng.uniform(0.016, 0.026), palette('bark')
    green, yaw = palette('leaves'), rng.uniform(0, 6)
    place.mesh(_TRUNK, (0, 0, 0), (thick, thick, 0.88 * height_m), bark, yaw, 0.02 * rng.normal())
    for i, up in enumerate(np.linspace(-1, 1, int(count))):
        out = reach * math.sqrt(1 - 0.75 * up * up) * rng.uniform(0.4, 0.8) * (kind != 'conifer')
        at = _around(2.4 * i + yaw, out, middle + half * up)
        size = reach * rng.uniform(1.0, 1.4) * np.array((1, 1, 0.85))
        if kind == 'conifer':
            wide, high = reach * (1.1 - 0.9 * (up + 1) / 2), 0.27 * height_m
            place.mesh(shapes.cone(9), (0, 0, at[2] - high / 2), (wide, wide, high), green, i)
            place.mesh(shapes.leaves(rng, 40, 0.08), at, (1.2 * wide, 1.2 * wide, high), green)
            continue
        place.rod((0, 0, 0.5 * at[2]), at, 0.3 * thick, bark)
        if kind == 'bare':
            ends = at + rng.normal(0, (0, 0.6), (16, 3, 2)).swapaxes(1, 2) * size[:, None].T
            place.mesh(_blades(rng, ends, 0.03), (0, 0, 0), (1, 1, 1), bark)
        else:
            _foliage(place, rng, at, size, green, 70)


def bush(place: Builder, palette: Palette, rng: np.random.Generator, size_m: Vector) -> None:
    """A shrub of a length, width and height, in flower at times."""
    green, size = palette('leaves' if rng.random() < 0.5 else 'hedge'), np.array(size_m)
    for _ in range(3):
        x, y, z = size * rng.normal((0, 0, 0.3), (0.2, 0.2, 0.03))
        _foliage(place, rng, (x, y, z), 0.9 * size * rng.uniform(0.8, 1), green, 65)
    if rng.random() < 0.3:
        at, wide = (0, 0, 0.5 * size_m[2]), tuple(1.05 * size)
        place.mesh(shapes.leaves(rng, 40, 0.02), at, wide, palette('plastic'))


def hedge(place: Builder, palette: Palette, rng: np.random.Generator, size_m: Vector) -> None:
    """A cut hedge of a length along x, a width and a height."""
    green, (long, wide, high) = palette('hedge'), size_m
    place.box((0, 0, -0.2), (long, 0.85 * wide, 0.95 * high + 0.2), green)
    side = rng.choice((-1, 0, 1), int(40 * long))
    ends = np.zeros((len(side), 2, 3)) + rng.uniform(-0.5, 0.5, (len(side), 1, 3)) * size_m
    ends[:, :, 1] = np.where(side, 0.42 * wide * side, ends[:, 0, 1])[:, None]
    ends[:, :, 2] = np.where(side, ends[:, 0, 2] + high / 2, 0.94 * high)[:, None]
    ends[:, 1] += rng.normal(0, 0.08, (len(side), 3))
    place.mesh(_blades(rng, ends, 0.06), (0, 0, 0), (1, 1, 1), green)


def grass(
    place: Builder, palette: Palette, rng: np.random.Generator, spread_m: float, height_m: float
) -> None:
    """A tuft of blades, finer than a LiDAR's beam."""
    ends = np.zeros((int(np.clip(90 * spread_m, 20, 160)), 2, 3))
    ends += rng.normal(0, (0.3, 0.3, 0), (len(ends), 1, 3)) * spread_m
    ends[:, 1] += height_m * rng.normal((0, 0, 0.8), (0.3, 0.3, 0.25), (len(ends), 3))
    place.mesh(_blades(rng, ends, 0.03), (0, 0, -0.03), (1, 1, 1), palette('grass'))


def pot_plant(place: Builder, palette: Palette, rng: np.random.Generator, height_m: float) -> None:
    """A pot with a little tree, a fern or a palm."""
    wide, high = height_m * rng.uniform(0.2, 0.34, 2)
    pot = palette(str(rng.choice(('plastic', 'cardboard', 'white'))))
    place.mesh(shapes.revolution(_POT), (0, 0, 0), (wide, wide, high), pot)
    place.post((0, 0, 0.8 * high), 0.42 * wide, 0.12 * high, palette('soil'))
    green, stem = palette('leaves'), rng.choice((high, rng.uniform(0.45, 0.65) * height_m))
    place.rod((0, 0, 0.9 * high), (0.02, 0, stem + 0.05), 0.018 * height_m, palette('bark'))
    left = height_m - stem
    if rng.random() < 0.4:
        at = (0, 0, stem + 0.45 * left)
        _foliage(place, rng, at, np.array((0.9, 0.9, 1)) * left, green, 90)
        return
    ends = []
    for i in range(26):
        out, up = rng.uniform((0.15, 0.2), (0.5, 1)) * left
        bend = _around(2.4 * i, 0.6 * out, stem + up)
        ends += [(bend, (0, 0, stem)), (bend, _around(2.4 * i, 1.3 * out, stem + 0.7 * up))]
    place.mesh(_blades(rng, np.array(ends), 0.09 * left), (0, 0, 0), (1, 1, 1), green)


def _foliage(
    place: Builder, rng: np.random.Generator, at: Vector, size: Float64, skin: Material, count: int
) -> None:  # fmt: skip
    """A lump with leaves around it."""
    place.ball(at, (0.38 * size[0], 0.38 * size[1], 0.38 * size[2]), skin)
    leaves = shapes.leaves(rng, count, min(0.13 / float(np.prod(size)) ** 0.2, 0.12))
    place.mesh(leaves, at, tuple(1.1 * size), skin)


def _blades(rng: np.random.Generator, ends: Float64, width_m: float) -> Mesh:
    """A long triangle from each foot, where it is wide, to its tip (N, 2, 3)."""
    across = width_m * rng.normal(0, (0.6, 0.6, 0.2), (len(ends), 3))
    corners = np.stack((ends[:, 0] - across, ends[:, 0] + across, ends[:, 1]), axis=1)
    faces = np.arange(3 * len(ends), dtype=np.int32).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3).astype(np.float32), faces)


def _around(angle: float, radius: float, z: float) -> Vector:
    return radius * math.cos(angle), radius * math.sin(angle), z
