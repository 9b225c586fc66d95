"""`depth_ros eval`: how good a method is on a dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from depth_ros.cli.progress import ProgressBar
from depth_ros.cli.source import add_source_arguments, open_source, parse_config
from depth_ros.evaluation.evaluate import Evaluation, evaluate
from depth_ros.evaluation.report import table, to_json, write_json
from depth_ros.methods.registry import METHODS

# What each field prints; one table would be wider than a terminal.
_COMPLETION = (
    ('images', 'rmse_mm', 'mae_mm', 'irmse_1_km', 'imae_1_km', 'rel', 'delta1'),
    ('density', 'rmse_filled_mm', 'mae_filled_mm'),
)
_MONOCULAR = (
    ('images', 'rel', 'sq_rel_m', 'rmse_mm', 'rmse_log', 'silog', 'log10'),
    ('delta1', 'delta2', 'delta3', 'boundary_f1', 'density'),
)
_ALWAYS = (('coverage_1sigma', 'coverage_2sigma', 'ause', 'nll'), ('ms',))
_TABLES = {
    'completion': (*_COMPLETION, *_ALWAYS),
    'monocular': (*_MONOCULAR, *_ALWAYS),
    'all': (*_COMPLETION, *_MONOCULAR, *_ALWAYS),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_source_arguments(parser)
    parser.add_argument(
        '--method',
        action='append',
        choices=('auto', *METHODS),
        help='method to judge; give it several times to compare (default: auto)',
    )
    parser.add_argument(
        '--held-out',
        type=float,
        default=0.10,
        metavar='SHARE',
        help='share of the LiDAR returns that judges where there is no ground truth (%(default)s)',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='of returns that judge and of --points (%(default)s); the calibration of sigma has '
        'its own, --set calibration.seed=N',
    )
    parser.add_argument(
        '--metrics',
        choices=tuple(_TABLES),
        help='which tables to print; by default what suits the methods: completion for those '
        'that need LiDAR, monocular for the others',
    )
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='also write all scores as one JSON object, or a list of them with several methods',
    )


def main(args: argparse.Namespace) -> int:
    """Judge, print, write; the exit code is 0."""
    dataset = open_source(args)
    methods = args.method or ['auto']
    configs = [parse_config(args.settings, method) for method in methods]
    evaluations = []
    for method, config in zip(methods, configs, strict=True):
        with ProgressBar(f'eval {method}') as progress:
            evaluation = evaluate(
                dataset,
                config,
                held_out_share=args.held_out,
                seed=args.seed,
                points=args.points,
                progress=progress,
            )
        evaluations.append(evaluation)
    rows = [_row(evaluation) for evaluation in evaluations]
    print(f'{dataset.name}, judged by {evaluations[0].truth}')
    for keys in _TABLES[args.metrics or _field(evaluations)]:
        print()
        print(table([{key: row[key] for key in ('method', *keys)} for row in rows]))
    if args.json:
        write_json(args.json, rows[0] if len(rows) == 1 else rows)
        print(f'\nwrote {args.json}', file=sys.stderr)
    return 0


def _field(evaluations: Sequence[Evaluation]) -> str:
    """The tables that suit the methods."""
    completes = {evaluation.needs_lidar for evaluation in evaluations}
    return 'all' if len(completes) > 1 else 'completion' if completes == {True} else 'monocular'


def _row(evaluation: Evaluation) -> dict[str, Any]:
    images = len(evaluation.images)
    return to_json(evaluation.scores, evaluation.method, images, evaluation.ms)
