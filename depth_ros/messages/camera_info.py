"""CameraInfo in: what a driver publishes to the camera of its images."""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_ros.errors import GeometryError, NodeError
from depth_ros.geometry.camera import Camera, Intrinsics, read_lens

# Beyond this the image is another window of the sensor, and scaling K would be a guess.
_MAX_ASPECT_CHANGE = 0.02
_ESTIMATE = ' For a first look, `depth_ros run --estimate-intrinsics` estimates them from images.'


def camera_from_info(msg: Any, image_size: tuple[int, int] | None = None) -> Camera:
    """The camera of images that come with this CameraInfo.

    K and P are those of the full sensor: the ROI's offset is subtracted, then binning divides, as
    image_geometry does. An image of yet another size is taken as that view resized. P = 0 means
    P = K, R = 0 the identity. `geometry.camera.read_lens` tells what D means.

    Args:
        msg: calibration as the driver publishes it.
        image_size: (width, height) of the images in pixels, if known.

    Raises:
        NodeError: reason `bad_camera_info`; the sentence says what is degenerate.
    """
    try:
        K = Intrinsics.from_matrix(np.reshape(msg.k, (3, 3)), msg.width, msg.height)
        P = K
        if np.any(msg.p):
            P = Intrinsics.from_matrix(np.reshape(msg.p, (3, 4)), msg.width, msg.height)
        raw, rectified = _as_delivered(K, msg), _as_delivered(P, msg)
        if image_size is not None and image_size != (raw.width, raw.height):
            _check_aspect(raw, image_size)
            raw, rectified = raw.resized(*image_size), rectified.resized(*image_size)
        model, D = read_lens(msg.distortion_model, msg.d)
        R = msg.r if np.any(msg.r) else np.eye(3).ravel()
        return Camera(raw, model, D, rectified, tuple(float(r) for r in R))
    except GeometryError as error:
        way_out = '' if msg.k[0] else _ESTIMATE
        raise NodeError(
            f'CameraInfo cannot be used: {error}{way_out}', 'bad_camera_info'
        ) from error


def _as_delivered(full: Intrinsics, msg: Any) -> Intrinsics:
    """Intrinsics of the window of the sensor that the driver sends, binned."""
    roi = msg.roi
    if roi.x_offset + roi.width > full.width or roi.y_offset + roi.height > full.height:
        raise GeometryError(
            f'ROI {roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset}) leaves the '
            f'{full.width}x{full.height} sensor.'
        )
    width, height = (
        roi.width or full.width - roi.x_offset,
        roi.height or full.height - roi.y_offset,
    )
    window = full.cropped(roi.x_offset, roi.y_offset, width, height)
    bx, by = max(1, msg.binning_x), max(1, msg.binning_y)
    return Intrinsics(
        window.width // bx,
        window.height // by,
        window.fx / bx,
        window.fy / by,
        window.cx / bx,
        window.cy / by,
    )


def _check_aspect(camera: Intrinsics, image_size: tuple[int, int]) -> None:
    width, height = image_size
    if width < 1 or height < 1:
        raise GeometryError(f'Image size must be positive, got {width}x{height}.')
    change = (width / camera.width) / (height / camera.height)
    if abs(change - 1) > _MAX_ASPECT_CHANGE:
        raise GeometryError(
            f'The image is {width}x{height} and CameraInfo describes {camera.width}x'
            f'{camera.height}, another aspect ratio; publish the CameraInfo of this image.'
        )
