"""`depth_ros demo`: what it counts and judges. `make demo` runs the whole."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.cli import demo
from depth_ros.cli.main import main
from depth_ros.datasets.simulator import Simulator
from depth_ros.frame import Frame
from depth_ros.pipeline.config import PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import FusionResult

ARRIVALS = 'arrivals_stamp_and_receipt_ns'
S = 1_000_000_000


def test_without_rclpy_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    out = tmp_path / 'out'
    assert main(['demo', '-o', str(out)]) == 2
    assert capsys.readouterr().err == (
        "depth_ros demo: 'rclpy' is not installed; "
        'install it with `pip install "depth_ros[ros]"`.\n'
    )
    assert not out.exists()


def test_arrivals_are_counted_by_stamp_and_timed_by_receipt() -> None:
    # Four frames at 10 Hz. Depth arrives whole, 0.3 s from first to last: 3 / 0.3 s = 10 Hz.
    # Sigma lacks two, and of the rest one came twice; 2 steps in 0.4 s = 5 Hz. No cloud came.
    recording = {
        ARRIVALS: {
            'depth': [[k, 5 * S + k * S // 10] for k in range(4)],
            'sigma': [[0, 5 * S], [2, 5 * S + S // 5], [2, 5 * S + 2 * S // 5]],
            'cloud': [],
        }
    }
    rows, lost = demo._arrivals(recording, 4, 10.0)
    depth, sigma, cloud = rows
    assert lost == 4
    assert [row['topic'] for row in rows] == ['depth', 'sigma', 'cloud']
    assert [row['sent'] for row in rows] == [4, 4, 4]
    assert [row['received'] for row in rows] == [4, 2, 0]
    assert [row['lost'] for row in rows] == [0, 2, 4]
    assert depth['rate received_Hz'] == pytest.approx(10.0)
    assert sigma['rate received_Hz'] == pytest.approx(5.0)
    assert math.isnan(cloud['rate received_Hz'])


@pytest.mark.parametrize(
    ('takes_s', 'rate_hz'), [(0.02, 10.0), (0.05, 10.0), (0.08, 6.0), (0.1, 5.0), (4.0, 0.5)]
)
def test_frames_come_no_faster_than_twice_their_completion_takes(
    takes_s: float, rate_hz: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo._rate_hz('lite', takes_s) == rate_hz
    said = capsys.readouterr().err
    assert ('lite takes' in said and 'instead of 10 Hz' in said) == (rate_hz < 10)


def test_the_first_frame_is_completed_and_timed(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock_s = 0.0

    class Slow(FusionPipeline):
        def process(self, frame: Frame) -> FusionResult:
            nonlocal clock_s
            clock_s += 0.25
            return super().process(frame)

    monkeypatch.setattr(demo, 'FusionPipeline', Slow)
    monkeypatch.setattr(demo.time, 'perf_counter', lambda: clock_s)
    result, takes_s = demo._first(simulator, PipelineConfig(method='guided'))
    assert takes_s == pytest.approx(0.25)
    np.testing.assert_array_equal(result.view.image, simulator.sample(0).frame.image)


@pytest.fixture(scope='module')
def simulator() -> Simulator:
    return Simulator(scene='indoor', frames=2, width=192, height=108)


def record(folder: Path, simulator: Simulator, offset_m: float, lost: int = 0) -> dict:
    """A recording of the truth, `offset_m` too far, with a sigma of as much."""
    folder.mkdir(parents=True)
    arrivals = []
    for index in range(len(simulator) - lost):
        sample = simulator.sample(index)
        stamp_ns = int(sample.frame.stamp_ns)
        truth_m = sample.depth_gt_m
        depth_m = np.where(truth_m > 0, truth_m + np.float32(offset_m), np.nan)
        sigma_m = np.where(truth_m > 0, np.float32(1.01 * offset_m), np.nan)
        np.save(folder / f'{stamp_ns}_depth.npy', depth_m.astype(np.float32))
        np.save(folder / f'{stamp_ns}_sigma.npy', sigma_m.astype(np.float32))
        arrivals.append([stamp_ns, index * S // 10])
    return {
        ARRIVALS: {'depth': arrivals, 'sigma': arrivals, 'cloud': arrivals},
        'diagnostics': {'completion_node: output': {'method': 'guided'}},
    }


def test_judge_scores_the_recording_against_its_own_frames(
    tmp_path: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = record(tmp_path / 'recording', simulator, 0.2)
    assert demo._judge(tmp_path, simulator, recording, 10.0) == 0
    scores = json.loads((tmp_path / 'scores.json').read_text())
    accuracy = scores['accuracy']
    assert accuracy['images'] == 2
    assert accuracy['rmse_mm'] == pytest.approx(200.0, abs=0.1)
    assert accuracy['mae_mm'] == pytest.approx(200.0, abs=0.1)
    assert accuracy['coverage_1sigma'] == accuracy['density'] == 1.0
    assert [row['lost'] for row in scores['topics']] == [0, 0, 0]
    assert scores['topics'][0]['rate received_Hz'] == pytest.approx(10.0)
    names = {f'{simulator.sample(index).name}.png' for index in range(2)}
    assert {path.name for path in tmp_path.glob('*.png')} == names
    assert (tmp_path / 'table.txt').read_text().strip() in capsys.readouterr().out


def test_judge_fails_if_a_frame_was_lost(
    tmp_path: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = record(tmp_path / 'recording', simulator, 0.2, lost=1)
    assert demo._judge(tmp_path, simulator, recording, 10.0) == 1
    assert '1 frames were lost' in capsys.readouterr().err


def test_judge_leaves_out_what_is_masked(tmp_path: Path, simulator: Simulator) -> None:
    recording = record(tmp_path / 'recording', simulator, 0.2)
    for path in (tmp_path / 'recording').glob('*_depth.npy'):
        depth_m = np.load(path)
        depth_m[80:] += 5.0
        np.save(path, depth_m)
    masked = np.zeros((108, 192), np.uint8)
    masked[80:] = 255
    assert cv2.imwrite(str(tmp_path / 'bonnet.png'), masked)
    config = demo._config(simulator, tmp_path / 'bonnet.png')
    assert config.mask.file == str(tmp_path / 'bonnet.png')
    assert demo._judge(tmp_path, simulator, recording, 10.0, config=config) == 0
    accuracy = json.loads((tmp_path / 'scores.json').read_text())['accuracy']
    assert accuracy['mae_mm'] == pytest.approx(200.0, abs=0.1)


def test_a_mask_of_another_size_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('rclpy')
    half = np.zeros((180, 320), np.uint8)
    half[90:] = 255
    assert cv2.imwrite(str(tmp_path / 'half.png'), half)
    out = tmp_path / 'out'
    assert main(['demo', '-o', str(out), '--mask', str(tmp_path / 'half.png')]) == 2
    assert 'half.png is 320x180 and the image 640x360' in capsys.readouterr().err
    assert not out.exists()
