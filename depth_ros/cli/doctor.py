"""`depth_ros doctor`: what this machine has, what it lacks, and the way out."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import platform
from collections.abc import Callable, Iterator

from depth_ros import __version__
from depth_ros.cli import doctor_networks, doctor_ros
from depth_ros.cli.finding import FAIL, OK, WARN, Finding
from depth_ros.errors import callable_here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument('--json', action='store_true', help='print a list of objects instead')


def main(args: argparse.Namespace) -> int:
    """Look and report; 1 if the package cannot work here, else 0."""
    findings = [finding for section in SECTIONS for finding in section()]
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            line = f'{finding.level:4}  {finding.what:{width}}  {finding.value}'
            print(callable_here(f'{line}  {finding.way_out}').rstrip())
    return int(any(finding.level == FAIL for finding in findings))


def _core() -> Iterator[Finding]:
    """What every part of the package needs."""
    yield Finding(OK, 'Python', platform.python_version())
    yield Finding(OK, 'depth_ros', __version__)
    for what, module in (('NumPy', 'numpy'), ('OpenCV', 'cv2')):
        try:
            yield Finding(OK, what, importlib.import_module(module).__version__)
        except Exception as error:  # as ImportError, or what a broken library raises
            way_out = 'install it again: pip install --force-reinstall depth_ros'
            yield Finding(FAIL, what, _one_line(error), way_out)
    cores = os.cpu_count() or 1
    few = 'a method keeps one core busy; leave one for the sensors' if cores < 2 else ''
    yield Finding(WARN if few else OK, 'CPU cores', str(cores), few)


def _one_line(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'.splitlines()[0]


SECTIONS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _core,
    doctor_networks.hardware,
    doctor_networks.networks,
    doctor_ros.ros,
    doctor_ros.middleware,
    doctor_ros.topics,
)
