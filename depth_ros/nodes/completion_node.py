"""Camera and LiDAR in, dense metric depth, coloured cloud and calibrated sigma out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sensor_msgs.msg import PointCloud2

from depth_ros.errors import ConfigError, NodeError
from depth_ros.nodes.convert import stamp_to_ns
from depth_ros.nodes.depth_node import DepthNode
from depth_ros.nodes.intake import Job, Received
from depth_ros.nodes.node_config import CompletionNodeConfig
from depth_ros.nodes.process import run_node
from depth_ros.nodes.qos import AdaptiveSubscription
from depth_ros.nodes.reasons import DEACTIVATED, RECONFIGURED
from depth_ros.nodes.transforms import make_extrinsic
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import make_method, same_method
from depth_ros.pipeline.sync import PairSync


class CompletionNode(DepthNode):
    """The completion as a lifecycle node: each image waits for its sweep, if it needs one."""

    FREE = ('extrinsic.',)

    def __init__(self, **options: Any) -> None:
        super().__init__('completion_node', PipelineConfig(), CompletionNodeConfig(), **options)

    def _acquire(self, taken: ExitStack) -> None:
        if self._config.mono.output != 'metric':
            raise ConfigError('mono.output must be metric: what is relative has monocular_node.')
        super()._acquire(taken)
        self._intake.extrinsic = make_extrinsic(self._node_config.extrinsic, self)
        taken.callback(lambda: self._intake.extrinsic.close())  # perhaps another by then

    def _listen(self, taken: ExitStack) -> dict[str, AdaptiveSubscription]:
        self._sync = self._new_sync(self._config)
        taken.callback(self._fold_sync, DEACTIVATED)
        inputs = super()._listen(taken)
        inputs['points'] = self._subscribe(taken, PointCloud2, 'points', self._on_points)
        return inputs

    def _new_sync(self, config: PipelineConfig) -> PairSync[Received, PointCloud2]:
        """The pairing by settings."""
        sync: PairSync[Received, PointCloud2] = PairSync(config.sync)
        sync.lone = self._needs_no_sweep(config)
        return sync

    def _needs_no_sweep(self, config: PipelineConfig) -> bool:
        """Whether images go alone: up to the method that settings ask for.

        The pipeline takes new ones only with an image, and while the LiDAR is silent none would
        reach it.
        """
        pipeline = self._pipeline
        asked = pipeline.wanted
        if not same_method(config, pipeline.config, asked.name):
            asked, _ = make_method(config)
        return not asked.needs_lidar

    def _timeout_s(self, name: str) -> float:
        config = self._config.sync
        return config.lidar_timeout_s if name == 'points' else config.camera_timeout_s

    def _drops(self) -> Counter[str]:
        return super()._drops() + self._sync.drops

    def _why(self, reason: str) -> Cause | None:
        return self._sync.why(reason)

    def _reconfigure(self, config: PipelineConfig) -> None:
        before = self._config
        super()._reconfigure(config)
        if self._worker is None:
            return
        if config.sync != before.sync:
            self._fold_sync(RECONFIGURED)
            self._sync = self._new_sync(config)
        else:
            self._sync.lone = self._needs_no_sweep(config)

    def _rewire(self, config: CompletionNodeConfig) -> None:
        """Look the extrinsic up elsewhere from the next frame on, if that is what changes."""
        before = self._node_config
        super()._rewire(config)
        if not self.is_configured or config.extrinsic == before.extrinsic:
            return
        try:
            extrinsic = make_extrinsic(config.extrinsic, self)
        except NodeError:
            self._node_config = before
            raise
        self._intake.extrinsic.close()
        self._intake.extrinsic = extrinsic

    def _add_image(self, stamp_ns: int, image: Received) -> None:
        self._pair(self._sync.add_image, stamp_ns, image)

    def _on_points(self, msg: PointCloud2) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self._monitor.received('points', stamp_ns)
        self._pair(self._sync.add_sweep, stamp_ns, msg)

    def _pair(self, add: Callable[[int, Any], list[Job]], stamp_ns: int, payload: Any) -> None:
        """Hand the pairs that a message completes to the worker."""
        jumps, drops = self._sync.jumps, self._sync.drops.copy()
        jobs = add(stamp_ns, payload)
        if lost := self._sync.drops - drops:
            told = ', '.join(f'{n} {reason}' for reason, n in lost.items())
            self.get_logger().debug(f'The message of {stamp_ns / 1e9:.3f} ends in drops: {told}.')
        if self._sync.jumps != jumps:
            self._intake.extrinsic.clear()
        self._work_on(jobs)

    def _fold_sync(self, reason: str) -> None:
        """Count what the pairing has dropped, and what waits in it under `reason`."""
        self._monitor.dropped(self._sync.drops)
        self._monitor.dropped({reason: self._sync.waiting})


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `completion_node`."""
    return run_node(CompletionNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
