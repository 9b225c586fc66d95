"""Streets in a town, a suburb or the country, driven along at 8 m/s."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.simulation import people, shapes, vegetation
from depth_ros.simulation.assembly import assemble
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.shading import daylight
from depth_ros.simulation.street_furniture import FENCES, THINGS, cable, fence, house
from depth_ros.simulation.trajectory import Trajectory
from depth_ros.simulation.vehicles import vehicle
from depth_ros.simulation.world import Mover, Wish, World

Range = tuple[float, float]
Path = Callable[[Float64], tuple[Float64, Float64]]

_SPEED_M_S, _BEHIND_M, _AHEAD_M, _ROW_M = 8.0, 40.0, 150.0, 2.0
_WHEELS_S = 0.15  # what moves points from where it was to where it will be by this

# In a town, a suburb, the country: what lengths, shares and roles are drawn from.
_LIKE: dict[str, tuple[Range, Range, Range]] = {
    'half road': ((5.1, 6.4), (3.6, 4.8), (2.8, 3.6)),
    'kerb': ((0.09, 0.16), (0.05, 0.14), (0, 0)),
    'walk': ((2.2, 4.0), (1.5, 2.3), (0.9, 1.6)),
    'setback': ((0, 0.3), (3, 8), (8, 25)),
    'house x': ((8, 17), (8, 13), (9, 18)),
    'house y': ((10, 13), (7, 10), (8, 12)),
    'house z': ((7, 18), (3.2, 6.5), (3.2, 6)),
    'gap': ((0, 6), (3, 14), (40, 160)),
    'slope': ((0, 0), (-0.2, 0.2), (-0.8, 0.8)),
    'bend': ((-0.08, 0.08), (-0.2, 0.2), (-0.2, 0.2)),
}
_ROLES = {
    'walk': (('paving', 'concrete', 'asphalt'), ('paving', 'concrete'), ('soil', 'grass')),
    'land': (('paving', 'concrete', 'grass'), ('grass',), ('grass', 'grass', 'soil')),
    'edge': (('', '', 'railing'), ('hedge', 'hedge', '', *FENCES),
             ('', '', 'wires', 'guard rail', 'hedge', 'boards')),
}  # fmt: skip
_BESIDE: tuple[tuple[str, Range, Range, Range, tuple[float, float, float]], ...] = (
    ('parked', (-1.08, -0.98), (0, 0), (2.7, 1.0), (15, 0, 0)),
    ('parked', (0.3, 0.6), (0, 0), (2.7, 1.0), (0, 9, 1)),
    ('traffic light', (0.4, 0.5), (0, 0), (0.3, 0.3), (0.8, 0, 0)),
    ('lamp', (0.35, 0.5), (0, 0), (0.3, 0.3), (3, 2, 0)),
    ('tree', (0.8, 1.1), (5, 9), (0.5, 0.5), (9, 4, 2)),
    ('tree', (2, 24), (4, 13), (1.2, 1.2), (2, 18, 16)),
    ('shelter', (1.5, 1.8), (0, 0), (2.2, 0.9), (0.3, 0.15, 0.05)),
    ('person', (0.8, 2.0), (0, 0), (0.4, 0.4), (7, 2, 0.3)),
    ('bicycle', (0.5, 2.0), (0, 0), (0.95, 0.4), (6, 1, 0)),
    ('motorbike', (0.9, 1.1), (0, 0), (1.0, 1.0), (1.5, 0.4, 0)),
    ('bench', (1.6, 2.0), (0, 0), (1.0, 0.4), (0.8, 0.2, 0.1)),
    ('table', (1.7, 2.0), (0, 0), (1.1, 0.5), (3, 0, 0)),
    ('bin', (0.4, 1.9), (0, 0), (0.4, 0.4), (2, 2.5, 0.1)),
    ('bollard', (0.25, 0.3), (0, 0), (0.1, 0.1), (8, 1, 0)),
    ('round sign', (0.35, 0.5), (0, 0), (0.3, 0.4), (1.5, 0.8, 0.5)),
    ('board', (0.7, 0.8), (0, 0), (0.3, 0.6), (0.5, 0.3, 0.4)),
    ('delineator', (0.5, 0.5), (0, 0), (0.1, 0.1), (0, 0, 4)),
    ('pot plant', (1.9, 2.1), (0.7, 1.6), (0.4, 0.4), (3, 0.5, 0)),
    ('bush', (1.2, 11), (0.7, 2.6), (0.8, 0.8), (6, 20, 20)),
    ('grass', (0.1, 6), (0.2, 0.7), (0.3, 0.3), (1, 16, 45)),
    ('bush', (40, 120), (5, 12), (6, 5), (1, 4, 6)),
)  # fmt: skip
"""What, how far from the kerb, how large, half extents, how many per 100 m in each place."""
_TRAFFIC = {
    '': ((2.8, 1.1), (5, 12)), 'van': ((2.8, 1.1), (5, 12)), 'lorry': ((4.6, 1.5), (5, 10)),
    'bus': ((6.2, 1.5), (5, 10)), 'cyclist': ((1.0, 0.4), (3, 6)), 'walker': ((0.6, 0.4), (1, 2)),
}  # fmt: skip
"""What moves, its half extents and speeds; no name is any car."""


def street(wish: Wish) -> World:
    """A street of any kind, with what stands along it and who moves on it."""
    return _Street(wish).world()


class _Street:
    """A street under construction: x along it, y to the left of its middle, which bends."""

    def __init__(self, wish: Wish) -> None:
        rng = self.rng = wish.rng
        self.wish, self.palette, self.root = wish, Palette(rng, wish.wild), Builder()
        self.where = int(rng.choice(3, p=(0.45, 0.3, 0.25)))
        self.half, self.kerb, self.walk, self.bend, *self.slopes = (
            self.draw(name) for name in ('half road', 'kerb', 'walk', 'bend', 'slope', 'slope')
        )
        self.edge, self.phase = self.half + self.walk, rng.uniform(0, 6, 5)
        self.end = _SPEED_M_S * wish.duration_s + _AHEAD_M
        self.lane = 0.45 * (self.half - (2.0, 0, 0)[self.where])
        rows = int(self.end / _ROW_M)
        self.junctions = [_ROW_M * row for row in rng.integers(12, rows - 15, rng.integers(0, 4))]
        self.zebras = [x - 10 for x in self.junctions if rng.random() < (0.8, 0.4, 0)[self.where]]
        self.taken = [(0.0, -self.lane, 1e4, 1.4)]
        for side in (1, -1):
            self.taken += [(x, side * (self.half + 40), 6.5, 40.0) for x in self.junctions]
            self.taken += [(x, side * self.half, 4.5, 1.9) for x in self.zebras]
        self.reserved = len(self.taken)

    def draw(self, name: str) -> float:
        """One of the lengths that are usual here."""
        return float(self.rng.uniform(*_LIKE[name][self.where]))

    def role(self, name: str) -> str:
        """One of the materials or fences that are usual here."""
        return str(self.rng.choice(_ROLES[name][self.where]))

    def world(self) -> World:
        """Everything, in the order in which it takes its place."""
        self.add_ground()
        self.add_markings()
        for side in (1, -1):
            self.add_houses(side)
            self.add_edges(side)
            self.add_beside(side)
        light, sway = daylight(self.rng, self.wish.wild), self.rng.uniform(0, 6)
        rig = self.trajectory(
            lambda t: (_SPEED_M_S * t, 0.15 * np.sin(0.96 * t + sway) - self.lane)
        )
        return World(self.root.parts, light, rig, self.movers(), self.wish.backend)

    def height(self, x: Float64, y: Float64) -> Float64:
        """Height of the ground."""
        a, b, c, d, _ = self.phase
        near = np.min([np.abs(x - at) for at in (*self.junctions, 1e9)], axis=0)
        kerb = np.clip((np.abs(y) - self.half) / 0.03, 0, 1) * np.clip(near / 2 - 2, 0, 1)
        off = np.clip(np.abs(y) - self.edge, 0, 14)
        land = np.where(y > 0, *self.slopes) * off
        land += 0.03 * off * np.sin(x / 3 + c) * np.sin(y / 4 + d)
        wave = 0.7 * np.sin(x / 20.7 + a) + 0.3 * np.sin(x / 9 + b)
        return np.asarray(self.kerb * kerb + self.wish.relief_m * (wave + land))

    def on(self, x: npt.ArrayLike, y: npt.ArrayLike, lift_m: float = 0.0) -> Float64:
        """Points (..., 3) of the ground in the world."""
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        middle = 55 * self.bend * np.sin(x / 55 + self.phase[4])
        return np.stack((x, y + middle, self.height(x, y) + lift_m), axis=-1)

    def at(self, x: float, y: float) -> Builder:
        """A builder of what stands there; x is along the street, which is on its right."""
        back, here, front = self.on((x - 0.5, x, x + 0.5), y)
        yaw = math.atan2(front[1] - back[1], 1.0) + math.pi * (y < 0)
        return self.root.at(here[0], here[1], here[2], yaw)

    def claim(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Take a place if it is free."""
        taken = np.array(self.taken)
        free = np.abs(taken[:, :2] - (x, y)) >= taken[:, 2:] + (half_x, half_y)
        if free.any(axis=1).all():
            self.taken.append((x, y, half_x, half_y))
            return True
        return False

    def sheet(self, points: Float64, role: str) -> None:
        """Add a surface."""
        self.root.mesh(shapes.sheet(points), (0, 0, 0), (1, 1, 1), self.palette(role))

    def strip(self, x: Range, y: Range, role: str, lift_m: float = 0.003) -> None:
        """Add paint or a patch on the road."""
        self.sheet(self.on(np.linspace(*x, int(x[1] - x[0]) + 2)[:, None], y, lift_m), role)

    def add_ground(self) -> None:
        """The road; on each side a kerb, a pavement or verge, land, and side streets."""
        x = np.arange(-30, self.end // _ROW_M + 10)[:, None] * _ROW_M
        self.sheet(self.on(x, (-self.half, 0, self.half)), 'asphalt')
        walk, land = self.role('walk'), self.walk + np.array((0, 3, 8, 14, 24, 45, 85, 150))
        out = self.half + np.array((0, 0.03, 0.16, *land))
        for side in (1, -1):
            grid = self.on(x, side * out)
            self.sheet(grid[:, :3], 'stone' if self.kerb else walk)
            self.sheet(grid[:, 2:4], walk)
            self.sheet(grid[:, 3:], self.role('land'))
            for at in self.junctions:
                row = int(at / _ROW_M) + 30
                self.sheet(np.add(grid[row - 2 : row + 3], (0, 0, 0.004)), 'asphalt')
        for y in np.linspace(-60, 60, 7):
            self.put('bush', self.at(self.end + 15, y), self.rng.uniform(6, 12))

    def add_markings(self) -> None:
        """Lines, crossings, patches of asphalt and manhole covers."""
        rng, half, end = self.rng, self.half, self.end
        for _ in range(int(end / 12)):
            x, y = rng.uniform((-20, 0.3 - half), (end, half - 2.3))
            if rng.random() < 0.5:
                long, wide = rng.uniform((0.5, 0.4), (7, 2))
                self.strip((x, x + long), (y, y + wide), 'asphalt', 0.002)
            else:
                self.at(x, y).post((0, 0, -0.1), 0.32, 0.104, self.palette('metal'))
        for x in np.arange(-_BEHIND_M, end, rng.uniform(6, 12)) if rng.random() < 0.8 else ():
            self.strip((x, x + 3), (-0.06, 0.06), 'marking')
        inset = half - (2.1, 0.2, 0.2)[self.where]
        for y in (inset, -inset) if rng.random() < (0.3, 0.2, 0.7)[self.where] else ():
            self.strip((-_BEHIND_M, end), (y, y + 0.12), 'marking')
        for x, y in itertools.product(self.zebras, np.arange(0.4 - half, half - 0.6, 1.0)):
            self.strip((x - 1.7, x + 1.7), (y, y + 0.5), 'marking')

    def add_houses(self, side: int) -> None:
        """A row of houses with gaps, and some behind."""
        rng, x = self.rng, -35.0
        while x < self.end:
            long, deep, high = (self.draw(f'house {axis}') for axis in 'xyz')
            y = self.edge + self.draw('setback')
            if not self.claim(x + long / 2, side * (y + deep / 2), long / 2, deep / 2):
                x += 3
                continue
            shop = rng.random() < (0.5, 0, 0)[self.where]
            house(self.at(x + long / 2, side * y), self.palette, rng, (long, deep, high), shop)
            x += long + self.draw('gap') * (self.where > 0 or rng.random() < 0.25)
        for x in np.arange(-_BEHIND_M, self.end, 24):
            if rng.random() < (0.8, 0.3, 0.05)[self.where]:
                long, deep, high = rng.uniform((10, 10, 4), (22, 13, (20, 8, 6)[self.where]))
                place = self.at(x, side * (self.edge + rng.uniform(32, 45)))
                place.box((0, 0, -2), (long, deep, high + 2), self.palette('wall'))
                place.mesh(
                    shapes.prism(), (0, 0, high), (long, 1.1 * deep, 4), self.palette('roof')
                )

    def add_edges(self, side: int) -> None:
        """Hedges, fences and rails along the street, and a line of poles."""
        rng, palette, x, ends = self.rng, self.palette, -30.0, []
        while x < self.end:
            long, kind = 6.0 * rng.integers(1, 5), self.role('edge')
            y = side * (self.edge + 0.3 if self.where else self.half + 0.4)
            if kind and self.claim(x + long / 2, y, long / 2, 0.3):
                along = np.arange(x, x + long + 1, 2.0)
                if kind == 'hedge':
                    size = (6.1, 0.7, rng.uniform(0.8, 1.8))
                    for middle in along[1::3] + 1:
                        vegetation.hedge(self.at(middle, y), palette, rng, size)
                else:
                    fence(self.root, palette, rng, kind, self.on(along, y))
            x += long + rng.uniform(1, 4)
        y, poles = side * (self.edge + 1.2), rng.random() < (0, 0.3, 0.6)[self.where]
        for x in np.arange(-30, self.end, 32.0):
            if poles and self.claim(x, y, 0.3, 0.3):
                self.put('pole', pole := self.at(x, y))
                ends.append([pole.at(0, out, 7.66).position for out in (-0.85, -0.3, 0.3, 0.85)])
        for first, second in itertools.pairwise(ends):
            for start, stop in zip(first, second, strict=True):
                cable(self.root, palette, start, stop, 0.5)

    def add_beside(self, side: int) -> None:
        """Everything of `_BESIDE` on one side, in about equal steps."""
        rng, long = self.rng, self.end + 30
        for what, beyond, size, half_m, per_100m in _BESIDE:
            count = round(per_100m[self.where] * long / 100 * rng.uniform(0.5, 1.2))
            for x in (np.arange(count) + rng.random(count)) * long / max(count, 1) - 30:
                y = side * (self.half + rng.uniform(*beyond))
                if self.claim(x, y, *half_m):
                    self.put(what, self.at(x, y), rng.uniform(*size))

    def put(self, what: str, place: Builder, size: float = 0.0) -> None:
        """Add a thing by its name."""
        rng, tools = self.rng, (self.palette, self.rng)
        turned, kind = place.at(0, 0, 0, rng.uniform(0, 6)), str(rng.choice(('', '', '', 'van')))
        if what in THINGS:
            assemble(place, self.palette, THINGS[what])
            if what == 'bench' and rng.random() < 0.5:
                people.person(place.at(0.4, 0.05, 0, -math.pi / 2), *tools, 'sitting')
            return
        makers: dict[str, Callable[[], None]] = {
            'parked': lambda: vehicle(place.at(0, 0, 0, math.pi), *tools, kind),
            'motorbike': lambda: vehicle(turned, *tools, what),
            'tree': lambda: vegetation.tree(place, *tools, size),
            'bush': lambda: vegetation.bush(place, *tools, (1.6 * size, 1.2 * size, size)),
            'grass': lambda: vegetation.grass(place, *tools, 2 * size, size),
            'pot plant': lambda: vegetation.pot_plant(place, *tools, size),
            'bicycle': lambda: people.bicycle(place.at(0, 0, 0, 0.1), *tools),
            'person': lambda: people.person(turned, *tools, 'standing'),
            'walker': lambda: people.person(place, *tools),
            'cyclist': lambda: people.cyclist(place, *tools),
        }
        makers.get(what, lambda: vehicle(place, *tools, what))()

    def trajectory(self, path: Path, upright: bool = False) -> Trajectory:
        """Along a path over the ground, whose slope is followed unless upright."""

        def angles(t: Float64) -> Float64:
            x, y, z = (self.on(*path(t + _WHEELS_S)) - self.on(*path(t - _WHEELS_S))).T
            pitch = -np.arctan2(z, np.hypot(x, y)) * (not upright)
            return np.stack((np.arctan2(y, x), pitch, 0 * z), axis=-1)

        return Trajectory(lambda t: self.on(*path(t)), angles)

    def movers(self) -> list[Mover]:
        """Traffic, which meets neither the rig nor anything else."""
        rng, t = self.rng, np.arange(-0.5, self.wish.duration_s + 0.5, 0.1)[:, None]
        rig = np.hstack((_SPEED_M_S * t, 0 * t - self.lane))
        ways: list[tuple[Float64, Range]] = [(rig, (3.5, 1.4))]
        standing, wanted = np.array(self.taken[self.reserved :]), rng.integers(4, 10)
        movers: list[Mover] = []
        for kind in rng.choice(['', '', *_TRAFFIC, 'walker'], 40):
            half_m, speeds = _TRAFFIC[kind]
            way, speed = rng.choice((1, -1)), rng.uniform(*speeds)
            x, y = (
                rng.uniform(-10, 0.7 * self.end),
                -way * (self.lane + rng.uniform(0.5, 1) * (kind == 'cyclist')),
            )
            if kind == 'walker':
                y = rng.choice((1, -1)) * (self.half + rng.uniform(0.7, self.walk))
            start, velocity = np.array((x, y)), np.array((way * speed, 0))
            crossings = self.zebras if kind == 'walker' else self.junctions
            if crossings and rng.random() < 0.3:
                x = rng.choice(crossings) + way * (1.8 if kind != 'walker' else 0.5)
                start = np.array((x, -way * speed * rng.uniform(0, t[-1, 0])))
                velocity, half_m = velocity[::-1], half_m[::-1]
            at = start + t * velocity
            met = (np.abs(at[:, None] - standing[:, :2]) < standing[:, 2:] + half_m).all(-1).any()
            for other, size in ways:
                met |= (np.abs(at - other) < np.add(size, half_m)).all(-1).any()
            if not met and len(movers) < wanted:
                ways.append((at, half_m))
                body = Builder()
                self.put(kind, body)
                way_of = self.trajectory(_straight(start, velocity), kind == 'walker')
                movers.append(Mover(tuple(body.parts), way_of))
        return movers


def _straight(start: Float64, velocity: Float64) -> Path:
    """A path along or across the street."""
    return lambda t: (start[0] + velocity[0] * t, start[1] + velocity[1] * t)
