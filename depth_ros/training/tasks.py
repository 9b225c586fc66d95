"""Tasks as settings describe them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from depth_ros.datasets.base import Dataset
from depth_ros.datasets.open import open_dataset
from depth_ros.datasets.photos import photos
from depth_ros.errors import ConfigError
from depth_ros.methods.mono import Mono, mono_weights
from depth_ros.training.augment import Augmentation
from depth_ros.training.config import DataConfig, TrainConfig
from depth_ros.training.distill import Objective
from depth_ros.training.examples import Example, Examples
from depth_ros.training.shards import ShardConfig, Shards, make_shards
from depth_ros.training.stages import CameraRange, Finetuning, Photos, Pretraining
from depth_ros.training.students import student
from depth_ros.training.teachers import Exact, StoredMaps, Teacher, write_maps
from depth_ros.training.train import Task
from depth_ros.weights.registry import card

LOWEST = 1 << 20
"""Row below which there is no window but the last."""
EXACT = 'exact'
"""Name of the teacher that knows the truth."""


@dataclass(frozen=True)
class Part:
    """Some of the examples of a source."""

    whole: Examples
    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    def example(self, index: int, seed: int) -> Example:
        """Example `index` of the part."""
        return self.whole.example(self.numbers[index], seed)


def task(config: TrainConfig) -> Task:
    """What settings ask to learn.

    Raises:
        ConfigError: the source lacks a setting.
        TrainingError: the examples are not there, or the objective is empty.
        DatasetError: a dataset is missing or malformed.
    """
    settings = {'width': config.student.width} if config.student.width else {}
    examples, held_out = _examples(config.data)
    return Task(
        student(config.student.name, **settings),
        examples,
        held_out,
        Objective(**dataclasses.asdict(config.objective)),
    )


def prepare(config: TrainConfig, progress: Callable[[int, int], None] | None = None) -> None:
    """Make what settings ask to learn from: cast shards, or have a teacher see its images.

    What is there already is left; it may be interrupted and called again.

    Args:
        config: what is learned.
        progress: `progress(done, of)` is called after each shard or image of a folder.

    Raises:
        ConfigError: nothing can be made, since a setting is missing.
        TrainingError: a folder holds something else.
        ModelError: the teacher's weights are not fetched.
    """
    data = config.data
    if data.source == 'scenes':
        shards = ShardConfig(data.shards, data.height, data.width, seed=config.seed)
        make_shards(Path(data.path), shards, max(config.run.workers, 1), progress)
        return
    if not data.teacher_weights:
        raise ConfigError('data.teacher_weights must name the network that is to see the images.')
    kind = 'metric' if card(data.teacher_weights).gives_metres else 'relative'
    teacher = Mono(mono_weights(data.teacher_weights, kind), output=kind)
    for path, folder in (
        (data.path, data.teacher),
        (data.held_out_path, data.held_out_teacher),
    ):
        if path and folder not in ('', EXACT):
            write_maps(_dataset(path), teacher, Path(folder), data.teacher_weights, progress)


def _examples(data: DataConfig) -> tuple[Examples, Examples]:
    """Those to learn from, and those that judge: as they are, and no example is both."""
    if not data.path:
        raise ConfigError(f'data.path must say where the examples for {data.source} are.')
    source = SOURCES[data.source]
    examples = source(data)
    # The lowest window, as BP-Net is judged: above is what the LiDAR does not see.
    plain = dataclasses.replace(data, flip=0.0, colour=0.0, top=LOWEST)
    if data.held_out_path:
        path, teacher = data.held_out_path, data.held_out_teacher
        return examples, source(dataclasses.replace(plain, path=path, teacher=teacher))
    if len(examples) <= data.held_out:
        raise ConfigError(
            f'data.held_out {data.held_out} leaves none of the {len(examples)} examples in '
            f'{data.path} to learn from.'
        )
    rest = range(data.held_out, len(examples))
    return Part(examples, rest), Part(source(plain), range(data.held_out))


def _scenes(data: DataConfig) -> Examples:
    return Shards(Path(data.path))


def _pretraining(data: DataConfig) -> Examples:
    teacher = _teacher(data.teacher)
    if teacher is None:
        raise ConfigError('data.teacher must name one: pretraining learns from nothing else.')
    # What a network sees in an image goes with any camera; exact depth goes with its own.
    cameras = None if data.teacher == EXACT else CameraRange()
    return Pretraining(
        _dataset(data.path), teacher, data.height, data.width, cameras=cameras, flip=data.flip
    )


def _finetuning(data: DataConfig) -> Examples:
    augmentation = Augmentation(data.height, data.width, data.top, data.flip, data.colour)
    teacher = _teacher(data.teacher)
    return Finetuning(
        _dataset(data.path), teacher, augmentation, data.occlusion_filter, data.truth_share
    )


def _teacher(name: str) -> Teacher | None:
    if name == EXACT:
        return Exact()
    return StoredMaps(Path(name)) if name else None


def _dataset(path: str) -> Dataset:
    """Images alone, with a camera made up for them; or any dataset that `run` takes."""
    folder = Path(path)
    return Photos(folder) if folder.is_dir() and photos(folder) else open_dataset(path)


SOURCES: dict[str, Callable[[DataConfig], Examples]] = {
    'scenes': _scenes,
    'pretraining': _pretraining,
    'finetuning': _finetuning,
}
"""All examples of a source, by its name."""
