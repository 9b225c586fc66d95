"""Every real sample opens and holds what its sensors can have seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import DatasetError
from depth_ros.geometry.projection import project_lidar

# name: samples, image size, points of the first frame, (sparse, truth) present, median depth range
REAL = {
    'ddad_scene01': (9, (1936, 1216), 40733, (False, False)),
    'kitti_dc_drive0001': (24, (1242, 375), None, (True, True)),
    'kitti_dc_m3d': (2, (1242, 375), None, (False, True)),
    'kitti_obj_000001': (1, (1242, 375), 120268, (False, False)),
    'kitti_obj_000004': (1, (1242, 375), 115976, (False, False)),
    'kitti_raw_0005_f0': (4, (1242, 375), 123397, (False, False)),
    'kitti_seq_traffic_a': (8, (1242, 375), 114278, (False, False)),
    'nyu_m3d': (3, (640, 480), None, (False, True)),
    'pjlab_road_manual': (1, (1920, 1200), 78238, (False, False)),
    'rgbd_7scenes_a': (45, (640, 480), None, (False, True)),
}


@pytest.mark.parametrize('name', REAL)
def test_real_sample(data_dir, name):
    count, (width, height), point_count, (has_sparse, has_truth) = REAL[name]
    dataset = open_folder(data_dir / name)
    assert len(dataset) == count
    sample = dataset.sample(0)
    frame = sample.frame
    assert frame.image.shape == (height, width, 3)
    assert 20 < frame.image.mean() < 235
    assert (frame.sparse_m is not None, sample.depth_gt_m is not None) == (has_sparse, has_truth)
    if point_count is None:
        assert frame.points is None
    else:
        assert frame.points.shape == (point_count, 3)
        near = np.linalg.norm(frame.points, axis=1) < 300
        assert near.mean() > 0.99
        camera_points = frame.points @ frame.T_camera_lidar[:3, :3].T + frame.T_camera_lidar[:3, 3]
        ahead = camera_points[camera_points[:, 2] > 1]
        uv = frame.camera.intrinsics.project(ahead)
        in_view = ((uv >= 0) & (uv < (width, height))).all(axis=1)
        assert in_view.sum() > 4000
        assert 4 < np.median(ahead[in_view, 2]) < 30
    for depth_m in (frame.sparse_m, sample.depth_gt_m):
        if depth_m is not None:
            measured = depth_m[depth_m > 0]
            assert 0.03 * depth_m.size < measured.size
            assert measured.min() > 0.5
            assert measured.max() < 90


def test_real_sample_without_intrinsics_lists_but_refuses(data_dir):
    dataset = open_folder(data_dir / 'arkit_promptda')
    assert (len(dataset), dataset.camera_names) == (1, ('cam',))
    with pytest.raises(DatasetError, match='cameras: cam: no K'):
        dataset.sample(0)


def test_samples_that_were_added_since_open_too(data_dir):
    """Whatever lies beside those above: depth of the first frame is what a sensor can measure."""
    found = {path.parent.name for path in data_dir.glob('*/calib.json')}
    for name in sorted(found - {*REAL, 'arkit_promptda'}):
        sample = open_folder(data_dir / name).sample(0)
        frame = sample.frame
        assert 10 < frame.image.mean() < 245, name
        depths_m = [
            depth_m for depth_m in (frame.sparse_m, sample.depth_gt_m) if depth_m is not None
        ]
        if frame.points is not None:
            rectified = frame.camera.rectified
            depths_m.append(project_lidar(frame.points, frame.T_camera_lidar, rectified))
        assert depths_m, name
        for depth_m in depths_m:
            measured_m = depth_m[depth_m > 0]
            assert measured_m.size > 1000, name
            assert 0.2 < np.median(measured_m) < 40, name


def test_real_depth_edges_lie_on_colour_edges_only_when_registered(data_dir):
    """Depth steps must coincide with image gradients better after registration than before."""
    dataset = open_folder(data_dir / 'rgbd_7scenes_a')
    stored_scores, registered_scores = [], []
    for index in (0, 10, 20, 30, 40):
        sample = dataset.sample(index)
        frame_id = sample.name.removeprefix('cam_')
        stored = cv2.imread(
            str(data_dir / 'rgbd_7scenes_a' / f'frame-{frame_id}.depth.png'), cv2.IMREAD_UNCHANGED
        )
        stored_m = np.where(stored == 65535, 0, stored).astype(np.float32) / 1000
        stored_scores.append(gradient_at_steps(sample.frame.image, stored_m))
        registered_scores.append(gradient_at_steps(sample.frame.image, sample.depth_gt_m))
    assert np.mean(registered_scores) > 1.2 * np.mean(stored_scores)


def gradient_at_steps(image, depth_m):
    """Mean image gradient at depth steps over its mean everywhere."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    far, near = cv2.dilate(depth_m, None), cv2.erode(depth_m, np.ones((3, 3), np.uint8))
    steps = (near > 0) & (far - near > 0.1)
    return gradient[steps].mean() / gradient.mean()
