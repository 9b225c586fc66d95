"""Real rclpy for tests: an own domain on loopback, a spinning executor, bounded waits."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rigs
from rigs import PATIENCE_S, CameraRig, CompletionRig, MonocularRig, Ros


@pytest.fixture(scope='session', autouse=True)
def ros_environment(
    loopback: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The domain id of this run; the variables also reach the processes that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in loopback.items():
            patch.setenv(name, value)
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros_log')))
        yield int(loopback['ROS_DOMAIN_ID'])


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(predicate, what='...')`: the first true result, or a failure."""
    return rigs.wait_until


@pytest.fixture
def ros(ros_environment: int) -> Iterator[Ros]:
    """A fresh `Ros`; the test is skipped where rclpy is not installed."""
    pytest.importorskip('rclpy')
    harness = Ros(ros_environment)
    yield harness
    harness.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a node's process as a terminal would.

    Killed, it would haunt the domain as a ghost with subscriptions until its lease runs out.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def start_node() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`start_node(name, log, **parameters)` runs a node of ours as a process.

    `__` in the name of a parameter stands for a dot.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, log: Path, **parameters: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, '-m', f'depth_ros.nodes.{name}', '--ros-args']
        for key, value in parameters.items():
            command += ['-p', f'{key.replace("__", ".")}:={json.dumps(value)}']
        with log.open('wb') as stream:
            processes.append(
                subprocess.Popen(
                    command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
                )
            )
        return processes[-1]

    yield start
    for process in processes:
        end(process)


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """`fetched(name)` is the path of weights in a cache of the test: an empty file, on record."""
    from depth_ros.weights.store import Record, weights_path

    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'cache'))

    def fetch(name: str) -> Path:
        path = weights_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        record = Record(name, 'a test', 'none', '2026-01-01', '0' * 64, 0, '0' * 64, 0, 1)
        path.with_suffix('.json').write_text(json.dumps(dataclasses.asdict(record)))
        return path

    return fetch


def _rigs(kind: type[CameraRig], ros: Ros) -> Iterator[Callable[..., Any]]:
    made: list[CameraRig] = []

    def make(**parameters: Any) -> CameraRig:
        made.append(kind(ros, rigs.wait_until, **parameters))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def rig(ros: Ros) -> Iterator[Callable[..., CompletionRig]]:
    """`rig(**parameters)` makes a `CompletionRig`; call its `start()`."""
    yield from _rigs(CompletionRig, ros)


@pytest.fixture
def mono_rig(ros: Ros) -> Iterator[Callable[..., MonocularRig]]:
    """`mono_rig(**parameters)` makes a `MonocularRig`; call its `start()`."""
    yield from _rigs(MonocularRig, ros)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is warned of extrinsics."""
    from depth_ros.nodes import transforms

    sentences: list[str] = []
    logger = SimpleNamespace(warning=sentences.append)
    monkeypatch.setattr(transforms, 'get_logger', lambda name: logger)
    return sentences
