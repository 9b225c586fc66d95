"""Player, completion and recorder as three processes over DDS."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from lifecycle_msgs.srv import GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_ros.datasets.base import Sample
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import DatasetError
from depth_ros.messages.clouds import cloud_to_points
from depth_ros.messages.compressed import compressed_to_rgb
from depth_ros.nodes import player_node
from depth_ros.nodes.convert import image_to_rgb
from depth_ros.nodes.player_node import PlayerNode

pytestmark = pytest.mark.ros

K = [[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four frames of a wall that comes nearer, 8 m to 5 m, as a folder."""
    frames = []
    u, v = np.meshgrid(np.arange(0, 96, 3.0), np.arange(0, 64, 3.0))
    rays = np.stack(((u - 47.5) / 80, (v - 31.5) / 80, np.ones_like(u)), -1).reshape(-1, 3)
    for index in range(4):
        image = np.full((64, 96, 3), 50 * index, np.uint8)
        cv2.imwrite(str(tmp_path / f'{index}.png'), image)
        (rays * (8.0 - index)).astype(np.float32).tofile(tmp_path / f'{index}.bin')
        images, lidar = {'front': f'{index}.png'}, f'{index}.bin'
        frames.append({'id': str(index), 't': 0.1 * index, 'images': images, 'lidar': lidar})
    camera = {'width': 96, 'height': 64, 'K': K, 'D': [], 'T_cam_lidar': np.eye(4).tolist()}
    calib = {
        'cameras': {'front': {'model': 'pinhole', **camera}},
        'lidar': {'format': 'bin_f32', 'fields': ['x', 'y', 'z']},
        'frames': frames,
    }
    (tmp_path / 'calib.json').write_text(json.dumps(calib))
    return tmp_path


@pytest.fixture
def run(start_node, tmp_path: Path):
    """`run(node, **parameters)` starts a node; its output is in `<node>.log`."""
    return lambda name, **parameters: start_node(name, tmp_path / f'{name}.log', **parameters)


def test_twenty_images_in_are_twenty_depth_images_out(dataset, run, tmp_path):
    """On a machine that another load stops for a moment a frame may be dropped, but is counted."""
    sent = 20
    out = tmp_path / 'recording'
    recorder = run('recorder_node', output=str(out), frames=sent, every=1, silence_s=20.0)
    calib = str(dataset / 'calib.json')
    completion = run('completion_node', extrinsic__source='file', extrinsic__file=calib)
    player = run('player_node', source=str(dataset), rate_hz=5.0, frames=sent)
    assert player.wait(60) == 0
    assert recorder.wait(60) == 0
    completion.send_signal(signal.SIGINT)
    assert completion.wait(60) == 0
    recording = json.loads((out / 'recording.json').read_text())
    arrivals = recording['arrivals_stamp_and_receipt_ns']
    received = {stamp for stamp, _ in arrivals['depth']}
    assert all({stamp for stamp, _ in arrivals[topic]} == received for topic in arrivals)
    if len(received) < sent:  # the recorder has waited: the node's account is of the end
        output, inputs = (
            recording['diagnostics'][f'completion_node: {part}'] for part in ('output', 'inputs')
        )
        dropped = sum(int(value) for key, value in output.items() if key.startswith('dropped '))
        images = int(inputs['/image received'])  # a process without time has room for a few only
        assert len(received) == images - dropped, (output, inputs)
        assert sent // 2 < images <= sent
    depths = [np.load(path) for path in sorted(out.glob('*_depth.npy'))]
    medians_m = np.array([np.nanmedian(depth_m) for depth_m in depths])
    np.testing.assert_allclose(medians_m, np.round(medians_m), rtol=1e-3)
    assert set(np.round(medians_m)) <= {5.0, 6.0, 7.0, 8.0}
    if len(received) == sent:  # the folder starts again after four frames
        assert np.array_equal(np.round(medians_m), 8.0 - np.arange(sent) % 4)


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_player_publishes_what_the_folder_holds(dataset, run, ros, wait_until, transport):
    listener = ros.node('listener')
    images, infos, clouds = [], [], []
    kind, topic = (Image, 'image') if transport == 'raw' else (CompressedImage, 'image/compressed')
    listener.create_subscription(kind, topic, images.append, 10)
    listener.create_subscription(CameraInfo, 'camera_info', infos.append, 10)
    listener.create_subscription(PointCloud2, 'points', clouds.append, 10)
    player = run(
        'player_node',
        source=str(dataset),
        loop=False,
        stamps='recorded',
        image_transport=transport,
    )
    wait_until(lambda: len(images) == len(infos) == len(clouds) == 4, what='four frames')
    assert player.wait(60) == 0
    decode = image_to_rgb if transport == 'raw' else compressed_to_rgb
    for index in range(4):
        assert np.all(np.abs(decode(images[index]).astype(int) - 50 * index) <= 2)
        assert images[index].header.frame_id == 'front_optical_frame'
        assert (
            images[index].header.stamp == clouds[index].header.stamp == infos[index].header.stamp
        )
        assert images[index].header.stamp.nanosec == 100_000_000 * index
        np.testing.assert_allclose(cloud_to_points(clouds[index])[:, 2], 8.0 - index)
    np.testing.assert_array_equal(np.reshape(infos[0].k, (3, 3)), K)


