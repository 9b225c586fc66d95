"""`depth_ros eval` as benchmarks judge, on trees as their archives unpack; and less LiDAR."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.cli.main import main

DRIVE = '2011_09_26_drive_0002_sync'


@pytest.fixture
def selection(tmp_path: Path) -> Path:
    """`val_selection_cropped`: two cameras, returns 10 m away, truth of 10.5 m and 10 m."""
    folder = tmp_path / 'val_selection_cropped'
    sparse = np.zeros((352, 1216), np.uint16)
    sparse[::4, ::4] = 2560
    truth = np.zeros((352, 1216), np.uint16)
    truth[100:200, 100:200] = 2688
    truth[100:200, 200:300] = 2560
    image = np.full((352, 1216, 3), 90, np.uint8)
    for camera in ('image_02', 'image_03'):
        stem = f'{DRIVE}_%s_0000000008_{camera}'
        for folder_name, kind, array in (
            ('image', 'image', image),
            ('velodyne_raw', 'velodyne_raw', sparse),
            ('groundtruth_depth', 'groundtruth_depth', truth),
        ):
            (folder / folder_name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / folder_name / f'{stem % kind}.png'), array)
        (folder / 'intrinsics').mkdir(exist_ok=True)
        text = '700 0 608 0 700 176 0 0 1'
        (folder / 'intrinsics' / f'{stem % "image"}.txt').write_text(text)
    return folder


def test_kitti_leaderboard_numbers(
    selection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'scores.json'
    methods = ['--method', 'guided', '--method', 'ip_basic']
    protocol = ['--protocol', 'kitti-dc', '--json', str(file)]
    assert main(['eval', str(selection), *methods, *protocol]) == 0
    for row in json.loads(file.read_text()):
        assert row['images'] == 2
        assert row['rmse_mm'] == pytest.approx(500 / np.sqrt(2), abs=3)
        assert row['mae_mm'] == pytest.approx(250, abs=3)
        assert row['imae_1_km'] == pytest.approx(1000 * (1 / 10 - 1 / 10.5) / 2, abs=0.05)
    out = capsys.readouterr().out
    title = 'val_selection_cropped, judged by depth_gt, protocol kitti-dc\n'
    assert out.startswith(title)
    head = out.removeprefix(title).split()[:6]
    assert head == ['method', 'images', 'RMSE', 'MAE', 'iRMSE', 'iMAE']


def test_results_for_the_server(selection: Path, tmp_path: Path) -> None:
    out = tmp_path / 'results'
    protocol = ['--protocol', 'kitti-dc', '--results', str(out)]
    assert main(['eval', str(selection), '--method', 'ip_basic', *protocol]) == 0
    names = [f'{camera}_{DRIVE}_0000000008.png' for camera in ('image_02', 'image_03')]
    assert sorted(path.name for path in (out / 'ip_basic').iterdir()) == names
    stored = cv2.imread(str(out / 'ip_basic' / names[0]), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    assert (stored == 2560).mean() > 0.99


def test_nyu_in_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    h5py = pytest.importorskip('h5py')
    folder = tmp_path / 'nyudepthv2' / 'val' / 'official'
    folder.mkdir(parents=True)
    with h5py.File(folder / '00001.h5', 'w') as file:
        file['rgb'] = np.full((3, 480, 640), 90, np.uint8)
        file['depth'] = np.full((480, 640), 2.5, np.float32)
    protocol = ['--protocol', 'nyu', '--method', 'guided']
    assert main(['eval', str(tmp_path / 'nyudepthv2'), *protocol]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ['method', 'images', 'RMSE', 'REL', 'delta1', 'delta2', 'delta3']
    row = lines[5].split()
    assert row[:2] == ['guided', '1']
    assert [float(cell) for cell in row[2:]] == pytest.approx([0, 0, 1, 1, 1], abs=1e-3)


@pytest.fixture
def rings(wall: Path) -> Path:
    """The wall, seen by a LiDAR of 16 beams in the camera's place instead."""
    azimuth = np.radians(np.arange(-28, 28, 0.4))
    up = np.tan(np.radians(np.linspace(-15, 15, 16)))[:, None]
    ahead = np.broadcast_arrays(6.0, 6.0 * np.tan(azimuth), 6.0 * up / np.cos(azimuth))
    np.stack(ahead, -1).reshape(-1, 3).astype(np.float32).tofile(wall / 'sweep.bin')
    calib = json.loads((wall / 'calib.json').read_text())
    axes = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    calib['cameras']['front']['T_cam_lidar'] = axes
    (wall / 'calib.json').write_text(json.dumps(calib))
    return wall


def test_lines_and_points(rings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['eval', str(rings), '--lines', '8', '--points', '300', '--limit', '1']) == 0
    assert main(['eval', str(rings), '--lines', '5', '--limit', '1']) == 0
    assert main(['eval', str(rings), '--rosette', '--limit', '1', '--method', 'nearest']) == 0
    assert main(['eval', str(rings), '--lines', '32']) == 2
    assert 'has 16 lines and cannot be thinned to 32' in capsys.readouterr().err
    assert main(['eval', str(rings), '--lines', '0']) == 2


def test_without_truth_the_lines_that_are_taken_away_judge(
    rings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = json.loads((rings / 'calib.json').read_text())
    for frame in calib['frames']:
        del frame['depth_gt']
    (rings / 'calib.json').write_text(json.dumps(calib))
    assert main(['eval', str(rings), '--lines', '7', '--method', 'nearest']) == 0
    assert capsys.readouterr().out.startswith('wall, judged by removed LiDAR\n')


def test_ablation_adds_the_baseline(
    rings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / 'ablation.json'
    arguments = ['--method', 'guided', '--ablation', '--json', str(file)]
    assert main(['eval', str(rings), *arguments]) == 0
    found = json.loads(file.read_text())
    labels = ['16 lines', '8 lines', '500 points', '100 points']
    assert [row['LiDAR'] for row in found] == [label for label in labels for _ in range(3)]
    assert [row['method'] for row in found] == 4 * ['guided', 'ip_basic', 'nearest']
    assert all(row['rmse_ratio'] == 1.0 for row in found[1::3])
    assert all(row['density'] == 1.0 for row in found[2::3])
    out = capsys.readouterr().out
    assert out.startswith('wall, judged by depth_gt\n')
    for label in (*labels, 'RMSE ratio', 'MAE ratio', 'AUSE', 'raw 1s', 'raw 2s', 'cov 1s'):
        assert label in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--results', 'out'], '--results are those of a benchmark'),
        (['--protocol', 'nyu', '--results', 'out'], 'give --protocol kitti-dc'),
        (
            ['--protocol', 'kitti-dc', '--results', 'out', '--lines', '16'],
            '--results scores nothing and takes all LiDAR',
        ),
        (['--ablation', '--lines', '16'], '--ablation thins the LiDAR in its own steps'),
        (['--ablation', '--rosette'], '--ablation thins the LiDAR in its own steps'),
        (['--ablation', '--points', '9'], '--ablation thins the LiDAR in its own steps'),
        (['--protocol', 'nyu'], 'NYUv2 has images of 640x480 pixels, got 192x128'),
        (['--protocol', 'kitti-dc'], '192x128 pixels has no window of 1216x352'),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    wall: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['eval', str(wall), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count('\n') == 1
