"""Odometry is true at first, and drifts as far as its sigmas say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation.odometry import drifting
from depth_ros.simulation.trajectory import Trajectory, straight

CURVE = Trajectory(
    lambda t: np.stack((20 * np.sin(0.3 * t), 8 * t, 0.1 * np.sin(t)), axis=1),
    lambda t: np.stack((0.4 * t + 0.3, 0.05 * np.sin(2 * t), 0.03 * np.cos(t)), axis=1),
)
ROAD = straight((3, 4, 5), (6, 8, 0), yaw=math.atan2(8, 6))  # at 10 m/s
TIMES = np.arange(0, 10.1, 0.5)  # 100 m of it in 20 steps
RUNS = 400


def drift(
    seed: int = 0, trajectory: Trajectory = ROAD, times: Any = TIMES, **sigmas: float
) -> Any:
    none = {'scale': 0.0, 'walk_m': 0.0, 'walk_deg': 0.0}
    return drifting(trajectory, times, np.random.default_rng(seed), **{**none, **sigmas})


def test_without_errors_it_is_the_true_way() -> None:
    for trajectory in (ROAD, CURVE):
        found = drift(trajectory=trajectory)
        np.testing.assert_allclose(found, trajectory.poses(TIMES), atol=1e-9)


@pytest.mark.parametrize('sigmas', [{'scale': 0.1}, {'walk_m': 1.0}, {'walk_deg': 5.0}])
def test_the_first_pose_is_true_and_all_are_rigid(sigmas: dict[str, float]) -> None:
    found, true = drift(trajectory=CURVE, **sigmas), CURVE.poses(TIMES)
    assert found.shape == (len(TIMES), 4, 4)
    np.testing.assert_array_equal(found[0], true[0])
    turn = found[:, :3, :3]
    np.testing.assert_allclose(turn @ turn.transpose(0, 2, 1), [np.eye(3)] * len(turn), atol=1e-9)
    np.testing.assert_array_equal(found[:, 3], [[0, 0, 0, 1]] * len(turn))
    assert np.linalg.norm(found[-1, :3, 3] - true[-1, :3, 3]) > 0.05


def test_every_length_is_wrong_by_the_same_share() -> None:
    """Of 100 m it is then one sigma of 2 m too long or too short, along the way."""
    wrong = []
    for seed in range(RUNS):
        found = drift(seed, scale=0.02)[:, :3, 3] - (3, 4, 5)
        share = found[-1] @ (0.6, 0.8, 0) / 100
        np.testing.assert_allclose(
            found, share * np.multiply.outer(10 * TIMES, (0.6, 0.8, 0)), atol=1e-9
        )
        wrong.append(share - 1)
    assert np.std(wrong) == pytest.approx(0.02, rel=0.12)  # three sigmas of 400 runs


def test_position_wanders_with_the_root_of_the_way() -> None:
    """0.05 m after 1 m: 0.5 m after 100 m, ahead as well as aside, half of that after 25 m."""
    off = np.array([drift(seed, walk_m=0.05)[:, :3, 3] for seed in range(RUNS)])
    off -= ROAD.poses(TIMES)[:, :3, 3]
    ahead, aside = off @ (0.6, 0.8, 0), off @ (-0.8, 0.6, 0)
    for values in (ahead, aside):
        assert values[:, 20].std() == pytest.approx(0.5, rel=0.12)
        assert values[:, 5].std() == pytest.approx(0.25, rel=0.12)
    np.testing.assert_allclose(off[..., 2], 0, atol=1e-9)


@pytest.mark.parametrize('steps', [5, 40])
def test_heading_wanders_with_the_root_of_the_way_however_often_it_is_read(steps: int) -> None:
    """0.2 degrees after 1 m: 2 degrees after 100 m."""
    times = np.linspace(0, 10, steps + 1)
    last = np.array([drift(seed, times=times, walk_deg=0.2)[-1] for seed in range(RUNS)])
    heading_deg = np.degrees(np.arctan2(last[:, 1, 0], last[:, 0, 0]) - math.atan2(8, 6))
    assert heading_deg.std() == pytest.approx(2.0, rel=0.12)
    assert heading_deg.mean() == pytest.approx(0.0, abs=0.3)


def test_drift_grows() -> None:
    """With the sigmas that are usual, on the mean of all runs."""
    true = CURVE.poses(TIMES)
    found = np.array([drifting(CURVE, TIMES, np.random.default_rng(seed)) for seed in range(100)])
    off = np.linalg.norm(found[..., :3, 3] - true[:, :3, 3], axis=-1).mean(axis=0)
    assert 0 < off[2] < off[6] < off[12] < off[20] < 5


def test_a_rig_that_stands_does_not_drift() -> None:
    standing = straight((1, 2, 3), (0, 0, 0), yaw=0.5)
    found = drifting(standing, TIMES, np.random.default_rng(0), 0.1, 1.0, 5.0)
    np.testing.assert_allclose(found, standing.poses(TIMES), atol=1e-9)


def test_a_seed_repeats_and_another_differs() -> None:
    one, same, other = (drift(seed, walk_m=0.1) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
