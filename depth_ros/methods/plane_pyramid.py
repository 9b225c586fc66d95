"""First-order normalised convolution on a pyramid: local planes through scattered returns.

At every pixel a plane is fitted to the inverse depths around it, because a plane in space is
affine in inverse depth over the image. Where returns are too few for a plane of its own, the
coarser level's plane is the prior. Sources: Knutsson and Westin, "Normalized and differential
convolution", CVPR 1993 (weighted local fits as convolutions); Kopf et al., "Joint bilateral
upsampling", SIGGRAPH 2007 (the image decides between coarse neighbours).

The finest planes are fitted at half size, where they cost a quarter; what returns still say
beyond them at full size is a smooth correction (`refine`).
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from depth_ros.frame import Float32, UInt8

Image = TypeVar('Image', Float32, UInt8)

SIGMA_PX = 1.0
"""Gaussian window of the fit, in pixels of each level."""
PRIOR_RETURNS = 0.02
"""The coarser level counts as much as this many returns at the pixel itself."""
CORRECTION_PRIOR_RETURNS = 0.1
"""The planes count as much as this many returns when returns correct them at full size."""
LUMINANCE_SIGMA = 10.0
"""Grey levels beyond which a coarse neighbour belongs to something else."""
GUIDED_FROM = 2
"""First level, counted from full size = 0, whose prior is steered by the image."""
COARSEST_PX = 8
SUPPORT = 3.5
"""Returns within so many mean spacings of a pixel bound its inverse depth,"""
BEYOND_SUPPORT = 0.05
"""but for this share of it: ground between scan lines goes on beyond the last one."""
MIN_OTHERS = np.float32(0.1)
"""Least weight of the others in a leave-one-out residual, which a lone return would blow up."""

_X = np.arange(-3, 4, dtype=np.float32)
G = np.exp(-_X * _X / np.float32(2 * SIGMA_PX**2))
GX, GXX = G * _X, G * _X * _X
"""The window and its first two moments."""


class Planes(NamedTuple):
    """A plane per pixel in inverse depth.

    Attributes:
        value: (h, w) inverse depth at the pixel [1/m].
        du: (h, w) its change per column [1/m/pixel].
        dv: (h, w) its change per row [1/m/pixel].
        leverage: (h, w) variance of `value` for unit variance of each return, which is also
            the weight that a return has in the fit at its own pixel.
    """

    value: Float32
    du: Float32
    dv: Float32
    leverage: Float32


def fit_planes(inverse: Float32, mask: Float32, grey: UInt8) -> Planes:
    """Fit planes through returns, coarse to fine, up to half the size of the input.

    Args:
        inverse: (H, W) inverse depth of the returns [1/m], 0 where none.
        mask: (H, W) 1 where there is a return, else 0; at least one return.
        grey: (H, W) luminance of the image.

    Returns:
        Planes of size (ceil(H / 2), ceil(W / 2)), slopes per pixel of that size.
    """
    sums, counts = _pyramid(inverse), _pyramid(mask)
    luminance = _pyramid(grey, mean=True)
    value = np.full_like(sums[-1], sums[-1].sum() / counts[-1].sum())
    zero = np.zeros_like(value)
    planes = _fit(sums[-1], counts[-1], Planes(value, zero, zero, zero))
    for level in range(len(sums) - 2, 0, -1):
        if level >= GUIDED_FROM:
            prior = _upsample_guided(planes, luminance[level + 1], luminance[level])
        else:
            prior = _upsample(planes, sums[level].shape)
        planes = _fit(sums[level], counts[level], prior)
    return planes


def bounded(planes: Planes, inverse: Float32, mask: Float32, spacing_px: float) -> Planes:
    """Planes that do not run away from the returns around them.

    Past the last return of a steep surface its plane goes on, beyond all that was measured.
    Where no return is within `SUPPORT` spacings, there is nothing to tell that by.

    Args:
        planes: of half the size of the input.
        inverse: (H, W) inverse depth of the returns [1/m], 0 where none.
        mask: (H, W) 1 where there is a return, else 0.
        spacing_px: mean distance between returns in pixels.
    """
    sums, counts = halve(inverse), halve(mask)
    found = counts > 0
    near, far_m = np.zeros_like(sums), np.zeros_like(sums)
    np.divide(sums, counts, out=near, where=found)
    np.divide(counts, sums, out=far_m, where=found)
    window = np.ones((2 * max(round(SUPPORT * spacing_px / 2), 1) + 1,) * 2, np.uint8)
    near, far_m = cv2.dilate(near, window), cv2.dilate(far_m, window)
    near[near == 0] = np.inf
    lowest = np.divide(np.float32(1 - BEYOND_SUPPORT), far_m, out=far_m, where=far_m > 0)
    highest = near * np.float32(1 + BEYOND_SUPPORT)
    return planes._replace(value=np.clip(planes.value, lowest, highest))


def refine(planes: Planes, inverse: Float32, mask: Float32) -> tuple[Float32, Float32]:
    """Planes of half the size at full size, corrected by the returns around each pixel.

    Returns:
        Inverse depth (H, W) [1/m], and its leave-one-out residuals (H, W) at the returns, 0
        elsewhere: how far each return lies from what the others say. For a linear fit that is
        r / (1 - leverage) (Allen, "The relationship between variable selection and data
        augmentation and a method for prediction", Technometrics 1974).
    """
    value = _double(planes.value, inverse.shape)
    weight = 1.0 / (_correlate(mask, G, G) + CORRECTION_PRIOR_RETURNS)
    value += _correlate(mask * (inverse - value), G, G) * weight
    at = np.flatnonzero(mask > 0)
    rows, columns = np.divmod(at, mask.shape[1])
    # A return pulls the plane by its leverage there, then the rest of the way by `weight`.
    others = (1.0 - planes.leverage[rows // 2, columns // 2]) * (1.0 - weight.take(at))
    left_out = np.zeros_like(inverse)
    left_out.put(at, (inverse.take(at) - value.take(at)) / np.maximum(others, MIN_OTHERS))
    return value, left_out


def smooth(sums: Float32, counts: Float32) -> Float32:
    """Mean value around each pixel, coarse to fine: `fit_planes` with constants, at full size.

    Args:
        sums: (h, w) sum of the values that fall into each pixel.
        counts: (h, w) how many do; at least one in all.
    """
    value_levels, count_levels = _pyramid(sums), _pyramid(counts)
    mean = np.full_like(value_levels[-1], sums.sum() / counts.sum())
    for values, numbers in zip(value_levels[::-1], count_levels[::-1], strict=True):
        prior = mean if values.shape == mean.shape else _double(mean, values.shape)
        weight = _correlate(numbers, G, G) + PRIOR_RETURNS
        mean = (_correlate(values, G, G) + PRIOR_RETURNS * prior) / weight
    return mean


def halve(image: Image, border: int = cv2.BORDER_CONSTANT) -> Image:
    """Mean of 2x2 cells; an odd last row or column is padded."""
    height, width = image.shape
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, border)
    return cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _double(image: Float32, shape: tuple[int, ...]) -> Float32:
    doubled = cv2.resize(image, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_LINEAR)
    return doubled[: shape[0], : shape[1]]


def _correlate(image: Float32, kernel_u: Float32, kernel_v: Float32) -> Float32:
    return cv2.sepFilter2D(image, cv2.CV_32F, kernel_u, kernel_v, borderType=cv2.BORDER_CONSTANT)


def _pyramid(image: Image, mean: bool = False) -> list[Image]:
    """The image and its halves, one at least, down to COARSEST_PX: sums over cells, or means."""
    levels = [image]
    while len(levels) == 1 or min(image.shape) > COARSEST_PX:
        image = halve(image, cv2.BORDER_REPLICATE) if mean else 4 * halve(image)
        levels.append(image)
    return levels


def _fit(z: Float32, count: Float32, prior: Planes) -> Planes:
    """Weighted least squares of value + du x + dv y, x and y counted from each pixel.

    The normal equations are solved by eliminating the value: with S the second moments about
    the centroid (xm, ym) of the returns, S (du, dv) = r. The prior adds PRIOR_RETURNS to the
    weight of the value, and that of one return at distance SIGMA_PX to the slopes, so that S
    is never singular.

    Args:
        z: (h, w) sum of the inverse depths in each pixel.
        count: (h, w) number of returns in each pixel.
        prior: planes (h, w) to fall back on.
    """
    ridge = np.float32(SIGMA_PX**2)
    mx, my = _correlate(count, GX, G), _correlate(count, G, GX)
    inverse_weight = 1.0 / (_correlate(count, G, G) + PRIOR_RETURNS)
    mean = (_correlate(z, G, G) + PRIOR_RETURNS * prior.value) * inverse_weight
    xm, ym = mx * inverse_weight, my * inverse_weight
    Sxx = _correlate(count, GXX, G) + ridge - mx * xm
    Syy = _correlate(count, G, GXX) + ridge - my * ym
    Sxy = _correlate(count, GX, GX) - mx * ym
    rx = _correlate(z, GX, G) + ridge * prior.du - mx * mean
    ry = _correlate(z, G, GX) + ridge * prior.dv - my * mean
    inverse_det = 1.0 / (Sxx * Syy - Sxy * Sxy)
    du = (Syy * rx - Sxy * ry) * inverse_det
    dv = (Sxx * ry - Sxy * rx) * inverse_det
    spread = ((Syy * xm - 2.0 * Sxy * ym) * xm + Sxx * ym * ym) * inverse_det
    return Planes(mean - xm * du - ym * dv, du, dv, inverse_weight + spread)


def _upsample(planes: Planes, shape: tuple[int, ...]) -> Planes:
    """Planes at twice the size, by bilinear interpolation."""
    half = np.float32(0.5)
    parts = (planes.value, planes.du * half, planes.dv * half)
    value, du, dv = (_double(part, shape) for part in parts)
    return Planes(value, du, dv, value)


def _upsample_guided(planes: Planes, coarse: UInt8, fine: UInt8) -> Planes:
    """Planes at twice the size, each pixel taking those coarse neighbours that look like it.

    The four coarse neighbours extend their planes to the fine pixel and count by how alike
    the luminances `coarse` and `fine` are, as well as by their bilinear weights.
    """
    height, width = fine.shape
    rows, columns = coarse.shape
    parts = (coarse.astype(np.float32), planes.value, planes.du, planes.dv)
    padded = [cv2.copyMakeBorder(part, 1, 1, 1, 1, cv2.BORDER_REPLICATE) for part in parts]
    result = np.empty((3, 2 * rows, 2 * columns), dtype=np.float32)
    fine = np.pad(fine, ((0, 2 * rows - height), (0, 2 * columns - width)), mode='edge')
    # A fine pixel lies a quarter of a coarse one off its parent's centre, so its neighbours are
    # the parent (weight 3/4) and the one on that side (1/4), alike for all of one parity.
    for odd_v, odd_u in ((0, 0), (0, 1), (1, 0), (1, 1)):
        pixels = fine[odd_v::2, odd_u::2].astype(np.float32)
        total = np.zeros((4, rows, columns), dtype=np.float32)
        for step_v, weight_v, y in _neighbours(odd_v):
            for step_u, weight_u, x in _neighbours(odd_u):
                window = np.s_[1 + step_v : 1 + step_v + rows, 1 + step_u : 1 + step_u + columns]
                luminance, value, du, dv = (part[window] for part in padded)
                unlike = (pixels - luminance) * np.float32(1 / LUMINANCE_SIGMA)
                weight = np.float32(weight_v * weight_u) / (1.0 + unlike * unlike)
                total[0] += weight
                total[1] += weight * (value + du * np.float32(x) + dv * np.float32(y))
                total[2] += weight * du
                total[3] += weight * dv
        result[:, odd_v::2, odd_u::2] = total[1:] / total[0]
    result[1:] *= np.float32(0.5)
    value, du, dv = result[:, :height, :width]
    return Planes(value, du, dv, value)


def _neighbours(odd: int) -> tuple[tuple[int, float, float], tuple[int, float, float]]:
    """Step, bilinear weight and offset in coarse pixels of the two coarse neighbours."""
    side = 1 if odd else -1
    return (0, 0.75, 0.25 * side), (side, 0.25, -0.75 * side)
