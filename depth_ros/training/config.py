"""All settings of a training run with their defaults, and how a file gives them.

Every section but `run` decides what is learned, and a run can only go on with the same; `run`
says how, and may change whenever a run is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_ros.errors import ConfigError, MissingDependencyError
from depth_ros.settings import flatten, option, replaced, validate
from depth_ros.training.students import STUDENTS

FREE = 'run.'
"""What the names of settings begin with that may change when a run is resumed."""


@dataclass(frozen=True)
class StudentConfig:
    """The network that learns."""

    name: str = option('lite', 'Network.', choices=tuple(STUDENTS))
    width: int = option(
        0, 'Channels of bpnet at full size; 0 = as published.', minimum=0, maximum=1024
    )
    weights: str = option('', 'File of weights to start from; empty = new ones.')


@dataclass(frozen=True)
class DataConfig:
    """What it learns from, and what judges it."""

    source: str = option(
        'scenes',
        'scenes = shards of procedural views; pretraining = images, a teacher and simulated '
        'LiDAR; finetuning = a dataset with LiDAR and truth.',
        choices=('scenes', 'pretraining', 'finetuning'),
    )
    path: str = option('', 'Folder of the shards, the images or the dataset, or a simulator:NAME.')
    held_out_path: str = option(
        '', 'The same for the examples that judge; empty = the first ones of path.'
    )
    held_out: int = option(
        180,
        'How many examples judge if they are of path; a shard has six views of one scene.',
        minimum=1,
    )
    teacher: str = option(
        '', 'Folder with the maps of a teacher; exact = the truth of a simulator; empty = none.'
    )
    held_out_teacher: str = option('', 'The same for held_out_path.')
    teacher_weights: str = option(
        '',
        'Weights of a monocular network, as `depth_ros models list` shows them, whose maps '
        '--prepare writes into those folders.',
    )
    shards: int = option(1000, 'How many scenes --prepare casts into path.', minimum=1)
    height: int = option(256, 'Height of the window of an image [pixels].', minimum=16)
    width: int = option(1216, 'Width of the window of an image [pixels].', minimum=16)
    top: int = option(
        50, 'Windows for finetuning begin below this row, if they fit [pixels].', minimum=0
    )
    flip: float = option(0.5, 'Share of examples that are mirrored.', minimum=0.0, maximum=1.0)
    colour: float = option(
        0.1, 'Random shift of colours for finetuning, in standard deviations.', minimum=0.0
    )
    occlusion_filter: bool = option(
        True, 'Leave out returns that the camera cannot see, for finetuning.'
    )
    truth_share: float = option(
        1.0, 'Share of the truth that is used, for finetuning.', minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True)
class ObjectiveConfig:
    """Weights of the terms that are made small; see `training.distill.Objective`."""

    l1: float = option(0.0, 'Weight of |depth - truth| in metres.', minimum=0.0)
    log_l1: float = option(0.0, 'Weight of |ln depth - ln truth|.', minimum=0.0)
    clipped_l1: float = option(0.0, 'Weight of |depth - truth|, at most clip_m.', minimum=0.0)
    clip_m: float = option(5.0, 'What is farther off pulls no more [m].', minimum=0.01)
    log_gradient: float = option(
        0.0, 'Weight of gradient matching of ln depth with ln truth.', minimum=0.0
    )
    relative_l2: float = option(
        0.0, 'Weight of the squared error as a share of the truth, at most a half.', minimum=0.0
    )
    rmse_ratio: float = option(
        0.0, 'Weight of the RMSE of an image over that of what is corrected.', minimum=0.0
    )
    mae_ratio: float = option(0.0, 'Weight of the same of the MAE.', minimum=0.0)
    l2_of_all: float = option(
        0.0, 'Weight of squared errors over the number of all pixels.', minimum=0.0
    )
    ssi: float = option(
        0.0, 'Weight of the error against the teacher up to scale and shift.', minimum=0.0
    )
    affine_invariant: float = option(
        0.0, 'Weight of the same with median and mean absolute deviation.', minimum=0.0
    )
    gradient: float = option(0.0, 'Weight of gradient matching with the teacher.', minimum=0.0)
    laplace: float = option(
        0.0, 'Weight of the likelihood of errors under the stated variance.', minimum=0.0
    )
    coverage: float = option(
        0.0,
        'Weight of the quantile loss of how many errors lie within 1 and 2 stated sigma.',
        minimum=0.0,
    )
    log_error: float = option(
        0.0, 'Weight of how far the stated uncertainty is from the error.', minimum=0.0
    )
    coarser: float = option(
        0.25, 'Factor on an output for each finer one that follows it.', minimum=0.0
    )


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW."""

    lr: float = option(2e-3, 'Highest learning rate.', minimum=0.0)
    weight_decay: float = option(
        0.05, 'Weight decay; tensors of one dimension have none.', minimum=0.0
    )
    beta2: float = option(0.999, 'Second coefficient of Adam.', minimum=0.0, maximum=0.99999)
    clip: float = option(0.1, 'Largest norm of the gradient; 0 = no limit.', minimum=0.0)
    batch: int = option(8, 'Examples that a process takes at a time.', minimum=1)
    accumulate: int = option(1, 'Batches whose gradients make one step.', minimum=1)
    average: float = option(
        0.999,
        'Decay per step of the moving average of weights, which is what is kept.',
        minimum=0.0,
        maximum=0.999999,
    )
    precision: str = option(
        'fp32',
        'Precision of the network while it learns; weights stay fp32.',
        choices=('fp32', 'bf16', 'fp16'),
    )


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate and momentum over the steps."""

    kind: str = option(
        'one_cycle',
        'one_cycle = up and down in cosines, momentum against it; cosine = straight up, down in a '
        'cosine, momentum constant.',
        choices=('one_cycle', 'cosine'),
    )
    steps: int = option(10000, 'Steps of the whole run.', minimum=1)
    warmup_share: float = option(
        0.1, 'Share of the steps in which the rate rises.', minimum=0.0, maximum=1.0
    )
    start_factor: float = option(
        0.025, 'First learning rate relative to the highest.', minimum=0.0, maximum=1.0
    )
    end_factor: float = option(
        0.0, 'Last learning rate relative to the highest.', minimum=0.0, maximum=1.0
    )
    momentum: float = option(
        0.9, 'First coefficient of Adam at low rates.', minimum=0.0, maximum=0.9999
    )
    momentum_low: float = option(
        0.85, 'First coefficient of Adam at the highest rate.', minimum=0.0, maximum=0.9999
    )
    jitter: float = option(
        0.0,
        'Each rate is multiplied by 1 + this times a random number in (-1, 1).',
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class HeldOutConfig:
    """Scores on examples that are not trained on."""

    every: int = option(500, 'Steps between evaluations.', minimum=1)
    examples: int = option(200, 'Number of examples, the first ones; 0 = all.', minimum=0)
    best_by: str = option(
        'rmse_mm', 'Score whose lowest value is kept.', choices=('rmse_mm', 'mae_mm', 'loss')
    )


@dataclass(frozen=True)
class RunConfig:
    """How it is run; the only section that may change when a run is resumed."""

    output: str = option('', 'Folder of checkpoints, logs and weights.')
    device: str = option('auto', 'What learns.', choices=('auto', 'cpu', 'cuda'))
    workers: int = option(
        1, 'Processes that make examples; 0 = none of their own.', minimum=0, maximum=256
    )
    threads: int = option(
        0, 'CPU threads of the network; 0 = as PyTorch has it.', minimum=0, maximum=256
    )
    max_hours: float = option(
        0.0, 'Time after which a run ends, all its parts together [h]; 0 = none.', minimum=0.0
    )
    checkpoint_every: int = option(200, 'Steps between checkpoints.', minimum=1)
    log_every: int = option(20, 'Steps that a row of the log is the mean of.', minimum=1)
    tensorboard: bool = option(False, 'Also write event files for TensorBoard.')


@dataclass(frozen=True)
class TrainConfig:
    """Everything that `train` can be told."""

    seed: int = option(0, 'Of all that is random.', minimum=0)
    student: StudentConfig = field(default_factory=StudentConfig)
    data: DataConfig = field(default_factory=DataConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    held_out: HeldOutConfig = field(default_factory=HeldOutConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        validate(self)


def read(path: Path | str, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """The settings of a YAML file over the defaults, and others over them.

    Args:
        path: of the file: sections of settings, such as `schedule: {steps: 1000}`.
        changes: by dotted name, such as `{'schedule.steps': 1000}`.

    Raises:
        ConfigError: the file is no mapping of settings, or a name or value is refused.
        MissingDependencyError: PyYAML is not installed.
        OSError: the file cannot be read.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError('pyyaml', 'train') from error
    try:
        content = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{path} is no YAML: {error}') from error
    if not isinstance(content, dict):
        raise ConfigError(f'{path} must hold settings by name, got {type(content).__name__}.')
    defaults = TrainConfig()
    settings = {**_dotted(content), **(changes or {})}
    known = flatten(defaults)
    typed = {name: _number(value, known.get(name)) for name, value in settings.items()}
    try:
        config: TrainConfig = replaced(defaults, typed)
    except ConfigError as error:
        raise ConfigError(f'{path}: {error}') from error
    return config


def differences(saved: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """What a run would learn otherwise than one with saved settings, `name: saved -> now`.

    A setting that did not exist when they were saved had its default.
    """
    now, before = flatten(config), {**flatten(TrainConfig()), **saved}
    return [
        f'{name}: {value!r} -> {now.get(name)!r}'
        for name, value in before.items()
        if not name.startswith(FREE) and value != now.get(name)
    ]


def _dotted(settings: Mapping[Any, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat.update(_dotted(value, f'{prefix}{name}.'))
        else:
            flat[f'{prefix}{name}'] = value
    return flat


def _number(value: Any, current: Any) -> Any:
    """A number such as 1e-3, which YAML 1.1 takes for a word because it has no point."""
    if isinstance(current, float) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
