"""`depth_ros eval`: how good a method is on a dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depth_ros.cli.progress import ProgressBar
from depth_ros.cli.source import add_source_arguments, open_source, parse_config, tell_lost
from depth_ros.datasets.base import Dataset
from depth_ros.errors import ConfigError
from depth_ros.evaluation.ablation import BASELINE, BASELINES, ablate, rows, thinnings
from depth_ros.evaluation.evaluate import Evaluation, evaluate
from depth_ros.evaluation.protocols import PROTOCOLS
from depth_ros.evaluation.report import table, to_json, write_json
from depth_ros.evaluation.submission import write_kitti_results
from depth_ros.evaluation.thinning import Thinning
from depth_ros.methods.registry import METHODS
from depth_ros.pipeline.config import PipelineConfig

# What each field prints; one table would be wider than a terminal.
_COMPLETION = (
    ('images', 'rmse_mm', 'mae_mm', 'irmse_1_km', 'imae_1_km', 'rel', 'delta1'),
    ('density', 'rmse_filled_mm', 'mae_filled_mm'),
)
_MONOCULAR = (
    ('images', 'rel', 'sq_rel_m', 'rmse_mm', 'rmse_log', 'silog', 'log10'),
    ('delta1', 'delta2', 'delta3', 'boundary_f1', 'density'),
)
_SIGMA = ('coverage_1sigma', 'coverage_2sigma', 'ause', 'nll')
_ALWAYS = (_SIGMA, ('ms',))
_TABLES: dict[str, tuple[tuple[str, ...], ...]] = {
    'completion': (*_COMPLETION, *_ALWAYS),
    'monocular': (*_MONOCULAR, *_ALWAYS),
    'all': (*_COMPLETION, *_MONOCULAR, *_ALWAYS),
}
_ABLATION = (
    ('images', 'rmse_filled_mm', 'mae_filled_mm', 'rmse_ratio', 'mae_ratio', 'total_ms'),
    (
        'density',
        'ause',
        'raw_coverage_1sigma',
        'raw_coverage_2sigma',
        'coverage_1sigma',
        'coverage_2sigma',
    ),
)


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
        '--protocol',
        choices=tuple(PROTOCOLS),
        help='judge as a benchmark does, with its crop, input and metrics; no return is held out '
        'and sigma is not calibrated (docs/evaluation.md)',
    )
    parser.add_argument(
        '--lines',
        type=int,
        metavar='N',
        help='take scan lines of a spinning LiDAR, as evenly as can be, such that N are left of a '
        'full turn; without ground truth the others judge',
    )
    parser.add_argument(
        '--rosette',
        action='store_true',
        help='take what lies where a solid-state LiDAR would shoot, of the returns or, without '
        'LiDAR, of the truth',
    )
    parser.add_argument(
        '--ablation',
        action='store_true',
        help='one table over 64, 32, 16, 8 lines and 500, 100 points, as far as the LiDAR has '
        f'them, beside {" and ".join(BASELINES)}, with the ratio to {BASELINE}, and sigma before '
        'and after its calibration',
    )
    parser.add_argument(
        '--results',
        type=Path,
        metavar='DIR',
        help="only write the PNGs that KITTI's server takes, into a folder for each method; with "
        '--protocol kitti-dc',
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
        'that need LiDAR, monocular for the others; a protocol has its own',
    )
    parser.add_argument(
        '--json',
        metavar='FILE',
        help='also write all scores as one JSON object, or a list of them with several methods '
        'or rows',
    )


def main(args: argparse.Namespace) -> int:
    """Judge, print, write; the exit code is 0, or as `--strict` says."""
    _refuse_contradictions(args)
    dataset = open_source(args)
    configs = {method: parse_config(args.settings, method) for method in _methods(args)}
    if args.results:
        return _write_results(args, dataset, configs)
    judge = _ablation if args.ablation else _scores
    content, evaluations = judge(args, dataset, configs)
    if args.json:
        write_json(args.json, content)
        print(f'\nwrote {args.json}', file=sys.stderr)
    lost = {image.name: image for evaluation in evaluations for image in evaluation.lost}
    return tell_lost(args, list(lost.values()), len(dataset))


def _refuse_contradictions(args: argparse.Namespace) -> None:
    if args.results and args.protocol != 'kitti-dc':
        raise ConfigError('--results are those of a benchmark: give --protocol kitti-dc, too.')
    thinned = _thinning(args) != Thinning()
    if args.results and (args.ablation or thinned or args.json):
        raise ConfigError('--results scores nothing and takes all LiDAR; give it without others.')
    if args.ablation and thinned:
        raise ConfigError('--ablation thins the LiDAR in its own steps; leave the others out.')


def _thinning(args: argparse.Namespace) -> Thinning:
    return Thinning(args.lines, args.points, args.rosette)


def _methods(args: argparse.Namespace) -> list[str]:
    methods = list(args.method or ['auto'])
    if args.ablation:
        methods += [name for name in BASELINES if name not in methods]
    return methods


def _scores(
    args: argparse.Namespace, dataset: Dataset, configs: dict[str, PipelineConfig]
) -> tuple[Any, list[Evaluation]]:
    """Judge and print; the JSON of it, and what it is of."""
    thinning = _thinning(args)
    protocol = PROTOCOLS[args.protocol] if args.protocol else None
    evaluations = []
    for method, config in configs.items():
        with ProgressBar(f'eval {method}') as progress:
            evaluation = evaluate(
                dataset,
                config,
                held_out_share=args.held_out,
                seed=args.seed,
                thinning=None if thinning == Thinning() else thinning,
                protocol=protocol,
                progress=progress,
            )
        evaluations.append(evaluation)
        print(f'{evaluation.method} ran on {evaluation.runs_on}', file=sys.stderr)
    found = [to_json(part) for evaluation in evaluations for part in evaluation.by_truth()]
    head = ('method', *_tell_truth(args, dataset, found))
    tables = _TABLES[args.metrics or _field(evaluations)]
    if protocol and not args.metrics:
        tables = (('images', *protocol.columns), ('density', *_SIGMA), ('ms',))
    in_metres = [row | {'rmse_m': row['rmse_mm'] / 1e3} for row in found]
    _print_tables(in_metres, head, tables)
    return found[0] if len(found) == 1 else found, evaluations


def _ablation(
    args: argparse.Namespace, dataset: Dataset, configs: dict[str, PipelineConfig]
) -> tuple[Any, list[Evaluation]]:
    """Judge every method with less and less LiDAR and print; the JSON of it, and what it is of."""
    protocol = PROTOCOLS[args.protocol] if args.protocol else None
    steps = thinnings(dataset.sample(0))
    with ProgressBar('eval --ablation') as progress:
        trials = ablate(
            dataset,
            list(configs.values()),
            steps,
            seed=args.seed,
            protocol=protocol,
            progress=progress,
        )
    found = rows(trials)
    head = ('LiDAR', 'method', *_tell_truth(args, dataset, found))
    _print_tables(found, head, _ABLATION)
    return found, [trial.raw for trial in trials]


def _write_results(
    args: argparse.Namespace, dataset: Dataset, configs: dict[str, PipelineConfig]
) -> int:
    for method, config in configs.items():
        with ProgressBar(f'eval {method}') as progress:
            write_kitti_results(dataset, config, args.results / method, progress)
        print(f'wrote {len(dataset)} images to {args.results / method}', file=sys.stderr)
    return 0


def _tell_truth(
    args: argparse.Namespace, dataset: Dataset, found: Sequence[dict[str, Any]]
) -> tuple[str, ...]:
    """Print what judged; a column for it is needed where that differs from row to row."""
    truths = sorted({row['judged by'] for row in found})
    how = f', protocol {args.protocol}' if args.protocol else ''
    print(f'{dataset.name}, judged by {" and, apart, ".join(truths)}{how}')
    return ('judged by',) if len(truths) > 1 else ()


def _print_tables(
    found: Sequence[dict[str, Any]], head: Sequence[str], tables: Sequence[Sequence[str]]
) -> None:
    for keys in tables:
        print()
        print(table([{key: row[key] for key in (*head, *keys)} for row in found]))


def _field(evaluations: Sequence[Evaluation]) -> str:
    """The tables that suit the methods."""
    completes = {evaluation.needs_lidar for evaluation in evaluations}
    return 'all' if len(completes) > 1 else 'completion' if completes == {True} else 'monocular'
