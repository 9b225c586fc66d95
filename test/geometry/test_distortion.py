"""Lens models: their formulas written out, round trips, and images that come out straight."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from depth_ros.errors import FrameError
from depth_ros.geometry import distortion
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import (
    distort_pixels,
    rectify_image,
    seen_mask,
    undistort_pixels,
)

RAW = Intrinsics(640, 400, fx=420.0, fy=430.0, cx=310.0, cy=205.0)
RECT = Intrinsics(600, 380, fx=350.0, fy=350.0, cx=300.0, cy=190.0)
RATIONAL = (0.9, 0.3, 0.001, -0.002, 0.05, 1.2, 0.5, 0.1)
# 0.04 rad about y, then 0.02 about z: R z of the camera = (-sin 0.04, 0, cos 0.04) is turned, too.
_C, _S = np.cos([0.04, 0.02]), np.sin([0.04, 0.02])
TURN = tuple(
    np.ravel(
        np.array([[_C[1], -_S[1], 0], [_S[1], _C[1], 0], [0, 0, 1]])
        @ np.array([[_C[0], 0, -_S[0]], [0, 1, 0], [_S[0], 0, _C[0]]])
    ).tolist()
)
CAMERAS = {
    'plumb_bob 4': Camera(RAW, 'plumb_bob', (-0.28, 0.09, 0.001, -0.002)),
    'plumb_bob 5': Camera(RAW, 'plumb_bob', (-0.28, 0.09, 0.001, -0.002, -0.01), RECT),
    'rational 8': Camera(RAW, 'rational_polynomial', RATIONAL, RECT),
    'rational 12': Camera(RAW, 'rational_polynomial', (*RATIONAL, 1e-3, 2e-4, -1e-3, 1e-4)),
    'equidistant': Camera(RAW, 'equidistant', (0.05, -0.01, 0.003, -0.001), RECT),
    'none, other pinhole': Camera(RAW, rectified=RECT),
    'turned': Camera(RAW, 'plumb_bob', (-0.28, 0.09, 0.001, -0.002), RECT, TURN),
    'turned equidistant': Camera(RAW, 'equidistant', (0.05, -0.01, 0.003, -0.001), RECT, TURN),
    'only turned': Camera(RAW, rectified=RAW, R_rect=TURN),
}
with_each_camera = pytest.mark.parametrize('camera', CAMERAS.values(), ids=CAMERAS.keys())


def grid(pinhole, margin_px=20, step_px=20):
    """Pixels (N, 2) over an image."""
    u = np.arange(margin_px, pinhole.width - margin_px, step_px)
    v = np.arange(margin_px, pinhole.height - margin_px, step_px)
    return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2).astype(float)


def distorted_by_formula(x, y, camera):
    """Normalised coordinates through the lens, as OpenCV's and the fisheye papers write it."""
    r2 = x * x + y * y
    if camera.distortion_model == 'equidistant':
        r = np.sqrt(r2)
        theta = np.arctan(r)
        powers = theta[..., None] ** np.array([2, 4, 6, 8])
        scale = theta * (1 + powers @ np.array(camera.D)) / np.maximum(r, 1e-12)
        return x * scale, y * scale
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = np.pad(camera.D, (0, 12 - len(camera.D)))
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + s1 * r2 + s2 * r2**2,
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y + s3 * r2 + s4 * r2**2,
    )


@with_each_camera
def test_distorted_pixels_follow_the_formula(camera):
    pixels = grid(camera.rectified)
    rays = camera.rectified.unproject(pixels, np.ones(len(pixels)))
    x, y, z = np.reshape(camera.R_rect, (3, 3)).T @ rays.T
    x, y = x / z, y / z
    xd, yd = distorted_by_formula(x, y, camera)
    expected = np.stack((xd * RAW.fx + RAW.cx, yd * RAW.fy + RAW.cy), -1)
    assert np.abs(distort_pixels(pixels, camera) - expected).max() < 1e-6


@with_each_camera
def test_pixels_survive_the_round_trip(camera):
    pixels = grid(camera.rectified)
    raw = distort_pixels(pixels, camera)
    if camera.distortion_model != 'none':
        assert np.abs(raw - pixels).max() > 5  # it is worth correcting
    assert np.abs(undistort_pixels(raw, camera) - pixels).max() < 1e-3


