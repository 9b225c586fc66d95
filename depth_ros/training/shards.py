"""Procedural views, cast once and kept on disk for many epochs.

A shard is one scene seen from several places by rigs drawn anew, as one `.npy` that is mapped
into memory. The same settings give the same shards, whatever the number of workers.
"""

from __future__ import annotations

import dataclasses
import io
import json
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.errors import TrainingError
from depth_ros.files import write_atomic
from depth_ros.frame import Float32, Float64
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import NO_RING
from depth_ros.simulation.rig import looking
from depth_ros.simulation.scanners import random_scanner
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.trajectory import still
from depth_ros.simulation.world import Wish, World
from depth_ros.training.examples import Example
from depth_ros.training.lidar_sim import sparse_depth
from depth_ros.training.variety import varied

STEP_M = 1 / 500
"""Depth is kept in uint16 of this, below 131 m."""
_TOO_FAR = 65535  # steps of returns that are farther
VIEWS = 6
"""Views of a world, since building it costs as much as one of them."""
WORLD = 3
"""Version of the worlds: shards of another one are not mixed with these."""
MAX_DEPTH_M = 130.0
"""What is farther has no truth."""
WILD = 0.5
"""Share of the materials that say nothing of what they are; see `simulation.palette`."""
INDOORS = {'indoor': 0.75, 'warehouse': 0.25}
"""Worlds with a roof, and their shares."""
OUTDOORS = {'street': 0.7, 'yard': 0.3}
_DURATION_S = 6.0
_TRIES = 6


@dataclass(frozen=True)
class ShardConfig:
    """What is cast.

    Attributes:
        shards: number of scenes.
        height: of the views in pixels.
        width: of the views in pixels.
        indoor_share: share of the scenes that are rooms.
        seed: of everything.
    """

    shards: int = 1000
    height: int = 192
    width: int = 448
    indoor_share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        sides = self.height, self.width
        if self.shards < 1 or any(side < 16 or side % 16 for side in sides):
            raise TrainingError(
                f'There must be a shard, and height and width be multiples of 16; got {self}.'
            )
        if not 0.0 <= self.indoor_share <= 1.0:
            raise TrainingError(f'indoor_share must be 0 to 1, got {self.indoor_share}.')


def make_shards(
    folder: Path,
    config: ShardConfig,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Cast what is not in a folder yet; it may be interrupted and called again.

    Args:
        folder: for the shards.
        config: what is cast.
        workers: processes.
        progress: `progress(done, of)` is called after each shard.

    Raises:
        TrainingError: the folder holds other shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, config)
    missing = [i for i in range(config.shards) if not _path(folder, i).exists()]
    make = partial(_make_shard, folder, config)
    with multiprocessing.get_context('spawn').Pool(workers) as pool:
        for done, _ in enumerate(pool.imap_unordered(make, missing), 1):
            if progress is not None:
                progress(config.shards - len(missing) + done, config.shards)


