"""CameraInfo whose binning, ROI and sizes contradict the image: one reading, or a refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (extra "ros")')

from sensor_msgs.msg import CameraInfo, RegionOfInterest

from depth_ros.errors import NodeError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.messages.camera_info import camera_from_info

SENSOR = Intrinsics(640, 480, 400.0, 410.0, 321.0, 243.0)
BINNED = Intrinsics(320, 240, 200.0, 205.0, 160.5, 121.5)
# A window of 320x240 in the middle of the sensor.
WINDOW = Intrinsics(320, 240, 400.0, 410.0, 161.0, 123.0)
ROI = RegionOfInterest(x_offset=160, y_offset=120, width=320, height=240)
QUARTER = Intrinsics(160, 120, 200.0, 205.0, 80.5, 61.5)


def info(pinhole, size=None, **changes):
    msg = CameraInfo(distortion_model='plumb_bob')
    msg.width, msg.height = size or (pinhole.width, pinhole.height)
    msg.header.frame_id = 'optical'
    msg.k = pinhole.matrix.ravel()
    msg.p = np.column_stack((pinhole.matrix, np.zeros(3))).ravel()
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


def read(msg, image):
    said = []
    return camera_from_info(msg, (image.width, image.height), said.append), said


BIN2 = {'binning_x': 2, 'binning_y': 2}
LARGER_ROI = RegionOfInterest(x_offset=120, y_offset=90, width=400, height=300)
LARGER_WINDOW = Intrinsics(400, 300, 400.0, 410.0, 201.0, 153.0)
BINNED_ROI = RegionOfInterest(x_offset=80, y_offset=60, width=160, height=120)


@pytest.mark.parametrize(
    ('msg', 'expected'),
    [
        (info(SENSOR), SENSOR),
        (info(SENSOR, **BIN2), BINNED),
        (info(SENSOR, roi=ROI), WINDOW),
        (info(SENSOR, roi=ROI, **BIN2), QUARTER),
        (info(SENSOR, roi=RegionOfInterest(width=640, height=480, do_rectify=True)), SENSOR),
        # The left third of the sensor: the principal point is outside, and that is right.
        (
            info(SENSOR, roi=RegionOfInterest(width=210, height=480)),
            Intrinsics(210, 480, 400.0, 410.0, 321.0, 243.0),
        ),
    ],
)
def test_what_keeps_to_the_specification_is_read_in_silence(msg, expected):
    camera, said = read(msg, expected)
    assert camera.intrinsics == camera.rectified == expected
    assert said == []


@pytest.mark.parametrize(
    ('msg', 'expected', 'sentence'),
    [
        (info(BINNED, **BIN2), BINNED, 'taken as it is'),
        (info(BINNED, (640, 480), **BIN2), BINNED, 'taken as it is'),
        (info(SENSOR, (320, 240), **BIN2), BINNED, 'K is that of the sensor'),
        (info(WINDOW, roi=ROI), WINDOW, 'taken as it is'),
        (info(WINDOW, (640, 480), roi=ROI), WINDOW, 'taken as it is'),
        (info(SENSOR, (320, 240), roi=ROI), WINDOW, 'K is that of the sensor'),
        (info(SENSOR, roi=ROI), SENSOR, 'taken as it is'),
        (info(SENSOR, roi=LARGER_ROI, **BIN2), LARGER_WINDOW, 'K is cropped'),
        (info(SENSOR, roi=BINNED_ROI, **BIN2), QUARTER, 'ROI is given in binned pixels'),
        (info(SENSOR, roi=LARGER_ROI, **BIN2), BINNED, 'image is that of the whole sensor'),
        (info(SENSOR, (0, 0)), SENSOR, 'width and height are 0'),
        (
            info(SENSOR, p=[1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]),
            SENSOR,
            'P is the identity',
        ),
    ],
)
def test_one_reading_is_taken_and_said(msg, expected, sentence):
    camera, (said,) = read(msg, expected)
    assert camera.intrinsics == camera.rectified == expected
    assert sentence in said
    assert said.startswith("The CameraInfo of 'optical' is odd: ")


SMALL_ROI = RegionOfInterest(x_offset=8, y_offset=4, width=320, height=240)


@pytest.mark.parametrize(
    ('msg', 'image'),
    [
        (info(BINNED, roi=SMALL_ROI), BINNED),  # cropped or not, 8 pixels apart
        (info(Intrinsics(320, 240, 200.0, 205.0, 210.0, 121.5), **BIN2), BINNED),
        (info(SENSOR, roi=ROI, **BIN2), BINNED),  # cropped, or binned
        (info(BINNED, (0, 0)), SENSOR),
        (info(SENSOR, (0, 0)), BINNED),
        (info(SENSOR, (320, 240), roi=ROI), SENSOR),
    ],
)
def test_several_readings_or_none_are_refused_in_a_sentence(msg, image):
    with pytest.raises(NodeError, match=r'^CameraInfo cannot be used: .*[.?]$') as caught:
        read(msg, image)
    assert caught.value.reason == 'bad_camera_info'


def test_without_an_image_the_specification_alone_counts():
    assert camera_from_info(info(BINNED, (640, 480), **BIN2)).intrinsics.fx == 100.0
    with pytest.raises(NodeError, match='size must be positive'):
        camera_from_info(info(SENSOR, (0, 0)))


@pytest.mark.parametrize('binning', [1, 2, 4])
@pytest.mark.parametrize('width', [160, 320, 480, 640])
def test_a_roi_in_any_place_is_never_read_otherwise_than_specified(binning, width):
    height = width * 3 // 4
    for x, y in itertools.product(range(0, 640 - width + 1, 32), range(0, 480 - height + 1, 24)):
        roi = RegionOfInterest(x_offset=x, y_offset=y, width=width, height=height)
        expected = Intrinsics(
            *(width // binning, height // binning),
            *(400.0 / binning, 410.0 / binning),
            *((321.0 - x) / binning, (243.0 - y) / binning),
        )
        msg = info(SENSOR, roi=roi, binning_x=binning, binning_y=binning)
        camera, said = read(msg, expected)
        assert (camera.intrinsics, said) == (expected, [])


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'k': SENSOR.matrix.T.ravel()}, 'is it transposed'),
        ({'k': (0.0,) * 9}, 'estimate-intrinsics'),
        ({'d': [float('nan')] * 5}, r'D must be finite, got \[nan'),
        ({'r': [float('inf')] * 9}, r'R_rect must be finite, got \[inf'),
        ({'d': [0.1] * 10}, 'plumb_bob takes 4 or 5'),
    ],
)
def test_impossible_numbers_are_named(changes, sentence):
    with pytest.raises(NodeError, match=sentence):
        read(info(SENSOR, **changes), SENSOR)


@pytest.mark.parametrize(
    ('model', 'd', 'expected'),
    [
        ('plumb_bob', [0.1, 0.2, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0], 'plumb_bob'),
        ('plumb_bob', [0.1, 0.2, 0.0, 0.0, 0.3, 0.4, 0.5, 0.6], 'rational_polynomial'),
        ('equidistant', [0.1, 0.2, 0.3, 0.4, 0.0], 'equidistant'),
        ('rational_polynomial', [0.0] * 14, 'none'),
        ('Kannala_Brandt4', [0.1, 0.2, 0.3, 0.4], 'equidistant'),
    ],
)
def test_the_lens_is_read_by_the_core(model, d, expected):
    camera, _ = read(info(SENSOR, distortion_model=model, d=d), SENSOR)
    assert camera.distortion_model == expected
    assert list(camera.D) == d[: len(camera.D)]
