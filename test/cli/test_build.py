"""`depth_ros build` on the fake of TensorRT."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip('torch')
pytest.importorskip('onnxscript')
pytest.importorskip('onnxruntime')

import torch
from fake_tensorrt import fake, install

from depth_ros.cli.main import main
from depth_ros.engines.base import PRECISIONS, NetworkRequest
from depth_ros.engines.export import export
from depth_ros.weights import registry


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Weights of the tiny network, which is known as a family; exports go into one cache."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, 'tiny', 'tiny_family')
        patch.setenv('DEPTH_ROS_CACHE', str(folder))
        torch.manual_seed(0)
        path = folder / 'tiny.pth'
        torch.save({'net': registry.family('tiny').build().state_dict()}, path)
        for precision in PRECISIONS:  # before there seems to be a GPU
            export(NetworkRequest('tiny', path, 16, 24, precision))
        yield str(path)


def build(weights: str, *options: str) -> int:
    return main(['build', weights, '--family', 'tiny', '--size', '16x24', *options])


def test_it_builds_checks_and_says_where(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    interrupt = signal.getsignal(signal.SIGINT)
    assert build(weights) == 0
    lines = capsys.readouterr().out.splitlines()
    assert Path(lines[0]).is_file()
    assert 'fp16, built in' in lines[1]
    assert lines[2] == 'for TensorRT 10.3.0.30 on Orin; it passed the self-check'
    assert build(weights, '--precision', 'fp16') == 0
    assert capsys.readouterr().out.splitlines()[1].endswith('fp16, was there already')
    assert len(trt.builds) == 1
    assert signal.getsignal(signal.SIGINT) is interrupt


def test_json(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(fake('10.16.2.10'), monkeypatch)
    assert build(weights, '--json', '--precision', 'fp32') == 0
    result = json.loads(capsys.readouterr().out)
    assert Path(result['plan']).stat().st_size == result['bytes']
    assert (result['precision'], result['tensorrt']) == ('fp32', '10.16.2.10')
    assert result['built']
    assert Path(result['onnx']).is_file()


def test_progress_as_lines_of_json(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(fake('11.4.0.18'), monkeypatch)
    assert build(weights, '--progress-json') == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {'phase': 'exporting', 'fraction': 0.0}
    shares = [line['fraction'] for line in lines[1:-1]]
    assert {line['phase'] for line in lines[1:-1]} == {'building plan'}
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert list(lines[-1]) == ['plan']
    assert Path(lines[-1]['plan']).is_file()


def test_the_user_is_told_of_fp32(
    weights: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    install(fake('10.3.0.31', wrong=['fp16']), monkeypatch)
    assert build(weights, '--precision', 'fp16') == 0
    plan, what, _ = capsys.readouterr().out.splitlines()
    assert '-fp32-' in plan
    assert 'fp32, built in' in what
    assert 'runs in FP32, for in FP16 TensorRT fails' in caplog.text


@pytest.mark.parametrize('precision', ['auto', 'fp32'])
def test_without_a_gpu(
    precision: str,
    weights: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert build(weights, '--precision', precision) == 2
    assert 'depth_ros build: TensorRT needs an NVIDIA GPU' in capsys.readouterr().err


def test_an_error_is_also_the_last_line_of_json(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    assert build(weights, '--progress-json') == 2
    out, err = capsys.readouterr()
    assert 'TensorRT cannot be imported' in json.loads(out.splitlines()[-1])['error']
    assert 'TensorRT cannot be imported' in err


def test_weights_that_are_not_there(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    assert build('nowhere.pth') == 2
    assert "MODEL 'nowhere.pth': no file." in capsys.readouterr().err
