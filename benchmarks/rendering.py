"""What a frame of the simulator costs, by Embree and by NumPy, and how far the two agree.

Run: python3 benchmarks/rendering.py [--size 1242x375] [--frames 5]. One core; image with shadows
and smoothed edges, exact depth, and a sweep of 64 rings.
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


def rendered(simulator: Simulator, frames: int) -> tuple[list[Sample], float]:
    """Frames, and the median of the seconds that each took; the first one warms up."""
    samples, times_s = [], []
    for index in range(frames + 1):
        start_s = time.perf_counter()
        samples.append(simulator.sample(index))
        times_s.append(time.perf_counter() - start_s)
    return samples, median(times_s[1:])


def main() -> None:
    """Print a row for each world."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--size', default='1242x375', metavar='WxH', help='default %(default)s')
    parser.add_argument('--frames', type=int, default=5, help='measured frames, default 5')
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split('x'))
    print(f'{width}x{height}, median of {args.frames} frames')
    print('| world | Embree | NumPy | same depth | same colour |')
    print('|---|---|---|---|---|')
    for scene in WORLDS:
        runs = [
            rendered(
                Simulator(scene=scene, width=width, height=height, caster=backend), args.frames
            )
            for backend in BACKENDS
        ]
        (fast, fast_s), (plain, plain_s) = runs
        depth, colour = (
            np.mean([np.mean(a == b) for a, b in zip(one, other, strict=True)])
            for one, other in (
                ([s.depth_gt_m for s in fast], [s.depth_gt_m for s in plain]),
                ([s.frame.image for s in fast], [s.frame.image for s in plain]),
            )
        )
        print(
            f'| {scene} | {fast_s * 1e3:.0f} ms | {plain_s * 1e3:.0f} ms | {depth:.5%} '
            f'| {colour:.3%} |'
        )


if __name__ == '__main__':
    main()
