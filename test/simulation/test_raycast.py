"""Rays meet surfaces where geometry on paper says."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from depth_ros.simulation.raycast import direction_order, make_caster, tile_order
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.surfaces import Ground, Solid, Surfaces

INF = math.inf
FLAT = Ground((), kerb_y_m=5.5, kerb_height_m=0.14)
HILL = Ground(((0.5, math.pi / 40, 0.0),), kerb_y_m=5.5, kerb_height_m=0.0)  # 0.5 sin(pi x / 40)


def about_z(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def solid(shape, center=(10, 0, 0), half=(1, 1, 1), rotation=None):
    rotation = np.eye(3) if rotation is None else rotation
    center, half = np.array(center, dtype=float), np.array(half, dtype=float)
    return Solid(shape, center, half, rotation, ('wood', 'roof', 'stone'))


@pytest.fixture(params=['numpy', 'embree'])
def backend(request):
    if request.param == 'embree':
        pytest.importorskip('embreex')
    return request.param


def cast(backend, surfaces, origin, directions, limit=INF):
    caster = make_caster(Surfaces(surfaces), backend)
    return caster.cast(np.asarray(origin, float), np.asarray(directions, float), limit)


def hit(backend, surface, origin, direction):
    return cast(backend, (surface,), origin, [direction]).t[0]


def describe(surface, *points):
    return Surfaces((surface,)).describe(np.array(points, float), np.zeros(len(points), int))


@pytest.mark.parametrize(
    ('origin', 'direction', 't'),
    [
        ((0, 0, 2), (1, 0, -0.5), 4.0),
        ((0, 0, 2), (2, 0, -1), 2.0),  # t counts lengths of the direction
        ((7, -1, 3), (0, 0, -1), 3.0),
        ((0, 0, 2), (0, 4, -1), 1.86),  # over the kerb on to the pavement at z = 0.14
        ((0, 0, 2), (0, -4, -1), 1.86),
        ((0, 0, 2), (0, 1, -0.35), 5.5),  # at z = 0.075 on the kerb's face
        ((0, 0, 2), (0, -1, -0.35), 5.5),
        ((0, 7, 2), (0, -1, -2), 0.93),  # from above the pavement
        ((0, 0, 2), (1, 0, 0), INF),
        ((0, 0, 2), (1, 0, 0.1), INF),
        ((0, 0, 2), (1, 0, -0.001), INF),  # 2 km away, beyond reach_m
    ],
)
def test_ray_on_flat_ground(backend, origin, direction, t):
    assert hit(backend, FLAT, origin, direction) == pytest.approx(t, abs=1e-9)


@pytest.mark.parametrize(
    ('origin', 'direction', 't'),
    [
        ((20, 0, 3), (0, 0, -1), 2.5),  # the crest, at 0.5
        ((60, 0, 3), (0, 0, -1), 3.5),  # the trough, at -0.5
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
    ground = Ground(((0.2, 0.05, 1.0), (0.1, 0.11, 2.0)), kerb_y_m=5.5, kerb_height_m=0.0)
    origin = np.array([0.0, 0.0, float(ground.height(np.array(0.0))) + above_m])
    dz = np.linspace(-0.05, 0.005, 200)
    directions = np.stack((np.ones(200), np.zeros(200), dz))
    walk = np.arange(0, 400, 0.01)
    height = ground.height(walk)
    expected = np.full(200, INF)
    for i in range(200):
        under = origin[2] + walk * dz[i] < height
        expected[i] = walk[np.argmax(under)] if under.any() else INF
    t = cast(backend, (ground,), origin, directions.T).t
    np.testing.assert_array_equal(np.isfinite(t), np.isfinite(expected))
    seen = np.isfinite(t)
    assert 50 < seen.sum() < 200
    np.testing.assert_allclose(t[seen], expected[seen], atol=0.011)


def test_ground_normals_and_parts():
    normal, uv, part = describe(FLAT, (3, 1, 0), (3, 7, 0.14), (3, 5.5, 0.07), (3, -5.5, 0.07))
    np.testing.assert_array_equal(normal, [[0, 0, 1], [0, 0, 1], [0, -1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(part, [0, 1, 2, 2])
    np.testing.assert_array_equal(uv[0], (3, 1))
    rise = 0.5 * math.pi / 40
    np.testing.assert_allclose(
        describe(HILL, (0, 0, 0), (20, 0, 0.5))[0],
        [np.array((-rise, 0, 1)) / math.hypot(rise, 1), (0, 0, 1)],
        atol=1e-12,
    )


@pytest.mark.parametrize(
    ('surface', 'origin', 'direction', 't'),
    [
        (solid('box', half=(1, 2, 3)), (0, 0, 0), (1, 0, 0), 9.0),
        (solid('box', half=(1, 2, 3)), (0, 0, 0), (2, 0, 0), 4.5),
        (solid('box', half=(1, 2, 3)), (10, 0, 0), (1, 0, 0), 1.0),  # from inside
        (solid('box', half=(1, 2, 3)), (10, 0, 0), (0, 1, 1), 2.0),
        (solid('box', half=(1, 2, 3)), (0, 2.5, 0), (1, 0, 0), INF),
        (solid('box', half=(1, 2, 3)), (0, 0, 0), (-1, 0, 0), INF),  # it lies behind
        (solid('box', rotation=about_z(45)), (0, 0, 0), (1, 0, 0), 10 - math.sqrt(2)),
        (solid('box', rotation=about_z(45)), (0, 0.5, 0), (1, 0, 0), 10.5 - math.sqrt(2)),
        (solid('cylinder', half=(1, 1, 2)), (0, 0, 0), (1, 0, 0), 9.0),
        (solid('cylinder', half=(1, 1, 2)), (0, 0.6, 0), (1, 0, 0), 9.2),
        (solid('cylinder', half=(1, 1, 2)), (10, 0.3, 10), (0, 0, -1), 8.0),  # on the cap
        (solid('cylinder', half=(1, 1, 2)), (10, 1.5, 10), (0, 0, -1), INF),
        (solid('cylinder', half=(1, 1, 2)), (10, 0, 4), (0.25, 0, -1), 2.0),  # slanted, cap
        (solid('cylinder', half=(1, 1, 2)), (7, 0, 3), (1, 0, -1), 2.0),  # slanted, mantle
        (solid('cylinder', half=(1, 1, 2)), (10, 0, 0), (0, 0, 1), 2.0),  # from inside
        (solid('cylinder', half=(2, 1, 2), rotation=about_z(90)), (0, 0, 0), (1, 0, 0), 9.0),
        (solid('ellipsoid'), (0, 0, 0), (1, 0, 0), 9.0),
        (solid('ellipsoid'), (10, 0, 0), (0, 0, 1), 1.0),
        (solid('ellipsoid'), (0, 1.001, 0), (1, 0, 0), INF),
        (solid('ellipsoid', half=(2, 1, 1)), (0, 0.6, 0), (1, 0, 0), 8.4),
    ],
)
def test_ray_on_a_solid(backend, surface, origin, direction, t):
    assert hit(backend, surface, origin, direction) == pytest.approx(t, abs=1e-9)


def test_normals_of_solids():
    box = describe(solid('box', half=(1, 2, 3), rotation=about_z(90)), (8, 0, 0), (10, 0, 3))
    np.testing.assert_allclose(box[0], [[-1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_array_equal(box[2], [0, 1])
    cylinder = describe(solid('cylinder', half=(1, 1, 2)), (10.6, 0.8, 1), (10, 0.2, -2))
    np.testing.assert_allclose(cylinder[0], [[0.6, 0.8, 0], [0, 0, -1]], atol=1e-12)
    np.testing.assert_array_equal(cylinder[2], [0, 2])
    ellipsoid = describe(solid('ellipsoid', half=(2, 1, 1)), (11.6, 0.6, 0))
    np.testing.assert_allclose(ellipsoid[0], [np.array((0.4, 0.6, 0)) / math.hypot(0.4, 0.6)])


def scatter(rng, count):
    """Solids of every shape around the origin, and the ground below."""
    solids = []
    for i in range(count):
        rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        rotation *= np.linalg.det(rotation)
        away = rng.standard_normal(3)
        center = np.abs(away / np.linalg.norm(away)) * rng.uniform(6, 30)
        shape = ('box', 'cylinder', 'ellipsoid')[i % 3]
        solids.append(solid(shape, center, rng.uniform(0.3, 2.5, 3), rotation))
    return (*solids, Ground((), kerb_y_m=5.5, kerb_height_m=0.1, reach_m=200.0))


@pytest.mark.parametrize('shape', ['ellipsoid', 'box', 'cylinder'])
@pytest.mark.parametrize('lamp_m', [4.0, 1e4])
def test_shadow_on_the_ground(backend, shape, lamp_m):
    """Of a ball of 1 m at a height of 2 m the tangents end 4 tan(30 deg) from the middle.

    The upper edge of a box or a cylinder, at 3 m, throws the shadow: four times as wide.
    """
    above_m = lamp_m - 2.0
    wide_m = lamp_m / math.sqrt(above_m**2 - 1) if shape == 'ellipsoid' else lamp_m / (lamp_m - 3)
    x = np.array([0.0, 0.5, wide_m - 0.01, wide_m + 0.01, 5.0])
    points = np.stack((x, 0 * x, 0 * x), axis=1)
    lamp = np.array([0.0, 0.0, lamp_m])
    thing = solid(shape, (0, 0, 2))
    shadowed = make_caster(Surfaces((FLAT, thing)), backend).shadowed(lamp, points)
    np.testing.assert_array_equal(shadowed, [True, True, True, False, False])
    between = make_caster(Surfaces((FLAT, thing)), backend).shadowed(lamp, lamp - [[0, 0, 0.5]])
    assert not between.any()
    clear = dataclasses.replace(thing, casts_shadow=False)
    assert not make_caster(Surfaces((FLAT, clear)), backend).shadowed(lamp, points).any()


@pytest.mark.parametrize('scene', ['street', 'indoor'])
def test_both_back_ends_see_the_same(scene):
    """Depth, and what is seen, from two places of the rig's way."""
    pytest.importorskip('embreex')
    world = WORLDS[scene](np.random.default_rng(5), 20.0, 0.3)
    order = tile_order(120, 320)
    column, row = order % 320, order // 320
    rays = np.column_stack((np.ones(len(order)), (160 - column) / 160, (60 - row) / 160))
    for time_s in (1.0, 17.0):
        pose = world.pose(time_s)
        origin, directions = pose[:3, 3] + (0, 0, 1.5), rays @ pose[:3, :3].T
        embree, plain = (
            make_caster(world.scene.surfaces, backend).cast(origin, directions)
            for backend in ('embree', 'numpy')
        )
        same = np.isclose(embree.t, plain.t, rtol=1e-6)
        assert np.mean(same) > 0.9995
        assert np.mean(embree.index == plain.index) > 0.995  # faces of a few houses coincide
        assert len(np.unique(plain.index)) > 25


