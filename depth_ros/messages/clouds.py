"""PointCloud2 in: any layout to (N, 3) float32 metres.

What a sensor sends is never trusted: a message that contradicts itself raises `NodeError`, whose
`reason` is the key under which the node counts the drop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from depth_ros.errors import NodeError
from depth_ros.frame import Float32

_FLOATS = {7: 'f4', 8: 'f8'}  # sensor_msgs/PointField: FLOAT32, FLOAT64


def cloud_to_points(msg: Any) -> Float32:
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


def _check_cloud_size(msg: Any, point_bytes: int) -> None:
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
