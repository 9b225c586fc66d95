"""Ray casting by Embree, on x86-64, many times as fast as with NumPy alone.

Wald et al., "Embree: a kernel framework for efficient CPU ray tracing", TOG 2014. It casts single
precision rays at triangles. These lead to a face, whose own equation then gives the distance in
double precision. Curved solids are in hulls of triangles: a ray that meets a hull looks on from
there for what may be nearer than the solid in it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.errors import import_optional
from depth_ros.frame import Bool, Float32, Float64
from depth_ros.simulation.parts import FLAT, SHAPES, Int32, Parts, meet_solids
from depth_ros.simulation.raycast import Hits, lengths

_GROW_M = 1e-3  # by so much hulls are larger than needed: single precision loses no hit
_STEP = 2e-6  # behind a hull a ray goes on so much farther away, and by `_STEP_M`
_STEP_M = 2e-5
_FAR_M = 1e30
_BLOCK = 16384  # rays at once, whose arrays stay in the processor's cache

Triangles = tuple[Float64, Int32]
"""Corners (T, 3, 3), and the face of the solid that each triangle leads to."""


class EmbreeCaster:
    """Casts rays at parts; as `Caster`.

    Raises:
        MissingDependencyError: embreex is not installed.
    """

    def __init__(self, parts: Parts) -> None:
        import_optional('embreex', 'simulation')
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._parts = parts
        triangles, faces = [parts.corners], [parts.corner_face]
        for number, shape in enumerate(SHAPES):
            chosen = np.flatnonzero(parts.shape == number)
            hull, leads_to = _hull(shape)
            size = parts.half_size[chosen] + (0.0 if shape == 'box' else _GROW_M)
            placed = np.einsum('sij,kj,sj->ski', parts.rotation[chosen], hull.reshape(-1, 3), size)
            placed += parts.center[chosen, None]
            triangles.append(placed.reshape(-1, 3, 3))
            faces.append((parts.first_face[chosen, None] + leads_to).ravel())
        self._scene: Any = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.concatenate(triangles).astype(np.float32))
        # The last row of these is of no face: what has the number -1 is hit nowhere.
        self._face = np.append(np.concatenate(faces).astype(np.int32), np.int32(-1))
        self._normal = np.concatenate((parts.normal, np.zeros((1, 3))))
        self._offset = np.append(parts.offset, np.inf)
        self._curved = np.append(parts.kind != FLAT, False)
        self._number = np.full(len(parts), -1, np.intp)
        self._number[parts.solid] = np.arange(len(parts.solid))

    def cast(self, origins: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hits of rays."""
        origins = np.asarray(origins, dtype=np.float64)
        t, face = np.empty(len(directions)), np.empty(len(directions), np.int32)
        found_m = np.empty(len(directions), np.float32)
        for start in range(0, len(directions), _BLOCK):
            block = slice(start, start + _BLOCK)
            at, along = _of(origins, block), directions[block]
            length, unit = _split(along)
            reach_m = np.minimum(limit * length, _FAR_M).astype(np.float32)
            face[block], found_m[block] = self._first(
                np.broadcast_to(at, unit.shape), unit, reach_m
            )
            t[block] = self._on_plane(at, along, face[block])
        # Few rays of a block meet hulls: those of all blocks go on together.
        curved = np.flatnonzero(self._curved[face])
        for start in range(0, len(curved), _BLOCK):
            chosen = curved[start : start + _BLOCK]
            t[chosen], face[chosen] = self._through_hulls(
                _of(origins, chosen), directions[chosen], found_m[chosen], face[chosen], limit
            )
        beyond = t >= limit
        t[beyond], face[beyond] = np.inf, -1
        return Hits(t, face)

    def blocked(self, points: Float64, lamp: Float64) -> Bool:
        """Whether the hull of something is between points and a lamp."""
        towards = lamp - points
        length = np.linalg.norm(towards, axis=1)
        unit = (towards / length[:, None]).astype(np.float32)
        reach_m = np.minimum(length, _FAR_M).astype(np.float32)
        start = np.ascontiguousarray(points, dtype=np.float32)
        return np.asarray(self._scene.run(start, unit, dists=reach_m, query='OCCLUDED')) >= 0

    def _first(self, origins: Float64, unit: Float32, reach_m: Float32) -> tuple[Int32, Float32]:
        """The face that the first triangle leads to, -1 for none, and its distance in metres."""
        start = np.ascontiguousarray(origins, dtype=np.float32)
        found = self._scene.run(start, unit, dists=reach_m, query='INTERSECT', output=1)
        return self._face[found['primID']], found['tfar']

    def _on_plane(self, origins: Float64, directions: Float64, face: Int32) -> Float64:
        """T of rays on the planes of faces; of curved ones something without meaning."""
        normal = self._normal[face]
        if origins.ndim == 1:
            height = (self._offset - self._normal @ origins)[face]
        else:
            height = self._offset[face] - np.einsum('ij,ij->i', normal, origins)
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.asarray(height / np.einsum('ij,ij->i', normal, directions))

    def _through_hulls(
        self,
        origins: Float64,
        directions: Float64,
        found_m: Float32,
        face: Int32,
        limit: float,
    ) -> tuple[Float64, Int32]:
        """T and faces of rays that are at a hull: of the solid in it, or of what is before it."""
        length, unit = _split(directions)
        t, best = np.full(len(face), limit), np.full(len(face), -1, np.int32)
        live = np.arange(len(face))
        while len(live):
            at, along = _of(origins, live), directions[live]
            curved = self._curved[face]
            new_t = self._on_plane(at, along, face)
            new_face = face.copy()
            new_t[curved], new_face[curved] = self._in_hulls(
                _of(at, np.flatnonzero(curved)), along[curved], face[curved]
            )
            nearer = new_t < t[live]
            t[live[nearer]], best[live[nearer]] = new_t[nearer], new_face[nearer]
            # A flat face ends the search: nothing is before it. A hull's solid is behind it.
            start_m = found_m.astype(np.float64) * (1 + _STEP) + _STEP_M
            goes_on = curved & (start_m < t[live] * length[live])
            live, start_m = live[goes_on], start_m[goes_on]
            begin = _of(origins, live) + unit[live] * start_m[:, None]
            reach_m = np.minimum(t[live] * length[live] - start_m, _FAR_M).astype(np.float32)
            face, more_m = self._first(begin, unit[live], reach_m)
            found = face >= 0
            live, face = live[found], face[found]
            found_m = (start_m[found] + more_m[found]).astype(np.float64)
        return t, best

    def _in_hulls(
        self, origins: Float64, directions: Float64, face: Int32
    ) -> tuple[Float64, Int32]:
        """T and face of the curved solid that each face belongs to; inf where it is missed."""
        parts = self._parts
        number = self._number[parts.part[face]]
        to_unit = parts.to_unit[number]
        direction = np.einsum('nij,nj->in', to_unit[:, :, :3], directions)
        if origins.ndim == 1:
            origin = (parts.to_unit[:, :, :3] @ origins + parts.to_unit[:, :, 3])[number].T
        else:
            origin = np.einsum('nij,nj->in', to_unit[:, :, :3], origins) + to_unit[:, :, 3].T
        t, row = np.empty(len(face)), np.empty(len(face), np.int32)
        for shape in (1, 2):
            chosen = np.flatnonzero(parts.shape[number] == shape)
            t[chosen], row[chosen] = meet_solids(shape, origin[:, chosen], direction[:, chosen])
        return t, parts.first_face[number] + row


