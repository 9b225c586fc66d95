"""`depth_ros run` with one camera: without LiDAR, without metres, without a calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depth_ros.cli import intrinsics
from depth_ros.cli.main import main
from depth_ros.datasets.clouds import read_cloud
from depth_ros.frame import DepthKind, UInt8

HEIGHT, WIDTH = 128, 192  # of `wall`


def edited(wall: Path, **camera: Any) -> Path:
    """The wall without its LiDAR, and with other entries of its camera."""
    calib = json.loads((wall / 'calib.json').read_text())
    calib['cameras']['front'].update(camera)
    for frame in calib['frames']:
        del frame['lidar']
    (wall / 'calib.json').write_text(json.dumps(calib))
    return wall


class Focal:
    """Stands in for Depth Pro: image n of a camera gives the n-th focal length."""

    opened = 0
    closed = 0
    answers = (150.0, 90.0, 170.0)

    def __init__(self, weights: str, backend: str, precision: str, threads: int) -> None:
        type(self).opened += 1
        self._answers = iter(self.answers)

    def f_px(self, rgb: UInt8) -> float:
        assert rgb.dtype == np.uint8
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        return next(self._answers)

    def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def focal(monkeypatch: pytest.MonkeyPatch) -> type[Focal]:
    for name in ('opened', 'closed', 'answers'):
        monkeypatch.setattr(Focal, name, getattr(Focal, name))
    monkeypatch.setattr(intrinsics, 'FocalEstimator', Focal)
    return Focal


def test_a_camera_alone_gives_depth_and_a_cloud(
    wall: Path, mono: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    command = ['run', str(edited(wall)), '-o', str(out), '--method', 'mono', '--limit', '1']
    assert main([*command, '--format', 'png,npz,ply,pcd', '--json']) == 0
    (row,) = json.loads(capsys.readouterr().out)['images']
    assert row['returns'] == 0
    assert row['median depth_m'] == 6.0  # of what is neither unknown nor too far
    assert row['density'] == pytest.approx((HEIGHT - 1) * (WIDTH - 1) / (HEIGHT * WIDTH))
    with np.load(out / 'front_0.npz') as arrays:
        assert np.isposinf(arrays['depth_m'][0, 1:]).all()  # too far stays too far
        assert np.isnan(arrays['depth_m'][:, 0]).all()
    names = {path.name for path in out.glob('*.png')}
    assert names == {f'front_0{end}.png' for end in ('', '_depth', '_sigma', '_error', '_cloud')}
    grid = read_cloud(out / 'front_0.pcd').reshape(HEIGHT, WIDTH, 3)
    assert np.isnan(grid[0]).all()
    assert np.isnan(grid[:, 0]).all()
    np.testing.assert_allclose(grid[1:, 1:, 2], 6.0, rtol=1e-6)
    assert len(read_cloud(out / 'front_0.ply')) == (HEIGHT - 1) * (WIDTH - 1)


def test_nothing_known_is_a_dash_not_a_crash(
    wall: Path,
    mono: type,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    estimate = mono.estimate

    def nothing(self: Any, view: Any) -> Any:
        found = estimate(self, view)
        found.depth_m[:], found.sigma_m[:] = np.inf, np.nan
        return found

    monkeypatch.setattr(mono, 'estimate', nothing)
    command = ['run', str(edited(wall)), '-o', str(tmp_path / 'o'), '--method', 'mono']
    assert main([*command, '--limit', '1', '--format', 'png,ply']) == 0
    assert capsys.readouterr().out.splitlines()[3].split()[:5] == [
        'front_0',
        '0',
        '0.000',
        '-',
        '-',
    ]


def test_relative_depth_is_never_written_as_metres(
    wall: Path, mono: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mono.kind = DepthKind.DISPARITY_AFFINE
    out = tmp_path / 'out'
    command = ['run', str(edited(wall)), '-o', str(out), '--method', 'mono', '--limit', '1']
    assert main(command) == 0
    assert '_m' not in capsys.readouterr().out.splitlines()[0]
    with np.load(out / 'front_0.npz', allow_pickle=False) as arrays:
        assert set(arrays) == {'relative', 'kind', 'K', 'intrinsics_estimated', 'stamp_ns'}
        assert str(arrays['kind']) == 'disparity_affine'
        assert arrays['relative'][100, 100] == 100
    names = {path.name for path in out.glob('*.png')}
    assert names == {'front_0.png', 'front_0_relative.png'}
    assert main([*command, '--format', 'npz,ply']) == 2
    assert 'no metres and so no cloud' in capsys.readouterr().err


def test_a_camera_without_k_is_estimated_if_that_is_asked_for(
    wall: Path, mono: type, focal: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out'
    command = ['run', str(edited(wall, K=None)), '-o', str(out), '--format', 'npz,ply,pcd']
    assert main([*command, '--method', 'mono']) == 2
    said = capsys.readouterr().err
    assert 'front: no K' in said
    assert '--estimate-intrinsics' in said
    assert focal.opened == 0

    assert main([*command, '--estimate-intrinsics']) == 0  # by mono
    assert (focal.opened, focal.closed) == (1, 1)
    said = capsys.readouterr().err
    assert "WARNING: the intrinsics of camera 'front' are an ESTIMATE: f = 150.0 px" in said
    # 2 atan(96 / 150) = 65.24 degrees
    assert '65.2 degrees across (the median of 3 images, 90.0 to 170.0)' in said
    K = [[150, 0, 95.5], [0, 150, 63.5], [0, 0, 1]]
    for index in range(3):
        with np.load(out / f'front_{index}.npz') as arrays:
            assert arrays['intrinsics_estimated']
            np.testing.assert_array_equal(arrays['K'], K)
    told = json.loads((out / 'config.json').read_text())['intrinsics_estimated']['front']
    assert told['K'] == K
    assert told['f_px_by_image'] == [150.0, 90.0, 170.0]
    for suffix in ('ply', 'pcd'):
        assert b'intrinsics estimated, not calibrated' in (out / f'front_0.{suffix}').read_bytes()
        points = read_cloud(out / f'front_0.{suffix}')
        assert np.nanmax(points[:, 0]) == pytest.approx(6 * 95.5 / 150)


def test_a_folder_of_images_needs_the_option(
    mono: type, focal: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name in ('img_9.jpg', 'img_10.PNG'):
        cv2.imwrite(str(folder / name.lower()), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    command = ['run', str(folder), '-o', str(tmp_path / 'out'), '--format', 'png,npz', '--json']
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f'{folder}: 2 images, but nothing tells what camera took them' in said
    assert '--estimate-intrinsics' in said
    assert main([*command, '--estimate-intrinsics']) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [row['image'] for row in summary['images']] == ['camera_img_9', 'camera_img_10']
    assert summary['intrinsics_estimated']['camera']['K'][0][0] == 120.0  # of 150 and 90


def test_what_needs_lidar_is_refused_before_anything_is_estimated(
    wall: Path, focal: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['run', str(edited(wall, K=None)), '-o', str(tmp_path / 'o')]
    assert main([*command, '--estimate-intrinsics', '--method', 'guided']) == 2
    said = capsys.readouterr().err
    assert 'guided completes LiDAR' in said
    assert '--method mono' in said
    assert focal.opened == 0


def test_a_calibrated_camera_is_not_estimated(
    wall: Path, mono: type, focal: type, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['run', str(wall), '-o', str(tmp_path / 'o'), '--format', 'npz', '--limit', '1']
    assert main([*command, '--estimate-intrinsics']) == 0
    assert 'every camera has its calibration: nothing was estimated' in capsys.readouterr().err
    assert focal.opened == 0
    with np.load(tmp_path / 'o' / 'front_0.npz') as arrays:
        assert not arrays['intrinsics_estimated']


def test_without_weights_of_depth_pro_the_way_out_is_named(
    wall: Path, mono: type, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['run', str(edited(wall, K=None)), '-o', str(tmp_path / 'o')]
    assert main([*command, '--estimate-intrinsics']) == 2
    said = capsys.readouterr().err
    assert 'depth_ros models fetch depth-pro' in said
    assert 'Traceback' not in said
