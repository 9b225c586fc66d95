"""Returns to sparse depth: against a loop over points, at borders, and through made scenes."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import (
    NEAR_PLANE_M,
    mean_spacing_px,
    project_lidar,
    remove_occluded,
    returns_in_view,
    usable_returns,
)
from depth_ros.geometry.transforms import from_translation_quat, inverse

# All powers of two, so that pixels on the border are hit exactly.
PINHOLE = Intrinsics(32, 16, fx=64.0, fy=64.0, cx=15.5, cy=7.5)
EYE = np.eye(4)
NAN, INF = float('nan'), float('inf')


def at_pixel(u, v, depth_m):
    return PINHOLE.unproject(np.array([[u, v]], float), np.array([depth_m])).astype(np.float32)


def by_hand(points, T_camera_lidar, pinhole):
    """One point after the other."""
    sparse_m = np.zeros((pinhole.height, pinhole.width))
    for point in points.astype(float):
        if not np.isfinite(point).all():
            continue
        x, y, z, _ = T_camera_lidar @ (*point, 1)
        if z <= NEAR_PLANE_M:
            continue
        u, v = x / z * pinhole.fx + pinhole.cx, y / z * pinhole.fy + pinhole.cy
        column, row = int(np.floor(u + 0.5)), int(np.floor(v + 0.5))
        if 0 <= column < pinhole.width and 0 <= row < pinhole.height:
            before = sparse_m[row, column]
            sparse_m[row, column] = min(before, z) if before else z
    return sparse_m


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_projection_agrees_with_a_loop_over_points(dtype):
    rng = np.random.default_rng(3)
    points = rng.uniform(-20, 20, (3000, 3)).astype(dtype)
    points[::50, rng.integers(0, 3, 60)] = NAN
    points[7::50, 1] = INF
    points[9::50] = 0
    T_camera_lidar = from_translation_quat((0.1, -0.3, 0.2), (0.5, -0.5, 0.5, 0.5))
    pinhole = Intrinsics(24, 16, fx=12.0, fy=14.0, cx=11.2, cy=8.4)
    sparse_m = project_lidar(points, T_camera_lidar, pinhole)
    expected = by_hand(points, T_camera_lidar, pinhole)
    assert sparse_m.dtype == np.float32
    assert 150 < np.count_nonzero(expected) < 250  # of 384; many are hit twice
    assert np.allclose(sparse_m, expected, rtol=1e-5, atol=0)


def test_depth_is_along_the_axis_and_not_the_range():
    sparse_m = project_lidar(
        np.array([[3.0, 0.0, 4.0]]), EYE, Intrinsics(9, 1, 4.0, 4.0, 4.0, 0.0)
    )
    # 3 / 4 * 4 + 4 = 7; the range would be 5.
    assert sparse_m.tolist() == [[0, 0, 0, 0, 0, 0, 0, 4, 0]]


@pytest.mark.parametrize('order', [(5.0, 9.0, 7.0), (9.0, 7.0, 5.0), (7.0, 5.0, 9.0)])
def test_nearest_return_of_a_pixel_wins(order):
    points = np.concatenate([at_pixel(10.3, 4.2, depth_m) for depth_m in order])
    sparse_m = project_lidar(points, EYE, PINHOLE)
    assert np.argwhere(sparse_m).tolist() == [[4, 10]]
    assert sparse_m[4, 10] == 5.0


@pytest.mark.parametrize(
    ('u', 'v', 'pixel'),
    [
        (-0.5, 3, (3, 0)),
        (-0.51, 3, None),
        (31.49, 3, (3, 31)),
        (31.5, 3, None),
        (3, -0.5, (0, 3)),
        (3, -0.51, None),
        (3, 15.49, (15, 3)),
        (3, 15.5, None),
    ],
)
def test_pixels_at_the_border_reach_half_a_pixel_out(u, v, pixel):
    hit = np.argwhere(project_lidar(at_pixel(u, v, 2.0), EYE, PINHOLE)).tolist()
    assert hit == ([] if pixel is None else [list(pixel)])


@pytest.mark.parametrize('depth_m', [-5.0, 0.0, 0.5 * NEAR_PLANE_M])
def test_what_lies_behind_or_at_the_camera_is_not_seen(depth_m):
    point = np.array([[0.0, 0.0, depth_m]], np.float32)
    assert len(returns_in_view(point, EYE, PINHOLE)) == 0
    assert not project_lidar(point, EYE, PINHOLE).any()


@pytest.mark.parametrize(('depth_m', 'seen'), [(0.09, False), (0.11, True)])
def test_what_is_farther_than_ten_centimetres_is_seen(depth_m, seen):
    assert project_lidar(at_pixel(10, 4, depth_m), EYE, PINHOLE).any() == seen


def test_bad_returns_vanish_without_a_warning():
    points = np.array([[NAN] * 3, [INF, 0, 1], [0, 0, INF], [0, NAN, 1], [1e38] * 3], np.float32)
    with np.errstate(all='raise'):
        assert not project_lidar(points, EYE, PINHOLE).any()
    assert not project_lidar(np.empty((0, 3), np.float32), EYE, PINHOLE).any()


def test_returns_in_view_are_exactly_those_that_project():
    rng = np.random.default_rng(4)
    points = rng.uniform(-4, 4, (500, 3)).astype(np.float32)
    seen = {tuple(point) for point in returns_in_view(points, EYE, PINHOLE).tolist()}
    for point in points:
        assert (tuple(point.tolist()) in seen) == by_hand(point[None], EYE, PINHOLE).any()


@pytest.mark.parametrize(
    ('point', 'kept'),
    [
        ((3, 4, 0), True),
        ((0, 0, 0), False),
        ((NAN, 4, 0), False),
        ((3, -INF, 0), False),
        ((0.6, 0.8, 0), True),  # at the very limit of 1 m
        ((0.5, 0.8, 0), False),
        ((0, 0, -10), True),
        ((0, 0, 10.01), False),
        ((-3, -4, 0), False),  # in the ego box
        ((-3, -4, 1), False),  # on its lid
        ((-3, -4, 1.01), True),
    ],
)
def test_which_returns_are_usable(point, kept):
    points = np.array([point], np.float64)
    mask = usable_returns(points, 1.0, 10.0, ego_box=((-4, -5, -1), (-2, -3, 1)))
    assert mask.tolist() == [kept]


def test_origin_is_no_return_even_without_a_minimum_range():
    points = np.array([[0, 0, 0], [0.01, 0, 0]], np.float32)
    assert usable_returns(points, 0.0, 100.0).tolist() == [False, True]


def test_mean_spacing_of_a_regular_grid():
    sparse_m = np.zeros((100, 200), np.float32)
    sparse_m[20:81:6, 40:141:4] = 9.0  # 11 lines of 26 returns, in a box of 61 x 101
    assert mean_spacing_px(sparse_m) == pytest.approx(np.sqrt(61 * 101 / (11 * 26)))


def test_mean_spacing_of_nothing_is_refused():
    with pytest.raises(GeometryError, match=r'No LiDAR return falls into the image; .*extrinsic'):
        mean_spacing_px(np.zeros((4, 5), np.float32))


def lidar_scan(surface_m, step_v, step_u):
    """Returns at every step_v-th row and step_u-th column of a dense depth (H, W)."""
    sparse_m = np.zeros(surface_m.shape, np.float32)
    sparse_m[::step_v, ::step_u] = surface_m[::step_v, ::step_u]
    return sparse_m


def test_background_that_shines_through_goes_and_what_is_visible_stays():
    """A wall at 5 m in front of one at 20 m, whose returns lie between those of the first."""
    wall = np.zeros((120, 300), np.float32)
    wall[::6, 0:150:4] = 5.0
    shine_through, visible = np.zeros_like(wall), np.zeros_like(wall)
    shine_through[3::6, 2:140:4] = 20.0
    visible[3::6, 162::4] = 20.0
    kept = remove_occluded(wall + shine_through + visible, margin=0.3)
    assert np.array_equal(kept, wall + visible)


def test_shine_through_of_a_real_offset_is_found():
    """LiDAR 0.6 m above the camera: what it sees over a car, the camera sees the car before."""
    pinhole = Intrinsics(600, 200, fx=300.0, fy=300.0, cx=300.0, cy=100.0)
    T_camera_lidar = from_translation_quat((0, -0.6, 0), (0, 0, 0, 1))
    elevation, azimuth = np.meshgrid(np.arange(-0.3, 0.3, 0.008), np.arange(-0.6, 0.6, 0.006))
    rays = np.stack((np.tan(azimuth), np.tan(elevation), np.ones_like(azimuth)), -1).reshape(-1, 3)
    # Of the LiDAR: a box front 8 m ahead, 0.5 m below it and wider than the view, a wall at 30 m.
    on_box = rays[:, 1] * 8 > 0.5
    points = rays * np.where(on_box, 8.0, 30.0)[:, None]
    in_camera = points + T_camera_lidar[:3, 3]
    behind_box = ~on_box & (in_camera[:, 1] / in_camera[:, 2] * 8 > -0.1 + 0.06)
    kept = remove_occluded(project_lidar(points, T_camera_lidar, pinhole), margin=0.3)
    covered = project_lidar(points[behind_box], T_camera_lidar, pinhole) > 0
    assert covered.sum() > 200
    assert not kept[covered & (kept > 20)].any()
    # Nothing of the box goes, nor of the wall well above it.
    assert (kept == 8).sum() == (project_lidar(points[on_box], T_camera_lidar, pinhole) > 0).sum()
    above = slice(0, 85)
    whole = project_lidar(points[~on_box], T_camera_lidar, pinhole)
    assert np.array_equal(kept[above], whole[above])


@pytest.mark.parametrize('height_m', [0.5, 1.65])
def test_ground_at_grazing_angle_stays(height_m):
    """Depth of the ground rises fast with the row, but that is no occlusion."""
    f_px, horizon, rows = 720.0, 100, np.arange(275)
    ground_m = np.zeros((275, 400), np.float32)
    below = rows >= horizon + 20
    ground_m[below] = (f_px * height_m / (rows[below] - horizon))[:, None]
    sparse_m = lidar_scan(ground_m, step_v=5, step_u=4)
    assert sparse_m.max() / sparse_m[sparse_m > 0].min() > 8
    assert np.array_equal(remove_occluded(sparse_m, margin=0.3), sparse_m)


def test_occlusion_window_can_be_set():
    sparse_m = np.zeros((41, 41), np.float32)
    sparse_m[20, 20], sparse_m[20, 25] = 5.0, 20.0
    assert remove_occluded(sparse_m, 0.3, window_px=9)[20, 25] == 20.0  # 4 to each side
    assert remove_occluded(sparse_m, 0.3, window_px=11)[20, 25] == 0.0


@pytest.mark.parametrize('window_px', [1, 2, 3, 30, 31, 45, 63, 64, 98, 99])
def test_a_window_that_is_set_reaches_as_far_as_it_says(window_px):
    """A near return covers far ones within half of the window, made odd; its height is 1.4x."""
    reach_u = (window_px | 1) // 2
    reach_v = (int(1.4 * (window_px | 1)) | 1) // 2
    sparse_m = np.full((161, 121), 20.0, np.float32)
    sparse_m[80, 60] = 5.0
    gone = np.argwhere(remove_occluded(sparse_m, 0.3, window_px) == 0) - (80, 60)
    assert len(gone) == (2 * reach_u + 1) * (2 * reach_v + 1) - 1
    if len(gone):
        assert np.abs(gone).max(axis=0).tolist() == [reach_v, reach_u]


@pytest.mark.parametrize(
    ('step_px', 'reach_px'),
    [(1, 1), (4, 2), (16, 9), (40, 15)],  # 1.25 spacings: 3 at least, 5, 19, 31 at most
)
def test_the_window_of_a_density_has_limits(step_px, reach_px):
    covered = []
    for offset in range(1, 25):
        one = np.zeros((400, 400), np.float32)
        one[::step_px, ::step_px] = 20.0
        one[200, 200], one[200, 200 + offset] = 5.0, 20.0
        if remove_occluded(one, 0.3)[200, 200 + offset] == 0.0:
            covered.append(offset)
    assert max(covered) == reach_px


def test_filter_writes_nothing_into_its_input():
    sparse_m = np.zeros((20, 20), np.float32)
    sparse_m[10, 10:12] = 5.0, 20.0
    before = sparse_m.copy()
    remove_occluded(sparse_m, 0.3)
    assert np.array_equal(sparse_m, before)


def test_transform_of_the_sweep_is_the_inverse_of_that_of_the_camera():
    """A return moved into the LiDAR's frame projects where it did."""
    T_camera_lidar = from_translation_quat((0.3, 0.1, -0.2), (0.1, 0.7, -0.1, 0.7))
    point = np.append(at_pixel(12, 5, 6.0)[0], 1.0)
    in_lidar = (inverse(T_camera_lidar) @ point)[None, :3]
    sparse_m = project_lidar(in_lidar, T_camera_lidar, PINHOLE)
    assert np.argwhere(sparse_m).tolist() == [[5, 12]]
    assert sparse_m[5, 12] == pytest.approx(6.0)
