"""TensorRT as an engine: one runner for 8.6, 10 and 11, on PyTorch's streams and buffers."""

from __future__ import annotations

import functools
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from depth_ros.engines.cpu import import_torch
from depth_ros.engines.cuda import CudaLane
from depth_ros.engines.exported import Exported
from depth_ros.engines.signature import InputSpec, Signature, check_inputs, signature_of
from depth_ros.errors import EngineError

DEVICE = 'cuda:0'

# TensorRT is talkative and its errors also reach the user as ours.
_LEVELS = {
    'INTERNAL_ERROR': logging.WARNING,
    'ERROR': logging.WARNING,
    'WARNING': logging.INFO,
    'INFO': logging.DEBUG,
}
_TORCH_TYPES = {
    'FLOAT': 'float32',
    'HALF': 'float16',
    'INT64': 'int64',
    'INT32': 'int32',
    'INT8': 'int8',
    'UINT8': 'uint8',
    'BOOL': 'bool',
}

# How the reasons sound that pass with time.
_NO_MEMORY = re.compile(r'out.?of.?memory|allocat', re.IGNORECASE)

_log = logging.getLogger(__name__)


class PlanError(EngineError):
    """A plan cannot be loaded here, or is not that of the network."""


class TensorRTEngine:
    """Runs a plan on one GPU, on a stream of its own.

    Takes NumPy arrays, or torch tensors on its device, and answers in kind. It is replayed as a
    CUDA graph if it can be captured as one.

    Args:
        plan: what `build_plan` returned, with the same TensorRT on the same kind of GPU.
        exported: the network it was built from.
        device: CUDA device.

    Raises:
        PlanError: the plan is damaged, foreign, or that of another network.
        EngineError: there is no GPU or no TensorRT, or not enough memory.
    """

    backend = 'tensorrt'

    def __init__(self, plan: bytes, exported: Exported, device: str = DEVICE) -> None:
        trt = import_tensorrt()
        self.precision = exported.precision
        self._signature = signature_of(exported.golden()[0])
        self._lane = CudaLane(device)
        self.device = str(self._lane.device)
        self._logger = logger = tensorrt_logger(trt)
        with self._lane.ordered():
            # Each needs those before it for as long as it lives.
            self._runtime = trt.Runtime(logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                why = logger.reasons()
                if _NO_MEMORY.search(why):
                    raise EngineError(f'TensorRT has no memory for the plan{why}')
                raise PlanError(f'TensorRT {trt.__version__} refuses the plan{why}')
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise EngineError(f'TensorRT has no memory for the plan{logger.reasons()}')
            self._inputs, self._outputs = self._bound_buffers(trt)
            buffers = self._inputs | self._outputs
            self._staging = {name: self._lane.host_buffer(b) for name, b in buffers.items()}
        self._run: Callable[[], None] | None = self._lane.captured(self._execute)

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; see `Engine.infer`."""
        if self._run is None:
            raise EngineError('The engine is closed; open another.')
        are_tensors = check_inputs(inputs, self._signature, self.device)
        with self._lane.ordered():
            for name, buffer in self._inputs.items():
                given = inputs[name] if are_tensors else self._staged(name, inputs[name])
                buffer.copy_(given, non_blocking=True)
            self._run()
            if not are_tensors:
                for name, buffer in self._outputs.items():
                    self._staging[name].copy_(buffer, non_blocking=True)
        if are_tensors:
            return dict(self._outputs)
        self._lane.synchronize()
        return {name: self._staging[name].numpy().copy() for name in self._outputs}

    def close(self) -> None:
        """Free the GPU's memory, in the order that TensorRT demands."""
        if self._run is None:
            return
        try:
            self._lane.synchronize()  # what runs must not lose its memory
        except EngineError as error:
            _log.warning('TensorRT ended with an error: %s', error)
        self._run = None
        self._inputs = self._outputs = self._staging = {}
        self._context = None
        self._engine = None
        self._runtime = None

    def _staged(self, name: str, array: Any) -> Any:
        """The array in page-locked memory, from where it is copied while the CPU goes on."""
        np.copyto(self._staging[name].numpy(), array, casting='same_kind')
        return self._staging[name]

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._lane.handle):
            raise EngineError(f'TensorRT did not run the plan{self._logger.reasons()}')

    def _bound_buffers(self, trt: ModuleType) -> tuple[dict[str, Any], dict[str, Any]]:
        """A buffer on the device for each input and each output, known to the context."""
        engine = self._engine
        inputs: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(engine.get_tensor_shape(name))
            buffer = self._lane.zeros(shape, _TORCH_TYPES[engine.get_tensor_dtype(name).name])
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            (inputs if is_input else outputs)[name] = buffer
            if not self._context.set_tensor_address(name, buffer.data_ptr()):
                raise PlanError(f'TensorRT takes no buffer for {name!r}{self._logger.reasons()}')
        _refuse_other_network(inputs, self._signature)
        return inputs, outputs


def _refuse_other_network(buffers: Mapping[str, Any], signature: Signature) -> None:
    """Refuse a plan whose inputs are not those of the network."""
    plan = {
        name: InputSpec(tuple(buffer.shape), str(buffer.dtype).removeprefix('torch.'))
        for name, buffer in buffers.items()
    }
    # TensorRT 8 has no int64; it makes such inputs int32.
    narrowed = {
        name: spec._replace(dtype='int32') if spec.dtype == 'int64' else spec
        for name, spec in signature.items()
    }
    if plan not in (signature, narrowed):
        raise PlanError(f'The plan takes {plan}, the network {dict(signature)}.')


def import_tensorrt() -> ModuleType:
    """TensorRT, if there is a GPU; without one some of its libraries crash the process.

    Raises:
        EngineError: there is no GPU, or TensorRT is not installed or damaged.
        MissingDependencyError: PyTorch is not installed.
    """
    torch = import_torch()
    if not torch.cuda.is_available():
        raise EngineError(
            f'TensorRT needs an NVIDIA GPU and a PyTorch with CUDA; PyTorch {torch.__version__} '
            f'finds none. Install the driver and that PyTorch, or use another backend.'
        )
    try:
        import tensorrt
    except Exception as error:  # a library that it needs may be missing or broken
        raise EngineError(
            f'TensorRT cannot be imported ({error}). On a Jetson JetPack brings it; a virtual '
            f'environment sees it if made with --system-site-packages. Elsewhere '
            f'`pip install tensorrt`.'
        ) from error
    return tensorrt


@functools.cache
def tensorrt_logger(trt: ModuleType) -> Any:
    """The logger of a process, which takes only one; what it hears goes to `logging`."""

    class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=3)

        def log(self, severity: Any, message: str) -> None:
            level = _LEVELS.get(severity.name)
            if level is None:
                return
            if level == logging.WARNING:
                self.errors.append(message)
            _log.log(level, 'TensorRT: %s', message)

        def reasons(self) -> str:
            """The last errors as the end of a sentence; they are forgotten then."""
            text = '; '.join(self.errors)
            self.errors.clear()
            return f': {text}' if text else ', and gives no reason.'

    return Logger()
