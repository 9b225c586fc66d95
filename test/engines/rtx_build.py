"""Our builder on TensorRT for RTX, NVIDIA's only builder that works without a GPU.

python rtx_build.py ONNX... prints a line of JSON for each. In a process of its own, for what the
library cannot take may crash it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tensorrt_rtx
import torch

from depth_ros.engines.build import build_flags, build_plan, tensorrt_version
from depth_ros.engines.exported import Exported
from depth_ros.errors import EngineError


def main(onnx: str) -> dict[str, object]:
    told: list[float] = []
    exported = Exported.read(Path(onnx))
    try:
        plan = build_plan(exported, progress=lambda phase, share: told.append(share))
    except EngineError as error:
        return {'error': str(error)}
    return {
        'version': tensorrt_version(),
        'flags': build_flags(exported.precision),
        'bytes': len(plan),
        'progress': told,
        'layer_types': layer_types(onnx),
    }


def layer_types(onnx: str) -> dict[str, int]:
    """How many layers of the parsed network give each type."""
    logger = tensorrt_rtx.Logger(tensorrt_rtx.Logger.ERROR)
    network = tensorrt_rtx.Builder(logger).create_network()
    assert tensorrt_rtx.OnnxParser(network, logger).parse_from_file(onnx)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    types = [layer.get_output(0).dtype.name for layer in layers]
    return {name: types.count(name) for name in sorted(set(types))}


if __name__ == '__main__':
    sys.modules['tensorrt'] = tensorrt_rtx  # it has the API of TensorRT 11
    torch.cuda.is_available = lambda: True  # this builder, unlike the others, does without
    for argument in sys.argv[1:]:
        print(json.dumps(main(argument)), flush=True)  # noqa: T201
