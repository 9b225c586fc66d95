"""What a frame of the simulator costs, by Embree and by NumPy, and how far the two agree.

Run: python3 benchmarks/rendering.py [--size 1242x375] [--frames 5]. One core: an image with
textures, shadows and smoothed edges, its exact depth, and a sweep of 64 rings.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.datasets.simulator import Simulator
from depth_ros.simulation.scenes import WORLDS

BACKENDS = ('embree', 'numpy')
NEAR = 1e-4  # relative, as far as depths may differ


def rendered(simulator: Simulator, frames: int) -> tuple[list[Sample], float]:
    """Frames, and the median of the seconds that each took; the first one warms up."""
    samples, times_s = [], []
    for index in range(frames + 1):
        start_s = time.perf_counter()
        samples.append(simulator.sample(index))
        times_s.append(time.perf_counter() - start_s)
    return samples, median(times_s[1:])


def part_seen(simulator: Simulator, index: int) -> np.ndarray:
    """(H, W) which part of the world each pixel of a frame sees, -1 for none."""
    time_s = index / simulator.config.rate_hz
    photo = simulator.rig.photograph(
        simulator.world, simulator.camera_names[0], time_s, np.random.default_rng(0)
    )
    return np.where(photo.face < 0, -1, simulator.world.parts.part[photo.face])


def main() -> None:
    """Print a row for each world."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--size', default='1242x375', metavar='WxH', help='default %(default)s')
    parser.add_argument('--frames', type=int, default=5, help='measured frames, default 5')
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split('x'))
    print(f'{width}x{height}, median of {args.frames} frames')
    print('| world | faces | built in | returns | Embree | NumPy | same depth | same thing |')
    print('|---|---|---|---|---|---|---|---|')
    for scene in WORLDS:
        start_s = time.perf_counter()
        simulators = [
            Simulator(scene=scene, width=width, height=height, caster=backend)
            for backend in BACKENDS
        ]
        built_s = (time.perf_counter() - start_s) / len(simulators)
        (fast, fast_s), (plain, plain_s) = (rendered(one, args.frames) for one in simulators)
        same = [
            np.isclose(a.depth_gt_m, b.depth_gt_m, rtol=NEAR, atol=0)
            for a, b in zip(fast, plain, strict=True)
        ]
        one, other = (part_seen(simulator, 1) for simulator in simulators)
        returns = median(len(sample.frame.points) for sample in fast)
        print(
            f'| {scene} | {len(simulators[0].world.parts.part)} | {built_s * 1e3:.0f} ms '
            f'| {returns:.0f} | {fast_s * 1e3:.0f} ms | {plain_s * 1e3:.0f} ms '
            f'| {np.mean(same):.4%} | {np.mean(one == other):.4%} |',
            flush=True,
        )


if __name__ == '__main__':
    main()
