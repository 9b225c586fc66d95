"""What is masked is unknown in every output, whatever the method, lens and size."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from depth_ros.datasets.base import Sample
from depth_ros.datasets.folder import open_folder
from depth_ros.errors import DatasetError, GeometryError, PipelineError
from depth_ros.evaluation.evaluate import evaluate
from depth_ros.frame import Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import distort_pixels
from depth_ros.geometry.mask import ImageMask
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced

PINHOLE = Intrinsics(160, 100, fx=90.0, fy=90.0, cx=79.5, cy=49.5)
LENS = Camera(PINHOLE, 'plumb_bob', (-0.25, 0.08, 0.0, 0.0, 0.0))
BONNET = np.zeros((100, 160), bool)
BONNET[70:, 30:130] = True
WALL_M = 6.0


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'bonnet.png'
    assert cv2.imwrite(str(path), BONNET.view(np.uint8) * 255)
    return path


def frame(camera=None, **changes):
    v, u = np.mgrid[0:100:2, 0:160:2].reshape(2, -1)
    values = {
        'image': np.random.default_rng(0).integers(1, 256, (100, 160, 3), np.uint8),
        'camera': camera or Camera(PINHOLE),
        'stamp_ns': 1_000_000_007,
        'points': PINHOLE.unproject(np.stack((u, v), -1), np.full(u.size, WALL_M)),
        'T_camera_lidar': np.eye(4),
    }
    return Frame(**(values | changes))


def pipeline(**settings):
    return FusionPipeline(replaced(PipelineConfig(method='guided'), settings))


def expected_mask(camera, scale):
    """By the lens's own formula: pixels whose place in the raw image is masked."""
    u, v = np.meshgrid(np.arange(160.0), np.arange(100.0))
    x, y = distort_pixels(np.stack((u.ravel(), v.ravel()), -1), camera).T.reshape(2, 100, 160)
    masked = (x >= 30) & (x <= 129) & (y >= 70) & (y <= 99)
    blocks = masked.reshape(round(100 * scale), round(1 / scale), round(160 * scale), -1)
    return blocks.all(axis=(1, 3))


