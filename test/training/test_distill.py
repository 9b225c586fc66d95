"""Objectives: their sums by hand, their presets, and what they refuse."""

from __future__ import annotations

import math

import pytest

from depth_ros.errors import TrainingError
from depth_ros.training.distill import BPNET, FINETUNING, LITE, OBJECTIVES, Objective
from depth_ros.training.students import Prediction

torch = pytest.importorskip('torch')

TRUTH = torch.tensor([[[[2.0, 0.0, 4.0]]]])
DEPTH = torch.tensor([[[[3.0, 9.0, 8.0]]]])
PRIOR = TRUTH + torch.tensor([2.0, 5.0, 8.0])
NO_TEACHER = torch.full_like(TRUTH, math.nan)


def test_terms_are_weighted_and_logged_before_their_weight() -> None:
    """Errors 1 and 4 at the known pixels: L1 2.5, clipped at 2: 1.5."""
    objective = Objective(l1=2.0, clipped_l1=10.0, clip_m=2.0)
    total, parts = objective.loss(Prediction((DEPTH,)), {'truth': TRUTH, 'teacher': NO_TEACHER})
    assert total.item() == pytest.approx(2.0 * 2.5 + 10.0 * 1.5)
    assert {name: value.item() for name, value in parts.items()} == {'l1': 2.5, 'clipped_l1': 1.5}


def test_bpnet_weighs_its_outputs_by_powers_of_a_quarter_over_all_pixels() -> None:
    """Squared errors 1 + 16 over three pixels, six times: 1 + 1/4 + ... + 1/1024."""
    prediction = Prediction((DEPTH,) * 6)
    total, _ = BPNET.loss(prediction, {'truth': TRUTH, 'teacher': NO_TEACHER})
    weights = (1 / 1024, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1)
    assert total.item() == pytest.approx(17 / 3 * sum(weights))
    finest = (*[torch.zeros_like(DEPTH)] * 5, DEPTH)
    only_coarse, _ = BPNET.loss(
        Prediction((*finest[:5], TRUTH)), {'truth': TRUTH, 'teacher': TRUTH}
    )
    assert only_coarse.item() == pytest.approx(20 / 3 * sum(weights[:5]))  # 4 + 16 of zeros


def test_lite_by_hand() -> None:
    """ln ratios ln 1.5 and ln 2, relative errors 0.5 and 1 at b = 0.5, half of the prior's."""
    log_variance = torch.full_like(TRUTH, math.log(0.5))
    prediction = Prediction((DEPTH,), log_variance)
    total, _ = LITE.loss(prediction, {'truth': TRUTH, 'teacher': NO_TEACHER, 'prior': PRIOR})
    log_l1 = (math.log(1.5) + math.log(2.0)) / 2
    log_gradient = math.log(2.0) - math.log(1.5)  # of the two known pixels, two apart
    laplace = (1.0 + 2.0) / 2  # ln(2 b) = 0
    # Errors lie half an octave below and above sigma, so one and a half and a half below 2 sigma.
    octave = math.log(2.0)
    coverage = (0.5 * (1 - 0.6827) + 0.5 * 0.6827 + (1.5 + 0.5) * (1 - 0.9545)) / 2 * octave
    wanted = log_l1 + 0.25 * log_gradient + 0.03 * laplace + 0.1 * coverage
    assert total.item() == pytest.approx(wanted + 0.3 * (0.5 + 0.5), rel=2e-3)  # floors of both


@pytest.mark.parametrize('term', ['rmse_ratio', 'mae_ratio'])
def test_ratio_to_the_prior(term: str) -> None:
    """Errors 1 and 4, the prior's 2 and 8 beside an unknown pixel."""
    batch = {'truth': TRUTH, 'teacher': NO_TEACHER, 'prior': PRIOR}
    total, parts = Objective(**{term: 3.0}).loss(Prediction((DEPTH,)), batch)
    assert total.item() == pytest.approx(3 * 0.5, rel=0.01)
    assert parts[term].item() == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize('term', ['rmse_ratio', 'mae_ratio'])
