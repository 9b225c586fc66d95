"""Settings as frozen dataclasses: a default, its limits and a sentence about it in one place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from depth_ros.errors import ConfigError


@dataclass(frozen=True)
class Option:
    """What is known of a setting besides its type and default.

    Attributes:
        description: one sentence, with the unit.
        minimum: smallest allowed number, or None.
        maximum: largest allowed number, or None.
        choices: allowed values of a string, or empty.
    """

    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def option(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A dataclass field that carries an `Option`."""
    info = Option(description, minimum, maximum, choices)
    return field(default=default, metadata={'option': info})


def flatten(config: Any, prefix: str = '') -> dict[str, Any]:
    """Settings as one dict with dotted names, `{'projection.max_range_m': 120.0, ...}`."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, f'{prefix}{item.name}.'))
        else:
            flat[prefix + item.name] = value
    return flat


def options(config: Any, prefix: str = '') -> dict[str, Option]:
    """The `Option` of each setting by dotted name."""
    found: dict[str, Option] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            found.update(options(value, f'{prefix}{item.name}.'))
        else:
            found[prefix + item.name] = item.metadata['option']
    return found


def replaced(config: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a config with dotted settings changed.

    Raises:
        ConfigError: a name is unknown, or a value has the wrong type or is out of range.
    """
    known = flatten(config)
    for name in changes:
        if name not in known:
            raise ConfigError(f'Unknown setting {name!r}; known are {sorted(known)}.')
    typed = {name: _converted(name, value, known[name]) for name, value in changes.items()}
    result = _rebuilt(config, typed)
    validate(result)
    return result


def _rebuilt(config: Any, changes: Mapping[str, Any]) -> Any:
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, _, rest = name.partition('.')
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, part in nested.items():
        own[head] = _rebuilt(getattr(config, head), part)
    return dataclasses.replace(config, **own)


def validate(config: Any) -> None:
    """Check every setting against its `Option`.

    Raises:
        ConfigError: naming the setting, its value and what is allowed.
    """
    limits = options(config)
    for name, value in flatten(config).items():
        info = limits[name]
        numbers = value if isinstance(value, tuple) else (value,)
        for number in numbers:
            if isinstance(number, bool | str):
                continue
            if not math.isfinite(number):
                raise ConfigError(f'{name} must be finite, got {value!r}.')
            if info.minimum is not None and number < info.minimum:
                raise ConfigError(f'{name} must be at least {info.minimum:g}, got {value!r}.')
            if info.maximum is not None and number > info.maximum:
                raise ConfigError(f'{name} must be at most {info.maximum:g}, got {value!r}.')
        if info.choices and value not in info.choices:
            raise ConfigError(f'{name} must be one of {list(info.choices)}, got {value!r}.')


def _converted(name: str, value: Any, current: Any) -> Any:
    """`value` in the type of `current`; int becomes float, sequences become tuples."""
    if isinstance(current, tuple):
        values = list(value) if hasattr(value, '__len__') else []
        if len(values) != len(current) or not all(isinstance(x, Real) for x in values):
            raise ConfigError(f'{name} must be {len(current)} numbers, got {value!r}.')
        return tuple(float(x) for x in values)
    if isinstance(current, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(current):
        raise ConfigError(
            f'{name} must be {type(current).__name__}, got {type(value).__name__} {value!r}.'
        )
    return value
