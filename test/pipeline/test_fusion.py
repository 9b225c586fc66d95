"""The whole pipeline on a made scene: through a lens, scaled, gated, reconfigured, refused."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import GeometryError, MethodError, ModelError, PipelineError
from depth_ros.frame import DepthEstimate, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import rectify_image
from depth_ros.geometry.projection import project_lidar
from depth_ros.geometry.transforms import from_translation_quat
from depth_ros.methods.guided import MIN_RETURNS
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced

PINHOLE = Intrinsics(320, 200, fx=180.0, fy=180.0, cx=158.0, cy=96.0)
LENS = Camera(PINHOLE, 'plumb_bob', (-0.25, 0.08, 0.001, -0.001, 0.0))
# LiDAR axes are x forward, y left, z up; it sits 0.3 m above the camera and 0.1 m behind it.
T_CAMERA_LIDAR = from_translation_quat((0.0, -0.3, -0.1), (0.5, -0.5, 0.5, 0.5))
STAGES = ['rectify', 'project', 'hold_out', 'complete', 'calibrate']


def range_to_room(origin, rays):
    """Range along rays in the camera frame: ground 1.5 m below, a wall 25 m ahead."""
    with np.errstate(divide='ignore'):
        ground = np.where(rays[..., 1] > 0, (1.5 - origin[1]) / rays[..., 1], np.inf)
        wall = np.where(rays[..., 2] > 0, (25.0 - origin[2]) / rays[..., 2], np.inf)
    return np.minimum(ground, wall)


def sweep():
    """Returns (N, 3) in the LiDAR frame: 64 beams, 0.4 deg apart in azimuth."""
    elevation, azimuth = np.meshgrid(
        np.deg2rad(np.linspace(-38, 5, 64)), np.deg2rad(np.arange(-60, 60, 0.4))
    )
    rays = np.stack(
        (
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ),
        axis=-1,
    ).reshape(-1, 3)
    in_camera = rays @ T_CAMERA_LIDAR[:3, :3].T
    return (rays * range_to_room(T_CAMERA_LIDAR[:3, 3], in_camera)[:, None]).astype(np.float32)


def true_depth_m(pinhole):
    pixels = np.stack(np.meshgrid(np.arange(pinhole.width), np.arange(pinhole.height)), -1)
    return range_to_room(np.zeros(3), pinhole.unproject(pixels, np.ones(pixels.shape[:2])))


def frame(camera=None, **changes):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (20, 32, 3), np.uint8)
    values = {
        'image': cv2.resize(coarse, (PINHOLE.width, PINHOLE.height)),
        'camera': camera or Camera(PINHOLE),
        'stamp_ns': 1_000_000_007,
        'points': sweep(),
        'T_camera_lidar': T_CAMERA_LIDAR,
    }
    return Frame(**(values | changes))


def pipeline(**settings):
    return FusionPipeline(replaced(PipelineConfig(method='guided'), settings))


def check_depth(estimate, truth_m):
    """Right to a percent, to four where ground meets wall; dense below the highest return."""
    error = np.abs(estimate.depth_m / truth_m - 1)
    known = error[estimate.valid]
    assert estimate.valid.mean() > 0.6
    assert np.median(known) < 0.01
    assert np.quantile(known, 0.95) < 0.04


def test_depth_of_a_made_scene_is_right():
    result = pipeline().process(frame())
    assert result.method == 'guided'
    assert list(result.timings_ms) == STAGES
    assert all(ms >= 0 for ms in result.timings_ms.values())
    assert result.view.intrinsics == PINHOLE
    assert result.view.stamp_ns == 1_000_000_007
    assert result.accuracy is None  # nothing has been learnt before the first frame
    check_depth(result.estimate, true_depth_m(PINHOLE))


def test_distorted_camera_end_to_end():
    """Depth is that of the rectified pinhole, and so is the image beside it."""
    result = pipeline().process(frame(LENS))
    check_depth(result.estimate, true_depth_m(PINHOLE))
    assert np.array_equal(result.view.image, rectify_image(frame().image, LENS))
    assert not np.array_equal(result.view.image, frame().image)


def test_rectified_pinhole_of_its_own_size_is_what_comes_out():
    """The rectified camera may look at another window than the raw one, as CameraInfo P says."""
    rectified = Intrinsics(300, 180, fx=150.0, fy=150.0, cx=149.5, cy=89.5)
    result = pipeline().process(frame(replace(LENS, rectified=rectified)))
    assert result.view.image.shape == (180, 300, 3)
    check_depth(result.estimate, true_depth_m(rectified))


def test_image_that_arrives_rectified_is_used_as_it_is():
    """Then D is of no concern, and R turns the LiDAR into the frame of the rectified image."""
    T_rect_camera = from_translation_quat((0, 0, 0), np.array([0.02, -0.03, 0.01, 1]) / 1.0007)
    rectified = replace(PINHOLE, fx=170.0, fy=170.0)
    stereo = Camera(
        PINHOLE, LENS.distortion_model, LENS.D, rectified, tuple(T_rect_camera[:3, :3].ravel())
    )
    result = pipeline(image_is_rectified=True).process(frame(stereo))
    turned = frame(Camera(rectified), T_camera_lidar=T_rect_camera @ T_CAMERA_LIDAR)
    expected = pipeline().process(turned)
    assert np.array_equal(result.view.image, frame().image)
    assert result.view.intrinsics == rectified
    np.testing.assert_allclose(result.view.sparse_m, expected.view.sparse_m, rtol=1e-5)
    assert np.allclose(result.estimate.depth_m, expected.estimate.depth_m, equal_nan=True)


def test_same_frame_gives_the_same_result():
    first, second = (pipeline().process(frame()) for _ in range(2))
    assert np.array_equal(first.view.sparse_m, second.view.sparse_m)
    for name in ('depth_m', 'sigma_m'):
        there, here = getattr(first.estimate, name), getattr(second.estimate, name)
        assert np.allclose(there, here, rtol=1e-6, equal_nan=True)


def test_frame_is_not_written_into():
    given = frame(LENS)
    before = given.image.copy(), given.points.copy()
    pipeline().process(given)
    assert np.array_equal(given.image, before[0])
    assert np.array_equal(given.points, before[1])


@pytest.mark.parametrize('scale', [0.5, 0.73])
def test_scale_resizes_image_depth_and_intrinsics_together(scale):
    result = pipeline(**{'output.scale': scale}).process(frame(LENS))
    width, height = round(320 * scale), round(200 * scale)
    assert result.view.image.shape == (height, width, 3)
    assert result.estimate.depth_m.shape == (height, width)
    assert result.view.intrinsics == PINHOLE.resized(width, height)
    check_depth(result.estimate, true_depth_m(result.view.intrinsics))


def test_projected_points_and_ready_sparse_depth_agree():
    points = frame()
    sparse_m = project_lidar(points.points, T_CAMERA_LIDAR, PINHOLE)
    ready = replace(points, points=None, T_camera_lidar=None, sparse_m=sparse_m)
    there, here = pipeline().process(points), pipeline().process(ready)
    assert np.array_equal(there.view.sparse_m, here.view.sparse_m)
    assert np.allclose(there.estimate.depth_m, here.estimate.depth_m, rtol=1e-6, equal_nan=True)


def test_bad_near_far_and_own_returns_are_dropped():
    """Each of them would lie in the middle of the image, before everything else."""
    in_lidar = np.array(
        [[0.5, 0, 0], [np.nan, 0, 0], [np.inf, 0, 0], [0, 0, 0], [3.0, 0.2, -0.3], [150, 0, 0]],
        np.float32,
    )
    settings = {
        'projection.ego_box_min': (2.5, -0.5, -0.5),
        'projection.ego_box_max': (3.5, 0.5, 0.5),
        'projection.occlusion_filter': False,
    }
    clean = pipeline(**settings).observe(frame()).sparse_m
    dirty = pipeline(**settings).observe(frame(points=np.vstack((sweep(), in_lidar)))).sparse_m
    assert np.array_equal(clean, dirty)
    without_box = pipeline(**{'projection.occlusion_filter': False})
    assert not np.array_equal(clean, without_box.observe(frame(points=in_lidar)).sparse_m)


def test_occlusion_filter_can_be_switched_off():
    sparse_m = np.zeros((200, 320), np.float32)
    sparse_m[::5, ::4] = 4.0
    sparse_m[102::5, 101:161:4] = 20.0
    ready = frame(points=None, T_camera_lidar=None, sparse_m=sparse_m)
    assert pipeline().observe(ready).sparse_m.max() == 4.0
    unfiltered = pipeline(**{'projection.occlusion_filter': False}).observe(ready).sparse_m
    assert np.array_equal(unfiltered, sparse_m)


def test_view_keeps_the_returns_that_calibration_holds_out():
    fusion = pipeline(**{'calibration.held_out_share': 0.3})
    result = fusion.process(frame())
    assert np.array_equal(result.view.sparse_m, fusion.observe(frame()).sparse_m)
    seen_m, truth_m = fusion.calibrator.hold_out(result.view.sparse_m, result.view.stamp_ns)
    assert truth_m.any()
    assert np.count_nonzero(seen_m) < np.count_nonzero(result.view.sparse_m)


def test_calibration_never_makes_a_frame_too_sparse_for_its_method():
    """Exactly as many returns as `guided` needs, in 60 frames of which some would lose one."""
    sparse_m = np.zeros((100, 160), np.float32)
    sparse_m[10:90:20, 10:150:35] = 5.0
    assert np.count_nonzero(sparse_m) == MIN_RETURNS
    camera = Camera(Intrinsics(160, 100, 90.0, 90.0, 80.0, 50.0))
    image = np.zeros((100, 160, 3), np.uint8)
    fusion = pipeline(**{'calibration.held_out_share': 0.2})
    for stamp_ns in range(60):
        fusion.process(Frame(image, camera, stamp_ns, sparse_m=sparse_m))


class NoLidar:
    """Says 24 m everywhere, without a look at the returns."""

    name, needs_lidar = 'blind', False

    def estimate(self, view):
        depth_m = np.full(view.sparse_m.shape, 24.0, np.float32)
        return DepthEstimate(depth_m, depth_m / 10)


def test_a_method_that_needs_no_lidar_is_judged_by_all_returns():
    fusion = pipeline()
    fusion.use(NoLidar(), 'test')
    for stamp_ns in range(2):
        result = fusion.process(frame(stamp_ns=stamp_ns))
    assert result.accuracy.returns == np.count_nonzero(result.view.sparse_m) > 3000
    assert result.accuracy.frames == 1


def test_gate_is_on_sigma_in_metres_and_relative_to_depth():
    fusion = pipeline()
    result = fusion.process(frame())
    depth_m = np.array([[2.0, 10.0, 50.0, np.nan]], np.float32)
    sigma_m = np.array([[0.3, 0.9, 2.0, np.nan]], np.float32)
    made = replace(result, estimate=DepthEstimate(depth_m, sigma_m))
    for max_sigma_m, max_relative_sigma, kept in (
        (0.0, 0.0, [True, True, True, False]),
        (1.0, 0.0, [True, True, False, False]),
        (0.0, 0.1, [False, True, True, False]),
        (1.0, 0.1, [False, True, False, False]),
    ):
        limits = OutputConfig(max_sigma_m=max_sigma_m, max_relative_sigma=max_relative_sigma)
        gated_m = made.gated_depth_m(limits)
        assert np.isfinite(gated_m).tolist() == [kept]
        assert np.array_equal(gated_m[0, kept], depth_m[0, kept])


@pytest.mark.parametrize('stride', [1, 3])
def test_cloud_has_a_point_where_gated_depth_is_finite(stride):
    result = pipeline().process(frame())
    limits = OutputConfig(max_relative_sigma=0.005, cloud_stride=stride)
    depth_m = result.gated_depth_m(limits)[::stride, ::stride]
    cloud, whole = result.cloud(limits), result.cloud(limits, gated=False)
    assert np.array_equal(cloud[..., 2], depth_m, equal_nan=True)
    assert np.array_equal(np.isnan(cloud[..., [0, 1, 4]]).any(-1), np.isnan(depth_m))
    dense_m = result.estimate.depth_m[::stride, ::stride]
    assert np.array_equal(whole[..., 2], dense_m, equal_nan=True)
    assert 0 < np.isfinite(depth_m).sum() < np.isfinite(dense_m).sum()


@pytest.mark.parametrize('method', ['guided', 'ip_basic'])
def test_a_named_method_runs(method):
    fusion = pipeline(method=method)
    assert (fusion.method_name, fusion.process(frame()).method) == (method, method)
    assert 'parameter' in fusion.method_reason


def test_new_settings_keep_what_was_learnt_unless_it_no_longer_holds():
    fusion = pipeline()
    for index in range(3):
        fusion.process(frame(stamp_ns=index * 10**8))
    learnt = fusion.calibrator
    assert learnt.accuracy() is not None
    fusion.reconfigure(replaced(fusion.config, {'output.scale': 0.5, 'guided.extrapolate': True}))
    assert fusion.calibrator is learnt
    result = fusion.process(frame())
    assert result.estimate.depth_m.shape == (100, 160)
    assert result.estimate.valid.all()  # extrapolated
    fusion.reconfigure(replaced(fusion.config, {'calibration.memory_frames': 7}))
    assert fusion.calibrator is not learnt
    assert fusion.calibrator.config.memory_frames == 7
    learnt = fusion.calibrator
    fusion.reconfigure(replaced(fusion.config, {'method': 'ip_basic'}))
    assert fusion.calibrator is not learnt
    assert fusion.process(frame()).method == 'ip_basic'


def test_the_method_stays_the_same_object_unless_its_own_settings_change():
    """A network that is open must not be opened anew because the cloud gets thinner."""
    fusion = pipeline()
    method = fusion.method
    fusion.reconfigure(replaced(fusion.config, {'output.scale': 0.5, 'sync.sweeps': 2}))
    assert fusion.method is fusion.wanted is method
    fusion.reconfigure(replaced(fusion.config, {'guided.extrapolate': True}))
    assert fusion.method is not method
    assert fusion.method is fusion.wanted


def test_another_method_in_use_starts_to_learn_sigma_anew():
    fusion = pipeline()
    fusion.process(frame())
    learnt, wanted = fusion.calibrator, fusion.method
    fusion.use(wanted, 'it is the same')
    assert fusion.calibrator is learnt
    assert fusion.method_reason == 'it is the same'
    fusion.use(IpBasic(), 'to try it')
    assert (fusion.method_name, fusion.stands_in) == ('ip_basic', True)
    assert fusion.calibrator is not learnt
    assert fusion.process(frame()).method == 'ip_basic'
    assert fusion.wanted is wanted


def test_a_missing_file_of_weights_is_refused_and_the_settings_before_hold():
    fusion = pipeline()
    lost = replaced(fusion.config, {'method': 'bpnet', 'bpnet.weights': 'no/such/file'})
    with pytest.raises(ModelError, match='no/such/file'):
        FusionPipeline(lost)
    with pytest.raises(ModelError, match='no/such/file'):
        fusion.reconfigure(lost)
    assert fusion.config.method == 'guided'
    check_depth(fusion.process(frame()).estimate, true_depth_m(PINHOLE))


def test_a_mask_that_is_none_is_refused_and_the_settings_before_hold(tmp_path):
    fusion = pipeline()
    before, method, calibrator = fusion.config, fusion.method, fusion.calibrator
    changes = {'method': 'nearest', 'mask.file': str(tmp_path / 'no.png')}
    with pytest.raises(GeometryError, match=r'no\.png'):
        fusion.reconfigure(replaced(before, changes))
    assert fusion.config is before
    assert fusion.method is fusion.wanted is method
    assert fusion.calibrator is calibrator
    assert fusion.process(frame()).method == 'guided'


def test_the_size_of_a_view_is_known_before_it_is_made():
    for settings in ({}, {'output.scale': 0.3}, {'image_is_rectified': True}):
        fusion = pipeline(**settings)
        assert fusion.view_camera(frame()) == fusion.observe(frame()).intrinsics


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'points': None}, 'neither LiDAR points nor sparse depth'),
        ({'points': np.empty((0, 3), np.float32)}, 'No LiDAR return falls into the image'),
        ({'points': np.full((500, 3), -5, np.float32)}, 'No LiDAR return falls into the image'),
        ({'points': np.zeros((500, 3), np.float32)}, 'No LiDAR return falls into the image'),
        ({'points': None, 'sparse_m': np.zeros((200, 320), np.float32)}, 'No LiDAR return'),
    ],
)
def test_frame_without_usable_returns_is_refused(changes, message):
    with pytest.raises(PipelineError, match=message):
        pipeline().process(frame(**changes))


def test_too_few_returns_for_the_method_are_refused():
    with pytest.raises(MethodError, match='at least 16 LiDAR returns'):
        pipeline().process(frame(points=np.array([[10, 0, 0], [11, 1, 0]], np.float32)))


def test_pipeline_recovers_after_a_refused_frame():
    fusion = pipeline()
    with pytest.raises(PipelineError):
        fusion.process(frame(points=np.empty((0, 3), np.float32)))
    check_depth(fusion.process(frame()).estimate, true_depth_m(PINHOLE))


def test_live_figures_appear_and_sigma_fits_noisy_returns():
    fusion, rng, points = pipeline(), np.random.default_rng(0), sweep()
    range_m = np.linalg.norm(points, axis=1, keepdims=True)
    for index in range(25):
        noise = 1 + 0.1 * rng.standard_normal(range_m.shape) / range_m  # 0.1 m of range noise
        noisy = (points * noise).astype(np.float32)
        result = fusion.process(frame(points=noisy, stamp_ns=index * 10**8))
    assert result.accuracy.returns > 200
    assert 0.03 < result.accuracy.median_error_m < 0.2
    assert result.accuracy.alarm == ''
    estimate, truth_m = result.estimate, true_depth_m(PINHOLE)
    ratio = (np.abs(estimate.depth_m - truth_m) / estimate.sigma_m)[estimate.valid]
    assert (ratio < 2).mean() > 0.9


def test_real_sweep_of_a_distorted_camera(data_dir):
    """A 1920x1200 image through a plumb_bob lens and 78 k returns."""
    sample = open_folder(data_dir / 'pjlab_road_manual').sample(0)
    result = pipeline(**{'output.scale': 0.5}).process(sample.frame)
    assert result.estimate.depth_m.shape == (600, 960)
    sparse_m = result.view.sparse_m
    at = (sparse_m > 0) & result.estimate.valid
    error = np.abs(result.estimate.depth_m[at] / sparse_m[at] - 1)
    assert at.sum() > 5000
    assert np.median(error) < 0.01
