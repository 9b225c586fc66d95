"""KITTI as its official archives unpack: raw drives, object detection, depth completion.

Every camera is the rectified one, so its pinhole is the left (3, 3) of its projection matrix P.
Source: Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013 (raw drives, the
chain of transforms); Uhrig et al., "Sparsity invariant CNNs", 3DV 2017 (depth completion).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from depth_ros.datasets.calib import CalibratedCamera, blame
from depth_ros.datasets.images import IMAGE_SUFFIXES, DepthEncoding
from depth_ros.datasets.records import CloudFile, DepthFile, Record, RecordedDataset, stamp_from
from depth_ros.errors import DatasetError
from depth_ros.frame import Float64
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.transforms import as_transform

FRAME_PERIOD_S = Decimal('0.1')  # of the rig; for archives without times
DEPTH_ENCODING = DepthEncoding(scale_m=1 / 256)
LAYOUTS = (
    'KITTI raw drive (<date>/<drive>_sync with image_0X/data and <date>/calib_*.txt)',
    'KITTI object split (training with image_2, velodyne, calib)',
    'KITTI depth completion (train|val/<drive>_sync/proj_depth, raw drives beside train)',
    'KITTI val_selection_cropped (image, velodyne_raw, intrinsics)',
)

_TRACKING = {'R_rect': 'R0_rect', 'Tr_velo_cam': 'Tr_velo_to_cam'}  # its calibration's names
_RAW_CAMERAS = ('image_00', 'image_01', 'image_02', 'image_03')
_Calibrate = Callable[[int, int], CalibratedCamera]
_Rig = dict[str, _Calibrate]


def open_kitti(folder: Path | str, cameras: Sequence[str] | None = None) -> RecordedDataset:
    """Open a KITTI tree by its folder.

    Args:
        folder: a raw drive; a split of the object benchmark or the folder above `training`;
            `train` or `val` of depth completion, one drive in it or the folder above; or
            `val_selection_cropped`.
        cameras: those that are wanted; all by default.

    Raises:
        DatasetError: none of these, or a part of it is missing or malformed.
    """
    folder = Path(folder).absolute()
    read = _find_layout(folder)
    if read is None:
        raise DatasetError(f'{folder}: none of {"; ".join(LAYOUTS)}.')
    records = read(folder)
    camera_names = sorted({record.camera_name for record in records})
    return RecordedDataset(folder.name, records, camera_names, cameras)


def is_kitti(folder: Path | str) -> bool:
    """True if the folder is laid out as one of `LAYOUTS`."""
    return _find_layout(Path(folder).absolute()) is not None


def read_calibration(path: Path) -> dict[str, Float64]:
    """The numbers of a KITTI calibration file by key; lines of other content are left out.

    Raises:
        DatasetError: no such file.
    """
    if not path.is_file():
        raise DatasetError(f'{path}: no such calibration file.')
    numbers = {}
    for line in path.read_text(encoding='utf-8').splitlines():
        key, _, text = line.replace(':', ' ', 1).partition(' ')
        with contextlib.suppress(ValueError):  # calib_time is a date
            numbers[_TRACKING.get(key, key)] = np.array([float(word) for word in text.split()])
    return numbers


def compose_extrinsic(P: Float64, R_rect_00: Float64, T_camera0_lidar: Float64) -> Float64:
    """T_camera_lidar (4, 4) into the rectified camera of P: [I | b] R_rect_00 T_camera0_lidar.

    P = K [I | b], so the baseline is b = K^-1 P[:, 3]. All cameras of the rig share R_rect_00:
    rectification has made their axes parallel.

    Args:
        P: (3, 4) projection from rectified camera 0 into the image.
        R_rect_00: (3, 3) rotation of camera 0 into rectified camera 0.
        T_camera0_lidar: (3, 4) or (4, 4), LiDAR into camera 0.
    """
    T_camera_lidar = np.eye(4)
    T_camera_lidar[:3] = R_rect_00 @ T_camera0_lidar[:3]
    T_camera_lidar[:3, 3] += np.linalg.solve(P[:, :3], P[:, 3])
    return as_transform(T_camera_lidar, 'T_camera_lidar')


def _find_layout(folder: Path) -> Callable[[Path], list[Record]] | None:
    if (folder / 'proj_depth').is_dir():
        return _completion_drive
    if _completion_drives(folder):
        return _completion_tree
    if (folder / 'image').is_dir() and (folder / 'intrinsics').is_dir():
        return _completion_selection
    if _object_split(folder):
        return _object_records
    if any((folder / camera / 'data').is_dir() for camera in _RAW_CAMERAS):
        return _raw_drive
    return None


def _raw_drive(drive: Path) -> list[Record]:
    rig = _read_rig(drive.parent)
    clouds = drive / 'velodyne_points'
    lidar_stamps = _read_stamps(clouds)
    records = []
    for camera in _RAW_CAMERAS:
        stamps = _read_stamps(drive / camera)
        for stem, image in _images(drive / camera / 'data').items():
            records.append(
                Record(
                    frame_id=stem,
                    camera_name=camera,
                    image=image,
                    calibrate=rig[camera],
                    stamp_ns=_stamp(stamps, image),
                    cloud=_cloud(clouds / 'data' / f'{stem}.bin'),
                    lidar_stamp_ns=lidar_stamps.get(int(stem)),
                )
            )
    return _in_order(records)


def _object_split(folder: Path) -> Path | None:
    for split in (folder, folder / 'training'):
        if (split / 'image_2').is_dir() and (split / 'calib').is_dir():
            return split
    return None


def _object_records(folder: Path) -> list[Record]:
    split = _object_split(folder) or folder
    return _in_order(
        Record(
            frame_id=stem,
            camera_name=camera,
            image=image,
            calibrate=partial(_calibrate_object, split / 'calib' / f'{stem}.txt', camera[-1]),
            stamp_ns=_stamp({}, image),
            cloud=_cloud(split / 'velodyne' / f'{stem}.bin'),
        )
        for camera in ('image_2', 'image_3')
        for stem, image in _images(split / camera).items()
    )


def _completion_drives(folder: Path) -> list[Path]:
    found = (*folder.glob('*_sync/proj_depth'), *folder.glob('*/*_sync/proj_depth'))
    return sorted(proj_depth.parent for proj_depth in found)


def _completion_tree(folder: Path) -> list[Record]:
    drives = _completion_drives(folder)
    return [record for drive in drives for record in _completion_drive(drive, f'{drive.name}_')]


def _completion_drive(drive: Path, prefix: str = '') -> list[Record]:
    """Frames with their projected sweep as input: the benchmark's, so no cloud beside it."""
    raw = _find_raw_drive(drive)
    rig = _read_rig(raw.parent, needs_lidar=False)
    records = []
    for camera in ('image_02', 'image_03'):
        stamps = _read_stamps(raw / camera)
        images = _images(raw / camera / 'data')
        sparse = _images(drive / 'proj_depth' / 'velodyne_raw' / camera)
        truth = _images(drive / 'proj_depth' / 'groundtruth' / camera)
        for stem in sparse.keys() | truth.keys():
            image = images.get(stem, raw / camera / 'data' / f'{stem}.png')
            records.append(
                Record(
                    frame_id=f'{prefix}{stem}',
                    camera_name=camera,
                    image=image,
                    calibrate=rig[camera],
                    stamp_ns=_stamp(stamps, image),
                    sparse=_depth(sparse.get(stem)),
                    truth=_depth(truth.get(stem)),
                )
            )
    return _in_order(records)