def test_a_camera_without_lidar_is_played_if_that_is_what_is_wanted(
    dataset, run, ros, wait_until, tmp_path
):
    calib = json.loads((dataset / 'calib.json').read_text())
    for frame in calib['frames']:
        del frame['lidar']
    (dataset / 'calib.json').write_text(json.dumps(calib))
    assert run('player_node', source=str(dataset)).wait(60) == 1
    assert 'lidar:=false' in (tmp_path / 'player_node.log').read_text()
    listener = ros.node('listener')
    images, infos = [], []
    listener.create_subscription(Image, 'image', images.append, 10)
    listener.create_subscription(CameraInfo, 'camera_info', infos.append, 10)
    player = run('player_node', source=str(dataset), loop=False, lidar=False)
    wait_until(lambda: len(images) == len(infos) == 4, what='four images')
    assert player.wait(60) == 0
    assert [image.header.stamp for image in images] == [info.header.stamp for info in infos]
    assert listener.get_publishers_info_by_topic('/points') == []


def test_a_source_that_is_not_there_ends_the_player_with_a_reason(run, tmp_path):
    player = run('player_node', source=str(tmp_path / 'nowhere'))
    assert player.wait(60) == 1
    assert 'nowhere' in (tmp_path / 'player_node.log').read_text()


def test_a_recorder_needs_an_output(run, tmp_path):
    recorder = run('recorder_node')
    assert recorder.wait(60) == 1
    assert 'output' in (tmp_path / 'recorder_node.log').read_text()


@pytest.mark.parametrize('ending', [signal.SIGINT, signal.SIGTERM])
def test_a_recorder_stopped_by_a_signal_writes_its_recording(
    run, ros, wait_until, tmp_path, ending
):
    recorder = run('recorder_node', output=str(tmp_path / 'out'))
    talker = ros.node('talker')
    publisher = talker.create_publisher(Image, 'depth/image_dense', 10)
    wait_until(publisher.get_subscription_count, what='the recorder')
    data = np.full((2, 3), 4.0, np.float32).tobytes()
    publisher.publish(Image(height=2, width=3, encoding='32FC1', step=12, data=data))
    wait_until(lambda: list((tmp_path / 'out').glob('*_depth.npy')), what='the frame')
    recorder.send_signal(ending)
    assert recorder.wait(60) == 0
    recording = json.loads((tmp_path / 'out' / 'recording.json').read_text())
    assert len(recording['arrivals_stamp_and_receipt_ns']['depth']) == 1


def test_a_recorder_that_cannot_write_says_so(run, tmp_path):
    (tmp_path / 'file').write_text('in the way')
    recorder = run('recorder_node', output=str(tmp_path / 'file' / 'out'))
    assert recorder.wait(60) == 1
    assert 'give another output' in (tmp_path / 'recorder_node.log').read_text()


class Slow:
    """A dataset whose frames after the first come once its gate is open; some cannot be read."""

    camera_names = ('front',)

    def __init__(self, folder: Path, broken: tuple[int, ...] = ()) -> None:
        self._dataset, self._broken = open_dataset(folder), broken
        self.gate = threading.Event()
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self._dataset)

    def sample(self, index: int) -> Sample:
        self.asked.append(index)
        if index in self._broken:
            raise DatasetError(f'{index}.bin is cut.')
        assert index == 0 or self.gate.wait(60.0)
        return self._dataset.sample(index)


