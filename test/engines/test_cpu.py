"""Threads of a network, and OpenMP told to sleep."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from depth_ros.engines.cpu import thread_count


@pytest.mark.parametrize(('cores', 'threads'), [(1, 1), (2, 2), (3, 2), (4, 3), (9, 8), (64, 8)])
def test_default_leaves_a_core_of_more_than_two_and_is_bounded(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)), raising=False)
    assert thread_count() == threads
    assert thread_count(5) == 5
    monkeypatch.delattr(os, 'sched_getaffinity')  # macOS
    monkeypatch.setattr(os, 'cpu_count', lambda: cores)
    assert thread_count() == threads


def test_openmp_is_told_before_torch_is_there_and_the_user_goes_first() -> None:
    pytest.importorskip('torch')
    code = (
        'import os, sys; from depth_ros.engines import cpu; assert "torch" not in sys.modules;'
        'assert cpu.import_torch() is sys.modules["torch"];'
        'print(os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"])'
    )
    environment = {**os.environ, 'GOMP_SPINCOUNT': '7', 'PYTHONPATH': os.pathsep.join(sys.path)}
    environment.pop('OMP_WAIT_POLICY', None)
    answer = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ['PASSIVE', '7']
