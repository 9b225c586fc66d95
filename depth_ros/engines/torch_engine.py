"""PyTorch as an engine: the network as it is, on a CPU or an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.cpu import import_torch, thread_count
from depth_ros.engines.network import family_of, load_network
from depth_ros.engines.signature import check_inputs, signature_of
from depth_ros.errors import EngineError

WARM_UP_RUNS = 3  # before a capture: cuDNN chooses its kernels and memory is laid out

_log = logging.getLogger(__name__)


class _Captured(NamedTuple):
    """A CUDA graph and the tensors that it reads and writes."""

    graph: Any
    inputs: Sequence[Any]
    outputs: Sequence[Any]


class TorchEngine:
    """Runs a network in PyTorch.

    Takes NumPy arrays, or torch tensors on its device, and answers in kind. On a GPU the network
    is captured once as a CUDA graph and replayed, for launching its thousands of kernels one by
    one takes longer than they run.

    Args:
        request: network, size and precision.
        device: `cpu`, or a CUDA device such as `cuda:0`.
        threads: CPU threads, for every torch network of the process; 0 = as `thread_count`.

    Raises:
        EngineError: the device is not there, or the size is not one of the network.
        ModelError: the weights are missing, or not those of the network.
        MissingDependencyError: PyTorch is not installed.
    """

    backend = 'torch'

    def __init__(self, request: NetworkRequest, device: str = 'cpu', threads: int = 0) -> None:
        torch = import_torch()
        self._torch = torch
        self._device = _available(torch, device)
        self.device = str(self._device)
        self.precision = request.precision
        network = family_of(request)
        golden = network.golden_inputs(request.height, request.width)
        self._signature = signature_of(golden)
        self._names = network.INPUTS
        self._output_names = network.OUTPUTS
        model = network.deployed(load_network(request), request.precision).eval()
        with self._settings():
            self._model: Any = model.to(self._device, memory_format=torch.channels_last)
        self._captured: _Captured | None = None
        if self._device.type == 'cpu':
            torch.set_num_threads(thread_count(threads))
        else:
            self._capture([torch.tensor(golden[name]).to(self._device) for name in self._names])

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; see `Engine.infer`."""
        are_tensors = check_inputs(inputs, self._signature, self.device)
        given = [inputs[name] for name in self._names]
        if not are_tensors:
            given = [self._torch.tensor(array).to(self._device) for array in given]
        outputs = dict(zip(self._output_names, self._run(given), strict=True))
        if are_tensors:
            return outputs
        return {name: np.asarray(value.cpu()) for name, value in outputs.items()}

    def close(self) -> None:
        """Free the network and what was captured."""
        self._model = self._captured = None
        if self._device.type == 'cuda':
            self._torch.cuda.empty_cache()

    def _run(self, tensors: Sequence[Any]) -> Sequence[Any]:
        with self._settings():
            if self._captured is None:
                return self._model(*tensors)
            for captured, given in zip(self._captured.inputs, tensors, strict=True):
                captured.copy_(given)
            self._captured.graph.replay()
            return self._captured.outputs

    def _capture(self, tensors: Sequence[Any]) -> None:
        """Record the network as a CUDA graph that reads these tensors; eager if it cannot be."""
        cuda = self._torch.cuda
        with cuda.device(self._device):
            side = cuda.Stream()
            side.wait_stream(cuda.current_stream())
            with self._settings(), cuda.stream(side):
                for _ in range(WARM_UP_RUNS):
                    self._model(*tensors)
            cuda.current_stream().wait_stream(side)
            graph = cuda.CUDAGraph()
            try:
                # Thread-local: other threads of the node may allocate on the GPU meanwhile.
                with self._settings(), cuda.graph(graph, capture_error_mode='thread_local'):
                    outputs = self._model(*tensors)
            except EngineError as error:
                _log.warning('The network runs without a CUDA graph: %s', error)
                return
        self._captured = _Captured(graph, tensors, outputs)

    @contextlib.contextmanager
    def _settings(self) -> Iterator[None]:
        """How PyTorch runs a network here, and its errors as ours.

        FP32 is FP32 and not TF32, which rounds 80 m to 6 cm. Not `inference_mode`: who gets the
        outputs may change them in place, as with any other engine.
        """
        torch = self._torch
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(torch.no_grad())
                if self._device.type == 'cuda':
                    cudnn = torch.backends.cudnn
                    stack.enter_context(
                        cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
                    )
                yield
        except (RuntimeError, IndexError) as error:  # out of memory, most of all
            raise EngineError(f'PyTorch on {self.device}: {error}') from error


def _available(torch: Any, device: str) -> Any:
    """The torch device of a name, with its index."""
    if device == 'cpu':
        return torch.device('cpu')
    known = [f'cuda:{index}' for index in range(torch.cuda.device_count())]
    if device not in known:
        raise EngineError(
            f'PyTorch {torch.__version__} finds the devices {["cpu", *known]}, not {device!r}.'
        )
    return torch.device(device)
