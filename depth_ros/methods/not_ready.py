"""What a pipeline without LiDAR has until its method is ready: nothing."""

from __future__ import annotations

from depth_ros.errors import NotReadyError
from depth_ros.frame import CameraView, DepthEstimate


class NotReady:
    """Refuses every view, since no depth is better than a made-up one.

    Args:
        awaited: name of the method that is being prepared.
    """

    name = 'none'
    needs_lidar = False

    def __init__(self, awaited: str) -> None:
        self._awaited = awaited

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Refuse.

        Raises:
            NotReadyError: always.
        """
        raise NotReadyError(f'{self._awaited} is not ready, and nothing can stand in for it.')
