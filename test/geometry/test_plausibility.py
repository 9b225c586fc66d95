"""Numbers that cannot be are refused; unlikely ones are suspected by name, right ones never."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.plausibility import (
    doubt_cloud,
    doubt_depth,
    doubt_extrinsic,
    doubt_intrinsics,
    doubt_quaternion,
    doubt_times,
)
from depth_ros.geometry.transforms import as_transform, inverse, to_translation_quat

# A camera that looks ahead, 10 cm before and 5 cm below the LiDAR (x forward, z up).
T = np.array([[0, -1, 0, 0], [0, 0, -1, -0.05], [1, 0, 0, -0.1], [0, 0, 0, 1.0]])
K = np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])


def test_right_numbers_are_not_suspected() -> None:
    rng = np.random.default_rng(0)
    assert doubt_cloud(rng.uniform(-80, 80, (500, 3))) == ''
    assert doubt_cloud(np.full((500, 3), np.nan)) == ''
    assert doubt_intrinsics(Intrinsics.from_matrix(K, 640, 480)) == ''
    assert doubt_intrinsics(Intrinsics(640, 480, 500, 500, 300, 150)) == ''  # cropped below
    assert doubt_extrinsic(T) == ''
    assert doubt_extrinsic(np.eye(4)) == ''  # of a depth camera beside
    assert doubt_quaternion((-0.5, 0.5, -0.5, 0.5)) == ''
    assert doubt_quaternion((0.0, 0.0, 0.0, 1.0)) == ''
    assert doubt_times([0, 10**8, 2 * 10**8, 3 * 10**8]) == ''
    assert doubt_times([5, 5, 5]) == ''
    assert doubt_depth(np.full((8, 8), 4.0)) == ''
    assert doubt_depth(np.zeros((8, 8))) == ''


def test_a_cloud_in_millimetres() -> None:
    points = np.random.default_rng(0).uniform(3000, 9000, (500, 3))
    assert 'as if coordinates were millimetres' in doubt_cloud(points)


@pytest.mark.parametrize(('width', 'height', 'scale'), [(1920, 1440, '3'), (320, 240, '0.5')])
def test_the_matrix_of_another_image_size(width: int, height: int, scale: str) -> None:
    doubt = doubt_intrinsics(Intrinsics.from_matrix(K, width, height))
    assert 'as if K were that of 640x480' in doubt
    assert doubt.endswith(f'scale fx, fy, cx and cy by {scale}.')


@pytest.mark.parametrize(('cx', 'cy'), [(0.0, 0.0), (-0.5, -0.5), (-3.0, -4.0)])
def test_a_principal_point_that_was_left_out(cx: float, cy: float) -> None:
    doubt = doubt_intrinsics(Intrinsics(640, 480, 500, 500, cx, cy))
    assert doubt.endswith('as if it had been left out; give cx and cy in pixels.')


def test_a_matrix_in_units_of_the_image_is_refused() -> None:
    normalised = np.diag((1 / 640, 1 / 480, 1)) @ K
    with pytest.raises(GeometryError, match='divided by the size of the image'):
        Intrinsics.from_matrix(normalised, 640, 480)


def test_extrinsics_turned_round_and_in_millimetres() -> None:
    assert 'as if it mapped the camera into the LiDAR' in doubt_extrinsic(inverse(T))
    far = T.copy()
    far[:3, 3] *= 1000
    assert '112 m away from the camera' in doubt_extrinsic(far)


@pytest.mark.parametrize(
    ('matrix', 'named'),
    [
        (np.diag([2, 2, 2, 1]) @ T, 'a scale of 2; divide it by that'),
        (np.diag([-1, 1, 1, 1]) @ T, 'a mirror image'),
        (np.block([[T[:3, :3].T, np.zeros((3, 1))], [T[:3, 3], 1]]), 'It looks transposed'),
        (
            [[0.01, -1.0, 0.01, 0], [0.02, -0.01, -1.0, 0], [1.0, 0.01, -0.02, 0], [0, 0, 0, 1]],
            'give it with four digits at least',
        ),
    ],
)
def test_what_is_no_transform_is_refused_with_what_it_is(matrix: object, named: str) -> None:
    with pytest.raises(GeometryError, match=named):
        as_transform(matrix)


def test_flat_matrices_are_read_row_by_row() -> None:
    assert np.array_equal(as_transform(T.ravel()), T)
    assert Intrinsics.from_matrix(K.ravel(), 640, 480) == Intrinsics.from_matrix(K, 640, 480)
    assert Intrinsics.from_matrix(K, '640', '480').width == 640  # a description in quotes


def test_a_quaternion_that_begins_with_w() -> None:
    # A camera that looks to the left; of one that looks ahead both orders are the same rotation.
    turned = T @ np.array([[0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    x, y, z, w = (float(part) for part in to_translation_quat(turned)[1])
    assert doubt_quaternion((x, y, z, w)) == ''
    assert 'if its order were w, x, y, z' in doubt_quaternion((w, x, y, z))


@pytest.mark.parametrize(
    ('factor', 'unit'), [(10**3, 'milliseconds'), (10**6, 'microseconds'), (10**9, 'nanoseconds')]
)
def test_times_in_parts_of_a_second(factor: int, unit: str) -> None:
    assert f'as if their times were {unit}' in doubt_times([i * 10**8 * factor for i in range(4)])


@pytest.mark.parametrize(('factor', 'word'), [(1000, 'beyond'), (0.001, 'within')])
def test_a_scale_of_depth_that_is_a_thousand_times_off(factor: float, word: str) -> None:
    assert f'{word} {4 * factor:g} m' in doubt_depth(np.full((8, 8), 4.0) * factor)
