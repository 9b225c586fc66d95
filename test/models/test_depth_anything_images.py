"""What is done to an image before Depth Anything, and to its map after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depth_ros.models.depth_anything import FAMILIES

V1, V2 = FAMILIES['depth_anything_v1_s'], FAMILIES['depth_anything_v2_s']
SIZE = (518, 1722)


@pytest.mark.parametrize('kind', ['noise', 'smooth'])
def test_preprocessing_is_the_official_one(oracle_dir: Path, kind: str) -> None:
    rgb = np.random.default_rng(3751242).integers(0, 256, (375, 1242, 3), dtype=np.uint8)
    if kind == 'smooth':
        rgb = cv2.GaussianBlur(rgb, (0, 0), 3.0)
    image = V2.preprocess(rgb, SIZE)
    assert (image.shape, image.dtype) == ((1, 3, *SIZE), np.float32)
    with np.load(oracle_dir / 'preprocess_375x1242.npz') as stored:
        crop, grid = stored[f'da2_{kind}_crop'], stored[f'da2_{kind}_grid']
    np.testing.assert_allclose(image[0, :, 100:132, 600:664], crop, atol=1e-4)
    np.testing.assert_allclose(image[0, :, ::37, ::61], grid, atol=1e-4)
    facts = json.loads((oracle_dir / 'preprocess_375x1242.json').read_text())[f'da2_{kind}']
    found = {name: float(getattr(np, name)(image)) for name in ('mean', 'std', 'min', 'max')}
    assert found == pytest.approx({name: facts[name] for name in found}, abs=1e-4)


def test_channels_are_red_green_blue_and_keep_what_bicubic_adds() -> None:
    rgb = np.zeros((56, 56, 3), np.uint8)
    rgb[:, 28:] = 255, 0, 0
    red, green, blue = V2.preprocess(rgb, (112, 112))[0]
    np.testing.assert_allclose((red[0, 0], red[0, -1]), (-0.485 / 0.229, 0.515 / 0.229), rtol=1e-6)
    np.testing.assert_allclose(green, -0.456 / 0.224, rtol=1e-6)
    np.testing.assert_allclose(blue, -0.406 / 0.225, rtol=1e-6)
    assert red.min() < red[0, 0] - 0.1
    assert red.max() > red[0, -1] + 0.1


def test_sizes_are_the_official_ones(oracle_dir: Path) -> None:
    table = json.loads((oracle_dir / 'preprocess_375x1242.json').read_text())
    sizes = table['da2_resize_table_HxW']
    assert len(sizes) == 50
    for key, wanted in sizes.items():
        image, _, short = key.partition('@')
        height, width = map(int, image.split('x'))
        assert V2.network_size(height, width, int(short)) == tuple(wanted)


@pytest.mark.parametrize(
    ('height', 'width', 'short', 'wanted'),
    [
        (240, 320, 518, (518, 686)),  # 690.67 is 49.33 patches
        (320, 240, 518, (686, 518)),
        (100, 100, 250, (252, 252)),
        (100, 100, 255, (266, 266)),  # 252 were nearer, but less than wanted
        (14, 21, 28, (28, 42)),
    ],
)
def test_size_is_a_multiple_of_14_and_not_below_what_was_wanted(
    height: int, width: int, short: int, wanted: tuple[int, int]
) -> None:
    assert V2.network_size(height, width, short) == wanted


def test_map_of_v2_is_restored_corner_onto_corner() -> None:
    output = np.array([[0, 3], [6, 9]], np.float32)
    restored = V2.restored(output, 3, 4)
    np.testing.assert_allclose(restored, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]], rtol=1e-6)
    assert restored.dtype == np.float32


def test_map_of_v1_is_restored_edge_onto_edge() -> None:
    restored = V1.restored(np.array([[0, 4]] * 2, np.float32), 2, 4)
    np.testing.assert_allclose(restored, [[0, 1, 3, 4]] * 2, rtol=1e-6)


@pytest.mark.parametrize('size', [(40, 60), (7, 9), (28, 42), (1, 1)])
def test_map_is_restored_as_pytorch_does(size: tuple[int, int]) -> None:
    torch = pytest.importorskip('torch')
    output = np.random.default_rng(0).random((28, 42), dtype=np.float32)
    for family in (V1, V2):
        wanted: Any = torch.nn.functional.interpolate(
            torch.from_numpy(output)[None, None],
            size,
            mode='bilinear',
            align_corners=family.align_corners,
        )
        np.testing.assert_allclose(family.restored(output, *size), wanted[0, 0], atol=1e-5)


def test_golden_image_looks_like_a_normalised_one() -> None:
    image = V2.golden_inputs(252, 336)['image']
    assert (image.shape, image.dtype) == ((1, 3, 252, 336), np.float32)
    np.testing.assert_array_equal(image, V2.golden_inputs(252, 336)['image'])
    assert -2.2 < image.min() < -0.5
    assert 0.5 < image.max() < 2.7  # white and black of ImageNet
    assert (image.std(axis=(2, 3)) > 0.3).all()
