"""What a run leaves: weights under their official names, and what they are."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import depth_ros
from depth_ros.errors import MissingDependencyError
from depth_ros.files import sha256_of, write_atomic

if TYPE_CHECKING:
    from torch import nn


def write_result(path: Path, model: nn.Module, description: dict[str, Any]) -> None:
    """Write weights as safetensors, and beside them a JSON with a description and their SHA-256.

    `depth_ros.weights.store.load` reads them.

    Args:
        path: of the weights, `<name>.safetensors`.
        model: the network.
        description: what is to be known of them.

    Raises:
        MissingDependencyError: safetensors is not installed.
        OSError: a file cannot be written.
    """
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingDependencyError('safetensors', 'train') from error
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    write_atomic(path, save(state))
    content = {'weights_sha256': sha256_of(path), **description}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_atomic(path.with_suffix('.json'), (text + '\n').encode())


def machine(device: Any, processes: int) -> dict[str, Any]:
    """What a run is computed on, and with."""
    import torch

    on_gpu = device.type == 'cuda'
    return {
        'device': torch.cuda.get_device_name(device) if on_gpu else _cpu_name(),
        'processes': processes,
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'depth_ros': depth_ros.__version__,
    }


def _cpu_name() -> str:
    """As Linux calls it; other systems say what they know."""
    path = Path('/proc/cpuinfo')
    lines = path.read_text(encoding='utf-8').splitlines() if path.exists() else []
    names = (line.partition(':')[2].strip() for line in lines if line.startswith('model name'))
    return next(names, platform.processor() or platform.machine())
