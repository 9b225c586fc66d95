"""People, on foot, seated and on bicycles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from depth_ros.simulation import shapes
from depth_ros.simulation.assembly import Row, assemble
from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.materials import Material
from depth_ros.simulation.palette import Palette

_SEAT_M = 0.46
_TORSO = shapes.rounded(0.75, 10)
_COAT = shapes.revolution(((0.5, 0.0), (0.42, 0.5), (0.3, 1.0)), 10)
_TURN = np.linspace(0, 2 * math.pi, 19)
_TYRE = shapes.tube(0.33 * np.stack((np.cos(_TURN), 0 * _TURN, np.sin(_TURN)), -1), 0.035, 4)
_BACK, _CRANK, _FRONT, _REAR = (-0.52, 0, 0.34), (-0.07, 0, 0.3), (0.52, 0, 0.34), (-0.6, 0, 0.7)
_TUBES = (
    (_BACK, _CRANK), (_CRANK, (-0.24, 0, 0.88)), (_BACK, (-0.21, 0, 0.78)), (_BACK, _REAR),
    ((0.36, 0, 0.86), (-0.21, 0, 0.78)), ((0.38, 0, 0.8), _CRANK), (_REAR, (-0.24, 0, 0.7)),
    (_FRONT, (0.34, 0, 0.98)), ((0.36, -0.28, 1.0), (0.36, 0.28, 1.0)),
)  # fmt: skip
_BICYCLE: tuple[Row, ...] = (
    *(('rod', 'paint', start, end, 0.017) for start, end in _TUBES),
    *(('mesh', 'rubber', _TYRE, hub, (1, 1, 1)) for hub in (_BACK, _FRONT)),
    *(('rod', 'metal', (x + c, 0, 0.34 + s), (x - c, 0, 0.34 - s), 0.003) for x in (-0.52, 0.52)
      for c, s in zip(0.33 * np.cos(_TURN[:9:2]), 0.33 * np.sin(_TURN[:9:2]), strict=True)),
    ('barrel', 'metal', _CRANK, (0.1, 0.01, 0.1)),
    ('box*', 'rubber', (-0.07, 0.1, 0.3), (0.1, 0.09, 0.02)),
    ('ball', 'rubber', (-0.25, 0, 0.9), (0.14, 0.08, 0.04)),
    ('box', 'tail_light', (-0.62, 0, 0.6), (0.02, 0.06, 0.06)),
)  # fmt: skip
_BASKET: Row = ('box', 'wood', (0.52, 0, 0.84), (0.26, 0.34, 0.24))
_BAGS: Row = ('box*', 'cloth', (-0.48, 0.12, 0.38), (0.32, 0.12, 0.32))


def person(
    place: Builder, palette: Palette, rng: np.random.Generator, posture: str = 'walking'
) -> None:
    """Somebody `walking`, `standing`, or `sitting` with the hips over it on a seat 0.46 m high."""
    tall, sides = rng.uniform(0.86, 1.11), (1, -1)
    if posture == 'sitting':
        hip, lean = _SEAT_M + 0.09, rng.uniform(-0.2, 0.2)
        feet = [(0.42 * tall + rng.uniform(-0.1, 0.1), side * 0.12, 0.06) for side in sides]
        hands = [(rng.uniform(0.25, 0.4), side * 0.16, hip + 0.13) for side in sides]
        _figure(place, palette, rng, tall, (0, 0, hip), lean, feet, hands)
        return
    hip, lean = 0.9 * tall, rng.uniform(0, 0.08)
    step = rng.uniform(0.16, 0.3) if posture == 'walking' else 0.03
    feet = [(side * step, side * 0.1, 0.06 + 0.1 * step * (side < 0)) for side in sides]
    hands = [(0.06 - side * 0.8 * step, side * 0.25, 0.8 * tall) for side in sides]
    if rng.random() < 0.3:  # on the phone, or with something in the hand
        hands[0] = (0.2, 0.16, tall * rng.uniform(1.0, 1.5))
    top = _figure(place, palette, rng, tall, (0, 0, hip), lean, feet, hands)
    extra = rng.random()
    if extra < 0.25:
        place.mesh(_COAT, (0, 0, 0.5 * tall), (0.5, 0.52, 0.62 * tall), top)
    elif extra < 0.5:
        place.box((-0.18, 0, hip + 0.14 * tall), (0.16, 0.3, 0.42), palette('cloth'), tilt=lean)
    elif extra < 0.75:
        place.box((hands[1][0], -0.27, hands[1][2] - 0.36), (0.3, 0.1, 0.32), palette('plastic'))


def cyclist(place: Builder, palette: Palette, rng: np.random.Generator) -> None:
    """Somebody on a bicycle."""
    bicycle(place, palette, rng)
    turn = rng.uniform(0, 2 * math.pi)
    x, z = 0.17 * math.cos(turn), 0.17 * math.sin(turn)
    feet = [(side * x - 0.05, 0.13 * side, side * z + 0.36) for side in (1, -1)]
    hands = [(0.37, 0.26 * side, 1.05) for side in (1, -1)]
    _figure(place, palette, rng, 1.0, (-0.22, 0, 0.98), rng.uniform(0.25, 0.6), feet, hands)


def bicycle(place: Builder, palette: Palette, rng: np.random.Generator) -> None:
    """A bicycle that one can look through, at times with a basket or bags."""
    more = (row for row in (_BASKET, _BAGS) if rng.random() < 0.35)
    assemble(place, palette, (*_BICYCLE, *more))


def _figure(
    place: Builder, palette: Palette, rng: np.random.Generator, tall: float, hip: Vector,
    lean: float, feet: Sequence[Vector], hands: Sequence[Vector],
) -> Material:  # fmt: skip
    """A body whose hips, feet and hands are at given places; returns what the top is made of."""
    top, legs, skin = palette('cloth'), palette('cloth'), palette('skin')
    shoes, hair, sleeve = palette('rubber'), palette('hair'), top if rng.random() < 0.7 else skin
    broad = rng.uniform(0.9, 1.2)

    def up(distance: float, y: float = 0.0, forward: float = 0.0) -> Vector:
        reach = distance * tall
        return hip[0] + math.sin(lean) * reach + forward, y, hip[2] + math.cos(lean) * reach

    for side, foot, hand in zip((1, -1), feet, hands, strict=True):
        shoulder, hip_joint = up(0.5, 0.2 * side * broad), up(0, 0.09 * side)
        for root, tip, reach, bend, thick, upper, lower in (
            (hip_joint, foot, 0.86, 1, 0.078, legs, legs),
            (shoulder, hand, 0.62, -1, 0.05, top, sleeve),
        ):
            joint = _joint(root, tip, reach * tall, bend)
            place.rod(root, joint, thick * broad, upper)
            place.ball(joint, (thick * broad,) * 3, upper)
            place.rod(joint, tip, 0.8 * thick * broad, lower)
        place.ball(hand, (0.05, 0.04, 0.06), skin)
        place.ball(shoulder, (0.07, 0.07, 0.07), top)
        place.box((foot[0] + 0.06, foot[1], foot[2] - 0.06), (0.27, 0.1, 0.09), shoes)
    place.mesh(_TORSO, up(0.28), (0.25 * broad, 0.4 * broad, 0.64 * tall), top, tilt=lean)
    place.ball(hip, (0.13 * broad, 0.18 * broad, 0.14), legs)
    place.rod(up(0.5), up(0.64, 0, 0.02), 0.055, skin)
    place.ball(up(0.71, 0, 0.03), (0.1, 0.08, 0.125), skin)
    style = rng.random()
    long = 0.2 if style < 0.3 else 0.11
    x, y, z = up(0.71)
    place.ball((x, y, z + 0.14 - long), (0.095, 0.092, long), hair)
    if style > 0.8:
        place.ball((x + 0.03, y, z + 0.06), (0.13, 0.1, 0.08), palette('plastic'))
    return top


def _joint(root: Vector, tip: Vector, reach_m: float, bend: float) -> Vector:
    """Where a limb of a length bends: forward as a knee does (1) or backward as an elbow (-1)."""
    run, rise = tip[0] - root[0], tip[2] - root[2]
    slack = math.sqrt(max(reach_m**2 - math.dist(root, tip) ** 2, 0)) / 2
    out = bend * slack / max(math.hypot(run, rise), 1e-6)
    x, y, z = np.add(root, tip) / 2
    return float(x - rise * out), float(y), float(z + run * out)
