"""`depth_ros build`: weights in, a checked TensorRT plan in the cache."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

from depth_ros.cli.network import add_network_arguments, requested
from depth_ros.cli.progress import ProgressBar
from depth_ros.cli.signals import at_once, tidied
from depth_ros.engines import export
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache, PlanKey
from depth_ros.engines.plans import open_tensorrt
from depth_ros.engines.tensorrt_engine import import_tensorrt
from depth_ros.errors import DepthRosError
from depth_ros.evaluation.report import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_network_arguments(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument('--json', action='store_true', help='print an object instead')
    output.add_argument(
        '--progress-json',
        action='store_true',
        help='print a line {"phase", "fraction"} for each step, then {"plan"} or {"error"}',
    )


def main(args: argparse.Namespace) -> int:
    """Export if need be, build, check, report; the exit code is 0."""
    try:
        result = _built(args)
    except (DepthRosError, OSError) as error:
        if args.progress_json:
            _print_line(error=str(error))
        raise
    if args.progress_json:
        _print_line(plan=result['plan'])
    elif args.json:
        print(json_text(result))
    else:
        seconds = f'built in {result["seconds"]:.0f} s' if result['built'] else 'was there already'
        print(
            f'{result["plan"]}\n{result["bytes"] / 1e6:.0f} MB, {result["precision"]}, {seconds}'
        )
        print(f'for TensorRT {result["tensorrt"]} on {result["gpu"]}; it passed the self-check')
    return 0


def _built(args: argparse.Namespace) -> dict[str, Any]:
    import_tensorrt()  # refuses before minutes are spent on the export
    request = requested(args, 'tensorrt')
    start_s = time.monotonic()
    percent = -1  # until a build begins
    with ProgressBar('building') as bar:

        def progress(phase: str, share: float) -> None:
            nonlocal percent
            if round(100 * share) == percent:  # TensorRT tells of thousands of steps
                return
            percent = round(100 * share)
            bar(percent, 100)
            if args.progress_json:
                _print_line(phase='building plan', fraction=percent / 100, detail=phase)

        if args.progress_json:
            _print_line(phase='exporting', fraction=0.0)
        exported = _exported(request)
        with at_once():
            engine = open_tensorrt(
                exported,
                fp32=lambda: _exported(request, 'fp32'),
                may_build=True,
                progress=progress,
            )
    engine.close()
    network = exported if engine.precision == request.precision else _exported(request, 'fp32')
    key = PlanKey.of(network)
    plan = PlanCache().path(key)
    return {
        'plan': str(plan),
        'bytes': plan.stat().st_size,
        'precision': engine.precision,
        'built': percent >= 0,
        'seconds': time.monotonic() - start_s,
        'tensorrt': key.tensorrt,
        'gpu': key.gpu,
        'onnx': str(network.onnx),
    }


def _exported(request: NetworkRequest, precision: str | None = None) -> Exported:
    request = dataclasses.replace(request, precision=precision or request.precision)
    with tidied():
        return export.find(request) or export.export(request)


def _print_line(**content: Any) -> None:
    print(json.dumps(content), flush=True)
