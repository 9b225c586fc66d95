"""What moves is met where it is at the time of each ray."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh, Part, Solid
from depth_ros.simulation.shading import Lamp, Light
from depth_ros.simulation.trajectory import Trajectory, straight
from depth_ros.simulation.world import Mover, World

PAINT, METAL = Material('paint'), Material('metal')
AHEAD = (1.0, 0.0, 0.0)


@pytest.fixture(params=['numpy', 'embree'])
def backend(request: Any) -> str:
    if request.param == 'embree':
        pytest.importorskip('embreex')
    return str(request.param)


def cube(material: Material = PAINT) -> tuple[Part, ...]:
    """2 m wide about the origin."""
    builder = Builder()
    builder.box((0, 0, -1), (2, 2, 2), material)
    return tuple(builder.parts)


def wall(x: float) -> Mesh:
    return shapes.sheet(np.array([[(x, y, z) for y in (-90, 90)] for z in (-90, 90)]))


def spinning(at: Any, rate: float) -> Trajectory:
    return Trajectory(
        lambda t: np.tile(np.array(at, float), (len(t), 1)),
        lambda t: np.stack((rate * t, 0 * t, 0 * t), axis=1),
    )


def wandering() -> Trajectory:
    """Turns about all axes while it moves."""
    return Trajectory(
        lambda t: np.stack((12 + t, 3 * np.sin(t), 2 - 0.5 * t), axis=1),
        lambda t: np.stack((0.9 * t, 0.4 * np.sin(2 * t), -0.7 * t), axis=1),
    )


def placed(part: Part, pose: Any) -> Part:
    """A part where a pose takes it."""
    turn, at = pose[:3, :3], pose[:3, 3]
    if isinstance(part, Solid):
        return dataclasses.replace(
            part, center=turn @ part.center + at, rotation=turn @ part.rotation
        )
    return dataclasses.replace(part, vertices=(part.vertices @ turn.T + at).astype(np.float32))


def test_a_mover_is_where_its_trajectory_says_at_the_time_of_each_ray(backend: str) -> None:
    """It crosses the ray's way, 9 m ahead, from y = -5 at 2 m/s: it is met from 2 to 3 s."""
    world = World((), movers=(Mover(cube(), straight((10, -5, 0), (0, 2, 0))),), backend=backend)
    times = np.array([0.0, 1.9, 2.1, 2.5, 2.9, 3.1, 9.0])
    hits = world.at(times).cast(np.zeros(3), np.full((7, 3), AHEAD))
    np.testing.assert_allclose(hits.t, [np.inf, np.inf, 9, 9, 9, np.inf, np.inf], atol=1e-9)
    np.testing.assert_array_equal(hits.face, [-1, -1, 0, 0, 0, -1, -1])


def test_what_comes_nearer_is_nearer_at_a_later_time(backend: str) -> None:
    """From 20 m at 3 m/s; its front is 1 m nearer. Rays from own places and of any length."""
    world = World((), movers=(Mover(cube(), straight((20, 0, 0), (-3, 0, 0))),), backend=backend)
    times = np.linspace(0, 4, 9)
    moment = world.at(times)
    hits = moment.cast(np.zeros(3), np.full((9, 3), AHEAD))
    np.testing.assert_allclose(hits.t, 19 - 3 * times, atol=1e-9)
    starts = np.stack((times, 0.1 * times, 0 * times), axis=1)
    hits = moment.cast(starts, np.full((9, 3), (2.0, 0.0, 0.0)))
    np.testing.assert_allclose(hits.t, (19 - 4 * times) / 2, atol=1e-9)
    assert world.at(2.0).cast(np.zeros(3), np.array([AHEAD])).t[0] == pytest.approx(13)


def test_normals_turn_with_a_mover(backend: str) -> None:
    """A cube that turns by a quarter in 1 s: after 0.5 s its edge is sqrt 2 nearer, and beside it
    both sides look away by 45 degrees."""
    world = World((), movers=(Mover(cube(), spinning((10, 0, 0), math.pi / 2)),), backend=backend)
    times = np.array([0.0, 0.5, 0.5, 1.0])
    origins = np.array([(0, 0.5, 0), (0, 0.5, 0), (0, -0.5, 0), (0, 0.5, 0)])
    moment = world.at(times)
    hits = moment.cast(origins, np.full((4, 3), AHEAD))
    np.testing.assert_allclose(hits.t, [9, 10.5 - 2**0.5, 10.5 - 2**0.5, 9], atol=1e-9)
    points = origins + np.array(AHEAD) * hits.t[:, None]
    normal, _ = moment.describe(points, hits.face)
    half = math.sqrt(0.5)
    expected = [(-1, 0, 0), (-half, half, 0), (-half, -half, 0), (-1, 0, 0)]
    np.testing.assert_allclose(normal, expected, atol=1e-6)
    np.testing.assert_array_equal(hits.face, [0, 3, 0, 3])  # its back, its left side
    before = points.copy()
    moment.describe(points, hits.face)
    np.testing.assert_array_equal(points, before)


