"""Cars, vans, lorries, buses and motorbikes; their origin is on the ground under the middle."""

from __future__ import annotations

import math

import numpy as np

from depth_ros.simulation import shapes
from depth_ros.simulation.assembly import Row, assemble
from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.palette import Palette

_Build = tuple[Vector, tuple[float, ...], float, tuple[Row, ...]]


def _loft(role: str, corner: float, taper: float, *sections: tuple[float, ...]) -> Row:
    """A closed skin over sections of (x, half width, bottom, top), narrower by `taper` at tops."""
    ends = [(x, 0.01, (low + top) / 2, (low + top) / 2) for x, _, low, top in sections]
    x, half, low, top = np.array([ends[0], *sections, ends[-1]]).T[:, :, None]
    angle = np.linspace(0, 2 * math.pi, 9) + math.pi / 8
    y, z = (np.sign(f) * np.abs(f) ** corner for f in (np.cos(angle), np.sin(angle)))
    share = (z + 1) / 2
    points = (x + 0 * z, half * y * (1 - taper * share), low + (top - low) * share)
    return 'mesh', role, shapes.sheet(np.stack(points, -1)), (0, 0, 0), (1, 1, 1)


def _car(
    size_m: tuple[float, float, float],
    rear: float,
    rear_top: float,
    front_top: float,
    front: float,
) -> _Build:
    """A car by the ends of its rear window and of its windscreen."""
    tail, middle = (0.61 if rear < -0.85 else 0.57), (rear_top + front_top) / 2
    return size_m, (0.62, -0.6), 0.21 * size_m[2] + 0.01, (
        _loft('paint', 0.35, 0.06, (-1, 0.7, 0.31, 0.41), (-0.985, 0.86, 0.23, tail - 0.06),
              (-0.93, 0.96, 0.18, tail), (-0.5, 1, 0.14, 0.61), (0.2, 1, 0.14, 0.61),
              (0.46, 0.99, 0.14, 0.59), (0.78, 0.97, 0.15, 0.53), (0.95, 0.88, 0.18, 0.46),
              (0.99, 0.76, 0.22, 0.37), (1, 0.6, 0.29, 0.32)),
        _loft('glass', 0.3, 0.22, (rear, 0.84, 0.53, 0.54), (rear_top, 0.9, 0.54, 0.95),
              (middle, 0.93, 0.54, 0.98), (front_top, 0.9, 0.54, 0.95), (front, 0.86, 0.51, 0.53)),
        _loft('paint', 0.4, 0.1, (rear_top - 0.03, 0.7, 0.94, 0.96), (middle, 0.76, 0.94, 1),
              (front_top + 0.03, 0.7, 0.93, 0.96)),
        *(('rod*', 'paint', (foot, 0.82 + 0.08 * (foot == middle), 0.56), (top, 0.71, 0.96), 0.03)
          for foot, top in ((rear, rear_top), (middle, middle), (front, front_top))),
        *(('box*', 'cloth', (x, 0.45, 0.2), (0.065, 0.5, 0.66)) for x in (0.1, -0.35)),
        ('ball*', 'paint', (0.9 * front, 1.03, 0.64), (0.035, 0.11, 0.045)),
        ('box*', 'light', (0.91, 0.7, 0.38), (0.09, 0.36, 0.075)),
        ('box*', 'tail_light', (-0.98, 0.74, 0.43), (0.045, 0.29, 0.1)),
        ('box', 'rubber', (0.97, 0, 0.2), (0.045, 1.2, 0.11)),
    )  # fmt: skip


