"""Photos have the depth, the places, the shutter and the noise that geometry and optics demand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import distort_pixels, rectify_image
from depth_ros.simulation import shapes
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.camera import CameraSensor, Photo
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.rig import looking, mounted
from depth_ros.simulation.shading import Light, tone
from depth_ros.simulation.trajectory import Poses, Trajectory, still, straight
from depth_ros.simulation.world import Mover, World

PINHOLE = Intrinsics(160, 96, 100.0, 100.0, 79.5, 47.5)
AHEAD = looking((0, 0, 0))
STANDING = still(AHEAD)
EVEN = Light((), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))  # linear colours are tints
NIGHT = dataclasses.replace(EVEN, zenith=(0, 0, 0), horizon=(0, 0, 0), clouds=0.0)  # a black sky
LENSES = {
    'plumb_bob': (-0.22, 0.06, 0.001, -0.0008, 0.0),
    'rational_polynomial': (-0.35, 0.11, 0.0004, -0.0003, -0.008, 0.02, -0.03, -0.01),
    'equidistant': (0.02, -0.006, 0.001, 0.0),
}
CAMERAS = {
    'none': Camera(PINHOLE),
    **{lens: Camera(PINHOLE, lens, D) for lens, D in LENSES.items()},
    'other size': Camera(PINHOLE, 'plumb_bob', LENSES['plumb_bob'],
                         Intrinsics(140, 80, 90.0, 95.0, 65.0, 41.0)),
}  # fmt: skip
ROWS = np.arange(96)
ROW_TIMES = (ROWS - 47.5) / 95  # of the readout
V, U = np.mgrid[:96, :160]


def paint(grey: float) -> Material:
    return Material('plain', (grey, grey, grey))


def wall(x: float, right: float = -900.0, grey: float = 0.4) -> Mesh:
    """From y = 900 to `right`."""
    sheet = shapes.sheet(np.array([[(x, y, z) for y in (900, right)] for z in (-900, 900)]))
    return dataclasses.replace(sheet, material=paint(grey))


def ground(z: float, material: Material) -> Mesh:
    sheet = shapes.sheet(np.array([[(x, y, z) for x in (-900, 900)] for y in (-900, 900)]))
    return dataclasses.replace(sheet, material=material)


def sensor(camera: Camera = CAMERAS['none'], **settings: Any) -> CameraSensor:
    return CameraSensor(camera, **{'blur_px': 0.0, 'noise': 0.0, **settings})


def shot(
    parts: Any,
    camera: CameraSensor,
    poses: Poses = STANDING,
    movers: Any = (),
    seed: int = 0,
    light: Light = EVEN,
) -> Photo:
    """Taken after 3 s."""
    world = World(parts, light, movers=movers)
    return camera.photograph(world, poses, 3.0, np.random.default_rng(seed))


def grey_of(linear: float) -> float:
    return float(tone(np.float32([linear]))[0])


@pytest.mark.parametrize('name', CAMERAS)
@pytest.mark.parametrize('readout_s', [0.0, 0.05])
def test_the_ground_has_its_depth_at_each_pixel_centre_of_the_rectified_image(
    name: str, readout_s: float
) -> None:
    """From 3 m above, the ray r of a pixel meets it at depth -3 / r_z, where it looks down."""
    camera = CAMERAS[name]
    pose = looking((1, 2, 3), yaw_deg=25, pitch_deg=6, roll_deg=3)
    photo = shot([ground(0, paint(0.4))], sensor(camera, readout_s=readout_s), still(pose))
    ideal = camera.rectified
    v, u = np.mgrid[: ideal.height, : ideal.width]
    rays = ideal.unproject(np.stack((u, v), axis=-1), np.ones(u.shape))
    down = -(rays @ pose[:3, :3].T)[..., 2]
    expected_m = 3 / np.where(down > 0, down, np.nan)
    near = expected_m < 500
    assert near.mean() > 0.3
    np.testing.assert_allclose(photo.depth_m[near], expected_m[near], rtol=1e-6)
    np.testing.assert_array_equal(photo.depth_m[down <= 0], 0)
    np.testing.assert_array_equal(photo.face[down <= 0], -1)
    np.testing.assert_array_equal(photo.face[photo.depth_m > 0] >= 0, True)
    assert (down < 0).any(), 'some of it is sky'
    assert photo.image.shape == (96, 160, 3)
    assert (photo.image.dtype, photo.depth_m.dtype) == (np.uint8, np.float32)


def test_an_edge_between_two_pixel_centres_parts_them() -> None:
    """A wall 5 m ahead that ends at y = 1 is seen up to column 79.5 - 100 / 5 = 59.5."""
    photo = shot([wall(5.0, right=1.0), wall(20.0)], sensor())
    np.testing.assert_allclose(photo.depth_m[:, :60], 5.0, rtol=1e-6)
    np.testing.assert_allclose(photo.depth_m[:, 60:], 20.0, rtol=1e-6)
    assert set(photo.face[:, :60].ravel()) <= {0, 1}
    assert set(photo.face[:, 60:].ravel()) <= {2, 3}


@pytest.mark.parametrize('share', [0.02, 1 / 3, 2 / 3, 0.98])
@pytest.mark.parametrize('upright', [True, False])
def test_a_pixel_on_an_edge_has_the_mean_of_what_it_covers(share: float, upright: bool) -> None:
    """Linear light is mixed, to a tenth: of a wall of 0.6 and one of 0.1 behind it.

    The nearer one is 5 m away, where 1 m is 20 pixels, and covers this share of column 59; of
    row 67 where the camera lies on its right side, so that what is to the left is below.
    """
    parts = [wall(5.0, right=((21 if upright else 20) - share) / 20, grey=0.6), wall(20, grey=0.1)]
    pose = looking((0, 0, 0), roll_deg=0 if upright else 90)
    image = shot(parts, sensor(), still(pose)).image[..., 0].astype(float)
    near, pixel, far = image[48, 58:61] if upright else image[68:65:-1, 80]
    assert (near, far) == pytest.approx((grey_of(0.6), grey_of(0.1)), abs=0.6)
    least, most = (grey_of(0.1 + 0.5 * min(max(share + off, 0), 1)) for off in (-0.1, 0.1))
    assert least - 0.6 < pixel < most + 0.6


@pytest.mark.parametrize('name', CAMERAS)
def test_the_lens_puts_things_where_opencv_says(name: str) -> None:
    """A ball of 3 pixels, bright before the night, at many places of the view."""
    camera = CAMERAS[name]
    for u, v in ((20.0, 15.0), (131.3, 14.7), (70.0, 40.0), (30.0, 75.0), (125.0, 70.0)):
        builder = Builder()
        x, y, z = camera.rectified.unproject(np.array((u, v)), np.array(5.0))
        builder.ball((z, -x, -y), (0.15, 0.15, 0.15), paint(0.5))
        image = shot(builder.parts, sensor(camera), light=NIGHT).image[..., 0].astype(float)
        found = [(image * at).sum() / image.sum() for at in (U, V)]
        expected = distort_pixels(np.array([(u, v)]), camera)[0]
        np.testing.assert_allclose(found, expected, atol=0.2)


@pytest.mark.parametrize('lens', ['plumb_bob', 'equidistant'])
def test_the_rectified_image_of_a_lens_is_the_image_of_a_pinhole(lens: str) -> None:
    squares = Material('pattern_14', dark=(0.05, 0.05, 0.05), tile_m=4.0)
    builder = Builder()
    builder.box((8, 1, -1), (1, 2, 1.5), squares, yaw=0.4)
    parts = [
        ground(-1, squares),
        dataclasses.replace(wall(12.0), material=squares),
        *builder.parts,
    ]
    bent, straight_ = (shot(parts, sensor(CAMERAS[name])) for name in (lens, 'none'))
    expected = straight_.image.astype(float)
    seen = rectify_image(np.full((96, 160, 3), 255, np.uint8), CAMERAS[lens]) == 255
    error = np.abs(rectify_image(bent.image, CAMERAS[lens]) - expected)[seen].mean()
    assert error < 5
    assert np.abs(bent.image - expected).mean() > 3 * error
    np.testing.assert_array_equal(bent.depth_m, straight_.depth_m)
    np.testing.assert_array_equal(bent.face, straight_.face)


def pole(y: float = 0.0) -> Builder:
    """0.4 m wide and upright, its front 5 m ahead: 8 pixels wide, 20 pixels for each metre."""
    builder = Builder()
    builder.box((5.01, y, -50), (0.02, 0.4, 100), paint(0.7))
    return builder


def columns(photo: Photo) -> Any:
    """Middle column of part 0 in each row, which is known to half a pixel."""
    seen = photo.face < 6
    seen &= photo.face >= 0
    return (seen * U).sum(axis=1) / seen.sum(axis=1)


@pytest.mark.parametrize('readout_s', [0.0, 0.04])
def test_a_rolling_shutter_bends_a_pole_as_the_camera_passes_it(readout_s: float) -> None:
    """At 20 m/s to the left, v t f / z = 400 pixels/s to the right: 16 from first to last row."""
    poses = mounted(straight((0, -60, 0), (0, 20, 0)).poses, AHEAD)  # at y = 0 after 3 s
    photo = shot(pole().parts, sensor(readout_s=readout_s), poses)
    np.testing.assert_allclose(columns(photo), 79.5 + 400 * readout_s * ROW_TIMES, atol=0.51)
    front = photo.face == 0  # the side that looks back
    np.testing.assert_allclose(photo.depth_m[front], 5.0, rtol=1e-6)
    assert front.sum(axis=1).min() >= 7


@pytest.mark.parametrize('readout_s', [0.0, 0.04])
def test_a_rolling_shutter_bends_a_pole_that_passes_the_camera(readout_s: float) -> None:
    """The other way round: it moves to the left of the image."""
    mover = Mover(tuple(pole().parts), straight((0, -60, 0), (0, 20, 0)))
    photo = shot([wall(9.0)], sensor(readout_s=readout_s), movers=(mover,))
    seen = photo.face >= 2
    column = (seen * U).sum(axis=1) / seen.sum(axis=1)
    np.testing.assert_allclose(column, 79.5 - 400 * readout_s * ROW_TIMES, atol=0.51)


def test_a_rolling_shutter_bends_a_pole_as_the_camera_turns() -> None:
    """2 rad/s to the left: after t it is f tan(2 t) to the right, 20 pixels over the image.

    Its middle is 5 cos(2 t) away along the optical axis.
    """
    turning = Trajectory(
        lambda t: np.zeros((len(t), 3)),
        lambda t: np.stack((2 * (t - 3.0), 0 * t, 0 * t), axis=1),
    )
    photo = shot(pole().parts, sensor(readout_s=0.1), mounted(turning.poses, AHEAD))
    angle = 2 * 0.1 * ROW_TIMES
    np.testing.assert_allclose(columns(photo), 79.5 + 100 * np.tan(angle), atol=0.51)
    middle = np.rint(columns(photo)).astype(int)
    np.testing.assert_allclose(photo.depth_m[ROWS, middle], 5 * np.cos(angle), rtol=0.002)


def test_each_row_has_the_depth_of_its_own_time() -> None:
    """Towards a wall at 20 m/s: 10 - 20 t metres from 10 m."""
    poses = mounted(straight((-60, 0, 0), (20, 0, 0)).poses, AHEAD)
    depth_m = shot([wall(10.0)], sensor(readout_s=0.04), poses).depth_m
    expected = np.repeat((10 - 20 * 0.04 * ROW_TIMES)[:, None], 160, axis=1)
    np.testing.assert_allclose(depth_m, expected, rtol=1e-6)


@pytest.mark.parametrize('lens', ['plumb_bob', 'equidistant'])
def test_behind_a_lens_the_row_of_the_raw_image_tells_the_time(lens: str) -> None:
    """A pole at the right rim, which the lens draws into other rows of the raw image.

    Rectified, it is in column 129.5 + 400 t, with t of the raw row that shows this place.
    """
    camera, readout_s = CAMERAS[lens], 0.12
    poses = mounted(straight((0, -60, 0), (0, 20, 0)).poses, AHEAD)
    photo = shot(pole(-2.5).parts, sensor(camera, readout_s=readout_s), poses, light=NIGHT)
    expected = np.full(96, 129.5)
    for _ in range(50):
        raw_row = distort_pixels(np.stack((expected, ROWS), axis=1), camera)[:, 1]
        expected = 129.5 + 400 * readout_s * (raw_row - 47.5) / 95
    whole = (photo.face[:, 0] < 0) & (photo.face[:, -1] < 0)
    np.testing.assert_allclose(columns(photo)[whole], expected[whole], atol=0.7)
    unbent = 129.5 + 400 * readout_s * ROW_TIMES
    assert np.abs(unbent - expected)[whole].max() > 1.5
    # The rectified image shows it where the depth has it.
    bright = rectify_image(photo.image, camera)[..., 0] > 110
    both = (bright & (photo.face >= 0)).sum() / (bright | (photo.face >= 0)).sum()
    assert both > 0.8


def test_jpeg_loses_the_more_the_lower_its_quality() -> None:
    parts = [ground(-1, Material('paving')), wall(6.0)]
    plain, fine, coarse = (
        shot(parts, sensor(jpeg_quality=quality)).image.astype(float) for quality in (0, 95, 20)
    )
    errors = [np.abs(image - plain).mean() for image in (fine, coarse)]
    assert 0.1 < errors[0] < 0.5 * errors[1] < 5
    red = dataclasses.replace(wall(6.0), material=Material('plain', (0.6, 0.1, 0.1)))
    image = shot([red], sensor(jpeg_quality=90)).image.reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(image, [grey_of(0.6), grey_of(0.1), grey_of(0.1)], atol=3)


@pytest.mark.parametrize('sigma', [1.0, 5.0])
def test_noise_has_the_stated_sigma(sigma: float) -> None:
    """Rounding to whole grey levels adds 1/12 to its variance; colours are not correlated."""
    image = shot([wall(5.0)], sensor(noise=sigma)).image.reshape(-1, 3).astype(float)
    assert image.std() == pytest.approx(math.sqrt(sigma**2 + 1 / 12), rel=0.02)
    np.testing.assert_allclose(image.mean(axis=0), grey_of(0.4), atol=0.2)
    assert np.abs(np.corrcoef(image.T) - np.eye(3)).max() < 0.05


def test_blur_of_the_lens_is_gaussian() -> None:
    """Beside an edge at column 59.5, at d pixels from it, 1/2 + 1/2 erf(d / sigma / sqrt 2)."""
    parts = [wall(5.0, right=1.0, grey=0.6), wall(20.0, grey=0.1)]
    row = shot(parts, sensor(blur_px=2.0)).image[48, 52:68, 0].astype(float)
    share = [0.5 - 0.5 * math.erf((u - 59.5) / 2 / math.sqrt(2)) for u in range(52, 68)]
    expected = grey_of(0.1) + np.array(share) * (grey_of(0.6) - grey_of(0.1))
    np.testing.assert_allclose(row, expected, atol=1.5)


def test_each_step_of_exposure_doubles_the_light() -> None:
    for ev in (-2.0, -0.5, 0.0, 1.0):
        image = shot([wall(5.0, grey=0.2)], sensor(exposure_ev=ev)).image
        np.testing.assert_allclose(image, grey_of(0.2 * 2**ev), atol=0.6)


@pytest.mark.parametrize('grey', [0.05, 0.3, 0.9])
def test_metered_exposure_makes_the_median_grey(grey: float) -> None:
    """Linear 0.3, which is 175.3 of 255, whatever the light; 1 EV more is 0.6."""
    parts = [wall(5.0, right=0.7, grey=3 * grey), wall(20.0, grey=grey)]
    image = shot(parts, sensor(metered=True)).image
    np.testing.assert_allclose(image[:, 70:], 175.3, atol=0.8)
    brighter = shot(parts, sensor(metered=True, exposure_ev=1.0)).image
    np.testing.assert_allclose(brighter[:, 70:], grey_of(0.6), atol=0.8)
    np.testing.assert_allclose(image[:, :60], grey_of(0.9), atol=0.8)


def test_a_seed_repeats_bit_for_bit_and_depth_does_not_depend_on_it() -> None:
    builder = Builder()
    builder.mesh(shapes.lump(np.random.default_rng(1), 0.1), (6, 0, 0), (4, 4, 4), paint(0.3))
    parts = [*builder.parts, wall(12.0)]
    camera = CameraSensor(CAMERAS['plumb_bob'], readout_s=0.03, jpeg_quality=90)
    poses = mounted(straight((0, -9, 0), (0, 3, 0)).poses, AHEAD)
    one, same, other = (shot(parts, camera, poses, seed=seed) for seed in (5, 5, 6))
    assert one.image.tobytes() == same.image.tobytes()
    assert one.depth_m.tobytes() == same.depth_m.tobytes() == other.depth_m.tobytes()
    assert one.face.tobytes() == other.face.tobytes()
    assert (one.image != other.image).mean() > 0.3
