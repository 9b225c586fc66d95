"""Simulated LiDAR beside the real one: statistics of sparse depth in KITTI's camera.

Run: python3 benchmarks/lidar_statistics.py DATA [--png docs/lidar_statistics.png] [--views 24]
where DATA holds the KITTI samples named in `REAL`. What is simulated has the camera, the extrinsic
and the HDL-64E of the real rig: `streets` are those of simulation/, `depth maps` are stage 1 of
the distillation: exact depth of the simulator's street, meshed.

- returns: pixels with a return, of 1242x375.
- row gap: rows from a return to the next one below it, in a strip 3 pixels wide; the same ring
  (1 row) does not count.
- hidden: share of the returns that `geometry.projection.remove_occluded` drops (margin 0.3), as
  in the pipeline: those that shine through something nearer.
- behind: share of the returns, among those at pixels of known truth, that are more than 10 %
  farther than it. KITTI's truth leaves out what its own filter found inconsistent.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from depth_ros.datasets.open import open_dataset
from depth_ros.datasets.simulator import Simulator
from depth_ros.evaluation.figures import INK_RGB, PAPER_RGB, write_png
from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.projection import project_lidar, remove_occluded
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import Lidar, LidarConfig
from depth_ros.simulation.rig import looking
from depth_ros.simulation.scanners import OUTDOOR, Scanner
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.trajectory import still
from depth_ros.simulation.world import Wish, World
from depth_ros.training.lidar_sim import sparse_depth
from depth_ros.training.surface import grid_mesh

REAL = {
    'KITTI drive 1': ('kitti_dc_drive0001',),
    'KITTI others': ('kitti_obj_000001', 'kitti_obj_000004', 'kitti_raw_0005_f0'),
    'KITTI traffic': ('kitti_seq_traffic_a',),
}
RIG = 'kitti_raw_0005_f0'
CAMERAS = ('image_2', 'image_02', 'image_03')
COLORS = ((255, 176, 0), (255, 105, 60), (235, 70, 140), (70, 190, 255), (90, 120, 255))
MARGIN = 0.3
BEHIND = 0.1
DEPTH_EDGES_M = np.arange(0.0, 82.5, 2.5)
GAP_EDGES_PX = np.arange(1.5, 15.5)
HEIGHT, WIDTH = 400, 620  # of a panel in pixels
LEFT, BELOW = 24, 60  # margins of its axis

Views = Iterator[tuple[Float32, Float32 | None]]
Rig = tuple[Scanner, Intrinsics]


@dataclass(frozen=True)
class Statistics:
    """Of the sparse depth of some images; one value per image, or one row of shares."""

    returns: Float64
    row_gap_px: Float64
    hidden: Float64
    behind: Float64
    depths: Float64
    gaps: Float64


def statistics(views: Views) -> Statistics:
    """Statistics of sparse depth (H, W), with truth (H, W), 0 = unknown, where there is one."""
    rows = [_of_one(sparse_m, truth_m) for sparse_m, truth_m in views]
    return Statistics(*(np.array(column) for column in zip(*rows, strict=True)))


def row_gaps_px(sparse_m: Float32) -> Float64:
    """Rows from each return to the next one below it, in strips 3 pixels wide."""
    wide = cv2.dilate((sparse_m > 0).astype(np.uint8), np.ones((1, 3), np.uint8))
    columns, rows = np.nonzero(wide.T)
    gaps = np.diff(rows)[np.diff(columns) == 0]
    return gaps[gaps > 1].astype(np.float64)


def _of_one(
    sparse_m: Float32, truth_m: Float32 | None
) -> tuple[float, float, float, float, Float64, Float64]:
    found = sparse_m > 0
    returns = int(found.sum())
    gaps = row_gaps_px(sparse_m)
    hidden = 1 - (remove_occluded(sparse_m, MARGIN) > 0).sum() / returns
    behind = np.nan
    if truth_m is not None:
        both = found & (truth_m > 0) & np.isfinite(truth_m)
        behind = float((sparse_m[both] > (1 + BEHIND) * truth_m[both]).mean())
    depths = np.histogram(sparse_m[found], DEPTH_EDGES_M)[0] / returns
    counted = np.histogram(gaps, GAP_EDGES_PX)[0] / len(gaps)
    return returns, float(np.mean(gaps)), float(hidden), behind, depths, counted


def real(data: Path, names: tuple[str, ...]) -> Views:
    """Sparse depth and truth of the colour cameras of real samples."""
    for name in names:
        dataset = open_dataset(data / name)
        for index in range(len(dataset)):
            sample = dataset.sample(index)
            if sample.camera_name not in CAMERAS:
                continue
            frame = sample.frame
            if frame.sparse_m is not None:
                yield frame.sparse_m, sample.depth_gt_m
            elif frame.points is not None and frame.T_camera_lidar is not None:
                points, pinhole = frame.points[:, :3], frame.camera.rectified
                yield project_lidar(points, frame.T_camera_lidar, pinhole), sample.depth_gt_m


def rigs(data: Path) -> list[Rig]:
    """KITTI's HDL-64E with each of its two colour cameras."""
    config = LidarConfig(
        rings='hdl64e',
        azimuth_step_deg=0.18,
        range_sigma_m=0.02,
        drop_out=0.003,
        grazing=0.012,
        max_range_m=120.0,
        min_range_m=1.0,
    )
    off_deg = OUTDOOR.ring_sigma_deg * np.random.default_rng(0).standard_normal(64)
    lidar = Lidar(config, tuple(off_deg.tolist()))
    dataset = open_dataset(data / RIG, cameras=CAMERAS[1:])
    found = []
    for index in range(2):
        frame = dataset.sample(index).frame
        assert frame.T_camera_lidar is not None
        scanner = Scanner(lidar, frame.T_camera_lidar, velocity_mps=(8.0, 0.0, 0.0))
        found.append((scanner, frame.camera.rectified))
    return found


