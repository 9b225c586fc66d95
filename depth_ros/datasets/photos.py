"""Images and nothing else: those of one camera, in one folder, or a single one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from depth_ros.datasets.calib import CalibratedCamera
from depth_ros.datasets.estimated import CameraEstimator
from depth_ros.datasets.folder import FRAME_PERIOD_S
from depth_ros.datasets.images import IMAGE_SUFFIXES
from depth_ros.datasets.records import Record, RecordedDataset, stamp_from
from depth_ros.errors import DatasetError

CAMERA = 'camera'


def photos(source: Path) -> list[Path]:
    """The images in a folder, in the order that their names count in; or the one that it is."""
    files = [source] if source.is_file() else source.iterdir()
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    return sorted(images, key=_counted)


def open_photos(
    source: Path, estimator: CameraEstimator | None, cameras: Sequence[str] | None = None
) -> RecordedDataset:
    """Open `photos` as what one camera took, 0.1 s apart.

    Raises:
        DatasetError: there is no estimator, or it cannot make a camera of them.
    """
    images = photos(source)
    if estimator is None:
        raise DatasetError(
            f'{source}: {len(images)} images, but nothing tells what camera took them. Describe '
            'it in a calib.json (docs/datasets.md), or have its focal length estimated: '
            '`depth_ros run --estimate-intrinsics`.'
        )
    records = [
        Record(image.stem, CAMERA, image, _unknown, stamp_from(FRAME_PERIOD_S * index))
        for index, image in enumerate(images)
    ]
    records = estimator.records(records, (CAMERA,))
    return RecordedDataset(source.resolve().name, records, (CAMERA,), cameras)


def _unknown(width: int, height: int) -> CalibratedCamera:
    raise DatasetError(f'No camera of {width}x{height} is known.')


def _counted(file: Path) -> list[tuple[int, str]]:
    """A key that sorts img_9 before img_10."""
    parts = re.split(r'([0-9]+)', file.name)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]
