"""One thread that always works on the newest item, so that a slow method never queues."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar('T')


class LatestWorker(Generic[T]):
    """Runs a handler in its own thread on the latest item put; an unstarted older one is dropped.

    An exception in the handler goes to `on_error`, in the same thread, and the thread lives on.

    Args:
        handler: called with one item at a time.
        on_error: called with what the handler raised; must not raise.
        name: name of the thread.

    Attributes:
        busy: number of items dropped because a newer one came or the worker had stopped.
    """

    def __init__(
        self,
        handler: Callable[[T], None],
        on_error: Callable[[Exception], None],
        name: str = 'depth_ros_worker',
    ) -> None:
        self.busy = 0
        self._handler = handler
        self._on_error = on_error
        self._slot: list[T] = []  # empty, or the next item
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Hand over an item; returns False if one had to be dropped for it, or it itself was."""
        with self._changed:
            dropped = self._stopped or bool(self._slot)
            self.busy += dropped
            if not self._stopped:
                self._slot[:] = [item]
                self._changed.notify()
            return not dropped

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the thread after the item in hand; False if it takes longer than `timeout_s`.

        An item not started yet is dropped. Stopping twice does no harm.
        """
        with self._changed:
            self._stopped = True
            self.busy += len(self._slot)
            self._slot.clear()
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot or self._stopped)
                if self._stopped:
                    return
                item = self._slot.pop()
            try:
                self._handler(item)
            except Exception as error:
                self._on_error(error)
            del item  # a frame is not kept alive while waiting for the next
