"""Light, shadow, mirrors, haze and sky are what optics demands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh, Part
from depth_ros.simulation.shading import Lamp, Light, daylight, tone
from depth_ros.simulation.world import World

GREY = Material('plain', (0.4, 0.4, 0.4))
RED = Material('plain', (0.5, 0.4, 0.1))
OVERCAST = Light(
    (), above=(1.2, 1.0, 0.8), below=(0.4, 0.2, 0.0), zenith=(0.1, 0.2, 0.6),
    horizon=(0.3, 0.4, 0.5), clouds=0.0,
)  # fmt: skip
HALF = math.sqrt(0.5)


def sun(towards: Any, colour: Any = (1.0, 1.0, 1.0)) -> Lamp:
    return Lamp(1e6 * np.asarray(towards, float) / np.linalg.norm(towards), colour)


def ground(z: float = 0.0, material: Material = GREY) -> Mesh:
    sheet = shapes.sheet(np.array([[(x, y, z) for x in (-900, 900)] for y in (-900, 900)]))
    return dataclasses.replace(sheet, material=material)


def wall(x: float, material: Material = GREY) -> Mesh:
    sheet = shapes.sheet(np.array([[(x, y, z) for y in (-900, 900)] for z in (-900, 900)]))
    return dataclasses.replace(sheet, material=material)


def shade(parts: Any, light: Light, origins: Any, directions: Any) -> Any:
    """Linear RGB and normals (N, 3) of what rays meet."""
    world = World(parts, light)
    moment = world.at(0.0)
    origins, directions = np.asarray(origins, float), np.array(directions, float)
    hits = moment.cast(origins, directions)
    return world.shader.shade(moment, origins, directions, hits, 1e-3)


def above(part: Part | Any, light: Light, *points: Any) -> Any:
    """Linear RGB (N, 3) of places seen from 50 m above."""
    parts = [part] if isinstance(part, Part) else part
    origins = np.add(points, (0, 0, 50.0))
    return shade(parts, light, origins, np.full((len(points), 3), (0.0, 0.0, -1.0)))[0]


def test_surfaces_get_the_light_from_above_or_below_as_far_as_they_look_there() -> None:
    """The ground that from above, a wall half of each, a ceiling that from below; at 30 degrees
    from upright, cos 30 = 0.866 of the difference is added to the mean."""
    rays = [(0, 0, -1), (1, 0, 0), (0, 0, 1)]
    colour, normal = shade([ground(-1), wall(5), ground(2)], OVERCAST, (0, 0.1, 0), rays)
    expected = [(1.2, 1.0, 0.8), (0.8, 0.6, 0.4), (0.4, 0.2, 0.0)]
    np.testing.assert_allclose(colour, 0.4 * np.array(expected), atol=1e-6)
    np.testing.assert_allclose(normal, [(0, 0, 1), (-1, 0, 0), (0, 0, -1)], atol=1e-6)
    slope = Mesh(np.array([(-9, -9, -9 * 3**-0.5), (9, -9, 9 * 3**-0.5), (0, 9, 0)], np.float32),
                 np.array([(0, 1, 2)], np.int32), GREY)  # fmt: skip
    light = 0.4 * (np.array(expected[1]) + math.sqrt(0.75) * 0.4)
    np.testing.assert_allclose(above(slope, OVERCAST, (0.1, 0.1, 0)), [light], atol=1e-6)


def test_both_sides_of_a_sheet_are_lit_as_the_side_that_is_seen() -> None:
    """Whichever way its corners run."""
    sheet = ground(1.0)
    for faces in (sheet.faces, sheet.faces[:, ::-1]):
        turned = Mesh(sheet.vertices, faces, GREY)
        for z, direction in ((3.0, -1.0), (-3.0, 1.0)):
            colour, normal = shade([turned], OVERCAST, (0, 0.1, z), [(0, 0, direction)])
            light = OVERCAST.above if direction < 0 else OVERCAST.below
            np.testing.assert_allclose(colour[0], 0.4 * np.array(light), atol=1e-6)
            np.testing.assert_allclose(normal[0], (0, 0, -direction), atol=1e-6)


@pytest.mark.parametrize('towards', [(0, 0, 1), (0, 1, 1), (3, 0, 4), (-1, 0, 0.01)])
def test_the_sun_adds_its_light_times_the_cosine_of_its_incidence(towards: Any) -> None:
    light = dataclasses.replace(OVERCAST, lamps=(sun(towards, (2.0, 1.5, 1.0)),))
    cosine = towards[2] / np.linalg.norm(towards)
    expected = 0.4 * (np.array(OVERCAST.above) + cosine * np.array((2.0, 1.5, 1.0)))
    np.testing.assert_allclose(above(ground(), light, (3, 4, 0)), [expected], rtol=1e-4)
    below = shade([ground()], light, (0, 0, -3), [(0.1, 0, 1)])[0]
    np.testing.assert_allclose(below, [0.4 * np.array(OVERCAST.below)], atol=1e-6)


def test_light_of_a_lamp_fades_with_the_square_of_its_distance() -> None:
    """3 m above the ground it has full colour; 4 m aside it is 5 m away, at a cosine of 3/5.
    Two lamps add up."""
    lamp = Lamp(np.array((0.0, 0.0, 3.0)), (1.0, 0.5, 0.2), fade_m=3.0)
    light = Light((lamp,), (0, 0, 0), (0, 0, 0))
    colour = above(ground(), light, (1e-3, 0, 0), (4, 0, 0), (0, -4, 0))
    expected = 0.4 * np.array((1.0, 0.5, 0.2)) * np.array([[1], [0.36 * 0.6], [0.36 * 0.6]])
    np.testing.assert_allclose(colour, expected, rtol=1e-4)
    both = dataclasses.replace(light, lamps=(lamp, lamp))
    np.testing.assert_allclose(above(ground(), both, (4, 0, 0)), 2 * expected[1:2], rtol=1e-4)


@pytest.mark.parametrize('aside', [0.0, 0.7])
def test_a_shadow_is_as_long_and_as_dark_as_the_sun_says(aside: float) -> None:
    """A block 2 m high under a sun 45 degrees high: 2 m of shadow, wherever the sun is around.

    It gets the light from above alone. The rays to the sun start 5 mm above the ground.
    """
    away = np.array((math.cos(aside), math.sin(aside)))
    builder = Builder(yaw=aside)
    builder.box((-1, 0, 0), (2, 40, 2), GREY)
    light = dataclasses.replace(OVERCAST, lamps=(sun((*-away, 1), (1.0, 1.0, 1.0)),))
    points = [(*(away * far_m), 0) for far_m in (0.02, 1.0, 1.98, 2.02, 5.0)]
    colour = above([ground(), *builder.parts], light, *points)
    dark = 0.4 * np.array(OVERCAST.above)
    np.testing.assert_allclose(colour[:3], [dark] * 3, rtol=1e-5)
    np.testing.assert_allclose(colour[3:], [dark + 0.4 * HALF] * 2, rtol=1e-3)


@pytest.mark.parametrize('shape', ['ball', 'post'])
def test_what_is_curved_does_not_darken_itself_where_the_sun_shines(shape: str) -> None:
    """Though its hull, which throws the shadow, is larger: n . s of the sun's light is added."""
    builder = Builder()
    if shape == 'ball':
        builder.ball((0, 0, 0), (2, 2, 2), GREY)
    else:
        builder.post((0, 0, -5), 2, 10, GREY)
    light = Light((sun((1, 0, 0)),), (0, 0, 0), (0, 0, 0))
    y = np.linspace(-1.95, 1.95, 41)
    origins = np.stack((np.full(41, 9.0), y, np.zeros(41)), axis=1)
    colour, normal = shade(builder.parts, light, origins, np.full((41, 3), (-1.0, 0.0, 0.0)))
    cosine = np.sqrt(1 - (y / 2) ** 2)
    np.testing.assert_allclose(normal[:, :2], np.stack((cosine, y / 2), axis=1), atol=1e-5)
    np.testing.assert_allclose(colour[:, 0], 0.4 * cosine, atol=1e-4)
    behind = shade(builder.parts, light, (-9, 0.1, 0.1), [(1, 0, 0)])[0]
    np.testing.assert_array_equal(behind, 0)


