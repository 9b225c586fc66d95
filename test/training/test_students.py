"""Students: what they see of an example, and that what they say is what the networks say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from depth_ros.errors import TrainingError
from depth_ros.methods import guided
from depth_ros.models import bpnet
from depth_ros.training.examples import Example
from depth_ros.training.students import STUDENTS, BPNetStudent, LiteStudent, arrays, student


@pytest.fixture(scope='module')
def example() -> Example:
    """A tilted plane under a random image, 6 % of it measured, a third of it known."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:64, :96]
    depth_m = (30.0 - 0.3 * v + 0.02 * u).astype(np.float32)
    sparse_m = np.where(rng.random(depth_m.shape) < 0.06, depth_m, np.float32(0))
    truth_m = np.where(rng.random(depth_m.shape) < 0.33, depth_m, np.float32(0))
    image = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
    K = np.array([[80.0, 0, 47.5], [0, 80.0, 31.5], [0, 0, 1]])
    return Example(image, sparse_m, truth_m, K)


def batched(arrays: dict[str, Any], count: int = 1) -> dict[str, Any]:
    torch = pytest.importorskip('torch')
    return {name: torch.from_numpy(np.stack([array] * count)) for name, array in arrays.items()}


@pytest.mark.parametrize('name', STUDENTS)
def test_an_item_holds_inputs_truth_and_teacher(name: str, example: Example) -> None:
    item = arrays(student(name), example)
    np.testing.assert_array_equal(item['sparse'][0], example.sparse_m)
    np.testing.assert_array_equal(item['truth'][0], example.truth_m)
    assert item['teacher'].shape == (1, 64, 96)
    assert np.isnan(item['teacher']).all()
    assert all(array.flags.c_contiguous for array in item.values())
    taught = Example(
        *(getattr(example, n) for n in ('image', 'sparse_m', 'truth_m', 'K')), example.truth_m
    )
    np.testing.assert_array_equal(arrays(student(name), taught)['teacher'][0], example.truth_m)


def test_lite_sees_the_prior_of_guided(example: Example) -> None:
    item = LiteStudent().inputs(example)
    prior_m, sigma_m = guided.complete(example.image, example.sparse_m)
    np.testing.assert_array_equal(item['image'], example.image)
    np.testing.assert_array_equal(item['prior'][0], prior_m)
    np.testing.assert_array_equal(item['prior_sigma'][0], sigma_m)


def test_an_untrained_lite_says_the_prior(example: Example) -> None:
    pytest.importorskip('torch')
    lite = LiteStudent()
    batch = batched(arrays(lite, example), 2)
    prediction = lite.predict(lite.build().eval(), batch)
    (depth_m,) = prediction.depths
    assert depth_m.shape == (2, 1, 64, 96)
    assert prediction.log_variance is not None
    assert prediction.log_variance.shape == (2, 1, 64, 96)
    np.testing.assert_allclose(depth_m.detach(), batch['prior'], rtol=1e-4)


def test_bpnet_sees_images_normalised_as_kittis_and_scaled_depth(example: Example) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[0, 0] = 170, 15, 95
    sparse_m = np.zeros((32, 32), np.float32)
    sparse_m[5, 7] = 3.0
    one = Example(image, sparse_m, sparse_m, np.eye(3))
    item = BPNetStudent(depth_scale=10.0).inputs(one)
    expected = [(170 - 90.995) / 79.2382, (15 - 96.2278) / 80.5267, (95 - 94.3213) / 82.1483]
    np.testing.assert_allclose(item['image'][:, 0, 0], expected, rtol=1e-5)
    assert item['sparse'][0, 5, 7] == 30.0
    assert (item['neighbours_0'] == 5 * 32 + 7).all()
    assert item['neighbours_5'].shape == (4, 1)


def test_the_finest_of_six_depths_is_what_bpnet_completes(example: Example) -> None:
    torch = pytest.importorskip('torch')
    torch.manual_seed(0)
    narrow = BPNetStudent(width=4)
    model = narrow.build().eval()
    batch = batched(arrays(narrow, example), 2)
    depths = narrow.predict(model, batch).depths
    assert [tuple(depth.shape) for depth in depths] == [(2, 1, 64, 96)] * 6
    completed = bpnet.complete(model, example.image, example.sparse_m, example.K)
    largest = np.abs(completed).max()
    np.testing.assert_allclose(depths[-1][1, 0].detach(), completed, rtol=0, atol=1e-4 * largest)


def test_depth_of_a_scaled_bpnet_is_in_metres(example: Example) -> None:
    torch = pytest.importorskip('torch')
    torch.manual_seed(0)
    metres, tenths = BPNetStudent(width=4), BPNetStudent(width=4, depth_scale=10.0)
    model = metres.build().eval()
    batch = batched(arrays(metres, example))
    scaled = {**batch, 'sparse': batch['sparse'] * 10}
    raw = metres.predict(model, scaled).depths[-1].detach()
    got = tenths.predict(model, batched(arrays(tenths, example))).depths[-1].detach()
    np.testing.assert_allclose(10 * got, raw, rtol=0, atol=1e-5 * raw.abs().max())


def test_examples_that_cannot_be_seen_are_refused(example: Example) -> None:
    few = np.zeros((64, 96), np.float32)
    few[3, :5] = 9.0
    with pytest.raises(TrainingError, match='got 5'):
        LiteStudent().inputs(Example(example.image, few, example.truth_m, example.K))
    with pytest.raises(TrainingError, match='got none'):
        BPNetStudent().inputs(Example(example.image, 0 * few, example.truth_m, example.K))
    narrow = Example(
        example.image[:, :80], example.sparse_m[:, :80], example.truth_m[:, :80], example.K
    )
    with pytest.raises(TrainingError, match='multiples of 32'):
        arrays(BPNetStudent(), narrow)
    arrays(LiteStudent(), narrow)


def test_unknown_students_and_settings_are_refused() -> None:
    with pytest.raises(TrainingError, match='lite'):
        student('resnet')
    with pytest.raises(TrainingError, match='depth'):
        student('bpnet', depth=3)
    assert student('bpnet', width=8) == BPNetStudent(width=8)
