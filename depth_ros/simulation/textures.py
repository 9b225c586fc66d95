"""Textures filtered by distance (mip maps): all that the materials of a world need, in one table.

Each texture is painted once per process from a fixed seed: worlds differ by what is built of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from depth_ros.frame import Float32, UInt8
from depth_ros.simulation.materials import Material
from depth_ros.simulation.painters import PAINTERS
from depth_ros.simulation.parts import Int32

_STAINS = Material('stain')


class Atlas:
    """Samples the textures of materials.

    Args:
        materials: what is to be sampled, by its position.
    """

    def __init__(self, materials: Sequence[Material]) -> None:
        every = (*materials, _STAINS)
        names = list(dict.fromkeys(material.texture for material in every))
        pyramids = {name: _pyramid(name) for name in names}
        deepest = max(len(levels) for levels in pyramids.values())
        starts, texels, count = {}, [], 0
        for name, levels in pyramids.items():
            ends = count + np.cumsum([len(level) for level in levels])
            starts[name] = np.resize([count, *ends[:-1]], deepest)
            texels += levels
            count = int(ends[-1])
        self._texels: UInt8 = np.concatenate(texels)
        self._start = np.array([starts[material.texture] for material in every], np.int32)
        last = [len(pyramids[material.texture]) - 1 for material in every]
        self._side = np.array([1 << level for level in last], np.int32)
        tiles = [_tile_m(material) for material in every]
        per_m = self._side[:, None] / np.array(tiles)
        # One row for each material, to be taken at once.
        self._row = np.zeros((len(every), 12), np.float32)
        self._row[:, 0], self._row[:, 1] = per_m.T
        self._row[:, 2] = np.log2(per_m.max(axis=1))
        self._row[:, 3] = last
        self._row[:, 4:7] = np.array([material.tint for material in every])
        self._row[:, 7:10] = np.array([material.dark for material in every])
        self._row[:, 10] = [material.gloss for material in every]
        self._row[:, 11] = [material.stains for material in every]

    def sample(
        self, material: Int32, uv: Float32, footprint_m: Float32
    ) -> tuple[Float32, Float32]:
        """Linear RGB (N, 3) and gloss (N,) at (N, 2) metres, averaged over footprint_m (N,)."""
        row = self._row[material]
        texel = self._texel(material, row, uv, np.log2(np.maximum(footprint_m, 1e-6)))
        dark = row[:, 7:10]
        colour = dark + texel[:, :3] ** 2 * (row[:, 4:7] - dark)  # painted as sRGB, about x^2
        stained = np.flatnonzero(row[:, 11])
        if len(stained):
            number = np.full(len(stained), len(self._row) - 1, np.int32)
            fine = np.full(len(stained), -2.0, np.float32)
            stain = self._texel(number, self._row[number], uv[stained], fine)[:, :1]
            colour[stained] *= 1 + row[stained, 11:] * (2 * stain**2 - 1)
        return colour, texel[:, 3] + row[:, 10]

    def _texel(
        self, material: Int32, row: Float32, uv: Float32, log_footprint: Float32
    ) -> Float32:
        """Texels (N, 4), 0 to 1, interpolated between the four around each place."""
        level = np.clip(np.rint(log_footprint + row[:, 2]), 0, row[:, 3]).astype(np.int32)
        side = self._side[material] >> level
        scale = np.ldexp(np.float32(1), -level)
        x = uv[:, 0] * row[:, 0] * scale - np.float32(0.5)
        y = -uv[:, 1] * row[:, 1] * scale - np.float32(0.5)
        left, top = np.floor(x), np.floor(y)
        x -= left
        y -= top
        column, line = left.astype(np.int32), top.astype(np.int32)
        mask = side - 1
        start = self._start[material, level]
        columns = column & mask, (column + 1) & mask
        lines = start + (line & mask) * side, start + ((line + 1) & mask) * side
        texels = self._texels
        upper, lower = (
            texels[at + columns[0]] * (1 - x)[:, None] + texels[at + columns[1]] * x[:, None]
            for at in lines
        )
        upper += (lower - upper) * y[:, None]
        upper *= np.float32(1 / 255)
        return np.asarray(upper)


def _tile_m(material: Material) -> tuple[float, float]:
    """Width and height of a tile of a material's texture."""
    wide, high = PAINTERS[material.texture][0]
    factor = material.tile_m / wide if material.tile_m else 1.0
    return wide * factor, high * factor


@cache
def _pyramid(name: str) -> list[UInt8]:
    """Texels (S * S, 4) of a texture, each level half the last; KeyError if there is none."""
    picture = PAINTERS[name][1](np.random.default_rng(zlib.crc32(name.encode())))
    level = np.clip(picture, 0, 1).astype(np.float32)
    levels = [level]
    while len(level) > 1:
        half = len(level) // 2
        linear = np.concatenate((level[..., :3] ** 2, level[..., 3:]), axis=-1)
        small = cv2.resize(linear, (half, half), None, 0, 0, cv2.INTER_AREA).reshape(half, half, 4)
        level = np.concatenate((np.sqrt(small[..., :3]), small[..., 3:]), axis=-1)
        levels.append(level)
    return [np.rint(255 * level).astype(np.uint8).reshape(-1, 4) for level in levels]
