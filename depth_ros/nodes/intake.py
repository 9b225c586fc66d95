"""Messages of one image and its sweeps to a `Frame`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, PointCloud2

from depth_ros.errors import FrameError, GeometryError, NodeError
from depth_ros.frame import Float32, Float64, Frame
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Camera
from depth_ros.geometry.plausibility import FEW_RETURNS, doubt_cloud, doubt_intrinsics
from depth_ros.messages.camera_info import camera_from_info, stereo_offset_m
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.messages.compressed import compressed_size, compressed_to_rgb
from depth_ros.nodes.convert import image_to_rgb, stamp_to_ns
from depth_ros.nodes.node_config import NodeConfig
from depth_ros.nodes.transforms import NO_EXTRINSIC, ExtrinsicSource
from depth_ros.pipeline.sync import Pair

MAX_SAID = 50
"""Sentences about odd messages before the rest is kept back: some carry numbers that change."""

PATIENT_EVERY_S = 5.0
"""A transform that nothing depends on is waited for again so long after it did not come."""


class Received(NamedTuple):
    """An image message, when it came (monotonic), and the CameraInfo in force then."""

    msg: Any
    at_ns: int
    info: CameraInfo | None


Job = Pair[Received, PointCloud2]


class FrameIntake:
    """Turns messages into frames; remembers the camera as long as its CameraInfo stays.

    Args:
        say: is told, once each, what is wrong with messages that are read nevertheless.
        extrinsic: where T_camera_lidar comes from; None without LiDAR.
        info_topic: name of the topic of CameraInfo, for messages.
        stereo_offset: what becomes of P[:, 3], as in `NodeConfig`.

    Attributes:
        extrinsic: as given; another takes effect with the next frame.
        unused: number of frames whose sweeps could not be used and were not needed.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        extrinsic: ExtrinsicSource | None = None,
        info_topic: str = 'camera_info',
        stereo_offset: str = NodeConfig.stereo_offset,
    ) -> None:
        self._say, self._info_topic = say, info_topic
        self._stereo_offset = stereo_offset
        self._said: set[str] = set()
        self.extrinsic = extrinsic
        self.unused = 0
        self._patient_from_s = -math.inf
        self._judged: set[str] = set()  # frame_ids of clouds that were looked at
        self._camera: tuple[object, Camera] | None = None

    def frame(self, job: Job, latest_info: CameraInfo | None, needs_lidar: bool = True) -> Frame:
        """The frame of an image and its clouds, if there is a LiDAR.

        Args:
            job: messages.
            latest_info: to take if there was none yet when the image came.
            needs_lidar: whether sweeps that cannot be used are an error; else they are left out.

        Raises:
            NodeError: a message cannot be used or something is missing; its `reason` is the
                key to count the drop under.
        """
        image_msg, info = job.image.msg, self._info_of(job.image, latest_info)
        compressed = isinstance(image_msg, CompressedImage)
        image = (
            compressed_to_rgb(image_msg) if compressed else image_to_rgb(image_msg, self._say_once)
        )
        camera = self._camera_of(info, (image.shape[1], image.shape[0]))
        stamp_ns = stamp_to_ns(image_msg.header.stamp)
        lidar = {}
        try:
            if job.sweeps:
                lidar = self._lidar(image_msg, stamp_ns, job.sweeps, needs_lidar)
        except NodeError as error:
            if needs_lidar:
                raise
            self._go_without(error)
        try:
            return Frame(image, camera, stamp_ns, frame_id=image_msg.header.frame_id, **lidar)
        except (FrameError, GeometryError) as error:
            raise NodeError(str(error), 'bad_image') from error

    def camera(self, image: Received, latest_info: CameraInfo | None) -> Camera:
        """The camera of an image, which is decoded only where nothing else tells its size.

        Raises:
            NodeError: as `frame`.
        """
        info = self._info_of(image, latest_info)
        if isinstance(image.msg, CompressedImage):
            size = compressed_size(image.msg)
        else:
            size = image.msg.width, image.msg.height
        return self._camera_of(info, size)

    def _info_of(self, image: Received, latest_info: CameraInfo | None) -> CameraInfo:
        info = image.info or latest_info
        if info is None:
            raise NodeError(
                f'No CameraInfo has come yet on {self._info_topic}; publish it beside the '
                'image, or remap camera_info to its topic.',
                'no_camera_info',
            )
        return info

    def _go_without(self, error: NodeError) -> None:
        """Count a frame whose sweeps are left out, and say so once for each reason."""
        self.unused += 1
        now_s = time.monotonic()
        if error.reason == NO_EXTRINSIC and now_s >= self._patient_from_s:  # it was waited for
            self._patient_from_s = now_s + PATIENT_EVERY_S
        self._say_once(
            f'Sigma is not calibrated, as a sweep cannot be used: {error}', error.reason
        )

    def _say_once(self, sentence: str, key: str = '') -> None:
        """Say a sentence unless it, or another one with its key, has been said."""
        key = key or sentence
        if key not in self._said and len(self._said) < MAX_SAID:
            self._said.add(key)
            self._say(sentence)

    def _lidar(
        self,
        image_msg: Any,
        stamp_ns: int,
        sweeps: Sequence[tuple[int, PointCloud2]],
        needs_lidar: bool,
    ) -> dict[str, Any]:
        """The fields of a frame that come from sweeps, the nearest first."""
        extrinsic = self.extrinsic  # the executor may put another one in place meanwhile
        patient = needs_lidar or time.monotonic() >= self._patient_from_s
        target, clouds = image_msg.header.frame_id, [cloud for _, cloud in sweeps]
        T_camera_lidars = [
            extrinsic.lookup(
                target, cloud.header.frame_id, stamp_ns, stamp_to_ns(cloud.header.stamp), patient
            )
            for cloud in clouds
        ]
        return {
            'points': _gather([self._points(cloud) for cloud in clouds], T_camera_lidars),
            'T_camera_lidar': T_camera_lidars[0],
            'lidar_stamp_ns': sweeps[0][0],
        }

    def _points(self, cloud: PointCloud2) -> Float32:
        """The points of a cloud; the first one of a LiDAR is looked at for implausible numbers."""
        points, frame_id = cloud_to_points(cloud, self._say_once), cloud.header.frame_id
        if frame_id not in self._judged and len(points) >= FEW_RETURNS:
            self._judged.add(frame_id)
            if doubt := doubt_cloud(points):
                self._say_once(f'The cloud of {frame_id!r}: {doubt}')
        return points

    def _camera_of(self, info: CameraInfo, size: tuple[int, int]) -> Camera:
        """The camera of a CameraInfo; its rectification maps are cached under this very object."""
        roi = info.roi
        key = (
            *(info.width, info.height, info.distortion_model, size),
            *(bytes(info.d), info.k.tobytes(), info.r.tobytes(), info.p.tobytes()),
            *(info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height),
        )
        cached = self._camera  # the other thread may ask for another one meanwhile
        if cached is None or cached[0] != key:
            is_first = self._stereo_offset == 'apply'
            cached = self._camera = key, camera_from_info(info, size, self._say_once, is_first)
            self._tell_offset(info)
            if doubt := doubt_intrinsics(cached[1].intrinsics):
                self._say_once(f'CameraInfo: {doubt}')
        return cached[1]

    def _tell_offset(self, info: CameraInfo) -> None:
        """Say that this is a second camera, unless somebody has decided what that means."""
        is_second = bool(np.any(np.reshape(info.p, (3, 4))[:, 3]))
        is_turned = np.any(info.r) and not np.allclose(np.reshape(info.r, (3, 3)), np.eye(3))
        if self._stereo_offset == 'apply' and is_second and is_turned:
            self._say_once(
                'CameraInfo: R turns the view of this second camera of a stereo pair. As '
                'stereo_offset is apply and no message has R of the first camera, the first is '
                'taken to be turned alike, as cameras side by side nearly are. If it is not, have '
                'the driver send the frame_id of this camera and set stereo_offset to ignore.'
            )
        if self._stereo_offset != 'warn' or not is_second:
            return
        try:
            distance_m = math.hypot(*stereo_offset_m(info))
        except GeometryError as error:
            self._say_once(f'CameraInfo: {error} It is not used.')
            return
        self._say_once(
            f'CameraInfo says by P[:, 3] that this camera stands {distance_m:.3f} m beside the '
            f'first one of a stereo pair. If frame_id {info.header.frame_id!r} is the frame of '
            'the first one, depth is off by as much: set stereo_offset to apply. If it is the '
            'frame of this camera, all is right: set stereo_offset to ignore.'
        )


def _gather(clouds: Sequence[Float32], T_camera_lidars: Sequence[Float64]) -> Float32:
    """All points in the LiDAR frame of the first cloud."""
    gathered = [clouds[0]]
    for points, T_camera_lidar in zip(clouds[1:], T_camera_lidars[1:], strict=True):
        T_first_this = transforms.inverse(T_camera_lidars[0]) @ T_camera_lidar
        still = np.allclose(T_first_this, np.eye(4), atol=1e-9)
        gathered.append(points if still else transforms.apply(T_first_this, points))
    return np.concatenate(gathered) if len(gathered) > 1 else gathered[0]
