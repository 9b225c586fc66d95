"""How networks share the cores of a CPU with everything else that runs there."""

from __future__ import annotations

import os
from types import ModuleType

from depth_ros.errors import import_optional

MAX_DEFAULT_THREADS = 8  # a network of ours gains little beyond, and a robot has more to do


def thread_count(threads: int = 0) -> int:
    """Threads of a network; 0 = all cores that this process may use but one, 2 to 8.

    Of two cores it takes both: what else a node does is short, and threads that wait sleep.
    """
    if threads > 0:
        return threads
    if hasattr(os, 'sched_getaffinity'):  # a container or taskset may grant fewer than there are
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return min(MAX_DEFAULT_THREADS, max(cores - 1, min(cores, 2)))


def import_torch() -> ModuleType:
    """PyTorch, whose idle OpenMP threads sleep if we are the first to import it.

    By default they spin for work, which under load makes a network 20 to 60 times slower. The
    runtime reads this from the environment once; values that the user set stay.

    Raises:
        MissingDependencyError: it is not installed, or broken.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    os.environ.setdefault('GOMP_SPINCOUNT', '0')
    return import_optional('torch', 'torch')