def _split(directions: Float64) -> tuple[Float64, Float32]:
    """Lengths (N,) and single precision unit vectors (N, 3) of directions."""
    length = lengths(directions)
    return length, (directions / length[:, None]).astype(np.float32)


def _of(origins: Float64, chosen: npt.NDArray[np.intp] | slice) -> Float64:
    """The origins of chosen rays; one for all stays one."""
    return origins if origins.ndim == 1 else origins[chosen]


@functools.cache
def _hull(shape: str) -> Triangles:
    """Triangles around a unit shape: a box itself, a prism of 8 sides, a ball of 80 faces."""
    if shape == 'box':
        return _box()
    return _prism(8) if shape == 'cylinder' else _geodesic(1)


def _box() -> Triangles:
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    return corners[np.array(faces)], np.repeat(np.arange(6, dtype=np.int32), 2)


def _prism(sides: int) -> Triangles:
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack((np.cos(angle), np.sin(angle)), axis=1) / np.cos(np.pi / sides)
    ends = np.concatenate([np.column_stack((ring, np.full(sides, z))) for z in (-1.0, 1.0)])
    this = np.arange(sides)
    following = (this + 1) % sides
    fan = np.arange(1, sides - 1)
    faces = [
        np.column_stack((this, following, following + sides)),
        np.column_stack((this, following + sides, this + sides)),
        np.column_stack((0 * fan, fan, fan + 1)),
        np.column_stack((0 * fan, fan, fan + 1)) + sides,
    ]
    triangles = ends[np.concatenate(faces)]
    return triangles, np.zeros(len(triangles), np.int32)


def _geodesic(cuts: int) -> Triangles:
    """An icosahedron with each face cut into four, `cuts` times, around the unit sphere."""
    golden = (1 + 5**0.5) / 2
    ring = [(0.0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    points = np.array([np.roll(corner, turn) for corner in ring for turn in range(3)])
    near = np.linalg.norm(points[:, None] - points[None], axis=2) < 2.1
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    corners = points[np.array(faces)]
    for _ in range(cuts):
        a, b, c = corners.transpose(1, 0, 2)
        ab, bc, ca = a + b, b + c, c + a  # any length: they go to the sphere
        a, b, c, ab, bc, ca = (
            v / np.linalg.norm(v, axis=1)[:, None] for v in (a, b, c, ab, bc, ca)
        )
        quarters = ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))
        corners = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    inside = np.abs(np.einsum('ij,ij->i', normal, corners[:, 0])).min()
    return corners / inside, np.zeros(len(corners), np.int32)
