"""Messages of one image and its sweeps to a frame, and what is said of odd ones."""

from __future__ import annotations

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, Image

from depth_ros.geometry.camera import Intrinsics
from depth_ros.nodes.buffers import CloudBuffer
from depth_ros.nodes.convert import info_from_intrinsics
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


def second_camera(tx=-1.2):
    made = job()
    made.image.info.p[3] = tx  # f is 10, so the baseline is 0.12 m
    made.image.msg.header.frame_id = 'left_optical'
    made.image.info.header.frame_id = 'left_optical'
    return made


def test_a_second_camera_is_said_once_with_the_figure_and_not_moved():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    for _ in range(3):
        assert intake.frame(second_camera(), None).camera.t_rect == (0.0, 0.0, 0.0)
    (sentence,) = said
    assert 'this camera stands 0.120 m beside the first one' in sentence
    assert "frame_id 'left_optical'" in sentence
    assert 'set stereo_offset to apply' in sentence


@pytest.mark.parametrize(('decision', 'x'), [('apply', -0.12), ('ignore', 0.0)])
def test_a_decision_about_a_second_camera_is_silence(decision, x):
    said = []
    intake = FrameIntake(said.append, AtTheCamera(), stereo_offset=decision)
    t_rect = intake.frame(second_camera(), None).camera.t_rect
    assert t_rect == pytest.approx((x, 0.0, 0.0))
    assert said == []


def test_an_impossible_offset_is_said_and_not_used():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    assert intake.frame(second_camera(-1200.0), None).camera.t_rect == (0.0, 0.0, 0.0)
    assert '120 m apart' in said[0]
    assert said[0].endswith('It is not used.')
