"""ONNX Runtime as an engine: the default on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from depth_ros.engines.cpu import thread_count
from depth_ros.engines.exported import Exported
from depth_ros.engines.signature import InputSpec, check_inputs
from depth_ros.errors import EngineError, MissingDependencyError

_DTYPES = {
    'tensor(float)': 'float32',
    'tensor(float16)': 'float16',
    'tensor(double)': 'float64',
    'tensor(int32)': 'int32',
    'tensor(int64)': 'int64',
    'tensor(uint8)': 'uint8',
    'tensor(bool)': 'bool',
}


class OnnxRuntimeEngine:
    """Runs an exported network in ONNX Runtime on the CPU.

    Args:
        exported: the network.
        threads: CPU threads; 0 = as `thread_count`.

    Raises:
        EngineError: ONNX Runtime refuses the file.
        MissingDependencyError: it is not installed.
    """

    backend = 'onnxruntime'
    device = 'cpu'

    def __init__(self, exported: Exported, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError('onnxruntime', 'onnxruntime') from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count(threads)
        options.log_severity_level = 3  # errors; it warns of every node that it folds
        # Threads that wait sleep: spinning takes the cores from the rest of the robot.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self.precision = exported.precision
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(exported.onnx), options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(f'ONNX Runtime refuses {exported.onnx}: {error}') from error
        self._signature = {
            given.name: InputSpec(tuple(given.shape), _DTYPES.get(given.type, given.type))
            for given in self._session.get_inputs()
        }
        self._output_names = [output.name for output in self._session.get_outputs()]

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; see `Engine.infer`."""
        check_inputs(inputs, self._signature)
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        try:
            outputs = self._session.run(self._output_names, arrays)
        except Exception as error:
            raise EngineError(f'ONNX Runtime: {error}') from error
        return dict(zip(self._output_names, outputs, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None
