"""The pictures of a completed frame of a wall."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from depth_ros.evaluation.colormap import UNKNOWN_RGB
from depth_ros.evaluation.figures import PAPER_RGB, disparity_picture
from depth_ros.evaluation.gallery import pictures, sheet
from depth_ros.frame import CameraView, DepthEstimate, DepthKind
from depth_ros.geometry.camera import Intrinsics
from depth_ros.pipeline.config import OutputConfig
from depth_ros.pipeline.result import FusionResult

HEIGHT, WIDTH = 48, 96  # too narrow for a scale bar: pictures have the size of the image


def result(sigma_m=0.1):
    """A wall 8 m away whose left quarter is unknown, with a post of 3 m that no return hit."""
    depth_m = np.full((HEIGHT, WIDTH), 8.0, np.float32)
    depth_m[:, -WIDTH // 16 :] = 3.0
    depth_m[:, : WIDTH // 4] = np.nan
    sparse_m = np.zeros((HEIGHT, WIDTH), np.float32)
    sparse_m[::4, WIDTH // 4 : -8 : 4] = 8.0
    image = np.full((HEIGHT, WIDTH, 3), (200, 40, 40), np.uint8)
    view = CameraView(image, sparse_m, Intrinsics(WIDTH, HEIGHT, 80.0, 80.0, 47.5, 23.5))
    sigma = np.where(np.isnan(depth_m), np.nan, np.float32(sigma_m)).astype(np.float32)
    return FusionResult(view, DepthEstimate(depth_m, sigma), 'guided', {}, None)


@pytest.mark.parametrize('part', ['depth', 'sigma'])
def test_unknown_is_unknown_in_depth_and_sigma_alike(part):
    unknown = (pictures(result(), OutputConfig())[part] == UNKNOWN_RGB).all(axis=-1)
    assert unknown[:, : WIDTH // 4].all()
    assert not unknown[:, WIDTH // 4 :].any()


def test_returns_have_the_colour_of_the_depth_they_became():
    parts = pictures(result(), OutputConfig())
    assert tuple(parts['overlay'][8, WIDTH // 2]) == tuple(parts['depth'][8, WIDTH // 2])


def test_the_cloud_is_gated_by_sigma():
    output = OutputConfig(max_relative_sigma=0.10)
    sure, unsure = (pictures(result(sigma_m), output)['cloud'] for sigma_m in (0.5, 1.0))
    assert (sure == (200, 40, 40)).all(axis=-1).any()
    assert (unsure == PAPER_RGB).all()


@pytest.mark.parametrize('size', [(HEIGHT, WIDTH), (2 * HEIGHT, 2 * WIDTH)])
def test_truth_of_any_size_gives_an_error_picture(size):
    truth_m = np.full(size, 9.0, np.float32)
    truth_m[:, -size[1] // 16 :] = 4.0
    error = pictures(result(), OutputConfig(), truth_m)['error']
    assert error.shape == (HEIGHT, WIDTH, 3)
    # One metre everywhere: one colour, except where a neighbour's dot meets the unknown.
    assert len(np.unique(error[:, WIDTH // 4 + 1 :].reshape(-1, 3), axis=0)) == 1
    assert (error[:, : WIDTH // 4 - 1] == UNKNOWN_RGB).all()


def test_without_returns_there_is_no_overlay():
    alone = result()
    alone.view.sparse_m[:] = 0
    parts = pictures(alone, OutputConfig(), np.full((HEIGHT, WIDTH), 9.0, np.float32))
    assert list(parts) == ['depth', 'sigma', 'error', 'cloud']
    assert sheet(alone, parts).shape[1] > 2 * WIDTH


def test_what_is_too_far_is_drawn_as_unknown_and_is_no_point():
    sky = result()
    sky.estimate.depth_m[: HEIGHT // 2] = np.inf
    sky.estimate.sigma_m[: HEIGHT // 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        parts = pictures(sky, OutputConfig(), np.full((HEIGHT, WIDTH), 9.0, np.float32))
    for name in ('depth', 'sigma'):
        assert (parts[name][: HEIGHT // 2] == UNKNOWN_RGB).all()
    assert (parts['error'][: HEIGHT // 2 - 1] == UNKNOWN_RGB).all()
    np.testing.assert_array_equal(  # the scale is that of what is near
        parts['depth'][HEIGHT // 2 :], pictures(result(), OutputConfig())['depth'][HEIGHT // 2 :]
    )
    sky.estimate.depth_m[:] = np.inf
    assert (pictures(sky, OutputConfig())['cloud'] == PAPER_RGB).all()


def test_relative_depth_has_one_picture_in_which_near_is_warm():
    relative = result()
    disparity = np.repeat(np.linspace(0, 40, HEIGHT, dtype=np.float32)[:, None], WIDTH, axis=1)
    disparity[:, 0] = np.nan
    estimate = DepthEstimate(
        disparity, np.full_like(disparity, np.nan), DepthKind.DISPARITY_AFFINE
    )
    relative = replace(relative, estimate=estimate)
    parts = pictures(relative, OutputConfig(), np.full((HEIGHT, WIDTH), 9.0, np.float32))
    assert list(parts) == ['relative']
    red, blue = parts['relative'][..., 0].astype(int), parts['relative'][..., 2].astype(int)
    assert (red[-1, 1:] > blue[-1, 1:]).all()  # the ground is near
    assert (red[1, 1:] < blue[1, 1:]).all()
    assert (parts['relative'][:, 0] == UNKNOWN_RGB).all()
    assert sheet(relative, parts).shape[1] > 2 * WIDTH


@pytest.mark.parametrize('value', [np.nan, np.inf, 0.0, -2.0])
def test_a_disparity_without_extent_can_be_drawn(value):
    picture = disparity_picture(np.full((4, 6), value, np.float32))
    assert (picture == picture[0, 0]).all()
    assert ((picture == UNKNOWN_RGB).all()) == (not np.isfinite(value))


def test_a_sheet_has_the_image_and_every_part_two_in_a_row():
    completed = result()
    parts = pictures(completed, OutputConfig(), np.full((HEIGHT, WIDTH), 9.0, np.float32))
    whole = sheet(completed, parts)
    margin, title = 4, 18  # least margin; two lines of the least text
    cloud_height = round(WIDTH * 9 / 16)
    assert whole.shape == (
        4 * margin + 3 * title + 2 * HEIGHT + max(HEIGHT, cloud_height),
        2 * WIDTH + 3 * margin,
        3,
    )
    first = whole[margin + title : margin + title + HEIGHT, margin : margin + WIDTH]
    assert np.array_equal(first, completed.view.image)
