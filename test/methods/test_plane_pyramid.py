"""The convolutions against least squares solved pixel by pixel, and returns really left out."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.methods.plane_pyramid import (
    PRIOR_RETURNS,
    SIGMA_PX,
    Planes,
    _fit,
    bounded,
    fit_planes,
    halve,
    refine,
    smooth,
)

RNG = np.random.default_rng(5)
SHAPE = (40, 56)


def returns(share, shape=SHAPE):
    """Sums of inverse depth and numbers of returns, up to two in a pixel."""
    count = RNG.binomial(2, share, shape).astype(np.float32)
    return count * RNG.uniform(0.02, 0.2, shape).astype(np.float32), count


def random_planes(shape=SHAPE):
    value, du, dv, leverage = RNG.uniform(-0.1, 0.1, (4, *shape)).astype(np.float32)
    return Planes(value + 0.2, du, dv, leverage)


def least_squares(z, count, prior, v, u):
    """Solution and inverse normal matrix of the weighted fit at one pixel, by np.linalg.lstsq."""
    rows, targets = [], []
    for y in range(-3, 4):
        for x in range(-3, 4):
            if (
                not (0 <= v + y < z.shape[0] and 0 <= u + x < z.shape[1])
                or not count[v + y, u + x]
            ):
                continue
            n = count[v + y, u + x]
            root = np.sqrt(n * np.exp(-(x * x + y * y) / (2 * SIGMA_PX**2)))
            rows.append(root * np.array([1, x, y]))
            targets.append(root * z[v + y, u + x] / n)
    # The prior as three more observations: of the value, and of each slope.
    for weight, axis, target in (
        (PRIOR_RETURNS, 0, prior.value),
        (SIGMA_PX**2, 1, prior.du),
        (SIGMA_PX**2, 2, prior.dv),
    ):
        rows.append(np.sqrt(weight) * np.eye(3)[axis])
        targets.append(np.sqrt(weight) * target[v, u])
    design = np.array(rows)
    solution = np.linalg.lstsq(design, np.array(targets), rcond=None)[0]
    return solution, np.linalg.inv(design.T @ design)


@pytest.mark.parametrize('share', [0.002, 0.02, 0.3])
def test_fit_is_weighted_least_squares(share):
    (z, count), prior = returns(share), random_planes()
    planes = _fit(z, count, prior)
    pixels = [(0, 0), (39, 55), *RNG.integers(0, SHAPE, (100, 2))]
    for v, u in pixels:
        solution, covariance = least_squares(z, count, prior, v, u)
        fitted = (planes.value[v, u], planes.du[v, u], planes.dv[v, u])
        assert np.allclose(fitted, solution, atol=2e-5)
        assert planes.leverage[v, u] == pytest.approx(covariance[0, 0], rel=1e-3)


def test_leverage_is_how_far_a_return_pulls_the_fit_at_its_pixel():
    (z, count), prior = returns(0.1), random_planes()
    before = _fit(z, count, prior)
    for v, u in np.argwhere(count == 1)[::30]:
        pulled = z.copy()
        pulled[v, u] += 1.0
        after = _fit(pulled, count, prior)
        change = after.value[v, u] - before.value[v, u]
        assert change == pytest.approx(before.leverage[v, u], abs=1e-3)


@pytest.mark.parametrize('shape', [(64, 96), (47, 71)])
def test_a_plane_stays_a_plane(shape):
    """Inverse depth affine in the pixel is reproduced where there are returns on all sides."""
    v, u = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    truth = 0.05 + 0.0004 * u + 0.0007 * v
    mask = np.zeros(shape, np.float32)
    mask[::3, ::3] = 1
    grey = RNG.integers(0, 256, shape, np.uint8)
    planes = fit_planes(truth * mask, mask, grey)
    assert planes.value.shape == ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    inner = np.s_[8:-8, 8:-8]  # slopes are per pixel of the half size
    assert planes.du[inner].mean() == pytest.approx(0.0008, rel=0.02)
    assert planes.dv[inner].mean() == pytest.approx(0.0014, rel=0.02)
    value, left_out = refine(planes, truth * mask, mask)
    assert value.shape == shape
    assert np.abs(value / truth - 1)[16:-16, 16:-16].max() < 1e-3
    assert np.abs(left_out)[16:-16, 16:-16].max() < 1e-3 * truth.max()


@pytest.mark.parametrize('share', [0.1, 0.25])
def test_left_out_residuals_are_about_those_of_returns_left_out(share):
    mask = (RNG.random((64, 96)) < share).astype(np.float32)
    inverse = mask * (0.05 + 0.01 * RNG.standard_normal(mask.shape)).astype(np.float32)
    grey = np.full(mask.shape, 128, np.uint8)
    _, left_out = refine(fit_planes(inverse, mask, grey), inverse, mask)
    assert not left_out[mask == 0].any()
    predicted, actual = [], []
    for v, u in np.argwhere(mask)[::8]:
        others_mask, others = mask.copy(), inverse.copy()
        others_mask[v, u] = others[v, u] = 0
        value, _ = refine(fit_planes(others, others_mask, grey), others, others_mask)
        predicted.append(left_out[v, u])
        actual.append(inverse[v, u] - value[v, u])
    assert np.corrcoef(predicted, actual)[0, 1] > 0.95
    assert 0.9 < np.std(predicted) / np.std(actual) < 1.4


def test_smoothing_a_constant_gives_it_back():
    _, count = returns(0.05)
    assert np.allclose(smooth(3.5 * count, count), 3.5, rtol=1e-5)


def test_smoothing_stays_within_its_values_and_follows_them():
    count = np.zeros(SHAPE, np.float32)
    count[::4, ::4] = 1
    values = count * np.where(np.arange(SHAPE[1]) < 28, 1.0, 5.0).astype(np.float32)
    mean = smooth(values, count)
    assert mean.min() >= 1 - 1e-5
    assert mean.max() <= 5 + 1e-5
    assert np.abs(mean[:, :18] - 1).max() < 0.2
    assert np.abs(mean[:, 38:] - 5).max() < 0.2


def test_halves_of_an_odd_size_by_hand():
    image = np.array([[1, 3, 8], [5, 7, 4]], np.float32)
    assert halve(image).tolist() == [[4, 3]]  # (8 + 4 + 0 + 0) / 4


def test_past_its_last_returns_a_surface_does_not_run_away():
    """A wall leads away from the camera, and what is behind its end gives no return."""
    v, u = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    depth_m = 5 + 0.9 * u
    mask = ((v % 6 == 2) & (u % 4 == 1) & (u < 24)).astype(np.float32)
    inverse = (mask / depth_m).astype(np.float32)
    planes = fit_planes(inverse, mask, np.full(SHAPE, 128, np.uint8))
    found = bounded(planes, inverse, mask, spacing_px=5.0)
    last = 1 / depth_m[0, 21]
    assert planes.value[:, 11:19].min() < 0.85 * last, 'else there is nothing to bound'
    assert np.all(found.value[:, 11:19] >= 0.95 * last - 1e-6)  # up to 3.5 spacings past it
    assert np.array_equal(found.value[:, 1:9], planes.value[:, 1:9]), 'where it was measured'


def test_where_no_return_is_near_planes_go_on():
    """Nothing bounds the ground below the last scan line."""
    mask = np.zeros(SHAPE, np.float32)
    mask[4] = 1
    value, zero = np.full((20, 28), 0.5, np.float32), np.zeros((20, 28), np.float32)
    planes = Planes(value, zero, zero, zero)
    found = bounded(planes, mask * np.float32(0.1), mask, spacing_px=3.0).value
    assert np.all(found[:8] == pytest.approx(0.105))  # five rows of half size around that of 4
    assert np.all(found[8:] == 0.5)
