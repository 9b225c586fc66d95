"""The package's exceptions: one base, one class per layer.

A message gives the offending value and the way out. Catch `DepthRosError` to catch them all.
"""

from __future__ import annotations

import functools
import importlib
import os
import re
import shutil
from types import ModuleType


def callable_here(text: str) -> str:
    """A message whose commands, `depth_ros ...` in backticks, can be typed where it is read.

    colcon puts the command where only `ros2 run` finds it.
    """
    if _is_found_by_ros2_only(os.environ.get('PATH', '')):
        return text.replace('`depth_ros ', '`ros2 run depth_ros depth_ros ')
    return text


@functools.cache  # a node that drops frames makes many messages; PATH hardly ever changes
def _is_found_by_ros2_only(path: str) -> bool:
    return not shutil.which('depth_ros', path=path) and bool(shutil.which('ros2', path=path))


class DepthRosError(Exception):
    """Base of everything this package raises on purpose.

    Args:
        message: what is wrong, with the value and the way out.
        reason: short key under which a node counts the frame that was lost by it; by default
            the name of the class in snake_case.
    """

    def __init__(self, message: str, reason: str = '') -> None:
        super().__init__(callable_here(message))
        self.reason = reason or _snake_case(type(self).__name__)


class FrameError(DepthRosError):
    """An array that enters the data path has the wrong shape, type or content."""


class GeometryError(DepthRosError):
    """A camera, transform or projection is degenerate or contradictory."""


class ConfigError(DepthRosError):
    """A setting is unknown, of the wrong type or out of range."""


class ModelError(DepthRosError):
    """Weights are missing, refused, or not those of the network."""


class EngineError(DepthRosError):
    """An engine cannot be exported, built, loaded or run, or computes something else."""


class MethodError(DepthRosError):
    """A depth method is unknown or cannot run on what it was given."""


class NotReadyError(MethodError):
    """The method is still being prepared, and there is no other that could stand in."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 'not_ready')


class PipelineError(DepthRosError):
    """A frame cannot be processed."""


class DatasetError(DepthRosError):
    """A dataset folder or file is missing, malformed or contradictory."""


class SampleError(DatasetError):
    """One image of a dataset, or what belongs to it, is missing or broken; others may be whole.

    Args:
        message: what is wrong, with the file.
        sample_name: of the image.
        camera_name: its camera.
    """

    def __init__(self, message: str, sample_name: str, camera_name: str) -> None:
        super().__init__(message)
        self.sample_name = sample_name
        self.camera_name = camera_name


class EvaluationError(DepthRosError):
    """Scores cannot be computed from what was given."""


class TrainingError(DepthRosError):
    """A network cannot be trained with what was given."""


class NodeError(DepthRosError):
    """A ROS message, parameter or transform cannot be used."""

    def __init__(self, message: str, reason: str = 'bad_message') -> None:
        super().__init__(message, reason)


class MissingDependencyError(DepthRosError):
    """An optional library is not installed or is broken; the message has the way out.

    Args:
        library: name of the module.
        extra: of this package, which brings it.
        cause: what its import raised, if it is there and broken.
    """

    def __init__(self, library: str, extra: str, cause: Exception | None = None) -> None:
        command = f'pip install "depth_ros[{extra}]"'
        message = f'{library!r} is not installed; install it with `{command}`.'
        if cause is not None:
            why = ' '.join(f'{type(cause).__name__}: {cause}'.split()).rstrip('.')
            message = (
                f'{library!r} is installed but cannot be imported ({why}); repair that, or '
                f'install it anew with `{command} --force-reinstall`.'
            )
        super().__init__(message)


def import_optional(library: str, extra: str) -> ModuleType:
    """An optional library, imported where it is used.

    Raises:
        MissingDependencyError: it is not there, or its import raises anything: a shared library
            that is missing is an `OSError`, one built for another NumPy an `AttributeError`.
    """
    try:
        return importlib.import_module(library)
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name in (
            library,
            library.partition('.')[0],
        )
        raise MissingDependencyError(library, extra, None if absent else error) from error


def reason_of(error: Exception) -> str:
    """The key under which to count what was lost by an error, whoever raised it."""
    return error.reason if isinstance(error, DepthRosError) else _snake_case(type(error).__name__)


def _snake_case(name: str) -> str:
    """The name of a class as words: `OSError` is os_error."""
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()
