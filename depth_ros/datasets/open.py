"""Find out what a source is, and open it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from depth_ros.datasets import kitti, nyu
from depth_ros.datasets.base import Dataset
from depth_ros.datasets.calib import calib_path
from depth_ros.datasets.estimated import CameraEstimator
from depth_ros.datasets.folder import open_folder
from depth_ros.datasets.images import IMAGE_SUFFIXES
from depth_ros.datasets.photos import open_photos, photos
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import DatasetError
from depth_ros.simulation.scenes import WORLDS

SIMULATOR_PREFIX = 'simulator:'
BAG_SUFFIXES = ('.mcap', '.db3', '.bag')


def open_dataset(
    source: Path | str,
    cameras: Sequence[str] | None = None,
    estimator: CameraEstimator | None = None,
) -> Dataset:
    """Open a folder with a `calib.json`, a KITTI tree, NYUv2, images alone, or the simulator.

    Args:
        source: the folder, or its `calib.json`; or `simulator:<scene>`, with settings of
            `SimulatorConfig` if wanted: `simulator:street?sweep.pattern=solid_state&frames=20`.
        cameras: those that are wanted; all by default.
        estimator: guesses the cameras that have no calibration; by default they are refused.

    Raises:
        DatasetError: there is no such path, scene or camera, or what is there is malformed.
        ConfigError: the simulator has no such setting, or not such a value.
    """
    if str(source).startswith(SIMULATOR_PREFIX):
        return _open_simulator(str(source).removeprefix(SIMULATOR_PREFIX), cameras)
    source = Path(source)
    if not source.exists():
        raise DatasetError(f'{source}: no such file or folder.')
    if _is_bag(source):
        raise DatasetError(
            f'{source}: a bag is not read from here. Play it into a node: `ros2 launch depth_ros '
            'completion.launch.py` beside `ros2 bag play` (a ROS 1 bag after `rosbags-convert`); '
            'or write its images and clouds into a folder with a calib.json (docs/datasets.md).'
        )
    if source.suffix.lower() in IMAGE_SUFFIXES and source.is_file():
        return open_photos(source, estimator, cameras)
    if calib_path(source).is_file():
        return open_folder(source, cameras, estimator)
    if kitti.is_kitti(source):
        return kitti.open_kitti(source, cameras)
    if nyu.is_nyu(source):
        return nyu.open_nyu(source, cameras)
    if photos(source):
        return open_photos(source, estimator, cameras)
    looked_for = '\n  '.join(
        ('calib.json (docs/datasets.md)', *kitti.LAYOUTS, nyu.LAYOUT, 'images')
    )
    raise DatasetError(f'{source}: no dataset here. Looked for:\n  {looked_for}')


def _is_bag(source: Path) -> bool:
    """Whether this is a recording of ROS: its file, or the folder around it."""
    if source.is_file():
        return source.suffix.lower() in BAG_SUFFIXES or source.name == 'metadata.yaml'
    inside = (path.suffix.lower() for path in source.iterdir())
    return (source / 'metadata.yaml').is_file() or any(suffix in BAG_SUFFIXES for suffix in inside)


def _open_simulator(name: str, cameras: Sequence[str] | None) -> Simulator:
    scene, _, query = name.partition('?')
    if scene not in WORLDS:
        raise DatasetError(f'The simulator has no scene {scene!r}; it has {sorted(WORLDS)}.')
    settings = {key: _value(text) for key, text in parse_qsl(query)}
    return Simulator(scene=scene, only=cameras, **settings)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
