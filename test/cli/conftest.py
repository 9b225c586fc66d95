"""A folder small enough to run commands on."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT, F_PX = 192, 128, 160.0
CX, CY = 95.5, 63.5


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """Three frames of a grey wall 6 m ahead, square to the camera, seen by a LiDAR in its place.

    The frames have stamps of 0.0, 0.1 and 0.2 s, and exact truth in millimetres.
    """
    folder = tmp_path / 'wall'
    folder.mkdir()
    u, v = np.meshgrid(np.arange(0, WIDTH, 3.0), np.arange(0, HEIGHT, 3.0))
    points = 6.0 * np.stack(((u - CX) / F_PX, (v - CY) / F_PX, np.ones_like(u)), -1)
    points.astype(np.float32).tofile(folder / 'sweep.bin')
    cv2.imwrite(str(folder / 'image.png'), np.full((HEIGHT, WIDTH, 3), (30, 60, 90), np.uint8))
    cv2.imwrite(str(folder / 'truth.png'), np.full((HEIGHT, WIDTH), 6000, np.uint16))
    K = [[F_PX, 0.0, CX], [0.0, F_PX, CY], [0.0, 0.0, 1.0]]
    camera = {'width': WIDTH, 'height': HEIGHT, 'K': K, 'D': [], 'T_cam_lidar': np.eye(4).tolist()}
    frame = {
        'images': {'front': 'image.png'},
        'lidar': 'sweep.bin',
        'depth_gt': {'front': 'truth.png'},
    }
    calib = {
        'cameras': {'front': {'model': 'pinhole', **camera}},
        'lidar': {'format': 'bin_f32', 'fields': ['x', 'y', 'z']},
        'depth': {'encoding': 'uint16 png', 'scale': 0.001, 'invalid': 0},
        'frames': [{'id': str(index), 't': index / 10, **frame} for index in range(3)],
    }
    (folder / 'calib.json').write_text(json.dumps(calib))
    return folder
