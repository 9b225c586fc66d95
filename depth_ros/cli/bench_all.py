"""`depth_ros bench --all`: every network at its usual sizes on every backend, in limited time."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from depth_ros import __version__
from depth_ros.cli.signals import tidied
from depth_ros.engines.base import PROVIDERS
from depth_ros.engines.cpu import import_torch
from depth_ros.engines.open import NO_GPU_DEVICE, Candidate, candidates
from depth_ros.errors import DepthRosError, EngineError
from depth_ros.evaluation.report import json_text, markdown
from depth_ros.files import write_atomic
from depth_ros.weights.registry import MODELS, SHIPPED, family
from depth_ros.weights.store import is_fetched, weights_path

LEAST_S = 5.0  # a step is not begun with less time left
MEASURING_S = 10.0  # given to the runs of one network on one backend
SHOWN = 200  # characters of an output that makes no sense


class Network(NamedTuple):
    """A network at a size that is usual for it, (height, width) in pixels."""

    family: str
    size: tuple[int, int]

    def __str__(self) -> str:
        return f'{self.family} {self.size[0]}x{self.size[1]}'


ON_GPU = (
    Network('lite', (384, 1248)),
    Network('lite', (1200, 1920)),
    Network('depth_anything_v2_s_80m', (518, 686)),
    Network('bpnet', (256, 320)),
    Network('depth_anything_v2_b_80m', (518, 686)),
    Network('bpnet', (384, 1248)),
    Network('depth_anything_v2_s_80m', (518, 1722)),
    Network('depth_anything_v2_l_80m', (518, 686)),
    Network('depth_pro', (1536, 1536)),
)
"""For images of KITTI, 640x480 and 1920x1200; what takes longest to export comes last."""
ON_CPU = (
    Network('lite', (480, 640)),
    Network('lite', (384, 1248)),
    Network('lite', (1200, 1920)),
    Network('depth_anything_v2_s_80m', (252, 336)),
    Network('bpnet', (256, 320)),
    Network('depth_anything_v2_s_80m', (252, 840)),
    Network('bpnet', (384, 1248)),
)


class Way(NamedTuple):
    """A backend, and of ONNX Runtime its provider; `obstacle` says why it cannot be taken."""

    backend: str
    provider: str
    obstacle: str

    @property
    def on_gpu(self) -> bool:
        """Whether it needs a GPU."""
        return self.provider != 'cpu'

    def __str__(self) -> str:
        return (
            f'{self.backend} ({self.provider})'
            if self.backend == 'onnxruntime'
            else (f'{self.backend} on {"the GPU" if self.on_gpu else "the CPU"}')
        )


@dataclasses.dataclass
class Report:
    """What was found, as it is written to `bench.json`.

    Attributes:
        about: versions and the machine.
        latency: a row for each network, size and backend; see `bench.measure`.
        exports: a row for each ONNX file.
        plans: a row for each TensorRT plan.
        not_run: what could not be done, and why.
    """

    about: dict[str, Any]
    latency: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    exports: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    plans: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    not_run: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write `bench.json` and `bench.md`, each of them whole."""
        write_atomic(folder / 'bench.json', (json_text(dataclasses.asdict(self)) + '\n').encode())
        write_atomic(folder / 'bench.md', self.markdown().encode())

    def markdown(self) -> str:
        """The tables, ready for docs/benchmark.md."""
        about = '; '.join(f'{key} {value}' for key, value in self.about.items() if value)
        parts = ['## Every network, every backend', f'`depth_ros bench --all`: {about}.']
        exports = [{**row, 'rms': f'{row["rms"]:.1e}'} for row in self.exports]
        for title, rows in (
            ('Latency and memory', _said(self.latency)),
            ('ONNX files: RMS difference from PyTorch in FP32, relative', exports),
            ('TensorRT plans', self.plans),
            ('Not run', self.not_run),
        ):
            if rows:
                parts += [f'### {title}', markdown(rows)]
        return '\n\n'.join(parts) + '\n'


