"""What TensorRT for RTX says of exported networks, asked in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from depth_ros.engines.exported import Exported

SCRIPT = Path(__file__).with_name('rtx_build.py')
REPOSITORY = Path(__file__).resolve().parents[2]


def built(*networks: Exported) -> list[dict[str, Any]]:
    """What the builder says of each network. A crash of it fails the test."""
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), *(str(network.onnx) for network in networks)],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def assert_built(result: dict[str, Any], precision: str) -> None:
    """A plan was built, strongly typed, and the builder told of its progress all the way."""
    assert result.get('error') is None
    assert result['flags'] == ['STRONGLY_TYPED']
    assert result['bytes'] > 10_000
    assert result['progress'] == sorted(result['progress'])
    assert (result['progress'][0], result['progress'][-1]) == (0.0, 1.0)
    assert len(result['progress']) > 20
    assert result['layer_types']['FLOAT'] > 0
    assert ('HALF' in result['layer_types']) == (precision != 'fp32')
