"""What can be trained: how an example becomes a network's input, and its output depth.

A student runs in two places: `inputs` in the workers that load data, on arrays; `build` and
`predict` where the network is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np

from depth_ros.errors import MissingDependencyError, TrainingError
from depth_ros.frame import Float32
from depth_ros.methods import guided
from depth_ros.models import bpnet, lite
from depth_ros.models.base import KITTI, Arrays, Normalisation
from depth_ros.models.bpnet.neighbours import LEVELS, pyramid
from depth_ros.training.examples import Example
from depth_ros.weights.registry import family

if TYPE_CHECKING:
    from torch import Tensor, nn


class Prediction(NamedTuple):
    """What a student says of a batch.

    Attributes:
        depths: (B, 1, H, W) maps in metres, coarse to fine; the last one is the answer.
        log_variance: (B, 1, H, W) logarithm of the variance of the relative error, or None.
    """

    depths: tuple[Tensor, ...]
    log_variance: Tensor | None = None


class Student(Protocol):
    """A network that can be trained.

    Attributes:
        stride: height and width of examples must be multiples of it.
    """

    stride: ClassVar[int]

    def build(self) -> nn.Module:
        """The network with initial weights.

        Raises:
            MissingDependencyError: torch is not installed.
        """
        ...

    def inputs(self, example: Example) -> Arrays:
        """What the network sees of an example, by name, without the axis of the batch.

        Raises:
            TrainingError: the network cannot see it: wrong size, or too few returns.
        """
        ...

    def predict(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Prediction:
        """What a network says of a batch of `inputs`."""
        ...


def arrays(student: Student, example: Example) -> Arrays:
    """Inputs of a student and what they should become: one item of a batch.

    `truth` (1, H, W) in metres, 0 = unknown; `teacher` (1, H, W) in any scale and shift, NaN =
    unknown, so everywhere where there is none.

    Raises:
        TrainingError: the student cannot see the example.
    """
    size = example.sparse_m.shape
    if any(side % student.stride for side in size):
        raise TrainingError(f'Sides must be multiples of {student.stride}, got {size}.')
    teacher = np.full(size, np.nan, np.float32) if example.teacher is None else example.teacher
    return {
        **student.inputs(example),
        'truth': _channel(example.truth_m),
        'teacher': _channel(teacher),
    }


def _channel(values: Float32) -> Float32:
    return np.ascontiguousarray(values[None], dtype=np.float32)


@dataclass(frozen=True)
class LiteStudent:
    """Our compact network: it corrects what `guided` makes of the returns."""

    stride: ClassVar[int] = 16

    def build(self) -> nn.Module:
        """The network with initial weights, which gives the prior; see `Student.build`."""
        return family('lite').build()

    def inputs(self, example: Example) -> Arrays:
        """Image, returns, and the prior with its sigma; see `Student.inputs`."""
        found = np.count_nonzero(example.sparse_m)
        if found < guided.MIN_RETURNS:
            raise TrainingError(
                f'lite needs {guided.MIN_RETURNS} LiDAR returns in an example, got {found}.'
            )
        top = int(guided.top_of_lidar(example.sparse_m).min())
        prior_m, sigma_m = guided.complete_below(example.image, example.sparse_m, top)
        return {
            'image': np.ascontiguousarray(example.image),
            'sparse': _channel(lite.signed(example.sparse_m, example.hidden_m)),
            'prior': _channel(prior_m),
            'prior_sigma': _channel(sigma_m),
        }

    def predict(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Prediction:
        """Depth and its log-variance; see `Student.predict`."""
        names = ('image', 'sparse', 'prior', 'prior_sigma')
        depth_m, log_variance = model(*(batch[name] for name in names))
        return Prediction((depth_m,), log_variance)


@dataclass(frozen=True)
class BPNetStudent:
    """BP-Net, as its authors train it.

    Attributes:
        width: channels at full size; 32 is the published network.
        normalisation: mean and standard deviation of 0..255 RGB.
        depth_scale: metres are multiplied by it before the network; 10 for NYUv2.
    """

    stride: ClassVar[int] = bpnet.STRIDE
    width: int = 32
    normalisation: Normalisation = KITTI
    depth_scale: float = 1.0

    def build(self) -> nn.Module:
        """The network with initial weights; see `Student.build`."""
        try:
            from depth_ros.models.bpnet.network import BPNet
        except ModuleNotFoundError as error:
            raise MissingDependencyError('torch', 'torch') from error
        return BPNet(self.width)

    def inputs(self, example: Example) -> Arrays:
        """Normalised image, returns, camera matrix and their neighbours; see `Student.inputs`."""
        sparse = example.sparse_m * np.float32(self.depth_scale)
        found = sparse > bpnet.VALID_M
        if not found.any():
            raise TrainingError('BP-Net needs a LiDAR return in an example, got none.')
        mean, std = np.asarray(self.normalisation, dtype=np.float32)
        image = np.ascontiguousarray(((example.image - mean) / std).transpose(2, 0, 1))
        neighbours = {f'neighbours_{level}': index for level, index in enumerate(pyramid(found))}
        K = example.K.astype(np.float32)
        return {'image': image, 'sparse': _channel(sparse), 'K': K, **neighbours}

    def predict(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Prediction:
        """Depth of the six stages at full size; see `Student.predict`."""
        from torch.nn import functional as F

        neighbours = [batch[f'neighbours_{level}'] for level in range(LEVELS)]
        stages = model(batch['image'], batch['sparse'], batch['K'], neighbours)
        size = batch['sparse'].shape[-2:]
        depths = (
            F.interpolate(stage.depth, size, mode='bilinear', align_corners=True)
            for stage in stages
        )
        return Prediction(tuple(depth / self.depth_scale for depth in depths))


STUDENTS: dict[str, Callable[..., Student]] = {'lite': LiteStudent, 'bpnet': BPNetStudent}
"""Students by name."""


def student(name: str, **settings: object) -> Student:
    """A student of a name, with settings that are attributes of it.

    Raises:
        TrainingError: there is no such student, or it has no such setting.
    """
    if name not in STUDENTS:
        raise TrainingError(f'There is no student {name!r}; there are {list(STUDENTS)}.')
    try:
        return STUDENTS[name](**settings)
    except TypeError as error:
        raise TrainingError(f'{name} cannot be set up with {settings}: {error}.') from error
