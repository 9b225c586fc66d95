"""The entry points say what is missing, in a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ('completion_node', 'monocular_node', 'player_node', 'recorder_node')


@pytest.mark.parametrize('name', NAMES)
def test_without_ros_an_executable_says_what_to_install(name: str) -> None:
    code = f"""
import sys
sys.modules['rclpy'] = None
from depth_ros.nodes import executables
sys.exit(executables.{name}())
"""
    answer = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f'{name} needs ROS 2 (')
    assert 'pip install "depth_ros[ros]"' in answer.stderr
    assert 'Traceback' not in answer.stderr
