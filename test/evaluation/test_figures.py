"""Pictures: unknown looks unknown, near looks near, and every kind of frame can be drawn."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from depth_ros.errors import EvaluationError
from depth_ros.evaluation import figures
from depth_ros.evaluation.cloud_view import cloud_picture
from depth_ros.evaluation.colormap import UNKNOWN_RGB, ColorScale, fitted_limits, round_ticks

NAN = np.nan


def test_unknown_depth_has_a_colour_that_no_depth_has():
    depth_m = np.array([[NAN, 0.0, 1.0, 10.0, 100.0]])
    picture = figures.depth_picture(depth_m, (1.0, 100.0), bar=False)
    assert tuple(picture[0, 0]) == tuple(picture[0, 1]) == UNKNOWN_RGB
    colours = {tuple(colour) for colour in picture[0]}
    assert len(colours) == 4


def test_the_scale_is_logarithmic_and_monotone():
    scale = ColorScale(1.0, 100.0, cv2.COLORMAP_VIRIDIS)
    np.testing.assert_allclose(scale.position([1.0, 10.0, 100.0]), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(scale.position([0.1, 1000.0]), [0.0, 1.0])
    # Viridis grows in lightness from end to end.
    ramp = scale.colors(np.geomspace(1, 100, 64))[None]
    lightness = cv2.cvtColor(ramp, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).all()


@pytest.mark.parametrize(
    ('low', 'high', 'ticks'),
    [
        (1.0, 100.0, [1, 2, 5, 10, 20, 50, 100]),
        (4.0, 9.0, [4, 5, 6, 7, 8, 9]),
        (0.1, 0.3, [0.10, 0.15, 0.20, 0.25, 0.30]),  # 0.3 / 0.05 is just below 6 in floats
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert round_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize('values', [[NAN, NAN], [3.0, 3.0], [0.0, -1.0], [1.0, np.inf]])
def test_limits_can_always_be_had(values):
    low, high = fitted_limits(np.array(values))
    assert 0 < low < high < np.inf


def test_a_scale_upside_down_is_refused():
    with pytest.raises(EvaluationError):
        ColorScale(5.0, 1.0, cv2.COLORMAP_TURBO)


def test_errors_are_drawn_only_around_truth():
    truth_m = np.zeros((9, 9))
    truth_m[4, 4] = 10.0
    picture = figures.error_picture(np.full((9, 9), 11.0), truth_m, (0.1, 10.0), bar=False)
    drawn = (picture != UNKNOWN_RGB).any(axis=-1)
    assert drawn[4, 4]
    assert drawn.sum() <= 9
    assert not drawn[0].any()


def test_returns_are_dots_on_the_darkened_image():
    image = np.full((20, 40, 3), 200, np.uint8)
    sparse_m = np.zeros((20, 40), np.float32)
    sparse_m[10, 20] = 5.0
    picture = figures.lidar_overlay(image, sparse_m, bar=False)
    assert tuple(picture[0, 0]) == (100, 100, 100)
    assert tuple(picture[10, 20]) != (100, 100, 100)


def test_the_nearer_of_two_returns_is_on_top():
    image = np.zeros((5, 5, 3), np.uint8)
    sparse_m = np.zeros((5, 5), np.float32)
    sparse_m[2, 2], sparse_m[2, 3] = 2.0, 50.0
    limits = (2.0, 50.0)
    picture = figures.lidar_overlay(image, sparse_m, limits, bar=False)
    near = figures.depth_picture(np.full((1, 1), 2.0), limits, bar=False)[0, 0]
    assert tuple(picture[2, 2]) == tuple(near)


@pytest.mark.parametrize('width', [8, 96, 159, 160, 320, 2000])
def test_pictures_of_any_width_can_be_made(width):
    depth_m = np.linspace(1, 50, width * 6).reshape(6, width)
    for picture in (figures.depth_picture(depth_m), figures.sigma_picture(depth_m / 50)):
        assert picture.shape[1] == width
        assert (picture.shape[0] > 6) == (width >= figures.NARROWEST_BAR_PX)
        assert picture.dtype == np.uint8


def test_labels_of_a_crowded_scale_stay_apart(monkeypatch):
    written = []

    def note(picture, text, origin, *style):
        written.append((text, origin[0]))

    monkeypatch.setattr(cv2, 'putText', note)
    figures.sigma_picture(np.ones((6, 160)), (0.001, 50.0))
    (label, _), *ticks = written
    assert label == 'sigma [m]'
    assert len(ticks) > 1
    for (text, left), (_, next_left) in itertools.pairwise(ticks):
        assert left + figures._text_width(text, figures._text_px(160)) < next_left


def test_a_frame_without_any_depth_can_be_drawn():
    picture = figures.depth_picture(np.full((6, 200), NAN))
    assert (picture[:6] == UNKNOWN_RGB).all()


def test_a_sheet_holds_its_tiles():
    tiles = [
        ('one', np.full((10, 200, 3), 255, np.uint8)),
        ('two', np.zeros((20, 100, 3), np.uint8)),
    ]
    sheet = figures.contact_sheet(tiles, columns=2)
    margin, title = 4, 18
    # The second is scaled up to the width of the first, and so to 40 rows.
    assert sheet.shape == (40 + title + 2 * margin, 2 * 200 + 3 * margin, 3)
    assert (sheet == 255).all(axis=-1).sum() >= 10 * 200
    with pytest.raises(EvaluationError):
        figures.contact_sheet([])


def test_png_round_trip_keeps_colours(tmp_path):
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[..., 0] = 250  # red
    figures.write_png(tmp_path / 'red.png', rgb)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / 'red.png')), cv2.COLOR_BGR2RGB)
    assert np.array_equal(read, rgb)
    with pytest.raises(EvaluationError):
        figures.write_png(tmp_path / 'grey.png', rgb[..., 0])


def test_the_cloud_shows_its_colours_and_nothing_from_behind_the_camera():
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 80)), -1).reshape(-1, 2)
    near = np.column_stack((grid, np.full(len(grid), 5.0)))
    behind = near - np.array([0.0, 0.0, 20.0])  # behind the camera
    red, green = np.array([[255, 0, 0]], np.uint8), np.array([[0, 255, 0]], np.uint8)
    colors = np.vstack((np.repeat(red, len(near), 0), np.repeat(green, len(behind), 0)))
    picture = cloud_picture(np.vstack((near, behind)), colors, 160, 90)
    assert picture.shape == (90, 160, 3)
    assert (picture[..., 0] > 200).sum() > 100
    assert (picture[..., 1] > 200).sum() == 0


def test_a_cloud_without_points_is_a_blank_picture():
    empty = cloud_picture(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), 64, 32)
    assert (empty == figures.PAPER_RGB).all()
    with pytest.raises(EvaluationError):
        cloud_picture(np.zeros((4, 3)), np.zeros((3, 3), np.uint8), 64, 32)
