"""`depth_ros bench` on a tiny network."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import pytest

from depth_ros.cli import bench
from depth_ros.cli.main import main
from depth_ros.engines.open import available_backends

for library in ('torch', 'onnx', 'onnxscript', 'onnxruntime'):
    pytest.importorskip(library)


def run(weights: str, *options: str) -> int:
    tiny = ['--family', 'tiny', '--size', '16x24', '--runs', '4']
    return main(['bench', weights, *tiny, *options])


def test_one_backend_is_measured_here(
    tiny_weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ['--backend', 'onnxruntime', '--precision', 'fp32', '--threads', '1']
    assert run(tiny_weights, *options, '--json') == 0
    report = json.loads(capsys.readouterr().out)
    assert (report['size'], report['runs']) == ('16x24', 4)
    (row,) = report['results']
    wanted = {'backend': 'onnxruntime', 'precision': 'fp32', 'threads': 1, 'GPU_MiB': None}
    assert {key: row[key] for key in wanted} == wanted
    assert row['device'] == report['cpu']
    assert 0 < row['min_ms'] <= row['p50_ms'] <= row['p95_ms'] < 1000
    assert row['network_ms'] == row['p50_ms']  # on a CPU there is nothing else
    assert row['upload_ms'] is row['download_ms'] is None
    assert 20 < row['RAM_MiB'] < 50_000


def test_several_stand_side_by_side(
    tiny_weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here without processes of their own, which would not know the tiny network."""
    asked = []

    def here(args: argparse.Namespace, backend: str) -> list[dict[str, Any]]:
        asked.append(backend)
        return [bench.measure(args, backend)] if backend != 'openvino' else []

    monkeypatch.setattr(bench, '_measured_apart', here)
    assert run(tiny_weights) == 0
    assert asked == [name for name, reason in available_backends().items() if not reason]
    out = capsys.readouterr().out
    assert out.startswith(f'{tiny_weights} at 16x24, 4 runs\n')
    assert out.count('\ntorch ') == out.count('\nonnxruntime ') == 1
    for label in ('min', 'p50', 'p95', 'RAM_MiB'):
        assert label in out
    assert run(tiny_weights, '--backend', 'torch', '--backend', 'openvino') == 2  # one failed


def test_a_process_of_its_own_gives_its_reason(
    tiny_weights: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A real process, which is asked for what BP-Net cannot do."""
    args = argparse.Namespace(
        model=tiny_weights, size=(63, 96), precision='fp32', family='bpnet', threads=1, runs=4
    )
    args.seconds, args.provider = 10.0, 'cpu'
    assert bench._measured_apart(args, 'torch') == []
    assert capfd.readouterr().err.startswith('torch: depth_ros bench: Height and width of bpnet')


def test_stages_of_a_gpu_are_summed_by_run(
    tiny_weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four runs of 1 + n + 1 ms with n = 2, 4, 6, 8: medians of stages, percentiles of sums."""
    warm_up = [{'upload': 99.0, 'network': 99.0, 'download': 99.0}] * bench.WARM_UP_RUNS
    runs = [{'upload': 1.0, 'network': 2.0 * n, 'download': 1.0} for n in (4, 1, 3, 2)]
    times = iter(warm_up + runs)
    monkeypatch.setattr(bench, '_run_ms', lambda engine, inputs: next(times))
    assert run(tiny_weights, '--backend', 'torch', '--json') == 0
    (row,) = json.loads(capsys.readouterr().out)['results']
    assert [row[f'{name}_ms'] for name in bench.STAGES] == [1.0, 5.0, 1.0]
    assert [row[f'{name}_ms'] for name in ('min', 'p50')] == [4.0, 7.0]
    assert row['p95_ms'] == pytest.approx(np.percentile([4, 6, 8, 10], 95))


def test_what_cannot_be_done_is_one_line(
    tiny_weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny_weights, '--size', '17x24') == 2
    err = capsys.readouterr().err
    assert err.startswith('depth_ros bench: Height and width of tiny must be multiples of 4')
    assert err.count('\n') == 1
    with pytest.raises(SystemExit):
        run(tiny_weights, '--runs', '0')
    assert "'0' is no positive whole number" in capsys.readouterr().err
