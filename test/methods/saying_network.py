"""A network that says what the test wants, and what is around it; for `methods.mono`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros.engines.base import NetworkRequest
from depth_ros.frame import CameraView
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods.mono import Mono

HEIGHT, WIDTH = 40, 60
CAMERA = Intrinsics(WIDTH, HEIGHT, 30.0, 30.0, 29.5, 19.5)
FILE = Path('weights.safetensors')
# Neither a device nor a backend: the tests need no library of networks.
NOTHING_IS_LOOKED_FOR = {'short_side_px': 56, 'precision': 'fp32'}

Says = Callable[[np.ndarray], np.ndarray]


class Family:
    """Networks that see the image as it is."""

    OUTPUTS = ('values',)
    sides: list[int]

    def __init__(self) -> None:
        self.sides = []

    def network_size(self, height: int, width: int, short_side_px: int) -> tuple[int, int]:
        self.sides.append(short_side_px)
        return height, width

    def preprocess(self, rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        assert rgb.shape[:2] == size
        return rgb.transpose(2, 0, 1)[None].astype(np.float32)

    def restored(self, output: np.ndarray, height: int, width: int) -> np.ndarray:
        assert output.shape == (height, width)
        return output


class Answering:
    """An engine that answers to the red channel."""

    backend, device, precision = 'fake', 'cpu', 'fp32'
    fov_deg: float | None = None

    def __init__(self, says: Says) -> None:
        self.says = says
        self.closed = False

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        red = inputs['image'][0, 0]
        outputs = {'values': self.says(red).astype(np.float32)[None, None]}
        return outputs if self.fov_deg is None else {**outputs, 'fov_deg': [self.fov_deg]}

    def close(self) -> None:
        self.closed = True


@dataclasses.dataclass
class Bench:
    """What is around the method."""

    family: Family
    opened: list[NetworkRequest]
    says: Says
    name: str = 'da2-outdoor-small'

    def method(self, name: str, **settings: Any) -> Mono:
        self.name = name
        return Mono(FILE, **{**NOTHING_IS_LOOKED_FOR, **settings})


def view(camera: Intrinsics = CAMERA) -> CameraView:
    """Red tells the column."""
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    image[..., 0] = np.arange(camera.width)
    return CameraView(image, np.zeros(image.shape[:2], np.float32), camera)
