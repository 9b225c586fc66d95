"""Where rigid things are, exactly, at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float64

_STEP_S = 1e-4  # half the interval over which velocities are measured


@dataclass(frozen=True)
class Trajectory:
    """A smooth way through the world (x forward, y left, z up; REP-103).

    Attributes:
        position: (N, 3) metres at times (N,) in seconds.
        angles: (N, 3) yaw, pitch (down is positive) and roll in radians at times (N,).
    """

    position: Callable[[Float64], Float64]
    angles: Callable[[Float64], Float64]

    def poses(self, time_s: npt.ArrayLike) -> Float64:
        """T_world_thing (..., 4, 4) at times (...) in seconds."""
        times = np.asarray(time_s, dtype=np.float64)
        flat = times.reshape(-1)
        angles = self.angles(flat).T
        (cy, cp, cr), (sy, sp, sr) = np.cos(angles), np.sin(angles)
        pose = np.zeros((len(flat), 4, 4))
        pose[:, 0, :3] = np.stack((cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr), 1)
        pose[:, 1, :3] = np.stack((sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr), 1)
        pose[:, 2, :3] = np.stack((-sp, cp * sr, cp * cr), 1)
        pose[:, :3, 3], pose[:, 3, 3] = self.position(flat), 1.0
        return pose.reshape(*times.shape, 4, 4)

    def velocity(self, time_s: float) -> tuple[Float64, Float64]:
        """Linear (m/s) and angular (rad/s) velocity (3,) in the frame of the thing itself."""
        before, here, after = self.poses([time_s - _STEP_S, time_s, time_s + _STEP_S])
        turn = here[:3, :3].T
        linear = turn @ (after[:3, 3] - before[:3, 3]) / (2 * _STEP_S)
        spin = turn @ ((after[:3, :3] - before[:3, :3]) / (2 * _STEP_S))
        return linear, np.array([spin[2, 1], spin[0, 2], spin[1, 0]])


Poses = Callable[[npt.ArrayLike], Float64]
"""Poses (..., 4, 4) at times (...) in seconds."""


def straight(start: npt.ArrayLike, velocity_mps: npt.ArrayLike, yaw: float = 0.0) -> Trajectory:
    """A constant velocity (3,) from a place (3,) at time 0."""
    at, along = np.asarray(start, float), np.asarray(velocity_mps, float)
    return Trajectory(
        lambda t: at + t[:, None] * along, lambda t: np.tile((yaw, 0.0, 0.0), (len(t), 1))
    )


def along(
    points: Float64, speed_mps: float, start_m: float = 0.0, closed: bool = False
) -> Trajectory:
    """A constant speed along points (N, 3) a few centimetres apart, heading where they lead.

    It is `start_m` along them at time 0; a closed way, whose last point is not the first again,
    is gone round for ever, another ends where its points do.
    """
    if closed:
        points = np.concatenate((points[-1:], points, points[:2]))
    tangent = np.gradient(points, axis=0)
    yaw = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
    pitch = -np.arctan2(tangent[:, 2], np.hypot(tangent[:, 0], tangent[:, 1]))
    rows = np.column_stack((points, yaw, pitch, 0 * yaw))
    step = np.linalg.norm(np.diff(points, axis=0), axis=1)
    far = np.concatenate(((0.0,), np.cumsum(step)))
    if closed:
        rows, far = rows[1:-1], far[1:-1] - far[1]

    def at(columns: slice) -> Callable[[Float64], Float64]:
        def values(time_s: Float64) -> Float64:
            gone = start_m + speed_mps * time_s
            gone = np.mod(gone, far[-1]) if closed else gone
            return np.stack([np.interp(gone, far, row) for row in rows[:, columns].T], axis=-1)

        return values

    return Trajectory(at(slice(3)), at(slice(3, 6)))


def still(T_world_thing: Float64) -> Poses:
    """The `poses` of what does not move."""
    return lambda time_s: np.broadcast_to(T_world_thing, (*np.shape(time_s), 4, 4))
