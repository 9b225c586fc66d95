"""`depth_ros run`: a dataset in; depth, sigma, clouds and pictures out."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros import __version__
from depth_ros.cli import intrinsics
from depth_ros.cli.progress import ProgressBar
from depth_ros.cli.result_files import FORMATS, write_result
from depth_ros.cli.source import add_source_arguments, open_source, parse_config, tell_lost
from depth_ros.datasets.base import Sample
from depth_ros.datasets.estimated import EstimatedCamera
from depth_ros.datasets.lost import LostImage, each, in_words, nothing_done
from depth_ros.errors import PipelineError
from depth_ros.evaluation.evaluate import one_per_camera
from depth_ros.evaluation.report import json_text, table, write_json
from depth_ros.evaluation.thinning import refuse_without_lidar, sampled_frame
from depth_ros.frame import Float32
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import FusionResult
from depth_ros.settings import flatten

EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_source_arguments(parser)
    parser.add_argument('-o', '--output', type=Path, required=True, metavar='OUT', help='folder')
    parser.add_argument('--method', default='auto', choices=('auto', *METHODS), help='method')
    parser.add_argument(
        '--format',
        type=_formats,
        default=('png', 'npz'),
        dest='formats',
        metavar='A,B',
        help='what to write: png (pictures), npz (depth_m, sigma_m or relative; K, stamp_ns, '
        'intrinsics_estimated), ply, pcd (coloured cloud, gated by sigma); default png,npz',
    )
    parser.add_argument(
        '--estimate-intrinsics',
        action='store_true',
        help='have Depth Pro guess the focal length of cameras without calibration, from up to '
        'five images each; LiDAR is not used, and the method is mono by default',
    )
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')


def main(args: argparse.Namespace) -> int:
    """Complete every image; the exit code is 0, 130 if interrupted, or as `--strict` says."""
    method = args.method
    if args.estimate_intrinsics and method == 'auto':
        method = 'mono'
    config = parse_config(args.settings, method)
    estimated: dict[str, EstimatedCamera] = {}
    if args.estimate_intrinsics:
        intrinsics.refuse_lidar(config)
        with intrinsics.camera_estimator(config.engine) as estimator:
            dataset = open_source(args, estimator)
        estimated = estimator.cameras
        intrinsics.tell(estimated)
    else:
        dataset = open_source(args)
    rows: list[dict[str, Any]] = []
    lost: list[LostImage] = []
    without_truth: list[LostImage] = []
    interrupted = False
    with one_per_camera(dataset, config) as pipelines:
        _tell_choice(config, next(iter(pipelines.values())))
        write_json(args.output / 'config.json', _settings(args, config, estimated))
        try:
            with ProgressBar('run') as progress:
                work = partial(_completed, pipelines, args.points)
                for sample, result in each(dataset, work, lost, progress):
                    write_result(args.output, sample, result, config, args.formats)
                    rows.append(_row(sample, result))
                    if sample.truth_lost:
                        camera = sample.camera_name
                        without_truth.append(LostImage(sample.name, camera, sample.truth_lost))
        except KeyboardInterrupt:
            interrupted = True
            print(f'interrupted after {len(rows)} of {len(dataset)} images', file=sys.stderr)
        if lost and not rows and not interrupted:
            raise PipelineError(nothing_done(dataset, lost))
        cameras = [_camera_row(name, pipeline) for name, pipeline in pipelines.items()]
        for name, pipeline in pipelines.items():
            if pipeline.stands_in:
                taken = f'{pipeline.method_name}, as {pipeline.method_reason}'
                print(f'{name}: {taken}', file=sys.stderr)
    if args.json:
        guessed = intrinsics.description(estimated)
        skipped = [dataclasses.asdict(image) for image in lost]
        summary = {'images': rows, 'skipped': skipped, 'cameras': cameras}
        print(json_text(summary | {'intrinsics_estimated': guessed}))
    elif rows:
        print(f'{table(rows)}\n\n{table(cameras)}\n\nwrote {args.output}')
    if without_truth:
        note = in_words(without_truth, len(dataset), 'are without their ground truth')
        print(f'warning: {note}', file=sys.stderr)
    exit_code = tell_lost(args, lost, len(dataset))
    return EXIT_INTERRUPTED if interrupted else exit_code


def _tell_choice(config: PipelineConfig, pipeline: FusionPipeline) -> None:
    """Say which method runs and why, where settings of networks were given; and the mask."""
    if pipeline.mask is not None:
        print(pipeline.mask, file=sys.stderr)
    default = PipelineConfig()
    networks = ('bpnet', 'mono', 'engine')
    if any(getattr(config, part) != getattr(default, part) for part in networks):
        print(f'method {pipeline.method_name}: {pipeline.method_reason}', file=sys.stderr)


def _completed(
    pipelines: dict[str, FusionPipeline], points: int | None, sample: Sample
) -> tuple[Sample, FusionResult]:
    pipeline = pipelines[sample.camera_name]
    if points is not None:
        return sample, pipeline.process(sampled_frame(sample, points))
    refuse_without_lidar(sample, pipeline.method)
    return sample, pipeline.process(sample.frame)


def _row(sample: Sample, result: FusionResult) -> dict[str, Any]:
    estimate = result.estimate
    row = {
        'image': sample.name,
        'returns': int(np.count_nonzero(result.view.sparse_m)),
        'density': float(estimate.valid.mean()),
    }
    if result.is_metric:
        row['median depth_m'] = _median(estimate.depth_m)
        row['median sigma_m'] = _median(estimate.sigma_m)
    return row | {'ms': {'total': sum(result.timings_ms.values())}}


def _median(values: Float32) -> float | None:
    """Of the finite ones; None without any."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _camera_row(name: str, pipeline: FusionPipeline) -> dict[str, Any]:
    """What the pipeline of a camera measured at held-out returns of its last images."""
    accuracy = pipeline.calibrator.accuracy()
    return {
        'camera': name,
        'method': pipeline.method_name,
        'runs on': pipeline.runs_on,
        'judged images': accuracy.frames if accuracy else 0,
        'held-out': accuracy.returns if accuracy else 0,
        'median error_m': accuracy.median_error_m if accuracy else None,
        'p95 error_m': accuracy.p95_error_m if accuracy else None,
        'coverage_1sigma': accuracy.coverage_1sigma if accuracy else None,
        'coverage_2sigma': accuracy.coverage_2sigma if accuracy else None,
    }


def _settings(
    args: argparse.Namespace, config: PipelineConfig, estimated: dict[str, EstimatedCamera]
) -> dict[str, Any]:
    return {
        'depth_ros': __version__,
        'source': args.source,
        'cameras': args.cameras,
        'limit': args.limit,
        'points': args.points,
        'intrinsics_estimated': intrinsics.description(estimated),
        'settings': flatten(config),
    }


def _formats(text: str) -> tuple[str, ...]:
    wanted = tuple(part.strip() for part in text.split(','))
    for part in wanted:
        if part not in FORMATS:
            raise argparse.ArgumentTypeError(f'{part!r} is none of {", ".join(FORMATS)}')
    return wanted
