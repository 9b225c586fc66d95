"""Pictures of depth, uncertainty and error: (H, W, 3) uint8 RGB, drawn with OpenCV.

Depth runs from warm (near) to cold (far), sigma and error from dark (small) to bright (large);
all scales of metres are logarithmic. Limits default to what the picture holds: give them where
pictures are compared. With `bar` a labelled scale is added below, which makes the picture higher;
one too narrow for a scale is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import EvaluationError
from depth_ros.evaluation.colormap import UNKNOWN_RGB, ColorScale, fitted_limits
from depth_ros.files import write_atomic
from depth_ros.frame import UInt8

Array = npt.NDArray[np.floating]
Limits = tuple[float, float]

PAPER_RGB = (22, 22, 26)
INK_RGB = (232, 232, 236)
NARROWEST_BAR_PX = 160
_FONT = cv2.FONT_HERSHEY_DUPLEX


def depth_picture(depth_m: Array, limits_m: Limits | None = None, bar: bool = True) -> UInt8:
    """Depth (H, W) in metres as colours; NaN, 0 or infinite = unknown, in `UNKNOWN_RGB`."""
    known_m = np.where(depth_m > 0, depth_m, np.nan)
    scale = _depth_scale(known_m, limits_m)
    return _with_bar(scale.colors(known_m), scale, 'depth [m]', bar)


def disparity_picture(disparity: Array) -> UInt8:
    """Disparity (H, W) of unknown scale and shift, larger = nearer, as the colours of depth.

    Its numbers mean nothing, so the scale is linear, fits the image and goes without a bar.
    """
    known = np.isfinite(disparity)
    low, high = np.quantile(disparity[known], (0.01, 0.99)) if known.any() else (0.0, 1.0)
    share = (np.where(known, disparity, low) - low) / ((high - low) or 1.0)
    grey = np.rint(255 * share.clip(0.0, 1.0)).astype(np.uint8)
    rgb = np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO))[..., ::-1]
    return np.where(known[..., None], rgb, np.array(UNKNOWN_RGB, np.uint8))


def sigma_picture(sigma_m: Array, limits_m: Limits | None = None, bar: bool = True) -> UInt8:
    """Stated standard deviation (H, W) in metres as colours; NaN = unknown."""
    scale = ColorScale(*(limits_m or fitted_limits(sigma_m)), cv2.COLORMAP_VIRIDIS)
    return _with_bar(scale.colors(sigma_m), scale, 'sigma [m]', bar)


def error_picture(
    pred_m: Array, truth_m: Array, limits_m: Limits | None = None, bar: bool = True
) -> UInt8:
    """|Estimate - truth| (H, W) in metres as colours, where both are known.

    Truth is sparse, so each of its pixels is drawn with its four neighbours; where they overlap,
    the largest error shows.
    """
    error_m = np.where(truth_m > 0, np.abs(pred_m - truth_m), np.nan)
    limits = limits_m or fitted_limits(error_m, (0.10, 0.99))
    scale = ColorScale(*limits, cv2.COLORMAP_INFERNO)
    return _with_bar(scale.colors(_grown(error_m, 3)), scale, '|error| [m]', bar)


def lidar_overlay(
    image: UInt8, sparse_m: Array, limits_m: Limits | None = None, bar: bool = True
) -> UInt8:
    """Sparse depth (H, W) in metres, 0 = none, as coloured dots on the darkened image."""
    known_m = np.where(sparse_m > 0, sparse_m, np.nan)
    scale = _depth_scale(known_m, limits_m)
    dots_m = 1.0 / _grown(1.0 / known_m, size_px=max(3, image.shape[1] // 400))
    is_dot = np.isfinite(dots_m)[..., None]
    picture = np.where(is_dot, scale.colors(dots_m), image // 2)
    return _with_bar(picture, scale, 'LiDAR [m]', bar)


def contact_sheet(tiles: Sequence[tuple[str, UInt8]], columns: int = 2) -> UInt8:
    """Titled pictures in rows on one sheet, all scaled to the width of the widest.

    Raises:
        EvaluationError: there are no tiles or no columns.
    """
    if not tiles or columns < 1:
        raise EvaluationError(f'A sheet needs tiles and columns, got {len(tiles)}, {columns}.')
    width = max(picture.shape[1] for _, picture in tiles)
    margin = max(4, width // 64)
    cells = [_cell(title, picture, width) for title, picture in tiles]
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    heights = [max(cell.shape[0] for cell in row) for row in rows]
    across = min(columns, len(cells))
    sheet = _blank(sum(heights) + (len(rows) + 1) * margin, across * (width + margin) + margin)
    top = margin
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            left = margin + column * (width + margin)
            sheet[top : top + cell.shape[0], left : left + width] = cell
        top += height + margin
    return sheet


def write_png(path: str | Path, rgb: UInt8) -> None:
    """Write a picture, whole or not at all.

    Raises:
        EvaluationError: it is not (H, W, 3) uint8, or empty.
        OSError: the file cannot be written.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise EvaluationError(f'A picture must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}.')
    _, png = cv2.imencode('.png', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    write_atomic(path, png.tobytes())


def _depth_scale(depth_m: Array, limits_m: Limits | None) -> ColorScale:
    return ColorScale(*(limits_m or fitted_limits(depth_m)), cv2.COLORMAP_TURBO, reverse=True)


def _grown(values: Array, size_px: int) -> Array:
    """Each known value spread over a disc; where discs overlap, the largest."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
    known = np.where(np.isfinite(values), values, -1.0).astype(np.float32)
    grown = np.asarray(cv2.dilate(known, disc))
    return np.where(grown < 0, np.nan, grown)


def _with_bar(picture: UInt8, scale: ColorScale, label: str, bar: bool) -> UInt8:
    """The picture with a strip below: the label, then a ramp with its ticks.

    A picture too narrow for the strip to be read goes without.
    """
    width = picture.shape[1]
    if not bar or width < NARROWEST_BAR_PX:
        return picture
    text_px = _text_px(width)
    strip = _blank(4 * text_px, width)
    middle = 2 * text_px
    left = _write(strip, label, text_px, middle, text_px) + 2 * text_px
    right = width - 3 * text_px
    ramp = scale.colors(np.geomspace(scale.low, scale.high, right - left))
    ramp_top, ramp_bottom = text_px // 2, middle
    strip[ramp_top:ramp_bottom, left:right] = ramp
    free_from = 0
    for tick in scale.ticks():
        x = left + round(float(scale.position(tick)) * (right - left - 1))
        cv2.line(strip, (x, ramp_bottom), (x, ramp_bottom + text_px // 3), INK_RGB)
        text = f'{tick:g}'
        start = x - _text_width(text, text_px) // 2
        if start >= free_from:
            end = _write(strip, text, start, 3 * text_px + text_px // 2, text_px)
            free_from = end + text_px // 2
    return np.concatenate((picture, strip))


def _cell(title: str, picture: UInt8, width: int) -> UInt8:
    """A picture scaled up to a width, under a strip with its title."""
    if picture.shape[1] != width:
        height = round(picture.shape[0] * width / picture.shape[1])
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST))
    text_px = _text_px(width)
    strip = _blank(2 * text_px, width)
    _write(strip, title, 0, text_px + text_px // 4, text_px)
    return np.concatenate((strip, picture))


def _blank(height: int, width: int) -> UInt8:
    return np.full((height, width, 3), PAPER_RGB, np.uint8)


def _text_px(width: int) -> int:
    """Height of capitals that reads well on a picture of this width."""
    return max(9, width // 80)


def _font_scale(text_px: int) -> float:
    (_, height), _ = cv2.getTextSize('H', _FONT, 1.0, 1)
    return float(text_px / height)


def _text_width(text: str, text_px: int) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, _font_scale(text_px), 1)
    return int(width)


def _write(picture: UInt8, text: str, left: int, baseline: int, text_px: int) -> int:
    """Draw text in place; returns where it ends."""
    cv2.putText(
        picture, text, (left, baseline), _FONT, _font_scale(text_px), INK_RGB, 1, cv2.LINE_AA
    )
    return left + _text_width(text, text_px)