BUILDS: dict[str, _Build] = {
    'hatchback': _car((3.9, 1.74, 1.48), -0.94, -0.76, 0.16, 0.56),
    'saloon': _car((4.5, 1.80, 1.44), -0.74, -0.42, 0.10, 0.44),
    'estate': _car((4.7, 1.82, 1.46), -0.96, -0.84, 0.12, 0.46),
    'off-roader': _car((4.5, 1.86, 1.68), -0.94, -0.78, 0.16, 0.50),
    'people carrier': _car((4.4, 1.80, 1.62), -0.96, -0.84, 0.30, 0.68),
    'coupe': _car((4.2, 1.78, 1.32), -0.80, -0.20, 0.04, 0.36),
    'van': ((5.2, 2.0, 2.3), (0.64, -0.58), 0.34, (
        _loft('paint', 0.22, 0.1, (-1, 0.93, 0.18, 0.95), (-0.98, 0.98, 0.15, 0.99),
              (-0.1, 1, 0.13, 1), (0.34, 0.99, 0.13, 0.98), (0.4, 0.98, 0.13, 0.95),
              (0.74, 0.96, 0.13, 0.52), (0.93, 0.9, 0.14, 0.44), (1, 0.8, 0.17, 0.34)),
        _loft('glass', 0.22, 0.1, (0.12, 0.97, 0.52, 0.8), (0.34, 1, 0.52, 0.9),
              (0.42, 0.985, 0.52, 0.945), (0.745, 0.97, 0.52, 0.545)),
        ('box*', 'rubber', (0.45, 1.14, 0.52), (0.04, 0.16, 0.14)),
        ('box*', 'light', (0.96, 0.68, 0.31), (0.06, 0.24, 0.09)),
        ('box*', 'tail_light', (-0.985, 0.86, 0.35), (0.04, 0.14, 0.22)),
        ('box*', 'car_window', (-0.4, 0.945, 0.54), (0.6, 0.06, 0.22)),
        ('box', 'car_window', (-1, 0, 0.54), (0.012, 1.4, 0.22)),
    )),
    'lorry': ((8.2, 2.45, 3.3), (0.74, -0.5, -0.78), 0.48, (
        _loft('paint', 0.2, 0.08, (0.56, 0.9, 0.15, 0.76), (0.58, 0.97, 0.14, 0.8),
              (0.86, 0.97, 0.14, 0.8), (0.97, 0.95, 0.14, 0.48), (1, 0.9, 0.15, 0.42)),
        _loft('glass', 0.2, 0.08, (0.68, 0.96, 0.46, 0.66), (0.8, 0.985, 0.46, 0.74),
              (0.87, 0.985, 0.46, 0.775), (0.975, 0.965, 0.46, 0.5)),
        ('box', 'metal', (-0.22, 0, 0.3), (1.5, 2, 0.05)),
        ('box', 'plastic', (-0.22, 0, 0.35), (1.5, 2, 0.65)),
        ('box', 'rubber', (0, 0, 0.2), (1.85, 0.8, 0.1)),
        ('box*', 'metal', (-0.1, 0.95, 0.15), (0.7, 0.04, 0.1)),
        ('box*', 'rubber', (0.93, 1.1, 0.5), (0.03, 0.2, 0.15)),
        ('box*', 'light', (0.985, 0.7, 0.18), (0.03, 0.3, 0.06)),
        ('box*', 'tail_light', (-0.965, 0.8, 0.23), (0.02, 0.35, 0.05)),
    )),
    'bus': ((11.4, 2.5, 3.05), (0.55, -0.5), 0.48, (
        _loft('paint', 0.2, 0.03, (-1, 0.9, 0.13, 0.95), (-0.985, 0.98, 0.1, 1),
              (0.95, 0.98, 0.1, 1), (0.985, 0.96, 0.1, 0.97), (1, 0.9, 0.13, 0.87)),
        _loft('glass', 0.2, 0.03, (0.88, 0.99, 0.42, 0.86), (0.955, 0.995, 0.38, 0.86),
              (0.99, 0.97, 0.38, 0.86), (1.004, 0.9, 0.4, 0.84)),
        *(('box*', 'glass', (0.26 * i - 0.85, 0.965, 0.42), (0.24, 0.06, 0.42)) for i in range(7)),
        *(('box', 'car_window', (x, -0.985, 0.13), (0.22, 0.04, 0.75)) for x in (0.77, -0.05)),
        ('box*', 'light', (0.99, 0.7, 0.2), (0.03, 0.3, 0.07)),
        ('box*', 'tail_light', (-0.99, 0.8, 0.25), (0.03, 0.2, 0.16)),
        ('box*', 'rubber', (1.02, 1.08, 0.6), (0.02, 0.2, 0.15)),
        ('box', 'white', (-0.4, 0, 0.99), (0.4, 1.2, 0.08)),
    )),
}  # fmt: skip
"""Size in metres, axles, radius of the wheels in metres, parts; of car bodies, the first six.

All lengths but the metres are shares of the half length, half width and height.
"""
_SHARED: tuple[Row, ...] = (
    ('box', 'rubber', (0, 0, 0.13), (1.8, 1.7, 0.1)),
    *(('box', 'plate', (x, 0, 0.24), (0.027, 0.5, 0.075)) for x in (0.99, -0.99)),
)
_MOTORBIKE: tuple[Row, ...] = (
    *(('barrel', role, (x, 0, 0.31), (r, y, r)) for x in (0.7, -0.65)
      for role, r, y in (('rubber', 0.31, 0.06), ('metal', 0.2, 0.065))),
    ('rod*', 'metal', (0.7, 0.09, 0.31), (0.4, 0.09, 0.95), 0.022),
    ('rod*', 'metal', (-0.65, 0.09, 0.31), (-0.1, 0.09, 0.45), 0.022),
    ('rod', 'metal', (0.36, -0.36, 1.04), (0.36, 0.36, 1.04), 0.016),
    ('rod', 'metal', (0.1, -0.17, 0.3), (-0.75, -0.17, 0.38), 0.05),
    ('ball', 'paint', (0.12, 0, 0.78), (0.32, 0.16, 0.16)),
    ('ball', 'rubber', (-0.4, 0, 0.8), (0.42, 0.14, 0.07)),
    ('box', 'metal', (0.05, 0, 0.28), (0.45, 0.3, 0.35)),
    ('ball', 'light', (0.52, 0, 0.88), (0.09, 0.09, 0.09)),
    ('box', 'tail_light', (-0.85, 0, 0.62), (0.04, 0.16, 0.1)),
)  # fmt: skip


def vehicle(place: Builder, palette: Palette, rng: np.random.Generator, kind: str = '') -> None:
    """A motorbike or one of `BUILDS`; any car unless a kind is named."""
    stretch = rng.uniform(0.95, 1.05, 3)
    if kind == 'motorbike':
        assemble(place, palette, _MOTORBIKE, tuple(stretch))
        return
    size_m, axles, radius, rows = BUILDS[kind or list(BUILDS)[rng.integers(6)]]
    half, side, high = stretch * size_m * (0.5, 0.5, 1)
    assemble(place, palette, (*rows, *_SHARED), (half, side, high))
    discs = (('rubber', 1.1, 1.1, 0.1), ('rubber', 1.0, 1.0, 0.12), ('metal', 1.0, 0.7, 0.125))
    wheels: list[Row] = [
        ('barrel*', role, (x * half, side - 0.1, z * radius), (r * radius, deep, r * radius))
        for x in axles
        for role, z, r, deep in discs
    ]
    assemble(place, palette, wheels)
