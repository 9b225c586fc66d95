"""Depth Pro (ICLR 2025): depth in metres and the field of view, of one image.

    model = FAMILIES['depth_pro_fov'].build()
    weights.load(model, 'depth_pro.pt')
    depth_m, f_px = infer(model, rgb)

torch is imported when a function is called, not with this package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from depth_ros.errors import MissingDependencyError, ModelError
from depth_ros.frame import DepthKind, Float32, UInt8
from depth_ros.models.base import Arrays
from depth_ros.models.depth_pro.config import Config

if TYPE_CHECKING:
    from torch import nn

PUBLISHED = Config()
INVERSE_LIMITS = (1e-4, 1e4)
"""Inverse depth is clipped to 10 km and 0.1 mm, as the authors do."""


@dataclass(frozen=True)
class DepthPro:
    """The network with or without its field of view; see `depth_ros.models.base.MonocularFamily`.

    Attributes:
        OUTPUTS: `inverse`, the canonical inverse depth that `metres` takes; and maybe `fov_deg`.
        config: sizes of the network's parts.
    """

    OUTPUTS: tuple[str, ...]
    config: Config = PUBLISHED

    INPUTS = ('image',)
    KIND = DepthKind.INVERSE_CANONICAL

    @property
    def STRIDE(self) -> int:
        """The side of the only size."""
        return self.config.image_px

    @property
    def SIZE(self) -> tuple[int, int]:
        """(height, width): the network is made for one size."""
        return self.config.image_px, self.config.image_px

    def build(self) -> nn.Module:
        """The whole network with initial weights, in evaluation mode.

        Raises:
            MissingDependencyError: torch is not installed.
        """
        try:
            from depth_ros.models.depth_pro.network import DepthProNetwork
        except ModuleNotFoundError as error:
            raise MissingDependencyError('torch', 'torch') from error
        return DepthProNetwork(self.config).eval()

    def deployed(self, model: nn.Module, precision: str, size: tuple[int, int]) -> nn.Module:
        """A copy as it is exported and run; see `depth_ros.models.base.NetworkFamily`.

        It shares the parameters that it has in the same type.
        """
        from depth_ros.models.depth_pro.deploy import deploy

        return deploy(model, precision, with_fov='fov_deg' in self.OUTPUTS)

    def golden_inputs(self, height: int, width: int) -> Arrays:
        """Waves of three colours for the self-check of engines."""
        v, u = np.mgrid[0:height, 0:width]
        waves = (np.sin(u / 37), np.cos(v / 29), np.sin((u + v) / 53))
        return {'image': np.stack(waves)[None].astype(np.float32)}

    def network_size(self, height: int, width: int, short_side_px: int) -> tuple[int, int]:
        """Always `SIZE`: images of every shape are squeezed into a square."""
        return self.SIZE

    def preprocess(self, rgb: UInt8, size: tuple[int, int]) -> Float32:
        """(1, 3, h, w) in -1..1 of an image (H, W, 3), bilinear, without regard to its aspect.

        Raises:
            ModelError: it is no such image.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise ModelError(f'rgb must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}.')
        image = _resized(rgb.astype(np.float32) / np.float32(127.5) - 1, *size)
        return np.ascontiguousarray(image.transpose(2, 0, 1)[None])

    def restored(self, output: Float32, height: int, width: int) -> Float32:
        """The network's inverse depth (h, w) at the size of the image, bilinear.

        Raises:
            ModelError: it is no such map.
        """
        if output.ndim != 2 or not output.size:
            raise ModelError(f'A map must be (h, w), got {output.shape}.')
        return _resized(output, height, width)


FAMILIES = {
    'depth_pro': DepthPro(OUTPUTS=('inverse',)),
    'depth_pro_fov': DepthPro(OUTPUTS=('inverse', 'fov_deg')),
}


def metres(inverse: Float32, f_px: float, width: int) -> Float32:
    """Depth in metres along the optical axis, 0.1 mm to 10 km, of canonical inverse depth.

    Args:
        inverse: array of any shape; as of a camera whose focal length is the image's width.
        f_px: focal length in pixels of the original image.
        width: of the original image in pixels.

    Raises:
        ModelError: `f_px` is no focal length.
    """
    inverse_m = np.clip(inverse * np.float32(width / _checked(f_px)), *INVERSE_LIMITS)
    return np.reciprocal(inverse_m, dtype=np.float32)


def focal_px(fov_deg: float, width: int) -> float:
    """Focal length in pixels of an image this wide, of its horizontal field of view.

    Raises:
        ModelError: no pinhole camera has this field of view.
    """
    if not 0 < fov_deg < 180:
        raise ModelError(f'A field of view is between 0 and 180 degrees, got {fov_deg}.')
    return 0.5 * width / math.tan(math.radians(0.5 * fov_deg))


def infer(model: nn.Module, rgb: UInt8, f_px: float | None = None) -> tuple[Float32, float]:
    """Depth of one image, and the focal length that it is for.

    Args:
        model: what `build` returned, loaded; may lie on a GPU.
        rgb: (H, W, 3) uint8.
        f_px: focal length in pixels; None = as the network sees it.

    Returns:
        (H, W) metres along the optical axis, and the focal length in pixels.

    Raises:
        ModelError: it is no such image; or the focal length given, or seen, is none.
    """
    import torch

    family = DepthPro(OUTPUTS=('inverse', 'fov_deg'), config=model.config)
    if f_px is not None:
        _checked(f_px)
    parameter = next(model.parameters())
    image = torch.from_numpy(family.preprocess(rgb, family.SIZE))
    with torch.inference_mode():
        outputs = model(image.to(parameter.device, parameter.dtype))
    inverse, fov_deg = (output.float().cpu().numpy() for output in outputs)
    height, width = rgb.shape[:2]
    if f_px is None:
        f_px = focal_px(float(fov_deg[0]), width)
    return metres(family.restored(inverse[0, 0], height, width), f_px, width), f_px


def _resized(image: Float32, height: int, width: int) -> Float32:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def _checked(f_px: float) -> float:
    if not 0 < f_px < math.inf:
        raise ModelError(f'f_px must be a focal length in pixels, above 0, got {f_px}.')
    return f_px
