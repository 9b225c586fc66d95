"""Materials by what they are for, drawn anew for each object."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from depth_ros.simulation.materials import WHITE, Colour, Material
from depth_ros.simulation.painters import NOISES, PATTERNS, WINDOWS


class Role(NamedTuple):
    """What materials of one use have in common.

    Attributes:
        textures: to draw from.
        tints: to draw from; sRGB squared, that is linear.
        spread: how far a tint strays.
        gloss, reflectivity, see_through, stains: as `Material`.
    """

    textures: tuple[str, ...]
    tints: tuple[Colour, ...] = (WHITE,)
    spread: float = 0.05
    gloss: float = 0.0
    reflectivity: float = 0.5
    see_through: float = 0.0
    stains: float = 0.0


_PAINTS: tuple[Colour, ...] = (
    (0.70, 0.71, 0.72), (0.05, 0.05, 0.06), (0.92, 0.92, 0.90), (0.42, 0.05, 0.05),
    (0.06, 0.12, 0.30), (0.24, 0.26, 0.27), (0.10, 0.25, 0.20), (0.55, 0.42, 0.16),
)  # fmt: skip
_CLOTHES: tuple[Colour, ...] = (
    (0.10, 0.14, 0.30), (0.45, 0.10, 0.10), (0.55, 0.52, 0.46), (0.08, 0.08, 0.09),
    (0.14, 0.30, 0.18), (0.70, 0.45, 0.10), (0.30, 0.42, 0.58),
)  # fmt: skip
_HOUSES: tuple[Colour, ...] = (
    (1.0, 0.92, 0.74), (0.92, 0.78, 0.66), (0.80, 0.88, 0.92), (0.98, 0.97, 0.94), WHITE,
)  # fmt: skip

ROLES: dict[str, Role] = {
    'asphalt': Role(('asphalt',), reflectivity=0.2, stains=0.5),
    'paving': Role(('paving',), reflectivity=0.4, stains=0.5),
    'stone': Role(('stone',), reflectivity=0.5),
    'concrete': Role(('concrete',), reflectivity=0.5, stains=0.3),
    'plaster': Role(('plaster',), ((0.95, 0.92, 0.86), WHITE), reflectivity=0.7),
    'brick': Role(('brick',), (WHITE, (1.15, 0.95, 0.8)), reflectivity=0.4),
    'wall': Role(('brick_facade', 'plaster_facade', 'plaster_facade', 'office_facade'), _HOUSES),
    'shop': Role(('shop',), reflectivity=0.4),
    'roof': Role(('roof',), (WHITE, (1.3, 0.75, 0.6)), reflectivity=0.4),
    'leaves': Role(('leaves',), ((0.7, 0.65, 0.6), (0.9, 0.7, 0.6), (0.5, 0.55, 0.55)), 0.12),
    'hedge': Role(('hedge',), ((0.8, 0.75, 0.7), (1.0, 0.85, 0.8)), 0.1),
    'grass': Role(('grass',), ((0.6, 0.55, 0.55), (0.85, 0.65, 0.6)), 0.1, stains=0.6),
    'soil': Role(('soil',), spread=0.1, reflectivity=0.3, stains=0.5),
    'bark': Role(('bark',), spread=0.1, reflectivity=0.35),
    'paint': Role(('paint',), _PAINTS, reflectivity=0.5),
    'glass': Role(('car_glass',), reflectivity=0.08, see_through=0.7),
    'car_window': Role(('car_window',), reflectivity=0.08, see_through=0.5),
    'rubber': Role(('rubber',), reflectivity=0.08),
    'metal': Role(('metal',), (WHITE, (0.6, 0.65, 0.7), (0.3, 0.4, 0.33)), reflectivity=0.4),
    'light': Role(('lamp',), ((1.5, 1.4, 1.2),), 0.0, reflectivity=0.8),
    'marking': Role(('plain',), ((0.62, 0.62, 0.6),), reflectivity=1.2, stains=0.3),
    'sign': Role(('lamp',), ((0.45, 0.02, 0.02), (0.02, 0.10, 0.40), (0.9, 0.9, 0.9)),
                 reflectivity=3.0),
    'plate': Role(('lamp',), ((0.75, 0.75, 0.72),), reflectivity=3.0),
    'tail_light': Role(('paint',), ((0.55, 0.02, 0.02),), reflectivity=2.0),
    'cloth': Role(('cloth',), _CLOTHES, reflectivity=0.5),
    'skin': Role(('skin',), (WHITE, (0.55, 0.45, 0.4)), 0.1),
    'hair': Role(('rubber',), ((2.0, 1.5, 1.2), (1.0, 1.0, 1.0), (4.0, 3.0, 1.8))),
    'parquet': Role(('parquet',), (WHITE, (0.7, 0.6, 0.55)), reflectivity=0.5),
    'wood': Role(('wood',), (WHITE, (0.6, 0.5, 0.42), (1.3, 1.3, 1.3)), 0.1),
    'wallpaper': Role(('wallpaper',), (WHITE, (0.8, 0.9, 0.95), (0.95, 0.85, 0.75),
                      (0.9, 0.8, 0.5), (0.6, 0.75, 0.6), (0.55, 0.65, 0.8)), 0.1,
                      reflectivity=0.7),
    'ceiling': Role(('ceiling',), reflectivity=0.8),
    'white': Role(('plain',), ((0.8, 0.8, 0.79),), reflectivity=0.8),
    'plastic': Role(('plain',), (*_CLOTHES, (0.8, 0.8, 0.8), (0.03, 0.03, 0.03)), 0.1, 0.05),
    'screen': Role(('plain',), ((0.02, 0.02, 0.025),), 0.0, gloss=0.3, reflectivity=0.1),
    'pane': Role(('plain',), ((0.35, 0.45, 0.55),), 0.1, 0.3, reflectivity=0.05, see_through=0.85),
    'daylight': Role(('lamp',), ((1.5, 1.9, 2.4),), reflectivity=0.05, see_through=0.85),
    'cardboard': Role(('cardboard',), spread=0.12),
    'cartons': Role(('cartons',), spread=0.12),
    'wrap': Role(('plain',), ((0.6, 0.65, 0.7), (0.45, 0.4, 0.33), (0.05, 0.05, 0.06)), 0.15, 0.06,
                 stains=0.4),
    'cladding': Role(('cladding',), (WHITE, (0.75, 0.8, 0.85), (0.8, 0.78, 0.7)), stains=0.2),
    'container': Role(('cladding',), _PAINTS, 0.2, stains=0.4),
    'machine': Role(('paint',), ((0.85, 0.25, 0.03), (0.72, 0.5, 0.04), (0.05, 0.2, 0.06)), 0.1),
    'safety': Role(('paint',), ((0.72, 0.5, 0.04),), reflectivity=0.8),
    'gravel': Role(('asphalt',), ((1.5, 1.35, 1.15), (1.9, 1.8, 1.6)), stains=0.4),
    'fleece': Role(('cloth',), ((0.5, 0.46, 0.4), (0.12, 0.08, 0.05), (0.3, 0.16, 0.08))),
    'books': Role(('books',), spread=0.1),
    'painting': Role(('painting',), spread=0.45),
    'carpet': Role(('carpet',), (WHITE, (0.5, 0.9, 1.4), (0.6, 1.2, 0.8)), 0.1, reflectivity=0.4),
    'steel': Role(('metal',), ((0.25, 0.45, 1.3), (1.8, 0.75, 0.15), WHITE), 0.05),
}  # fmt: skip


class Palette:
    """Draws materials.

    Args:
        rng: decides everything.
        wild: share of the materials whose look says nothing of what they are for, so that a
            network that learns from them does not believe that: texture edges without depth
            edges, depth edges without a change of colour.
    """

    def __init__(self, rng: np.random.Generator, wild: float = 0.0) -> None:
        self._rng, self._wild = rng, wild

    def __call__(self, name: str, tint: Colour | None = None) -> Material:
        """A material for a use, of a tint or any that is usual; KeyError for an unknown use."""
        role, rng = ROLES[name], self._rng
        if self._wild and rng.random() < self._wild:
            return self._any(role, name)
        chosen = tint or role.tints[int(rng.integers(len(role.tints)))]
        factor = np.clip(1 + role.spread * rng.standard_normal(3), 0.4, 1.8)
        red, green, blue = (float(c * f) for c, f in zip(chosen, factor, strict=True))
        return Material(
            role.textures[int(rng.integers(len(role.textures)))],
            (red, green, blue),
            gloss=role.gloss,
            reflectivity=role.reflectivity,
            see_through=role.see_through,
            stains=role.stains,
        )

    def _any(self, role: Role, name: str) -> Material:
        rng = self._rng
        textures = WINDOWS if name == 'wall' else (*NOISES, *PATTERNS)
        light = rng.uniform(0.02, 0.9) * np.clip(1 + 0.35 * rng.standard_normal(3), 0.1, 2)
        second = rng.uniform(0.02, 0.9) * np.clip(1 + 0.35 * rng.standard_normal(3), 0.1, 2)
        contrast = rng.uniform(0, 1) ** 1.5
        dark = light + contrast * ((second if rng.random() < 0.3 else 0) - light)
        tile_m = np.exp(rng.uniform(*np.log((2.0, 8.0) if name == 'wall' else (0.2, 4.0))))
        return Material(
            textures[int(rng.integers(len(textures)))],
            _colour(light),
            _colour(dark),
            float(tile_m),
            role.gloss,
            role.reflectivity if role.reflectivity > 1 else float(rng.uniform(0.1, 0.9)),
            role.see_through,
        )


def _colour(values: np.typing.NDArray[np.floating]) -> Colour:
    red, green, blue = np.clip(values, 0.01, 1.0)
    return float(red), float(green), float(blue)
