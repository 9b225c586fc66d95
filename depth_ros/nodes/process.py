"""The life of a node's process: environment, lifecycle, spinning, a clean end."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from types import FrameType

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from depth_ros.errors import DepthRosError
from depth_ros.nodes.dds import use_shared_memory_profile

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_FOR_SIGNAL_S = 0.1


class ManagedNode(LifecycleNode):
    """A lifecycle node with one place where it ends, however it ends."""

    def close(self) -> None:
        """Stop what runs and write what is to be kept; may be called more than once."""

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End."""
        self.close()
        return TransitionCallbackReturn.SUCCESS


def steady_clock() -> Clock:
    """A clock for timers: with simulated time the node's own one may stand still."""
    return Clock(clock_type=ClockType.STEADY_TIME)


def run_node(create: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM, or until it ends itself; the exit code.

    The node is configured and activated at once if its parameter `autostart` says so. It ends
    itself by raising `SystemExit` in a callback.
    """
    use_shared_memory_profile()
    # rclpy's own handlers take the context away under the node, which could then not end well.
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = _SignalFlag()
    node = None
    try:
        node = create()
        if node.get_parameter('autostart').value and not _start(node):
            return 1
        # One thread for callbacks: rclpy's other executors lose images or hang.
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        stop.may_interrupt = False
        while not stop.raised:
            executor.spin_once(timeout_sec=LOOK_FOR_SIGNAL_S)
    except KeyboardInterrupt:
        pass
    except SystemExit as end:
        return int(end.code or 0)
    except DepthRosError as error:
        get_logger('depth_ros').fatal(str(error))
        return 1
    finally:
        stop.may_interrupt = False
        if node is not None:
            node.close()
            with contextlib.suppress(RCLError):  # not from the middle of a transition
                node.trigger_shutdown()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


class _SignalFlag:
    """Remembers that a signal came; interrupts what is slow before the node spins.

    Attributes:
        raised: whether a signal came.
        may_interrupt: raise `KeyboardInterrupt` at once, as while frames are loaded.
    """

    def __init__(self) -> None:
        self.raised = False
        self.may_interrupt = True
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        if self.may_interrupt:
            raise KeyboardInterrupt


def _start(node: ManagedNode) -> bool:
    """Configure and activate; False if either fails, the reason being in the log."""
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
