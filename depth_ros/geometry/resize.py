"""Image, sparse depth and intrinsics of a view scaled together."""

from __future__ import annotations

import cv2
import numpy as np

from depth_ros.frame import CameraView, DepthEstimate, Float32, UInt8


def resize_image(image: UInt8, width: int, height: int) -> UInt8:
    """An image at another size: area mean when it shrinks, bilinear when it grows."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized: UInt8 = cv2.resize(image, (width, height), interpolation=kind)
    return resized


def resize_sparse(sparse_m: Float32, width: int, height: int) -> Float32:
    """Sparse depth at another size.

    Returns are moved, never interpolated; where several fall into one pixel the nearest wins,
    as in the projection.
    """
    rows, columns = np.nonzero(sparse_m)
    depth_m = sparse_m[rows, columns]
    far_to_near = np.argsort(-depth_m, kind='stable')
    rows, columns = rows[far_to_near], columns[far_to_near]
    moved = np.zeros((height, width), dtype=np.float32)
    # A pixel's centre (i + 0.5) scales; the pixel it falls into is the floor.
    rows = ((rows + 0.5) * (height / sparse_m.shape[0])).astype(np.intp)
    columns = ((columns + 0.5) * (width / sparse_m.shape[1])).astype(np.intp)
    moved[rows, columns] = depth_m[far_to_near]
    return moved


def resize_view(view: CameraView, width: int, height: int) -> CameraView:
    """A view at another size, its image, sparse depth and intrinsics alike."""
    if (width, height) == (view.intrinsics.width, view.intrinsics.height):
        return view
    return CameraView(
        resize_image(view.image, width, height),
        resize_sparse(view.sparse_m, width, height),
        view.intrinsics.resized(width, height),
        view.stamp_ns,
        hidden_m=None if view.hidden_m is None else resize_sparse(view.hidden_m, width, height),
    )


def enlarge_estimate(estimate: DepthEstimate, width: int, height: int) -> DepthEstimate:
    """An estimate in metres at a larger size.

    Inverse depth is interpolated, since that of a plane is linear in pixels, and sigma as a share
    of depth. Unknown (NaN) is what has unknown pixels beside it; too far (+Inf, with a sigma of
    NaN) is, of the rest, what has pixels beside it that are too far.
    """

    def enlarged(values: Float32) -> Float32:
        result: Float32 = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        return result

    one, too_far = np.float32(1), np.isposinf(estimate.depth_m)
    # Its inverse is 0, of which interpolation would make a finite depth: here it is marked.
    beside_far = np.isnan(enlarged(np.where(too_far, np.float32(np.nan), np.float32(0))))
    with np.errstate(divide='ignore', invalid='ignore'):  # 1 / 0 and Inf / Inf, of what is too far
        depth_m = one / enlarged(one / estimate.depth_m)
        sigma_m = depth_m * enlarged(estimate.sigma_m / estimate.depth_m)
    depth_m[beside_far & ~np.isnan(depth_m)] = np.inf
    sigma_m[beside_far] = np.nan
    return DepthEstimate(depth_m, sigma_m, estimate.kind)
