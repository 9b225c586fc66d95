"""Exact ray casting on analytic surfaces: boxes, cylinders, ellipsoids and gently curved ground.

All rays of one `cast` leave one point, which fits a camera, a LiDAR and a lamp (shadows). They
are cut into blocks of neighbours; a block is tested only against the surfaces whose bounding
sphere reaches into its cone, nearest first, and not against those behind what it already hit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64

Int32 = npt.NDArray[np.int32]

_BLOCK = 128
_BLOCK_ROWS = 8
_TINY = 1e-200  # makes a zero finite to divide by, and is lost in everything else


class Surface(Protocol):
    """Something that rays can hit."""

    @property
    def center(self) -> Float64:
        """Centre (3,) of the bounding sphere in the world in metres."""
        ...

    @property
    def radius(self) -> float:
        """Radius of the bounding sphere in metres; inf if the surface has no bounds."""
        ...

    @property
    def casts_shadow(self) -> bool:
        """False for what never stands between a light and something else."""
        ...

    @property
    def materials(self) -> tuple[str, str, str]:
        """Names of the materials of its parts."""
        ...

    @property
    def tint(self) -> tuple[float, float, float]:
        """Colour that multiplies the materials'."""
        ...

    def intersect(self, origin: Float64, directions: Float64) -> Float64:
        """Smallest t > 0 at which origin + t * directions (3, N) is on the surface, else inf."""
        ...

    def describe(self, points: Float64) -> tuple[Float64, Float64, Int32]:
        """Outward normals (N, 3), texture coordinates (N, 2) in metres and part numbers (N,)."""
        ...


@dataclass(frozen=True)
class Hits:
    """What the rays met first.

    Attributes:
        t: (N,) ray parameter of the hit (metres for unit directions); inf if there is none.
        index: (N,) position of the surface in the scene, -1 if there is none.
    """

    t: Float64
    index: Int32


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
        bits = ((across - across.min()) / (np.ptp(across) + _TINY) * 0xFFFF).astype(np.int64)
        for apart, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
            bits = (bits | (bits << apart)) & mask
        code |= bits << shift
    return np.argsort(code, kind='stable')


