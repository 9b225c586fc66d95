"""`depth_ros run --method bpnet` on a real sample, with meaningless weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from depth_ros.cli.main import main


def test_kitti_sample_goes_through_at_a_reduced_size(
    data_dir: Path,
    key_named_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'cache'))
    out = tmp_path / 'out'
    settings = {
        'bpnet.weights': key_named_weights,
        'engine.backend': 'torch',
        'output.scale': 0.1,
    }
    arguments = [f'--set={name}={value}' for name, value in settings.items()]
    source = data_dir / 'kitti_obj_000001'
    assert main(['run', str(source), '-o', str(out), '--method', 'bpnet', *arguments]) == 0
    (archive,) = out.glob('*.npz')
    with np.load(archive, allow_pickle=False) as arrays:
        depth_m, sigma_m = arrays['depth_m'], arrays['sigma_m']
    assert depth_m.shape == (38, 124)
    known = np.isfinite(depth_m)
    assert known.mean() > 0.5  # the others are behind the camera: these weights mean nothing
    assert (depth_m[known] > 0).all()
    assert (sigma_m[known] > 0).all()
    said = capsys.readouterr()
    assert 'method bpnet: chosen by the parameter `method`' in said.err
    assert 'torch fp32 on cpu' in said.out
    assert json.loads((out / 'config.json').read_text())['settings']['method'] == 'bpnet'


def test_missing_weights_are_named_with_the_way_out(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path / 'cache'))
    source = data_dir / 'kitti_obj_000001'
    command = ['run', str(source), '-o', str(tmp_path / 'out'), '--method', 'bpnet']
    assert main(command) == 2
    said = capsys.readouterr().err
    assert 'No weights for bpnet.weights are here' in said
    assert 'depth_ros models fetch dmd3c' in said
    assert 'licence' in said
    assert not (tmp_path / 'out').exists()
