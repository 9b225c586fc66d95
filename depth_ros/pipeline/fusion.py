"""The method on one screen: `FusionPipeline.process(frame)`."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from depth_ros.errors import EngineError, NotReadyError, PipelineError
from depth_ros.frame import Bool, CameraView, DepthKind, Float64, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import rectify_image, seen_mask
from depth_ros.geometry.mask import ImageMask, hide, load_mask
from depth_ros.geometry.projection import usable_returns
from depth_ros.geometry.resize import resize_image
from depth_ros.geometry.transforms import inverse
from depth_ros.methods.base import DepthMethod, Preparable, release
from depth_ros.methods.mono import mono_weights
from depth_ros.methods.not_ready import NotReady
from depth_ros.methods.registry import METHODS, choose
from depth_ros.pipeline.calibration import SigmaCalibrator
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.extrinsic_check import explain_no_return
from depth_ros.pipeline.result import FusionResult, StageTimer
from depth_ros.pipeline.stages import DeviceStages, HostStages, range_limits, stages_of
from depth_ros.weights.store import locate

STAND_IN = 'guided'
"""The method that completes until another one is ready."""
NO_RETURN = 'no_return_in_view'  # reason under which a frame without returns is counted

_MADE_OF = {
    'auto': ('bpnet', 'engine'),
    'lite': ('lite', 'engine', 'guided'),
    'bpnet': ('bpnet', 'engine'),
    'mono': ('mono', 'engine'),
    'guided': ('guided',),
}
"""Parts of the settings that a method is made of, or that `auto` looks at."""


class FusionPipeline:
    """Camera and LiDAR to dense depth with calibrated sigma; the same live, offline and in tests.

    It remembers what it learnt of sigma between frames, so use one pipeline per camera. A method
    that needs no LiDAR has its sigma calibrated by returns where there are any.

    Args:
        config: settings.
        has_lidar: whether frames will have returns, without which the stand-in cannot complete.

    Attributes:
        wanted: the method that the settings ask for; `use` may put another one in its place.
        wanted_reason: why it is wanted.
        mask: that of the settings, or None.
        method_reason: why the one in use was taken.
        completed: number of frames completed.
    """

    def __init__(self, config: PipelineConfig | None = None, has_lidar: bool = True) -> None:
        self.config = config or PipelineConfig()
        self._has_lidar = has_lidar
        self.mask = make_mask(self.config)
        self._camera: Camera | None = None
        self.wanted, self.wanted_reason = make_method(self.config)
        self._method, self.method_reason = self.wanted, self.wanted_reason
        self.calibrator = self._calibrator()
        self.completed = 0
        _keep_freed_memory()

    @property
    def method(self) -> DepthMethod:
        """The method in use."""
        return self._method

    @property
    def method_name(self) -> str:
        """Name of the method in use."""
        return self._method.name

    @property
    def stands_in(self) -> bool:
        """Whether another method than the wanted one is in use."""
        return self._method is not self.wanted

    def process(self, frame: Frame) -> FusionResult:
        """Complete one frame.

        Raises:
            PipelineError: the method needs LiDAR, and the frame has neither points nor sparse
                depth, or no return is left in the image.
            MethodError: the method cannot complete what it was given.
        """
        self.prepare(frame)
        watch = StageTimer()
        view = self.observe(frame, watch)
        return self.complete(view, watch)

    def prepare(self, frame: Frame) -> None:
        """Get the method ready for the size of a frame, which may take minutes.

        What `auto` has chosen and cannot be made ready is left for the stand-in.
        """
        method = self._method
        if not isinstance(method, Preparable):
            return
        camera = self.view_camera(frame)
        method.check_camera(camera)
        try:
            method.prepare(camera.height, camera.width)
        except Exception as error:
            if self.config.method != 'auto' or not self._has_lidar:
                raise
            why = ' '.join(str(error).split()).rstrip('.') or type(error).__name__
            self.stand_in(f'{method.name} cannot run here: {why}')

    def observe(self, frame: Frame, watch: StageTimer | None = None) -> CameraView:
        """The rectified view of a frame with its filtered sparse depth."""
        watch, stages = watch or StageTimer(), stages_of(self._method)
        camera = self._effective_camera(frame)
        T_view_camera = frame.camera.T_rect_camera
        T_view_lidar, T_camera_view = frame.T_camera_lidar, None
        if T_view_camera is not None:
            T_camera_view = inverse(T_view_camera)
            T_view_lidar = None if T_view_lidar is None else T_view_camera @ T_view_lidar
        intrinsics = output_intrinsics(camera, self.config.output.scale)
        image = rectify_image(frame.image, camera)
        image = resize_image(image, intrinsics.width, intrinsics.height)
        masked = self._masked(frame, camera, intrinsics)
        if masked is not None:
            image = hide(image, masked)
        watch.stage('rectify')
        sparse_m, hidden_m = self._sparse_depth(stages, frame, camera, T_view_lidar)
        if intrinsics != camera.rectified:
            size = intrinsics.width, intrinsics.height
            sparse_m = stages.resize_sparse(sparse_m, *size)
            if masked is not None:
                sparse_m = stages.without(sparse_m, masked)
            if hidden_m is not None:
                hidden_m = stages.resize_sparse(hidden_m, *size)
        seen = seen_mask(camera, intrinsics.width, intrinsics.height)
        masks = seen, masked
        view = stages.view(
            image, sparse_m, intrinsics, frame.stamp_ns, *masks, T_camera_view, hidden_m
        )
        watch.stage('project')
        return view

    def complete(self, view: CameraView, watch: StageTimer | None = None) -> FusionResult:
        """Dense depth and calibrated sigma of a view."""
        watch = watch or StageTimer()
        seen_m, truth_m = self.calibrator.hold_out(view.sparse_m, view.stamp_ns)
        watch.stage('hold_out')
        raw, on_device = stages_of(self._method).estimate(view, seen_m)
        watch.stage('complete')
        estimate = raw
        support_px = self.calibrator.support_px(seen_m)
        if raw.kind is DepthKind.METRIC:
            estimate = self.calibrator.apply(raw, support_px)
        if on_device is not None:
            calibrated = self.calibrator.apply_on(on_device.estimate, support_px)
            on_device = on_device._replace(estimate=calibrated)
        if raw.kind is DepthKind.METRIC:
            self.calibrator.update(raw, truth_m, support_px)
        accuracy = self.calibrator.accuracy()
        watch.stage('calibrate')
        self.completed += 1
        name, timings_ms = self.method_name, watch.timings_ms
        return FusionResult(view, estimate, name, timings_ms, accuracy, on_device)

    def use(self, method: DepthMethod, reason: str) -> None:
        """Complete by another method from the next frame on; the one before is closed.

        What was learnt of sigma held for the raw sigma of that one, so learning starts anew.
        """
        before, self._method, self.method_reason = self._method, method, reason
        if method is not before:
            self.calibrator = self._calibrator()
            release(before)

    def stand_in(self, reason: str) -> None:
        """Complete by `guided`, which runs anywhere at once, until the wanted method is ready.

        Without LiDAR nothing can stand in: frames raise `NotReadyError`.
        """
        if self.stands_in:
            method = self._method
        elif self._has_lidar:
            method = _create(STAND_IN, self.config)
        else:
            method = NotReady(self.wanted.name)
        self.use(method, reason)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings; the method and what was learnt of sigma stay where they still hold.

        Raises:
            DepthRosError: the method or the mask cannot be made; the settings before stay in
                force.
        """
        learnt, name = self.calibrator, self.method_name
        mask = make_mask(config) if config.mask != self.config.mask else self.mask
        if not same_method(self.config, config, self.wanted.name):
            self.wanted, self.wanted_reason = make_method(config)
            self.use(self.wanted, self.wanted_reason)
        elif name == STAND_IN and config.guided != self.config.guided:
            self.use(_create(STAND_IN, config), self.method_reason)
        if self.method_name == name == STAND_IN:  # its raw sigma is the same under all settings
            self.calibrator = learnt
        self.mask = mask
        recalibrate = config.calibration != self.config.calibration
        self.config = config
        if recalibrate:
            self.calibrator = self._calibrator()

    @property
    def runs_on(self) -> str:
        """What the method in use runs on, and where that may differ, at which size."""
        return self._method.describe() if isinstance(self._method, Preparable) else 'CPU'

    def view_camera(self, frame: Frame) -> Intrinsics:
        """The pinhole camera of the view of a frame."""
        return output_intrinsics(frame.camera, self.config.output.scale)

    def close(self) -> None:
        """Free what the method in use has opened."""
        release(self._method)

    def _calibrator(self) -> SigmaCalibrator:
        return SigmaCalibrator(self.config.calibration, sees_returns=self._method.needs_lidar)

    def _effective_camera(self, frame: Frame) -> Camera:
        """The camera of the image as it arrives: rectified already, or raw.

        Always the same object as long as it is equal: what `geometry.distortion` makes for a
        camera lives as long as that.
        """
        is_rectified = self.config.image_is_rectified
        camera = Camera(frame.camera.rectified) if is_rectified else frame.camera
        if self._camera is None or camera != self._camera:
            self._camera = camera
        return self._camera

    def _masked(self, frame: Frame, camera: Camera, intrinsics: Intrinsics) -> Bool | None:
        """Where a view (H, W) of a frame is masked, by the settings or by the frame's own mask."""
        size = intrinsics.width, intrinsics.height
        masks = [mask.in_view(camera, *size) for mask in (self.mask, frame.mask) if mask]
        return np.logical_or.reduce(masks) if masks else None

    def _sparse_depth(
        self,
        stages: HostStages | DeviceStages,
        frame: Frame,
        camera: Camera,
        T_view_lidar: Float64 | None,
    ) -> tuple[Any, Any]:
        """Sparse depth (H, W) of a frame in metres, 0 = none, and what the occlusion filter took.

        Both have the camera's size. The filters work there, whatever the size of the output: at a
        smaller one the ground rises so steeply from row to row that its far part would look
        covered by its near part.
        """
        config, needed = self.config.projection, self._method.needs_lidar
        if frame.points is not None and T_view_lidar is not None:
            points = stages.upload(frame.points)
            sparse_m = stages.project(points, T_view_lidar, camera.rectified, config)
        elif frame.sparse_m is not None:
            nearest_m, farthest_m, _ = range_limits(config)
            usable = (frame.sparse_m >= nearest_m) & (frame.sparse_m <= farthest_m)
            sparse_m = stages.upload(np.where(usable, frame.sparse_m, np.float32(0)))
        elif needed and not self.wanted.needs_lidar:
            raise NotReadyError(
                f'{self.wanted.name}, which needs no LiDAR, is not ready ({self.method_reason}), '
                f'and the frame has none for {self.method_name}.'
            )
        elif needed:
            raise PipelineError(
                f'The frame has neither LiDAR points nor sparse depth, which {self.method_name} '
                'completes; the method mono needs none.',
                'no_lidar',
            )
        else:
            size = camera.rectified.height, camera.rectified.width
            return stages.upload(np.zeros(size, np.float32)), None
        masked = self._masked(frame, camera, camera.rectified)
        if masked is not None:
            whole_m, sparse_m = sparse_m, stages.without(sparse_m, masked)
        if not sparse_m.any():
            if not needed:
                return sparse_m, None
            if masked is not None and whole_m.any():
                raise PipelineError(
                    f'The mask hides every LiDAR return in the image ({masked.mean():.0%} of it '
                    'is masked); white is what is not to be used: look at the mask.',
                    NO_RETURN,
                )
            raise PipelineError(self._why_nothing(frame, camera, T_view_lidar), NO_RETURN)
        if not config.occlusion_filter:
            return sparse_m, None
        margin, window_px = config.occlusion_margin, config.occlusion_window_px
        visible_m = stages.remove_occluded(sparse_m, margin, window_px)
        return visible_m, stages.hidden(sparse_m, visible_m)

    def _why_nothing(self, frame: Frame, camera: Camera, T_view_lidar: Float64 | None) -> str:
        """Why the sparse depth of a frame is empty, in words."""
        if frame.points is None or T_view_lidar is None:
            return (
                'No LiDAR return falls into the image: its sparse depth holds no measurement '
                'within projection.min_range_m and max_range_m; look at what made it.'
            )
        usable = int(usable_returns(frame.points, *range_limits(self.config.projection)).sum())
        return explain_no_return(
            frame.points, usable, T_view_lidar, camera.rectified, frame.frame_id
        )


