"""Where T_camera_lidar comes from: TF, parameters or a calib.json. None of them ever guesses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.time import Time

from depth_ros.errors import DatasetError, GeometryError, NodeError
from depth_ros.frame import Float64
from depth_ros.geometry.plausibility import doubt_extrinsic, doubt_quaternion
from depth_ros.geometry.transforms import from_translation_quat
from depth_ros.nodes.node_config import ExtrinsicConfig
from depth_ros.nodes.qos import PolledSubscription, keep_last

NO_EXTRINSIC = 'no_extrinsic'  # reason under which an image without an extrinsic is counted

_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_MOVING_QOS = keep_last(1000)  # a second's worth on a busy robot: what comes between two lookups
_LOOK_AGAIN_S = 0.005
_OTHER_CLOCK_S = 10.0  # TF itself remembers no longer


class ExtrinsicSource(Protocol):
    """Gives the transform from the LiDAR to the camera."""

    def lookup(
        self,
        target_frame: str,
        source_frame: str,
        stamp_ns: int,
        source_stamp_ns: int,
        patient: bool = True,
    ) -> Float64:
        """T_target_source (4, 4).

        Args:
            target_frame: camera optical frame, the header of the image.
            source_frame: LiDAR frame, the header of the sweep.
            stamp_ns: time of the image.
            source_stamp_ns: time of the sweep.
            patient: whether to wait for one that comes late.

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
        self,
        target_frame: str,
        source_frame: str,
        stamp_ns: int,
        source_stamp_ns: int,
        patient: bool = True,
    ) -> Float64:
        """See `ExtrinsicSource.lookup`; never raises."""
        return self._T_camera_lidar

    def clear(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to give back."""


class TfExtrinsic:
    """Looks the transform up in TF at the stamp of the image.

    With a fixed frame the motion between the sweep's stamp and the image's is compensated. Without
    one only /tf_static is listened to, as long as it answers; where something between the two
    frames moves, such as a pan-tilt unit, so is /tf, until the static tree answers again.

    Call `lookup` off the executor's thread: while it waits, that thread must go on receiving
    /tf_static. The messages of /tf wait in the middleware until a lookup needs them, and of those
    only the ones between the frames asked for are read: waking Python for each costs a fifth of a
    core at 100 messages per second.

    Raises:
        NodeError: tf2_ros is not installed, or is broken.
    """

    def __init__(self, node: Node, fixed_frame: str = '', timeout_s: float = 0.1) -> None:
        try:
            import tf2_ros
            from tf2_msgs.msg import TFMessage
        except Exception as error:  # a broken one raises whatever its libraries do
            why = f'is installed but cannot be imported ({type(error).__name__}: {error}); repair'
            if isinstance(error, ModuleNotFoundError):
                why = f'is not installed, as there is no {error.name}; install'
            raise NodeError(
                f'tf2_ros {why} the apt package ros-<distro>-tf2-ros-py, or set extrinsic.source '
                'to parameters or file.',
                NO_EXTRINSIC,
            ) from error
        self._node, self._message_type = node, TFMessage
        self._fixed_frame, self._timeout_s = fixed_frame, timeout_s
        self._unavailable = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._parents: dict[str, str] = {}  # by child, of what was read
        self._wanted: re.Pattern[bytes] | None = None  # what is read of /tf; None = all
        self._judged: set[tuple[str, str]] = set()  # frames whose transform was looked at
        self._closed = False
        self._lock = threading.Lock()  # the worker looks up, the executor clears and closes
        self._static = node.create_subscription(
            TFMessage, '/tf_static', self._on_static, _STATIC_QOS
        )
        self._moving: PolledSubscription | None = None
        if fixed_frame:
            self._listen_to_moving()

    def lookup(
        self,
        target_frame: str,
        source_frame: str,
        stamp_ns: int,
        source_stamp_ns: int,
        patient: bool = True,
    ) -> Float64:
        """See `ExtrinsicSource.lookup`."""
        if not target_frame or not source_frame:
            raise NodeError(
                f'The image is in frame {target_frame!r} and the sweep in {source_frame!r}; both '
                'headers need a frame_id to look the extrinsic up in TF.',
                NO_EXTRINSIC,
            )
        asked = target_frame, source_frame, stamp_ns, source_stamp_ns
        deadline = time.monotonic() + (self._timeout_s if patient else 0.0)
        while True:
            with self._lock:
                if self._closed:
                    raise NodeError('The extrinsic has just been replaced.', NO_EXTRINSIC)
                self._read_moving()
                try:
                    found = self._find(*asked)
                    break
                except self._unavailable as error:
                    why = error
                    self._wanted = None  # what is missing may hang on a frame not known yet
                    self._listen_to_moving()
            if (left_s := deadline - time.monotonic()) <= 0:
                raise NodeError(self._explained(why, *asked), NO_EXTRINSIC) from why
            time.sleep(min(left_s, _LOOK_AGAIN_S))
        t, q = found.transform.translation, found.transform.rotation
        try:
            T_target_source = from_translation_quat((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        except GeometryError as error:
            raise NodeError(
                f'TF from {source_frame!r} to {target_frame!r}: {error}', NO_EXTRINSIC
            ) from error
        if (target_frame, source_frame) not in self._judged:
            self._judged.add((target_frame, source_frame))
            where = f'TF from {source_frame!r} to {target_frame!r}'
            _tell_doubt(where, doubt_extrinsic(T_target_source))
        return T_target_source

    def clear(self) -> None:
        """Forget moving transforms, after time went backwards; static ones stay."""
        with self._lock:
            if self._moving is not None:
                self._moving.take()
            self._buffer.clear()

    def close(self) -> None:
        """Unsubscribe from TF."""
        with self._lock:
            if not self._closed:
                self._node.destroy_subscription(self._static)
                self._close_moving()
            self._closed = True

    def _find(self, target: str, source: str, stamp_ns: int, source_stamp_ns: int) -> Any:
        """The transform of TF, from what has been read."""
        at_image = Time(nanoseconds=stamp_ns)
        if self._fixed_frame:
            at_sweep = Time(nanoseconds=source_stamp_ns)
            found = self._buffer.lookup_transform_full(
                target, at_image, source, at_sweep, self._fixed_frame
            )
        else:
            found = self._buffer.lookup_transform(target, source, at_image)
            if self._moving is not None and self._is_static(target, source):
                self._close_moving()
        if self._wanted is None:
            self._wanted = self._between(target, source, self._fixed_frame)
        return found

    def _is_static(self, target: str, source: str) -> bool:
        """Whether TF knows the transform for all times, long before anything moved."""
        try:
            self._buffer.lookup_transform(target, source, Time(nanoseconds=1))
        except self._unavailable:
            return False
        return True

    def _between(self, *frames: str) -> re.Pattern[bytes]:
        """What a message has in it that moves one of the frames given or one above them.

        In CDR that is the parent's name and its NUL, up to three bytes of padding, the length of
        the child's name in four bytes, and that name.
        """
        pairs: dict[bytes, bytes] = {}
        for frame in frames:
            child = _bare(frame).encode()
            while child not in pairs and (parent := self._parents.get(child.decode())):
                pairs[child] = parent.encode()
                child = pairs[child]
        moves = (
            re.escape(parent) + rb'\0.{4,7}/?' + re.escape(child) + rb'\0'
            for child, parent in pairs.items()
        )
        return re.compile(b'|'.join(moves), re.DOTALL)

    def _listen_to_moving(self) -> None:
        if self._moving is None:
            self._moving = PolledSubscription(self._node, self._message_type, '/tf', _MOVING_QOS)

    def _close_moving(self) -> None:
        if self._moving is not None:
            self._moving.destroy()
        self._moving = None

    def _on_static(self, message: Any) -> None:
        with self._lock:
            for transform in message.transforms:
                self._add(transform, self._buffer.set_transform_static)

    def _read_moving(self) -> None:
        """Take what has come on /tf and lies between the frames asked for."""
        for raw in self._moving.take() if self._moving is not None else ():
            if self._wanted is not None and not self._wanted.search(raw):
                continue
            for transform in deserialize_message(raw, self._message_type).transforms:
                self._add(transform, self._buffer.set_transform)

    def _add(self, transform: Any, add: Callable[[Any, str], None]) -> None:
        """Add a transform to what is known."""
        self._parents[_bare(transform.child_frame_id)] = _bare(transform.header.frame_id)
        add(transform, self._node.get_name())

    def _explained(
        self, why: Exception, target: str, source: str, stamp_ns: int, source_stamp_ns: int
    ) -> str:
        """Why there is no transform, and what to do if it comes too late."""
        fixed = self._fixed_frame
        through = f' through {fixed!r}' if fixed else ''
        text = f'TF has no transform from {source!r} to {target!r}{through}: {why}'
        legs = ((target, source, stamp_ns),)
        if fixed:
            legs = ((target, fixed, stamp_ns), (source, fixed, source_stamp_ns))
        for one, other, at_ns in legs:
            try:
                newest_ns = self._buffer.get_latest_common_time(one, other).nanoseconds
            except self._unavailable:
                continue
            behind_s = (at_ns - newest_ns) / 1e9
            if behind_s > _OTHER_CLOCK_S:
                return (
                    f'{text}. TF from {other!r} to {one!r} is {behind_s:.0f} s older than the '
                    'message; TF has stopped, or is on another clock than the sensor.'
                )
            if newest_ns and behind_s > 0:
                return (
                    f'{text}. TF comes {self._timeout_s + behind_s:.2f} s or more after the '
                    f'message; raise extrinsic.tf_timeout_s, now {self._timeout_s:g}, above that.'
                )
        return text


def _bare(frame: str) -> str:
    """The name of a frame as TF has it, without the slash of ROS 1."""
    return frame.lstrip('/')


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
        T_camera_lidar = from_translation_quat(config.translation, config.quat_xyzw)
    except GeometryError as error:
        raise NodeError(f'extrinsic: {error}', NO_EXTRINSIC) from error
    doubt = doubt_quaternion(config.quat_xyzw) or doubt_extrinsic(T_camera_lidar)
    _tell_doubt('extrinsic', doubt)
    return FixedExtrinsic(T_camera_lidar)


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
    _tell_doubt(f'extrinsic.file {path}, camera {name!r}', doubt_extrinsic(T_camera_lidar))
    return FixedExtrinsic(T_camera_lidar)


def _tell_doubt(where: str, doubt: str) -> None:
    """Warn of a transform that is unlikely, if it is."""
    if doubt:
        get_logger('depth_ros').warning(f'{where}: {doubt}')


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
