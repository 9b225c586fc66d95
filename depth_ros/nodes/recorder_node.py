"""Records what a completion node publishes: arrays of chosen frames, and when each arrived."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image, PointCloud2

from depth_ros.errors import ConfigError, NodeError
from depth_ros.files import write_atomic
from depth_ros.nodes import params
from depth_ros.nodes.convert import stamp_to_ns
from depth_ros.nodes.process import ManagedNode, run_node, steady_clock
from depth_ros.nodes.qos import keep_last
from depth_ros.settings import flatten, option, validate


@dataclass(frozen=True)
class RecorderConfig:
    """What is recorded; fixed once the node runs."""

    output: str = option('', 'Folder to write to.')
    frames: int = option(0, 'End after this many depth images; 0 = at SIGINT.', minimum=0)
    every: int = option(5, 'Write the arrays of every n-th frame.', minimum=1)
    silence_s: float = option(
        10.0, 'End when nothing more comes for this long [s].', minimum=0.1, maximum=3600.0
    )
    autostart: bool = option(True, 'Configure and activate at the start.')

    def __post_init__(self) -> None:
        validate(self)


class RecorderNode(ManagedNode):
    """Writes `<stamp_ns>_depth.npy` and `_sigma.npy` and, at the end, `recording.json`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('recorder_node', **options)
        params.declare(self, RecorderConfig(), read_only=set(flatten(RecorderConfig())))
        self._config: RecorderConfig = params.read(self, RecorderConfig())
        params.warn_of_unknown(self)
        if not self._config.output:
            raise ConfigError('output is not given; set it to the folder to write to.')
        self._arrivals: dict[str, list[tuple[int, int]]] = {'depth': [], 'sigma': [], 'cloud': []}
        self._diagnostics: dict[str, dict[str, Any]] = {}
        self._last_ns: int | None = None

    def _activate(self, taken: ExitStack) -> None:
        """Start listening; what was recorded is written when that ends."""
        try:
            Path(self._config.output).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise NodeError(
                f'{self._config.output} cannot be written to ({error}); give another output.'
            ) from error
        self._folder = Path(self._config.output)
        taken.callback(self._write)
        qos = keep_last(10)
        for kind, topic, callback in (
            (Image, 'depth/image_dense', self._on_depth),
            (Image, 'depth/uncertainty', self._on_sigma),
            (PointCloud2, 'depth/points', self._on_cloud),
            (DiagnosticArray, '/diagnostics', self._on_diagnostics),
        ):
            subscription = self.create_subscription(kind, topic, callback, qos)
            taken.callback(self.destroy_subscription, subscription)
        timer = self.create_timer(0.2, self._check_end, clock=steady_clock())
        taken.callback(self.destroy_timer, timer)

    def _write(self) -> None:
        """Write what arrived when, so far."""
        recording = {
            'arrivals_stamp_and_receipt_ns': self._arrivals,
            'diagnostics': self._diagnostics,
        }
        write_atomic(self._folder / 'recording.json', json.dumps(recording, indent=1).encode())

    def _on_depth(self, msg: Image) -> None:
        self._record('depth', msg)

    def _on_sigma(self, msg: Image) -> None:
        self._record('sigma', msg)

    def _record(self, name: str, msg: Image) -> None:
        count = self._arrived(name, msg)
        if msg.encoding != '32FC1':
            self.get_logger().warning(
                f'{name} is {msg.encoding}; only 32FC1 is written.', throttle_duration_sec=5.0
            )
            return
        if (count - 1) % self._config.every == 0:
            values = np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width)
            np.save(self._folder / f'{stamp_to_ns(msg.header.stamp)}_{name}.npy', values)

    def _on_cloud(self, msg: PointCloud2) -> None:
        self._arrived('cloud', msg)

    def _arrived(self, name: str, msg: Any) -> int:
        self._last_ns = time.monotonic_ns()
        self._arrivals[name].append((stamp_to_ns(msg.header.stamp), self._last_ns))
        return len(self._arrivals[name])

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            self._diagnostics[status.name] = {
                'level': status.level[0],
                'message': status.message,
                **{pair.key: pair.value for pair in status.values},
            }

    def _check_end(self) -> None:
        complete = 0 < self._config.frames <= min(len(a) for a in self._arrivals.values())
        limit_ns = self._config.silence_s * 1e9
        silent = self._last_ns is not None and time.monotonic_ns() - self._last_ns > limit_ns
        if complete or silent:
            raise SystemExit(0)


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `recorder_node`."""
    return run_node(RecorderNode, args)


if __name__ == '__main__':
    raise SystemExit(main())
