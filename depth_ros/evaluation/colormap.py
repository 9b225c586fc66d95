"""Positive quantities as colours on a logarithmic scale with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.frame import Float64, UInt8

UNKNOWN_RGB = (44, 44, 48)


@dataclass(frozen=True)
class ColorScale:
    """A logarithmic colour scale: equal ratios are equally far apart, so near detail shows.

    Attributes:
        low: value of the first colour; smaller ones get it too.
        high: value of the last colour; larger ones get it too.
        colormap: a `cv2.COLORMAP_*`.
        reverse: runs the map backwards.

    Raises:
        EvaluationError: not 0 < low < high.
    """

    low: float
    high: float
    colormap: int
    reverse: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise EvaluationError(
                f'A colour scale needs 0 < low < high, got {self.low} and {self.high}.'
            )

    def position(self, values: npt.ArrayLike) -> Float64:
        """Place of values on the scale, 0 = low and 1 = high; NaN for NaN."""
        clipped = np.clip(np.asarray(values, dtype=np.float64), self.low, self.high)
        place: Float64 = np.log(clipped / self.low) / math.log(self.high / self.low)
        return place

    def colors(self, values: npt.ArrayLike) -> UInt8:
        """(..., 3) uint8 RGB of values (...); `UNKNOWN_RGB` where they are not finite."""
        known = np.isfinite(values)
        index = np.round(255 * self.position(np.where(known, values, self.low))).astype(np.uint8)
        ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], self.colormap)
        ramp = ramp[::-1, 0, ::-1] if self.reverse else ramp[:, 0, ::-1]
        unknown = np.array(UNKNOWN_RGB, dtype=np.uint8)
        return np.where(known[..., None], ramp[index], unknown)

    def ticks(self) -> list[float]:
        """Round values within the scale, ascending."""
        return round_ticks(self.low, self.high)


def fitted_limits(
    values: npt.NDArray[np.floating], quantiles: tuple[float, float] = (0.01, 0.99)
) -> tuple[float, float]:
    """Limits (low, high) of a scale that shows the finite, positive values.

    Outliers beyond the quantiles are let go. Where all values are alike the scale spans a factor
    of four around them, and without any 1 to 10, so that a picture can always be made.
    """
    shown = values[np.isfinite(values) & (values > 0)]
    low, high = np.quantile(shown, quantiles) if shown.size else (1.0, 10.0)
    if high < 1.5 * low:
        middle = math.sqrt(low * high)
        low, high = middle / 2.0, middle * 2.0
    return float(low), float(high)


def round_ticks(low: float, high: float) -> list[float]:
    """Values 1, 2, 5 x 10^n in [low, high], or even steps of such a size where few would fit."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**n for n in decades for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if len(ticks) >= 4:
        return ticks
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]
