"""PyTorch as an engine: the network as it is, on a CPU or an NVIDIA GPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.cpu import import_torch, thread_count
from depth_ros.engines.cuda import CudaLane
from depth_ros.engines.network import family_of, load_network
from depth_ros.engines.self_check import check_against
from depth_ros.engines.signature import check_inputs, signature_of
from depth_ros.errors import EngineError

_log = logging.getLogger(__name__)


class _Replayed:
    """A network on a stream of its own, as a CUDA graph where it can be captured as one.

    Its outputs are valid until the next call.

    Args:
        network: on the device.
        inputs: tensors there, such as it takes; the graph reads from them.
        device: CUDA device.
    """

    def __init__(self, network: Any, inputs: Sequence[Any], device: str) -> None:
        self._network = network
        self._inputs = inputs
        self._outputs: Sequence[Any] = ()
        self._lane = CudaLane(device)
        self._replay = self._lane.captured(self._execute)

    def __call__(self, *inputs: Any) -> Sequence[Any]:
        with self._lane.ordered():
            for buffer, given in zip(self._inputs, inputs, strict=True):
                buffer.copy_(given)
            self._replay()
        return self._outputs

    def _execute(self) -> None:
        self._outputs = self._network(*self._inputs)


class TorchEngine:
    """Runs a network in PyTorch.

    Takes NumPy arrays, or torch tensors on its device, and answers in kind. On a GPU the network
    is captured once as a CUDA graph and replayed, for launching its thousands of kernels one by
    one takes longer than they run. In FP16 it is compared with itself in FP32 when it is opened.

    Args:
        request: network, size and precision.
        device: `cpu`, or a CUDA device such as `cuda:0`.
        threads: CPU threads, for every torch network of the process; 0 = as `thread_count`.

    Raises:
        SelfCheckError: it computes something else in FP16, or NaN.
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
        self._model: Any = None
        if self._device.type == 'cpu':
            torch.set_num_threads(thread_count(threads))
        loaded, size = load_network(request), (request.height, request.width)
        reference = None
        try:
            if self.precision != 'fp32':
                self._model = self._placed(network.deployed(loaded, 'fp32', size))
                reference = self.infer(golden)
                self.close()  # before there is another on the device
            self._model = self._placed(network.deployed(loaded, self.precision, size))
            del loaded
            if self._device.type == 'cuda':
                with self._settings():
                    tensors = self._uploaded([golden[name] for name in self._names])
                    self._model = _Replayed(self._model, tensors, self.device)
            check_against(self, golden, reference, request.family)
        except EngineError:
            self.close()  # now: who reports the error may keep us alive by it
            raise

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; see `Engine.infer`."""
        are_tensors = check_inputs(inputs, self._signature, self.device)
        given = [inputs[name] for name in self._names]
        with self._settings():
            if not are_tensors:
                given = self._uploaded(given)
            outputs = dict(zip(self._output_names, self._model(*given), strict=True))
            if are_tensors:
                return outputs
            return {name: np.asarray(value.cpu()) for name, value in outputs.items()}

    def close(self) -> None:
        """Free the network and its memory."""
        self._model = None
        if self._device.type == 'cuda':
            try:
                self._torch.cuda.empty_cache()
            except RuntimeError as error:  # of a kernel before: CUDA tells it at every call
                _log.warning('PyTorch on %s ended with an error: %s', self.device, error)

    def _placed(self, network: Any) -> Any:
        """The network on the device, ready to run."""
        with self._settings():
            return network.eval().to(self._device, memory_format=self._torch.channels_last)

    def _uploaded(self, arrays: Sequence[Any]) -> list[Any]:
        return [self._torch.tensor(array).to(self._device) for array in arrays]

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
