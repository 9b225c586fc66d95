"""What surfaces are made of: how they look, and what a LiDAR gets back from them."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Material:
    """The look of a surface.

    Attributes:
        texture: name of a texture, see `textures.texture`.
        tint: sRGB colour, which multiplies the texture's.
        dark: sRGB colour where the texture is black.
        tile_m: width of one tile of the texture in metres; 0 takes the texture's own.
        gloss: share of the light that it mirrors, 0 to 1, beside that of the texture.
        reflectivity: share of a LiDAR's light that a facing surface scatters back, 0 to 1;
            above 1 is a retro-reflector (licence plates, signs), which saturates the receiver.
        see_through: share of a LiDAR's shots that pass as if nothing was there (glass).
        stains: how strongly large stains darken and lighten it, 0 to 1.
    """

    texture: str = 'plain'
    tint: Colour = WHITE
    dark: Colour = (0.0, 0.0, 0.0)
    tile_m: float = 0.0
    gloss: float = 0.0
    reflectivity: float = 0.5
    see_through: float = 0.0
    stains: float = 0.0
