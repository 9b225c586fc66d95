"""Shapes have the extents, volumes and normals that geometry gives them; the builder places."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder, rotation_y, rotation_z
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh, Parts, Solid

PAINT, WOOD, STONE = (Material(name) for name in ('paint', 'wood', 'stone'))
QUARTER = math.pi / 2
CAN = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def corners_of(mesh: Mesh) -> Any:
    """Corners (M, 3, 3) of the faces that have an area; poles of turned profiles have none."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return corners[np.linalg.norm(normals, axis=1) > 1e-9]


def volume(mesh: Mesh) -> float:
    """Signed: positive if the corners of faces run anticlockwise seen from outside."""
    a, b, c = corners_of(mesh).transpose(1, 0, 2)
    return float(np.einsum('ij,ij->', a, np.cross(b, c)) / 6)


def open_edges(mesh: Mesh) -> int:
    """Edges that are not between exactly two faces, where vertices at one place are one."""
    places: dict[tuple[float, ...], int] = {}
    uses: collections.Counter[frozenset[int]] = collections.Counter()
    for face in corners_of(mesh).round(5) + 0.0:
        a, b, c = (places.setdefault(tuple(corner), len(places)) for corner in face)
        uses.update((frozenset((a, b)), frozenset((b, c)), frozenset((c, a))))
    return sum(count != 2 for count in uses.values())


def polygon(sides: int, radius: float) -> float:
    """Area of a regular polygon, the cross section of what is turned."""
    return sides / 2 * math.sin(2 * math.pi / sides) * radius**2


def superellipsoid(e: float) -> float:
    """Volume of one of size 1: 2 a^3 e^2 B(e/2 + 1, e) B(e/2, e/2) with a = 1/2 (Barr)."""

    def beta(a: float, b: float) -> float:
        return math.gamma(a) * math.gamma(b) / math.gamma(a + b)

    return e**2 * beta(e / 2 + 1, e) * beta(e / 2, e / 2) / 4


@pytest.mark.parametrize(
    ('mesh', 'low', 'high', 'expected'),
    [
        (shapes.prism(), (-0.5, -0.5, 0), (0.5, 0.5, 1), 0.5),
        (shapes.revolution(CAN, 8), (-0.5, -0.5, 0), (0.5, 0.5, 1), polygon(8, 0.5)),
        (shapes.cone(12), (-0.5, -0.5, 0), (0.5, 0.5, 1), polygon(12, 0.5) / 3),
        (shapes.ball(40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), math.pi / 6),
        (shapes.rounded(1.0, 40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), math.pi / 6),
        (shapes.rounded(0.2, 40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), superellipsoid(0.2)),
        (shapes.rounded(1.5, 60), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), superellipsoid(1.5)),
    ],
    ids=['prism', 'can', 'cone', 'ball', 'sphere', 'nearly a box', 'star'],
)
def test_a_closed_shape_has_its_extents_and_its_volume(
    mesh: Mesh, low: tuple[float, ...], high: tuple[float, ...], expected: float
) -> None:
    np.testing.assert_allclose(mesh.vertices.min(axis=0), low, atol=1e-6)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), high, atol=1e-6)
    assert volume(mesh) == pytest.approx(expected, rel=0.02)
    assert mesh.vertices.dtype == np.float32
    assert mesh.faces.dtype == np.int32


def test_shapes_are_closed_except_sheets_and_tubes() -> None:
    closed = [shapes.prism(), shapes.revolution(CAN), shapes.cone(), shapes.ball()]
    closed += [shapes.rounded(0.5), shapes.lump(rng(), 0.1)]
    assert [open_edges(mesh) for mesh in closed] == [0] * len(closed)
    line = np.array([(0, 0, 0), (1, 0, 0), (2, 0, 0)], dtype=np.float64)
    assert open_edges(shapes.tube(line, 0.1, sides=5)) == 2 * 5


@pytest.mark.parametrize(
    'mesh',
    [shapes.prism(), shapes.revolution(CAN), shapes.cone(), shapes.ball()],
    ids=['prism', 'can', 'cone', 'ball'],
)
def test_normals_of_convex_shapes_point_outwards(mesh: Mesh) -> None:
    a, b, c = corners_of(mesh).transpose(1, 0, 2)
    outwards = (a + b + c) / 3 - mesh.vertices.mean(axis=0)
    assert (np.einsum('ij,ij->i', np.cross(b - a, c - a), outwards) > 0).all()


def test_two_by_three_points_are_a_sheet_of_four_triangles() -> None:
    points = np.array([[(0, 0, 5), (1, 0, 5), (3, 0, 5)], [(0, 2, 5), (1, 2, 5), (3, 2, 5)]])
    mesh = shapes.sheet(points)
    np.testing.assert_array_equal(mesh.vertices, points.reshape(6, 3))
    a, b, c = corners_of(mesh).transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    assert sorted(area) == [1.0, 1.0, 2.0, 2.0]  # of 1 x 2 and 2 x 2 m
    assert open_edges(mesh) == 6


