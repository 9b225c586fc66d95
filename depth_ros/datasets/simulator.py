"""A simulated rig with exact truth: procedural scenes seen by a camera and a LiDAR.

Both sensors are cast from their own places, so that parallax and returns that the camera
cannot see occur as on a real rig. With the same libraries, the same settings always give the
same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_ros.datasets.base import Sample
from depth_ros.errors import DatasetError
from depth_ros.frame import Bool, Float32, Float64, Frame, UInt8
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import undistort_pixels
from depth_ros.settings import option, replaced, validate
from depth_ros.simulation.lidar import LidarConfig, sweep
from depth_ros.simulation.raycast import BACKENDS, Hits, make_caster, tile_order
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.shading import shade

_SUBPIXELS = ((-0.375, -0.125), (0.125, -0.375), (-0.125, 0.375), (0.375, 0.125))
_LENSES: dict[str, tuple[float, ...]] = {
    'none': (),
    'plumb_bob': (-0.22, 0.06, 0.001, -0.0008, 0.0),
    'equidistant': (0.02, -0.006, 0.001, 0.0),
}

KEPT_BYTES = 512 << 20
"""What rendered frames may take of memory."""


@dataclass(frozen=True)
class SimulatorConfig:
    """What is simulated."""

    scene: str = option('street', 'The world.', choices=tuple(WORLDS))
    frames: int = option(50, 'Number of frames.', minimum=1, maximum=100000)
    seed: int = option(0, 'Seed of the arrangement and of all noise.', minimum=0)
    rate_hz: float = option(10.0, 'Frames per second.', minimum=0.1, maximum=1000.0)
    width: int = option(640, 'Image width [pixels].', minimum=8, maximum=8192)
    height: int = option(360, 'Image height [pixels].', minimum=8, maximum=8192)
    fov_deg: float = option(72.0, 'Horizontal field of view.', minimum=10.0, maximum=120.0)
    lens: str = option('none', 'Distortion of the image.', choices=tuple(_LENSES))
    image_noise: float = option(
        1.2, 'Noise of the image [grey levels, one sigma].', minimum=0.0, maximum=50.0
    )
    relief_m: float = option(
        0.3, 'Height of the hills of the street [m]; 0 = a plane.', minimum=0.0, maximum=2.0
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
        changes: settings that differ from `config`.

    Raises:
        ConfigError: a setting is unknown or out of range.
    """

    camera_names: tuple[str, ...] = ('camera',)

    def __init__(
        self, config: SimulatorConfig | None = None, lidar: str | None = None, **changes: Any
    ) -> None:
        if lidar is not None:
            changes['sweep.pattern'] = lidar
        self.config: SimulatorConfig = replaced(config or SimulatorConfig(), changes)
        self.name = f'simulator_{self.config.scene}'
        self.camera = _camera(self.config)
        duration_s = self.config.frames / self.config.rate_hz
        rng = np.random.default_rng(self.config.seed)
        self.world = WORLDS[self.config.scene](rng, duration_s, self.config.relief_m)
        self.caster = make_caster(self.world.scene.surfaces, self.config.caster)
        self._T_rig_camera, self._T_rig_lidar = _mounting(self.config)
        self.T_camera_lidar: Float64 = transforms.inverse(self._T_rig_camera) @ self._T_rig_lidar
        self._rendered: dict[int, Sample] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return self.config.frames

    def sample(self, index: int) -> Sample:
        """Frame `index` with the exact depth of the ray through each pixel's centre.

        Raises:
            DatasetError: index is not in 0 <= index < len.
        """
        if not 0 <= index < len(self):
            raise DatasetError(f'{self.name} has frames 0 to {len(self) - 1}, not {index}.')
        kept = self._rendered.get(index)
        if kept is not None:
            return kept
        rendered = self._render(index)
        # Frames are read in turn, again and again: the first are kept, for they come next.
        size = _bytes_of(rendered)
        if self._kept_bytes + size <= KEPT_BYTES:
            self._rendered[index] = rendered
            self._kept_bytes += size
        return rendered

    def _render(self, index: int) -> Sample:
        config = self.config
        time_s = index / config.rate_hz
        stamp_ns = round(index * 1e9 / config.rate_hz)
        rng = np.random.default_rng((config.seed, index))
        T_world_camera = self.world.pose(time_s) @ self._T_rig_camera
        surfaces = self.world.scene.surfaces
        T_world_lidar = self.world.pose(time_s + config.lidar_delay_s) @ self._T_rig_lidar
        image, depth_gt_m = self._photograph(T_world_camera, rng)
        points = sweep(surfaces, self.caster, T_world_lidar, config.sweep, index, rng)
        frame = Frame(
            image=image,
            camera=self.camera,
            stamp_ns=stamp_ns,
            points=points,
            T_camera_lidar=self.T_camera_lidar,
            lidar_stamp_ns=stamp_ns + round(config.lidar_delay_s * 1e9),
        )
        return Sample(f'camera_{index:06d}', 'camera', frame, depth_gt_m, T_world_camera)

    def _photograph(
        self, T_world_camera: Float64, rng: np.random.Generator
    ) -> tuple[UInt8, Float32]:
        """Image through the lens, and depth in the rectified camera.

        Directions have z = 1 in the camera, so that the ray parameter is the depth. Pixels on
        edges are cast four times more and averaged.
        """
        scene = self.world.scene
        height, width = self.config.height, self.config.width
        order = tile_order(height, width)
        pixels = np.stack((order % width, order // width), axis=1).astype(np.float64)
        rotation, origin = T_world_camera[:3, :3], T_world_camera[:3, 3]
        pixel_rad = 1.0 / self.camera.intrinsics.fx

        def look(at: Float64, lens: str) -> tuple[Float64, Hits]:
            directions = _rays(self.camera, at, lens) @ rotation.T
            return directions, self.caster.cast(origin, directions)

        directions, hits = look(pixels, self.config.lens)
        seen = shade(scene, self.caster, origin, directions, hits, pixel_rad)
        rgb = seen.rgb
        features = np.column_stack((seen.normal, seen.lit, hits.index))
        edge = _edges(_unordered(features, order, height, width))
        jagged = np.flatnonzero(edge.reshape(-1)[order])
        if len(jagged):
            at = (pixels[jagged, None] + _SUBPIXELS).reshape(-1, 2)
            directions, finer = look(at, self.config.lens)
            fine = shade(scene, self.caster, origin, directions, finer, pixel_rad / 2).rgb
            rgb[jagged] = fine.reshape(-1, 4, 3).mean(axis=1)
        truth = hits if self.config.lens == 'none' else look(pixels, 'none')[1]
        depth_m = np.where(np.isfinite(truth.t), truth.t, 0.0).astype(np.float32)
        noise = rng.standard_normal((height, width, 3), dtype=np.float32)
        grey = _unordered(rgb, order, height, width) * 255 + self.config.image_noise * noise
        image = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
        return image, np.ascontiguousarray(_unordered(depth_m, order, height, width))


def _bytes_of(sample: Sample) -> int:
    frame = sample.frame
    arrays = (frame.image, frame.points, sample.depth_gt_m)
    return sum(array.nbytes for array in arrays if array is not None)


def _camera(config: SimulatorConfig) -> Camera:
    """The camera of a horizontal field of view, principal point slightly off the middle."""
    f_px = config.width / (2 * math.tan(math.radians(config.fov_deg) / 2))
    cx, cy = 0.503 * config.width - 0.5, 0.492 * config.height - 0.5
    pinhole = Intrinsics(config.width, config.height, f_px, f_px, cx, cy)
    return Camera(pinhole, config.lens, _LENSES[config.lens])


def _mounting(config: SimulatorConfig) -> tuple[Float64, Float64]:
    """T_rig_camera and T_rig_lidar: the LiDAR sits above and behind, slightly turned."""
    if config.scene == 'street':
        camera_at, pitch_deg, lidar_at = (0.55, 0.0, 1.50), 1.0, (0.05, 0.12, 1.95)
    else:
        camera_at, pitch_deg, lidar_at = (0.12, 0.0, 1.25), 9.0, (0.00, 0.04, 1.48)
    c, s = math.cos(math.radians(pitch_deg)), math.sin(math.radians(pitch_deg))
    T_rig_camera = np.eye(4)  # columns: the camera's right, down and forward
    T_rig_camera[:3, :3] = [[0.0, -s, c], [-1.0, 0.0, 0.0], [0.0, -c, -s]]
    T_rig_camera[:3, 3] = camera_at
    tilt_rad = math.radians(7.0 if config.sweep.pattern == 'solid_state' else 0.4)
    quat = (0.0, math.sin(tilt_rad / 2), 0.0, math.cos(tilt_rad / 2))
    return T_rig_camera, transforms.from_translation_quat(lidar_at, quat)


def _rays(camera: Camera, pixels: npt.NDArray[np.floating], lens: str) -> Float64:
    """Directions (N, 3) with z = 1 in the camera frame of raw pixels (N, 2)."""
    if lens != 'none':
        pixels = undistort_pixels(pixels, camera)
    intrinsics = camera.rectified
    xy = (pixels - (intrinsics.cx, intrinsics.cy)) / (intrinsics.fx, intrinsics.fy)
    return np.column_stack((xy, np.ones(len(xy))))


def _unordered(values: Any, order: Any, height: int, width: int) -> Any:
    """Rows of values in tile order as an image."""
    image = np.empty_like(values)
    image[order] = values
    return image.reshape(height, width, *values.shape[1:])


def _edges(features: Float64) -> Bool:
    """Pixels (H, W) beside which the surface, its normal or its shadow (H, W, 5) changes."""
    edge = np.zeros(features.shape[:2], dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(features, axis=axis))
        change = (step[..., :3].sum(axis=-1) > 0.35) | (step[..., 3] > 0.1) | (step[..., 4] > 0)
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= change
        edge[tuple(after)] |= change
    return edge
