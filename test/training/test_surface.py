"""Depth maps as surfaces: cast at their own pixels they give the depth back."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.simulation.parts import Mesh, Parts
from depth_ros.simulation.raycast import make_caster
from depth_ros.training.surface import grid_mesh, poisson_mesh

CAMERA = Intrinsics(64, 48, 60.0, 55.0, 30.2, 22.9)


def pixels(camera: Intrinsics) -> Any:
    v, u = np.mgrid[0 : camera.height, 0 : camera.width]
    return np.stack((u, v), axis=-1)


def cast_back(mesh: Mesh, camera: Intrinsics = CAMERA) -> Any:
    """Depth (H, W) that the pixels see; inf where nothing is hit.

    A ray exactly through a vertex may slip between its triangles, hence 1/1000 pixel beside it.
    """
    rays = camera.unproject(
        np.add(pixels(camera), (1e-3, 6e-4)), np.ones((camera.height, camera.width))
    )
    hits = make_caster(Parts((mesh,))).cast(np.zeros(3), rays.reshape(-1, 3))
    return hits.t.reshape(camera.height, camera.width)


def tilted(camera: Intrinsics = CAMERA) -> Any:
    """Depth of the plane 0.2 x + 0.3 y + z = 8."""
    rays = camera.unproject(pixels(camera), np.ones((camera.height, camera.width)))
    return (8 / (rays @ np.array([0.2, 0.3, 1.0]))).astype(np.float32)


def box_before_wall() -> Any:
    """20 m, but 5 m in columns 20 to 39 of rows 10 to 29."""
    depth_m = np.full((48, 64), 20.0, dtype=np.float32)
    depth_m[10:30, 20:40] = 5.0
    return depth_m


def test_four_pixels_at_2_m_are_two_triangles_at_their_places() -> None:
    mesh = grid_mesh(np.full((2, 2), 2.0, np.float32), Intrinsics(2, 2, 4.0, 4.0, 0.0, 0.0))
    np.testing.assert_array_equal(
        mesh.vertices, [(0, 0, 2), (0.5, 0, 2), (0, 0.5, 2), (0.5, 0.5, 2)]
    )
    assert len(mesh.faces) == 2
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] < 0).all(), 'they face the camera'
    assert np.abs(normals).sum() / 2 == pytest.approx(0.25)  # of 0.5 x 0.5 m


@pytest.mark.parametrize('stride', [1, 2, 3])
def test_a_plane_cast_at_its_own_pixels_gives_the_depth_back(stride: int) -> None:
    depth_m = tilted()
    seen_m = cast_back(grid_mesh(depth_m, CAMERA, stride))
    last = (np.array(depth_m.shape) - 1) // stride * stride
    inner = np.s_[: last[0], : last[1]]
    np.testing.assert_allclose(seen_m[inner], depth_m[inner], rtol=1e-4)


def test_curved_depth_comes_back_except_at_cuts() -> None:
    """Waves, and a jump from 5 to 20 m: pixels at both sides of it may be missed, no other."""
    v, u = np.mgrid[0:48, 0:64]
    depth_m = (box_before_wall() * (1 + 0.02 * np.sin(u / 4) * np.cos(v / 5))).astype(np.float32)
    seen_m = cast_back(grid_mesh(depth_m, CAMERA))
    hit = np.isfinite(seen_m)
    np.testing.assert_allclose(seen_m[hit], depth_m[hit], rtol=1e-4)
    rim = np.zeros_like(hit)
    rim[9:31, 19:41] = True
    rim[11:29, 21:39] = False
    rim[[0, -1]] = rim[:, [0, -1]] = True
    assert hit[~rim].all()


def test_there_is_no_face_across_a_jump() -> None:
    mesh = grid_mesh(box_before_wall(), CAMERA)
    z = mesh.vertices[:, 2][mesh.faces]
    assert (np.ptp(z, axis=1) < 1e-4).all()
    joined = grid_mesh(box_before_wall(), CAMERA, max_step=10.0)
    assert len(joined.faces) == 2 * 47 * 63 > len(mesh.faces)


def test_a_step_below_the_limit_is_joined_and_one_above_is_cut() -> None:
    for step, faces in ((0.07, 2 * 47 * 63), (0.09, 2 * 47 * 62)):
        depth_m = np.full((48, 64), 10.0, dtype=np.float32)
        depth_m[:, 32:] *= 1 + step
        assert len(grid_mesh(depth_m, CAMERA).faces) == faces


def test_far_ground_stays_whole_though_its_depth_grows_fast() -> None:
    """Row r below the horizon is 1.65 * 55 / r m away: from row 4 to row 5 by a quarter."""
    rows = np.arange(48) - CAMERA.cy
    depth_m = np.where(rows > 2, 1.65 * CAMERA.fy / np.maximum(rows, 1), np.nan)
    depth_m = np.repeat(depth_m[:, None], 64, axis=1).astype(np.float32)
    ground = np.flatnonzero(rows > 2)
    mesh = grid_mesh(depth_m, CAMERA)
    cells = {(face // 64).min() for face in mesh.faces}
    assert cells >= set(ground[1:-2].tolist())
    assert depth_m[ground[1], 0] / depth_m[ground[2], 0] > 1.2


def test_unknown_depth_leaves_a_hole_of_its_size() -> None:
    for mark in (np.nan, 0.0, np.inf):
        depth_m = np.full((48, 64), 10.0, dtype=np.float32)
        depth_m[20:30, 20:30] = mark
        mesh = grid_mesh(depth_m, CAMERA)
        assert np.isfinite(mesh.vertices).all()
        assert len(mesh.faces) == 2 * (47 * 63 - 11 * 11) + 4  # half of each corner's cell
        used = np.unique(mesh.faces)
        np.testing.assert_allclose(mesh.vertices[used, 2], 10.0, rtol=1e-6)


def test_the_diagonal_cuts_off_only_the_corner_that_sticks_out() -> None:
    camera = Intrinsics(2, 2, 4.0, 4.0, 0.0, 0.0)
    for corner in range(4):
        depth_m = np.full((2, 2), 10.0, dtype=np.float32)
        depth_m.flat[corner] = 3.0
        (face,) = grid_mesh(depth_m, camera).faces
        assert sorted(face) == [i for i in range(4) if i != corner]


def test_depth_of_another_size_and_depth_without_a_surface_are_refused() -> None:
    with pytest.raises(TrainingError, match=r'\(10, 64\).*\(48, 64\)'):
        grid_mesh(np.ones((10, 64), np.float32), CAMERA)
    with pytest.raises(TrainingError, match='could be joined'):
        grid_mesh(np.zeros((48, 64), np.float32), CAMERA)


def test_poisson_gives_a_plane_back() -> None:
    """To a share of its cells of 1/64 of the extent, except at the rim."""
    pytest.importorskip('open3d', reason='the equation is solved by Open3D')
    depth_m = tilted()
    seen_m = cast_back(poisson_mesh(depth_m, CAMERA, levels=6))
    inner = np.s_[4:-4, 4:-4]
    np.testing.assert_allclose(seen_m[inner], depth_m[inner], rtol=5e-3)


def test_poisson_removes_the_thin_skin() -> None:
    pytest.importorskip('open3d', reason='the equation is solved by Open3D')
    whole, trimmed = (
        poisson_mesh(box_before_wall(), CAMERA, levels=6, thin_share=share) for share in (0.0, 0.2)
    )
    assert len(trimmed.vertices) == pytest.approx(0.8 * len(whole.vertices), rel=0.01)


@pytest.mark.parametrize(
    ('failure', 'error', 'message'),
    [
        (ModuleNotFoundError("No module named 'open3d'"), MissingDependencyError, 'open3d'),
        (ImportError('libusb-1.0.so.0: cannot open shared object file'), TrainingError, 'libusb'),
        (OSError('libGL.so.1: cannot open shared object file'), TrainingError, 'libGL'),
    ],
)
def test_a_missing_open3d_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, error: type[Exception], message: str
) -> None:
    real = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == 'open3d':
            raise failure
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', broken)
    with pytest.raises(error, match=message):
        poisson_mesh(tilted(), CAMERA)
