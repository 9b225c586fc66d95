"""The files that `run` writes for an image: arrays, clouds and pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros.datasets.base import Sample
from depth_ros.datasets.clouds import write_pcd, write_ply
from depth_ros.errors import PipelineError
from depth_ros.evaluation.figures import write_png
from depth_ros.evaluation.gallery import pictures, sheet
from depth_ros.files import write_atomic
from depth_ros.frame import Float32
from depth_ros.pipeline.config import OutputConfig, PipelineConfig, PointsConfig
from depth_ros.pipeline.result import FusionResult

FORMATS = ('png', 'npz', 'ply', 'pcd')
ESTIMATED = 'intrinsics estimated, not calibrated'


def write_result(
    folder: Path,
    sample: Sample,
    result: FusionResult,
    config: PipelineConfig,
    formats: Sequence[str],
) -> None:
    """Write a result to `<sample>.*` and `<sample>_*.png` in a folder.

    Raises:
        PipelineError: a cloud is wanted of depth that is relative.
        OSError: a file cannot be written.
    """
    output, gated = config.output, config.points.gated
    stem, note = folder / sample.name, ESTIMATED if sample.intrinsics_estimated else ''
    if 'npz' in formats:
        write_atomic(stem.with_name(f'{stem.name}.npz'), _npz(sample, result))
    if 'ply' in formats:
        write_ply(stem.with_name(f'{stem.name}.ply'), _cloud(result, output, gated), note)
    if 'pcd' in formats:
        write_pcd(stem.with_name(f'{stem.name}.pcd'), _cloud(result, output, gated), note)
    if 'png' in formats:
        parts = pictures(result, output, sample.depth_gt_m, gated)
        for name, picture in parts.items():
            write_png(stem.with_name(f'{stem.name}_{name}.png'), picture)
        write_png(stem.with_name(f'{stem.name}.png'), sheet(result, parts, note, gated))


def _npz(sample: Sample, result: FusionResult) -> bytes:
    estimate = result.estimate
    arrays: dict[str, Any] = {
        'K': result.view.intrinsics.matrix,
        'intrinsics_estimated': sample.intrinsics_estimated,
        # NumPy takes int64, and uint64 for the stamps after 2262 that anonymised recordings have.
        'stamp_ns': np.array(result.view.stamp_ns),
    }
    if result.is_metric:
        arrays |= {'depth_m': estimate.depth_m, 'sigma_m': estimate.sigma_m}
    else:
        arrays |= {'relative': estimate.depth_m, 'kind': estimate.kind.value}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _cloud(
    result: FusionResult, output: OutputConfig, gated: bool = PointsConfig.gated
) -> Float32:
    if not result.is_metric:
        raise PipelineError(
            f'{result.method} gives relative depth, which has no metres and so no cloud; leave '
            'ply and pcd out of --format, or take weights that give metres.'
        )
    return result.cloud(output, gated)
