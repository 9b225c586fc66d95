"""Pinhole and calibrated camera: values by hand, round trips, and what OpenCV does to images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import DISTORTION_SIZES, Camera, Intrinsics, read_lens

PINHOLE = Intrinsics(640, 480, fx=500.0, fy=400.0, cx=320.0, cy=240.0)


def test_projection_by_hand():
    points = np.array([[0.0, 0.0, 7.0], [1.0, -2.0, 4.0]])
    # 1 / 4 * 500 + 320 = 445, -2 / 4 * 400 + 240 = 40
    assert PINHOLE.project(points).tolist() == [[320.0, 240.0], [445.0, 40.0]]


def test_unprojection_by_hand():
    pixels, depth_m = np.array([[[320.0, 240.0], [420.0, 140.0]]]), np.array([[3.0, 2.0]])
    # (420 - 320) / 500 * 2 = 0.4, (140 - 240) / 400 * 2 = -0.5
    assert np.allclose(
        PINHOLE.unproject(pixels, depth_m), [[[0.0, 0.0, 3.0], [0.4, -0.5, 2.0]]], rtol=1e-14
    )


@given(
    u=st.floats(-100, 2000), v=st.floats(-100, 2000), depth_m=st.floats(0.1, 300),
    fx=st.floats(50, 3000), fy=st.floats(50, 3000), cx=st.floats(0, 1500), cy=st.floats(0, 1500),
)  # fmt: skip
def test_project_undoes_unproject(u, v, depth_m, fx, fy, cx, cy):
    pinhole = Intrinsics(1500, 1500, fx, fy, cx, cy)
    point = pinhole.unproject(np.array([u, v]), np.array(depth_m))
    assert point[2] == depth_m
    assert np.allclose(pinhole.project(point), (u, v), rtol=0, atol=1e-9 * (1 + abs(u) + abs(v)))


def test_matrix_round_trip():
    assert np.array_equal(PINHOLE.matrix, [[500, 0, 320], [0, 400, 240], [0, 0, 1]])
    assert Intrinsics.from_matrix(PINHOLE.matrix, 640, 480) == PINHOLE
    P = np.column_stack((PINHOLE.matrix, (-40.0, 0.0, 0.0)))  # of the right camera of a stereo rig
    assert Intrinsics.from_matrix(P, 640, 480) == PINHOLE


@pytest.mark.parametrize(('width', 'height'), [(320, 240), (160, 160), (213, 77), (1280, 1440)])
def test_resized_follows_what_cv2_resize_does_to_a_blob(width, height):
    """The ray through a blob's centre stays the ray through its centre."""
    u, v = np.meshgrid(np.arange(640), np.arange(480))
    blob = np.exp(-((u - 400.3) ** 2 + (v - 121.6) ** 2) / (2 * 20**2)).astype(np.float32)
    kind = cv2.INTER_AREA if width < 640 else cv2.INTER_LINEAR
    small = cv2.resize(blob, (width, height), interpolation=kind)
    rows, columns = np.mgrid[:height, :width]
    centre = np.array([(small * columns).sum(), (small * rows).sum()]) / small.sum()
    resized = PINHOLE.resized(width, height)
    assert (resized.width, resized.height) == (width, height)
    ray = resized.unproject(centre, np.array(1.0))
    assert np.allclose(PINHOLE.project(ray), (400.3, 121.6), atol=0.02)


def test_resized_keeps_the_corners_of_the_image():
    small = PINHOLE.resized(64, 24)
    corners = PINHOLE.unproject(np.array([[-0.5, -0.5], [639.5, 479.5]]), np.ones(2))
    assert np.allclose(small.project(corners), [[-0.5, -0.5], [63.5, 23.5]])


def test_resized_and_back_is_the_same():
    again = PINHOLE.resized(211, 97).resized(640, 480)
    assert np.allclose(again.matrix, PINHOLE.matrix, rtol=1e-14)


