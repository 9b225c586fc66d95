"""Tables for people, JSON for programs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from depth_ros.datasets.lost import LostImage
from depth_ros.errors import EvaluationError
from depth_ros.evaluation.evaluate import Evaluation, ImageResult
from depth_ros.evaluation.metrics import Scores
from depth_ros.evaluation.report import table, to_json, write_json
from depth_ros.evaluation.support import SupportScores

KEYS = [
    'method',
    'judged by',
    'images',
    'skipped',
    'per_image',
    'rmse_mm',
    'mae_mm',
    'irmse_1_km',
    'imae_1_km',
    'rel',
    'sq_rel_m',
    'rmse_log',
    'silog',
    'log10',
    'delta1',
    'delta2',
    'delta3',
    'boundary_f1',
    'coverage_1sigma',
    'coverage_2sigma',
    'ause',
    'nll',
    'density',
    'ms',
    'rmse_filled_mm',
    'mae_filled_mm',
]
SCORES = Scores(
    rmse_mm=1000.0,
    mae_mm=250.0,
    irmse_1_km=1.5,
    imae_1_km=0.8,
    rel=0.01,
    sq_rel_m=0.002,
    rmse_log=0.02,
    silog=1.2,
    log10=0.004,
    delta1=0.99,
    delta2=1.0,
    delta3=1.0,
    boundary_f1=0.3,
    coverage_1sigma=0.68,
    coverage_2sigma=np.nan,
    ause=0.1,
    nll=-0.5,
    density=0.98,
    rmse_filled_mm=1100.0,
    mae_filled_mm=260.0,
)
SUPPORT = SupportScores(*np.zeros((6, 4)))


def test_json_has_exactly_the_keys_that_are_promised(tmp_path):
    path = tmp_path / 'deep' / 'guided.json'
    timings_ms = {'project': 4.2, 'complete': np.float64(10)}
    image = ImageResult('left_0', 'left', 'depth_gt', SCORES, SUPPORT, timings_ms)
    lost = LostImage('left_1', 'left', 'b.png: no such image.')
    write_json(path, to_json(Evaluation('guided', True, (image,), (lost,))))
    read = json.loads(path.read_text())
    assert sorted(read) == sorted(KEYS)
    assert read['coverage_2sigma'] is None  # NaN is no JSON
    assert read['ms'] == {'project': 4.2, 'complete': 10.0, 'total': 14.2}
    assert (read['method'], read['images'], read['rmse_mm']) == ('guided', 1, 1000.0)
    first, second = read['per_image']
    assert (first['image'], first['camera'], first['judged by']) == ('left_0', 'left', 'depth_gt')
    assert (first['rmse_mm'], first['ms']) == (1000.0, {'project': 4.2, 'complete': 10.0})
    assert second == {'image': 'left_1', 'camera': 'left', 'skipped': 'b.png: no such image.'}
    assert [p.name for p in path.parent.iterdir()] == ['guided.json']


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / 'scores.json'
    write_json(path, {'a': 1})
    with pytest.raises(TypeError):
        write_json(path, {'a': object()})
    assert json.loads(path.read_text()) == {'a': 1}


def test_a_table_has_labels_units_and_aligned_columns():
    lines = table(
        [
            {'method': 'guided', 'rmse_mm': 877.2, 'ms': {'fit': 9.64}, 'error_m': 0.1},
            {'method': 'ip_basic', 'rmse_mm': 1061.3, 'ms': {'fit': 6.8}, 'error_m': None},
        ]
    ).splitlines()
    assert lines[0].split() == ['method', 'RMSE', 'fit', 'error']
    assert lines[1].split() == ['mm', 'ms', 'm']
    assert lines[3].split() == ['guided', '877', '9.6', '0.100']
    assert lines[4].split() == ['ip_basic', '1061', '6.8', '-']
    assert len({len(line) for line in lines[2:]}) == 1


def test_a_unit_at_the_end_of_a_key_goes_to_the_line_of_units():
    row = {'topic': 'depth/points', 'sent': 50, 'rate sent_Hz': 10.0, 'latency_ms': 41.26}
    labels, units, _, values = table([row]).splitlines()
    assert labels == 'topic         sent  rate sent  latency'
    assert units == '                           Hz       ms'
    assert values == 'depth/points    50      10.00     41.3'


def test_a_score_keeps_its_label_whatever_its_ending():
    labels, units, *_ = table([{'rmse_mm': 1.0, 'irmse_1_km': 2.0}]).splitlines()
    assert (labels.split(), units.split()) == (['RMSE', 'iRMSE'], ['mm', '1/km'])


@pytest.mark.parametrize('nan', [None, np.nan, np.float32('nan')])
def test_unknown_values_are_a_dash(nan):
    assert table([{'density': nan}]).splitlines()[-1].strip() == '-'


def test_without_units_there_is_no_line_of_units():
    lines = table([{'method': 'guided', 'density': 0.5}]).splitlines()
    assert len(lines) == 3


def test_rows_must_have_the_same_keys():
    with pytest.raises(EvaluationError):
        table([{'a': 1}, {'b': 2}])
    with pytest.raises(EvaluationError):
        table([])
