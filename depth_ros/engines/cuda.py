"""What only CUDA has: streams, page-locked memory, graphs."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

from depth_ros.engines.base import WARM_UP_RUNS
from depth_ros.engines.cpu import import_torch
from depth_ros.errors import EngineError

_log = logging.getLogger(__name__)


class CudaLane:
    """The stream of one engine, and all else that only CUDA has.

    Attributes:
        device: torch device.
        handle: the stream as TensorRT takes it.
    """

    def __init__(self, device: str) -> None:
        torch = import_torch()
        self._torch = torch
        self.device = torch.device(device)
        self._stream = torch.cuda.Stream(self.device)
        self.handle: int = self._stream.cuda_stream

    @contextlib.contextmanager
    def ordered(self) -> Iterator[None]:
        """What is started inside runs after the caller's work so far, and before its next.

        PyTorch's errors, out of memory most of all, leave as ours.
        """
        cuda = self._torch.cuda
        try:
            callers = cuda.current_stream(self.device)
            self._stream.wait_stream(callers)
            with cuda.stream(self._stream):
                yield
            callers.wait_stream(self._stream)
        except RuntimeError as error:
            raise EngineError(f'CUDA on {self.device}: {error}') from error

    def synchronize(self) -> None:
        """Wait until everything on the stream is done."""
        try:
            self._stream.synchronize()
        except RuntimeError as error:
            raise EngineError(f'CUDA on {self.device}: {error}') from error

    def zeros(self, shape: tuple[int, ...], dtype: str) -> Any:
        """A tensor on the device. Not left as it is found: an input may hold indices."""
        return self._torch.zeros(shape, dtype=getattr(self._torch, dtype), device=self.device)

    def host_buffer(self, like: Any) -> Any:
        """A tensor in page-locked memory of the host."""
        return self._torch.empty(like.shape, dtype=like.dtype, pin_memory=True)

    def captured(self, run: Callable[[], None]) -> Callable[[], None]:
        """`run` as a CUDA graph, which starts all its kernels at once; itself where that fails."""
        with self.ordered():
            for _ in range(WARM_UP_RUNS):
                run()
        self.synchronize()
        cuda = self._torch.cuda
        graph = cuda.CUDAGraph()
        # Thread-local: other threads of the node may allocate on the GPU meanwhile. The outer
        # context gives the caller its stream back where a capture fails, which the inner does not.
        capture = cuda.graph(graph, stream=self._stream, capture_error_mode='thread_local')
        try:
            with cuda.stream(self._stream), capture:
                run()
        except (RuntimeError, EngineError) as error:
            _log.warning('The network runs without a CUDA graph: %s', error)
            return run
        replay: Callable[[], None] = graph.replay
        return replay
