"""`depth_ros export` on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depth_ros.cli.main import main
from depth_ros.engines.exported import Exported
from depth_ros.files import cache_dir, sha256_of

for library in ('torch', 'onnx', 'onnxscript', 'onnxruntime'):
    pytest.importorskip(library)


def export(weights: str, *options: str) -> int:
    return main(['export', weights, '--family', 'tiny', '--size', '16x24', *options])


def test_file_lands_in_the_cache_and_is_described(
    tiny_weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_weights, '--precision', 'fp32') == 0
    out, err = capsys.readouterr()
    assert err == ''
    lines = out.splitlines()
    path = Path(lines[0])
    assert path.parent == cache_dir('onnx')
    assert Exported.read(path).precision == 'fp32'
    assert lines[1].endswith('opset 18, fp32')
    assert [line.split(':')[0] for line in lines[3:]] == ['  depth', '  sigma']
    assert export(tiny_weights, '--precision', 'fp32') == 0
    assert capsys.readouterr() == (out, '')  # it was there already


def test_json_in_a_folder_of_choice(
    tiny_weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_weights, '--precision', 'fp16', '-o', str(tmp_path), '--json') == 0
    result = json.loads(capsys.readouterr().out)
    path = Path(result['onnx'])
    assert path.parent == tmp_path
    assert (result['bytes'], result['sha256']) == (path.stat().st_size, sha256_of(path))
    assert result['weights_sha256'] == sha256_of(Path(tiny_weights))
    assert [result[key] for key in ('height', 'width', 'precision')] == [16, 24, 'fp16']
    assert 0 < result['difference']['depth']['max'] < 0.01


@pytest.mark.parametrize(
    ('options', 'wrong'),
    [
        (['--size', '16'], "'16' is no size; write HxW, such as 256x320"),
        (['--size', '16x24x3'], 'is no size'),
        (['--precision', 'int8'], "invalid choice: 'int8'"),
        (['--family', 'resnet'], "invalid choice: 'resnet'"),
    ],
)
def test_wrong_usage(
    tiny_weights: str, options: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        export(tiny_weights, *options)
    assert end.value.code == 2
    assert wrong in capsys.readouterr().err


def test_what_cannot_be_done_is_one_line(
    tiny_weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tiny_weights, '--size', '16x25') == 2
    assert export(str(tmp_path / 'nowhere.pth')) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(': ')[0] for line in lines] == 2 * ['depth_ros export']
    assert 'multiples of 4, got 16x25' in lines[0]
    assert 'nowhere.pth' in lines[1]


def test_weights_that_ship_are_known_by_name(monkeypatch, tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    assert main(['export', 'lite', '--size', '480x640', '--precision', 'fp32']) == 0
    assert '480x640-fp32.onnx' in capsys.readouterr().out
    assert list(tmp_path.glob('onnx/*.onnx')) == []  # that size ships, too
    assert main(['models', 'list']) == 0
    assert 'lite: ships with the package' in capsys.readouterr().out
