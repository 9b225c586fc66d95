"""Results as KITTI's server takes them, from a tree as the official archive unpacks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.datasets.kitti import open_kitti
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.submission import write_kitti_results
from depth_ros.pipeline.config import PipelineConfig

STEMS = ('0000000000', '0000000001')


@pytest.fixture
def anonymous(tmp_path: Path) -> Path:
    """Two test images of a wall 10 m ahead, whose upper third no return reaches."""
    folder = tmp_path / 'test_depth_completion_anonymous'
    sparse = np.zeros((352, 1216), np.uint16)
    sparse[120::4, ::3] = 2560
    for stem in STEMS:
        for name, array in (
            ('image', np.full((352, 1216, 3), 90, np.uint8)),
            ('velodyne_raw', sparse),
        ):
            (folder / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / name / f'{stem}.png'), array)
        (folder / 'intrinsics').mkdir(exist_ok=True)
        (folder / 'intrinsics' / f'{stem}.txt').write_text('700 0 608 0 700 176 0 0 1')
    return folder


def test_results_are_dense_256ths_of_a_metre_under_the_names_of_the_images(anonymous, tmp_path):
    told = []
    out = tmp_path / 'results'
    config = PipelineConfig(method='guided')
    write_kitti_results(open_kitti(anonymous), config, out, lambda *step: told.append(step))
    assert sorted(path.name for path in out.iterdir()) == [f'{stem}.png' for stem in STEMS]
    stored = cv2.imread(str(out / '0000000001.png'), cv2.IMREAD_UNCHANGED)
    assert (stored.shape, stored.dtype) == ((352, 1216), np.uint16)
    assert np.abs(stored.astype(int) - 2560).max() <= 5  # above the returns, too
    assert told == [(1, 2), (2, 2)]


def test_a_result_that_cannot_be_made_leaves_no_file(anonymous, tmp_path):
    empty = np.zeros((352, 1216), np.uint16)
    cv2.imwrite(str(anonymous / 'velodyne_raw' / '0000000001.png'), empty)
    out = tmp_path / 'results'
    with pytest.raises(EvaluationError, match='image_0000000001: No LiDAR return'):
        write_kitti_results(open_kitti(anonymous), PipelineConfig(method='guided'), out)
    assert [path.name for path in out.iterdir()] == ['0000000000.png']
