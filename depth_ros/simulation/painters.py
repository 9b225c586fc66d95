"""Painters of the procedural, tileable textures of the simulated world.

A painter makes (S, S, 4) float32 of sRGB and gloss (share of mirror), 0 to 1; S is a power of 2.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from depth_ros.frame import Float32
from depth_ros.simulation.materials import Colour

Painter = Callable[[np.random.Generator], Float32]

_DARK_GLASS: Colour = (0.10, 0.13, 0.16)
_GREY_SIZE = 256


def fractal(rng: np.random.Generator, size: int, exponent: float) -> Float32:
    """(size, size) tileable noise, mean 0 and deviation 1, amplitude ~ frequency^-exponent."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
    frequency[0, 0] = 1.0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-exponent
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, (size, size))
    return np.asarray(noise / noise.std(), dtype=np.float32)


def _picture(colour: Colour, size: int = 512, gloss: float = 0.0) -> Float32:
    return np.full((size, size, 4), (*colour, gloss), dtype=np.float32)


def _toned(colour: Colour, tone: float) -> Colour:
    red, green, blue = colour
    return red * tone, green * tone, blue * tone


def _noisy(colour: Colour, size: int, *grains: tuple[float, float], gloss: float = 0.0) -> Painter:
    """A painter of plain material with (exponent, strength) layers of noise."""

    def paint(rng: np.random.Generator) -> Float32:
        picture = _picture(colour, size, gloss)
        for exponent, strength in grains:
            picture[..., :3] *= 1 + strength * fractal(rng, size, exponent)[..., None]
        return picture

    return paint


def _tiles(
    colour: Colour,
    joint: Colour,
    counts: tuple[int, int],
    *,
    bond: float = 0.0,
    spread: float = 0.07,
    joint_px: int = 2,
    size: int = 512,
    grain: float = 0.05,
) -> Painter:
    """A painter of laid tiles or bricks, (columns, rows) of them, each of its own tone."""

    def paint(rng: np.random.Generator) -> Float32:
        columns, rows = counts
        y, x = np.mgrid[:size, :size]
        row = y * rows // size
        shifted = (x + row * (bond * size / columns)) % size
        column = (shifted * columns / size).astype(int) % columns
        tone = 1 + spread * rng.standard_normal((rows, columns))
        picture = _picture(colour, size)
        picture[..., :3] *= tone[row, column][..., None]
        picture[..., :3] *= 1 + grain * fractal(rng, size, 0.7)[..., None]
        seam = (y % (size / rows) < joint_px) | (shifted % (size / columns) < joint_px)
        picture[seam] = (*joint, 0.0)
        return picture

    return paint


def _leaves(colour: Colour, dark: float) -> Painter:
    """A painter of foliage: many small blades in several tones, dark gaps between."""

    def paint(rng: np.random.Generator) -> Float32:
        picture = _picture(_toned(colour, dark))
        for _ in range(5200):
            x, y = rng.integers(0, 512, 2)
            tone = rng.normal(1.0, 0.22)
            warm = rng.normal(0, 0.03)
            shade = (colour[0] * tone + warm, colour[1] * tone, colour[2] * tone, 0.0)
            axes = (int(rng.integers(4, 9)), int(rng.integers(2, 5)))
            angle = float(rng.uniform(0, 180))
            for dx in {0, 512 * (x < 16) - 512 * (x > 496)}:
                for dy in {0, 512 * (y < 16) - 512 * (y > 496)}:
                    at = (int(x + dx), int(y + dy))
                    cv2.ellipse(picture, at, axes, angle, 0, 360, shade, -1)
        return picture

    return paint


