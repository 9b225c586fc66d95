"""`depth_ros demo`: the main job on simulated sensors, through the real nodes over DDS."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from depth_ros.cli.progress import ProgressBar
from depth_ros.datasets.open import SIMULATOR_PREFIX
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import EvaluationError, MissingDependencyError
from depth_ros.evaluation.figures import write_png
from depth_ros.evaluation.gallery import pictures, sheet
from depth_ros.evaluation.metrics import mean_scores, score_image
from depth_ros.evaluation.report import json_text, table, write_json
from depth_ros.files import write_atomic
from depth_ros.frame import DepthEstimate, Float64
from depth_ros.geometry.mask import load_mask
from depth_ros.geometry.transforms import to_translation_quat
from depth_ros.nodes.dds import own_domain, use_shared_memory_profile
from depth_ros.pipeline.config import MaskConfig, PipelineConfig
from depth_ros.pipeline.fusion import FusionPipeline
from depth_ros.pipeline.result import FusionResult
from depth_ros.simulation.scenes import WORLDS

EVERY = 5  # one frame in so many is written by the recorder and judged
PATIENCE_S = 900.0  # rendering 50 frames takes about a minute of one core
RATE_HZ = 10.0
FIRST = 'first.png'
SHARE = 0.5  # of the time between two frames may go into completing one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument('-o', '--output', type=Path, default=Path('out/demo'), metavar='OUT')
    parser.add_argument('--scene', default='street', choices=tuple(WORLDS), help='simulated world')
    parser.add_argument(
        '--rate',
        type=float,
        metavar='HZ',
        help=f'frames per second; default: {RATE_HZ:g}, or what this machine keeps up with',
    )
    parser.add_argument(
        '--mask',
        type=Path,
        metavar='PNG',
        help='white where the camera would see the robot itself; there is no depth',
    )
    parser.add_argument('--json', action='store_true', help='print scores and rates as JSON')


def main(args: argparse.Namespace) -> int:
    """Play, complete and record in three processes, then judge; 1 if a frame was lost."""
    if importlib.util.find_spec('rclpy') is None:
        raise MissingDependencyError('rclpy', 'ros')
    simulator = Simulator(scene=args.scene)
    config = _config(simulator, args.mask)
    output: Path = args.output
    output.mkdir(parents=True, exist_ok=True)
    first, takes_s = _first(simulator, config)
    rate_hz = _rate_hz(first.method, takes_s) if args.rate is None else args.rate
    environment = dict(os.environ)
    use_shared_memory_profile(environ=environment)
    with (
        own_domain(environment) as domain_id,
        _nodes(args, rate_hz, config, simulator, environment) as (player, completion, recorder),
    ):
        print(
            f'Playing {simulator.name}: {len(simulator)} frames at {rate_hz:g} Hz through '
            f'player_node, completion_node and recorder_node (ROS_DOMAIN_ID {domain_id}, '
            f'discovery {environment["ROS_AUTOMATIC_DISCOVERY_RANGE"]}); '
            f'logs in {output / "log"}.',
            file=sys.stderr,
        )
        truth_m = simulator.sample(0).depth_gt_m
        write_png(output / FIRST, sheet(first, pictures(first, config.output, truth_m)))
        print(f'The first frame, completed by this process, is in {output / FIRST}.',
              file=sys.stderr)  # fmt: skip
        # The judge renders its frames while the player renders all of them.
        with ProgressBar('rendering truth') as progress:
            for index in range(0, len(simulator), EVERY):
                simulator.sample(index)
                progress(index + 1, len(simulator))
        print('Waiting until the player has rendered and played its frames.', file=sys.stderr)
        _wait(recorder, (player, completion), output)
    recording = json.loads((output / 'recording' / 'recording.json').read_text())
    return _judge(output, simulator, recording, rate_hz, args.json, config)


def _config(simulator: Simulator, mask: Path | None) -> PipelineConfig:
    """The settings of the node; a mask that does not fit the camera is refused."""
    if mask is None:
        return PipelineConfig()
    camera = simulator.camera.intrinsics
    load_mask(mask).check_size(camera.width, camera.height)
    return PipelineConfig(mask=MaskConfig(str(mask.absolute())))


def _first(simulator: Simulator, config: PipelineConfig) -> tuple[FusionResult, float]:
    """The first frame, completed, and the seconds that completing it takes here."""
    pipeline, frame = FusionPipeline(config), simulator.sample(0).frame
    result = pipeline.process(frame)  # opens the network
    times_s = []
    for _ in range(5):
        start_s = time.perf_counter()
        pipeline.process(frame)
        times_s.append(time.perf_counter() - start_s)
    return result, float(np.median(times_s))


def _rate_hz(method: str, takes_s: float) -> float:
    """Frames per second that completion keeps up with here, beside the other nodes."""
    rate_hz = float(np.clip(math.floor(2 * SHARE / takes_s) / 2, 0.5, RATE_HZ))
    if rate_hz < RATE_HZ:
        print(
            f'{method} takes {takes_s * 1e3:.0f} ms for a frame on this machine: '
            f'the demo plays at {rate_hz:g} Hz instead of {RATE_HZ:g} Hz.',
            file=sys.stderr,
        )
    return rate_hz


@contextlib.contextmanager
def _nodes(
    args: argparse.Namespace,
    rate_hz: float,
    config: PipelineConfig,
    simulator: Simulator,
    environment: dict[str, str],
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """The three nodes as processes; at the end they get SIGINT, as from a terminal."""
    recording = args.output / 'recording'
    for old in (*recording.glob('*.np*'), *recording.glob('*.json'), *args.output.glob('*.png')):
        old.unlink()
    parameters: dict[str, dict[str, Any]] = {
        'recorder_node': {
            'output': str(recording),
            'frames': len(simulator),
            'every': EVERY,
        },
        'completion_node': {
            **_extrinsic_parameters(simulator.T_camera_lidar),
            'mask.file': config.mask.file,
        },
        'player_node': {
            'source': f'{SIMULATOR_PREFIX}{args.scene}',
            'rate_hz': rate_hz,
            'loop': False,
            'stamps': 'recorded',
            'preload': True,  # what is measured is playing, not rendering
        },
    }
    logs = args.output / 'log'
    logs.mkdir(exist_ok=True)
    processes: list[subprocess.Popen[bytes]] = []
    for number in (signal.SIGTERM, signal.SIGHUP):  # they too must end the nodes below
        signal.signal(number, signal.default_int_handler)
    try:
        for name, values in parameters.items():
            command = [sys.executable, '-m', f'depth_ros.nodes.{name}', '--ros-args']
            for key, value in values.items():
                command += ['-p', f'{key}:={json.dumps(value)}']
            with (logs / f'{name}.log').open('wb') as log:
                processes.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        recorder, completion, player = processes
        yield player, completion, recorder
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _extrinsic_parameters(T_camera_lidar: Float64) -> dict[str, Any]:
    translation, quat_xyzw = to_translation_quat(T_camera_lidar)
    return {
        'extrinsic.source': 'parameters',
        'extrinsic.translation': translation.tolist(),
        'extrinsic.quat_xyzw': quat_xyzw.tolist(),
    }


def _wait(
    recorder: subprocess.Popen[bytes],
    others: Sequence[subprocess.Popen[bytes]],
    output: Path,
) -> None:
    """Wait until the recorder has everything, or say which node failed."""
    deadline_s = time.monotonic() + PATIENCE_S
    while recorder.poll() is None:
        failed = [other for other in others if other.poll() not in (None, 0)]
        if failed or time.monotonic() > deadline_s:
            raise EvaluationError(f'The demo did not finish; see the logs in {output / "log"}.')
        time.sleep(0.2)


def _judge(
    output: Path,
    simulator: Simulator,
    recording: dict[str, Any],
    rate_hz: float,
    as_json: bool = False,
    config: PipelineConfig | None = None,
) -> int:
    """Score and draw what was recorded, print the tables; 1 if a frame was lost."""
    pipeline = FusionPipeline(config)
    scores = []
    for path in sorted((output / 'recording').glob('*_depth.npy')):
        stamp_ns = int(path.name.partition('_')[0])
        if not path.with_name(f'{stamp_ns}_sigma.npy').is_file():
            continue  # its sigma was lost, which the table of topics tells
        sample = simulator.sample(round(stamp_ns * simulator.config.rate_hz / 1e9))
        arrays = (np.load(path.with_name(f'{stamp_ns}_{part}.npy')) for part in ('depth', 'sigma'))
        estimate, truth_m = DepthEstimate(*arrays), sample.depth_gt_m
        assert truth_m is not None  # the simulator always has it
        view = pipeline.observe(sample.frame)
        if view.masked is not None:
            truth_m = np.where(view.masked, np.float32(0), truth_m)
        scores.append(score_image(estimate.depth_m, estimate.sigma_m, truth_m))
        result = FusionResult(view, estimate, pipeline.method_name, {}, None)
        parts = pictures(result, pipeline.config.output, truth_m)
        write_png(output / f'{sample.name}.png', sheet(result, parts))
    if not scores:
        raise EvaluationError(f'No depth image arrived; see the logs in {output / "log"}.')
    mean = mean_scores(scores)
    accuracy = {
        'method': recording['diagnostics']['completion_node: output']['method'],
        'images': len(scores),
        **{
            key: getattr(mean, key)
            for key in ('rmse_mm', 'mae_mm', 'coverage_1sigma', 'coverage_2sigma', 'density')
        },
    }
    rates, lost = _arrivals(recording, len(simulator), rate_hz)
    text = '\n\n'.join(
        (
            f'{simulator.name} against exact truth, live through the nodes',
            table([accuracy]),
            table(rates),
        )
    )
    write_atomic(output / 'table.txt', f'{text}\n'.encode())
    summary = {'accuracy': accuracy, 'topics': rates}
    write_json(output / 'scores.json', summary)
    print(json_text(summary) if as_json else f'\n{text}\n')
    print(f'Pictures, table and recording are in {output}.', file=sys.stderr)
    if lost:
        recording_json = output / 'recording' / 'recording.json'
        print(f'{lost} frames were lost; see {recording_json}.', file=sys.stderr)
    return 1 if lost else 0


def _arrivals(
    recording: dict[str, Any], frames: int, rate_hz: float
) -> tuple[list[dict[str, Any]], int]:
    """A row for each recorded topic, and the most frames that any of them lost."""
    rows = []
    for topic, arrivals in recording['arrivals_stamp_and_receipt_ns'].items():
        stamps = {stamp for stamp, _ in arrivals}
        times_s = [receipt / 1e9 for _, receipt in arrivals]
        span_s = times_s[-1] - times_s[0] if len(times_s) > 1 else 0.0
        rows.append(
            {
                'topic': topic,
                'sent': frames,
                'received': len(stamps),
                'lost': frames - len(stamps),
                'rate sent_Hz': rate_hz,
                'rate received_Hz': (len(times_s) - 1) / span_s if span_s else float('nan'),
            }
        )
    return rows, max(row['lost'] for row in rows)
