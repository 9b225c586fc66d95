"""The worker thread with a latest-wins slot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from depth_ros.nodes.worker import LatestWorker


class Slow:
    """A handler that holds each item until it is let go."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.errors: list[Exception] = []
        self.gate = threading.Semaphore(0)
        self.worker = LatestWorker(self.handle, self.errors.append)

    def handle(self, item: Any) -> None:
        self.started.append(item)
        assert self.gate.acquire(timeout=60)
        if isinstance(item, Exception):
            raise item


@pytest.fixture
def slow() -> Any:
    handler = Slow()
    yield handler
    handler.gate.release(100)
    assert handler.worker.stop(60)


def test_newest_item_wins_while_the_handler_is_busy(
    slow: Slow, wait_until: Callable[..., Any]
) -> None:
    assert slow.worker.put(1)
    wait_until(lambda: slow.started == [1])
    assert slow.worker.put(2)
    assert not slow.worker.put(3)
    assert not slow.worker.put(4)
    assert slow.worker.busy == 2
    slow.gate.release(2)
    wait_until(lambda: slow.started == [1, 4])


def test_exception_is_handed_on_and_the_thread_lives(
    slow: Slow, wait_until: Callable[..., Any]
) -> None:
    slow.gate.release(2)
    error = ValueError('bad frame')
    slow.worker.put(error)
    wait_until(lambda: slow.errors == [error])
    slow.worker.put('next')
    wait_until(lambda: slow.started == [error, 'next'])


def test_stop_waits_for_the_item_in_hand_and_drops_the_next(
    slow: Slow, wait_until: Callable[..., Any]
) -> None:
    slow.worker.put(1)
    wait_until(lambda: slow.started == [1])
    slow.worker.put(2)
    assert not slow.worker.stop(timeout_s=0.05)
    slow.gate.release()
    assert slow.worker.stop(60)
    assert not slow.worker.put(3)
    assert slow.started == [1]
    assert slow.worker.busy == 2


def test_every_item_is_handled_or_counted() -> None:
    handled: list[int] = []
    worker = LatestWorker(handled.append, pytest.fail)
    for item in range(5000):
        worker.put(item)
    assert worker.stop(60)
    assert handled == sorted(handled)
    assert len(handled) + worker.busy == 5000
