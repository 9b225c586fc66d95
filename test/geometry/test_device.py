"""The torch twins against the NumPy functions: equal, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import GeometryError
from depth_ros.geometry import cloud as clouds
from depth_ros.geometry import device, projection, resize
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.transforms import from_translation_quat

torch = pytest.importorskip('torch', reason='needs PyTorch (extra "torch")')

# All powers of two, so that pixels on the border are hit exactly.
PINHOLE = Intrinsics(32, 16, fx=64.0, fy=64.0, cx=15.5, cy=7.5)
WIDE = Intrinsics(96, 64, fx=50.3, fy=48.9, cx=46.2, cy=33.1)
T_CAMERA_LIDAR = from_translation_quat((0.1, -0.3, 0.2), (0.5, -0.5, 0.5, 0.5))
NAN, INF = float('nan'), float('inf')


@pytest.fixture(autouse=True, scope='module')
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def up(array):
    return device.upload(array, 'cpu')


def same(tensor, array):
    """Whether the two libraries agree.

    They may round differently where instructions differ, which can move a return that lies on
    the border of two pixels.
    """
    assert tensor.device.type == 'cpu'
    found = device.download(tensor)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    agree = np.isclose(found, array, rtol=1e-6, atol=0, equal_nan=found.dtype.kind == 'f')
    return np.count_nonzero(~agree) <= 1e-3 * agree.size


def wild_points(dtype=np.float32, count=20_000):
    """All around the LiDAR, with everything that a driver may put in between."""
    rng = np.random.default_rng(5)
    points = rng.uniform(-30, 30, (count, 3)).astype(dtype)
    points[::50, 0] = NAN
    points[1::50, 1] = INF
    points[2::50, 2] = -INF
    points[3::50] = 0
    points[4::50] *= 1e30
    points[5::50] = points[6::50]
    return points


def scan(height=64, width=96, returns=900):
    rng = np.random.default_rng(6)
    sparse_m = np.zeros((height, width), np.float32)
    at = rng.choice(sparse_m.size, returns, replace=False)
    sparse_m.flat[at] = rng.uniform(1, 80, returns)
    return sparse_m


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_projection_of_wild_points(dtype):
    points = wild_points(dtype)
    expected = projection.project_lidar(points, T_CAMERA_LIDAR, WIDE)
    assert np.count_nonzero(expected) > 1500
    assert same(device.project_lidar(up(points), T_CAMERA_LIDAR, WIDE), expected)


def test_projection_on_pixel_borders_and_ties():
    """Halves round to even, the image's edges are half open, equal pixels keep the nearest."""
    v, u = np.mgrid[-1:17:0.5, -1:33:0.5]
    depth_m = np.concatenate([np.full(u.size, 4.0), np.full(u.size, 2.0), np.full(u.size, 8.0)])
    pixels = np.tile(np.stack((u.ravel(), v.ravel()), axis=-1), (3, 1))
    points = PINHOLE.unproject(pixels, depth_m).astype(np.float32)
    for chosen in (points, points[::-1].copy(), points[: u.size], points[1::3]):
        expected = projection.project_lidar(chosen, np.eye(4), PINHOLE)
        assert expected.any()
        assert same(device.project_lidar(up(chosen), np.eye(4), PINHOLE), expected)


def test_projection_at_the_near_plane():
    near = np.float32(projection.NEAR_PLANE_M)
    z = np.array([near, np.nextafter(near, np.float32(1)), np.nextafter(near, np.float32(0)), -1])
    points = np.stack((np.arange(4) * z / 64, np.zeros(4), z), axis=-1).astype(np.float32)
    expected = projection.project_lidar(points, np.eye(4), PINHOLE)
    assert np.count_nonzero(expected) == 1
    assert same(device.project_lidar(up(points), np.eye(4), PINHOLE), expected)


def test_no_point_gives_no_return():
    nothing = device.project_lidar(up(np.empty((0, 3), np.float32)), np.eye(4), PINHOLE)
    assert same(nothing, np.zeros((16, 32), np.float32))


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('ego_box', [None, ((-2.0, -1.0, -3.0), (4.0, 1.0, 0.5))])
def test_usable_returns(dtype, ego_box):
    on_limits = np.array([[3, 0, 4], [0, 0, 5], [12, 16, 0], [4, 1, 0.5], [-2, -1, -3]])
    points = np.vstack((wild_points(dtype) / 5, on_limits.astype(dtype)))
    for limits in ((5.0, 20.0), (0.0, 3.3), (2.2, 1e18)):
        expected = projection.usable_returns(points, *limits, ego_box)
        assert 0 < expected.sum() < expected.size
        assert same(device.usable_returns(up(points), *limits, ego_box), expected)


@pytest.mark.parametrize('window_px', [0, 1, 3, 8, 45, 99])
@pytest.mark.parametrize('margin', [0.05, 0.3])
@pytest.mark.parametrize('returns', [1, 40, 900, 64 * 96])
def test_occlusion_filter(returns, margin, window_px):
    sparse_m = scan(returns=returns)
    assert device.mean_spacing_px(up(sparse_m)) == projection.mean_spacing_px(sparse_m)
    expected = projection.remove_occluded(sparse_m, margin, window_px)
    assert np.array_equal(expected, sparse_m) == (returns == 1 or window_px == 1)
    before = sparse_m.copy()
    assert same(device.remove_occluded(up(sparse_m), margin, window_px), expected)
    assert np.array_equal(sparse_m, before)


