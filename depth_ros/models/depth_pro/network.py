"""Depth Pro: depth of one image in metres, once the focal length is known or guessed.

Bochkovskii et al., "Depth Pro: sharp monocular metric depth in less than a second", ICLR 2025.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from depth_ros.errors import ModelError
from depth_ros.models.depth_pro.config import Config
from depth_ros.models.depth_pro.decoder import Decoder, LastConv2d
from depth_ros.models.depth_pro.encoder import Encoder
from depth_ros.models.depth_pro.fov import FieldOfView
from depth_ros.models.depth_pro.names import HUB_NAMES
from depth_ros.models.hub_names import renamed

HEAD_CHANNELS = 32


class DepthProNetwork(nn.Module):
    """The network; its parameters have their official names.

    Args:
        config: sizes of its parts.

    Attributes:
        fov: the branch that guesses the field of view; None leaves it out.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        width = config.decoder_features
        self.head = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ConvTranspose2d(width // 2, width // 2, 2, stride=2),
            nn.Conv2d(width // 2, HEAD_CHANNELS, 3, padding=1),
            nn.ReLU(),
            LastConv2d(HEAD_CHANNELS, 1, 1),
            nn.ReLU(),
        )
        self.fov: FieldOfView | None = FieldOfView(config)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Canonical inverse depth (B, 1, side, side) and field of view (B,) in degrees.

        Depth in metres is f_px / (width * inverse), with the focal length in pixels and the width
        of the original image. Without `fov` there is no second output.

        Args:
            image: (B, 3, side, side) RGB in -1..1, where side is `Config.image_px`.

        Raises:
            ModelError: it has another size, at which the windows would not fit.
        """
        side = self.config.image_px
        if tuple(image.shape[1:]) != (3, side, side):
            raise ModelError(f'image must be (B, 3, {side}, {side}), got {tuple(image.shape)}.')
        features, coarsest = self.decoder(self.encoder(image))
        inverse = self.head(features)
        return (inverse,) if self.fov is None else (inverse, self.fov(image, coarsest))

    def official_names(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The parameters under the official names; see `PublishedTwice`."""
        return renamed(state, HUB_NAMES)
