"""Parks, farms and building sites: uneven ground, much that grows, what is kept outdoors."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.simulation import people, shapes, vegetation
from depth_ros.simulation.assembly import assemble
from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.shading import daylight
from depth_ros.simulation.stores import KITS, ORIGIN, UNIT, Stores
from depth_ros.simulation.street_furniture import FENCES, THINGS, cable, fence
from depth_ros.simulation.trajectory import along
from depth_ros.simulation.world import Mover, Wish, World

_SPEED_MPS = 2.0
_THINGS = (
    ('container', 0, 1.2, 3.5, 14), ('shed', 0.4, 0.9, 3.0, 14), ('excavator', 0, 0.9, 3.6, 9),
    ('planks', 0.2, 1.5, 2.4, 8), ('pipes', 0, 1.5, 1.5, 8), ('logs', 1, 0.5, 1.5, 8),
    ('bench', 1.0, 0.2, 1.1, 2.5), ('anything', 0, 4, 1.0, 6), ('tree', 11, 3, 1.7, 28),
    ('hedge', 1.5, 0.2, 2.2, 9), ('bush', 7, 2.5, 1.2, 10), ('animal', 1.5, 0, 1.2, 9),
    ('standing', 0.7, 1.0, 0.5, 6), ('stone', 2, 3, 0.5, 6), ('grass', 45, 16, 0.3, 7),
)  # fmt: skip
"""How many on 20 m of a park and of a building site, radius and reach in metres."""


def yard(wish: Wish) -> World:
    """A winding path, driven at 2 m/s, through a park, a farm or a building site."""
    rng, builder, palette = wish.rng, Builder(), Palette(wish.rng, wish.wild)
    built, half, end = rng.uniform(), rng.uniform(1.1, 1.7), _SPEED_MPS * wish.duration_s + 32
    stores, banks = Stores(palette, rng), 0.4 * rng.normal(size=2)
    bends = rng.uniform((1.5, 0.1, 0), (4, 0.18, 6)), rng.uniform((0.2, 0.25, 0), (0.6, 0.4, 6))
    waves = rng.uniform((-0.4, 0.07, 0), (0.4, 0.22, 6), (3, 3))

    def ground(x_m: npt.ArrayLike, beside_m: npt.ArrayLike) -> Float64:
        """Points (..., 3) of the ground at x, so far to the left of the path."""
        x, beside = np.broadcast_arrays(np.asarray(x_m, float), np.asarray(beside_m, float))
        wind, hills = (sum(a * np.sin(k * x + p) for a, k, p in w) for w in (bends, waves))
        y, away = wind + beside, np.maximum(np.abs(beside) - half - 0.6, 0)
        bumps = 0.3 * np.sin(1.7 * x + 2 * np.sin(0.9 * y)) * np.sin(1.3 * y + 0.6 * x)
        bank = np.where(beside > 0, *banks) * np.minimum(away, 9) + bumps * np.minimum(away, 1)
        return np.stack((x, y, wish.relief_m * (hills + bank)), axis=-1)

    far, near = np.geomspace(1, 110, 20), np.arange(-12, end, 0.7)
    rows = np.concatenate((near[0] - far[::-1], near, near[-1] + far))[:, None]
    columns = half + np.concatenate(((0,), np.geomspace(0.5, 110, 24)))
    for offsets in (-columns, columns):
        land = palette('soil' if rng.random() < built else 'grass')
        builder.mesh(shapes.sheet(ground(rows, offsets)), ORIGIN, UNIT, land)
    path = shapes.sheet(ground(rows, np.linspace(-half, half, 5)))
    builder.mesh(path, ORIGIN, UNIT, palette('gravel' if rng.random() < 0.6 else 'soil'))
    for angle in np.arange(0, 2 * math.pi, 0.07):  # a wood all around
        away, size = rng.uniform(50, 80), rng.uniform((3, 3, 4), (6, 6, 8))
        x, y, z = ground(end / 2 + (end / 2 + away) * math.cos(angle), away * math.sin(angle))
        builder.ball((x, y, z + 4), (size[0], size[1], size[2]), look := palette('leaves'))
        builder.mesh(shapes.leaves(rng, 90, 0.06), (x, y, z + 4), tuple(2.3 * size), look)

    taken: list[Vector] = []
    for side in (-1, 1):
        if rng.random() < 0.6:
            beside, kind = side * (half + rng.uniform(1.1, 8)), str(rng.choice(list(FENCES)))
            x = np.arange(rng.uniform(-10, 10), rng.uniform(15, end), 2.0)
            fence(builder, palette, rng, kind, ground(x, beside))
            taken += [(at, beside, 1.0) for at in x]
        if rng.random() < 0.5:
            x, beside = np.arange(rng.uniform(-20, 0), end + 40, 21), side * rng.uniform(6, 12)
            for x0, y0, z0 in (poles := ground(x, beside)):
                assemble(builder.at(x0, y0, z0), palette, THINGS['pole'])
            for (a, b), y in product(pairwise(poles), (-0.85, -0.3, 0.3, 0.85)):
                cable(builder, palette, np.add(a, (0, y, 7.6)), np.add(b, (0, y, 7.6)), 0.7)
            taken += [(at, beside, 0.2) for at in x]
    density = math.sqrt((end + 10) * 52) / 20  # less on a long way, for the cost of it
    for name, green, grey, radius, reach in _THINGS:
        for _ in range(rng.poisson((green + built * (grey - green)) * density)):
            x, out = rng.uniform(-8, end), half + 1.2 + radius + reach * rng.random() ** 1.7
            beside = out * rng.choice((-1, 1))
            if all(math.hypot(x - a, beside - b) > radius + r for a, b, r in taken):
                taken.append((x, beside, radius))
                px, py, pz = ground(x, beside)
                _put(builder.at(px, py, pz, rng.uniform(0, 2 * math.pi)), stores, name)

    fine, movers, turns = np.linspace(-25, end + 40, 4000), [], rng.choice((-1, 1), 2)
    for i in range(rng.integers(2, 7)):  # those who are slow on one side, cyclists on the other
        name = 'cycling' if i % 2 else ('walking', 'animal')[rng.integers(2)]
        _put(thing := Builder(), stores, name)
        lane = ground(fine[:: turns[i % 2]], (0.5 - i % 2) * (2 * half + 1))
        ways = along(lane, 4.0 if i % 2 else 1.2, 28 + 8 * i + rng.uniform(0, 4))
        movers.append(Mover(tuple(thing.parts), ways))
    way = ground(fine, 0)
    start = float(np.linalg.norm(np.diff(way[fine < 0], axis=0), axis=1).sum())
    rig = along(way, _SPEED_MPS, start)
    return World(builder.parts, daylight(rng, wish.wild), rig, movers, wish.backend)


def _put(place: Builder, stores: Stores, name: str) -> None:
    """A thing of a name."""
    rng, palette, (a, b, c) = stores.rng, stores.palette, stores.rng.random(3)
    stone, low = (0.15 + 0.65 * a) * np.array((1, 0.8, 0.7)), (0, 0, 0.04 + 0.13 * a)
    size = 0.6 + 0.5 * a if name == 'animal' else 0.85 + 0.3 * a
    bush, hedge = (
        (0.8 + 1.6 * a, 0.7 + b, 0.5 + 1.5 * c),
        (2 + 2 * a, 0.5 + 0.5 * b, 0.7 + 1.2 * c),
    )
    makers: dict[str, Callable[[], None]] = {
        'tree': lambda: vegetation.tree(place, palette, rng, 4 + 7 * a),
        'bush': lambda: vegetation.bush(place, palette, rng, bush),
        'hedge': lambda: vegetation.hedge(place, palette, rng, hedge),
        'grass': lambda: vegetation.grass(place, palette, rng, 0.3 + 0.6 * a, 0.15 + 0.45 * b),
        'walking': lambda: people.person(place, palette, rng),
        'standing': lambda: people.person(place, palette, rng, 'standing'),
        'cycling': lambda: people.cyclist(place, palette, rng),
        'stone': lambda: place.mesh(shapes.lump(rng, 0.1, 10), low, stone, palette('stone')),
        'anything': lambda: stores.anything(place),
    }
    make = makers.get(name)
    if make:
        make()
    else:
        assemble(place, palette, (KITS | THINGS)[name], (size, size, size))
