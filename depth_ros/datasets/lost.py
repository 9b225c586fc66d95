"""Going through a dataset of which some images are lost: what is whole is done, the rest named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from depth_ros.datasets.base import Dataset, Sample
from depth_ros.errors import (
    ConfigError,
    DepthRosError,
    EngineError,
    MissingDependencyError,
    ModelError,
    SampleError,
)

NOT_TRIED = 'It was not tried, for an image before it ended the run.'
NAMED = 5  # lost images that a warning names; files name all

Result = TypeVar('Result')
# What is wrong with the settings or the machine is wrong for every image: the first one tells.
_NOT_OF_AN_IMAGE = (ConfigError, EngineError, MissingDependencyError, ModelError)


@dataclass(frozen=True)
class LostImage:
    """An image that nothing could be made of.

    Attributes:
        name: of the sample.
        camera_name: its camera, empty where not even that is known.
        reason: why, in a sentence.
        ended: whether nothing after it was tried, for it would have failed alike.
    """

    name: str
    camera_name: str
    reason: str
    ended: bool = False


def each(
    dataset: Dataset,
    work: Callable[[Sample], Result],
    lost: list[LostImage],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """What `work` makes of every sample, in order; those it cannot be done for go into `lost`.

    What settings, weights or the machine do not allow ends it once something was done: that
    image and those after it are lost, and nothing that was done is.

    Args:
        dataset: what is gone through.
        work: may raise anything where a sample is of no use; a decoder does.
        lost: to be appended to.
        progress: `progress(done, of)` is called after each image.

    Raises:
        DepthRosError: settings, weights or the machine do not allow it for the first sample.
    """
    of, any_done = len(dataset), False
    for index in range(of):
        name, camera_name = f'image {index}', ''
        try:
            sample = dataset.sample(index)
            name, camera_name = sample.name, sample.camera_name
            result = work(sample)
        except _NOT_OF_AN_IMAGE as error:
            if not any_done:
                raise
            lost.append(LostImage(name, camera_name, str(error), ended=True))
            lost += [LostImage(f'image {later}', '', NOT_TRIED) for later in range(index + 1, of)]
            return
        except SampleError as error:
            lost.append(LostImage(error.sample_name, error.camera_name, str(error)))
        except Exception as error:
            lost.append(LostImage(name, camera_name, why(error)))
        else:
            any_done = True
            yield result
        if progress is not None:
            progress(index + 1, of)


def why(error: Exception) -> str:
    """What went wrong with an image, in a line; of a foreign error the type tells the most."""
    if isinstance(error, DepthRosError):
        return str(error)
    return ' '.join(f'{type(error).__name__}: {error}'.split())


def nothing_done(dataset: Dataset, lost: Sequence[LostImage]) -> str:
    """What to say where every image of a dataset was lost."""
    first = lost[0]
    more = (
        f' None of the {len(lost)} images could be used; this is the first.'
        if len(lost) > 1
        else ''
    )
    return f'{dataset.name}, {first.name}: {first.reason}{more}'


def in_words(lost: Sequence[LostImage], of: int, what: str = 'skipped') -> str:
    """One warning about lost images: how many, which, and why the first."""
    names = ', '.join(image.name for image in lost[:NAMED])
    more = f' and {len(lost) - NAMED} more' if len(lost) > NAMED else ''
    text = f'{len(lost)} of {of} images {what}: {names}{more}. The first: {lost[0].reason}'
    for image in lost:
        if image.ended:
            text += f' No image after {image.name} was tried'
            text += '.' if image is lost[0] else f': {image.reason}'
    return text
