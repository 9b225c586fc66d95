"""Depth from one image by Depth Anything or Depth Pro."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from depth_ros.engines.open import choose_backend
from depth_ros.errors import ConfigError, MethodError, ModelError
from depth_ros.frame import CameraView, DepthEstimate, DepthKind, Float32, UInt8
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods.network_slot import NetworkMethod, NetworkSlot
from depth_ros.models import depth_pro
from depth_ros.weights.card import ModelCard
from depth_ros.weights.registry import MODELS, monocular_family
from depth_ros.weights.store import locate, network_card

SHORT_SIDE_PX = {'cpu': 252, 'cuda': 518}
"""Shorter side of what the network sees, by device: 518 is what Depth Anything was trained at."""
MIN_SIDE_PX, MIN_NETWORK_SIDE_PX = 32, 56
MAX_ASPECT = 8
FOV_LIMITS_DEG = (2.0, 160.0)
MAX_PIXEL_ASPECT = 2.0


class Mono(NetworkMethod):
    """Depth of the camera's image alone.

    What the network says is brought to metres along the optical axis: as it is where it says
    metres, by the focal length of the view where it says canonical inverse depth. A network that
    knows neither scale nor shift gives its disparity, of kind `DISPARITY_AFFINE`.

    Args:
        weights: those fetched, for they know which network they are for.
        output: `metric` or `relative`.
        focal_length: `camera_info`, or `estimated` by Depth Pro from each image for its metres.
        short_side_px: of what the network sees; 0 = by the device.
        flip: also look at the mirrored image. Depth is the mean of both, and half of their
            difference is part of sigma.
        max_depth_m: depth beyond is +Inf, with the limit of the weights; 0 = that alone.
        relative_sigma: the other part of sigma, as a share of depth. A prior: what a network
            is off by depends on how much a scene resembles those it has learnt.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.

    Raises:
        ModelError: the weights do not say which network they are for, or give another output.
        ConfigError: a setting does not fit the network.
    """

    name = 'mono'
    needs_lidar = False

    def __init__(
        self,
        weights: Path,
        output: str = 'metric',
        focal_length: str = 'camera_info',
        short_side_px: int = 0,
        flip: bool = False,
        max_depth_m: float = 0.0,
        relative_sigma: float = 0.15,
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int = 0,
    ) -> None:
        if 0 < short_side_px < MIN_NETWORK_SIDE_PX:
            raise ConfigError(
                f'mono.short_side_px must be 0 or at least {MIN_NETWORK_SIDE_PX}, got '
                f'{short_side_px}.'
            )
        card = _monocular_card(weights)
        _check_output(card, output)
        name = _network(card, focal_length)
        self._family = monocular_family(name)
        self._kind = card.kind
        self._needs_focal_length = card.gives_metres and focal_length == 'camera_info'
        self._max_depth_m = min(max_depth_m or math.inf, card.max_depth_m or math.inf)
        self._short_side_px, self._backend = short_side_px, backend
        self._flip, self._relative_sigma = flip, np.float32(relative_sigma)
        super().__init__(NetworkSlot(name, weights, backend, precision, threads))

    def check_camera(self, camera: Intrinsics) -> None:
        """Refuse a camera in whose views there is nothing to see, or that cannot be what it says.

        Raises:
            MethodError: reason `image_size` or `focal_length`.
        """
        check_size(camera.height, camera.width)
        if self._needs_focal_length:
            check_focal_length(camera)

    def estimate(self, view: CameraView) -> DepthEstimate:
        """Depth of the view's image; its sparse depth is not looked at.

        Raises:
            MethodError: reason `image_size` or `focal_length`.
            DepthRosError: the engine cannot be opened.
        """
        self.check_camera(view.intrinsics)
        maps, f_px = self._seen(view.image)
        if view.seen is not None:
            maps[:, ~view.seen] = np.nan  # whatever a network says of black
        if self._kind is DepthKind.DISPARITY_AFFINE:
            return _relative(maps)
        camera = view.intrinsics if f_px is None else replace(view.intrinsics, fx=f_px)
        depth_m = self._metres(maps.mean(axis=0), camera)
        sigma_m = self._relative_sigma * depth_m
        if self._flip:
            one_m, other_m = self._metres(maps, camera)
            sigma_m = np.hypot(sigma_m, (one_m - other_m) / 2)
        depth_m[~(depth_m > 0)] = np.nan  # nothing is behind the camera
        depth_m[depth_m > self._max_depth_m] = np.inf
        sigma_m[~np.isfinite(depth_m)] = np.nan
        return DepthEstimate(depth_m, sigma_m)

    def _seen(self, image: UInt8) -> tuple[Float32, float | None]:
        """What the network says of an image (H, W, 3), and of its mirror image if wanted.

        Returns:
            (1 or 2, H, W), NaN where it is not finite; and the focal length in pixels that it
            believes in, if that is wanted.
        """
        first, fov_deg = self._inferred(image)
        maps = [first]
        if self._flip:
            maps.append(self._inferred(image[:, ::-1])[0][:, ::-1])
        values = np.stack(maps)
        values[~np.isfinite(values)] = np.nan
        return values, None if fov_deg is None else depth_pro.focal_px(fov_deg, image.shape[1])

    def _inferred(self, image: UInt8) -> tuple[Float32, float | None]:
        """The network's map at the size of an image (H, W, 3), and its field of view if wanted."""
        height, width = image.shape[:2]
        size = self._network_size(height, width)
        engine = self._slot.opened(size)
        outputs = engine.infer({'image': self._family.preprocess(image, size)})
        values = outputs[self._family.OUTPUTS[0]][0, 0]
        fov_deg = float(outputs['fov_deg'][0]) if 'fov_deg' in outputs else None
        return self._family.restored(values, height, width), fov_deg

    def _metres(self, values: Float32, intrinsics: Intrinsics) -> Float32:
        """Depth of what the network says of an image."""
        if self._kind is DepthKind.INVERSE_CANONICAL:
            return depth_pro.metres(values, intrinsics.fx, intrinsics.width)
        return values

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        check_size(height, width)
        if not self._short_side_px:
            device = choose_backend(self._backend).device.partition(':')[0]
            self._short_side_px = SHORT_SIDE_PX[device]
        return self._family.network_size(height, width, self._short_side_px)


