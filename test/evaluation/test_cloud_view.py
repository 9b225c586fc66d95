"""The picture of a cloud: what is nearer to the eye hides what is farther."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_ros.evaluation.cloud_view import _splat, cloud_picture
from depth_ros.evaluation.figures import PAPER_RGB

RED, GREEN = (255, 0, 0), (0, 255, 0)


def wall(depth_m, half_width_m, spacing_m=0.05):
    """Points (N, 3) of a square that faces the camera."""
    steps = np.arange(-half_width_m, half_width_m, spacing_m)
    x, y = np.meshgrid(steps, steps)
    return np.stack((x.ravel(), y.ravel(), np.full(x.size, depth_m)), axis=-1)


def box_before_a_wall():
    """Points (N, 3) and colours as a camera sees them: red at 4 m in the middle, green at 7 m."""
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 160), np.linspace(-0.4, 0.4, 108))
    is_near = (np.abs(x) < 0.15) & (np.abs(y) < 0.15)
    depth_m = np.where(is_near, 4.0, 7.0)
    points = np.stack((x * depth_m, y * depth_m, depth_m), axis=-1).reshape(-1, 3)
    colors = np.where(is_near.reshape(-1, 1), RED, GREEN).astype(np.uint8)
    return points, colors


@pytest.mark.parametrize('order', [slice(None), slice(None, None, -1)])
def test_no_wall_shines_through_what_stands_before_it(order):
    # Seen from above and behind the camera, part of the wall that the camera sees is hidden.
    points, colors = box_before_a_wall()
    picture = cloud_picture(points[order], colors[order], 320, 180)
    red, green = ((picture == color).all(axis=-1) for color in (RED, GREEN))
    hull = cv2.convexHull(np.argwhere(red)[:, ::-1].astype(np.int32))
    inside = cv2.fillConvexPoly(np.zeros((180, 320), np.uint8), hull, 1)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0  # the border is blended
    assert red.sum() > 500
    assert green.sum() > 500
    assert red[inside].all()


@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_of_two_points_on_one_ray_the_nearer_shows(order):
    canvas = np.zeros((36, 64, 3), np.uint8)
    points = np.array([[0.2, 0.1, 2.0], [0.4, 0.2, 4.0]])[order]
    _splat(canvas, points, np.array([RED, GREEN], np.uint8)[order], np.zeros(2))
    # f = width = 64: column 0.1 * 64 + 32 = 38.4, row 0.05 * 64 + 18 = 21.2.
    assert tuple(canvas[21, 38]) == RED
    assert np.count_nonzero(canvas.any(axis=-1)) == 1


def test_points_close_up_as_a_surface_without_holes():
    points = wall(4.0, 1.0)
    picture = cloud_picture(points, np.full(points.shape, RED, np.uint8), 160, 90)
    rows, columns = np.nonzero((picture == RED).all(axis=-1))
    middle_row, middle_column = round(rows.mean()), round(columns.mean())
    assert (picture[middle_row, middle_column - 8 : middle_column + 8] == RED).all()


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_change_nothing(bad):
    points = wall(4.0, 1.0)
    colors = np.full(points.shape, RED, np.uint8)
    more = np.concatenate((points, [[0.0, 0.0, bad], [bad, 0.0, 3.0]]))
    picture = cloud_picture(more, np.concatenate((colors, [GREEN, GREEN])).astype(np.uint8))
    assert np.array_equal(picture, cloud_picture(points, colors))


def test_a_single_point_can_be_drawn():
    picture = cloud_picture(np.array([[0.0, 0.0, 5.0]]), np.array([RED], np.uint8), 64, 36)
    assert (picture != PAPER_RGB).any()
