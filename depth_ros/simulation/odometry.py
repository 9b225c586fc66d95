"""Odometry of a rig that drifts, as that of wheels or of a camera does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64
from depth_ros.geometry import transforms
from depth_ros.simulation.trajectory import Trajectory


def drifting(
    trajectory: Trajectory,
    time_s: npt.ArrayLike,
    rng: np.random.Generator,
    scale: float = 0.01,
    walk_m: float = 0.01,
    walk_deg: float = 0.1,
) -> Float64:
    """T_odom_rig (N, 4, 4) at rising times (N,); the first is where the rig truly is.

    Steps between two times are measured with errors that add up, and are never known: every
    length is too long or too short by the same share, and position and heading wander.

    Args:
        trajectory: the true way.
        time_s: when the odometry is read.
        rng: decides the errors.
        scale: one sigma of the share by which lengths are wrong.
        walk_m: one sigma of the position after 1 m, which grows with the square root of the way.
        walk_deg: one sigma of the heading after 1 m, likewise.
    """
    true = trajectory.poses(time_s)
    wrong = 1 + scale * rng.standard_normal()
    odometry = true.copy()
    for i in range(1, len(true)):
        step = np.linalg.inv(true[i - 1]) @ true[i]
        way_m = float(np.linalg.norm(step[:3, 3]))
        step[:3, 3] = wrong * step[:3, 3]
        step[:2, 3] += walk_m * np.sqrt(way_m) * rng.standard_normal(2)
        half = np.radians(walk_deg) * np.sqrt(way_m) * rng.standard_normal() / 2
        quat = (0.0, 0.0, np.sin(half), np.cos(half))
        odometry[i] = odometry[i - 1] @ step @ transforms.from_translation_quat((0, 0, 0), quat)
    return odometry
