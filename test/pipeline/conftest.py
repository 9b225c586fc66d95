"""A method that must be prepared, the pipeline that wants it, and the upgrade that prepares it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from depth_ros.engines.base import NotBuiltError
from depth_ros.errors import MethodError
from depth_ros.frame import DepthEstimate, Frame
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.upgrade import Upgrade
from depth_ros.settings import replaced

WALL_M, FAKE_M = 5.0, 7.0


class Fake:
    """Says 7 m everywhere once it is ready; the cache it opens from is a set of sizes.

    As BP-Net it takes views of any size that a multiple of 32 pads to the same.
    """

    name = 'bpnet'
    needs_lidar = True
    cache: set[tuple[int, int]]
    fault: Exception | None
    has_lesser = False
    ends_badly = False

    def __init__(self, weights, backend, precision, threads):
        self.weights, self.precision = weights, precision
        self.size, self.prepared, self.threads = None, [], []
        self.go = threading.Event()
        self.go.set()
        self.at_once = self._inside = 0  # most threads that prepared it together
        self._counting = threading.Lock()

    def prepare(self, height, width, may_build=True, may_skip=False):
        if self.fits(height, width):
            return
        self.is_closed = False
        self.prepared.append((height, width, may_build))
        self.threads.append(threading.current_thread())
        with self._counting:
            self._inside += 1
            self.at_once = max(self.at_once, self._inside)
        assert self.go.wait(60)
        with self._counting:
            self._inside -= 1
        if self.fault is not None:
            raise self.fault
        self.is_lesser = may_skip and self.has_lesser
        if (height, width) not in self.cache and not may_build and not self.is_lesser:
            raise NotBuiltError('there is no plan')
        self.size = (height, width)

    def check_camera(self, camera):
        if camera.height < 8:
            raise MethodError('too small', 'image_size')

    def fits(self, height, width):
        return self.size is not None and padded(height, width) == padded(*self.size)

    def estimate(self, view):
        assert self.fits(*view.sparse_m.shape), 'used before it was ready'
        depth_m = np.full(view.sparse_m.shape, FAKE_M, np.float32)
        return DepthEstimate(depth_m, depth_m / 10)

    def build_arguments(self, height, width):
        return ['build', str(self.weights), '--size', f'{height}x{width}']

    def describe(self):
        return 'something lesser' if self.is_lesser else 'fake fp16'

    def close(self):
        self.is_closed = True
        self.size = None
        if self.ends_badly:
            raise RuntimeError('an illegal memory access was encountered')


def padded(height, width):
    return -(-height // 32), -(-width // 32)


class Driven(Upgrade):
    """An upgrade whose pipeline sees a wall 5 m ahead."""

    @staticmethod
    def frame(height=64, width=96):
        camera = Camera(Intrinsics(width, height, 80.0, 80.0, width / 2, height / 2))
        sparse_m = np.zeros((height, width), np.float32)
        sparse_m[::3, ::3] = WALL_M
        return Frame(np.zeros((height, width, 3), np.uint8), camera, 0, sparse_m=sparse_m)

    def depth_m(self, height=64, width=96):
        """Median depth of one frame, as the node would process it."""
        one = self.frame(height, width)
        self.before(one)
        return float(np.nanmedian(self._pipeline.process(one).estimate.depth_m))

    def told(self):
        """Why the method cannot be used, once that is known."""
        return self.wait_until(lambda: self.status.failure, 'a failure')

    @staticmethod
    def wait_until(predicate, what, timeout_s=240.0):
        deadline = time.monotonic() + timeout_s
        while not (result := predicate()):
            assert time.monotonic() < deadline, f'{what} not reached'
            time.sleep(0.005)
        return result


@pytest.fixture
def pipeline(monkeypatch, tmp_path):
    """A pipeline that wants a `Fake` for which 64x96 lies in the cache."""
    (tmp_path / 'weights').touch()
    fake = type('FakeOfTest', (Fake,), {'cache': {(64, 96)}, 'fault': None})
    monkeypatch.setitem(METHODS, 'bpnet', fake)
    settings = {'method': 'bpnet', 'bpnet.weights': str(tmp_path / 'weights')}
    return FusionPipeline(replaced(PipelineConfig(), settings))


@pytest.fixture
def upgrade_of():
    """`upgrade_of(pipeline, builder, clock)`: a `Driven` one, closed in the end."""
    made = []

    def make(pipeline, builder=lambda *_: None, clock=time.monotonic):
        made.append(Driven(pipeline, builder, clock))
        return made[-1]

    yield make
    for upgrade in made:
        upgrade.close()
