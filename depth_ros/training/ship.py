"""The weights of `lite` as the package ships them: with their description, and as ONNX."""

from __future__ import annotations

import json
from pathlib import Path

from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.export import export
from depth_ros.errors import TrainingError
from depth_ros.models import lite
from depth_ros.training.config import FREE
from depth_ros.training.result import write_result
from depth_ros.weights.store import load

GOLDEN_STEP = 16
"""Of golden outputs this much is shipped, so that they are smaller than the network."""
MAX_BYTES = 12 * 10**6
"""All that is shipped, together."""


def ship(weights: Path, folder: Path = lite.SHIPPED) -> dict[str, int]:
    """Write weights, their description and the network as ONNX at `lite.SIZES` into a folder.

    Args:
        weights: result of a run, with its description beside it.
        folder: ONNX files of other weights of `lite` in it are removed at the end.

    Returns:
        Size of each file in bytes.

    Raises:
        TrainingError: the files are larger than `MAX_BYTES`.
        ModelError: the weights are not those of the network.
        EngineError: the network cannot be exported.
    """
    model = lite.build()
    load(model, weights)
    description = json.loads(weights.with_suffix('.json').read_bytes())
    del description['weights_sha256']  # it is written anew
    description['config'] = {
        name: value
        for name, value in description['config'].items()
        if name != 'data.path' and not name.startswith(FREE)
    }
    if start := description['config'].get('student.weights'):
        description['config']['student.weights'] = Path(start).name  # no paths of this machine

    shipped = folder / lite.WEIGHTS.name
    write_result(shipped, model, description)
    kept = [shipped, shipped.with_suffix('.json')]
    for height, width in lite.SIZES:
        request = NetworkRequest('lite', shipped, height, width)
        exported = export(request, folder, golden_step=GOLDEN_STEP)
        stem = exported.onnx
        kept += [stem, stem.with_suffix('.golden.npz'), stem.with_suffix('.json')]
    sizes = {path.name: path.stat().st_size for path in kept}
    if sum(sizes.values()) > MAX_BYTES:
        raise TrainingError(f'{folder} takes {sum(sizes.values())} bytes; at most {MAX_BYTES}.')
    for path in folder.glob('lite-*'):
        if path not in kept:
            path.unlink()
    return sizes
