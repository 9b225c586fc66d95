"""Find out what a path holds, and open it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from depth_ros.datasets import kitti
from depth_ros.datasets.base import Dataset
from depth_ros.datasets.calib import calib_path
from depth_ros.datasets.folder import open_folder
from depth_ros.errors import DatasetError


def open_dataset(source: Path | str, cameras: Sequence[str] | None = None) -> Dataset:
    """Open a recorded dataset: a folder with a `calib.json`, or a KITTI tree.

    Args:
        source: the folder, or its `calib.json`.
        cameras: those that are wanted; all by default.

    Raises:
        DatasetError: there is no such path, it holds neither, or what it holds is malformed.
    """
    source = Path(source)
    if not source.exists():
        raise DatasetError(f'{source}: no such file or folder.')
    if calib_path(source).is_file():
        return open_folder(source, cameras)
    if kitti.is_kitti(source):
        return kitti.open_kitti(source, cameras)
    looked_for = '\n  '.join(('calib.json (docs/datasets.md)', *kitti.LAYOUTS))
    raise DatasetError(f'{source}: no dataset here. Looked for:\n  {looked_for}')
