"""What a world is made of: boxes, cylinders, ellipsoids and triangle meshes.

Rays meet `faces`, which all parts have in a row: a box has six, a cylinder a mantle and two caps,
an ellipsoid one, a mesh one for each triangle.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from depth_ros.errors import ConfigError
from depth_ros.frame import Float32, Float64
from depth_ros.simulation.materials import Material

Int32 = npt.NDArray[np.int32]

FLAT, MANTLE, ELLIPSOID = range(3)
"""Kinds of faces: planes, the round side of a cylinder, all of an ellipsoid."""
_MATERIAL_SIDES = {'box': (0, 0, 0, 0, 2, 1), 'cylinder': (0, 2, 1), 'ellipsoid': (0,)}
"""Of the faces of each shape, the material: of the side, the top or the bottom."""
_FACES = {shape: len(sides) for shape, sides in _MATERIAL_SIDES.items()}
SHAPES = tuple(_FACES)
"""Shapes of solids, in the order of their numbers."""
_TINY = 1e-200  # makes a zero finite to divide by, and is lost in everything else
_PLAIN = Material()
_PLANE_AXES = np.array(((1, 2), (0, 2), (0, 1)))  # texture coordinates of a face across an axis


@dataclass(frozen=True)
class Solid:
    """A box, cylinder or ellipsoid in any pose.

    It is a unit shape under an affine map, which leaves t unchanged, so that three short
    intersections cover every size and orientation.

    Attributes:
        shape: `box` ([-1, 1]^3), `cylinder` (x^2 + y^2 <= 1, |z| <= 1) or `ellipsoid`.
        center: (3,) in the world, metres.
        half_size: (3,) half extents along the solid's own axes, metres.
        rotation: (3, 3), solid to world.
        materials: of side, top (+z) and bottom (-z).
    """

    shape: str
    center: Float64
    half_size: Float64
    rotation: Float64
    materials: tuple[Material, Material, Material]

    @property
    def radius(self) -> float:
        """Radius of the bounding sphere in metres."""
        x, y, z = self.half_size
        if self.shape == 'box':
            return float(np.linalg.norm(self.half_size))
        return float(np.hypot(max(x, y), z)) if self.shape == 'cylinder' else float(max(x, y, z))


@dataclass(frozen=True)
class Mesh:
    """Triangles of one material.

    Attributes:
        vertices: (V, 3) float32 in metres.
        faces: (F, 3) int32, indices of vertices.
        material: of all of them.
        axes: (3, 3), from the world to the axes along which its texture is laid.

    Raises:
        ConfigError: there is no face, or an index has no vertex.
    """

    vertices: Float32
    faces: Int32
    material: Material = _PLAIN
    axes: Float64 | None = None

    def __post_init__(self) -> None:
        if not len(self.faces):
            raise ConfigError('A mesh needs a face, got none.')
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise ConfigError(
                f'faces name vertices {self.faces.min()} to {self.faces.max()}, but there are '
                f'{len(self.vertices)}.'
            )


Part = Solid | Mesh


class Parts:
    """All that stands in a world, and a table of its faces.

    Attributes:
        part: (F,) position of the part that each face belongs to.
        kind: (F,) `FLAT`, `MANTLE` or `ELLIPSOID`.
        normal: (F, 3) outward unit normal of flat faces, in the world.
        offset: (F,) distance of the plane of flat faces from the world's origin along the normal.
        material: (F,) position in `materials`.
        materials: every material that occurs, once.
        mesh: of each triangle, its corners (T, 3, 3), and its face (T,).
        solid: positions of the solids among the parts (S,).
        first_face: (S,) of each solid.
        to_unit: (S, 3, 4), from the world to the unit shape of each solid.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.all = tuple(parts)
        counts = [_FACES[p.shape] if isinstance(p, Solid) else len(p.faces) for p in parts]
        first = np.cumsum([0, *counts])
        self.part = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        self.material, self.materials = self._material_of(parts, counts)
        solids = [part for part in parts if isinstance(part, Solid)]
        is_solid = np.array([isinstance(part, Solid) for part in parts], bool)
        self.solid = np.flatnonzero(is_solid)
        self.first_face = first[self.solid].astype(np.int32)
        self.shape = np.array([SHAPES.index(s.shape) for s in solids], np.int8)
        self.center = np.array([s.center for s in solids]).reshape(-1, 3)
        self.half_size = np.array([s.half_size for s in solids]).reshape(-1, 3)
        self.rotation = np.array([s.rotation for s in solids]).reshape(-1, 3, 3)
        self.radius = np.array([s.radius for s in solids])
        turned = self.rotation.transpose(0, 2, 1) / self.half_size[:, :, None]
        moved = -np.einsum('sij,sj->si', turned, self.center)
        self.to_unit = np.concatenate((turned, moved[:, :, None]), axis=2)
        meshes = [part for part in parts if isinstance(part, Mesh)]
        corners = [mesh.vertices[mesh.faces].astype(np.float64) for mesh in meshes]
        self.corners = np.concatenate([np.zeros((0, 3, 3)), *corners])
        self.corner_face = np.flatnonzero(~is_solid[self.part]).astype(np.int32)
        self.kind = np.full(len(self.part), FLAT, np.int8)
        round_ = np.flatnonzero(self.shape != 0)
        self.kind[self.first_face[round_]] = np.where(self.shape[round_] == 1, MANTLE, ELLIPSOID)
        self.normal, self.offset = np.zeros((len(self.part), 3)), np.zeros(len(self.part))
        for of_shape, faces, side in self._sides():
            normal = self.rotation[of_shape, :, side // 2] * (1.0 if side % 2 else -1.0)
            reach = self.half_size[of_shape, side // 2]
            self.normal[faces] = normal
            self.offset[faces] = _dot(normal, self.center[of_shape]) + reach
        a, b, c = self.corners.transpose(1, 0, 2)
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), _TINY)
        self.normal[self.corner_face], self.offset[self.corner_face] = normal, _dot(normal, a)

    def __len__(self) -> int:
        return len(self.all)

    def between(self, first: int, last: int) -> Parts:
        """Those from one position to before another; positions and faces count from 0 again."""
        some = copy.copy(self)
        some.__dict__.pop('table', None)
        some.all = self.all[first:last]
        low, high = np.searchsorted(self.part, (first, last)).tolist()
        for name in ('material', 'kind', 'normal', 'offset'):
            setattr(some, name, getattr(self, name)[low:high])
        some.part = self.part[low:high] - np.int32(first)
        solids = slice(*np.searchsorted(self.solid, (first, last)).tolist())
        for name in ('shape', 'center', 'half_size', 'rotation', 'radius', 'to_unit'):
            setattr(some, name, getattr(self, name)[solids])
        some.solid = self.solid[solids] - first
        some.first_face = self.first_face[solids] - np.int32(low)
        corners = slice(*np.searchsorted(self.corner_face, (low, high)).tolist())
        some.corners = self.corners[corners]
        some.corner_face = self.corner_face[corners] - np.int32(low)
        return some

    @staticmethod
    def _material_of(
        parts: Sequence[Part], counts: Sequence[int]
    ) -> tuple[Int32, tuple[Material, ...]]:
        """Of each face the position of its material, and every material once."""
        numbers: dict[Material, int] = {}
        known: dict[int, int] = {}  # by identity, since hashing takes long
        rows = []
        for part, count in zip(parts, counts, strict=True):
            sides = part.materials if isinstance(part, Solid) else (part.material,)
            found = []
            for material in sides:
                number = known.get(id(material))
                if number is None:
                    number = known[id(material)] = numbers.setdefault(material, len(numbers))
                found.append(number)
            if isinstance(part, Mesh):
                rows.append(found * count)
            else:
                rows.append([found[side] for side in _MATERIAL_SIDES[part.shape]])
        of_face = np.array([number for row in rows for number in row], np.int32)
        return of_face, tuple(numbers)

    def _sides(self) -> Iterator[tuple[npt.NDArray[np.intp], Int32, int]]:
        """Flat sides of solids: which solids have one, its faces, and 2 axis + (1 if upwards)."""
        for shape, sides in ((0, range(6)), (1, (4, 5))):
            of_shape = np.flatnonzero(self.shape == shape)
            for row, side in enumerate(sides, start=shape):
                yield of_shape, self.first_face[of_shape] + np.int32(row), side

    @cached_property
    def table(self) -> Float32:
        """(F, 12): what is taken at once of each flat face.

        Its normal, and the map (2, 4) from a point of the world (x, y, z, 1) on it to metres of
        texture, row by row; the last number is not used.
        """
        laid = np.zeros((len(self.part), 2, 4))
        for solids, faces, side in self._sides():
            for row, along in enumerate(
                _PLANE_AXES[side // 2]
            ):  # metres from the lower left corner
                direction = self.rotation[solids, :, along]
                laid[faces, row, :3] = direction
                from_middle = _dot(direction, self.center[solids])
                laid[faces, row, 3] = self.half_size[solids, along] - from_middle
        meshes = [part for part in self.all if isinstance(part, Mesh)]
        if meshes:
            face, counts = self.corner_face, [len(mesh.faces) for mesh in meshes]
            turned = [np.eye(3) if mesh.axes is None else mesh.axes for mesh in meshes]
            axes = np.repeat(turned, counts, axis=0)
            across = np.abs(np.einsum('fij,fj->fi', axes, self.normal[face])).argmax(axis=1)
            laid[face, :, :3] = axes[np.arange(len(face))[:, None], _PLANE_AXES[across]]
        table = np.zeros((len(self.part), 12), np.float32)
        table[:, :3], table[:, 3:11] = self.normal, laid.reshape(-1, 8)
        return table

    def describe(self, points: Float64, face: Int32) -> tuple[Float32, Float32]:
        """What the faces are like where they were hit.

        Args:
            points: (N, 3) on the faces, in the world.
            face: (N,) which face each point is on.

        Returns:
            Outward unit normals (N, 3) and texture coordinates (N, 2) in metres.
        """
        row = self.table[face]
        normal, laid = row[:, :3], row[:, 3:11].reshape(-1, 2, 4)
        at = points.astype(np.float32)
        uv = np.einsum('nki,ni->nk', laid[:, :, :3], at) + laid[:, :, 3]
        curved = np.flatnonzero(self.kind[face] != FLAT)
        if len(curved):
            normal[curved], uv[curved] = self._describe_curved(points[curved], face[curved])
        return normal, uv

    def _describe_curved(self, points: Float64, face: Int32) -> tuple[Float32, Float32]:
        number = np.searchsorted(self.solid, self.part[face])
        half = self.half_size[number].astype(np.float32)
        local = (points - self.center[number]).astype(np.float32)
        rotation = self.rotation[number].astype(np.float32)
        local = np.einsum('nj,njk->nk', local, rotation)
        normal = local / half**2
        mantle = self.kind[face] == MANTLE
        normal[mantle, 2] = 0
        widest = np.argmax(np.abs(local / half), axis=1)
        widest[mantle] = 0
        uv = np.take_along_axis(local + half, _PLANE_AXES[widest], axis=1)
        x, y = local[mantle, :2].T / half[mantle, :2].T
        uv[mantle, 0] = np.arctan2(y, x) * half[mantle, 0]
        normal = np.einsum('nk,njk->nj', normal, rotation)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        return normal, uv


def _dot(one: Float64, other: Float64) -> Float64:
    return np.asarray(np.einsum('ij,ij->i', one, other))


def meet_solids(shape: int, origin: Float64, direction: Float64) -> tuple[Float64, Int32]:
    """Rays (3, ...) and the unit shape: the smallest t > 0, also from inside, else inf.

    Args:
        shape: 0 box, 1 cylinder, 2 ellipsoid.
        origin: in the frame of the unit shape.
        direction: in that frame, of any length.

    Returns:
        t and the position of the face among those of the shape.
    """
    if shape == 2:
        enter, leave = _quadratic(origin, direction)
        t = np.where(enter > 0, enter, np.where(leave > 0, leave, np.inf))
        return t, np.zeros(t.shape, np.int32)
    inverse = 1.0 / (direction + _TINY)
    middle, half = -origin * inverse, np.abs(inverse)
    enter_at, leave_at = middle - half, middle + half
    if shape == 1:
        with np.errstate(invalid='ignore'):
            enter, leave = _quadratic(origin[:2], direction[:2])
            # vertical rays inside have no t on the mantle
            upright = np.isnan(enter) & (np.sum(origin[:2] ** 2, axis=0) < 1)
            enter = np.where(upright, -np.inf, np.where(np.isnan(enter), np.inf, enter))
            leave = np.where(upright, np.inf, np.where(np.isnan(leave), -np.inf, leave))
        enter_at = np.stack(np.broadcast_arrays(enter, enter_at[2]))
        leave_at = np.stack(np.broadcast_arrays(leave, leave_at[2]))
    enter, leave = enter_at.max(axis=0), leave_at.min(axis=0)
    outside = enter > 0
    t = np.where(outside, enter, leave)
    t = np.where((leave >= enter) & (leave > 0), t, np.inf)
    axis = np.where(outside, np.argmax(enter_at, axis=0), np.argmin(leave_at, axis=0))
    if shape == 1:
        upwards = (direction[2] > 0) != outside
        return t, np.where(axis == 0, 0, 1 + upwards).astype(np.int32)
    along = np.take_along_axis(np.asarray(direction), axis[None], axis=0)[0]
    return t, (2 * axis + ((along > 0) != outside)).astype(np.int32)


def _quadratic(origin: Float64, directions: Float64) -> tuple[Float64, Float64]:
    """Both t at which |origin + t * directions| = 1, NaN where the line passes by."""
    with np.errstate(divide='ignore', invalid='ignore'):
        a = np.sum(directions * directions, axis=0)
        b = -np.sum(origin * directions, axis=0) / a
        # distance^2 of the line from the centre, taken at its foot: no cancellation of b^2 - ac
        foot = origin + b * directions
        root = np.sqrt((1.0 - np.sum(foot * foot, axis=0)) / a)
        return b - root, b + root
