"""Numbers that are possible but unlikely, told from the mistake that would make them.

What cannot be is refused where it is read (`as_transform`, `Intrinsics.from_matrix`). Here are
suspicions: each function gives a sentence with the value, the suspicion and the way out, or an
empty one. Whoever reads the numbers says it once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.transforms import from_translation_quat, inverse

FEW_RETURNS = 16  # fewer are not judged
FAR_RETURNS_M = 1000.0  # half of a sweep beyond this: only survey aircraft measure so far
LONG_LEVER_M = 20.0  # between the sensors of one rig
SLOW_PERIOD_S = 20.0  # between frames of a recording
DEPTH_M = (0.02, 300.0)  # median of a depth image
_UPRIGHT, _NOT_UPRIGHT = 0.8, 0.5  # cosine between the LiDAR's z axis and up in the image


def doubt_cloud(points: npt.NDArray[np.floating]) -> str:
    """Of a sweep (N, 3) whose coordinates look like millimetres."""
    with np.errstate(over='ignore', invalid='ignore'):
        ranges = np.linalg.norm(points, axis=1)
    ranges = ranges[np.isfinite(ranges) & (ranges > 0)]
    if len(ranges) < FEW_RETURNS or np.median(ranges) < FAR_RETURNS_M:
        return ''
    return (
        f'Half of the returns are farther than {np.median(ranges):.0f} m away, as if coordinates '
        'were millimetres; give them in metres.'
    )


def doubt_intrinsics(intrinsics: Intrinsics) -> str:
    """Of a principal point so far from the middle that K may be that of another image size."""
    u = (intrinsics.cx + 0.5) / intrinsics.width
    v = (intrinsics.cy + 0.5) / intrinsics.height
    if abs(u - v) > 0.05 or 0.3 < u < 0.7:
        return ''
    width, height = 2 * intrinsics.cx + 1, 2 * intrinsics.cy + 1
    if width < 2 or height < 2:
        return (
            f'The principal point ({intrinsics.cx:g}, {intrinsics.cy:g}) is in the corner of the '
            'image or outside, as if it had been left out; give cx and cy in pixels.'
        )
    return (
        f'The principal point ({intrinsics.cx:g}, {intrinsics.cy:g}) is far from the middle of a '
        f'{intrinsics.width}x{intrinsics.height} image, as if K were that of '
        f'{width:.0f}x{height:.0f}; scale fx, fy, cx and cy by {1 / (2 * u):.3g}.'
    )


def doubt_extrinsic(T_camera_lidar: Float64) -> str:
    """Of a transform in millimetres, or of one from the camera into the LiDAR."""
    length_m = float(np.linalg.norm(T_camera_lidar[:3, 3]))
    if length_m > LONG_LEVER_M:
        return (
            f'The LiDAR would be {length_m:.0f} m away from the camera, as if the translation '
            'were in millimetres; give it in metres.'
        )
    if _is_upright(inverse(T_camera_lidar)) and not _is_upright(T_camera_lidar, _NOT_UPRIGHT):
        return (
            'The extrinsic lays the LiDAR on its side, and its inverse would not, as if it mapped '
            'the camera into the LiDAR; wanted is p_camera = T_camera_lidar p_lidar.'
        )
    return ''


def doubt_quaternion(quat_xyzw: Sequence[float]) -> str:
    """Of a rotation from the LiDAR into the camera whose numbers look like w, x, y, z."""
    w, x, y, z = quat_xyzw
    given = from_translation_quat((0.0, 0.0, 0.0), quat_xyzw)
    other = from_translation_quat((0.0, 0.0, 0.0), (x, y, z, w))
    if not _is_upright(other) or _is_upright(given, _NOT_UPRIGHT):
        return ''
    return (
        f'The quaternion {list(quat_xyzw)} lays the LiDAR on its side, and would not if its order '
        'were w, x, y, z; wanted is x, y, z, w.'
    )


def doubt_times(stamps_ns: Sequence[int]) -> str:
    """Of the times of frames that look like milliseconds, or still smaller parts of a second."""
    steps_s = np.diff(np.unique(np.array(stamps_ns, dtype=np.float64))) / 1e9
    if len(steps_s) < 2 or np.median(steps_s) < SLOW_PERIOD_S:
        return ''
    period_s = float(np.median(steps_s))
    unit = {1: 'milliseconds', 2: 'microseconds', 3: 'nanoseconds'}[
        min(3, max(1, round(np.log10(period_s / 0.1) / 3)))
    ]
    return f'Frames are {period_s:g} s apart, as if their times were {unit}; give them in seconds.'


def doubt_depth(depth_m: npt.NDArray[np.floating]) -> str:
    """Of a depth image (H, W), 0 = unknown, that is near or far as only a wrong scale makes it."""
    known = depth_m[depth_m > 0]
    if known.size < 16 or DEPTH_M[0] <= np.median(known) <= DEPTH_M[1]:
        return ''
    return (
        f'Half of the depth image is {"beyond" if np.median(known) > 1 else "within"} '
        f'{np.median(known):g} m, as if the scale were wrong by a factor; it is metres per unit, '
        '0.001 for millimetres.'
    )


def _is_upright(T_camera_lidar: Float64, share: float = _UPRIGHT) -> bool:
    """Whether the LiDAR's z axis points up in the image (-y) by so much."""
    return bool(-T_camera_lidar[1, 2] > share)
