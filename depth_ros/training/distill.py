"""What a student is taught: the objectives of the two stages of distillation.

Stage 1 (`PRETRAINING`): dense depth of a teacher, from which the LiDAR was simulated, so that its
scale is that of the returns. Stage 2 (`FINETUNING`): sparse truth, and the teacher's dense depth
up to scale and shift. Liang et al., "Distilling monocular foundation model for fine-grained depth
completion" (DMD3C), CVPR 2025.

Their published code (commit ed8804c) has other terms than the paper: BP-Net's squared error on
sparse truth, plus, at weight 1, the L1 distance of 32 random crops normalised by median and median
absolute deviation, against 1 / (disparity + 0.5); no gradient term and no stage 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depth_ros.errors import TrainingError
from depth_ros.training import losses
from depth_ros.training.gradient_losses import gradient_matching
from depth_ros.training.students import Prediction

if TYPE_CHECKING:
    from torch import Tensor

MIN_DEPTH_M = 1e-3
"""Logarithms see no smaller depth; a network without one in its head may say anything."""


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; 0 switches a term off.

    Attributes:
        l1: |depth - truth| in metres.
        log_l1: |ln depth - ln truth|.
        clipped_l1: |depth - truth| in metres, each at most `clip_m`.
        clip_m: what is farther off pulls no more.
        log_gradient: gradient matching of ln depth with ln truth.
        relative_l2: ((depth - truth) / truth)^2, of shares up to a half.
        rmse_ratio: root mean square error of an image over that of the prior that is corrected.
        mae_ratio: the same of the mean absolute error.
        l2_of_all: squared error in metres, over the number of all pixels.
        ssi: error against the teacher up to scale and shift, in metres.
        affine_invariant: the same with median and mean absolute deviation in place of a fit.
        gradient: gradient matching with the teacher, brought to the student's scale and shift.
        laplace: likelihood of the error relative to the truth under the stated variance.
        coverage: shares of the same errors within 1 and 2 stated sigma.
        log_error: how far the stated uncertainty is from |ln depth - ln truth|.
        coarser: factor on an output for each finer one that follows it.

    Raises:
        TrainingError: a weight is negative, or all are 0.
    """

    l1: float = 0.0
    log_l1: float = 0.0
    clipped_l1: float = 0.0
    clip_m: float = 5.0
    log_gradient: float = 0.0
    relative_l2: float = 0.0
    rmse_ratio: float = 0.0
    mae_ratio: float = 0.0
    l2_of_all: float = 0.0
    ssi: float = 0.0
    affine_invariant: float = 0.0
    gradient: float = 0.0
    laplace: float = 0.0
    coverage: float = 0.0
    log_error: float = 0.0
    coarser: float = 0.25

    def __post_init__(self) -> None:
        settings = dataclasses.asdict(self)
        if negative := [name for name, value in settings.items() if not value >= 0]:
            raise TrainingError(f'Weights must be 0 or more, got {negative} in {settings}.')
        if not any(value for name, value in settings.items() if name not in _NO_TERMS):
            raise TrainingError(f'An objective needs a term, got {settings}.')

    def loss(
        self, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum, and the value of each term before its weight, for the log.

        Args:
            prediction: what a student says.
            batch: `truth` and `teacher`, each (B, 1, H, W), see `students.arrays`, and `prior` of
                a student that corrects one.

        Raises:
            TrainingError: a term needs a log-variance or a prior, and the student has none.
        """
        truth = batch['truth']
        total = truth.new_zeros(())
        parts: dict[str, Tensor] = {}
        coarsest = len(prediction.depths) - 1
        for i, depth in enumerate(prediction.depths):
            share = self.coarser ** (coarsest - i)
            for name, value in self._depth_terms(depth.float(), batch):
                total = total + share * getattr(self, name) * value
                parts[name] = parts.get(name, 0.0) + share * value.detach()
        for name, value in self._uncertainty_terms(prediction, truth):
            total = total + getattr(self, name) * value
            parts[name] = value.detach()
        return total, parts

    def _depth_terms(
        self, depth: Tensor, batch: Mapping[str, Tensor]
    ) -> Iterator[tuple[str, Tensor]]:
        """The terms on one map that are switched on, by name."""
        truth, teacher = batch['truth'], batch['teacher']
        known = truth > 0
        if self.l1:
            yield 'l1', losses.l1(depth, truth, known)
        if self.log_l1:
            yield 'log_l1', losses.log_l1(depth.clamp_min(MIN_DEPTH_M), truth, known)
        if self.clipped_l1:
            yield 'clipped_l1', losses.clipped_l1(depth, truth, known, self.clip_m)
        if self.log_gradient:
            log_depth, log_truth = (m.clamp_min(MIN_DEPTH_M).log() for m in (depth, truth))
            yield 'log_gradient', gradient_matching(log_depth, log_truth, known)
        if self.relative_l2:
            yield 'relative_l2', losses.relative_l2(depth, truth, known)
        for name, power in (('rmse_ratio', 2), ('mae_ratio', 1)):
            if getattr(self, name):
                if 'prior' not in batch:
                    raise TrainingError(f'{name} needs a student that corrects a prior.')
                yield name, losses.ratio(depth, batch['prior'].float(), truth, known, power)
        if self.l2_of_all:
            yield 'l2_of_all', losses.l2_of_all(depth, truth, known)
        taught = teacher.isfinite()
        if self.ssi:
            yield 'ssi', losses.ssi(depth, teacher, taught)
        if self.affine_invariant:
            yield 'affine_invariant', losses.affine_invariant(depth, teacher, taught)
        if self.gradient:
            # In the teacher's own scale the term would teach that scale.
            fitted, taught = losses.aligned(teacher, depth, taught)
            yield 'gradient', gradient_matching(depth, fitted, taught)

    def _uncertainty_terms(
        self, prediction: Prediction, truth: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The terms on the stated uncertainty that are switched on, by name."""
        if not (self.laplace or self.coverage or self.log_error):
            return
        if prediction.log_variance is None:
            raise TrainingError(
                'laplace, coverage and log_error need a student that states a log-variance.'
            )
        depth, known = prediction.depths[-1].float(), truth > 0
        log_variance = prediction.log_variance.float()
        # These terms teach the variance only: through the error they would pull at depth as the
        # inverse of the stated sigma, hardest where depth is best already.
        relative = (depth.detach() - truth) / truth.where(known, 1.0)
        if self.laplace:
            yield 'laplace', losses.laplace_nll(relative, log_variance, known)
        if self.coverage:
            yield 'coverage', losses.coverage(relative, log_variance, known)
        if self.log_error:
            mean_error = (0.5 * log_variance).exp() / 2**0.5  # of a Laplace law of this variance
            depth = depth.clamp_min(MIN_DEPTH_M)
            yield 'log_error', losses.log_error_l1(mean_error, depth, truth, known)


_NO_TERMS = ('clip_m', 'coarser')

PRETRAINING = Objective(l1=1.0)
"""Stage 1 of DMD3C: L_pre."""
FINETUNING = Objective(l1=1.0, ssi=1.0, gradient=1.0)
"""Stage 2 of DMD3C: L_sup + L_SSIL + L_reg, each at weight 1."""
BPNET = Objective(l2_of_all=1.0)
"""BP-Net's MSMSE (CVPR 2024): a quarter for each coarser of six outputs."""
LITE = Objective(
    rmse_ratio=0.3, mae_ratio=0.3, log_l1=1.0, log_gradient=0.25, laplace=0.03, coverage=0.1
)
"""Stage 1 of `lite`: errors in metres as shares of the prior's, which an image with few returns
teaches as much as one with many; relative errors, since they count near and far alike; gradients,
since edges are few pixels."""
LITE_FINETUNING = Objective(
    log_l1=3.0, clipped_l1=0.05, relative_l2=6.0, ssi=0.01, gradient=0.005, laplace=0.03,
    coverage=0.1,
)  # fmt: skip
"""Stage 2 of `lite`: relative errors, large ones by their square, and metres. The teacher's terms,
in metres and summed over scales, weigh less than those on the truth, or depth follows the teacher
away from it. Sparse truth has no gradients; the teacher's take their place."""

OBJECTIVES = {
    'pretraining': PRETRAINING,
    'finetuning': FINETUNING,
    'bpnet': BPNET,
    'lite': LITE,
    'lite_finetuning': LITE_FINETUNING,
}
"""Objectives by name."""
