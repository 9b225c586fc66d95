"""Procedural scenes to learn from: streets and rooms that are drawn anew each time.

Made for variety, not for looks: what a completion network must not believe occurs (texture edges
without depth edges, shadows, mirrors, haze), and what LiDAR is bad at (thin structures, foliage,
slopes, kerbs, glass). World frame: x forward, y left, z up, metres (REP-103).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.training import shapes
from depth_ros.training.furniture import Furniture
from depth_ros.training.materials import PATTERN, PLAIN, Palette
from depth_ros.training.mesh import Caster, Int32
from depth_ros.training.props import Props
from depth_ros.training.render import Light, random_light
from depth_ros.training.shapes import Builder, box


@dataclass(frozen=True)
class Scene:
    """A world that rays can be cast into.

    Attributes:
        caster: of its mesh.
        material: (M,) material of each face.
        palette: the materials.
        light: how it is lit.
        viewpoint: draws a pose T_world_camera (4, 4).
        indoor: whether it is a room.
    """

    caster: Caster
    material: Int32
    palette: Palette
    light: Light
    viewpoint: Callable[[np.random.Generator], Float64]
    indoor: bool

    @property
    def reflectivity(self) -> npt.NDArray[np.floating]:
        """Share of a LiDAR's light that each face (M,) sends back."""
        return np.array(self.palette.reflectivity, np.float32)[self.material]


def scene(rng: np.random.Generator, indoor_share: float = 0.3) -> Scene:
    """Draw a street or a room."""
    return room(rng) if rng.random() < indoor_share else street(rng)


def street(rng: np.random.Generator) -> Scene:
    """A road between houses, trees or open land, with what stands on it."""
    builder, palette = Builder(), Palette(rng)
    half = rng.uniform(3.0, 9.0)
    height = _ground(rng, builder, palette, half)
    props = Props(rng, builder, palette)

    def on(x: float, y: float) -> tuple[float, float, float]:
        return (x, y, float(height(np.array(x), np.array(y))))

    urban, green = rng.uniform(0, 1, 2)
    for side in (-1, 1):
        if rng.random() < 0.35 + 0.5 * urban:
            _row_of_houses(rng, props, on, side * (half + rng.uniform(1.5, 12)))
        for x in np.arange(rng.uniform(-5, 5), 90, rng.uniform(5, 9)):
            if rng.random() < 0.55 * urban:
                yaw = (0.0 if side < 0 else math.pi) + rng.normal() * 0.04
                props.vehicle(on(float(x), side * (half - rng.uniform(0.2, 1.4))), yaw)
        for _ in range(rng.integers(0, 1 + int(26 * green))):
            at = on(rng.uniform(2, 100), side * (half + rng.uniform(0.8, 25)))
            props.tree(at, rng.uniform(2.5, 14))
        for _ in range(rng.integers(0, 1 + int(20 * green))):
            size = (rng.uniform(0.5, 4), rng.uniform(0.5, 1.6), rng.uniform(0.4, 2.5))
            at = on(rng.uniform(2, 70), side * (half + rng.uniform(0.6, 12)))
            props.bush(at, size, rng.uniform(0, math.pi))
        for _ in range(rng.integers(0, 10)):
            props.grass(on(rng.uniform(2, 30), side * (half + rng.uniform(0.3, 6))), 1.5)
        for _ in range(rng.integers(2, 12)):
            props.post(on(rng.uniform(3, 70), side * (half + rng.uniform(-0.3, 3))))
        for _ in range(rng.integers(0, 3)):
            x, y = rng.uniform(0, 40), side * (half + rng.uniform(0.2, 5))
            props.fence(on(x, y), on(x + rng.uniform(4, 30), y + rng.normal() * 1.5))
        for _ in range(rng.integers(0, 7)):
            y = side * (half + rng.uniform(-1.5, 3))
            props.person(on(rng.uniform(4, 45), y), rng.uniform(0, 2 * math.pi))
    for _ in range(rng.integers(0, 6)):
        yaw = rng.choice((0.0, math.pi)) + rng.normal() * 0.1
        props.vehicle(on(rng.uniform(8, 90), rng.uniform(-0.6, 0.6) * half), yaw)
    for _ in range(rng.integers(0, 12)):
        props.clutter(on(rng.uniform(5, 60), rng.normal() * 1.2 * half), rng.uniform(0.2, 2.5))
    for _ in range(rng.integers(0, 3)):
        start, end = (
            np.add(on(rng.uniform(0, 60), rng.uniform(-15, 15)), (0, 0, rng.uniform(4, 9)))
            for _ in range(2)
        )
        props.wires(start, end)
    if rng.random() < 0.4:
        props.house(on(rng.uniform(50, 120), 0.0), (30, 10, rng.uniform(5, 20)), math.pi / 2)

    def viewpoint(rng: np.random.Generator) -> Float64:
        x, y, z = on(rng.uniform(0, 30), rng.uniform(-0.7, 0.7) * half)
        yaw = rng.normal() * (0.15 if rng.random() < 0.6 else 0.9)
        at = (x, y, z + rng.uniform(0.9, 2.4))
        return look(at, yaw, math.radians(rng.normal() * 3), math.radians(rng.normal() * 1.5))

    mesh, material = builder.mesh()
    return Scene(
        Caster(mesh), material, palette, random_light(rng, indoor=False), viewpoint, indoor=False
    )


