"""Learned completion by our own compact network, whose weights ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from depth_ros.engines.base import NotBuiltError
from depth_ros.engines.export import can_export
from depth_ros.errors import EngineError, MethodError, MissingDependencyError
from depth_ros.frame import Bool, CameraView, DepthEstimate, Float32
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.resize import enlarge_estimate, resize_view
from depth_ros.geometry.slope import slope_map
from depth_ros.methods.guided import MIN_RETURNS, complete_below, rows_above, top_of_lidar
from depth_ros.methods.network_slot import NetworkMethod, NetworkSlot
from depth_ros.models import lite

SIGMA_SCALE, SIGMA_POWER = np.float32(0.61), np.float32(0.9)
"""Relative sigma is this share of this power of what the network says of the scenes that it
learned from. Fitted on half of the real sets: docs/uncertainty.md"""
SLOPE_PX = np.float32(0.5)
"""How well it is known where in the image a depth belongs, in pixels, which is part of sigma on
slopes. Rigs are calibrated and timed worse than those that it learned from."""
FARTHER = np.float32(1.1)
"""What is beyond so many times the prior counts as far as the step there is sure,"""
DOUBT = np.float32(1.5)
"""beside so many sigma of the network; see `restrained`. Fitted like sigma: docs/lite.md"""


class Lite(NetworkMethod):
    """`guided`, corrected by the network `models.lite` at the size of the view, or reduced.

    A view that no shipped size of the network holds is completed at a smaller one, see
    `models.lite.seen_size`, and the result enlarged.

    Args:
        weights: file of its parameters; None takes those that ship with the package.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.
        extrapolate: also state depth above the highest LiDAR return.
    """

    name = 'lite'
    needs_lidar = True

    def __init__(
        self,
        weights: Path | None = None,
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int = 0,
        extrapolate: bool = False,
    ) -> None:
        self._extrapolate = extrapolate
        settings = ('lite', weights or lite.WEIGHTS, backend, precision, threads)
        super().__init__(NetworkSlot(*settings))
        self._lower = NetworkSlot(*settings)
        self._may_export = True
        self._prepared = (0, 0)

    def check_camera(self, camera: Intrinsics) -> None:
        """Any will do: small views are padded."""

    def prepare(
        self, height: int, width: int, may_build: bool = True, may_skip: bool = False
    ) -> None:
        """Open the engine for views (height, width), and on a CPU one for their lower part.

        Where no engine for their own size can be had, one of a shipped size is taken.
        """
        try:
            super().prepare(height, width, may_build, may_skip)
        except NotBuiltError:
            raise
        except (EngineError, MissingDependencyError):
            shipped = lite.network_size(height, width, may_export=False)
            if shipped == self._network_size(height, width):
                raise
            self._may_export = False
            super().prepare(height, width, may_build, may_skip)
        self._prepared = height, width
        lower = lite.lower_size(self._network_size(height, width))
        if lower and self._slot.device is None and not self._extrapolate:
            self._lower.opened(lower, may_build, may_skip)
        else:
            self._lower.close()

    def describe(self) -> str:
        """What it runs on, and at which size."""
        height, width = self._network_size(*self._prepared)
        text = f'{super().describe()} at {height}x{width}'
        seen = lite.seen_size(*self._prepared)
        if seen != self._prepared:
            whole, part = ('{}x{}'.format(*size) for size in (self._prepared, seen))
            text += f', images of {whole} reduced to {part}'
        return text

    def close(self) -> None:
        """Free the engines."""
        super().close()
        self._lower.close()

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Complete a view.

        Raises:
            MethodError: the view has too few returns.
            DepthRosError: the engine cannot be opened.
        """
        found = np.count_nonzero(view.sparse_m)
        if found < MIN_RETURNS:
            raise MethodError(f'lite needs {MIN_RETURNS} LiDAR returns in the image, got {found}.')
        whole = view.sparse_m.shape
        if not self.fits(*whole):
            self.prepare(*whole)
        height, width = lite.seen_size(*whole)
        if (height, width) == whole:
            return self._corrected(view)
        reduced = self._corrected(resize_view(view, width, height))
        return enlarge_estimate(reduced, whole[1], whole[0])

    def _corrected(self, view: CameraView) -> DepthEstimate:
        """What the network makes of a view of a size that it sees."""
        height, width = view.sparse_m.shape
        size = self._network_size(height, width)
        top = top_of_lidar(view.sparse_m)
        first = int(top.min())
        prior_m, prior_sigma_m = complete_below(view.image, view.sparse_m, first)
        slot, row = self._slot, 0
        lower = lite.lower_size(size)
        if lower and self._lower.fits(lower) and height - first <= lower[0]:
            slot, size, row = self._lower, lower, max(0, height - lower[0])
        below, signed_m = slice(row, None), lite.signed(view.sparse_m, view.hidden_m)
        arrays = lite.padded(
            view.image[below], signed_m[below], prior_m[below], prior_sigma_m[below], size
        )
        outputs = slot.opened(size).infer(lite.graph_inputs(*arrays))
        depth_m, log_variance = (
            outputs[name][0, 0, : height - row, :width] for name in lite.OUTPUTS
        )
        learned_m = SIGMA_SCALE * depth_m * np.exp(SIGMA_POWER / 2 * log_variance)
        sloping_m = SLOPE_PX * slope_map(depth_m)
        sigma_m = np.sqrt(learned_m * learned_m + sloping_m * sloping_m)
        depth_m = restrained(depth_m, prior_m[below], log_variance)
        known = (depth_m > 0) & np.isfinite(depth_m) & np.isfinite(sigma_m)
        if not self._extrapolate:
            known &= ~rows_above(top, height)[row:]
        return DepthEstimate(_filled(depth_m, known, row), _filled(sigma_m, known, row))

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        return lite.network_size(height, width, may_export=self._may_export and can_export())


def restrained(depth_m: Float32, prior_m: Float32, log_variance: Float32) -> Float32:
    """Depth (h, w) in metres whose steps to what is farther than a prior are no bolder than sure.

    In real scenes such steps of the network, which knows only simulated ones, are often too long:
    docs/lite.md. One of x sigma keeps x^2 / (x^2 + `DOUBT`^2) of what is
    beyond `FARTHER` times the prior, as a signal beside noise does in a Wiener filter.

    Args:
        depth_m: what the network says.
        prior_m: (h, w) what it corrected.
        log_variance: (h, w) of the relative error, as the network states it.
    """
    start_m = FARTHER * prior_m
    at = np.flatnonzero(depth_m > start_m)  # few
    deep_m, start_m = depth_m.take(at), start_m.take(at)
    with np.errstate(invalid='ignore', over='ignore'):  # what is unknown may be Inf
        step = (1 - prior_m.take(at) / deep_m) ** 2
        noise = DOUBT * DOUBT * np.exp(log_variance.take(at))
        kept_m = start_m + step / (step + noise) * (deep_m - start_m)
    restrained_m = depth_m.copy()
    restrained_m.put(at, kept_m)
    return restrained_m


def _filled(values: Float32, known: Bool, row: int) -> Float32:
    """A map (row + h, W) of the lower part (h, W) of one: NaN above and where nothing is known."""
    whole = np.full((row + len(values), values.shape[1]), np.nan, dtype=np.float32)
    np.copyto(whole[row:], values, where=known)
    return whole
