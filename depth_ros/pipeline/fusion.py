"""The method on one screen: `FusionPipeline.process(frame)`."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from depth_ros.errors import PipelineError
from depth_ros.frame import CameraView, DepthEstimate, Float32, Float64, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import rectify_image
from depth_ros.geometry.projection import (
    project_lidar,
    remove_occluded,
    returns_in_view,
    usable_returns,
)
from depth_ros.geometry.resize import resize_image, resize_sparse
from depth_ros.methods.base import DepthMethod
from depth_ros.methods.registry import METHODS, choose
from depth_ros.pipeline.calibration import LiveAccuracy, SigmaCalibrator
from depth_ros.pipeline.config import OutputConfig, PipelineConfig


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
    """

    view: CameraView
    estimate: DepthEstimate
    method: str
    timings_ms: dict[str, float]
    accuracy: LiveAccuracy | None

    def gated_depth_m(self, config: OutputConfig) -> Float32:
        """Depth (H, W) that is NaN wherever sigma exceeds the limits of `config`."""
        depth_m, sigma_m = self.estimate.depth_m, self.estimate.sigma_m
        limit = np.float32(config.max_relative_sigma or np.inf) * depth_m
        if config.max_sigma_m:
            limit = np.minimum(limit, np.float32(config.max_sigma_m))
        return np.where(sigma_m <= limit, depth_m, np.float32(np.nan))


class FusionPipeline:
    """Camera and LiDAR to dense depth with calibrated sigma; the same live, offline and in tests.

    It remembers what it learnt of sigma between frames, so use one pipeline per camera.

    Attributes:
        method_name: the method in use.
        method_reason: why it was taken.
    """

    def __init__(self, config: PipelineConfig | None = None) -> None:
        self.config = config or PipelineConfig()
        self.calibrator = SigmaCalibrator(self.config.calibration)
        self.method_name, self.method_reason = choose(self.config.method)
        self._method = _create(self.method_name, self.config)
        _keep_freed_memory()

    def process(self, frame: Frame) -> FusionResult:
        """Complete one frame.

        Raises:
            PipelineError: the frame has neither points nor sparse depth, or no return is left
                in the image.
            MethodError: the method cannot complete what it was given.
        """
        watch = StageTimer()
        view = self.observe(frame, watch)
        return self.complete(view, watch)

    def observe(self, frame: Frame, watch: StageTimer | None = None) -> CameraView:
        """The rectified view of a frame with its filtered sparse depth."""
        watch = watch or StageTimer()
        camera, T_camera_lidar = self._effective_camera(frame)
        intrinsics = self._output_intrinsics(camera)
        image = rectify_image(frame.image, camera)
        image = resize_image(image, intrinsics.width, intrinsics.height)
        watch.stage('rectify')
        sparse_m = self._sparse_depth(frame, camera, T_camera_lidar)
        if intrinsics != camera.rectified:
            sparse_m = resize_sparse(sparse_m, intrinsics.width, intrinsics.height)
        watch.stage('project')
        return CameraView(image, sparse_m, intrinsics, frame.stamp_ns)

    def complete(self, view: CameraView, watch: StageTimer | None = None) -> FusionResult:
        """Dense depth and calibrated sigma of a view."""
        watch = watch or StageTimer()
        seen_m, truth_m = self.calibrator.hold_out(view.sparse_m, view.stamp_ns)
        watch.stage('hold_out')
        raw = self._method.estimate(replace(view, sparse_m=seen_m))
        watch.stage('complete')
        self.calibrator.update(raw, truth_m)
        estimate = self.calibrator.apply(raw)
        accuracy = self.calibrator.accuracy()
        watch.stage('calibrate')
        return FusionResult(view, estimate, self.method_name, watch.timings_ms, accuracy)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings; what was learnt of sigma stays unless the method changes."""
        name, reason = choose(config.method)
        if name != self.method_name or config.calibration != self.config.calibration:
            self.calibrator = SigmaCalibrator(config.calibration)
        self.config = config
        self.method_name, self.method_reason = name, reason
        self._method = _create(name, config)

    def _effective_camera(self, frame: Frame) -> tuple[Camera, Float64 | None]:
        """Camera and extrinsic of the image as it arrives: rectified already, or raw."""
        if not self.config.image_is_rectified:
            return frame.camera, frame.T_camera_lidar
        T_rect_camera = np.eye(4)
        T_rect_camera[:3, :3] = np.reshape(frame.camera.R_rect, (3, 3))
        T_camera_lidar = frame.T_camera_lidar
        if T_camera_lidar is not None:
            T_camera_lidar = T_rect_camera @ T_camera_lidar
        return Camera(frame.camera.rectified), T_camera_lidar

    def _output_intrinsics(self, camera: Camera) -> Intrinsics:
        scale = self.config.output.scale
        full = camera.rectified
        return full.resized(max(1, round(full.width * scale)), max(1, round(full.height * scale)))

    def _sparse_depth(
        self, frame: Frame, camera: Camera, T_camera_lidar: Float64 | None
    ) -> Float32:
        """Filtered sparse depth (H, W) of a frame in metres, 0 = none, at the camera's size.

        The filters work there, whatever the size of the output: at a smaller one the ground
        rises so steeply from row to row that its far part would look covered by its near part.
        """
        config = self.config.projection
        if frame.points is not None and T_camera_lidar is not None:
            box = (config.ego_box_min, config.ego_box_max)
            ego_box = box if box[0] != box[1] else None
            points = returns_in_view(frame.points, T_camera_lidar, camera.rectified)
            usable = usable_returns(points, config.min_range_m, config.max_range_m, ego_box)
            sparse_m = project_lidar(points[usable], T_camera_lidar, camera.rectified)
        elif frame.sparse_m is not None:
            sparse_m = frame.sparse_m
        else:
            raise PipelineError('The frame has neither LiDAR points nor sparse depth.')
        if not sparse_m.any():
            raise PipelineError(
                'No LiDAR return falls into the image; check the extrinsic (T_camera_lidar), '
                'the range limits and that the sweep is not empty.'
            )
        if config.occlusion_filter:
            margin, window_px = config.occlusion_margin, config.occlusion_window_px
            sparse_m = remove_occluded(sparse_m, margin, window_px)
        return sparse_m


def warm_up(config: PipelineConfig) -> None:
    """Complete a made frame by the method of `config`, with a pipeline that is thrown away.

    First calls load code and start threads, which takes longer than a frame may.
    """
    v, u = np.mgrid[0:64:4, 0:96:4]
    sparse_m = np.zeros((64, 96), dtype=np.float32)
    sparse_m[v, u] = 5.0
    camera = Camera(Intrinsics(96, 64, 80.0, 80.0, 47.5, 31.5))
    image = np.zeros((64, 96, 3), dtype=np.uint8)
    FusionPipeline(PipelineConfig(method=config.method)).process(
        Frame(image, camera, 0, sparse_m=sparse_m)
    )


def _create(name: str, config: PipelineConfig) -> DepthMethod:
    if name == 'guided':
        return METHODS['guided'](extrapolate=config.guided.extrapolate)
    return METHODS[name]()


def _keep_freed_memory() -> None:
    """Have glibc keep what a frame's temporaries free, for those of the next frame.

    By default it returns them to the kernel and faults them in anew, a quarter of the time of a
    frame. It keeps up to twice the largest block that it has mapped and freed before: see
    M_MMAP_THRESHOLD in mallopt(3), which takes no block beyond 32 MiB as its measure.
    """
    np.empty(31 << 20, dtype=np.uint8)