def test_a_turned_profile_has_its_radii_at_its_heights() -> None:
    profile = ((0.2, -1.0), (0.7, 0.5), (0.3, 2.0))
    mesh = shapes.revolution(profile, sides=6)
    radius = np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1])
    for wanted, height in profile:
        at = mesh.vertices[:, 2] == np.float32(height)
        assert at.sum() == 7
        np.testing.assert_allclose(radius[at], wanted, rtol=1e-6)


@pytest.mark.parametrize('corner', [0.2, 0.7, 1.0, 1.5])
def test_a_rounded_box_is_a_superellipsoid(corner: float) -> None:
    """|x|^(2/e) + |y|^(2/e) + |z|^(2/e) = 0.5^(2/e) with one exponent e."""
    points = np.abs(shapes.rounded(corner).vertices.astype(np.float64))
    np.testing.assert_allclose(((2 * points) ** (2 / corner)).sum(axis=1), 1.0, rtol=1e-5)


def test_a_lump_is_a_ball_within_its_roughness() -> None:
    """The waves of three directions and frequencies add up to 3 (1/3 + 1/6 + 1/12) at most."""
    np.testing.assert_array_equal(shapes.lump(rng(), 0.0).vertices, shapes.ball(18).vertices)
    radii = [np.linalg.norm(shapes.lump(rng(i), 0.1).vertices, axis=1) for i in range(20)]
    assert np.max(radii) <= 0.5 * (1 + 0.1 * 1.75) + 1e-6
    assert np.min(radii) >= 0.5 * (1 - 0.1 * 1.75) - 1e-6
    assert np.std(radii) > 0.01
    assert radii[0].tobytes() != radii[1].tobytes()


def test_leaves_are_as_many_and_as_large_as_wished_and_mostly_outside() -> None:
    """A volume share grows with the cube: half of the centres are beyond (0.575)^(1/3) / 2."""
    mesh = shapes.leaves(rng(), 4000, 0.01)
    assert len(mesh.faces) == 4000
    corners = mesh.vertices[mesh.faces]
    spread = corners - corners.mean(axis=1, keepdims=True)
    assert spread.std() == pytest.approx(0.01 * math.sqrt(2 / 3), rel=0.03)
    radius = np.linalg.norm(corners.mean(axis=1), axis=1)
    assert np.median(radius) == pytest.approx(0.5 * 0.575 ** (1 / 3), abs=0.005)
    assert radius.max() < 0.5 + 5 * 0.01
    np.testing.assert_allclose(corners.mean(axis=(0, 1)), 0.0, atol=0.02)


@pytest.mark.parametrize('end', [(3.0, 0.0, 0.0), (0.0, 0.0, 3.0), (1.0, -2.0, 2.0)])
def test_a_straight_tube_is_as_thick_as_wished(end: tuple[float, float, float]) -> None:
    """Also upright. All vertices are half a diameter from the axis, and the ends are square."""
    points = np.linspace((0, 0, 0), end, 7)
    mesh = shapes.tube(points, 0.2, sides=5)
    axis = np.array(end) / np.linalg.norm(end)
    along = mesh.vertices @ axis
    aside = mesh.vertices - along[:, None] * axis
    np.testing.assert_allclose(np.linalg.norm(aside, axis=1), 0.1, rtol=1e-5)
    np.testing.assert_allclose(np.unique(along.round(4)), np.linspace(0, 3, 7), atol=1e-4)


def test_rotations_turn_as_documented() -> None:
    """A quarter: about z forward becomes left, about y up becomes forward."""
    np.testing.assert_allclose(rotation_z(QUARTER) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(rotation_y(QUARTER) @ (0, 0, 1), (1, 0, 0), atol=1e-12)
    for turn in (rotation_z(0.3), rotation_y(-1.2)):
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1.0)


def corners_of_solid(solid: Solid) -> Any:
    """Low and high corner of a box whose axes are along those of the world."""
    half = np.abs(solid.rotation @ solid.half_size)
    return solid.center - half, solid.center + half


def test_a_mesh_is_scaled_then_tilted_then_turned_then_moved() -> None:
    """A mast of 3 m: laid down towards +x, turned to +y, from (10, 20, 30)."""
    mast = Mesh(np.array([(0, 0, 0), (0, 0, 1), (1, 0, 0)], np.float32), np.array([(0, 1, 2)]))
    builder = Builder()
    builder.mesh(mast, (10, 20, 30), (2, 1, 3), PAINT, yaw=QUARTER, tilt=QUARTER)
    (mesh,) = builder.parts
    expected = [(10, 20, 30), (10, 23, 30), (10, 20, 28)]
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-5)
    assert mesh.vertices.dtype == np.float32
    assert mesh.material == PAINT


