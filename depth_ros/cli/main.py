"""The command `depth_ros`: finds the subcommand, runs it, turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import NamedTuple

from depth_ros import __version__
from depth_ros.errors import DepthRosError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


class _Command(NamedTuple):
    module: str
    summary: str


COMMANDS = {
    'demo': _Command('depth_ros.cli.demo', 'play simulated sensors through the real nodes'),
    'run': _Command('depth_ros.cli.run', 'complete a dataset: depth, sigma, clouds and pictures'),
    'eval': _Command('depth_ros.cli.evaluate', 'accuracy, uncertainty and time of a method'),
    'train': _Command('depth_ros.cli.train', 'have a network learn, by distillation'),
    'models': _Command('depth_ros.cli.models', 'public weights: list, fetch, verify'),
    'export': _Command('depth_ros.cli.export', 'weights to a checked ONNX file'),
    'build': _Command('depth_ros.cli.build', 'the TensorRT plan of a network for this GPU'),
    'bench': _Command('depth_ros.cli.bench', 'latency and memory of a network, by backend'),
    'doctor': _Command('depth_ros.cli.doctor', 'what this machine has and what it lacks'),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 = done, 2 = it cannot be done (one line on stderr says why), 130 = interrupted, others as
    the subcommand says.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog='depth_ros',
        description='Dense metric depth with calibrated uncertainty from a camera and a LiDAR.',
    )
    parser.add_argument('--version', action='version', version=f'depth_ros {__version__}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f'{summary[:1].upper()}{summary[1:]}.'
        )
        if name in arguments[:1]:  # each command brings its own imports: load the one asked for
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format='%(levelname)s: %(message)s')
    logging.getLogger('depth_ros').setLevel(logging.INFO)  # why it takes minutes
    try:
        return int(importlib.import_module(COMMANDS[args.command].module).main(args))
    except KeyboardInterrupt:
        print(f'depth_ros {args.command}: interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
    except (DepthRosError, OSError) as error:
        print(f'depth_ros {args.command}: {error}', file=sys.stderr)
        return EXIT_ERROR