@pytest.mark.parametrize('scale', [1.0, 0.5])
@pytest.mark.parametrize('camera', [Camera(PINHOLE), LENS], ids=['pinhole', 'lens'])
@pytest.mark.parametrize('method', ['guided', 'ip_basic', 'lite'])
def test_masked_is_unknown_in_every_output(file, method, camera, scale):
    settings = {'method': method, 'output.scale': scale, 'points.gated': False}
    plain = pipeline(**settings).process(frame(camera))
    fusion = pipeline(**settings, **{'mask.file': str(file)})
    result = fusion.process(frame(camera))
    masked = expected_mask(camera, scale)
    assert 0.1 < masked.mean() < 0.4
    assert not result.view.sparse_m[masked].any()
    assert not result.view.image[masked].any()
    for estimate in (result.estimate.depth_m, result.estimate.sigma_m):
        assert np.isnan(estimate[masked]).all()
    assert np.isnan(result.gated_depth_m(fusion.config.output)[masked]).all()
    cloud = result.cloud(fusion.config.output, gated=False)
    assert np.isnan(cloud[masked][:, [0, 1, 2, 4]]).all()
    assert not cloud[masked][:, 3].any()
    # A few pixels away all is as it was.
    away = cv2.dilate(masked.view(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert np.array_equal(result.view.image[away], plain.view.image[away])
    known = away & np.isfinite(plain.estimate.depth_m)
    assert known.sum() > 0.4 * away.size
    np.testing.assert_allclose(result.estimate.depth_m[known], WALL_M, rtol=0.02)


def test_the_mask_of_images_that_arrive_rectified_is_not_bent(file):
    result = pipeline(image_is_rectified=True, **{'mask.file': str(file)}).process(frame(LENS))
    assert np.array_equal(np.isnan(result.estimate.depth_m) & BONNET, BONNET)
    assert np.array_equal(result.view.masked, BONNET)


def test_a_frame_may_bring_a_mask_beside_that_of_the_settings(file):
    own = np.zeros_like(BONNET)
    own[:20] = True
    result = pipeline(**{'mask.file': str(file)}).process(frame(mask=ImageMask(own, 'sky')))
    assert np.array_equal(result.view.masked, BONNET | own)
    alone = pipeline().process(frame(mask=ImageMask(own, 'sky')))
    assert np.array_equal(alone.view.masked, own)
    assert pipeline().process(frame()).view.masked is None


def test_the_mask_comes_and_goes_with_the_settings(file):
    fusion = pipeline()
    learnt = fusion.calibrator
    assert not np.isnan(fusion.process(frame()).estimate.depth_m[BONNET]).any()
    fusion.reconfigure(replaced(fusion.config, {'mask.file': str(file)}))
    assert np.isnan(fusion.process(frame()).estimate.depth_m[BONNET]).all()
    fusion.reconfigure(replaced(fusion.config, {'mask.file': ''}))
    assert not np.isnan(fusion.process(frame()).estimate.depth_m[BONNET]).any()
    assert fusion.calibrator is learnt


def test_images_that_the_mask_does_not_fit_are_refused(file):
    small = Camera(PINHOLE.resized(80, 50))
    given = frame(small, image=np.zeros((50, 80, 3), np.uint8))
    with pytest.raises(
        GeometryError, match=r'bonnet\.png is 160x100 and the image 80x50'
    ) as caught:
        pipeline(**{'mask.file': str(file)}).process(given)
    assert caught.value.reason == 'mask_size'
    with pytest.raises(GeometryError, match='sky is 160x100 and the image 80x50'):
        replace(given, mask=ImageMask(BONNET, 'sky'))


def test_a_mask_that_hides_every_return_is_named(file):
    cloud = frame().points
    hidden = cloud[(cloud[:, 1] > 0.25 * WALL_M) & (abs(cloud[:, 0]) < 0.5 * WALL_M)]
    assert len(hidden) > 100
    with pytest.raises(PipelineError, match=r'The mask hides every LiDAR return .*\(19% of it'):
        pipeline(**{'mask.file': str(file)}).process(frame(points=hidden))


class One:
    """A dataset of one sample with truth everywhere, which is wrong under the bonnet."""

    name, camera_names = 'one', ('front',)

    def __len__(self):
        return 1

    def sample(self, index):
        truth_m = np.where(BONNET, np.float32(99), np.float32(WALL_M))
        return Sample('front_0', 'front', frame(), truth_m)


def test_nobody_is_judged_where_it_is_masked(file):
    config = PipelineConfig(method='guided')
    blamed = evaluate(One(), config).scores
    judged = evaluate(One(), replaced(config, {'mask.file': str(file)})).scores
    assert blamed.mae_mm > 10_000
    assert judged.mae_mm < 50
    assert judged.density == pytest.approx(1.0)


def described(folder, **camera):
    cv2.imwrite(str(folder / 'image.png'), np.full((100, 160, 3), 90, np.uint8))
    np.savez(folder / 'sweep.npz', points=frame().points.astype(np.float32))
    entry = {'width': 160, 'height': 100, 'model': 'pinhole', 'K': PINHOLE.matrix.tolist()}
    entry |= {'T_cam_lidar': np.eye(4).tolist(), **camera}
    content = {
        'cameras': {'front': entry},
        'lidar': {'format': 'npz_points', 'fields': ['x', 'y', 'z']},
        'frames': [{'id': '0', 'images': {'front': 'image.png'}, 'lidar': 'sweep.npz'}],
    }
    (folder / 'calib.json').write_text(json.dumps(content))
    return folder


def test_calib_json_names_the_mask_of_a_camera(file, tmp_path):
    sample = open_folder(described(tmp_path, mask=file.name)).sample(0)
    assert np.array_equal(sample.frame.mask.masked, BONNET)
    result = pipeline().process(sample.frame)
    assert np.array_equal(np.isnan(result.estimate.depth_m), BONNET)
    assert open_folder(described(tmp_path)).sample(0).frame.mask is None


@pytest.mark.parametrize(
    ('camera', 'said'),
    [
        ({'mask': 'none.png'}, r'calib\.json: cameras: front: Mask .*none\.png cannot be read'),
        ({'mask': 'bonnet.png', 'width': 161}, r'bonnet\.png is 160x100 and the image 161x100'),
        ({'mask': 3}, 'cameras: front: malformed'),
    ],
)
def test_calib_json_with_a_wrong_mask_is_refused_when_it_is_opened(file, tmp_path, camera, said):
    with pytest.raises(DatasetError, match=said):
        open_folder(described(tmp_path, **camera))


def test_near_things_are_kept_and_what_is_no_echo_is_not():
    """A panel at 0.5 m before the wall; (0, 0, 0) and returns of the housing go."""
    v, u = np.mgrid[0:100:2, 0:160:2].reshape(2, -1)
    panel = (abs(u - 80) < 20) & (abs(v - 50) < 20)
    pixels = np.stack((u, v), -1)
    points = PINHOLE.unproject(pixels, np.where(panel, 0.5, WALL_M))
    nothing = np.zeros((3000, 3))
    housing = PINHOLE.unproject(pixels[:500], np.full(500, 0.06))
    # The LiDAR is 0.4 m ahead of the camera, so that what lies at its origin would be in view.
    T_camera_lidar = np.eye(4)
    T_camera_lidar[2, 3] = 0.4
    points[:, 2] -= 0.4
    sweep = np.concatenate((points, nothing, housing)).astype(np.float32)
    image = np.full((100, 160, 3), 200, np.uint8)
    image[30:70, 60:100] = 40
    given = frame(points=sweep, T_camera_lidar=T_camera_lidar, image=image)
    result = pipeline().process(given)
    assert set(np.unique(np.round(result.view.sparse_m, 3))) == {
        np.float32(0),
        np.float32(0.5),
        np.float32(WALL_M),
    }
    depth_m = result.gated_depth_m(PipelineConfig().output)[42:58, 72:88]
    np.testing.assert_allclose(depth_m, 0.5, rtol=0.02)


def test_a_mask_must_be_of_the_size_of_the_image_at_the_door():
    with pytest.raises(GeometryError, match='is 160x100 and the image 160x120'):
        frame(
            Camera(replace(PINHOLE, height=120)),
            image=np.zeros((120, 160, 3), np.uint8),
            mask=ImageMask(BONNET, 'bonnet'),
        )
