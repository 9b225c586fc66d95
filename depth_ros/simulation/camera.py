"""A camera on a rig: what it sees, through its lens and shutter, and the exact depth of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float32, Float64, UInt8
from depth_ros.geometry.camera import Camera
from depth_ros.geometry.distortion import distort_pixels, undistort_pixels
from depth_ros.simulation.raycast import Hits, tile_order
from depth_ros.simulation.shading import tone
from depth_ros.simulation.trajectory import Poses
from depth_ros.simulation.world import Moment, World

_SUBPIXELS = ((-0.3, -0.25), (0.3, 0.25))
_AROUND = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))
_GREY = 0.3  # linear light that is rendered as a middle grey
_BEND = 0.12  # faces of a part whose normals differ by more (1 - cosine) have an edge between them


_Rays = tuple[npt.NDArray[np.floating], Float64]


@dataclass(frozen=True)
class Photo:
    """What a camera gives.

    Attributes:
        image: (H, W, 3) uint8 RGB, through the lens.
        depth_m: (H, W) float32 exact depth of the ray through the centre of each pixel of the
            rectified image, along the optical axis; 0 = nothing was hit.
        face: (H, W) int32 face of the world in these pixels, -1 = none.
    """

    image: UInt8
    depth_m: Float32
    face: npt.NDArray[np.int32]


@dataclass(frozen=True)
class CameraSensor:
    """A camera.

    Attributes:
        camera: its calibration.
        readout_s: time from the first to the last row of a rolling shutter; 0 = a global one.
        exposure_ev: exposure, in steps that double the light.
        metered: whether that is beside an exposure that makes the median of the image grey.
        blur_px: blur of the lens in pixels, one sigma.
        noise: of the image in grey levels, one sigma.
        jpeg_quality: at which the image is compressed and read again; 0 = it is not.
    """

    camera: Camera
    readout_s: float = 0.0
    exposure_ev: float = 0.0
    metered: bool = False
    blur_px: float = 0.4
    noise: float = 1.2
    jpeg_quality: int = 0

    def photograph(
        self, world: World, poses: Poses, time_s: float, rng: np.random.Generator
    ) -> Photo:
        """A photo, whose middle row is taken at a time.

        Args:
            world: what is to be seen.
            poses: T_world_camera (..., 4, 4) at times (...).
            time_s: of the photo.
            rng: decides the noise.
        """
        ideal, raw = self._rays
        times_s = [np.asarray(time_s + self.readout_s * row) for _, row in (ideal, raw)]
        cast = _cast(world, poses, times_s[1], raw[0])
        size = self.camera.intrinsics
        linear, normal = (
            _image(values, size.height, size.width)
            for values in cast.shade(1.0 / self.camera.rectified.fx)
        )
        self._smooth(cast, times_s[1], poses, raw[0], linear, normal)
        if ideal is not raw:
            cast = _cast(world, poses, times_s[0], ideal[0])
        size = self.camera.rectified
        depth_m = np.where(np.isfinite(cast.hits.t), cast.hits.t, 0).astype(np.float32)
        depth_m, face = (_image(v, size.height, size.width) for v in (depth_m, cast.hits.face))
        return Photo(self._develop(linear, rng), depth_m, face)

    @cached_property
    def _rays(self) -> tuple[_Rays, _Rays]:
        """Rays of the rectified and of the raw image; the same object where the lens is ideal.

        A ray has z = 1, so that its parameter is the depth, and says when in the readout, from
        -0.5 to 0.5, its row is taken; with a global shutter all are taken in the middle.
        """
        ideal, pinhole = self.camera.rectified, self.camera.intrinsics
        middle, rows = (pinhole.height - 1) / 2, max(pinhole.height - 1, 1)

        def when(row: npt.NDArray[np.floating]) -> Float64:
            return np.asarray((row - middle) / rows if self.readout_s else 0.0)

        pixels = _pixels(ideal.height, ideal.width)
        rays = ideal.unproject(pixels, np.ones(len(pixels)))
        if self.camera.is_rectified:
            both = rays, when(pixels[:, 1])
            return both, both
        seen_in = distort_pixels(pixels, self.camera)[:, 1]
        raw = _pixels(pinhole.height, pinhole.width)
        raw_rays = ideal.unproject(undistort_pixels(raw, self.camera), np.ones(len(raw)))
        return (rays, when(seen_in)), (raw_rays, when(raw[:, 1]))

    def _smooth(
        self,
        cast: _Cast,
        times_s: Float64,
        poses: Poses,
        rays: npt.NDArray[np.floating],
        linear: Float32,
        normal: Float32,
    ) -> None:
        """Give pixels on edges the mean colour of three rays within them.

        A ray that hits what a pixel around sees has the colour of that pixel; others are shaded.
        """
        height, width = linear.shape[:2]
        ideal = self.camera.rectified
        order = tile_order(height, width)
        part = np.empty(height * width, np.int32)
        part[order] = cast.part
        edge = _edges(part.reshape(height, width), normal)
        jagged = np.flatnonzero(edge.reshape(-1)[order])
        if not len(jagged):
            return
        count = len(_SUBPIXELS)
        fine = np.repeat(rays[jagged], count, axis=0)
        fine[:, :2] += np.tile(np.divide(_SUBPIXELS, (ideal.fx, ideal.fy)), (len(jagged), 1))
        times_s = times_s if times_s.ndim == 0 else np.repeat(times_s[jagged], count)
        finer = _cast(cast.world, poses, times_s, fine)
        hit = finer.part.reshape(-1, count)
        row, column = np.divmod(order[jagged], width)
        colour, known = np.empty((*hit.shape, 3), np.float32), np.zeros(hit.shape, dtype=bool)
        pixels = linear.reshape(-1, 3)
        for down, right in _AROUND:
            line, beside = (
                np.clip(row + down, 0, height - 1),
                np.clip(column + right, 0, width - 1),
            )
            at = line * width + beside
            pixel, ray = np.nonzero(~known & (hit == part[at][:, None]))
            colour[pixel, ray], known[pixel, ray] = pixels[at[pixel]], True
        left = np.flatnonzero(~known.reshape(-1))
        if len(left):
            colour.reshape(-1, 3)[left] = finer.of(left).shade(0.5 / ideal.fx)[0]
        middle = pixels[order[jagged]]
        pixels[order[jagged]] = (middle + colour.sum(axis=1)) / (1 + count)

    def _develop(self, linear: Float32, rng: np.random.Generator) -> UInt8:
        gain = 2.0**self.exposure_ev
        if self.metered:
            gain *= _GREY / max(float(np.median(linear)), 0.02)
        grey = tone(linear * np.float32(gain))
        if self.blur_px:
            grey = cv2.GaussianBlur(grey, (0, 0), self.blur_px)
        if self.noise:
            grey += np.float32(self.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
        image = cv2.convertScaleAbs(np.maximum(grey, 0))
        if self.jpeg_quality:
            quality = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
            stored = cv2.imencode('.jpg', image[..., ::-1], quality)[1]
            image = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR))[..., ::-1]
        return np.ascontiguousarray(image, dtype=np.uint8)


@dataclass(frozen=True)
class _Cast:
    """Rays of a photo in the world, and what they met."""

    world: World
    view: Moment
    origins: Float64
    directions: Float64
    hits: Hits

    def of(self, chosen: npt.NDArray[np.intp]) -> _Cast:
        """The same of some rays."""
        origins = self.origins if self.origins.ndim == 1 else self.origins[chosen]
        hits = Hits(self.hits.t[chosen], self.hits.face[chosen])
        return _Cast(self.world, self.view.of(chosen), origins, self.directions[chosen], hits)

    def shade(self, pixel_rad: float) -> tuple[Float32, Float32]:
        """Linear RGB and normals, both (N, 3)."""
        return self.world.shader.shade(
            self.view, self.origins, self.directions, self.hits, pixel_rad
        )

    @property
    def part(self) -> npt.NDArray[np.int32]:
        """Part of the world that each ray met, -1 for none."""
        return np.where(self.hits.face < 0, -1, self.world.parts.part[self.hits.face])


def _cast(world: World, poses: Poses, time_s: Float64, rays: npt.NDArray[np.floating]) -> _Cast:
    """Cast rays of a camera, at one time or each from where it is at its own."""
    if time_s.ndim == 0:
        pose = poses(time_s)
        directions, origins = rays @ pose[:3, :3].T, pose[:3, 3]
    else:
        rows, number = np.unique(time_s, return_inverse=True)
        pose = poses(rows)
        directions = np.einsum('nij,nj->ni', pose[number, :3, :3], rays)
        origins = pose[number, :3, 3]
    view = world.at(time_s)
    return _Cast(world, view, origins, directions, view.cast(origins, directions))


def _pixels(height: int, width: int) -> Float64:
    """Pixels (N, 2) as (u, v) in tile order."""
    order = tile_order(height, width)
    return np.stack((order % width, order // width), axis=1).astype(np.float64)


def _image(values: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """Rows of values in tile order as an image."""
    image = np.empty_like(values)
    image[tile_order(height, width)] = values
    return image.reshape(height, width, *values.shape[1:])


def _edges(part: npt.NDArray[np.int32], normal: Float32) -> Bool:
    """Pixels (H, W) beside which the part or its normal changes."""
    edge = np.zeros(part.shape, dtype=bool)
    for axis in (0, 1):
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(before), tuple(after)
        change = part[one] != part[other]
        cosine = np.einsum('ijk,ijk->ij', normal[one], normal[other])
        change |= (part[one] >= 0) & (cosine < 1 - _BEND)
        edge[one] |= change
        edge[other] |= change
    return edge
