"""What every node that makes depth of images is: a managed life, one worker, one pipeline."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from depth_ros.errors import ConfigError, NodeError
from depth_ros.frame import DepthKind
from depth_ros.nodes import params
from depth_ros.nodes.convert import stamp_to_ns
from depth_ros.nodes.intake import FrameIntake, Job, Received
from depth_ros.nodes.monitor import FrameTimes, MethodInUse, Monitor
from depth_ros.nodes.node_config import LIVE_DEFAULTS, NodeConfig
from depth_ros.nodes.process import ManagedNode, steady_clock
from depth_ros.nodes.publishers import DepthPublishers
from depth_ros.nodes.qos import AdaptiveSubscription
from depth_ros.nodes.reasons import BUSY, NOBODY_LISTENS, UNUSED_SWEEP
from depth_ros.nodes.worker import LatestWorker
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import (
    FusionPipeline,
    make_mask,
    make_method,
    output_intrinsics,
    same_method,
    warm_up,
)
from depth_ros.pipeline.sync import Pair
from depth_ros.pipeline.upgrade import Upgrade
from depth_ros.settings import flatten, replaced

PATIENCE_S = 5.0
"""Time given to the frame in hand when the worker is to end."""


class DepthNode(ManagedNode):
    """Images in, depth out, as a lifecycle node; what else comes in is for a node to add.

    Callbacks only gather messages; one worker thread converts, completes and publishes the
    newest image. A method that is too slow drops frames (`busy`) and never queues them. A method
    that must be prepared first is prepared beside all this and then put in between two frames.

    Args:
        name: of the node.
        config: settings of the pipeline; the values are the defaults of the parameters.
        node_config: settings of the node, likewise.
        options: as for `rclpy.lifecycle.LifecycleNode`.

    Attributes:
        HAS_LIDAR: whether its frames have returns.
        SETTINGS: how the names of those settings of the pipeline begin that are parameters.
        FIXED: those of them that cannot change at run time.
        FREE: how the names of those settings of the node begin that can change at any time.
    """

    HAS_LIDAR = True
    SETTINGS: tuple[str, ...] = ('',)
    FIXED = frozenset({'mono.output'})  # it says which topics there are
    FREE: tuple[str, ...] = ()

    def __init__(
        self, name: str, config: PipelineConfig, node_config: NodeConfig, **options: Any
    ) -> None:
        super().__init__(name, **options)
        config = replaced(config, LIVE_DEFAULTS)
        params.declare(self, config, only=self.SETTINGS, read_only=self.FIXED)
        params.declare(self, node_config, read_only={'autostart'})
        self._config: PipelineConfig = params.read(self, config)
        self._node_config: Any = params.read(self, node_config)
        params.follow(self, self._config, self._reconfigure)
        params.follow(self, self._node_config, self._rewire)
        params.warn_of_unknown(self)
        self._worker: LatestWorker[Job] | None = None
        self._ending: LatestWorker[Job] | None = None  # the one before, with its last frame

    # What a node may add to

    @property
    def _kind(self) -> DepthKind:
        """What the numbers mean that it publishes."""
        return DepthKind.METRIC

    def _acquire(self, taken: ExitStack) -> None:
        """Make the pipeline and where its frames come from."""
        self._pipeline = FusionPipeline(self._config, has_lidar=self.HAS_LIDAR)
        taken.callback(self._pipeline.close)
        self._upgrade = Upgrade(self._pipeline)
        warm_up(self._pipeline.method)
        self._intake = FrameIntake(
            self.get_logger().warning,
            info_topic=self.resolve_topic_name('camera_info'),
            stereo_offset=self._node_config.stereo_offset,
        )

    def _listen(self, taken: ExitStack) -> dict[str, AdaptiveSubscription]:
        """Subscribe to the inputs, by name."""
        compressed = self._node_config.image_transport == 'compressed'
        kind, topic = (CompressedImage, 'image/compressed') if compressed else (Image, 'image')
        # In this order callbacks run when several messages wait: the camera before its image.
        return {
            'camera_info': self._subscribe(taken, CameraInfo, 'camera_info', self._on_info),
            'image': self._subscribe(taken, kind, topic, self._on_image),
        }

    def _add_image(self, stamp_ns: int, image: Received) -> None:
        """Take an image: without anything to wait for, it is worked on."""
        self._work_on([Pair(stamp_ns, image, ())])

    def _timeout_s(self, name: str) -> float:
        """Silence of an input that is reported."""
        return self._config.sync.camera_timeout_s

    def _drops(self) -> Counter[str]:
        """What the inputs and the worker have dropped since the activation, by reason."""
        return Counter({BUSY: self._worker.busy, UNUSED_SWEEP: self._intake.unused})

    def _why(self, reason: str) -> Cause | None:
        """What is known of a reason of drops beyond the table of reasons."""
        return None

    def _reconfigure(self, config: PipelineConfig) -> None:
        """Take new settings; the worker applies them before its next frame."""
        if not same_method(config, self._config):
            make_method(config)  # what cannot be made is refused now, not at the next frame
        if config.mask != self._config.mask:
            make_mask(config)  # likewise
        self._config = config

    def _rewire(self, config: Any) -> None:
        """Take new settings of the node; while it is configured only those that are `FREE`."""
        before = flatten(self._node_config)
        changed = [name for name, value in flatten(config).items() if value != before[name]]
        fixed = [name for name in changed if not name.startswith(self.FREE)]
        if self.is_configured and fixed:
            raise ConfigError(
                f'{", ".join(fixed)} cannot change while the node is configured. Set it after '
                f'`ros2 lifecycle set {self.get_fully_qualified_name()} cleanup`, then configure.'
            )
        self._node_config = config

    # Lifecycle

    def _configure(self, taken: ExitStack) -> None:
        """Make the pipeline and the publishers."""
        self._acquire(taken)
        self._outputs = DepthPublishers(self, self._node_config.depth_encoding, self._kind)
        taken.callback(self._outputs.destroy)
        self._monitor = Monitor(self)
        taken.callback(self._monitor.destroy)
        self._info: CameraInfo | None = None
        self._announced = ''
        self._announce()

    def _activate(self, taken: ExitStack) -> None:
        """Start working and listening; fails while the worker before is still at its frame."""
        self._check_idle()
        self._worker = LatestWorker(self._complete, self._refuse)
        taken.callback(self._stop_working)
        self._inputs = self._listen(taken)
        self._monitor.listen()
        heard = ', '.join(f'{i.topic} ({i.type_name})' for i in self._inputs.values())
        self.get_logger().info(f'Listening to {heard}.')
        timer = self.create_timer(
            self._node_config.diagnostics_period_s, self._report, clock=steady_clock()
        )
        taken.callback(self.destroy_timer, timer)

    def _stop_working(self) -> None:
        """Wait for the frame in hand; what was learnt of sigma stays."""
        if not self._worker.stop(PATIENCE_S):
            self.get_logger().warning('The last frame is still being worked on.')
        self._upgrade.close()
        self._monitor.dropped({BUSY: self._worker.busy})
        self._ending, self._worker = self._worker, None

    def _check_idle(self) -> None:
        """Give the worker of the last activation more time for its frame, where it needs that."""
        if self._ending is not None and not self._ending.stop(PATIENCE_S):
            raise NodeError('The last frame is still being worked on; try again later.')

    def _subscribe(
        self, taken: ExitStack, kind: type, topic: str, callback: Any
    ) -> AdaptiveSubscription:
        subscription = AdaptiveSubscription(
            self,
            kind,
            topic,
            callback,
            mode=self._node_config.qos,
            latched=kind is CameraInfo,
        )
        taken.callback(subscription.destroy)
        return subscription

    # Executor thread: gather

    def _on_image(self, msg: Any) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        self._monitor.received('image', stamp_ns)
        received = Received(msg, time.monotonic_ns(), self._info)
        if self._outputs.only_info_wanted and not self._tell_camera(received):
            return  # counted by its reason, and by no other
        self._add_image(stamp_ns, received)

    def _tell_camera(self, image: Received) -> bool:
        """Publish the camera of the outputs alone; returns whether there is one."""
        try:
            camera = self._intake.camera(image, self._info)
            intrinsics = output_intrinsics(camera, self._config.output.scale)
            self._outputs.publish_info(intrinsics, image.msg.header, camera.t_rect)
        except Exception as error:  # whatever it is, it costs this image and not the process
            self._refuse(error)
            return False
        return True

    def _on_info(self, msg: CameraInfo) -> None:
        self._monitor.received('camera_info', stamp_to_ns(msg.header.stamp))
        self._info = msg

    def _work_on(self, jobs: list[Job]) -> None:
        """Hand jobs to the worker, if anybody wants what comes of them."""
        if jobs and not self._outputs.wanted:
            self._monitor.dropped({NOBODY_LISTENS: len(jobs)})
            return
        for job in jobs:
            from_sweeps = ', '.join(
                f'{(stamp_ns - job.image_stamp_ns) / 1e6:+.1f} ms' for stamp_ns, _ in job.sweeps
            )
            dropped = '' if self._worker.put(job) else '; an older one is dropped (busy)'
            self.get_logger().debug(
                f'{_named(job.image_stamp_ns)}: goes to the worker'
                f'{f" with sweeps at {from_sweeps}" if from_sweeps else ""}{dropped}.'
            )

    def _report(self) -> None:
        pipeline, reason = self._pipeline, self._pipeline.method_reason
        if self._config.method != pipeline.config.method:
            reason = f'{self._config.method} is asked for, and taken with the next frame'
        self._monitor.report(
            {name: (self._inputs[name], self._timeout_s(name)) for name in self._inputs},
            once=('camera_info',),
            method=MethodInUse(pipeline.method_name, reason, pipeline.method.needs_lidar),
            upgrade=self._upgrade.status,
            more_drops=self._drops(),
            why=self._why,
            outputs=self._outputs.publishers,
        )

    # Worker thread: convert, complete, publish

    def _complete(self, job: Job) -> None:
        received, config = job.image, self._config
        started_ns = time.monotonic_ns()
        if config is not self._pipeline.config:
            self._pipeline.reconfigure(config)
        # By what is wanted: a frame that the stand-in refused here would never have it prepared.
        needs_lidar = self._pipeline.wanted.needs_lidar
        frame = self._intake.frame(job, self._info, needs_lidar)
        self._upgrade.before(frame)
        self._announce()
        converted_ns = time.monotonic_ns()
        try:
            result = self._pipeline.process(frame)
        except Exception as error:
            self._upgrade.failed(error)
            raise
        completed_ns = time.monotonic_ns()
        self._outputs.publish(result, received.msg.header, config)
        times = FrameTimes(received.at_ns, started_ns, converted_ns, completed_ns)
        self._monitor.published(frame, result, times)
        height, width = frame.image.shape[:2]
        returns = 0 if frame.points is None else len(frame.points)
        self.get_logger().debug(
            f'{_named(frame.stamp_ns)}: {width}x{height} with {returns} returns converted in '
            f'{(converted_ns - started_ns) / 1e6:.1f} ms, completed by {result.method} in '
            f'{(completed_ns - converted_ns) / 1e6:.1f} ms, published.'
        )

    def _announce(self) -> None:
        """Log the method in use, and the mask, whenever they or their reason have changed."""
        pipeline, failure = self._pipeline, self._upgrade.status.failure
        text = f'Method {pipeline.method_name}: {failure or pipeline.method_reason}.'
        if pipeline.mask is not None:
            text += f' {pipeline.mask}'
        if text == self._announced:
            return
        self._announced = text
        if failure:
            self.get_logger().warning(text)
        else:  # rclpy wants one severity per line
            self.get_logger().info(text)

    def _refuse(self, error: Exception) -> None:
        """Count a frame that gives no depth, and say why; the node lives on."""
        self._monitor.refused(error)


def _named(image_stamp_ns: int) -> str:
    """An image by its stamp."""
    return f'Image {image_stamp_ns / 1e9:.3f}'