def _completion_selection(folder: Path) -> list[Record]:
    """`<drive>_image_<frame>_<camera>.png`, or plain numbers in the anonymous test set.

    The archive has no extrinsic; it is that of the raw drive's day, where that is beside it.
    """
    days: dict[str, _Rig] = {}
    records = []
    for index, (stem, image) in enumerate(_images(folder / 'image').items()):
        drive, _, place = stem.partition('_image_')
        frame, _, camera = place.partition('_')
        sparse = stem.replace('_image_', '_velodyne_raw_', 1)
        truth = stem.replace('_image_', '_groundtruth_depth_', 1)
        if place and drive[:10] not in days:
            days[drive[:10]] = _find_rig(folder, drive[:10])
        rig = days.get(drive[:10], {}).get(camera)
        records.append(
            Record(
                frame_id=f'{drive}_{frame}' if place else stem,
                camera_name=camera or 'image',
                image=image,
                calibrate=partial(
                    _calibrate_selection, folder / 'intrinsics' / f'{stem}.txt', rig
                ),
                stamp_ns=stamp_from(FRAME_PERIOD_S * index),
                sparse=_depth(folder / 'velodyne_raw' / f'{sparse}.png'),
                truth=_depth(folder / 'groundtruth_depth' / f'{truth}.png'),
            )
        )
    return records


