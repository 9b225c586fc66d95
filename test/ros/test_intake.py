"""Messages of one image and its sweeps to a frame, and what is said of odd ones."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, Image

from depth_ros.geometry.camera import Intrinsics
from depth_ros.nodes.convert import CloudBuffer, info_from_intrinsics
from depth_ros.nodes.intake import MAX_SAID, FrameIntake, Received
from depth_ros.pipeline.sync import Pair


class AtTheCamera:
    """An extrinsic: the LiDAR sits in the camera's frame."""

    def lookup(self, *_):
        return np.eye(4)


def job(**changes_of_the_cloud):
    info = CameraInfo()
    info_from_intrinsics(info, Intrinsics(8, 6, 10.0, 10.0, 3.5, 2.5))
    image = Image(encoding='rgb8', width=8, height=6, step=24, data=array.array('B', bytes(144)))
    buffer = CloudBuffer(('x', 'y', 'z'))
    buffer.view(1, 4)[0] = [(0, 0, 2), (0.1, 0, 2), (0, 0.1, 2), (0.1, 0.1, 2)]
    for name, value in changes_of_the_cloud.items():
        setattr(buffer.msg, name, value)
    return Pair(7, Received(image, 0, info), ((9, buffer.msg),))


def test_an_odd_cloud_is_read_and_said_once():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    for _ in range(3):
        frame = intake.frame(job(row_step=0), None)
        assert frame.points.tolist() == intake.frame(job(), None).points.tolist()
    assert len(said) == 1
    assert 'row_step is 0' in said[0]
    intake.frame(job(row_step=13), None)
    assert len(said) == 2


def test_sentences_that_always_change_come_to_an_end():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    for step in range(1, MAX_SAID):
        intake.frame(job(row_step=step % 47), None)
    assert len(set(said)) == len(said) == 47
    for i in range(MAX_SAID):
        intake._say_once(str(i))
    assert len(said) == MAX_SAID
