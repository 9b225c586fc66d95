"""What every recorded dataset shares: files of a frame are named at opening, read when asked."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

from depth_ros.datasets.base import Sample
from depth_ros.datasets.calib import CalibratedCamera
from depth_ros.datasets.clouds import DEFAULT_FIELDS, read_sweep
from depth_ros.datasets.images import (
    DepthCamera,
    DepthEncoding,
    read_depth,
    read_image,
    register_depth,
)
from depth_ros.errors import DatasetError, GeometryError, SampleError
from depth_ros.frame import Float32, Float64, Frame
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.mask import ImageMask
from depth_ros.geometry.plausibility import (
    doubt_cloud,
    doubt_depth,
    doubt_extrinsic,
    doubt_intrinsics,
    doubt_times,
)

_log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NUMBER = re.compile(r'[-+]?\d+(\.\d*)?([eE][-+]?\d+)?', re.ASCII)
MAX_TIME_S = 18_446_744_073  # what the 64 bits of a stamp hold, of the year 2554
_UNITS = ((10**14, 'milliseconds'), (10**17, 'microseconds'), (float('inf'), 'nanoseconds'))
_ISO_TIME = re.compile(
    r'(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?', re.ASCII
)


@dataclass(frozen=True)
class CloudFile:
    """Where a sweep lies: file, and columns and array name as `read_cloud` takes them."""

    path: Path
    fields: tuple[str, ...] = DEFAULT_FIELDS
    key: str | None = None


@dataclass(frozen=True)
class DepthFile:
    """Where a depth image lies, and how it stores metres."""

    path: Path
    encoding: DepthEncoding


@dataclass(frozen=True)
class Record:
    """The files of one frame of one camera, and how to read them.

    Attributes:
        frame_id: unique within the dataset.
        camera_name: camera of the image.
        image: image file.
        calibrate: calibration of an image of the given width and height; may raise.
        stamp_ns: time of the image.
        cloud: sweep that belongs to the image, or None.
        lidar_stamp_ns: time of the sweep, or None where unknown.
        sparse: image of LiDAR depth in the rectified camera, or None.
        truth: image of true depth in the rectified camera, or of `depth_camera`; or None.
        depth_camera: camera of `truth`, if it is not the one of the image.
        T_world_camera: (4, 4) pose of the camera, or None.
        intrinsics_estimated: whether the calibration is a guess.
        mask: what of the image is not to be used, or None.
    """

    frame_id: str
    camera_name: str
    image: Path
    calibrate: Callable[[int, int], CalibratedCamera]
    stamp_ns: int
    cloud: CloudFile | None = None
    lidar_stamp_ns: int | None = None
    sparse: DepthFile | None = None
    truth: DepthFile | None = None
    depth_camera: DepthCamera | None = None
    T_world_camera: Float64 | None = None
    intrinsics_estimated: bool = False
    mask: ImageMask | None = None

    @property
    def name(self) -> str:
        """`<camera>_<frame id>`, usable as a file name."""
        return re.sub(r'[^\w.-]', '_', f'{self.camera_name}_{self.frame_id}')


class RecordedDataset:
    """A dataset of records; see `depth_ros.datasets.base.Dataset`.

    Args:
        name: of the dataset.
        records: in order of time, then camera.
        camera_names: cameras the dataset has.
        cameras: those that are wanted; all by default.

    Raises:
        DatasetError: a wanted camera is unknown, there is no record, or two have one name.
    """

    def __init__(
        self,
        name: str,
        records: Sequence[Record],
        camera_names: Sequence[str],
        cameras: Sequence[str] | None = None,
    ) -> None:
        wanted = camera_names if cameras is None else cameras
        unknown = [camera for camera in wanted if camera not in camera_names]
        if unknown:
            raise DatasetError(f'{name} has no camera {unknown}; it has {list(camera_names)}.')
        self.name = name
        self.camera_names = tuple(camera for camera in camera_names if camera in wanted)
        self._records = [record for record in records if record.camera_name in wanted]
        if not self._records:
            raise DatasetError(f'{name} has no image of {list(wanted)}.')
        self._told: set[tuple[str, str]] = set()  # kinds of data that were warned of, by camera
        for camera in self.camera_names:
            stamps = [r.stamp_ns for r in self._records if r.camera_name == camera]
            if doubt := doubt_times(stamps):
                _log.warning('%s, camera %s: %s', name, camera, doubt)
                break
        names = [record.name for record in self._records]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DatasetError(f'{name} has two frames called {twice!r}; make their ids differ.')

    def __len__(self) -> int:
        return len(self._records)

    def sample(self, index: int) -> Sample:
        """Sample `index`, 0 <= index < len, read from its files now.

        Raises:
            SampleError: a file is missing, malformed, or of another size than its camera; but
                for the truth, whose loss the sample tells.
            IndexError: there is no such sample.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'{self.name} has samples 0 to {len(self) - 1}, not {index}.')
        record = self._records[index]
        try:
            sample = load(record)
        except DatasetError as error:
            raise SampleError(str(error), record.name, record.camera_name) from error
        self._doubt(record, sample)
        return sample

    def _doubt(self, record: Record, sample: Sample) -> None:
        """Warn of what looks wrong in a sample, once for each kind of data."""
        frame = sample.frame
        doubts = [(record.image, 'K', doubt_intrinsics(frame.camera.intrinsics))]
        if frame.T_camera_lidar is not None:
            doubts.append((record.image, 'extrinsic', doubt_extrinsic(frame.T_camera_lidar)))
        if record.cloud is not None and frame.points is not None:
            doubts.append((record.cloud.path, 'cloud', doubt_cloud(frame.points)))
        for file, depth_m in (
            (record.sparse, frame.sparse_m),
            (record.truth, sample.depth_gt_m),
        ):
            if file is not None and depth_m is not None:
                doubts.append((file.path, 'depth', doubt_depth(depth_m)))
        for path, kind, doubt in doubts:
            if doubt and (kind, record.camera_name) not in self._told:
                self._told.add((kind, record.camera_name))
                _log.warning('%s: %s', path, doubt)


