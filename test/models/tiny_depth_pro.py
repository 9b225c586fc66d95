"""Depth Pro small enough for tests, with weights that follow from their names."""

from __future__ import annotations

from typing import Any

from key_named import key_named_state

from depth_ros.models.depth_pro import DepthPro
from depth_ros.models.depth_pro.config import Config

ORACLE = Config(
    dim=32,
    depth=4,
    heads=4,
    hooks=(0, 1),
    dims_encoder=(64, 24, 32, 32),
    decoder_features=64,
)
"""The tiny network of the oracle, for images of the real size."""
SMALL = Config(
    dim=16,
    depth=2,
    heads=2,
    hooks=(0, 1),
    dims_encoder=(32, 24, 16, 16),
    decoder_features=32,
    window_px=128,
)
"""The same structure for images of 512x512."""
BIASES = {'head.4.bias': 1.0, 'fov.head.4.bias': 50.0}

FAMILIES = {
    'small_depth_pro': DepthPro(OUTPUTS=('inverse',), config=SMALL),
    'small_depth_pro_fov': DepthPro(OUTPUTS=('inverse', 'fov_deg'), config=SMALL),
}


def key_named(config: Config) -> Any:
    """The network with its weights."""
    model = DepthPro(OUTPUTS=('inverse', 'fov_deg'), config=config).build()
    model.load_state_dict(key_named_state(model, BIASES))
    return model
