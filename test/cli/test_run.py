"""`depth_ros run` on a folder whose depth is known."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.cli import run
from depth_ros.cli.main import main
from depth_ros.datasets.clouds import read_cloud
from depth_ros.pipeline.fusion import FusionPipeline

K = [[160.0, 0.0, 95.5], [0.0, 160.0, 63.5], [0.0, 0.0, 1.0]]


def test_run_writes_what_it_promises(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    assert main(['run', str(wall), '-o', str(out), '--format', 'png,npz,ply,pcd']) == 0
    pictures = {'', '_overlay', '_depth', '_sigma', '_error', '_cloud'}
    wanted = {
        f'front_{index}{end}'
        for index in range(3)
        for end in ('.npz', '.ply', '.pcd', *(f'{part}.png' for part in pictures))
    }
    assert {path.name for path in out.iterdir()} == wanted | {'config.json'}

    with np.load(out / 'front_1.npz', allow_pickle=False) as arrays:
        assert set(arrays) == {'depth_m', 'sigma_m', 'K', 'intrinsics_estimated', 'stamp_ns'}
        assert not arrays['intrinsics_estimated']
        np.testing.assert_allclose(arrays['depth_m'], np.full((128, 192), 6.0), atol=0.02)
        assert arrays['depth_m'].dtype == arrays['sigma_m'].dtype == np.float32
        assert np.all(arrays['sigma_m'] > 0)
        assert np.all(arrays['sigma_m'] < 0.5)
        np.testing.assert_array_equal(arrays['K'], K)
        assert int(arrays['stamp_ns']) == 100_000_000

    for suffix in ('ply', 'pcd'):
        points = read_cloud(out / f'front_0.{suffix}')
        assert points.shape == (128 * 192, 3)
        np.testing.assert_allclose(points[:, 2], 6.0, atol=0.02)
        np.testing.assert_allclose(points[0, :2], [6 * -95.5 / 160, 6 * -63.5 / 160], atol=0.02)

    depth = cv2.imread(str(out / 'front_0_depth.png'))
    assert depth.shape[1] == 192
    captured = capsys.readouterr()
    assert 'front_2' in captured.out
    assert f'wrote {out}' in captured.out
    assert captured.err == ''  # no progress bar without a terminal


def test_every_pipeline_is_closed_in_the_end(
    wall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr(FusionPipeline, 'close', lambda pipeline: closed.append(1))
    command = ['run', str(wall), '-o', str(tmp_path / 'o'), '--format', 'npz']
    assert main(command) == 0
    assert len(closed) == 1  # one camera
    (wall / 'sweep.bin').write_bytes(b'12345')
    assert main(command) == 2
    assert len(closed) == 2


def test_ply_carries_colour_and_sigma(wall: Path, tmp_path: Path) -> None:
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), '--format', 'ply']) == 0
    header = (tmp_path / 'o' / 'front_0.ply').read_bytes().split(b'end_header')[0].decode()
    assert 'element vertex 24576' in header
    for name in ('x', 'y', 'z', 'red', 'green', 'blue', 'sigma'):
        assert f' {name}\n' in header


def test_json_limit_and_settings(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['--limit', '2', '--format', 'npz', '--set', 'output.scale=0.5', '--json']
    arguments += ['--set', 'calibration.held_out_share=0.3']  # so that every image has some
    assert (
        main(['run', str(wall), '-o', str(tmp_path / 'o'), '--method', 'ip_basic', *arguments])
        == 0
    )
    summary = json.loads(capsys.readouterr().out)
    assert [row['image'] for row in summary['images']] == ['front_0', 'front_1']
    assert summary['images'][0]['median depth_m'] == pytest.approx(6.0, abs=0.01)
    assert [(row['camera'], row['method']) for row in summary['cameras']] == [
        ('front', 'ip_basic')
    ]
    assert summary['cameras'][0]['judged images'] == 1  # the first would grade itself
    with np.load(tmp_path / 'o' / 'front_0.npz') as arrays:
        assert arrays['depth_m'].shape == (64, 96)
        np.testing.assert_allclose(np.diag(arrays['K']), [80, 80, 1])
    written = json.loads((tmp_path / 'o' / 'config.json').read_text())
    assert written['settings']['output.scale'] == 0.5
    assert written['settings']['method'] == 'ip_basic'


def test_points_of_the_truth_stand_in_for_a_lidar(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = json.loads((wall / 'calib.json').read_text())
    for frame in calib['frames']:
        del frame['lidar']
    (wall / 'calib.json').write_text(json.dumps(calib))
    arguments = ['--format', 'npz', '--limit', '1', '--method', 'guided']
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), *arguments]) == 2
    wanted = 'There is no LiDAR for guided to complete; with --points N it takes N random pixels'
    assert wanted in capsys.readouterr().err
    arguments += ['--points', '500']
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), *arguments]) == 0
    with np.load(tmp_path / 'o' / 'front_0.npz') as arrays:
        assert np.nanmedian(arrays['depth_m']) == pytest.approx(6.0, abs=0.01)


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--set', 'output.size=1'], "Unknown setting 'output.size'"),
        (['--set', 'output.scale'], "--set wants NAME=VALUE, got 'output.scale'"),
        (['--set', 'output.scale=7'], 'output.scale must be at most 1, got 7.0'),
        (['--set', 'output.scale=big'], "output.scale must be float, got str 'big'"),
        (['--cameras', 'rear'], 'rear'),
    ],
)
def test_what_cannot_be_done_is_one_line(
    wall: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.startswith('depth_ros run: ')
    assert captured.err.count('\n') == 1
    assert said in captured.err
    assert not (tmp_path / 'o').exists()


@pytest.mark.parametrize('source', ['/no/such/folder', 'simulator:moon'])
def test_unknown_source_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    assert main(['run', source, '-o', str(tmp_path / 'o')]) == 2
    err = capsys.readouterr().err
    assert err.count('\n') == 1
    assert source.rpartition(':')[2] in err


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (['--format', 'png,gif'], "'gif' is none of png, npz, ply, pcd"),
        (['--limit', '0'], 'must be at least 1, got 0'),
        (['--method', 'magic'], "invalid choice: 'magic'"),
    ],
)
def test_bad_arguments_are_refused_by_the_parser(
    wall: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(['run', str(wall), '-o', 'unused', *arguments])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert 'Traceback' not in err


def test_a_broken_frame_is_named(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wall / 'sweep.bin').write_bytes(b'12345')
    assert main(['run', str(wall), '-o', str(tmp_path / 'o')]) == 2
    err = capsys.readouterr().err
    assert err.count('\n') == 1
    assert 'sweep.bin' in err


def test_interrupt_keeps_what_was_written(
    wall: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments):
        if arguments[-1].name == 'front_1':
            raise KeyboardInterrupt
        return completed(*arguments)

    completed = run._completed
    monkeypatch.setattr(run, '_completed', interrupted)
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), '--format', 'npz']) == 130
    assert sorted(path.name for path in (tmp_path / 'o').iterdir()) == [
        'config.json',
        'front_0.npz',
    ]
    captured = capsys.readouterr()
    assert 'interrupted after 1 of 3 images' in captured.err
    assert 'front_0' in captured.out
