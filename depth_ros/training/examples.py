"""What a network learns from, whatever made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from depth_ros.errors import TrainingError
from depth_ros.frame import Float32, Float64, UInt8


@dataclass(frozen=True)
class Example:
    """One view with what it should become.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        sparse_m: (H, W) LiDAR depth along the optical axis in metres, 0 = none.
        truth_m: (H, W) true depth in metres, 0 = unknown; dense or sparse.
        K: (3, 3) camera matrix in pixels.
        hidden_m: (H, W) depth of the returns that the occlusion filter took out of `sparse_m`, 0 =
            none; or None.
        teacher: (H, W) dense depth of unknown scale and shift, NaN = unknown, or None.

    Raises:
        TrainingError: the sizes differ.
    """

    image: UInt8
    sparse_m: Float32
    truth_m: Float32
    K: Float64
    teacher: Float32 | None = None
    hidden_m: Float32 | None = None

    def __post_init__(self) -> None:
        maps = (self.sparse_m, self.truth_m, self.teacher, self.hidden_m)
        sizes = [values.shape for values in maps if values is not None]
        if any(size != self.image.shape[:2] for size in sizes):
            raise TrainingError(f'image is {self.image.shape}, but depth is {sizes}.')


class Examples(Protocol):
    """A source of examples of one size, at random access, from several processes."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def example(self, index: int, seed: int) -> Example:
        """Example `index`; `seed` decides every random choice, such as augmentation."""
        ...
