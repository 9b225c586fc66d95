"""Sigma as a promise: scaled so that it matches held-out LiDAR returns of this very stream."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np

from depth_ros.frame import DepthEstimate, Float32, Float64
from depth_ros.geometry.device import DeviceEstimate, upload
from depth_ros.geometry.projection import mean_spacing_px
from depth_ros.geometry.slope import slopes_m_per_px
from depth_ros.methods.guided import MIN_RETURNS
from depth_ros.pipeline.config import CalibrationConfig

GAUSSIAN = 0.6827 + 0.9545
"""Shares of a Gaussian within 1 and 2 sigma, together; see `_asked`."""
SHRUNK = 0.35
"""Power of a scale below 1 that is believed of a method that completes returns: held-out ones are
an easier judge than the space between, at any distance. Measured: docs/uncertainty.md."""
RANGE_EDGES_M = np.array([5.0, 10.0, 20.0, 40.0, 80.0])
RANGE_CENTRES_M = np.array([3.0, 7.5, 15.0, 30.0, 60.0, 100.0])
SUPPORT_EDGES_PX = np.array([4.0, 12.0, 36.0])
SUPPORT_CENTRES_PX = np.array([2.0, 8.0, 24.0, 72.0])
CELL = 4
"""Pixels of a side of the cells whose distance to support is known."""
BORROWED = 2000.0
"""A bin of range or support borrows so many returns from all, lest few of its own decide."""
FEW_RETURNS = 200.0
"""Of so many returns, half of what they say is believed."""
SCALES_PER_M = 4
"""Entries of the table of scales by depth."""
LOG2_SCALES = np.arange(-8.0, 8.0, 0.125)
"""Lower edges of the histogram of scales."""
MIN_SCALE = 1 / 4
"""Where all errors are within the noise of the returns, they say nothing of how small sigma is."""
FAST, LEAK, MOST = 0.5, 0.97, 4.0
"""After a change, a factor up to `MOST` grows by so much for each error that is not covered but
should be, and is forgotten by `LEAK` a frame."""
WINDOWS = 1.0, 2.0, 4.0
"""Sizes of held-out windows, a frame's all of one size."""
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
        scale: factor on the method's raw sigma over all of the image.
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


