"""The real sets of $DEPTH_ROS_DATA, and which of them constants may be fitted on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

ROOT = Path(os.environ.get('DEPTH_ROS_DATA') or Path(__file__).resolve().parents[2] / 'shared')
FIT = (
    *('kitti_dc_drive0001', 'kitti_dc_m3d', 'kitti_obj_0926_a', 'kitti_obj_000001'),
    *('pjlab_road_manual', 'ddad_scene01', 'nyu_m3d', 'rgbd_7scenes_a', 'rgbd_icl_living'),
    'rgbd_arc_bin',
)
"""Constants and choices may come from these, and from simulation."""
JUDGE = (
    *('kitti_gt_0926_0009', 'kitti_gt_0930_0016', 'kitti_odo00_1003_0027', 'kitti_obj_0929'),
    *('kitti_obj_000004', 'kitti_seq_traffic_a', 'pjlab_road_auto3', 'acfr_vlp16_lab'),
    *('rgbd_nyu_a', 'rgbd_tum_fr3', 'rgbd_redwood_lr', 'rgbd_graspnet'),
)
"""Claims come from these."""


def part_of(name: str) -> str:
    """`fit` or `judge`."""
    return 'fit' if name in FIT else 'judge'


def spread(of: int, images: int) -> list[int]:
    """So many places of a sequence, or all, spread over it."""
    return [int(place) for place in np.linspace(0, of - 1, min(images, of)).round()]
