"""ROS parameters made from a config dataclass, in one loop, and read back into it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from depth_ros.errors import ConfigError, DepthRosError
from depth_ros.settings import Option, flatten, options, replaced


def declare(
    node: Node,
    config: Any,
    prefix: str = '',
    read_only: Collection[str] = frozenset(),
    only: tuple[str, ...] = ('',),
) -> None:
    """Declare one parameter per setting of `config`, with its value as the default.

    Args:
        node: node to declare on.
        config: config dataclass whose fields were made with `option`.
        prefix: put before each name, with its dot.
        read_only: settings, by dotted name without prefix, that cannot change at run time.
        only: how the names of the settings to declare begin, such as `output.`.

    Raises:
        ConfigError: an override given at the start is of the wrong type or out of range, or
            `read_only` names an unknown setting.
    """
    infos = options(config)
    if unknown := set(read_only) - set(infos):
        raise ConfigError(f'Unknown read-only settings {sorted(unknown)}.')
    for name, value in flatten(config).items():
        if not name.startswith(only):
            continue
        default = list(value) if isinstance(value, tuple) else value
        try:
            node.declare_parameter(
                prefix + name, default, _descriptor(infos[name], value, name in read_only)
            )
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ConfigError(str(error)) from error


def warn_of_unknown(node: Node) -> None:
    """Log the parameters given at the start that no `declare` knows, such as misspelt ones."""
    unknown = sorted(set(node._parameter_overrides) - set(node._parameters))
    if unknown:
        node.get_logger().warning(f'Unknown parameters are ignored: {", ".join(unknown)}.')


def read(node: Node, config: Any, prefix: str = '') -> Any:
    """`config` with the values of those of its parameters that are declared.

    Raises:
        ConfigError: a value has the wrong type or is out of range.
    """
    names = (name for name in flatten(config) if node.has_parameter(prefix + name))
    return _changed(config, {name: node.get_parameter(prefix + name).value for name in names})


def follow(node: Node, config: Any, apply: Callable[[Any], None], prefix: str = '') -> None:
    """Check every change of the parameters as a whole and hand on the new config.

    Parameters that are not settings of `config` are let through.

    Args:
        node: node on which they were declared.
        config: the config in force, as `read` gave it.
        apply: gets the new config; refuses it by raising a `DepthRosError`, whose message
            becomes the reason, as does anything else that it raises.
        prefix: as for `declare`.
    """
    in_force = config

    def on_set(parameters: Sequence[Parameter]) -> SetParametersResult:
        nonlocal in_force
        named = {p.name[len(prefix) :]: p.value for p in parameters if p.name.startswith(prefix)}
        changes = {name: value for name, value in named.items() if name in flatten(in_force)}
        if not changes:
            return SetParametersResult(successful=True)
        try:
            candidate = _changed(in_force, changes)
            apply(candidate)
        except DepthRosError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:  # raised from here it would end the process
            name, why = ', '.join(changes), f'{type(error).__name__}: {error}'.rstrip(':. ')
            reason = f'{name} cannot be changed so ({why}); please report it.'
            return SetParametersResult(successful=False, reason=reason)
        in_force = candidate
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)


def _changed(config: Any, values: dict[str, Any]) -> Any:
    """`config` with ROS values; arrays must hold numbers (the middleware also sends others)."""
    current = flatten(config)
    for name, value in values.items():
        if isinstance(current[name], tuple):
            items = [] if value is None or isinstance(value, (str, bool)) else list(value)
            if any(isinstance(x, (str, bool, bytes)) for x in items):
                raise ConfigError(f'{name} must be {len(current[name])} numbers, got {items}.')
    return replaced(config, values)


def _descriptor(info: Option, value: Any, read_only: bool) -> ParameterDescriptor:
    """Descriptor of a setting.

    Numbers with a fraction are typed dynamically, so that `5` and `[0, 0, 1]` do for `5.0` and
    `[0.0, 0.0, 1.0]`; `replaced` still refuses what is not a number. A ROS range needs two ends:
    a limit on one side goes into the text, and `replaced` holds it.
    """
    descriptor = ParameterDescriptor(
        description=info.description,
        read_only=read_only,
        dynamic_typing=isinstance(value, (float, tuple)),
        additional_constraints=_constraints(info),
    )
    if info.minimum is not None and info.maximum is not None:
        if isinstance(value, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(info.minimum), to_value=float(info.maximum))
            ]
        elif isinstance(value, int):
            descriptor.integer_range = [
                IntegerRange(from_value=int(info.minimum), to_value=int(info.maximum))
            ]
    return descriptor


def _constraints(info: Option) -> str:
    if info.choices:
        return 'one of: ' + ', '.join(info.choices)
    limits = (('at least', info.minimum), ('at most', info.maximum))
    return ', '.join(f'{word} {limit:g}' for word, limit in limits if limit is not None)
