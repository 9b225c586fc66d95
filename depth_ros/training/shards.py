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
from depth_ros.geometry.camera import Intrinsics
from depth_ros.training.examples import Example
from depth_ros.training.lidar_sim import scan, sparse_depth
from depth_ros.training.render import photograph
from depth_ros.training.scanners import NO_RING, random_scanner
from depth_ros.training.scenes import Scene, scene
from depth_ros.training.variety import varied

STEP_M = 1 / 500
"""Depth is kept in uint16 of this, below 131 m."""
_TOO_FAR = 65535  # steps of returns that are farther
VIEWS = 6
"""Views of a scene, since building its mesh costs as much as one of them."""
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
    wanted = dataclasses.asdict(config) | {'views': VIEWS}
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
    world = scene(rng, config.indoor_share)
    rows = np.zeros(VIEWS, _record(config.height, config.width))
    for row in rows:
        intrinsics = random_intrinsics(rng, config.height, config.width, world.indoor)
        pose = _open_view(world, intrinsics, rng)
        image, depth_m = photograph(
            world.caster, world.material, world.palette, world.light, intrinsics, pose, rng
        )
        scanner = random_scanner(rng, world.indoor)
        sweep = scan(world.caster, pose, scanner, rng, world.reflectivity, intrinsics)
        sparse_m, ring = sparse_depth(sweep, scanner, intrinsics)
        row['image'], row['depth'], row['sparse'] = image, _steps(depth_m), _steps(sparse_m)
        row['ring'] = ring
        row['camera'] = intrinsics.fx, intrinsics.cx, intrinsics.cy
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    write_atomic(_path(folder, index), content.getvalue())


def random_intrinsics(
    rng: np.random.Generator, height: int, width: int, indoor: bool
) -> Intrinsics:
    """A camera whose image is a window cut from a larger one.

    Focal lengths of 350 to 1300 pixels outdoors (KITTI's is 720) and 250 to 900 indoors; the
    principal point lies anywhere around, so that windows show the road as well as the horizon.
    """
    low, high = (250, 900) if indoor else (350, 1300)
    f = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    cx, cy = rng.uniform(-0.4, 1.4) * width, rng.uniform(-0.5, 0.7) * height
    return Intrinsics(width, height, f, f, float(cx), float(cy))


def _open_view(world: Scene, intrinsics: Intrinsics, rng: np.random.Generator) -> Float64:
    """A pose from which something is to be seen: not a face in a wall, not only sky."""
    v, u = np.mgrid[8 : intrinsics.height : 16, 8 : intrinsics.width : 16].reshape(2, -1)
    rays = intrinsics.unproject(np.stack((u, v), axis=-1), np.ones(u.size))
    for _ in range(_TRIES):
        pose = world.viewpoint(rng)
        depth_m = world.caster.cast(pose[:3, 3], rays @ pose[:3, :3].T).t
        near, middle, far = np.quantile(depth_m, (0.02, 0.5, 0.9), method='lower')
        if near > 0.4 and np.isfinite(middle) and far > 1.6 * near:
            break
    return pose


def _steps(depth_m: Float32) -> Any:
    return np.rint(np.minimum(depth_m / np.float32(STEP_M), _TOO_FAR)).astype(np.uint16)
