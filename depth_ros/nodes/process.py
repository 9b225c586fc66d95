"""The life of a node's process: environment, lifecycle, spinning, a clean end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.logging import get_logger

from depth_ros.errors import DepthRosError
from depth_ros.nodes.dds import use_shared_memory_profile


def run_node(create: Callable[[], LifecycleNode], args: list[str] | None = None) -> int:
    """Run a lifecycle node until SIGINT or SIGTERM, or until it ends itself; the exit code.

    The node is configured and activated at once if its parameter `autostart` says so. It ends
    itself by raising `SystemExit` in a callback.
    """
    use_shared_memory_profile()
    rclpy.init(args=args)
    node = None
    try:
        node = create()
        if node.get_parameter('autostart').value and not _start(node):
            return 1
        # One thread for callbacks: rclpy's other executors lose images or hang.
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except SystemExit as end:
        return int(end.code or 0)
    except RCLError:
        if rclpy.ok():  # else the signal came in the middle of a transition
            raise
    except DepthRosError as error:
        get_logger('depth_ros').fatal(str(error))
        return 1
    finally:
        if node is not None:
            with contextlib.suppress(RCLError):  # the context may be gone already
                node.trigger_shutdown()
            node.destroy_node()
        with contextlib.suppress(RCLError):  # races with rclpy's own signal handler
            rclpy.try_shutdown()
    return 0


def _start(node: LifecycleNode) -> bool:
    """Configure and activate; False if either fails, the reason being in the log."""
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
