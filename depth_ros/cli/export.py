"""`depth_ros export`: weights in, a checked ONNX file out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from depth_ros.cli.network import add_network_arguments, requested
from depth_ros.cli.signals import tidied
from depth_ros.engines import export
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.self_check import check
from depth_ros.evaluation.report import json_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_network_arguments(parser)
    parser.add_argument(
        '-o', '--output', type=Path, metavar='FOLDER', help='default: where engines look for it'
    )
    parser.add_argument('--json', action='store_true', help='print an object instead')


def main(args: argparse.Namespace) -> int:
    """Export, check, report; the exit code is 0."""
    export.require_libraries()
    request = requested(args)
    start_s = time.monotonic()
    if (exported := export.find(request, args.output)) is None:
        with tidied():
            exported = export.export(request, args.output)
    seconds = time.monotonic() - start_s
    differences = check(OnnxRuntimeEngine(exported), exported)
    if args.json:
        content = {
            'onnx': str(exported.onnx),
            'sha256': exported.onnx_sha256,
            'bytes': exported.onnx.stat().st_size,
            'weights_sha256': exported.weights_sha256,
            'family': exported.family,
            'height': exported.height,
            'width': exported.width,
            'precision': exported.precision,
            'opset': exported.opset,
            'seconds': seconds,
            'difference': {name: value._asdict() for name, value in differences.items()},
        }
        print(json_text(content))
        return 0
    megabytes = exported.onnx.stat().st_size / 1e6
    print(f'{exported.onnx}\n{megabytes:.0f} MB, opset {exported.opset}, {exported.precision}')
    print('ONNX Runtime against PyTorch in fp32, relative to its scale:')
    for name, difference in differences.items():
        print(f'  {name}: {difference}')
    return 0
