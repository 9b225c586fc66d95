"""From weights to a checked ONNX file in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import logging
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_ros import __version__
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.exported import Exported
from depth_ros.engines.lock import locked
from depth_ros.engines.network import family_of, load_network
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.engines.self_check import check
from depth_ros.errors import EngineError, ModelError, import_optional
from depth_ros.files import cache_dir, sha256_of
from depth_ros.models.base import Arrays, NetworkFamily, Shipped

if TYPE_CHECKING:
    from torch import nn

OPSET = 18
"""Old enough for every TensorRT from 8.6 on, and what the exporter writes without conversion."""
MAX_PARAMETER_BYTES = 2**31 - 2**24
"""A protobuf message, as an ONNX file is one, ends at 2 GiB."""

_NEEDED = {
    'torch': 'export',
    'onnx': 'export',
    'onnxscript': 'export',
    'onnxruntime': 'onnxruntime',
}

_log = logging.getLogger(__name__)


def find(request: NetworkRequest, folder: Path | None = None) -> Exported | None:
    """What `export` made of a request before, by this version of the package; None if nothing.

    Or what ships with the package of it.

    Raises:
        ModelError: the weights cannot be read.
    """
    made = _intact(_path(request, folder))
    if made is not None and made.version == __version__:
        return made
    network = family_of(request)
    return _intact(_path(request, network.SHIPPED)) if isinstance(network, Shipped) else None


def _intact(path: Path) -> Exported | None:
    """The exported network of a file, with its golden arrays; None if one is missing or bad."""
    if not path.with_suffix('.json').exists():
        return None
    try:
        exported = Exported.read(path)
        exported.golden()
    except EngineError as error:
        _log.warning('%s', error)
        return None
    return exported


def export(request: NetworkRequest, folder: Path | None = None, golden_step: int = 1) -> Exported:
    """The requested network as an ONNX file, made and checked unless it is there already.

    It has static shapes, standard operators and its weights within. Nothing is put in place
    before ONNX Runtime computed of the golden input what PyTorch did. Takes minutes and gigabytes
    of memory for a large network; another process that wants the same file waits.

    Args:
        request: network, size and precision.
        folder: where the file goes; default is `onnx` in the user's cache.
        golden_step: see `Exported`.

    Raises:
        EngineError: the network cannot be exported, the file computes something else, or the
            folder cannot be written.
        ModelError: the weights are missing, or not those of the network.
        MissingDependencyError: a library is not installed.
    """
    family_of(request)
    path = _path(request, folder)
    try:
        with locked(path.with_suffix('.lock')):
            return find(request, folder) or _export_to(path, request, golden_step)
    except OSError as error:
        raise EngineError(f'{path} cannot be written: {error}') from error


def require_libraries() -> None:
    """Refuse to start where an export cannot end.

    Raises:
        MissingDependencyError: a library is not installed, or broken.
    """
    for library, extra in _NEEDED.items():
        import_optional(library, extra)


@functools.cache
def can_export() -> bool:
    """Whether the libraries for an export are installed; none of them is imported."""
    return all(importlib.util.find_spec(library) for library in _NEEDED)


def _export_to(path: Path, request: NetworkRequest, golden_step: int) -> Exported:
    require_libraries()
    _log.info('exporting %s; this takes a while', path.name)
    with _empty_folder(path.with_suffix('.partial')) as partial:
        exported = _write(request, partial / path.name, golden_step)
        differences = check(OnnxRuntimeEngine(exported), exported)
        for file in _in_order(exported.onnx):
            file.replace(path.parent / file.name)
    for name, difference in differences.items():
        _log.info('%s: ONNX Runtime against PyTorch, %s: %s', path.name, name, difference)
    return dataclasses.replace(exported, onnx=path)


def _path(request: NetworkRequest, folder: Path | None) -> Path:
    size = f'{request.height}x{request.width}'
    digest = _weights_sha256(request)[:12]
    name = f'{request.family}-{digest}-{size}-{request.precision}.onnx'
    return (folder or cache_dir('onnx')) / name


def _weights_sha256(request: NetworkRequest) -> str:
    try:
        return sha256_of(request.weights)
    except OSError as error:
        raise ModelError(f'The weights {request.weights} cannot be read: {error}') from error


def _in_order(onnx: Path) -> tuple[Path, Path, Path]:
    """The files of an exported network, the description last: it vouches for the others."""
    return onnx, onnx.with_suffix('.golden.npz'), onnx.with_suffix('.json')


def _write(request: NetworkRequest, path: Path, golden_step: int) -> Exported:
    """Export a network, and what PyTorch computes of its golden input in FP32."""
    family = family_of(request)
    golden = family.golden_inputs(request.height, request.width)
    inputs = {name: golden[name] for name in family.INPUTS}
    size = request.height, request.width
    _refuse_large(family, request.precision, size)
    loaded = load_network(request)
    reference = _reference(family.deployed(loaded, 'fp32', size), inputs, family.OUTPUTS)
    network = family.deployed(loaded, request.precision, size)
    del loaded
    _export_quietly(network, inputs, family.OUTPUTS, path)
    del network
    _forget_sources(path)
    _refuse_unportable(path)
    exported = Exported(
        onnx=path,
        onnx_sha256=sha256_of(path),
        weights_sha256=_weights_sha256(request),
        family=request.family,
        height=request.height,
        width=request.width,
        precision=request.precision,
        opset=OPSET,
        golden_step=golden_step,
    )
    exported.write_sidecars(inputs, reference)
    return exported


def _reference(network: nn.Module, inputs: Arrays, names: tuple[str, ...]) -> Arrays:
    import torch

    with torch.no_grad():
        outputs = network(*(torch.tensor(array) for array in inputs.values()))
    return {name: value.numpy() for name, value in zip(names, outputs, strict=True)}


def _export_quietly(
    network: nn.Module, inputs: Arrays, output_names: tuple[str, ...], path: Path
) -> None:
    import torch

    tensors = tuple(torch.tensor(array) for array in inputs.values())
    with _quiet_exporter(), torch.no_grad():
        try:
            torch.onnx.export(
                network,
                tensors,
                path,
                input_names=list(inputs),
                output_names=list(output_names),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise EngineError(f'PyTorch cannot export {path.name}: {error}') from error


def _refuse_large(family: NetworkFamily, precision: str, size: tuple[int, int]) -> None:
    """Refuse what does not fit into a file, before any weights are loaded."""
    import torch

    with torch.device('meta'):  # types and shapes, no memory
        network = family.deployed(family.build(), precision, size)
    parameter_bytes = sum(value.nbytes for value in network.state_dict().values())
    if parameter_bytes > MAX_PARAMETER_BYTES:
        raise EngineError(
            f'The parameters take {parameter_bytes / 2**30:.1f} GiB; an ONNX file holds less than '
            '2 GiB. Run this network on the torch backend.'
        )


def _forget_sources(path: Path) -> None:
    """Remove what the exporter tells of each node's origin: lines and paths of this machine."""
    import onnx

    model = onnx.load(path)
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        if 'metadata_props' in part.DESCRIPTOR.fields_by_name:
            part.ClearField('metadata_props')
    onnx.save(model, path)


