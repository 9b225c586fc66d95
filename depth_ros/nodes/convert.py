"""What arrays to messages and back need of ROS; the rest is in `messages` and `buffers`.

What a sensor sends is never trusted: a message that contradicts itself raises `NodeError`, whose
`reason` is the key under which the node counts the drop.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from depth_ros.errors import NodeError
from depth_ros.frame import UInt8
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.messages import images
from depth_ros.messages.camera_info import camera_from_info
from depth_ros.messages.compressed import compressed_to_rgb
from depth_ros.nodes.buffers import CloudBuffer

# Three are of other modules: scripts of users take them from here.
__all__ = [
    'CloudBuffer',
    'camera_from_info',
    'compressed_to_rgb',
    'image_to_rgb',
    'info_from_camera',
    'info_from_intrinsics',
    'ns_to_stamp',
    'stamp_to_ns',
]


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a message stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """Message stamp of nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def image_to_rgb(msg: Image, say: Callable[[str], None] | None = None) -> UInt8:
    """The image as (H, W, 3) uint8 RGB: by `messages.images`, what that lacks by cv_bridge.

    Raises:
        NodeError: as `messages.images.image_to_rgb`.
    """
    try:
        return images.image_to_rgb(msg, say)
    except images.UnknownEncodingError as error:
        refusal, reason = str(error), error.reason
    try:
        from cv_bridge import CvBridge

        return CvBridge().imgmsg_to_cv2(msg, desired_encoding='rgb8')
    except Exception as error:  # it raises whatever OpenCV, NumPy and Boost do
        # Compiled for NumPy 1 it fails so, when it is imported or when it first converts.
        is_broken = isinstance(error, (ImportError, AttributeError, SystemError))
        if getattr(error, 'name', '') == 'cv_bridge' and isinstance(error, ModuleNotFoundError):
            way_out = 'cv_bridge is not installed; install it or convert the image'
        elif not is_broken and 'numpy' not in str(error).lower():
            way_out = f'cv_bridge cannot convert it: {error}'
        else:
            way_out = (
                f'cv_bridge is broken ({type(error).__name__}: {error}). Most are compiled for '
                f'NumPy 1, and NumPy {np.__version__} is installed: install "numpy<2", build '
                'cv_bridge anew, or have the camera publish one of these encodings'
            )
        raise NodeError(f'{refusal}, and {way_out}.', reason) from error


def info_from_intrinsics(
    msg: CameraInfo, intrinsics: Intrinsics, offset_m: Sequence[float] = (0.0, 0.0, 0.0)
) -> None:
    """Make `msg` the CameraInfo of a rectified image; its header is left alone.

    D = 0, R = I, K = P[:3, :3], no ROI, no binning: readers of K, of P and of D all agree.

    Args:
        msg: is filled.
        intrinsics: of the image.
        offset_m: (3,) where the frame of the image lies in that of the view: P[:, 3] = K offset.
    """
    msg.width, msg.height = intrinsics.width, intrinsics.height
    msg.distortion_model, msg.d = 'plumb_bob', array.array('d', [0.0] * 5)
    msg.k, msg.r = intrinsics.matrix.ravel(), np.eye(3).ravel()
    msg.p = np.column_stack((intrinsics.matrix, intrinsics.matrix @ offset_m)).ravel()
    msg.binning_x = msg.binning_y = 0
    msg.roi = RegionOfInterest()


def info_from_camera(msg: CameraInfo, camera: Camera) -> None:
    """Make `msg` the CameraInfo of a raw image; its header is left alone."""
    raw, rectified = camera.intrinsics, camera.rectified
    msg.width, msg.height = raw.width, raw.height
    if camera.distortion_model == 'none':
        msg.distortion_model, msg.d = 'plumb_bob', array.array('d', [0.0] * 5)
    else:
        msg.distortion_model, msg.d = camera.distortion_model, array.array('d', camera.D)
    msg.k, msg.r = raw.matrix.ravel(), np.array(camera.R_rect)
    msg.p = np.column_stack((rectified.matrix, rectified.matrix @ camera.t_rect)).ravel()
