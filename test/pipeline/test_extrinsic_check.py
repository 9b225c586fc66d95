"""A sweep of which nothing falls into the image: what is suspected, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.errors import PipelineError
from depth_ros.frame import Float32, Float64, Frame
from depth_ros.geometry import transforms
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.extrinsic_check import T_OPTICAL_BODY
from depth_ros.pipeline.fusion import NO_RETURN, FusionPipeline

PINHOLE = Intrinsics(96, 64, fx=80.0, fy=80.0, cx=47.5, cy=31.5)


def wall_ahead() -> Float32:
    """Returns of a LiDAR with x forward from a wall at 5 m."""
    y, z = np.mgrid[-1:1:20j, -1:1:20j]  # type: ignore[misc]
    return np.stack((np.full(y.size, 5.0), y.ravel(), z.ravel()), axis=1).astype(np.float32)


def refusal(points: Float32, T_camera_lidar: Float64, frame_id: str = 'camera_link') -> str:
    image = np.zeros((64, 96, 3), np.uint8)
    frame = Frame(image, Camera(PINHOLE), 0, points, T_camera_lidar, frame_id=frame_id)
    with pytest.raises(PipelineError) as caught:
        FusionPipeline(PipelineConfig(method='guided')).process(frame)
    assert caught.value.reason == NO_RETURN
    return str(caught.value)


def at(T: Float64, x: float, y: float, z: float) -> Float64:
    moved = T.copy()
    moved[:3, 3] = x, y, z
    return moved


def test_an_image_in_a_body_frame_is_suspected_by_name() -> None:
    text = refusal(wall_ahead(), at(np.eye(4), 0.1, 0.0, 0.2))  # as TF says of two bodies
    assert "the frame 'camera_link' of the image looks like a body frame (x forward)" in text
    assert 'optical frame (z forward)' in text
    assert 'the frame of the image looks' in refusal(wall_ahead(), np.eye(4), frame_id='')


def test_an_extrinsic_that_is_turned_round_is_suspected() -> None:
    T_camera_lidar = at(T_OPTICAL_BODY, 0.0, 0.0, 0.0)
    text = refusal(wall_ahead(), transforms.inverse(T_camera_lidar))
    assert 'turned round' in text
    assert 'body frame' not in text


def test_a_camera_that_looks_elsewhere_is_not_explained_away() -> None:
    behind = -wall_ahead()
    text = refusal(behind, T_OPTICAL_BODY)
    assert 'of 400 in the sweep; check the extrinsic' in text


def test_returns_out_of_range_are_told_from_a_wrong_extrinsic() -> None:
    text = refusal(wall_ahead() * 1e-4, T_OPTICAL_BODY)
    assert 'none of them is within projection.min_range_m' in text


def test_the_right_extrinsic_completes() -> None:
    frame = Frame(
        np.zeros((64, 96, 3), np.uint8), Camera(PINHOLE), 0, wall_ahead(), T_OPTICAL_BODY
    )
    result = FusionPipeline(PipelineConfig(method='guided')).process(frame)
    assert np.nanmedian(result.estimate.depth_m) == pytest.approx(5.0, abs=0.01)
