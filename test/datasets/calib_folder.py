"""A small folder with a `calib.json`: two cameras, and two frames, one of which has it all."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import cv2
import numpy as np

K = [[10.0, 0, 3.5], [0, 11.0, 1.5], [0, 0, 1]]
T_LEFT = [[0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]]
T_CAPTURE = [[0, -1, 0, 0.5], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]]
POINTS = np.array([[5, 0, 1], [6, 1, -1]], np.float32)
SIZE = {'width': 8, 'height': 4}


def calibration():
    camera = {**SIZE, 'model': 'pinhole', 'rectified': True, 'K': K, 'D': []}
    content = {
        'cameras': {
            'left': {**camera, 'T_cam_lidar': T_LEFT},
            'right': {**camera, 'T_cam_lidar': None},
        },
        'lidar': {'format': 'bin_f32', 'fields': ['x', 'y', 'z']},
        'depth': {'encoding': 'uint16 png', 'scale': 0.001, 'invalid': 0, 'invalid_also': 65535},
        'frames': [
            {
                'id': 'a',
                't': 0.3,
                't_lidar': 0.29,
                'images': {'left': 'left/a.png'},
                'lidar': 'a.bin',
                'sparse_depth': {'left': 'sparse.png'},
                'depth_gt': {'left': 'gt.png'},
            },
            {'id': 'b', 't': 0.4, 'images': {'right': 'right.png', 'left': 'left/b.png'}},
        ],
    }
    return copy.deepcopy(content)  # tests alter it


def write_folder(root: Path, content) -> Path:
    (root / 'left').mkdir(exist_ok=True)
    colour = np.zeros((4, 8, 3), np.uint8)
    colour[..., 0] = 200  # OpenCV's order: blue
    for name in ('left/a.png', 'left/b.png'):
        cv2.imwrite(str(root / name), colour)
    cv2.imwrite(str(root / 'right.png'), np.full((4, 8), 77, np.uint8))
    depth = np.zeros((4, 8), np.uint16)
    depth[1, 2], depth[3, 7] = 2500, 65535
    cv2.imwrite(str(root / 'sparse.png'), depth)
    depth[0, 0] = 1
    cv2.imwrite(str(root / 'gt.png'), depth)
    POINTS.tofile(root / 'a.bin')
    (root / 'calib.json').write_text(json.dumps(content))
    return root


def change(*keys, to=None, drop=False):
    def apply(content):
        *path, last = keys
        for key in path:
            content = content[key]
        if drop:
            del content[last]
        else:
            content[last] = to

    return apply
