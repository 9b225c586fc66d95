"""The cameras of a `calib.json`: intrinsics, lens and extrinsic (docs/datasets.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros.errors import DatasetError, GeometryError
from depth_ros.frame import Float64
from depth_ros.geometry.camera import Camera, Intrinsics, read_lens
from depth_ros.geometry.transforms import as_transform

CALIB_FILE = 'calib.json'


@dataclass(frozen=True)
class CalibratedCamera:
    """A camera and where it sits.

    Attributes:
        camera: intrinsics and lens.
        T_camera_lidar: (4, 4), maps LiDAR points into the camera frame; None if unknown.
    """

    camera: Camera
    T_camera_lidar: Float64 | None


def load_calib(path: Path | str) -> dict[str, CalibratedCamera]:
    """All cameras of a `calib.json` by name.

    Args:
        path: the file, or the folder that holds it.

    Raises:
        DatasetError: missing or malformed file, or a camera without intrinsics.
    """
    entries = read_calib_json(path)['cameras']
    return {name: parse_camera(path, name, entry) for name, entry in entries.items()}


def calib_path(path: Path | str) -> Path:
    """The `calib.json` of a folder; a file is taken for one itself."""
    path = Path(path)
    return path / CALIB_FILE if path.is_dir() else path


def read_calib_json(path: Path | str) -> dict[str, Any]:
    """The content of a `calib.json`; its numbers keep all decimal digits (`Decimal`).

    Raises:
        DatasetError: missing, not JSON, or without a `cameras` object.
    """
    path = calib_path(path)
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'), parse_float=Decimal)
    except FileNotFoundError:
        raise DatasetError(f'{path}: no such file.') from None
    except UnicodeDecodeError as error:
        raise DatasetError(f'{path}: not readable as JSON: save it as UTF-8: {error}') from error
    except (OSError, ValueError) as error:
        raise DatasetError(
            f'{path}: not readable as JSON, which has no comments and no comma before a closing '
            f'bracket: {error}'
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get('cameras'), dict):
        raise DatasetError(f'{path}: wanted an object with a `cameras` object in it.')
    return content


def is_calibrated(entry: dict[str, Any]) -> bool:
    """Whether an entry of the `cameras` has a K; zeros are how drivers say that they have none."""
    return entry.get('K') not in (None, [[0, 0, 0]] * 3)


def parse_camera(path: Path | str, name: str, entry: dict[str, Any]) -> CalibratedCamera:
    """One entry of the `cameras` of the `calib.json` at `path`.

    Raises:
        DatasetError: malformed, an impossible camera or transform, or K is null or missing:
            intrinsics are not guessed here.
    """
    with blame(f'{calib_path(path)}: cameras: {name}'):
        if not is_calibrated(entry):
            raise DatasetError(
                'no K, or one of zeros; calibrate the camera: intrinsics are never guessed, '
                'unless `depth_ros run --estimate-intrinsics` is told to.'
            )
        model, D = read_lens(entry.get('model') or 'none', _flat(entry.get('D')))
        if entry.get('rectified') and model != 'none':
            raise DatasetError(
                f'`rectified` is true, but {model} has D {list(D)}; empty D, or set `rectified` '
                'to false.'
            )
        intrinsics = Intrinsics.from_matrix(entry['K'], entry['width'], entry['height'])
        extrinsic = entry.get('T_cam_lidar')
        return CalibratedCamera(
            Camera(intrinsics, model, D),
            None if extrinsic is None else as_transform(extrinsic, 'T_cam_lidar'),
        )


def _flat(numbers: Any) -> list[float]:
    """A list of numbers, also one of OpenCV's (1, N) matrices."""
    return [float(x) for x in np.ravel(np.array(numbers or [], dtype=np.float64))]


@contextmanager
def blame(where: str) -> Iterator[None]:
    """Turn what goes wrong while a description is parsed into a DatasetError about `where`."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f'{where}: {error} is missing.') from error
    except (DatasetError, GeometryError) as error:
        raise DatasetError(f'{where}: {error}') from error
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        raise DatasetError(f'{where}: malformed: {error}') from error
