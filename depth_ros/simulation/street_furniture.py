"""What lines streets: lamps, signs, seats, bins, fences, cables, houses."""

from __future__ import annotations

import math

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import shapes
from depth_ros.simulation.assembly import Row
from depth_ros.simulation.builder import Builder, Sides, Vector
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.parts import Mesh

_SQUARE = np.array(((1, 1), (1, -1), (-1, -1), (-1, 1), (1, 1))) / 2
_EDGES = np.array(((-0.5, 0), (0.5, 0), (0, 0.4), (-0.5, 0)))  # of posts, along and across

THINGS: dict[str, tuple[Row, ...]] = {
    'lamp': (
        ('post', 'metal', (0, 0, -0.2), 0.09, 1.2), ('post', 'metal', (0, 0, 1), 0.05, 6),
        ('rod', 'metal', (0, 0, 6.9), (0, -1.7, 7.2), 0.035),
        ('box', 'plastic', (0, -1.9, 7.16), (0.25, 0.7, 0.1)),
        ('box', 'light', (0, -1.9, 7.13), (0.2, 0.5, 0.04)),
    ),
    'round sign': (
        ('post', 'metal', (0, 0, -0.2), 0.03, 2.9),
        ('rod', 'sign', (0.03, 0, 2.35), (0.05, 0, 2.35), 0.33),
        ('rod', 'white', (0.04, 0, 2.35), (0.055, 0, 2.35), 0.24),
    ),
    'board': (
        ('post*', 'metal', (0, 0.4, -0.2), 0.03, 3.1),
        ('box', 'sign', (0.05, 0, 2.1), (0.02, 1.1, 0.7)),
        ('box', 'white', (0.05, 0, 1.8), (0.02, 0.9, 0.25)),
    ),
    'traffic light': (
        ('post', 'metal', (0, 0, -0.2), 0.06, 3.6),
        ('rod', 'metal', (0, 0, 3.3), (0, -3.6, 5.6), 0.05),
        *(('box', 'rubber', (0.15, y, z), (0.2, 0.3, 0.95)) for y, z in ((0, 2.2), (-3.5, 4.7))),
        *(('ball', 'tail_light', (0.25, y, z), (0.05, 0.1, 0.1)) for y, z in ((0, 3), (-3.5, 5))),
        *(('ball', 'light', (0.25, y, z), (0.05, 0.1, 0.1)) for y, z in ((0, 2.4), (-3.5, 4.9))),
    ),
    'bollard': (
        ('post', 'metal', (0, 0, -0.2), 0.06, 1.1), ('post', 'plate', (0, 0, 0.7), 0.063, 0.1),
    ),
    'delineator': (
        ('box', 'white', (0, 0, -0.2), (0.1, 0.12, 1.2)),
        ('box', 'plate', (0.05, 0, 0.75), (0.02, 0.06, 0.16)),
    ),
    'bin': (
        ('box', 'plastic', (0, 0, 0.06), (0.55, 0.55, 0.94)),
        ('box', 'plastic', (0, -0.02, 1), (0.6, 0.62, 0.07)),
        ('rod', 'rubber', (-0.3, 0.24, 0.1), (0.3, 0.24, 0.1), 0.1),
    ),
    'bench': (
        *(('box', 'wood', (0, y, 0.43), (1.7, 0.12, 0.04)) for y in (-0.14, 0.0, 0.14)),
        *(('box', 'wood', (0, 0.24, z), (1.7, 0.04, 0.11)) for z in (0.6, 0.76)),
        *(('box', 'metal', (x, 0, -0.1), (0.06, 0.42, 0.54)) for x in (0.7, -0.7)),
        *(('box', 'metal', (x, 0.27, 0.3), (0.05, 0.04, 0.56)) for x in (0.7, -0.7)),
    ),
    'table': (
        ('post', 'metal', (0, 0, 0), 0.03, 0.72), ('post', 'wood', (0, 0, 0.72), 0.35, 0.03),
        *(('box', 'plastic', (x, 0, 0.44), (0.42, 0.42, 0.04)) for x in (0.65, -0.65)),
        *(('box', 'plastic', (x, 0, 0.46), (0.04, 0.42, 0.42)) for x in (0.86, -0.86)),
        *(('box*', 'metal', (x, 0.18, 0), (0.03, 0.03, 0.44)) for x in (0.47, 0.83, -0.47, -0.83)),
    ),
    'shelter': (
        *(('post', 'metal', (x, 0.6, -0.1), 0.04, 2.5) for x in (1.8, 0.0, -1.8)),
        *(('box', 'pane', (x, 0.62, 0.25), (1.7, 0.02, 1.9)) for x in (0.9, -0.9)),
        ('box', 'metal', (0, 0, 2.4), (4.0, 1.6, 0.1)),
        ('box', 'wood', (0, 0.3, 0.1), (2.5, 0.3, 0.38)),
        ('box', 'pane', (1.82, 0.05, 0.25), (0.02, 1.0, 1.9)),
    ),
    'pole': (
        ('post', 'bark', (0, 0, -0.3), 0.12, 8.3), ('box', 'bark', (0, 0, 7.4), (0.1, 1.9, 0.12)),
        *(('post*', 'white', (0, y, 7.5), 0.035, 0.16) for y in (0.85, 0.3)),
    ),
}  # fmt: skip
"""By name; x along the street, which is on their right. Signs look along x."""

