"""Goods, racks, vehicles and what else stands about in halls and yards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle, pairwise, product

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import people, shapes
from depth_ros.simulation.assembly import Row, assemble
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.materials import Material
from depth_ros.simulation.palette import Palette

BAY_M = 2.75
"""Length of a rack between two frames."""
ORIGIN, UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

_GRID = [((-0.4, y, 0), (-0.4, y, 1)) for y in np.linspace(-0.6, 0.6, 6)]
_GRID += [((x, -0.6, 0), (x, -0.6, 1)) for x in np.linspace(-0.2, 0.2, 2)]
_GRID += [((-0.4, -0.6, z), (a, -a - 0.2, z)) for a in (-0.4, 0.4) for z in np.linspace(0, 1, 4)]
_CAGE = shapes.bars(np.concatenate((_GRID, np.multiply(_GRID, (-1, -1, 1)))), 0.014, 0.014)
_PALLET = shapes.bars(
    [*(((x, -0.6, 0.05), (x, 0.6, 0.05)) for x in (-0.35, 0, 0.35)),
     ((-0.4, 0, 0.127), (0.4, 0, 0.127))], (0.1, 0.1, 0.1, 1.2), (0.1, 0.1, 0.1, 0.03),
)  # fmt: skip
_PLANKS = shapes.bars(
    [((math.sin(9 * z + y) / 9 - 1.3, y, z), (1.3 + math.sin(9 * z - y) / 5, y, z))
     for y, z in product(np.linspace(-0.5, 0.5, 6), np.linspace(0.15, 0.9, 12))], 0.17, 0.05,
)  # fmt: skip


def _pile(side: str, cap: str, radius: float, long: float) -> tuple[Row, ...]:
    """Three and two round things along y on each other."""
    return tuple(
        ('barrel', role, (x * radius, 0.2 * x * radius, z * radius), (r * radius, y, r * radius))
        for x, z in ((-2, 1), (0, 1), (2, 1), (-1, 2.73), (1, 2.73))
        for role, r, y in ((side, 1, long), (cap, 0.85, long + 0.01))
    )


KITS: dict[str, tuple[Row, ...]] = {
    'forklift': (
        ('mesh', 'machine', shapes.rounded(0.35, 12), (-0.55, 0, 0.7), (0.95, 1.1, 0.8)),
        ('box', 'rubber', (0.15, 0, 0.16), (1, 1, 0.42)),
        ('box', 'rubber', (-0.3, 0, 1), (0.1, 0.5, 0.6)),
        ('box', 'machine', (0.45, 0, 0.5), (0.2, 0.9, 0.55)),
        ('rod*', 'rubber', (-0.85, 0.48, 1), (-0.65, 0.48, 2.1), 0.025),
        ('rod*', 'rubber', (0.5, 0.48, 0.6), (0.3, 0.48, 2.1), 0.025),
        *(('box*', 'rubber', (-0.18, y, 2.08), (1, 0.05, 0.05)) for y in (0.48, 0.29, 0.1)),
        *(('box', 'rubber', (x, 0, 2.08), (0.05, 1, 0.05)) for x in (-0.65, 0.3)),
        *(('box*', 'metal', (0.78, y, 0.1), (0.1, 0.06, 2.2)) for y in (0.2, 0.32)),
        *(('box', 'metal', (0.8, 0, z), (0.08, 0.8, 0.1)) for z in (0.2, 0.6, 2.2)),
        ('box*', 'metal', (1.43, 0.27, 0.1), (1.15, 0.12, 0.04)),
        *(('barrel*', role, (x, y, r), (s * r, 0.1, s * r)) for x, r in ((0.5, 0.33), (-0.7, 0.26))
          for role, y, s in (('rubber', 0.46, 1), ('machine', 0.48, 0.6))),
        ('box*', 'tail_light', (-1, 0.35, 0.85), (0.04, 0.12, 0.1))),
    'carrier': (
        ('box', 'paint', (0, 0, 0.04), (1.5, 0.9, 0.24)),
        ('box', 'safety', (0, 0, 0.1), (1.54, 0.94, 0.06)),
        ('post', 'rubber', (0.68, 0.38, 0.28), 0.06, 0.12)),
    'hand truck': (
        ('box*', 'machine', (0.4, 0.2, 0.07), (1.15, 0.16, 0.05)),
        ('box', 'machine', (-0.23, 0, 0.07), (0.2, 0.5, 0.3)),
        ('barrel', 'rubber', (-0.35, 0, 0.1), (0.1, 0.08, 0.1)),
        ('rod', 'machine', (-0.35, 0, 0.1), (-0.6, 0, 1.15), 0.02),
        ('rod', 'rubber', (-0.6, -0.18, 1.17), (-0.6, 0.18, 1.17), 0.02)),
    'trolley': (
        *(('barrel*', 'rubber', (x, 0.28, 0.06), (0.06, 0.02, 0.06)) for x in (-0.32, 0.32)),
        ('box', 'metal', (0, 0, 0.12), (0.8, 0.7, 0.04)),
        ('mesh', 'metal', _CAGE, (0, 0, 0.16), (0.98, 0.57, 1.5)),
        ('box', 'cartons', (0.1, 0.05, 0.16), (0.5, 0.45, 0.6)),
        ('box', 'cardboard', (0.05, 0, 0.76), (0.4, 0.3, 0.35))),
    'ladder': (
        *(('rod*', 'metal', (x, 0.3, 0), (0, 0.22, 2.2), 0.025) for x in (-0.7, 0.6)),
        *(('box', 'metal', (z / 3 - 0.7, 0, z), (0.08, 0.6, 0.03)) for z in 0.3 * np.arange(7))),
    'wrapped': (
        ('box', 'wrap', ORIGIN, (0.79, 1.19, 0.8)), ('box', 'wrap', (0, 0.02, 0), (0.6, 0.9, 1)),
        ('box', 'white', (0.1, 0, 0.4), (0.16, 1.2, 0.2))),
    'drums': tuple(('post*', role, (x, 0.3, 0), r, z) for x in (-0.2, 0.2)
                   for role, r, z in (('plastic', 0.195, 0.8), ('metal', 0.16, 0.81))),
    'rolls': (
        ('post*', 'wrap', (0, 0.3, 0), 0.29, 0.8), ('post*', 'white', (0, 0.3, 0), 0.2, 0.81)),
    'tank': (('mesh', 'metal', _CAGE, ORIGIN, UNIT), ('box', 'white', ORIGIN, (0.75, 1.15, 0.9))),
    'sacks': tuple(('ball*', 'cardboard', (0, 0.3, 0.09 + 0.17 * i), (0.39, 0.29, 0.1))
                   for i in range(4)),
    'door': (
        ('box', 'white', (0.02, 0, 0), (0.1, 1.1, 2.15)),
        ('box', 'paint', (0.04, 0, 0), (0.1, 0.92, 2.06)),
        ('rod', 'metal', (0.12, 0.36, 1), (0.12, 0.24, 1), 0.015),
        ('box', 'sign', (0.02, 0, 2.25), (0.03, 0.4, 0.2))),
    'window': (
        ('box', 'metal', (0, 0, 0.9), (0.06, 1.5, 1.2)),
        ('box', 'glass', (0, 0, 0.95), (0.08, 1.4, 1.1)),
        ('post', 'tail_light', (0.12, 1, 0.6), 0.08, 0.5)),
    'animal': (
        ('ball', 'fleece', (0, 0, 0.86), (0.72, 0.3, 0.34)),
        ('ball', 'fleece', (0.45, 0, 0.92), (0.3, 0.26, 0.3)),
        ('ball', 'fleece', (0.95, 0, 1.24), (0.24, 0.12, 0.13)),
        ('ball*', 'fleece', (0.82, 0.14, 1.32), (0.05, 0.1, 0.04)),
        ('rod', 'fleece', (0.55, 0, 1), (0.85, 0, 1.25), 0.11),
        ('rod', 'fleece', (-0.7, 0, 1), (-0.8, 0, 0.5), 0.03),
        ('rod*', 'fleece', (-0.48, 0.17, 0.75), (-0.52, 0.17, 0), 0.06),
        *(('rod', 'fleece', (0.5, y, 0.75), (0.5 + 0.6 * y, y, 0), 0.05) for y in (0.16, -0.16))),
    'excavator': (
        ('box*', 'rubber', (0, 0.95, 0), (2.4, 0.45, 0.6)),
        *(('barrel*', 'rubber', (x, 0.95, 0.3), (0.3, 0.22, 0.3)) for x in (1.2, -1.2)),
        ('box', 'rubber', (0, 0, 0.5), (1.2, 1.2, 0.3)),
        ('box', 'machine', (-0.3, 0, 0.7), (2.6, 2, 0.8)),
        ('box', 'machine', (-1.2, 0, 1.4), (0.8, 1.8, 0.3)),
        ('box', 'glass', (0.5, 0.5, 1.4), (0.9, 0.85, 1.1)),
        ('box', 'machine', (0.5, 0.5, 2.5), (1, 0.95, 0.08)),
        ('rod', 'machine', (0.8, -0.3, 1.2), (2.2, -0.3, 3), 0.14),
        ('rod', 'machine', (2.2, -0.3, 3), (3.4, -0.3, 2.6), 0.12),
        ('rod', 'machine', (3.4, -0.3, 2.6), (2.9, -0.3, 0.7), 0.1),
        ('rod', 'metal', (0.9, -0.3, 1.9), (2, -0.3, 2.9), 0.05),
        ('box', 'metal', (2.8, -0.3, 0.1), (0.7, 0.8, 0.6))),
    'container': (
        ('box', 'container', (0, 0, -0.3), (5.9, 2.34, 2.85)),
        *(('box*', 'container', (x, 1.17, -0.3), (0.13, 0.13, 2.9)) for x in (-3, 3)),
        *(('box*', 'container', (0, 1.17, z), (6, 0.13, 0.13)) for z in (0, 2.5)),
        *(('rod*', 'metal', (3, y, 0.1), (3, y, 2.4), 0.02) for y in (0.3, 0.8))),
    'shed': (
        ('box', 'wood', (0, 0, -0.5), (4, 3, 2.8)),
        ('mesh', 'roof', shapes.prism(), (0, 0, 2.3), (4.5, 3.8, 1)),
        ('box', 'paint', (0.7, 1.5, 0), (0.9, 0.06, 1.95)),
        ('box', 'white', (-0.8, 1.5, 0.9), (0.9, 0.08, 0.8)),
        ('box', 'glass', (-0.8, 1.5, 0.95), (0.8, 0.1, 0.7))),
    'logs': _pile('bark', 'wood', 0.15, 1.2),
    'pipes': _pile('concrete', 'rubber', 0.25, 1.2),
    'planks': (
        ('mesh', 'wood', _PLANKS, ORIGIN, UNIT),
        *(('box', 'wood', (x, 0, 0), (0.1, 1.1, 0.13)) for x in (-0.9, 0.9))),
}  # fmt: skip
"""By name; x forward."""
_LOADS = {
    'cartons': 0.36, 'wrapped': 0.28, 'heap': 0.09, 'drums': 0.08, 'rolls': 0.06, 'tank': 0.05,
    'sacks': 0.05, '': 0.03,
}  # fmt: skip


@dataclass(frozen=True)
class Stores:
    """Places goods; `palette` and `rng` decide what they are like."""

    palette: Palette
    rng: np.random.Generator

    def anything(self, place: Builder) -> None:
        """What stands on a floor, within 0.8 m around a place."""
        draw, place = self.rng.integers(8), place.at(0, 0, 0, self.rng.integers(4) * math.pi / 2)
        if draw < 3:
            assemble(place, self.palette, KITS[('trolley', 'hand truck', 'ladder')[draw]])
        elif draw == 3:
            people.person(place, self.palette, self.rng, 'standing')
        elif draw == 4:
            for level in range(self.rng.integers(3, 12)):
                self.pallet(place.at(0, 0, 0.145 * level), 0, '')
        else:
            self.pallet(place, 1.7)

    def pallet(self, place: Builder, top_m: float, load: str | None = None) -> None:
        """A pallet 0.8 m x 1.2 m with any load unless it is named, at most so high, or 0.9 m."""
        rng, place = self.rng, place.at(0, 0, 0, 0.02 * self.rng.normal())
        place.mesh(_PALLET, ORIGIN, UNIT, self.palette('wood'))
        if load is None:
            load = str(rng.choice(list(_LOADS), p=list(_LOADS.values())))
        high, on = min(top_m, rng.uniform(0.6, 1.7)), place.at(0, 0, 0.142)
        if load == 'cartons':
            look, across, deep = self.palette('cartons'), rng.integers(1, 3), rng.integers(2, 4)
            for i, j in product(range(across), range(deep)):
                at = (i + 0.5) * 0.78 / across - 0.39, (j + 0.5) * 1.18 / deep - 0.59, 0.0
                layers = max(1, int(high / 0.3) - int(rng.integers(2)))
                on.box(at, (0.76 / across, 1.16 / deep, 0.3 * layers), look, 0.02 * rng.normal())
        elif load == 'heap':
            self.heap(on, (0.7, 1.1), high)
        elif load:
            assemble(on, self.palette, KITS[load], (1, 1, high if load == 'wrapped' else 1))

    def heap(self, place: Builder, size_m: tuple[float, float], top_m: float) -> None:
        """Small things in a row along y, loosely put on each other."""
        for y in np.arange(0.2 - size_m[1] / 2, size_m[1] / 2 - 0.15, 0.4):
            z, role = 0.0, ('cardboard', 'cartons', 'plastic', 'metal')[self.rng.integers(4)]
            for long, wide, high in self.rng.uniform((0.25, 0.2, 0.12), (0.5, 0.38, 0.35), (3, 3)):
                if z + high < top_m and self.rng.random() < 0.7:
                    x = self.rng.uniform(-0.5, 0.5) * (size_m[0] - long)
                    place.box((x, y, z), (long, wide, high), self.palette(role))
                    z += high

    def rack(
        self, place: Builder, bays: int, levels_m: Float64, full: float,
        looks: tuple[Material, Material],
    ) -> None:  # fmt: skip
        """A pallet rack along x, 1.1 m deep, partly full; looks of its frames and beams."""
        top, ends = levels_m[-1] + 0.25, np.arange(bays + 1) * BAY_M
        steps = list(zip(np.arange(0.1, top - 0.6, 0.6), cycle((-0.5, 0.5)), strict=False))
        posts = [((x, y, 0), (x, y, top)) for x in ends for y in (-0.5, 0.5)]
        braces = [((x, y, z), (x, -y, z + 0.6)) for x in ends for z, y in steps]
        knots = product(ends[:-1], (-0.5, 0.5), levels_m)
        beams = [((x, y, z), (x + BAY_M, y, z)) for x, y, z in knots]
        for bars, wide, look in (posts, 0.07, 0), (braces, 0.03, 0), (beams, 0.06, 1):
            place.mesh(shapes.bars(bars, wide, 1.6 * wide), ORIGIN, UNIT, looks[look])
        for x, y in product((-0.12, ends[-1] + 0.12), (-0.3, 0.3)):
            place.post((x, y, 0), 0.06, 0.45, self.palette('safety'))
        floors = (-0.055, *levels_m, levels_m[-1] + 1.5)
        for x, (z, above) in product(ends[:-1] + BAY_M / 2, pairwise(floors)):
            slot, room, draw = place.at(x, 0, z + 0.055), above - z - 0.42, self.rng.random()
            if draw < 0.12:
                slot.box(ORIGIN, (BAY_M - 0.1, 1.0, 0.02), self.palette('wood'))
                self.heap(slot.at(0, 0, 0.02, math.pi / 2), (0.9, 2.4), room)
            for along in (-0.86, 0.0, 0.86) if 0.12 < draw < 0.2 + full else ():
                if self.rng.random() < full + 0.1:
                    self.pallet(slot.at(along, 0.03 * self.rng.normal()), room)
