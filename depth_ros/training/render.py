"""A photograph and its exact depth of a procedural scene, fast rather than beautiful."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_ros.frame import Float32, Float64, UInt8
from depth_ros.geometry.camera import Intrinsics
from depth_ros.training.materials import LEVELS, SIZE, Palette, bank
from depth_ros.training.mesh import Caster, Int32

MAX_DEPTH_M = 130.0
"""What is farther has no truth."""


@dataclass(frozen=True)
class Light:
    """How a scene is lit.

    Attributes:
        direction: (3,) unit vector to the sun or lamp.
        sun: (3,) colour of direct light.
        ambient: (3,) colour of light from everywhere.
        sky: (3,) colour of sky and haze.
        haze_m: distance at which 63 % of the light is haze.
    """

    direction: Float64
    sun: Float64
    ambient: Float64
    sky: Float64
    haze_m: float


def random_light(rng: np.random.Generator, indoor: bool) -> Light:
    """Sun or lamp from anywhere above, hard or soft, sometimes haze."""
    direction = rng.normal(size=3)
    direction[2] = abs(direction[2]) + (1.5 if indoor else 0.2)
    direction /= np.linalg.norm(direction)
    strength = 0.0 if rng.random() < 0.25 else rng.uniform(0.4, 2.0)
    tint = 1 + 0.12 * rng.normal(size=3)
    haze_m = np.inf if indoor or rng.random() < 0.6 else float(np.exp(rng.uniform(3.5, 6.5)))
    sky = rng.uniform(0.3, 1.2) * (1 + 0.15 * rng.normal(size=3))
    return Light(direction, strength * tint, rng.uniform(0.15, 0.7) * np.clip(sky, 0.2, 1.2),
                 np.clip(sky, 0.1, 1.3), haze_m)  # fmt: skip


def photograph(
    caster: Caster,
    material: Int32,
    palette: Palette,
    light: Light,
    intrinsics: Intrinsics,
    T_world_camera: Float64,
    rng: np.random.Generator,
) -> tuple[UInt8, Float32]:
    """Render a view.

    Args:
        caster: of the scene's mesh.
        material: (M,) material of each face.
        palette: the materials.
        light: the light.
        intrinsics: of the camera.
        T_world_camera: (4, 4) its pose.
        rng: for noise and exposure.

    Returns:
        Image (H, W, 3) RGB and depth (H, W) of the rays through pixel centres in metres, 0 where
        there is nothing up to `MAX_DEPTH_M`.
    """
    height, width = intrinsics.height, intrinsics.width
    v, u = np.mgrid[:height, :width].reshape(2, -1)
    rays = intrinsics.unproject(np.stack((u, v), axis=-1), np.ones(u.size))
    directions = (rays @ T_world_camera[:3, :3].T).astype(np.float32)
    origin = T_world_camera[:3, 3].astype(np.float32)
    hits = caster.cast(origin, directions)
    depth_m = np.where(hits.t < MAX_DEPTH_M, hits.t, np.float32(0))
    sky = light.sky * (1 + 0.25 * directions[:, 2:])
    rgb = np.broadcast_to(sky, (u.size, 3)).astype(np.float32)
    at = np.flatnonzero(depth_m)
    if at.size:
        points = origin + depth_m[at, None] * directions[at]
        surface = material[hits.face[at]]
        colour = _colour(
            points, hits.normal[at], surface, depth_m[at] / np.float32(intrinsics.fx), palette
        )
        lit = _lit(caster, points, hits.normal[at], light)
        mirror = np.array(palette.mirror, np.float32)[surface][:, None]
        rgb[at] = (1 - mirror) * colour * lit + mirror * sky[at] * rng.uniform(0.3, 1.0)
        if np.isfinite(light.haze_m):
            clear = np.exp(-depth_m[at, None] / np.float32(light.haze_m))
            rgb[at] = clear * rgb[at] + (1 - clear) * light.sky.astype(np.float32)
    return _developed(rgb.reshape(height, width, 3), rng), depth_m.reshape(height, width)


def _colour(
    points: Float32, normal: Float32, surface: Int32, pixel_m: Float32, palette: Palette
) -> Float32:
    """Colour (N, 3) of the material at points: its texture, on the nearest of three planes."""
    tile_m = np.array(palette.tile_m, np.float32)[surface]
    axis = np.argmax(np.abs(normal), axis=1)
    across = np.where(axis == 0, points[:, 1], points[:, 0]) / tile_m
    along = np.where(axis == 2, points[:, 1], points[:, 2]) / tile_m
    # The level whose texels are as large as a pixel on the surface.
    texels = pixel_m * (SIZE / tile_m)
    level = np.clip(np.log2(np.maximum(texels, 1e-6)), 0, LEVELS - 1).astype(np.int32)
    texture = np.array(palette.texture)[surface]
    value = np.empty(len(points), np.float32)
    for number, layer in enumerate(bank()):
        here = np.flatnonzero(level == number)
        size = layer.shape[1]
        row = ((along[here] % 1) * size).astype(np.int32) % size
        column = ((across[here] % 1) * size).astype(np.int32) % size
        value[here] = layer[texture[here], row, column]
    light = np.array(palette.light, np.float32)[surface]
    dark = np.array(palette.dark, np.float32)[surface]
    return dark + value[:, None] * (light - dark)


def _lit(caster: Caster, points: Float32, normal: Float32, light: Light) -> Float32:
    """Light (N, 3) that falls on points: ambient, and direct where nothing casts a shadow."""
    ambient = light.ambient * (0.75 + 0.25 * normal[:, 2:])
    if not light.sun.any():
        return ambient.astype(np.float32)
    facing = normal @ light.direction
    towards = np.flatnonzero(facing > 0)
    direction = np.broadcast_to(light.direction.astype(np.float32), (towards.size, 3))
    start = points[towards] + 0.02 * normal[towards]
    facing[towards[caster.blocked(start, direction)]] = 0
    return (ambient + np.maximum(facing, 0)[:, None] * light.sun).astype(np.float32)


def _developed(rgb: Float32, rng: np.random.Generator) -> UInt8:
    """Lens blur, exposure, gamma, white balance, noise."""
    rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.35, 0.8))
    exposure = np.exp(rng.normal() * 0.35) * 0.4 / max(float(np.median(rgb)), 0.02)
    rgb = np.clip(rgb * exposure, 0, None) ** np.float32(rng.uniform(0.45, 0.8))
    grey = 255 * rgb + rng.uniform(0, 6) * rng.standard_normal(rgb.shape, dtype=np.float32)
    return np.clip(grey, 0, 255).astype(np.uint8)
