"""Building plans, against a fake with the API of TensorRT 8.6, 10.3, 10.16 and 11.4."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip('torch')
pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')

import torch
from fake_tensorrt import VERSIONS, fake, install

from depth_ros.engines.build import build_flags, build_plan, tensorrt_version
from depth_ros.engines.exported import Exported
from depth_ros.errors import EngineError

WEAK = ('EXPLICIT_BATCH', 'FP16', 'OBEY_PRECISION_CONSTRAINTS')


def built(
    patch: pytest.MonkeyPatch, version: str, exported: Exported, **behaviour: Any
) -> tuple[ModuleType, Any, Any]:
    """The fake, the network and the configuration that it was asked to build."""
    trt = install(fake(version, **behaviour), patch)
    build_plan(exported)
    [(network, config)] = trt.builds
    return trt, network, config


@pytest.mark.parametrize(
    ('version', 'precision', 'flags'),
    [
        ('8.6.1.6', 'fp32', ('EXPLICIT_BATCH',)),
        ('8.6.1.6', 'fp16', WEAK),
        ('10.3.0.30', 'fp32', ('EXPLICIT_BATCH',)),
        ('10.3.0.30', 'fp16', WEAK),
        ('10.9.0.34', 'fp16', WEAK),
        ('10.11.0.33', 'fp16', WEAK),
        ('10.12.0.36', 'fp16', ('EXPLICIT_BATCH', 'STRONGLY_TYPED')),
        ('10.16.2.10', 'fp32', ('EXPLICIT_BATCH',)),
        ('10.16.2.10', 'fp16', ('EXPLICIT_BATCH', 'STRONGLY_TYPED')),
        ('11.4.0.18', 'fp32', ('STRONGLY_TYPED',)),
        ('11.4.0.18', 'fp16', ('STRONGLY_TYPED',)),
    ],
)
def test_flags_of_every_version(
    version: str,
    precision: str,
    flags: tuple[str, ...],
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported = tiny_fp16 if precision == 'fp16' else tiny_fp32
    _, network, config = built(monkeypatch, version, exported)
    assert build_flags(precision) == flags
    # TF32, on by default, is off: the depth path is FP32 and nothing less.
    assert network.flags | config.flags == set(flags)
    assert config.pools == {'WORKSPACE': 1 << 30}


def test_layers_that_are_fp32_in_the_onnx_are_held_at_fp32(
    tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    graph = onnx.load(tiny_fp16.onnx).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    half = {o for node in graph.node for o in node.output if types[o] == 10}
    single = {o for node in graph.node for o in node.output if types[o] == 1}
    assert half
    assert {'depth', 'sigma'} <= single
    for version in ('8.6.1.6', '10.3.0.30'):
        for tells_half in (True, False):  # the types come from the ONNX, not from TensorRT
            trt, network, _ = built(monkeypatch, version, tiny_fp16, tells_half=tells_half)
            outputs = {o.name: (layer, o) for layer in network.layers for o in layer.outputs}
            for name, (layer, output) in outputs.items():
                wanted = trt.DataType.FLOAT if name in single else None
                assert (name, layer.precision) == (name, wanted)
                assert (name, output.held) == (name, wanted)


def test_without_onnx_the_types_are_those_that_tensorrt_tells(
    tiny_fp16: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    monkeypatch.setitem(sys.modules, 'onnx', None)
    build_plan(tiny_fp16)
    [(network, _)] = trt.builds
    held = {layer.precision for layer in network.layers}
    assert held == {None, trt.DataType.FLOAT}


@pytest.mark.parametrize(('version', 'precision'), [('8.6.1.6', 'fp32'), ('10.16.2.10', 'fp16')])
def test_no_layer_is_held_where_types_are_not_chosen(
    version: str,
    precision: str,
    tiny_fp32: Exported,
    tiny_fp16: Exported,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exported = tiny_fp16 if precision == 'fp16' else tiny_fp32
    _, network, _ = built(monkeypatch, version, exported)
    assert {layer.precision for layer in network.layers} == {None}


@pytest.mark.parametrize('version', VERSIONS)
def test_a_network_that_cannot_be_parsed_is_refused_with_node_and_reason(
    version: str, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake(version, unknown_operator='Conv'), monkeypatch)
    node = r'node \d+' if version.startswith('8') else 'node node_conv2d'
    with pytest.raises(EngineError, match=rf'{node}: no importer for Conv'):
        build_plan(tiny_fp32)
    assert not trt.builds


def test_what_tensorrt_says_of_a_failed_build_is_told(
    tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)

    def build(self: Any, network: Any, config: Any) -> None:
        self._logger.complain('Could not find any implementation for node conv2d')

    monkeypatch.setattr(trt.Builder, 'build_serialized_network', build)
    with pytest.raises(EngineError, match='any implementation for node conv2d'):
        build_plan(tiny_fp32)


@pytest.mark.parametrize('version', VERSIONS)
def test_progress_rises_to_one(
    version: str, tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(fake(version), monkeypatch)
    told: list[tuple[str, float]] = []
    build_plan(tiny_fp32, progress=lambda phase, share: told.append((phase, share)))
    shares = [share for _, share in told]
    assert shares == sorted(set(shares))
    assert (told[0], shares[-1]) == (('Parsing', 0.0), 1.0)
    if version.startswith('8'):  # it has no monitor
        assert len(told) == 2
        return
    # The first of two steps holds two phases of five steps each. The first phase counts as half
    # of that step, the second as half of the rest.
    assert told[1] == ('Optimizing graph', pytest.approx(1 / 2 * 1 / 2 * 1 / 5))
    assert told[5] == ('Optimizing graph', pytest.approx(1 / 2 * 1 / 2))
    assert told[10] == ('Timing graph nodes', pytest.approx(1 / 2 * 3 / 4))
    assert told[11] == ('Building engine', pytest.approx(1 / 2))


def test_what_progress_raises_ends_the_build_and_arrives(
    tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the reader of a pipe is gone: it must not be thrown through TensorRT."""
    trt = install(fake('10.3.0.30'), monkeypatch)
    told: list[float] = []

    def progress(phase: str, share: float) -> None:
        told.append(share)
        if share > 0.1:
            raise BrokenPipeError('nobody reads')

    with pytest.raises(BrokenPipeError, match='nobody reads'):
        build_plan(tiny_fp32, progress=progress)
    assert len(trt.builds) == 1
    assert max(told) < 0.2