def test_texture_moves_with_a_mover() -> None:
    """The same place of it has the same texture coordinates at any time."""
    parts, way = (*cube(), *(wall(2.0),)), wandering()
    world = World((wall(50.0),), movers=(Mover(parts, way),))
    times = np.linspace(0, 3, 7)
    for local, face in (((-1, 0.3, 0.7), 2), ((0.2, 1, -0.4), 5), ((2, -5, 5.5), 8)):
        poses = way.poses(times)
        points = poses[:, :3, :3] @ local + poses[:, :3, 3]
        normal, uv = world.at(times).describe(points, np.full(7, face, np.int32))
        np.testing.assert_allclose(uv, np.tile(uv[0], (7, 1)), atol=1e-4)
        at_rest = poses[:, :3, :3].transpose(0, 2, 1) @ normal[:, :, None].astype(float)
        np.testing.assert_allclose(at_rest[..., 0], np.tile(at_rest[0, :, 0], (7, 1)), atol=1e-6)


def test_faces_of_movers_are_counted_after_what_stands(backend: str) -> None:
    """2 triangles, then 6 sides each of two cubes; the nearer is met."""
    movers = (
        Mover(cube(PAINT), straight((10, 0, 0), (0, 0, 0))),
        Mover(cube(METAL), straight((16, 0, 0), (-4, 0, 0))),
    )
    world = World((wall(12.0),), movers=movers, backend=backend)
    np.testing.assert_array_equal(world.parts.part, [0] * 2 + [1] * 6 + [2] * 6)
    times = np.array([0.0, 1.4, 1.6, 2.0])  # the second overtakes at 1.5 s
    hits = world.at(times).cast(np.zeros(3), np.full((4, 3), AHEAD))
    np.testing.assert_allclose(hits.t, [9, 9, 8.6, 7], atol=1e-9)
    np.testing.assert_array_equal(hits.face, [2, 2, 8, 8])
    materials = [world.parts.materials[world.parts.material[face]] for face in hits.face]
    assert materials == [PAINT, PAINT, METAL, METAL]
    aside = world.at(times).cast(np.array((0, 5.0, 0)), np.full((4, 3), AHEAD))
    np.testing.assert_allclose(aside.t, 12, atol=1e-9)
    assert set(aside.face) <= {0, 1}


def test_a_mover_is_met_as_if_its_parts_stood_there(backend: str) -> None:
    """Solids of all shapes and a mesh, at several times; but for rounding at their edges."""
    builder = Builder()
    builder.box((2, 1, 0), (2, 1, 1), PAINT, yaw=0.4, tilt=0.3)
    builder.post((-2, -1, 0), 0.5, 2, METAL, tilt=0.5)
    builder.ball((0, 1, -1), (1, 0.5, 0.7), PAINT)
    builder.mesh(shapes.prism(), (1, -2, 1), (2, 2, 1), METAL)
    way, light = wandering(), Light((), (1, 1, 1), (1, 1, 1))
    rays = np.random.default_rng(3).normal((1, 0, 0), (0.1, 0.3, 0.3), (3000, 3))
    world = World(
        (wall(40.0),), light, movers=(Mover(tuple(builder.parts), way),), backend=backend
    )
    met: set[int] = set()
    for time_s in (0.0, 1.3, 2.9):
        pose = way.poses(time_s)
        standing = World((wall(40.0), *(placed(p, pose) for p in builder.parts)), backend=backend)
        moved, stood = (w.at(time_s).cast(np.zeros(3), rays) for w in (world, standing))
        same = moved.face == stood.face
        assert same.mean() > 0.998
        np.testing.assert_allclose(moved.t[same], stood.t[same], rtol=1e-5)
        met |= set(world.parts.part[moved.face].tolist())
    assert met == {0, 1, 2, 3, 4}


