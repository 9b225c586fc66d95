"""Where T_camera_lidar comes from: TF, parameters or a calib.json. None of them ever guesses."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from depth_ros.errors import DatasetError, GeometryError, NodeError
from depth_ros.frame import Float64
from depth_ros.geometry.transforms import from_translation_quat
from depth_ros.nodes.node_config import ExtrinsicConfig

NO_EXTRINSIC = 'no_extrinsic'  # reason under which an image without an extrinsic is counted


class ExtrinsicSource(Protocol):
    """Gives the transform from the LiDAR to the camera."""

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, source_stamp_ns: int
    ) -> Float64:
        """T_target_source (4, 4).

        Args:
            target_frame: camera optical frame, the header of the image.
            source_frame: LiDAR frame, the header of the sweep.
            stamp_ns: time of the image.
            source_stamp_ns: time of the sweep.

        Raises:
            NodeError: not available, with reason `no_extrinsic`.
        """
        ...

    def clear(self) -> None:
        """Forget what belongs to a time that is over, after time went backwards."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class FixedExtrinsic:
    """The same transform for every frame name and time."""

    def __init__(self, T_camera_lidar: Float64) -> None:
        self._T_camera_lidar = T_camera_lidar

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, source_stamp_ns: int
    ) -> Float64:
        """See `ExtrinsicSource.lookup`; never raises."""
        return self._T_camera_lidar

    def clear(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to give back."""


class TfExtrinsic:
    """Looks the transform up in TF at the stamp of the image.

    With a fixed frame the motion between the sweep's stamp and the image's is compensated. Call
    `lookup` off the executor's thread: while it waits, that thread must go on receiving TF.

    Raises:
        NodeError: tf2_ros is not installed.
    """

    def __init__(self, node: Node, fixed_frame: str = '', timeout_s: float = 0.1) -> None:
        try:
            import tf2_ros
        except ImportError as error:
            raise NodeError(
                'tf2_ros is not installed (apt package ros-<distro>-tf2-ros-py); install it, or '
                'set extrinsic.source to parameters or file.',
                NO_EXTRINSIC,
            ) from error
        self._fixed_frame = fixed_frame
        self._timeout = Duration(nanoseconds=round(timeout_s * 1e9))
        self._unavailable = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, source_stamp_ns: int
    ) -> Float64:
        """See `ExtrinsicSource.lookup`."""
        if not target_frame or not source_frame:
            raise NodeError(
                f'The image is in frame {target_frame!r} and the sweep in {source_frame!r}; both '
                'headers need a frame_id to look the extrinsic up in TF.',
                NO_EXTRINSIC,
            )
        at_image, at_sweep = Time(nanoseconds=stamp_ns), Time(nanoseconds=source_stamp_ns)
        try:
            if self._fixed_frame:
                found = self._buffer.lookup_transform_full(
                    target_frame,
                    at_image,
                    source_frame,
                    at_sweep,
                    self._fixed_frame,
                    self._timeout,
                )
            else:
                found = self._buffer.lookup_transform(
                    target_frame, source_frame, at_image, self._timeout
                )
        except self._unavailable as error:
            through = f' through {self._fixed_frame!r}' if self._fixed_frame else ''
            raise NodeError(
                f'TF has no transform from {source_frame!r} to {target_frame!r}{through}: {error}',
                NO_EXTRINSIC,
            ) from error
        t, q = found.transform.translation, found.transform.rotation
        try:
            return from_translation_quat((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        except GeometryError as error:
            raise NodeError(
                f'TF from {source_frame!r} to {target_frame!r}: {error}', NO_EXTRINSIC
            ) from error

    def clear(self) -> None:
        """Forget moving transforms, after time went backwards; static ones stay."""
        self._buffer.clear()

    def close(self) -> None:
        """Unsubscribe from TF."""
        self._listener.unregister()


def parameter_extrinsic(config: ExtrinsicConfig) -> FixedExtrinsic:
    """The extrinsic of `extrinsic.translation` and `extrinsic.quat_xyzw`.

    Raises:
        NodeError: the quaternion was not given, or is not of norm 1.
    """
    if not any(config.quat_xyzw):
        raise NodeError(
            'extrinsic.source is parameters but extrinsic.quat_xyzw is not given; set it and '
            'extrinsic.translation (p_camera = R p_lidar + t, order x y z w).',
            NO_EXTRINSIC,
        )
    try:
        return FixedExtrinsic(from_translation_quat(config.translation, config.quat_xyzw))
    except GeometryError as error:
        raise NodeError(f'extrinsic: {error}', NO_EXTRINSIC) from error


def file_extrinsic(path: Path | str, camera: str = '') -> FixedExtrinsic:
    """The extrinsic of a camera in a `calib.json`; an empty name means its only camera.

    Raises:
        NodeError: the file cannot be read, or lacks the camera or its extrinsic.
    """
    from depth_ros.datasets.calib import load_calib

    if not str(path):
        raise NodeError(
            'extrinsic.source is file but extrinsic.file is not given; set it to a calib.json.',
            NO_EXTRINSIC,
        )
    try:
        cameras = load_calib(path)
    except DatasetError as error:
        raise NodeError(f'extrinsic.file: {error}', NO_EXTRINSIC) from error
    name = camera or (next(iter(cameras)) if len(cameras) == 1 else '')
    if name not in cameras:
        raise NodeError(
            f'extrinsic.camera must name one of {sorted(cameras)} in {path}, got {camera!r}.',
            NO_EXTRINSIC,
        )
    T_camera_lidar = cameras[name].T_camera_lidar
    if T_camera_lidar is None:
        raise NodeError(f'Camera {name!r} in {path} has no T_cam_lidar.', NO_EXTRINSIC)
    return FixedExtrinsic(T_camera_lidar)


def make_extrinsic(config: ExtrinsicConfig, node: Node) -> ExtrinsicSource:
    """The source that the settings name.

    Raises:
        NodeError: it cannot be had; the message gives the way out.
    """
    if config.source == 'file':
        return file_extrinsic(config.file, config.camera)
    if config.source == 'parameters':
        return parameter_extrinsic(config)
    return TfExtrinsic(node, config.fixed_frame, config.tf_timeout_s)
