"""Which raw sigma of BP-Net calibrates best: trains a narrow BP-Net and compares them.

Run: python3 benchmarks/bpnet_sigma.py [--steps 700] [--save FILE] [--json]. It needs no official
weights: a BP-Net of a quarter of the channels is trained on simulated frames, about half an hour
on one core, and judged on others: new seeds of the simulator and, where $DEPTH_ROS_DATA (default
../shared) has data/kitti_dc_drive0001, real ones. Each candidate is scaled by one factor so that
95.45 % of the errors in every other judged frame lie within 2 sigma, as the live calibration does,
and judged on the rest.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from depth_ros.datasets.base import Dataset
from depth_ros.datasets.folder import open_folder
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import DatasetError
from depth_ros.evaluation import uncertainty
from depth_ros.evaluation.report import json_text, table
from depth_ros.frame import CameraView, Float32
from depth_ros.models.base import KITTI
from depth_ros.models.bpnet.deploy import SIGMA_FLOOR_M
from depth_ros.models.bpnet.neighbours import pyramid
from depth_ros.models.bpnet.network import BPNet
from depth_ros.pipeline.fusion import FusionPipeline

ROOT = Path(os.environ.get('DEPTH_ROS_DATA') or Path(__file__).resolve().parents[2] / 'shared')
WIDTH = 8
CROP = (128, 256)
TRAINING_SEEDS, JUDGED_SEEDS = range(1, 13), range(101, 105)
FRAMES_PER_SEED = 3
WITHIN_2_SIGMA = 0.9545

Example = tuple[CameraView, Float32]


def simulated(seeds: range) -> Iterator[Example]:
    """Views and true depth of both scenes under different LiDARs."""
    for seed in seeds:
        scene = ('street', 'indoor')[seed % 2]
        lidar = {'sweep.beams': (16, 32, 64)[seed % 3]}
        size = {'width': 384, 'height': 160}
        yield from _examples(Simulator(scene=scene, seed=seed, frames=30, **size, **lidar), 10)


def real() -> Iterator[Example]:
    """KITTI's own frames; nothing where they are missing."""
    try:
        yield from _examples(open_folder(ROOT / 'data' / 'kitti_dc_drive0001'), 1)
    except DatasetError as error:
        print(f'No real frames: {error}', file=sys.stderr)


def _examples(dataset: Dataset, every: int) -> Iterator[Example]:
    pipeline = FusionPipeline()
    for index in range(0, len(dataset), every):
        sample = dataset.sample(index)
        if sample.depth_gt_m is not None:
            yield pipeline.observe(sample.frame), sample.depth_gt_m


def cropped(example: Example, rng: np.random.Generator) -> Example:
    """A random window with returns in it, mirrored half of the time."""
    view, truth_m = example
    height, width = CROP
    while True:
        top = rng.integers(view.intrinsics.height - height + 1)
        left = rng.integers(view.intrinsics.width - width + 1)
        window = np.s_[top : top + height, left : left + width]
        if (view.sparse_m[window] > 0).sum() >= 16:
            break
    camera = view.intrinsics.cropped(left, top, width, height)
    image, sparse_m, truth_m = view.image[window], view.sparse_m[window], truth_m[window]
    if rng.random() < 0.5:
        image, sparse_m, truth_m = (a[:, ::-1].copy() for a in (image, sparse_m, truth_m))
        camera = replace(camera, cx=width - 1 - camera.cx)
    return CameraView(image, np.ascontiguousarray(sparse_m), camera), truth_m


def stages(model: BPNet, view: CameraView) -> list[Any]:
    """The six results of a view whose size is a multiple of 32."""
    mean, std = np.array(KITTI)
    image = ((view.image - mean) / std).astype(np.float32).transpose(2, 0, 1)
    arrays = (image, view.sparse_m[None], view.intrinsics.matrix.astype(np.float32))
    tensors = [torch.from_numpy(array)[None] for array in arrays]
    neighbours = [torch.from_numpy(index)[None] for index in pyramid(view.sparse_m > 0)]
    return model(*tensors, neighbours)