def _read_rig(day: Path, *, needs_lidar: bool = True) -> _Rig:
    """How to calibrate each camera, from the files of a day; without LiDAR no extrinsic."""
    numbers = read_calibration(day / 'calib_cam_to_cam.txt')
    path = day / 'calib_velo_to_cam.txt'
    velodyne = read_calibration(path) if needs_lidar or path.is_file() else None
    rig: _Rig = {}
    with blame(f'{day}/calib_*.txt'):
        for camera in _RAW_CAMERAS:
            P = numbers[f'P_rect_{camera[-2:]}'].reshape(3, 4)
            extrinsic = None
            if velodyne is not None:
                T_camera0_lidar = np.column_stack((velodyne['R'].reshape(3, 3), velodyne['T']))
                R_rect_00 = numbers['R_rect_00'].reshape(3, 3)
                extrinsic = compose_extrinsic(P, R_rect_00, T_camera0_lidar)
            rig[camera] = partial(_calibrate, P, extrinsic)
    return rig


def _find_rig(folder: Path, day: str) -> _Rig:
    """The rig of a day whose raw drives lie beside the folder or the one above; else empty."""
    for root in (folder.parent, folder.parent.parent):
        for place in (root / day, root / 'raw' / day):
            if (place / 'calib_cam_to_cam.txt').is_file():
                return _read_rig(place, needs_lidar=False)
    return {}


def _calibrate(
    P: Float64, T_camera_lidar: Float64 | None, width: int, height: int
) -> CalibratedCamera:
    return CalibratedCamera(Camera(Intrinsics.from_matrix(P, width, height)), T_camera_lidar)


def _calibrate_object(path: Path, digit: str, width: int, height: int) -> CalibratedCamera:
    numbers = read_calibration(path)
    with blame(str(path)):
        P = numbers[f'P{digit}'].reshape(3, 4)
        R_rect_00 = numbers['R0_rect'].reshape(3, 3)
        T_camera0_lidar = numbers['Tr_velo_to_cam'].reshape(3, 4)
        extrinsic = compose_extrinsic(P, R_rect_00, T_camera0_lidar)
        return _calibrate(P, extrinsic, width, height)


def _calibrate_selection(
    path: Path, rig: _Calibrate | None, width: int, height: int
) -> CalibratedCamera:
    """The cropped camera of a file; the crop leaves the extrinsic of the whole one as it is."""
    with blame(str(path)):
        K = np.array(path.read_text(encoding='utf-8').split(), dtype=np.float64).reshape(3, 3)
        extrinsic = None if rig is None else rig(width, height).T_camera_lidar
        return _calibrate(K, extrinsic, width, height)


def _find_raw_drive(drive: Path) -> Path:
    """The raw drive of a drive under `train` or `val`: in a folder of its day, beside those."""
    root, day = drive.parent.parent, drive.name[:10]
    places = [base / day / drive.name for base in (root, root / 'raw', root.parent)]
    for place in places:
        if place.is_dir():
            return place
    raise DatasetError(f'{drive}: its raw drive with the images is none of {places}.')


def _images(folder: Path) -> dict[str, Path]:
    """Images by stem, in order; users often recompress the PNGs to JPEG."""
    paths = (path for path in folder.glob('*') if path.suffix.lower() in IMAGE_SUFFIXES)
    return {path.stem: path for path in sorted(paths)}


def _read_stamps(sensor: Path) -> dict[int, int]:
    """Stamps by number; empty without `timestamps.txt`. A lost frame has an empty line."""
    path = sensor / 'timestamps.txt'
    if not path.is_file():
        return {}
    lines = path.read_text(encoding='utf-8').splitlines()
    with blame(str(path)):
        return {i: stamp_from(line) for i, line in enumerate(lines) if line.strip()}


def _stamp(stamps: dict[int, int], image: Path) -> int:
    stem = image.stem
    if not stem.isdigit():
        raise DatasetError(f'{image}: KITTI frames are called by number.')
    if stamps and int(stem) not in stamps:
        raise DatasetError(f'{image}: frame {stem} has no line in its timestamps.txt.')
    return stamps[int(stem)] if stamps else stamp_from(FRAME_PERIOD_S * int(stem))


def _cloud(path: Path) -> CloudFile | None:
    return CloudFile(path) if path.is_file() else None  # some sweeps were never published


def _depth(path: Path | None) -> DepthFile | None:
    return None if path is None or not path.is_file() else DepthFile(path, DEPTH_ENCODING)


def _in_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.frame_id, record.camera_name))
