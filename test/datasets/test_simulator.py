"""The simulated rig measures what it should, and the same settings give the same bits."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from depth_ros.datasets import simulator
from depth_ros.datasets.open import open_dataset
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import ConfigError, DatasetError
from depth_ros.geometry import transforms
from depth_ros.geometry.distortion import rectify_image
from depth_ros.geometry.projection import returns_in_view
from depth_ros.simulation.lidar import LidarConfig, sweep
from depth_ros.simulation.raycast import make_caster
from depth_ros.simulation.surfaces import Solid, Surfaces


def small(**changes):
    return Simulator(**{'width': 160, 'height': 90, 'frames': 3, **changes})


def bits(sample):
    frame = sample.frame
    return frame.image.tobytes(), frame.points.tobytes(), sample.depth_gt_m.tobytes()


@pytest.fixture(scope='module')
def street():
    return small(relief_m=0.0, **{'sweep.beams': 32})


@pytest.fixture(scope='module')
def indoor():
    return small(scene='indoor')


def test_sample_has_the_shapes_of_a_frame(indoor):
    sample = indoor.sample(0)
    assert sample.frame.image.shape == (90, 160, 3)
    assert sample.frame.points.dtype == sample.depth_gt_m.dtype == np.float32
    assert sample.depth_gt_m.shape == (90, 160)
    assert (sample.name, sample.camera_name) == ('camera_000000', 'camera')
    assert indoor.camera.intrinsics.fx == pytest.approx(80 / math.tan(math.radians(36)))


def test_every_pixel_of_a_room_has_depth_and_the_sky_has_none(indoor, street):
    room_m, street_m = indoor.sample(0).depth_gt_m, street.sample(0).depth_gt_m
    assert room_m.min() > 0.1
    assert room_m.max() < math.hypot(13, 9.5, 3)
    assert 0.01 < np.mean(street_m == 0) < 0.5
    assert np.isfinite(street_m).all()
    assert (street_m[60:] > 0).all()


def test_images_are_neither_dark_nor_burnt_out(indoor, street):
    for dataset in (indoor, street):
        image = dataset.sample(0).frame.image
        assert 60 < image.mean() < 200
        assert image.std() > 25


def test_same_seed_gives_the_same_bits_in_any_order():
    ahead, alone, other = small(seed=3), small(seed=3), small(seed=4)
    ahead.sample(0)
    same = bits(ahead.sample(2))
    assert same == bits(alone.sample(2))
    assert all(a != b for a, b in zip(same, bits(other.sample(2)), strict=True))


def test_depth_of_a_plane_road_by_hand(street):
    """A camera 1.5 m over the road, pitched down by 1 degree: z = 1.5 / (y cos 1 + sin 1)."""
    camera, depth_m = street.camera.intrinsics, street.sample(0).depth_gt_m
    v = np.arange(62, 90)
    pitch = math.radians(1.0)
    expected = 1.5 / ((v - camera.cy) / camera.fy * math.cos(pitch) + math.sin(pitch))
    for u in (70, 80, 90):
        np.testing.assert_allclose(depth_m[v, u], expected, rtol=1e-6)


def test_rig_moves_at_its_speed(street):
    first, second = street.sample(0), street.sample(1)
    step_m = second.T_world_camera[:3, 3] - first.T_world_camera[:3, 3]
    assert np.linalg.norm(step_m) == pytest.approx(0.8, abs=0.02)  # 8 m/s for 0.1 s
    assert (first.frame.stamp_ns, second.frame.stamp_ns) == (0, 100_000_000)
    assert second.frame.lidar_stamp_ns == second.frame.stamp_ns


def test_late_sweep_is_taken_and_stamped_later():
    """0.1 s on, the rig has come one frame further: the sweep is the next frame's."""
    quiet = {'sweep.range_sigma_m': 0.0, 'sweep.drop_out': 0.0, 'sweep.beams': 8}
    late, punctual = small(lidar_delay_s=0.1, **quiet), small(**quiet)
    assert late.sample(0).frame.lidar_stamp_ns == 100_000_000
    ranges = [
        np.sort(np.linalg.norm(points, axis=1))
        for points in (late.sample(0).frame.points, punctual.sample(1).frame.points)
    ]
    quantiles = [np.quantile(range_m, (0.1, 0.5, 0.9)) for range_m in ranges]
    np.testing.assert_allclose(*quantiles, rtol=0.01)


