"""Real rclpy for tests: an own domain on loopback, a spinning executor, bounded waits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope='session', autouse=True)
def ros_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The domain id of this run; the variables also reach the processes that tests start."""
    domain_id = 1 + os.getpid() % 101
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain_id))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros_log')))
        if os.environ.get('ROS_DISTRO') == 'humble':
            patch.setenv('ROS_LOCALHOST_ONLY', '1')
        yield domain_id


def _wait_until(
    predicate: Callable[[], Any], timeout_s: float = 5.0, what: str = 'condition'
) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := predicate()):
        if time.monotonic() > deadline:
            pytest.fail(f'{what} not reached within {timeout_s:g} s')
        time.sleep(0.005)
    return result


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(predicate, timeout_s=5.0, what='...')`: the first true result, or a failure."""
    return _wait_until


class Ros:
    """An rclpy context of its own with one executor that spins in a thread.

    Attributes:
        context: give it to what is made outside `node()`.
    """

    def __init__(self, domain_id: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain_id)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._running = True
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def node(self, name: str, **options: Any) -> Any:
        """A node that spins; `options` go to `rclpy.node.Node`."""
        from rclpy.node import Node

        return self.spin(Node(name, context=self.context, **options))

    def spin(self, node: Any) -> Any:
        """Spin a node made with `context=ros.context` until the test ends."""
        self._executor.add_node(node)
        self._executor.wake()
        return node

    def close(self) -> None:
        """Stop spinning, destroy all nodes, shut the context down."""
        self._running = False
        self._executor.wake()
        self._thread.join(5.0)
        nodes = self._executor.get_nodes()
        self._executor.shutdown()
        for node in nodes:
            node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        while self._running:
            self._executor.spin_once(timeout_sec=0.02)


@pytest.fixture
def ros(ros_environment: int) -> Iterator[Ros]:
    """A fresh `Ros`; the test is skipped where rclpy is not installed."""
    pytest.importorskip('rclpy')
    harness = Ros(ros_environment)
    yield harness
    harness.close()
