"""What the pipeline says of one frame: depth and sigma, their gate and cloud, the time taken."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from depth_ros.errors import PipelineError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind, Float32
from depth_ros.geometry.cloud import Gate, cloud_shape, fill_cloud
from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.config import OutputConfig, PointsConfig
from depth_ros.pipeline.stages import OnDevice


class StageTimer:
    """Time by stage; each stage ends where it is named."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        """Book the time since the last stage under `name`."""
        now = time.perf_counter()
        self.timings_ms[name] = (now - self._last) * 1e3
        self._last = now


@dataclass(frozen=True)
class FusionResult:
    """Dense depth of one frame and how it came about.

    Attributes:
        view: the rectified view that was completed; its sparse depth holds all returns that
            passed the filters, held-out ones too.
        estimate: depth and calibrated sigma.
        method: name of the method.
        timings_ms: time by stage: rectify, project, hold_out, complete, calibrate.
        accuracy: figures at held-out returns of the last frames, or None at the start.
        on_device: view and calibrated estimate where the method works, if not on the host.
    """

    view: CameraView
    estimate: DepthEstimate
    method: str
    timings_ms: dict[str, float]
    accuracy: LiveAccuracy | None
    on_device: OnDevice | None = None

    @property
    def is_metric(self) -> bool:
        """Whether the estimate is in metres; another one has no cloud and no gated depth."""
        return self.estimate.kind is DepthKind.METRIC

    def gated_depth_m(self, config: OutputConfig) -> Float32:
        """Depth (H, W) that is NaN wherever sigma exceeds the limits of `config`.

        What is too far (+Inf) stays so.

        Raises:
            PipelineError: the estimate is not in metres.
        """
        self._refuse_relative()
        depth_m, sigma_m = self.estimate.depth_m, self.estimate.sigma_m
        return np.where(_gate(config).passes(depth_m, sigma_m), depth_m, np.float32(np.nan))

    def fill_cloud(
        self, cloud: Float32, config: OutputConfig | None = None, gated: bool = PointsConfig.gated
    ) -> None:
        """Write the cloud into `cloud`, of `cloud_shape`, from where the estimate is.

        Args:
            cloud: memory to fill.
            config: stride and gate; None = the defaults.
            gated: whether only what `gated_depth_m` keeps is in the cloud.

        Raises:
            PipelineError: the estimate is not in metres.
        """
        self._refuse_relative()
        config = config or OutputConfig()
        stride, gate = config.cloud_stride, _gate(config) if gated else Gate()
        if self.on_device is not None:
            self.on_device.fill_cloud(cloud, stride, gate)
            return
        view, estimate = self.view, self.estimate
        maps = estimate.depth_m, estimate.sigma_m, view.image
        fill_cloud(cloud, *maps, view.intrinsics, stride, gate, view.T_camera_view)

    def cloud(self, config: OutputConfig, gated: bool = PointsConfig.gated) -> Float32:
        """The cloud, (h, w, 5) float32 in the order of `CLOUD_FIELDS`; see `fill_cloud`.

        Raises:
            PipelineError: the estimate is not in metres.
        """
        cloud = np.empty(cloud_shape(self.view.intrinsics, config.cloud_stride), np.float32)
        self.fill_cloud(cloud, config, gated)
        return cloud

    def _refuse_relative(self) -> None:
        if not self.is_metric:
            raise PipelineError(f'{self.estimate.kind.value} of {self.method} is not in metres.')


def _gate(config: OutputConfig) -> Gate:
    return Gate(config.max_relative_sigma, config.max_sigma_m)