@pytest.mark.parametrize('lidar', ['spinning', 'solid_state'])
@pytest.mark.parametrize('scene', ['street', 'indoor'])
def test_returns_agree_with_the_depth_where_the_camera_sees_them(scene, lidar):
    dataset = small(scene=scene, lidar=lidar)
    sample = dataset.sample(1)
    camera = dataset.camera.intrinsics
    points = returns_in_view(sample.frame.points, dataset.T_camera_lidar, camera)
    points = transforms.apply(dataset.T_camera_lidar, points)
    assert len(points) > 10_000
    u, v = np.split(camera.project(points).astype(np.float32), 2, axis=1)
    inverse = np.zeros_like(sample.depth_gt_m)  # linear in the image on every plane
    np.divide(1, sample.depth_gt_m, out=inverse, where=sample.depth_gt_m > 0)
    around = np.ones((3, 3))
    farthest = cv2.remap(cv2.erode(inverse, around), u, v, cv2.INTER_NEAREST).ravel()
    nearest = cv2.remap(cv2.dilate(inverse, around), u, v, cv2.INTER_NEAREST).ravel()
    at = cv2.remap(inverse, u, v, cv2.INTER_LINEAR).ravel()
    depth_m = points[:, 2]
    see_through = 1 / depth_m < farthest / 1.1
    visible = ~see_through & (at > 0)
    assert np.median(np.abs(depth_m[visible] - 1 / at[visible])) < 0.03
    assert not np.any(1 / depth_m[nearest > 0] > 1.1 * nearest[nearest > 0])
    assert see_through.mean() < 0.1
    if scene == 'indoor':  # furniture is near, so that the parallax is large
        assert see_through.mean() > 0.01


def test_camera_and_lidar_see_from_different_places(street):
    offset_m = street.T_camera_lidar[:3, 3]
    np.testing.assert_allclose(np.linalg.norm(offset_m), math.hypot(0.5, 0.12, 0.45), rtol=1e-9)
    assert offset_m[1] < -0.3  # above the camera


def test_rings_of_a_spinning_lidar(street):
    points = street.sample(0).frame.points.astype(float)
    elevation_deg = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    expected = np.linspace(-24.8, 2.0, 32)
    ring = np.argmin(np.abs(elevation_deg[:, None] - expected), axis=1)
    np.testing.assert_allclose(elevation_deg, expected[ring], atol=1e-4)
    assert set(range(25)) <= set(ring)
    steps = np.degrees(np.arctan2(points[:, 1], points[:, 0])) / 0.2
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def shell(radius_m):
    """A sphere around the LiDAR, met by every beam at a right angle."""
    half, kind = np.full(3, float(radius_m)), ('paint', 'paint', 'paint')
    surfaces = Surfaces((Solid('ellipsoid', np.zeros(3), half, np.eye(3), kind),))
    return surfaces, make_caster(surfaces)


@pytest.mark.parametrize(
    ('radius_m', 'drop_out', 'share'),
    [(10, 0.0, 1 - 0.1**3), (10, 0.25, 0.75 * (1 - 0.1**3)), (80, 0.1, 0.9 * (1 - 0.8**3))],
)
def test_share_of_returns_and_their_noise(radius_m, drop_out, share):
    config = LidarConfig(drop_out=drop_out, azimuth_step_deg=0.4, range_sigma_m=0.05)
    points = sweep(*shell(radius_m), np.eye(4), config, 0, np.random.default_rng(0))
    assert len(points) / (64 * 900) == pytest.approx(share, abs=0.007)
    error_m = np.linalg.norm(points.astype(float), axis=1) - radius_m
    assert error_m.mean() == pytest.approx(0, abs=0.002)
    assert error_m.std() == pytest.approx(0.05, rel=0.03)


