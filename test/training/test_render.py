"""A photograph has the depth, shadows, haze and tiles that geometry and optics demand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from depth_ros.geometry.camera import Intrinsics
from depth_ros.training import shapes
from depth_ros.training.materials import PLAIN, Palette
from depth_ros.training.mesh import Caster, Mesh
from depth_ros.training.render import MAX_DEPTH_M, Light, photograph, random_light
from depth_ros.training.scenes import look
from depth_ros.training.shapes import Builder

pytest.importorskip('embreex', reason='rays are cast by Embree')

CAMERA = Intrinsics(160, 96, 100.0, 100.0, 79.5, 47.5)
AHEAD = look((0.0, 0.0, 0.0), 0.0, 0.0, 0.0)
OVERCAST = Light(
    direction=np.array([0.0, 0.0, 1.0]),
    sun=np.zeros(3),
    ambient=np.full(3, 4 / 3),  # upright surfaces get 3/4 of it
    sky=np.array([0.3, 0.4, 0.5]),
    haze_m=math.inf,
)
RED = (0.5, 0.4, 0.1)
GREY = (0.4, 0.4, 0.4)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def paint(*colours: tuple[float, float, float], mirror: float = 0.0) -> Palette:
    """Materials of one colour each."""
    palette = Palette(rng())
    for colour in colours:
        palette.new(mirror=mirror)
        palette.light[-1] = palette.dark[-1] = np.array(colour)
    return palette


def wall(x: float, right: float = -500.0, left: float = 500.0, top: float = 500.0) -> Mesh:
    """A rectangle at x = const, from y = `left` to `right`, up to z = `top`."""
    points = np.array([[(x, y, z) for y in (left, right)] for z in (-500.0, top)])
    return shapes.sheet(points)


def ground(z: float = 0.0) -> Mesh:
    return shapes.sheet(np.array([[(x, y, z) for y in (-600, 600)] for x in (-600, 600)]))


def shot(
    meshes: Any,
    palette: Palette,
    light: Light = OVERCAST,
    pose: Any = AHEAD,
    seed: int = 0,
    camera: Intrinsics = CAMERA,
) -> Any:
    builder = Builder()
    for number, mesh in enumerate(meshes):
        builder.add(mesh, number)
    mesh, material = builder.mesh()
    return photograph(Caster(mesh), material, palette, light, camera, pose, rng(seed))


def patch(image: Any, u: float, v: float, half: int = 3) -> Any:
    """Mean colour (3,) around a pixel given from the principal point."""
    row, column = round(CAMERA.cy + v), round(CAMERA.cx + u)
    found = image[row - half : row + half + 1, column - half : column + half + 1]
    assert found.max() < 255, 'overexposed'
    return found.mean(axis=(0, 1))


def test_the_ground_has_its_depth_at_each_pixel_centre_as_far_as_depth_goes() -> None:
    """From 3 m above, the ray r of a pixel meets it at depth -3 / r_z, where it looks down."""
    camera = Intrinsics(160, 96, 110.0, 90.0, 60.3, 35.2)
    pose = look((1.0, 2.0, 3.0), yaw=0.4, pitch=0.1, roll=0.05)
    image, depth_m = shot([ground()], paint(GREY), pose=pose, camera=camera)
    v, u = np.mgrid[:96, :160]
    rays = np.stack(((u - 60.3) / 110, (v - 35.2) / 90, np.ones(u.shape)), axis=-1)
    down = -(rays @ pose[:3, :3].T)[..., 2]
    expected_m = np.where(down > 0, 3 / np.where(down > 0, down, 1), np.inf)
    near, far = expected_m < MAX_DEPTH_M - 0.1, expected_m > MAX_DEPTH_M + 0.1
    assert near.sum() > 5000
    assert (far & (down > 0)).any()
    assert (down < 0).any(), 'some of it is sky'
    np.testing.assert_allclose(depth_m[near], expected_m[near], rtol=1e-4)
    np.testing.assert_array_equal(depth_m[far], 0)
    assert (image.shape, image.dtype, depth_m.dtype) == ((96, 160, 3), np.uint8, np.float32)


def test_an_edge_between_two_pixel_centres_parts_them() -> None:
    """A wall 5 m ahead that ends at y = 1 is seen up to column 79.5 - 100 / 5 = 59.5."""
    _, depth_m = shot([wall(5.0, right=1.0), wall(20.0)], paint(RED, RED))
    np.testing.assert_allclose(depth_m[:, :60], 5.0, rtol=1e-5)
    np.testing.assert_allclose(depth_m[:, 60:], 20.0, rtol=1e-5)


def test_what_is_too_far_for_depth_looks_like_the_sky() -> None:
    too_far, _ = shot([wall(MAX_DEPTH_M + 1)], paint(RED))
    nothing, depth_m = shot([wall(-1.0)], paint(RED))
    np.testing.assert_array_equal(too_far, nothing)
    assert not depth_m.any()
    just_near, depth_m = shot([wall(MAX_DEPTH_M - 1)], paint(RED))
    assert not np.array_equal(just_near, nothing)
    np.testing.assert_allclose(depth_m, MAX_DEPTH_M - 1, rtol=1e-5)


def test_a_seed_repeats_bit_for_bit_and_depth_does_not_depend_on_it() -> None:
    builder, palette = Builder(), Palette(rng())
    builder.add(shapes.lump(rng(1), 0.1), palette.new(), (6, 0, 0), (4, 4, 4))
    builder.add(wall(12.0), palette.new())
    mesh, material = builder.mesh()
    light = random_light(rng(3), indoor=False)
    one, same, other = (
        photograph(Caster(mesh), material, palette, light, CAMERA, AHEAD, rng(seed))
        for seed in (5, 5, 6)
    )
    assert one[0].tobytes() == same[0].tobytes()
    assert one[1].tobytes() == same[1].tobytes() == other[1].tobytes()
    assert (one[0] != other[0]).mean() > 0.5


@pytest.mark.parametrize('seed', range(4))
def test_a_shadow_is_as_long_and_as_dark_as_the_sun_says(seed: int) -> None:
    """A block 2 m high under a sun at 45 degrees to the left: 2 m of shadow to the right.

    It gets the ambient 0.3 of 0.3 + cos(45) = 1.007; a gamma of 0.45 to 0.8 follows.
    """
    sun = Light(np.array([0, 1, 1]) / math.sqrt(2), np.ones(3), np.full(3, 0.3),
                np.full(3, 0.5), math.inf)  # fmt: skip
    builder = Builder()
    builder.add(shapes.box(), 0, (106, 30, 6), (3, 1, 2))
    block, _ = builder.mesh()
    pose = look((100.0, 30.0, 7.5), 0.0, 0.0, 0.0)
    image, _ = shot([ground(6.0), block], paint(GREY, GREY), sun, pose, seed)
    # The ground 6 m ahead is in row 1.5 / 6 * 100; y m aside is y / 6 * 100 columns aside.
    lit, begin, end, beyond = (
        patch(image, -y / 6 * 100, 25, half=1).mean() for y in (1.5, -1.2, -2.2, -2.8)
    )
    low, high = ((0.3 / (0.3 + math.sqrt(0.5))) ** gamma for gamma in (0.8, 0.45))
    assert low - 0.03 < begin / lit < high + 0.03
    assert end == pytest.approx(begin, abs=8)
    assert beyond == pytest.approx(lit, abs=8)


def test_without_sun_there_are_no_shadows_and_upright_faces_are_darker() -> None:
    """They see 3/4 of the ambient light, which a gamma of 0.45 to 0.8 follows."""
    meshes = [ground(-1.5), wall(6.0, right=1.0)]
    image, _ = shot(meshes, paint(GREY, GREY))
    flat, upright = patch(image, 10, 30).mean(), patch(image, -40, 0).mean()
    assert 0.75**0.8 - 0.02 < upright / flat < 0.75**0.45 + 0.02
    assert patch(image, -10, 30).mean() == pytest.approx(flat, abs=4), 'at the foot of the wall'


def test_haze_pulls_colours_to_the_sky_by_the_law_of_extinction() -> None:
    """Of red walls 5, 20 and 60 m away, exp(-d / 30) is left; log(blue / red) tells the mix."""
    light = Light(OVERCAST.direction, OVERCAST.sun, OVERCAST.ambient, OVERCAST.sky, 30.0)
    distances = (5.0, 20.0, 60.0)
    walls = [
        wall(d, right=d * right, left=d * left, top=0.2 * d)
        for d, left, right in zip(distances, (0.8, 0.3, -0.3), (0.3, -0.3, -0.8), strict=True)
    ]
    image, depth_m = shot(walls, paint(RED, RED, RED), light, seed=1)
    columns = (-55, 0, 55)
    np.testing.assert_allclose(depth_m[50, [25, 80, 135]], distances, rtol=1e-5)
    colours = [patch(image, u, 10) for u in columns] + [patch(image, 0, -35)]
    found = [math.log(blue / red) for red, _, blue in colours]
    clear = np.exp(-np.array((*distances, np.inf)) / 30)
    red, blue = (clear * RED[i] + (1 - clear) * light.sky[i] for i in (0, 2))
    expected = np.log(blue / red)
    gamma = float(expected @ found / (expected @ expected))
    assert 0.44 < gamma < 0.82
    np.testing.assert_allclose(found, gamma * expected, atol=0.03)


def test_a_mirror_has_the_colour_of_the_sky() -> None:
    """With a top at the horizon, it and the sky are of one hue, and it is not brighter."""
    half_wall = [wall(5.0, top=0.0)]
    mirrors, _ = shot(half_wall, paint(RED, mirror=1.0))
    paints, _ = shot(half_wall, paint(RED))
    hues = {}
    for name, image in (('mirror', mirrors), ('paint', paints)):
        below, above = patch(image, 0, 20), patch(image, 0, -20)
        hues[name] = math.log(below[2] / below[0]) - math.log(above[2] / above[0])
    assert hues['mirror'] == pytest.approx(0.0, abs=0.03)
    assert hues['paint'] < 0.45 * math.log(0.2 * 0.6) + 0.03
    assert patch(mirrors, 0, 20).mean() < patch(mirrors, 0, -20).mean()


@pytest.mark.parametrize('axis', [0, 1])
def test_a_texture_repeats_with_its_tile(axis: int) -> None:
    """10 m away, 4 m are 40 pixels. Noise and blur of the camera stay below a tenth."""
    palette = Palette(rng())
    palette.new(PLAIN)
    palette.light[0], palette.dark[0] = np.full(3, 0.9), np.full(3, 0.1)
    palette.texture[0], palette.tile_m[0] = PLAIN[8], 4.0
    image, _ = shot([wall(10.0)], palette)
    grey = np.moveaxis(image.mean(axis=2), axis, 0)

    def alike(shift: int) -> float:
        return float(np.corrcoef(grey[:-shift].ravel(), grey[shift:].ravel())[0, 1])

    assert alike(40) > 0.9
    assert abs(alike(20)) < 0.5


@pytest.mark.parametrize('indoor', [False, True])
def test_light_comes_from_above_in_any_colour(indoor: bool) -> None:
    """Sun in three of four, haze outdoors in two of five; 400 draws: three sigmas are 7.5 %."""
    generator = rng()
    lights = [random_light(generator, indoor) for _ in range(400)]
    directions = np.array([light.direction for light in lights])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    assert (directions[:, 2] > 0).all()
    assert (np.median(directions[:, 2]) > 0.75) == indoor, 'lamps hang, suns may be low'
    assert np.mean([light.sun.any() for light in lights]) == pytest.approx(0.75, abs=0.075)
    hazy = [light.haze_m for light in lights if math.isfinite(light.haze_m)]
    assert len(hazy) / 400 == pytest.approx(0.0 if indoor else 0.4, abs=0.075)
    assert all(math.exp(3.5) <= haze_m <= math.exp(6.5) for haze_m in hazy)
    for light in lights:
        assert light.sun.min() >= 0
        assert light.ambient.min() > 0
        assert light.sky.min() >= 0.1
