"""What surfaces look like: a bank of tileable textures, and random materials that use them.

Colours and patterns say nothing about depth on purpose: texture edges without depth edges, depth
edges without a change of colour.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float32

TEXTURES = 48
SIZE = 256
LEVELS = 5
"""Of each texture's pyramid, so that distant ones do not flicker."""
PLAIN, PATTERN, FACADE = range(16), range(16, 36), range(36, 48)
"""Numbers of textures that are noise, regular patterns, and rows of windows."""


@functools.cache
def bank() -> list[Float32]:
    """Levels of the textures, each (TEXTURES, SIZE / 2^level, SIZE / 2^level), 0 to 1."""
    rng = np.random.default_rng(20)
    makers = [(PLAIN, _noise), (PATTERN, _pattern), (FACADE, _facade)]
    made = [maker(rng) for numbers, maker in makers for _ in numbers]
    levels = [np.stack([(t - t.min()) / max(np.ptp(t), 1e-6) for t in made]).astype(np.float32)]
    for _ in range(1, LEVELS):
        last = levels[-1]
        rows, columns = last.shape[1] // 2, last.shape[2] // 2
        levels.append(last.reshape(TEXTURES, rows, 2, columns, 2).mean(axis=(2, 4)))
    return levels


@dataclass
class Palette:
    """The materials of one scene, which are drawn as they are asked for.

    Attributes:
        light: (3,) colour of each material where its texture is 1.
        dark: (3,) where it is 0.
        texture: number of its texture.
        tile_m: size of one tile in metres.
        reflectivity: share of a LiDAR's light that it sends back, 0 to 1.
        mirror: how much of the sky it reflects, 0 to 1.
    """

    rng: np.random.Generator
    light: list[npt.NDArray[np.floating]] = field(default_factory=list)
    dark: list[npt.NDArray[np.floating]] = field(default_factory=list)
    texture: list[int] = field(default_factory=list)
    tile_m: list[float] = field(default_factory=list)
    reflectivity: list[float] = field(default_factory=list)
    mirror: list[float] = field(default_factory=list)

    def new(
        self,
        numbers: range = PLAIN,
        tile_m: tuple[float, float] = (0.5, 4.0),
        tone: tuple[float, float] = (0.08, 0.9),
        saturation: float = 0.35,
        hue: tuple[float, float, float] | None = None,
        mirror: float = 0.0,
        reflectivity: tuple[float, float] = (0.3, 1.0),
    ) -> int:
        """Draw a material and return its number.

        Args:
            numbers: textures to draw from.
            tile_m: range of the size of a tile.
            tone: range of the brightness.
            saturation: how far colours stray from grey.
            hue: colour to stay near, or any.
            mirror: share of the sky that it reflects.
            reflectivity: range for the LiDAR.
        """
        rng = self.rng
        colour = np.array(hue) if hue else 1 + saturation * rng.normal(size=3)
        light = rng.uniform(*tone) * colour * (1 + 0.1 * rng.normal(size=3))
        contrast = rng.uniform(0, 1) ** 1.5
        second = rng.uniform(*tone) * (1 + saturation * rng.normal(size=3))
        dark = (
            light * (1 - contrast) if rng.random() < 0.7 else light + contrast * (second - light)
        )
        self.light.append(np.clip(light, 0.01, 1))
        self.dark.append(np.clip(dark, 0.01, 1))
        self.texture.append(int(rng.choice(numbers)))
        self.tile_m.append(float(np.exp(rng.uniform(*np.log(tile_m)))))
        self.reflectivity.append(float(rng.uniform(*reflectivity)))
        self.mirror.append(mirror)
        return len(self.light) - 1

    def glass(self) -> int:
        """Draw a window: dark, it mirrors the sky, and a LiDAR mostly looks through it."""
        return self.new(tone=(0.02, 0.15), mirror=0.5, reflectivity=(0.05, 0.3))

    def green(self) -> int:
        """Draw foliage."""
        hue = (0.6, 1.0, 0.4) if self.rng.random() < 0.8 else (1.0, 0.75, 0.4)
        return self.new(tile_m=(0.3, 1.5), tone=(0.1, 0.5), hue=hue)


def _noise(rng: np.random.Generator) -> Float32:
    """Tileable 1/f^a noise, seldom warped into stains."""
    power = rng.uniform(0.5, 1.6)
    u, v = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE))
    u *= np.exp(rng.normal() * 0.7)
    spectrum = np.hypot(u, v) + 1 / SIZE
    wave = np.fft.fft2(rng.normal(size=(SIZE, SIZE))) / spectrum**power
    values = np.real(np.fft.ifft2(wave))
    low, high = np.quantile(values, (0.02, 0.98))
    values = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(values if rng.random() < 0.7 else np.round(3 * values) / 3)


def _pattern(rng: np.random.Generator) -> Float32:
    """Bricks, tiles, planks, stripes, checks or dots, with noise."""
    kind, cells = rng.integers(5), int(2 ** rng.integers(1, 5))
    y, x = np.mgrid[:SIZE, :SIZE] * (cells / SIZE)
    if kind == 0:  # bricks and tiles with joints
        long = rng.integers(1, 4)
        across = (x / long + 0.5 * (np.floor(y) % 2)) % 1
        joint = rng.uniform(0.03, 0.12)
        brick = (
            np.floor(y) * 57 + np.floor(x / long + 0.5 * (np.floor(y) % 2)) % (cells / long) * 13
        )
        shade = 0.6 + 0.4 * ((brick * 0.618) % 1)
        values = np.where((across < joint / long) | (y % 1 < joint), 0.1, shade)
    elif kind == 1:
        values = 0.5 + 0.5 * np.sin(2 * np.pi * (x if rng.random() < 0.5 else y))
    elif kind == 2:
        values = (np.floor(x) + np.floor(y)) % 2
    elif kind == 3:
        values = np.hypot(x % 1 - 0.5, y % 1 - 0.5) < rng.uniform(0.15, 0.45)
    else:  # planks
        values = 0.5 + 0.5 * ((np.floor(y) * 0.618) % 1) - 0.8 * (y % 1 < 0.06)
    return np.asarray(values + 0.25 * _noise(rng))


def _facade(rng: np.random.Generator) -> Float32:
    """Painted windows and doors: rectangles in rows, which are no depth edges."""
    values = 0.7 + 0.2 * _noise(rng)
    cells = int(rng.choice((2, 4)))
    step = SIZE // cells
    for row in range(cells):
        for column in range(cells):
            wide, high = (rng.uniform(0.3, 0.7, 2) * step).astype(int)
            left = column * step + (step - wide) // 2
            top = row * step + (step - high) // 3
            tone = rng.uniform(0, 0.4)
            cv2.rectangle(values, (left, top), (left + wide, top + high), float(tone), -1)
            if rng.random() < 0.6:
                cv2.rectangle(values, (left, top), (left + wide, top + high), 1.0, 3)
    return values
