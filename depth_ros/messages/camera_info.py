"""CameraInfo in: what a driver publishes to the camera of its images.

K and P are those of the full sensor, of which the ROI and then the binning deliver a part; drivers
disagree about that, and the size of the image and the principal point tell what they mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from depth_ros.errors import GeometryError, NodeError
from depth_ros.geometry.camera import Camera, Intrinsics, read_lens

# Beyond this the image is another window of the sensor, and scaling K would be a guess.
_MAX_ASPECT_CHANGE = 0.02
_WIDEST_RIG_M = 10.0
_ESTIMATE = ' For a first look, `depth_ros run --estimate-intrinsics` estimates them from images.'
# Distance of the principal point from the middle, in parts of the image's size.
_CENTRED, _NEARLY_CENTRED, _CLEARLY_MORE = 0.1, 0.2, 0.1


class _View(NamedTuple):
    """One way in which an image may come of the sensor that K and P describe.

    Attributes:
        size: (width, height) of the image.
        divisor: by which K is divided, in x and y.
        offset: of the image's first pixel on the sensor, in the pixels of K.
        reading: what is said if the message is read so.
    """

    size: tuple[int, int]
    divisor: tuple[int, int]
    offset: tuple[int, int]
    reading: str = ''

    def of(self, full: Intrinsics) -> Intrinsics:
        """The pinhole of the image."""
        (dx, dy), (x, y) = self.divisor, self.offset
        cx, cy = (full.cx - x) / dx, (full.cy - y) / dy
        return Intrinsics(*self.size, full.fx / dx, full.fy / dy, cx, cy)

    def eccentricity(self, full: Intrinsics) -> float:
        """How far the principal point is from the middle, in parts of the image's size."""
        pinhole = self.of(full)
        x, y = (pinhole.cx + 0.5) / pinhole.width, (pinhole.cy + 0.5) / pinhole.height
        return max(abs(x - 0.5), abs(y - 0.5))


def camera_from_info(
    msg: Any,
    image_size: tuple[int, int] | None = None,
    say: Callable[[str], None] | None = None,
    frame_is_first: bool = False,
) -> Camera:
    """The camera of images that come with this CameraInfo.

    K and P are those of the full sensor: the ROI's offset is subtracted, then binning divides, as
    image_geometry does. Where that contradicts the image, the other reading is taken that has the
    principal point in the middle, if there is one. An image of yet another size is taken as that
    view resized. P = 0 and P = I mean P = K, R = 0 the identity. `geometry.camera.read_lens` tells
    what D means.

    Args:
        msg: sensor_msgs/CameraInfo, as the driver publishes it.
        image_size: (width, height) of the images in pixels, if known.
        say: is told in a sentence what of the message is wrong and how it is read.
        frame_is_first: whether the frame of the image is that of the first camera of a stereo
            pair, which this camera is the second of: then its place beside that one counts, see
            `stereo_offset_m`.

    Raises:
        NodeError: reason `bad_camera_info`; the sentence says what is degenerate, or has more
            than one reading.
    """
    problems: list[str] = []
    try:
        K = Intrinsics.from_matrix(np.reshape(msg.k, (3, 3)), *_size(msg, image_size, problems))
        P = _rectified(msg, K, problems)
        view = _view(msg, K, image_size)
        raw, rectified = view.of(K), view.of(P)
        if view.reading:
            problems.append(view.reading)
        if image_size is not None and image_size != (raw.width, raw.height):
            _check_aspect(raw, image_size)
            raw, rectified = raw.resized(*image_size), rectified.resized(*image_size)
        model, D = read_lens(msg.distortion_model, msg.d)
        R = msg.r if np.any(msg.r) else np.eye(3).ravel()
        offset_m = stereo_offset_m(msg) if frame_is_first else (0.0, 0.0, 0.0)
        camera = Camera(raw, model, D, rectified, tuple(float(r) for r in R), offset_m)
    except GeometryError as error:
        way_out = '' if msg.k[0] else _ESTIMATE
        raise NodeError(
            f'CameraInfo cannot be used: {error}{way_out}', 'bad_camera_info'
        ) from error
    for problem in problems:
        if say:
            say(f'The CameraInfo of {msg.header.frame_id!r} is odd: {problem}.')
    return camera


def stereo_offset_m(msg: Any) -> tuple[float, float, float]:
    """Where the first camera of a stereo pair lies in the rectified frame of this one, metres.

    It is K'^-1 P[:, 3]: P of a second camera projects points in the frame of the first
    (sensor_msgs/CameraInfo); 0 for the first camera, and for one alone.

    Raises:
        GeometryError: P[:, 3] is not finite, or puts the cameras further apart than a rig is wide.
    """
    P = np.reshape(np.asarray(msg.p, np.float64), (3, 4))
    if not P[:, 3].any():
        return (0.0, 0.0, 0.0)
    if not np.isfinite(P).all() or not P[0, 0] * P[1, 1]:
        raise GeometryError(f'P[:, 3] must be finite, got {P[:, 3].tolist()}; the first is -f B.')
    z = P[2, 3]
    offset = ((P[0, 3] - P[0, 2] * z) / P[0, 0], (P[1, 3] - P[1, 2] * z) / P[1, 1], z)
    distance_m = math.hypot(*offset)
    if distance_m > _WIDEST_RIG_M:
        raise GeometryError(
            f'P[:, 3] = {P[:, 3].tolist()} puts the cameras of a stereo pair {distance_m:g} m '
            f'apart; it must be -f B with the baseline B in metres, at most {_WIDEST_RIG_M:g}.'
        )
    return (float(offset[0]), float(offset[1]), float(offset[2]))


