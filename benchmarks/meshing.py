"""Depth map to mesh: the pixels' own grid, with and without stride, against Poisson.

Run: python3 benchmarks/meshing.py [--size 640x360] [--levels 8,9]. Each depth map becomes a mesh;
rays through its pixels are cast at the mesh and what they find is compared with the map.

mesh: s to make the mesh; cast: s to build Embree's tree and to cast a ray per pixel; error:
median and 95th percentile of |found - map| / map; >1 %: share of the pixels beyond that; holes:
share of the known pixels where nothing is found; skin: share of the unknown pixels (sky) where
something is found. Poisson rows appear where Open3D is installed.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np

from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import MissingDependencyError
from depth_ros.frame import Float32
from depth_ros.geometry.camera import Intrinsics
from depth_ros.simulation.parts import Parts
from depth_ros.simulation.raycast import make_caster
from depth_ros.training.surface import Mesher, grid_mesh, poisson_mesh

BESIDE_PX = 1e-3  # a ray exactly through a vertex may slip between its triangles


def pixel_rays(intrinsics: Intrinsics, beside_px: float = 0.0) -> np.ndarray:
    """Rays (H * W, 3) with z = 1 through all pixels, row by row."""
    v, u = np.mgrid[0 : intrinsics.height, 0 : intrinsics.width].reshape(2, -1)
    pixels = np.stack((u, v), axis=-1) + beside_px
    return intrinsics.unproject(pixels, np.ones(len(pixels)))


def depth_maps(width: int, height: int) -> dict[str, tuple[Float32, Intrinsics]]:
    """Analytic depth and two worlds of the simulator."""
    f_px = width / 1.5
    camera = Intrinsics(width, height, f_px, f_px, (width - 1) / 2, (height - 1) / 2)
    rays = pixel_rays(camera).reshape(height, width, 3)
    x, y = rays[..., 0], rays[..., 1]
    ground = np.where(y > 0.02, 1.65 / np.maximum(y, 0.02), np.nan)
    a, b, c = x**2 + y**2 + 1, -2 * 8.0, 8.0**2 - 2.0**2  # a sphere of 2 m, 8 m ahead
    inside = b**2 - 4 * a * c
    sphere = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / (2 * a), 20.0)
    maps = {'tilted plane': 8 / (1 + 0.2 * x + 0.3 * y), 'ground to 80 m': ground}
    maps |= {'sphere, wall': sphere, 'waves': 10 + 0.5 * np.sin(30 * x) * np.cos(30 * y)}
    found = {name: (depth.astype(np.float32), camera) for name, depth in maps.items()}
    for world in ('street', 'indoor'):
        simulator = Simulator(scene=world, frames=1, width=width, height=height)
        depth_m = simulator.sample(0).depth_gt_m
        assert depth_m is not None
        found[world] = depth_m, simulator.camera.intrinsics
    return found


def measure(depth_m: Float32, intrinsics: Intrinsics, mesher: Mesher) -> str:
    """One row of the table."""
    start = time.perf_counter()
    mesh = mesher(depth_m, intrinsics)
    made = time.perf_counter()
    caster = make_caster(Parts([mesh]))
    found = caster.cast(np.zeros(3), pixel_rays(intrinsics, BESIDE_PX)).t
    cast = time.perf_counter()
    found_m = found.reshape(depth_m.shape)
    known, hit = depth_m > 0, np.isfinite(found_m)
    error = np.abs(found_m - depth_m)[known & hit] / depth_m[known & hit]
    skin = f'{100 * hit[~known].mean():7.2f}' if not known.all() else f'{"-":>7}'
    return (
        f'{len(mesh.faces):9,d}{made - start:8.2f}{cast - made:7.2f}{np.median(error):10.1e}'
        f'{np.percentile(error, 95):10.1e}{100 * (error > 0.01).mean():8.2f}'
        f'{100 * (1 - hit[known].mean()):8.2f}{skin}'
    )


def main() -> None:
    """Print one row for each depth map and way to mesh it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--size', default='640x360', help='of the depth maps (default 640x360)')
    parser.add_argument('--levels', default='8,9,10', help="of Poisson's octree (default 8,9,10)")
    options = parser.parse_args()
    width, height = map(int, options.size.split('x'))
    meshers: dict[str, Mesher] = {
        'grid': grid_mesh,
        'grid, stride 2': partial(grid_mesh, stride=2),
    }
    for levels in map(int, options.levels.split(',')):
        meshers[f'Poisson, 2^{levels}'] = partial(poisson_mesh, levels=levels)
    print(
        f'{"depth map":<16}{"mesh":<16}{"faces":>9}{"mesh s":>8}{"cast s":>7}{"median":>10}'
        f'{"p95":>10}{">1 %":>8}{"holes %":>8}{"skin %":>7}'
    )
    for name, (depth_m, intrinsics) in depth_maps(width, height).items():
        for way, mesher in meshers.items():
            try:
                print(f'{name:<16}{way:<16}{measure(depth_m, intrinsics, mesher)}', flush=True)
            except MissingDependencyError as error:
                print(f'{name:<16}{way:<16}{error}')


if __name__ == '__main__':
    main()
