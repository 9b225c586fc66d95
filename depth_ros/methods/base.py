"""The interface of every depth method."""

from __future__ import annotations

from typing import Protocol

from depth_ros.frame import CameraView, DepthEstimate


class DepthMethod(Protocol):
    """A way from a camera view to dense depth with a raw (uncalibrated) sigma.

    `estimate` raises `MethodError` if the view cannot be completed.
    """

    name: str

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Dense depth of a view; NaN where the method does not know."""
        ...