def _size(msg: Any, image_size: tuple[int, int] | None, problems: list[str]) -> tuple[int, int]:
    """(width, height) of the sensor; the image's if the driver leaves them 0 and K fits it."""
    if msg.width or msg.height or image_size is None or not msg.k[0]:
        return msg.width, msg.height
    full = Intrinsics.from_matrix(np.reshape(msg.k, (3, 3)), *image_size)
    if _View(image_size, (1, 1), (0, 0)).eccentricity(full) > _CENTRED:
        return 0, 0
    width, height = image_size
    problems.append(
        f'width and height are 0, they are taken for those of the image, {width}x{height}'
    )
    return image_size


def _rectified(msg: Any, K: Intrinsics, problems: list[str]) -> Intrinsics:
    P = np.reshape(msg.p, (3, 4))
    if not P.any():
        return K
    if np.array_equal(P[:, :3], np.eye(3)):
        problems.append('P is the identity, which no camera has; K is taken in its place')
        return K
    return Intrinsics.from_matrix(P, K.width, K.height)


def _view(msg: Any, K: Intrinsics, image_size: tuple[int, int] | None) -> _View:
    """The part of the sensor that the image shows."""
    roi, full = msg.roi, (K.width, K.height)
    binning = max(1, msg.binning_x), max(1, msg.binning_y)
    offset = roi.x_offset, roi.y_offset
    window = roi.width or full[0] - offset[0], roi.height or full[1] - offset[1]
    specified = _View((window[0] // binning[0], window[1] // binning[1]), binning, offset)
    is_inside = offset[0] + roi.width <= full[0] and offset[1] + roi.height <= full[1]
    views = [specified] if is_inside else []
    if image_size is not None:
        views += _other_views(full, window, offset, binning)
    fitting = {(v.divisor, v.offset): v for v in views[::-1] if v.size == image_size}
    if not fitting or image_size is None:
        if not is_inside:
            raise GeometryError(
                f'ROI {roi.width}x{roi.height} at {offset} leaves the {full[0]}x{full[1]} sensor.'
            )
        return specified
    best, *others = sorted(fitting.values(), key=lambda view: view.eccentricity(K))
    nearest = best.eccentricity(K)
    is_clear = all(view.eccentricity(K) >= nearest + _CLEARLY_MORE for view in others)
    if specified in fitting.values():
        # It is right unless it cannot well be, and one other is.
        eccentric = specified.eccentricity(K) > _NEARLY_CENTRED
        return best if eccentric and is_clear and nearest <= _CENTRED else specified
    if is_clear and nearest <= _NEARLY_CENTRED:
        return best
    raise GeometryError(
        f'The image is {image_size[0]}x{image_size[1]}, width and height are {full[0]}x{full[1]}, '
        f'binning is {binning[0]}x{binning[1]}, the ROI {window[0]}x{window[1]} at {offset}, and '
        f'the principal point ({K.cx:g}, {K.cy:g}) leaves more than one reading, or none. Have '
        'the driver give K, width and height of the full sensor, or binning and ROI of 0.'
    )


def _other_views(
    full: tuple[int, int],
    window: tuple[int, int],
    offset: tuple[int, int],
    binning: tuple[int, int],
) -> Iterator[_View]:
    """What drivers mean that do not keep to the specification."""
    binned = window[0] // binning[0], window[1] // binning[1]
    one, none = (1, 1), (0, 0)
    if binning != one or offset != none or window != full:
        as_it_is = 'binning and ROI are set, but K is that of the image; it is taken as it is'
        yield _View(full, one, none, as_it_is)
        yield _View(binned, one, none, as_it_is)
        yield _View(
            full,
            binning,
            offset,
            f'{full[0]}x{full[1]} is the size of the image, but K is that of the sensor; K is '
            'cropped and binned',
        )
    if binning != one and (offset != none or window != full):
        yield _View(window, one, none, as_it_is)
        yield _View(
            window, one, offset, 'binning is set, but the image is the ROI unbinned; K is cropped'
        )
        yield _View(
            window,
            binning,
            (offset[0] * binning[0], offset[1] * binning[1]),
            'the ROI is given in binned pixels; K is binned before it is cropped',
        )
        yield _View(
            (full[0] // binning[0], full[1] // binning[1]),
            binning,
            none,
            'a ROI is set, but the image is that of the whole sensor; K is binned',
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
