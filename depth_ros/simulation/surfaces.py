"""Surfaces that rays can hit: boxes, cylinders, ellipsoids and gently curved ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64

Int32 = npt.NDArray[np.int32]

_TINY = 1e-200  # makes a zero finite to divide by, and is lost in everything else


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
        unit_origin = to_unit @ (origin - self.center)
        return _INTERSECT[self.shape](unit_origin[:, None], to_unit @ directions)


def _unit_box(origin: Float64, directions: Float64) -> Float64:
    """Slab test (Kay and Kajiya, SIGGRAPH 1986)."""
    inverse = 1.0 / (directions + _TINY)
    middle = -origin * inverse
    half = np.abs(inverse)
    enter = np.max(middle - half, axis=0)
    leave = np.min(middle + half, axis=0)
    hit = (leave >= enter) & (leave > 0)
    return np.where(hit, np.where(enter > 0, enter, leave), np.inf)


def _quadratic(origin: Float64, directions: Float64) -> tuple[Float64, Float64]:
    """Both t at which |origin + t * directions| = 1, NaN where the line passes by."""
    with np.errstate(divide='ignore', invalid='ignore'):
        a = np.einsum('in,in->n', directions, directions)
        b = -np.sum(origin * directions, axis=0) / a
        # distance^2 of the line from the centre, taken at its foot: no cancellation of b^2 - ac
        foot = origin + b * directions
        root = np.sqrt((1.0 - np.einsum('in,in->n', foot, foot)) / a)
        return b - root, b + root


def _unit_ellipsoid(origin: Float64, directions: Float64) -> Float64:
    enter, leave = _quadratic(origin, directions)
    return np.where(enter > 0, enter, np.where(leave > 0, leave, np.inf))


def _unit_cylinder(origin: Float64, directions: Float64) -> Float64:
    """The infinite cylinder and the slab between the caps, intersected."""
    enter, leave = _quadratic(origin[:2], directions[:2])
    with np.errstate(divide='ignore', invalid='ignore'):
        # vertical rays inside have no t on the mantle
        upright = np.isnan(enter) & (np.sum(origin[:2] ** 2, axis=0) < 1)
        enter, leave = np.where(upright, -np.inf, enter), np.where(upright, np.inf, leave)
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

    def strips(
        self, start: float, end: float, step_m: float
    ) -> tuple[Float64, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The ground from x = start to end as triangles: vertices, faces, and their parts."""
        x = np.linspace(start, end, int(np.ceil((end - start) / step_m)) + 1)
        far, kerb, lift = self.reach_m + abs(self.kerb_y_m), self.kerb_y_m, self.kerb_height_m
        rim = [(-far, lift), (-kerb, lift), (-kerb, 0.0), (kerb, 0.0), (kerb, lift), (far, lift)]
        columns = [np.column_stack((x, 0 * x + y, self.height(x) + z)) for y, z in rim]
        this = np.arange(len(x) - 1)[:, None] + len(x) * np.arange(len(rim) - 1)
        a, b = this.ravel(), this.ravel() + 1
        c, d = a + len(x), b + len(x)
        faces = np.concatenate((np.column_stack((a, b, c)), np.column_stack((b, d, c))))
        part = np.tile(np.array((1, 2, 0, 2, 1), np.int32), len(x) - 1)
        return np.concatenate(columns), faces.astype(np.int32), np.concatenate((part, part))

    def refine(self, origin: Float64, directions: Float64, t: Float64, part: Int32) -> Float64:
        """Exact t of rays (N, 3) from one point that are within centimetres of the ground."""
        x0, y0, z0 = origin
        dx, dy, dz = directions.T
        lift = np.where(part == 1, self.kerb_height_m, 0.0)
        exact = t
        with np.errstate(divide='ignore', invalid='ignore'):
            for _ in range(2):
                x = x0 + exact * dx
                over = z0 + exact * dz - self.height(x) - lift
                exact = exact - over / (dz - self.slope(x) * dx)
            face = (np.copysign(self.kerb_y_m, dy) - y0) / dy
        exact = np.where(part == 2, face, exact)
        return np.where(np.abs(exact - t) < 0.02 * t, exact, t)

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


Surface = Solid | Ground
SHAPES = ('box', 'cylinder', 'ellipsoid', 'ground')
BOX, CYLINDER, ELLIPSOID, GROUND = range(len(SHAPES))