FENCES: dict[str, tuple[str, int, float, tuple[tuple[float, float, float], ...]]] = {
    'railing': ('metal', 12, 0.022, ((0.1, 0.13, 0.03), (0.97, 1.0, 0.04))),
    'boards': ('wood', 13, 0.11, ((0.25, 0.33, 0.13), (0.8, 0.88, 0.13))),
    'wall': ('brick', 0, 0.0, ((-0.4, 1.0, 0.24), (1.0, 1.06, 0.32))),
    'guard rail': ('metal', 1, 0.1, ((0.42, 0.73, 0.16),)),
    'wires': ('bark', 1, 0.09, tuple((z, z + 0.006, 0.006) for z in (0.3, 0.6, 0.9, 1.1))),
    'bars': ('safety', 24, 0.018, ((0.08, 0.12, 0.03), (1.75, 1.8, 0.03))),
    'netting': ('metal', 16, 0.008, tuple((z, z + 0.008, 0.008) for z in np.arange(12) * 0.12)),
}
"""Material, posts between two points, their width, and rails: bottom, top and width."""


def fence(
    root: Builder, palette: Palette, rng: np.random.Generator, kind: str, points: Float64
) -> None:
    """One of `FENCES` through points (N, 3) on the ground, about 2 m apart."""
    role, count, wide, rails = FENCES[kind]
    skin, stretch, run = palette(role), rng.uniform(0.9, 1.3), np.diff(points, axis=0)
    along = run / np.linalg.norm(run, axis=1, keepdims=True)
    across = along[:, [1, 0, 2]] * (-1, 1, 0)
    for low, top, thick in rails:
        ring = np.vstack((across, across[-1:]))[:, None] * (_SQUARE[:, :1] * thick)
        ring[..., 2] += ((low + top) / 2 + _SQUARE[:, 1] * (top - low)) * stretch
        root.mesh(shapes.sheet(points[:, None] + ring), (0, 0, 0), (1, 1, 1), skin)
    if count:
        ring = wide * (_EDGES[:, :1] * along[:, None] + _EDGES[:, 1:] * across[:, None])
        feet = points[:-1] + run * (np.arange(count) / count)[:, None, None]
        posts = np.repeat((feet[:, :, None] + ring).reshape(-1, 1, 4, 3), 2, axis=1)
        posts[..., 2] += ((-0.3,), (1.03 * rails[-1][1] * stretch,))
        first = 8 * np.arange(len(posts), dtype=np.int32)[:, None, None]
        faces = (shapes.sheet(posts[0]).faces + first).reshape(-1, 3)
        mesh = Mesh(posts.reshape(-1, 3).astype(np.float32), faces)
        root.mesh(mesh, (0, 0, 0), (1, 1, 1), skin)


def cable(root: Builder, palette: Palette, start: Vector, end: Vector, sag_m: float) -> None:
    """A cable that hangs between two points."""
    share = np.linspace(0, 1, 11)[:, None]
    points = start + share * np.subtract(end, start)
    points[:, 2] -= 4 * sag_m * (share * (1 - share))[:, 0]
    root.mesh(shapes.tube(points, 0.03, 3), (0, 0, 0), (1, 1, 1), palette('rubber'))


