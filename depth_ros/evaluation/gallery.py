"""The pictures of one completed frame."""

from __future__ import annotations

from dataclasses import replace

from depth_ros.evaluation import figures
from depth_ros.evaluation.cloud_view import cloud_picture
from depth_ros.evaluation.colormap import fitted_limits
from depth_ros.evaluation.evaluate import truth_in_view
from depth_ros.frame import Float32, UInt8
from depth_ros.pipeline.config import OutputConfig, PointsConfig
from depth_ros.pipeline.result import FusionResult


def pictures(
    result: FusionResult,
    output: OutputConfig,
    depth_gt_m: Float32 | None = None,
    gated: bool = PointsConfig.gated,
) -> dict[str, UInt8]:
    """Overlay, depth, sigma, cloud and, with truth, error: (H, W, 3) uint8 RGB each.

    LiDAR and depth share their colours; without returns there is no overlay. The cloud is what a
    robot would get on `depth/points`. Of relative depth there is but one picture, `relative`.

    Args:
        result: of the pipeline.
        output: settings of the gate.
        depth_gt_m: (H, W) true depth in metres, 0 = unknown, at any size of the view; or None.
        gated: whether the cloud is gated by sigma.
    """
    view, estimate = result.view, result.estimate
    if not result.is_metric:
        return {'relative': figures.disparity_picture(estimate.depth_m)}
    limits_m = fitted_limits(estimate.depth_m)
    found = {}
    if view.sparse_m.any():
        found['overlay'] = figures.lidar_overlay(view.image, view.sparse_m, limits_m)
    found['depth'] = figures.depth_picture(estimate.depth_m, limits_m)
    found['sigma'] = figures.sigma_picture(estimate.sigma_m)
    if depth_gt_m is not None:
        truth_m = truth_in_view(depth_gt_m, *estimate.depth_m.shape)
        found['error'] = figures.error_picture(estimate.depth_m, truth_m)
    found['cloud'] = _cloud(result, output, gated)
    return found


def sheet(
    result: FusionResult,
    parts: dict[str, UInt8],
    note: str = '',
    gated: bool = PointsConfig.gated,
) -> UInt8:
    """The image and its `pictures` on one contact sheet; a note stands beside the first title."""
    titles = {
        'overlay': 'LiDAR returns',
        'depth': f'depth, {result.method}',
        'relative': f'relative depth, {result.method}: near is warm, no metres',
        'sigma': 'sigma, one standard deviation',
        'error': 'error against ground truth',
        'cloud': 'cloud, gated by sigma' if gated else 'cloud, all of it',
    }
    tiles = [(', '.join(filter(None, ('camera, rectified', note))), result.view.image)]
    tiles += [(titles[name], picture) for name, picture in parts.items()]
    return figures.contact_sheet(tiles)


def _cloud(result: FusionResult, output: OutputConfig, gated: bool) -> UInt8:
    # A point for each pixel: so its colour is that of the pixel.
    points = result.cloud(replace(output, cloud_stride=1), gated)[..., :3].reshape(-1, 3)
    width, height = result.view.intrinsics.width, round(result.view.intrinsics.width * 9 / 16)
    return cloud_picture(points, result.view.image.reshape(-1, 3), width, height)
