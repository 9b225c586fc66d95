"""The life of a node's process: environment, lifecycle, spinning, a clean end."""

from __future__ import annotations

import contextlib
import re
import signal
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from depth_ros.errors import DepthRosError
from depth_ros.nodes.dds import use_shared_memory_profile

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LOOK_FOR_SIGNAL_S = 0.1


class ManagedNode(LifecycleNode):
    """A lifecycle node whose transitions neither end its process nor leave a half-made state.

    A node says in `_configure` and `_activate` what it takes, and puts on the stack that it is
    given how each thing is given back. That is done, the last first, when the node is deactivated
    or cleaned up, when it shuts down from any state, and when a transition fails. Whatever is
    raised fails the transition and is logged.

    Args:
        name: of the node.
        options: as for `rclpy.lifecycle.LifecycleNode`.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._configured, self._activated = ExitStack(), ExitStack()
        self._is_shut_down = False
        # rclpy raises into the executor, and so ends the process, where there is no such way.
        self._answer = self._service_change_state.callback
        self._service_change_state.callback = self._answer_or_refuse

    @property
    def is_configured(self) -> bool:
        """Whether it holds what `_configure` took."""
        return self._state_machine.current_state[1] in ('inactive', 'active')

    # What a node may add to

    def _configure(self, taken: ExitStack) -> None:
        """Take what is kept until the cleanup."""

    def _activate(self, taken: ExitStack) -> None:
        """Take what is kept until the deactivation."""

    def _check_idle(self) -> None:
        """Raise a `DepthRosError` while something taken cannot be given back yet."""

    def close(self) -> None:
        """Stop what runs and write what is to be kept; may be called more than once."""
        self._give_back(self._activated)

    # Lifecycle, as rclpy calls it

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take what `_configure` takes."""
        return self._try('configure', lambda: self._take(self._configure, self._configured))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take what `_activate` takes and let the publishers speak."""
        done = self._try('activate', lambda: self._take(self._activate, self._activated))
        return super().on_activate(state) if done == SUCCESS else done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back what `_activate` took."""
        done = self._give_back(self._activated)  # first: the frame in hand is still published
        super().on_deactivate(state)
        return done

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back what `_configure` took."""
        idle = self._try('clean up', self._check_idle)
        return self._give_back(self._configured) if idle == SUCCESS else idle

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; what is still in use then stays until the process ends."""
        self._is_shut_down = True
        done = self._give_back(self._activated)
        if self._try('free everything', self._check_idle) == SUCCESS:
            freed = self._give_back(self._configured)
            done = freed if done == SUCCESS else done
        return done

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back what is left, so that a later configuration begins anew."""
        self._give_back(self._activated)
        super().on_deactivate(state)
        self._give_back(self._configured)
        return FAILURE if self._is_shut_down else SUCCESS  # the former ends in `finalized`

    def _try(self, what: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        """Whether a transition may go on; if not, the log has what was raised."""
        try:
            act()
        except Exception as error:
            self._log_failure(what, error)
            return FAILURE
        return SUCCESS

    def _take(self, take: Callable[[ExitStack], None], kept: ExitStack) -> None:
        """Have `take` fill a stack and keep that; what it took before it raised is given back."""
        taken = ExitStack()
        try:
            take(taken)
        except BaseException:  # a signal while frames are loaded, too
            self._give_back(taken)
            raise
        kept.callback(taken.close)

    def _give_back(self, taken: ExitStack) -> TransitionCallbackReturn:
        """Empty a stack; what fails in it is logged and does not keep the rest."""
        try:
            taken.close()
        except Exception as error:
            self._log_failure('give everything back', error)
            return ERROR
        return SUCCESS

    def _log_failure(self, what: str, error: Exception) -> None:
        if isinstance(error, DepthRosError):
            self.get_logger().error(f'Cannot {what}: {error}')
            return
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f'{place.filename}, line {place.lineno}'
        self.get_logger().error(f'Cannot {what}: {type(error).__name__}: {error} ({where}).')

    def _answer_or_refuse(self, request: Any, response: Any) -> Any:
        """Answer the service `change_state`: `success` is False where there is no such way."""
        try:
            return self._answer(request, response)
        except RCLError:
            wanted, (_, state) = request.transition, self._state_machine.current_state
            asked = repr(wanted.label) if wanted.label else f'id {wanted.id}'
            self.get_logger().warning(
                f'The transition {asked} is refused: there is no such transition from the state '
                f'{state!r}.'
            )
            response.success = False
            return response


def steady_clock() -> Clock:
    """A clock for timers: with simulated time the node's own one may stand still."""
    return Clock(clock_type=ClockType.STEADY_TIME)


def run_node(create: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Run a node until SIGINT or SIGTERM, or until it ends itself; the exit code.

    The node is configured and activated at once if its parameter `autostart` says so. It ends
    itself by raising `SystemExit` in a callback.
    """
    use_shared_memory_profile()
    try:
        # rclpy's own handlers take the context from under the node, which could not end well then.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        get_logger('depth_ros').fatal(_in_words(str(error)))
        return 1
    stop = _SignalFlag()
    node = executor = None
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
            if executor is not None:  # else it finds out when it is collected, and complains
                executor.shutdown()
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


def _in_words(failure: str) -> str:
    """What is wrong with the arguments that rclpy refuses, without where in its source it is."""
    text = re.sub(r', at [^,]*:\d+', '', failure)
    refused = re.search(r"Couldn't parse [^:]*: '(.*?)'\. Error: (.*)", text, re.DOTALL)
    if refused is None:
        return f'ROS 2 cannot start: {text}.'
    argument, why = refused.groups()
    hints = {
        'Sequence should be of same type': ' Write all numbers of a list alike, such as '
        '[0.0, 0.0, 0.1].',
        'Error opening YAML file': ' There is no such file, or it may not be read.',
    }
    hint = ''.join(hint for part, hint in hints.items() if part in why)
    return f'The argument {argument} cannot be read: {why}.{hint}'


def _start(node: ManagedNode) -> bool:
    """Configure and activate; False if either fails, the reason being in the log."""
    return node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
