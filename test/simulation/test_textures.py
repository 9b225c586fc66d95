"""Textures tile, keep their mean at any distance, and materials are what their use demands."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation.materials import Material
from depth_ros.simulation.painters import NOISES, PAINTERS, PATTERNS, WINDOWS, fractal
from depth_ros.simulation.palette import ROLES, Palette
from depth_ros.simulation.textures import Atlas

FINE, ALL = 1e-6, 1e9  # footprints in metres: of a single place, of everything
GREYS = (*NOISES, *PATTERNS, *WINDOWS)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sample(material: Material, uv: Any, footprint_m: float = FINE) -> Any:
    """Linear RGB (N, 3) and gloss (N,) of a material at texture coordinates (N, 2) in metres."""
    uv = np.asarray(uv, np.float32).reshape(-1, 2)
    number = np.zeros(len(uv), np.int32)
    return Atlas((material,)).sample(number, uv, np.full(len(uv), footprint_m, np.float32))


def grid(name: str, count: int) -> Any:
    """Middles (count^2, 2) of squares of one tile of a texture."""
    v, u = (np.mgrid[:count, :count].reshape(2, -1) + 0.5) / count
    return np.stack((u, v), axis=1) * PAINTERS[name][0]


@pytest.fixture(scope='module')
def pictures() -> dict[str, Any]:
    return {name: paint(rng(seed)) for seed, (name, (_, paint)) in enumerate(PAINTERS.items())}


def test_a_painting_is_a_square_of_a_power_of_two(pictures: dict[str, Any]) -> None:
    for name, picture in pictures.items():
        size = len(picture)
        assert picture.shape == (size, size, 4), name
        assert size.bit_count() == 1, name
        assert picture.dtype == np.float32, name
        assert -0.2 < picture.min() <= picture.max() < 1.4, name


@pytest.mark.parametrize('axis', [0, 1])
def test_there_is_no_seam_where_tiles_meet(pictures: dict[str, Any], axis: int) -> None:
    """From the last row to the first of the next tile it is hardly farther than between others.

    Books stand on a board, and bricks of some patterns are cut where the tile ends.
    """
    for name in set(PAINTERS) - set(PATTERNS) - {'books'}:
        rows = np.moveaxis(pictures[name][..., :3], axis, 0)
        steps = np.abs(np.diff(rows, axis=0)).mean(axis=(1, 2))
        seam = np.abs(rows[0] - rows[-1]).mean()
        assert seam <= 1.3 * steps.max(), name


def test_grey_textures_use_the_whole_range_and_differ(pictures: dict[str, Any]) -> None:
    small = []
    for name in GREYS:
        grey = pictures[name][..., 0]
        np.testing.assert_array_equal(pictures[name][..., :3], grey[..., None].repeat(3, axis=2))
        assert (grey.min(), grey.max()) == pytest.approx((0, 1), abs=1e-6)
        small.append(grey.reshape(16, 16, 16, 16).mean(axis=(1, 3)).ravel())
    for number, each in enumerate(small):
        others = np.delete(small, number, axis=0)
        assert np.abs(others - each).mean(axis=1).min() > 0.01, GREYS[number]


@pytest.mark.parametrize('exponent', [0.5, 1.2])
def test_fractal_noise_falls_with_its_exponent(exponent: float) -> None:
    """Amplitude times frequency^exponent is the same in every octave; mean 0, deviation 1."""
    noise = fractal(rng(), 256, exponent)
    assert (noise.mean(), noise.std()) == pytest.approx((0, 1), abs=1e-5)
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(256) * 256,) * 2))
    flat = np.abs(np.fft.fft2(noise)) * frequency**exponent
    octaves = [flat[(frequency >= low) & (frequency < 2 * low)].mean() for low in (4, 8, 16, 32)]
    np.testing.assert_allclose(octaves, np.mean(octaves), rtol=0.1)


def test_texture_repeats_with_its_tile() -> None:
    """Also one that is wider than high; but for rounding of coordinates in single precision."""
    uv = rng().uniform(-3, 3, (300, 2))
    for name in ('shop', 'noise_1', 'brick'):
        wide, high = PAINTERS[name][0]
        colour, gloss = sample(Material(name), uv)
        assert colour.std() > 0.01
        for away in ((wide, 0), (0, high), (-2 * wide, 3 * high)):
            again, gloss_again = sample(Material(name), uv + away)
            np.testing.assert_allclose(again, colour, atol=1e-3)
            np.testing.assert_allclose(gloss_again, gloss, atol=1e-3)
        aside, _ = sample(Material(name), np.add(uv, (0.37 * wide, 0)))
        assert np.abs(aside - colour).mean() > 0.01


def test_a_tile_may_have_another_width() -> None:
    """Shops are 6 m x 3.6 m; half as wide they are half as high."""
    uv = rng().uniform(-3, 3, (300, 2))
    colour, _ = sample(Material('shop'), uv)
    small, _ = sample(Material('shop', tile_m=3.0), uv / 2)
    np.testing.assert_allclose(small, colour, atol=1e-3)


def test_texture_stands_upright() -> None:
    """The glass of a shop's door ends 32 of 512 pixels above the ground; above it hangs a sign."""
    at = 6.0 * 200 / 512
    _, gloss = sample(Material('shop'), [(at, 3.6 * 40 / 512), (at, 3.6 * (1 - 52 / 512))])
    np.testing.assert_allclose(gloss, (0.5, 0.0), atol=0.003)


