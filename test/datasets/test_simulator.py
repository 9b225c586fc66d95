"""The simulated rig measures what it should, and the same settings give the same bits."""

from __future__ import annotations

import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.datasets import simulator
from depth_ros.datasets.open import open_dataset
from depth_ros.datasets.simulator import Simulator, SimulatorConfig
from depth_ros.errors import ConfigError, DatasetError
from depth_ros.geometry import transforms
from depth_ros.geometry.distortion import rectify_image
from depth_ros.geometry.projection import returns_in_view
from depth_ros.settings import flatten
from depth_ros.simulation.scenes import WORLDS


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


def test_a_room_is_closed_but_for_its_windows_and_the_sky_has_no_depth(indoor, street):
    room_m, street_m = indoor.sample(0).depth_gt_m, street.sample(0).depth_gt_m
    assert room_m[room_m > 0].min() > 0.1
    assert np.mean(room_m > 0) > 0.7
    assert np.median(room_m) < 15
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
    v = np.arange(70, 90)
    pitch = math.radians(1.0)
    expected = 1.5 / ((v - camera.cy) / camera.fy * math.cos(pitch) + math.sin(pitch))
    share = depth_m[v] / expected[:, None]
    assert np.isclose(share, 1, rtol=1e-6).mean() > 0.15
    # Markings and patches are up to 4 mm high, 0.3 % of 1.5 m; the rest is kerbs and things.
    assert np.isclose(share, 1, rtol=3e-3).mean() > 0.5
    assert share.max() < 1 + 1e-6


def test_rig_moves_at_its_speed(street):
    first, second = street.sample(0), street.sample(1)
    step_m = second.T_world_camera[:3, 3] - first.T_world_camera[:3, 3]
    assert np.linalg.norm(step_m) == pytest.approx(0.8, abs=0.02)  # 8 m/s for 0.1 s
    assert (first.frame.stamp_ns, second.frame.stamp_ns) == (0, 100_000_000)
    assert second.frame.lidar_stamp_ns == second.frame.stamp_ns


def test_late_sweep_is_taken_and_stamped_later():
    """0.1 s on, the rig has come one frame further: the sweep is the next frame's."""
    quiet = {'sweep.range_sigma_m': 0.0, 'sweep.drop_out': 0.0, 'sweep.beams': 16}
    late, punctual = small(lidar_delay_s=0.1, **quiet), small(**quiet)
    assert late.sample(0).frame.lidar_stamp_ns == 100_000_000
    ranges = [
        np.sort(np.linalg.norm(points, axis=1))
        for points in (late.sample(0).frame.points, punctual.sample(1).frame.points)
    ]
    quantiles = [np.quantile(range_m, (0.1, 0.5, 0.9)) for range_m in ranges]
    np.testing.assert_allclose(*quantiles, rtol=0.01)


@pytest.mark.parametrize('lidar', ['spinning', 'solid_state'])
@pytest.mark.parametrize('scene', list(WORLDS))
def test_returns_agree_with_the_depth_where_the_camera_sees_them(scene, lidar):
    """Of a sweep at once: what moves during one is not where the image shows it.

    Few returns are behind what the camera sees: by parallax, and through glass. Next to none is
    before it, but for what is thinner than a pixel.
    """
    dataset = small(scene=scene, lidar=lidar, width=320, height=180, **{'sweep.sweep_s': 0.0})
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
    smooth = nearest < 1.05 * farthest
    through = 1 / depth_m < farthest / 1.1
    error_m = np.abs(depth_m - 1 / np.maximum(at, 1e-9))[smooth & ~through]
    assert smooth.mean() > 0.3
    assert np.median(error_m) < 0.03  # the noise of the range is 0.02
    assert np.mean(1 / depth_m > 1.1 * nearest) < 0.03
    assert through.mean() < 0.25


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
    np.testing.assert_array_equal(street.sample(0).ring, ring)
    steps = np.degrees(np.arctan2(points[:, 1], points[:, 0])) / 0.2
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_rosette_of_a_sample_stays_in_its_field_of_view():
    points = small(scene='indoor', lidar='solid_state').sample(2).frame.points
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0]))
    elevation = np.degrees(np.arcsin(points[:, 2] / np.linalg.norm(points, axis=1)))
    assert np.abs(azimuth).max() < 35.01
    assert np.abs(elevation).max() < 12.51


@pytest.mark.parametrize('lens', ['plumb_bob', 'rational_polynomial', 'equidistant'])
def test_rectified_image_of_a_lens_is_the_pinhole_image(lens):
    bent = small(lens=lens, image_noise=0.0).sample(0)
    straight = small(image_noise=0.0).sample(0)
    assert bent.frame.camera.distortion_model == lens
    images = (
        straight.frame.image,
        bent.frame.image,
        rectify_image(bent.frame.image, bent.frame.camera),
    )
    # Blurred, since what is finer than two pixels is lost on the way.
    expected, raw, rectified = (cv2.GaussianBlur(i.astype(float), (0, 0), 2) for i in images)
    error = np.abs(rectified - expected).mean()
    assert error < 5
    assert np.abs(raw - expected).mean() > 3 * error
    np.testing.assert_array_equal(bent.depth_gt_m, straight.depth_gt_m)
    np.testing.assert_array_equal(bent.frame.points, straight.frame.points)


