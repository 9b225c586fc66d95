"""`depth_ros eval` on a folder whose depth is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depth_ros.cli.main import main
from depth_ros.frame import DepthKind

KEYS = (
    'method images skipped per_image rmse_mm mae_mm irmse_1_km imae_1_km rel sq_rel_m rmse_log '
    'silog log10 delta1 delta2 delta3 boundary_f1 coverage_1sigma coverage_2sigma ause nll '
    'density rmse_filled_mm mae_filled_mm ms'
)


def test_json_has_the_agreed_keys_and_the_right_values(wall: Path, tmp_path: Path) -> None:
    file = tmp_path / 'scores' / 'guided.json'
    assert main(['eval', str(wall), '--method', 'guided', '--json', str(file)]) == 0
    scores = json.loads(file.read_text())
    assert set(scores) == {*KEYS.split(), 'judged by'}
    assert (scores['method'], scores['images'], scores['density']) == ('guided', 3, 1.0)
    assert scores['rmse_mm'] == scores['rmse_filled_mm'] < 10.0  # the wall is 6 m away
    assert scores['mae_mm'] <= scores['rmse_mm']
    assert scores['delta1'] == 1.0
    stages = {name: time for name, time in scores['ms'].items() if name != 'total'}
    assert {'project', 'complete'} <= set(stages)
    assert all(time >= 0 for time in stages.values())


def test_methods_stand_side_by_side(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'both.json'
    methods = ['--method', 'ip_basic', '--method', 'guided']
    assert main(['eval', str(wall), '--limit', '2', *methods, '--json', str(file)]) == 0
    assert [(row['method'], row['images']) for row in json.loads(file.read_text())] == [
        ('ip_basic', 2),
        ('guided', 2),
    ]
    out = capsys.readouterr().out
    assert out.startswith('wall, judged by depth_gt\n')
    for label in ('RMSE', 'MAE', 'iRMSE', 'iMAE', 'REL', 'delta1', 'cov 1s', 'AUSE', 'NLL'):
        assert label in out
    assert out.count('\nguided') == out.count('\nip_basic') == 4  # tables


def test_without_truth_held_out_returns_judge(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = json.loads((wall / 'calib.json').read_text())
    for frame in calib['frames']:
        del frame['depth_gt']
    (wall / 'calib.json').write_text(json.dumps(calib))

    def rmse_mm(*arguments: str) -> float:
        file = tmp_path / 'scores.json'
        assert main(['eval', str(wall), '--limit', '1', '--json', str(file), *arguments]) == 0
        return json.loads(file.read_text())['rmse_mm']

    assert rmse_mm() == rmse_mm('--seed', '0')
    assert capsys.readouterr().out.startswith('wall, judged by held-out LiDAR\n')
    assert main(['eval', str(wall), '--held-out', '0.9']) == 2
    assert 'held out must be in (0, 0.5], got 0.9' in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(
    wall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beneath_a_file = str(wall / 'calib.json' / 'scores.json')
    assert main(['eval', str(wall), '--limit', '1', '--json', beneath_a_file]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith('depth_ros eval: ')
    assert sum(line.startswith('depth_ros eval: ') for line in told) == 1
    assert 'Traceback' not in told[0]


COMPLETION = {'iRMSE', 'iMAE', 'RMSE filled'}
MONOCULAR = {'SqRel', 'RMSE log', 'SILog', 'log10', 'delta2', 'delta3', 'boundary F1'}


@pytest.mark.parametrize(
    ('arguments', 'shown'),
    [
        (['--method', 'guided'], COMPLETION),
        (['--method', 'mono'], MONOCULAR),
        (['--method', 'guided', '--method', 'mono'], COMPLETION | MONOCULAR),
        (['--method', 'guided', '--metrics', 'monocular'], MONOCULAR),
        (['--method', 'mono', '--metrics', 'completion'], COMPLETION),
        (['--metrics', 'all'], COMPLETION | MONOCULAR),
    ],
)
def test_tables_suit_the_methods(
    wall: Path,
    mono: object,
    arguments: list[str],
    shown: set[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['eval', str(wall), '--limit', '1', *arguments]) == 0
    out = capsys.readouterr().out
    assert {label for label in COMPLETION | MONOCULAR if label in out} == shown
    assert all(label in out for label in ('REL', 'delta1', 'cov 1s', 'total'))
    assert max(map(len, out.splitlines())) <= 100


def test_relative_depth_is_refused_with_the_reason(
    wall: Path, mono: type, capsys: pytest.CaptureFixture[str]
) -> None:
    mono.kind = DepthKind.DISPARITY_AFFINE
    assert main(['eval', str(wall), '--method', 'mono']) == 2
    err = capsys.readouterr().err
    assert 'disparity_affine, whose scale and shift are unknown' in err
    assert err.count('\n') == 1
