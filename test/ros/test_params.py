"""ROS parameters declared from config dataclasses, read back, changed and refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

pytest.importorskip('rclpy')
from rcl_interfaces.msg import ParameterType
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.parameter import Parameter

from depth_ros.errors import ConfigError, MethodError
from depth_ros.nodes import params
from depth_ros.nodes.node_config import CompletionNodeConfig, ExtrinsicConfig
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.settings import flatten, options

CONFIGS = [PipelineConfig(), CompletionNodeConfig()]


def overrides(**values: Any) -> dict[str, Any]:
    return {
        'parameter_overrides': [
            Parameter(k.replace('__', '.'), value=v) for k, v in values.items()
        ]
    }


@pytest.mark.parametrize('config', CONFIGS, ids=lambda c: type(c).__name__)
def test_declared_and_read_back_is_the_same_config(ros: Any, config: Any) -> None:
    node = ros.node('params')
    params.declare(node, config)
    assert params.read(node, type(config)()) == config


@pytest.mark.parametrize('config', CONFIGS, ids=lambda c: type(c).__name__)
def test_descriptors_say_what_the_options_say(ros: Any, config: Any) -> None:
    node = ros.node('params')
    params.declare(node, config, 'p.', read_only={next(iter(flatten(config)))})
    for index, (name, info) in enumerate(options(config).items()):
        descriptor = node.describe_parameter(f'p.{name}')
        assert descriptor.description == info.description
        assert descriptor.read_only == (index == 0)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        two_ends = None not in (info.minimum, info.maximum)
        assert [(r.from_value, r.to_value) for r in ranges] == (
            [(info.minimum, info.maximum)] if two_ends else []
        )
        for choice in info.choices:
            assert choice in descriptor.additional_constraints


def test_types_are_those_of_the_fields(ros: Any) -> None:
    node = ros.node('params')
    params.declare(node, PipelineConfig())
    for name, kind in {
        'projection.max_range_m': ParameterType.PARAMETER_DOUBLE,
        'projection.ego_box_min': ParameterType.PARAMETER_DOUBLE_ARRAY,
        'sync.sweeps': ParameterType.PARAMETER_INTEGER,
        'calibration.enabled': ParameterType.PARAMETER_BOOL,
        'method': ParameterType.PARAMETER_STRING,
    }.items():
        assert node.describe_parameter(name).type == kind


def test_one_sided_limit_is_in_the_text(ros: Any) -> None:
    node = ros.node('params')
    params.declare(node, PipelineConfig())
    assert node.describe_parameter('projection.max_range_m').additional_constraints == 'at least 1'


def test_overrides_count_and_integers_do_for_doubles(ros: Any) -> None:
    node = ros.node(
        'params',
        **overrides(projection__max_range_m=60, projection__ego_box_max=[1, 2, 3], sync__sweeps=3),
    )
    params.declare(node, PipelineConfig())
    config = params.read(node, PipelineConfig())
    assert config.projection.max_range_m == 60.0
    assert isinstance(config.projection.max_range_m, float)
    assert config.projection.ego_box_max == (1.0, 2.0, 3.0)
    assert config.sync.sweeps == 3


@pytest.mark.parametrize(
    ('name', 'value'),
    [('sync__sweeps', 0), ('sync__sweeps', 'many'), ('sync__max_sync_slop_s', 99.0)],
)
def test_bad_override_is_refused_when_declared(ros: Any, name: str, value: Any) -> None:
    node = ros.node('params', **overrides(**{name: value}))
    with pytest.raises(ConfigError, match=name.replace('__', '.')):
        params.declare(node, PipelineConfig())


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('projection__max_range_m', 0.5),
        ('projection__max_range_m', 'far'),
        ('projection__ego_box_min', [1.0, 2.0]),
        ('projection__ego_box_min', ['1', '2', '3']),
        ('projection__ego_box_min', 'none'),
        ('method', 'magic'),
    ],
)
def test_override_that_ros_cannot_check_is_refused_when_read(
    ros: Any, name: str, value: Any
) -> None:
    node = ros.node('params', **overrides(**{name: value}))
    params.declare(node, PipelineConfig())
    with pytest.raises(ConfigError, match=name.split('__')[-1]):
        params.read(node, PipelineConfig())


def test_unknown_read_only_setting_is_refused(ros: Any) -> None:
    with pytest.raises(ConfigError, match='magic'):
        params.declare(ros.node('params'), PipelineConfig(), read_only={'magic'})


def test_a_part_of_the_settings_is_declared_read_and_followed(ros: Any) -> None:
    node = ros.node('params', **overrides(output__scale=0.5))
    applied: list[PipelineConfig] = []
    params.declare(node, PipelineConfig(), only=('output.', 'method'))
    config = params.read(node, PipelineConfig(method='guided'))
    assert config == dataclasses.replace(
        PipelineConfig(), output=dataclasses.replace(PipelineConfig().output, scale=0.5)
    )
    assert not node.has_parameter('projection.max_range_m')
    params.follow(node, config, applied.append)
    with pytest.raises(ParameterNotDeclaredException):
        node.set_parameters([Parameter('projection.max_range_m', value=60.0)])
    assert node.set_parameters([Parameter('output.scale', value=0.25)])[0].successful
    assert [config.output.scale for config in applied] == [0.25]


class Followed:
    """A node with followed parameters and the configs that were applied."""

    def __init__(self, ros: Any, prefix: str = '') -> None:
        self.applied: list[PipelineConfig] = []
        self.node = ros.node('params')
        params.declare(self.node, PipelineConfig(), prefix, read_only={'sync.sweeps'})
        params.follow(self.node, PipelineConfig(), self.apply, prefix)

    def apply(self, config: PipelineConfig) -> None:
        if config.method == 'ip_basic':
            raise MethodError('ip_basic cannot run today.')
        if config.method == 'nearest':
            raise RuntimeError('no home directory')
        self.applied.append(config)

    def set(self, **values: Any) -> Any:
        return self.node.set_parameters_atomically(overrides(**values)['parameter_overrides'])


def test_change_is_applied_and_the_next_builds_on_it(ros: Any) -> None:
    followed = Followed(ros)
    assert followed.set(output__cloud_stride=4).successful
    assert followed.set(projection__max_range_m=50).successful
    assert [(c.output.cloud_stride, c.projection.max_range_m) for c in followed.applied] == [
        (4, 120.0),
        (4, 50.0),
    ]
    assert followed.node.get_parameter('output.cloud_stride').value == 4


@pytest.mark.parametrize(
    ('values', 'reason'),
    [
        ({'projection__max_range_m': 0.0}, 'at least 1'),
        ({'projection__max_range_m': float('nan')}, 'finite'),
        ({'projection__max_range_m': True}, 'must be float'),
        ({'projection__ego_box_min': [0.0]}, '3 numbers'),
        ({'output__cloud_stride': 0}, 'out of range'),
        ({'output__cloud_stride': 2.0}, 'Wrong parameter type'),
        ({'method': 'magic'}, 'one of'),
        ({'method': 'ip_basic'}, 'cannot run today'),
        ({'method': 'nearest'}, 'cannot be changed so (RuntimeError: no home directory)'),
        ({'sync__sweeps': 2}, 'read-only'),
    ],
)
def test_bad_change_is_refused_with_the_reason_and_nothing_applied(
    ros: Any, values: dict[str, Any], reason: str
) -> None:
    followed = Followed(ros)
    result = followed.set(output__max_sigma_m=1.0, **values)
    assert not result.successful
    assert reason in result.reason
    assert followed.applied == []
    assert followed.node.get_parameter('output.max_sigma_m').value == 0.0
    assert followed.set(output__max_sigma_m=2.0).successful
    assert followed.applied == [
        dataclasses.replace(
            PipelineConfig(), output=dataclasses.replace(PipelineConfig().output, max_sigma_m=2.0)
        )
    ]


def test_parameter_cannot_be_removed(ros: Any) -> None:
    followed = Followed(ros)
    empty = Parameter('projection.max_range_m', Parameter.Type.NOT_SET)
    assert not followed.node.set_parameters_atomically([empty]).successful
    assert followed.node.has_parameter('projection.max_range_m')


def test_prefix_keeps_two_configs_apart(ros: Any) -> None:
    followed = Followed(ros, 'left.')
    assert followed.set(left__output__cloud_stride=2, use_sim_time=False).successful
    assert [c.output.cloud_stride for c in followed.applied] == [2]


def test_foreign_parameters_are_let_through(ros: Any) -> None:
    followed = Followed(ros)
    assert followed.set(use_sim_time=False).successful
    assert followed.applied == []


def test_node_config_is_checked_at_the_door() -> None:
    with pytest.raises(ConfigError, match='qos'):
        CompletionNodeConfig(qos='quick')
    with pytest.raises(ConfigError, match=r'extrinsic\.source'):
        CompletionNodeConfig(extrinsic=ExtrinsicConfig(source='guess'))
