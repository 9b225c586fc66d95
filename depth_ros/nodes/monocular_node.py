"""One camera in; metric depth, cloud and sigma out, or relative depth under its own name."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from depth_ros.errors import ConfigError
from depth_ros.frame import DepthKind
from depth_ros.nodes.depth_node import DepthNode
from depth_ros.nodes.node_config import MONOCULAR_SETTINGS, NodeConfig
from depth_ros.nodes.process import run_node
from depth_ros.pipeline.config import MONOCULAR, PipelineConfig


class MonocularNode(DepthNode):
    """Depth from one image by a network, as a lifecycle node.

    Until the network is ready for the size of the images there is no depth: such frames are
    counted as `not_ready`.
    """

    HAS_LIDAR = False
    SETTINGS = MONOCULAR_SETTINGS

    def __init__(self, **options: Any) -> None:
        super().__init__('monocular_node', MONOCULAR, NodeConfig(), **options)

    @property
    def _kind(self) -> DepthKind:
        is_relative = self._config.mono.output == 'relative'
        return DepthKind.DISPARITY_AFFINE if is_relative else DepthKind.METRIC

    def _acquire(self, taken: ExitStack) -> None:
        _check_gate(self._config)
        super()._acquire(taken)

    def _reconfigure(self, config: PipelineConfig) -> None:
        _check_gate(config)
        super()._reconfigure(config)


def _check_gate(config: PipelineConfig) -> None:
    """Refuse a gate that no pixel can pass, since nothing makes sigma smaller without LiDAR."""
    gate, least = config.output.max_relative_sigma, config.mono.relative_sigma
    if 0 < gate <= least:
        raise ConfigError(
            f'output.max_relative_sigma {gate:g} must be above mono.relative_sigma {least:g}, or '
            'depth/image_rect would be empty; 0 = no limit.'
        )


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `monocular_node`."""
    return run_node(MonocularNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
