"""Streets and rooms are whole: everything has a material and a place, and one can look around."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from depth_ros.training import scenes
from depth_ros.training.furniture import Furniture
from depth_ros.training.materials import Palette
from depth_ros.training.mesh import Caster, Mesh
from depth_ros.training.scenes import Scene, look, room, scene, street
from depth_ros.training.shapes import Builder, rotation_z

SEEDS = range(6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@dataclasses.dataclass(frozen=True)
class World:
    """A scene, its mesh, which scenes keep no longer than to cast at, and poses in it."""

    scene: Scene
    mesh: Mesh
    poses: Any


def world(make: Callable[[np.random.Generator], Scene], seed: int) -> World:
    meshes: list[Mesh] = []

    class Keeping(Caster):
        def __init__(self, mesh: Mesh) -> None:
            super().__init__(mesh)
            meshes.append(mesh)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, 'Caster', Keeping)
        made = make(rng(seed))
    (mesh,) = meshes
    return World(made, mesh, np.stack([made.viewpoint(rng(i)) for i in range(20)]))


@pytest.fixture(scope='module')
def streets() -> list[World]:
    pytest.importorskip('embreex', reason='rays are cast by Embree')
    return [world(street, seed) for seed in SEEDS]


@pytest.fixture(scope='module')
def rooms() -> list[World]:
    pytest.importorskip('embreex', reason='rays are cast by Embree')
    return [world(room, seed) for seed in SEEDS]


@pytest.fixture(scope='module')
def worlds(streets: list[World], rooms: list[World]) -> list[World]:
    return streets + rooms


def test_every_vertex_is_finite_and_every_face_has_a_material(worlds: list[World]) -> None:
    for each in worlds:
        assert np.isfinite(each.mesh.vertices).all()
        material, palette = each.scene.material, each.scene.palette
        assert material.shape == (len(each.mesh.faces),)
        assert material.min() >= 0
        assert material.max() < len(palette.light)
        assert {len(v) for k, v in vars(palette).items() if k != 'rng'} == {len(palette.light)}


def test_reflectivity_is_a_share_above_zero_and_that_of_the_material(worlds: list[World]) -> None:
    for each in worlds:
        reflectivity = each.scene.reflectivity
        assert reflectivity.shape == each.scene.material.shape
        assert reflectivity.min() > 0
        assert reflectivity.max() <= 1
        palette, face = each.scene.palette, len(reflectivity) // 2
        expected = palette.reflectivity[each.scene.material[face]]
        assert reflectivity[face] == pytest.approx(expected)


def test_the_ground_is_0_9_to_2_4_m_below_a_viewpoint_on_the_road(streets: list[World]) -> None:
    """Or what stands on the road, which one may be right above; the road is bent in steps."""
    below_m = []
    for each in streets:
        positions = each.poses[:, :3, 3].astype(np.float32)
        down = np.broadcast_to(np.float32([0, 0, -1]), positions.shape)
        below_m.extend(each.scene.caster.cast(positions, down).t)
    assert max(below_m) < 2.41
    assert min(below_m) > 0
    assert np.mean(np.array(below_m) > 0.89) > 0.9


def test_the_road_goes_on_for_100_m_under_the_sky(streets: list[World]) -> None:
    for each in streets:
        assert not each.scene.indoor
        x = np.linspace(-5, 100, 50, dtype=np.float32)
        above = np.stack((x, 0 * x, 0 * x + 60), axis=-1)
        down = np.broadcast_to(np.float32([0, 0, -1]), above.shape)
        assert np.isfinite(each.scene.caster.cast(above, down).t).all()
        assert not each.scene.caster.blocked(above, -down).any()


def test_a_room_is_closed_and_its_viewpoints_are_inside(rooms: list[World]) -> None:
    """Whatever way one looks, something is no farther than the diagonal of the largest room."""
    everywhere = rng().normal(size=(500, 3))
    everywhere /= np.linalg.norm(everywhere, axis=1, keepdims=True)
    for each in rooms:
        assert each.scene.indoor
        # The ceiling is the highest thing there is; walls are 0.1 m thick.
        size = np.ptp(each.mesh.vertices, axis=0)
        for pose in each.poses:
            hits = each.scene.caster.cast(pose[:3, 3], everywhere)
            assert (hits.t < np.linalg.norm(size)).all()
        x, y, z = np.abs(each.poses[:, :3, 3]).T
        assert (z >= 0.4).all()
        assert (z <= 2.2).all()
        assert x.max() <= 8.0 - 0.3
        assert y.max() <= 8.0 - 0.3


def test_floor_walls_and_ceiling_of_a_room_are_where_its_size_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A room of 6 x 4 x 2.5 m without anything in it, seen from 1 m above its middle."""
    pytest.importorskip('embreex', reason='rays are cast by Embree')

    class Bare(np.random.Generator):
        """Draws no doors and windows."""

        def integers(self, *args: Any, **kwargs: Any) -> Any:
            return 0 if args == (0, 4) else super().integers(*args, **kwargs)

    builder, generator = Builder(), Bare(np.random.PCG64(0))
    scenes._walls(generator, builder, Palette(generator), (6.0, 4.0, 2.5))
    caster = Caster(builder.mesh()[0])
    rays = np.concatenate((np.eye(3), -np.eye(3)))
    hits = caster.cast((0.01, 0.02, 1.0), rays)
    np.testing.assert_allclose(hits.t, (2.99, 1.98, 1.5, 3.01, 2.02, 1.0), rtol=1e-5)
    # The skirting board is 0.1 m high and stands 2 cm out from the wall.
    assert caster.cast((0.01, 0.02, 0.05), rays[:1]).t[0] == pytest.approx(2.97, rel=1e-4)