def test_spacing_of_nothing_is_refused():
    with pytest.raises(GeometryError, match='No LiDAR return'):
        device.mean_spacing_px(up(np.zeros((4, 5), np.float32)))


@pytest.mark.parametrize(('width', 'height'), [(96, 64), (48, 32), (70, 47), (200, 130), (1, 1)])
def test_sparse_depth_at_another_size(width, height):
    sparse_m = scan(returns=4000)
    expected = resize.resize_sparse(sparse_m, width, height)
    assert same(device.resize_sparse(up(sparse_m), width, height), expected)


@pytest.mark.parametrize('stride', [1, 2, 5])
def test_cloud(stride):
    rng = np.random.default_rng(7)
    depth_m, sigma_m = rng.uniform(0.5, 90, (2, 64, 96)).astype(np.float32)
    depth_m[::7, ::3] = sigma_m[::7, ::3] = NAN
    depth_m[1, 1] = INF
    image = rng.integers(0, 256, (64, 96, 3), np.uint8)
    image[0, 0], image[0, 95] = 255, 0
    expected, found = np.full((2, *clouds.cloud_shape(WIDE, stride)), -1, np.float32)
    clouds.fill_cloud(expected, depth_m, sigma_m, image, WIDE, stride)
    device.fill_cloud(found, up(depth_m), up(sigma_m), up(image), WIDE, stride)
    known = [0, 1, 2, 4]  # the fourth is a colour in the bits of a float
    np.testing.assert_allclose(found[..., known], expected[..., known], rtol=1e-6)
    bits = [cloud[..., 3].copy().view(np.uint32) for cloud in (expected, found)]
    assert np.array_equal(*bits)
    assert bits[0][0, 0] == 0xFFFFFF


def test_gated_cloud():
    """Sigma lies within a few roundings of the limit, on both sides."""
    depth_m = np.linspace(0.3, 90, 64 * 96, dtype=np.float32).reshape(64, 96)
    steps = np.arange(depth_m.size).reshape(depth_m.shape) % 7 - 3
    sigma_m = (depth_m * np.float32(0.1) * (1 + steps * np.float32(6e-8))).astype(np.float32)
    image = np.zeros((64, 96, 3), np.uint8)
    expected, found = np.full((2, *clouds.cloud_shape(WIDE, 1)), -1, np.float32)
    gate = clouds.Gate(0.1, 8.5)
    clouds.fill_cloud(expected, depth_m, sigma_m, image, WIDE, gate=gate)
    device.fill_cloud(found, up(depth_m), up(sigma_m), up(image), WIDE, gate=gate)
    assert np.array_equal(found, expected, equal_nan=True)
    assert 0.2 < np.isnan(found[..., 2]).mean() < 0.8


def test_cloud_of_another_shape_is_refused():
    depth_m, image = torch.ones(16, 32), torch.zeros(16, 32, 3, dtype=torch.uint8)
    with pytest.raises(GeometryError, match=r'cloud must have shape \(16, 32, 5\), got'):
        device.fill_cloud(np.zeros((1, 32, 5), np.float32), depth_m, depth_m, image, PINHOLE)


def test_any_array_goes_up_and_comes_back():
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    read_only = array.copy()
    read_only.flags.writeable = False
    for given in (array, array[::-1, ::2], array.T, read_only):
        assert same(up(given), given)


def test_nothing_waits_for_the_device_or_strays_from_it():
    """Tensors of the device `meta` have no data: asking for some, or mixing devices, raises."""
    points = torch.empty(100, 3, device='meta')
    usable = device.usable_returns(points, 1.0, 90.0, ((0.0,) * 3, (1.0,) * 3))
    sparse_m = device.project_lidar(points, T_CAMERA_LIDAR, PINHOLE)
    visible_m = device.remove_occluded(sparse_m, 0.3, window_px=9)
    small_m = device.resize_sparse(visible_m, 16, 8)
    for tensor, shape in ((usable, (100,)), (visible_m, (16, 32)), (small_m, (8, 16))):
        assert (tensor.device.type, tensor.shape) == ('meta', shape)
    cloud, image = np.empty((16, 32, 5), np.float32), torch.zeros(16, 32, 3, device='meta')
    with pytest.raises(NotImplementedError, match='Cannot copy out of meta tensor'):
        device.fill_cloud(cloud, visible_m, visible_m, image, PINHOLE)


def test_real_sweep(data_dir):
    frame = open_folder(data_dir / 'kitti_obj_000001').sample(0).frame
    usable = projection.usable_returns(frame.points, 1.0, 120.0)
    expected = projection.project_lidar(
        frame.points[usable], frame.T_camera_lidar, frame.camera.rectified
    )
    points = up(frame.points)
    assert same(device.usable_returns(points, 1.0, 120.0), usable)
    points = points.masked_fill(~up(usable)[:, None], NAN)
    found = device.project_lidar(points, frame.T_camera_lidar, frame.camera.rectified)
    assert np.count_nonzero(expected) > 15_000
    assert same(found, expected)
    assert same(device.remove_occluded(found, 0.3), projection.remove_occluded(expected, 0.3))