def test_cropped_shifts_pixels():
    window = PINHOLE.cropped(100, 30, 200, 150)
    assert window == Intrinsics(200, 150, 500.0, 400.0, 220.0, 210.0)
    point = np.array([0.3, -0.2, 5.0])
    assert np.allclose(window.project(point), PINHOLE.project(point) - (100, 30))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'width': 0}, r'0x480; is the camera publishing a calibrated CameraInfo\?'),
        ({'height': -1}, '640x-1'),
        ({'fx': 0.0}, 'fx=0.0.*K = 0 means an uncalibrated camera'),
        ({'fy': -400.0}, 'fy=-400.0'),
        ({'fx': float('nan')}, 'must be finite, got .*fx=nan'),
        ({'cy': float('inf')}, 'must be finite, got .*cy=inf'),
    ],
)
def test_degenerate_intrinsics_are_refused(change, message):
    values = {'width': 640, 'height': 480, 'fx': 500.0, 'fy': 400.0, 'cx': 320.0, 'cy': 240.0}
    with pytest.raises(GeometryError, match=message):
        Intrinsics(**(values | change))


@pytest.mark.parametrize(
    ('matrix', 'message'),
    [
        (np.zeros((3, 3)), 'uncalibrated'),
        (np.full((3, 3), np.nan), 'finite'),
        ([[500, 0.5, 320], [0, 500, 240], [0, 0, 1]], 'skew 0.5; rectify the image first'),
        ([[500, 0, 0], [0, 500, 0], [320, 240, 1]], 'is it transposed'),
        (np.eye(4), r'must be \(3, 3\) or \(3, 4\), got \(4, 4\)'),
        (np.ones(8), r'got \(8,\)'),
    ],
)
def test_degenerate_matrix_is_refused(matrix, message):
    with pytest.raises(GeometryError, match=message):
        Intrinsics.from_matrix(matrix, 640, 480)


def test_rectified_pinhole_is_the_raw_one_unless_given():
    assert Camera(PINHOLE).rectified is PINHOLE
    other = PINHOLE.resized(320, 240)
    assert Camera(PINHOLE, rectified=other).rectified is other


@pytest.mark.parametrize(
    ('camera', 'expected'),
    [
        (Camera(PINHOLE), True),
        (Camera(PINHOLE, 'plumb_bob', (0.0,) * 5), True),
        (Camera(PINHOLE, 'plumb_bob', (0.1, 0.0, 0.0, 0.0)), False),
        (Camera(PINHOLE, rectified=PINHOLE.cropped(1, 0, 640, 480)), False),
        # Kannala-Brandt with D = 0 is an equidistant fisheye, no pinhole.
        (Camera(PINHOLE, 'equidistant', (0.0,) * 4), False),
    ],
)
def test_what_counts_as_rectified(camera, expected):
    assert camera.is_rectified is expected


@pytest.mark.parametrize('model', sorted(DISTORTION_SIZES))
def test_number_of_coefficients_is_checked(model):
    for count in range(15):
        if count in DISTORTION_SIZES[model]:
            assert len(Camera(PINHOLE, model, (0.01,) * count).D) == count
        else:
            with pytest.raises(
                GeometryError, match=rf'{model} takes .* coefficients, got {count}'
            ):
                Camera(PINHOLE, model, (0.01,) * count)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'distortion_model': 'omni'}, "Unknown distortion model 'omni'; known are .*plumb_bob"),
        ({'distortion_model': 'plumb_bob', 'D': (float('nan'),) * 5}, 'must be finite'),
        ({'R_rect': (2.0, 0, 0, 0, 1, 0, 0, 0, 1)}, 'R_rect must be a rotation'),
        ({'R_rect': (1.0, 0, 0, 0, 1, 0, 0, 0, -1)}, 'R_rect must be a rotation'),
        ({'R_rect': (1.0, 0, 0)}, 'R_rect must be a rotation of 9 numbers'),
    ],
)
def test_contradictory_camera_is_refused(arguments, message):
    with pytest.raises(GeometryError, match=message):
        Camera(PINHOLE, **arguments)


BROWN8 = (-0.03, 0.035, -1e-4, 2e-4, -0.012, 0.1, 0.2, 0.3)
FISH = (0.1, -0.02, 0.003, -0.004)


