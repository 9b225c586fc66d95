"""The engine of a method: opened for a size, kept while the size is, closed for the next.

And what methods that have one share.
"""

from __future__ import annotations

from pathlib import Path

from depth_ros.engines.base import Engine, NetworkRequest
from depth_ros.engines.open import candidates, open_engine, resolve_precision, suited


class NetworkSlot:
    """Holds at most one engine of one network.

    Args:
        family: name in `depth_ros.weights.registry.FAMILIES`.
        weights: file of its parameters.
        backend: one of `depth_ros.engines.base.BACKENDS`, or `auto`.
        precision: one of `depth_ros.engines.base.PRECISIONS`, or `auto`.
        threads: of a CPU backend; 0 = chosen.
    """

    def __init__(
        self,
        family: str,
        weights: Path,
        backend: str = 'auto',
        precision: str = 'auto',
        threads: int = 0,
    ) -> None:
        self._family, self._weights, self._threads = family, weights, threads
        self._backend, self._precision = backend, precision
        self._engine: Engine | None = None
        self._size = (0, 0)

    @property
    def device(self) -> str | None:
        """Torch device of the open engine; None = it works on the host, or there is none."""
        if self._engine is None or self._engine.device == 'cpu':
            return None
        return self._engine.device

    def opened(
        self, size: tuple[int, int], may_build: bool = True, may_skip: bool = False
    ) -> Engine:
        """The engine for inputs (height, width); see `engines.open.open_engine`."""
        if self._engine is None or not self.fits(size):
            self.close()
            request = self._requested(size)
            self._engine = open_engine(
                request, self._backend, self._threads, may_build=may_build, may_skip=may_skip
            )
            self._size = size
        return self._engine

    def fits(self, size: tuple[int, int]) -> bool:
        """Whether an engine for inputs (height, width) is open."""
        return self._engine is not None and self._size == size

    def build_arguments(self, size: tuple[int, int]) -> list[str] | None:
        """Arguments of `depth_ros` that make the plan or the ONNX file; see `Preparable`."""
        best = next((c for c in candidates(self._backend) if not c.obstacle), None)
        if best is None or best.backend == 'torch':
            return None
        request = suited(self._requested(size), best, self._backend)
        command = ['build', '--progress-json'] if best.backend == 'tensorrt' else ['export']
        what = ['--family', request.family, '--size', f'{request.height}x{request.width}']
        return [*command, str(self._weights), *what, '--precision', request.precision]

    def describe(self) -> str:
        """What the engine runs on."""
        if self._engine is None:
            return 'nothing yet'
        return f'{self._engine.backend} {self._engine.precision} on {self._engine.device}'

    def close(self) -> None:
        """Free the engine."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _requested(self, size: tuple[int, int]) -> NetworkRequest:
        precision = resolve_precision(self._precision, self._backend)
        return NetworkRequest(self._family, self._weights, *size, precision)


class NetworkMethod:
    """The part of `Preparable` that is the same for every method of one network.

    Args:
        slot: for the engine.
    """

    def __init__(self, slot: NetworkSlot) -> None:
        self._slot = slot

    def _network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's input for views (height, width)."""
        raise NotImplementedError

    def prepare(
        self, height: int, width: int, may_build: bool = True, may_skip: bool = False
    ) -> None:
        """Open the engine for views (height, width); see `Preparable`."""
        self._slot.opened(self._network_size(height, width), may_build, may_skip)

    def fits(self, height: int, width: int) -> bool:
        """Whether the engine is open for views (height, width)."""
        return self._slot.fits(self._network_size(height, width))

    def build_arguments(self, height: int, width: int) -> list[str] | None:
        """Arguments of `depth_ros` that make the plan or the ONNX file; see `Preparable`."""
        return self._slot.build_arguments(self._network_size(height, width))

    def describe(self) -> str:
        """What it runs on."""
        return self._slot.describe()

    def close(self) -> None:
        """Free the engine."""
        self._slot.close()