def test_between_texels_texture_is_interpolated() -> None:
    """Midway between two of 2 m / 256 the painted value, the root of the colour, is midway."""
    step_m = 2 / 256
    middle = step_m * (rng().integers(0, 256, (100, 2)) + 0.5)
    for along in ((step_m, 0), (0, step_m)):
        here, there, midway = (
            np.sqrt(sample(Material('noise_3'), middle + share * np.array(along))[0])
            for share in (0.0, 1.0, 0.5)
        )
        np.testing.assert_allclose(midway, (here + there) / 2, atol=1e-3)
        assert np.abs(here - there).mean() > 0.01


def test_from_far_away_a_texture_has_its_mean_colour_everywhere() -> None:
    """And the mean over a tile is the same at any distance, but for rounding to 8 bits.

    A footprint of 1/32 or 1/8 of a tile takes the mean over squares of this size.
    """
    names = list(PAINTERS)
    atlas = Atlas([Material(name) for name in names])
    for number, name in enumerate(names):
        tile = min(PAINTERS[name][0])
        means, spreads = [], []
        for count in (32, 8):
            uv = grid(name, count).astype(np.float32)
            footprint = np.full(len(uv), tile / count, np.float32)
            colour, gloss = atlas.sample(np.full(len(uv), number, np.int32), uv, footprint)
            means.append((*colour.mean(axis=0), gloss.mean()))
            spreads.append(colour.std())
        uv = rng().uniform(-50, 50, (50, 2)).astype(np.float32)
        far, gloss = atlas.sample(np.full(50, number, np.int32), uv, np.full(50, ALL, np.float32))
        assert np.ptp(far, axis=0).max() < 1e-6, name
        np.testing.assert_allclose(means, [(*far[0], gloss[0])] * 2, atol=0.006, err_msg=name)
        assert spreads[1] <= spreads[0] + 0.003, name


def test_materials_in_one_call_do_not_mix() -> None:
    materials = (
        *(Material('brick'), Material('noise_2', (0.5, 0.4, 0.3), stains=0.5)),
        *(Material('car_glass', gloss=0.1), Material('plain', dark=(0.2, 0.2, 0.2))),
    )
    number = rng().integers(0, 4, 400).astype(np.int32)
    uv = rng(1).uniform(-5, 5, (400, 2)).astype(np.float32)
    footprint = np.exp(rng(2).uniform(-6, 1, 400)).astype(np.float32)
    colour, gloss = Atlas(materials).sample(number, uv, footprint)
    for i, material in enumerate(materials):
        mine = number == i
        alone = Atlas((material,)).sample(
            np.zeros(mine.sum(), np.int32), uv[mine], footprint[mine]
        )
        np.testing.assert_allclose(colour[mine], alone[0], atol=1e-6)
        np.testing.assert_allclose(gloss[mine], alone[1], atol=1e-6)


def test_a_plain_material_has_its_tint_and_its_gloss() -> None:
    colour, gloss = sample(Material('plain', (0.9, 0.5, 0.1), gloss=0.3), [(0.1, 0.2), (7, -8)])
    np.testing.assert_allclose(colour, [(0.9, 0.5, 0.1)] * 2, atol=1e-6)
    np.testing.assert_allclose(gloss, 0.3, atol=1e-6)
    _, gloss = sample(Material('paint', gloss=0.2), [(0.1, 0.2)])
    np.testing.assert_allclose(gloss, 0.16 + 0.2, atol=0.002)  # beside that of the texture


def test_colours_go_from_dark_to_tint_as_the_texture_does_from_black_to_white() -> None:
    tint, dark = np.array((0.9, 0.5, 0.2)), np.array((0.1, 0.3, 0.7))
    material = Material('noise_4', tuple(tint), tuple(dark))
    colour, _ = sample(material, grid('noise_4', 256))
    white, _ = sample(Material('noise_4'), grid('noise_4', 256))
    np.testing.assert_allclose(colour, dark + white * (tint - dark), atol=1e-5)
    np.testing.assert_allclose(colour[white[:, 0].argmin()], dark, atol=1e-3)
    np.testing.assert_allclose(colour[white[:, 0].argmax()], tint, atol=1e-3)


def test_stains_darken_and_lighten_over_metres() -> None:
    """By up to their strength; over 10 cm by little beside what they do over 5 m."""
    along = np.stack((np.arange(0, 40, 0.1), np.full(400, 3.0)), axis=1)
    clean, _ = sample(Material('plain'), along)
    np.testing.assert_array_equal(clean, 1)
    for strength in (0.3, 1.0):
        colour, _ = sample(Material('plain', stains=strength), along)
        assert (np.abs(colour - 1) <= strength).all()
        assert np.ptp(colour) > 0.2 * strength
        near, far = (np.abs(colour[apart:] - colour[:-apart]).mean() for apart in (1, 50))
        assert near < 0.3 * far
        assert colour.mean() == pytest.approx(1, abs=0.15 * strength)


