"""Sigma as a promise: scaled so that it matches held-out LiDAR returns of this very stream."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.frame import DepthEstimate, Float32, Float64
from depth_ros.geometry.device import DeviceEstimate, upload
from depth_ros.geometry.projection import mean_spacing_px
from depth_ros.methods.guided import MIN_RETURNS
from depth_ros.pipeline.config import CalibrationConfig

WITHIN_2_SIGMA = 0.9545
"""Share of a Gaussian."""
EASIER = 0.93
"""Error of an image's pixels relative to held-out returns, at that share: those lie in gaps
wider than most. Measured: docs/uncertainty.md."""
RANGE_EDGES_M = np.array([5.0, 10.0, 20.0, 40.0, 80.0])
RANGE_CENTRES_M = np.array([3.0, 7.5, 15.0, 30.0, 60.0, 100.0])
BORROWED = 8000.0
"""A range bin borrows this many returns from all ranges, so that few of its own mean little."""
PRIOR_RETURNS = 2.0
"""So many returns always speak for the raw sigma as it is, lest a handful decide alone."""
SCALES_PER_M = 4
"""Entries of the table of scales by depth."""
LOG2_SCALES = np.arange(-8.0, 8.0, 0.125)
"""Lower edges of the histogram of scales."""
MIN_SCALE = 1 / 8
"""Where all errors are within the noise of the returns, they say nothing of how small sigma is."""
RECENT_FRAMES = 20
MIN_RETURNS_FOR_ALARM = 200
MIN_COVERAGE_1, MIN_COVERAGE_2 = 0.55, 0.85
"""Below these shares sigma is too small. Too large is no alarm: where a LiDAR has less noise than
configured, or a world none, all errors are within the noise and no sigma could cover fewer."""


@dataclass(frozen=True)
class LiveAccuracy:
    """What was measured at held-out returns of the last frames.

    Attributes:
        returns: number of returns that judged.
        median_error_m: median absolute depth error.
        p95_error_m: 95th percentile of the absolute depth error.
        coverage_1sigma: share of errors within 1 sigma, sigma taken from before their frame.
        coverage_2sigma: the same within 2 sigma.
        scale: factor on the method's raw sigma over all ranges.
        alarm: why sigma is too small by these figures, or empty.
        frames: number of frames that were judged, at most `RECENT_FRAMES`.
    """

    returns: int
    median_error_m: float
    p95_error_m: float
    coverage_1sigma: float
    coverage_2sigma: float
    scale: float
    alarm: str
    frames: int


class HeldOut(NamedTuple):
    """Sparse depth (H, W) [m], 0 = none, split in two.

    Attributes:
        seen_m: what a method may use.
        truth_m: returns to judge it by.
    """

    seen_m: Float32
    truth_m: Float32


def hold_out(sparse_m: Float32, share: float, seed: tuple[int, int]) -> HeldOut:
    """Take random windows of returns out, and judge by those in their middle.

    A single return taken out of a scan line is predicted by its two neighbours on that line,
    more easily than a pixel between the lines. So whole pieces of lines go, windows of 4 by
    0.75 mean spacings, and the returns in the middle half of a window are the truth: their
    nearest support is as far away as that of a typical pixel. None are taken where the rest would
    be too few for a method (`MIN_RETURNS`).

    Args:
        sparse_m: (H, W) depth in metres, 0 = none.
        share: share of the returns that the method loses, 0 to 0.5; about half of them judge.
        seed: two integers; the same ones give the same choice.
    """
    if share == 0.0 or not sparse_m.any():
        return HeldOut(sparse_m, np.zeros_like(sparse_m))
    spacing = mean_spacing_px(sparse_m)
    width, height = round(4 * spacing) | 1, round(0.75 * spacing) | 1
    found = sparse_m > 0
    index = np.flatnonzero(found)
    around = cv2.boxFilter(
        found.view(np.uint8),
        cv2.CV_16U,
        (width, height),
        normalize=False,
        borderType=cv2.BORDER_CONSTANT,
    )
    returns_per_window = around.take(index).mean()
    rng = np.random.default_rng([number & (2**63 - 1) for number in seed])
    centres = np.zeros(sparse_m.shape, dtype=np.uint8)
    centres.put(index[rng.random(index.size) < share / returns_per_window], 1)
    lost = cv2.dilate(centres, np.ones((height, width), np.uint8)).take(index) > 0
    judged = cv2.dilate(centres, np.ones((height, (width // 2) | 1), np.uint8)).take(index) > 0
    seen_m, truth_m = sparse_m.copy(), np.zeros_like(sparse_m)
    if index.size - np.count_nonzero(lost) < MIN_RETURNS:
        return HeldOut(seen_m, truth_m)
    seen_m.put(index[lost], 0.0)
    truth_m.put(index[judged], sparse_m.take(index[judged]))
    return HeldOut(seen_m, truth_m)


class SigmaCalibrator:
    """Keeps, by range, the scale of sigma at which held-out errors are covered as promised.

    Each frame lends a few returns (`hold_out`), which the method does not see, and has its
    errors at them counted (`update`). The counts are histograms by range, forgotten
    exponentially, of the scale that each error e asks for to lie within 2 sigma, given that the
    return itself has noise n: 2 sqrt((scale sigma)^2 + n^2) = e. That is its range noise, and on
    a slope what follows from its place in the image, which is known to about half a pixel. Real
    errors have heavier tails than a Gaussian, so no scale covers both 68 % within 1 sigma and
    95 % within 2; it is the second that a user relies on, and so it is the one that is kept.

    Args:
        config: settings.
        sees_returns: whether the method completes returns. One that does not look at them can
            be judged by all, and finds them no harder than all other pixels.
    """

    def __init__(self, config: CalibrationConfig, sees_returns: bool = True) -> None:
        self.config = config
        self._sees_returns = sees_returns
        self._easier = EASIER if sees_returns else 1.0
        self._counts = np.zeros((len(RANGE_CENTRES_M), len(LOG2_SCALES)))
        self._recent: deque[tuple[Float32, Float32]] = deque(maxlen=RECENT_FRAMES)
        self._scales = np.ones(len(RANGE_CENTRES_M))

    def hold_out(self, sparse_m: Float32, stamp_ns: int) -> HeldOut:
        """Take returns of a frame away from a method that sees them; see `hold_out`."""
        if self.config.enabled and not self._sees_returns:
            return HeldOut(sparse_m, sparse_m)
        share = self.config.held_out_share if self.config.enabled else 0.0
        return hold_out(sparse_m, share, (self.config.seed, stamp_ns))

    def update(self, estimate: DepthEstimate, held_out_m: Float32) -> None:
        """Count the errors of a raw estimate at held-out returns (H, W), 0 = none."""
        at = np.flatnonzero(held_out_m > 0)
        at = at[np.isfinite(estimate.depth_m.take(at))]
        if at.size == 0:
            return
        depth_m, sigma_m = estimate.depth_m.take(at), estimate.sigma_m.take(at)
        error_m = np.abs(depth_m - held_out_m.take(at))
        slope_m = slopes_m_per_px(estimate.depth_m, at)
        noise_m = np.hypot(self.config.return_noise_m, self.config.return_noise_px * slope_m)
        if self._counts.any():
            # Judged with the scale from before this frame: a figure may not grade itself.
            expected_m = np.hypot(sigma_m * self._scale_at(depth_m), noise_m)
            self._recent.append((error_m, _ratio(error_m, expected_m)))
        excess_m = np.sqrt(np.maximum((error_m / 2) ** 2 - noise_m**2, 0.0))
        needed = _ratio(excess_m, sigma_m)
        log2 = np.log2(np.maximum(needed, 2.0 ** LOG2_SCALES[0]))
        bins = np.searchsorted(LOG2_SCALES, log2, side='right') - 1
        self._counts *= np.exp(-1.0 / self.config.memory_frames)
        np.add.at(self._counts, (np.searchsorted(RANGE_EDGES_M, depth_m), bins), 1.0)
        total = self._all_counts()
        borrowed = total * (BORROWED / total.sum())
        self._scales = np.array([self._pixel_scale(counts + borrowed) for counts in self._counts])

    def apply(self, estimate: DepthEstimate) -> DepthEstimate:
        """The estimate with its raw sigma scaled."""
        if not self._counts.any():
            return estimate
        sigma_m = estimate.sigma_m * self._scale_at(estimate.depth_m)
        return DepthEstimate(estimate.depth_m, sigma_m, estimate.kind)

    def apply_on(self, estimate: DeviceEstimate) -> DeviceEstimate:
        """The same of an estimate on a device, where it gives the same numbers."""
        if not self._counts.any():
            return estimate
        table = upload(self._scale_table(), str(estimate.depth_m.device))
        last = float(len(table) - 1)
        index = (estimate.depth_m * SCALES_PER_M).nan_to_num(nan=last).clamp(max=last).long()
        return replace(estimate, sigma_m=estimate.sigma_m * table[index])

    def accuracy(self) -> LiveAccuracy | None:
        """Figures of the last frames, or None before the second frame with returns."""
        if not self._recent:
            return None
        error_m = np.concatenate([errors for errors, _ in self._recent])
        ratio = np.concatenate([ratios for _, ratios in self._recent])
        within_1, within_2 = float((ratio <= 1).mean()), float((ratio <= 2).mean())
        median_m, p95_m = np.quantile(error_m, (0.5, 0.95))
        return LiveAccuracy(
            returns=error_m.size,
            median_error_m=float(median_m),
            p95_error_m=float(p95_m),
            coverage_1sigma=within_1,
            coverage_2sigma=within_2,
            scale=self._pixel_scale(self._all_counts()),
            alarm=_alarm(error_m.size, within_1, within_2),
            frames=len(self._recent),
        )

    def _pixel_scale(self, counts: Float64) -> float:
        """The scale for all pixels that counts of held-out returns ask for."""
        return max(self._easier * _scale(counts), MIN_SCALE)

    def _all_counts(self) -> Float64:
        """Counts over all ranges, with the prior's."""
        return self._counts.sum(axis=0) + PRIOR_RETURNS * (LOG2_SCALES == 0.0)

    def _scale_at(self, depth_m: Float32) -> Float32:
        """Scale for each depth."""
        table = self._scale_table()
        # fmin sends NaN to the last entry; the product with a NaN sigma stays NaN.
        index = np.fmin(depth_m * np.float32(SCALES_PER_M), np.float32(table.size - 1))
        return table.take(index.astype(np.uint16))

    def _scale_table(self) -> Float32:
        """Scale for each depth in steps, linear between the centres of the range bins."""
        grid_m = np.arange(int(RANGE_CENTRES_M[-1]) * SCALES_PER_M + 1) / SCALES_PER_M
        return np.interp(grid_m, RANGE_CENTRES_M, self._scales).astype(np.float32)


