"""`depth_ros train`: a network learns what a file says."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any

from depth_ros.cli.progress import ProgressBar
from depth_ros.cli.signals import noted
from depth_ros.cli.source import parse_settings
from depth_ros.errors import ConfigError, callable_here
from depth_ros.training import checkpoint
from depth_ros.training.config import read
from depth_ros.training.ship import ship
from depth_ros.training.tasks import prepare, task
from depth_ros.training.train import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument('--config', required=True, metavar='FILE', help='YAML file of settings')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        dest='settings',
        metavar='NAME=VALUE',
        help='a setting, such as schedule.steps=1000; repeatable; the value is JSON',
    )
    parser.add_argument(
        '--prepare',
        action='store_true',
        help='only make what is learned from: cast the scenes, or have the teacher see the images',
    )
    parser.add_argument(
        '--ship',
        type=Path,
        metavar='DIR',
        help='only write what ships with the package, of the best weights of a finished run of '
        'lite: weights, what is known of them, and ONNX files',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='insist on a checkpoint in run.output; one that is there is always gone on from',
    )


def main(args: argparse.Namespace) -> int:
    """Train; the exit code is 0, or that of the signal that ended it early."""
    config = read(args.config, parse_settings(args.settings))
    if args.prepare:
        with ProgressBar('prepare') as progress:
            prepare(config, progress)
        return 0
    folder = Path(config.run.output)
    if args.ship:
        for name, size_bytes in ship(folder / 'best.safetensors', args.ship).items():
            print(f'{size_bytes:>9} {args.ship / name}')
        return 0
    if args.resume and not checkpoint.exists(folder):
        raise ConfigError(f'--resume: there is no checkpoint in {folder}.')
    with noted() as signals, ProgressBar('train') as progress:

        def evaluated(step: int, scores: dict[str, float]) -> None:
            progress.note(f'step {step}: {_listed(scores)}')

        status = train(
            task(config),
            config,
            progress=progress,
            evaluated=evaluated,
            stop=lambda: bool(signals),
        )
    if os.environ.get('RANK', '0') == '0':  # the first of those that torchrun started
        if status.ended == 'stopped':
            print(callable_here(f'stopped; `depth_ros train --config {args.config}` goes on'))
        else:
            print(f'{folder}/best.safetensors: {config.held_out.best_by} {status.best:.4g}')
            print(f'{folder}/last.safetensors: {_listed(status.scores)}')
    if status.ended != 'stopped':
        return 0
    return 128 + (signals[0] if signals else signal.SIGTERM)  # another process may have got it


def _listed(scores: dict[str, Any]) -> str:
    return ', '.join(f'{name} {value:.4g}' for name, value in scores.items())
