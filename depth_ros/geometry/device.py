"""The geometry of a frame on a torch device: twins of the NumPy functions of the same names.

They take tensors for arrays and give the same numbers: every step is the same float32 operation,
so only a compiler that fuses or approximates them could tell the two apart. Nothing waits for the
device but `download`, `fill_cloud` and `mean_spacing_px`; hence no result has a size that only the
device knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_ros.errors import import_optional
from depth_ros.frame import DepthKind, Float32, Float64
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.cloud import Gate, check_cloud
from depth_ros.geometry.projection import (
    NEAR_PLANE_M,
    occlusion_width_px,
    occlusion_window,
    projection_rows,
    spacing_px,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DeviceView:
    """A `CameraView` on a device.

    Attributes:
        image: (H, W, 3) uint8 RGB, rectified.
        sparse_m: (H, W) float32 depth along the optical axis in metres, 0 = no measurement.
        intrinsics: pinhole camera of both.
        stamp_ns: time of the image.
        T_camera_view: (4, 4) on the host, as of a `CameraView`.
    """

    image: Tensor
    sparse_m: Tensor
    intrinsics: Intrinsics
    stamp_ns: int = 0
    T_camera_view: Float64 | None = None


@dataclass(frozen=True)
class DeviceEstimate:
    """A `DepthEstimate` on a device.

    Attributes:
        depth_m: (H, W) float32 metres along the optical axis; NaN = unknown.
        sigma_m: (H, W) float32 metres; NaN where depth is.
        kind: what the numbers mean.
    """

    depth_m: Tensor
    sigma_m: Tensor
    kind: DepthKind = DepthKind.METRIC


def upload(array: npt.NDArray[Any], device: str) -> Tensor:
    """A tensor of an array on `device`; the copy to a GPU runs beside what follows.

    On `cpu` it shares the array's memory, if that is contiguous and writable.

    Raises:
        MissingDependencyError: PyTorch is not installed.
    """
    torch = import_optional('torch', 'torch')
    tensor = torch.from_numpy(np.require(array, requirements=('C', 'W')))
    if torch.device(device).type == 'cuda':
        tensor = tensor.pin_memory()  # a GPU fetches by itself only what cannot be paged out
    return tensor.to(device, non_blocking=True)


def download(tensor: Tensor) -> npt.NDArray[Any]:
    """An array of a tensor, once the device has got so far."""
    import torch

    array = tensor.to('cpu', non_blocking=True)  # into pinned memory, if from a GPU
    if tensor.is_cuda:
        torch.cuda.current_stream(tensor.device).synchronize()
    return array.numpy()


def usable_returns(
    points: Tensor,
    min_range_m: float,
    max_range_m: float,
    ego_box: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
) -> Tensor:
    """Mask (N,) of the returns (N, 3) that measure the world; see `projection`."""
    x, y, z = axes = points.unbind(1)
    range2 = x * x + y * y + z * z
    keep = (range2 > 0) & (range2 >= min_range_m**2) & (range2 <= max_range_m**2)
    if ego_box is not None:
        inside = [(a >= low) & (a <= high) for a, low, high in zip(axes, *ego_box, strict=True)]
        keep &= ~(inside[0] & inside[1] & inside[2])
    return keep


def project_lidar(points: Tensor, T_camera_lidar: Float64, intrinsics: Intrinsics) -> Tensor:
    """Sparse depth (H, W) of returns (N, 3): a z-buffer, see `projection`.

    Args:
        points: (N, 3) in the LiDAR frame, metres; those out of view or not finite are ignored.
        T_camera_lidar: (4, 4) on the host.
        intrinsics: the rectified pinhole camera.
    """
    height, width = intrinsics.height, intrinsics.width
    x, y, z = points.float().unbind(1)
    rows = projection_rows(T_camera_lidar, intrinsics)
    u, v, depth_m = (a * x + b * y + c * z + d for a, b, c, d in rows)
    seen = (depth_m > NEAR_PLANE_M) & (u >= -0.5 * depth_m) & (v >= -0.5 * depth_m)
    seen &= (u < (width - 0.5) * depth_m) & (v < (height - 0.5) * depth_m)
    # Those out of view end in some pixel, too, but infinitely far away.
    column = (u / depth_m).round().nan_to_num().clamp(0, width - 1).long()
    row = (v / depth_m).round().nan_to_num().clamp(0, height - 1).long()
    return _nearest(row * width + column, depth_m.where(seen, math.inf), height, width)


def mean_spacing_px(sparse_m: Tensor) -> float:
    """Mean distance between returns (H, W) in pixels; see `projection`. Waits for the device.

    Raises:
        GeometryError: there is no return.
    """
    import torch

    found = sparse_m > 0
    spans = [found.sum()]
    for hit in (found.any(0), found.any(1)):
        at = torch.arange(hit.numel(), device=hit.device)
        spans += [at.where(hit, hit.numel()).min(), at.where(hit, -1).max()]
    returns, left, right, top, bottom = torch.stack(spans).tolist()
    return spacing_px((right - left + 1) * (bottom - top + 1), returns)


def remove_occluded(sparse_m: Tensor, margin: float, window_px: int = 0) -> Tensor:
    """Drop returns (H, W) that something nearer covers; see `projection`.

    Waits for the device if the window is left to it.
    """
    from torch.nn.functional import max_pool2d

    height, width = occlusion_window(window_px or occlusion_width_px(mean_spacing_px(sparse_m)))
    inverse = (1.0 / sparse_m).where(sparse_m > 0, 0.0)
    nearest = max_pool2d(inverse[None], (1, width), stride=1, padding=(0, width // 2))
    nearest = max_pool2d(nearest, (height, 1), stride=1, padding=(height // 2, 0))[0]
    return sparse_m.masked_fill(nearest > inverse * (1.0 + margin), 0.0)


def resize_sparse(sparse_m: Tensor, width: int, height: int) -> Tensor:
    """Sparse depth at another size; the nearest return of a pixel wins; see `resize`."""
    import torch

    def moved(old: int, new: int) -> Tensor:
        centre = torch.arange(old, dtype=torch.float64, device=sparse_m.device) + 0.5
        return (centre * (new / old)).long()

    rows, columns = moved(sparse_m.shape[0], height), moved(sparse_m.shape[1], width)
    index = (rows[:, None] * width + columns).ravel()
    return _nearest(index, sparse_m.where(sparse_m > 0, math.inf).ravel(), height, width)


def fill_cloud(
    cloud: Float32,
    depth_m: Tensor,
    sigma_m: Tensor,
    image: Tensor,
    intrinsics: Intrinsics,
    stride: int = 1,
    gate: Gate = Gate(),  # noqa: B008 (it is immutable)
    T_camera_view: Float64 | None = None,
) -> None:
    """Unproject on the device, and download into `cloud`, memory of the host; see `cloud`.

    Raises:
        GeometryError: `cloud` has another shape.
    """
    import torch

    check_cloud(cloud, intrinsics, stride)

    def rays(size: int, centre: float, focal: float) -> Tensor:
        pixel = torch.arange(0, size, stride, dtype=torch.float32, device=depth_m.device)
        # By a tensor: on a GPU, torch would multiply by the inverse of a number.
        return (pixel - centre) / torch.full_like(pixel, focal)

    z, sigma = depth_m[::stride, ::stride], sigma_m[::stride, ::stride]
    gone = ~(z.isfinite() & gate.passes(z, sigma))
    z, sigma = (values.masked_fill(gone, math.nan) for values in (z, sigma))
    x = z * rays(intrinsics.width, intrinsics.cx, intrinsics.fx)
    y = z * rays(intrinsics.height, intrinsics.cy, intrinsics.fy)[:, None]
    if T_camera_view is not None:
        rows = T_camera_view[:3].astype(np.float32).tolist()
        x, y, z = (a * x + b * y + c * z + d for a, b, c, d in rows)
    red, green, blue = image[::stride, ::stride].int().unbind(2)
    rgb = (red << 16 | green << 8 | blue).view(torch.float32)
    points = torch.stack((x, y, z, rgb, sigma), dim=2)
    torch.from_numpy(cloud).copy_(points)


def _nearest(index: Tensor, depth_m: Tensor, height: int, width: int) -> Tensor:
    """The smallest depth [m] that each pixel is sent, (H, W), 0 = none or infinite."""
    buffer = depth_m.new_full((height * width,), math.inf)
    buffer.scatter_reduce_(0, index, depth_m, 'amin')
    return buffer.where(buffer < math.inf, 0.0).view(height, width)