def _refuse_unportable(path: Path) -> None:
    """Refuse what another runtime could not take: foreign operators, open sizes, second files."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(str(path))
    domains = {node.domain for node in model.graph.node} - {'', 'ai.onnx'}
    if domains or model.functions:
        raise EngineError(f'{path.name} needs operators that are not ONNX: {sorted(domains)}.')
    opsets = [entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx')]
    if opsets != [OPSET]:
        raise EngineError(f'{path.name} must have opset {OPSET}, got {opsets}.')
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    if dynamic := [value.name for value in values if not _is_static(value)]:
        raise EngineError(f'{path.name} has open sizes in {dynamic[:5]}.')
    others = [file.name for file in path.parent.iterdir() if file != path]
    if others:
        raise EngineError(f'{path.name} is not one file but also {others}.')


def _is_static(value: Any) -> bool:
    tensor = value.type.tensor_type
    return tensor.HasField('shape') and all(dim.HasField('dim_value') for dim in tensor.shape.dim)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter without its talk of passes and of libraries that it can do without."""
    loggers = [logging.getLogger(name) for name in ('torch.onnx', 'onnx_ir', 'onnxscript')]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _empty_folder(path: Path) -> Iterator[Path]:
    """A folder that is empty, whatever a crash left there, and gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