def output_intrinsics(camera: Camera, scale: float) -> Intrinsics:
    """The pinhole camera of what is published of a camera, at `output.scale`."""
    full = camera.rectified
    return full.resized(max(1, round(full.width * scale)), max(1, round(full.height * scale)))


def warm_up(method: DepthMethod, height: int = 64, width: int = 96) -> None:
    """Complete a made frame of a size by a method, with a pipeline that is thrown away.

    First calls load code and start threads, which takes longer than a frame may.

    Raises:
        EngineError: not one pixel of it was completed.
    """
    if isinstance(method, NotReady):
        return
    intrinsics = Intrinsics(width, height, width, width, (width - 1) / 2, (height - 1) / 2)
    v, u = np.mgrid[0:height:4, 0:width:4].reshape(2, -1)
    points = intrinsics.unproject(np.stack((u, v), axis=-1), np.full(u.size, 5.0))
    image = np.zeros((height, width, 3), dtype=np.uint8)
    pipeline = FusionPipeline(PipelineConfig(method=STAND_IN))
    pipeline.use(method, 'warm-up')
    result = pipeline.process(Frame(image, Camera(intrinsics), 0, points, np.eye(4)))
    if np.isnan(result.estimate.depth_m).all():
        found = f'{method.name} found no depth in a made frame of {height}x{width}'
        raise EngineError(f'{found}; try another engine.precision or engine.backend.')


