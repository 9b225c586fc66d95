"""Scores as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from depth_ros.errors import EvaluationError
from depth_ros.evaluation.evaluate import Evaluation
from depth_ros.files import write_atomic


class Unit(Enum):
    """Units of reported values, with their text."""

    NONE = ''
    METRES = 'm'
    MILLIMETRES = 'mm'
    PER_KILOMETRE = '1/km'
    MILLISECONDS = 'ms'
    NATS = 'nat'
    HERTZ = 'Hz'


class _Column(NamedTuple):
    label: str
    unit: Unit = Unit.NONE
    decimals: int = 3


_COLUMNS = {
    'images': _Column('images', decimals=0),
    'rmse_mm': _Column('RMSE', Unit.MILLIMETRES, 0),
    'mae_mm': _Column('MAE', Unit.MILLIMETRES, 0),
    'irmse_1_km': _Column('iRMSE', Unit.PER_KILOMETRE, 2),
    'imae_1_km': _Column('iMAE', Unit.PER_KILOMETRE, 2),
    'rel': _Column('REL', decimals=4),
    'sq_rel_m': _Column('SqRel', Unit.METRES, 4),
    'rmse_log': _Column('RMSE log', decimals=4),
    'silog': _Column('SILog', decimals=2),
    'log10': _Column('log10', decimals=4),
    'delta1': _Column('delta1', decimals=4),
    'delta2': _Column('delta2', decimals=4),
    'delta3': _Column('delta3', decimals=4),
    'boundary_f1': _Column('boundary F1', decimals=4),
    'coverage_1sigma': _Column('cov 1s'),
    'coverage_2sigma': _Column('cov 2s'),
    'ause': _Column('AUSE'),
    'nll': _Column('NLL', Unit.NATS, 2),
    'density': _Column('density'),
    'rmse_filled_mm': _Column('RMSE filled', Unit.MILLIMETRES, 0),
    'mae_filled_mm': _Column('MAE filled', Unit.MILLIMETRES, 0),
    'rmse_m': _Column('RMSE', Unit.METRES, 4),
    'rmse_ratio': _Column('RMSE ratio'),
    'mae_ratio': _Column('MAE ratio'),
    'raw_coverage_1sigma': _Column('raw 1s'),
    'raw_coverage_2sigma': _Column('raw 2s'),
}

# What the end of any other key says of its column.
_SUFFIXES = {
    '_m': _Column('', Unit.METRES, 3),
    '_ms': _Column('', Unit.MILLISECONDS, 1),
    '_Hz': _Column('', Unit.HERTZ, 2),
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned plain text under a line of labels and, where there are any, one of units.

    Args:
        rows: one mapping per line, such as `to_json` gives, all with the keys of the first.
            Scores get their label and unit; any other key is its own label, but for a unit at
            its end (`_m`, `_ms`, `_Hz`). A mapping within (`ms`) becomes one column per entry.
            Unknown values (None, NaN) are a dash.

    Raises:
        EvaluationError: there are no rows, or their keys differ.
    """
    if not rows:
        raise EvaluationError('A table needs at least one row.')
    flat = [_flattened(row) for row in rows]
    keys = list(flat[0])
    for row in flat:
        if set(row) != set(keys):
            raise EvaluationError(f'Rows must have the keys {keys}, got {list(row)}.')
    kinds = [_column(key) for key in keys]
    has_units = any(kind.unit.value for kind in kinds)
    columns = []
    for key, kind in zip(keys, kinds, strict=True):
        head = [kind.label, kind.unit.value] if has_units else [kind.label]
        cells = [*head, *(_cell(row[key], kind) for row in flat)]
        width = max(map(len, cells))
        is_text = any(isinstance(row[key], str) for row in flat)
        columns.append([cell.ljust(width) if is_text else cell.rjust(width) for cell in cells])
    lines = ['  '.join(line) for line in zip(*columns, strict=True)]
    lines.insert(len(lines) - len(flat), '-' * len(lines[0]))
    return '\n'.join(line.rstrip() for line in lines)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table; labels, units and dashes as in `table`.

    Raises:
        EvaluationError: there are no rows.
    """
    if not rows:
        raise EvaluationError('A table needs at least one row.')
    kinds = {key: _column(key) for key in rows[0]}
    heads = [f'{c.label} [{c.unit.value}]' if c.unit.value else c.label for c in kinds.values()]
    lines = [heads, ['---'] * len(heads)]
    lines += [[_cell(row.get(key), kind) for key, kind in kinds.items()] for row in rows]
    return '\n'.join(
        f'| {" | ".join(cell.replace("|", "/") for cell in line)} |' for line in lines
    )


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation whose images one kind of truth judged, as one object.

    Means, median times, and `per_image` a result for each image, lost ones with why.
    """
    scored = [
        {
            'image': image.name,
            'camera': image.camera_name,
            'judged by': image.truth,
            **dataclasses.asdict(image.scores),
            'ms': image.timings_ms,
        }
        for image in evaluation.images
    ]
    lost = [
        {'image': image.name, 'camera': image.camera_name, 'skipped': image.reason}
        for image in evaluation.lost
    ]
    return {
        'method': evaluation.method,
        'judged by': evaluation.truth,
        'images': len(scored),
        'skipped': len(lost),
        **dataclasses.asdict(evaluation.scores),
        'ms': evaluation.ms,
        'per_image': scored + lost,
    }


def json_text(content: Any) -> str:
    """An object as strict JSON; NaN and infinity become null.

    Raises:
        TypeError: the object holds something JSON has no form for.
    """
    return json.dumps(_plain(content), indent=2, allow_nan=False)


def write_json(path: str | Path, content: Any) -> None:
    """Write an object as `json_text`, whole or not at all.

    Raises:
        OSError: the file cannot be written.
        TypeError: as `json_text`.
    """
    write_atomic(path, f'{json_text(content)}\n'.encode())


def _flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat.update({f'{key}.{name}': entry for name, entry in value.items()})
        else:
            flat[key] = value
    return flat


def _column(key: str) -> _Column:
    if key in _COLUMNS:
        return _COLUMNS[key]
    if key.startswith('ms.'):
        return _Column(key.removeprefix('ms.'), Unit.MILLISECONDS, 1)
    for suffix, column in _SUFFIXES.items():
        if key.endswith(suffix):
            return column._replace(label=key.removesuffix(suffix))
    return _Column(key)


def _cell(value: Any, column: _Column) -> str:
    if value is None:
        return '-'
    if isinstance(value, (float, np.floating)):
        return '-' if math.isnan(value) else f'{value:.{column.decimals}f}'
    return str(value)


def _plain(value: Any) -> Any:
    """`value` in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
