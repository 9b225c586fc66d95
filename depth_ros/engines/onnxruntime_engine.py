"""ONNX Runtime as an engine: the default on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from depth_ros.engines.base import PROVIDERS
from depth_ros.engines.cpu import thread_count
from depth_ros.engines.exported import Exported
from depth_ros.engines.signature import InputSpec, check_inputs
from depth_ros.errors import EngineError, import_optional

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
    """Runs an exported network in ONNX Runtime, arrays in and arrays out.

    Args:
        exported: the network.
        threads: CPU threads; 0 = as `thread_count`.
        provider: one of `PROVIDERS`; a GPU's time then includes the way there and back.

    Raises:
        EngineError: ONNX Runtime refuses the file, or has not this provider.
        MissingDependencyError: it is not installed, or broken.
    """

    backend = 'onnxruntime'
    device = 'cpu'  # where its inputs and outputs are

    def __init__(self, exported: Exported, threads: int = 0, provider: str = 'cpu') -> None:
        onnxruntime = import_optional('onnxruntime', 'onnxruntime')
        self.precision = exported.precision
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = thread_count(threads)
            options.log_severity_level = 3  # errors; it warns of every node that it folds
            # Threads that wait sleep: spinning takes the cores from the rest of the robot.
            options.add_session_config_entry('session.intra_op.allow_spinning', '0')
            self._session: Any = onnxruntime.InferenceSession(
                str(exported.onnx), options, providers=_providers(provider, self.precision)
            )
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(f'ONNX Runtime refuses {exported.onnx}: {error}') from error
        taken = self._session.get_providers()
        if PROVIDERS[provider] not in taken:  # it says so in its own log only, and goes on
            raise EngineError(
                f'ONNX Runtime {onnxruntime.__version__} runs on {taken} here and not on '
                f'{PROVIDERS[provider]}; the package onnxruntime-gpu has that, if its CUDA and '
                'cuDNN are those of this machine.'
            )
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


def _providers(provider: str, precision: str) -> list[Any]:
    """What to ask ONNX Runtime for: the provider, then what takes the nodes that it has not."""
    if provider not in PROVIDERS:
        raise EngineError(f'The provider must be one of {list(PROVIDERS)}, got {provider!r}.')
    asked: list[Any] = [PROVIDERS[provider]]
    if provider == 'tensorrt':
        asked = [(asked[0], {'trt_fp16_enable': precision != 'fp32'}), PROVIDERS['cuda']]
    return asked if provider == 'cpu' else [*asked, PROVIDERS['cpu']]
