"""Samples that a thread reads ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from depth_ros.datasets import ahead
from depth_ros.datasets.ahead import ReadAhead
from depth_ros.errors import DatasetError

PATIENCE_S = 60.0


class Recording:
    """Samples 0, 1, 2, ...; those of `broken` cannot be read.

    Attributes:
        read: what has been read.
        gate: nothing is read before it is open.
    """

    def __init__(
        self, broken: tuple[int, ...] = (), error: type[Exception] = DatasetError
    ) -> None:
        self.read: list[int] = []
        self.skipped: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self._broken, self._error = broken, error

    def __call__(self, index: int) -> Any:
        assert self.gate.wait(PATIENCE_S)
        self.read.append(index)
        if index in self._broken:
            raise self._error(f'frame {index} is cut')
        return SimpleNamespace(index=index)


@pytest.fixture
def reader() -> Any:
    made: list[ReadAhead] = []

    def make(recording: Recording, length: int, loop: bool = False, **options: Any) -> ReadAhead:
        made.append(ReadAhead(recording, length, loop, recording.skipped.append, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
        assert not one._thread.is_alive()


def until(predicate: Callable[[], Any]) -> Any:
    """The first true result."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if result := predicate():
            return result
        pause.wait(0.005)
    pytest.fail('not reached')


def take(samples: ReadAhead, count: int) -> list[int]:
    return [until(samples.next).index for _ in range(count)]


def test_samples_come_in_order_and_then_end(reader: Any) -> None:
    samples = reader(Recording(), 3)
    assert take(samples, 3) == [0, 1, 2]
    until(lambda: samples.ended)
    assert samples.next() is None


def test_nobody_waits_for_what_is_not_there_yet(reader: Any) -> None:
    recording = Recording()
    recording.gate.clear()
    samples = reader(recording, 3)
    assert samples.next() is None
    assert not samples.ended
    recording.gate.set()
    assert take(samples, 1) == [0]


def test_a_recording_begins_again_without_being_read_again(reader: Any) -> None:
    recording = Recording()
    samples = reader(recording, 3, loop=True)
    assert take(samples, 7) == [0, 1, 2, 0, 1, 2, 0]
    assert recording.read == [0, 1, 2]
    assert not samples.ended


def test_what_memory_has_no_room_for_is_read_again(
    reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, 'KEPT_SAMPLES', 2)
    recording = Recording()
    samples = reader(recording, 3, loop=True)
    assert take(samples, 7) == [0, 1, 2, 0, 1, 2, 0]
    assert set(recording.read[:3]) == {0, 1, 2}
    assert set(recording.read[3:]) == {2}


def test_no_more_is_read_ahead_than_there_is_room_for(
    reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, 'AHEAD_SAMPLES', 4)
    recording = Recording()
    samples = reader(recording, 100)
    until(lambda: len(recording.read) == 5)  # four wait, one is in hand
    assert take(samples, 100) == list(range(100))


def test_with_preload_the_first_comes_after_all_that_are_kept(
    reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, 'KEPT_SAMPLES', 20)
    monkeypatch.setattr(ahead, 'AHEAD_SAMPLES', 4)
    recording = Recording()
    samples = reader(recording, 30, preload=True)
    assert take(samples, 1) == [0]
    assert recording.read[:20] == list(range(20))
    assert samples.loaded == 20
    assert take(samples, 29) == list(range(1, 30))


@pytest.mark.parametrize(
    ('error', 'prefix'),
    [(DatasetError, ''), (ValueError, 'ValueError: '), (MemoryError, 'MemoryError: ')],
)
def test_broken_samples_are_left_out_and_named_once(
    reader: Any, error: type[Exception], prefix: str
) -> None:
    recording = Recording(broken=(0, 2), error=error)
    samples = reader(recording, 4, loop=True)
    assert take(samples, 5) == [1, 3, 1, 3, 1]
    assert recording.skipped == [f'{prefix}frame 0 is cut', f'{prefix}frame 2 is cut']
    assert samples.lost == 2


def test_nothing_but_broken_samples_is_the_end(reader: Any) -> None:
    samples = reader(Recording(broken=(0, 1)), 2, loop=True)
    until(lambda: samples.ended)
    assert samples.lost == 2


def test_a_recording_of_nothing_but_broken_samples_is_given_up(
    reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, 'HOPELESS_SAMPLES', 3)
    recording = Recording(broken=tuple(range(1000)))
    samples = reader(recording, 1000)
    until(lambda: samples.ended)
    with pytest.raises(DatasetError, match='None of the first 3 frames can be used'):
        samples.next()
    assert recording.read == [0, 1, 2]


def test_what_nobody_expected_is_heard_of_after_what_was_read(reader: Any) -> None:
    """As when the one who is told of a lost sample is gone."""

    class Gone(list[str]):
        def append(self, why: str) -> None:
            raise RuntimeError(f'nobody hears that {why}')

    recording = Recording(broken=(1,))
    recording.skipped = Gone()
    samples = reader(recording, 3)
    assert take(samples, 1) == [0]
    with pytest.raises(
        DatasetError, match='failed, RuntimeError: nobody hears that frame 1 is cut'
    ):
        until(samples.next)
