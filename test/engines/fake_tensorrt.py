"""A stand-in for `tensorrt` with the API of four versions, which computes in ONNX Runtime.

It has what a version has and no more, refuses what it refuses, and keeps what it was told in
`builds`. Its plan is a line of JSON and the ONNX. None of this is TensorRT: whether that does the
same is not tested by it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from depth_ros.engines import tensorrt_engine

VERSIONS = ('8.6.1.6', '10.3.0.30', '10.16.2.10', '11.4.0.18')
LOG = 'FAKE_TENSORRT_LOG'
"""Environment variable: a file that gets a line for each build that begins, of any process."""
GATE = 'FAKE_TENSORRT_GATE'
"""Environment variable: a file without which no build ends."""

DATA_TYPES = ('FLOAT', 'HALF', 'INT8', 'INT32', 'BOOL', 'UINT8', 'INT64')
NUMPY_TYPES = dict(zip(DATA_TYPES, ('f4', 'f2', 'i1', 'i4', '?', 'u1', 'i8'), strict=True))
FROM_ONNX = {1: 'FLOAT', 2: 'UINT8', 3: 'INT8', 6: 'INT32', 7: 'INT64', 9: 'BOOL', 10: 'HALF'}
LAYERS = {'Constant': 'CONSTANT', 'Shape': 'SHAPE', 'Cast': 'CAST', 'Conv': 'CONVOLUTION'}


def fake(
    version: str,
    *,
    wrong: Sequence[str] = (),
    unknown_operator: str = '',
    stale_timings: bool = False,
    tells_half: bool = True,
) -> ModuleType:
    """A module like `tensorrt` of a version, such as `10.3.0.30`.

    Args:
        version: four numbers.
        wrong: precisions whose plans compute something else.
        unknown_operator: ONNX operator that the parser refuses.
        stale_timings: timing caches are of another GPU.
        tells_half: a network that is typed weakly tells which of its tensors are half.
    """
    number = tuple(int(part) for part in version.split('.')[:2])
    trt = ModuleType('tensorrt')
    trt.__spec__ = ModuleSpec('tensorrt', None)  # PyTorch asks for it when it exports
    trt.__version__ = version
    trt.number = number
    trt.builds = []
    trt.behaviour = SimpleNamespace(
        wrong=wrong,
        unknown_operator=unknown_operator,
        stale_timings=stale_timings,
        tells_half=tells_half,
    )
    weak, strong = number < (11,), number >= (10,)
    enums = {
        'DataType': DATA_TYPES if strong else DATA_TYPES[:-1],
        'LayerType': (*LAYERS.values(), 'IDENTITY'),
        'MemoryPoolType': ('WORKSPACE',),
        'TensorIOMode': ('NONE', 'INPUT', 'OUTPUT'),
        'BuilderFlag': ('TF32', *(('FP16', 'OBEY_PRECISION_CONSTRAINTS') if weak else ())),
        'NetworkDefinitionCreationFlag': (
            *(('EXPLICIT_BATCH',) if weak else ()),
            *(('STRONGLY_TYPED',) if strong else ()),
        ),
    }
    for name, members in enums.items():
        setattr(trt, name, IntEnum(name, members, start=0))
    for kind in (ILogger, Builder, OnnxParser, Runtime, *((IProgressMonitor,) if strong else ())):
        setattr(trt, kind.__name__, type(kind.__name__, (kind,), {'trt': trt}))
    return trt


def install(trt: ModuleType, patch: pytest.MonkeyPatch) -> ModuleType:
    """Let the package find this TensorRT, and a GPU for it whose memory is that of the host."""
    patch.setitem(sys.modules, 'tensorrt', trt)
    patch.setattr(tensorrt_engine, 'CudaLane', HostLane)
    patch.setattr(torch.cuda, 'is_available', lambda: True)
    patch.setenv('CUDA_VISIBLE_DEVICES', '0')
    patch.setattr(torch.cuda, 'get_device_name', lambda device=None: 'Orin')
    patch.setattr(torch.cuda, 'get_device_capability', lambda device=None: (8, 7))
    patch.setattr(torch.version, 'cuda', '12.6')
    return trt


class HostLane:
    """`CudaLane` for a machine without a GPU."""

    handle = 1234

    def __init__(self, device: str) -> None:
        self.device = torch.device('cpu')

    @contextmanager
    def ordered(self) -> Iterator[None]:
        yield

    def synchronize(self) -> None:
        pass

    def zeros(self, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
        return torch.zeros(shape, dtype=getattr(torch, dtype))

    def host_buffer(self, like: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(like)

    def captured(self, run: Callable[[], None]) -> Callable[[], None]:
        run()
        return run


class _Base:
    """What a pybind class does if its own `__init__` was not called."""

    trt: Any
    is_initialised = False

    def __init__(self) -> None:
        self.is_initialised = True


class ILogger(_Base):
    def complain(self, message: str) -> None:
        self.log(SimpleNamespace(name='ERROR'), message)  # type: ignore[attr-defined]


class IProgressMonitor(_Base):
    pass


class _NeedsGpu:
    trt: Any

    def __init__(self, logger: ILogger) -> None:
        assert torch.cuda.is_available(), 'without a GPU this crashes the process'
        assert logger.is_initialised
        self._logger = logger


class Builder(_NeedsGpu):
    def create_network(self, flags: int = 0) -> Network:
        kinds = self.trt.NetworkDefinitionCreationFlag
        return Network({flag.name for flag in kinds if flags >> int(flag) & 1})

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig(self.trt)

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> bytes | None:
        self.trt.builds.append((network, config))
        if LOG in os.environ:
            with Path(os.environ[LOG]).open('a') as log:
                log.write(f'{os.getpid()}\n')
        is_typed = 'STRONGLY_TYPED' in network.flags or self.trt.number >= (11,)
        if is_typed and 'FP16' in config.flags:
            self._logger.complain('BuilderFlag::kFP16 is not allowed in a typed network')
            return None
        while GATE in os.environ and not Path(os.environ[GATE]).exists():
            time.sleep(0.01)
        if not _went_through(config.progress_monitor):
            return None
        is_half = 'FP16' in config.flags or (is_typed and network.has_half)
        is_wrong = ('fp16' if is_half else 'fp32') in self.trt.behaviour.wrong
        return plan_of(self.trt.__version__, is_wrong, network.onnx)


class Network:
    def __init__(self, flags: set[str]) -> None:
        self.flags = flags
        self.layers: list[Any] = []
        self.onnx = b''
        self.has_half = False

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    def get_layer(self, index: int) -> Any:
        return self.layers[index]


class Layer:
    """A layer of TensorRT 11: its precision cannot be set."""

    __slots__ = ('name', 'num_outputs', 'outputs', 'type')

    def __init__(self, name: str, kind: Any, outputs: list[SimpleNamespace]) -> None:
        self.name = name
        self.type = kind
        self.outputs = outputs
        self.num_outputs = len(outputs)

    def get_output(self, index: int) -> SimpleNamespace:
        return self.outputs[index]


class WeakLayer(Layer):
    precision: Any = None

    def set_output_type(self, index: int, dtype: Any) -> None:
        assert self.outputs[index].dtype.name in ('FLOAT', 'HALF'), 'the type of this is fixed'
        self.outputs[index].held = dtype


class OnnxParser:
    trt: Any

    def __init__(self, network: Network, logger: ILogger) -> None:
        self._network = network
        self._errors: list[Any] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse_from_file(self, path: str) -> bool:
        trt, network = self.trt, self._network
        if trt.number < (10,) and 'EXPLICIT_BATCH' not in network.flags:
            return False
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
        values = (*model.graph.value_info, *model.graph.output)
        types = {v.name: FROM_ONNX[v.type.tensor_type.elem_type] for v in values}
        network.has_half = 'HALF' in types.values()
        if not trt.behaviour.tells_half:
            types = {k: 'FLOAT' if v == 'HALF' else v for k, v in types.items()}
        kind = WeakLayer if trt.number < (11,) else Layer
        for index, node in enumerate(model.graph.node):
            if node.op_type == trt.behaviour.unknown_operator:
                self._errors.append(_parser_error(trt, index, node))
                return False
            outputs = [
                SimpleNamespace(
                    name=name,
                    dtype=self._data_type(types[name]),
                    is_execution_tensor=True,
                    held=None,
                )
                for name in node.output
            ]
            layer_type = trt.LayerType[LAYERS.get(node.op_type, 'IDENTITY')]
            network.layers.append(kind(node.name, layer_type, outputs))
        network.onnx = model.SerializeToString()
        return True

    def _data_type(self, name: str) -> Any:
        return self.trt.DataType['INT32' if self.trt.number < (10,) and name == 'INT64' else name]


class BuilderConfig:
    def __init__(self, trt: Any) -> None:
        self._trt = trt
        self.flags = {'TF32'}
        self.pools: dict[str, int] = {}
        self.progress_monitor: Any = None
        self.timings: Any = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self.flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.pools[pool.name] = size

    def create_timing_cache(self, stored: bytes) -> SimpleNamespace:
        return SimpleNamespace(stored=stored, serialize=lambda: stored + b'timed;')

    def set_timing_cache(self, timings: SimpleNamespace, ignore_mismatch: bool) -> bool:
        if self._trt.behaviour.stale_timings and timings.stored and not ignore_mismatch:
            return False
        self.timings = timings
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return self.timings


class Runtime(_NeedsGpu):
    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        try:
            line, model = plan.split(b'\n', 1)
            head = json.loads(line)
            assert head['version'] == self.trt.__version__, 'the versions differ'
            assert head['sha256'] == hashlib.sha256(model).hexdigest(), 'the plan is damaged'
        except (ValueError, AssertionError) as error:
            self._logger.complain(f'Serialization assertion failed: {error}')
            return None
        return Engine(self.trt, model, head['wrong'])


class Engine:
    def __init__(self, trt: Any, model: bytes, is_wrong: bool) -> None:
        self.trt = trt
        self.is_wrong = is_wrong
        self.session = onnxruntime.InferenceSession(model)
        graph = onnx.load_from_string(model).graph
        self._inputs = {value.name for value in graph.input}
        self._values = {value.name: value for value in (*graph.input, *graph.output)}
        self.num_io_tensors = len(self._values)
        if trt.number < (10,):
            self.num_bindings = self.num_io_tensors

    def get_tensor_name(self, index: int) -> str:
        return list(self._values)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        dims = self._values[name].type.tensor_type.shape.dim
        return tuple(dim.dim_value for dim in dims)

    def get_tensor_dtype(self, name: str) -> Any:
        kind = FROM_ONNX[self._values[name].type.tensor_type.elem_type]
        return self.trt.DataType['INT32' if self.trt.number < (10,) and kind == 'INT64' else kind]

    def get_tensor_mode(self, name: str) -> Any:
        return self.trt.TensorIOMode['INPUT' if name in self._inputs else 'OUTPUT']

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        session = self._engine.session
        inputs = {}
        for value in session.get_inputs():
            array = self._memory(value.name)
            inputs[value.name] = array.astype('i8') if 'int64' in value.type else array
        names = [value.name for value in session.get_outputs()]
        for name, output in zip(names, session.run(names, inputs), strict=True):
            self._memory(name)[...] = 1.5 * output + 1 if self._engine.is_wrong else output
        return True

    def _memory(self, name: str) -> Any:
        """What lies at the address that was set for a tensor, as an array."""
        shape = self._engine.get_tensor_shape(name)
        dtype = np.dtype(NUMPY_TYPES[self._engine.get_tensor_dtype(name).name])
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(self._addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


def plan_of(version: str, is_wrong: bool, model: bytes) -> bytes:
    digest = hashlib.sha256(model).hexdigest()
    head = {'version': version, 'wrong': is_wrong, 'sha256': digest}
    return json.dumps(head).encode() + b'\n' + model


def _parser_error(trt: Any, index: int, node: Any) -> SimpleNamespace:
    error = SimpleNamespace(node=lambda: index, desc=lambda: f'no importer for {node.op_type}')
    if trt.number >= (10,):
        error.node_name = lambda: node.name
    return error


def _went_through(monitor: Any, steps: int = 5) -> bool:
    """Phases as the real builder has them, two of them in one step; False if it was stopped."""
    if monitor is None:
        return True
    assert monitor.is_initialised
    monitor.phase_start('Building engine', None, 2)
    for phase in ('Optimizing graph', 'Timing graph nodes'):
        monitor.phase_start(phase, 'Building engine', steps)
        if not all(monitor.step_complete(phase, step) for step in range(steps)):
            return False
        monitor.phase_finish(phase)
    if not all(monitor.step_complete('Building engine', step) for step in range(2)):
        return False
    monitor.phase_finish('Building engine')
    return True