def _planks(colour: Colour, rows: int, gloss: float) -> Painter:
    """A painter of boards along x with grain and knots of tone."""

    def paint(rng: np.random.Generator) -> Float32:
        size = 1024
        grain = cv2.resize(fractal(rng, 256, 0.9), (size, size), None, 0, 0, cv2.INTER_CUBIC)
        streaks = np.pad(
            rng.standard_normal((size, size)).astype(np.float32), ((0, 0), (30, 30)), 'wrap'
        )
        fibre = cv2.blur(streaks, (61, 1))[:, 30:-30] * 4
        y, x = np.mgrid[:size, :size]
        row = y * rows // size
        offset = rng.integers(0, size, rows)[row]
        board = ((x + offset) // (size // 2)) % 2
        tone = 1 + 0.10 * rng.standard_normal((rows, 2))
        picture = _picture(colour, size, gloss)
        picture[..., :3] *= (tone[row, board] + 0.05 * grain + 0.10 * fibre)[..., None]
        seam = (y % (size / rows) < 2) | ((x + offset) % (size // 2) < 2)
        picture[seam, :3] *= 0.45
        return picture

    return paint


def _facade(wall: Painter, style: str) -> Painter:
    """A painter of 4 x 4 window bays of 3 m over a wall."""

    def paint(rng: np.random.Generator) -> Float32:
        picture = wall(rng)
        size = len(picture)
        bay = size // 4
        for row in range(4):
            if style != 'office':  # a string course under each floor
                picture[(row + 1) * bay - bay // 28 : (row + 1) * bay, :, :3] *= 0.86
            for column in range(4):
                _window(picture, column * bay, row * bay, bay, style, rng)
        return picture

    return paint


def _window(
    picture: Float32, left: int, top: int, bay: int, style: str, rng: np.random.Generator
) -> None:
    """One window: reveal, frame, panes with curtains or a lit room, sill."""

    def fill(x0: float, y0: float, x1: float, y1: float, colour: Colour, gloss: float) -> None:
        a = (left + round(x0 * bay), top + round(y0 * bay))
        b = (left + round(x1 * bay) - 1, top + round(y1 * bay) - 1)
        cv2.rectangle(picture, a, b, (*colour, gloss), -1)

    frame: Colour | None = None
    panes: tuple[tuple[float, float], ...]
    if style == 'office':
        fill(0.03, 0.10, 0.97, 0.84, (0.25, 0.27, 0.29), 0.0)
        panes = ((0.05, 0.34), (0.36, 0.64), (0.66, 0.95))
        low, high = 0.12, 0.82
    else:
        wide = style == 'plaster'
        x0, x1 = (0.24, 0.76) if wide else (0.30, 0.70)
        frame = (0.88, 0.87, 0.84)
        fill(x0 - 0.03, 0.17, x1 + 0.03, 0.79, (0.72, 0.70, 0.66), 0.0)
        fill(x0, 0.20, x1, 0.76, frame, 0.0)
        middle = (x0 + x1) / 2
        panes = ((x0 + 0.02, middle - 0.01), (middle + 0.01, x1 - 0.02))
        low, high = 0.22, 0.74
    curtain = rng.random()
    for x0, x1 in panes:
        tone = 1 + 0.15 * rng.standard_normal()
        fill(x0, low, x1, high, _toned(_DARK_GLASS, tone), 0.55)
        if curtain < 0.35:
            drop = low + (high - low) * rng.uniform(0.2, 0.75)
            fill(x0, low, x1, drop, (0.62, 0.60, 0.54), 0.25)
        elif curtain < 0.43:
            fill(x0, low, x1, high, (0.85, 0.72, 0.48), 0.2)
    if frame is not None:
        fill(panes[0][0], 0.38, panes[1][1], 0.40, frame, 0.0)
        fill(panes[0][0] - 0.07, 0.76, panes[1][1] + 0.07, 0.80, (0.60, 0.58, 0.55), 0.0)


def _shop(rng: np.random.Generator) -> Float32:
    """Shop windows of 3 m with a sign band above."""
    picture = _noisy((0.42, 0.40, 0.38), 512, (0.8, 0.04))(rng)
    for x in (0, 256):
        sign = 0.25 + 0.5 * rng.random(3)
        picture[20:84, x + 12 : x + 244, :3] = sign
        word, ink = 'OPEN' if x else 'CAFE', np.zeros((512, 512), dtype=np.uint8)
        cv2.putText(ink, word, (x + 62, 67), cv2.FONT_HERSHEY_DUPLEX, 1.4, (255,), 3, cv2.LINE_AA)
        picture[..., :3] += (0.94 - picture[..., :3]) * (ink[..., None] / np.float32(255))
        picture[110:440, x + 16 : x + 240] = (*_DARK_GLASS, 0.5)
        picture[110:500, x + 164 : x + 170] = (0.2, 0.2, 0.2, 0.0)
        picture[440:500, x + 170 : x + 240] = (*_DARK_GLASS, 0.5)
        glow = 0.3 + 0.3 * rng.random((4, 12, 3)) * (1.0, 0.8, 0.55)
        inside = cv2.resize(glow, (140, 150), None, 0, 0, cv2.INTER_CUBIC)
        picture[280:430, x + 20 : x + 160, :3] = inside * 0.7
    return picture


def _books(rng: np.random.Generator) -> Float32:
    """A row of book spines on a dark ground."""
    picture = _picture((0.10, 0.08, 0.07))
    x = 4
    while x < 500:
        width, height = int(rng.integers(14, 40)), int(rng.integers(330, 480))
        hue = rng.integers(0, 180)
        hsv = np.array([[[hue, rng.integers(50, 190), rng.integers(90, 220)]]], dtype=np.uint8)
        colour = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] / 255.0
        right = min(x + width, 510)
        picture[512 - height :, x : right - 2, :3] = colour
        band = 512 - height + int(rng.integers(30, 90))
        picture[band : band + 14, x : right - 2, :3] = colour * 0.4 + 0.5
        x = right
    return picture


def _painting(rng: np.random.Generator) -> Float32:
    """An abstract landscape in a frame."""
    noise = fractal(rng, 512, 1.6)
    y = np.linspace(-1.6, 1.6, 512)[:, None]
    field = np.clip((noise * 0.5 + y)[..., None] * 0.5 + 0.5, 0, 1)
    picture = _picture((0, 0, 0))
    picture[..., :3] = (1 - field) * (0.45, 0.65, 0.82) + field * (0.78, 0.50, 0.22)
    cv2.circle(picture, (360, 150), 46, (0.96, 0.86, 0.55, 0), -1, cv2.LINE_AA)
    cv2.rectangle(picture, (0, 0), (511, 511), (0.14, 0.10, 0.07, 0), 36)
    return picture


def _car_window(rng: np.random.Generator) -> Float32:
    """Side of a car's cabin, 2.4 m x 1.2 m: two panes between pillars."""
    picture = _picture((0.06, 0.07, 0.08), 512, 0.15)
    for x0, x1 in ((40, 244), (268, 472)):
        picture[40:330, x0:x1] = (*_DARK_GLASS, 0.55)
    return picture


def _grey(values: Callable[[np.random.Generator], Float32]) -> Painter:
    """A painter of grey values, spread from 0 to 1."""

    def paint(rng: np.random.Generator) -> Float32:
        grey = values(rng)
        grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-6)
        picture = _picture((0.0, 0.0, 0.0), _GREY_SIZE)
        picture[..., :3] = np.sqrt(grey)[..., None]
        return picture

    return paint


def _any_noise(rng: np.random.Generator) -> Float32:
    """Tileable 1/f^a noise, seldom warped into stains."""
    power = rng.uniform(0.5, 1.6)
    u, v = np.meshgrid(np.fft.fftfreq(_GREY_SIZE), np.fft.fftfreq(_GREY_SIZE))
    u *= np.exp(rng.normal() * 0.7)
    spectrum = np.hypot(u, v) + 1 / _GREY_SIZE
    wave = np.fft.fft2(rng.normal(size=(_GREY_SIZE, _GREY_SIZE))) / spectrum**power
    values = np.real(np.fft.ifft2(wave))
    low, high = np.quantile(values, (0.02, 0.98))
    values = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(values if rng.random() < 0.7 else np.round(3 * values) / 3)


def _any_pattern(rng: np.random.Generator) -> Float32:
    """Bricks, tiles, planks, stripes, checks or dots, with noise."""
    kind, cells = rng.integers(5), int(2 ** rng.integers(1, 5))
    y, x = np.mgrid[:_GREY_SIZE, :_GREY_SIZE] * (cells / _GREY_SIZE)
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
    return np.asarray(values + 0.25 * _any_noise(rng))


def _any_windows(rng: np.random.Generator) -> Float32:
    """Painted windows and doors: rectangles in rows, which are no depth edges."""
    values = 0.7 + 0.2 * _any_noise(rng)
    cells = int(rng.choice((2, 4)))
    step = _GREY_SIZE // cells
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


_PLASTER = _noisy((0.86, 0.84, 0.80), 1024, (1.0, 0.035), (0.2, 0.02))
_BRICK = _tiles(
    (0.60, 0.36, 0.29), (0.66, 0.62, 0.57), (48, 144), bond=0.5, spread=0.11, size=1024
)
_CONCRETE = _noisy((0.66, 0.67, 0.68), 1024, (1.1, 0.05), (0.2, 0.02))

PAINTERS: dict[str, tuple[tuple[float, float], Painter]] = {
    'plain': ((1.0, 1.0), _noisy((1.0, 1.0, 1.0), 16)),
    'asphalt': ((4.0, 4.0), _noisy((0.34, 0.34, 0.35), 512, (0.1, 0.16), (0.9, 0.06))),
    'stain': ((40.0, 40.0), _noisy((0.73, 0.73, 0.73), 512, (1.3, 0.09))),
    'paving': ((3.2, 3.2), _tiles((0.62, 0.60, 0.57), (0.42, 0.41, 0.39), (4, 8), bond=0.5)),
    'stone': ((2.0, 2.0), _tiles((0.68, 0.67, 0.65), (0.45, 0.44, 0.43), (2, 1), grain=0.06)),
    'concrete': ((6.0, 6.0), _CONCRETE),
    'plaster': ((6.0, 6.0), _PLASTER),
    'brick': ((12.0, 12.0), _BRICK),
    'brick_facade': ((12.0, 12.0), _facade(_BRICK, 'brick')),
    'plaster_facade': ((12.0, 12.0), _facade(_PLASTER, 'plaster')),
    'office_facade': ((12.0, 12.0), _facade(_CONCRETE, 'office')),
    'shop': ((6.0, 3.6), _shop),
    'roof': ((4.0, 4.0), _noisy((0.40, 0.37, 0.35), 256, (0.7, 0.10))),
    'leaves': ((2.4, 2.4), _leaves((0.36, 0.50, 0.20), 0.42)),
    'grass': ((2.0, 2.0), _noisy((0.36, 0.44, 0.20), 512, (0.1, 0.25), (0.9, 0.12))),
    'soil': ((3.0, 3.0), _noisy((0.42, 0.34, 0.27), 512, (0.2, 0.15), (1.0, 0.12))),
    'hedge': ((1.6, 1.6), _leaves((0.28, 0.42, 0.17), 0.38)),
    'bark': ((0.8, 0.8), _noisy((0.36, 0.29, 0.23), 256, (0.8, 0.22))),
    'paint': ((2.0, 2.0), _noisy((0.9, 0.9, 0.9), 64, gloss=0.16)),
    'car_window': ((2.4, 1.2), _car_window),
    'car_glass': ((2.0, 2.0), _noisy(_DARK_GLASS, 64, gloss=0.5)),
    'rubber': ((1.0, 1.0), _noisy((0.12, 0.12, 0.12), 64, (0.4, 0.08))),
    'metal': ((1.0, 1.0), _noisy((0.42, 0.44, 0.46), 128, (0.8, 0.05), gloss=0.10)),
    'lamp': ((1.0, 1.0), _noisy((1.0, 0.98, 0.92), 16)),
    'cloth': ((0.8, 0.8), _noisy((0.75, 0.75, 0.75), 256, (0.3, 0.10), (1.2, 0.06))),
    'skin': ((1.0, 1.0), _noisy((0.78, 0.58, 0.47), 64, (1.0, 0.03))),
    'parquet': ((2.4, 2.4), _planks((0.63, 0.44, 0.28), 16, 0.10)),
    'wood': ((1.2, 1.2), _planks((0.58, 0.41, 0.26), 4, 0.05)),
    'wallpaper': ((3.0, 3.0), _noisy((0.87, 0.85, 0.80), 512, (0.9, 0.03), (0.1, 0.015))),
    'ceiling': ((2.4, 2.4), _tiles((0.90, 0.90, 0.89), (0.70, 0.70, 0.70), (4, 4), spread=0.01)),
    'cardboard': ((0.8, 0.8), _noisy((0.66, 0.50, 0.34), 256, (0.9, 0.05), (0.2, 0.03))),
    'cartons': ((0.8, 0.6), _tiles((0.66, 0.50, 0.34), (0.40, 0.29, 0.19), (2, 2), joint_px=4)),
    'cladding': (
        (6.0, 6.0),
        _tiles(
            (0.78, 0.79, 0.80), (0.6, 0.61, 0.62), (24, 1), spread=0.02, joint_px=4, grain=0.02
        ),
    ),
    'books': ((1.0, 0.34), _books),
    'painting': ((1.2, 0.9), _painting),
    'carpet': ((1.0, 1.0), _tiles((0.55, 0.25, 0.22), (0.75, 0.66, 0.50), (4, 4), joint_px=8)),
}
"""Width and height of a tile in metres, and the painter, of each texture by its name."""

NOISES, PATTERNS, WINDOWS = (
    tuple(f'{kind}_{number}' for number in range(count))
    for kind, count in (('noise', 16), ('pattern', 20), ('windows', 12))
)
"""Grey textures that say nothing about depth: noise, regular patterns, rows of painted windows."""
for _names, _paint in ((NOISES, _any_noise), (PATTERNS, _any_pattern), (WINDOWS, _any_windows)):
    PAINTERS.update({name: ((2.0, 2.0), _grey(_paint)) for name in _names})
