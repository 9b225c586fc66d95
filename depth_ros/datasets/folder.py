"""A folder with a `calib.json`: one's own images and clouds, and one file that describes them.

The format is explained in docs/datasets.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from depth_ros.datasets.calib import (
    CalibratedCamera,
    blame,
    calib_path,
    is_calibrated,
    parse_camera,
    read_calib_json,
)
from depth_ros.datasets.clouds import CLOUD_SUFFIXES, DEFAULT_FIELDS
from depth_ros.datasets.estimated import CameraEstimator
from depth_ros.datasets.images import DepthCamera, DepthEncoding
from depth_ros.datasets.records import CloudFile, DepthFile, Record, RecordedDataset, stamp_from
from depth_ros.errors import DatasetError
from depth_ros.frame import Float64
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.mask import ImageMask, load_mask
from depth_ros.geometry.transforms import as_transform, inverse

# Name of an encoding of depth: whether it is disparity, and whether a NumPy array.
ENCODINGS = {
    'uint16 png': (False, False),
    'npy': (False, True),
    'disparity uint16 png': (True, False),
    'disparity npy': (True, True),
}
FRAME_PERIOD_S = Decimal('0.1')  # between frames where none states its time


@dataclass(frozen=True)
class _Description:
    """The parts of a `calib.json` that all frames share."""

    path: Path
    cameras: dict[str, dict[str, Any]]
    fields: tuple[str, ...]
    array_key: str | None
    encoding: DepthEncoding | None
    truth_encoding: DepthEncoding | None
    depth_camera: DepthCamera | None
    masks: dict[str, ImageMask]


def open_folder(
    folder: Path | str,
    cameras: Sequence[str] | None = None,
    estimator: CameraEstimator | None = None,
) -> RecordedDataset:
    """Open a folder in the `calib.json` format.

    Args:
        folder: the folder, or its `calib.json`.
        cameras: those that are wanted; all by default.
        estimator: guesses the cameras without K; by default their images are refused.

    Raises:
        DatasetError: `calib.json` is missing, malformed or contradicts itself, or a camera
            cannot be estimated.
    """
    path = calib_path(folder)
    content = read_calib_json(path)
    description = _parse_description(path, content)
    frames = content.get('frames') or []
    groups = []
    for index, frame in enumerate(frames):
        with blame(f'{path}: frame {index}'):
            groups.append(_frame_records(description, frame, index))
    _check_times(path, frames)
    groups.sort(key=lambda group: min((record.stamp_ns for record in group), default=0))
    records = [record for group in groups for record in group]
    if estimator is not None:
        unknown = _without_calibration(content['cameras'])
        records = estimator.records(records, unknown & set(cameras or unknown))
    name = str(content.get('name') or path.parent.resolve().name)
    return RecordedDataset(name, records, tuple(description.cameras), cameras)


def _parse_description(path: Path, content: dict[str, Any]) -> _Description:
    for name, entry in content['cameras'].items():
        # A wrong K shows now; a missing one only when a frame of that camera is asked for.
        if not (isinstance(entry, dict) and not is_calibrated(entry)):
            parse_camera(path, name, entry)
    with blame(f'{path}: lidar'):
        fields, array_key = _parse_lidar(content.get('lidar') or {})
    with blame(f'{path}: depth'):
        depth = content.get('depth')
        encoding = None if depth is None else _parse_encoding(depth)
    with blame(f'{path}: depth_gt'):
        truth = content.get('depth_gt')
        truth_encoding = encoding if truth is None else _parse_encoding(truth)
    with blame(f'{path}: depth_camera'):
        beside = content.get('depth_camera')
        depth_camera = None if beside is None else _parse_depth_camera(beside)
    masks = dict(_masks(path, content['cameras']))
    return _Description(
        path,
        content['cameras'],
        fields,
        array_key,
        encoding,
        truth_encoding,
        depth_camera,
        masks,
    )


def _masks(path: Path, cameras: dict[str, Any]) -> Iterator[tuple[str, ImageMask]]:
    """The masks of the cameras that have one, by the camera's name."""
    for name, entry in cameras.items():
        if isinstance(entry, dict) and entry.get('mask') is not None:
            with blame(f'{path}: cameras: {name}'):
                mask = load_mask(path.parent / entry['mask'])
                if 'width' in entry and 'height' in entry:
                    mask.check_size(int(entry['width']), int(entry['height']))
            yield name, mask


def _without_calibration(cameras: dict[str, Any]) -> set[str]:
    return {name for name, entry in cameras.items() if not is_calibrated(entry)}