def room(rng: np.random.Generator) -> Scene:
    """A furnished room, an office, a corridor or a hall."""
    builder, palette = Builder(), Palette(rng)
    length, width = np.exp(rng.uniform(np.log(3.0), np.log(16.0), 2))
    high = rng.uniform(2.3, 3.2) if rng.random() < 0.85 else rng.uniform(3.5, 8)
    furniture = Furniture(rng, builder, palette)
    _walls(rng, builder, palette, (float(length), float(width), float(high)))
    inside = np.array([length, width]) / 2 - 0.3
    free = min(3.0, 0.25 * length * width)
    things: tuple[Callable[[tuple[float, float, float], float], None], ...] = (
        furniture.table, furniture.chair, furniture.shelf, furniture.sofa, furniture.curtain,
        furniture.person, lambda at, yaw: furniture.lamp(at),
        lambda at, yaw: furniture.clutter(at, rng.uniform(0.1, 1.0)),
        lambda at, yaw: furniture.bush(at, (0.6, 0.6, rng.uniform(0.5, 1.8)), yaw),
    )  # fmt: skip
    share = np.array((5, 6, 3, 2, 1, 1, 1, 5, 1)) / 25
    for _ in range(int(rng.uniform(2, 1.1 * length * width / free + 6))):
        x, y = rng.uniform(-1, 1, 2) * inside
        yaw = rng.choice(4) * math.pi / 2 + (rng.normal() * 0.5 if rng.random() < 0.4 else 0.0)
        if rng.random() < 0.5:  # against a wall, looking into the room
            side = int(rng.integers(4))
            x = (inside[0], x, -inside[0], x)[side]
            y = (y, inside[1], y, -inside[1])[side]
            yaw = side * math.pi / 2 + math.pi
        things[rng.choice(len(things), p=share)]((float(x), float(y), 0.0), float(yaw))

    def viewpoint(rng: np.random.Generator) -> Float64:
        x, y = rng.uniform(-1, 1, 2) * inside
        at = (float(x), float(y), rng.uniform(0.4, min(high - 0.3, 2.2)))
        inwards = math.atan2(-y, -x) + rng.normal() * 0.8
        return look(at, inwards, math.radians(rng.normal() * 14), math.radians(rng.normal() * 3))

    mesh, material = builder.mesh()
    return Scene(
        Caster(mesh), material, palette, random_light(rng, indoor=True), viewpoint, indoor=True
    )


def look(at: tuple[float, float, float], yaw: float, pitch: float, roll: float) -> Float64:
    """T_world_camera (4, 4) of a camera that looks along `yaw`, down by `pitch` (radians)."""
    axes = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # optical to body
    turn = np.eye(4)
    c, s = math.cos(roll), math.sin(roll)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    turn[:3, :3] = shapes.rotation_z(yaw) @ shapes.rotation_y(pitch) @ about_x @ axes
    turn[:3, 3] = at
    return turn


