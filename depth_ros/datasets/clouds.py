"""Cloud files: points from .bin, .pcd, .npz, .npy and .ply; coloured clouds into .pcd and .ply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.datasets.layout import check_layout
from depth_ros.datasets.pcd import Table, decode_pcd, encode_pcd
from depth_ros.datasets.ply import decode_ply, encode_ply
from depth_ros.errors import DatasetError
from depth_ros.files import write_atomic
from depth_ros.frame import Float32
from depth_ros.geometry.cloud import CLOUD_FIELDS

DEFAULT_FIELDS = ('x', 'y', 'z', 'intensity')
RING_FIELDS = ('ring', 'channel', 'laser_id')
"""What drivers call the column that numbers the lasers."""
MAX_RING = 1023
CLOUD_SUFFIXES = ('.bin', '.pcd', '.npz', '.npy', '.ply')


def read_cloud(
    path: Path | str, fields: Sequence[str] = DEFAULT_FIELDS, key: str | None = None
) -> Float32:
    """Points (N, 3) in metres of a cloud file, in its own frame; NaN and (0, 0, 0) are kept.

    Args:
        path: .bin (little-endian float32 records), .pcd, .ply, .npy or .npz.
        fields: columns of a file that does not name them itself (.bin, .npy, .npz).
        key: array of an .npz; by default its only one, or `data`.

    Raises:
        DatasetError: missing, unknown, truncated or malformed file, or no x, y, z in it.
    """
    return read_sweep(path, fields, key)[0]


def read_sweep(
    path: Path | str, fields: Sequence[str] = DEFAULT_FIELDS, key: str | None = None
) -> tuple[Float32, npt.NDArray[np.intp] | None]:
    """As `read_cloud`, and which laser (N,) measured each point, None where the file lacks it.

    A column `ring` of other numbers than 0 to `MAX_RING` counts no lasers and is left aside.
    """
    path = Path(path)
    if path.suffix.lower() not in CLOUD_SUFFIXES:
        raise DatasetError(
            f'{path}: cloud format {path.suffix!r} is none of {", ".join(CLOUD_SUFFIXES)}; '
            'convert it to one of them.'
        )
    try:
        table = _read_table(path, fields, key)
        return _stack_xyz(table), _ring(table)
    except DatasetError as error:
        raise DatasetError(f'{path}: {error}') from error
    except FileNotFoundError:
        raise DatasetError(f'{path}: no such cloud file.') from None
    except Exception as error:  # NumPy's and zipfile's parsers raise whatever a bad byte leads to
        raise DatasetError(f'{path}: malformed {path.suffix} cloud: {error}') from error


def write_pcd(path: Path | str, cloud: Table | Float32, comment: str = '') -> None:
    """Write a coloured cloud as binary PCD, organised if it is (H, W); never half a file.

    Args:
        path: file to make or replace.
        cloud: (H, W, 5) float32 as `depth_ros.geometry.cloud` fills it, or structured (N,) or
            (H, W) with columns x, y, z in metres and any others.
        comment: a line for the header.

    Raises:
        DatasetError: another shape, or x, y, z are missing.
    """
    write_atomic(path, encode_pcd(_as_table(cloud), comment))


def write_ply(path: Path | str, cloud: Table | Float32, comment: str = '') -> None:
    """Write the finite points of a coloured cloud (as for `write_pcd`) as binary PLY.

    Raises:
        DatasetError: as `write_pcd`.
    """
    write_atomic(path, encode_ply(_as_table(cloud), comment))


def _read_table(path: Path, fields: Sequence[str], key: str | None) -> Table:
    suffix = path.suffix.lower()
    if suffix == '.pcd':
        return decode_pcd(path.read_bytes())
    if suffix == '.ply':
        return decode_ply(path.read_bytes())
    if suffix == '.bin':
        data = path.read_bytes()
        check_layout(data, fields)
        return np.frombuffer(data, [(name, '<f4') for name in _unlike(fields)])
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return _name_columns(loaded, fields)
    with loaded as archive:
        return _from_archive(archive, fields, key)


def _from_archive(archive: Any, fields: Sequence[str], key: str | None) -> Table:
    """The array of an .npz that is named, or that there is no doubt about."""
    names = archive.files
    if key is None and {'x', 'y', 'z'} <= set(names):
        return np.rec.fromarrays(
            [archive[axis].ravel() for axis in 'xyz'],
            dtype=[(axis, archive[axis].dtype) for axis in 'xyz'],
        )
    if key is None:
        usual = [name for name in ('data', 'points') if name in names]
        key = (names if len(names) == 1 else [*usual, 'data'])[0]
    if key not in names:
        raise DatasetError(
            f'no array {key!r}; it holds {names}. Name one by `lidar.format`: npz_<array>.'
        )
    return _name_columns(archive[key], fields)


def _unlike(names: Sequence[str]) -> list[str]:
    """Names of columns, told apart where one occurs twice."""
    counts = Counter(names)
    return [name if counts[name] == 1 else f'{name}#{index}' for index, name in enumerate(names)]


def _name_columns(array: npt.NDArray[np.generic], fields: Sequence[str]) -> Table:
    if array.dtype.names:
        return array.ravel()  # type: ignore[return-value]
    given = f'{array.shape} of {array.dtype}'
    if array.ndim == 3:  # organised, or a batch of one
        array = array.reshape(-1, array.shape[-1])
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in 'fiu':
        raise DatasetError(f'wanted (N, >= 3) numbers, got {given}.')
    if array.shape[0] in (3, len(fields)) and array.shape[1] > 2 * len(fields):
        raise DatasetError(
            f'{given} has a point in each column, wanted one in each row; store the transpose.'
        )
    columns = [(name, array.dtype) for name in _unlike(fields[: array.shape[1]])]
    return np.rec.fromarrays(array.T[: len(columns)], dtype=columns)


def _stack_xyz(table: Table) -> Float32:
    with np.errstate(over='ignore', invalid='ignore'):  # a wild float64 becomes inf, silently
        return np.stack([table[axis] for axis in _axes(table)], axis=-1).astype(np.float32)


def _ring(table: Table) -> npt.NDArray[np.intp] | None:
    names = table.dtype.names or ()
    name = next((name for name in RING_FIELDS if name in names), None)
    if name is None or table.dtype[name].shape or not len(table):
        return None
    numbers = table[name].astype(np.float64)
    if not ((numbers >= 0) & (numbers <= MAX_RING) & (numbers == np.rint(numbers))).all():
        return None
    return numbers.astype(np.intp)


def _axes(table: Table) -> list[str]:
    """Names of the columns x, y, z, which may be in capitals."""
    names = table.dtype.names or ()
    found = [[name for name in names if name.lower() == axis] for axis in 'xyz']
    if any(len(axis) != 1 or table.dtype[axis[0]].shape for axis in found):
        raise DatasetError(f'wanted single columns x, y, z, got {", ".join(names) or "none"}.')
    return [axis[0] for axis in found]


def _as_table(cloud: npt.NDArray[Any]) -> Table:
    if not cloud.dtype.names:
        if cloud.dtype != np.float32 or cloud.shape[-1] != len(CLOUD_FIELDS):
            raise DatasetError(
                f'cloud must be float32 of {CLOUD_FIELDS}, got {cloud.shape} of {cloud.dtype}.'
            )
        columns = np.dtype([(name, np.float32) for name in CLOUD_FIELDS])
        return np.ascontiguousarray(cloud).view(columns)[..., 0]
    _axes(cloud)
    return cloud
