"""Rigid transforms as (4, 4) matrices named T_<to>_<from>: `p_to = T_to_from @ p_from`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from depth_ros.errors import GeometryError
from depth_ros.frame import Float64


def as_transform(matrix: npt.ArrayLike, name: str = 'transform') -> Float64:
    """Check a rigid transform and return it as (4, 4) float64.

    Accepts (4, 4) or (3, 4). Rotations that deviate from orthonormal by more than 1e-3 (a
    rounded text file stays below) are refused; smaller deviations are projected onto SO(3).

    Raises:
        GeometryError: wrong shape, not finite, or not a rigid transform.
    """
    given = np.asarray(matrix, dtype=np.float64)
    if given.shape in ((16,), (12,)):  # row by row
        given = given.reshape(-1, 4)
    if given.shape not in ((4, 4), (3, 4)):
        raise GeometryError(f'{name} must be (4, 4) or (3, 4), got {given.shape}.')
    if not np.isfinite(given).all():
        raise GeometryError(f'{name} must be finite, got {given.tolist()}.')
    if given.shape == (4, 4) and not np.allclose(given[3], (0, 0, 0, 1), atol=1e-9):
        is_turned = bool(np.allclose(given[:3, 3], 0) and given[3, 3] == 1)
        hint = ' It looks transposed: the translation belongs into the last column.' * is_turned
        raise GeometryError(
            f'The last row of {name} must be 0 0 0 1, got {given[3].tolist()}.{hint}'
        )
    rotation = given[:3, :3]
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise GeometryError(
            f'The rotation of {name} is not a rotation{_why_no_rotation(rotation)}: '
            f'{rotation.tolist()}.'
        )
    left, _, right = np.linalg.svd(rotation)
    transform = np.eye(4)
    transform[:3, :3] = left @ right
    transform[:3, 3] = given[:3, 3]
    return transform


def _why_no_rotation(matrix: Float64) -> str:
    """What a (3, 3) matrix is instead, with the way out, as far as it shows."""
    scale = float(np.cbrt(abs(np.linalg.det(matrix))))
    if scale == 0 or not np.allclose(matrix @ matrix.T, scale**2 * np.eye(3), atol=0.1 * scale**2):
        return ''
    if np.linalg.det(matrix) < 0:
        return ' but a mirror image, with an axis turned round'
    if abs(scale - 1) > 0.02:
        return f' but one times a scale of {scale:.4g}; divide it by that'
    return ', to a thousandth; give it with four digits at least'


def from_translation_quat(translation: npt.ArrayLike, quat_xyzw: npt.ArrayLike) -> Float64:
    """Transform of `p_to = R(quat) p_from + translation`; quaternion order x, y, z, w.

    Raises:
        GeometryError: wrong lengths, not finite, or |quat| further than 1e-3 from 1.
    """
    t = np.asarray(translation, dtype=np.float64)
    q = np.asarray(quat_xyzw, dtype=np.float64)
    if t.shape != (3,) or q.shape != (4,):
        raise GeometryError(f'Wanted 3 and 4 numbers, got {t.tolist()} and {q.tolist()}.')
    if not (np.isfinite(t).all() and np.isfinite(q).all()):
        raise GeometryError(f'Transform must be finite, got {t.tolist()} and {q.tolist()}.')
    norm = float(np.linalg.norm(q))
    if abs(norm - 1.0) > 1e-3:
        raise GeometryError(
            f'quat_xyzw must have norm 1, got {norm:.6g} for {q.tolist()} (order is x y z w).'
        )
    x, y, z, w = q / norm
    transform = np.eye(4)
    transform[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    transform[:3, 3] = t
    return transform


def to_translation_quat(transform: Float64) -> tuple[Float64, Float64]:
    """Translation (3,) and quaternion x, y, z, w (4,), w >= 0, of a rigid transform.

    Source: Shepperd, "Quaternion from rotation matrix", J. Guidance and Control 1978: divide
    by the largest of the four components, so that no case is badly conditioned.
    """
    r = transform[:3, :3]
    trace = np.trace(r)
    squares = np.array([r[0, 0], r[1, 1], r[2, 2], trace]) * 2 + 1 - trace
    squares[3] = 1 + trace
    largest = int(np.argmax(squares))
    q = np.empty(4)
    if largest == 3:
        q[:] = (r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + trace)
    else:
        i, j, k = largest, (largest + 1) % 3, (largest + 2) % 3
        q[i] = 1 - trace + 2 * r[i, i]
        q[j] = r[j, i] + r[i, j]
        q[k] = r[k, i] + r[i, k]
        q[3] = r[k, j] - r[j, k]
    q /= np.linalg.norm(q)
    return transform[:3, 3].copy(), q if q[3] >= 0 else -q


def inverse(transform: Float64) -> Float64:
    """Inverse of a rigid transform: T_from_to of T_to_from."""
    result = np.eye(4)
    result[:3, :3] = transform[:3, :3].T
    result[:3, 3] = -transform[:3, :3].T @ transform[:3, 3]
    return result


def apply(
    transform: npt.NDArray[np.floating], points: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """Points (N, 3) moved by a transform, in the dtype of the points."""
    rotation = transform[:3, :3].astype(points.dtype)
    return points @ rotation.T + transform[:3, 3].astype(points.dtype)