def test_cast_finds_what_testing_every_surface_finds(backend):
    rng = np.random.default_rng(1)
    surfaces = scatter(rng, 40)
    origin = np.array([0.0, 0.0, 1.5])
    azimuth, up = np.meshgrid(np.linspace(-0.1, 1.7, 96), np.linspace(-0.3, 1.5, 64))
    view = np.stack((np.cos(up) * np.cos(azimuth), np.cos(up) * np.sin(azimuth), np.sin(up)), 2)
    directions = view.reshape(-1, 3)[tile_order(64, 96)] * rng.uniform(0.5, 2, (6144, 1))
    every = np.stack([surface.intersect(origin, directions.T) for surface in surfaces])
    hits = cast(backend, surfaces, origin, directions)
    np.testing.assert_allclose(hits.t, every.min(axis=0), rtol=1e-9)
    missed = np.isinf(every.min(axis=0))
    np.testing.assert_array_equal(hits.index, np.where(missed, -1, np.argmin(every, axis=0)))
    assert 0.05 < missed.mean() < 0.95
    assert len(np.unique(hits.index)) > 25


def test_cast_does_not_depend_on_the_order_of_the_rays(backend):
    rng = np.random.default_rng(2)
    surfaces, origin = scatter(rng, 20), np.array([0.0, 0.0, 1.5])
    directions = rng.standard_normal((1000, 3))
    shuffled = rng.permutation(1000)
    straight = cast(backend, surfaces, origin, directions)
    mixed = cast(backend, surfaces, origin, directions[shuffled])
    np.testing.assert_allclose(mixed.t, straight.t[shuffled], rtol=1e-12)
    np.testing.assert_array_equal(mixed.index, straight.index[shuffled])


