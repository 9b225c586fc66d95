"""The interface every dataset implements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Float32, Float64, Frame


@dataclass(frozen=True)
class Sample:
    """One frame of one camera, with truth where the dataset has it.

    Attributes:
        name: unique within the dataset and usable as a file name, `<camera>_<frame id>`.
        camera_name: camera the frame is of.
        frame: what the pipeline gets.
        depth_gt_m: (H, W) float32 true depth in the rectified camera in metres, 0 = unknown.
        truth_lost: why there is no `depth_gt_m` though the dataset names one; else empty.
        ring: (N,) number of the laser of each point of the frame, from 0; None where unknown.
        T_world_camera: (4, 4) pose of the camera, or None.
        intrinsics_estimated: whether the camera of the frame is a guess, not a calibration.
    """

    name: str
    camera_name: str
    frame: Frame
    depth_gt_m: Float32 | None = None
    T_world_camera: Float64 | None = None
    intrinsics_estimated: bool = False
    truth_lost: str = ''
    ring: npt.NDArray[np.intp] | None = None


class Dataset(Protocol):
    """A finite sequence of samples, ordered by time, then camera; loading is lazy.

    `sample(i)` raises `SampleError` naming the file if something is missing or malformed.
    """

    @property
    def name(self) -> str:
        """What tables and messages call it."""
        ...

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Cameras that the samples are of."""
        ...

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample:
        """Sample `index`, 0 <= index < len."""
        ...


def iterate(dataset: Dataset) -> Iterator[Sample]:
    """All samples of a dataset in order."""
    for index in range(len(dataset)):
        yield dataset.sample(index)