def house(
    place: Builder, palette: Palette, rng: np.random.Generator, size_m: Vector, shop: bool
) -> None:
    """A house behind y = 0, of a length, depth and height of its walls, the street on its right.

    Its windows lie back between piers and bands; balconies, eaves, gutters and sills stand out.
    """
    long, deep, high = size_m
    plain, trim = palette(str(rng.choice(('plaster', 'plaster', 'brick')))), palette('stone')
    base = 3.8 if shop else rng.uniform(0.5, 1.0)
    floors = max(round((high - base) / 2.9), 1)
    bays = max(round(long / rng.uniform(2.4, 3.6)), 1)
    step, bay = (high - base) / floors, long / bays
    pier, sill = rng.uniform(0.35, 0.6) * bay, rng.uniform(0.25, 0.38) * step
    middles = np.arange(bays) * bay + (bay - long) / 2
    boxes: list[tuple[Vector, Vector, Sides]] = [
        ((0, deep / 2 + 0.15, -1.5), (long, deep - 0.3, high + 1.5), plain),
        ((0, 0.06, -1.5), (long, 0.42, 1.7 if shop else base + 1.5), trim),
        ((0, 0.2, base), (long, 0.06, high - base), palette('glass')),
    ]
    boxes += [((x, 0.1, base), (pier, 0.22, high - base), plain) for x in middles - bay / 2]
    boxes += [((long / 2 - pier / 4, 0.1, base), (pier / 2, 0.22, high - base), plain)]
    frame = palette('white')
    boxes += [((x, 0.15, base), (0.07, 0.06, high - base), frame) for x in middles]
    for level in np.arange(floors + 1) * step + base:
        low, top = max(level - 0.35, base), min(level + sill, high)
        boxes.append(((0, 0.1, low), (long, 0.25, top - low), plain))
        boxes.append(((0, -0.02, top - 0.08), (long, 0.1, 0.08), trim))
    for x in rng.choice(middles, int(rng.integers(0, 2 + bays * floors // 3))):
        z, drop = base + rng.integers(floors) * step, rng.uniform(0.3, 1) * (step - sill)
        if rng.random() < 0.3 and z > 2.5:
            boxes.append(((x, -0.55, z), (0.95 * bay, 1.1, 0.14), trim))
            corners = np.array(((-1, 0, 0), (-1, -1, 0), (1, -1, 0), (1, 0, 0)))
            points = np.array((x, -0.05, z + 0.14)) + corners * (0.46 * bay, 1, 1)
            fence(place, palette, rng, 'railing', points)
        else:
            boxes.append(((x, 0.14, z + step - drop), (bay - pier, 0.03, drop), palette('cloth')))
    roof, rise = palette('roof'), 0.6
    if deep < 1.2 * long and rng.random() < 0.7:
        rise = deep * rng.uniform(0.3, 0.5)
        place.mesh(shapes.prism(), (0, deep / 2, high), (long + 0.3, deep + 0.9, rise), roof)
        boxes.append(((0, -0.4, high - 0.02), (long + 0.3, 0.12, 0.1), palette('metal')))
    else:
        boxes.append(((0, deep / 2, high), (long + 0.1, deep + 0.5, 0.4), (trim, roof, trim)))
    for x in rng.uniform(0.7 - long / 2, long / 2 - 0.7, 2):
        tall = rise + rng.uniform(0.5, 1.2)
        boxes.append(((x, 0.4 * deep, high), (0.7, 0.7, tall), palette('brick')))
    place.post((long / 2 - 0.15, -0.1, 0), 0.05, high, palette('metal'))
    x = rng.choice(middles)
    if shop:
        awning = place.at(x, -0.75, 2.9, math.pi / 2)
        awning.box((0, 0, 0), (1.5, 3.2, 0.05), palette('cloth'), 0, -0.35)
        boxes.append(((-x, -0.55, base), (0.12, 0.8, 0.8), palette('sign')))
        boxes.append(((0, 0.05, 0.2), (long, 0.4, 3.6), palette('shop')))
    else:
        boxes.append(((x, 0.08, 0), (1.1, 0.36, base + 2.1), palette('wood')))
        boxes.append(((x, -0.5, -0.6), (1.5, 1.0, 0.6 + 0.6 * base), trim))
    for at, size, skin in boxes:
        place.box(at, size, skin)