def streets(real_rigs: list[Rig], count: int, seed: int) -> Views:
    """Views of drawn streets."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        scanner, pinhole = real_rigs[index % 2]
        world = WORLDS['street'](Wish(rng))
        time_s = rng.uniform(0, 5)
        pose = world.rig.poses(time_s) @ looking((0.55, 0.0, 1.65))
        found = scanner.sweep(world, pose, time_s, rng, pinhole)
        photo = CameraSensor(Camera(pinhole)).photograph(world, still(pose), time_s, rng)
        yield sparse_depth(found, scanner, pinhole)[0], photo.depth_m


def depth_maps(real_rigs: list[Rig], count: int, seed: int) -> Views:
    """Depth of the simulator's street, meshed and scanned again."""
    scanner, pinhole = real_rigs[0]
    fov_deg = float(np.degrees(2 * np.arctan(pinhole.width / 2 / pinhole.fx)))
    size = {'width': pinhole.width, 'height': pinhole.height, 'fov_deg': fov_deg}
    simulator = Simulator(frames=count, rate_hz=0.5, seed=seed, **size)
    pinhole = simulator.camera.intrinsics
    for index in range(count):
        truth_m = simulator.sample(index).depth_gt_m
        assert truth_m is not None
        rng = np.random.default_rng((seed, index))
        world = World([grid_mesh(truth_m, pinhole)])
        found = scanner.sweep(world, np.eye(4), 0.0, rng, pinhole)
        yield sparse_depth(found, scanner, pinhole)[0], truth_m


def figure(groups: dict[str, Statistics]) -> UInt8:
    """All statistics on one sheet."""
    returns = {name: found.returns / 1e3 for name, found in groups.items()}
    hidden = {name: 100 * found.hidden for name, found in groups.items()}
    depths = {name: found.depths for name, found in groups.items()}
    gaps = {name: found.gaps for name, found in groups.items()}
    panels = (
        _dots('returns per image', 'thousand', returns),
        _steps('depth of the returns', 'm', depths, DEPTH_EDGES_M),
        _dots('returns that shine through something nearer', '% of an image', hidden),
        _steps('gap to the next ring below', 'rows', gaps, GAP_EDGES_PX),
    )
    return np.vstack([np.hstack(panels[:2]), np.hstack(panels[2:])])


