"""No reason for a drop without a sentence and a way out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import depth_ros
from depth_ros import errors
from depth_ros.errors import DepthRosError, reason_of
from depth_ros.nodes.reasons import NO_FAULT, SWEEPS, cause_of
from depth_ros.pipeline import sync
from depth_ros.pipeline.fusion import NO_RETURN

PACKAGE = Path(depth_ros.__file__).parent
UNFORESEEN = 'an error of the kind'
REASONED = {name for name in vars(errors) if name.endswith('Error')} - {
    'MissingDependencyError',  # its second argument is an extra
}
LIVE = ('nodes', 'messages', 'pipeline', 'methods', 'engines', 'models', 'geometry')


def given_reasons() -> Iterator[str]:
    """Every reason that code of the live path gives to an error of ours."""
    for layer in LIVE:
        for path in sorted((PACKAGE / layer).rglob('*.py')):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, 'id', '') in REASONED:
                    rest = [*node.args[1:], *(k.value for k in node.keywords if k.arg == 'reason')]
                    yield from (
                        value.value
                        for value in rest
                        if isinstance(value, ast.Constant) and isinstance(value.value, str)
                    )


def all_reasons() -> set[str]:
    of_pairing = {
        value for name, value in vars(sync).items() if name.isupper() and isinstance(value, str)
    }
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, DepthRosError)
    ]
    # What cannot come up while a node works on a frame.
    elsewhere = {'DepthRosError', 'DatasetError', 'EvaluationError', 'TrainingError', 'NodeError'}
    names = {kind.__name__ for kind in classes} - elsewhere - {'NotReadyError'}
    of_classes = {reason_of(type(name, (Exception,), {})()) for name in names}
    own = {'not_ready', 'bad_message', 'busy', 'no_extrinsic', 'memory_error'}
    return {*given_reasons(), *of_pairing, *of_classes, *own, NO_RETURN, *NO_FAULT, *SWEEPS}


@pytest.mark.parametrize('reason', sorted(all_reasons()))
def test_every_reason_has_a_sentence_and_a_way_out(reason: str) -> None:
    cause = cause_of(reason)
    assert cause.key == reason
    assert not cause.sentence.startswith(UNFORESEEN), f'{reason} is not in nodes/reasons.py'
    assert cause.sentence[0].islower()
    assert not cause.sentence.endswith('.')
    assert cause.way_out[0].isupper()
    assert cause.way_out.endswith('.')


def test_reasons_were_found() -> None:
    assert {'bad_step', 'no_sweep', 'no_return_in_view', 'image_size'} <= all_reasons()


def test_an_unforeseen_reason_is_named() -> None:
    cause = cause_of('zero_division_error')
    assert cause.sentence == f'{UNFORESEEN} zero_division_error came up'
    assert cause.way_out


@pytest.mark.parametrize(
    ('error', 'reason'),
    [
        (errors.PipelineError('no'), 'pipeline_error'),
        (errors.PipelineError('no', 'no_lidar'), 'no_lidar'),
        (errors.MissingDependencyError('torch', 'gpu'), 'missing_dependency_error'),
        (errors.NodeError('no'), 'bad_message'),
        (ValueError('no'), 'value_error'),
        (OSError('no'), 'os_error'),
        (MemoryError(), 'memory_error'),
    ],
)
def test_reasons_are_words_not_names_of_classes(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
