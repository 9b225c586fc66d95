"""What a sensor may do to a view: lose, shift, recolour; never invent."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

import numpy as np
import pytest

from depth_ros.methods.guided import MIN_RETURNS, rows_above, top_of_lidar
from depth_ros.simulation.lidar import NO_RING
from depth_ros.training.examples import Example
from depth_ros.training.variety import MAX_DEPTH_M, nearest_in_pixel, photographed, varied

HEIGHT, WIDTH, FIRST_ROW = 96, 160, 33
SEEDS = range(300)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def view(wall_m: float = 10.0, every: int = 1) -> tuple[Example, Any]:
    """Sky over a wall, before it a box at half the distance, and a LiDAR that is no good above.

    Each `every`-th row from 33 down is a ring, with a return in every column. Through each tenth
    column of the box the wall shines. Returns are up to 0.3 % off, each by its own.
    The image is brighter on the right, and the teacher is the column.
    """
    truth_m = np.zeros((HEIGHT, WIDTH), np.float32)
    truth_m[20:] = wall_m
    measured_m = truth_m.copy()
    truth_m[40:80, 50:90] = wall_m / 2
    measured_m[40:80, 50:90] = wall_m / 2
    measured_m[40:80, 50:90:10] = wall_m
    ring = np.full(truth_m.shape, NO_RING, np.uint8)
    rows = np.arange(FIRST_ROW, HEIGHT, every)
    ring[rows] = np.arange(len(rows))[::-1, None]
    sparse_m = np.where(ring == NO_RING, 0, measured_m * rng(1).uniform(0.997, 1.003, ring.shape))
    image = np.full((HEIGHT, WIDTH, 3), (90, 70, 40), np.uint8)
    image[:, WIDTH // 2 :] = 180, 160, 120
    K = np.array([[100.0, 0, 70], [0, 100, 40], [0, 0, 1]])
    teacher = np.broadcast_to(np.arange(WIDTH, dtype=np.float32), truth_m.shape)
    return Example(image, sparse_m.astype(np.float32), truth_m, K, teacher), ring


class Seen(NamedTuple):
    """What became of a view, turned back where it was mirrored."""

    example: Example
    sparse_m: Any
    truth_m: Any
    mirrored: bool
    factor: float
    at_random: bool


def seen(example: Example, ring: Any, seed: int, wall_m: float = 10.0) -> Seen:
    """The wall keeps its depth but for the common factor, which is read off there."""
    found = varied(example, ring, rng(seed))
    assert found.teacher is not None
    mirrored = bool(found.teacher[0, 0] > 0)
    maps = [m[:, ::-1] if mirrored else m for m in (found.sparse_m, found.truth_m)]
    factor = float(maps[1].max()) / wall_m
    returns = maps[0] > 0
    at_random = not np.allclose(
        maps[0][returns], factor * example.sparse_m[returns], rtol=1e-5, atol=0
    )
    return Seen(found, *maps, mirrored, factor, at_random)


@pytest.fixture(scope='module')
def many() -> list[Seen]:
    return [seen(*view(), seed) for seed in SEEDS]


def share(values: Any) -> float:
    return float(np.mean(list(values)))


def test_far_ground_is_no_edge_though_it_rises_by_more_than_many_an_edge() -> None:
    """Ground 1.65 m below a camera of 720 pixels: 59.4, 56.6, 54 m in the first rows."""
    rows = np.arange(20, 40, dtype=np.float32)
    depth_m = np.repeat((720 * 1.65 / rows)[:, None], 6, axis=1).astype(np.float32)
    got = nearest_in_pixel(depth_m, np.random.default_rng(0))[1:-1, 1:-1]
    nearer = depth_m[2:, 1:-1]
    expected = depth_m[1:-1, 1:-1] + 0.25 * (nearer - depth_m[1:-1, 1:-1])
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize('axis', [0, 1])
@pytest.mark.parametrize('step', [1, -1])
def test_on_a_slope_it_is_a_quarter_of_the_way_to_the_nearer_neighbour(
    axis: int, step: int
) -> None:
    """Of 10.0, 10.1, 10.2 and 10.4 m: the nearest stays, since nothing is nearer."""
    slope = np.array([10.0, 10.1, 10.2, 10.4], np.float32)[::step]
    expected = np.array([10.0, 10.075, 10.175, 10.35])[::step]
    rows = np.repeat(slope[None], 5, axis=0)
    rows = rows.T if axis == 0 else rows
    found = nearest_in_pixel(np.ascontiguousarray(rows), rng())
    found = found.T if axis == 0 else found
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.repeat(expected[None], 5, axis=0), rtol=1e-6)


def test_on_a_slope_in_both_directions_the_nearest_of_four_neighbours_decides() -> None:
    v, u = np.mgrid[:20, :30]
    truth_m = (10 + 0.01 * u + 0.03 * v).astype(np.float32)
    found = nearest_in_pixel(truth_m, rng())
    np.testing.assert_allclose(found[1:], truth_m[1:] - 0.25 * 0.03, rtol=1e-5)
    np.testing.assert_allclose(found[0, 1:], truth_m[0, 1:] - 0.25 * 0.01, rtol=1e-5)


def test_at_an_edge_the_nearer_surface_reaches_into_half_of_the_pixels_beside_it() -> None:
    """Three binomial sigmas of 2000 rows are 3.4 %."""
    truth_m = np.full((2000, 12), 20.0, np.float32)
    truth_m[:, :6] = 5.0
    found = nearest_in_pixel(truth_m, rng())
    np.testing.assert_array_equal(np.delete(found, 6, axis=1), np.delete(truth_m, 6, axis=1))
    assert set(found[:, 6]) == {5.0, 20.0}
    assert (found[:, 6] == 5.0).mean() == pytest.approx(0.5, abs=0.034)


def test_five_percent_of_the_depth_is_a_surface_and_more_is_an_edge() -> None:
    for far, allowed in ((10.4, {10.3}), (10.6, {10.0, 10.6})):
        truth_m = np.full((200, 2), 10.0, np.float32)
        truth_m[:, 1] = far
        found = nearest_in_pixel(truth_m, rng())
        assert set(found[:, 1].round(4)) == {np.float32(value) for value in allowed}


def test_a_thin_pole_grows_into_its_four_neighbours_half_of_the_time_each() -> None:
    """Poles in a grid, 5 pixels apart: three binomial sigmas of 1600 are 3.8 %."""
    truth_m = np.full((200, 200), 30.0, np.float32)
    truth_m[2::5, 2::5] = 10.0
    found = nearest_in_pixel(truth_m, rng())
    grown = (found == 10.0).reshape(40, 5, 40, 5).mean(axis=(0, 2))
    expected = np.zeros((5, 5))
    expected[2, 2] = 1
    expected[[1, 3, 2, 2], [2, 2, 1, 3]] = 0.5
    np.testing.assert_array_equal(grown[expected != 0.5], expected[expected != 0.5])
    np.testing.assert_allclose(grown, expected, atol=0.038)
    assert set(np.unique(found)) == {10.0, 30.0}


def test_unknown_stays_unknown_and_spreads_nowhere() -> None:
    truth_m = np.where(rng().random((60, 80)) < 0.4, 0, 7).astype(np.float32)
    np.testing.assert_array_equal(nearest_in_pixel(truth_m, rng()), truth_m)


def test_it_is_never_farther_than_the_truth_nor_nearer_than_what_is_around() -> None:
    """Depths of a rough surface with edges and holes; borders see no neighbour outside."""
    draw = rng(3)
    truth_m = (8 + draw.uniform(0, 0.5, (60, 80)) + 4.0 * draw.integers(0, 3, (60, 80))).astype(
        np.float32
    )
    truth_m[draw.random(truth_m.shape) < 0.2] = 0
    before = truth_m.copy()
    found = nearest_in_pixel(truth_m, rng())
    np.testing.assert_array_equal(truth_m, before)
    around = np.pad(np.where(truth_m > 0, truth_m, np.inf), 1, constant_values=np.inf)
    least = np.min([around[i : i + 60, j : j + 80] for i, j in
                    ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))], axis=0)  # fmt: skip
    known = truth_m > 0
    np.testing.assert_array_equal(found > 0, known)
    assert (found <= truth_m).all()
    assert (found[known] >= least[known]).all()
    assert (found < truth_m).mean() > 0.3
    assert found.tobytes() == nearest_in_pixel(truth_m, rng()).tobytes()
    assert found.tobytes() != nearest_in_pixel(truth_m, rng(1)).tobytes()


def test_enough_returns_are_left(many: list[Seen]) -> None:
    counts = [np.count_nonzero(each.sparse_m) for each in many]
    assert min(counts) >= MIN_RETURNS
    assert min(counts) < 150, 'there are sparse ones'
    assert max(counts) > 4000, 'and dense ones'


def test_no_return_is_invented(many: list[Seen]) -> None:
    """Each was measured, or lies on the truth but for the noise of random points."""
    example, _ = view()
    assert 0.12 < share(each.at_random for each in many) < 0.28
    for each in many:
        returns = each.sparse_m > 0
        if each.at_random:
            error = each.sparse_m[returns] / (each.factor * example.truth_m[returns]) - 1
            assert np.abs(error).max() < 0.05
            assert MIN_RETURNS <= returns.sum() <= 0.02 * returns.size
        else:  # their values were compared to tell them from random points
            assert (example.sparse_m[returns] > 0).all()


def test_distances_are_scaled_together_in_two_of_five(many: list[Seen]) -> None:
    factors = np.array([each.factor for each in many])
    assert 0.5 <= factors.min() < 0.6
    assert 1.4 < factors.max() < 1.6 + 1e-6
    assert np.mean(np.abs(factors - 1) > 1e-6) == pytest.approx(0.4, abs=0.085)


def test_every_second_fourth_or_eighth_ring_is_kept_or_all(many: list[Seen]) -> None:
    """Which is told by how many remainders by 8 are there; 42, 13, 12 and 7 % of all."""
    _, ring = view()
    found: collections.Counter[int] = collections.Counter()
    for each in many:
        if not each.at_random:
            rings = np.unique(ring[each.sparse_m > 0])
            remainders = np.unique(rings % 8)
            assert len(np.unique(np.diff(np.append(remainders, remainders[0] + 8)))) == 1
            found[len(remainders)] += 1
    assert set(found) == {1, 2, 4, 8}
    assert found[8] / len(many) == pytest.approx(0.42, abs=0.087)  # three binomial sigmas
    assert found[1] < found[2] + found[4]


def test_a_lidar_of_four_rings_loses_none_of_them() -> None:
    example, ring = view(every=16)
    for seed in range(60):
        each = seen(example, ring, seed)
        if not each.at_random:
            np.testing.assert_array_equal(np.unique(ring[each.sparse_m > 0]), range(4))


def test_some_returns_are_lost_here_and_there_or_in_a_region(many: list[Seen]) -> None:
    """Up to 40 % anywhere in 40 % of the views, and a region in 15 %; none in 51 %."""
    example, ring = view()
    whole = []
    for each in many:
        if not each.at_random:
            kept_rings = np.isin(ring, ring[each.sparse_m > 0])
            wanted = (example.sparse_m > 0) & kept_rings
            wanted[34:86, 44:96] = False  # around the box, returns are hidden by it
            whole.append((each.sparse_m[wanted] > 0).mean())
    assert 0.6 * 0.8 < min(whole) < 0.7
    assert share(value == 1 for value in whole) == pytest.approx(0.51, abs=0.09)


def test_what_shines_through_is_mostly_removed(many: list[Seen]) -> None:
    """By the pipeline's filter, in 85 % of the cases; where rings are few it leaves some."""
    clean = []
    for each in many:
        if not each.at_random:
            box = each.sparse_m[45:75, 52:88]
            clean.append(not (box > 7.0 * each.factor).any())
    assert 0.7 < share(clean) < 0.91


