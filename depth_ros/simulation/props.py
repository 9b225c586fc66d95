"""Things that stand in the simulated scenes, each made of a few solids."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation.surfaces import Solid

Vector = tuple[float, float, float]
Materials = str | tuple[str, str, str]
WHITE: Vector = (1.0, 1.0, 1.0)

CAR_PAINTS: tuple[Vector, ...] = (
    (0.70, 0.71, 0.72), (0.05, 0.05, 0.06), (0.92, 0.92, 0.90), (0.42, 0.05, 0.05),
    (0.06, 0.12, 0.30), (0.24, 0.26, 0.27), (0.10, 0.25, 0.20), (0.55, 0.42, 0.16),
)  # fmt: skip
CLOTHES: tuple[Vector, ...] = (
    (0.10, 0.14, 0.30), (0.45, 0.10, 0.10), (0.55, 0.52, 0.46), (0.08, 0.08, 0.09),
    (0.14, 0.30, 0.18), (0.70, 0.45, 0.10), (0.30, 0.42, 0.58),
)  # fmt: skip


@dataclass
class Placer:
    """Adds solids in the frame of one object: x forward, y left, z up from where it stands."""

    solids: list[Solid]
    position: Vector
    yaw: float = 0.0
    _rotation: Float64 = field(init=False)

    def __post_init__(self) -> None:
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        self._rotation = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def box(self, at: Vector, size: Vector, materials: Materials, tint: Vector = WHITE) -> None:
        """A box that stands with the centre of its bottom at `at`."""
        middle = (at[0], at[1], at[2] + size[2] / 2)
        self._add(
            'box', middle, (size[0] / 2, size[1] / 2, size[2] / 2), materials, tint, np.eye(3)
        )

    def post(
        self, at: Vector, radius: float, height: float, materials: Materials, tint: Vector = WHITE
    ) -> None:
        """An upright cylinder that stands on `at`."""
        middle = (at[0], at[1], at[2] + height / 2)
        self._add('cylinder', middle, (radius, radius, height / 2), materials, tint, np.eye(3))

    def barrel(
        self, middle: Vector, half: Vector, materials: Materials, tint: Vector = WHITE
    ) -> None:
        """An elliptic cylinder around the y axis; `half` extents along x, y and z."""
        lying = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
        self._add('cylinder', middle, (half[0], half[2], half[1]), materials, tint, lying)

    def ball(
        self, middle: Vector, half: Vector, materials: Materials, tint: Vector = WHITE
    ) -> None:
        """An ellipsoid around `middle`."""
        self._add('ellipsoid', middle, half, materials, tint, np.eye(3))

    def _add(
        self,
        shape: str,
        middle: Vector,
        half: Vector,
        materials: Materials,
        tint: Vector,
        turn: Float64,
    ) -> None:
        center = self._rotation @ np.asarray(middle, dtype=float) + self.position
        parts = (materials,) * 3 if isinstance(materials, str) else materials
        rotation = self._rotation @ turn
        self.solids.append(Solid(shape, center, np.asarray(half), rotation, parts, tint))


def car(place: Placer, paint: Vector, length: float = 4.3) -> None:
    """A saloon, 1.8 m wide."""
    half = length / 2
    place.box((0, 0, 0.30), (length - 0.30, 1.76, 0.40), 'paint', paint)
    place.barrel((0, 0, 0.66), (half, 0.86, 0.34), 'paint', paint)
    cabin = ('car_glass', 'car_window', 'car_window')
    place.barrel((-0.15, 0, 0.82), (0.31 * length, 0.74, 0.64), cabin)
    place.barrel((-0.20, 0, 1.30), (0.19 * length, 0.75, 0.17), 'paint', paint)
    place.box((0, 0, 0.20), (length - 0.5, 1.66, 0.12), 'rubber')
    for x in (0.31 * length, -0.31 * length):
        for y in (0.80, -0.80):
            place.barrel((x, y, 0.32), (0.32, 0.11, 0.32), 'rubber')
            place.barrel((x, y, 0.32), (0.19, 0.12, 0.19), 'metal')
    for y in (0.62, -0.62):
        place.box((half - 0.19, y, 0.56), (0.14, 0.34, 0.12), 'lamp', (0.8, 0.8, 0.8))
        place.box((-half + 0.19, y, 0.60), (0.14, 0.34, 0.13), 'paint', (0.55, 0.02, 0.02))
        place.box((0.60, math.copysign(0.96, y), 0.92), (0.10, 0.16, 0.13), 'paint', paint)
    for x in (half - 0.13, -half + 0.13):
        place.box((x, 0, 0.36), (0.06, 0.5, 0.11), 'lamp', (0.75, 0.75, 0.72))


def van(place: Placer, paint: Vector) -> None:
    """A delivery van, 2 m wide and 2.4 m high."""
    place.box((-0.5, 0, 0.40), (4.2, 1.96, 2.00), 'paint', paint)
    place.box((2.05, 0, 0.40), (0.9, 1.90, 0.72), 'paint', paint)
    place.barrel((1.60, 0, 1.15), (0.82, 0.90, 0.95), ('car_glass', 'car_window', 'car_window'))
    place.box((0, 0, 0.24), (4.7, 1.8, 0.18), 'rubber')
    for x in (1.6, -1.7):
        for y in (0.88, -0.88):
            place.barrel((x, y, 0.36), (0.36, 0.13, 0.36), 'rubber')
            place.barrel((x, y, 0.36), (0.20, 0.14, 0.20), 'metal')
    for y in (0.80, -0.80):
        place.box((2.47, y, 0.72), (0.08, 0.26, 0.18), 'lamp', (0.8, 0.8, 0.8))
        place.box((-2.58, y, 0.90), (0.06, 0.16, 0.40), 'paint', (0.55, 0.02, 0.02))


def tree(place: Placer, rng: np.random.Generator, height: float) -> None:
    """A street tree: trunk, two boughs' worth of fork and a crown of nine leafy balls."""
    place.post((0, 0, -0.1), 0.13 + 0.012 * height, 0.62 * height, 'bark')
    tone = rng.uniform(0.80, 1.15)
    tint = (tone * rng.uniform(0.85, 1.25), tone, tone * 0.9)
    spread = 0.24 * height
    place.ball((0, 0, 0.70 * height), (0.9 * spread, 0.9 * spread, spread), 'leaves', tint)
    for i in range(8):
        angle = i * 2.4 + rng.uniform(-0.4, 0.4)
        out = spread * rng.uniform(0.55, 0.85)
        level = height * (0.52 + 0.052 * i)
        size = spread * rng.uniform(0.50, 0.68)
        middle = (out * math.cos(angle), out * math.sin(angle), level)
        place.ball(middle, (size, size, 0.85 * size), 'leaves', tint)


