"""CameraInfo to camera and back: every model, ROI, binning, size, and what must be refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import CameraInfo, RegionOfInterest

from depth_ros.errors import GeometryError, NodeError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.messages.camera_info import camera_from_info, stereo_offset_m
from depth_ros.nodes.convert import info_from_camera, info_from_intrinsics

K = (400.0, 0.0, 321.0, 0.0, 500.0, 243.0, 0.0, 0.0, 1.0)
P = (380.0, 0.0, 311.0, -40.0, 0.0, 480.0, 233.0, 0.0, 0.0, 0.0, 1.0, 0.0)
R = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
EIGHT = [0.1, -0.2, 0.001, 0.002, 0.05, 0.3, -0.1, 0.02]


def info(**changes):
    msg = CameraInfo(width=640, height=480, distortion_model='plumb_bob')
    msg.d, msg.k = [0.1, -0.2, 0.001, 0.002, 0.05], K
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def test_all_of_a_full_message_is_used():
    camera = camera_from_info(info(p=P, r=R))
    assert camera.intrinsics == Intrinsics(640, 480, 400.0, 500.0, 321.0, 243.0)
    assert camera.rectified == Intrinsics(640, 480, 380.0, 480.0, 311.0, 233.0)
    assert (camera.distortion_model, camera.D) == ('plumb_bob', (0.1, -0.2, 0.001, 0.002, 0.05))
    assert camera.R_rect == R


def test_zero_p_and_r_mean_k_and_identity():
    camera = camera_from_info(info())
    assert camera.rectified == camera.intrinsics
    assert camera.R_rect == tuple(np.eye(3).ravel())


@pytest.mark.parametrize(
    ('model', 'd', 'expected'),
    [
        ('', [], ('none', ())),
        ('', [0.0] * 5, ('none', ())),
        ('plumb_bob', [], ('none', ())),
        ('plumb_bob', [0.1] * 4, ('plumb_bob', (0.1,) * 4)),
        ('plumb_bob', [0.0] * 5, ('none', ())),
        ('plumb_bob', EIGHT, ('rational_polynomial', tuple(EIGHT))),
        ('equidistant', [0.1, 0.2, 0.3, 0.4, 0.0], ('equidistant', (0.1, 0.2, 0.3, 0.4))),
        ('rational_polynomial', [0.1] * 8, ('rational_polynomial', (0.1,) * 8)),
        ('equidistant', [0.1] * 4, ('equidistant', (0.1,) * 4)),
        ('fisheye', [0.1] * 4, ('equidistant', (0.1,) * 4)),
        ('none', [0.0] * 5, ('none', ())),
        ('inverse_brown_conrady', [0.0] * 5, ('none', ())),
    ],
)
def test_distortion_models(model, d, expected):
    camera = camera_from_info(info(distortion_model=model, d=d))
    assert (camera.distortion_model, camera.D) == expected


def test_roi_offset_is_subtracted_then_binning_divides():
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=401, height=300)
    camera = camera_from_info(info(p=P, roi=roi, binning_x=2, binning_y=4))
    assert camera.intrinsics == Intrinsics(200, 75, 200.0, 125.0, 110.5, 50.75)
    assert camera.rectified == Intrinsics(200, 75, 190.0, 120.0, 105.5, 48.25)


def test_roi_without_a_size_reaches_to_the_edge():
    camera = camera_from_info(info(roi=RegionOfInterest(x_offset=100, y_offset=40)))
    assert camera.intrinsics == Intrinsics(540, 440, 400.0, 500.0, 221.0, 203.0)


def test_binning_one_and_zero_are_the_same():
    assert camera_from_info(info(binning_x=1, binning_y=1)) == camera_from_info(info())


def test_agrees_with_image_geometry():
    image_geometry = pytest.importorskip('image_geometry')
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=400, height=300)
    msg = info(p=P, roi=roi, binning_x=2, binning_y=4)
    model = image_geometry.PinholeCameraModel()
    model.fromCameraInfo(msg)
    camera = camera_from_info(msg)
    assert np.allclose(camera.intrinsics.matrix, model.K, atol=0)
    assert np.allclose(camera.rectified.matrix, np.asarray(model.P)[:, :3], atol=0)


def test_half_sized_image_scales_pixel_areas():
    camera = camera_from_info(info(p=P), image_size=(320, 240))
    assert camera.intrinsics == Intrinsics(320, 240, 200.0, 250.0, 160.25, 121.25)
    assert camera.rectified == Intrinsics(320, 240, 190.0, 240.0, 155.25, 116.25)
    assert camera.D == (0.1, -0.2, 0.001, 0.002, 0.05)


def test_image_of_the_stated_size_changes_nothing():
    assert camera_from_info(info(), image_size=(640, 480)) == camera_from_info(info())


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'k': (0.0,) * 9}, 'uncalibrated camera'),
        ({'k': (float('nan'), *K[1:])}, 'must be finite'),
        ({'k': (-400.0, *K[1:])}, 'must be positive'),
        ({'k': (K[0], 3.0, *K[2:])}, 'skew'),
        ({'width': 0}, 'size must be positive'),
        ({'height': 0}, 'size must be positive'),
        ({'p': (float('inf'), *P[1:])}, 'must be finite'),
        ({'p': (0.0, *P[1:])}, 'must be positive'),
        ({'r': (2.0, *R[1:])}, 'rotation'),
        ({'r': (float('nan'), *R[1:])}, 'must be finite'),
        ({'d': [0.1] * 7}, 'with 7 coefficients'),
        ({'d': [float('nan')] * 5}, 'must be finite'),
        ({'distortion_model': 'banana'}, "'banana'"),
        ({'distortion_model': '', 'd': [0.1] * 4}, "''"),
        ({'binning_x': 1000}, 'size must be positive'),
        ({'roi': RegionOfInterest(x_offset=600, width=41, height=1)}, 'leaves the 640x480 sensor'),
        ({'roi': RegionOfInterest(y_offset=480)}, 'size must be positive'),
    ],
)
def test_unusable_info_is_refused_with_the_reason(changes, sentence):
    with pytest.raises(NodeError, match=sentence) as caught:
        camera_from_info(info(**changes))
    assert caught.value.reason == 'bad_camera_info'
    assert isinstance(caught.value.__cause__, GeometryError)


@pytest.mark.parametrize('size', [(640, 360), (480, 640), (0, 0)])
def test_image_of_another_window_is_refused(size):
    with pytest.raises(NodeError) as caught:
        camera_from_info(info(), image_size=size)
    assert caught.value.reason == 'bad_camera_info'


def test_published_info_states_a_rectified_pinhole_and_nothing_else():
    roi = RegionOfInterest(x_offset=1, width=2, height=3, do_rectify=True)
    msg = info(p=P, r=R, roi=roi, binning_x=2, binning_y=2)
    msg.header.frame_id = 'camera_optical'
    info_from_intrinsics(msg, Intrinsics(320, 200, 190.0, 240.0, 155.25, 116.25))
    assert (msg.width, msg.height, msg.header.frame_id) == (320, 200, 'camera_optical')
    assert (msg.distortion_model, list(msg.d)) == ('plumb_bob', [0.0] * 5)
    assert list(msg.k) == [190.0, 0.0, 155.25, 0.0, 240.0, 116.25, 0.0, 0.0, 1.0]
    assert list(msg.r) == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    assert list(msg.p) == [190.0, 0.0, 155.25, 0.0, 0.0, 240.0, 116.25, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert (msg.binning_x, msg.binning_y, msg.roi) == (0, 0, RegionOfInterest())


def test_info_makes_the_round_trip():
    intrinsics = Intrinsics(320, 200, 190.0, 240.0, 155.25, 116.25)
    msg = CameraInfo()
    info_from_intrinsics(msg, intrinsics)
    camera = camera_from_info(msg)
    assert camera.intrinsics == camera.rectified == intrinsics
    assert camera.is_rectified


def test_place_beside_the_first_camera_of_a_pair_by_hand():
    """P[:, 3] = (-f B, 0, 0): with f = 380 and B = 0.12 m it is -45.6."""
    pair = [*P[:3], -45.6, *P[4:]]
    assert stereo_offset_m(info(p=pair)) == pytest.approx((-0.12, 0.0, 0.0))
    upright = [*P[:3], 0.0, *P[4:7], 480 * 0.2, *P[8:]]
    assert stereo_offset_m(info(p=upright)) == pytest.approx((0.0, 0.2, 0.0))
    # A camera that stands 0.1 m further back, too: P[:, 3] = K' (-0.12, 0, 0.1).
    ahead = [*P[:3], 380 * -0.12 + 311 * 0.1, *P[4:7], 233 * 0.1, *P[8:11], 0.1]
    assert stereo_offset_m(info(p=ahead)) == pytest.approx((-0.12, 0.0, 0.1))
    assert stereo_offset_m(info()) == (0.0, 0.0, 0.0)
    assert camera_from_info(info(p=pair)).t_rect == (0.0, 0.0, 0.0)
    assert camera_from_info(info(p=pair), (320, 240), frame_is_first=True).t_rect == pytest.approx(
        (-0.12, 0, 0)
    )


@pytest.mark.parametrize(
    ('fourth', 'said'),
    [
        (float('nan'), r'P\[:, 3\] must be finite'),
        (-45600.0, r'120 m apart; it must be -f B with the baseline B in metres'),
    ],
)
def test_impossible_places_of_a_second_camera_are_refused(fourth, said):
    msg = info(p=[*P[:3], fourth, *P[4:]])
    with pytest.raises(NodeError, match=said) as caught:
        camera_from_info(msg, frame_is_first=True)
    assert caught.value.reason == 'bad_camera_info'


def test_a_second_camera_survives_the_way_out_and_in():
    there = camera_from_info(info(p=P, r=R), frame_is_first=True)
    msg = CameraInfo()
    info_from_camera(msg, there)
    np.testing.assert_allclose(msg.p, P)
    assert camera_from_info(msg, frame_is_first=True) == there
