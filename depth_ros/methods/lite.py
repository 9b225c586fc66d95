"""Learned completion by our own compact network, whose weights ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from depth_ros.engines.export import can_export
from depth_ros.errors import MethodError
from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods.guided import MIN_RETURNS, complete_below, rows_above, top_of_lidar
from depth_ros.methods.network_slot import NetworkMethod, NetworkSlot
from depth_ros.models import lite


class Lite(NetworkMethod):
    """`guided`, corrected by the network `models.lite` at the size of the view.

    Args:
        weights: file of its parameters; None takes those that ship with the package.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.
        extrapolate: also state depth above the highest LiDAR return.
    """

    name = 'lite'
    needs_lidar = True

    def __init__(
        self,
        weights: Path | None = None,
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int = 0,
        extrapolate: bool = False,
    ) -> None:
        self._extrapolate = extrapolate
        slot = NetworkSlot('lite', weights or lite.WEIGHTS, backend, precision, threads)
        super().__init__(slot)

    def check_camera(self, camera: Intrinsics) -> None:
        """Any will do: small views are padded."""

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view.

        Raises:
            MethodError: the view has too few returns.
            DepthRosError: the engine cannot be opened.
        """
        found = np.count_nonzero(view.sparse_m)
        if found < MIN_RETURNS:
            raise MethodError(f'lite needs {MIN_RETURNS} LiDAR returns in the image, got {found}.')
        height, width = view.sparse_m.shape
        size = self._network_size(height, width)
        engine = self._slot.opened(size)
        top = top_of_lidar(view.sparse_m)
        prior = complete_below(view.image, view.sparse_m, int(top.min()))
        inputs = lite.padded(view.image, view.sparse_m, *prior, size=size)
        outputs = engine.infer(lite.graph_inputs(*inputs))
        depth_m, log_variance = (outputs[name][0, 0, :height, :width] for name in lite.OUTPUTS)
        sigma_m = depth_m * np.exp(0.5 * log_variance)
        unknown = ~((depth_m > 0) & np.isfinite(depth_m) & np.isfinite(sigma_m))
        if not self._extrapolate:
            unknown |= rows_above(top, height)
        depth_m[unknown] = sigma_m[unknown] = np.nan
        return DepthEstimate(depth_m, sigma_m)

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        return lite.network_size(height, width, may_export=can_export())
