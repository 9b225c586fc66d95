"""What `export`, `build` and `bench` share: the arguments that say which network."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from depth_ros.engines.base import PRECISIONS, NetworkRequest
from depth_ros.engines.network import family_of
from depth_ros.engines.open import resolve_precision
from depth_ros.models import lite
from depth_ros.weights.registry import FAMILIES, MODELS, SHIPPED
from depth_ros.weights.store import locate


def add_network_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """MODEL, --size, --precision and --family; the first two need not be given if `optional`."""
    parser.add_argument(
        'model',
        metavar='MODEL',
        nargs='?' if optional else None,
        help='weights: a name of `depth_ros models list`, lite, or a file',
    )
    parser.add_argument(
        '--size',
        type=_size,
        required=not optional,
        metavar='HxW',
        help='height and width of the input in pixels, such as 352x1216',
    )
    parser.add_argument(
        '--precision',
        default='auto',
        choices=('auto', *PRECISIONS),
        help='auto (default) = fp16 for a GPU, fp32 for a CPU; depth stays fp32',
    )
    parser.add_argument(
        '--family',
        default='bpnet',
        choices=tuple(FAMILIES),
        help='network that the weights in a file are for (%(default)s)',
    )


def requested(args: argparse.Namespace, backend: str = 'auto') -> NetworkRequest:
    """The network that the arguments name, in the precision that suits a backend.

    Raises:
        ModelError: the weights are not here.
        EngineError: the backend cannot run here, or the size is not one of the network.
    """
    height, width = args.size
    precision = resolve_precision(args.precision, backend)
    family, weights = _found(args.model, args.family)
    request = NetworkRequest(family, weights, height, width, precision)
    family_of(request)
    return request


def _found(model: str, family: str) -> tuple[str, Path]:
    """The family and the file of weights that ship, are known by name, or are a file."""
    if model in SHIPPED:
        return model, lite.WEIGHTS
    family = MODELS[model].family if model in MODELS else family
    return family, locate(model, (family,), 'MODEL')


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d+)[x×](\d+)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no size; write HxW, such as 256x320')
    return int(match[1]), int(match[2])