def load(record: Record) -> Sample:
    """Read the files of a record.

    Raises:
        DatasetError: as `RecordedDataset.sample`.
    """
    image = read_image(record.image)
    height, width = image.shape[:2]
    try:
        calibrated = record.calibrate(width, height)
    except GeometryError as error:
        raise DatasetError(f'{record.image}: {error}') from error
    points, ring, T_camera_lidar = None, None, None
    if record.cloud is not None or record.sparse is not None:
        T_camera_lidar = calibrated.T_camera_lidar
    if record.cloud is not None:
        if T_camera_lidar is None:
            raise DatasetError(
                f'{record.cloud.path}: camera {record.camera_name!r} has no transform from the '
                'LiDAR (T_cam_lidar); calibrate it or take the cloud out.'
            )
        points, ring = read_sweep(record.cloud.path, record.cloud.fields, record.cloud.key)
    frame = Frame(
        image=image,
        camera=calibrated.camera,
        stamp_ns=record.stamp_ns,
        points=points,
        T_camera_lidar=T_camera_lidar,
        sparse_m=_read_depth(record.sparse, calibrated.camera.rectified),
        lidar_stamp_ns=record.lidar_stamp_ns if record.cloud is not None else None,
        mask=record.mask,
    )
    truth_m, truth_lost = None, ''
    try:
        truth_m = _read_truth(record, calibrated.camera.rectified)
    except DatasetError as error:  # the image is of use without
        truth_lost = str(error)
    return Sample(
        record.name,
        record.camera_name,
        frame,
        truth_m,
        record.T_world_camera,
        record.intrinsics_estimated,
        truth_lost,
        ring,
    )


def stamp_from(time: str | int | float | Decimal) -> int:
    """Nanoseconds of a time in seconds, or of an ISO 8601 string (UTC unless it says otherwise).

    Decimal digits are kept, so 0.1 s is 100000000 ns and nine digits of a fraction survive.

    Raises:
        ValueError: neither, or beyond what a stamp can be.
    """
    if not isinstance(time, str) or _NUMBER.fullmatch(time.strip()):
        seconds = Decimal(str(time).strip())
        if MAX_TIME_S < seconds < float('inf'):
            unit = next(name for limit, name in _UNITS if seconds < limit)
            raise ValueError(f'{time} s is centuries ahead, as if it were {unit}; give seconds')
        return round(seconds * 10**9)
    match = _ISO_TIME.fullmatch(time.strip())
    if match is None:
        raise ValueError(f'{time!r} is no ISO 8601 time such as 2011-09-26T13:04:32.351950336Z')
    day, clock, fraction, zone = match.groups()
    offset = '+00:00' if zone in (None, 'Z') else zone
    whole = datetime.fromisoformat(f'{day}T{clock}{offset}') - _EPOCH
    return whole // timedelta(seconds=1) * 10**9 + int((fraction or '0').ljust(9, '0'))


def _read_truth(record: Record, intrinsics: Intrinsics) -> Float32 | None:
    if record.depth_camera is None:
        return _read_depth(record.truth, intrinsics)
    depth_m = _read_depth(record.truth, record.depth_camera.intrinsics)
    return None if depth_m is None else register_depth(depth_m, record.depth_camera, intrinsics)


def _read_depth(file: DepthFile | None, intrinsics: Intrinsics) -> Float32 | None:
    if file is None:
        return None
    depth_m = read_depth(file.path, file.encoding)
    height, width = depth_m.shape
    if (width, height) != (intrinsics.width, intrinsics.height):
        raise DatasetError(
            f'{file.path}: depth is {width}x{height}, its camera {intrinsics.width}x'
            f'{intrinsics.height}; depth must be registered to the pixels of its camera.'
        )
    return depth_m