def test_ratio_needs_a_prior(term: str) -> None:
    batch = {'truth': TRUTH, 'teacher': NO_TEACHER}
    with pytest.raises(TrainingError, match=f'{term} needs a student that corrects a prior'):
        Objective(**{term: 1.0}).loss(Prediction((DEPTH,)), batch)


@pytest.mark.parametrize('term', ['laplace', 'coverage'])
def test_a_likelihood_teaches_the_variance_and_leaves_depth_alone(term: str) -> None:
    depth = DEPTH.clone().requires_grad_()
    log_variance = torch.full_like(TRUTH, math.log(0.5)).requires_grad_()
    total, _ = Objective(**{term: 1.0}).loss(
        Prediction((depth,), log_variance), {'truth': TRUTH, 'teacher': NO_TEACHER}
    )
    total.backward()
    assert depth.grad is None
    assert log_variance.grad.abs().sum() > 0


def test_finetuning_takes_a_teacher_of_any_scale_and_shift() -> None:
    """With a teacher of the right shape only the sparse truth is left; gradients are finite."""
    rng = torch.Generator().manual_seed(0)
    shape = torch.rand(1, 1, 16, 24, generator=rng) * 50 + 2
    truth = shape.where(torch.rand(shape.shape, generator=rng) < 0.1, 0.0)
    depth = (shape + 1.5).requires_grad_()
    teacher = 0.01 * shape - 3
    teacher[..., :4, :] = math.nan  # sky
    total, parts = FINETUNING.loss(Prediction((depth,)), {'truth': truth, 'teacher': teacher})
    total.backward()
    assert parts['l1'].item() == pytest.approx(1.5, rel=1e-5)
    assert parts['ssi'].item() == pytest.approx(0, abs=1e-3)
    assert parts['gradient'].item() == pytest.approx(0, abs=1e-3)
    assert depth.grad.isfinite().all()
    wrong = teacher.flip(-1)
    _, parts = FINETUNING.loss(Prediction((depth,)), {'truth': truth, 'teacher': wrong})
    assert parts['ssi'].item() > 5
    assert parts['gradient'].item() > 5


@pytest.mark.parametrize('name', OBJECTIVES)
def test_a_batch_that_nothing_is_known_of_costs_nothing(name: str) -> None:
    depth = DEPTH.clone().requires_grad_()
    log_variance = torch.zeros_like(DEPTH).requires_grad_()
    batch = {'truth': torch.zeros_like(TRUTH), 'teacher': NO_TEACHER, 'prior': PRIOR}
    total, _ = OBJECTIVES[name].loss(Prediction((depth,), log_variance), batch)
    total.backward()
    assert total.item() == 0
    assert (depth.grad == 0).all()


def test_depth_behind_the_camera_has_a_finite_logarithm() -> None:
    depth = torch.tensor([[[[-1.0, 9.0, 8.0]]]], requires_grad=True)
    total, _ = Objective(log_l1=1.0).loss(
        Prediction((depth,)), {'truth': TRUTH, 'teacher': NO_TEACHER}
    )
    total.backward()
    assert math.isfinite(total.item())
    assert depth.grad.isfinite().all()


def test_half_precision_predictions_are_judged_in_full() -> None:
    """2.0009765625 is the next number after 2 in half precision; squares of it are not."""
    depth = torch.tensor([[[[2.001, 9.0, 300.0]]]], dtype=torch.float16)
    total, _ = Objective(l2_of_all=1.0).loss(
        Prediction((depth,)), {'truth': TRUTH, 'teacher': NO_TEACHER}
    )
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(296.0**2 / 3, rel=1e-6)


@pytest.mark.parametrize(
    'settings', [{}, {'l1': -1.0}, {'l1': math.nan}, {'clip_m': 3.0, 'coarser': 1.0}]
)
def test_useless_weights_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(TrainingError):
        Objective(**settings)


def test_a_student_without_uncertainty_cannot_be_judged_by_it() -> None:
    with pytest.raises(TrainingError, match='log-variance'):
        LITE.loss(Prediction((DEPTH,)), {'truth': TRUTH, 'teacher': NO_TEACHER, 'prior': PRIOR})