def person(place: Placer, rng: np.random.Generator) -> None:
    """Somebody walking, 1.6 m to 1.9 m tall."""
    scale = rng.uniform(0.93, 1.08)
    top = CLOTHES[rng.integers(len(CLOTHES))]
    legs = CLOTHES[rng.integers(len(CLOTHES))]
    step = rng.uniform(0.05, 0.16)
    for y, x in ((0.10, step), (-0.10, -step)):
        place.post((x, y, 0), 0.078 * scale, 0.86 * scale, 'cloth', legs)
        place.box((x + 0.05, y, 0), (0.27, 0.10, 0.08), 'rubber')
        place.post((-x, 2.45 * y, 0.78 * scale), 0.052 * scale, 0.62 * scale, 'cloth', top)
        place.ball((-x, 2.45 * y, 0.76 * scale), (0.05, 0.05, 0.07), 'skin')
    place.ball((0, 0, 1.12 * scale), (0.15, 0.21, 0.40 * scale), 'cloth', top)
    place.ball((0, 0, 1.36 * scale), (0.13, 0.22, 0.13), 'cloth', top)
    place.post((0, 0, 1.40 * scale), 0.055, 0.14 * scale, 'skin')
    place.ball((0, 0, 1.62 * scale), (0.105, 0.09, 0.13 * scale), 'skin')
    place.ball((-0.02, 0, 1.66 * scale), (0.108, 0.097, 0.11 * scale), 'rubber', (2.0, 1.5, 1.2))


def street_lamp(place: Placer) -> None:
    """A 6 m lamp post whose arm reaches forward."""
    place.post((0, 0, 0), 0.10, 1.0, 'metal')
    place.post((0, 0, 1.0), 0.055, 5.0, 'metal')
    place.box((0.55, 0, 5.95), (1.3, 0.07, 0.07), 'metal')
    place.box((1.15, 0, 5.86), (0.55, 0.22, 0.09), ('metal', 'metal', 'lamp'))


def sign(place: Placer, colour: Vector) -> None:
    """A round traffic sign facing backwards along x."""
    place.post((0, 0, 0), 0.035, 2.5, 'metal')
    for half, x, tint in ((0.36, -0.045, colour), (0.27, -0.055, (0.9, 0.9, 0.9))):
        disc = Placer(place.solids, place.position, place.yaw + math.pi / 2)
        disc.barrel((0, -x, 2.35), (half, 0.012, half), 'lamp', tint)