def slopes_m_per_px(depth_m: Float32, at: npt.NDArray[np.intp]) -> Float32:
    """How steep a depth map (H, W) is at the pixels of flat indices `at`, in metres per pixel.

    Along each axis the smaller one of the steps to both sides, so that an edge is not steep.
    """
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


def _scale(counts: Float64) -> float:
    """The scale that puts 95 % of the counted errors within 2 sigma."""
    cumulated = np.cumsum(counts) / counts.sum()
    upper_edges = np.append(LOG2_SCALES[1:], LOG2_SCALES[-1] + LOG2_SCALES[1] - LOG2_SCALES[0])
    return float(2.0 ** np.interp(WITHIN_2_SIGMA, cumulated, upper_edges))


def _ratio(error_m: Float32, sigma_m: Float32) -> Float32:
    """Errors in sigmas: no error is 0 of any sigma, and one of a sigma of 0 is infinite."""
    with np.errstate(divide='ignore'):
        return np.divide(error_m, sigma_m, out=np.zeros_like(error_m), where=error_m > 0)


def _alarm(returns: int, within_1: float, within_2: float) -> str:
    if returns < MIN_RETURNS_FOR_ALARM:
        return ''
    for k, share, least in ((1, within_1, MIN_COVERAGE_1), (2, within_2, MIN_COVERAGE_2)):
        if share < least:
            return (
                f'{share:.1%} of held-out errors lie within {k} sigma, wanted at least '
                f'{least:.1%}: sigma is too small'
            )
    return ''
