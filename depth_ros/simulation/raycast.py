"""Rays, and what they meet first: the interface of the back ends that cast them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.errors import MissingDependencyError
from depth_ros.frame import Bool, Float32, Float64
from depth_ros.simulation.parts import Int32, Parts

BACKENDS = ('auto', 'embree', 'numpy')
_BLOCK_ROWS = 8  # of the tiles that `tile_order` makes


@dataclass(frozen=True)
class Hits:
    """What the rays met first.

    Attributes:
        t: (N,) ray parameter of the hit (metres for unit directions); inf if there is none.
        face: (N,) position of the face among those of all parts, -1 if there is none.
    """

    t: Float64
    face: Int32


class Caster(Protocol):
    """Casts rays at the parts of a world."""

    def cast(self, origins: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hit with t < limit of each ray from `origins` along `directions` (N, 3).

        Any order of rays is exact; neighbours in space that follow each other make it fast.

        Args:
            origins: (3,), or (N, 3) where each ray starts at a place of its own.
            directions: (N, 3), of any length.
            limit: hits beyond are none.
        """
        ...

    def blocked(self, points: Float64, lamp: Float64) -> Bool:
        """Whether something is between points (N, 3), which lie off surfaces, and a lamp (3,)."""
        ...


class View(Caster, Protocol):
    """A world at the times of rays."""

    def of(self, chosen: npt.NDArray[np.intp] | slice) -> View:
        """The world at the times of chosen rays."""
        ...

    def describe(self, points: Float64, face: Int32) -> tuple[Float32, Float32]:
        """Outward normals (N, 3) and texture coordinates (N, 2) in metres, of points on faces."""
        ...


def lengths(vectors: npt.NDArray[np.floating]) -> Float64:
    """Lengths (N,) of vectors (N, 3)."""
    return np.asarray(np.sqrt(np.einsum('ij,ij->i', vectors, vectors)))


def make_caster(parts: Parts, backend: str = 'auto') -> Caster:
    """The back end of a name; `auto` takes Embree where it is installed, and NumPy elsewhere.

    Both find the same faces at the same distances but for rounding.

    Raises:
        MissingDependencyError: Embree is wanted and not installed.
    """
    # Here, since both take `Hits` from this file.
    from depth_ros.simulation.embree_caster import EmbreeCaster
    from depth_ros.simulation.numpy_caster import NumpyCaster

    if backend == 'numpy':
        return NumpyCaster(parts)
    try:
        return EmbreeCaster(parts)
    except MissingDependencyError:
        if backend == 'embree':
            raise
        return NumpyCaster(parts)


@functools.lru_cache(maxsize=8)
def tile_order(height: int, width: int) -> npt.NDArray[np.int64]:
    """Order of the pixels of an image in which consecutive ones lie in small square tiles.

    It is kept and cannot be written to, since a photo asks for it several times.
    """
    pixels = np.arange(height * width).reshape(height, width)
    strips = (pixels[top : top + _BLOCK_ROWS].T.ravel() for top in range(0, height, _BLOCK_ROWS))
    order = np.concatenate(list(strips))
    order.flags.writeable = False
    return order


def direction_order(directions: Float64) -> npt.NDArray[np.int64]:
    """Order of rays (N, 3) in which consecutive ones have like directions, by Morton code.

    For rays whose own order says nothing of that, such as those from a lamp to what a camera sees.
    """
    unit = directions / np.linalg.norm(directions, axis=1)[:, None]
    middle = unit.mean(axis=0)
    right = np.cross(middle, np.eye(3)[np.argmin(np.abs(middle))])
    down = np.cross(middle, right)
    return np.argsort(morton(np.stack((unit @ right, unit @ down), axis=1)), kind='stable')


def morton(values: Float64) -> npt.NDArray[np.int64]:
    """Codes (N,) of points (N, D), D up to 3, that bring near points together (Morton, 1966)."""
    low, span = values.min(axis=0), np.ptp(values, axis=0)
    cells = ((values - low) / np.where(span > 0, span, 1.0) * 0xFFFF).astype(np.int64)
    code = np.zeros(len(values), dtype=np.int64)
    dimensions = values.shape[1]
    for bit in range(16):
        for axis in range(dimensions):
            code |= ((cells[:, axis] >> bit) & 1) << (bit * dimensions + axis)
    return code
