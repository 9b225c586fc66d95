"""OpenVINO as an engine: the fastest on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from depth_ros.engines.cpu import thread_count
from depth_ros.engines.exported import Exported
from depth_ros.engines.signature import InputSpec, check_inputs
from depth_ros.errors import EngineError, import_optional


class OpenVinoEngine:
    """Runs an exported network in OpenVINO on the CPU.

    It computes in FP32 whatever the precision of the file.

    Args:
        exported: the network.
        threads: CPU threads; 0 = as `thread_count`.

    Raises:
        EngineError: OpenVINO refuses the file.
        MissingDependencyError: it is not installed, or broken.
    """

    backend = 'openvino'
    device = 'cpu'

    def __init__(self, exported: Exported, threads: int = 0) -> None:
        openvino = import_optional('openvino', 'openvino')
        settings = {
            'INFERENCE_NUM_THREADS': thread_count(threads),
            'ENABLE_CPU_PINNING': 'NO',  # pinned threads cannot leave a core that others need
            'INFERENCE_PRECISION_HINT': 'f32',  # it would take bfloat16 where the CPU has it
            'PERFORMANCE_HINT': 'LATENCY',
        }
        self.precision = exported.precision
        try:
            self._network: Any = openvino.Core().compile_model(exported.onnx, 'CPU', settings)
        except Exception as error:  # also of an install that lacks a part
            raise EngineError(f'OpenVINO refuses {exported.onnx}: {error}') from error
        self._signature = {
            port.any_name: InputSpec(tuple(port.shape), str(port.element_type.to_dtype()))
            for port in self._network.inputs
        }

    def infer(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name; see `Engine.infer`."""
        check_inputs(inputs, self._signature)
        arrays = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        try:
            outputs = self._network(arrays)
        except RuntimeError as error:
            raise EngineError(f'OpenVINO: {error}') from error
        return {port.any_name: array for port, array in outputs.items()}

    def close(self) -> None:
        """Free the compiled network."""
        self._network = None
