"""BP-Net (CVPR 2024) and DMD3C (CVPR 2025): one network, different weights.

    model = build()
    weights.load(model, 'result_ema.pth')
    depth_m = complete(model, rgb, sparse_m, K)

torch is imported when a function is called, not with this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_ros.errors import MissingDependencyError, ModelError
from depth_ros.frame import Float32, UInt8
from depth_ros.models.base import KITTI, Arrays
from depth_ros.models.bpnet.neighbours import LEVELS, pyramid

if TYPE_CHECKING:
    from torch import nn

STRIDE = 32
SIZE: tuple[int, int] | None = None
INPUTS = (
    'image',
    'sparse',
    'K',
    'normalisation',
    *(f'neighbours_{level}' for level in range(LEVELS)),
)
OUTPUTS = ('depth', 'sigma')

VALID_M = 1e-3
"""Sparse depth up to here means no measurement."""


def build() -> nn.Module:
    """The published network with initial weights, in evaluation mode.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    try:
        from depth_ros.models.bpnet.network import BPNet
    except ModuleNotFoundError as error:
        raise MissingDependencyError('torch', 'torch') from error
    return BPNet().eval()


def deployed(model: nn.Module, precision: str, size: tuple[int, int] | None = None) -> nn.Module:
    """A copy as it is exported and run, at any size; see `depth_ros.models.base.NetworkFamily`."""
    from depth_ros.models.bpnet.deploy import deploy

    return deploy(model, precision)


def complete(
    model: nn.Module,
    rgb: UInt8,
    sparse_m: npt.NDArray[np.floating[Any]],
    K: npt.ArrayLike,
    normalisation: npt.ArrayLike = KITTI,
) -> npt.NDArray[np.floating[Any]]:
    """Dense depth of one image, in the type of the model's parameters.

    Sizes that are no multiple of 32 are padded at the right and at the bottom.

    Args:
        model: what `build` returned, loaded; may be `.double()`, may lie on a GPU.
        rgb: (H, W, 3) uint8.
        sparse_m: (H, W) depth in metres (times what the weights want), 0 or NaN = none.
        K: (3, 3) camera matrix of this image in pixels.
        normalisation: (2, 3) mean and standard deviation of 0..255 RGB.

    Returns:
        (H, W) depth in the unit of `sparse_m`.

    Raises:
        ModelError: sizes differ, or there is no return.
    """
    import torch

    height, width = _checked_size(rgb, sparse_m)
    known_m = np.where(np.isfinite(sparse_m), sparse_m, 0.0)
    rgb, sparse = padded(rgb, known_m.astype(np.float32))
    mean, std = np.asarray(normalisation)
    image = ((rgb - mean) / std).astype(np.float32).transpose(2, 0, 1)
    parameter = next(model.parameters())

    def tensor(array: npt.NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(array)[None].to(parameter.device, parameter.dtype)

    neighbours = [
        torch.from_numpy(index)[None].to(parameter.device) for index in pyramid(sparse > VALID_M)
    ]
    matrix = np.asarray(K, dtype=np.float32)
    with torch.inference_mode():
        stages = model(tensor(image), tensor(sparse[None]), tensor(matrix), neighbours)
    depth: npt.NDArray[np.floating[Any]] = stages[-1].depth[0, 0].cpu().numpy()
    return depth[:height, :width]


def graph_inputs(
    rgb: UInt8, sparse_m: Float32, K: npt.ArrayLike, normalisation: npt.ArrayLike = KITTI
) -> Arrays:
    """Inputs of the deployed network, batch 1, of arrays padded to a multiple of `STRIDE`.

    Args:
        rgb: (H, W, 3) uint8.
        sparse_m: (H, W) metres, 0 = none.
        K: (3, 3) camera matrix in pixels.
        normalisation: (2, 3) mean and standard deviation of 0..255 RGB.

    Raises:
        ModelError: there is no return.
    """
    arrays: Arrays = {
        'image': rgb[None],
        'sparse': sparse_m[None, None],
        'K': np.asarray(K, dtype=np.float32)[None],
        'normalisation': np.asarray(normalisation, dtype=np.float32),
    }
    for level, index in enumerate(pyramid(sparse_m > VALID_M)):
        arrays[f'neighbours_{level}'] = index[None]
    return arrays


def golden_inputs(height: int, width: int) -> Arrays:
    """A made scene for the self-check of engines: a tilted ground, a wall, scattered returns."""
    v, u = np.mgrid[0:height, 0:width]
    depth_m = np.minimum(60.0, 3.0 + 1.2 * height / (v + 1.0) + 0.01 * u).astype(np.float32)
    waves = (np.sin(u / 9.0), np.cos(v / 7.0), np.sin((u + v) / 13.0))
    rgb = np.stack([128 + 90 * wave for wave in waves], axis=-1).astype(np.uint8)
    found = np.random.default_rng(0).random((height, width)) < 0.05
    found[height // 2, width // 2] = True
    sparse_m = np.where(found, depth_m, np.float32(0))
    focal_px = 0.6 * width
    K = np.array([[focal_px, 0, 0.5 * width], [0, focal_px, 0.5 * height], [0, 0, 1]])
    return graph_inputs(rgb, sparse_m, K)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The smallest size that is a multiple of `STRIDE` and holds an image."""
    return height + -height % STRIDE, width + -width % STRIDE


def padded(rgb: UInt8, sparse_m: Float32) -> tuple[UInt8, Float32]:
    """Image and sparse depth at a multiple of 32: edge pixels repeated, no returns added.

    They grow at the right and at the bottom, so that the camera matrix stays.
    """
    height, width = sparse_m.shape
    rows, columns = padded_size(height, width)
    bottom, right = rows - height, columns - width
    if not (right or bottom):
        return rgb, sparse_m
    return (
        np.pad(rgb, ((0, bottom), (0, right), (0, 0)), mode='edge'),
        np.pad(sparse_m, ((0, bottom), (0, right))),
    )


def _checked_size(rgb: UInt8, sparse_m: npt.NDArray[Any]) -> tuple[int, int]:
    if rgb.dtype != np.uint8 or rgb.shape != (*sparse_m.shape, 3):
        raise ModelError(
            f'rgb must be (H, W, 3) uint8 and sparse_m (H, W), got {rgb.shape} {rgb.dtype} and '
            f'{sparse_m.shape}.'
        )
    height, width = sparse_m.shape
    return height, width
