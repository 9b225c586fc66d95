"""NYU Depth v2 as the depth completion papers take it: one HDF5 file per image.

The folder is `nyudepthv2` of Ma and Karaman, "Sparse-to-dense: depth prediction from sparse depth
samples and a single image", ICRA 2018: `val/official/*.h5` are the 654 test images of the
labelled set, `train/<scene>/*.h5` frames of the raw recordings. A file holds `rgb` (3, 480, 640)
uint8 and `depth` (480, 640) float in metres, dense. Calibration: `camera_params.m` of the
official toolbox (Silberman et al., ECCV 2012).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.datasets.records import stamp_from
from depth_ros.errors import DatasetError, MissingDependencyError, SampleError
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics

CAMERA_NAME = 'cam'
INTRINSICS = Intrinsics(
    640, 480, 518.85790117450188, 519.46961112127485, 325.58244941119034, 253.73616633400465
)
LAYOUT = 'NYUv2 of Sparse-to-dense (nyudepthv2 with val/official/*.h5, or a folder of its .h5)'
_TEST_SPLIT = ('', 'official', 'val/official')  # under val/official, val, nyudepthv2
_PERIOD_S = Decimal('0.1')  # the files have no times


def is_nyu(folder: Path | str) -> bool:
    """True if the folder is laid out as `LAYOUT`."""
    return bool(_files(Path(folder)))


def open_nyu(folder: Path | str, cameras: Sequence[str] | None = None) -> NyuDataset:
    """Open the test images by the folder of the data set or of its files, in the order of names.

    Raises:
        DatasetError: there is no such file, or a wanted camera is not `CAMERA_NAME`.
        MissingDependencyError: h5py is not installed.
    """
    folder = Path(folder).absolute()
    files = _files(folder)
    if not files:
        raise DatasetError(f'{folder}: not {LAYOUT}.')
    if unknown := set(cameras or ()) - {CAMERA_NAME}:
        raise DatasetError(f'{folder.name} has no camera {sorted(unknown)}; it has {CAMERA_NAME}.')
    return NyuDataset(folder.name, files)


class NyuDataset:
    """Files of NYUv2; see `depth_ros.datasets.base.Dataset`."""

    camera_names = (CAMERA_NAME,)

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        try:
            import h5py
        except ImportError as error:
            raise MissingDependencyError('h5py', 'nyu') from error
        self.name = name
        self._files = files
        self._open = h5py.File

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Sample `index`, 0 <= index < len, read from its file now.

        Raises:
            SampleError: the file is malformed.
        """
        path = self._files[index]
        name = f'{CAMERA_NAME}_{path.stem}'
        try:
            with self._open(path, 'r') as file:
                rgb, depth_m = np.asarray(file['rgb']), np.asarray(file['depth'])
        except (OSError, KeyError) as error:
            raise SampleError(
                f'{path}: not an HDF5 file with rgb and depth: {error}', name, CAMERA_NAME
            ) from error
        size = INTRINSICS.height, INTRINSICS.width
        if rgb.shape != (3, *size) or rgb.dtype != np.uint8 or depth_m.shape != size:
            raise SampleError(
                f'{path}: wanted rgb {(3, *size)} of uint8 and depth {size}, got {_about(rgb)} '
                f'and {_about(depth_m)}.',
                name,
                CAMERA_NAME,
            )
        image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
        frame = Frame(image, Camera(INTRINSICS), stamp_from(_PERIOD_S * index))
        truth_m = np.nan_to_num(depth_m.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        return Sample(name, CAMERA_NAME, frame, truth_m)


def _files(folder: Path) -> list[Path]:
    found = (sorted(folder.joinpath(inner).glob('*.h5')) for inner in _TEST_SPLIT)
    return next(filter(None, found), [])


def _about(array: Any) -> str:
    return f'{array.shape} of {array.dtype}'
