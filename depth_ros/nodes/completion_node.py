"""Camera and LiDAR in, dense metric depth, coloured cloud and calibrated sigma out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from depth_ros.errors import DepthRosError, NodeError
from depth_ros.nodes import params
from depth_ros.nodes.convert import stamp_to_ns
from depth_ros.nodes.intake import FrameIntake
from depth_ros.nodes.monitor import Monitor
from depth_ros.nodes.node_config import NodeConfig
from depth_ros.nodes.process import ManagedNode, run_node, steady_clock
from depth_ros.nodes.publishers import DepthPublishers
from depth_ros.nodes.qos import AdaptiveSubscription
from depth_ros.nodes.transforms import make_extrinsic
from depth_ros.nodes.worker import LatestWorker
from depth_ros.pipeline.config import PipelineConfig, flatten
from depth_ros.pipeline.fusion import FusionPipeline, make_method, same_method, warm_up
from depth_ros.pipeline.sync import Pair, PairSync
from depth_ros.pipeline.upgrade import Upgrade

NOBODY_LISTENS = 'nobody_listens'  # reason under which pairs that need no work are counted
RECONFIGURED = 'reconfigured'  # images that waited for a sweep under the old settings
DEACTIVATED = 'deactivated'
PATIENCE_S = 5.0
"""Time given to the frame in hand when the worker is to end."""


class Received(NamedTuple):
    """An image message, when it came (monotonic), and the CameraInfo in force then."""

    msg: Any
    at_ns: int
    info: CameraInfo | None


Job = Pair[Received, PointCloud2]


class CompletionNode(ManagedNode):
    """The completion as a lifecycle node.

    Callbacks only pair messages; one worker thread converts, completes and publishes the newest
    pair. A method that is too slow drops frames (`busy`) and never queues them. A method that
    must be prepared first is prepared beside all this and then put in between two frames.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__('completion_node', **options)
        params.declare(self, PipelineConfig())
        params.declare(self, NodeConfig(), read_only=set(flatten(NodeConfig())))
        self._config: PipelineConfig = params.read(self, PipelineConfig())
        self._node_config: NodeConfig = params.read(self, NodeConfig())
        params.follow(self, self._config, self._reconfigure)
        params.warn_of_unknown(self)
        self._worker: LatestWorker[Job] | None = None
        self._ending: LatestWorker[Job] | None = None  # the one before, with its last frame

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the pipeline and the publishers; fails with a message if something is missing."""
        try:
            self._pipeline = FusionPipeline(self._config)
            self._upgrade = Upgrade(self._pipeline)
            warm_up(self._pipeline.method)
            self._extrinsic = make_extrinsic(self._node_config.extrinsic, self)
        except DepthRosError as error:
            self.get_logger().error(f'Cannot configure: {error}')
            return TransitionCallbackReturn.FAILURE
        self._intake = FrameIntake(self._extrinsic)
        self._outputs = DepthPublishers(self, self._node_config.depth_encoding)
        self._monitor = Monitor(self)
        self._info: CameraInfo | None = None
        self._announced = ''
        self._announce()
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start listening and working; fails while the worker before is still at its frame."""
        if self._is_ending():
            return TransitionCallbackReturn.FAILURE
        self._sync: PairSync[Received, PointCloud2] = PairSync(self._config.sync)
        compressed = self._node_config.image_transport == 'compressed'
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        # In this order callbacks run when several messages wait: the camera before its image.
        self._inputs = {
            'camera_info': self._subscribe(CameraInfo, 'camera_info', self._on_info),
            'image': self._subscribe(kind, topic, self._on_image),
            'points': self._subscribe(PointCloud2, 'points', self._on_points),
        }
        self._monitor.listen()
        self._timer = self.create_timer(
            self._node_config.diagnostics_period_s, self._report, clock=steady_clock()
        )
        # Last: `close` takes it for the sign that all the rest is there.
        self._worker = LatestWorker(self._complete, self._refuse)
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; what was learnt of sigma stays."""
        self.close()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; fails while the worker is still at its last frame."""
        if self._is_ending():
            return TransitionCallbackReturn.FAILURE
        self._outputs.destroy()
        self._monitor.destroy()
        self._extrinsic.close()
        self._pipeline.close()
        del self._outputs, self._monitor, self._extrinsic, self._intake
        del self._upgrade, self._pipeline
        return TransitionCallbackReturn.SUCCESS

    def _subscribe(self, kind: type, topic: str, callback: Any) -> AdaptiveSubscription:
        return AdaptiveSubscription(self, kind, topic, callback, mode=self._node_config.qos)

    def close(self) -> None:
        """Stop listening and wait for the frame in hand; nothing if not active."""
        if self._worker is None:
            return
        self.destroy_timer(self._timer)
        for subscription in self._inputs.values():
            subscription.destroy()
        if not self._worker.stop(PATIENCE_S):
            self.get_logger().warning('The last frame is still being worked on.')
        self._upgrade.close()
        self._monitor.dropped({'busy': self._worker.busy})
        self._fold_sync(DEACTIVATED)
        del self._sync, self._inputs
        self._ending, self._worker = self._worker, None

    def _is_ending(self) -> bool:
        """Whether the worker of the last activation is still at its frame, given more time."""
        if self._ending is None or self._ending.stop(PATIENCE_S):
            return False
        self.get_logger().error('The last frame is still being worked on; try again later.')
        return True

    def _fold_sync(self, reason: str) -> None:
        """Count what the pairing has dropped, and what waits in it under `reason`."""
        self._monitor.dropped(self._sync.drops)
        self._monitor.dropped({reason: self._sync.waiting})

    # Executor thread: pair

    def _on_image(self, msg: Any) -> None:
        self._monitor.received('image')
        image = Received(msg, time.monotonic_ns(), self._info)
        self._pair(self._sync.add_image, msg, image)

    def _on_info(self, msg: CameraInfo) -> None:
        self._monitor.received('camera_info')
        self._info = msg

    def _on_points(self, msg: PointCloud2) -> None:
        self._monitor.received('points')
        self._pair(self._sync.add_sweep, msg, msg)

    def _pair(self, add: Callable[[int, Any], list[Job]], msg: Any, payload: Any) -> None:
        """Hand the pairs that a message completes to the worker."""
        jumps = self._sync.jumps
        jobs = add(stamp_to_ns(msg.header.stamp), payload)
        if self._sync.jumps != jumps:
            self._extrinsic.clear()
        if jobs and not self._outputs.wanted:
            self._monitor.dropped({NOBODY_LISTENS: len(jobs)})
            return
        for job in jobs:
            self._worker.put(job)

    def _reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings; the worker applies them before its next frame."""
        if not same_method(config, self._config):
            make_method(config)  # what cannot be made is refused now, not at the next frame
        if config.sync != self._config.sync and self._worker is not None:
            self._fold_sync(RECONFIGURED)
            self._sync = PairSync(config.sync)
        self._config = config

    def _report(self) -> None:
        config, pipeline = self._config.sync, self._pipeline
        timeouts_s = dict.fromkeys(self._inputs, config.camera_timeout_s)
        timeouts_s['points'] = config.lidar_timeout_s
        self._monitor.report(
            {name: (self._inputs[name], timeouts_s[name]) for name in self._inputs},
            once=('camera_info',),
            method=(pipeline.method_name, pipeline.method_reason),
            upgrade=self._upgrade.status,
            more_drops=self._sync.drops + Counter(busy=self._worker.busy),
        )

    # Worker thread: convert, complete, publish

    def _complete(self, job: Job) -> None:
        received, config = job.image, self._config
        started_ns = time.monotonic_ns()
        if config is not self._pipeline.config:
            self._pipeline.reconfigure(config)
        clouds = [cloud for _, cloud in job.sweeps]
        frame = self._intake.frame(received.msg, received.info or self._info, clouds)
        self._upgrade.before(frame)
        self._announce()
        converted_ns = time.monotonic_ns()
        try:
            result = self._pipeline.process(frame)
        except Exception as error:
            self._upgrade.failed(error)
            raise
        completed_ns = time.monotonic_ns()
        self._outputs.publish(result, received.msg.header, config.output)
        done_ns = time.monotonic_ns()
        monitor = self._monitor
        monitor.output_rate.tick(done_ns)
        monitor.lidar_age_s = (frame.stamp_ns - frame.lidar_stamp_ns) / 1e9
        monitor.accuracy = result.accuracy
        monitor.latency.add(
            {
                'wait': (started_ns - received.at_ns) / 1e6,
                'convert': (converted_ns - started_ns) / 1e6,
                **result.timings_ms,
                'publish': (done_ns - completed_ns) / 1e6,
                'receipt to publication': (done_ns - received.at_ns) / 1e6,
            }
        )

    def _announce(self) -> None:
        """Log the method in use whenever it, or the reason for it, is another than before."""
        pipeline, failure = self._pipeline, self._upgrade.status.failure
        text = f'Method {pipeline.method_name}: {failure or pipeline.method_reason}.'
        if text == self._announced:
            return
        self._announced = text
        if failure:
            self.get_logger().warning(text)
        else:  # rclpy wants one severity per line
            self.get_logger().info(text)

    def _refuse(self, error: Exception) -> None:
        """Count a frame that could not be completed, and say why; the node lives on."""
        reason = error.reason if isinstance(error, NodeError) else type(error).__name__
        self._monitor.dropped({reason: 1})
        self._monitor.problem = f'{reason}: {error}'
        self.get_logger().warning(f'Frame dropped, {reason}: {error}', throttle_duration_sec=5.0)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `completion_node`."""
    return run_node(CompletionNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
