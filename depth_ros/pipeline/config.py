"""All settings of the pipeline with their defaults: the only place where a default lives.

Each stage has a frozen dataclass; ROS parameters, the command line and files start from these.
A field's description, limits and choices sit in its metadata, so that a parameter declared from
it can explain and check itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from depth_ros.engines.base import BACKENDS, PRECISIONS
from depth_ros.errors import ConfigError
from depth_ros.methods.registry import METHODS
from depth_ros.settings import flatten, option, options, replaced, validate

# With what lists and changes settings: nobody uses them apart.
__all__ = [
    'MONOCULAR',
    'BPNetConfig',
    'CalibrationConfig',
    'EngineConfig',
    'GuidedConfig',
    'LiteConfig',
    'MaskConfig',
    'MonoConfig',
    'OutputConfig',
    'PipelineConfig',
    'PointsConfig',
    'ProjectionConfig',
    'SyncConfig',
    'flatten',
    'options',
    'replaced',
]


@dataclass(frozen=True)
class ProjectionConfig:
    """LiDAR returns to sparse depth."""

    min_range_m: float = option(
        0.1,
        'Returns nearer to the LiDAR than this are dropped [m]; those of the robot itself are for '
        'the box.',
        minimum=0.0,
        maximum=100.0,
    )
    max_range_m: float = option(
        120.0, 'Returns farther from the LiDAR than this are dropped [m].', minimum=1.0
    )
    ego_box_min: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0),
        'Lower corner of the robot in the LiDAR frame; returns inside are dropped [m].',
    )
    ego_box_max: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0),
        'Upper corner of the robot in the LiDAR frame; equal corners switch it off [m].',
    )
    occlusion_filter: bool = option(
        True, 'Drop returns that the camera cannot see because something nearer covers them.'
    )
    occlusion_window_px: int = option(
        0,
        'Width of the window of the occlusion filter, made odd [pixels]; 0 = from the density of '
        'returns, 3 to 31.',
        minimum=0,
        maximum=99,
    )
    occlusion_margin: float = option(
        0.30,
        'A return is covered if it is farther than its neighbourhood by this share of depth.',
        minimum=0.01,
        maximum=1.0,
    )

    def check(self) -> None:
        """Refuse settings that contradict each other."""
        if self.min_range_m >= self.max_range_m:
            raise ConfigError(
                f'projection.min_range_m must be below max_range_m, got {self.min_range_m:g} and '
                f'{self.max_range_m:g}.'
            )
        lower, upper = self.ego_box_min, self.ego_box_max
        if any(a > b for a, b in zip(lower, upper, strict=True)):
            raise ConfigError(
                f'projection.ego_box_min must not be above ego_box_max on any axis, got {lower} '
                f'and {upper}.'
            )


@dataclass(frozen=True)
class MaskConfig:
    """What of the image is not to be used."""

    file: str = option(
        '',
        'PNG of the size of the image as it arrives, 8-bit grey, white where the robot itself is '
        'in the way (or, with an alpha channel, opaque): no depth, no colour, no returns there.',
    )


@dataclass(frozen=True)
class GuidedConfig:
    """The image-guided completion without a network."""

    extrapolate: bool = option(
        False,
        'Also fill above the highest LiDAR return, with the depth found below it; of guided and '
        'lite.',
    )


@dataclass(frozen=True)
class LiteConfig:
    """Our compact network."""

    weights: str = option(
        '', 'File of weights that you trained; empty = those that ship with the package.'
    )


@dataclass(frozen=True)
class BPNetConfig:
    """BP-Net / DMD3C."""

    weights: str = option(
        '',
        'Weights: a name that `depth_ros models list` shows, or a file; empty = the first of '
        'those names that is fetched.',
    )


@dataclass(frozen=True)
class MonoConfig:
    """Depth from one image."""

    weights: str = option(
        '',
        'Weights: a name that `depth_ros models list` shows; empty = the first of those names '
        'that is fetched and gives what mono.output wants.',
    )
    output: str = option(
        'metric',
        'metric = metres; relative = disparity of unknown scale and shift, on depth/relative.',
        choices=('metric', 'relative'),
    )
    focal_length: str = option(
        'camera_info',
        'Focal length that metres follow from, of Depth Pro: that of CameraInfo, or as it sees it '
        'in each image. The cloud takes that of CameraInfo anyway.',
        choices=('camera_info', 'estimated'),
    )
    short_side_px: int = option(
        0,
        'Shorter side of what the network sees [pixels], at least 56; 0 = 518 on a GPU, 252 on a '
        'CPU. Depth Pro has one size only.',
        minimum=0,
        maximum=2072,
    )
    flip: bool = option(
        False,
        'Also look at the mirrored image: twice the time, and sigma grows where the two disagree.',
    )
    max_depth_m: float = option(
        0.0, 'Depth beyond is too far, +Inf [m]; 0 = where the weights end.', minimum=0.0
    )
    relative_sigma: float = option(
        0.15, 'Raw sigma as a share of depth.', minimum=0.001, maximum=1.0
    )


@dataclass(frozen=True)
class EngineConfig:
    """What networks run on."""

    backend: str = option(
        'auto',
        'Backend of networks; auto = the fastest that can run here.',
        choices=('auto', *BACKENDS),
    )
    precision: str = option(
        'auto',
        'Precision of networks; auto = fp16 on a GPU, fp32 on a CPU. Depth stays fp32. fp16_all '
        'does attention in half precision too: faster, less safe.',
        choices=('auto', *PRECISIONS),
    )
    threads: int = option(
        0,
        'CPU threads of a network; 0 = all cores but one, at least 2, at most 8.',
        minimum=0,
        maximum=256,
    )


@dataclass(frozen=True)
class CalibrationConfig:
    """Online calibration of sigma from held-out returns."""

    enabled: bool = option(True, 'Scale sigma so that it matches held-out LiDAR returns.')
    held_out_share: float = option(
        0.015,
        'Share of the returns of each frame that is held out from a method that completes them; '
        'one that needs no LiDAR is judged by all.',
        minimum=0.0,
        maximum=0.5,
    )
    return_noise_m: float = option(
        0.02,
        'Range noise of the LiDAR, part of every held-out error [m].',
        minimum=0.0,
        maximum=1.0,
    )
    return_noise_px: float = option(
        0.45,
        'How well the place of a return in the image is known, which matters on slopes: it lies '
        'anywhere in its pixel [pixels].',
        minimum=0.0,
        maximum=10.0,
    )
    memory_frames: int = option(
        50, 'Frames after which a measurement counts 1/e.', minimum=1, maximum=100000
    )
    seed: int = option(0, 'Seed of the choice of held-out returns.', minimum=0)


@dataclass(frozen=True)
class SyncConfig:
    """Pairing of images and sweeps."""

    max_sync_slop_s: float = option(
        0.06, 'Largest time between an image and its sweep [s].', minimum=0.0, maximum=10.0
    )
    sweeps: int = option(1, 'Number of last sweeps gathered for one image.', minimum=1, maximum=50)
    max_sweep_age_s: float = option(
        0.0,
        'Gathered sweeps are at most this much older than the one nearest to the image, and have '
        'no gap between them [s]; 0 = 1.5 periods of the LiDAR for each.',
        minimum=0.0,
        maximum=60.0,
    )
    lidar_timeout_s: float = option(
        1.0, 'LiDAR silence that is reported [s].', minimum=0.05, maximum=3600.0
    )
    camera_timeout_s: float = option(
        1.0, 'Camera silence that is reported [s].', minimum=0.05, maximum=3600.0
    )


@dataclass(frozen=True)
class OutputConfig:
    """What leaves the pipeline."""

    scale: float = option(
        1.0,
        'Size of image and depth relative to the camera; below 1 is faster.',
        minimum=0.05,
        maximum=1.0,
    )
    max_sigma_m: float = option(
        0.0, 'Gated depth is NaN where sigma is larger [m]; 0 = no limit.', minimum=0.0
    )
    max_relative_sigma: float = option(
        0.10, 'Gated depth is NaN where sigma / depth is larger; 0 = no limit.', minimum=0.0
    )
    cloud_stride: int = option(
        1, 'Every n-th row and column goes into the cloud.', minimum=1, maximum=64
    )


@dataclass(frozen=True)
class PointsConfig:
    """What of the depth goes into the cloud."""

    gated: bool = option(
        True,
        'Leave out of the cloud what the limits of sigma leave out of depth/image_rect; false = '
        'a point for all depth there is.',
    )


@dataclass(frozen=True)
class PipelineConfig:
    """Everything `FusionPipeline` can be told."""

    method: str = option('auto', 'How depth is completed.', choices=('auto', *METHODS))
    image_is_rectified: bool = option(
        False, 'The image arrives rectified although its CameraInfo has distortion (image_rect).'
    )
    projection: ProjectionConfig = field(default_factory=ProjectionConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    guided: GuidedConfig = field(default_factory=GuidedConfig)
    lite: LiteConfig = field(default_factory=LiteConfig)
    bpnet: BPNetConfig = field(default_factory=BPNetConfig)
    mono: MonoConfig = field(default_factory=MonoConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    points: PointsConfig = field(default_factory=PointsConfig)

    def __post_init__(self) -> None:
        validate(self)
        self.projection.check()


MONOCULAR = PipelineConfig(method='mono', output=OutputConfig(max_relative_sigma=0.3))
"""Defaults where there is no LiDAR. The gate is wider: of one image, sigma is a large share of
depth everywhere."""
