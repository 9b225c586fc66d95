"""A running node is fed with malformed and odd messages, made by Hypothesis, over real DDS.

It stays alive, counts every image exactly once, under a reason of its own, and completes the next
good frame. By hand, more examples and others each time: DEPTH_ROS_EXAMPLES=100000 pytest FILE -s.
"""

from __future__ import annotations

import array
import os
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, RegionOfInterest

from depth_ros.messages.images import ENCODINGS, PLANAR
from depth_ros.nodes.convert import ns_to_stamp
from depth_ros.nodes.reasons import SWEEPS, cause_of

pytestmark = [pytest.mark.ros, pytest.mark.slow]

EXAMPLES = int(os.environ.get('DEPTH_ROS_EXAMPLES', '2000'))
PATIENCE_S = 240.0
WIDTH, HEIGHT = 24, 16
STEP_NS = 100_000_000  # from frame to frame

UINT32 = 2**32 - 1
sizes = st.one_of(st.integers(0, 40), st.sampled_from([WIDTH, HEIGHT, 4 * WIDTH, 2**31, UINT32]))
numbers = st.one_of(
    st.floats(-100, 100),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, 20.0, float('nan'), float('inf'), 5e-324, 1e308]),
)
names = st.sampled_from(['x', 'y', 'z', 'X', 'xyz', 'intensity', 'ring', '', 'ü'])
texts = st.text(st.characters(codec='utf-8', exclude_characters='\0'), max_size=12)
raw = st.builds(
    lambda seed, length: array.array('B', np.random.default_rng(seed).bytes(length)),
    st.integers(0, 255),
    st.one_of(st.integers(0, 40), st.integers(0, 4 * WIDTH * HEIGHT)),
)
encodings = st.one_of(
    st.sampled_from([*ENCODINGS, *PLANAR, 'RGB8', 'yuv420', '16UC1', '32FC1', 'jpeg', 'h264']),
    texts,
)
fields = st.lists(
    st.builds(
        PointField,
        name=names,
        offset=sizes,
        datatype=st.integers(0, 10),
        count=st.one_of(st.integers(0, 4), st.just(UINT32)),
    ),
    max_size=5,
)
rois = st.builds(
    RegionOfInterest,
    x_offset=sizes,
    y_offset=sizes,
    width=sizes,
    height=sizes,
    do_rectify=st.booleans(),
)
binnings = st.sampled_from([0, 1, 2, 3, WIDTH, UINT32])
models = st.sampled_from(
    ['', 'plumb_bob', 'rational_polynomial', 'equidistant', 'fisheye', 'pinhole', 'kaleidoscope']
)


def vectors(size: int) -> Any:
    return st.lists(numbers, min_size=size, max_size=size)


CHANGES = {
    Image: {
        'width': sizes,
        'height': sizes,
        'encoding': encodings,
        'step': sizes,
        'is_bigendian': st.integers(0, 255),
        'data': raw,
    },
    CameraInfo: {
        'width': sizes,
        'height': sizes,
        'distortion_model': st.one_of(models, texts),
        'd': st.lists(numbers, max_size=15),
        'k': vectors(9),
        'r': vectors(9),
        'p': vectors(12),
        'binning_x': binnings,
        'binning_y': binnings,
        'roi': rois,
    },
    PointCloud2: {
        'width': sizes,
        'height': sizes,
        'fields': fields,
        'is_bigendian': st.booleans(),
        'point_step': sizes,
        'row_step': sizes,
        'data': raw,
        'is_dense': st.booleans(),
    },
}
# Nanoseconds after the time that a message should have: late, early, in another age.
shifts = st.sampled_from(
    [0, 0, *(s * STEP_NS for s in (-0.5, 0.3, -3, 3)), -(10**10), 10**10, -(10**18), 10**18]
).map(int)
seeds = st.integers(0, 255)


def whole_image(encoding: str, size: tuple[int, int], pad: int, seed: int) -> dict[str, Any]:
    """An image whose sizes agree with each other, of whatever content."""
    (width, height), layout = size, ENCODINGS.get(encoding)
    step = pad + width * (layout.channels * int(layout.dtype[1]) if layout else 1)
    rows = height if layout else height * (3 if encoding == 'nv24' else 1.5)
    return {
        'encoding': encoding,
        'width': width,
        'height': height,
        'step': step,
        'data': array.array('B', np.random.default_rng(seed).bytes(int(step * rows))),
    }