@pytest.fixture
def play(ros, monkeypatch) -> Iterator[Callable[..., PlayerNode]]:
    """`play(source, **parameters)` makes a player of a dataset, active, in this process."""
    players: list[PlayerNode] = []

    def make(source: Slow, **parameters: Any) -> PlayerNode:
        monkeypatch.setattr(player_node, 'open_dataset', lambda *_: source)
        settings = {'wait_for_subscribers': False, 'rate_hz': 50.0} | parameters
        overrides = [Parameter(name, value=value) for name, value in settings.items()]
        players.append(PlayerNode(context=ros.context, parameter_overrides=overrides))
        ros.spin(players[-1])
        assert players[-1].trigger_configure() == TransitionCallbackReturn.SUCCESS
        return players[-1]

    yield make
    for player in players:
        player.trigger_shutdown()


def test_a_player_plays_and_answers_while_frames_are_still_read(dataset, play, ros, wait_until):
    source, listener, images = Slow(dataset), ros.node('listener'), []
    listener.create_subscription(Image, 'image', images.append, 10)
    player = play(source)
    wait_until(player._image.get_subscription_count, 30.0, 'the listener')
    player.trigger_activate()
    wait_until(lambda: len(images) == 1, 30.0, 'the first frame')
    client = ros.node('caller').create_client(GetState, 'player_node/get_state')
    wait_until(client.service_is_ready, 30.0, 'the service')
    answer = client.call_async(GetState.Request())
    wait_until(answer.done, 30.0, 'an answer')
    assert answer.result().current_state.label == 'active'
    assert len(images) == 1
    source.gate.set()
    wait_until(lambda: len(images) >= 6, 30.0, 'the other frames, and the first again')


def test_a_player_that_is_to_preload_begins_when_all_is_read(dataset, play, ros, wait_until):
    source, listener, images = Slow(dataset), ros.node('listener'), []
    listener.create_subscription(Image, 'image', images.append, 10)
    player = play(source, preload=True)
    wait_until(player._image.get_subscription_count, 30.0, 'the listener')
    player.trigger_activate()
    wait_until(lambda: source.asked == [0, 1], 30.0, 'the first frame')
    assert images == []
    source.gate.set()
    wait_until(lambda: len(images) >= 4, 30.0, 'four frames')


def test_frames_that_cannot_be_played_are_skipped_the_first_one_too(
    dataset, play, ros, wait_until
):
    source, listener, clouds = Slow(dataset, broken=(0, 2)), ros.node('listener'), []
    source.gate.set()
    listener.create_subscription(PointCloud2, 'points', clouds.append, 10)
    player = play(source)
    wait_until(player._points.get_subscription_count, 30.0, 'the listener')
    player.trigger_activate()
    wait_until(lambda: len(clouds) >= 4, 30.0, 'clouds')
    depths_m = [float(cloud_to_points(cloud)[0, 2]) for cloud in clouds[:4]]
    np.testing.assert_allclose(depths_m, [7.0, 5.0, 7.0, 5.0])  # frames 1 and 3 of 8 m to 5 m
    assert player._ahead.lost == 2


def test_a_paused_player_goes_on_and_a_configured_one_begins_anew(dataset, play, ros, wait_until):
    source, listener, images = Slow(dataset), ros.node('listener'), []
    source.gate.set()
    listener.create_subscription(Image, 'image', images.append, 10)
    player = play(source)
    for _ in range(2):
        wait_until(player._image.get_subscription_count, 30.0, 'the listener')
        player.trigger_activate()
        before = len(images)
        wait_until(lambda before=before: len(images) > before, 30.0, 'an image')
        player.trigger_deactivate()
    player.trigger_cleanup()
    assert not player._ahead._thread.is_alive()
    assert player.trigger_configure() == TransitionCallbackReturn.SUCCESS
    images.clear()
    wait_until(player._image.get_subscription_count, 30.0, 'the listener')
    player.trigger_activate()
    wait_until(lambda: images, 30.0, 'the first image')
    assert np.all(image_to_rgb(images[0]) == 0)


def test_the_example_of_nodes_in_one_process(dataset, ros, wait_until):
    example = Path(__file__).resolve().parents[2] / 'examples' / 'composed.py'
    process = subprocess.Popen(
        [sys.executable, str(example), str(dataset)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        lines = []
        while not lines or 'depth 96x64' not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        names = ros.node('observer').get_node_names
        wait_until(
            lambda: {'front_player', 'front_completion', 'consumer'} <= set(names()), 30.0, 'nodes'
        )
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
        assert 'Traceback' not in rest
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
