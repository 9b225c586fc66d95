"""What a sensor may do to a view that was cast: other LiDARs, other images, other scales."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from depth_ros.frame import Bool, Float32, UInt8
from depth_ros.geometry.projection import remove_occluded
from depth_ros.methods.guided import MIN_RETURNS, rows_above, top_of_lidar
from depth_ros.simulation.lidar import NO_RING
from depth_ros.training.augment import mirrored
from depth_ros.training.examples import Example

MAX_DEPTH_M = 120.0
_MARGIN = 0.30  # of the pipeline's occlusion filter
_SAME_SURFACE = 0.05  # a step or a bend by less of the depth is none
_REACH = 0.25  # of a pixel; of three returns within it, the nearest is so far from its centre


def varied(example: Example, ring: UInt8, rng: np.random.Generator) -> Example:
    """A view as another sensor would give it.

    Fewer rings (every second, fourth, eighth), or random points in place of a LiDAR; lost
    returns and lost regions; the occlusion filter of the pipeline, mostly; other distances; other
    colours, noise and compression; mirrored. Where too few returns would be left, all stay. The
    truth is `nearest_in_pixel` and ends where the LiDAR's view does, since nothing is published
    above it.

    Args:
        example: with dense truth.
        ring: (H, W) ring of each return, `NO_RING` = none.
        rng: decides.
    """
    sparse_m = _sensed(example, ring, rng)
    if sparse_m.any() and rng.random() < 0.85:
        # What the filter takes out is negative from here on.
        sparse_m = np.where(remove_occluded(sparse_m, _MARGIN) > 0, sparse_m, -sparse_m)
    sparse_m = _lost(sparse_m, rng)
    if np.count_nonzero(sparse_m > 0) < MIN_RETURNS:
        sparse_m = example.sparse_m
    truth_m = nearest_in_pixel(example.truth_m, rng)
    if rng.random() < 0.4:
        factor = np.float32(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
        sparse_m, truth_m = sparse_m * factor, truth_m * factor
    sparse_m, hidden_m = np.maximum(sparse_m, 0), np.maximum(-sparse_m, 0)
    unknown = truth_m > MAX_DEPTH_M
    if sparse_m.any():
        unknown |= rows_above(top_of_lidar(sparse_m), len(sparse_m))
    truth_m = np.where(unknown, np.float32(0), truth_m)
    image = photographed(example.image, rng)
    example = dataclasses.replace(
        example, image=image, sparse_m=sparse_m, truth_m=truth_m, hidden_m=hidden_m
    )
    return mirrored(example) if rng.random() < 0.5 else example


def nearest_in_pixel(truth_m: Float32, rng: np.random.Generator) -> Float32:
    """Truth (H, W) as LiDAR gives it: the nearest surface within a pixel, not at its centre.

    Sweeps are drawn into pixels with a z-buffer: the sparse depth of the pipeline, and the truth
    of KITTI, which gathers eleven of them (Uhrig et al., "Sparsity invariant CNNs", 3DV 2017). On
    a slope the few returns within a pixel lie around its centre, and the nearest of them stays.
    At an edge, the nearer surface reaches into the pixel beside it if the edge runs through that
    half of the way between their centres.

    Args:
        truth_m: depth at the centres of pixels in metres, 0 = unknown.
        rng: decides where edges run.
    """
    height, width = truth_m.shape
    around_m, nearest_m = np.pad(truth_m, 1), truth_m
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        beside_m = around_m[row : row + height, column : column + width]
        opposite_m = around_m[2 - row : 2 - row + height, 2 - column : 2 - column + width]
        same = beside_m > (1 - _SAME_SURFACE) * truth_m
        same |= _straight(beside_m, truth_m, opposite_m)
        reaches = same | (rng.random(truth_m.shape, dtype=np.float32) < 0.5)
        within_m = np.where(same, truth_m + _REACH * (beside_m - truth_m), beside_m)
        nearer = (beside_m > 0) & (beside_m < truth_m) & reaches
        nearest_m = np.where(nearer, np.minimum(nearest_m, within_m), nearest_m)
    return nearest_m


def _straight(one_m: Float32, middle_m: Float32, other_m: Float32) -> Bool:
    """Where three pixels in a row see one plane, whose inverse depth is linear over the image.

    Far ground rises by more from row to row than many an edge.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        bend = np.abs(middle_m / one_m + middle_m / other_m - 2)
    return np.asarray((one_m > 0) & (other_m > 0) & (bend < _SAME_SURFACE))


def _sensed(example: Example, ring: UInt8, rng: np.random.Generator) -> Float32:
    """The returns (H, W) of the LiDAR, of some of its rings, or random points of the truth."""
    kind = rng.choice(5, p=(0.42, 0.13, 0.12, 0.07, 0.26))
    rings = len(np.unique(ring[ring != NO_RING]))
    if kind == 4:
        return _random_points(example.truth_m, rng)
    every = 1 << kind
    if rings < 3 * every:
        return example.sparse_m
    kept = (ring != NO_RING) & (ring % every == rng.integers(every))
    return np.where(kept, example.sparse_m, np.float32(0))


def _random_points(truth_m: Float32, rng: np.random.Generator) -> Float32:
    """Some pixels of the truth, 0.02 % to 2 % of the image, with a little noise."""
    known = np.flatnonzero(truth_m)
    count = int(np.exp(rng.uniform(np.log(2e-4), np.log(2e-2))) * truth_m.size)
    chosen = rng.choice(known, min(count, known.size), replace=False)
    noise = 1 + rng.choice((0.0, rng.uniform(0, 0.01))) * rng.standard_normal(chosen.size)
    sparse_m = np.zeros_like(truth_m)
    sparse_m.put(chosen, truth_m.take(chosen) * noise)
    return sparse_m


def _lost(sparse_m: Float32, rng: np.random.Generator) -> Float32:
    """Returns (H, W) without some: any of them, or all in a rectangle."""
    if rng.random() < 0.4:
        kept = rng.random(sparse_m.shape, dtype=np.float32) > rng.uniform(0, 0.4)
        sparse_m = np.where(kept, sparse_m, np.float32(0))
    if rng.random() < 0.2:
        height, width = sparse_m.shape
        rows, columns = (int(rng.uniform(0.05, 0.6) * side) for side in (height, width))
        top, left = rng.integers(height - rows), rng.integers(width - columns)
        sparse_m = sparse_m.copy()
        sparse_m[top : top + rows, left : left + columns] = 0
    return sparse_m


def photographed(image: UInt8, rng: np.random.Generator) -> UInt8:
    """An image (H, W, 3) of another camera: colours, contrast, blur, noise, JPEG, grey."""
    if rng.random() < 0.7:
        gain = np.exp(0.25 * rng.normal()) * (1 + 0.1 * rng.normal(size=3))
        table = np.arange(256)[:, None] / 255 * gain + 0.1 * rng.normal()
        table = 255 * np.clip(table, 0, 1) ** np.exp(0.3 * rng.normal())
        image = cv2.LUT(image, table[None].astype(np.uint8))
    if rng.random() < 0.15:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < 0.3:
        noise = rng.uniform(1, 10) * rng.standard_normal(image.shape, dtype=np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        stored = cv2.imencode('.jpg', image, quality)[1]
        image = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)
    return image