@with_each_camera
def test_rectified_image_shows_things_where_the_pinhole_has_them(camera):
    """Blobs drawn through the lens are found at the pixels of the pinhole."""
    centres = grid(camera.rectified, margin_px=60, step_px=80)
    raw_centres = distort_pixels(centres, camera)
    seen = ((raw_centres > 20) & (raw_centres < (RAW.width - 20, RAW.height - 20))).all(axis=1)
    assert seen.sum() > 10
    v, u = np.mgrid[: RAW.height, : RAW.width]
    raw = np.zeros((RAW.height, RAW.width))
    for u0, v0 in raw_centres[seen]:
        raw += np.exp(-((u - u0) ** 2 + (v - v0) ** 2) / (2 * 3.0**2))
    image = np.repeat(np.uint8(np.rint(raw * 250))[..., None], 3, axis=2)
    rectified = rectify_image(image, camera)
    assert rectified.shape == (camera.rectified.height, camera.rectified.width, 3)
    for u0, v0 in centres[seen].astype(int):
        window = rectified[v0 - 15 : v0 + 16, u0 - 15 : u0 + 16, 0].astype(float)
        rows, columns = np.mgrid[-15:16, -15:16]
        found = np.array([(window * columns).sum(), (window * rows).sum()]) / window.sum()
        assert np.abs(found).max() < 0.25


def test_checkerboard_edges_come_out_straight():
    camera = CAMERAS['plumb_bob 4']
    v, u = np.mgrid[: RAW.height, : RAW.width]
    x, y = undistort_pixels(np.stack((u.ravel(), v.ravel()), -1), camera).T
    square = (np.floor(x / 80) + np.floor(y / 80)) % 2
    board = np.uint8(255 * square).reshape(RAW.height, RAW.width)

    def bend_px(image):
        """How far the edge between columns 80 and 160 strays from one column."""
        rows = [r for r in range(80, 320) if abs(r % 80 - 40) < 30]
        edges = [105 + np.abs(np.diff(image[r, 105:215].astype(int))).argmax() for r in rows]
        return np.ptp(edges)

    assert bend_px(board) >= 4
    assert bend_px(rectify_image(board, camera)) <= 1


def test_rectified_camera_leaves_the_image_alone():
    image = np.random.default_rng(0).integers(0, 256, (400, 640, 3), np.uint8)
    assert rectify_image(image, Camera(RAW)) is image


def test_what_the_camera_did_not_see_is_black():
    pincushion = Camera(RAW, 'plumb_bob', (0.4, 0.0, 0.0, 0.0))
    rectified = rectify_image(np.full((400, 640, 3), 255, np.uint8), pincushion)
    assert not rectified[0, 0].any()
    assert rectified[200, 320].all()


def test_image_of_another_size_is_refused():
    with pytest.raises(FrameError, match=r'image must have size \(400, 640\), got \(640, 400\)'):
        rectify_image(np.zeros((640, 400, 3), np.uint8), CAMERAS['plumb_bob 4'])


def test_maps_are_made_once_for_any_number_of_cameras_and_go_with_them(monkeypatch):
    made = []
    make = distortion._make_maps
    monkeypatch.setattr(distortion, '_make_maps', lambda c: made.append(c.D[0]) or make(c))
    image = np.zeros((400, 640, 3), np.uint8)
    cameras = [Camera(RAW, 'plumb_bob', (0.01 * i, 0.0, 0.0, 0.0)) for i in range(1, 13)]
    kept_before = len(distortion._KEPT)
    for _ in range(3):
        for camera in cameras:
            rectify_image(image, camera)
            assert seen_mask(camera, 320, 200) is seen_mask(camera, 320, 200)
    equal = Camera(RAW, 'plumb_bob', (0.01, 0.0, 0.0, 0.0))
    rectify_image(image, equal)
    assert made == [camera.D[0] for camera in cameras]
    assert len(distortion._KEPT) == kept_before + 12
    del camera, cameras
    made.clear()  # it held numbers only
    gc.collect()
    assert len(distortion._KEPT) <= kept_before
