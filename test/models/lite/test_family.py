"""Sizes, padding and golden inputs of `lite`; none of it needs PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.models import lite


@pytest.mark.parametrize(
    ('image', 'network'),
    [
        ((375, 1242), (384, 1248)),
        ((352, 1216), (384, 1248)),
        ((480, 640), (480, 640)),
        ((720, 1280), (720, 1280)),
        ((1080, 1920), (1200, 1920)),
        ((260, 1240), (272, 1248)),
        ((100, 100), (480, 640)),  # it costs next to nothing
        ((188, 621), (480, 640)),
        ((600, 800), (720, 1280)),
        ((500, 700), (512, 704)),
        ((1208, 1920), (720, 1280)),  # no size holds it: it is reduced
        ((1536, 2048), (720, 1280)),
        ((2056, 2464), (720, 1280)),
        ((2160, 3840), (720, 1280)),
        ((1920, 1080), (1200, 688)),
        ((1, 1), (480, 640)),
    ],
)
def test_an_image_runs_at_the_smallest_shipped_size_unless_that_wastes_half(image, network):
    assert lite.network_size(*image) == network


def test_what_cannot_be_exported_runs_at_any_shipped_size_that_holds_it():
    assert lite.network_size(500, 700, may_export=False) == (720, 1280)
    for size in ((1, 1), (9, 1900), (1200, 12), (100, 6000), (5000, 60), (9000, 9000)):
        assert lite.network_size(*size, may_export=False) in lite.SIZES


@pytest.mark.parametrize(
    ('image', 'seen'),
    [
        ((375, 1242), (375, 1242)),
        ((1200, 1920), (1200, 1920)),
        ((1208, 1920), (720, 1144)),
        ((1536, 2048), (720, 960)),
        ((2056, 2464), (720, 863)),
        ((2160, 3840), (720, 1280)),
        ((1920, 1080), (1200, 675)),  # 720x405 would be too little
        ((100, 6000), (32, 1920)),
        ((6000, 100), (1200, 20)),
        ((6000, 1), (1200, 1)),
    ],
)
def test_an_image_that_no_shipped_size_holds_is_reduced_in_its_shape(image, seen):
    assert lite.seen_size(*image) == seen


def test_the_lower_part_of_a_view_has_the_same_width():
    assert lite.lower_size((384, 1248)) == (272, 1248)
    assert lite.lower_size((272, 1248)) is None
    assert lite.lower_size((480, 848)) is None


def test_shipped_sizes_are_multiples_of_the_stride():
    assert all(side % lite.STRIDE == 0 for size in lite.SIZES for side in size)


def test_padding_repeats_edges_but_adds_no_returns():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    sparse_m, prior_m, sigma_m = rng.random((3, 3, 5), dtype=np.float32) + 1
    grown = lite.padded(rgb, sparse_m, prior_m, sigma_m, size=(16, 32))
    for values, original in zip(grown, (rgb, sparse_m, prior_m, sigma_m), strict=True):
        assert values.shape[:2] == (16, 32)
        assert values.dtype == original.dtype
        np.testing.assert_array_equal(values[:3, :5], original)
    np.testing.assert_array_equal(grown[0][15, 31], rgb[2, 4])
    assert grown[1].sum() == pytest.approx(sparse_m.sum())
    assert (grown[2][3:, 5:] == prior_m[2, 4]).all()
    assert (grown[3][1, 5:] == sigma_m[1, 4]).all()
    same = lite.padded(rgb, sparse_m, prior_m, sigma_m, size=(3, 5))
    assert same[0] is rgb


def test_golden_inputs_are_a_scene_and_always_the_same():
    first, second = lite.golden_inputs(32, 48), lite.golden_inputs(32, 48)
    assert tuple(first) == lite.INPUTS
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name])
    assert first['image'].shape == (1, 32, 48, 3)
    assert 0 < np.count_nonzero(first['sparse'] > 0) < 0.1 * first['sparse'].size
    assert np.any(first['sparse'] < 0)  # returns that the occlusion filter took out
    assert (first['prior'] > 0).all()
    assert (first['prior_sigma'] > 0).all()
