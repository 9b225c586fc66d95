"""IP-Basic against its description carried out step by step, and against published accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.datasets.folder import open_folder
from depth_ros.errors import MethodError
from depth_ros.evaluation.metrics import mae_mm, rmse_mm
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods.ip_basic import IpBasic, fill


def windows(image, size, outside):
    """(H, W, size, size): what lies around each pixel."""
    if outside == 'mirror':
        padded = np.pad(image, size // 2, mode='reflect')
    elif outside == 'edge':
        padded = np.pad(image, size // 2, mode='edge')
    else:
        padded = np.pad(image, size // 2, constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size))


def dilate(image, kernel):
    around = windows(image, len(kernel), -np.inf)
    return np.where(kernel, around, -np.inf).max(axis=(2, 3))


def described_steps(sparse_m):
    """The published order of steps, pixel by pixel where it is not a plain window operation."""
    # 1: invert valid depths, so that the near ones are large.
    d = np.where(sparse_m > 0.1, 100.0 - sparse_m.astype(float), 0.0)
    # 2: dilate with a 5x5 diamond.
    offset = np.abs(np.arange(-2, 3))
    d = dilate(d, offset[:, None] + offset <= 2)
    # 3: close small holes, 5x5.
    d = windows(dilate(d, np.ones((5, 5), bool)), 5, np.inf).min(axis=(2, 3))
    # 4: fill the empty ones by a 7x7 dilation.
    d = np.where(d < 0.1, dilate(d, np.ones((7, 7), bool)), d)
    # 5: extend the highest value of each column to the top, fill large holes.
    for column in d.T:
        valid = np.flatnonzero(column > 0.1)
        if valid.size:
            column[: valid[0]] = column[valid[0]]
    d = np.where(d < 0.1, dilate(d, np.ones((31, 31), bool)), d)
    # 6: median 5x5.
    d = np.median(windows(d, 5, 'edge'), axis=(2, 3))
    # 7: Gaussian 5x5 on the valid ones; OpenCV's weights for this size are binomial.
    binomial = np.array([1, 4, 6, 4, 1]) / 16
    blurred = np.einsum('hwij,i,j->hw', windows(d, 5, 'mirror'), binomial, binomial)
    d = np.where(d > 0.1, blurred, d)
    # 8: invert back.
    return np.where(d > 0.1, 100.0 - d, 0.0)


@pytest.mark.parametrize('returns', [12, 150, 900])
def test_fill_is_the_published_sequence_of_steps(returns):
    rng = np.random.default_rng(returns)
    sparse_m = np.zeros((48, 70), np.float32)
    sparse_m.flat[rng.choice(sparse_m.size // 2, returns, replace=False) + sparse_m.size // 3] = (
        rng.uniform(2, 80, returns)
    )
    filled_m = fill(sparse_m)
    assert filled_m.dtype == np.float32
    assert np.abs(filled_m - described_steps(sparse_m)).max() < 1e-3


def test_far_reaches_stay_empty_and_become_nan():
    sparse_m = np.zeros((60, 200), np.float32)
    sparse_m[50, 5] = 10.0
    assert (fill(sparse_m)[:, 100:] == 0).all()
    pinhole = Intrinsics(200, 60, fx=100.0, fy=100.0, cx=100.0, cy=30.0)
    estimate = IpBasic().estimate(CameraView(np.zeros((60, 200, 3), np.uint8), sparse_m, pinhole))
    assert np.isnan(estimate.depth_m[:, 100:]).all()
    assert np.isnan(estimate.sigma_m[:, 100:]).all()
    assert np.median(estimate.depth_m[estimate.valid]) == 10.0


def test_nothing_to_fill_is_refused():
    pinhole = Intrinsics(20, 10, fx=10.0, fy=10.0, cx=10.0, cy=5.0)
    empty = CameraView(np.zeros((10, 20, 3), np.uint8), np.zeros((10, 20), np.float32), pinhole)
    with pytest.raises(MethodError, match='ip_basic needs LiDAR returns in the image, got none'):
        IpBasic().estimate(empty)


def test_published_accuracy_on_kitti_is_reproduced(data_dir):
    """The authors' own code scores RMSE 1048 mm and MAE 267 mm on these 24 images."""
    dataset = open_folder(data_dir / 'kitti_dc_drive0001')
    scores = []
    for index in range(len(dataset)):
        sample = dataset.sample(index)
        filled_m = fill(sample.frame.sparse_m)
        scores.append((rmse_mm(filled_m, sample.depth_gt_m), mae_mm(filled_m, sample.depth_gt_m)))
    assert np.mean(scores, axis=0) == pytest.approx((1048, 267), rel=0.03)
