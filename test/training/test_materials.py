"""Textures tile and halve, and materials stay in the ranges that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.training.materials import (
    FACADE,
    LEVELS,
    PATTERN,
    PLAIN,
    SIZE,
    TEXTURES,
    Palette,
    bank,
)


def palette(seed: int = 0) -> Palette:
    return Palette(np.random.default_rng(seed))


def test_each_texture_has_a_kind() -> None:
    assert [*PLAIN, *PATTERN, *FACADE] == list(range(TEXTURES))


def test_textures_use_the_whole_range_at_every_size() -> None:
    levels = bank()
    assert [level.shape for level in levels] == [
        (TEXTURES, SIZE >> number, SIZE >> number) for number in range(LEVELS)
    ]
    np.testing.assert_array_equal(levels[0].min(axis=(1, 2)), 0)
    np.testing.assert_array_equal(levels[0].max(axis=(1, 2)), 1)
    assert all(level.dtype == np.float32 for level in levels)


def test_a_texel_is_the_mean_of_the_four_below_it() -> None:
    fine, *rest = bank()
    for coarse in rest:
        corners = [fine[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        np.testing.assert_allclose(coarse, np.mean(corners, axis=0), atol=1e-6)
        fine = coarse


@pytest.mark.parametrize('axis', [0, 1])
def test_noise_and_facades_have_no_seam_where_tiles_meet(axis: int) -> None:
    """From the last row to the first of the next tile it is as far as between any two."""
    for number in (*PLAIN, *FACADE):
        rows = np.moveaxis(bank()[0][number], axis, 0)
        steps = np.abs(np.diff(rows, axis=0)).mean(axis=1)
        seam = np.abs(rows[0] - rows[-1]).mean()
        assert seam < steps.max(), number


def test_textures_differ() -> None:
    small = bank()[-1].reshape(TEXTURES, -1)
    for number in range(TEXTURES):
        others = np.delete(small, number, axis=0)
        assert np.abs(others - small[number]).mean(axis=1).min() > 0.01, number


def test_materials_are_numbered_from_zero_and_have_every_property() -> None:
    made = palette()
    assert [made.new(), made.glass(), made.green(), made.new(PATTERN)] == [0, 1, 2, 3]
    for values in (made.light, made.dark, made.texture, made.tile_m, made.reflectivity):
        assert len(values) == 4
    assert made.mirror == [0, 0.5, 0, 0]


def test_a_material_stays_in_its_ranges() -> None:
    made = palette()
    for _ in range(300):
        made.new(FACADE, tile_m=(2.0, 8.0), reflectivity=(0.4, 0.6), mirror=0.2)
    assert set(made.texture) <= set(FACADE)
    assert len(set(made.texture)) > 8
    assert 2.0 <= min(made.tile_m) < 2.2
    assert 7.5 < max(made.tile_m) <= 8.0
    assert np.median(made.tile_m) == pytest.approx(4.0, rel=0.1), 'even in the logarithm'
    assert 0.4 <= min(made.reflectivity) <= max(made.reflectivity) <= 0.6
    assert set(made.mirror) == {0.2}
    colours = np.array([made.light, made.dark])
    assert colours.min() >= 0.01
    assert colours.max() <= 1.0


def test_tone_is_the_brightness_of_what_is_grey() -> None:
    """But for the 10 % by which each channel strays."""
    made = palette()
    for _ in range(300):
        made.new(tone=(0.2, 0.4), saturation=0.0)
    brightness = np.mean(made.light, axis=1)
    assert 0.2 * 0.8 < brightness.min() < 0.22
    assert 0.38 < brightness.max() < 0.4 * 1.2
    spread = np.std(np.array(made.light) / brightness[:, None])
    assert spread == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.1)  # about the mean of three


def test_glass_is_dark_mirrors_and_hardly_sends_light_back() -> None:
    made = palette()
    for _ in range(100):
        made.glass()
    assert np.mean(made.light) < 0.15
    assert set(made.mirror) == {0.5}
    assert 0.05 <= min(made.reflectivity) <= max(made.reflectivity) <= 0.3


def test_foliage_is_mostly_green() -> None:
    """In four of five, but for noise; the others are of autumn."""
    made = palette()
    for _ in range(300):
        made.green()
    red, green, blue = np.array(made.light).T
    assert 0.65 < np.mean((green > red) & (green > blue)) < 0.95
    assert np.mean(blue < np.maximum(red, green)) > 0.95


def test_a_seed_repeats_and_another_differs() -> None:
    drawn = []
    for seed in (4, 4, 5):
        made = palette(seed)
        for _ in range(3):
            made.new()
        drawn.append((np.concatenate(made.light + made.dark), made.texture, made.tile_m))
    np.testing.assert_array_equal(drawn[0][0], drawn[1][0])
    assert drawn[0][1:] == drawn[1][1:]
    assert not np.array_equal(drawn[0][0], drawn[2][0])
