"""Rays meet parts where geometry on paper says, with either back end."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from depth_ros.errors import MissingDependencyError
from depth_ros.simulation import shapes
from depth_ros.simulation.builder import rotation_z
from depth_ros.simulation.numpy_caster import NumpyCaster
from depth_ros.simulation.parts import Mesh, Parts, Solid, meet_solids
from depth_ros.simulation.raycast import make_caster, tile_order

INF = math.inf
QUARTER = math.pi / 2


def solid(shape, center=(10, 0, 0), half=(1, 1, 1), rotation=None):
    rotation = np.eye(3) if rotation is None else rotation
    center, half = np.array(center, dtype=float), np.array(half, dtype=float)
    return Solid(shape, center, half, rotation, (shapes.prism().material,) * 3)


def across_x(y, z):
    """A sheet from x = -500 to 500 of a profile (y, z)."""
    return shapes.sheet(
        np.array([[(x, *at) for at in zip(y, z, strict=True)] for x in (-500, 500)])
    )


def along_x(x, z):
    """A sheet from y = -500 to 500 of a profile (x, z)."""
    return shapes.sheet(
        np.array([[(at[0], y, at[1]) for at in zip(x, z, strict=True)] for y in (-500, 500)])
    )


STREET = across_x((-50, -5.5, -5.5, 5.5, 5.5, 50), (0.125, 0.125, 0, 0, 0.125, 0.125))
HILL = along_x((-60, -20, 20, 60, 100), (0.5, -0.5, 0.5, -0.5, 0.5))
BOX = solid('box', half=(1, 2, 3))
POST = solid('cylinder', half=(1, 1, 2))


@pytest.fixture(params=['numpy', 'embree'])
def backend(request):
    if request.param == 'embree':
        pytest.importorskip('embreex')
    return request.param


def cast(backend, parts, origin, directions, limit=INF):
    caster = make_caster(Parts(parts), backend)
    return caster.cast(np.asarray(origin, float), np.asarray(directions, float), limit)


def hit(backend, part, origin, direction):
    return cast(backend, (part,), origin, [direction]).t[0]


@pytest.mark.parametrize(
    ('origin', 'direction', 't'),
    [
        ((0, 0, 2), (1, 0, -0.5), 4.0),
        ((0, 0, 2), (2, 0, -1), 2.0),  # t counts lengths of the direction
        ((7, -1, 3), (0, 0, -1), 3.0),
        ((3, 1, -2), (0, 0, 0.5), 4.0),  # from below
        ((0, 0, 2), (0, 4, -1), 1.875),  # over the kerb on to the pavement
        ((0, 0, 2), (0, -4, -1), 1.875),
        ((0, 0, 2), (0, 1, -0.35), 5.5),  # at z = 0.075 on the kerb's face
        ((0, 0, 2), (0, -1, -0.35), 5.5),
        ((0, 7, 2), (0, -1, -2), 0.9375),  # from above the pavement
        ((0, 0, 2), (1, 0, 0), INF),
        ((0, 0, 2), (1, 0, 0.1), INF),
        ((0, 0, 2), (1, 0, -0.001), INF),  # 2 km away, beyond the end of the street
    ],
)
def test_ray_on_a_street_of_triangles(backend, origin, direction, t):
    assert hit(backend, STREET, origin, direction) == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize(
    ('origin', 'direction', 't'),
    [
        ((20, 0.3, 3), (0, 0, -1), 2.5),  # the crest, at 0.5
        ((60, 0.3, 3), (0, 0, -1), 3.5),  # the trough, at -0.5
        ((0, 0, 2), (40, 0, -2), 1.0),  # past the crest on to the slope behind it
        ((-20, 0, 0), (1, 0, 0), 20.0),  # a level ray meets the slope where it is 0 high
        ((-20, 0, -0.25), (20, 0, 0.25), 1.0),  # a rising ray does too
        ((-20, 0, 0.6), (1, 0, 0), INF),  # a level ray over the crest
    ],
)
def test_ray_on_a_height_field(backend, origin, direction, t):
    assert hit(backend, HILL, origin, direction) == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize('above_m', [1.5, 0.05])
def test_grazing_rays_meet_the_first_of_many_hills(backend, above_m):
    """The field is cut into strips of 0.5 m, which a walk of 1 cm steps along each ray finds."""
    x = np.arange(0, 400.5, 0.5)
    z = np.float32(0.2 * np.sin(0.05 * x + 1) + 0.1 * np.sin(0.11 * x + 2))
    origin = np.array([0.0, 0.0, float(z[0]) + above_m])
    dz = np.linspace(-0.05, 0.005, 200)
    walk = np.arange(0, 400, 0.01)
    height = np.interp(walk, x, z)
    expected = np.full(200, INF)
    for i in range(200):
        under = origin[2] + walk * dz[i] < height
        expected[i] = walk[np.argmax(under)] if under.any() else INF
    rays = np.stack((np.ones(200), np.zeros(200), dz), axis=1)
    t = cast(backend, (along_x(x, z),), origin, rays).t
    np.testing.assert_array_equal(np.isfinite(t), np.isfinite(expected))
    seen = np.isfinite(t)
    assert 50 < seen.sum() < 200
    np.testing.assert_allclose(t[seen], expected[seen], atol=0.011)


@pytest.mark.parametrize(
    ('part', 'origin', 'direction', 't'),
    [
        (BOX, (0, 0, 0), (1, 0, 0), 9.0),
        (BOX, (0, 0, 0), (2, 0, 0), 4.5),
        (BOX, (10, 0, 0), (1, 0, 0), 1.0),  # from inside
        (BOX, (10, 0, 0), (0, 1, 1), 2.0),
        (BOX, (0, 2.5, 0), (1, 0, 0), INF),
        (BOX, (0, 0, 0), (-1, 0, 0), INF),  # it lies behind
        (solid('box', rotation=rotation_z(QUARTER / 2)), (0, 0, 0), (1, 0, 0), 10 - math.sqrt(2)),
        (solid('box', rotation=rotation_z(QUARTER / 2)), (0, 0.5, 0), (1, 0, 0), 10.5 - 2**0.5),
        (POST, (0, 0, 0), (1, 0, 0), 9.0),
        (POST, (0, 0.6, 0), (1, 0, 0), 9.2),
        (POST, (10, 0.3, 10), (0, 0, -1), 8.0),  # on the cap
        (POST, (10, 1.5, 10), (0, 0, -1), INF),
        (POST, (10, 0, 4), (0.25, 0, -1), 2.0),  # slanted, cap
        (POST, (7, 0, 3), (1, 0, -1), 2.0),  # slanted, mantle
        (POST, (10, 0, 0), (0, 0, 1), 2.0),  # from inside
        (solid('cylinder', half=(2, 1, 2), rotation=rotation_z(QUARTER)), (0, 0, 0), (1, 0, 0), 9),
        (solid('ellipsoid'), (0, 0, 0), (1, 0, 0), 9.0),
        (solid('ellipsoid'), (10, 0, 0), (0, 0, 1), 1.0),
        (solid('ellipsoid'), (0, 1.001, 0), (1, 0, 0), INF),
        (solid('ellipsoid', half=(2, 1, 1)), (0, 0.6, 0), (1, 0, 0), 8.4),
    ],
)
def test_ray_on_a_solid(backend, part, origin, direction, t):
    assert hit(backend, part, origin, direction) == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize(
    ('part', 'directions', 'faces'),
    [
        (BOX, np.concatenate((-np.eye(3), np.eye(3))), (0, 2, 4, 1, 3, 5)),
        (POST, np.concatenate((-np.eye(3), np.eye(3))), (0, 0, 1, 0, 0, 2)),
        (solid('ellipsoid'), np.eye(3), (0, 0, 0)),
    ],
    ids=['box', 'cylinder', 'ellipsoid'],
)
def test_faces_are_counted_along_the_axes_the_negative_side_first(
    backend, part, directions, faces
):
    """After the 8 faces of the part before; of a cylinder the mantle, the bottom, the top."""
    parts = (shapes.prism(), part)
    inside = cast(backend, parts, np.add(part.center, (0.02, 0.01, 0.03)), directions)
    outside = cast(backend, parts, part.center + 6 * directions, -directions)
    np.testing.assert_array_equal(inside.face, 8 + np.array(faces))
    np.testing.assert_array_equal(outside.face, 8 + np.array(faces))


@pytest.mark.parametrize(
    ('aside_m', 't', 'face'),
    [
        (0.3, 10 - math.sqrt(1.005**2 - 0.3**2), 1),
        (1.002, 10 - math.sqrt(1.005**2 - 1.002**2), 1),  # past the ball within
        (1.007, 19.0, 2),  # past both, but through the hulls that Embree has around them
        (-1.1, 19.0, 2),
    ],
)
def test_a_ray_past_what_is_curved_meets_what_is_beside_it(backend, aside_m, t, face):
    """A ball of 1 m within one of 1.005 m, before a wall."""
    balls = [solid('ellipsoid', half=(size,) * 3) for size in (1.0, 1.005)]
    for turn in np.linspace(0, 2 * math.pi, 7):
        origin = (0, aside_m * math.cos(turn), aside_m * math.sin(turn))
        hits = cast(backend, (*balls, solid('box', (21, 0, 0), (2, 9, 9))), origin, [(1, 0, 0)])
        assert hits.t[0] == pytest.approx(t, abs=1e-9)
        assert hits.face[0] == face


def scatter(rng, count, meshes=0):
    """Solids of every shape around the origin, lumps of triangles, and the ground below."""
    parts = []
    for i in range(count + meshes):
        rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        rotation *= np.linalg.det(rotation)
        away = rng.standard_normal(3)
        center = np.abs(away / np.linalg.norm(away)) * rng.uniform(6, 30)
        if i < count:
            shape = ('box', 'cylinder', 'ellipsoid')[i % 3]
            parts.append(solid(shape, center, rng.uniform(0.3, 2.5, 3), rotation))
        else:
            lump = shapes.lump(rng, 0.1, 10)
            vertices = (lump.vertices * rng.uniform(1, 4, 3)) @ rotation + center
            parts.append(Mesh(vertices.astype(np.float32), lump.faces))
    return (*parts, across_x((-50, 50), (-0.2, 0.1)))


def every_triangle(corners, origin, rays):
    """T of each ray on each triangle by solving for it, and the nearness of an edge."""
    a, b, c = corners.astype(np.float64).transpose(1, 0, 2)
    sides = np.stack(np.broadcast_arrays(-rays[:, None].astype(float), b - a, c - a), axis=-1)
    with np.errstate(all='ignore'):
        t, u, v = np.moveaxis(
            np.linalg.solve(sides, (origin - a)[None, :, :, None])[..., 0], -1, 0
        )
    within = np.minimum(np.minimum(u, v), 1 - u - v)
    return np.where((within > 0) & (t > 0), t, INF), np.abs(within)


def test_the_nearest_of_many_triangles_is_met(backend):
    """Within 1e-4 of an edge single precision may decide otherwise."""
    rng = np.random.default_rng(1)
    corners = rng.uniform(-1, 1, (15, 3, 3)).astype(np.float32)
    mesh = Mesh(corners.reshape(-1, 3), np.arange(45, dtype=np.int32).reshape(-1, 3))
    origin, rays = np.array([0.1, 0.2, 0.3]), rng.normal(size=(500, 3))
    t, edge = every_triangle(corners, origin, rays)
    clear = edge.min(axis=1) > 1e-4
    assert clear.mean() > 0.9
    hits = cast(backend, (mesh,), origin, rays)
    np.testing.assert_allclose(hits.t[clear], t.min(axis=1)[clear], rtol=1e-9)
    met = clear & np.isfinite(t.min(axis=1))
    assert 100 < met.sum() < 450
    np.testing.assert_array_equal(hits.face[met], t.argmin(axis=1)[met])
    np.testing.assert_array_equal(hits.face[clear & ~met], -1)


def test_cast_finds_what_testing_every_part_finds(backend):
    rng = np.random.default_rng(1)
    parts = Parts(scatter(rng, 40)[:-1])
    origin = np.array([0.0, 0.0, 1.5])
    azimuth, up = np.meshgrid(np.linspace(-0.1, 1.7, 96), np.linspace(-0.3, 1.5, 64))
    view = np.stack((np.cos(up) * np.cos(azimuth), np.cos(up) * np.sin(azimuth), np.sin(up)), 2)
    directions = view.reshape(-1, 3)[tile_order(64, 96)] * rng.uniform(0.5, 2, (6144, 1))
    every, faces = [], []
    for shape, to_unit, first in zip(parts.shape, parts.to_unit, parts.first_face, strict=True):
        turn, move = to_unit[:, :3], to_unit[:, 3:]
        t, face = meet_solids(shape, turn @ origin[:, None] + move, turn @ directions.T)
        every.append(t)
        faces.append(first + face)
    nearest = np.argmin(every, axis=0)
    expected = np.min(every, axis=0)
    hits = make_caster(parts, backend).cast(origin, directions)
    np.testing.assert_allclose(hits.t, expected, rtol=1e-9)
    missed = np.isinf(expected)
    face = np.where(missed, -1, np.take_along_axis(np.array(faces), nearest[None], axis=0)[0])
    assert (hits.face == face).mean() > 0.999  # on an edge of a box either of two may be met
    assert 0.05 < missed.mean() < 0.95
    assert len(np.unique(parts.part[hits.face[~missed]])) > 25


@pytest.mark.parametrize('origin', [(0.3, -0.2, 40.0), (5000.0, 3000.0, 9000.0)])
def test_nothing_falls_between_triangles(origin):
    """With NumPy: rays at the corners and the middles of edges of 7200 all meet one."""
    side = np.linspace(-30, 30, 61)
    height = 0.3 * np.random.default_rng(3).standard_normal((61, 61))
    grid = np.dstack((*np.meshgrid(side, side, indexing='ij'), height)).astype(np.float32)
    inner = grid[2:-2, 2:-2].astype(float)
    aims = (inner, (inner[1:] + inner[:-1]) / 2, (inner[:, 1:] + inner[:, :-1]) / 2)
    rays = np.concatenate([aim.reshape(-1, 3) for aim in aims]) - origin
    hits = cast('numpy', (shapes.sheet(grid),), origin, rays)
    assert (hits.face >= 0).all()
    assert (hits.t <= 1 + 1e-9).all()


@pytest.mark.parametrize('own_places', [False, True])
def test_both_back_ends_see_the_same(own_places):
    """But for rays along an edge, which one of them may let pass by."""
    pytest.importorskip('embreex')
    rng = np.random.default_rng(5)
    parts = Parts(scatter(rng, 30, meshes=30))
    origins = rng.uniform(-1, 1, (20_000, 3)) if own_places else np.array([0.3, 0.2, 1.5])
    directions = rng.standard_normal((20_000, 3)) * rng.uniform(0.1, 10, (20_000, 1))
    embree, plain = (
        make_caster(parts, backend).cast(origins, directions) for backend in ('embree', 'numpy')
    )
    same = np.isclose(embree.t, plain.t, rtol=1e-6)
    assert np.mean(same) > 0.9995
    assert np.mean(embree.face == plain.face) > 0.999
    seen = parts.part[plain.face[plain.face >= 0]]
    assert len(np.unique(seen)) > 35
    assert (seen >= 30).mean() > 0.1


@pytest.mark.parametrize(
    ('shape', 'hull'), [('ellipsoid', 1.09), ('box', 1.0), ('cylinder', 1.09)]
)
@pytest.mark.parametrize('lamp_m', [4.0, 1e4])
def test_shadow_on_the_ground(backend, shape, hull, lamp_m):
    """Of a ball of 1 m at a height of 2 m the tangents end 4 tan(30 deg) from the middle.

    The upper edge of a box or a cylinder, at 3 m, throws the shadow: four times as wide. Of what
    is curved its hull may throw it, which is up to 9 % larger.
    """
    above_m = lamp_m - 2.0
    wide_m, far_m = (
        size
        * lamp_m
        / (math.sqrt(above_m**2 - size**2) if shape == 'ellipsoid' else above_m - size)
        for size in (1.0, hull)
    )
    x = np.array([0.0, 0.5, wide_m - 0.01, far_m + 0.01, 5.0])
    points, lamp = np.stack((x, 0 * x, 0 * x), axis=1), np.array([0.0, 0.0, lamp_m])
    ground, thing = across_x((-500, 500), (-0.01, -0.01)), solid(shape, (0, 0, 2))
    caster = make_caster(Parts((ground, thing)), backend)
    np.testing.assert_array_equal(caster.blocked(points, lamp), [True, True, True, False, False])
    assert not caster.blocked(lamp - [[0, 0, 0.5]], lamp).any(), 'the ball is behind the point'


def test_a_point_is_blocked_if_a_ray_to_the_lamp_meets_something(backend):
    """Also face 0, and only before the lamp."""
    rng = np.random.default_rng(2)
    boxes = [solid('box', rng.uniform(-3, 3, 3), rng.uniform(0.1, 0.6, 3)) for _ in range(10)]
    corners = rng.uniform(-3, 3, (6, 3, 3)).astype(np.float32)
    mesh = Mesh(corners.reshape(-1, 3), np.arange(18, dtype=np.int32).reshape(-1, 3))
    caster = make_caster(Parts((*boxes, mesh)), backend)
    points, lamp = rng.uniform(-4, 4, (1000, 3)), np.array([0.5, -0.2, 2.0])
    met = caster.cast(points, lamp - points, limit=1.0).face
    blocked = caster.blocked(points, lamp)
    assert (blocked == (met >= 0)).mean() > 0.998  # numpy looks the other way along edges
    assert 0.2 < blocked.mean() < 0.9
    alone = make_caster(Parts((solid('box', (2, 0, 0)),)), backend)
    assert alone.blocked(np.zeros((1, 3)), np.array([4.0, 0, 0])).all(), 'by face 0'
    assert not alone.blocked(np.zeros((1, 3)), np.array([0.9, 0, 0])).any()


def test_rays_may_start_at_their_own_places(backend):
    """In a row along one another, each meets its own of a row of solids, and few meet a box."""
    y = 3.0 * np.arange(300)
    origins = np.stack((0 * y, y, 0 * y), axis=1)
    for shape in ('ellipsoid', 'cylinder'):
        hits = cast(backend, [solid(shape, (10, at, 0)) for at in y], origins, [(1, 0, 0)] * 300)
        np.testing.assert_allclose(hits.t, 9, rtol=1e-12)
        np.testing.assert_array_equal(
            hits.face, np.arange(300) * (3 if shape == 'cylinder' else 1)
        )
    origins = [(-3, 0.1, 0.6), (-5, 0.1, 0.6), (5, 0.1, 0.6), (0.1, 0.2, 4.0), (0, 2, 0)]
    directions = [(1, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 0, -2), (1, 0, 0)]
    box = cast(backend, (solid('box', (0, 0, 0)),), origins, directions)
    np.testing.assert_allclose(box.t, (2, 4, 4, 1.5, INF))


def test_cast_does_not_depend_on_the_order_of_the_rays(backend):
    rng = np.random.default_rng(2)
    parts, origin = scatter(rng, 20, meshes=5), np.array([0.0, 0.0, 1.5])
    directions = rng.standard_normal((1000, 3))
    shuffled = rng.permutation(1000)
    straight = cast(backend, parts, origin, directions)
    mixed = cast(backend, parts, origin, directions[shuffled])
    np.testing.assert_allclose(mixed.t, straight.t[shuffled], rtol=1e-12)
    np.testing.assert_array_equal(mixed.face, straight.face[shuffled])


@pytest.mark.parametrize('shape', ['box', 'cylinder', 'ellipsoid'])
def test_cast_ends_at_its_limit(backend, shape):
    wall = (solid(shape),)
    directions = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    near, far = (cast(backend, wall, np.zeros(3), directions, limit) for limit in (8.9, 9.1))
    np.testing.assert_array_equal(near.t, [INF, INF])
    np.testing.assert_array_equal(near.face, [-1, -1])
    np.testing.assert_allclose(far.t, [9.0, INF])
    np.testing.assert_array_equal(far.face, [0, -1])


def test_no_rays_and_no_parts_are_no_hits(backend):
    nothing = make_caster(Parts(()), backend)
    np.testing.assert_array_equal(nothing.cast(np.zeros(3), np.eye(3)).t, INF)
    np.testing.assert_array_equal(nothing.cast(np.zeros(3), np.eye(3)).face, -1)
    assert not nothing.blocked(np.zeros((2, 3)), np.ones(3)).any()
    box = make_caster(Parts((BOX,)), backend)
    assert box.cast(np.zeros(3), np.zeros((0, 3))).t.shape == (0,)
    assert box.blocked(np.zeros((0, 3)), np.ones(3)).shape == (0,)


def test_without_embree_numpy_casts_and_embree_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'embreex', None)
    assert isinstance(make_caster(Parts((BOX,))), NumpyCaster)
    with pytest.raises(MissingDependencyError, match=r"'embreex'.*depth_ros\[simulation\]"):
        make_caster(Parts((BOX,)), 'embree')
