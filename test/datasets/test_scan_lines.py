"""Beams recovered from the returns alone, against the beams that made them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from depth_ros.datasets.base import iterate
from depth_ros.datasets.folder import open_folder
from depth_ros.datasets.scan_lines import (
    KITTI_HDL64E,
    Block,
    assign,
    find_beams,
    keep_lines,
    lines_of_cloud,
    lines_of_depth,
)
from depth_ros.errors import DatasetError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.projection import project_lidar
from depth_ros.simulation.lidar import Lidar, LidarConfig

CAMERA = Intrinsics(1242, 375, 721.5, 721.5, 609.6, 172.9)
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0.06], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])


def sweep(blocks=KITTI_HDL64E, shots=200, near_m=4.0, far_m=70.0):
    """Returns of random range of every beam, in random order, and their beams from the top."""
    rng = np.random.default_rng(1)
    beams = [
        (elevation, block.height_m, block.setback_m)
        for block in blocks
        for elevation in block.elevations_deg
    ]
    line = rng.permutation(np.repeat(np.arange(len(beams)), shots))
    elevation, height_m, setback_m = np.array(beams)[line].T
    range_m = rng.uniform(near_m, far_m, line.size)
    azimuth = rng.uniform(-np.pi, np.pi, line.size)
    z = height_m + np.tan(np.radians(elevation)) * (range_m + setback_m)
    points = np.stack((range_m * np.cos(azimuth), range_m * np.sin(azimuth), z), axis=-1)
    return points.astype(np.float32), line


def thin_cloud(points, lines, ring=None):
    line, beams = lines_of_cloud(points, ring)
    return points[keep_lines(beams, lines)[line]]


def thin_depth(sparse_m, intrinsics, T_camera_lidar, lines):
    lost = ~keep_lines(64, lines)[lines_of_depth(sparse_m, intrinsics, T_camera_lidar)]
    thinned_m = sparse_m.copy()
    thinned_m[tuple(axis[lost] for axis in np.nonzero(sparse_m))] = 0.0
    return thinned_m


def test_a_return_of_the_topmost_beam_by_hand():
    """20.65 cm up and tan(1.94) = 0.033872 of 10.06 m: 0.54726 m at 10 m of range."""
    line, residual_deg = assign(np.array([[6.0, 8.0, 0.54726]]), KITTI_HDL64E)
    assert line[0] == 0
    assert residual_deg[0] < 1e-4


def test_every_return_of_an_hdl64_finds_its_beam():
    points, line = sweep()
    assert find_beams(points) is KITTI_HDL64E
    found, residual_deg = assign(points, KITTI_HDL64E)
    np.testing.assert_array_equal(found, line)
    assert residual_deg.max() < 1e-3


@pytest.mark.parametrize('beams', [16, 128])
def test_other_lidars_are_found_by_where_elevations_cluster(beams):
    elevations = np.linspace(15, -25, beams)
    points, line = sweep((Block(tuple(elevations)),))
    points *= np.random.default_rng(2).normal(1, 1e-3, (len(points), 1))  # the range is noisy
    points = np.vstack((points, np.zeros((50, 3)), np.full((3, 3), np.nan)))  # no echo
    (block,) = find_beams(points)
    np.testing.assert_allclose(block.elevations_deg, elevations, atol=1e-3)
    np.testing.assert_array_equal(assign(points[: len(line)], (block,))[0], line)


def test_thinning_keeps_the_middle_beam_of_each_group():
    points, line = sweep()
    thinned = thin_cloud(points, 16)
    np.testing.assert_array_equal(thinned, points[line % 4 == 2])
    np.testing.assert_array_equal(thin_cloud(points, 64), points)
    assert np.flatnonzero(keep_lines(64, 8)).tolist() == list(range(4, 64, 8))
    with pytest.raises(DatasetError, match='has 64 lines and cannot be thinned to 128'):
        thin_cloud(points, 128)
    with pytest.raises(DatasetError, match='At least 1 line must be left, got 0'):
        thin_cloud(points, 0)


@pytest.mark.parametrize(
    ('beams', 'count', 'kept'),
    [
        (40, 16, [1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28, 31, 33, 36, 38]),
        (16, 12, [0, 2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15]),
        (5, 2, [1, 3]),
        (3, 3, [0, 1, 2]),
        (4, 1, [2]),
        (63, 64, list(range(63))),  # one beam had no return
    ],
)
def test_lines_that_do_not_divide_are_thinned_as_evenly_as_can_be(beams, count, kept):
    assert np.flatnonzero(keep_lines(beams, count)).tolist() == kept


@pytest.mark.parametrize('beams', [16, 32, 40, 64, 80, 128])
def test_gaps_between_kept_lines_differ_by_one_at_most(beams):
    for count in range(1, beams + 1):
        kept = np.flatnonzero(keep_lines(beams, count))
        assert len(kept) == count
        ends = (kept[0], beams - 1 - kept[-1])
        assert abs(ends[0] - ends[1]) <= 1  # as much at the top as at the bottom
        assert np.ptp(np.diff(kept)) <= 1 if count > 2 else True


def test_rings_tell_the_lines_where_elevations_cannot():
    """Beams 0.03 degrees apart, nearer than elevations are told apart."""
    dense = Block(tuple(np.linspace(2, -1.5, 128)))
    points, line = sweep((dense,), shots=100)
    with pytest.raises(DatasetError):
        lines_of_cloud(points)
    for ring in (line, 127 - line):  # drivers count from the top or from the bottom
        found, beams = lines_of_cloud(points, ring)
        assert beams == 128
        np.testing.assert_array_equal(found, line)


def test_rings_in_the_order_in_which_lasers_fire():
    """A VLP-16 fires -15, 1, -13, 3 ... degrees: every second number would be half of the view."""
    fired = np.array([-15, 1, -13, 3, -11, 5, -9, 7, -7, 9, -5, 11, -3, 13, -1, 15])
    points, line = sweep((Block(tuple(np.sort(fired)[::-1])),))
    ring = np.array([int(np.flatnonzero(fired == 15 - 2 * k)[0]) for k in range(16)])[line]
    found, beams = lines_of_cloud(points, ring)
    assert beams == 16
    np.testing.assert_array_equal(found, line)
    np.testing.assert_array_equal(thin_cloud(points, 8, ring), points[line % 2 == 1])


def test_rings_without_a_return_are_lines_all_the_same():
    points, line = sweep((Block(tuple(np.linspace(15, -15, 16))),))
    ring = 15 - line
    seen = ~np.isin(ring, (3, 4, 9))
    found, beams = lines_of_cloud(points[seen], ring[seen])
    assert beams == 16
    np.testing.assert_array_equal(found, line[seen])


def test_a_ring_that_is_the_same_everywhere_says_nothing():
    points, line = sweep((Block(tuple(np.linspace(15, -15, 16))),))
    found, beams = lines_of_cloud(points, np.zeros(len(points), np.intp))
    assert beams == 16
    np.testing.assert_array_equal(found, line)


def test_rings_of_returns_without_echo():
    """Not one return is far enough to have an elevation."""
    ring = np.arange(8)
    found, beams = lines_of_cloud(np.zeros((8, 3)), ring)
    assert beams == 8
    np.testing.assert_array_equal(found, ring)


def test_returns_without_echo_are_dropped_or_kept_without_an_error():
    points, _ = sweep()
    points[:100] = np.nan
    points[100:200] = 0.0
    assert len(thin_cloud(points, 32)) == pytest.approx(len(points) / 2, rel=0.02)


def test_what_has_no_lines_is_refused():
    anywhere = np.random.default_rng(3).uniform(1, 20, (5000, 3))
    with pytest.raises(DatasetError, match='5000 returns do not lie on scan lines'):
        find_beams(anywhere)
    with pytest.raises(DatasetError, match='0 returns'):
        find_beams(np.zeros((9, 3)))
    rosette = Lidar(LidarConfig('solid_state', shots=5000)).beams().directions
    with pytest.raises(DatasetError):
        find_beams(10 * rosette)


def test_the_simulator_has_the_lines_it_was_told():
    config = LidarConfig(beams=32)
    (block,) = find_beams(10 * Lidar(config).beams().directions)
    np.testing.assert_allclose(block.elevations_deg, config.elevations_deg[::-1], atol=1e-6)


def test_depth_images_are_thinned_as_the_sweep_they_are_of():
    points, _ = sweep(shots=3000, near_m=5.0)
    whole_m = project_lidar(points, T_CAMERA_LIDAR, CAMERA)
    thinned_m = thin_depth(whole_m, CAMERA, T_CAMERA_LIDAR, 16)
    wanted_m = project_lidar(thin_cloud(points, 16), T_CAMERA_LIDAR, CAMERA)
    kept = np.count_nonzero(thinned_m)
    assert kept == pytest.approx(np.count_nonzero(whole_m) / 4, rel=0.05)
    np.testing.assert_array_equal(thinned_m[thinned_m > 0], whole_m[thinned_m > 0])
    assert np.count_nonzero(wanted_m[thinned_m > 0]) > 0.998 * kept
    np.testing.assert_array_equal(thin_depth(whole_m, CAMERA, T_CAMERA_LIDAR, 64), whole_m)


def test_depth_images_that_were_corrected_for_motion_are_thinned_alike():
    """At 25 m/s and ten turns a second the car moves by 0.4 m per radian."""
    points, _ = sweep(shots=3000, near_m=5.0)
    shift = np.zeros_like(points)
    shift[:, 0] = -25 / (2 * np.pi * 10) * np.arctan2(points[:, 1], points[:, 0])
    whole_m = project_lidar(points + shift, T_CAMERA_LIDAR, CAMERA)
    thinned_m = thin_depth(whole_m, CAMERA, T_CAMERA_LIDAR, 16)
    line = assign(points, KITTI_HDL64E)[0]
    wanted_m = project_lidar((points + shift)[line % 4 == 2], T_CAMERA_LIDAR, CAMERA)
    kept = np.count_nonzero(thinned_m)
    assert kept == pytest.approx(np.count_nonzero(whole_m) / 4, rel=0.05)
    assert np.count_nonzero(wanted_m[thinned_m > 0]) > 0.998 * kept


def test_depth_images_of_other_lidars_are_refused():
    points, _ = sweep((Block(tuple(np.linspace(2, -24.8, 64))),), shots=1000)
    sparse_m = project_lidar(points, T_CAMERA_LIDAR, CAMERA)
    with pytest.raises(DatasetError, match='degrees off the beams of a Velodyne HDL-64E'):
        thin_depth(sparse_m, CAMERA, T_CAMERA_LIDAR, 16)


def beams_by_order(points):
    """KITTI stores beam after beam from the topmost, each a turn from straight ahead."""
    azimuth = np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi)
    return np.concatenate(([0], np.cumsum(np.diff(azimuth) < -np.pi)))


@pytest.mark.parametrize(
    'name', ['kitti_obj_000001', 'kitti_obj_000004', 'kitti_raw_0005_f0', 'kitti_seq_traffic_a']
)
def test_real_sweeps_tell_the_beams_that_their_order_tells(data_dir, name):
    frame = open_folder(data_dir / name).sample(0).frame
    by_order = beams_by_order(frame.points)
    assert by_order.max() == 63
    assert find_beams(frame.points) is KITTI_HDL64E
    line, _ = assign(frame.points, KITTI_HDL64E)
    assert (line == by_order).mean() > 0.9999


@pytest.mark.parametrize('name', ['kitti_obj_000001', 'kitti_seq_traffic_a'])
def test_real_sweeps_drawn_into_pixels_of_kittis_depth_maps_tell_them_too(data_dir, name):
    frame = open_folder(data_dir / name).sample(0).frame
    by_order = beams_by_order(frame.points)
    camera, transform = frame.camera.rectified, frame.T_camera_lidar
    sparse_m = np.rint(project_lidar(frame.points, transform, camera) * 256) / np.float32(256)
    of_beam = project_lidar(frame.points[by_order % 4 == 2], transform, camera)
    kept = thin_depth(sparse_m, camera, transform, 16) > 0
    agree = (np.abs(of_beam - sparse_m) < 1 / 256) & (of_beam > 0)
    assert (agree[sparse_m > 0] == kept[sparse_m > 0]).mean() > 0.9995


def test_lines_of_real_depth_completion_maps_are_whole(data_dir):
    """A line has one return in a column of pixels, and every k-th makes a k-th of the returns."""
    for sample in iterate(open_folder(data_dir / 'kitti_dc_drive0001', ['image_02'])):
        frame = sample.frame
        thin = partial(thin_depth, frame.sparse_m, frame.camera.rectified, frame.T_camera_lidar)
        returns = np.count_nonzero(frame.sparse_m)
        assert np.array_equal(thin(64), frame.sparse_m)
        for lines in (32, 16, 8):
            assert np.count_nonzero(thin(lines)) == pytest.approx(returns * lines / 64, rel=0.05)
        # One return at most of each beam in a column; two only where rounding has joined columns.
        per_column = np.count_nonzero(thin(1), axis=0)
        assert (per_column > 1).mean() < 0.001
