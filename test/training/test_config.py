"""Settings of a run: read from YAML, refused by name, compared on resuming."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from depth_ros.errors import ConfigError, MissingDependencyError
from depth_ros.settings import flatten, options, replaced
from depth_ros.training.config import TrainConfig, differences, read
from depth_ros.training.distill import BPNET, LITE, LITE_FINETUNING, PRETRAINING, Objective

CONFIG = Path(__file__).resolve().parents[2] / 'config'
SHIPPED = sorted(CONFIG.glob('train_*.yaml'))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pytest.importorskip('yaml')
    path = tmp_path / 'mine.yaml'
    path.write_text('schedule:\n  steps: 77\nstudent: {name: bpnet}\nseed: 5\n')
    return path


def test_a_file_changes_what_it_names_and_arguments_go_over_it(file: Path) -> None:
    config = read(file, {'seed': 6, 'run.output': 'here'})
    changed = {
        name: value
        for name, value in flatten(config).items()
        if value != flatten(TrainConfig())[name]
    }
    assert changed == {
        'schedule.steps': 77,
        'student.name': 'bpnet',
        'seed': 6,
        'run.output': 'here',
    }


def test_numbers_that_yaml_takes_for_words_are_numbers(file: Path) -> None:
    file.write_text('optimizer: {lr: 1e-3, weight_decay: 0, clip: 5e+0}')
    assert read(file).optimizer.lr == 1e-3
    assert read(file).optimizer.clip == 5.0


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('optimizer: {learning_rate: 1.0}', r"mine\.yaml: Unknown setting 'optimizer\.learning_"),
        ('optimiser: {lr: 1.0}', r"Unknown setting 'optimiser\.lr'"),
        ('schedule: {steps: many}', r"schedule\.steps must be int, got str 'many'"),
        ('optimizer: {lr: fast}', r"optimizer\.lr must be float, got str 'fast'"),
        ('schedule: {kind: linear}', r"schedule\.kind must be one of .*'cosine'.*'linear'"),
        ('optimizer: {batch: 0}', r'optimizer\.batch must be at least 1, got 0'),
        ('student: lite', r"Unknown setting 'student'"),
        ('- a list', r'must hold settings by name, got list'),
        ('', r'must hold settings by name, got NoneType'),
        ('a: [', r'mine\.yaml is no YAML'),
        ('a: !!python/object/apply:os.getcwd []', r'is no YAML: .*could not determine'),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=f'(?s){message}'):
        read(file)


def test_a_missing_library_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'yaml', None)
    with pytest.raises(MissingDependencyError, match=r'pyyaml.*depth_ros\[train\]'):
        read(file)


@pytest.mark.parametrize('name', flatten(TrainConfig()))
def test_every_setting_explains_itself(name: str) -> None:
    assert options(TrainConfig())[name].description.endswith('.')


def test_only_how_it_is_run_may_differ_between_sessions(file: Path) -> None:
    saved = flatten(read(file))
    assert differences(saved, read(file, {'run.workers': 9, 'run.max_hours': 2.0})) == []
    assert differences(saved, read(file, {'optimizer.lr': 1.0, 'seed': 6})) == [
        'seed: 5 -> 6',
        'optimizer.lr: 0.002 -> 1.0',
    ]


def test_settings_that_came_later_had_their_defaults_and_those_that_went_are_missed() -> None:
    config = TrainConfig()
    older = {name: value for name, value in flatten(config).items() if name != 'optimizer.beta2'}
    assert differences(older, config) == []
    changed = replaced(config, {'optimizer.beta2': 0.99})
    assert differences(older, changed) == ['optimizer.beta2: 0.999 -> 0.99']
    assert differences({**older, 'optimizer.gone': 3}, config) == ['optimizer.gone: 3 -> None']


def test_the_terms_of_the_objective_can_be_set() -> None:
    """Both state them: one as settings with limits, one as what is computed."""
    mine = {f.name: f.default for f in dataclasses.fields(TrainConfig().objective)}
    assert mine == {f.name: f.default for f in dataclasses.fields(Objective)}


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_valid_and_name_their_own_output(path: Path) -> None:
    pytest.importorskip('yaml')
    assert read(path).run.output == f'out/{path.stem}'
    assert f'--config config/{path.name}' in path.read_text()


def test_shipped_objectives_are_those_of_the_stages() -> None:
    pytest.importorskip('yaml')
    stages = {
        'bpnet_kitti': BPNET,
        'dmd3c_stage1': PRETRAINING,
        'lite_stage1': LITE,
        'lite_stage2': LITE_FINETUNING,
    }
    for name, objective in stages.items():
        config = read(CONFIG / f'train_{name}.yaml')
        assert Objective(**dataclasses.asdict(config.objective)) == objective, name


def test_bpnet_is_trained_as_its_authors_say() -> None:
    pytest.importorskip('yaml')
    config = read(CONFIG / 'train_bpnet_kitti.yaml')
    gpus = 4
    frames = config.schedule.steps * config.optimizer.batch * gpus
    assert frames / 85898 == pytest.approx(30, abs=1e-4)  # epochs
    assert config.held_out.every * config.optimizer.batch * gpus == pytest.approx(85898, abs=8)