def train(examples: list[Example], steps: int) -> BPNet:
    """A narrow BP-Net after so many steps of one crop each, in evaluation mode."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = BPNet(WIDTH).train()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    losses = []
    for step in range(steps):
        view, truth_m = cropped(examples[rng.integers(len(examples))], rng)
        truth = torch.from_numpy(truth_m)[None, None]
        loss = torch.zeros(())
        for level, stage in zip(reversed(range(6)), stages(model, view), strict=True):
            depth = F.interpolate(stage.depth, size=CROP, mode='bilinear', align_corners=True)
            error = (depth - truth)[truth > 0].abs()
            loss = loss + 4.0**-level * (error / (0.5 + 0.1 * truth[truth > 0])).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            print(f'{step + 1} of {steps}: loss {np.mean(losses[-100:]):.3f}', file=sys.stderr)
    return model.eval()


def candidates(results: list[Any], view: CameraView) -> dict[str, Float32]:
    """Raw sigmas (H, W) in metres by name."""
    coarser, finest = results[-2:]
    size = finest.depth.shape[-2:]
    before = F.interpolate(coarser.depth, size=size, mode='bilinear', align_corners=True)
    spread, residual, disagreement = (
        part[0, 0].abs().numpy()
        for part in (finest.spread, finest.residual, finest.depth - before)
    )
    depth_m = finest.depth[0, 0].numpy()
    parts = {'spread': spread, 'residual': residual, 'disagreement': disagreement}
    combined = {
        'spread + residual': np.hypot(spread, residual),
        'spread + disagreement': np.hypot(spread, disagreement),
        'residual + disagreement': np.hypot(residual, disagreement),
        'all three': np.hypot(np.hypot(spread, residual), disagreement),
        'share of depth': 0.05 * depth_m,
    }
    return {name: np.hypot(part, SIGMA_FLOOR_M) for name, part in (parts | combined).items()}


def judged(model: BPNet, examples: list[Example]) -> tuple[list[dict[str, Any]], float]:
    """A row per candidate, and the MAE of depth in metres."""
    errors: list[Float32] = []
    sigmas: list[dict[str, Float32]] = []
    for view, truth_m in examples:
        height, width = (length // 32 * 32 for length in view.sparse_m.shape)
        window = np.s_[-height:, :width]
        camera = view.intrinsics.cropped(0, view.sparse_m.shape[0] - height, width, height)
        arrays = (np.ascontiguousarray(array[window]) for array in (view.image, view.sparse_m))
        part = CameraView(*arrays, camera)
        with torch.inference_mode():
            results = stages(model, part)
        known = (truth_m[window] > 0) & (truth_m[window] < 80)
        errors.append((results[-1].depth[0, 0].numpy() - truth_m[window])[known])
        sigmas.append({k: v[known] for k, v in candidates(results, part).items()})
    rows = []
    error = np.concatenate(errors[1::2])
    for name in sigmas[0]:
        fitted = np.concatenate(
            [np.abs(e) / s[name] for e, s in zip(errors[::2], sigmas[::2], strict=True)]
        )
        scale = np.quantile(fitted, WITHIN_2_SIGMA) / 2
        sigma = scale * np.concatenate([s[name] for s in sigmas[1::2]])
        rows.append(
            {
                'sigma': name,
                'AUSE': uncertainty.ause(error, sigma),
                'NLL': uncertainty.nll(error, sigma),
                'coverage_1sigma': uncertainty.coverage(error, sigma, 1),
                'coverage_2sigma': uncertainty.coverage(error, sigma, 2),
                'scale': float(scale),
            }
        )
    return rows, float(np.mean(np.abs(error)))


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--steps', type=int, default=700)
    parser.add_argument('--save', type=Path, metavar='FILE', help='keep the trained network')
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    started_s = time.monotonic()
    model = train(list(simulated(TRAINING_SEEDS)), args.steps)
    print(f'trained in {time.monotonic() - started_s:.0f} s', file=sys.stderr)
    if args.save:
        torch.save({'net': model.state_dict()}, args.save)
    report = {}
    for name, examples in (('simulator', simulated(JUDGED_SEEDS)), ('kitti_dc_drive0001', real())):
        if judged_examples := list(examples):
            rows, mae_m = judged(model, judged_examples)
            report[name] = {'mae_m': mae_m, 'rows': rows}
            if not args.json:
                print(f'{name}: MAE {mae_m:.3f} m\n{table(rows)}\n')
    if args.json:
        print(json_text(report))


if __name__ == '__main__':
    main()
