"""A simulated rig with exact truth: procedural worlds seen by cameras and a LiDAR.

The sensors are cast from their own places at their own times, so that parallax, a skewed sweep
and returns that the camera cannot see occur as on a real rig. With the same libraries, the same
settings always give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.errors import DatasetError
from depth_ros.frame import Float64, Frame
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.settings import option, replaced, validate
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import Lidar, LidarConfig, Sweep
from depth_ros.simulation.raycast import BACKENDS
from depth_ros.simulation.rig import Rig, looking
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.world import Wish

_LENSES: dict[str, tuple[float, ...]] = {
    'none': (),
    'plumb_bob': (-0.22, 0.06, 0.001, -0.0008, 0.0),
    'rational_polynomial': (-0.35, 0.11, 0.0004, -0.0003, -0.008, 0.02, -0.03, -0.01),
    'equidistant': (0.02, -0.006, 0.001, 0.0),
}
_SIX = ('front', 'front_left', 'back_left', 'back', 'back_right', 'front_right')

KEPT_BYTES = 512 << 20
"""What rendered frames may take of memory."""


@dataclass(frozen=True)
class SimulatorConfig:
    """What is simulated."""

    scene: str = option('street', 'The world.', choices=tuple(WORLDS))
    frames: int = option(50, 'Number of frames.', minimum=1, maximum=100000)
    seed: int = option(0, 'Seed of the arrangement and of all noise.', minimum=0)
    rate_hz: float = option(10.0, 'Frames per second.', minimum=0.1, maximum=1000.0)
    surround: bool = option(False, 'Six cameras all around instead of one.')
    width: int = option(640, 'Image width [pixels].', minimum=8, maximum=8192)
    height: int = option(360, 'Image height [pixels].', minimum=8, maximum=8192)
    fov_deg: float = option(72.0, 'Horizontal field of view.', minimum=10.0, maximum=120.0)
    tilt_deg: float = option(
        0.0, 'How much farther down the cameras look than is usual there.', minimum=-60, maximum=60
    )
    lens: str = option('none', 'Distortion of the image.', choices=tuple(_LENSES))
    image_noise: float = option(
        1.2, 'Noise of the image [grey levels, one sigma].', minimum=0.0, maximum=50.0
    )
    exposure_ev: float = option(
        0.0, 'Exposure, in steps that double the light.', minimum=-8.0, maximum=8.0
    )
    readout_s: float = option(
        0.0,
        'Time from the first to the last row of a rolling shutter [s]; 0 = a global one.',
        minimum=0.0,
        maximum=1.0,
    )
    jpeg_quality: int = option(
        0, 'Quality of JPEG that the image goes through; 0 = none.', minimum=0, maximum=100
    )
    relief_m: float = option(
        0.3, 'Height of the hills outdoors [m]; 0 = a plane.', minimum=0.0, maximum=2.0
    )
    lidar_delay_s: float = option(
        0.0, 'Time of the sweep after that of the image [s].', minimum=-10.0, maximum=10.0
    )
    caster: str = option(
        'auto',
        'What casts the rays: Embree, which is faster, or NumPy; auto takes Embree where it is '
        'installed.',
        choices=BACKENDS,
    )
    sweep: LidarConfig = field(default_factory=LidarConfig)

    def __post_init__(self) -> None:
        validate(self)


class Simulator:
    """A `Dataset` of rendered frames.

    `Simulator(scene='indoor', lidar='solid_state', frames=20)`: any setting of
    `SimulatorConfig`, those of the LiDAR as `Simulator(**{'sweep.beams': 16})`. Frames are
    rendered when asked for and kept (about 2.6 MB each at 640x360), up to `KEPT_BYTES` of them.

    Args:
        config: settings to start from.
        lidar: short for the setting `sweep.pattern`.
        only: cameras that samples are made of; None takes all.
        changes: settings that differ from `config`.

    Raises:
        ConfigError: a setting is unknown or out of range.
        DatasetError: there is no such camera.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        lidar: str | None = None,
        only: Sequence[str] | None = None,
        **changes: Any,
    ) -> None:
        if lidar is not None:
            changes['sweep.pattern'] = lidar
        self.config: SimulatorConfig = replaced(config or SimulatorConfig(), changes)
        self.name = f'simulator_{self.config.scene}'
        self.rig = _rig(self.config)
        known = tuple(self.rig.cameras)
        unknown = sorted(set(only or ()) - set(known))
        if unknown:
            raise DatasetError(f'The simulator has no camera {unknown}; it has {list(known)}.')
        self.camera_names = tuple(name for name in known if only is None or name in only)
        duration_s = self.config.frames / self.config.rate_hz
        rng = np.random.default_rng(self.config.seed)
        self.world = WORLDS[self.config.scene](
            Wish(rng, duration_s, self.config.relief_m, backend=self.config.caster)
        )
        self._swept: tuple[int, Sweep] | None = None  # the last frame and its sweep
        self._rendered: dict[int, Sample] = {}
        self._kept_bytes = 0

    @property
    def camera(self) -> Camera:
        """Calibration of the first camera."""
        return self.rig.cameras[self.camera_names[0]].camera

    @property
    def T_camera_lidar(self) -> Float64:
        """(4, 4) from the LiDAR into the first camera."""
        return self.rig.T_camera_lidar(self.camera_names[0])

    def __len__(self) -> int:
        return self.config.frames * len(self.camera_names)

    def sample(self, index: int) -> Sample:
        """Sample `index` with the exact depth of the ray through each pixel's centre.

        Raises:
            DatasetError: index is not in 0 <= index < len.
        """
        if not 0 <= index < len(self):
            raise DatasetError(f'{self.name} has frames 0 to {len(self) - 1}, not {index}.')
        kept = self._rendered.get(index)
        if kept is not None:
            return kept
        rendered = self._render(*divmod(index, len(self.camera_names)))
        # Frames are read in turn, again and again: the first are kept, for they come next.
        size = _bytes_of(rendered)
        if self._kept_bytes + size <= KEPT_BYTES:
            self._rendered[index] = rendered
            self._kept_bytes += size
        return rendered

    def _render(self, number: int, camera: int) -> Sample:
        config, name = self.config, self.camera_names[camera]
        time_s, stamp_ns = number / config.rate_hz, round(number * 1e9 / config.rate_hz)
        seed = config.seed, number
        if self._swept is None or self._swept[0] != number:  # all cameras share it
            at_s, rng = time_s + config.lidar_delay_s, np.random.default_rng((*seed, 0))
            self._swept = number, self.rig.sweep(self.world, at_s, rng)
        sweep = self._swept[1]
        photo = self.rig.photograph(
            self.world, name, time_s, np.random.default_rng((*seed, 1 + camera))
        )
        frame = Frame(
            image=photo.image,
            camera=self.rig.cameras[name].camera,
            stamp_ns=stamp_ns,
            points=sweep.points,
            T_camera_lidar=self.rig.T_camera_lidar(name),
            lidar_stamp_ns=stamp_ns + round(config.lidar_delay_s * 1e9),
        )
        T_world_camera = self.world.rig.poses(time_s) @ self.rig.T_rig_camera[name]
        ring = sweep.ring.astype(np.intp) if config.sweep.pattern == 'spinning' else None
        return Sample(
            f'{name}_{number:06d}', name, frame, photo.depth_m, T_world_camera, ring=ring
        )


