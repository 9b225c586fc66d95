"""Triangle meshes, and the rays that hit them first.

Rays are cast by Embree (Wald et al., "Embree: a kernel framework for efficient CPU ray tracing",
TOG 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.frame import Float32

Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: (N, 3) float32 in metres.
        faces: (M, 3) int32, indices of vertices.

    Raises:
        TrainingError: there is no face, or an index has no vertex.
    """

    vertices: Float32
    faces: Int32

    def __post_init__(self) -> None:
        if not len(self.faces):
            raise TrainingError('A mesh needs a face, got none.')
        if self.faces.min() < 0 or self.faces.max() >= len(self.vertices):
            raise TrainingError(
                f'faces name vertices {self.faces.min()} to {self.faces.max()}, but there are '
                f'{len(self.vertices)}.'
            )


class Hits(NamedTuple):
    """What rays met first.

    Attributes:
        t: (N,) ray parameter, in lengths of the direction; inf where nothing was hit.
        face: (N,) index of the face, -1 where nothing was hit.
        normal: (N, 3) unit normal of the face on the side that the ray came from, 0 for none.
    """

    t: Float32
    face: Int32
    normal: Float32


class Caster:
    """Casts rays at a mesh.

    Args:
        mesh: what can be hit.

    Raises:
        MissingDependencyError: embreex is not installed.
    """

    def __init__(self, mesh: Mesh) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError as error:
            raise MissingDependencyError('embreex', 'train') from error
        self._scene: Any = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, mesh.vertices, mesh.faces)

    def cast(self, origin: npt.ArrayLike, directions: npt.NDArray[np.floating]) -> Hits:
        """First hits of rays from `origin` (3,) or (N, 3) along `directions` (N, 3)."""
        rays = np.ascontiguousarray(directions, dtype=np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(np.asarray(origin, np.float32), rays.shape))
        found = self._scene.run(origins, rays, query='INTERSECT', output=1)
        face = found['primID']
        missed = face < 0
        t = np.where(missed, np.float32(np.inf), found['tfar'])
        normal = found['Ng']
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        towards = -np.sign(np.einsum('ij,ij->i', normal, rays))[:, None]
        normal = np.where(
            missed[:, None], np.float32(0), towards * normal / np.maximum(length, 1e-30)
        )
        return Hits(t, face, normal.astype(np.float32))

    def blocked(
        self, origins: Float32, directions: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.bool_]:
        """Whether rays from `origins` (N, 3) along `directions` (N, 3) hit anything."""
        rays = np.ascontiguousarray(directions, dtype=np.float32)
        found = self._scene.run(np.ascontiguousarray(origins, np.float32), rays, query='OCCLUDED')
        return np.asarray(found) >= 0
