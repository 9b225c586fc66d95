"""Does an engine compute what PyTorch computes? Asked after every export and build, and at load.

Two relative errors per output, both against the scale of the reference itself:

- mean |output - reference| / mean |reference|: for a depth map, its mean absolute error as a share
  of the mean depth. Unlike a mean of per-pixel ratios it has no trouble with values near zero.
- the same of root mean squares: a few pixels that are far off drown in a mean, but not in this. A
  maximum would say even more, but FP16 may be far off at a single pixel where depth jumps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from depth_ros.engines.base import Engine
from depth_ros.engines.exported import Exported
from depth_ros.errors import EngineError
from depth_ros.models.base import Arrays


class SelfCheckError(EngineError):
    """An engine runs, but computes something else than the reference."""


class Difference(NamedTuple):
    """How far an output is from its reference.

    Attributes:
        mean: mean absolute difference over the mean absolute reference.
        rms: root mean square of the difference over that of the reference.
        max: largest absolute difference, in the unit of the output.
    """

    mean: float
    rms: float
    max: float

    def __str__(self) -> str:
        return f'mean {self.mean:.1e}, RMS {self.rms:.1e} (at most {self.max:.1e} absolute)'


# Largest `mean` and `rms` by precision. FP32: between backends only the order of sums differs, but
# TF32 would not pass, as it must not. FP16: BP-Net with random weights, which amplify what is
# rounded, stays below 1.5e-2 and 8e-2; a wrong engine is off by far more.
TOLERANCES = {'fp32': (1e-4, 1e-3), 'fp16': (2e-2, 2e-1), 'fp16_all': (2e-2, 2e-1)}


def check(engine: Engine, exported: Exported) -> dict[str, Difference]:
    """Run the golden input of an exported network on an engine.

    Returns:
        The difference of each output from what PyTorch computed of it in FP32.

    Raises:
        SelfCheckError: as `compare`.
        EngineError: the golden arrays cannot be read, or the engine does not run.
    """
    inputs, reference = exported.golden()
    return check_against(engine, inputs, reference, exported.onnx.name, exported.thinned)


def check_against(
    engine: Engine,
    inputs: Arrays,
    reference: Arrays | None,
    name: str,
    judged: Callable[[Arrays], Arrays] = dict,
) -> dict[str, Difference]:
    """As `check`, on golden arrays of the network `name`; without a reference, if it is finite.

    `judged` gives the part of the outputs that the reference has.
    """
    outputs = judged(engine.infer(inputs))
    try:
        return compare(outputs, outputs if reference is None else reference, engine.precision)
    except SelfCheckError as error:
        raise SelfCheckError(
            f'{engine.backend} on {engine.device} failed the self-check on {name}: {error}'
        ) from error


def compare(
    outputs: Mapping[str, Any], reference: Arrays, precision: str
) -> dict[str, Difference]:
    """Difference of each output from its reference.

    Raises:
        SelfCheckError: an output is missing, has the wrong shape, is not finite, or differs by
            more than `TOLERANCES` allow for this precision.
    """
    if set(outputs) != set(reference):
        raise SelfCheckError(f'the outputs must be {sorted(reference)}, got {sorted(outputs)}.')
    differences = {}
    for name, wanted in reference.items():
        output = np.asarray(outputs[name])
        if output.shape != wanted.shape:
            raise SelfCheckError(f'output {name!r} must be {wanted.shape}, got {output.shape}.')
        if not np.isfinite(output).all():
            broken = output.size - np.count_nonzero(np.isfinite(output))
            raise SelfCheckError(
                f'output {name!r} is NaN or infinite in {broken} of {output.size}.'
            )
        differences[name] = difference = _difference(output, wanted)
        mean, rms = TOLERANCES[precision]
        if not (difference.mean <= mean and difference.rms <= rms):
            raise SelfCheckError(
                f'output {name!r} is off by {difference}; allowed in {precision} are mean '
                f'{mean:.0e}, RMS {rms:.0e}.'
            )
    return differences


def _difference(output: Any, wanted: Any) -> Difference:
    error = np.abs(output.astype(np.float64) - wanted)
    scale = np.abs(wanted.astype(np.float64))
    tiny = float(np.finfo(np.float64).tiny)  # a reference of zeros allows nothing but zeros
    return Difference(
        mean=float(error.mean()) / max(float(scale.mean()), tiny),
        rms=_rms(error) / max(_rms(scale), tiny),
        max=float(error.max()),
    )


def _rms(values: Any) -> float:
    return float(np.sqrt(np.square(values).mean()))