def _dots(title: str, unit: str, groups: dict[str, Float64]) -> UInt8:
    """A ring per image and a bar at their median, a row for each group."""
    panel, column = _axis(title, unit, 0.0, 1.05 * max(map(np.max, groups.values())))
    for row, (color, (name, values)) in enumerate(zip(COLORS, groups.items(), strict=True)):
        y = 85 + 54 * row
        _write(panel, name, LEFT, y - 14, color)
        for value in values:
            cv2.circle(panel, (column(value), y), 4, color, 1, cv2.LINE_AA)
        middle = column(float(np.median(values)))
        cv2.line(panel, (middle, y - 9), (middle, y + 9), INK_RGB, 2)
    return panel


def _steps(title: str, unit: str, groups: dict[str, Float64], edges: Float64) -> UInt8:
    """Mean share of each bin, as a stepped line for each group."""
    panel, column = _axis(title, unit, float(edges[0]), float(edges[-1]))
    means = {name: shares.mean(axis=0) for name, shares in groups.items()}
    highest = max(mean.max() for mean in means.values())
    top, bottom = 60, HEIGHT - BELOW
    x = np.array([column(edge) for edge in edges]).repeat(2)[1:-1]
    for row, (color, (name, mean)) in enumerate(zip(COLORS, means.items(), strict=True)):
        y = bottom - (mean / highest * (bottom - top)).repeat(2)
        line = np.stack((x, y), axis=1).round().astype(np.int32)
        cv2.polylines(panel, [line], isClosed=False, color=color, thickness=2)
        _write(panel, name, WIDTH - 200, top + 14 + 22 * row, color)
    _write(panel, f'{100 * highest:.0f} % of the returns', LEFT, top - 8, INK_RGB)
    return panel


def _axis(title: str, unit: str, low: float, high: float) -> tuple[UInt8, Callable[[float], int]]:
    """An empty panel with a title and an axis, and the column of a value on it."""
    panel = np.full((HEIGHT, WIDTH, 3), PAPER_RGB, np.uint8)
    right, bottom = WIDTH - LEFT, HEIGHT - BELOW

    def column(value: float) -> int:
        return round(LEFT + (value - low) / (high - low) * (right - LEFT))

    _write(panel, title, LEFT, 24, INK_RGB)
    cv2.line(panel, (LEFT, bottom), (right, bottom), INK_RGB)
    decade = 10 ** np.floor(np.log10(high - low))
    step = next(decade * part for part in (0.2, 0.5, 1, 2) if (high - low) / (decade * part) <= 9)
    for tick in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step:
        cv2.line(panel, (column(tick), bottom), (column(tick), bottom + 5), INK_RGB)
        _write(panel, f'{tick:g}', column(tick) - 4 * len(f'{tick:g}'), bottom + 22, INK_RGB)
    _write(panel, unit, right - 9 * len(unit), bottom + 42, INK_RGB)
    return panel, column


def _write(panel: UInt8, text: str, left: int, baseline: int, color: tuple[int, ...]) -> None:
    cv2.putText(panel, text, (left, baseline), cv2.FONT_HERSHEY_DUPLEX, 0.5, color, 1, cv2.LINE_AA)


def main() -> None:
    """Print the table; draw the figure if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path, help='folder of the KITTI samples')
    parser.add_argument('--png', type=Path, help='figure to write')
    parser.add_argument('--views', type=int, default=24, help='simulated images (default 24)')
    parser.add_argument('--seed', type=int, default=0, help='of what is simulated (default 0)')
    options = parser.parse_args()
    real_rigs = rigs(options.data)
    simulated = {'streets': streets, 'depth maps': depth_maps}
    groups = {name: statistics(real(options.data, names)) for name, names in REAL.items()}
    groups |= {
        f'simulated {name}': statistics(views(real_rigs, options.views, options.seed))
        for name, views in simulated.items()
    }
    print(
        f'{"medians":<22}{"images":>7}{"returns":>9}{"row gap px":>12}{"hidden %":>10}'
        f'{"behind %":>10}{"beyond 40 m %":>15}'
    )
    for name, found in groups.items():
        far = found.depths[:, DEPTH_EDGES_M[:-1] >= 40].sum(axis=1)
        behind = np.median(found.behind)
        print(
            f'{name:<22}{len(found.returns):7d}{np.median(found.returns):9.0f}'
            f'{np.median(found.row_gap_px):12.2f}{100 * np.median(found.hidden):10.2f}'
            f'{100 * behind:10.2f}{100 * np.median(far):15.2f}'
        )
    if options.png:
        write_png(options.png, figure(groups))


if __name__ == '__main__':
    main()
