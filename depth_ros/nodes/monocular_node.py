"""One camera in; metric depth, cloud and sigma out, or relative depth under its own name."""

from __future__ import annotations

from typing import Any

from depth_ros.frame import DepthKind
from depth_ros.nodes.depth_node import DepthNode
from depth_ros.nodes.node_config import MONOCULAR_SETTINGS, NodeConfig
from depth_ros.nodes.process import run_node
from depth_ros.pipeline.config import MONOCULAR


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


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `monocular_node`."""
    return run_node(MonocularNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