def whole_info(
    size: tuple[int, int],
    focal: list[float],
    centre: list[float],
    tx: float,
    turn: list[float],
    lens: tuple[str, int],
    bend: float,
    terms: list[float],
    binning: int,
) -> dict[str, Any]:
    """A camera that may be, were it not for the size of its numbers."""
    (fx, fy, px, py), (cx, cy) = focal, centre
    return {
        'width': size[0],
        'height': size[1],
        'k': [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        'p': [px, 0.0, cx, tx, 0.0, py, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        'r': turn,
        'distortion_model': lens[0],
        'd': [bend * term for term in terms[: lens[1]]],
        'binning_x': binning,
    }


def whole_cloud(
    kind: tuple[int, str], big: bool, scale: float, shape: tuple[int, int], nothing: Any, seed: int
) -> dict[str, Any]:
    """A cloud whose sizes agree with each other, with coordinates of whatever value."""
    datatype, code = kind
    points = np.random.default_rng(seed).normal([0, 0, 5], 3, (*shape, 3))
    if nothing is not None and code != 'i2':
        points[seed % shape[0]] = nothing
    with np.errstate(all='ignore'):
        data = (points * scale).astype(('>' if big else '<') + code)
    size = data.itemsize
    return {
        'fields': [
            PointField(name=n, offset=i * size, datatype=datatype) for i, n in enumerate('xyz')
        ],
        'height': shape[0],
        'width': shape[1],
        'point_step': 3 * size,
        'row_step': shape[1] * 3 * size,
        'is_bigendian': big,
        'data': array.array('B', data.tobytes()),
    }


WHOLE = {
    Image: st.builds(
        whole_image,
        st.sampled_from([*ENCODINGS, *PLANAR]),
        st.sampled_from([(WIDTH, HEIGHT), (48, 32), (3, 2), (1, 1), (96, 4)]),
        st.sampled_from([0, 0, 2, 7]),
        seeds,
    ),
    CameraInfo: st.builds(
        whole_info,
        st.sampled_from([(WIDTH, HEIGHT), (48, 32), (3, 2), (96, 4)]),
        st.lists(st.sampled_from([1e-6, 0.1, 1.0, 20.0, 1e6, 1e30]), min_size=4, max_size=4),
        st.lists(st.floats(-50, 50), min_size=2, max_size=2),
        st.sampled_from([0.0, -2.0]),
        st.sampled_from([np.eye(3).ravel().tolist(), [0.0, -1, 0, 1, 0, 0, 0, 0, 1]]),
        st.sampled_from([('plumb_bob', 5), ('rational_polynomial', 14), ('equidistant', 4)]),
        st.sampled_from([1e-3, 1.0, 1e3, 1e200]),
        seeds.map(lambda seed: np.random.default_rng(seed).uniform(-1, 1, 14).tolist()),
        binnings,
    ),
    PointCloud2: st.builds(
        whole_cloud,
        st.sampled_from([(7, 'f4'), (8, 'f8'), (3, 'i2')]),
        st.booleans(),
        st.sampled_from([1.0, 1e-30, 1e30, 1e3]),
        st.sampled_from([(1, 200), (10, 20), (200, 1)]),
        st.sampled_from([None, np.nan, 0.0, np.inf]),
        seeds,
    ),
}


def changed(kind: type) -> Any:
    """What is changed of a message: its time, its frame, all of it, up to three parts."""
    one_part = st.one_of(*(st.tuples(st.just(n), s) for n, s in CHANGES[kind].items()))
    return st.builds(
        lambda shift_ns, frame_id, whole, parts: {
            'shift_ns': shift_ns,
            'frame_id': frame_id,
            **whole,
            **dict(parts),
        },
        st.one_of(*[st.just(0)] * 9, shifts),
        st.one_of(st.just('good'), texts),
        st.one_of(st.just({}), WHOLE[kind]),
        st.lists(one_part, max_size=3),
    )


oddities = st.fixed_dictionaries({kind: changed(kind) for kind in CHANGES})


class Feeder:
    """Sends frames to a node and keeps the books on its images.

    Attributes:
        sent: images sent so far.
    """

    def __init__(self, one: Any) -> None:
        self._one, self._node = one, one.node
        self._folded: Counter[str] = Counter()
        dropped = self._node._monitor.dropped

        def count(drops: Any) -> None:
            self._folded.update(drops)
            dropped(drops)

        self._node._monitor.dropped = count
        self._good = one.info_msg(), one.cloud_msg(), one.image_msg()
        self.sent = 0

    @property
    def drops(self) -> Counter[str]:
        """What the node has dropped, by reason."""
        while True:
            try:
                return self._folded + self._node._drops()
            except RuntimeError:  # another thread counted meanwhile
                continue

    @property
    def lost(self) -> int:
        """How many images it has dropped."""
        return sum(count for reason, count in self.drops.items() if reason not in SWEEPS)

    def send(self, changes: dict[type, dict[str, Any]] | None = None) -> None:
        """Send a frame that is good but for the changes; returns when its image is decided."""
        one, inputs = self._one, self._node._inputs
        info, cloud, image = self._good
        if changes:
            info, cloud, image = one.info_msg(), one.cloud_msg(), one.image_msg()
        messages = {
            'camera_info': (one.info, info),
            'points': (one.points, cloud),
            'image': (one.image, image),
        }
        one._stamp_ns += STEP_NS
        header = type(image.header)
        wanted = {name: inputs[name].message_count + 1 for name in messages}
        for publisher, msg in messages.values():
            values = {'shift_ns': 0, 'frame_id': 'good'} | (changes or {}).get(type(msg), {})
            stamp_ns = np.clip(one._stamp_ns + values.pop('shift_ns'), -(2**60), 2**60)
            msg.header = header(stamp=ns_to_stamp(stamp_ns), frame_id=values.pop('frame_id'))
            for attribute, value in values.items():
                setattr(msg, attribute, value)
            publisher.publish(msg)
        self._wait(lambda: wanted == {n: inputs[n].message_count for n in wanted}, 'a message')
        self.sent += 1
        self._wait(lambda: self._decided() == self.sent, 'the account of an image')

    def _decided(self) -> int:
        """Images that are published, dropped, or wait for their sweep."""
        return len(self._one.depth) + self.lost + self._node._sync.waiting

    def _wait(self, done: Any, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, (
                f'{what} never came: {self.sent} sent, {len(self._one.depth)} published, '
                f'{self.drops}, {self._node._sync.waiting} wait'
            )
            time.sleep(0.001)


def test_the_node_survives_whatever_comes_and_counts_it(rig):
    one = rig(diagnostics_period_s=1.0)
    one.WIDTH, one.HEIGHT = WIDTH, HEIGHT
    one.start()
    feeder = Feeder(one)

    @settings(
        max_examples=EXAMPLES,
        derandomize='DEPTH_ROS_EXAMPLES' not in os.environ,  # others each time by hand
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(oddities)
    def feed(changes: dict[type, dict[str, Any]]) -> None:
        feeder.send(changes)
        # Stamps that went ahead make up to three good images late, until the stream is believed.
        before = len(one.depth)
        for _ in range(5):
            feeder.send()
            if len(one.depth) > before:
                break
        else:
            pytest.fail(f'no good frame came out after {changes}: {feeder.drops}')
        told = ' '.join(cause_of(reason).sentence for reason in feeder.drops)
        assert 'an error of the kind' not in told, (changes, told)  # no foreign exception

    feed()
    one.wait_until(lambda: said(one) == feeder.drops, what='the same account in /diagnostics')
    waiting = one.node._sync.waiting
    assert feeder.sent >= 2 * EXAMPLES
    assert int(one.value('inputs', '/image received')) == feeder.sent
    published = feeder.sent - waiting - feeder.lost
    assert len(one.depth) == published >= EXAMPLES
    account = f'{published} of {feeder.sent} images published, {waiting} wait, {feeder.drops}'
    one.node.get_logger().info(account)


def said(one: Any) -> Counter[str]:
    """What the node says that it has dropped."""
    values = one.diagnostics.get('completion_node: output', {})
    dropped = {
        k.removeprefix('dropped '): v for k, v in values.items() if k.startswith('dropped ')
    }
    return Counter({reason: int(count) for reason, count in dropped.items()})