@pytest.mark.parametrize('turn', range(8))
def test_a_mover_is_met_at_its_outermost_places(backend: str, turn: int) -> None:
    """Two balls of 0.5 m, 5 sqrt 2 m from its middle along a diagonal: rays pass by the ends at
    7.07 + 0.49 m, and through nothing at 7.07 + 0.51 m."""
    away = np.array((math.cos(turn * math.pi / 4), math.sin(turn * math.pi / 4), 0))
    builder = Builder()
    for side in (1, -1):
        builder.ball(tuple(side * 5 * math.sqrt(2) * away), (0.5, 0.5, 0.5), PAINT)
    movers = (Mover(tuple(builder.parts), straight((0, 0, 0), (0, 0, 0))),)
    moment = World((), movers=movers, backend=backend).at(0.0)
    ends = np.multiply.outer(5 * math.sqrt(2) + np.array((0.49, 0.51)), away)
    origins = np.add(np.concatenate((ends, -ends)), (0, 0, 9.0))
    hits = moment.cast(origins, np.full((4, 3), (0, 0, -1.0)))
    np.testing.assert_array_equal(hits.face >= 0, [True, False, True, False])


def test_a_mover_throws_its_shadow_where_it_is(backend: str) -> None:
    """Under a lamp 10 m high it moves from x = -5 at 1 m/s; its top, at 6 m, throws a shadow 2.5
    times as wide, from 2.5 (x - 1) to 2.5 (x + 1), its bottom, at 4 m, one 1.67 times as wide."""
    movers = (Mover(cube(), straight((-5, 0, 5), (1, 0, 0))),)
    lamp = Lamp(np.array((0.0, 0.0, 10.0)), (1.0, 1.0, 1.0))
    world = World((), Light((lamp,), (0, 0, 0), (0, 0, 0)), movers=movers, backend=backend)
    times = np.array([0.0, 3.5, 5.0, 6.5])
    for x, expected in ((0.0, (False, False, True, False)), (-8.0, (True, False, False, False))):
        points = np.full((4, 3), (x, 0.1, 0.0))
        blocked = world.at(times).blocked(points, lamp.position)
        np.testing.assert_array_equal(blocked, expected)
    one = world.at(5.0).blocked(np.array([(0, 0.1, 0), (1.9, 0, 0), (3.0, 0, 0)]), lamp.position)
    np.testing.assert_array_equal(one, [True, True, False])
    above = world.at(5.0).blocked(np.array([(0, 0.1, 7.0)]), lamp.position)
    assert not above.any(), 'it is below the point'
    beyond = world.at(5.0).blocked(np.array([(0, 0.1, 0)]), np.array((0.0, 0.0, 3.0)))
    assert not beyond.any(), 'it is above the lamp'


def test_what_stands_throws_its_shadow_at_any_time(backend: str) -> None:
    movers = (Mover(cube(), straight((30, 0, 5), (1, 0, 0))),)
    world = World(cube(), movers=movers, backend=backend)
    points = np.full((3, 3), (0.0, 0.1, -3.0))
    assert world.at(np.arange(3.0)).blocked(points, np.array((0.0, 0.0, 9.0))).all()


def test_some_rays_keep_their_times() -> None:
    world = World((), movers=(Mover(cube(), straight((20, 0, 0), (-3, 0, 0))),))
    chosen = np.array([4, 1, 1])
    hits = world.at(np.arange(5.0)).of(chosen).cast(np.zeros(3), np.full((3, 3), AHEAD))
    np.testing.assert_allclose(hits.t, 19 - 3.0 * chosen)
    same = world.at(1.0).of(chosen).cast(np.zeros(3), np.full((3, 3), AHEAD))
    np.testing.assert_allclose(same.t, 16)


def test_rays_end_at_their_limit_on_movers_too(backend: str) -> None:
    world = World((), movers=(Mover(cube(), straight((20, 0, 0), (-3, 0, 0))),), backend=backend)
    hits = world.at(np.arange(3.0)).cast(np.zeros(3), np.full((3, 3), AHEAD), limit=16.5)
    np.testing.assert_allclose(hits.t, [np.inf, 16, 13])
    np.testing.assert_array_equal(hits.face, [-1, 0, 0])


def test_in_a_world_of_nothing_nothing_is_met(backend: str) -> None:
    moment = World((), backend=backend).at(np.arange(3.0))
    hits = moment.cast(np.zeros(3), np.eye(3))
    np.testing.assert_array_equal(hits.t, np.inf)
    np.testing.assert_array_equal(hits.face, -1)
    assert not moment.blocked(np.eye(3), np.zeros(3)).any()
