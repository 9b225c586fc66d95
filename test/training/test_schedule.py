"""Rates by hand and against PyTorch; seeds that never meet."""

from __future__ import annotations

import math

import pytest

from depth_ros.training.config import ScheduleConfig
from depth_ros.training.schedule import Purpose, average_decay, rates, seed_of

COSINE = ScheduleConfig(
    kind='cosine', steps=21, warmup_share=0.25, start_factor=0.2, end_factor=0.1, momentum=0.9
)


@pytest.mark.parametrize(
    ('step', 'factor'),
    [
        # The peak is at 0.25 * 21 - 1 = 4.25 steps, the end at 20.
        (0, 0.2),
        (2, 0.2 + 0.8 * 2 / 4.25),
        (20, 0.1),
        (5, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.75 / 15.75))),
    ],
)
def test_cosine_rises_straight_and_falls_in_a_cosine(step: int, factor: float) -> None:
    assert rates(COSINE, step).factor == pytest.approx(factor, rel=1e-12)
    assert rates(COSINE, step).momentum == 0.9


@pytest.mark.parametrize('share', [0.1, 0.3])
def test_one_cycle_is_that_of_pytorch(share: float) -> None:
    torch = pytest.importorskip('torch')
    config = ScheduleConfig(
        steps=50, warmup_share=share, start_factor=1 / 40, end_factor=0.25, momentum=0.9
    )
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=50,
        pct_start=share,
        div_factor=40,
        final_div_factor=0.1,
        base_momentum=0.85,
        max_momentum=0.9,
    )
    for step in range(50):
        group = optimizer.param_groups[0]
        assert rates(config, step) == pytest.approx((group['lr'], group['betas'][0]), rel=1e-9)
        optimizer.step()
        if step < 49:
            oracle.step()


def test_a_run_of_one_step_has_a_rate() -> None:
    assert rates(ScheduleConfig(steps=1), 0).factor >= 0


def test_jitter_is_within_its_share_and_follows_from_seed_and_step() -> None:
    plain, jittered = (ScheduleConfig(steps=200, jitter=share) for share in (0.0, 0.1))
    ratios = [rates(jittered, s, 7).factor / rates(plain, s, 7).factor for s in range(199)]
    assert 0.9 <= min(ratios) < 0.92
    assert 1.08 < max(ratios) <= 1.1
    assert rates(jittered, 5, 7) == rates(jittered, 5, 7) != rates(jittered, 5, 8)


def test_the_average_follows_fast_at_first() -> None:
    assert average_decay(0.999, 0) == 0.1
    assert average_decay(0.999, 90) == 0.91
    assert average_decay(0.999, 10**6) == 0.999


def test_seeds_of_different_purposes_and_counters_differ() -> None:
    seeds = {seed_of(s, p, c) for s in range(3) for p in Purpose for c in range(100)}
    assert len(seeds) == 3 * len(Purpose) * 100
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seed_of(1, Purpose.STEP, 2, 3) == seed_of(1, Purpose.STEP, 2, 3)
