"""The pipeline on a torch device against the one in NumPy: the same results, and nothing extra
crosses over.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import PipelineError
from depth_ros.frame import CameraView, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.cloud import cloud_shape
from depth_ros.geometry.device import DeviceEstimate, download, upload
from depth_ros.geometry.projection import project_lidar
from depth_ros.geometry.transforms import from_translation_quat
from depth_ros.methods.guided import Guided
from depth_ros.methods.ip_basic import IpBasic
from depth_ros.pipeline.config import OutputConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced

torch = pytest.importorskip('torch', reason='needs PyTorch (extra "torch")')
from torch.overrides import TorchFunctionMode, resolve_name  # noqa: E402

PINHOLE = Intrinsics(160, 96, fx=90.0, fy=92.0, cx=78.0, cy=44.0)
LENS = Camera(PINHOLE, 'plumb_bob', (-0.25, 0.08, 0.001, -0.001, 0.0))
T_CAMERA_LIDAR = from_translation_quat((0.0, -0.3, -0.1), (0.5, -0.5, 0.5, 0.5))
TURN = (0.995, 0.0, -0.0998749, 0.0, 1.0, 0.0, 0.0998749, 0.0, 0.995)
MASKED = {'output.scale': 0.8}
OWN_BOX = {
    'projection.ego_box_min': (4.0, -1.0, -1.0),
    'projection.ego_box_max': (9.0, 0.5, 0.5),
}


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Ported:
    """A NumPy method that passes for one on a device."""

    device = 'cpu'
    needs_lidar = True

    def __init__(self, method):
        self.method, self.name = method, method.name

    def estimate(self, view):
        raise AssertionError('the pipeline took the way over the host')

    def estimate_on(self, view):
        arrays = (download(view.image), download(view.sparse_m))
        estimate = self.method.estimate(CameraView(*arrays, view.intrinsics, view.stamp_ns))
        depth_m, sigma_m = upload(estimate.depth_m, 'cpu'), upload(estimate.sigma_m, 'cpu')
        return DeviceEstimate(depth_m, sigma_m, estimate.kind)


class Spread:
    """All on the device: every pixel gets the mean depth, a return its own."""

    name, device, needs_lidar = 'spread', 'cpu', True

    def estimate_on(self, view):
        found = view.sparse_m > 0
        mean_m = view.sparse_m.sum() / found.sum()
        grey = view.image.float().mean(2)
        return DeviceEstimate(view.sparse_m.where(found, mean_m), 0.1 + grey / 100)

    def estimate(self, view):
        raise AssertionError('the pipeline took the way over the host')


def pipeline(method, **settings):
    made = FusionPipeline(replaced(PipelineConfig(method='ip_basic'), settings))
    made.use(method, 'test')
    return made


def sweep(seed=0):
    """Returns (N, 3) in the LiDAR frame: a wavy wall with a pillar before it, and bad returns."""
    rng = np.random.default_rng(seed)
    y, z = rng.uniform((-16, -12), (16, 10), (9000, 2)).T
    x = 20 + 3 * np.sin(y) + 0.2 * rng.standard_normal(y.size)
    pillar = np.abs(y) < 1
    x[pillar], y[pillar], z[pillar] = 6.0, y[pillar] / 3, z[pillar] / 3
    points = np.stack((x, y, z), axis=-1).astype(np.float32)
    points[::100], points[1::100] = np.nan, 0
    points[2::100, 0] *= -1
    points[3::100] *= 20
    return points


def frame(index=0, camera=LENS, **changes):
    coarse = np.random.default_rng(index).integers(0, 256, (12, 20, 3), np.uint8)
    values = {
        'image': cv2.resize(coarse, (PINHOLE.width, PINHOLE.height)),
        'camera': camera,
        'stamp_ns': 1_000_000_007 + index * 10**8,
        'points': sweep(index),
        'T_camera_lidar': T_CAMERA_LIDAR,
    }
    return Frame(**(values | changes))


def cloud(result, stride=1, gated=True):
    memory = np.full(cloud_shape(result.view.intrinsics, stride), -1, np.float32)
    result.fill_cloud(memory, OutputConfig(cloud_stride=stride), gated)
    return memory


def assert_same(there, here, rtol=1e-6):
    """Views equal, and estimates and clouds, but for the rounding of two libraries."""
    assert np.array_equal(here.view.image, there.view.image)
    np.testing.assert_allclose(here.view.sparse_m, there.view.sparse_m, rtol=1e-6)
    assert (here.view.intrinsics, here.view.stamp_ns) == (
        there.view.intrinsics,
        there.view.stamp_ns,
    )
    assert here.estimate.kind is there.estimate.kind
    for name in ('depth_m', 'sigma_m'):
        arrays = getattr(here.estimate, name), getattr(there.estimate, name)
        np.testing.assert_allclose(*arrays, rtol=rtol, atol=0)
    for stride, gated in ((1, True), (3, True), (2, False)):
        found, expected = cloud(here, stride, gated), cloud(there, stride, gated)
        np.testing.assert_allclose(
            found[..., [0, 1, 2, 4]], expected[..., [0, 1, 2, 4]], rtol=rtol
        )
        bits = (part[..., 3].copy().view(np.uint32) for part in (found, expected))
        assert np.array_equal(*bits)
    assert here.on_device is not None
    assert there.on_device is None


@pytest.mark.parametrize(
    ('camera', 'settings'),
    [
        (Camera(PINHOLE), {}),
        (LENS, {}),
        (replace(LENS, rectified=replace(PINHOLE, width=150, height=90, cx=74.5)), {}),
        (LENS, {'image_is_rectified': True}),
        (LENS, {'output.scale': 0.5, 'projection.occlusion_window_px': 7}),
        (LENS, {'output.scale': 0.73}),
        (LENS, {'projection.occlusion_filter': False, **OWN_BOX}),
        (LENS, {'calibration.enabled': False}),
        (LENS, MASKED),
        (replace(LENS, R_rect=TURN, t_rect=(-0.2, 0.01, 0.0)), {}),
    ],
)
def test_results_are_those_of_numpy_while_sigma_is_learnt(camera, settings, tmp_path):
    if settings is MASKED:
        masked = np.zeros((PINHOLE.height, PINHOLE.width), np.uint8)
        masked[60:, 40:120] = 255
        assert cv2.imwrite(str(tmp_path / 'mask.png'), masked)
        settings = settings | {'mask.file': str(tmp_path / 'mask.png')}
    host, on_device = (pipeline(m, **settings) for m in (IpBasic(), Ported(IpBasic())))
    for index in range(4):
        there, here = host.process(frame(index, camera)), on_device.process(frame(index, camera))
        assert list(here.timings_ms) == list(there.timings_ms)
        assert here.accuracy == there.accuracy
        assert_same(there, here)
    assert (there.accuracy is not None) == (settings != {'calibration.enabled': False})
    assert np.count_nonzero(there.view.sparse_m) > 500


def test_guided_gives_the_same_on_either():
    host, on_device = pipeline(Guided()), pipeline(Ported(Guided()))
    for index in range(3):
        assert_same(host.process(frame(index)), on_device.process(frame(index)), rtol=1e-5)


def test_ready_sparse_depth_goes_up_instead_of_points():
    sparse_m = project_lidar(sweep()[sweep()[:, 0] > 0], T_CAMERA_LIDAR, PINHOLE)
    given = frame(points=None, T_camera_lidar=None, sparse_m=sparse_m)
    there, here = (pipeline(m).process(given) for m in (IpBasic(), Ported(IpBasic())))
    assert_same(there, here)


def test_the_method_does_not_see_what_is_held_out():
    on_device = pipeline(Spread(), **{'calibration.held_out_share': 0.3})
    result = on_device.process(frame())
    seen_m, _ = on_device.calibrator.hold_out(result.view.sparse_m, result.view.stamp_ns)
    assert np.count_nonzero(seen_m) < 0.9 * np.count_nonzero(result.view.sparse_m)
    assert np.array_equal(download(result.on_device.view.sparse_m), seen_m)
    assert np.allclose(result.estimate.depth_m[seen_m == 0], seen_m[seen_m > 0].mean())


def test_a_view_with_less_in_it_is_completed_from_that():
    """The evaluation holds out its own share; what the device has of the view is void then."""
    results = []
    for method in (IpBasic(), Ported(IpBasic())):
        fusion = pipeline(method)
        view = fusion.observe(frame())
        less_m = view.sparse_m.copy()
        less_m[:, ::2] = 0
        results.append(fusion.complete(replace(view, sparse_m=less_m)))
    assert_same(*results)


def test_the_method_may_change_between_device_and_host():
    fusion = pipeline(Ported(IpBasic()))
    view = fusion.observe(frame())
    fusion.use(IpBasic(), 'test')
    there = fusion.complete(view)
    fusion.use(Ported(IpBasic()), 'test')
    assert_same(there, fusion.process(frame()))


def test_a_result_keeps_what_it_had_when_the_method_reuses_its_memory():
    class Reusing(Spread):
        def estimate_on(self, view):
            fresh = super().estimate_on(view)
            if not hasattr(self, 'kept'):
                self.kept = fresh
            self.kept.depth_m.copy_(fresh.depth_m)
            self.kept.sigma_m.copy_(fresh.sigma_m)
            return self.kept

    fusion = pipeline(Reusing())
    first = fusion.process(frame(0))
    before = cloud(first, gated=False)
    assert not np.array_equal(cloud(fusion.process(frame(1)), gated=False), before)
    assert np.array_equal(cloud(first, gated=False), before)


def test_a_method_without_a_device_is_given_arrays():
    method = Ported(IpBasic())
    method.device, method.estimate = None, IpBasic().estimate
    assert pipeline(method).process(frame()).on_device is None


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'points': None}, 'neither LiDAR points nor sparse depth'),
        ({'points': np.empty((0, 3), np.float32)}, 'No LiDAR return falls into the image'),
        ({'points': np.full((500, 3), -5, np.float32)}, 'No LiDAR return falls into the image'),
        ({'points': None, 'sparse_m': np.zeros((96, 160), np.float32)}, 'No LiDAR return'),
    ],
)
def test_frame_without_usable_returns_is_refused(changes, message):
    with pytest.raises(PipelineError, match=message):
        pipeline(Spread()).process(frame(**changes))


class Crossings(TorchFunctionMode):
    """Counts the bytes of every call by which values enter or leave torch."""

    BY = ('numpy', 'tolist', 'item', '__array__', '__bool__', '__float__', '__int__', '__index__')

    def __init__(self):
        super().__init__()
        self.up, self.down = [], []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = resolve_name(function) or ''
        if name.rpartition('.')[2] in self.BY:
            self.down.append(args[0].nbytes)
        assert name not in ('torch.tensor', 'torch.as_tensor', 'torch.Tensor.__dlpack__'), name
        return function(*args, **(kwargs or {}))


def test_a_frame_crosses_over_once(monkeypatch):
    fusion = pipeline(Spread())
    fusion.process(frame(0))  # so that sigma has a scale
    given = frame(1)
    crossings, from_numpy = Crossings(), torch.from_numpy

    def counted(array):
        crossings.up.append(array.nbytes)
        return from_numpy(array)

    monkeypatch.setattr(torch, 'from_numpy', counted)
    with crossings:
        result = fusion.process(given)
    pixels = PINHOLE.width * PINHOLE.height
    lost = np.count_nonzero(result.view.sparse_m != download(result.on_device.view.sparse_m))
    assert 10 < lost < 200
    scales_bytes = 4 * (4 * 100 + 1)  # one per quarter of a metre, to 100 m
    cells_bytes = 4 * -(-PINHOLE.width // 4) * -(-PINHOLE.height // 4)  # by distance to support
    frame_bytes = given.points.nbytes, 3 * pixels, 8 * lost
    assert crossings.up == [*frame_bytes, scales_bytes, cells_bytes]
    # Is there a return, how dense are they (5 integers); then sparse depth, then the estimate.
    assert crossings.down == [1, 40, 4 * pixels, 8 * pixels]

    memory = np.empty(cloud_shape(PINHOLE), np.float32)
    crossings.up, crossings.down = [], []
    with crossings:
        result.fill_cloud(memory)
    assert crossings.down == []
    assert crossings.up == [memory.nbytes]  # the memory that is copied into


def test_real_frame(data_dir):
    given = open_folder(data_dir / 'kitti_obj_000001').sample(0).frame
    there, here = (pipeline(m).process(given) for m in (IpBasic(), Ported(IpBasic())))
    assert_same(there, here)