def _parse_lidar(lidar: dict[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Columns and array name; the file's suffix tells the rest of the format."""
    kind, _, key = str(lidar.get('format') or 'bin_f32').partition('_')
    if f'.{kind}' not in CLOUD_SUFFIXES or (kind == 'bin' and key != 'f32'):
        raise DatasetError(
            f'format {lidar["format"]!r} is unknown; '
            'wanted bin_f32, pcd, ply, npy, npz or npz_<array>.'
        )
    fields = tuple(str(name) for name in lidar.get('fields') or DEFAULT_FIELDS)
    return fields, key if kind == 'npz' and key else None


def _parse_encoding(depth: dict[str, Any]) -> DepthEncoding:
    kind = depth.get('encoding', 'uint16 png')
    if kind not in ENCODINGS:
        known = ', '.join(f'"{name}"' for name in ENCODINGS)
        raise DatasetError(f'encoding {kind!r} is unknown; wanted one of {known}.')
    is_disparity, is_array = ENCODINGS[kind]
    # An array has numbers with a point, most often metres or pixels as they are.
    scale = float(depth.get('scale', 1.0) if is_array else depth['scale'])
    if not 0 < scale < float('inf'):
        unit = 'pixels' if is_disparity else 'metres'
        raise DatasetError(f'scale must be {unit} per unit, got {scale}.')
    if not is_array and not is_disparity and scale > 1:
        raise DatasetError(
            f'scale must be metres per unit, got {scale:g}, as if it were units per metre; '
            f'{1 / scale:g} then.'
        )
    scale_m = _stereo_m_px(depth) / scale if is_disparity else scale
    also = depth.get('invalid_also', [])
    invalid = (depth.get('invalid', 0), *(also if isinstance(also, list) else [also]))
    return DepthEncoding(scale_m, tuple(float(x) for x in invalid), is_disparity, is_array)


def _stereo_m_px(depth: dict[str, Any]) -> float:
    """Focal length times baseline: depth times disparity."""
    if depth.get('f_px') is None or depth.get('baseline_m') is None:
        raise DatasetError(
            'disparity is no depth without `f_px`, the focal length of the stereo pair in pixels, '
            'and `baseline_m`; give both.'
        )
    f_px, baseline_m = float(depth['f_px']), float(depth['baseline_m'])
    for name, value in (('f_px', f_px), ('baseline_m', baseline_m)):
        if not 0 < value < float('inf'):
            raise DatasetError(f'{name} must be positive, got {value}.')
    return f_px * baseline_m


def _parse_depth_camera(entry: dict[str, Any]) -> DepthCamera:
    intrinsics = Intrinsics.from_matrix(entry['K'], entry['width'], entry['height'])
    return DepthCamera(intrinsics, as_transform(entry['T_cam_depth'], 'T_cam_depth'))


def _frame_records(description: _Description, frame: dict[str, Any], index: int) -> list[Record]:
    images = frame['images']
    unknown = set(images) - set(description.cameras)
    if unknown:
        raise DatasetError(f'images of {sorted(unknown)}, which are not among `cameras`.')
    return [
        _record(description, frame, index, camera_name)
        for camera_name in description.cameras
        if camera_name in images
    ]


def _record(
    description: _Description, frame: dict[str, Any], index: int, camera_name: str
) -> Record:
    def of_camera(key: str) -> Any:
        return (frame.get(key) or {}).get(camera_name)

    t_lidar = frame.get('t_lidar')
    time = _time_of(frame, camera_name)
    # The transform at the instant of exposure has the motion since the sweep in it, so it wins.
    at_capture = of_camera('T_cam_lidar_at_capture')
    T_at_capture = (
        None if at_capture is None else as_transform(at_capture, 'T_cam_lidar_at_capture')
    )
    return Record(
        frame_id=str(frame.get('id', index)),
        camera_name=camera_name,
        image=description.path.parent / frame['images'][camera_name],
        calibrate=partial(_calibrate, description, camera_name, T_at_capture),
        stamp_ns=stamp_from(FRAME_PERIOD_S * index if time is None else time),
        cloud=_cloud_file(description, frame.get('lidar')),
        lidar_stamp_ns=None if t_lidar is None else stamp_from(t_lidar),
        sparse=_depth_file(description, of_camera('sparse_depth'), description.encoding),
        truth=_depth_file(description, of_camera('depth_gt'), description.truth_encoding),
        depth_camera=description.depth_camera,
        T_world_camera=_pose(description, of_camera('T_world_cam')),
        mask=description.masks.get(camera_name),
    )


def _cloud_file(description: _Description, name: str | None) -> CloudFile | None:
    if name is None:
        return None
    return CloudFile(description.path.parent / name, description.fields, description.array_key)


def _depth_file(
    description: _Description, name: str | None, encoding: DepthEncoding | None
) -> DepthFile | None:
    if name is None:
        return None
    if encoding is None:
        raise DatasetError(f'{name} needs the `depth` object, which tells its scale.')
    return DepthFile(description.path.parent / name, encoding)


def _pose(description: _Description, matrix: Any) -> Float64 | None:
    if matrix is None:
        return None
    pose = as_transform(matrix, 'T_world_cam')
    if description.depth_camera is None:
        return pose
    return pose @ inverse(description.depth_camera.T_camera_depth)


def _calibrate(
    description: _Description,
    camera_name: str,
    T_at_capture: Float64 | None,
    width: int,
    height: int,
) -> CalibratedCamera:
    entry = description.cameras[camera_name]
    calibrated = parse_camera(description.path, camera_name, entry)
    wanted = calibrated.camera.intrinsics
    if (width, height) != (wanted.width, wanted.height):
        raise DatasetError(
            f'{description.path}: camera {camera_name!r} is {wanted.width}x{wanted.height}, '
            f'but its image is {width}x{height}.'
        )
    return calibrated if T_at_capture is None else replace(calibrated, T_camera_lidar=T_at_capture)


def _time_of(frame: dict[str, Any], camera_name: str) -> Any:
    """Seconds or ISO string, the camera's own time before that of the frame; or None."""
    own = (frame.get('t_camera') or {}).get(camera_name)
    return frame.get('t') if own is None else own


def _check_times(path: Path, frames: Sequence[dict[str, Any]]) -> None:
    untimed = {
        _time_of(frame, camera_name) is None for frame in frames for camera_name in frame['images']
    }
    if len(untimed) > 1:
        raise DatasetError(f'{path}: some images have a time `t`, others none; give all or none.')
