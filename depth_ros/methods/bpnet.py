"""Learned completion by BP-Net or DMD3C, on the best engine that runs here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from depth_ros.errors import MethodError, ModelError
from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.device import DeviceEstimate, DeviceView
from depth_ros.methods.network_slot import NetworkMethod, NetworkSlot
from depth_ros.models import bpnet
from depth_ros.models.base import KITTI
from depth_ros.weights.store import network_card


class BPNet(NetworkMethod):
    """BP-Net at the size of the view, padded to a multiple of 32.

    Args:
        weights: file of its parameters; those fetched know their scale of depth and their
            normalisation, others are taken for weights of KITTI.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.
    """

    name = 'bpnet'
    needs_lidar = True

    def __init__(
        self, weights: Path, backend: str = 'auto', precision: str = 'auto', threads: int = 0
    ) -> None:
        card = network_card(weights)
        self._depth_scale = card.depth_scale if card else 1.0
        normalisation = (card.normalisation if card else None) or KITTI
        self._normalisation = np.array(normalisation, dtype=np.float32)
        super().__init__(NetworkSlot('bpnet', weights, backend, precision, threads))

    @property
    def device(self) -> str | None:
        """Torch device of the engine in use; None = it works on the host."""
        return self._slot.device

    def check_camera(self, camera: Intrinsics) -> None:
        """Any will do: small views are padded."""

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view.

        Raises:
            MethodError: there is no return in it.
            DepthRosError: the engine cannot be opened.
        """
        height, width = view.sparse_m.shape
        engine = self._slot.opened(self._network_size(height, width))
        image, sparse_m = bpnet.padded(view.image, view.sparse_m * np.float32(self._depth_scale))
        K = view.intrinsics.matrix
        try:
            inputs = bpnet.graph_inputs(image, sparse_m, K, self._normalisation)
        except ModelError as error:
            raise MethodError(str(error)) from error
        outputs = engine.infer(inputs)
        maps = (outputs[name][0, 0, :height, :width] for name in bpnet.OUTPUTS)
        depth_m, sigma_m = (values / np.float32(self._depth_scale) for values in maps)
        # A network may say anything, but nothing is behind the camera or without end.
        unknown = ~((depth_m > 0) & np.isfinite(depth_m) & np.isfinite(sigma_m))
        depth_m[unknown] = sigma_m[unknown] = np.nan
        return DepthEstimate(depth_m, sigma_m)

    def estimate_on(self, view: DeviceView) -> DeviceEstimate:
        """Complete a view that is on `device`, there; see `DeviceMethod`.

        Raises:
            MethodError: there is no return in it.
            DepthRosError: the engine cannot be opened.
        """
        from depth_ros.models.bpnet import device_inputs

        height, width = view.sparse_m.shape
        engine = self._slot.opened(self._network_size(height, width))
        sparse_m = view.sparse_m * self._depth_scale
        K = view.intrinsics.matrix
        try:
            inputs = device_inputs.graph_inputs(view.image, sparse_m, K, self._normalisation)
        except ModelError as error:
            raise MethodError(str(error)) from error
        outputs = engine.infer(inputs)
        maps = (outputs[name][0, 0, :height, :width] for name in bpnet.OUTPUTS)
        depth_m, sigma_m = (values / self._depth_scale for values in maps)
        unknown = ~((depth_m > 0) & depth_m.isfinite() & sigma_m.isfinite())
        both = (values.masked_fill(unknown, float('nan')) for values in (depth_m, sigma_m))
        return DeviceEstimate(*both)

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        return bpnet.padded_size(height, width)
