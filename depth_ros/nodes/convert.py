"""Messages to arrays and back: pure functions, and the door to `encodings` and `buffers`.

What a sensor sends is never trusted: a message that contradicts itself raises `NodeError`, whose
`reason` is the key under which the node counts the drop.
"""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField, RegionOfInterest

from depth_ros.errors import GeometryError, NodeError
from depth_ros.frame import Float32
from depth_ros.geometry.camera import Camera, Intrinsics, read_lens
from depth_ros.nodes.buffers import CloudBuffer, ImageBuffer, depth_to_mm
from depth_ros.nodes.encodings import ENCODINGS, compressed_to_rgb, image_to_rgb

__all__ = [
    'ENCODINGS',
    'CloudBuffer',
    'ImageBuffer',
    'camera_from_info',
    'cloud_to_points',
    'compressed_to_rgb',
    'depth_to_mm',
    'image_to_rgb',
    'info_from_camera',
    'info_from_intrinsics',
    'ns_to_stamp',
    'stamp_to_ns',
]

_FLOATS = {PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}
# Beyond this the image is another window of the sensor, and scaling K would be a guess.
_MAX_ASPECT_CHANGE = 0.02
_ESTIMATE = ' For a first look, `depth_ros run --estimate-intrinsics` estimates them from images.'


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a message stamp."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def ns_to_stamp(stamp_ns: int) -> Time:
    """Message stamp of nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def cloud_to_points(msg: PointCloud2) -> Float32:
    """The cloud's x y z as (N, 3) float32 metres, in a fresh array, row after row.

    Any order and place of the fields, float32 or float64, either byte order, padded or not.

    Raises:
        NodeError: reason `empty_cloud`, `missing_fields`, `bad_step` or `bad_data_length`.
    """
    if msg.width == 0 or msg.height == 0:
        raise NodeError(f'Cloud is empty: {msg.width}x{msg.height} points.', 'empty_cloud')
    fields = {field.name: field for field in msg.fields}
    if not all(axis in fields and fields[axis].datatype in _FLOATS for axis in 'xyz'):
        given = ', '.join(f'{f.name} (datatype {f.datatype})' for f in msg.fields) or 'none'
        raise NodeError(
            f'Cloud needs x, y and z as FLOAT32 or FLOAT64, its fields are: {given}.',
            'missing_fields',
        )
    order = '>' if msg.is_bigendian else '<'
    columns = [(np.dtype(order + _FLOATS[fields[a].datatype]), fields[a].offset) for a in 'xyz']
    _check_cloud_size(msg, max(offset + dtype.itemsize for dtype, offset in columns))

    shape, strides = (msg.height, msg.width), (msg.row_step, msg.point_step)
    points = np.empty((*shape, 3), np.float32)
    # Column by column: NumPy copies a (N, 3) view five times slower, its inner loop being 3 long.
    with np.errstate(over='ignore', invalid='ignore'):  # a wild float64 becomes inf, silently
        for axis, (dtype, offset) in enumerate(columns):
            points[..., axis] = np.ndarray(shape, dtype, msg.data, offset, strides)
    return points.reshape(-1, 3)


def camera_from_info(msg: CameraInfo, image_size: tuple[int, int] | None = None) -> Camera:
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


def info_from_intrinsics(msg: CameraInfo, intrinsics: Intrinsics) -> None:
    """Make `msg` the CameraInfo of a rectified image; its header is left alone.

    D = 0, R = I, K = P[:3, :3], no ROI, no binning: readers of K, of P and of D all agree.
    """
    msg.width, msg.height = intrinsics.width, intrinsics.height
    msg.distortion_model, msg.d = 'plumb_bob', array.array('d', [0.0] * 5)
    msg.k, msg.r = intrinsics.matrix.ravel(), np.eye(3).ravel()
    msg.p = np.column_stack((intrinsics.matrix, np.zeros(3))).ravel()
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
    msg.p = np.column_stack((rectified.matrix, np.zeros(3))).ravel()


def _check_cloud_size(msg: PointCloud2, point_bytes: int) -> None:
    if msg.point_step < point_bytes or msg.row_step < msg.width * msg.point_step:
        raise NodeError(
            f'Cloud of width {msg.width} has point_step {msg.point_step} (its fields need '
            f'{point_bytes}) and row_step {msg.row_step} (must be >= width x point_step).',
            'bad_step',
        )
    if len(msg.data) != msg.row_step * msg.height:
        raise NodeError(
            f'Cloud data has {len(msg.data)} bytes, row_step x height = {msg.row_step} x '
            f'{msg.height} asks for {msg.row_step * msg.height}.',
            'bad_data_length',
        )


def _as_delivered(full: Intrinsics, msg: CameraInfo) -> Intrinsics:
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
