"""`depth_ros bench --all`, end to end on a CPU with the network that ships."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depth_ros.cli import bench_all
from depth_ros.cli.main import main
from depth_ros.engines import open as opening
from depth_ros.engines.base import NetworkRequest
from depth_ros.engines.onnxruntime_engine import OnnxRuntimeEngine
from depth_ros.errors import EngineError
from depth_ros.models import lite

onnxruntime = pytest.importorskip('onnxruntime')

NO_GPU = (
    'tensorrt on the GPU',
    'torch on the GPU',
    'onnxruntime (cuda)',
    'onnxruntime (tensorrt)',
)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine everywhere: one whose GPU, if any, stays out of it."""
    monkeypatch.setattr(opening, '_no_gpu_device', lambda: True)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put other networks in the place of the usual ones."""

    def put(*networks: bench_all.Network) -> None:
        monkeypatch.setattr(bench_all, 'ON_CPU', networks)

    return put


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'bench.json').read_text())


def test_what_can_be_measured_is_and_the_rest_says_why_not(
    plan: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A size that the network cannot have comes first, and then one whose ONNX file ships."""
    plan(bench_all.Network('lite', (30, 40)), bench_all.Network('lite', (480, 640)))
    assert main(['bench', '--all', '-o', str(tmp_path), '--runs', '3', '--threads', '1']) == 0
    report = report_of(tmp_path)
    usable = [c.backend for c in opening.candidates() if c.device == 'cpu' and not c.obstacle]
    assert [row['backend'] for row in report['latency']] == usable
    for row in report['latency']:
        assert (row['network'], row['size'], row['weights']) == ('lite', '480x640', 'shipped')
        assert (row['runs'], row['precision'], row['threads']) == (3, 'fp32', 1)
        assert 0 < row['p50_ms'] <= row['p95_ms']
    (export,) = report['exports']
    assert 0 <= export['rms'] < 1e-3
    assert export['megabytes'] == pytest.approx(1.6, abs=0.1)
    reasons = {row['what']: row['why'] for row in report['not_run']}
    assert set(NO_GPU) <= set(reasons)
    assert all(reasons.values())
    assert 'multiples of 16' in reasons['lite 30x40: export in fp32']
    assert reasons['lite 30x40 on onnxruntime (cpu)'].startswith('It needs the ONNX file')
    out = capsys.readouterr().out
    assert (tmp_path / 'bench.md').read_text() in out
    assert '| lite | 480x640 | shipped | onnxruntime |' in out
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith('.')] == []


def test_time_that_is_over_is_said_and_is_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['bench', '--all', '-o', str(tmp_path), '--minutes', '0', '--only', 'lite']) == 2
    report = report_of(tmp_path)
    assert report['latency'] == report['exports'] == []
    reasons = {row['why'] for row in report['not_run']}
    assert 'The 0 minutes were over (--minutes).' in reasons


@pytest.mark.parametrize(
    ('printed', 'said'),
    [('Hello from libx\n{}', 'Hello from libx {}'), ('[1]', '[1]'), (' ', 'nothing')],
)
def test_a_step_whose_output_is_no_object_is_skipped_and_says_so(
    plan: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    printed: str,
    said: str,
) -> None:
    """As when a library prints on its own account."""
    plan(bench_all.Network('lite', (480, 640)))

    def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, 0, printed, '')

    monkeypatch.setattr(bench_all.subprocess, 'run', run)
    assert main(['bench', '--all', '-o', str(tmp_path)]) == 2
    reasons = {row['what']: row['why'] for row in report_of(tmp_path)['not_run']}
    expected = f'What it printed is no JSON object: {said}'
    assert reasons['lite 480x640: export in fp32'] == expected


def test_weights_are_made_up_unless_fetched_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The tiny file stands for weights of 89 million parameters: only its place matters here."""
    bench = bench_all._Bench(argparse.Namespace(), bench_all.Report({}), tmp_path, 0.0)
    made = []
    monkeypatch.setattr(bench, '_made_up', lambda name: made.append(name) or tmp_path / 'm.pth')
    assert bench._found('bpnet') == (str(tmp_path / 'm.pth'), 'made up')
    assert bench._found('bpnet')[1] == 'made up'
    assert made == ['bpnet']  # once for all sizes
    monkeypatch.setattr(bench_all, 'is_fetched', lambda name: name == 'bpnet-nyu')
    other = bench_all._Bench(argparse.Namespace(), bench_all.Report({}), tmp_path, 0.0)
    model, origin = other._found('bpnet')
    assert origin == 'bpnet-nyu'
    assert Path(model).name == 'bpnet-nyu.safetensors'


def test_made_up_weights_are_those_of_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch = pytest.importorskip('torch')
    from depth_ros.engines.network import load_network

    bench = bench_all._Bench(argparse.Namespace(), bench_all.Report({}), tmp_path, 0.0)
    path = bench._made_up('lite')
    network = load_network(NetworkRequest('lite', path, 64, 96))  # strict, and finite
    shipped = load_network(NetworkRequest('lite', lite.WEIGHTS, 64, 96))
    assert not torch.equal(
        network.state_dict()['decode2.0.conv.weight'],
        shipped.state_dict()['decode2.0.conv.weight'],
    )


def test_a_model_or_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['bench']) == 2
    assert '--all measures all there is' in capsys.readouterr().err
    assert main(['bench', 'lite', '--size', '480x640', '--all']) == 2
    assert 'no MODEL, no --size' in capsys.readouterr().err


@pytest.mark.skipif(
    'CUDAExecutionProvider' in onnxruntime.get_available_providers(), reason='it is there'
)
def test_a_provider_that_falls_back_to_the_cpu_is_refused() -> None:
    """ONNX Runtime itself only logs that it took another one than it was asked for."""
    request = NetworkRequest('lite', lite.WEIGHTS, 480, 640)
    with pytest.raises(EngineError, match='and not on CUDAExecutionProvider; the package onnx'):
        opening.open_onnxruntime(request, 'cuda')
    exported = opening.export.find(request)
    with pytest.raises(EngineError, match=r"must be one of .*, got 'gpu'"):
        OnnxRuntimeEngine(exported, provider='gpu')


def test_measuring_ends_after_its_seconds_but_not_before_three_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ['--backend', 'onnxruntime', '--runs', '50', '--seconds', '0', '--json']
    assert main(['bench', 'lite', '--size', '480x640', *options]) == 0
    (row,) = json.loads(capsys.readouterr().out)['results']
    assert row['runs'] == 3
