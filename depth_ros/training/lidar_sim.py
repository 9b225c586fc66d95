"""Sweeps as the user of a camera and a LiDAR draws them into the image, also of made-up rigs."""

from __future__ import annotations

import numpy as np

from depth_ros.frame import Float32, UInt8
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import indices_in_view, pixels_of, project_lidar
from depth_ros.simulation.lidar import NO_RING, Sweep
from depth_ros.simulation.scanners import Scanner, random_scanner
from depth_ros.simulation.world import World
from depth_ros.training.surface import Mesher, grid_mesh


def sparse_depth(sweep: Sweep, scanner: Scanner, intrinsics: Intrinsics) -> tuple[Float32, UInt8]:
    """What the user makes of a sweep: `project_lidar`, with the ring of each return.

    Returns:
        (H, W) float32 depth in metres, 0 = none, and (H, W) uint8 ring, `NO_RING` = none.
    """
    T_camera_lidar = scanner.T_camera_lidar
    sparse_m = project_lidar(sweep.points, T_camera_lidar, intrinsics)
    rings = np.full(sparse_m.shape, NO_RING, dtype=np.uint8)
    seen = indices_in_view(sweep.points, T_camera_lidar, intrinsics)
    pixel, depth_m = pixels_of(sweep.points[seen], T_camera_lidar, intrinsics)
    nearest = depth_m == sparse_m.take(pixel)
    rings.put(pixel[nearest], sweep.ring[seen][nearest])
    return sparse_m, rings


def random_intrinsics(rng: np.random.Generator, width: int, height: int) -> Intrinsics:
    """The pinhole that an image of unknown origin is taken to have.

    DMD3C samples it at random without saying from where: here the horizontal field of view is
    40 to 100 degrees (photos to wide-angle lenses; KITTI's is 81), the focal length the same in
    both directions, the principal point off the middle by 2 % of the width (one sigma).
    """
    f_px = width / (2 * np.tan(np.radians(rng.uniform(40.0, 100.0)) / 2))
    off_u, off_v = 0.02 * width * rng.standard_normal(2)
    cx, cy = (width - 1) / 2 + off_u, (height - 1) / 2 + off_v
    return Intrinsics(width, height, float(f_px), float(f_px), float(cx), float(cy))


def simulate(
    depth_m: Float32,
    rng: np.random.Generator,
    indoor: bool,
    intrinsics: Intrinsics | None = None,
    mesher: Mesher = grid_mesh,
) -> tuple[Float32, Intrinsics]:
    """Stage 1 of DMD3C: what a random LiDAR beside the camera measures of a depth map.

    Args:
        depth_m: (H, W) in metres, NaN or 0 = unknown.
        rng: decides the camera, the LiDAR and all noise.
        indoor: whether the LiDAR is one for rooms.
        intrinsics: the camera; None draws `random_intrinsics`.
        mesher: makes the surface.

    Returns:
        (H, W) float32 sparse depth in the image's own pixels in metres, 0 = none, and the camera.

    Raises:
        TrainingError: no surface can be made.
        MissingDependencyError: what `mesher` needs is not installed.
    """
    height, width = depth_m.shape
    intrinsics = intrinsics or random_intrinsics(rng, width, height)
    scanner = random_scanner(rng, indoor)
    world = World([mesher(depth_m, intrinsics)])
    found = scanner.sweep(world, np.eye(4), 0.0, rng, intrinsics)
    return sparse_depth(found, scanner, intrinsics)[0], intrinsics
