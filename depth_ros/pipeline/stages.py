"""The steps around a method, on the host or on the method's own device.

Both do the same, so that `FusionPipeline` reads as if there were one. On a device a frame crosses
over once: image and points go up; sparse depth comes down, for the host to choose what it holds
out, and the places of that go up; depth and sigma come down. The steps are queued and the host
waits only for what it asks down; the method may wait for more, as BP-Net's search for neighbours
does. So the time of a stage counts what runs on the device where that stage ends with a download,
as those of projection and completion do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, CameraView, DepthEstimate, Float32, Float64, UInt8
from depth_ros.geometry import device as twins
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.cloud import Gate
from depth_ros.geometry.device import DeviceEstimate, DeviceView
from depth_ros.geometry.projection import (
    project_lidar,
    remove_occluded,
    returns_in_view,
    usable_returns,
)
from depth_ros.geometry.resize import resize_sparse
from depth_ros.methods.base import DepthMethod, DeviceMethod
from depth_ros.pipeline.config import ProjectionConfig

if TYPE_CHECKING:
    from torch import Tensor


class OnDevice(NamedTuple):
    """What a device still has of a completed frame."""

    view: DeviceView
    estimate: DeviceEstimate

    def fill_cloud(self, cloud: Float32, stride: int, gate: Gate) -> None:
        """Write the cloud of what passes the gate into memory of the host."""
        view, estimate = self.view, self.estimate
        maps = estimate.depth_m, estimate.sigma_m, view.image
        twins.fill_cloud(cloud, *maps, view.intrinsics, stride, gate, view.T_camera_view)


@dataclass(frozen=True)
class UploadedView(CameraView):
    """A view that a device has, too; a copy made by `dataclasses.replace` forgets that."""

    on_device: DeviceView | None = field(default=None, init=False, repr=False, compare=False)


class HostStages:
    """In NumPy, for any method."""

    def __init__(self, method: DepthMethod) -> None:
        self._method = method

    def upload(self, array: npt.NDArray[Any]) -> Any:
        """The array as the other steps take it."""
        return array

    def project(
        self,
        points: npt.NDArray[np.floating],
        T_camera_lidar: Float64,
        intrinsics: Intrinsics,
        config: ProjectionConfig,
    ) -> Float32:
        """Sparse depth (H, W) of the usable returns among points (N, 3)."""
        points = returns_in_view(points, T_camera_lidar, intrinsics)
        usable = usable_returns(points, *range_limits(config))
        return project_lidar(points[usable], T_camera_lidar, intrinsics)

    remove_occluded = staticmethod(remove_occluded)
    resize_sparse = staticmethod(resize_sparse)

    def hidden(self, whole_m: Float32, visible_m: Float32) -> Float32 | None:
        """What the occlusion filter took out (H, W), for methods that judge it themselves."""
        return np.where(visible_m > 0, np.float32(0), whole_m)

    def without(self, sparse_m: Float32, masked: Bool) -> Float32:
        """Sparse depth (H, W) without the returns that are masked."""
        return np.where(masked, np.float32(0), sparse_m)

    def view(
        self,
        image: UInt8,
        sparse_m: Float32,
        intrinsics: Intrinsics,
        stamp_ns: int,
        seen: Bool | None,
        masked: Bool | None,
        T_camera_view: Float64 | None,
        hidden_m: Float32 | None,
    ) -> CameraView:
        """The view of a rectified image and its sparse depth."""
        masks = seen, masked
        return CameraView(image, sparse_m, intrinsics, stamp_ns, *masks, T_camera_view, hidden_m)

    def estimate(self, view: CameraView, seen_m: Float32) -> tuple[DepthEstimate, OnDevice | None]:
        """The raw estimate of a view from a part of its sparse depth, and what a device has."""
        raw = self._method.estimate(replace(view, sparse_m=seen_m))
        if view.masked is None:
            return raw, None
        unknown = np.float32(np.nan)
        depth_m, sigma_m = (np.where(view.masked, unknown, x) for x in (raw.depth_m, raw.sigma_m))
        return DepthEstimate(depth_m, sigma_m, raw.kind), None


class DeviceStages:
    """In tensors on the device of a method."""

    def __init__(self, method: DeviceMethod, device: str) -> None:
        self._method, self._device = method, device

    def upload(self, array: npt.NDArray[Any]) -> Tensor:
        """The array on the device."""
        return twins.upload(array, self._device)

    def project(
        self,
        points: Tensor,
        T_camera_lidar: Float64,
        intrinsics: Intrinsics,
        config: ProjectionConfig,
    ) -> Tensor:
        """Sparse depth (H, W) of the usable returns among points (N, 3)."""
        usable = twins.usable_returns(points, *range_limits(config))
        # NaN are in no view. To take them out, the host would have to wait for their number.
        points = points.masked_fill(~usable[:, None], math.nan)
        return twins.project_lidar(points, T_camera_lidar, intrinsics)

    remove_occluded = staticmethod(twins.remove_occluded)
    resize_sparse = staticmethod(twins.resize_sparse)

    def hidden(self, whole_m: Tensor, visible_m: Tensor) -> None:
        """No method on a device asks for what the occlusion filter took out."""

    def without(self, sparse_m: Tensor, masked: Bool) -> Tensor:
        """Sparse depth (H, W) without the returns that are masked."""
        return sparse_m.masked_fill(self.upload(masked), 0.0)

    def view(
        self,
        image: UInt8,
        sparse_m: Tensor,
        intrinsics: Intrinsics,
        stamp_ns: int,
        seen: Bool | None,
        masked: Bool | None,
        T_camera_view: Float64 | None,
        hidden_m: None,
    ) -> UploadedView:
        """The view of a rectified image and its sparse depth, here and on the device."""
        on_device = DeviceView(self.upload(image), sparse_m, intrinsics, stamp_ns, T_camera_view)
        masks, sparse_here_m = (seen, masked), twins.download(sparse_m)
        view = UploadedView(image, sparse_here_m, intrinsics, stamp_ns, *masks, T_camera_view)
        object.__setattr__(view, 'on_device', on_device)
        return view

    def estimate(self, view: CameraView, seen_m: Float32) -> tuple[DepthEstimate, OnDevice]:
        """The raw estimate of a view from a part of its sparse depth, and what the device has."""
        import torch

        seen = self._seen(view, seen_m)
        raw = self._method.estimate_on(seen)
        # In fresh memory, since the next frame may reuse that of the method's tensors.
        both = torch.stack((raw.depth_m, raw.sigma_m))
        if view.masked is not None:
            both = both.masked_fill(self.upload(view.masked), math.nan)
        depth_m, sigma_m = twins.download(both)
        estimate = DepthEstimate(depth_m, sigma_m, raw.kind)
        return estimate, OnDevice(seen, DeviceEstimate(both[0], both[1], raw.kind))

    def _seen(self, view: CameraView, seen_m: Float32) -> DeviceView:
        """The view on the device without the returns that `seen_m` lacks."""
        if not isinstance(view, UploadedView) or view.on_device is None:
            image, sparse_m = self.upload(view.image), self.upload(seen_m)
            return DeviceView(image, sparse_m, view.intrinsics, view.stamp_ns, view.T_camera_view)
        lost = self.upload(np.flatnonzero(view.sparse_m != seen_m))
        sparse_m = view.on_device.sparse_m
        sparse_m = sparse_m.view(-1).index_fill(0, lost, 0.0).view_as(sparse_m)
        return replace(view.on_device, sparse_m=sparse_m)


def stages_of(method: DepthMethod) -> HostStages | DeviceStages:
    """The steps where a method works."""
    if isinstance(method, DeviceMethod) and method.device is not None:
        return DeviceStages(method, method.device)
    return HostStages(method)


def range_limits(
    config: ProjectionConfig,
) -> tuple[float, float, tuple[tuple[float, ...], tuple[float, ...]] | None]:
    """Nearest and farthest range [m] of usable returns, and the robot's box if there is one."""
    box = (config.ego_box_min, config.ego_box_max)
    return config.min_range_m, config.max_range_m, box if box[0] != box[1] else None
