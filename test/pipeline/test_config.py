"""Settings: defaults are valid, changes are typed and checked, refusals name what was wrong."""

from __future__ import annotations

import pytest

from depth_ros.errors import ConfigError
from depth_ros.pipeline.config import OutputConfig, PipelineConfig, ProjectionConfig
from depth_ros.settings import flatten, options, replaced, validate

DEFAULTS = flatten(PipelineConfig())


def test_names_are_dotted_and_unique_over_the_tree():
    assert DEFAULTS['method'] == 'auto'
    assert DEFAULTS['projection.max_range_m'] == 120.0
    assert DEFAULTS['calibration.memory_frames'] == 50


@pytest.mark.parametrize('name', DEFAULTS)
def test_every_setting_explains_itself(name):
    info = options(PipelineConfig())[name]
    assert info.description.endswith('.')
    if name.endswith(('_m', '_s', '_px')):
        assert {'m': '[m]', 's': '[s]', 'px': '[pixels]'}[name.rsplit('_', 1)[1]] in (
            info.description
        )


def test_all_settings_round_trip():
    assert replaced(PipelineConfig(), DEFAULTS) == PipelineConfig()


def test_changes_reach_their_stage_and_leave_the_rest():
    config = replaced(
        PipelineConfig(),
        {'method': 'ip_basic', 'projection.max_range_m': 60.0, 'output.cloud_stride': 2},
    )
    changed = {name: value for name, value in flatten(config).items() if value != DEFAULTS[name]}
    assert changed == {
        'method': 'ip_basic',
        'projection.max_range_m': 60.0,
        'output.cloud_stride': 2,
    }
    assert flatten(PipelineConfig()) == DEFAULTS


def test_whole_numbers_and_lists_become_the_type_of_the_setting():
    config = replaced(
        PipelineConfig(), {'projection.max_range_m': 60, 'projection.ego_box_min': [-1, -2, 0]}
    )
    assert isinstance(config.projection.max_range_m, float)
    assert config.projection.ego_box_min == (-1.0, -2.0, 0.0)


def test_a_part_of_the_tree_can_be_changed_alone():
    assert replaced(OutputConfig(), {'scale': 0.5}) == OutputConfig(scale=0.5)


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('projection.max_rnge_m', 60.0, r"Unknown setting 'projection.max_rnge_m'; known are \["),
        ('max_range_m', 60.0, "Unknown setting 'max_range_m'"),
        (
            'method',
            'magic',
            r"method must be one of \['auto', 'lite', .*'ip_basic', 'nearest'\], got 'magic",
        ),
        ('method', 3, 'method must be str, got int 3'),
        ('output.scale', 1.5, 'output.scale must be at most 1, got 1.5'),
        ('output.scale', 0.0, 'output.scale must be at least 0.05, got 0.0'),
        ('output.scale', float('nan'), 'output.scale must be finite, got nan'),
        ('output.scale', True, 'output.scale must be float, got bool True'),
        ('output.scale', '0.5', "output.scale must be float, got str '0.5'"),
        ('output.cloud_stride', 2.0, 'output.cloud_stride must be int, got float 2.0'),
        ('projection.occlusion_filter', 1, 'must be bool, got int 1'),
        ('projection.ego_box_min', 'abc', "must be 3 numbers, got 'abc'"),
        ('projection.ego_box_min', (0.0, 0.0), r'must be 3 numbers, got \(0.0, 0.0\)'),
        ('projection.ego_box_min', ('a', 'b', 'c'), 'must be 3 numbers, got'),
        ('projection.ego_box_min', (0.0, None, 0.0), 'must be 3 numbers, got'),
        ('projection.ego_box_min', 1.0, 'must be 3 numbers, got 1.0'),
        ('projection.ego_box_min', (0.0, float('inf'), 0.0), 'must be finite'),
        ('calibration.held_out_share', 0.6, 'must be at most 0.5'),
        ('calibration.memory_frames', 0, 'must be at least 1'),
    ],
)
def test_bad_value_is_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        replaced(PipelineConfig(), {name: value})


def test_a_config_made_in_code_is_checked_too():
    with pytest.raises(ConfigError, match=r'projection\.max_range_m must be at least 1'):
        PipelineConfig(projection=ProjectionConfig(max_range_m=-5.0))
    with pytest.raises(ConfigError, match='max_range_m must be at least 1'):
        validate(ProjectionConfig(max_range_m=0.5))


def test_settings_that_contradict_each_other_are_refused_together():
    with pytest.raises(ConfigError, match='min_range_m must be below max_range_m'):
        replaced(PipelineConfig(), {'projection.min_range_m': 90.0, 'projection.max_range_m': 5.0})
    with pytest.raises(ConfigError, match='ego_box_min'):
        replaced(PipelineConfig(), {'projection.ego_box_min': [1.0, 0.0, 0.0]})
