"""The simulator's procedural worlds and the path of the rig through them.

World and rig frames: x forward, y left, z up (REP-103). The rig's origin is on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import props
from depth_ros.simulation.props import Placer, Vector
from depth_ros.simulation.shading import Light, Scene
from depth_ros.simulation.surfaces import Ground, Solid, Surfaces

_KERB_Y_M = 5.5
_KERB_M = 0.14
_SPEED_M_S = 8.0
_LAP_S = 40.0

_WALLS: tuple[tuple[str, Vector], ...] = (
    ('brick_facade', (1.0, 1.0, 1.0)),
    ('brick_facade', (1.15, 0.95, 0.80)),
    ('plaster_facade', (1.0, 0.92, 0.74)),
    ('plaster_facade', (0.92, 0.78, 0.66)),
    ('plaster_facade', (0.80, 0.88, 0.92)),
    ('plaster_facade', (0.98, 0.97, 0.94)),
    ('office_facade', (0.95, 1.0, 1.05)),
)


@dataclass(frozen=True)
class World:
    """A scene and where the rig is in it.

    Attributes:
        scene: what there is to see.
        pose: T_world_rig (4, 4) at a time in seconds.
    """

    scene: Scene
    pose: Callable[[float], Float64]


def street(rng: np.random.Generator, duration_s: float, relief_m: float) -> World:
    """A town street of parked cars, trees and houses, driven along at 8 m/s.

    `relief_m` is the height of its hills over its mean; 0 makes the road a plane.
    """
    phases = rng.uniform(0, 2 * math.pi, 2)
    waves = ((0.7 * relief_m, 2 * math.pi / 130, phases[0]), (0.3 * relief_m, 0.11, phases[1]))
    ground = Ground(waves if relief_m > 0 else (), _KERB_Y_M, _KERB_M)
    solids: list[Solid] = []
    end = _SPEED_M_S * duration_s + 130.0
    for side in (-1, 1):
        _houses(solids, rng, side, end)
        _kerbside(solids, rng, ground, side, end)
    for x in np.arange(rng.uniform(26, 36), end - 60, 31.0):
        place = _on(solids, ground, float(x + rng.uniform(-6, 6)), 1.75, math.pi)
        _vehicle(place, rng)
    Placer(solids, (end + 10, 0, -1)).box((0, 0, 0), (12, 60, 19), 'plaster_facade', _WALLS[2][1])
    azimuth, elevation = math.radians(128), math.radians(47)
    sun = 1e4 * np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    overhead = Light(np.array([0.0, 0.0, 1e4]), (0.16, 0.20, 0.26))
    scene = Scene(
        Surfaces((ground, *solids)),
        (Light(sun, (2.05, 1.90, 1.66)), overhead),
        ambient_up=(0.36, 0.43, 0.54),
        ambient_down=(0.26, 0.25, 0.23),
        haze_m=320.0,
    )

    def pose(time_s: float) -> Float64:
        x = _SPEED_M_S * time_s
        y = -1.75 + 0.22 * math.sin(0.12 * x)
        heading = math.atan(0.22 * 0.12 * math.cos(0.12 * x)) + 0.02 * math.sin(0.9 * time_s)
        at = np.array(x)
        return _pose((x, y, float(ground.height(at))), heading, float(ground.slope(at)))

    return World(scene, pose)


def indoor(rng: np.random.Generator, duration_s: float, relief_m: float) -> World:
    """A furnished room of 13 m x 9.5 m, walked around once in 40 s; the floor is a plane."""
    del duration_s, relief_m
    solids: list[Solid] = []
    room = Placer(solids, (0.0, 0.0, 0.0))
    room.box((0, 0, 0), (13.0, 9.5, 3.0), ('wallpaper', 'ceiling', 'parquet'))
    solids[0] = Solid(**{**solids[0].__dict__, 'casts_shadow': False})
    for y in (4.735, -4.735):
        room.box((0, y, 0), (13.0, 0.03, 0.10), 'ceiling')
    for x in (6.485, -6.485):
        room.box((x, 0, 0), (0.03, 9.5, 0.10), 'ceiling')
    for x in (-2.9, 2.9):
        room.box((x, 0, 2.97), (1.5, 0.5, 0.02), 'lamp', (5.0, 4.8, 4.4))
        for y in (-1.55, 1.55):
            room.box((0.62 * x, y, 0), (0.34, 0.34, 3.0), 'plaster', (0.95, 0.92, 0.86))
    _dining(solids, rng)
    _along_walls(solids, rng)
    lamps = tuple(Light(np.array([x, 0.0, 2.9]), (1.0, 0.94, 0.84), 2.2) for x in (-2.9, 2.9))
    scene = Scene(
        Surfaces(solids), lamps, ambient_up=(0.34, 0.34, 0.35), ambient_down=(0.30, 0.27, 0.24)
    )
    start = rng.uniform(0, 2 * math.pi)

    def pose(time_s: float) -> Float64:
        angle = start + 2 * math.pi * time_s / _LAP_S
        heading = math.atan2(2.75 * math.cos(angle), -4.3 * math.sin(angle))
        sway = 0.10 * math.sin(1.3 * time_s)
        return _pose(
            (4.3 * math.cos(angle), 2.75 * math.sin(angle), 0.0), heading + 0.45 + sway, 0.0
        )

    return World(scene, pose)


def _pose(position: Vector, yaw: float, slope: float) -> Float64:
    """T_world_rig of a rig that heads along `yaw` on ground that rises by `slope`."""
    pitch = -math.atan(slope)
    c, s, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    transform = np.eye(4)
    transform[:3, :3] = [[c * cp, -s, c * sp], [s * cp, c, s * sp], [-sp, 0.0, cp]]
    transform[:3, 3] = position
    return transform


def _on(solids: list[Solid], ground: Ground, x: float, y: float, yaw: float = 0.0) -> Placer:
    """A placer on the road or the pavement."""
    lift = _KERB_M if abs(y) > _KERB_Y_M else 0.0
    return Placer(solids, (x, y, float(ground.height(np.array(x))) + lift), yaw)


def _vehicle(place: Placer, rng: np.random.Generator) -> None:
    paint = props.CAR_PAINTS[rng.integers(len(props.CAR_PAINTS))]
    if rng.random() < 0.18:
        props.van(place, paint)
    else:
        props.car(place, paint, float(rng.uniform(4.0, 4.7)))


def _houses(solids: list[Solid], rng: np.random.Generator, side: int, end: float) -> None:
    """A row of houses with gaps that show hedges and a second row."""
    x = -30.0
    while x < end:
        width = 3.0 * float(rng.integers(3, 6))
        if rng.random() < 0.16:
            place = Placer(solids, (x + width / 2, side * 10.0, -0.5))
            place.box((0, 0, 0), (width, 0.9, 2.1), 'hedge')
            crown = Placer(solids, (x + width / 2, side * 14.0, 0.0))
            props.tree(crown, rng, float(rng.uniform(6, 9)))
        else:
            setback = float(rng.uniform(9.0, 9.6))
            _house(solids, rng, (x + width / 2, side * (setback + 6.0), -1.0), width)
        x += width
    for x in np.arange(-30.0, end, 33.0):
        wall, tint = _WALLS[rng.integers(len(_WALLS))]
        place = Placer(solids, (float(x), side * 38.0, -1.0))
        place.box(
            (0, 0, 0), (27.0, 12.0, float(rng.uniform(12, 24))), (wall, 'roof', 'roof'), tint
        )


def _house(solids: list[Solid], rng: np.random.Generator, at: Vector, width: float) -> None:
    """A house of 3 to 6 floors, 12 m deep, with a shop or a plinth, a cornice and chimneys."""
    wall, tint = _WALLS[rng.integers(len(_WALLS))]
    floors = 3.0 * float(rng.integers(2, 6))
    place = Placer(solids, at)
    if rng.random() < 0.45:
        place.box((0, 0, 0), (width, 12.1, 4.6), ('shop', 'stone', 'stone'))
    else:
        place.box((0, 0, 0), (width, 12.08, 2.0), 'stone')
        place.box(
            (0, 0, 2.0), (width, 12.0, 2.6), wall.split('_')[0].replace('office', 'concrete'), tint
        )
    place.box((0, 0, 4.6), (width, 12.0, floors), (wall, 'roof', 'roof'), tint)
    place.box((0, 0, 4.5), (width, 12.3, 0.22), 'stone')
    place.box((0, 0, 4.6 + floors), (width, 12.5, 0.35), ('stone', 'roof', 'stone'))
    for x in rng.uniform(-width / 2 + 1, width / 2 - 1, 2):
        place.box((float(x), 0, 4.9 + floors), (0.7, 1.6, 1.5), 'brick')


def _kerbside(
    solids: list[Solid], rng: np.random.Generator, ground: Ground, side: int, end: float
) -> None:
    """Parked vehicles, trees, lamps, signs, bins, benches and people on one side."""
    facing = 0.0 if side < 0 else math.pi
    for slot in np.arange(-18.0, end - 8, 6.3):
        clear = abs((slot + 22.0) % 60.0 - 30.0) < 6.0  # nobody parks on the crossing
        if rng.random() < 0.66 and not clear:
            yaw = facing + float(rng.normal(0, 0.02))
            x, y = float(slot + rng.uniform(-0.5, 0.5)), side * float(rng.uniform(4.35, 4.55))
            _vehicle(_on(solids, ground, x, y, yaw), rng)
    for x in np.arange(-12.0 + 5 * (side > 0), end - 8, 12.6):
        height = float(rng.uniform(5.6, 7.8))
        props.tree(_on(solids, ground, float(x + rng.uniform(-1, 1)), side * 6.5), rng, height)
    for x in np.arange(2.0 + 9 * (side > 0), end - 8, 31.5):
        props.street_lamp(_on(solids, ground, float(x), side * 6.0, -side * math.pi / 2))
    for x in np.arange(-14.0, end - 8, 7.5):
        draw = rng.random()
        at = float(x + rng.uniform(-3, 3))
        if draw < 0.55:
            y = side * float(rng.uniform(6.9, 8.6))
            props.person(_on(solids, ground, at, y, float(rng.choice((0.0, math.pi)))), rng)
        elif draw < 0.68:
            tint = ((0.10, 0.22, 0.12), (0.12, 0.14, 0.20), (0.45, 0.36, 0.08))[rng.integers(3)]
            props.bin_(_on(solids, ground, at, side * 8.4, float(rng.uniform(0, 3))), tint)
        elif draw < 0.82:
            props.bench(_on(solids, ground, at, side * 8.3, -side * math.pi / 2))
    for x in np.arange(4.0, end - 8, 27.0):
        colour = ((0.45, 0.02, 0.02), (0.02, 0.10, 0.40))[rng.integers(2)]
        props.sign(_on(solids, ground, float(x + rng.uniform(-4, 4)), side * 5.85), colour)


def _dining(solids: list[Solid], rng: np.random.Generator) -> None:
    """A carpet with a table and six chairs in the middle of the room."""
    Placer(solids, (0, 0, 0)).box((0, 0, 0), (3.6, 2.5, 0.012), 'carpet')
    props.table(Placer(solids, (0, 0, 0)), (2.2, 1.0))
    tint = props.CLOTHES[rng.integers(len(props.CLOTHES))]
    for x in (-0.6, 0.1, 0.75):
        for y, yaw in ((0.72, -math.pi / 2), (-0.72, math.pi / 2)):
            at = (x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.08, 0.12), 0.0)
            props.chair(Placer(solids, at, yaw + rng.uniform(-0.25, 0.25)), tint)
    on_table = Placer(solids, (0.0, 0.0, 0.75))
    on_table.post((0.2, 0.05, 0), 0.09, 0.20, 'paint', (0.25, 0.42, 0.55))
    on_table.ball((0.2, 0.05, 0.32), (0.17, 0.17, 0.16), 'leaves')
    on_table.box((-0.6, 0.1, 0), (0.34, 0.24, 0.02), 'metal')
    on_table.box((0.75, -0.2, 0), (0.22, 0.30, 0.05), 'cloth', (0.5, 0.1, 0.1))


def _along_walls(solids: list[Solid], rng: np.random.Generator) -> None:
    """Shelves, sofa, boxes, plants, pictures, a door, a window and people."""
    right, left = -math.pi / 2, math.pi / 2
    for x in (-4.4, -2.7, 1.2):
        props.shelf(Placer(solids, (x, 4.58, 0), right), rng)
    props.sofa(Placer(solids, (3.9, 4.2, 0), right), (0.16, 0.28, 0.36))
    props.sofa(Placer(solids, (-5.9, 0.2, 0), 0.0), (0.48, 0.40, 0.32))
    props.floor_lamp(Placer(solids, (5.6, 4.2, 0)))
    props.floor_lamp(Placer(solids, (-5.95, -1.4, 0)))
    for x, y in ((-0.4, 4.3), (5.9, -4.2), (-6.0, 4.1), (-6.0, 1.9)):
        props.plant(Placer(solids, (x, y, 0)), rng)
    props.table(Placer(solids, (-1.0, -4.3, 0)), (2.4, 0.7))
    props.chair(Placer(solids, (-1.1, -3.85, 0), right), (0.25, 0.27, 0.30))
    desk = Placer(solids, (-1.0, -4.35, 0.75))
    desk.box((-0.2, 0, 0.10), (0.60, 0.03, 0.36), ('rubber', 'rubber', 'rubber'))
    desk.box((-0.2, 0, 0), (0.20, 0.16, 0.10), 'metal')
    desk.box((0.7, 0.1, 0), (0.30, 0.22, 0.30), 'books')
    for i in range(9):
        size = (rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.6), rng.uniform(0.28, 0.5))
        at = (4.0 + 0.62 * (i % 3), -4.35 + 0.62 * (i // 3 == 2), 0.0 if i % 2 == 0 else 0.42)
        stack = Placer(solids, at, float(rng.uniform(-0.3, 0.3)))
        stack.box((0, 0, 0), size, 'cardboard', (rng.uniform(0.85, 1.1),) * 3)
    for x, y, size in (
        (0.0, 4.735, (1.3, 0.03, 0.95)), (3.9, 4.735, (1.6, 0.03, 1.0)),
        (1.6, -4.735, (1.2, 0.03, 0.9)),
    ):  # fmt: skip
        Placer(solids, (x, y, 0)).box((0, 0, 1.45), size, 'painting')
    wall = Placer(solids, (6.485, 0.0, 0.0))
    for y in (-1.7, 1.7):
        wall.box((0, y, 0.85), (0.10, 1.9, 1.7), 'ceiling')
        for part in (-0.46, 0.46):
            wall.box((-0.03, y + part, 0.93), (0.08, 0.82, 1.54), 'lamp', (1.5, 1.9, 2.4))
    door = Placer(solids, (-3.6, -4.735, 0.0))
    door.box((0, 0, 0), (1.10, 0.06, 2.15), 'ceiling')
    door.box((0, 0.02, 0), (0.94, 0.06, 2.07), 'wood')
    door.post((0.36, 0.07, 1.0), 0.025, 0.10, 'metal')
    for x, y, yaw in ((5.5, 0.1, math.pi), (-2.2, -3.9, left), (1.9, 3.95, right)):
        props.person(Placer(solids, (x, y, 0), yaw + rng.uniform(-0.4, 0.4)), rng)


WORLDS: dict[str, Callable[[np.random.Generator, float, float], World]] = {
    'street': street,
    'indoor': indoor,
}
