"""From ONNX to a TensorRT plan: the only place where the versions of TensorRT part."""

from __future__ import annotations

import logging
from pathlib import Path
from types import ModuleType
from typing import Any

from depth_ros.engines.build_monitor import BuildMonitor, Progress
from depth_ros.engines.exported import Exported
from depth_ros.engines.tensorrt_engine import import_tensorrt, tensorrt_logger
from depth_ros.errors import EngineError, MissingDependencyError, import_optional
from depth_ros.files import write_atomic

WORKSPACE_MIB = 1024  # scratch memory of a layer; a Jetson with 8 GB must keep the rest
FIRST_STRONGLY_TYPED = (10, 12)  # in 10.0 to 10.11 the layers that know their types are few

_log = logging.getLogger(__name__)


def tensorrt_version() -> str | None:
    """Version of TensorRT in full, such as `10.3.0.30`; None where it cannot be imported."""
    try:
        import tensorrt
    except Exception:  # whatever is broken there
        return None
    return str(tensorrt.__version__)


def build_flags(precision: str) -> tuple[str, ...]:
    """Names of the network and builder flags of a precision with this TensorRT.

    FP16 networks carry their types in the ONNX. TensorRT that types strongly takes them from
    there: from 10.12 if told to, from 11 always. An older one chooses types itself, is allowed
    FP16, and must obey where layers are held at FP32.
    """
    trt = import_tensorrt()
    version = tuple(int(part) for part in trt.__version__.split('.')[:2])
    flags = []
    if hasattr(trt.NetworkDefinitionCreationFlag, 'EXPLICIT_BATCH'):
        flags = ['EXPLICIT_BATCH']  # 8 must be told, 10 does not mind, 11 does not know it
    is_fp16 = precision != 'fp32'
    if (is_fp16 and version >= FIRST_STRONGLY_TYPED) or not hasattr(trt.BuilderFlag, 'FP16'):
        flags += ['STRONGLY_TYPED']
    elif is_fp16:
        flags += ['FP16', 'OBEY_PRECISION_CONSTRAINTS']
    return tuple(flags)


def build_plan(
    exported: Exported,
    *,
    timing_cache: Path | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The plan of an exported network for this GPU and this TensorRT. Takes minutes.

    TF32 is off: FP32 means FP32, above all on the depth path, where TF32 would round 80 m to
    6 cm.

    Args:
        exported: the network.
        timing_cache: file with the measured times of kernels, read if it fits and written
            afterwards; later builds are faster by it.
        progress: told how far it is; by TensorRT from 9 on, before that only at start and end.

    Raises:
        EngineError: no GPU or no TensorRT, or it refuses the network.
    """
    trt = import_tensorrt()
    logger = tensorrt_logger(trt)
    logger.errors.clear()
    flags = build_flags(exported.precision)
    progress = progress or (lambda phase, share: None)
    progress('Parsing', 0.0)
    monitor = BuildMonitor(progress)
    builder = trt.Builder(logger)
    network = builder.create_network(_bits(trt.NetworkDefinitionCreationFlag, flags))
    _parse(trt, network, logger, exported.onnx)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_MIB << 20)
    config.clear_flag(trt.BuilderFlag.TF32)
    for flag in flags:
        if hasattr(trt.BuilderFlag, flag):
            config.set_flag(getattr(trt.BuilderFlag, flag))
    if 'FP16' in flags:
        _hold_fp32(trt, network, exported.onnx)
    if hasattr(trt, 'IProgressMonitor'):
        config.progress_monitor = _as_tensorrt_monitor(trt, monitor)
    _load_timings(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if monitor.failure is not None:
        raise monitor.failure
    if plan is None:
        raise EngineError(f'TensorRT cannot build {exported.onnx.name}{logger.reasons()}')
    _save_timings(config, timing_cache)
    monitor.report('Built', 1.0)
    return bytes(plan)


def _bits(kind: Any, flags: tuple[str, ...]) -> int:
    return sum(1 << int(getattr(kind, flag)) for flag in flags if hasattr(kind, flag))


def _parse(trt: ModuleType, network: Any, logger: Any, onnx: Path) -> None:
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(str(onnx)):
        return
    reasons = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        name = error.node_name() if hasattr(error, 'node_name') else ''  # not in TensorRT 8
        reasons.append(f'node {name or error.node()}: {error.desc()}')
    why = f': {"; ".join(reasons)}' if reasons else logger.reasons()
    raise EngineError(f'TensorRT {trt.__version__} cannot parse {onnx}{why}')


def _hold_fp32(trt: ModuleType, network: Any, onnx: Path) -> None:
    """Hold each layer at FP32 that computes FP32 in the ONNX; those of FP16 stay free."""
    types = _onnx_types(onnx)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type in (trt.LayerType.CONSTANT, trt.LayerType.SHAPE):
            continue
        for output in range(layer.num_outputs):
            tensor = layer.get_output(output)
            dtype = types.get(tensor.name, tensor.dtype.name)
            if dtype == 'FLOAT' and tensor.is_execution_tensor:
                layer.precision = trt.DataType.FLOAT
                layer.set_output_type(output, trt.DataType.FLOAT)


def _onnx_types(onnx: Path) -> dict[str, str]:
    """Type of each value, as ONNX and TensorRT both name it; nothing without the library.

    A TensorRT that types weakly need not tell which of its tensors were half in the file. It
    then holds too many layers, which costs time but no accuracy.
    """
    try:
        onnx_library = import_optional('onnx', 'export')
    except MissingDependencyError as error:
        _log.info('TensorRT may hold more than the depth path at FP32: %s', error)
        return {}
    graph = onnx_library.load(str(onnx), load_external_data=False).graph
    return {
        value.name: onnx_library.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        for value in (*graph.value_info, *graph.output)
    }


def _load_timings(config: Any, path: Path | None) -> None:
    """Attach the timings of earlier builds, or none if they do not fit."""
    if path is None:
        return
    stored = path.read_bytes() if path.exists() else b''
    timings = config.create_timing_cache(stored)
    if timings is None or not config.set_timing_cache(timings, False):
        _log.info('The timings in %s do not fit here; all kernels are timed again.', path)
        config.set_timing_cache(config.create_timing_cache(b''), False)


def _save_timings(config: Any, path: Path | None) -> None:
    if path is None:
        return
    try:
        write_atomic(path, bytes(config.get_timing_cache().serialize()))
    except OSError as error:
        _log.warning('The timings of this build cannot be kept: %s', error)


def _as_tensorrt_monitor(trt: ModuleType, monitor: BuildMonitor) -> Any:
    class ProgressMonitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            monitor.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return monitor.step(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            monitor.finish(phase_name)

    return ProgressMonitor()
