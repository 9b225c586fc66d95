"""Rooms of many kinds, each furnished anew, which the rig walks around once in 40 s."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import people
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.furniture import SIZES_M, Furniture
from depth_ros.simulation.palette import Palette
from depth_ros.simulation.shading import Lamp, Light
from depth_ros.simulation.trajectory import Trajectory
from depth_ros.simulation.world import Mover, Wish, World

_LAP_S = 40.0
_CLEAR_M, _EDGE_M = 0.72, 1.15  # from the way to what stands there, and to walls;
_LOW_M, _STEP_M = 0.3, 0.25  # what is lower may be so near
_WALL_M = 0.2
_BULGE = 0.07  # makes an ellipse a rounded rectangle
_SMALL_M = np.array([[0.45] * 2, [0.45] * 2, [1.0] * 2, [0.0] * 2])
_ON_FLOOR = 'shoes/shoes/books/books/papers/toy/toy/clothes/carton/bottle/bin/cushion'
_ON_FLOOR_M = np.array([0.4, 0.4, 0.28, 0.0])
_KINDS = (
    (3.2, 8, 3, 'shelf/low-shelf/sideboard/media/sofa/armchair/cupboard/desk/board',
     'lounge/dining', 'pouf/palm/chair/floor-lamp/chair/person/books/bag/boxes/tube-chair',
     'picture/picture/wall-shelf'),
    (4.5, 14, 3.5, 'shelf/low-shelf/cupboard/work-desk/work-desk/rack/sideboard', 'work-desk',
     'swivel-chair/bin/boxes/palm/bag/flip-chart/person/chair/boxes/tube-chair',
     'whiteboard/hooks/picture/cord'),
    (5, 12, 3.5, 'shelf/low-shelf/cupboard/desk/rack/sideboard/board', 'school-desk',
     'chair/chair/bag/bin/boxes/flip-chart/palm/person/tube-chair', 'whiteboard/picture/hooks'),
    (3, 5.5, 2.8, 'bed/cupboard/desk/shelf/rack/sideboard/armchair/board', 'bed/lounge',
     'shoes/bag/floor-lamp/pouf/boxes/chair', 'picture/wall-shelf/hooks'),
    (3, 7, 2.8, 'counter/counter/fridge/cupboard/shelf/sideboard', 'dining',
     'stool/bin/boxes/chair/palm/person', 'wall-shelf/picture'),
    (7, 14, 6, 'sofa/sofa/stairs/shelf/low-shelf/sideboard/media/desk', 'lounge/dining',
     'palm/palm/chair/pouf/floor-lamp/bag/person/chair/boxes/tube-chair/swivel-chair/pillar',
     'picture/whiteboard/cord'),
    (3.5, 9, 4, 'shelf/shelf/low-shelf/cupboard/rack/desk/board', 'shelf/low-shelf/desk/rack',
     'boxes/boxes/bin/bag/stool/chair/board', 'wall-shelf/hooks/cord'),
)  # fmt: skip
"""Least and most length, most height, and what stands at walls, in rows, anywhere, and hangs."""


class _Room:
    """A room that fills up, half of its length and width and its height (3,); `way` stays free."""

    def __init__(self, wish: Wish, bounds: Float64, way: Float64) -> None:
        self.palette, self.builder = Palette(wish.rng, wish.wild), Builder()
        self._kit = Furniture(wish.rng, self.palette)
        self._rng, self._draw, self._way = wish.rng, wish.rng.uniform, way
        self._bounds, self._taken = bounds, np.zeros((0, 2, 3))
        self._walls = []  # of each a frame in its middle, looking into the room, and its length
        for x, y in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            frame = self.builder.at(x * bounds[0], y * bounds[1], 0, math.atan2(-y, -x))
            self._walls.append((frame, 2 * float(bounds[abs(x)])))

    def _claim(self, at: Builder, deep: float, wide: float, tall: float) -> bool:
        """Take a place about the middle of its bottom if it is free, inside and off the way."""
        c, s = abs(math.cos(at.yaw)), abs(math.sin(at.yaw))
        reach = np.array((c * deep + s * wide, s * deep + c * wide, 0)) / 2
        low, high = at.position - reach, at.position + reach + (0, 0, tall)
        away = np.maximum(np.maximum(low[:2] - self._way, self._way - high[:2]), 0)
        meets = np.all((low < self._taken[:, 1]) & (high > self._taken[:, 0]), axis=1)
        outside = np.maximum(-low, high) > self._bounds + 1e-6
        clear_m = _CLEAR_M if tall > _LOW_M else _STEP_M
        if outside.any() or meets.any() or np.hypot(*away.T).min() < clear_m:
            return False
        self._taken = np.concatenate((self._taken, [(low, high)]))
        return True

    def _size(self, name: str) -> Float64:
        return np.asarray(self._draw(*SIZES_M.get(name, _SMALL_M).T))

    def _put(self, names: str, at: Builder, size: Float64 | None = None) -> None:
        """Put one of some things with its back somewhere, if its place is free."""
        name = self._kit.pick(names)
        deep, wide, high, up = self._size(name) if size is None else size
        if self._claim(at.at(deep / 2, 0, up), deep, wide, high):
            if name in SIZES_M:
                self._kit.add(at.at(0, 0, up), name, (deep, wide, high))
            else:
                self._kit.add(at.at(deep / 2, 0), name)

    def build(self) -> list[Lamp]:
        """Floor, ceiling and walls, and behind doors and windows other rooms, houses and the sun.

        Returns the lamps there.
        """
        (long, wide, high), kit, looks = self._bounds * (2, 2, 1), self._kit, dict[str, Any]()
        paper, lamps = kit.new('wallpaper/wallpaper/wallpaper/plaster/brick'), list[Lamp]()
        floor, trim = kit.new('parquet/parquet/wood/stone/carpet/cloth'), kit.new('wood/white')
        self.builder.box((0, 0, -0.1), (long + 0.4, wide + 0.4, 0.1), floor)
        self.builder.box((0, 0, high), (long + 0.4, wide + 0.4, 0.1), kit.new('ceiling/plaster'))
        for x in np.arange(-long / 2, long / 2, self._draw(0.8, 2)) if self._draw() < 0.3 else ():
            self.builder.box((float(x), 0, high - 0.2), (0.16, wide, 0.2), trim)
        if self._draw() < 0.2:  # under the roof
            wall, run = self._walls[int(self._rng.integers(4))]
            low, lean = self._draw(1.3, 1.9), self._draw(0.6, 0.9)
            slope = (0.1, run, (high - low) / math.cos(lean) + 0.2)
            wall.box((-0.1, 0, low), slope, kit.new('plaster/wallpaper'), tilt=lean)
        for (wall, run), sort in zip(self._walls, self._rng.permutation(4), strict=True):
            name, low, top, places = 'door', 0.0, 2.08, np.zeros(0)
            if sort == 0 or (sort == 3 and self._draw() < 0.4):
                wide, deep = self._draw(0.8, 1.0), self._draw(2, 4)
                places = self._draw(-0.5, 0.5, 1) * (run - wide - 0.4)
                kit.add(wall.at(-_WALL_M, places[0]), 'next-room', (deep, 4.4, high))
                self._claim(wall.at(0.4, places[0]), 0.8, wide, top)
                if sort == 0:
                    at = np.array(wall.at(-deep / 2, places[0], high - 0.3).position)
                    lamps.append(Lamp(at, (0.9, 0.85, 0.75), 1.4))
            elif sort == 1 or self._draw() < 0.4:
                name, count = kit.pick('window/bright-window/draped-window'), max(1, int(run / 2))
                low, top = float(self._rng.choice((0.9, 0.7, 0.1))), self._draw(1.9, high - 0.2)
                wide = self._draw(0.45, 0.75) * run / count
                places = ((np.arange(count) + 0.5) / count - 0.5) * run
                kit.add(wall, 'outside', (1, 1, self._draw(0.2, 9)))
                if sort == 1 and self._draw() < 0.5:
                    sun = wall.at(-1e4, self._draw(-1e4, 1e4), self._draw(4e3, 1e4)).position
                    lamps.append(Lamp(np.array(sun), (1.9, 1.75, 1.5)))
            for y in places:
                kit.add(wall.at(0, y, low), name, (_WALL_M, wide, top - low), looks)
                self._claim(wall.at(0.1, y, low), 0.2, wide + 0.3, top - low)
                for bottom, tall in ((0, low), (top, high - top)):
                    wall.box((-_WALL_M / 2, y, bottom), (_WALL_M, wide, tall + 1e-3), paper)
            ends = *(places - wide / 2), run / 2 + _WALL_M
            for left, right in zip((-ends[-1], *(places + wide / 2)), ends, strict=True):
                y, long = (left + right) / 2, right - left
                wall.box((-_WALL_M / 2, y, 0), (_WALL_M, long, high), paper)
                wall.box((0.01, y, 0), (0.02, long, 0.08), trim)
        return lamps

    def furnish(self, middle: Float64, walls: str, rows: str, loose: str, hung: str) -> None:
        """Put things in rows about the middle of the way, at walls, on walls, and anywhere."""
        for _ in range(4):
            name, yaw = self._kit.pick(rows), int(self._rng.integers(4)) * math.pi / 2
            size = self._size(name)
            pitch = size[:2] + self._draw(0.05, 0.7, 2)
            frame = self.builder.at(middle[0], middle[1], 0, yaw).at(-size[0] / 2, 0)
            for x, y in pitch * ((0, 0), *(np.argwhere(np.ones((15, 15))) - 7)):
                self._put(name, frame.at(x, y), size)
        for wall, run in self._walls:
            for along in self._draw(-0.5, 0.5, int(14 * run)) * run:
                self._put(walls, wall.at(0.03, along))
            for along in self._draw(-0.5, 0.5, int(2 * run)) * run:
                self._put(hung, wall.at(0, along, self._draw(-0.15, 0.15)))
        area_m2 = 4 * self._bounds[0] * self._bounds[1]
        floor = _ON_FLOOR, self._draw(4, 16), _ON_FLOOR_M
        for names, per_m2, alike in ((loose, 14, None), floor):
            for x, y in self._draw(-1, 1, (int(per_m2 * area_m2), 2)) * self._bounds[:2]:
                self._put(names, self.builder.at(x, y, 0, self._draw(0, 6)), alike)

    def lamps(self, wild: float) -> list[Lamp]:
        """Lamps under the ceiling in a row."""
        count, name = int(self._rng.integers(1, 3)), self._kit.pick('panel/pendant')
        red, green, blue = (1.0, 0.94, 0.84) + self._draw(-0.1, 0.25) * np.array((-0.2, 0.1, 1))
        if self._draw() < wild:
            red, green, blue = self._draw(0.3, 1.5) * self._draw(0.5, 1.3, 3)
        *half, high = self._bounds
        lamps, fade_m = [], 0.75 + 0.52 * math.sqrt(half[0] * half[1] / count)
        for share in (2 * np.arange(count) + 1) / count - 1:
            x, y = (half[0] * share, 0.0) if half[0] > half[1] else (0.0, half[1] * share)
            self._kit.add(self.builder.at(x, y, high), name)
            at = np.array((x, y, high - (0.25 if name == 'panel' else 0.65)))
            lamps.append(Lamp(at, (float(red), float(green), float(blue)), fade_m))
        return lamps


def _around(
    middle: Float64, reach: Float64, start: float, rate: float, swing: float
) -> Trajectory:
    """Around a rounded rectangle, looking ahead and `swing` radians to the sides of that."""

    def position(time_s: Float64) -> Float64:
        turn = np.exp(1j * (start + rate * time_s))
        at = turn - _BULGE * turn**-3
        x, y = middle[0] + reach[0] * at.real, middle[1] + reach[1] * at.imag
        return np.stack((x, y, 0 * time_s), axis=1)

    def angles(time_s: Float64) -> Float64:
        turn = np.exp(1j * (start + rate * time_s))
        along = 1j * rate * (turn + 3 * _BULGE * turn**-3)
        ahead = np.arctan2(reach[1] * along.imag, reach[0] * along.real)
        aside = np.cos(start) + np.sin(0.33 * time_s + 9 * start) + 0.3 * np.sin(1.3 * time_s)
        return np.stack((ahead + swing * aside, 0 * time_s, 0 * time_s), axis=1)

    return Trajectory(position, angles)


def indoor(wish: Wish) -> World:
    """A furnished room, among other rooms and with a view; its floor is a plane."""
    rng = wish.rng
    least, most, highest, *names = _KINDS[int(rng.integers(len(_KINDS)))]
    half = np.exp(rng.uniform(np.log(least), np.log(most), 2)) / 2
    reach = np.maximum((half - _EDGE_M) * rng.uniform(0.2, 1, 2), 0.25)
    reach = np.minimum(reach, 3 * reach[::-1])
    if 0.6 < reach.min() < 1.3:  # no ring about something, but an aisle
        reach[np.argmin(reach)] = 0.5
    middle = (half - _EDGE_M - reach).clip(0) * rng.uniform(-1, 1, 2)
    start, rate = rng.uniform(0, 2 * math.pi), rng.choice((-1, 1)) * 2 * math.pi / _LAP_S
    rig = _around(middle, reach, start, rate, 0.25)
    way = rig.position(np.linspace(0, _LAP_S, 161))[:, :2]
    room = _Room(wish, np.array((*half, rng.uniform(2.4, highest))), way)
    lamps = room.build() + room.lamps(wish.wild)
    room.furnish(middle, *names)
    walker = Builder()
    people.person(walker, room.palette, rng)
    behind = Mover(tuple(walker.parts), _around(middle, reach, start + math.pi, rate, 0.0))
    red, green, blue = lamps[-1].colour
    above, below = ((share * red, share * green, share * blue) for share in (0.3, 0.2))
    movers = (behind,) if reach.min() > 0.9 else ()
    return World(room.builder.parts, Light(tuple(lamps), above, below), rig, movers, wish.backend)
