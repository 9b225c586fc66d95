"""A network as a file: ONNX, and beside it what a reference computed of a golden input."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros import __version__
from depth_ros.errors import EngineError
from depth_ros.files import sha256_of, write_atomic
from depth_ros.models.base import Arrays
from depth_ros.weights.registry import family


@dataclass(frozen=True)
class Exported:
    """An exported network: `<stem>.onnx`, `<stem>.golden.npz`, `<stem>.json` in one folder.

    Attributes:
        onnx: the ONNX file.
        onnx_sha256: of that file.
        weights_sha256: of the file that its parameters came from.
        family: name in `depth_ros.weights.registry.FAMILIES`.
        height: of the input in pixels.
        width: of the input in pixels.
        precision: one of `PRECISIONS`.
        opset: ONNX operator set.
        version: of this package that exported it; another may run its networks differently.
        golden_step: of the golden outputs only each n-th row and column is kept, and of the inputs
            nothing, which the family makes again; 1 = all of both.
    """

    onnx: Path
    onnx_sha256: str
    weights_sha256: str
    family: str
    height: int
    width: int
    precision: str
    opset: int
    version: str = __version__
    golden_step: int = 1

    def golden(self) -> tuple[Arrays, Arrays]:
        """Golden inputs and the outputs that PyTorch computed of them in FP32, as `thinned`.

        Raises:
            EngineError: the file is missing or damaged.
        """
        path = self.onnx.with_suffix('.golden.npz')
        try:
            with np.load(path, allow_pickle=False) as archive:
                stored = dict(archive)
        except Exception as error:  # damage shows in as many ways as a zip file has parts
            raise EngineError(f'{path} cannot be read ({error}); export again.') from error
        inputs = {k.removeprefix('in.'): v for k, v in stored.items() if k.startswith('in.')}
        outputs = {k.removeprefix('out.'): v for k, v in stored.items() if k.startswith('out.')}
        if not inputs and self.golden_step > 1:
            inputs = self._made_inputs()
        if not (inputs and outputs):
            raise EngineError(f'{path} has no golden arrays; export again.')
        return inputs, outputs

    def write_sidecars(self, inputs: Arrays, outputs: Arrays) -> None:
        """Write golden arrays and description beside the ONNX file; the description last."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {f'out.{k}': v for k, v in self.thinned(outputs).items()}
        if self.golden_step == 1:
            arrays |= {f'in.{k}': v for k, v in inputs.items()}
        np.savez_compressed(buffer, **arrays)
        write_atomic(self.onnx.with_suffix('.golden.npz'), buffer.getvalue())
        description = {k: v for k, v in asdict(self).items() if k != 'onnx'}
        text = json.dumps(description, indent=2) + '\n'
        write_atomic(self.onnx.with_suffix('.json'), text.encode())

    def thinned(self, outputs: Arrays) -> Arrays:
        """Outputs of the network as far as `golden` keeps them."""
        if (step := self.golden_step) == 1:
            return outputs
        return {name: values[..., ::step, ::step] for name, values in outputs.items()}

    def _made_inputs(self) -> Arrays:
        network = family(self.family)
        made = network.golden_inputs(self.height, self.width)
        return {name: made[name] for name in network.INPUTS}

    @classmethod
    def read(cls, onnx: Path) -> Exported:
        """The exported network of an ONNX file.

        Raises:
            EngineError: the description is missing, malformed, or of another file.
        """
        path = onnx.with_suffix('.json')
        try:
            description: dict[str, Any] = json.loads(path.read_text())
            exported = cls(onnx=onnx, **description)
            actual = sha256_of(onnx)
        except (OSError, ValueError, TypeError) as error:
            raise EngineError(f'{onnx} is no exported network: {error}') from error
        if exported.onnx_sha256 != actual:
            raise EngineError(f'{onnx} is not the file that {path.name} describes; export again.')
        return exported
