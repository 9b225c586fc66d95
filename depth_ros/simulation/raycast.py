"""Rays, and what they meet first: the interface of the back ends that cast them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.errors import MissingDependencyError
from depth_ros.frame import Bool, Float64
from depth_ros.simulation.surfaces import Int32, Surfaces

BACKENDS = ('auto', 'embree', 'numpy')
_BLOCK_ROWS = 8  # of the tiles that `tile_order` makes


@dataclass(frozen=True)
class Hits:
    """What the rays met first.

    Attributes:
        t: (N,) ray parameter of the hit (metres for unit directions); inf if there is none.
        index: (N,) position of the surface in the scene, -1 if there is none.
    """

    t: Float64
    index: Int32


class Caster(Protocol):
    """Casts rays at the surfaces of a scene. All rays of a call leave one point."""

    def cast(self, origin: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hit with t < limit of each ray from `origin` (3,) along `directions` (N, 3).

        Any order of rays is exact; neighbours in space that follow each other make it fast.
        """
        ...

    def shadowed(self, lamp: Float64, points: Float64) -> Bool:
        """Whether something that casts shadows is between a lamp (3,) and points (N, 3)."""
        ...


def make_caster(surfaces: Surfaces, backend: str = 'auto') -> Caster:
    """The back end of a name; `auto` takes Embree where it is installed, and NumPy elsewhere.

    Both find the same surfaces at the same distances but for rounding.

    Raises:
        MissingDependencyError: Embree is wanted and not installed.
    """
    # Here, since both take `Hits` from this file.
    from depth_ros.simulation.embree_caster import EmbreeCaster
    from depth_ros.simulation.numpy_caster import NumpyCaster

    if backend == 'numpy':
        return NumpyCaster(surfaces)
    try:
        return EmbreeCaster(surfaces)
    except MissingDependencyError:
        if backend == 'embree':
            raise
        return NumpyCaster(surfaces)


def tile_order(height: int, width: int) -> npt.NDArray[np.int64]:
    """Order of the pixels of an image in which consecutive ones lie in small square tiles."""
    pixels = np.arange(height * width).reshape(height, width)
    strips = (pixels[top : top + _BLOCK_ROWS].T.ravel() for top in range(0, height, _BLOCK_ROWS))
    return np.concatenate(list(strips))


def direction_order(directions: Float64) -> npt.NDArray[np.int64]:
    """Order of rays (N, 3) in which consecutive ones have like directions, by Morton code.

    For rays whose own order says nothing of that, such as those from a lamp to what a camera sees.
    """
    unit = directions / np.linalg.norm(directions, axis=1)[:, None]
    middle = unit.mean(axis=0)
    right = np.cross(middle, np.eye(3)[np.argmin(np.abs(middle))])
    down = np.cross(middle, right)
    code = np.zeros(len(unit), dtype=np.int64)
    for shift, across in enumerate((unit @ right, unit @ down)):
        bits = ((across - across.min()) / (np.ptp(across) or 1.0) * 0xFFFF).astype(np.int64)
        for apart, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            bits = (bits | (bits << apart)) & mask
        code |= bits << shift
    return np.argsort(code, kind='stable')
