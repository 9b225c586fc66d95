"""Shapes have the extents, volumes and normals that geometry gives them; the builder places."""

from __future__ import annotations

import collections
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.training import shapes
from depth_ros.training.mesh import Mesh
from depth_ros.training.shapes import Builder

SQUARE = [(-1.0, 0.0), (1.0, 0.0), (1.0, 2.0), (-1.0, 2.0)]  # (x, z)
DECAGON = [(math.cos(a), math.sin(a)) for a in np.arange(10) * 0.2 * math.pi]


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
        (shapes.box(), (-0.5, -0.5, 0), (0.5, 0.5, 1), 1.0),
        (shapes.prism(), (-0.5, -0.5, 0), (0.5, 0.5, 1), 0.5),
        (shapes.cylinder(8), (-0.5, -0.5, 0), (0.5, 0.5, 1), polygon(8, 0.5)),
        (shapes.cone(12), (-0.5, -0.5, 0), (0.5, 0.5, 1), polygon(12, 0.5) / 3),
        (shapes.ball(40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), math.pi / 6),
        (shapes.rounded(1.0, 40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), math.pi / 6),
        (shapes.rounded(0.2, 40), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), superellipsoid(0.2)),
        (shapes.rounded(1.5, 60), (-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), superellipsoid(1.5)),
    ],
    ids=['box', 'prism', 'cylinder', 'cone', 'ball', 'sphere', 'nearly a box', 'star'],
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
    closed = [shapes.box(), shapes.prism(), shapes.cylinder(), shapes.cone(), shapes.ball()]
    closed += [shapes.rounded(0.5), shapes.extruded(DECAGON), shapes.lump(rng(), 0.1)]
    assert [open_edges(mesh) for mesh in closed] == [0] * len(closed)
    line = np.array([(0, 0, 0), (1, 0, 0), (2, 0, 0)], dtype=np.float64)
    assert open_edges(shapes.tube(line, 0.1, sides=5)) == 2 * 5


@pytest.mark.parametrize(
    'mesh',
    [shapes.box(), shapes.prism(), shapes.cylinder(), shapes.cone(), shapes.ball()],
    ids=['box', 'prism', 'cylinder', 'cone', 'ball'],
)
def test_normals_of_convex_shapes_point_outwards(mesh: Mesh) -> None:
    a, b, c = corners_of(mesh).transpose(1, 0, 2)
    outwards = (a + b + c) / 3 - mesh.vertices.mean(axis=0)
    assert (np.einsum('ij,ij->i', np.cross(b - a, c - a), outwards) > 0).all()


def test_the_faces_of_a_box_look_along_its_axes() -> None:
    """Two triangles of half a square metre on each of the six sides."""
    a, b, c = corners_of(shapes.box()).transpose(1, 0, 2)
    found = collections.Counter(map(tuple, np.cross(b - a, c - a).round(6) + 0.0))
    axes = np.concatenate((np.eye(3), -np.eye(3))) + 0.0
    assert found == {tuple(axis): 2 for axis in axes}


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


def test_an_extruded_square_narrows_towards_the_top() -> None:
    """2 x 2 m; 1 m wide below, 0.5 m above: 3 m^3."""
    mesh = shapes.extruded(SQUARE, taper=0.5)
    for height, half in ((0.0, 0.5), (2.0, 0.25), (1.0, 0.375)):  # the middles are at 1 m
        at = mesh.vertices[:, 2] == height
        np.testing.assert_allclose(np.abs(mesh.vertices[at, 1]), half, rtol=1e-6)
    inside = np.array([0, 0, 1])
    a, b, c = (corners_of(mesh) - inside).transpose(1, 0, 2)
    # Each face and the middle make a pyramid, whichever way the face runs.
    assert np.abs(np.einsum('ij,ij->i', a, np.cross(b, c))).sum() / 6 == pytest.approx(3.0)
    assert shapes.extruded(SQUARE).vertices[:, 1].min() == -0.5


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
    quarter = math.pi / 2
    np.testing.assert_allclose(shapes.rotation_z(quarter) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(shapes.rotation_y(quarter) @ (0, 0, 1), (1, 0, 0), atol=1e-12)
    for turn in (shapes.rotation_z(0.3), shapes.rotation_y(-1.2)):
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1.0)


def test_a_shape_is_scaled_then_tilted_then_turned_then_moved() -> None:
    """A mast of 3 m: laid down towards +x, turned to +y, from (10, 20, 30)."""
    mast = Mesh(np.array([(0, 0, 0), (0, 0, 1), (1, 0, 0)], np.float32), np.array([(0, 1, 2)]))
    builder = Builder()
    builder.add(mast, 4, (10, 20, 30), (2, 1, 3), yaw=math.pi / 2, tilt=math.pi / 2)
    mesh, _ = builder.mesh()
    expected = [(10, 20, 30), (10, 23, 30), (10, 20, 28)]
    np.testing.assert_allclose(mesh.vertices, expected, atol=1e-5)


def test_a_builder_keeps_faces_and_materials_together() -> None:
    builder = Builder()
    builder.add(shapes.box(), 7, (0, 0, 0))
    builder.add(shapes.prism(), 2, (0, 0, 5), (2, 2, 1))
    builder.add(shapes.box(), 7, (0, 0, 9))
    mesh, material = builder.mesh()
    np.testing.assert_array_equal(material, [7] * 12 + [2] * 8 + [7] * 12)
    heights = mesh.vertices[mesh.faces][..., 2]
    assert (heights[:12] <= 1).all()
    assert ((heights[12:20] >= 5) & (heights[12:20] <= 6)).all()
    assert (heights[20:] >= 9).all()
    assert volume(mesh) == pytest.approx(1 + 0.5 * 4 + 1)


def test_adding_a_shape_leaves_it_as_it_was() -> None:
    """Shapes of unit size are made once and shared."""
    before = shapes.box().vertices.copy()
    Builder().add(shapes.box(), 0, (1, 2, 3), (4, 5, 6), 0.7, 0.1)
    assert shapes.box() is shapes.box()
    np.testing.assert_array_equal(shapes.box().vertices, before)
