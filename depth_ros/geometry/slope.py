"""How steep a depth map is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float32


def slope_map(depth_m: Float32) -> Float32:
    """How steep a depth map (H, W) is at each pixel, in metres per pixel.

    Along each axis the smaller one of the steps to both sides, so that an edge is not steep.
    """
    squared = np.zeros_like(depth_m)
    for map_m, sums in ((depth_m, squared), (depth_m.T, squared.T)):
        if map_m.shape[1] < 2:
            continue
        with np.errstate(invalid='ignore'):  # what is unknown may be Inf
            step_m = np.abs(map_m[:, 1:] - map_m[:, :-1])
        sums[:, 0] += step_m[:, 0] ** 2
        sums[:, -1] += step_m[:, -1] ** 2
        sums[:, 1:-1] += np.fmin(step_m[:, 1:], step_m[:, :-1]) ** 2
    return np.sqrt(squared)


def slopes_m_per_px(depth_m: Float32, at: npt.NDArray[np.intp]) -> Float32:
    """The same at the pixels of flat indices `at` alone, which are few."""
    height, width = depth_m.shape
    rows, columns = np.divmod(at, width)
    here_m = depth_m.take(at)
    squared = np.zeros(at.size, np.float32)
    for place, size, stride in ((columns, width, 1), (rows, height, width)):
        before_m = np.where(place > 0, depth_m.take(at - stride, mode='clip'), np.nan)
        after_m = np.where(place < size - 1, depth_m.take(at + stride, mode='clip'), np.nan)
        step_m = np.fmin(np.abs(here_m - before_m), np.abs(after_m - here_m))
        squared += np.where(np.isfinite(step_m), step_m, 0.0) ** 2
    return np.sqrt(squared)
