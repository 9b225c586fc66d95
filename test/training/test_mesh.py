"""Rays meet meshes where geometry says, and meshes that are none are refused."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.training import shapes
from depth_ros.training.mesh import Caster, Mesh

BOX = shapes.box()  # [-0.5, 0.5]^2 x [0, 1]


@pytest.fixture(scope='module')
def box() -> Caster:
    pytest.importorskip('embreex', reason='rays are cast by Embree')
    return Caster(BOX)


def one(*direction: float) -> Any:
    return np.array([direction], dtype=np.float32)


def test_a_unit_box_seen_from_3_m_is_2_5_m_away(box: Caster) -> None:
    hits = box.cast((-3, 0.1, 0.6), one(1, 0, 0))
    assert hits.t[0] == pytest.approx(2.5)
    np.testing.assert_allclose(hits.normal, [(-1, 0, 0)], atol=1e-6)
    corners = BOX.vertices[BOX.faces[hits.face[0]]]
    assert (corners[:, 0] == -0.5).all(), 'the face is on the near side'
    assert (hits.t.dtype, hits.normal.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    ('origin', 'direction', 't', 'normal'),
    [
        ((0.1, 3.0, 0.6), (0, -1, 0), 2.5, (0, 1, 0)),
        ((0.1, 0.2, 4.0), (0, 0, -2), 1.5, (0, 0, 1)),  # t is in lengths of the direction
        ((0.1, 0.2, -1.0), (0, 0, 0.25), 4.0, (0, 0, -1)),
        ((0.0, 0.1, 0.6), (1, 0, 0), 0.5, (-1, 0, 0)),  # from inside, it looks back at the ray
        ((-1.5, -1.4, 0.3), (1, 1, 0), 1.0, (-1, 0, 0)),
    ],
)
def test_what_is_met_where_and_from_which_side(
    box: Caster, origin: Any, direction: Any, t: float, normal: Any
) -> None:
    hits = box.cast(origin, one(*direction))
    assert hits.t[0] == pytest.approx(t)
    np.testing.assert_allclose(hits.normal[0], normal, atol=1e-6)


def test_a_ray_that_meets_nothing_says_so(box: Caster) -> None:
    hits = box.cast((-3, 0, 0.5), np.array([(-1, 0, 0), (0, 0, 1), (1, 0, 0.3)]))
    np.testing.assert_array_equal(hits.t, np.inf)
    np.testing.assert_array_equal(hits.face, -1)
    np.testing.assert_array_equal(hits.normal, 0)


def test_rays_may_start_at_their_own_places(box: Caster) -> None:
    origins = np.array([(-3, 0.1, 0.6), (-5, 0.1, 0.6), (5, 0.1, 0.6)])
    hits = box.cast(origins, np.array([(1, 0, 0), (1, 0, 0), (-1, 0, 0)], dtype=np.float64))
    np.testing.assert_allclose(hits.t, (2.5, 4.5, 4.5), rtol=1e-6)  # float32


def test_no_rays_are_no_hits(box: Caster) -> None:
    assert box.cast((0, 0, 9), np.zeros((0, 3))).t.shape == (0,)


def test_the_nearest_of_many_is_met() -> None:
    """Random triangles: the hit is the nearest of those that the formula of Moller gives."""
    pytest.importorskip('embreex', reason='rays are cast by Embree')
    rng = np.random.default_rng(1)
    corners = rng.uniform(-1, 1, (40, 3, 3)).astype(np.float32)
    mesh = Mesh(corners.reshape(-1, 3), np.arange(120, dtype=np.int32).reshape(-1, 3))
    rays = rng.normal(size=(500, 3)).astype(np.float32)
    origin = np.array([0.1, 0.2, 0.3])
    hits = Caster(mesh).cast(origin, rays)
    a, b, c = corners.astype(np.float64).transpose(1, 0, 2)
    sides = np.stack(np.broadcast_arrays(-rays[:, None].astype(float), b - a, c - a), axis=-1)
    t, u, v = np.moveaxis(np.linalg.solve(sides, (origin - a)[None, :, :, None])[..., 0], -1, 0)
    expected = np.where((u > 0) & (v > 0) & (u + v < 1) & (t > 0), t, np.inf)
    np.testing.assert_allclose(hits.t, expected.min(axis=1), rtol=1e-3)
    met = np.isfinite(hits.t)
    assert 100 < met.sum() < 500
    np.testing.assert_array_equal(hits.face[met], expected.argmin(axis=1)[met])
    lengths = np.linalg.norm(hits.normal[met], axis=1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)
    assert (np.einsum('ij,ij->i', hits.normal, rays)[met] <= 0).all()


def test_blocked_is_whether_anything_is_met(box: Caster) -> None:
    """Of any face, also the first one; and only ahead."""
    rng = np.random.default_rng(2)
    origins = rng.uniform(-2, 2, (300, 3)).astype(np.float32)
    rays = rng.normal(size=(300, 3)).astype(np.float32)
    hits = box.cast(origins, rays)
    np.testing.assert_array_equal(box.blocked(origins, rays), np.isfinite(hits.t))
    assert 0 in hits.face, 'some ray meets face 0'
    assert not box.blocked(np.array([(3, 0, 0.5)], np.float32), one(1, 0, 0)).any()


def test_a_mesh_without_faces_is_refused() -> None:
    with pytest.raises(TrainingError, match='needs a face'):
        Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32))


@pytest.mark.parametrize(('face', 'named'), [((0, 1, 3), '0 to 3'), ((-1, 1, 2), '-1 to 2')])
def test_a_face_of_vertices_that_are_not_there_is_refused(face: Any, named: str) -> None:
    with pytest.raises(TrainingError, match=f'{named}, but there are 3'):
        Mesh(np.zeros((3, 3), np.float32), np.array([face], np.int32))


def test_without_embree_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith('embreex'):
            raise ModuleNotFoundError("No module named 'embreex'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', broken)
    with pytest.raises(MissingDependencyError, match=r"'embreex'.*depth_ros\[train\]"):
        Caster(BOX)