def test_poses_are_rigid_and_look_mostly_level(worlds: list[World]) -> None:
    for each in worlds:
        rotation = each.poses[:, :3, :3]
        product = rotation @ rotation.transpose(0, 2, 1)
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-12)
        np.testing.assert_allclose(np.linalg.det(rotation), 1.0)
        np.testing.assert_array_equal(each.poses[:, 3], [[0, 0, 0, 1]] * len(each.poses))
        assert np.abs(rotation[:, 2, 2]).mean() < 0.5
        assert (rotation[:, 2, 1] < 0).all(), 'the image is not upside down'


@pytest.mark.parametrize('make', [street, room])
def test_a_seed_repeats_and_another_differs(
    make: Callable[[np.random.Generator], Scene],
    streets: list[World],
    rooms: list[World],
) -> None:
    one, other = (streets if make is street else rooms)[:2]
    same = world(make, SEEDS[0])
    assert one.mesh.vertices.tobytes() == same.mesh.vertices.tobytes()
    assert one.scene.material.tobytes() == same.scene.material.tobytes()
    assert one.poses.tobytes() == same.poses.tobytes()
    assert one.scene.light.haze_m == same.scene.light.haze_m
    assert one.mesh.vertices.shape != other.mesh.vertices.shape


def test_rooms_and_streets_come_in_the_share_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2000 draws: three binomial sigmas are 3 %."""
    monkeypatch.setattr(scenes, 'room', lambda rng: 'room')
    monkeypatch.setattr(scenes, 'street', lambda rng: 'street')
    generator = rng()
    for share in (0.0, 0.3, 1.0):
        drawn = [str(scene(generator, share)) for _ in range(2000)]
        assert drawn.count('room') / 2000 == pytest.approx(share, abs=0.03 if share == 0.3 else 0)


@pytest.mark.parametrize('yaw', [0.0, 0.7, -2.0])
@pytest.mark.parametrize('pitch', [0.0, 0.4, -0.3])
def test_look_points_the_optical_axis_along_yaw_and_down_by_pitch(
    yaw: float, pitch: float
) -> None:
    pose = look((1.0, 2.0, 3.0), yaw, pitch, 0.3)
    level = math.cos(pitch)
    axis = (level * math.cos(yaw), level * math.sin(yaw), -math.sin(pitch))
    np.testing.assert_allclose(pose[:3, 2], axis, atol=1e-12)
    np.testing.assert_array_equal(pose[:3, 3], (1, 2, 3))
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)


def test_look_keeps_the_horizon_level_but_for_roll() -> None:
    """The image's right is the right of who looks; roll lowers it, as an aeroplane's wing."""
    level = look((0.0, 0.0, 0.0), 0.5, 0.2, 0.0)
    np.testing.assert_allclose(level[:3, 0], (math.sin(0.5), -math.cos(0.5), 0), atol=1e-12)
    assert level[2, 1] < 0, 'rows count downwards'
    rolled = look((0.0, 0.0, 0.0), 0.0, 0.0, 0.1)
    np.testing.assert_allclose(rolled[:3, 0], (0, -math.cos(0.1), -math.sin(0.1)), atol=1e-12)


Put = Callable[[Furniture, Any, float], None]
THINGS: dict[str, tuple[Put, tuple[float, float], float]] = {
    # How to put it, how high its top is in metres, and how far it reaches from its place.
    'vehicle': (lambda add, at, yaw: add.vehicle(at, yaw), (1.3, 3.9), 6.7),
    'person': (lambda add, at, yaw: add.person(at, yaw), (1.4, 2.0), 1.2),
    'bicycle': (lambda add, at, yaw: add.bicycle(at, yaw), (1.0, 1.1), 1.0),
    'bush': (lambda add, at, yaw: add.bush(at, (2.0, 1.0, 1.5), yaw), (1.1, 2.5), 2.0),
    'house': (lambda add, at, yaw: add.house(at, (9.0, 8.0, 7.0), yaw), (7.0, 12.0), 8.0),
    'screen': (lambda add, at, yaw: add.screen(at, yaw), (0.2, 0.7), 0.5),
    'chair': (lambda add, at, yaw: add.chair(at, yaw), (0.6, 1.4), 0.6),
    'shelf': (lambda add, at, yaw: add.shelf(at, yaw), (0.7, 2.5), 1.3),
    'sofa': (lambda add, at, yaw: add.sofa(at, yaw), (0.5, 1.3), 1.8),
    'curtain': (lambda add, at, yaw: add.curtain(at, yaw), (1.2, 2.4), 1.1),
}
# What has no front, or, on a table, a front of its own.
UPRIGHT: dict[str, tuple[Put, tuple[float, float], float]] = {
    'table': (lambda add, at, yaw: add.table(at, yaw), (0.3, 1.8), 1.6),
    'tree': (lambda add, at, yaw: add.tree(at, 8.0), (7.0, 12.0), 7.0),
    'grass': (lambda add, at, yaw: add.grass(at, 1.5), (0.05, 1.0), 1.5),
    'post': (lambda add, at, yaw: add.post(at), (1.0, 9.2), 3.6),
    'lamp': (lambda add, at, yaw: add.lamp(at), (1.2, 1.9), 0.3),
    'clutter': (lambda add, at, yaw: add.clutter(at, 1.0), (0.2, 1.9), 1.6),
    'fence': (lambda add, at, yaw: add.fence(at, np.add(at, (9, 0, 0))), (0.6, 2.2), 10.2),
}  # fmt: skip


def put(do: Put, seed: int, at: Any = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Any:
    """Vertices (N, 3) of a thing; its faces' materials are those that it drew."""
    builder, palette = Builder(), Palette(rng(seed))
    do(Furniture(rng(seed), builder, palette), at, yaw)
    mesh, material = builder.mesh()
    assert len(material) == len(mesh.faces)
    assert material.min() >= 0
    assert material.max() < len(palette.light)
    return mesh.vertices


