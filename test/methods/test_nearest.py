"""The nearest-return fill, against a search over all returns."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import MethodError
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods.nearest import Nearest, fill_nearest
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline

NAN = np.nan


def view(sparse_m):
    height, width = sparse_m.shape
    pinhole = Intrinsics(width, height, 60.0, 60.0, width / 2, height / 2)
    return CameraView(np.zeros((height, width, 3), np.uint8), sparse_m, pinhole)


def test_unknown_pixels_take_the_nearest_known_one():
    depth_m = np.full((5, 7), NAN, np.float32)
    depth_m[0, 0], depth_m[4, 6] = 3.0, 9.0
    depth_m[0, 6], depth_m[4, 0], depth_m[2, 3] = np.inf, -1.0, 0.0
    filled_m = fill_nearest(depth_m)
    assert filled_m[1, 1] == filled_m[0, 0] == filled_m[3, 0] == 3.0
    assert filled_m[4, 5] == filled_m[1, 6] == 9.0
    assert set(np.unique(filled_m)) == {3.0, 9.0}
    assert np.isnan(fill_nearest(np.zeros((4, 4), np.float32))).all()


def test_every_pixel_has_the_depth_of_a_return_that_is_as_near_as_any():
    rng = np.random.default_rng(0)
    sparse_m = np.zeros((70, 110), np.float32)
    at = rng.choice(sparse_m.size, 40, replace=False)
    sparse_m.flat[at] = np.arange(1, 41)
    estimate = Nearest().estimate(view(sparse_m))
    pixels = np.stack(np.unravel_index(np.arange(sparse_m.size), sparse_m.shape), -1)
    places = np.stack(np.unravel_index(at, sparse_m.shape), -1)
    distance_px = np.linalg.norm(pixels[:, None] - places[None], axis=-1)
    taken = distance_px[np.arange(len(pixels)), estimate.depth_m.ravel().astype(int) - 1]
    assert (taken <= 1.05 * distance_px.min(axis=1) + 1e-6).all()  # the chamfer: 2 % each
    np.testing.assert_allclose(estimate.sigma_m, 0.05 * estimate.depth_m, rtol=1e-6)


def test_nothing_stays_empty_where_returns_are_far_apart():
    """IP-Basic's windows end 31 pixels from a return."""
    sparse_m = np.zeros((1200, 1600), np.float32)
    sparse_m[::150, ::150] = 7.0
    assert (Nearest().estimate(view(sparse_m)).depth_m == 7.0).all()


def test_nothing_to_fill_is_refused():
    with pytest.raises(MethodError, match='nearest needs LiDAR returns in the image, got none'):
        Nearest().estimate(view(np.zeros((8, 8), np.float32)))


def test_it_is_a_method_by_name():
    assert FusionPipeline(PipelineConfig(method='nearest')).method_name == 'nearest'
