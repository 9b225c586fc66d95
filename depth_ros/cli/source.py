"""What `run` and `eval` share: the arguments that say which data, and with which settings."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.datasets.estimated import CameraEstimator
from depth_ros.datasets.lost import LostImage, in_words
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import ConfigError
from depth_ros.pipeline.config import MONOCULAR, PipelineConfig
from depth_ros.settings import replaced

EXIT_SKIPPED = 1


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """SRC, --cameras, --limit, --points, --strict and --set."""
    parser.add_argument(
        'source',
        metavar='SRC',
        help='folder with a calib.json, KITTI tree, NYUv2, folder of images, or simulator:street, '
        'indoor, warehouse or yard',
    )
    parser.add_argument(
        '--cameras', type=_names, metavar='A,B', help='cameras to take; all by default'
    )
    parser.add_argument(
        '--limit', type=_positive, metavar='N', help='take only the first N images'
    )
    parser.add_argument(
        '--points',
        type=_positive,
        metavar='N',
        help='take N random returns of those in the image, or N random pixels of the ground '
        'truth where there is no LiDAR',
    )
    parser.add_argument(
        '--strict',
        action='store_true',
        help=f'exit with code {EXIT_SKIPPED} if an image was skipped because it, its sweep or its '
        'truth is missing or broken; by default a line tells, and the code is 0 unless the run '
        'ended early',
    )
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        dest='settings',
        metavar='NAME=VALUE',
        help='a setting of the pipeline, such as output.scale=0.5; repeatable; the value is JSON',
    )


def open_source(args: argparse.Namespace, estimator: CameraEstimator | None = None) -> Dataset:
    """The dataset that the arguments name; cameras without calibration need an estimator.

    Raises:
        DatasetError: as `open_dataset`.
    """
    dataset = open_dataset(args.source, args.cameras, estimator)
    return dataset if args.limit is None else _First(dataset, args.limit)


def tell_lost(args: argparse.Namespace, lost: Sequence[LostImage], of: int) -> int:
    """Warn on stderr of images that were skipped; the exit code that this means.

    A run that ended early has not done what it was asked for, `--strict` or not.
    """
    if not lost:
        return 0
    print(f'warning: {in_words(lost, of)}', file=sys.stderr)
    has_ended = any(image.ended for image in lost)
    return EXIT_SKIPPED if args.strict or has_ended else 0


def parse_config(settings: Sequence[str], method: str) -> PipelineConfig:
    """The pipeline's defaults with `NAME=VALUE` settings and a method.

    Raises:
        ConfigError: no `=`, or what `replaced` refuses.
    """
    changes = {'method': method, **parse_settings(settings)}
    defaults = MONOCULAR if changes['method'] == MONOCULAR.method else PipelineConfig()
    config: PipelineConfig = replaced(defaults, changes)
    return config


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The values of `NAME=VALUE` settings by name; what is no JSON is a string.

    Raises:
        ConfigError: no `=`.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition('=')
        if not equals:
            raise ConfigError(f'--set wants NAME=VALUE, got {setting!r}.')
        try:
            changes[name] = json.loads(value)
        except json.JSONDecodeError:
            changes[name] = value
    return changes


@dataclass(frozen=True)
class _First:
    """The first samples of a dataset."""

    dataset: Dataset
    limit: int

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def camera_names(self) -> tuple[str, ...]:
        return self.dataset.camera_names

    def __len__(self) -> int:
        return min(self.limit, len(self.dataset))

    def sample(self, index: int) -> Sample:
        return self.dataset.sample(index)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(',') if name.strip()]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, got {number}')
    return number
