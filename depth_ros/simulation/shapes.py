"""Meshes of unit size about the origin, to be scaled, turned and placed by a `Builder`."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.simulation.parts import Mesh


def sheet(points: npt.NDArray[np.floating]) -> Mesh:
    """A grid of points (rows, columns, 3) as a surface of two triangles per cell."""
    rows, columns = points.shape[:2]
    at = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]
    faces = np.concatenate(
        (np.stack((a, b, c), -1).reshape(-1, 3), np.stack((b, d, c), -1).reshape(-1, 3))
    )
    return Mesh(points.reshape(-1, 3).astype(np.float32), faces)


@functools.cache
def prism() -> Mesh:
    """A roof: a ridge along x at z = 1 over the square [-0.5, 0.5]^2 at z = 0."""
    corners = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]
    corners += [(-0.5, 0, 1), (0.5, 0, 1)]
    faces = [
        (0, 1, 5),
        (0, 5, 4),
        (2, 3, 4),
        (2, 4, 5),
        (1, 2, 5),
        (3, 0, 4),
        (0, 2, 1),
        (0, 3, 2),
    ]
    return Mesh(np.array(corners, np.float32), np.array(faces, np.int32))


def revolution(profile: Sequence[tuple[float, float]], sides: int = 12) -> Mesh:
    """A profile of (radius, z) turned about z."""
    angle = np.linspace(0, 2 * math.pi, sides + 1)
    radius, height = np.array(profile).T
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    return sheet(np.stack((x, y, np.broadcast_to(height[:, None], x.shape)), axis=-1))


@functools.cache
def cone(sides: int = 12) -> Mesh:
    """An upright cone of diameter 1, z from 0 to 1."""
    return revolution(((0.0, 0.0), (0.5, 0.0), (0.0, 1.0)), sides)


@functools.cache
def ball(sides: int = 14) -> Mesh:
    """A sphere of diameter 1 about the origin."""
    polar = np.linspace(0, math.pi, sides // 2 + 1)
    return revolution(tuple(zip(0.5 * np.sin(polar), -0.5 * np.cos(polar), strict=True)), sides)


def rounded(corner: float, sides: int = 20) -> Mesh:
    """A superellipsoid of size 1 about the origin: exponent 1 is a sphere, near 0 a box.

    Barr, "Superquadrics and angle-preserving transformations", CG&A 1981.
    """
    polar = np.linspace(-math.pi / 2, math.pi / 2, sides // 2 + 1)[:, None]
    around = np.linspace(-math.pi, math.pi, sides + 1)

    def power(values: Float64) -> Float64:
        return np.sign(values) * np.abs(values) ** corner

    flat = power(np.cos(polar))
    x, y = flat * power(np.cos(around)), flat * power(np.sin(around))
    z = np.broadcast_to(power(np.sin(polar)), x.shape)
    return sheet(0.5 * np.stack((x, y, z), axis=-1))


def lump(rng: np.random.Generator, rough: float, sides: int = 18) -> Mesh:
    """A ball of diameter about 1 with bumps: a stone, a shrub, a crown of a tree."""
    shape = ball(sides)
    offset = np.zeros(len(shape.vertices))
    for frequency in (3.0, 6.0, 12.0):
        wave = rng.normal(size=(3, 3)) * frequency
        phase = rng.uniform(0, 2 * math.pi, 3)
        offset += np.sin(shape.vertices @ wave + phase).sum(axis=1) / frequency
    return Mesh((shape.vertices * (1 + rough * offset[:, None])).astype(np.float32), shape.faces)


def leaves(rng: np.random.Generator, count: int, size: float) -> Mesh:
    """So many triangles of a size scattered in a ball of diameter 1, denser outside: foliage."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    centre = direction * (0.5 * rng.uniform(0.15, 1.0, (count, 1)) ** (1 / 3))
    corners = centre[:, None] + size * rng.normal(size=(count, 3, 3))
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    return Mesh(corners.reshape(-1, 3).astype(np.float32), faces)


def tube(points: npt.NDArray[np.floating], diameter: float, sides: int = 5) -> Mesh:
    """A pipe along points (N, 3): a wire, a branch, a handrail."""
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    helper = np.where(np.abs(along[:, 2:]) > 0.9, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.linspace(0, 2 * math.pi, sides + 1)[None, :, None]
    ring = np.cos(angle) * first[:, None] + np.sin(angle) * second[:, None]
    return sheet(points[:, None] + 0.5 * diameter * ring)


def bars(ends: npt.ArrayLike, wide: npt.ArrayLike, high: npt.ArrayLike) -> Mesh:
    """Straight bars between pairs of points (N, 2, 3): boards, frames, fences, crates.

    Of upright ones `wide` is the extent along y and `high` that along x.
    """
    pairs = np.asarray(ends, float).reshape(-1, 2, 3)
    along = pairs[:, 1] - pairs[:, 0]
    upright = np.abs(along[:, 2:]) > 0.9 * np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(np.where(upright, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), along)
    up = np.cross(along, side)
    for axis, extent in ((side, wide), (up, high)):
        length = np.linalg.norm(axis, axis=1)
        axis *= (0.5 * np.broadcast_to(extent, length.shape) / length)[:, None]
    section = np.stack((-side - up, side - up, side + up, up - side), axis=1)
    vertices = (pairs[:, :, None] + section[:, None]).reshape(-1, 3)
    faces = 8 * np.arange(len(pairs), dtype=np.int32)[:, None, None] + _BAR
    return Mesh(vertices.astype(np.float32), faces.reshape(-1, 3).astype(np.int32))


_BAR = np.array(
    [face for i in range(4) for j in ((i + 1) % 4,) for face in ((i, j, i + 4), (j, j + 4, i + 4))]
    + [(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)]
)
