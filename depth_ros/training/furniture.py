"""Things that stand in the rooms of the training scenes."""

from __future__ import annotations

import math

import numpy as np

from depth_ros.training import shapes
from depth_ros.training.materials import PATTERN, PLAIN, Palette
from depth_ros.training.props import Place, Props
from depth_ros.training.shapes import Builder, box, cylinder


class Furniture(Props):
    """Adds furniture to a room; as `Props`."""

    def __init__(self, rng: np.random.Generator, builder: Builder, palette: Palette) -> None:
        super().__init__(rng, builder, palette)

    def table(self, at: Place, yaw: float) -> None:
        """A table or desk with things on it."""
        rng, add = self._rng, self._builder.add
        wood = self._palette.new(PATTERN, tile_m=(0.3, 2.0))
        size = (rng.uniform(0.5, 2.2), rng.uniform(0.4, 1.1), rng.uniform(0.4, 1.05))
        top = self._off(at, yaw, 0, 0, size[2] - 0.04)
        leg = rng.uniform(0.03, 0.09)
        if rng.random() < 0.2:
            add(cylinder(16), wood, top, (size[1], size[1], 0.04), yaw)
            add(cylinder(8), wood, at, (leg, leg, size[2]), yaw)
        else:
            add(box(), wood, top, (size[0], size[1], 0.04), yaw)
            for x in (0.46, -0.46):
                for y in (0.44, -0.44):
                    place = self._off(at, yaw, x * size[0], y * size[1], 0)
                    add(box(), wood, place, (leg, leg, size[2]), yaw)
        for _ in range(rng.integers(0, 7)):
            x, y = rng.uniform(-0.4, 0.4, 2) * size[:2]
            place = self._off(at, yaw, float(x), float(y), size[2])
            if rng.random() < 0.25:
                self.screen(place, yaw + rng.normal() * 0.3)
            else:
                self.clutter(place, rng.uniform(0.06, 0.35))

    def screen(self, at: Place, yaw: float) -> None:
        """A monitor on its foot."""
        dark = self._palette.new(tone=(0.02, 0.2), mirror=0.1)
        wide = self._rng.uniform(0.35, 0.9)
        panel = self._off(at, yaw, 0, 0, 0.1)
        self._builder.add(box(), dark, panel, (0.03, wide, 0.6 * wide), yaw)
        self._builder.add(box(), dark, at, (0.18, 0.3 * wide, 0.02), yaw)
        self._builder.add(box(), dark, at, (0.04, 0.05, 0.2), yaw)

    def chair(self, at: Place, yaw: float) -> None:
        """A chair on four legs or a swivel chair."""
        rng, add = self._rng, self._builder.add
        seat, leg = self._palette.new(saturation=0.5), self._palette.new()
        high, wide = rng.uniform(0.4, 0.5), rng.uniform(0.38, 0.55)
        place = self._off(at, yaw, 0, 0, high)
        add(box(), seat, place, (wide, wide, rng.uniform(0.03, 0.12)), yaw)
        back = self._off(at, yaw, -0.47 * wide, 0, high + rng.uniform(0.0, 0.2))
        add(box(), seat, back, (0.05, wide, rng.uniform(0.25, 0.6)), yaw, rng.uniform(-0.2, 0))
        if rng.random() < 0.3:
            add(cylinder(8), leg, at, (0.06, 0.06, high), yaw)
            for turn in np.arange(5) * 0.4 * math.pi:
                foot = self._off(at, yaw + turn, 0.16, 0, 0.05)
                add(box(), leg, foot, (0.32, 0.05, 0.05), yaw + turn)
            return
        for x in (0.45, -0.45):
            for y in (0.45, -0.45):
                foot = self._off(at, yaw, x * wide, y * wide, 0)
                add(cylinder(5), leg, foot, (0.035, 0.035, high + 0.5 * (x < 0)), yaw)

    def shelf(self, at: Place, yaw: float) -> None:
        """A bookcase with boards, books and gaps; it looks along its x axis."""
        rng, add = self._rng, self._builder.add
        wood = self._palette.new(PATTERN, tile_m=(0.3, 2.0))
        deep, wide, high = rng.uniform(0.2, 0.5), rng.uniform(0.6, 2.2), rng.uniform(0.7, 2.4)
        if rng.random() < 0.8:
            add(box(), wood, self._off(at, yaw, -deep / 2, 0, 0), (0.02, wide, high), yaw)
        for y in (-0.5, 0.5):
            add(box(), wood, self._off(at, yaw, 0, y * wide, 0), (deep, 0.03, high), yaw)
        levels = np.arange(0.0, high, rng.uniform(0.25, 0.5))
        for z in (*levels, high):
            add(box(), wood, self._off(at, yaw, 0, 0, z), (deep, wide, 0.025), yaw)
        for z in levels:
            y = -0.48 * wide
            while y < 0.45 * wide:
                run = rng.uniform(0.05, 0.4)
                if rng.random() < 0.65:
                    tall, part = rng.uniform(0.1, 0.24), self._palette.new(saturation=0.7)
                    thick = deep * rng.uniform(0.4, 0.95)
                    place = self._off(at, yaw, 0.1 * deep, y + run / 2, z + 0.025)
                    add(box(), part, place, (thick, run, tall), yaw)
                y += run

    def sofa(self, at: Place, yaw: float) -> None:
        """A sofa, armchair or bed of soft blocks."""
        rng, add = self._rng, self._builder.add
        cloth = self._palette.new(PLAIN if rng.random() < 0.5 else PATTERN, tile_m=(0.1, 1.0))
        soft = shapes.rounded(rng.uniform(0.15, 0.5), 12)
        deep, wide, high = rng.uniform(0.8, 2.1), rng.uniform(0.8, 2.4), rng.uniform(0.35, 0.55)
        add(soft, cloth, self._off(at, yaw, 0, 0, high / 2), (deep, wide, high), yaw)
        back = self._off(at, yaw, -deep / 2, 0, 0.8 * high)
        add(soft, cloth, back, (0.25, wide, rng.uniform(0.6, 1.2)), yaw)
        for side in (0.5, -0.5):
            arm = self._off(at, yaw, 0, side * wide, 0.6 * high)
            add(soft, cloth, arm, (deep, 0.2, 1.2 * high), yaw)
        for _ in range(rng.integers(0, 4)):
            pillow = self._palette.new(PATTERN, tile_m=(0.1, 0.6), saturation=0.6)
            y = rng.uniform(-0.35, 0.35) * wide
            place = self._off(at, yaw, -0.25 * deep, float(y), high + 0.15)
            add(shapes.rounded(0.6, 10), pillow, place, (0.18, 0.45, 0.4), yaw, -0.3)

    def curtain(self, at: Place, yaw: float) -> None:
        """Folds of cloth that hang along the y axis."""
        rng = self._rng
        cloth = self._palette.new(PLAIN if rng.random() < 0.5 else PATTERN, tile_m=(0.2, 2.0))
        wide, high = rng.uniform(0.5, 2.0), rng.uniform(1.2, 2.4)
        y = np.linspace(-wide / 2, wide / 2, 40)
        x = rng.uniform(0.02, 0.08) * np.sin(y * rng.uniform(20, 50))
        points = np.stack([np.stack((x, y, 0 * y + z), -1) for z in (0.0, high)])
        self._builder.add(shapes.sheet(points), cloth, at, yaw=yaw)

    def lamp(self, at: Place) -> None:
        """A standing lamp."""
        metal, shade = self._palette.new(), self._palette.new(tone=(0.7, 1.0))
        tall, thick = self._rng.uniform(1.2, 1.8), self._rng.uniform(0.015, 0.04)
        self._builder.add(cylinder(6), metal, at, (thick, thick, tall))
        self._builder.add(cylinder(12), metal, at, (0.3, 0.3, 0.03))
        cone = shapes.revolution(((0.5, 0.0), (0.3, 1.0)), 14)
        self._builder.add(cone, shade, (at[0], at[1], at[2] + tall - 0.25), (0.45, 0.45, 0.3))
