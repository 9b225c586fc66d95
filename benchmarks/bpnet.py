"""BP-Net as it runs here against the direct form of the same maths: time and peak memory.

Run: python3 benchmarks/bpnet.py [--size 256x320] [--runs 3] [--json]. The direct form searches
neighbours by brute force and gathers features before it projects them, as the formulas are
written; all the rest is the same, and so must be the depth (of initial weights). They take turns,
each run in a process of its own whose peak memory is read; times are medians, on one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depth_ros.evaluation.report import json_text, table
from depth_ros.frame import Bool
from depth_ros.models import bpnet
from depth_ros.models.bpnet import neighbours
from depth_ros.models.bpnet.stage import NeighbourConv, gathered

FORMS = ('ours', 'direct')
ROWS_AT_ONCE = 512  # of the table of distances, so that it stays within memory


def brute_force(found: Bool) -> npt.NDArray[np.int32]:
    """Flat indices (4, h w) of the nearest returns, by measuring every pair."""
    rows, columns = np.nonzero(found)
    height, width = found.shape
    v, u = np.indices(found.shape).reshape(2, -1, 1)
    keys_below = rows.size - 1 - np.arange(rows.size)  # the later return wins a tie
    nearest = []
    for start in range(0, height * width, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        distance2 = (rows - v[part]) ** 2 + (columns - u[part]) ** 2
        keys = distance2 * rows.size + keys_below
        few = min(4, rows.size)
        first = np.argpartition(keys, few - 1, axis=1)[:, :few]
        order = np.argsort(np.take_along_axis(keys, first, axis=1), axis=1)
        nearest.append(np.take_along_axis(first, order, axis=1))
    index = np.concatenate(nearest)[:, np.minimum(np.arange(4), min(4, rows.size) - 1)]
    flat: npt.NDArray[np.int32] = (rows * width + columns)[index].T.astype(np.int32)
    return flat


def gather_first(self: NeighbourConv, *inputs: Tensor) -> Tensor:
    """`NeighbourConv` over all pairs of pixels and neighbours, side by side."""
    feature, xyz, offset, index = inputs
    target = feature.flatten(2).unsqueeze(2).expand(-1, -1, 4, -1)
    pairs = torch.cat((target, gathered(feature, index), gathered(xyz, index), offset), dim=1)
    return self.normed(self.conv.get_submodule('conv')(pairs))


def run_once(form: str, height: int, width: int) -> dict[str, float]:
    """Times [s], peak memory [MiB] and mean depth of one form, after a run on a small image."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = bpnet.build()
    if form == 'direct':
        neighbours.nearest = brute_force
        NeighbourConv.forward = gather_first
    for size in ((32, 32), (height, width)):
        scene = bpnet.golden_inputs(*size)
        started_s = time.perf_counter()
        levels = neighbours.pyramid(scene['sparse'][0, 0] > 0)
        searched_s = time.perf_counter()
        index = [torch.from_numpy(level)[None] for level in levels]
        image = torch.from_numpy(scene['image']).permute(0, 3, 1, 2) / 128.0 - 1.0
        with torch.inference_mode():
            depth = model(image, *(torch.from_numpy(scene[k]) for k in ('sparse', 'K')), index)
        finished_s = time.perf_counter()
    return {
        'neighbours [s]': searched_s - started_s,
        'network [s]': finished_s - searched_s,
        'peak memory [MiB]': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        'mean depth_m': float(depth[-1].depth.mean()),
    }


def main() -> None:
    """Let the forms take turns and compare their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', default='256x320', metavar='HxW')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--json', action='store_true')
    parser.add_argument('--only', choices=FORMS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    height, width = (int(length) for length in args.size.split('x'))
    if args.only:
        print(json.dumps(run_once(args.only, height, width)))
        return
    measured: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    for _ in range(args.runs):
        for form, runs in measured.items():
            command = [sys.executable, __file__, '--size', args.size, '--only', form]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            runs.append(json.loads(answer.stdout))
    rows: list[dict[str, Any]] = [
        {'form': form, **{key: statistics.median(run[key] for run in runs) for key in runs[0]}}
        for form, runs in measured.items()
    ]
    ours, direct = rows
    if not np.isclose(ours['mean depth_m'], direct['mean depth_m'], rtol=1e-4):
        raise SystemExit(f'The forms disagree: {rows}')
    if args.json:
        print(json_text({'size': args.size, 'runs': args.runs, 'rows': rows}))
        return
    print(f'BP-Net {args.size}, torch {torch.__version__}, CPU, median of {args.runs}')
    print(table(rows))


if __name__ == '__main__':
    main()
