"""The interface of every depth method."""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable

from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.device import DeviceEstimate, DeviceView

_log = logging.getLogger(__name__)


class DepthMethod(Protocol):
    """A way from a camera view to dense depth with a raw (uncalibrated) sigma.

    `estimate` raises `MethodError` if the view cannot be completed.

    Attributes:
        needs_lidar: whether it completes sparse depth; otherwise it does not look at it.
    """

    name: str
    needs_lidar: bool

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Dense depth of a view; NaN where the method does not know."""
        ...


@runtime_checkable
class DeviceMethod(DepthMethod, Protocol):
    """A method that can work on a torch device, without a round trip over the host."""

    @property
    def device(self) -> str | None:
        """Where `estimate_on` works, such as `cuda:0`; None = only `estimate` can be used."""
        ...

    def estimate_on(self, view: DeviceView) -> DeviceEstimate:
        """Dense depth of a view that is on `device`, there; NaN where it does not know.

        It need not wait for the device. Its tensors are read before the next call.
        """
        ...


@runtime_checkable
class Preparable(DepthMethod, Protocol):
    """A method that must be made ready for views of a size, which may take minutes.

    `estimate` does so itself where it has to. Not for several threads at a time.
    """

    def prepare(
        self, height: int, width: int, may_build: bool = True, may_skip: bool = False
    ) -> None:
        """Get ready for views (height, width); nothing if it is.

        Args:
            height: of the views in pixels.
            width: of the views in pixels.
            may_build: also make what is missing in the cache; otherwise that is an error,
            may_skip: unless there is a lesser way that lacks nothing and may be taken.

        Raises:
            DepthRosError: it cannot be made ready, and why.
        """
        ...

    def check_camera(self, camera: Intrinsics) -> None:
        """Refuse a camera whose views no preparation would help.

        Raises:
            MethodError: such as of too small a view, with the limit.
        """
        ...

    def fits(self, height: int, width: int) -> bool:
        """Whether it is ready for views (height, width)."""
        ...

    def build_arguments(self, height: int, width: int) -> list[str] | None:
        """Arguments of `depth_ros` that make what `prepare` finds missing, in a process.

        None if there is nothing that could be made beforehand.
        """
        ...

    def describe(self) -> str:
        """What it runs on once it is ready, such as `tensorrt fp16 on cuda:0`."""
        ...

    def close(self) -> None:
        """Free what `prepare` took; it may be called again, and `prepare` after it."""
        ...


def release(method: DepthMethod) -> None:
    """Close a method that is no longer used, if there is anything to close.

    What that raises is logged: a device that has failed must not keep anybody from leaving it.
    """
    if not isinstance(method, Preparable):
        return
    try:
        method.close()
    except Exception as error:
        _log.warning('%s could not be closed: %s', method.name, error)