def hold_out(sparse_m: Float32, share: float, seed: tuple[int, int], size: float = 1.0) -> HeldOut:
    """Take random windows of returns out, and judge by those in their middle.

    A single return taken out of a scan line is predicted by its two neighbours on that line,
    more easily than a pixel between the lines. So whole pieces of lines go, windows of 4 by
    0.75 mean spacings, and the returns in the middle half of a window are the truth: their
    nearest support is as far away as that of a typical pixel, and farther in larger windows. None
    are taken where the rest would be too few for a method (`MIN_RETURNS`).

    Args:
        sparse_m: (H, W) depth in metres, 0 = none.
        share: share of the returns that the method loses, 0 to 0.5; about half of them judge.
        seed: two integers; the same ones give the same choice.
        size: of the windows; 2 doubles both of their sides.
    """
    if share == 0.0 or not sparse_m.any():
        return HeldOut(sparse_m, np.zeros_like(sparse_m))
    spacing = mean_spacing_px(sparse_m)
    width, height = round(4 * size * spacing) | 1, round(0.75 * size * spacing) | 1
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
    rng = np.random.default_rng(_entropy(seed))
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
    """Keeps the scale of sigma at which held-out errors are covered as promised.

    Each frame lends a few returns (`hold_out`), which the method does not see, and has its
    errors at them counted (`update`), in histograms by range and by distance to the next return
    that it does see, forgotten exponentially, of the scales that each error e asks for to lie
    within k = 1 and 2 sigma, given that the return itself has noise n:
    k sqrt((scale sigma)^2 + n^2) = e. That is its range noise, and on a slope what follows from
    its place in the image, which is known to about half a pixel.

    Sigma of a frame is scaled by what the frames before it say: a single frame has the raw one. A
    scale above 1 is believed; one below is not wholly, since held-out returns are an easier judge
    than the space between them.

    A factor on top follows sudden changes (`FAST`), as in adaptive conformal inference: Gibbs and
    Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021.

    Args:
        config: settings.
        sees_returns: whether the method completes returns. One that does not look at them can
            be judged by all, and finds them no harder than all other pixels.
    """

    def __init__(self, config: CalibrationConfig, sees_returns: bool = True) -> None:
        self.config = config
        self._sees_returns = sees_returns
        bins = len(RANGE_CENTRES_M), len(SUPPORT_CENTRES_PX)
        self._counts = np.zeros((2, *bins, len(LOG2_SCALES)))
        self._recent: deque[tuple[Float32, Float32]] = deque(maxlen=RECENT_FRAMES)
        self._by_range, self._by_support = np.zeros(bins[0]), np.zeros(bins[1])
        self._fast = 0.0

    def hold_out(self, sparse_m: Float32, stamp_ns: int) -> HeldOut:
        """Take returns of a frame away from a method that sees them; see `hold_out`."""
        if self.config.enabled and not self._sees_returns:
            return HeldOut(sparse_m, sparse_m)
        share = self.config.held_out_share if self.config.enabled else 0.0
        size = np.random.default_rng(_entropy((stamp_ns, self.config.seed))).choice(WINDOWS)
        return hold_out(sparse_m, share, (self.config.seed, stamp_ns), float(size))

    def update(
        self, estimate: DepthEstimate, held_out_m: Float32, support_px: Float32 | None = None
    ) -> None:
        """Count the errors of a raw estimate at held-out returns.

        Args:
            estimate: (H, W), made without them.
            held_out_m: (H, W) their depth in metres, 0 = none.
            support_px: what `support_px` says of the returns that the method saw.
        """
        at = np.flatnonzero(held_out_m > 0)
        at = at[np.isfinite(estimate.depth_m.take(at))]
        if at.size == 0:
            return
        depth_m, sigma_m = estimate.depth_m.take(at), estimate.sigma_m.take(at)
        error_m = np.abs(depth_m - held_out_m.take(at))
        slope_m = slopes_m_per_px(estimate.depth_m, at)
        noise_m = np.hypot(self.config.return_noise_m, self.config.return_noise_px * slope_m)
        distance_px = np.zeros_like(depth_m)
        if support_px is not None:
            rows, columns = np.divmod(at, estimate.depth_m.shape[1])
            distance_px = support_px[rows // CELL, columns // CELL]
        if self._counts.any():
            # Judged with the scale from before this frame: a figure may not grade itself.
            scaled_m = sigma_m * self._scale_at(depth_m) * self._support_factor(distance_px)
            ratio = _ratio(error_m, np.hypot(scaled_m, noise_m))
            self._recent.append((error_m, ratio))
            self._follow(ratio)
        self._counts *= np.exp(-1.0 / self.config.memory_frames)
        place = (
            np.searchsorted(RANGE_EDGES_M, depth_m),
            np.searchsorted(SUPPORT_EDGES_PX, distance_px),
        )
        for k, counts in enumerate(self._counts, 1):
            excess_m = np.sqrt(np.maximum((error_m / k) ** 2 - noise_m**2, 0.0))
            log2 = np.log2(np.maximum(_ratio(excess_m, sigma_m), 2.0 ** LOG2_SCALES[0]))
            scales = np.searchsorted(LOG2_SCALES, log2, side='right') - 1
            np.add.at(counts, (*place, scales), 1.0)
        self._learn()

    def support_px(self, seen_m: Float32) -> Float32 | None:
        """Distance in pixels of each cell of `CELL` pixels to the next return (H, W) seen."""
        if not (self.config.enabled and self._sees_returns):
            return None
        found = cv2.dilate(
            (seen_m > 0).view(np.uint8), np.ones((CELL, CELL), np.uint8), anchor=(0, 0)
        )
        empty = 1 - np.ascontiguousarray(found[::CELL, ::CELL])
        distance_px: Float32 = CELL * cv2.distanceTransform(empty, cv2.DIST_L2, 3)
        return distance_px

    def apply(self, estimate: DepthEstimate, support_px: Float32 | None = None) -> DepthEstimate:
        """The estimate with its raw sigma scaled; `support_px` as for `update`."""
        if not self._counts.any():
            return estimate
        sigma_m = estimate.sigma_m * self._scale_at(estimate.depth_m)
        if support_px is not None:
            cells, (height, width) = self._support_factor(support_px), sigma_m.shape
            size = cells.shape[1] * CELL, cells.shape[0] * CELL
            sigma_m *= cv2.resize(cells, size, interpolation=cv2.INTER_NEAREST)[:height, :width]
        return DepthEstimate(estimate.depth_m, sigma_m, estimate.kind)

    def apply_on(
        self, estimate: DeviceEstimate, support_px: Float32 | None = None
    ) -> DeviceEstimate:
        """The same of an estimate on a device, where it gives the same numbers."""
        if not self._counts.any():
            return estimate
        device = str(estimate.depth_m.device)
        table = upload(self._scale_table(), device)
        last = float(len(table) - 1)
        index = (estimate.depth_m * SCALES_PER_M).nan_to_num(nan=last).clamp(max=last).long()
        sigma_m = estimate.sigma_m * table[index]
        if support_px is not None:
            cells, (height, width) = (
                upload(self._support_factor(support_px), device),
                sigma_m.shape,
            )
            sigma_m *= cells.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)[:height, :width]
        return replace(estimate, sigma_m=sigma_m)

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
            scale=math.exp(self._believed(_asked(self._all_counts())) + self._fast),
            alarm=_alarm(error_m.size, within_1, within_2),
            frames=len(self._recent),
        )

    def _learn(self) -> None:
        """Take the logarithms of the scales from the counts."""
        total = self._all_counts()
        borrowed = total * (BORROWED / total[0].sum())
        whole = _asked(total)
        by_range, by_support = (self._counts.sum(axis=axis).swapaxes(0, 1) for axis in (2, 1))
        self._by_range = np.array([self._believed(_asked(n + borrowed)) for n in by_range])
        beside = np.array([_asked(n + borrowed) for n in by_support]) - whole
        self._by_support = self._trust(whole) * beside

    def _believed(self, asked: float) -> float:
        """What is believed of the logarithm of a scale that held-out errors ask for."""
        return self._trust(asked) * asked

    def _trust(self, asked: float) -> float:
        """What share of that is believed: little of few returns, and less of what is easy."""
        returns = float(self._counts[0].sum())
        shrunk = SHRUNK if self._sees_returns and asked < 0 else 1.0
        return shrunk * returns / (returns + FEW_RETURNS)

    def _follow(self, ratio: Float32) -> None:
        """Raise the factor on top of all scales where errors in sigmas are not covered."""
        missing = GAUSSIAN - (ratio <= 1).mean() - (ratio <= 2).mean()
        believed = ratio.size / (ratio.size + FEW_RETURNS / 4)
        self._fast = float(
            np.clip(LEAK * self._fast + FAST * believed * missing, 0.0, math.log(MOST))
        )

    def _all_counts(self) -> Float64:
        """Counts (2, S) over all ranges and distances."""
        counts: Float64 = self._counts.sum(axis=(1, 2))
        return counts

    def _scale_at(self, depth_m: Float32) -> Float32:
        """Scale for each depth."""
        table = self._scale_table()
        # fmin sends NaN to the last entry; the product with a NaN sigma stays NaN.
        index = np.fmin(depth_m * np.float32(SCALES_PER_M), np.float32(table.size - 1))
        return table.take(index.astype(np.uint16))

    def _scale_table(self) -> Float32:
        """Scale for each depth in steps, linear between the centres of the range bins."""
        grid_m = np.arange(int(RANGE_CENTRES_M[-1]) * SCALES_PER_M + 1) / SCALES_PER_M
        scale = np.exp(np.interp(grid_m, RANGE_CENTRES_M, self._by_range) + self._fast)
        return scale.astype(np.float32)

    def _support_factor(self, distance_px: Float32) -> Float32:
        """Factor on the scale for distances to support."""
        factor = np.exp(np.interp(distance_px, SUPPORT_CENTRES_PX, self._by_support))
        return factor.astype(np.float32)


def _entropy(seed: tuple[int, int]) -> list[int]:
    """Of integers of either sign: a clock may start before 1970."""
    return [number & (2**63 - 1) for number in seed]


def _asked(counts: Float64) -> float:
    """Logarithm of the scale at which as many of the counted errors are covered as should be.

    Real errors have heavier tails than a Gaussian, so no scale covers both 68 % within 1 sigma and
    95 % within 2: this one covers as many in both together.

    Args:
        counts: (2, S) of the scales at which errors lie within 1 and 2 sigma.
    """
    within = np.cumsum(counts, axis=1).sum(axis=0) / counts[0].sum()
    upper_edges = LOG2_SCALES + (LOG2_SCALES[1] - LOG2_SCALES[0])
    log2 = float(np.interp(GAUSSIAN, within, upper_edges))
    return max(math.log(2) * log2, math.log(MIN_SCALE))


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
