"""Why no return of a sweep falls into its image: suspicions that are tried out, then named."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import indices_in_view

T_OPTICAL_BODY = np.array(
    [[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
)
"""From a body frame (x forward, y left, z up) to the optical one at the same place (REP-103)."""
MIN_RETURNS, MIN_SHARE = 16, 0.01
"""So many of the returns must fall into the image for a suspicion to be named."""


def explain_no_return(
    points: npt.NDArray[np.floating],
    usable: int,
    T_camera_lidar: Float64,
    intrinsics: Intrinsics,
    frame_id: str = '',
) -> str:
    """The sentence for a sweep of which nothing falls into the image.

    Args:
        points: (N, 3) in the LiDAR frame, metres.
        usable: number of them that pass the limits of range and the robot's box.
        T_camera_lidar: (4, 4), the extrinsic in use.
        intrinsics: the rectified camera.
        frame_id: name of the image's frame; empty if it has none.
    """
    text = f'No LiDAR return falls into the image, of {len(points)} in the sweep'
    if usable == 0:
        return (
            f'{text}: none of them is within projection.min_range_m and max_range_m and outside '
            'projection.ego_box; check these and that the sweep is not empty.'
        )

    def explains(T: Float64) -> bool:
        seen = len(indices_in_view(points, T, intrinsics))
        return seen >= max(MIN_RETURNS, MIN_SHARE * len(points))

    if explains(T_OPTICAL_BODY @ T_camera_lidar):
        named = f'the frame {frame_id!r} of the image' if frame_id else 'the frame of the image'
        return (
            f'{text}: {named} looks like a body frame (x forward); the image needs an optical '
            'frame (z forward). Put its name into the header of image and CameraInfo, and its '
            'rotation into the extrinsic.'
        )
    if explains(transforms.inverse(T_camera_lidar)):
        return (
            f'{text}, but many do if the extrinsic is turned round: give the transform that maps '
            'points of the LiDAR into the camera (p_camera = T_camera_lidar p_lidar).'
        )
    return (
        f'{text}; check the extrinsic (T_camera_lidar), the mask and that both sensors look the '
        'same way.'
    )