def test_haze_pulls_colours_to_the_horizon_by_the_law_of_extinction() -> None:
    """exp(-d / 30 m) of the colour is left, whatever the length of the ray's direction."""
    hazy = dataclasses.replace(OVERCAST, haze_m=30.0)
    for distance in (5.0, 20.0, 60.0):
        for direction in ((1, 0, 0), (2, 0, 0), (1, 1, 0)):
            way = distance * np.linalg.norm(direction) / direction[0]
            clear, seen = (
                shade([wall(distance, RED)], light, np.zeros(3), [direction])[0]
                for light in (OVERCAST, hazy)
            )
            share = math.exp(-way / 30)
            expected = share * clear + (1 - share) * np.array(OVERCAST.horizon)
            np.testing.assert_allclose(seen, expected, atol=1e-5)


@pytest.mark.parametrize('up_deg', [30.0, 60.0, 90.0])
def test_a_mirror_adds_the_sky_by_the_law_of_schlick(up_deg: float) -> None:
    """A wet road, seen so many degrees from above, adds g (1/4 + 3/4 (1 - sin)^5) of the sky
    that is as high; the sky goes from the horizon to the zenith as the root of its height."""
    light = dataclasses.replace(OVERCAST, haze_m=1e9)
    height = math.sin(math.radians(up_deg))
    ray = (math.cos(math.radians(up_deg)), 0, -height)
    dry, wet = (
        shade([ground(0, Material('plain', (0.4,) * 3, gloss=gloss))], light, (0, 0.1, 3), [ray])[
            0
        ]
        for gloss in (0.0, 0.8)
    )
    horizon, zenith = np.array(light.horizon), np.array(light.zenith)
    sky = horizon + (zenith - horizon) * math.sqrt(height)
    share = 0.8 * (0.25 + 0.75 * (1 - height) ** 5)
    np.testing.assert_allclose(wet - dry, [share * sky], atol=1e-5)