def test_nothing_returns_from_beyond_the_maximum_range():
    rng = np.random.default_rng(0)
    assert sweep(*shell(101), np.eye(4), LidarConfig(), 0, rng).shape == (0, 3)


def test_rosette_fills_its_field_of_view_and_moves_on():
    config = LidarConfig(pattern='solid_state', fov_h_deg=70, fov_v_deg=25)
    beams = config.directions(0)
    assert beams.shape == (24000, 3)
    np.testing.assert_allclose(np.linalg.norm(beams, axis=1), 1)
    azimuth = np.degrees(np.arctan2(beams[:, 1], beams[:, 0]))
    elevation = np.degrees(np.arcsin(beams[:, 2]))
    for angle, half in ((azimuth, 35.0), (elevation, 12.5)):
        assert 0.95 * half < np.abs(angle).max() <= half + 1e-9
        assert angle.min() < -0.95 * half
    assert np.abs(beams - config.directions(1)).max() > 0.1


def test_rosette_of_a_sample_stays_in_its_field_of_view():
    points = small(scene='indoor', lidar='solid_state').sample(2).frame.points
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    elevation = np.degrees(np.arcsin(points[:, 2] / np.linalg.norm(points, axis=1)))
    assert np.abs(azimuth).max() < 35.01
    assert np.abs(elevation).max() < 12.51


@pytest.mark.parametrize('lens', ['plumb_bob', 'equidistant'])
def test_rectified_image_of_a_lens_is_the_pinhole_image(lens):
    bent = small(lens=lens, image_noise=0.0).sample(0)
    straight = small(image_noise=0.0).sample(0)
    assert bent.frame.camera.distortion_model == lens
    expected = straight.frame.image.astype(float)
    rectified = rectify_image(bent.frame.image, bent.frame.camera)
    error = np.abs(rectified - expected).mean()
    assert error < 5
    assert np.abs(bent.frame.image - expected).mean() > 3 * error
    np.testing.assert_array_equal(bent.depth_gt_m, straight.depth_gt_m)
    np.testing.assert_array_equal(bent.frame.points, straight.frame.points)


def test_rendered_frames_are_kept_as_far_as_memory_allows(monkeypatch):
    dataset = small(scene='indoor', **{'sweep.beams': 4})
    first = dataset.sample(0)
    arrays = (first.frame.image, first.frame.points, first.depth_gt_m)
    monkeypatch.setattr(simulator, 'KEPT_BYTES', int(2.5 * sum(array.nbytes for array in arrays)))
    second, third = dataset.sample(1), dataset.sample(2)
    assert dataset.sample(0) is first  # the next turn begins with it
    assert dataset.sample(1) is second
    again = dataset.sample(2)
    assert again is not third
    np.testing.assert_array_equal(again.frame.image, third.frame.image)


@pytest.mark.parametrize('index', [-1, 3])
def test_index_out_of_range_is_refused(indoor, index):
    with pytest.raises(DatasetError, match=f'frames 0 to 2, not {index}'):
        indoor.sample(index)


@pytest.mark.parametrize(
    'wrong', [{'scene': 'moon'}, {'lidar': 'sonar'}, {'lens': 'mirror'}, {'frames': 0}, {'fps': 3}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=str(next(iter(wrong.values()))) + '|fps'):
        Simulator(**wrong)


def test_open_dataset_renders_the_street():
    dataset = open_dataset('simulator:street')
    assert len(dataset) == 50
    sample = dataset.sample(0)
    assert sample.frame.image.shape == (360, 640, 3)
    assert len(sample.frame.points) > 80_000
    assert np.mean(sample.depth_gt_m > 0) > 0.7
    with pytest.raises(DatasetError, match="no scene 'moon'"):
        open_dataset('simulator:moon')