def test_a_box_stands_with_the_middle_of_its_bottom_on_its_place() -> None:
    """2 x 4 x 6 m on (10, 20, 30); laid down, its top is 6 m ahead."""
    builder = Builder()
    builder.box((10, 20, 30), (2, 4, 6), PAINT)
    builder.box((10, 20, 30), (2, 4, 6), PAINT, yaw=QUARTER)
    builder.box((10, 20, 30), (2, 4, 6), PAINT, tilt=QUARTER)
    expected = [
        ((9, 18, 30), (11, 22, 36)),
        ((8, 19, 30), (12, 21, 36)),
        ((10, 18, 29), (16, 22, 31)),
    ]
    for part, corners in zip(builder.parts, expected, strict=True):
        np.testing.assert_allclose(corners_of_solid(part), corners, atol=1e-12)


def test_a_post_leans_to_where_its_yaw_points() -> None:
    """5 m long, by the angle whose sine is 0.6: its top is 3 m to the left and 4 m up."""
    builder = Builder()
    builder.post((1, 2, 3), 0.1, 5, PAINT, yaw=QUARTER, tilt=math.asin(0.6))
    (post,) = builder.parts
    np.testing.assert_allclose(post.center, (1, 3.5, 5), atol=1e-12)
    np.testing.assert_allclose(post.rotation @ (0, 0, 1), (0, 0.6, 0.8), atol=1e-12)
    np.testing.assert_allclose(post.half_size, (0.1, 0.1, 2.5))


@pytest.mark.parametrize('end', [(4, 6, 3), (1, 2, 9), (1, 2, -4), (-3, 2, 3)])
def test_a_rod_goes_from_one_point_to_another(end: tuple[float, float, float]) -> None:
    builder = Builder()
    builder.rod((1, 2, 3), end, 0.1, PAINT)
    (rod,) = builder.parts
    reach = rod.rotation @ (0, 0, rod.half_size[2])
    np.testing.assert_allclose(rod.center - reach, (1, 2, 3), atol=1e-12)
    np.testing.assert_allclose(rod.center + reach, end, atol=1e-12)


def test_a_barrel_lies_along_y_and_a_ball_is_where_it_is_put() -> None:
    """Half extents are along x, y and z: a wheel 0.6 m high and 0.2 m wide."""
    builder = Builder()
    builder.barrel((1, 2, 3), (0.4, 0.1, 0.3), PAINT)
    builder.ball((1, 2, 3), (0.4, 0.1, 0.3), PAINT, yaw=QUARTER)
    wheel, ball = builder.parts
    assert (wheel.shape, ball.shape) == ('cylinder', 'ellipsoid')
    np.testing.assert_allclose(corners_of_solid(wheel), [(0.6, 1.9, 2.7), (1.4, 2.1, 3.3)])
    np.testing.assert_allclose(np.abs(wheel.rotation @ (0, 0, 1)), (0, 1, 0))
    np.testing.assert_allclose(corners_of_solid(ball), [(0.9, 1.6, 2.7), (1.1, 2.4, 3.3)])


def test_an_object_stands_in_the_frame_of_another() -> None:
    """A house at (10, 20, 1) looks to the left; what is 3 m before its door is at y = 23. Of it
    in turn a box 2 m to the left, a quarter of a turn further on, is at x = 8."""
    house = Builder(position=(10, 20, 1), yaw=QUARTER)
    at_door = house.at(3, 0, 0.5)
    at_door.box((0, 2, 0), (2, 4, 6), PAINT)
    at_door.at(0, 2, 0, yaw=QUARTER).box((0, 0, 0), (2, 4, 6), PAINT)
    at_door.mesh(shapes.prism(), (0, 2, 0), (2, 4, 6), PAINT)
    first, second, roof = house.parts
    np.testing.assert_allclose(corners_of_solid(first), [(6, 22, 1.5), (10, 24, 7.5)])
    np.testing.assert_allclose(corners_of_solid(second), [(7, 21, 1.5), (9, 25, 7.5)])
    low, high = roof.vertices.min(axis=0), roof.vertices.max(axis=0)
    np.testing.assert_allclose((low, high), [(6, 22, 1.5), (10, 24, 7.5)], rtol=1e-6)


def test_one_material_is_for_all_sides_and_three_are_for_side_top_and_bottom() -> None:
    builder = Builder()
    builder.box((0, 0, 0), (1, 1, 1), PAINT)
    builder.post((0, 0, 0), 1, 1, (PAINT, WOOD, STONE))
    box, post = builder.parts
    assert box.materials == (PAINT, PAINT, PAINT)
    assert post.materials == (PAINT, WOOD, STONE)


def test_adding_a_shape_leaves_it_as_it_was() -> None:
    """Shapes of unit size are made once and shared."""
    before = shapes.prism().vertices.copy()
    Builder().mesh(shapes.prism(), (1, 2, 3), (4, 5, 6), PAINT, 0.7, 0.1)
    assert shapes.prism() is shapes.prism()
    np.testing.assert_array_equal(shapes.prism().vertices, before)
    assert Parts((shapes.prism(),)).materials == (Material(),)