def test_an_unknown_texture_is_a_key_error() -> None:
    with pytest.raises(KeyError, match='marble'):
        Atlas((Material('marble'),))


def draw(name: str, count: int = 300, wild: float = 0.0, seed: int = 0) -> list[Material]:
    palette = Palette(rng(seed), wild)
    return [palette(name) for _ in range(count)]


def test_each_use_has_a_material_with_its_properties() -> None:
    for name, role in ROLES.items():
        for material in draw(name, 5):
            assert material.texture in role.textures
            assert material.texture in PAINTERS
            for key in ('gloss', 'reflectivity', 'see_through', 'stains'):
                assert getattr(material, key) == getattr(role, key), name
            assert min(material.tint) > 0
    with pytest.raises(KeyError, match='marble'):
        Palette(rng())('marble')


def test_tints_are_those_of_the_use_but_for_their_spread() -> None:
    """Each channel strays by 5 % (one sigma)."""
    usual = np.array(ROLES['cloth'].tints)
    tints = np.array([material.tint for material in draw('cloth', 600)])
    ratio = tints[:, None] / usual
    nearest = np.abs(ratio - 1).max(axis=2).argmin(axis=1)
    assert set(nearest) == set(range(len(usual)))
    strays = ratio[np.arange(600), nearest] - 1
    assert strays.std() == pytest.approx(0.05, rel=0.1)
    palette = Palette(rng())
    wished = np.array([palette('cloth', (0.2, 0.4, 0.8)).tint for _ in range(600)])
    np.testing.assert_allclose(wished.mean(axis=0), (0.2, 0.4, 0.8), rtol=0.01)


def test_glass_lets_light_through_and_hardly_sends_it_back() -> None:
    for name in ('glass', 'pane', 'car_window'):
        for material in draw(name, 20):
            assert material.see_through >= 0.5
            assert material.reflectivity < 0.1
    mirrors = [
        sample(draw(name, 1)[0], grid('car_glass', 1), ALL)[1] for name in ('glass', 'pane')
    ]
    assert min(mirrors) > 0.25


def test_foliage_is_mostly_green() -> None:
    """Some of it is of autumn, none of it blue."""
    for name in ('leaves', 'hedge', 'grass'):
        colours = np.array([sample(material, [(0, 0)], ALL)[0][0] for material in draw(name, 40)])
        red, green, blue = colours.T
        assert np.mean(green > red) > 0.65, name
        assert (blue < 0.8 * np.maximum(red, green)).all(), name


def test_signs_and_plates_are_retro_reflectors() -> None:
    assert all(material.reflectivity > 1 for name in ('sign', 'plate', 'tail_light', 'marking')
               for material in draw(name, 3))  # fmt: skip


def test_wild_materials_come_in_their_share_and_say_nothing_of_their_use() -> None:
    """Of 1000 draws: three binomial sigmas are 4.4 %. Their ranges are even in the logarithm."""
    drawn = draw('asphalt', 1000, wild=0.3)
    wild = [material for material in drawn if material.texture != 'asphalt']
    assert len(wild) / 1000 == pytest.approx(0.3, abs=0.044)
    assert {material.texture for material in wild} == {*NOISES, *PATTERNS}
    tile_m = [material.tile_m for material in wild]
    assert 0.2 <= min(tile_m) < 0.25
    assert 3.5 < max(tile_m) <= 4.0
    assert np.median(tile_m) == pytest.approx(0.8**0.5, rel=0.25)
    colours = np.array([(material.tint, material.dark) for material in wild])
    assert 0.01 <= colours.min() <= colours.max() <= 1.0
    assert np.std(colours[:, 0]) > 0.2
    reflectivity = [material.reflectivity for material in wild]
    assert 0.1 <= min(reflectivity) < 0.2
    assert 0.8 < max(reflectivity) <= 0.9
    assert {material.texture for material in draw('wall', 300, wild=1.0)} == set(WINDOWS)


def test_wild_glass_stays_glass_and_wild_signs_retro_reflectors() -> None:
    """A LiDAR must not find a wall where the world has a window."""
    for material in draw('glass', 20, wild=1.0):
        assert material.see_through == ROLES['glass'].see_through
    for material in draw('screen', 20, wild=1.0):
        assert material.gloss == ROLES['screen'].gloss
    for material in draw('sign', 20, wild=1.0):
        assert material.reflectivity == ROLES['sign'].reflectivity


@pytest.mark.parametrize('wild', [0.0, 0.5])
def test_a_seed_repeats_and_another_differs(wild: float) -> None:
    one, same, other = (
        [dataclasses.astuple(m) for m in draw('wood', 20, wild, seed)] for seed in (4, 4, 5)
    )
    assert one == same != other