def bin_(place: Placer, tint: Vector) -> None:
    """A wheeled bin."""
    place.box((0, 0, 0.08), (0.58, 0.72, 0.92), 'cloth', tint)
    place.box((0, 0, 1.0), (0.66, 0.78, 0.07), 'cloth', tint)


def bench(place: Placer) -> None:
    """A park bench of planks."""
    for x in (0.0, 0.16, 0.32):
        place.box((x, 0, 0.44), (0.13, 1.7, 0.04), 'wood')
    for z in (0.62, 0.80):
        place.box((-0.12, 0, z), (0.04, 1.7, 0.12), 'wood')
    for y in (0.7, -0.7):
        place.box((0.13, y, 0), (0.42, 0.06, 0.44), 'metal')
        place.box((-0.15, y, 0), (0.04, 0.06, 0.9), 'metal')


def table(place: Placer, size: tuple[float, float]) -> None:
    """A dining table, 0.75 m high."""
    place.box((0, 0, 0.71), (*size, 0.04), 'wood')
    for x in (-size[0] / 2 + 0.08, size[0] / 2 - 0.08):
        for y in (-size[1] / 2 + 0.08, size[1] / 2 - 0.08):
            place.box((x, y, 0), (0.07, 0.07, 0.71), 'wood', (0.85, 0.85, 0.85))


def chair(place: Placer, tint: Vector) -> None:
    """A chair that looks forward."""
    for x in (0.19, -0.19):
        for y in (0.19, -0.19):
            place.post((x, y, 0), 0.02, 0.44, 'wood')
    place.box((0, 0, 0.44), (0.44, 0.44, 0.06), 'cloth', tint)
    for y in (0.19, -0.19):
        place.post((-0.20, y, 0.50), 0.018, 0.45, 'wood')
    place.box((-0.20, 0, 0.68), (0.04, 0.42, 0.26), 'cloth', tint)


def shelf(place: Placer, rng: np.random.Generator) -> None:
    """A bookcase 1.6 m wide and 2 m high that looks forward."""
    place.box((-0.14, 0, 0), (0.02, 1.6, 2.0), 'wood', (0.7, 0.7, 0.7))
    for y in (0.79, -0.79, 0.0):
        place.box((0, y, 0), (0.30, 0.03, 2.0), 'wood')
    for level in range(6):
        place.box((0, 0, level * 0.394), (0.30, 1.6, 0.03), 'wood')
    for level in range(5):
        for y in (0.40, -0.40):
            wide = rng.uniform(0.35, 0.74)
            side = y + rng.choice((-1, 1)) * (0.74 - wide) / 2
            if rng.random() < 0.85:
                at = (-0.02, side, level * 0.394 + 0.03)
                place.box(at, (0.20, wide, rng.uniform(0.24, 0.33)), 'books')


def sofa(place: Placer, tint: Vector) -> None:
    """A sofa 2.1 m wide that looks forward."""
    place.box((0, 0, 0.08), (0.85, 2.1, 0.30), 'cloth', tint)
    for y in (0.42, -0.42):
        place.box((0.06, y, 0.38), (0.70, 0.82, 0.14), 'cloth', tint)
        place.ball((-0.22, y, 0.66), (0.14, 0.36, 0.26), 'cloth', tint)
    place.box((-0.36, 0, 0.30), (0.18, 2.1, 0.52), 'cloth', tint)
    for y in (0.96, -0.96):
        place.barrel((0.02, y, 0.44), (0.42, 0.11, 0.17), 'cloth', tint)


def plant(place: Placer, rng: np.random.Generator) -> None:
    """A pot plant."""
    place.post((0, 0, 0), 0.20, 0.38, 'cardboard', (1.0, 0.55, 0.40))
    place.post((0, 0, 0.38), 0.03, 0.5, 'bark')
    for i in range(7):
        angle = 2.4 * i
        middle = (0.22 * math.cos(angle), 0.22 * math.sin(angle), 0.75 + 0.11 * i)
        size = rng.uniform(0.17, 0.27)
        place.ball(middle, (size, size, size), 'leaves', (0.8, 1.0, 0.8))


def floor_lamp(place: Placer) -> None:
    """A standing lamp with a bright shade."""
    place.post((0, 0, 0), 0.16, 0.03, 'metal')
    place.post((0, 0, 0), 0.015, 1.5, 'metal')
    place.post((0, 0, 1.42), 0.20, 0.30, 'lamp', (1.5, 1.25, 0.9))