@pytest.mark.parametrize('name', [*THINGS, *UPRIGHT])
def test_things_stand_on_their_place_and_are_as_large_as_such_things_are(name: str) -> None:
    do, (lowest_top_m, highest_top_m), reach_m = (THINGS | UPRIGHT)[name]
    sizes = set()
    for seed in range(25):
        x, y, z = put(do, seed).T.astype(np.float64)
        assert -1.0 < z.min() < 0.36, 'it stands on the ground, or on wheels'
        assert lowest_top_m < z.max() < highest_top_m
        assert np.hypot(x, y).max() < reach_m
        sizes.add(float(np.ptp(z)))
    assert len(sizes) > 10 or name == 'bicycle', 'each one is another'


@pytest.mark.parametrize('name', [*THINGS, *UPRIGHT])
def test_a_thing_is_the_same_wherever_it_stands_and_whichever_way_it_looks(name: str) -> None:
    """It is moved as a whole, and turned by yaw."""
    do, *_ = (THINGS | UPRIGHT)[name]
    yaw = 0.8 if name in THINGS else 0.0
    for seed in range(12):
        expected = put(do, seed) @ rotation_z(yaw).T + (3, -2, 1.5)
        there = put(do, seed, (3.0, -2.0, 1.5), yaw)
        np.testing.assert_allclose(there, expected, atol=1e-4)


def test_a_fence_follows_the_slope_between_its_ends() -> None:
    """From (0, 0, 0) to (6, 8, 2): nothing of it is farther than it is high and wide."""
    for seed in range(12):
        fence = put(lambda add, at, yaw: add.fence(at, (6.0, 8.0, 2.0)), seed).astype(np.float64)
        share = fence[:, :2] @ (0.6, 0.8) / 10
        assert share.min() > -0.05
        assert share.max() < 1.2
        assert share.max() > 0.7
        assert np.abs(fence[:, :2] @ (-0.8, 0.6)).max() < 0.2, 'along the line'
        assert (fence[:, 2] - 2 * share).min() > -0.8
        assert (fence[:, 2] - 2 * share).max() < 2.5


def test_wires_sag_between_their_ends() -> None:
    start, end = np.array([0.0, 0.0, 8.0]), np.array([40.0, 0.0, 6.0])
    for seed in range(12):
        wires = put(lambda add, at, yaw: add.wires(start, end), seed).reshape(-1, 16, 5, 3)
        height = wires[..., 2].mean(axis=2)
        straight = np.linspace(height[:, 0], height[:, -1], 16, axis=1)
        sag = straight - height
        assert (sag[:, 1:-1] > 0).all()
        assert 0.19 < sag.max() < 1.51  # a quarter of 4 times 0.2 to 1.5 m, near the middle
        np.testing.assert_allclose(sag, sag[:, ::-1], atol=1e-2)
        assert np.abs(wires[:, [0, -1]].mean(axis=2)[..., 0] - (0, 40)).max() < 4 * 0.4
