"""Things that stand in the training scenes, each drawn anew."""

from __future__ import annotations

import math

import numpy as np

from depth_ros.frame import Float64
from depth_ros.training import shapes
from depth_ros.training.materials import FACADE, PATTERN, PLAIN, Palette
from depth_ros.training.shapes import Builder, box, cylinder

Place = tuple[float, float, float]


class Props:
    """Adds things to a scene.

    Args:
        rng: decides everything.
        builder: takes the shapes.
        palette: takes the materials.
    """

    def __init__(self, rng: np.random.Generator, builder: Builder, palette: Palette) -> None:
        self._rng, self._builder, self._palette = rng, builder, palette

    def vehicle(self, at: Place, yaw: float) -> None:
        """A car, van, lorry or bus."""
        rng, add = self._rng, self._builder.add
        paint = self._palette.new(PLAIN, tone=(0.03, 0.95), saturation=0.5, mirror=0.15)
        tyre = self._palette.new(tone=(0.02, 0.08))
        kind = rng.choice(4, p=(0.72, 0.14, 0.1, 0.04))
        length = (rng.uniform(3.6, 4.9), rng.uniform(4.6, 6), rng.uniform(6, 12), 12.0)[kind]
        width = (1.75, 1.95, 2.4, 2.5)[kind] * rng.uniform(0.95, 1.05)
        height = (rng.uniform(1.4, 1.75), rng.uniform(1.9, 2.6), rng.uniform(2.6, 3.8), 3.0)[kind]
        half, floor = length / 2, rng.uniform(0.15, 0.35)
        if kind == 0:
            belt = 0.55 * height
            nose, tail = rng.uniform(0.55, 0.75) * half, rng.uniform(0.35, 0.95) * half
            body = [
                (-half, floor),
                (half, floor),
                (half, 0.45 * height),
                (0.95 * half, belt - 0.05),
            ]
            body += [(-0.97 * half, belt + 0.05), (-half, 0.5 * height)]
            cabin = [
                (-tail, belt),
                (nose, belt - 0.08),
                (0.42 * nose, height),
                (-0.75 * tail, height),
            ]
            add(shapes.extruded(body, rng.uniform(0.9, 1.0)), paint, at, (1, width, 1), yaw)
            glass = self._palette.glass()
            add(shapes.extruded(cabin, 0.75), glass, at, (1, 0.94 * width, 1), yaw)
            roof = (at[0], at[1], at[2] + height - 0.02)
            add(box(), paint, roof, (0.45 * half + 0.4 * tail, 0.7 * width, 0.04), yaw)
        else:
            cab = self._palette.new(PLAIN, saturation=0.5)
            size = (length * 0.75, width, height - floor)
            add(box(), paint, self._off(at, yaw, -0.12 * length, 0, floor), size, yaw)
            size = (length * 0.25, 0.95 * width, (height - floor) * rng.uniform(0.6, 1.0))
            add(box(), cab, self._off(at, yaw, 0.375 * length, 0, floor), size, yaw)
            if kind != 2:
                size = (length * 0.9, width * 1.01, 0.25 * height)
                glass = self._palette.glass()
                add(box(), glass, self._off(at, yaw, -0.02 * length, 0, 0.58 * height), size, yaw)
        radius = rng.uniform(0.3, 0.36) if kind < 2 else 0.48
        wheel = shapes.extruded(
            [(radius * math.cos(a), radius * math.sin(a)) for a in np.arange(10) * 0.2 * math.pi]
        )
        for x in (0.6 * half, -0.62 * half):
            for y in (0.43 * width, -0.43 * width):
                add(wheel, tyre, self._off(at, yaw, x, y, radius), (1, 0.24, 1), yaw)

    def person(self, at: Place, yaw: float) -> None:
        """Somebody standing, walking or on a bicycle."""
        rng, add = self._rng, self._builder.add
        top, legs = (self._palette.new(tone=(0.03, 0.8), saturation=0.6) for _ in range(2))
        tall, step = rng.uniform(1.5, 1.95), rng.uniform(0, 0.35)
        limb, body = shapes.rounded(0.7, 8), shapes.rounded(0.6, 10)
        for side in (0.1, -0.1):
            foot = self._off(at, yaw, 0, side, 0.25 * tall)
            lean = math.copysign(step, side)
            add(limb, legs, foot, (0.17, 0.15, 0.52 * tall), yaw, lean)
            hand = self._off(at, yaw, 0, 2.4 * side, 0.62 * tall)
            add(limb, top, hand, (0.11, 0.11, 0.38 * tall), yaw, -lean)
        add(body, top, self._off(at, yaw, 0, 0, 0.66 * tall), (0.26, 0.44, 0.38 * tall), yaw)
        head = self._off(at, yaw, 0, 0, 0.93 * tall)
        add(shapes.ball(10), legs, head, (0.2, 0.17, 0.14 * tall), yaw)
        if rng.random() < 0.3:
            self.bicycle(self._off(at, yaw, 0, 0.3, 0), yaw)

    def bicycle(self, at: Place, yaw: float) -> None:
        """Two wheels of thin rims and a frame of tubes."""
        metal = self._palette.new(tone=(0.05, 0.7), saturation=0.6)
        angle = np.linspace(0, 2 * math.pi, 17)
        parts = [
            np.stack((x + 0.33 * np.cos(angle), 0 * angle, 0.34 + 0.33 * np.sin(angle)), -1)
            for x in (0.52, -0.52)
        ]
        frame = ((-0.52, 0.34), (-0.1, 0.3), (0.4, 0.85), (-0.2, 0.8), (-0.1, 0.3))
        parts.append(np.array([(x, 0, z) for x, z in frame]))
        parts.append(np.array([(0.52, 0, 0.34), (0.38, 0, 1.0), (0.3, 0, 1.05)]))
        for points in parts:
            self._builder.add(shapes.tube(points, 0.04), metal, at, yaw=yaw)

    def tree(self, at: Place, height: float) -> None:
        """A trunk, branches, and a crown of foliage one can partly see through."""
        rng, add = self._rng, self._builder.add
        bark, green = (
            self._palette.new(tone=(0.05, 0.35), hue=(1, 0.8, 0.6)),
            self._palette.green(),
        )
        trunk = rng.uniform(0.15, 0.55) * height
        thick = height * rng.uniform(0.02, 0.05)
        lean = rng.normal() * 0.05
        taper = shapes.revolution(((0.5, -0.1), (0.4, 0.5), (0.2, 1.0)), 8)
        add(taper, bark, at, (thick, thick, 0.9 * height), rng.uniform(0, 6), lean)
        bare = rng.random() < 0.2
        if rng.random() < 0.15 and not bare:  # conifer
            for level in np.linspace(0.15, 0.75, 5):
                wide = height * 0.4 * (1.05 - level)
                cone = shapes.lump(rng, 0.05, 10)
                place = (at[0], at[1], at[2] + level * height + 0.1 * height)
                add(cone, green, place, (wide, wide, 0.3 * height), rng.uniform(0, 6))
            return
        for _ in range(rng.integers(4, 9) * (3 if bare else 1)):
            yaw, tilt = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 1.3)
            start = trunk + rng.uniform(0, 0.6) * (height - trunk)
            reach = rng.uniform(0.15, 0.35) * height
            place = (at[0], at[1], at[2] + start)
            add(cylinder(5), bark, place, (0.25 * thick, 0.25 * thick, reach), yaw, tilt)
            if bare:
                continue
            tip = self._off(place, yaw, reach * math.sin(tilt), 0, reach * math.cos(tilt))
            wide = rng.uniform(0.25, 0.5) * height
            crown = (wide, wide, wide * rng.uniform(0.6, 1.0))
            if rng.random() < 0.6:
                leaf = rng.uniform(0.08, 0.25) / wide
                add(shapes.leaves(rng, int(rng.integers(60, 260)), leaf), green, tip, crown)
            if rng.random() < 0.5:
                inner = tuple(0.75 * side for side in crown)
                add(shapes.lump(rng, 0.12, 12), green, tip, inner, rng.uniform(0, 6))

    def bush(self, at: Place, size: tuple[float, float, float], yaw: float) -> None:
        """A shrub or a piece of hedge."""
        rng, green = self._rng, self._palette.green()
        middle = (at[0], at[1], at[2] + 0.45 * size[2])
        if rng.random() < 0.5:
            shape = shapes.lump(rng, rng.uniform(0.03, 0.12), 16)
        else:
            shape = shapes.rounded(rng.uniform(0.15, 0.7), 12)
        self._builder.add(shape, green, middle, tuple(0.9 * side for side in size), yaw)
        count, leaf = int(rng.integers(50, 300)), rng.uniform(0.03, 0.12) / max(size)
        self._builder.add(shapes.leaves(rng, count, leaf), green, middle, size, yaw)

    def grass(self, at: Place, spread: float) -> None:
        """Tufts of long blades, finer than a LiDAR's beam."""
        rng, green = self._rng, self._palette.green()
        shape = shapes.leaves(rng, int(rng.integers(40, 160)), 0.08)
        self._builder.add(shape, green, at, (spread, spread, rng.uniform(0.2, 0.9)))

    def house(self, at: Place, size: tuple[float, float, float], yaw: float) -> None:
        """A building with recessed windows, balconies, a roof and a chimney."""
        rng, add = self._rng, self._builder.add
        numbers = FACADE if rng.random() < 0.6 else PATTERN
        wall = self._palette.new(numbers, tile_m=(2.0, 8.0), tone=(0.15, 0.9))
        trim, glass = self._palette.new(), self._palette.glass()
        add(box(), wall, at, size, yaw)
        long, deep, high = size
        if rng.random() < 0.6:
            roof = self._palette.new(PATTERN, tile_m=(0.5, 2.0))
            top = self._off(at, yaw, 0, 0, high)
            rise = rng.uniform(0.3, 0.6) * deep
            add(shapes.prism(), roof, top, (1.03 * long, 1.08 * deep, rise), yaw)
        step, storey = rng.uniform(2.2, 4.0), rng.uniform(2.7, 3.4)
        out = rng.choice((-1.0, 1.0), p=(0.3, 0.7))
        relief = rng.uniform(0.05, 0.35)
        if rng.random() < 0.7:
            for z in np.arange(0.9, min(high - 1.5, 14), storey):
                for x in np.arange(-long / 2 + step / 2, long / 2 - 0.5, step):
                    for side in (1, -1):
                        place = self._off(at, yaw, x, side * (deep / 2), z)
                        frame = (1.3, 2 * relief if out > 0 else 0.06, 1.5)
                        add(box(), trim if out > 0 else glass, place, frame, yaw)
                        if rng.random() < 0.12:
                            balcony = self._off(at, yaw, x, side * (deep / 2 + 0.5), z - 0.3)
                            add(box(), trim, balcony, (2.2, 1.1, 1.0), yaw)
        add(
            box(), trim, self._off(at, yaw, 0, 0, high - 0.2), (1.02 * long, 1.04 * deep, 0.3), yaw
        )

    def post(self, at: Place) -> None:
        """A pole: a lamp with an arm, a sign, a traffic light, a bollard, or just a pole."""
        rng, add = self._rng, self._builder.add
        metal = self._palette.new(tone=(0.05, 0.7))
        kind = rng.integers(5)
        tall = (rng.uniform(4, 9), rng.uniform(2, 3), rng.uniform(3, 6), 1.0, rng.uniform(2, 8))[
            kind
        ]
        thick = rng.uniform(0.05, 0.22 if kind != 1 else 0.09)
        add(cylinder(8), metal, at, (thick, thick, tall), 0.0, rng.normal() * 0.01)
        yaw = rng.uniform(0, 2 * math.pi)
        if kind == 0:
            reach = rng.uniform(0.5, 3)
            arm = self._off(at, yaw, reach / 2, 0, tall)
            add(box(), metal, arm, (reach, 0.08, 0.1), yaw)
            add(box(), metal, self._off(at, yaw, reach, 0, tall - 0.1), (0.6, 0.25, 0.12), yaw)
        elif kind in (1, 2):
            plate = self._palette.new(PATTERN, tile_m=(0.3, 1.0), saturation=0.8)
            wide = rng.uniform(0.3, 1.6)
            size = (0.04 if kind == 1 else 0.25, wide, wide * rng.uniform(0.5, 1.6))
            add(box(), plate, self._off(at, yaw, 0.1, 0, tall - size[2]), size, yaw)

    def fence(self, start: Place, end: Place) -> None:
        """A fence, a railing, a guard rail or a wall from one point to another."""
        rng, add = self._rng, self._builder.add
        metal = self._palette.new(PLAIN if rng.random() < 0.6 else PATTERN)
        run = np.subtract(end, start)
        length, yaw = float(np.hypot(run[0], run[1])), math.atan2(run[1], run[0])
        tall, kind = rng.uniform(0.7, 2.0), rng.integers(4)

        def at(along: float, z: float) -> Place:
            x, y, ground = np.add(start, run * (along / length))
            return (float(x), float(y), float(ground) + z)

        if kind == 0:
            for middle in np.arange(1.0, length, 2.0):
                add(box(), metal, at(middle, -0.3), (2.02, 0.25, tall + 0.3), yaw)
            return
        gap = (0.0, 2.0, rng.uniform(0.12, 0.4), 2.5)[kind]
        bar = rng.uniform(0.02, 0.08) if kind == 2 else rng.uniform(0.05, 0.12)
        for along in np.arange(0, length, gap):
            add(box(), metal, at(along, 0), (bar, bar, tall), yaw)
        rails = (0.95 * tall,) if kind == 2 else np.linspace(0.4, 0.95, rng.integers(1, 5)) * tall
        for middle in np.arange(1.0, length, 2.0):
            for z in rails:
                high = 0.3 if kind == 3 else bar
                add(box(), metal, at(middle, z - high / 2), (2.0, bar, high), yaw)

    def wires(self, start: Float64, end: Float64) -> None:
        """Cables that sag between two points."""
        rng = self._rng
        metal = self._palette.new(tone=(0.02, 0.2))
        share = np.linspace(0, 1, 16)[:, None]
        for _ in range(rng.integers(1, 4)):
            shift = rng.normal(size=3) * 0.4
            points = start + shift + share * (end - start)
            points[:, 2] -= 4 * rng.uniform(0.2, 1.5) * (share * (1 - share))[:, 0]
            self._builder.add(shapes.tube(points, rng.uniform(0.02, 0.06), 4), metal)

    def clutter(self, at: Place, size: float) -> None:
        """Any shape: a stone, a box, a barrel, a cone, a ball, a ramp, a pile."""
        rng = self._rng
        numbers = PLAIN if rng.random() < 0.6 else PATTERN
        material = self._palette.new(numbers, tile_m=(0.1 * size, 2 * size), saturation=0.5)
        kind = rng.integers(7)
        extent = size * rng.uniform(0.4, 1.4, 3)
        lift = 0.0
        if kind == 0:
            shape, lift = shapes.lump(rng, 0.15, 12), 0.35 * extent[2]
        elif kind == 1:
            shape, lift = shapes.rounded(rng.uniform(0.1, 1.5), 12), 0.5 * extent[2]
        elif kind == 2:
            shape = shapes.prism()
        elif kind == 3:
            shape = shapes.cone()
        elif kind == 4:
            shape = cylinder(12)
        elif kind == 5:
            outline = ((0.05, 0), (0.5, 0.1), (0.3, 0.5), (0.45, 0.8), (0.2, 1.0))
            shape = shapes.revolution(outline, 12)
        else:
            shape = box()
        place = (at[0], at[1], at[2] + lift)
        tilt = 0.0 if rng.random() < 0.8 else rng.normal() * 0.3
        self._builder.add(shape, material, place, tuple(extent), rng.uniform(0, 6), tilt)

    @staticmethod
    def _off(at: Place, yaw: float, x: float, y: float, z: float) -> Place:
        """A place given in the thing's own axes."""
        c, s = math.cos(yaw), math.sin(yaw)
        return (at[0] + c * x - s * y, at[1] + s * x + c * y, at[2] + z)
