"""Messages of one image and its sweeps to a frame, and what is said of odd ones."""

from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, Image

from depth_ros.errors import NodeError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.nodes import intake as door
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


def test_what_is_assumed_of_a_turned_second_camera_is_said_once():
    said = []
    intake = FrameIntake(said.append, AtTheCamera(), stereo_offset='apply')
    turned = second_camera()
    c, s = np.cos(0.02), np.sin(0.02)
    turned.image.info.r = np.array([c, 0, s, 0, 1, 0, -s, 0, c])
    for _ in range(3):
        intake.frame(turned, None)
    (sentence,) = said
    assert 'the first is taken to be turned alike' in sentence
    assert 'stereo_offset to ignore' in sentence


def test_an_impossible_offset_is_said_and_not_used():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    assert intake.frame(second_camera(-1200.0), None).camera.t_rect == (0.0, 0.0, 0.0)
    assert '120 m apart' in said[0]
    assert said[0].endswith('It is not used.')


def wide_cloud(metres, count=20, frame_id='lidar'):
    buffer = CloudBuffer(('x', 'y', 'z'))
    buffer.view(1, count)[0] = (0.0, 0.0, metres)
    buffer.msg.header.frame_id = frame_id
    return buffer.msg


def test_a_cloud_in_millimetres_is_doubted_once_per_lidar():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    image = job().image
    for metres, count, frame_id in [
        (5.0, 20, 'rear'),
        (5000.0, 2, 'front'),  # too few to tell
        (5000.0, 20, 'front'),
        (7000.0, 20, 'front'),
        (5000.0, 20, 'rear'),
    ]:
        cloud = wide_cloud(metres, count, frame_id)
        assert len(intake.frame(Pair(7, image, ((9, cloud),)), None).points) == count
    (sentence,) = said
    assert sentence.startswith("The cloud of 'front': Half of the returns are farther than 5000 m")
    assert 'millimetres' in sentence


def test_k_of_another_size_is_doubted_once():
    said = []
    intake = FrameIntake(said.append, AtTheCamera())
    small = job()
    small.image.info.k[2], small.image.info.k[5] = 7.5, 5.5
    small.image.info.p[2], small.image.info.p[6] = 7.5, 5.5
    for _ in range(3):
        intake.frame(small, None)
    (sentence,) = said
    assert sentence.startswith('CameraInfo: The principal point (7.5, 5.5) is far from the middle')
    assert 'as if K were that of 16x12' in sentence


class NoTf:
    """TF that has nothing, and says something else each time."""

    def __init__(self):
        self.patience = []

    def lookup(self, *frames_and_stamps):
        self.patience.append(frames_and_stamps[4])
        raise NodeError(f'Extrapolation at {len(self.patience)} s.', 'no_extrinsic')


def test_sweeps_that_are_not_needed_cost_no_time_and_one_sentence(monkeypatch):
    said, clock = [], SimpleNamespace(now_s=0.0)
    monkeypatch.setattr(door, 'time', SimpleNamespace(monotonic=lambda: clock.now_s))
    intake = FrameIntake(said.append, NoTf())
    for clock.now_s in (0.0, 0.1, 1.0, 5.2, 5.3):
        assert intake.frame(job(), None, needs_lidar=False).points is None
    assert intake.extrinsic.patience == [True, False, False, True, False]
    assert said == ['Sigma is not calibrated, as a sweep cannot be used: Extrapolation at 1 s.']
    assert intake.unused == 5
    with pytest.raises(NodeError, match='at 6 s'):
        intake.frame(job(), None)
    assert intake.extrinsic.patience[-1]
    assert intake.unused == 5


class Replacing:
    """The first of two extrinsics, which the second replaces while a frame is being made."""

    def __init__(self, intake):
        self.intake, self.asked = intake, 0

    def lookup(self, *_):
        self.asked += 1
        self.intake.extrinsic = AtTheCamera()
        T_camera_lidar = np.eye(4)
        T_camera_lidar[2, 3] = 1.0
        return T_camera_lidar


def test_a_frame_has_one_extrinsic_for_all_its_sweeps():
    intake = FrameIntake(print)
    intake.extrinsic = first = Replacing(intake)
    one = job()
    gathered = Pair(7, one.image, (*one.sweeps, (8, wide_cloud(3.0))))
    frame = intake.frame(gathered, None)
    assert first.asked == 2
    assert frame.points[-1].tolist() == [0.0, 0.0, 3.0]  # as it came: the sweeps share a frame
    assert frame.T_camera_lidar[2, 3] == 1.0
