"""Settings of a node as opposed to those of the pipeline, and its defaults for the latter.

They are fixed while the node is configured, but for the extrinsic, which can change at any time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from depth_ros.settings import option, validate

LIVE_DEFAULTS = {'output.cloud_stride': 2}
"""What a node sends goes over a network: all of 1280x720 would be 18 MB a cloud."""

MONOCULAR_SETTINGS = (
    'image_is_rectified',
    'mono.',
    'engine.',
    'mask.',
    'output.',
    'points.',
    'sync.camera_timeout_s',
)
"""How the names of the settings begin that matter without LiDAR."""


@dataclass(frozen=True)
class ExtrinsicConfig:
    """Where T_camera_lidar comes from: `p_camera = R(quat_xyzw) p_lidar + translation`."""

    source: str = option(
        'tf', 'Where the extrinsic comes from.', choices=('tf', 'parameters', 'file')
    )
    translation: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), 'Origin of the LiDAR in the camera optical frame [m].'
    )
    quat_xyzw: tuple[float, float, float, float] = option(
        (0.0, 0.0, 0.0, 0.0),
        'Rotation from the LiDAR to the camera optical frame, order x y z w; all 0 = not given.',
    )
    file: str = option('', 'Path of a calib.json with T_cam_lidar.')
    camera: str = option('', 'Name of the camera in the file; empty = its only camera.')
    fixed_frame: str = option(
        '',
        'TF frame, such as odom, through which motion between sweep and image is compensated; '
        'empty = no compensation.',
    )
    tf_timeout_s: float = option(
        0.1,
        'Longest wait for a transform at the stamp of the image [s].',
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class NodeConfig:
    """How a node that publishes depth is wired."""

    qos: str = option(
        'auto',
        'Reliability of the subscriptions; auto = reliable if every publisher offers it.',
        choices=('auto', 'reliable', 'best_effort'),
    )
    image_transport: str = option(
        'raw',
        'Type of the image topic: Image, or CompressedImage on image/compressed.',
        choices=('raw', 'compressed'),
    )
    depth_encoding: str = option(
        '32FC1',
        'Encoding of depth, never of sigma: metres as float, NaN = unknown; or millimetres, 0 = '
        'unknown.',
        choices=('32FC1', '16UC1'),
    )
    stereo_offset: str = option(
        'warn',
        'P[:, 3] of the second camera of a stereo pair: apply if frame_id is that of the first '
        'camera, ignore if it is its own; warn = ignore, and say so once.',
        choices=('warn', 'ignore', 'apply'),
    )
    autostart: bool = option(True, 'Configure and activate at the start.')
    diagnostics_period_s: float = option(
        1.0, 'Time between diagnostics [s].', minimum=0.1, maximum=60.0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class CompletionNodeConfig(NodeConfig):
    """How the completion node is wired."""

    extrinsic: ExtrinsicConfig = field(default_factory=ExtrinsicConfig)
