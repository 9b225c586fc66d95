"""Cameras without calibration: the focal length that Depth Pro sees in their images."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

from depth_ros.datasets.estimated import CameraEstimator, EstimatedCamera
from depth_ros.errors import MethodError
from depth_ros.frame import UInt8
from depth_ros.methods.focal import FocalEstimator
from depth_ros.pipeline.config import EngineConfig, PipelineConfig
from depth_ros.pipeline.fusion import make_method


def refuse_lidar(config: PipelineConfig) -> None:
    """Refuse a method that needs LiDAR, which must not be projected into a guessed camera.

    Raises:
        MethodError: it does.
        DepthRosError: the method lacks something, such as weights, and the way out.
    """
    method, _ = make_method(config)
    if method.needs_lidar:
        raise MethodError(
            f'{method.name} completes LiDAR, which must not be projected into a camera whose '
            'intrinsics are estimated; choose --method mono, or calibrate the camera.'
        )


@contextlib.contextmanager
def camera_estimator(config: EngineConfig) -> Iterator[CameraEstimator]:
    """An estimator that opens Depth Pro when the first image asks for it."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def network() -> FocalEstimator:
            opened = FocalEstimator('', config.backend, config.precision, config.threads)
            return stack.enter_context(contextlib.closing(opened))

        def f_px(rgb: UInt8) -> float:
            return network().f_px(rgb)

        yield CameraEstimator(f_px)


def tell(cameras: dict[str, EstimatedCamera]) -> None:
    """Say on stderr what was guessed, and that it is a guess."""
    if not cameras:
        print('every camera has its calibration: nothing was estimated', file=sys.stderr)
    for name, camera in cameras.items():
        low, high = min(camera.f_px), max(camera.f_px)
        source = f'the median of {len(camera.f_px)} images, {low:.1f} to {high:.1f}'
        print(
            f'WARNING: the intrinsics of camera {name!r} are an ESTIMATE: f = '
            f'{camera.intrinsics.fx:.1f} px, {camera.fov_deg:.1f} degrees across '
            f'({source if len(camera.f_px) > 1 else "from one image"}); the principal point is '
            'taken to be in the middle, and the lens not to distort.',
            file=sys.stderr,
        )


def description(cameras: dict[str, EstimatedCamera]) -> dict[str, Any]:
    """What was guessed, for JSON: entries as in a calib.json, but marked."""
    return {
        name: {
            'width': camera.intrinsics.width,
            'height': camera.intrinsics.height,
            'K': camera.intrinsics.matrix,
            'fov_deg': camera.fov_deg,
            'f_px_by_image': camera.f_px,
        }
        for name, camera in cameras.items()
    }
