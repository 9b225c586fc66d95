"""Parts have the faces, normals, texture coordinates and materials that geometry gives them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import ConfigError
from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder, rotation_y, rotation_z
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import ELLIPSOID, FLAT, MANTLE, Mesh, Part, Parts, Solid

SIDE, TOP, BOTTOM = (Material(name) for name in ('wood', 'roof', 'stone'))
QUARTER = math.pi / 2
TRIANGLE = np.array([(0, 0, 0), (4, 0, 0), (0, 2, 0)], np.float32)


def solid(
    shape: str, half: Any = (1, 1, 1), rotation: Any = None, center: Any = (10, 0, 0)
) -> Solid:
    rotation = np.eye(3) if rotation is None else rotation
    return Solid(
        shape, np.array(center, float), np.array(half, float), rotation, (SIDE, TOP, BOTTOM)
    )


def mesh(vertices: Any, *faces: Any, material: Material = SIDE, axes: Any = None) -> Mesh:
    return Mesh(np.array(vertices, np.float32), np.array(faces, np.int32), material, axes)


def describe(part: Part, *hits: Any) -> Any:
    """Normals and texture coordinates of (point, face) of a part, which stands beside another."""
    points, face = zip(*hits, strict=True)
    beside = mesh(TRIANGLE, (0, 1, 2))
    return Parts((beside, part)).describe(np.array(points, float), 1 + np.array(face, np.int32))


def test_normals_of_a_turned_box_point_out_of_its_sides() -> None:
    """Turned by a quarter, its own x runs along y of the world, its own y along -x."""
    box = solid('box', (1, 2, 3), rotation_z(QUARTER))
    normal, _ = describe(
        box,
        *(((10, -1, 0), 0), ((10, 1, 0), 1), ((12, 0, 0), 2), ((8, 0, 0), 3)),
        *(((10, 0, -3), 4), ((10, 0, 3), 5)),
    )
    expected = [(0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, -1), (0, 0, 1)]
    np.testing.assert_allclose(normal, expected, atol=1e-7)


def test_normals_of_what_is_curved() -> None:
    """That of x^2/4 + y^2 + z^2 = 1 at (1.6, 0.6, 0) is along (1.6/4, 0.6, 0)."""
    normal, _ = describe(
        solid('cylinder', (1, 1, 2)), ((10.6, 0.8, 1), 0), ((10, 0.2, -2), 1), ((10.3, 0, 2), 2)
    )
    np.testing.assert_allclose(normal, [(0.6, 0.8, 0), (0, 0, -1), (0, 0, 1)], atol=1e-6)
    across = np.array((0.4, 0.6, 0)) / math.hypot(0.4, 0.6)
    normal, _ = describe(solid('ellipsoid', (2, 1, 1)), ((11.6, 0.6, 0), 0))
    np.testing.assert_allclose(normal, [across], atol=1e-6)
    turned = rotation_y(0.7)
    normal, _ = describe(
        solid('ellipsoid', (2, 1, 1), turned), (turned @ (1.6, 0.6, 0) + (10, 0, 0), 0)
    )
    np.testing.assert_allclose(normal, [turned @ across], atol=1e-6)
    elliptic = solid('cylinder', (2, 1, 1), rotation_z(QUARTER))  # 2 m wide along y
    normal, _ = describe(elliptic, ((9.4, 1.6, 0.5), 0))
    np.testing.assert_allclose(normal, [(-across[1], across[0], 0)], atol=1e-6)


def test_normals_of_triangles_follow_their_corners_by_the_right_hand() -> None:
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    normal, _ = describe(
        mesh(corners, (0, 1, 2), (0, 2, 1), (1, 2, 3)),
        *(((0.2, 0.2, 0), 0), ((0.2, 0.2, 0), 1), ((0.3, 0.3, 0.4), 2)),
    )
    expected = [(0, 0, 1), (0, 0, -1), np.full(3, 3**-0.5)]
    np.testing.assert_allclose(normal, expected, atol=1e-7)


def test_a_triangle_without_an_area_has_no_nan() -> None:
    """Such as those at the tip of a cone."""
    parts = Parts((shapes.cone(), mesh(TRIANGLE, (0, 0, 1))))
    assert np.isfinite(parts.table).all()
    lengths = np.linalg.norm(parts.normal, axis=1)
    assert set(lengths.round(6)) == {0.0, 1.0}


def test_a_box_is_textured_from_the_lower_left_corner_of_each_side() -> None:
    """Of 2 x 4 x 6 m at (9..11, -2..2, -3..3): metres along the two axes of a side."""
    box = solid('box', (1, 2, 3))
    _, uv = describe(
        box,
        *(((9, -2, -3), 0), ((9, 1, -1), 0), ((11, 1, -1), 1)),
        *(((10.5, 2, 0), 3), ((10.5, 1, 3), 5)),
    )
    np.testing.assert_allclose(uv, [(0, 0), (3, 2), (3, 2), (1.5, 3), (1.5, 3)], atol=1e-6)


def test_texture_turns_and_moves_with_a_box() -> None:
    turn = rotation_z(0.7) @ rotation_y(-0.4)
    for face, local in ((0, (-1, 0.5, 1.5)), (3, (0.2, 2, -2)), (4, (0.9, -1.9, -3))):
        _, straight = describe(solid('box', (1, 2, 3), center=(0, 0, 0)), (local, face))
        moved = solid('box', (1, 2, 3), turn, center=(50, -20, 3))
        _, turned = describe(moved, (turn @ local + (50, -20, 3), face))
        np.testing.assert_allclose(turned, straight, atol=2e-5)


def test_a_mantle_is_textured_along_its_arc_and_its_height() -> None:
    """At 60 degrees of a radius of 2 m the arc is 2 pi / 3 m; 1 m above the middle of 3 + 3 m."""
    at = (10 + 2 * math.cos(math.pi / 3), 2 * math.sin(math.pi / 3), 1)
    _, uv = describe(solid('cylinder', (2, 2, 3)), (at, 0), ((10.5, -0.5, 3), 2))
    np.testing.assert_allclose(uv, [(2 * math.pi / 3, 4), (2.5, 1.5)], atol=1e-5)


def test_an_ellipsoid_is_textured_across_the_axis_it_looks_along() -> None:
    """At the tip of its x axis along y and z, from the corner of the box around it."""
    _, uv = describe(solid('ellipsoid', (3, 2, 1)), ((13, 0, 0), 0), ((10, 0, 1), 0))
    np.testing.assert_allclose(uv, [(2, 1), (3, 2)], atol=1e-6)


def test_triangles_are_textured_along_the_axes_across_which_they_lie() -> None:
    """In metres of the world, so that neighbours go on where others end."""
    flat = mesh([(5, 1, 7), (6, 1, 7), (5, 4, 7.1)], (0, 1, 2))
    _, uv = describe(flat, ((5.5, 1.25, 7), 0))
    np.testing.assert_allclose(uv, [(5.5, 1.25)], atol=1e-6)
    upright = mesh([(5, 1, 7), (6, 1, 7), (5, 1, 9)], (0, 1, 2))
    _, uv = describe(upright, ((5.5, 1, 7.5), 0))
    np.testing.assert_allclose(uv, [(5.5, 7.5)], atol=1e-6)


def test_texture_turns_with_a_mesh_that_is_built_turned() -> None:
    """The roof of a turned house: 1 m along its ridge is 1 m of texture in the first direction."""
    builder = Builder(yaw=0.3)
    builder.mesh(shapes.prism(), (4, 5, 0), (8, 6, 1), SIDE, yaw=0.5)
    ridge = rotation_z(0.8) @ (1, 0, 0)
    points = np.array([(0, 0, 0.5), np.add(ridge, (0, 0, 0.5))])
    (roof,) = builder.parts
    for face in range(4):
        _, uv = Parts((roof,)).describe(points, np.full(2, face, np.int32))
        np.testing.assert_allclose(uv[1] - uv[0], (1, 0), atol=1e-5)


def test_faces_know_their_part_their_kind_and_their_place_in_the_row() -> None:
    parts = Parts((solid('cylinder'), shapes.prism(), solid('box'), solid('ellipsoid')))
    assert len(parts) == 4
    np.testing.assert_array_equal(parts.part, [0] * 3 + [1] * 8 + [2] * 6 + [3])
    np.testing.assert_array_equal(parts.kind, [MANTLE] + [FLAT] * 16 + [ELLIPSOID])
    np.testing.assert_array_equal(parts.solid, [0, 2, 3])
    np.testing.assert_array_equal(parts.first_face, [0, 11, 17])
    np.testing.assert_array_equal(parts.corner_face, range(3, 11))


def test_sides_tops_and_bottoms_have_their_materials() -> None:
    """And a material that occurs twice is one."""
    glass = Material('plain', see_through=1.0)
    parts = Parts(
        (
            *(solid('box'), solid('cylinder'), solid('ellipsoid')),
            *(mesh(TRIANGLE, (0, 1, 2), (0, 2, 1), material=glass), solid('box')),
        )
    )
    found = [parts.materials[number] for number in parts.material]
    box = [SIDE] * 4 + [BOTTOM, TOP]
    assert found == [*box, SIDE, BOTTOM, TOP, SIDE, glass, glass, *box]
    assert sorted(map(repr, parts.materials)) == sorted(map(repr, (SIDE, TOP, BOTTOM, glass)))


@pytest.mark.parametrize('shape', ['box', 'cylinder', 'ellipsoid'])
def test_the_radius_of_a_solid_is_that_of_the_smallest_ball_around_it(shape: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        half = rng.uniform(0.1, 2, 3)
        points = rng.uniform(-1, 1, (20_000, 3))
        if shape == 'ellipsoid':
            points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1)
        if shape == 'cylinder':
            points[:, :2] /= np.maximum(np.linalg.norm(points[:, :2], axis=1, keepdims=True), 1)
        farthest = np.linalg.norm(points * half, axis=1).max()
        assert 0.9 * solid(shape, half).radius < farthest <= solid(shape, half).radius + 1e-12


def test_no_parts_have_no_faces() -> None:
    nothing = Parts(())
    assert len(nothing) == len(nothing.part) == len(nothing.corners) == len(nothing.solid) == 0
    normal, uv = nothing.describe(np.zeros((0, 3)), np.zeros(0, np.int32))
    assert (normal.shape, uv.shape) == ((0, 3), (0, 2))


def test_a_mesh_without_faces_is_refused() -> None:
    with pytest.raises(ConfigError, match='needs a face'):
        Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32))


@pytest.mark.parametrize(('face', 'named'), [((0, 1, 3), '0 to 3'), ((-1, 1, 2), '-1 to 2')])
def test_a_face_of_vertices_that_are_not_there_is_refused(face: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=f'{named}, but there are 3'):
        mesh(TRIANGLE, face)


def test_some_parts_are_what_they_are_alone() -> None:
    every = (
        solid('box'),
        shapes.prism(),
        solid('cylinder'),
        mesh(TRIANGLE, (0, 0, 1)),
        solid('ellipsoid'),
    )
    whole = Parts(every)
    for first, last in ((0, 5), (1, 4), (2, 3), (3, 4), (4, 4)):
        some, alone = whole.between(first, last), Parts(every[first:last])
        assert some.all == alone.all
        for name, values in vars(alone).items():
            if isinstance(values, np.ndarray) and name != 'material':
                np.testing.assert_array_equal(getattr(some, name), values, err_msg=name)
        looks = [some.materials[number] for number in some.material]
        assert looks == [alone.materials[number] for number in alone.material]
        np.testing.assert_array_equal(some.table, alone.table)