def _bytes_of(sample: Sample) -> int:
    frame = sample.frame
    arrays = (frame.image, frame.points, sample.depth_gt_m, sample.ring)
    return sum(array.nbytes for array in arrays if array is not None)


def _rig(config: SimulatorConfig) -> Rig:
    """A car on the street, a robot elsewhere; the LiDAR sits above and behind, slightly turned."""
    if config.scene == 'street':
        ahead, high, pitch_deg, lidar_at = 0.55, 1.50, 1.0, (0.05, 0.12, 1.95)
    else:
        ahead, high, pitch_deg, lidar_at = 0.12, 1.25, 9.0, (0.00, 0.04, 1.48)
    sensor = CameraSensor(
        _camera(config), config.readout_s, config.exposure_ev,
        noise=config.image_noise, jpeg_quality=config.jpeg_quality,
    )  # fmt: skip
    names = _SIX if config.surround else ('camera',)
    poses = {}
    for number, name in enumerate(names):
        yaw_deg = 60.0 * number
        away = math.radians(yaw_deg)
        at = (ahead * math.cos(away), ahead * math.sin(away), high)
        poses[name] = looking(at, yaw_deg, pitch_deg + config.tilt_deg)
    tilt_rad = math.radians(7.0 if config.sweep.pattern == 'solid_state' else 0.4)
    quat = (0.0, math.sin(tilt_rad / 2), 0.0, math.cos(tilt_rad / 2))
    T_rig_lidar = transforms.from_translation_quat(lidar_at, quat)
    return Rig(dict.fromkeys(names, sensor), poses, Lidar(config.sweep), T_rig_lidar)


def _camera(config: SimulatorConfig) -> Camera:
    """The camera of a horizontal field of view, principal point slightly off the middle."""
    f_px = config.width / (2 * math.tan(math.radians(config.fov_deg) / 2))
    cx, cy = 0.503 * config.width - 0.5, 0.492 * config.height - 0.5
    pinhole = Intrinsics(config.width, config.height, f_px, f_px, cx, cy)
    return Camera(pinhole, config.lens, _LENSES[config.lens])
