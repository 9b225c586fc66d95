"""How commands that make files end when they are told to."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depth_ros.cli.main import main
from depth_ros.cli.signals import at_once, tidied
from depth_ros.engines import export as exporting
from depth_ros.files import cache_dir

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def deaf() -> Iterator[None]:
    """SIGTERM, where nobody handles it, fails a test and does not end all of them."""

    def fail(number: int, frame: Any) -> None:
        raise AssertionError('SIGTERM was not handled')

    before = signal.signal(signal.SIGTERM, fail)
    yield
    assert signal.signal(signal.SIGTERM, before) is fail


def test_handlers_nest_and_come_back() -> None:
    def handlers() -> list[Any]:
        return [signal.getsignal(number) for number in SIGNALS]

    before = handlers()
    with at_once():
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
        with pytest.raises(KeyboardInterrupt), tidied():
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(SystemExit) as end, tidied():
            os.kill(os.getpid(), signal.SIGTERM)
        assert end.value.code == 143
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
    assert handlers() == before


@pytest.mark.parametrize('command', ['export', 'build'])
def test_a_node_that_cancels_an_export_finds_nothing_half_done(
    command: str, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(library)
    seen: list[Path] = []

    def cancelled(*_: Any) -> None:
        seen.extend(cache_dir('onnx').glob('*.partial'))
        os.kill(os.getpid(), signal.SIGTERM)

    if command == 'build':
        fake_tensorrt = pytest.importorskip('fake_tensorrt')
        fake_tensorrt.install(fake_tensorrt.fake('10.3.0.30'), monkeypatch)
    monkeypatch.setattr(exporting, '_export_quietly', cancelled)
    options = ['--family', 'tiny', '--size', '16x24', '--precision', 'fp32']
    with pytest.raises(SystemExit) as end:
        main([command, tiny_weights, *options])
    assert end.value.code == 143
    assert len(seen) == 1
    assert {file.suffix for file in cache_dir('onnx').iterdir()} == {'.lock'}


def test_signals_end_a_build_at_once(tiny_weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('onnxscript')
    fake_tensorrt = pytest.importorskip('fake_tensorrt')
    from depth_ros.engines.base import NetworkRequest

    request = NetworkRequest('tiny', Path(tiny_weights), 16, 24, 'fp16')
    exporting.export(request)  # before there seems to be a GPU
    fake_tensorrt.install(fake_tensorrt.fake('10.3.0.30'), monkeypatch)
    seen: list[Any] = []
    build = sys.modules['tensorrt'].Builder.build_serialized_network

    def watched(self: Any, *rest: Any) -> Any:
        seen.extend(signal.getsignal(number) for number in SIGNALS)
        return build(self, *rest)

    monkeypatch.setattr(fake_tensorrt.Builder, 'build_serialized_network', watched)
    assert main(['build', tiny_weights, '--family', 'tiny', '--size', '16x24']) == 0
    assert seen == [signal.SIG_DFL, signal.SIG_DFL]
