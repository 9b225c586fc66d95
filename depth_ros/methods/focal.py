"""The focal length of a camera that nobody has calibrated, as Depth Pro sees it."""

from __future__ import annotations

from depth_ros.frame import UInt8
from depth_ros.methods.network_slot import NetworkSlot
from depth_ros.models import depth_pro
from depth_ros.weights.registry import monocular_family
from depth_ros.weights.store import locate

FAMILY = 'depth_pro_fov'


class FocalEstimator:
    """Estimates focal lengths: a guess with an error of its own, never a calibration.

    Args:
        weights: those of Depth Pro: their name or a file; empty = those fetched.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.

    Raises:
        ModelError: the weights are not here.
    """

    def __init__(
        self,
        weights: str = '',
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int = 0,
    ) -> None:
        path = locate(weights, ('depth_pro',), 'the estimate of intrinsics')
        self._slot = NetworkSlot(FAMILY, path, backend, precision, threads)

    def f_px(self, rgb: UInt8) -> float:
        """Focal length in pixels of an image (H, W, 3).

        Raises:
            ModelError: the network gives a field of view that no camera has.
            DepthRosError: it cannot run here.
        """
        network = monocular_family(FAMILY)
        assert network.SIZE is not None
        engine = self._slot.opened(network.SIZE)
        outputs = engine.infer({'image': network.preprocess(rgb, network.SIZE)})
        return depth_pro.focal_px(float(outputs['fov_deg'][0]), rgb.shape[1])

    def close(self) -> None:
        """Free the engine."""
        self._slot.close()
