"""Rigid transforms: values by hand, OpenCV's Rodrigues as an oracle, round trips, refusals."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from depth_ros.errors import GeometryError
from depth_ros.geometry.transforms import (
    apply,
    as_transform,
    from_translation_quat,
    inverse,
    to_translation_quat,
)

HALF = np.sqrt(0.5)
numbers = st.floats(-1, 1)
translations = st.tuples(*[st.floats(-100, 100)] * 3)


@st.composite
def unit_quaternions(draw):
    q = np.array(draw(st.tuples(numbers, numbers, numbers, numbers)))
    assume(np.linalg.norm(q) > 1e-3)
    return q / np.linalg.norm(q)


@pytest.mark.parametrize(
    ('quat_xyzw', 'moved'),
    [
        ((0, 0, 0, 1), (1, 2, 3)),
        ((HALF, 0, 0, HALF), (1, -3, 2)),  # 90 deg about x: y -> z, z -> -y
        ((0, HALF, 0, HALF), (3, 2, -1)),  # about y: z -> x, x -> -z
        ((0, 0, HALF, HALF), (-2, 1, 3)),  # about z: x -> y, y -> -x
        ((1, 0, 0, 0), (1, -2, -3)),  # w last: this is a half turn, not the identity
    ],
)
def test_quaternion_order_is_x_y_z_w(quat_xyzw, moved):
    transform = from_translation_quat((10, 20, 30), quat_xyzw)
    assert np.allclose(transform @ (1, 2, 3, 1), (*np.add(moved, (10, 20, 30)), 1))


def test_optical_frame_from_body_frame():
    """REP-103: x forward, y left, z up of a body is z, -x, -y of its camera."""
    T_optical_body = from_translation_quat((0, 0, 0), (0.5, -0.5, 0.5, 0.5))
    assert np.allclose(T_optical_body[:3, :3], [[0, -1, 0], [0, 0, -1], [1, 0, 0]])


@given(q=unit_quaternions(), t=translations)
def test_rotation_equals_rodrigues(q, t):
    axis, sine = q[:3], np.linalg.norm(q[:3])
    assume(sine > 1e-6)
    rotation, _ = cv2.Rodrigues(axis / sine * 2 * np.arctan2(sine, q[3]))
    assert np.allclose(from_translation_quat(t, q)[:3, :3], rotation, atol=1e-9)


@given(q=unit_quaternions(), t=translations)
def test_quaternion_round_trip(q, t):
    translation, quat_xyzw = to_translation_quat(from_translation_quat(t, q))
    assert translation.tolist() == list(t)
    assert quat_xyzw[3] >= 0
    assert np.isclose(np.linalg.norm(quat_xyzw), 1)
    assert abs(quat_xyzw @ q) > 1 - 1e-12  # q and -q are one rotation


@pytest.mark.parametrize('axis', [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0, 0.8)])
@pytest.mark.parametrize('angle', [np.pi, np.pi - 1e-7, 1e-9])
def test_quaternion_of_half_turns_and_tiny_ones_is_exact(axis, angle):
    q = np.array([*np.multiply(axis, np.sin(angle / 2)), np.cos(angle / 2)])
    _, found = to_translation_quat(from_translation_quat((0, 0, 0), q))
    assert np.allclose(found * np.sign(found @ q), q, atol=1e-14)


@given(q=unit_quaternions(), t=translations)
def test_inverse_undoes(q, t):
    transform = from_translation_quat(t, q)
    assert np.allclose(inverse(transform) @ transform, np.eye(4), atol=1e-9)
    assert np.allclose(inverse(transform), np.linalg.inv(transform), atol=1e-9)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_apply_is_the_matrix_product_in_the_type_of_the_points(dtype):
    T_b_a = from_translation_quat((1, 2, 3), (0.1, 0.7, -0.1, 0.7))
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    moved = apply(T_b_a, points)
    assert moved.dtype == dtype
    homogeneous = np.column_stack((points, np.ones(50)))
    assert np.allclose(moved, (homogeneous @ T_b_a.T)[:, :3], atol=1e-5)


def test_chain_of_transforms_reads_from_right_to_left():
    T_b_a = from_translation_quat((1, 0, 0), (0, 0, HALF, HALF))
    T_c_b = from_translation_quat((0, 0, 5), (HALF, 0, 0, HALF))
    points = np.array([[1.0, 2.0, 3.0]])
    assert np.allclose(apply(T_c_b @ T_b_a, points), apply(T_c_b, apply(T_b_a, points)))


def test_rounded_rotation_becomes_a_true_one():
    exact = from_translation_quat((4, 5, 6), np.array([0.1, 0.2, 0.3, 0.9]) / np.sqrt(0.95))
    rounded = np.round(exact, 4)  # as in a calibration text file
    transform = as_transform(rounded[:3])
    assert np.allclose(transform, exact, atol=1e-4)
    assert np.allclose(transform[:3, :3] @ transform[:3, :3].T, np.eye(3), atol=1e-14)
    assert np.isclose(np.linalg.det(transform), 1)
    assert transform[3].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ('matrix', 'message'),
    [
        (np.eye(3), r'T_camera_lidar must be \(4, 4\) or \(3, 4\), got \(3, 3\)'),
        (np.full((4, 4), np.nan), 'T_camera_lidar must be finite'),
        (np.diag((1, 1, 1, 2)), 'last row of T_camera_lidar must be 0 0 0 1'),
        (np.diag((1, 1, -1, 1)), 'not a rotation'),  # a mirror
        (np.diag((1.01, 1.01, 1.01, 1)), 'not a rotation'),  # millimetres or a scale
        (np.zeros((3, 4)), 'not a rotation'),
    ],
)
def test_matrix_that_is_no_rigid_transform_is_refused(matrix, message):
    with pytest.raises(GeometryError, match=message):
        as_transform(matrix, 'T_camera_lidar')


@pytest.mark.parametrize(
    ('translation', 'quat_xyzw', 'message'),
    [
        ((0, 0), (0, 0, 0, 1), 'Wanted 3 and 4 numbers'),
        ((0, 0, 0), (0, 0, 0), 'Wanted 3 and 4 numbers'),
        ((0, 0, 0), (0, 0, 0, 0), r'norm 1, got 0 .*order is x y z w'),
        ((0, 0, 0), (0, 0, 0, 1.01), 'norm 1, got 1.01'),
        ((0, 0, float('nan')), (0, 0, 0, 1), 'must be finite'),
        ((0, 0, 0), (0, 0, 0, float('inf')), 'must be finite'),
    ],
)
def test_bad_translation_or_quaternion_is_refused(translation, quat_xyzw, message):
    with pytest.raises(GeometryError, match=message):
        from_translation_quat(translation, quat_xyzw)