def test_half_of_the_views_are_mirrored_in_all_their_parts(many: list[Seen]) -> None:
    """Three binomial sigmas are 8.7 %."""
    assert share(each.mirrored for each in many) == pytest.approx(0.5, abs=0.087)
    for each in many:
        example = each.example
        assert example.K[0, 2] == (WIDTH - 1 - 70 if each.mirrored else 70)
        left, right = np.split(example.image.mean(axis=2), 2, axis=1)
        assert (left.mean() > right.mean()) == each.mirrored
        # The box, left of the middle, is half as far away as the wall, where there is a truth.
        for place, depth_m in ((np.s_[45:75, 51:89], 5), (np.s_[45:75, 91:], 10)):
            known_m = each.truth_m[place][each.truth_m[place] > 0]
            assert not known_m.size or np.median(known_m) == pytest.approx(depth_m * each.factor)


def test_the_truth_ends_where_the_view_of_the_lidar_does(many: list[Seen]) -> None:
    """Where the method publishes nothing. LiDAR starts in row 33 and sees some rows above it."""
    known = view()[0].truth_m > 0
    for each in many:
        above = rows_above(top_of_lidar(each.example.sparse_m), HEIGHT)
        above = above[:, ::-1] if each.mirrored else above
        np.testing.assert_array_equal(each.truth_m > 0, known & ~above)
        if not each.at_random:
            assert not each.truth_m[:20].any()
    cut = [not each.truth_m[:26].any() for each in many if not each.at_random]
    assert share(cut) > 0.95
    # A region without returns may take the upper part of some columns.
    whole = [(each.truth_m[60:] > 0).all() for each in many if not each.at_random]
    assert share(whole) > 0.85