def cast(
    surfaces: Sequence[Surface], origin: Float64, directions: Float64, limit: float = np.inf
) -> Hits:
    """Nearest hit with t < limit of each ray from `origin` (3,) along `directions` (N, 3).

    Any order of rays is exact; neighbours in space that follow each other make it fast.
    """
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
        materials: names of the materials of side, top (+z) and bottom (-z).
        tint: colour that multiplies the material's.
        casts_shadow: False for what never stands between a light and something else.
    """

    shape: str
    center: Float64
    half_size: Float64
    rotation: Float64
    materials: tuple[str, str, str]
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    casts_shadow: bool = True

    @property
    def radius(self) -> float:
        """Radius of the bounding sphere in metres."""
        x, y, z = self.half_size
        if self.shape == 'box':
            return float(np.linalg.norm(self.half_size))
        return float(np.hypot(max(x, y), z)) if self.shape == 'cylinder' else float(max(x, y, z))

    def intersect(self, origin: Float64, directions: Float64) -> Float64:
        """Smallest t > 0 of rays (3, N) on the surface, also from inside, else inf."""
        to_unit = self.rotation.T / self.half_size[:, None]
        return _INTERSECT[self.shape](to_unit @ (origin - self.center), to_unit @ directions)

    def describe(self, points: Float64) -> tuple[Float64, Float64, Int32]:
        """Normals, texture coordinates in metres and part (0 side, 1 top, 2 bottom)."""
        local = (points - self.center) @ self.rotation
        unit = local / self.half_size
        if self.shape == 'box':
            axis = np.argmax(np.abs(unit), axis=1)
            normal = np.eye(3)[axis] * np.sign(unit)
        elif self.shape == 'cylinder':
            cap = np.abs(unit[:, 2]) >= np.hypot(unit[:, 0], unit[:, 1])
            axis = np.where(cap, 2, 0)
            normal = np.where(
                cap[:, None], np.sign(unit) * (0, 0, 1), unit / self.half_size * (1, 1, 0)
            )
        else:
            axis = np.argmax(np.abs(unit), axis=1)
            normal = unit / self.half_size
        normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
        corner = local + self.half_size
        if self.shape == 'cylinder':
            around = np.arctan2(unit[:, 1], unit[:, 0]) * self.half_size[0]
            corner[:, 1] = np.where(axis == 2, corner[:, 1], around)
        uv = np.where(
            (axis == 2)[:, None],
            corner[:, :2],
            np.where((axis == 0)[:, None], corner[:, 1:], corner[:, [0, 2]]),
        )
        part = np.where(axis == 2, np.where(unit[:, 2] > 0, 1, 2), 0).astype(np.int32)
        return normal @ self.rotation.T, uv, part


def _unit_box(origin: Float64, directions: Float64) -> Float64:
    """Slab test (Kay and Kajiya, SIGGRAPH 1986)."""
    inverse = 1.0 / (directions + _TINY)
    middle = -origin[:, None] * inverse
    half = np.abs(inverse)
    enter = np.max(middle - half, axis=0)
    leave = np.min(middle + half, axis=0)
    hit = (leave >= enter) & (leave > 0)
    return np.where(hit, np.where(enter > 0, enter, leave), np.inf)


def _quadratic(origin: Float64, directions: Float64) -> tuple[Float64, Float64]:
    """Both t at which |origin + t * directions| = 1, NaN where the line passes by."""
    with np.errstate(divide='ignore', invalid='ignore'):
        a = np.einsum('in,in->n', directions, directions)
        b = -(origin @ directions) / a
        # distance^2 of the line from the centre, taken at its foot: no cancellation of b^2 - ac
        foot = origin[:, None] + b * directions
        root = np.sqrt((1.0 - np.einsum('in,in->n', foot, foot)) / a)
        return b - root, b + root


def _unit_ellipsoid(origin: Float64, directions: Float64) -> Float64:
    enter, leave = _quadratic(origin, directions)
    return np.where(enter > 0, enter, np.where(leave > 0, leave, np.inf))


def _unit_cylinder(origin: Float64, directions: Float64) -> Float64:
    """The infinite cylinder and the slab between the caps, intersected."""
    enter, leave = _quadratic(origin[:2], directions[:2])
    with np.errstate(divide='ignore', invalid='ignore'):
        if origin[:2] @ origin[:2] < 1:  # vertical rays inside have no t on the mantle
            enter = np.nan_to_num(enter, nan=-np.inf)
            leave = np.nan_to_num(leave, nan=np.inf)
        inverse = 1.0 / (directions[2] + _TINY)
        middle, half = -origin[2] * inverse, np.abs(inverse)
        enter, leave = np.maximum(enter, middle - half), np.minimum(leave, middle + half)
        hit = (leave >= enter) & (leave > 0)
        return np.where(hit, np.where(enter > 0, enter, leave), np.inf)


_INTERSECT = {'box': _unit_box, 'cylinder': _unit_cylinder, 'ellipsoid': _unit_ellipsoid}


@dataclass(frozen=True)
class Ground:
    """A road between raised pavements that follows the height field h(x) = sum a sin(k x + p).

    Attributes:
        waves: (amplitude m, wave number rad/m, phase rad) of each term, wavelengths well above
            reach_m / 32; none is a flat ground.
        kerb_y_m: half width of the road.
        kerb_height_m: height of the pavement over the road.
        reach_m: rays that meet nothing up to here meet nothing.
        materials: of road, pavement and kerb face.
    """

    waves: tuple[tuple[float, float, float], ...]
    kerb_y_m: float
    kerb_height_m: float
    reach_m: float = 400.0
    materials: tuple[str, str, str] = ('asphalt', 'paving', 'stone')
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    casts_shadow: bool = False
    radius: float = np.inf

    @property
    def center(self) -> Float64:
        """Any point: the ground has no bounds."""
        return np.zeros(3)

    def height(self, x: Float64) -> Float64:
        """Height of the road in metres."""
        return np.sum([a * np.sin(k * x + p) for a, k, p in self.waves] + [0 * x], axis=0)

    def slope(self, x: Float64) -> Float64:
        """Derivative of the height."""
        return np.sum([a * k * np.cos(k * x + p) for a, k, p in self.waves] + [0 * x], axis=0)

    def intersect(self, origin: Float64, directions: Float64) -> Float64:
        """Nearest of road, pavement and kerb faces; each counts only where it exists."""
        inside = abs(origin[1]) < self.kerb_y_m
        y, dy = origin[1], directions[1]
        nearest = np.full(directions.shape[1], np.inf)
        for lift, is_road in ((0.0, True), (self.kerb_height_m, False)):
            t = self._descend(origin, directions, lift)
            with np.errstate(invalid='ignore'):
                exists = (np.abs(y + t * dy) < self.kerb_y_m) == is_road
            nearest = np.where(exists, np.minimum(nearest, t), nearest)
        if inside and self.kerb_height_m > 0:  # from the road only the inner faces show
            with np.errstate(divide='ignore', invalid='ignore'):
                t = (np.copysign(self.kerb_y_m, dy) - y) / dy
                over = origin[2] + t * directions[2]
                t = np.where(t < self.reach_m, t, np.inf)
                low = np.isfinite(t) & (over < self._peak + self.kerb_height_m)
            over = over[low] - self.height(origin[0] + t[low] * directions[0, low])
            t[low] = np.where((over >= 0) & (over <= self.kerb_height_m), t[low], np.inf)
            nearest[low] = np.minimum(nearest[low], t[low])
        return nearest

    @property
    def _peak(self) -> float:
        return sum(abs(a) for a, _, _ in self.waves)

    def _descend(self, origin: Float64, directions: Float64, lift: float) -> Float64:
        """First t on z = h(x) + lift.

        The root lies between the heights of the highest and lowest ground. Rays steeper than
        the ground have one root; grazing ones are first walked in 32 steps, far below the shortest
        wavelength. Then Newton's method, kept within the bracket.
        """
        peak = self._peak
        dx, dz = directions[0], directions[2]
        steepest = sum(abs(a * k) for a, k, _ in self.waves)
        result = np.full(len(dz), np.inf)
        far = self.reach_m / np.linalg.norm(directions, axis=0)
        down = np.flatnonzero(origin[2] + np.minimum(far * dz, 0) < peak + lift)
        x, dx, dz, far = origin[0], dx[down], dz[down], far[down]
        above = origin[2] - lift
        with np.errstate(divide='ignore', invalid='ignore'):
            crest, trough = np.clip((peak - above) / dz, 0, far), (-peak - above) / dz
            low = np.where(dz < 0, crest, 0)
            high = np.where(dz < 0, np.minimum(trough, far), crest)
        grazing = np.flatnonzero(-dz < 2 * steepest * np.abs(dx))
        if len(grazing):
            start, step = low[grazing], (high - low)[grazing] / 32
            open_ = np.ones(len(grazing), dtype=bool)
            for i in range(1, 33):
                at = start + i * step
                under = above + at * dz[grazing] < self.height(x + at * dx[grazing])
                found = grazing[under & open_]
                low[found], high[found] = (at - step)[under & open_], at[under & open_]
                open_ &= ~under
            high[grazing[open_]] = np.nan  # over the last hill
        t = (low + high) / 2
        for _ in range(5):
            position = x + t * dx
            with np.errstate(divide='ignore', invalid='ignore'):
                t = t - (above + t * dz - self.height(position)) / (dz - self.slope(position) * dx)
            t = np.clip(t, low, high)
        result[down] = np.where((t > 1e-9) & (t <= far), t, np.inf)
        return result

    def describe(self, points: Float64) -> tuple[Float64, Float64, Int32]:
        """Normals, (x, y) as texture coordinates and part (0 road, 1 pavement, 2 kerb face)."""
        x, y, z = points.T
        off_road = np.abs(y) > self.kerb_y_m - 1e-6
        face = off_road & (np.abs(y) < self.kerb_y_m + 1e-6)
        face &= z < self.height(x) + self.kerb_height_m - 1e-6
        normal = np.stack((-self.slope(x), 0 * x, 0 * x + 1), axis=1)
        normal[face] = np.stack((0 * y[face], -np.sign(y[face]), 0 * y[face]), axis=1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        part = np.where(face, 2, np.where(off_road, 1, 0)).astype(np.int32)
        return normal, np.stack((x, y), axis=1), part