@pytest.mark.parametrize(
    ('model', 'D', 'read'),
    [
        ('plumb_bob', BROWN8[:5], ('plumb_bob', BROWN8[:5])),
        ('plumb_bob', BROWN8, ('rational_polynomial', BROWN8)),
        ('plumb_bob', (*BROWN8[:5], 0, 0, 0), ('plumb_bob', BROWN8[:5])),
        ('plumb_bob', (*BROWN8, 0, 0, 0, 0), ('rational_polynomial', BROWN8)),
        ('plumb_bob', (*BROWN8, 0, 0), ('rational_polynomial', BROWN8)),
        ('plumb_bob', (*BROWN8, *(0,) * 12), ('rational_polynomial', BROWN8)),
        ('rational_polynomial', BROWN8[:5], ('plumb_bob', BROWN8[:5])),
        ('rational_polynomial', (), ('none', ())),
        ('rational_polynomial', (0,) * 5, ('none', ())),
        ('PLUMB BOB', BROWN8[:5], ('plumb_bob', BROWN8[:5])),
        ('radtan', BROWN8[:4], ('plumb_bob', BROWN8[:4])),
        ('Brown-Conrady', BROWN8[:5], ('plumb_bob', BROWN8[:5])),
        ('', BROWN8[:5], ('plumb_bob', BROWN8[:5])),
        ('', (*BROWN8[:4], 0, 0), ('plumb_bob', (*BROWN8[:4], 0))),
        ('', BROWN8, ('rational_polynomial', BROWN8)),
        ('equidistant', FISH, ('equidistant', FISH)),
        ('equidistant', (*FISH, 0), ('equidistant', FISH)),
        ('equidistant', (*FISH, 0, 0, 0, 0), ('equidistant', FISH)),
        ('equidistant', (0,) * 4, ('equidistant', (0,) * 4)),
        ('equidistant', (0,) * 5, ('none', ())),
        ('Kannala Brandt4', FISH, ('equidistant', FISH)),
        ('equi', FISH, ('equidistant', FISH)),
        ('pinhole', (0,) * 5, ('none', ())),
        ('anything', (0,) * 7, ('none', ())),
        ('plumb_bob', (0,) * 14, ('none', ())),
    ],
)
def test_a_lens_is_what_its_name_and_its_coefficients_leave_as_one_reading(model, D, read):
    assert read_lens(model, D) == read
    Camera(PINHOLE, *read_lens(model, D))


@pytest.mark.parametrize(
    ('model', 'D', 'named'),
    [
        ('equidistant', (*FISH, 0.1), 'equidistant 4'),
        ('equidistant', BROWN8, 'equidistant 4'),
        ('plumb_bob', BROWN8[:2], 'plumb_bob takes 4 or 5'),
        ('plumb_bob', BROWN8[:6], 'rational_polynomial 8, 12 or 14'),
        ('plumb_bob', BROWN8[:5] * 2, 'with 10 coefficients'),
        ('plumb_bob', (-0.03, 0.035, 0, 0, 0) * 2, 'with 10 coefficients'),  # filled in twice
        ('', FISH, 'no one reading'),
        ('equidistant', (), 'with 0 coefficients'),
        ('mei', (), "'mei' is unknown"),
        ('pinhole', BROWN8[:5], 'name the lens'),
        ('thin_prism_fisheye', (0.1,) * 8, "'thin_prism_fisheye' is unknown"),
    ],
)
def test_a_lens_with_no_reading_or_two_is_refused(model, D, named):
    with pytest.raises(GeometryError, match=named):
        read_lens(model, D)


def test_terms_that_a_lens_lacks_are_zero():
    """Five coefficients of Brown's model and the same with zeros behind bend rays alike."""
    camera = Camera(PINHOLE, *read_lens('plumb_bob', (*BROWN8[:5], 0, 0, 0)))
    K, points = PINHOLE.matrix, np.array([[0.3, -0.2, 1.0], [-0.4, 0.3, 1.0]])
    zero = np.zeros(3)
    long, _ = cv2.projectPoints(points, zero, zero, K, np.array((*BROWN8[:5], 0, 0, 0)))
    read, _ = cv2.projectPoints(points, zero, zero, K, np.array(camera.D))
    assert np.allclose(long, read, atol=1e-9)