def test_rendered_frames_are_kept_as_far_as_memory_allows(monkeypatch):
    dataset = small(scene='indoor', **{'sweep.beams': 4})
    first = dataset.sample(0)
    arrays = (first.frame.image, first.frame.points, first.depth_gt_m, first.ring)
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


def test_six_cameras_look_all_around_and_share_the_sweep():
    dataset = small(surround=True, frames=2, width=96, height=64, **{'sweep.beams': 8})
    assert len(dataset) == 12
    samples = [dataset.sample(index) for index in range(6, 12)]
    assert [sample.camera_name for sample in samples] == list(dataset.camera_names)
    forward = np.array([sample.T_world_camera[:3, 2] for sample in samples])
    yaw_deg = np.degrees(np.unwrap(np.arctan2(forward[:, 1], forward[:, 0])))
    np.testing.assert_allclose(np.diff(yaw_deg), 60.0, atol=1.0)
    for sample in samples:
        np.testing.assert_array_equal(sample.frame.points, samples[0].frame.points)
        assert sample.frame.stamp_ns == 100_000_000
    some = open_dataset('simulator:street?surround=true&frames=2', ['back'])
    assert (len(some), some.camera_names) == (2, ('back',))
    with pytest.raises(DatasetError, match=r"no camera \['top'\]; it has \['front', "):
        open_dataset('simulator:street?surround=true', ['top'])


def test_a_sweep_is_skewed_by_motion_and_its_driver_may_undo_it():
    """At 8 m/s, what is shot at a right angle is 0.2 m off along the road."""
    quiet = {'sweep.range_sigma_m': 0.0, 'sweep.drop_out': 0.0, 'sweep.grazing': 1e-6}
    raw, undone = (
        small(relief_m=0.0, **quiet, **{'sweep.deskewed': deskewed}).sample(1).frame.points
        for deskewed in (False, True)
    )
    azimuth_deg = np.degrees(np.arctan2(raw[:, 1], raw[:, 0]))
    moved_m = undone - raw
    for angle_deg, way_m in ((0, 0.0), (90, -0.2), (-90, 0.2)):
        at = np.abs(azimuth_deg - angle_deg) < 1
        np.testing.assert_allclose(np.median(moved_m[at, 0]), way_m, atol=0.01)


def test_a_jpeg_and_a_rolling_shutter_change_the_image_only_as_they_should():
    """Under way, rows over the middle are seen from behind, those below it from ahead."""
    plain = small(image_noise=0.0).sample(1)
    stored = small(image_noise=0.0, jpeg_quality=60).sample(1)
    difference = np.abs(stored.frame.image.astype(int) - plain.frame.image)
    assert 0.3 < difference.mean() < 8
    np.testing.assert_array_equal(stored.depth_gt_m, plain.depth_gt_m)
    rolling = small(image_noise=0.0, readout_s=0.09).sample(1)  # 1 ms a row, 8 mm of the way
    changed = np.abs(rolling.frame.image.astype(int) - plain.frame.image).mean(axis=(1, 2))
    assert changed[43:47].mean() < 0.5 * changed[:20].mean()


def test_the_example_of_the_documentation_runs():
    page = Path(__file__).resolve().parents[2] / 'docs' / 'simulation.md'
    (example,) = re.findall(r'```python\n(.*?)```', page.read_text(encoding='utf-8'), re.DOTALL)
    names = {}
    exec(example.replace("scene='yard'", "scene='indoor', width=96, height=64"), names)
    count = len(names['sweep'].points)
    assert names['T_world_rig'].shape == (count, 4, 4)
    assert names['T_odom_rig'].shape == (50, 4, 4)
    assert names['photo'].depth_m.shape == (64, 96)


def test_every_setting_is_in_the_documentation():
    page = Path(__file__).resolve().parents[2] / 'docs' / 'simulation.md'
    words = set(re.findall(r'[\w.]+', page.read_text(encoding='utf-8')))
    missing = [
        name for name in flatten(SimulatorConfig())
        if name not in words and name.removeprefix('sweep.') not in words
    ]  # fmt: skip
    assert not missing


def test_a_tilted_camera_looks_farther_down():
    level, tilted = (
        small(tilt_deg=tilt_deg).rig.T_rig_camera['camera'] for tilt_deg in (0.0, 20.0)
    )
    turned = np.degrees(np.arccos(level[:3, 2] @ tilted[:3, 2]))
    np.testing.assert_allclose(turned, 20.0)
    assert tilted[2, 2] < level[2, 2] < 0  # of the axis of the camera, up in the rig's frame
    np.testing.assert_array_equal(tilted[:3, 3], level[:3, 3])
