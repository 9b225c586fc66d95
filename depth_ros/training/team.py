"""The processes that train together: one, or those that torchrun starts."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depth_ros.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import nn

PATIENCE = datetime.timedelta(hours=2)
"""Longest wait for another process."""


@dataclass(frozen=True)
class Team:
    """What a process has to know of the others.

    Attributes:
        rank: number of this process; 0 writes the files.
        size: number of processes.
        device: what this process computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return bool(self.device.type == 'cuda')

    def parallel(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are the means over all processes."""
        if self.size == 1:
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, find_unused_parameters=True)

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process; all must ask."""
        if self.size == 1:
            return flag
        import torch

        votes = torch.tensor(float(flag), device=self.device)
        torch.distributed.all_reduce(votes)
        return bool(votes.item())

    def gathered(self, values: list[Any]) -> list[Any]:
        """The values of all processes in the order of their ranks; all must ask."""
        if self.size == 1:
            return values
        import torch

        parts: list[list[Any]] = [[] for _ in range(self.size)]
        torch.distributed.all_gather_object(parts, values)
        return [value for part in parts for value in part]


@contextlib.contextmanager
def joined(device: str) -> Iterator[Team]:
    """Join the processes that torchrun started, if it did.

    Args:
        device: 'cpu', 'cuda', or 'auto' for CUDA where there is one.

    Raises:
        TrainingError: there is no such device.
    """
    import torch
    import torch.distributed

    cuda = torch.cuda.is_available()
    if device == 'cuda' and not cuda:
        raise TrainingError('run.device cuda: PyTorch sees no GPU; take cpu or auto.')
    on_gpu = cuda and device != 'cpu'
    local = int(os.environ.get('LOCAL_RANK', '0'))
    place = torch.device('cuda', local) if on_gpu else torch.device('cpu')
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        yield Team(0, 1, place)
        return
    if on_gpu:
        torch.cuda.set_device(place)
    torch.distributed.init_process_group('nccl' if on_gpu else 'gloo', timeout=PATIENCE)
    try:
        yield Team(torch.distributed.get_rank(), torch.distributed.get_world_size(), place)
    finally:
        torch.distributed.destroy_process_group()
