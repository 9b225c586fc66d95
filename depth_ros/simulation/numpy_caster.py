"""Ray casting with NumPy alone, exact, on any machine.

Rays are cut into blocks of neighbours; a block is tested only against the surfaces whose bounding
sphere reaches into its cone, nearest first, and not against those behind what it already hit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float64
from depth_ros.simulation.raycast import Hits, direction_order
from depth_ros.simulation.surfaces import Surface, Surfaces

_BLOCK = 128


class NumpyCaster:
    """Casts rays at surfaces; as `Caster`."""

    def __init__(self, surfaces: Surfaces) -> None:
        self._surfaces = tuple(surfaces)
        self._opaque = [surface for surface in surfaces if surface.casts_shadow]

    def cast(self, origin: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hits of rays from one point."""
        return _cast(self._surfaces, origin, directions, limit)

    def shadowed(self, lamp: Float64, points: Float64) -> Bool:
        """Whether points (N, 3) are in the shadow of a lamp (3,)."""
        if not self._opaque:
            return np.zeros(len(points), dtype=bool)
        order = direction_order(points - lamp)
        hits = _cast(self._opaque, lamp, (points - lamp)[order], limit=1.0)
        blocked = np.empty(len(points), dtype=bool)
        blocked[order] = hits.index >= 0
        return blocked


def _cast(surfaces: Sequence[Surface], origin: Float64, directions: Float64, limit: float) -> Hits:
    count = len(directions)
    rays = _blocks(directions)
    length = np.linalg.norm(rays, axis=0)
    touched, near = _touched(surfaces, origin, rays / length)
    t = np.full(length.shape, limit)
    index = np.full(length.shape, -1, dtype=np.int32)
    farthest = np.max(t * length, axis=1)
    for i in np.argsort(near, kind='stable'):
        block = np.flatnonzero(touched[i] & (farthest > near[i]))
        if not len(block):
            continue
        hit = surfaces[i].intersect(origin, rays[:, block].reshape(3, -1)).reshape(-1, _BLOCK)
        closer = hit < t[block]
        if closer.any():
            t[block] = np.where(closer, hit, t[block])
            index[block] = np.where(closer, np.int32(i), index[block])
            farthest[block] = np.max(t[block] * length[block], axis=1)
    t[index < 0] = np.inf
    return Hits(t.reshape(-1)[:count], index.reshape(-1)[:count])


def _blocks(directions: Float64) -> Float64:
    """(3, blocks, rays of a block); the last ray fills up the last block."""
    padding = -len(directions) % _BLOCK
    padded = np.concatenate((directions, np.repeat(directions[-1:], padding, axis=0)))
    return np.ascontiguousarray(padded.T).reshape(3, -1, _BLOCK)


def _touched(
    surfaces: Sequence[Surface], origin: Float64, unit: Float64
) -> tuple[npt.NDArray[np.bool_], Float64]:
    """Which surface may be hit by which block (S, B), and the distance it begins at (S,).

    Angles are compared by the chord 2 sin(angle / 2), which is subadditive: the test may let
    a block through in vain but never drops one.
    """
    axis = unit.mean(axis=2)
    axis /= np.linalg.norm(axis, axis=0)
    spread = np.sqrt(np.max(np.sum((unit - axis[..., None]) ** 2, axis=0), axis=1))
    offset = np.stack([surface.center for surface in surfaces]) - origin
    radius = np.array([surface.radius for surface in surfaces])
    distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
    reach = np.where(
        radius < distance, 2 * np.sin(np.arcsin(np.minimum(radius / distance, 1)) / 2), 4.0
    )
    cosine = (offset / distance[:, None]) @ axis
    chord = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    return chord <= reach[:, None] + spread + 1e-6, distance - radius