class Shards:
    """Views of a folder that `make_shards` filled; see `training.examples.Examples`.

    Args:
        folder: with the shards.

    Raises:
        TrainingError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob('shard_*.npy'))
        if not paths:
            raise TrainingError(f'{folder} has no shards; make_shards casts them.')
        self._paths = paths

    def __len__(self) -> int:
        return VIEWS * len(self._paths)

    def example(self, index: int, seed: int) -> Example:
        """View `index` as the sensor would give it that `seed` draws; see `variety.varied`."""
        return varied(*self.view(index), np.random.default_rng((seed, index)))

    def view(self, index: int) -> tuple[Example, npt.NDArray[np.uint8]]:
        """View `index`, and the ring (H, W) of each return, `NO_RING` = none."""
        shard, number = divmod(index, VIEWS)
        row = np.load(self._paths[shard], mmap_mode='r', allow_pickle=False)[number]
        f, cx, cy = (float(value) for value in row['camera'])
        K = np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]])
        truth_m, sparse_m = (row[name] * np.float32(STEP_M) for name in ('depth', 'sparse'))
        seen = row['sparse'] < _TOO_FAR
        sparse_m, ring = (
            np.where(seen, sparse_m, np.float32(0)),
            np.where(seen, row['ring'], NO_RING),
        )
        return Example(np.array(row['image']), sparse_m, truth_m, K), ring


def _claim(folder: Path, config: ShardConfig) -> None:
    """Write what the shards are; refuse a folder of others."""
    path = folder / 'shards.json'
    wanted = dataclasses.asdict(config) | {'views': VIEWS, 'world': WORLD}
    if path.exists():
        try:
            found = dict(json.loads(path.read_text(encoding='utf-8')))
        except (ValueError, TypeError) as error:
            raise TrainingError(
                f'{path} does not say what is beside it ({error}); take another folder.'
            ) from error
        differing = [key for key in wanted if key != 'shards' and found.get(key) != wanted[key]]
        if differing:
            raise TrainingError(
                f'{folder} holds shards of another {", ".join(differing)}; take another folder.'
            )
    write_atomic(path, json.dumps(wanted, indent=1).encode())


def _path(folder: Path, index: int) -> Path:
    return folder / f'shard_{index:06d}.npy'


def _record(height: int, width: int) -> npt.DTypeLike:
    size = (height, width)
    return np.dtype(
        [
            ('image', np.uint8, (*size, 3)),
            ('depth', np.uint16, size),
            ('sparse', np.uint16, size),
            ('ring', np.uint8, size),
            ('camera', np.float32, 3),
        ]
    )


def _make_shard(folder: Path, config: ShardConfig, index: int) -> None:
    rng = np.random.default_rng((config.seed, index))
    indoor = rng.random() < config.indoor_share
    worlds = INDOORS if indoor else OUTDOORS
    name = str(rng.choice(list(worlds), p=list(worlds.values())))
    world = WORLDS[name](Wish(rng, _DURATION_S, rng.uniform(0, 1.5), WILD))
    rows = np.zeros(VIEWS, _record(config.height, config.width))
    for row in rows:
        intrinsics = random_intrinsics(rng, config.height, config.width, indoor)
        pose, time_s = _open_view(world, indoor, intrinsics, rng)
        sensor = CameraSensor(
            Camera(intrinsics),
            exposure_ev=0.5 * rng.standard_normal(),
            metered=True,
            blur_px=rng.uniform(0.3, 0.8),
            noise=rng.uniform(0, 6),
        )
        photo = sensor.photograph(world, still(pose), time_s, rng)
        depth_m = np.where(photo.depth_m < MAX_DEPTH_M, photo.depth_m, np.float32(0))
        scanner = random_scanner(rng, indoor)
        sweep = scanner.sweep(world, pose, time_s, rng, intrinsics)
        sparse_m, ring = sparse_depth(sweep, scanner, intrinsics)
        row['image'], row['depth'], row['sparse'] = photo.image, _steps(depth_m), _steps(sparse_m)
        row['ring'] = ring
        row['camera'] = intrinsics.fx, intrinsics.cx, intrinsics.cy
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    write_atomic(_path(folder, index), content.getvalue())


def random_intrinsics(
    rng: np.random.Generator, height: int, width: int, indoor: bool
) -> Intrinsics:
    """A camera whose image is a window cut from a larger one.

    Focal lengths of 350 to 2400 pixels outdoors (KITTI's is 720) and 250 to 1400 indoors; the
    principal point lies anywhere around, so that windows show the road as well as the horizon.
    """
    low, high = (250, 1400) if indoor else (350, 2400)
    f = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    cx, cy = rng.uniform(-0.4, 1.4) * width, rng.uniform(-0.5, 0.7) * height
    return Intrinsics(width, height, f, f, float(cx), float(cy))


def _open_view(
    world: World, indoor: bool, intrinsics: Intrinsics, rng: np.random.Generator
) -> tuple[Float64, float]:
    """A pose T_world_camera near the rig's way, and a time, from which something is to be seen.

    It is not one with its face in a wall, and sees not only sky.
    """
    v, u = np.mgrid[8 : intrinsics.height : 16, 8 : intrinsics.width : 16].reshape(2, -1)
    rays = intrinsics.unproject(np.stack((u, v), axis=-1), np.ones(u.size))
    for _ in range(_TRIES):
        time_s = rng.uniform(0, _DURATION_S)
        aside, high = (0.4, (0.4, 2.0)) if indoor else (1.0, (0.8, 2.5))
        turn_deg = rng.normal() * (60 if indoor or rng.random() < 0.4 else 9)
        pitch_deg = rng.normal() * (14 if indoor else 4)
        at = (0.0, aside * rng.normal(), rng.uniform(*high))
        pose = world.rig.poses(time_s) @ looking(at, turn_deg, pitch_deg, 2 * rng.normal())
        depth_m = world.at(time_s).cast(pose[:3, 3], rays @ pose[:3, :3].T).t
        near, middle, far = np.quantile(depth_m, (0.02, 0.5, 0.9), method='lower')
        if near > 0.4 and np.isfinite(middle) and far > 1.6 * near:
            break
    return pose, time_s


def _steps(depth_m: Float32) -> Any:
    return np.rint(np.minimum(depth_m / np.float32(STEP_M), _TOO_FAR)).astype(np.uint16)