def make_method(config: PipelineConfig) -> tuple[DepthMethod, str]:
    """The method that the settings ask for, not prepared yet, and why it was taken.

    Raises:
        DepthRosError: it lacks something, such as weights, and the way out.
    """
    name, reason = choose(config.method, config.bpnet.weights, config.engine.backend)
    return _create(name, config), reason


def make_mask(config: PipelineConfig) -> ImageMask | None:
    """The image mask that the settings name, if any.

    Raises:
        GeometryError: its file is no mask.
    """
    return load_mask(config.mask.file) if config.mask.file else None


def same_method(a: PipelineConfig, b: PipelineConfig, name: str = '') -> bool:
    """Whether `make_method` makes the same of both; `name` is that of what it made of `a`."""
    parts = {'method', *_MADE_OF.get(a.method, ()), *_MADE_OF.get(name, ())}
    return all(getattr(a, part) == getattr(b, part) for part in parts)


def _create(name: str, config: PipelineConfig) -> DepthMethod:
    if name == 'guided':
        return METHODS[name](extrapolate=config.guided.extrapolate)
    engine = config.engine
    if name == 'lite':
        own = config.lite.weights
        weights = locate(own, (), 'lite.weights') if own else None
        settings = dataclasses.asdict(config.guided) | dataclasses.asdict(engine)
        return METHODS[name](weights, **settings)
    if name == 'bpnet':
        weights = locate(config.bpnet.weights)
        return METHODS[name](weights, engine.backend, engine.precision, engine.threads)
    if name == 'mono':
        weights = mono_weights(config.mono.weights, config.mono.output)
        settings = dataclasses.asdict(config.mono) | dataclasses.asdict(engine)
        return METHODS[name](**settings | {'weights': weights})
    return METHODS[name]()


def _keep_freed_memory() -> None:
    """Have glibc keep what a frame's temporaries free, for those of the next frame.

    By default it returns them to the kernel and faults them in anew, a quarter of the time of a
    frame. It keeps up to twice the largest block that it has mapped and freed before: see
    M_MMAP_THRESHOLD in mallopt(3), which takes no block beyond 32 MiB as its measure.
    """
    np.empty(31 << 20, dtype=np.uint8)
