"""Depth maps to triangle meshes, so that a LiDAR beside the camera can be cast at them.

DMD3C reconstructs the surface by Poisson's equation (stage 1). The pixels' own grid, cut where
the depth jumps, is the fast way; benchmarks/meshing.py measures both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.frame import Bool, Float32
from depth_ros.geometry.camera import Intrinsics
from depth_ros.simulation.lidar import STATED_REFLECTIVITY
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh

Mesher = Callable[[Float32, Intrinsics], Mesh]
"""Makes a mesh in the camera frame of depth (H, W) in metres, NaN or 0 = unknown."""

_SURFACE = Material(reflectivity=STATED_REFLECTIVITY)  # nothing is known of it
_ALIKE = 0.1  # steps of inverse depth that differ by less than this share lie on one plane


def grid_mesh(
    depth_m: Float32, intrinsics: Intrinsics, stride: int = 1, max_step: float = 0.08
) -> Mesh:
    """Triangles between neighbouring pixels, none where the depth jumps.

    Two neighbours are joined if their depths differ by at most `max_step` a pixel, relatively,
    or if both steps beside theirs say that they lie on one plane, on which inverse depth is
    linear: ground far away. What is one pixel wide has no face.

    Args:
        depth_m: (H, W) in metres, NaN or 0 = unknown.
        intrinsics: the camera.
        stride: every so many pixels are taken, in both directions.
        max_step: largest relative step of depth from pixel to pixel.

    Returns:
        A mesh in the camera frame, whose vertices are the pixels taken, row by row; all faces
        are wound so that their normals point to the camera.

    Raises:
        TrainingError: the sizes differ, or nothing could be joined.
    """
    if depth_m.shape != (intrinsics.height, intrinsics.width):
        raise TrainingError(
            f'depth_m is {depth_m.shape}, but the camera has '
            f'{(intrinsics.height, intrinsics.width)}.'
        )
    v, u = np.mgrid[0 : intrinsics.height : stride, 0 : intrinsics.width : stride]
    known = np.isfinite(depth_m) & (depth_m > 0)
    z = np.where(known, depth_m, np.nan)[::stride, ::stride].astype(np.float32)
    inverse = np.float32(1) / z
    across = _joined(inverse, stride * max_step)
    down = _joined(inverse.T, stride * max_step).T
    top, bottom, left, right = across[:-1], across[1:], down[:, :-1], down[:, 1:]
    number = np.arange(z.size, dtype=np.int32).reshape(z.shape)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    # The diagonal runs along the surface, so that a corner that sticks out is cut off alone.
    falling = _gap(inverse[:-1, :-1], inverse[1:, 1:]) <= _gap(inverse[:-1, 1:], inverse[1:, :-1])
    rising = ~falling
    triangles = (
        ((a, d, b), falling & top & right),
        ((a, c, d), falling & left & bottom),
        ((a, c, b), rising & top & left),
        ((b, c, d), rising & bottom & right),
    )
    faces = np.concatenate(
        [np.stack([corner[kept] for corner in corners], axis=1) for corners, kept in triangles]
    )
    if not len(faces):
        raise TrainingError(f'No two neighbours of depth {depth_m.shape} could be joined.')
    pixels = np.stack((u, v), axis=-1).reshape(-1, 2)
    vertices = intrinsics.unproject(pixels, np.nan_to_num(z).ravel())
    return Mesh(vertices.astype(np.float32), faces, _SURFACE)


def poisson_mesh(
    depth_m: Float32, intrinsics: Intrinsics, levels: int = 9, thin_share: float = 0.1
) -> Mesh:
    """Poisson surface reconstruction (Kazhdan and Hoppe, TOG 2013) of the pixels, by Open3D.

    The normals that it asks for are those of `grid_mesh`: estimated from the nearest points, as
    usual, they are wrong where the depth jumps.

    Args:
        depth_m: (H, W) in metres, NaN or 0 = unknown.
        intrinsics: the camera.
        levels: depth of the octree: the largest extent of all is split into 2^levels cells.
        thin_share: share of the vertices, those with the fewest pixels around, that is removed:
            the equation closes every surface with a skin where nothing was measured.

    Returns:
        A mesh in the camera frame.

    Raises:
        MissingDependencyError: Open3D is not installed.
        TrainingError: a system library that Open3D needs is missing, the sizes differ, or no
            surface is found.
    """
    open3d = _open3d()
    grid = grid_mesh(depth_m, intrinsics)
    surface = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(grid.vertices.astype(np.float64)),
        open3d.utility.Vector3iVector(grid.faces),
    )
    surface.remove_unreferenced_vertices()
    surface.compute_vertex_normals()
    cloud = open3d.geometry.PointCloud(surface.vertices)
    cloud.normals = surface.vertex_normals
    surface, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=levels, n_threads=1
    )
    surface.remove_vertices_by_mask(np.asarray(density) < np.quantile(density, thin_share))
    vertices, faces = np.asarray(surface.vertices), np.asarray(surface.triangles)
    return Mesh(vertices.astype(np.float32), faces.astype(np.int32), _SURFACE)


def _joined(inverse: Float32, max_step: float) -> Bool:
    """Whether values (H, W - 1) of inverse depth (H, W) belong to one surface with the next."""
    step = np.diff(inverse, axis=1)
    with np.errstate(invalid='ignore'):
        nearer = np.maximum(inverse[:, :-1], inverse[:, 1:])
        farther = np.minimum(inverse[:, :-1], inverse[:, 1:])
        joined: Bool = nearer <= (1 + max_step) * farther
        alike = np.abs(np.diff(step, axis=1)) <= _ALIKE * np.abs(step[:, 1:])
        joined[:, 1:-1] |= alike[:, :-1] & alike[:, 1:]
    return joined


def _gap(inverse: Float32, other: Float32) -> Float32:
    """Difference, infinite where one of them is unknown."""
    return np.nan_to_num(np.abs(inverse - other), nan=np.inf)


def _open3d() -> Any:
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise MissingDependencyError('open3d', 'open3d') from error
    except (ImportError, OSError) as error:
        raise TrainingError(
            f'Open3D is installed, but does not load: {error}. If a .so file is named, install '
            'the system package that has it (libusb-1.0.so.0: `apt install libusb-1.0-0`).'
        ) from error
    return open3d
