"""Messages out: an Image and a PointCloud2 that are allocated once and refilled in place.

`publish()` copies before it returns, so the same message serves every frame. Its `data` is never
assigned but on a change of size: from an ndarray that costs a second for a cloud.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image, PointCloud2, PointField

from depth_ros.errors import NodeError
from depth_ros.frame import Float32, UInt8
from depth_ros.geometry.cloud import CLOUD_FIELDS, cloud_shape
from depth_ros.pipeline.config import OutputConfig, PointsConfig
from depth_ros.pipeline.result import FusionResult

_PIXELS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    '32FC1': (np.float32, ()),
    '16UC1': (np.uint16, ()),
    'mono8': (np.uint8, ()),
    'rgb8': (np.uint8, (3,)),
    'bgr8': (np.uint8, (3,)),
}


class ImageBuffer:
    """An image message whose pixels are refilled in place.

    Args:
        encoding: `32FC1`, `16UC1`, `mono8`, `rgb8` or `bgr8`.

    Attributes:
        msg: the message to publish; the header is the caller's to set.

    Raises:
        NodeError: another encoding.
    """

    def __init__(self, encoding: str = '32FC1') -> None:
        if encoding not in _PIXELS:
            raise NodeError(f'Cannot publish {encoding!r}; choose one of {", ".join(_PIXELS)}.')
        self.msg = Image(encoding=encoding, is_bigendian=int(sys.byteorder == 'big'))
        self._view: npt.NDArray[np.generic] = self._allocate(0, 0)

    def view(self, height: int, width: int) -> npt.NDArray[np.generic]:
        """The message's pixels, (H, W) or (H, W, 3), to write into; kept while the size is."""
        if self._view.shape[:2] != (height, width):
            self._view = self._allocate(height, width)
        return self._view

    def fill_depth(self, depth_m: Float32) -> None:
        """Write (H, W) depth or sigma in metres: as it is in 32FC1, as millimetres in 16UC1."""
        view = self.view(*depth_m.shape)
        view[...] = depth_to_mm(depth_m) if view.dtype == np.uint16 else depth_m

    def fill_rgb(self, image: UInt8) -> None:
        """Write an (H, W, 3) image; the encoding must be `rgb8`."""
        self.view(*image.shape[:2])[...] = image

    def _allocate(self, height: int, width: int) -> npt.NDArray[np.generic]:
        dtype, channels = _PIXELS[self.msg.encoding]
        shape = (height, width, *channels)
        self.msg.height, self.msg.width = height, width
        self.msg.step = width * int(np.prod(channels)) * np.dtype(dtype).itemsize
        return _fresh_data(self.msg, shape, dtype)


class CloudBuffer:
    """An organised cloud message of float32 fields, not dense, refilled in place.

    Args:
        fields: names in order; each takes 4 bytes. `rgb` holds the bits 0x00RRGGBB, as PCL and
            RViz read it.

    Attributes:
        msg: the message to publish; the header is the caller's to set.
    """

    def __init__(self, fields: Sequence[str] = CLOUD_FIELDS) -> None:
        point_fields = [
            PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(fields)
        ]
        self.msg = PointCloud2(
            fields=point_fields,
            point_step=4 * len(point_fields),
            is_bigendian=sys.byteorder == 'big',
            is_dense=False,
        )
        self._view = self._allocate(0, 0)

    def view(self, height: int, width: int) -> Float32:
        """The message's points, (H, W, fields) float32, to write into; (1, N) if unorganised."""
        if self._view.shape[:2] != (height, width):
            self._view = self._allocate(height, width)
        return self._view

    def fill(
        self,
        result: FusionResult,
        config: OutputConfig | None = None,
        gated: bool = PointsConfig.gated,
    ) -> None:
        """Write the cloud of a result, see there; the fields must be `CLOUD_FIELDS`."""
        config = config or OutputConfig()
        height, width, _ = cloud_shape(result.view.intrinsics, config.cloud_stride)
        result.fill_cloud(self.view(height, width), config, gated)

    def _allocate(self, height: int, width: int) -> Float32:
        self.msg.height, self.msg.width = height, width
        self.msg.row_step = width * self.msg.point_step
        return _fresh_data(self.msg, (height, width, len(self.msg.fields)), np.float32)


def depth_to_mm(depth_m: Float32) -> npt.NDArray[np.uint16]:
    """Depth in whole millimetres (REP-118, 16UC1); 0 = none, also for all beyond 65.535 m."""
    mm = np.rint(depth_m * 1000.0)
    return np.where((mm >= 0) & (mm <= 65535), mm, 0).astype(np.uint16)


def _fresh_data(
    msg: Image | PointCloud2, shape: tuple[int, ...], dtype: type[np.generic]
) -> npt.NDArray[np.generic]:
    """Zeroed `data` for the message, and the view of it."""
    msg.data = array.array('B', bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize))
    # Not of what was assigned: unless ROS_PYTHON_CHECK_FIELDS is 1, the setter has copied it.
    return np.ndarray(shape, dtype, msg.data)