def test_mirrors_indoors_and_upright_ones_do_not_show_the_sky() -> None:
    """A window that is looked at straight on shows a quarter of its gloss: of what is around a
    street, which is grey, or of the light from above in a room."""
    mirror = wall(5, Material('plain', (0.4,) * 3, gloss=0.8))
    for haze_m, around in ((1e9, np.full(3, 0.2)), (math.inf, 0.25 * np.array(OVERCAST.above))):
        light = dataclasses.replace(OVERCAST, haze_m=haze_m)
        plain = shade([wall(5)], light, np.zeros(3), [(1, 0, 0)])[0]
        mirrored = shade([mirror], light, np.zeros(3), [(1, 0, 0)])[0] - plain
        np.testing.assert_allclose(mirrored, [0.25 * 0.8 * around], atol=1e-5)


def test_a_clear_sky_goes_from_the_horizon_to_the_zenith_and_on_below() -> None:
    up = [(0, 0, 1), (1, 0, 0), (0, -2, 0), (0, 3, -4), (0, 0, -1)]
    colour, normal = shade([wall(-1)], OVERCAST, np.zeros(3), up)
    np.testing.assert_allclose(colour[0], OVERCAST.zenith, atol=1e-6)
    np.testing.assert_allclose(colour[1:], [OVERCAST.horizon] * 4, atol=1e-6)
    np.testing.assert_array_equal(normal, 0)


@pytest.mark.parametrize('clouds', [0.0, 0.5, 1.0])
def test_the_sky_has_no_nan_and_clouds_cover_more_of_it_the_more_there_are(clouds: float) -> None:
    """None without, nearly all with 1; straight up, straight down and along all axes, too."""
    light = dataclasses.replace(OVERCAST, clouds=clouds)
    rays = np.random.default_rng(0).standard_normal((5000, 3))
    rays = np.concatenate((rays, np.eye(3), -np.eye(3), [(1, 0, 1e-30), (1, 0, -1e-30)]))
    colour, _ = shade([], light, np.zeros(3), rays)
    assert np.isfinite(colour).all()
    assert colour.min() >= 0
    clear, _ = shade([], OVERCAST, np.zeros(3), rays)
    high = rays[:, 2] > 0.5 * np.linalg.norm(rays, axis=1)
    covered = np.mean(np.abs(colour - clear)[high].max(axis=1) > 0.01)
    assert (
        covered == 0 if clouds == 0 else 0.2 < covered < 0.85 if clouds == 0.5 else covered > 0.8
    )
    np.testing.assert_array_equal(colour[rays[:, 2] <= 0], clear[rays[:, 2] <= 0])


