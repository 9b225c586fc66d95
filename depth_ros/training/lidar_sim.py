"""A LiDAR beside a camera, as mounted and as calibrated: casts its beams at a mesh.

The camera and the LiDAR see from their own places, so that the background shines through
between the returns of what is near; the extrinsic that the user believes is slightly wrong, and
the rig moves while the LiDAR turns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from depth_ros.frame import Bool, Float32, Float64, UInt8
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import indices_in_view, pixels_of, project_lidar
from depth_ros.simulation.lidar import echoes
from depth_ros.training.mesh import Caster
from depth_ros.training.scanners import NO_RING, Scanner, random_scanner
from depth_ros.training.surface import Mesher, grid_mesh

STATED_REFLECTIVITY = 0.8
"""Reflectivity at which a LiDAR reaches its maximum range: the HDL-64E's data sheet states 120 m
at 0.8 and 50 m at 0.1, which is about the square root that the law of the echo, reflectivity
over range squared, demands."""

_NEAR_IMAGE = 0.03  # beams that miss the image by so many focal lengths are cast, too


class Scan(NamedTuple):
    """Returns of one sweep.

    Attributes:
        points: (N, 3) in metres in the LiDAR frame.
        ring: (N,) number of the ring, from the lowest up.
    """

    points: Float32
    ring: UInt8


def scan(
    caster: Caster,
    T_world_camera: Float64,
    scanner: Scanner,
    rng: np.random.Generator,
    reflectivity: Float32 | None = None,
    intrinsics: Intrinsics | None = None,
) -> Scan:
    """What a scanner on a camera's rig measures of a mesh.

    Args:
        caster: the mesh.
        T_world_camera: (4, 4) true pose of the camera.
        scanner: the LiDAR.
        rng: decides what is lost, and the noise.
        reflectivity: (M,) share of light that each face gives back, 0 to 1; None takes
            `STATED_REFLECTIVITY` for all.
        intrinsics: the camera; with it only beams that land in or near its image are cast.
    """
    sweep = int(rng.integers(1 << 16))
    beams, ring, time = scanner.beams(sweep)
    T_camera_lidar = scanner.T_error @ scanner.T_camera_lidar
    if intrinsics is not None:
        seen = _can_land(beams, T_camera_lidar, scanner, intrinsics)
        beams, ring, time = beams[seen], ring[seen], time[seen]
    T_world_lidar = (T_world_camera @ T_camera_lidar).astype(np.float32)
    rotation = T_world_lidar[:3, :3].T
    motion = np.asarray(scanner.motion_m, dtype=np.float32) @ rotation
    directions = beams @ rotation
    hits = caster.cast(T_world_lidar[:3, 3] + time[:, None] * motion, directions)
    cosine = np.abs(np.einsum('ij,ij->i', hits.normal, directions))
    reach = 1.0 if reflectivity is None else _reach(reflectivity)[hits.face]
    kept, range_m = echoes(hits.t, cosine, scanner.lidar, rng, reach)
    kept &= hits.t >= scanner.min_range_m
    if scanner.range_bias_m:
        range_m = range_m + np.asarray(scanner.range_bias_m)[ring]
    points = beams[kept] * range_m[kept, None].astype(np.float32)
    return Scan(points, ring[kept])


def sparse_depth(scan: Scan, scanner: Scanner, intrinsics: Intrinsics) -> tuple[Float32, UInt8]:
    """What the user makes of a scan: `project_lidar`, with the ring of each return.

    Returns:
        (H, W) float32 depth in metres, 0 = none, and (H, W) uint8 ring, `NO_RING` = none.
    """
    T_camera_lidar = scanner.T_camera_lidar
    sparse_m = project_lidar(scan.points, T_camera_lidar, intrinsics)
    rings = np.full(sparse_m.shape, NO_RING, dtype=np.uint8)
    seen = indices_in_view(scan.points, T_camera_lidar, intrinsics)
    pixel, depth_m = pixels_of(scan.points[seen], T_camera_lidar, intrinsics)
    nearest = depth_m == sparse_m.take(pixel)
    rings.put(pixel[nearest], scan.ring[seen][nearest])
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
        MissingDependencyError: embreex, or what `mesher` needs, is not installed.
    """
    height, width = depth_m.shape
    intrinsics = intrinsics or random_intrinsics(rng, width, height)
    scanner = random_scanner(rng, indoor)
    caster = Caster(mesher(depth_m, intrinsics))
    found = scan(caster, np.eye(4), scanner, rng, intrinsics=intrinsics)
    return sparse_depth(found, scanner, intrinsics)[0], intrinsics


def _reach(reflectivity: Float32) -> Float32:
    """Factor on the maximum range by which faces (M,) are seen, by the law of the echo."""
    return np.sqrt(np.maximum(reflectivity, np.float32(1e-6)) / np.float32(STATED_REFLECTIVITY))


def _can_land(
    beams: Float32, T_camera_lidar: Float64, scanner: Scanner, intrinsics: Intrinsics
) -> Bool:
    """Which beams (N,) reach each of the four half-spaces of the view at some range.

    `a + r b >= 0` holds for some r between the minimum and the maximum range if it does at one
    of them. The motion of the rig is left to the margin around the image.
    """
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    margin = 0.5 + _NEAR_IMAGE * fx
    right, bottom = intrinsics.width - 1 + margin, intrinsics.height - 1 + margin
    normals = np.array(
        [[fx, 0, cx + margin], [-fx, 0, right - cx], [0, fy, cy + margin], [0, -fy, bottom - cy]]
    )
    a = normals @ T_camera_lidar[:3, 3]
    needed = np.minimum(-a / max(scanner.min_range_m, 0.1), -a / scanner.lidar.max_range_m)
    b = (normals @ T_camera_lidar[:3, :3]).astype(np.float32) @ beams.T
    inside: Bool = (b >= needed.astype(np.float32)[:, None]).all(axis=0)
    return inside
