"""A hall of pallet racks with its goods and traffic; the rig goes around a block of racks."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import people, shapes, vegetation
from depth_ros.simulation.assembly import assemble
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.shading import Lamp, Light
from depth_ros.simulation.stores import BAY_M, KITS, ORIGIN, UNIT, Stores
from depth_ros.simulation.street_furniture import fence
from depth_ros.simulation.trajectory import along
from depth_ros.simulation.world import Mover, Wish, World

_BLOCK_M = 1.25  # half the depth of two racks back to back
_SPEED_MPS = 1.5
_GLOW = (4.2, 4.1, 3.8)
_Rectangle = tuple[float, float, float, float]
"""x from and to, y from and to."""


def warehouse(wish: Wish) -> World:
    """A hall 25 m to 55 m long with a loading dock and a gallery over a corridor at its ends."""
    rng, builder, palette = wish.rng, Builder(), Palette(wish.rng, wish.wild)
    goods, bays, high = Stores(palette, rng), int(rng.integers(6, 15)), rng.uniform(5.2, 9.0)
    half, aisles, walls = BAY_M * bays / 2, rng.uniform(2.75, 3.8, 2), rng.uniform(1.3, 7.5, 2)
    levels = np.arange(pitch := rng.uniform(1.35, 1.9), high - 1.9, pitch)
    full = min(rng.uniform(0.4, 0.75), 3.7 / math.sqrt(bays * len(levels)))
    looks, yellow = (palette('paint'), palette('machine')), palette('marking', (0.6, 0.42, 0.03))
    for front, wall, turn in zip(_BLOCK_M + aisles, walls, (math.pi, 0), strict=True):
        side, count = builder.at(0, 0, 0, turn), round(bays * rng.choice((1.0, 0.7, 0.4)))
        start, free = -half, BAY_M * count - half
        if rng.random() < 0.5:
            start, free = -free, -half
        goods.rack(side.at(-half, 0.62), bays, levels, full, looks)
        goods.rack(side.at(start, front + 0.6), count, levels, full, looks)
        if wall > 4.2:
            goods.rack(side.at(start, front + wall - 0.75), count, levels, full, looks)
        _storage(goods, side.at(free, front), (bays - count) * BAY_M, wall)
        for y in (_BLOCK_M + 0.15, front - 0.15):
            side.box((0, y, 0), (2 * half, 0.1, 0.003), yellow)
    dock, gallery = half + rng.uniform(6, 9.5), half + rng.uniform(3.6, 5)
    outer = _BLOCK_M + aisles + walls
    inside = -dock, gallery, -outer[0], outer[1]
    _hall(builder, goods, inside, high)
    _dock(builder, goods, inside, high, -half - 3)
    _gallery(builder, goods, inside, half + 0.5, _BLOCK_M + aisles + 0.6)
    lane, start, movers = _BLOCK_M + aisles - 1, rng.uniform(0, 4 * half), []
    way = _ring((-half - 2, half + 1.6, -lane[0], lane[1]), 1.6)
    beside = _ring((-half - 0.6, half + 0.5, -_BLOCK_M - 0.5, _BLOCK_M + 0.5), 0.4)[::-1]
    for name, x, z, ahead_m in (('forklift', 1.45, 0.14, rng.uniform(6, 11)),
                                ('carrier', 0, 0.28, rng.uniform(14, 22))):  # fmt: skip
        assemble(thing := Builder(), palette, KITS[name])
        goods.pallet(thing.at(x, 0, z), 1.3)
        if name == 'forklift':
            people.person(thing.at(-0.12, 0, 0.3), palette, rng, 'sitting')
        movers.append(Mover(tuple(thing.parts), along(way, _SPEED_MPS, start + ahead_m, True)))
    for _ in range(rng.integers(1, 5)):
        people.person(thing := Builder(), palette, rng)
        at_m = rng.uniform(0, 4 * half)
        movers.append(Mover(tuple(thing.parts), along(beside, 1.1, at_m, closed=True)))
    spots = ((-0.4 * half, -_BLOCK_M - 1.5), (0.4 * half, _BLOCK_M + 1.5))
    lamps = [Lamp(np.array((x, y, high - 1.3)), (0.5, 0.49, 0.45)) for x, y in spots]
    sun = Lamp(1e4 * np.array((-0.8, 0.5 * rng.normal(), rng.uniform(0.35, 0.7))), (5, 4.7, 4.2))
    light = Light(
        (*lamps, sun), (0.34, 0.34, 0.35), (0.28, 0.27, 0.25), (0.5, 0.9, 1.6), (1.6, 1.8, 2)
    )
    rig = along(way, _SPEED_MPS, start, closed=True)
    return World(builder.parts, light, rig, movers[rng.integers(3) :], wish.backend)


def _ring(corners: _Rectangle, round_m: float) -> Float64:
    """A closed way (N, 3) along a rectangle, counter-clockwise, in bends of about a radius."""
    x0, x1, y0, y1 = corners
    knots = np.array((x0 + 1j * y0, x1 + 1j * y0, x1 + 1j * y1, x0 + 1j * y1, x0 + 1j * y0))
    far = np.concatenate(((0,), np.cumsum(np.abs(np.diff(knots)))))
    sharp = np.interp(np.linspace(0, far[-1], 4096, endpoint=False), far, knots)
    wave = 2 * math.pi * round_m * np.fft.fftfreq(4096, far[-1] / 4096)
    way = np.fft.ifft(np.fft.fft(sharp) * np.exp(-(wave**2) / 2))
    return np.stack((way.real, way.imag, 0 * way.real), axis=1)


def _storage(goods: Stores, place: Builder, wide: float, deep: float) -> None:
    """Goods on the floor, at times behind a fence."""
    if wide > 3 and deep > 2 and goods.rng.random() < 0.5:
        front = [(x, 0.2, 0) for x in np.linspace(0.4, wide - 0.4, math.ceil(wide / 2))]
        cell = np.array(((0.4, deep, 0), *front, (wide - 0.4, deep, 0)))
        fence(place, goods.palette, goods.rng, 'bars', cell)
    for x, y in product(np.arange(1.3, wide - 1, 1.6), np.arange(1.1, deep - 0.8, 1.6)):
        if goods.rng.random() < 0.8:
            goods.anything(place.at(x, y))


def _hall(builder: Builder, goods: Stores, inside: _Rectangle, high: float) -> None:
    """Floor, long walls, roof on trusses and columns, lamps and pipes."""
    rng, palette, (x0, x1, y0, y1) = goods.rng, goods.palette, inside
    x, y, long, wide, low = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, high - 0.9
    steel, pipe, lamp = palette('metal'), palette('tail_light'), palette('light', _GLOW)
    builder.box((x, y, -0.3), (long + 1, wide + 1, 0.3), palette('concrete'))
    builder.box((x, y, high), (long + 1, wide + 1, 0.2), palette('cladding'))
    for edge in (y0 - 0.15, y1 + 0.15):
        builder.box((x, edge, 0), (long + 0.6, 0.3, high), palette('cladding'))
        builder.box((x, edge, 0), (long, 0.36, rng.uniform(0.3, 2)), palette('concrete'))
    across = np.linspace(y0, y1, 2 * round(wide / 2.4) + 1)
    chords = [((y0, z), (y1, z)) for z in (low, high - 0.08)]
    chords += pairwise((y, (low, high - 0.08)[i % 2]) for i, y in enumerate(across))
    for at in np.linspace(x0 + 0.4, x1 - 0.4, round(long / 5.5)):
        truss = shapes.bars([((at, *a), (at, *b)) for a, b in chords], 0.09, 0.09)
        builder.mesh(truss, ORIGIN, UNIT, steel)
        for y in (y0 + 0.12, y1 - 0.12):
            builder.box((at, y, 0), (0.2, 0.24, high), steel)
    for y in np.arange(y0 + 2.2, y1 - 1.5, rng.uniform(2.8, 4)):
        for at in np.arange(x0 + 3, x1 - 2, 4.0):
            builder.box((at, y, low - 0.3), (1.5, 0.16, 0.07), (steel, steel, lamp))
            builder.box((at, y, low - 0.24), (0.02, 0.02, 0.3), steel)
            builder.post((at + 1.5, y + 0.8, low - 0.22), 0.02, 0.2, pipe)
        builder.rod((x0, y + 0.8, low - 0.1), (x1, y + 0.8, low - 0.1), 0.04, pipe)


def _dock(builder: Builder, goods: Stores, inside: _Rectangle, high: float, until: float) -> None:
    """The wall with roller doors, of which one is open, goods before it, and the yard outside."""
    rng, palette, (x0, _, y0, y1) = goods.rng, goods.palette, inside
    (wide, tall), skin, steel = rng.uniform(3.2, 4, 2), palette('cladding'), palette('metal')
    doors = np.arange(y0 + rng.uniform(2.4, 3.5), y1 - 2.3, rng.uniform(5, 6.5))
    opening = rng.choice(doors)
    for a, b, z in (y0, opening - wide / 2, 0), (opening + wide / 2, y1, 0), (y0, y1, tall):
        builder.box((x0 - 0.15, (a + b) / 2, z), (0.3, b - a, high - z), skin)
    slats = [((0.05, -wide / 2, z), (0.05, wide / 2, z)) for z in np.arange(0.05, tall, 0.2)]
    for y in doors:
        frame = builder.at(x0, y)
        for side in (-1, 1):
            frame.box((0.06, side * (wide / 2 + 0.08), 0), (0.14, 0.16, tall + 0.1), steel)
            frame.post((0.5, side * (wide / 2 + 0.3), 0), 0.08, 1.1, palette('safety'))
        frame.box((0.25, 0, tall), (0.5, wide + 0.4, 0.5), steel)
        if y != opening:
            frame.mesh(shapes.bars(slats, 0.03, 0.19), ORIGIN, UNIT, palette('cladding'))
    for x, y in product(np.arange(x0 + 1.4, until - 0.8, 1.7), np.arange(y0 + 1.2, y1 - 1, 1.7)):
        if rng.random() < 0.6 and abs(y - opening) > wide / 2 + 0.8:
            goods.anything(builder.at(x, y))
    yard = builder.at(x0 - 0.3, opening)
    yard.box((-40, 0, -0.32), (80, 160, 0.3), palette('gravel'))
    yard.box((rng.uniform(-70, -50), 6, -0.1), (12, 90, rng.uniform(4, 8)), palette('wall'))
    for y in rng.uniform(-8, 8, 3):
        vegetation.tree(yard.at(rng.uniform(-18, -12), y), palette, rng, rng.uniform(4, 8))


def _gallery(
    builder: Builder, goods: Stores, inside: _Rectangle, edge: float, posts: Float64
) -> None:
    """A deck over a corridor along a wall of doors, with pipes and a cable tray below."""
    rng, palette, (_, x1, y0, y1) = goods.rng, goods.palette, inside
    deck, metal, y, long = rng.uniform(2.8, 3.3), palette('metal'), (y0 + y1) / 2, y1 - y0
    builder.box((x1 + 0.15, y, 0), (0.3, long, 9), palette('plaster'))
    builder.box(((x1 + edge) / 2, y, deck), (x1 - edge, long, 0.25), palette('concrete'))
    rail = np.linspace((edge, y0, deck + 0.25), (edge, y1, deck + 0.25), round(long / 2))
    fence(builder, palette, rng, 'railing', rail)
    for y in (-posts[0], 0, posts[1]):
        builder.box((edge + 0.12, y, 0), (0.2, 0.2, deck), metal)
        goods.pallet(builder.at(edge + 1, y, deck + 0.25), 1.2)
    for x, z, radius in rng.uniform((0.15, 0.1, 0.02), (1.0, 0.35, 0.09), (5, 3)):
        builder.rod((x1 - x, y0, deck - z), (x1 - x, y1, deck - z), radius, palette('metal'))
    x, z = x1 - rng.uniform(1.2, 1.8), deck - 0.35
    tray = [((x + a, y0, z), (x + a, y1, z)) for a in (0, 0.3)]
    tray += [((x, y, z), (x + 0.3, y, z)) for y in np.arange(y0, y1, 0.4)]
    builder.mesh(shapes.bars(tray, 0.03, 0.06), ORIGIN, UNIT, metal)
    for y in np.arange(y0 + 1.2, y1 - 1, rng.uniform(1.8, 2.8)):
        builder.box((edge + 1.2, y, deck - 0.09), (0.15, 1.2, 0.08), palette('light', _GLOW))
        kit = KITS[('door', 'window')[rng.integers(2)]]
        assemble(builder.at(x1, y, 0, math.pi), palette, kit)