def test_cast_ends_at_its_limit(backend):
    wall = (solid('box'),)
    directions = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    near, far = (cast(backend, wall, np.zeros(3), directions, limit) for limit in (8.9, 9.1))
    np.testing.assert_array_equal(near.t, [INF, INF])
    np.testing.assert_array_equal(near.index, [-1, -1])
    np.testing.assert_allclose(far.t, [9.0, INF])
    np.testing.assert_array_equal(far.index, [0, -1])


@pytest.mark.parametrize(('height', 'width'), [(90, 160), (13, 7), (1, 5)])
def test_tile_order_visits_each_pixel_once(height, width):
    order = tile_order(height, width)
    np.testing.assert_array_equal(np.sort(order), np.arange(height * width))


def test_tile_order_keeps_neighbours_together():
    block = tile_order(90, 160)[:64]
    assert np.ptp(block // 160) == np.ptp(block % 160) == 7


def test_direction_order_brings_like_directions_together():
    """A square of 64x64 rays, shuffled: blocks of 64 are as small as squares of 8x8 again."""
    side = np.linspace(-0.4, 0.4, 64)
    rays = np.array([(1.0, y, z) for y in side for z in side])
    shuffled = np.random.default_rng(4).permutation(rays) * 5.0
    order = direction_order(shuffled)
    assert sorted(order) == list(range(len(rays)))

    def widest(directions):
        return np.ptp(directions.reshape(-1, 64, 3), axis=1).max(axis=1)

    assert np.median(widest(shuffled[order])) < 0.25 * np.median(widest(shuffled))
