"""How far BP-Net in ONNX Runtime is from PyTorch, in FP32 and FP16, with trained weights.

Run: python3 benchmarks/bpnet_sigma.py --save narrow.pth, which trains a BP-Net of a quarter of the
channels for half an hour; then python3 benchmarks/bpnet_precision.py narrow.pth [--json]. The
images are real: the first three of $DEPTH_ROS_DATA (default ../shared) data/kitti_dc_drive0001,
cut to each size. Weights from a key's name, as the tests have them, amplify what is rounded far
more than trained ones do. Takes about ten minutes.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from bpnet_sigma import WIDTH, real

from depth_ros.engines.export import OPSET
from depth_ros.engines.self_check import Difference
from depth_ros.evaluation.report import json_text, table
from depth_ros.frame import CameraView, Float32
from depth_ros.models import bpnet
from depth_ros.models.base import Arrays
from depth_ros.models.bpnet.deploy import deploy
from depth_ros.models.bpnet.network import BPNet
from depth_ros.weights import store

SIZES = ((64, 96), (256, 320), (352, 1216))
IMAGES = 3


def cut(view: CameraView, height: int, width: int) -> Arrays:
    """The network's inputs from the middle of the lower edge of a view."""
    top, left = view.sparse_m.shape[0] - height, (view.sparse_m.shape[1] - width) // 2
    window = np.s_[top : top + height, left : left + width]
    image, sparse_m = (np.ascontiguousarray(a[window]) for a in (view.image, view.sparse_m))
    matrix = view.intrinsics.cropped(left, top, width, height).matrix
    return bpnet.graph_inputs(image, sparse_m, matrix)


def in_pytorch(network: Any, inputs: Arrays) -> Float32:
    """Depth (1, 1, H, W) in metres."""
    with torch.inference_mode():
        depth: Float32 = network(*map(torch.from_numpy, inputs.values()))[0].numpy()
    return depth


def in_onnxruntime(network: Any, all_inputs: list[Arrays]) -> Iterator[Float32]:
    """The same of each of several inputs, once exported."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'network.onnx'
        given = tuple(map(torch.from_numpy, all_inputs[0].values()))
        torch.onnx.export(
            *(network, given, path),
            input_names=list(bpnet.INPUTS),
            output_names=list(bpnet.OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
        for inputs in all_inputs:
            yield session.run(['depth'], inputs)[0]


def difference(depth_m: Float32, reference_m: Float32) -> Difference:
    """Relative to the scale of the reference, as the self-check of engines measures it."""
    error = np.abs(depth_m.astype(np.float64) - reference_m)
    return Difference(
        error.mean() / np.abs(reference_m).mean(),
        float(np.sqrt((error**2).mean() / np.square(reference_m, dtype=np.float64).mean())),
        error.max(),
    )


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('weights', type=Path)
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = BPNet(WIDTH).eval()
    store.load(model, args.weights)
    views = [view for view, _ in itertools.islice(real(), IMAGES)]
    rows = []
    for height, width in SIZES:
        inputs = [cut(view, height, width) for view in views]
        in_fp32 = [in_pytorch(deploy(model, 'fp32'), one) for one in inputs]
        for precision in ('fp32', 'fp16'):
            network = deploy(model, precision)
            pytorch = [in_pytorch(network, one) for one in inputs]
            onnx = list(in_onnxruntime(network, inputs))
            row: dict[str, Any] = {'size': f'{height}x{width}', 'precision': precision}
            for name, reference in (('PyTorch', pytorch), ('PyTorch in fp32', in_fp32)):
                found = [difference(*pair) for pair in zip(onnx, reference, strict=True)]
                row[f'mean off {name}'] = max(one.mean for one in found)
                row[f'RMS off {name}'] = max(one.rms for one in found)
                row[f'most off {name}_m'] = max(one.max for one in found)
            rows.append(row)
    if args.json:
        print(json_text(rows))
    else:  # in a table a number would show three decimals
        print(
            table(
                [{k: v if isinstance(v, str) else f'{v:.1e}' for k, v in r.items()} for r in rows]
            )
        )


if __name__ == '__main__':
    main()