def test_many_rays_are_coloured_as_few() -> None:
    """They are shaded in blocks; a part with a texture and a lamp before it, from many places."""
    builder = Builder()
    builder.ball((9, 0, 0), (2, 2, 2), Material('brick', stains=0.5))
    builder.box((12, 0, -9), (1, 20, 20), Material('office_facade'))
    light = dataclasses.replace(OVERCAST, lamps=(sun((-1, 1, 2)),), haze_m=50.0, clouds=0.5)
    rng = np.random.default_rng(1)
    directions = rng.normal((1, 0, 0), 0.3, (40_000, 3))
    origins = rng.normal(0, 0.3, (40_000, 3))
    colour, normal = shade(builder.parts, light, origins, directions)
    assert len(np.unique(colour, axis=0)) > 20_000
    some = rng.permutation(40_000)[:300]
    few = shade(builder.parts, light, origins[some], directions[some])
    np.testing.assert_allclose(few[0], colour[some], atol=1e-5)
    np.testing.assert_allclose(few[1], normal[some], atol=1e-6)


def test_tone_rises_from_black_and_keeps_highlights() -> None:
    """Light 1 is at (2.51 + 0.03) / (2.43 + 0.59 + 0.14) = 0.8038, which a gamma of 1 / 2.2 makes
    255 * 0.9055 = 230.9; at 0.3 it is 0.2349 / 0.5357 = 0.4385 and 175.3."""
    np.testing.assert_allclose(tone(np.float32([0, 1, 0.3])), [0, 230.9, 175.3], atol=0.1)
    steps = tone(np.linspace(0, 4, 4000, dtype=np.float32))
    assert (np.diff(steps) >= 0).all()
    assert tone(np.float32([1e3]))[0] == 255


def test_a_fair_day_has_a_high_sun_and_little_haze() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        light = daylight(rng)
        (lamp,) = light.lamps
        towards = lamp.position / np.linalg.norm(lamp.position)
        assert math.sin(math.radians(35)) <= towards[2] <= math.sin(math.radians(60))
        assert light.haze_m == 1200


def test_wild_light_comes_from_above_in_any_colour() -> None:
    """Sun in three of four, haze in two of five; 400 draws: three sigmas are 7.5 %."""
    rng = np.random.default_rng(0)
    lights = [daylight(rng, wild=1.0) for _ in range(400)]
    suns = [light.lamps[0] for light in lights if light.lamps]
    assert len(suns) / 400 == pytest.approx(0.75, abs=0.075)
    heights = [lamp.position[2] / np.linalg.norm(lamp.position) for lamp in suns]
    assert 0.08 < min(heights) < 0.3
    assert max(heights) > 0.9
    hazy = [light.haze_m for light in lights if light.haze_m < 1e4]
    assert len(hazy) / 400 == pytest.approx(0.4, abs=0.075)
    assert all(math.exp(3.5) <= haze_m <= math.exp(6.5) for haze_m in hazy)
    for light in lights:
        assert min(*light.above, *light.below, *light.horizon, *light.zenith) > 0
    assert min(min(lamp.colour) for lamp in suns) > 0
    half = [daylight(rng, wild=0.5).haze_m == 1200 for _ in range(400)]
    assert np.mean(half) == pytest.approx(0.5, abs=0.075)


def test_a_seed_repeats_the_light_and_another_differs() -> None:
    one, same, other = (daylight(np.random.default_rng(seed), 1.0) for seed in (1, 1, 2))
    assert (one.above, one.haze_m, one.clouds) == (same.above, same.haze_m, same.clouds)
    assert one.above != other.above
