"""Augmentation: what is moved is moved together."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import TrainingError
from depth_ros.training.augment import Augmentation, cropped, mirrored, recoloured
from depth_ros.training.examples import Example


@pytest.fixture
def example() -> Example:
    """Every map tells the pixel that it is of."""
    v, u = np.mgrid[:20, :30]
    number = (1 + 30 * v + u).astype(np.float32)
    image = np.stack((v, u, v + u), axis=-1).astype(np.uint8)
    K = np.array([[25.0, 0, 14.2], [0, 26.0, 9.7], [0, 0, 1]])
    return Example(image, number, 2 * number, K, 3 * number)


def check_together(example: Example) -> None:
    v, u = np.divmod(example.sparse_m.astype(int) - 1, 30)
    np.testing.assert_array_equal(example.image[..., 0], v)
    np.testing.assert_array_equal(example.image[..., 1], u)
    np.testing.assert_array_equal(example.truth_m, 2 * example.sparse_m)
    assert example.teacher is not None
    np.testing.assert_array_equal(example.teacher, 3 * example.sparse_m)


def ray_of(example: Example, row: int, column: int) -> np.ndarray:
    return np.linalg.inv(example.K) @ (column, row, 1)


def test_a_window_is_of_the_same_rays(example: Example) -> None:
    window = cropped(example, top=4, left=7, height=10, width=12)
    check_together(window)
    assert window.sparse_m[0, 0] == 1 + 30 * 4 + 7
    np.testing.assert_allclose(ray_of(window, 3, 2), ray_of(example, 7, 9), rtol=1e-6)


def test_the_mirror_image_is_of_mirrored_rays(example: Example) -> None:
    other = mirrored(example)
    check_together(other)
    np.testing.assert_allclose(
        ray_of(other, 5, 29 - 8), ray_of(example, 5, 8) * (-1, 1, 1), rtol=1e-6
    )
    back = mirrored(other)
    np.testing.assert_array_equal(back.image, example.image)
    np.testing.assert_allclose(back.K, example.K, rtol=1e-6)


def test_windows_lie_where_they_may_and_some_are_mirrored(example: Example) -> None:
    settings = Augmentation(height=8, width=16, top=6, colour=0.0)
    rng = np.random.default_rng(0)
    tops, lefts, mirrors = set(), set(), 0
    for _ in range(200):
        window = settings.applied(example, rng)
        check_together(window)
        mirrors += window.sparse_m[0, 0] > window.sparse_m[0, 1]
        tops.add(int(window.image[0, 0, 0]))
        lefts.add(int(window.image[0, :, 1].min()))
    assert tops == set(range(6, 13))
    assert lefts == set(range(15))
    assert 70 < mirrors < 130


def test_a_window_as_high_as_the_example_starts_at_its_top(example: Example) -> None:
    settings = Augmentation(height=20, width=30, top=50, flip=0.0, colour=0.0)
    np.testing.assert_array_equal(
        settings.applied(example, np.random.default_rng(0)).image, example.image
    )


def test_colours_move_along_their_principal_component_by_its_deviation() -> None:
    """Greys 100 and 140: deviation 20 sqrt(3) along (1, 1, 1) / sqrt(3): half of it is 10 each."""
    image = np.full((40, 50, 3), 100, np.uint8)
    image[::2] = 140
    moved = recoloured(image, np.array([0.0, 0.0, 0.5]))
    step = np.unique(moved.astype(int) - image)
    assert step.tolist() in ([10], [-10])  # the sign of a component is arbitrary
    unmoved = recoloured(image, np.array([5.0, 5.0, 0.0]))
    assert np.abs(unmoved.astype(int) - image).max() <= 1  # no deviation along the others


def test_a_seed_repeats_and_too_small_an_example_is_refused(example: Example) -> None:
    settings = Augmentation(height=8, width=16, top=0)
    one, other = (settings.applied(example, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    with pytest.raises(TrainingError, match='30x20'):
        Augmentation(height=24, width=16).applied(example, np.random.default_rng(0))