def test_the_truth_is_that_of_the_nearest_in_its_pixel(many: list[Seen]) -> None:
    example, _ = view()
    rim = np.zeros(example.truth_m.shape, bool)
    rim[39:81, 49:91] = True
    rim[39:81:41, 49:91:41] = rim[40:80, 50:90] = False
    for each in many:
        known = each.truth_m > 0
        relative = each.truth_m / each.factor / np.where(known, example.truth_m, 1)
        np.testing.assert_allclose(relative[known & ~rim], 1, rtol=1e-5)
        assert set(relative[known & rim].round(3)) == {np.float32(0.5), np.float32(1)}
        assert np.isclose(relative[known & rim], 0.5).mean() == pytest.approx(0.5, abs=0.2)


def test_what_becomes_farther_than_120_m_has_no_truth() -> None:
    example, ring = view(wall_m=100.0)
    ends = []
    for seed in range(80):
        truth_m = varied(example, ring, rng(seed)).truth_m
        assert truth_m.max() <= MAX_DEPTH_M
        ends.append(truth_m.max())
    assert sum(end < 90 for end in ends) > 5, 'the wall is gone or nearer'
    assert max(ends) >= 100


def test_where_there_are_few_returns_all_stay() -> None:
    """15 of them, below the limit, or random points, more than that; and of none nothing comes."""
    example, ring = view()
    few_m = np.zeros_like(example.sparse_m)
    some = np.s_[FIRST_ROW : FIRST_ROW + 5, 0:6:2]
    few_m[some] = example.sparse_m[some]
    none_m = np.zeros_like(few_m)
    for seed in range(60):
        for sparse_m in (few_m, none_m):
            changed = Example(example.image, sparse_m, example.truth_m, example.K, example.teacher)
            found = seen(changed, np.where(sparse_m > 0, ring, NO_RING), seed).sparse_m > 0
            kept = np.array_equal(found, sparse_m > 0)
            assert kept or found.sum() >= MIN_RETURNS


