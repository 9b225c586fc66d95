"""The monocular node on real images, with the whole network under meaningless weights."""

from __future__ import annotations

import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
pytest.importorskip('safetensors')

from key_named import key_named_state
from sensor_msgs.msg import CameraInfo

from depth_ros.datasets.open import open_dataset
from depth_ros.engines.cpu import import_torch
from depth_ros.frame import Frame
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.nodes.convert import info_from_camera, info_from_intrinsics
from depth_ros.pipeline.config import MONOCULAR
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.settings import replaced
from depth_ros.weights.registry import family

pytestmark = pytest.mark.ros

SAMPLES = {'kitti_obj_000001': (375, 1242), 'nyu_m3d': (480, 640), 'rgbd_7scenes_a': (480, 640)}
SETTINGS = {
    'mono.short_side_px': 126,
    'engine.backend': 'torch',
    'engine.precision': 'fp32',
    'engine.threads': 1,
    'output.cloud_stride': 4,
}
MAX_DEPTH_M = 20.0


@pytest.fixture(scope='module')
def small_state() -> dict[str, object]:
    """Parameters of the small metric network, by official name."""
    import_torch().set_num_threads(1)
    return key_named_state(family('depth_anything_v2_s_20m').build())


@pytest.fixture
def weights(small_state: dict[str, object], fetched: Callable[[str], Path]) -> str:
    """Their name, as of weights that were fetched."""
    from safetensors.torch import save_file

    save_file(small_state, fetched('da2-indoor-small'))
    return 'da2-indoor-small'


def of_camera(one, frame: Frame) -> dict[str, Callable[[], object]]:
    """What the rig sends of a frame: new messages, under a new stamp each time."""
    one.HEIGHT, one.WIDTH = frame.image.shape[:2]
    info = CameraInfo()
    info_from_camera(info, frame.camera)
    pixels = array.array('B', frame.image.tobytes())
    return {'image': lambda: one.image_msg(data=pixels), 'info': lambda: info}


def last_of_an_image(one, frame: Frame) -> dict[str, object]:
    """What was published of the first image of a frame for which the network was ready."""
    messages = of_camera(one, frame)
    sent = []

    def all_of_one():
        last = {topic: heard[-1] for topic, heard in one.heard.items() if heard}
        stamps = [msg.header.stamp for msg in last.values()]
        return last if sent and stamps == [sent[-1].header.stamp] * len(one.heard) else None

    def send():
        dropped = one.dropped('not_ready')
        sent.append(one.send(messages['image'](), messages['info']()))
        one.wait_until(
            lambda: all_of_one() or one.dropped('not_ready') > dropped,
            what=f'depth of {frame.image.shape}',
        )

    return one.repeat_until(all_of_one, f'depth of {frame.image.shape}', send)


def test_real_images_of_several_sizes_one_after_the_other(mono_rig, weights, data_dir):
    """And what comes out is what the pipeline gives without ROS."""
    one = mono_rig(**SETTINGS)
    for topic in ('depth/uncertainty', 'depth/points'):
        one.listen(topic)
    one.start()
    offline = FusionPipeline(replaced(MONOCULAR, SETTINGS), has_lidar=False)
    for name, size in SAMPLES.items():
        frame = open_dataset(str(data_dir / name)).sample(0).frame
        last = last_of_an_image(one, frame)
        assert {msg.header.frame_id for msg in last.values()} == {'camera_optical_frame'}
        wanted = CameraInfo(header=last['depth/camera_info'].header)
        info_from_intrinsics(wanted, frame.camera.rectified)
        assert last['depth/camera_info'] == wanted

        depth_m, sigma_m = (
            np.frombuffer(last[topic].data, np.float32).reshape(size)
            for topic in ('depth/image_dense', 'depth/uncertainty')
        )
        known = np.isfinite(depth_m)
        assert known.all()  # a sigmoid, so nothing is too far
        assert 0 < depth_m.min() < depth_m.max() < MAX_DEPTH_M
        np.testing.assert_allclose(sigma_m, 0.15 * depth_m, rtol=1e-5)
        points = cloud_to_points(last['depth/points'])
        np.testing.assert_array_equal(points[:, 2], depth_m[::4, ::4].ravel())

        frame = Frame(frame.image, frame.camera, frame.stamp_ns)
        expected = offline.process(frame).estimate.depth_m
        np.testing.assert_allclose(depth_m, expected, rtol=1e-4)
    offline.close()


def test_a_real_image_cut_too_small_is_refused_and_the_next_is_not(mono_rig, weights, data_dir):
    one = mono_rig(**SETTINGS).start()
    frame = open_dataset(str(data_dir / 'nyu_m3d')).sample(0).frame
    whole = of_camera(one, frame)
    one.send_until(lambda: one.depth, 'depth', **whole)
    one.WIDTH, one.HEIGHT = 640, 24
    strip = array.array('B', np.ascontiguousarray(frame.image[:24]).tobytes())
    info = CameraInfo()
    info_from_intrinsics(info, frame.camera.rectified.cropped(0, 0, 640, 24))
    one.send_until(
        lambda: one.dropped('image_size'),
        'the refusal',
        image=lambda: one.image_msg(data=strip),
        info=lambda: info,
    )
    count = len(one.depth)
    one.send_until(lambda: len(one.depth) > count, 'depth again', **of_camera(one, frame))
    assert {msg.height for msg in one.depth} == {480}