def _ground(
    rng: np.random.Generator, builder: Builder, palette: Palette, half: float
) -> Callable[[Float64, Float64], Float64]:
    """Add the road, its kerbs and the land beside it; returns the height at (x, y)."""
    waves = [
        (rng.normal() * 0.012 * length, 2 * math.pi / length, rng.uniform(0, 6))
        for length in rng.uniform(40, 160, 3)
    ]
    camber, kerb = rng.normal() * 0.015, rng.choice((0.0, rng.uniform(0.05, 0.25)))
    slopes, rough = rng.normal(size=2) * 0.12, rng.uniform(0, 0.12)
    path = rng.uniform(1.0, 4.0)

    def height(x: Float64, y: Float64) -> Float64:
        level = sum(a * np.sin(k * x + p) for a, k, p in waves) + camber * y
        beside = np.abs(y) - half
        level = level + np.where(beside > 0, kerb, 0.0)
        off = np.maximum(beside - path, 0.0)
        bank = np.where(y > 0, slopes[0], slopes[1]) * np.minimum(off, 12.0)
        bumps = np.sin(1.7 * x + 2 * np.sin(0.9 * y)) * np.sin(1.3 * y + 0.6 * x)
        return np.asarray(level + bank + rough * bumps * np.minimum(off, 1.0))

    def strip(columns: Float64, material: int) -> None:
        rows = np.concatenate((np.arange(-12, 40, 0.5), np.geomspace(40, 160, 50)))
        x, y = np.meshgrid(rows, columns, indexing='ij')
        builder.add(shapes.sheet(np.stack((x, y, height(x, y)), -1)), material)

    road = palette.new(PLAIN, tile_m=(1.0, 12.0), tone=(0.1, 0.5), saturation=0.08)
    edge = half + 1e-3
    strip(np.linspace(-half, half, 9), road)
    if rng.random() < 0.7:  # lines are paint: 3 mm high
        paint = palette.new(tone=(0.6, 1.0), saturation=0.05)
        for y in (-0.95 * half, 0.0, 0.95 * half):
            dash = rng.uniform(1.0, 6.0) if rng.random() < 0.6 else 0.0
            for x in np.arange(-10, 90, 2 * dash or 1.0):
                level = float(height(np.array(x), np.array(y))) - 0.01
                builder.add(box(), paint, (float(x), y, level), (dash or 1.0, 0.15, 0.013))
    for side in (-1, 1):
        walk = palette.new(PATTERN if rng.random() < 0.5 else PLAIN, tile_m=(0.5, 4.0))
        land = palette.green() if rng.random() < 0.6 else palette.new(tile_m=(0.5, 6.0))
        strip(side * np.array([half, edge, half + path]), walk)
        strip(side * (half + path + np.concatenate(([0.0], np.geomspace(0.5, 70, 40)))), land)
    return height


def _row_of_houses(
    rng: np.random.Generator,
    props: Props,
    on: Callable[[float, float], tuple[float, float, float]],
    y: float,
) -> None:
    """Houses along the road, their fronts at `y`, with gaps."""
    x, deep = rng.uniform(-15, 0), rng.uniform(6, 14)
    while x < 110:
        long = rng.uniform(5, 28)
        if rng.random() < 0.8:
            at = on(x + long / 2, y + math.copysign(deep / 2 + rng.uniform(0, 2), y))
            size = (long, deep, rng.uniform(3, 16) + 1.0)
            props.house((at[0], at[1], at[2] - 1.0), size, rng.normal() * 0.03)
        x += long + rng.choice((0.0, rng.uniform(1, 10)))


def _walls(
    rng: np.random.Generator,
    builder: Builder,
    palette: Palette,
    size: tuple[float, float, float],
) -> None:
    """Floor, ceiling and walls, with doors, windows, pillars, pictures and beams."""
    length, width, high = size
    floor = palette.new(PATTERN if rng.random() < 0.6 else PLAIN, tile_m=(0.3, 3.0))
    ceiling = palette.new(tone=(0.5, 1.0), saturation=0.05)
    builder.add(box(), floor, (0, 0, -0.1), (length, width, 0.1))
    builder.add(box(), ceiling, (0, 0, high), (length, width, 0.1))
    for side in range(4):
        wall = palette.new(PLAIN if rng.random() < 0.7 else PATTERN, tone=(0.3, 0.95))
        run, away = (width, length) if side % 2 == 0 else (length, width)
        yaw = side * math.pi / 2
        c, s = math.cos(yaw), math.sin(yaw)
        at = (c * (away / 2 + 0.05), s * (away / 2 + 0.05), 0.0)
        builder.add(box(), wall, at, (0.1, run, high), yaw)
        skirting = (c * (away / 2 - 0.01), s * (away / 2 - 0.01), 0.0)
        builder.add(box(), ceiling, skirting, (0.02, run, 0.1), yaw)
        for _ in range(rng.integers(0, 4)):
            along = rng.uniform(-0.4, 0.4) * run
            out = rng.choice((0.01, 0.03, 0.1, 0.35))
            part = palette.new(PATTERN if rng.random() < 0.5 else PLAIN, saturation=0.5)
            if rng.random() < 0.3:
                part = palette.glass()
            wide, tall, low = rng.uniform(0.3, 2.0), rng.uniform(0.3, 2.1), rng.uniform(0, 1.2)
            place = (c * away / 2 - s * along, s * away / 2 + c * along, low)
            builder.add(box(), part, place, (2 * out, wide, min(tall, high - low - 0.1)), yaw)
