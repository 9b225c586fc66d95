"""What networks can run on here: a line of JSON for each thing looked at.

`python -m depth_ros.cli.network_report` is for `doctor`, which runs it in a process of its own:
these imports take seconds, and a damaged library may end the process. What was found before that
has been printed by then; hence each step has its imports to itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def _torch() -> dict[str, Any] | None:
    """PyTorch and the GPUs that it sees; None if it is not installed."""
    from depth_ros.engines.cpu import import_torch
    from depth_ros.errors import MissingDependencyError

    try:
        torch = import_torch()
    except MissingDependencyError:
        return None
    cuda = torch.cuda
    gpus = []
    for index in range(cuda.device_count() if cuda.is_available() else 0):
        gpu = cuda.get_device_properties(index)
        gpus.append(
            {
                'name': gpu.name,
                'compute_capability': f'{gpu.major}.{gpu.minor}',
                'memory_mib': gpu.total_memory >> 20,
            }
        )
    return {'version': str(torch.__version__), 'cuda': torch.version.cuda, 'gpus': gpus}


def _tensorrt() -> str | None:
    from depth_ros.engines.build import tensorrt_version

    return tensorrt_version()


def _backends() -> dict[str, str]:
    from depth_ros.engines.open import candidates

    return {str(candidate): candidate.obstacle for candidate in candidates()}


def _method() -> tuple[str, str]:
    from depth_ros.methods.registry import choose

    return choose('auto')


STEPS: dict[str, Callable[[], Any]] = {
    'torch': _torch,
    'tensorrt': _tensorrt,
    'backends': _backends,
    'method': _method,
}


def main() -> None:
    """Look at one thing after the other."""
    for step, look in STEPS.items():
        print(json.dumps({step: look()}), flush=True)


if __name__ == '__main__':
    main()