def _said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without columns that say nothing in any of them, and without what `about` says."""
    keys = [key for key in (rows[0] if rows else ()) if any(row[key] is not None for row in rows)]
    return [{key: row[key] for key in keys if key != 'device'} for row in rows]


def main(args: argparse.Namespace, machine: Mapping[str, str]) -> int:
    """Measure what can be, write it after every step; 2 if nothing could be measured, else 0.

    Args:
        args: of `depth_ros bench`.
        machine: what it is, for the report.
    """
    folder: Path = args.output
    folder.mkdir(parents=True, exist_ok=True)
    deadline_s = time.monotonic() + 60.0 * args.minutes
    ways = list(_ways())
    about = {
        'depth_ros': __version__,
        'date': datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        **machine,
        'runs': f'{args.runs}, or as many as fit into {MEASURING_S:g} s',
    }
    report = Report(about)
    report.not_run += [{'what': str(way), 'why': way.obstacle} for way in ways if way.obstacle]
    with tidied(), tempfile.TemporaryDirectory(prefix='.bench-', dir=folder) as work:
        bench = _Bench(args, report, Path(work), deadline_s)
        for networks, on_gpu in ((ON_GPU, True), (ON_CPU, False)):
            usable = [way for way in ways if way.on_gpu is on_gpu and not way.obstacle]
            for network in networks if usable else ():
                if args.only is None or network.family in args.only:
                    bench.measure(network, usable)
    report.write(folder)
    print(report.markdown() if not args.json else json_text(dataclasses.asdict(report)))
    return 0 if report.latency else 2


def _ways() -> Iterator[Way]:
    """Backends in the order of `candidates`, ONNX Runtime's providers for a GPU among them."""
    for candidate in candidates():
        provider = 'cpu' if candidate.device == 'cpu' else 'cuda'
        yield Way(candidate.backend, provider, candidate.obstacle)
        if candidate.backend == 'torch' and provider == 'cuda':
            for name in PROVIDERS:
                if name != 'cpu':
                    yield Way('onnxruntime', name, _provider_obstacle(name, candidate))


def _provider_obstacle(provider: str, cuda: Candidate) -> str:
    """Why ONNX Runtime cannot run on a GPU here; empty if it may, which opening it will tell."""
    try:
        import onnxruntime
    except Exception as error:  # a damaged library raises anything
        return f'ONNX Runtime cannot be imported: {error}'
    known = onnxruntime.get_available_providers()
    if PROVIDERS[provider] not in known:
        return f'This ONNX Runtime has no {PROVIDERS[provider]}; onnxruntime-gpu has it.'
    return cuda.obstacle if cuda.obstacle == NO_GPU_DEVICE else ''


