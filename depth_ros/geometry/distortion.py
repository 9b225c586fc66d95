"""Images of a distorted camera to images of its rectified pinhole, and pixels both ways.

The lens models are those of sensor_msgs/CameraInfo, computed by OpenCV: plumb_bob and
rational_polynomial (Brown; `cv2`), equidistant (Kannala-Brandt; `cv2.fisheye`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import FrameError
from depth_ros.frame import Bool, Float64, UInt8
from depth_ros.geometry.camera import Camera
from depth_ros.geometry.resize import resize_image


def rectify_image(image: UInt8, camera: Camera) -> UInt8:
    """The image as the rectified pinhole would see it; black where the camera did not look.

    It is the view of image_proc: turned by the camera's `R_rect`.

    Args:
        image: (H, W, 3) or (H, W) uint8 of the raw camera.
        camera: its calibration; the maps are made once, and kept as long as the camera is.
    """
    size = (camera.intrinsics.height, camera.intrinsics.width)
    if image.shape[:2] != size:
        raise FrameError(f'image must have size {size}, got {image.shape[:2]}.')
    if camera.is_rectified:
        return image
    map1, map2 = _rectify_maps(camera)
    rectified: UInt8 = cv2.remap(image, map1, map2, cv2.INTER_LINEAR)
    return rectified


def seen_mask(camera: Camera, width: int, height: int) -> Bool | None:
    """Where the rectified view (height, width) shows something; None = everywhere.

    Args:
        camera: its calibration; the mask of each size is made once and kept like the maps.
        width: of the view, which may be resized.
        height: of the view.
    """
    if camera.is_rectified:
        return None
    seen: Bool | None
    seen = _kept(camera, ('seen', width, height), lambda: _seen_mask(camera, width, height))
    return seen


def distort_pixels(pixels: npt.NDArray[np.floating], camera: Camera) -> npt.NDArray[np.floating]:
    """Pixels (N, 2) of the rectified image to pixels (N, 2) of the raw image."""
    rect = camera.rectified
    rays = np.empty((len(pixels), 3))
    rays[:, 0] = (pixels[:, 0] - rect.cx) / rect.fx
    rays[:, 1] = (pixels[:, 1] - rect.cy) / rect.fy
    rays[:, 2] = 1.0
    rays = rays @ _rotation(camera)  # R^T of each: into the camera's own orientation
    K, D, zero = camera.intrinsics.matrix, np.asarray(camera.D or (0.0,) * 4), np.zeros(3)
    if camera.distortion_model == 'equidistant':
        distorted, _ = cv2.fisheye.projectPoints(rays[None], zero, zero, K, D)
    else:
        distorted, _ = cv2.projectPoints(rays, zero, zero, K, D)
    return np.asarray(distorted, dtype=np.float64).reshape(-1, 2)


def undistort_pixels(pixels: npt.NDArray[np.floating], camera: Camera) -> npt.NDArray[np.floating]:
    """Pixels (N, 2) of the raw image to pixels (N, 2) of the rectified image."""
    K, D, P = camera.intrinsics.matrix, np.asarray(camera.D or (0.0,) * 4), camera.rectified.matrix
    raw = np.asarray(pixels, dtype=np.float64).reshape(-1, 1, 2)
    if camera.distortion_model == 'equidistant':
        ideal = cv2.fisheye.undistortPoints(raw, K, D, R=_rotation(camera), P=P)
    else:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
        # OpenCV 5 merged the two; without criteria version 4 stops after five iterations.
        iterate = getattr(cv2, 'undistortPointsIter', cv2.undistortPoints)
        ideal = iterate(raw, K, D, R=_rotation(camera), P=P, criteria=criteria)
    return np.asarray(ideal, dtype=np.float64).reshape(-1, 2)


# By camera, so that any number of cameras may be in use: what was made for one goes with it.
# Cameras that are equal share it.
_KEPT: WeakKeyDictionary[Camera, dict[object, Any]] = WeakKeyDictionary()


def _kept(camera: Camera, key: object, make: Callable[[], Any]) -> Any:
    """What was made for a camera under a key; made now if it was not."""
    kept = _KEPT.setdefault(camera, {})
    if key not in kept:
        kept[key] = make()
    return kept[key]


def _rotation(camera: Camera) -> Float64:
    return np.reshape(np.asarray(camera.R_rect), (3, 3))


def _seen_mask(camera: Camera, width: int, height: int) -> Bool | None:
    size = (camera.intrinsics.height, camera.intrinsics.width)
    white = cv2.remap(np.full(size, 255, np.uint8), *_rectify_maps(camera), cv2.INTER_LINEAR)
    seen: Bool = resize_image(white, width, height) == 255
    return None if seen.all() else seen


def _rectify_maps(camera: Camera) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    maps: tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]
    maps = _kept(camera, 'maps', lambda: _make_maps(camera))
    return maps


def _make_maps(camera: Camera) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    K, D, P = camera.intrinsics.matrix, np.asarray(camera.D or (0.0,) * 4), camera.rectified.matrix
    size = (camera.rectified.width, camera.rectified.height)
    fisheye = camera.distortion_model == 'equidistant'
    initialise = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
    map1, map2 = initialise(K, D, _rotation(camera), P, size, cv2.CV_16SC2)
    return map1, map2
