"""Sizes of the parts of Depth Pro."""

from __future__ import annotations

from dataclasses import dataclass

PATCH_PX = 16


@dataclass(frozen=True)
class Config:
    """The published network, or a smaller one for tests.

    Attributes:
        dim: channels of the three vision transformers.
        depth: blocks of each.
        heads: of their attention.
        hooks: indices, ascending, of the two blocks whose output is used besides that of the last.
        dims_encoder: channels of the encodings, but for the finest, from fine to coarse.
        decoder_features: channels of the decoder and of the finest encoding.
        window_px: side of what a transformer sees, a multiple of 8 patches.
    """

    dim: int = 1024
    depth: int = 24
    heads: int = 16
    hooks: tuple[int, int] = (5, 11)
    dims_encoder: tuple[int, int, int, int] = (256, 512, 1024, 1024)
    decoder_features: int = 256
    window_px: int = 384

    @property
    def image_px(self) -> int:
        """Height and width of the image that the network takes."""
        return 4 * self.window_px

    @property
    def grid(self) -> int:
        """Patches along the side of a window."""
        return self.window_px // PATCH_PX