def mono_weights(weights: str, output: str) -> Path:
    """The file that is meant by the setting `mono.weights`.

    Args:
        weights: a name of the registry; or a fetched file; or empty for the first that is fetched
            and gives the output.
        output: `metric` or `relative`.

    Raises:
        ModelError: there is no such file or none is fetched; it says what to do.
    """
    families = [
        card.family
        for card in MODELS.values()
        if card.monocular and (weights or card.gives_metres == (output == 'metric'))
    ]
    return locate(weights, families, 'mono.weights')


def check_size(height: int, width: int) -> None:
    """Refuse views (height, width) in which there is nothing to see.

    Raises:
        MethodError: reason `image_size`.
    """
    short, long = sorted((height, width))
    if short < MIN_SIDE_PX:
        raise MethodError(
            f'A view of {width}x{height} (the image times output.scale) is too small for a '
            f'network; each side must have at least {MIN_SIDE_PX} pixels.',
            'image_size',
        )
    if long > MAX_ASPECT * short:
        raise MethodError(
            f'A view of {width}x{height} is too narrow for a network; one side may be at most '
            f'{MAX_ASPECT} times the other: crop it.',
            'image_size',
        )


def check_focal_length(intrinsics: Intrinsics) -> None:
    """Refuse a camera that cannot be what it says.

    Raises:
        MethodError: reason `focal_length`.
    """
    width, fx, fy = intrinsics.width, intrinsics.fx, intrinsics.fy
    fov_deg = math.degrees(2 * math.atan(width / (2 * fx)))
    way_out = 'check that CameraInfo belongs to this image, or calibrate the camera.'
    if not FOV_LIMITS_DEG[0] <= fov_deg <= FOV_LIMITS_DEG[1]:
        raise MethodError(
            f'A focal length of {fx:g} pixels in an image {width} wide is a field of view of '
            f'{fov_deg:.2f} degrees, wanted {FOV_LIMITS_DEG[0]:g} to {FOV_LIMITS_DEG[1]:g}; '
            + way_out,
            'focal_length',
        )
    if not 1 / MAX_PIXEL_ASPECT <= fx / fy <= MAX_PIXEL_ASPECT:
        raise MethodError(
            f'Focal lengths of {fx:g} and {fy:g} pixels differ by more than a factor of '
            f'{MAX_PIXEL_ASPECT:g}; ' + way_out,
            'focal_length',
        )


def _monocular_card(weights: Path) -> ModelCard:
    card = network_card(weights)
    if card is None or not card.monocular:
        raise ModelError(
            f'{weights} does not tell which network it is for, nor whether it gives metres; '
            '`depth_ros models fetch NAME --from FILE` brings a file in under its name.'
        )
    return card


def _check_output(card: ModelCard, output: str) -> None:
    if output == 'metric' and not card.gives_metres:
        raise ModelError(
            f'{card.name} gives disparity of unknown scale and shift, which is never published as '
            'metres. Take weights that give metres (da2-indoor-*, da2-outdoor-*, depth-pro), or '
            'set mono.output to relative.'
        )
    if output == 'relative' and card.gives_metres:
        raise ModelError(
            f'{card.name} gives metres; set mono.output to metric, or take relative weights '
            '(da2-small, da1-small, ...).'
        )


def _network(card: ModelCard, focal_length: str) -> str:
    """Name of the family that runs the weights of a card."""
    if focal_length == 'camera_info':
        return card.family
    if card.kind is not DepthKind.INVERSE_CANONICAL:
        raise ConfigError(
            f'mono.focal_length {focal_length} is for Depth Pro; {card.name} sees none.'
        )
    return f'{card.family}_fov'


def _relative(maps: Float32) -> DepthEstimate:
    """Disparity of unknown scale and shift; of that, only two maps know a sigma."""
    disparity = maps.mean(axis=0)
    known = np.isfinite(disparity) & (len(maps) > 1)
    sigma = np.where(known, np.abs(maps[0] - maps[-1]) / 2, np.float32(np.nan))
    return DepthEstimate(disparity, sigma, DepthKind.DISPARITY_AFFINE)