class Surfaces(Sequence[Surface]):
    """All that stands in a scene, one by one, and as arrays with a row for each.

    Attributes:
        kind: (S,) position of the shape in `SHAPES`.
        center: (S, 3) in the world in metres.
        half_size: (S, 3) half extents along the surface's own axes in metres.
        rotation: (S, 3, 3), surface to world.
        casts_shadow: (S,) False for what never stands between a light and something else.
        tint: (S, 3) colour that multiplies the material's.
        material_names: every material that occurs, once.
        material: (S, 3) position in `material_names` of the materials of the three parts.
    """

    def __init__(self, surfaces: Sequence[Surface]) -> None:
        self._all = tuple(surfaces)
        unbounded = np.ones(3), np.eye(3)
        self.kind = np.array(
            [SHAPES.index(s.shape) if isinstance(s, Solid) else GROUND for s in surfaces], np.int8
        )
        self.center = np.stack([s.center for s in surfaces])
        turned = [(s.half_size, s.rotation) if isinstance(s, Solid) else unbounded
                  for s in surfaces]  # fmt: skip
        self.half_size = np.stack([half_size for half_size, _ in turned])
        self.rotation = np.stack([rotation for _, rotation in turned])
        self.casts_shadow = np.array([s.casts_shadow for s in surfaces])
        self.tint = np.array([s.tint for s in surfaces])
        numbers: dict[str, int] = {}
        self.material = np.array(
            [[numbers.setdefault(name, len(numbers)) for name in s.materials] for s in surfaces]
        )
        self.material_names = tuple(numbers)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Surface:  # type: ignore[override]
        return self._all[index]

    def __iter__(self) -> Iterator[Surface]:
        return iter(self._all)

    def describe(self, points: Float64, index: Int32) -> tuple[Float64, Float64, Int32]:
        """What surfaces are like where they were hit.

        Args:
            points: (N, 3) on the surfaces, in the world.
            index: (N,) which surface each point is on.

        Returns:
            Outward normals (N, 3), texture coordinates (N, 2) in metres and parts (N,): 0 side,
            1 top, 2 bottom of a solid; 0 road, 1 pavement, 2 kerb face of the ground.
        """
        half_size, rotation = self.half_size[index], self.rotation[index]
        local = np.einsum('nj,njk->nk', points - self.center[index], rotation)
        unit = local / half_size
        kind = self.kind[index]
        widest = np.argmax(np.abs(unit), axis=1)
        normal = unit / half_size
        box = np.flatnonzero(kind == BOX)
        normal[box] = np.eye(3)[widest[box]] * np.sign(unit[box])
        corner = local + half_size
        round_ = np.flatnonzero(kind == CYLINDER)
        x, y, z = unit[round_].T
        cap = np.abs(z) >= np.hypot(x, y)
        widest[round_] = np.where(cap, 2, 0)
        normal[round_] *= np.where(cap[:, None], (0, 0, 1), (1, 1, 0))
        around = np.arctan2(y, x) * half_size[round_, 0]
        corner[round_, 1] = np.where(cap, corner[round_, 1], around)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), _TINY)
        normal = np.einsum('nk,njk->nj', normal, rotation)
        uv = np.where((widest == 0)[:, None], corner[:, 1:], corner[:, [0, 2]])
        top = widest == 2
        uv[top] = corner[top, :2]
        part = np.where(top, np.where(unit[:, 2] > 0, 1, 2), 0).astype(np.int32)
        for number in np.unique(index[kind == GROUND]):
            on = np.flatnonzero(index == number)
            ground = self._all[number]
            assert isinstance(ground, Ground)
            normal[on], uv[on], part[on] = ground.describe(points[on])
        return normal, uv, part


def intersect_curved(
    surfaces: Surfaces, index: Int32, origins: Float64, directions: Float64
) -> Float64:
    """Smallest t > 0 at which each ray (N, 3) is on a cylinder or ellipsoid of its own, else inf.

    Args:
        surfaces: the scene.
        index: (N,) the surface to be tested against.
        origins: (N, 3).
        directions: (N, 3).
    """
    half_size, rotation = surfaces.half_size[index], surfaces.rotation[index]
    offset = origins - surfaces.center[index]
    origin = (np.einsum('nj,njk->nk', offset, rotation) / half_size).T
    direction = (np.einsum('nj,njk->nk', directions, rotation) / half_size).T
    t = np.empty(len(index))
    cylinder = surfaces.kind[index] == CYLINDER
    for chosen, meet in ((cylinder, _unit_cylinder), (~cylinder, _unit_ellipsoid)):
        t[chosen] = meet(origin[:, chosen], direction[:, chosen])
    return t