def test_timings_are_kept_and_used_again(
    tiny_fp32: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = install(fake('10.3.0.30'), monkeypatch)
    path = tmp_path / 'new' / 'cache.timings'
    build_plan(tiny_fp32, timing_cache=path)
    assert path.read_bytes() == b'timed;'
    build_plan(tiny_fp32, timing_cache=path)
    assert trt.builds[-1][1].timings.stored == b'timed;'
    assert path.read_bytes() == b'timed;timed;'


def test_timings_of_another_gpu_are_replaced(
    tiny_fp32: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(fake('10.3.0.30', stale_timings=True), monkeypatch)
    path = tmp_path / 'cache.timings'
    path.write_bytes(b'of another')
    build_plan(tiny_fp32, timing_cache=path)
    assert path.read_bytes() == b'timed;'


def test_timings_that_cannot_be_kept_do_not_lose_the_plan(
    tiny_fp32: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    (tmp_path / 'file').touch()
    assert build_plan(tiny_fp32, timing_cache=tmp_path / 'file' / 'cache.timings')


def test_without_a_gpu_no_builder_is_made(
    tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some TensorRT libraries crash the process then; so does the fake's Builder here."""
    install(fake('10.3.0.30'), monkeypatch)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(EngineError, match='needs an NVIDIA GPU'):
        build_plan(tiny_fp32)


def test_without_tensorrt(tiny_fp32: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fake('10.3.0.30'), monkeypatch)
    assert tensorrt_version() == '10.3.0.30'
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    assert tensorrt_version() is None
    with pytest.raises(EngineError, match='JetPack'):
        build_plan(tiny_fp32)