class _Bench:
    """Measures networks one by one, each step in a process of its own, until time is up."""

    def __init__(
        self, args: argparse.Namespace, report: Report, work: Path, deadline_s: float
    ) -> None:
        self._args, self._report, self._work = args, report, work
        self._deadline_s = deadline_s
        self._weights: dict[str, tuple[str, str]] = {}

    def measure(self, network: Network, ways: list[Way]) -> None:
        """Export and build what the ways need, then time the network on each of them."""
        precision = 'fp16' if ways[0].on_gpu else 'fp32'
        try:
            weights, origin = self._found(network.family)
        except DepthRosError as error:
            self._skip(str(network), str(error))
            return
        about = {'network': network.family, 'size': '{}x{}'.format(*network.size)}
        common = [weights, '--family', network.family, '--size', about['size']]
        common += ['--precision', precision]
        exported = self._exported(about, common, precision)
        for way in ways:
            what = f'{network} on {way}'
            if way.backend != 'torch' and not exported:
                self._skip(what, 'It needs the ONNX file, which is not there.')
                continue
            if way.backend == 'tensorrt' and not self._built(about, common):
                continue
            options = ['--backend', way.backend, '--threads', str(self._args.threads)]
            if way.backend == 'onnxruntime':
                options += ['--provider', way.provider]
            options += ['--runs', str(self._args.runs), '--seconds', str(MEASURING_S)]
            answer = self._step(what, 'bench', *common, *options)
            for row in answer.get('results', ()):
                self._report.latency.append({**about, 'weights': origin, **row})
                self._note(f'{what}, {row["precision"]}: p50 {row["p50_ms"]:.1f} ms')

    def _exported(self, about: Mapping[str, Any], common: list[str], precision: str) -> bool:
        """Whether the ONNX file is there, exported now if need be."""
        what = f'{about["network"]} {about["size"]}: export in {precision}'
        answer = self._step(what, 'export', *common)
        if answer:
            worst = max(value['rms'] for value in answer['difference'].values())
            row = {
                'precision': precision,
                'megabytes': answer['bytes'] / 1e6,
                'seconds': answer['seconds'],
            }
            self._report.exports.append({**about, **row, 'rms': worst})
            self._note(f'{what}: {answer["seconds"]:.1f} s')
        return bool(answer)

    def _built(self, about: Mapping[str, Any], common: list[str]) -> bool:
        """Whether the TensorRT plan is there, built and self-checked now."""
        what = f'{about["network"]} {about["size"]}: TensorRT plan'
        answer = self._step(what, 'build', *common)
        if answer:
            row = {key: answer[key] for key in ('precision', 'tensorrt', 'gpu')}
            row |= {'megabytes': answer['bytes'] / 1e6, 'seconds': answer['seconds']}
            self._report.plans.append({**about, **row})
            self._note(f'{what}: {answer["seconds"]:.1f} s')
        return bool(answer)

    def _found(self, name: str) -> tuple[str, str]:
        """MODEL for the commands, and what it is: shipped, fetched, or made up now."""
        if name in SHIPPED:
            return name, 'shipped'
        if name not in self._weights:
            fetched = [c.name for c in MODELS.values() if c.family == name and is_fetched(c.name)]
            if fetched:
                self._weights[name] = str(weights_path(fetched[0])), fetched[0]
            else:
                self._weights[name] = str(self._made_up(name)), 'made up'
        return self._weights[name]

    def _made_up(self, name: str) -> Path:
        """A file of initial weights: time does not depend on their values; depth means nothing.

        Raises:
            EngineError: they cannot be made.
            MissingDependencyError: PyTorch is not installed.
        """
        torch = import_torch()
        path = self._work / f'{name}.pth'
        try:
            torch.manual_seed(0)
            torch.save(family(name).build().state_dict(), path)
        except (RuntimeError, OSError, MemoryError) as error:
            raise EngineError(f'No weights could be made up: {error}') from error
        return path

    def _step(self, what: str, command: str, *options: str) -> dict[str, Any]:
        """The JSON object that a `depth_ros` command prints; empty if it fails or has no time."""
        left_s = self._deadline_s - time.monotonic()
        if left_s < LEAST_S:
            self._skip(what, f'The {self._args.minutes:g} minutes were over (--minutes).')
            return {}
        arguments = [sys.executable, '-m', 'depth_ros', command, *options, '--json']
        environment = {**os.environ, 'DEPTH_ROS_CACHE': str(self._work / 'cache')}
        try:
            answer = subprocess.run(
                arguments,
                capture_output=True,
                text=True,
                timeout=left_s,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._skip(what, f'It had not ended after {left_s:.0f} s, when time was over.')
            return {}
        if answer.returncode:
            lines = answer.stderr.strip().splitlines() or [f'exit code {answer.returncode}']
            self._skip(what, lines[-1].removeprefix(f'depth_ros {command}: '))
            return {}
        try:
            printed = json.loads(answer.stdout)
        except json.JSONDecodeError:  # a library has printed, too
            printed = None
        if not isinstance(printed, dict):
            said = ' '.join(answer.stdout.split())[:SHOWN]
            self._skip(what, f'What it printed is no JSON object: {said or "nothing"}')
            return {}
        return printed

    def _skip(self, what: str, why: str) -> None:
        self._report.not_run.append({'what': what, 'why': why})
        self._note(f'{what}: not run. {why}')

    def _note(self, line: str) -> None:
        """Tell the user, and leave what is known so far on disk."""
        print(line, file=sys.stderr, flush=True)
        self._report.write(self._args.output)
