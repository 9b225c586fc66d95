"""Entry points of the nodes: where there is no ROS, they say so in a sentence.

What they return is for `sys.exit`, which prints a sentence and makes it exit code 1.
"""

from __future__ import annotations

import importlib


def completion_node() -> int | str:
    """Run the completion node."""
    return _run('completion_node')


def monocular_node() -> int | str:
    """Run the monocular node."""
    return _run('monocular_node')


def player_node() -> int | str:
    """Run the player."""
    return _run('player_node')


def recorder_node() -> int | str:
    """Run the recorder."""
    return _run('recorder_node')


def _run(name: str) -> int | str:
    try:
        module = importlib.import_module(f'depth_ros.nodes.{name}')
    except ModuleNotFoundError as error:
        if str(error.name).startswith('depth_ros'):
            raise
        return (
            f'{name} needs ROS 2 ({error.name!r} is not installed): source it, or '
            '`pip install "depth_ros[ros]"`.'
        )
    return int(module.main())
