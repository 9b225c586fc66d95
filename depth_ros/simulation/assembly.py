"""Things described by tables of their parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.palette import Palette

Row = tuple[Any, ...]
"""Method of a `Builder`, role of the material, and the other arguments.

A method with a star adds the part on the left, and its mirror image on the right.
"""


def assemble(
    place: Builder, palette: Palette, rows: Iterable[Row], scale: Vector = (1.0, 1.0, 1.0)
) -> None:
    """Add parts, whose vectors are stretched by a scale; those of one role look alike."""
    skins = {}
    for method, role, *arguments in rows:
        if role not in skins:
            skins[role] = palette(role)
        for side in (1, -1)[: 1 + method.endswith('*')]:
            mirror = [(1, side, 1)] * 2 if method == 'rod*' else [(1, side, 1), (1, 1, 1)]
            vectors = [
                tuple(np.multiply(each, scale) * mirror.pop(0))
                if isinstance(each, tuple)
                else each
                for each in arguments
            ]
            getattr(place, method.rstrip('*'))(*vectors, skins[role])