def test_a_seed_repeats_another_differs_and_the_view_stays_as_it_was() -> None:
    example, ring = view()
    untouched, _ = view()
    drawn = []
    for seed in (1, 1, 2, 3):
        found = varied(example, ring, rng(seed))
        assert found.sparse_m.dtype == found.truth_m.dtype == np.float32
        drawn.append(b''.join(values.tobytes() for values in (found.image, found.sparse_m,
                                                              found.truth_m)))  # fmt: skip
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    for name in ('image', 'sparse_m', 'truth_m', 'K'):
        np.testing.assert_array_equal(getattr(example, name), getattr(untouched, name))


def test_another_camera_gives_another_image_of_the_same_and_a_seed_repeats_it() -> None:
    """What is brighter stays so, and 15 % have no colours."""
    image = view()[0].image
    before, drawn, grey = image.copy(), set(), 0
    for seed in SEEDS:
        found = photographed(image, rng(seed))
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        left, right = np.split(found.mean(axis=2), 2, axis=1)
        assert right.mean() > left.mean()
        red, _, blue = found.mean(axis=(0, 1))
        grey += abs(red - blue) < 1
        drawn.add(found.tobytes())
        if seed < 20:
            assert found.tobytes() == photographed(image, rng(seed)).tobytes()
    assert grey / len(SEEDS) == pytest.approx(0.15, abs=0.065)
    assert len(drawn) > 0.85 * len(SEEDS)
    np.testing.assert_array_equal(image, before)
