"""Find out what a source is, and open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depth_ros.datasets import kitti
from depth_ros.datasets.base import Dataset
from depth_ros.datasets.calib import calib_path
from depth_ros.datasets.folder import open_folder
from depth_ros.datasets.scenes import WORLDS
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import DatasetError

SIMULATOR_PREFIX = 'simulator:'


def open_dataset(source: Path | str, cameras: Sequence[str] | None = None) -> Dataset:
    """Open a folder with a `calib.json`, a KITTI tree, or the simulator.

    Args:
        source: the folder, or its `calib.json`; or `simulator:<scene>`, such as
            `simulator:street`.
        cameras: those that are wanted; all by default.

    Raises:
        DatasetError: there is no such path, scene or camera, or what is there is malformed.
    """
    if str(source).startswith(SIMULATOR_PREFIX):
        return _open_simulator(str(source).removeprefix(SIMULATOR_PREFIX), cameras)
    source = Path(source)
    if not source.exists():
        raise DatasetError(f'{source}: no such file or folder.')
    if calib_path(source).is_file():
        return open_folder(source, cameras)
    if kitti.is_kitti(source):
        return kitti.open_kitti(source, cameras)
    looked_for = '\n  '.join(('calib.json (docs/datasets.md)', *kitti.LAYOUTS))
    raise DatasetError(f'{source}: no dataset here. Looked for:\n  {looked_for}')


def _open_simulator(scene: str, cameras: Sequence[str] | None) -> Simulator:
    if scene not in WORLDS:
        raise DatasetError(f'The simulator has no scene {scene!r}; it has {sorted(WORLDS)}.')
    unknown = set(cameras or ()) - set(Simulator.camera_names)
    if unknown:
        known = list(Simulator.camera_names)
        raise DatasetError(f'The simulator has no camera {sorted(unknown)}; it has {known}.')
    return Simulator(scene=scene)
