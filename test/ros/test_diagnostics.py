"""Meters and the diagnostic report."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip('rclpy')
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import deserialize_message, serialize_message

from depth_ros.nodes.diagnostics import diagnostic_array
from depth_ros.nodes.health import Snapshot, TopicHealth
from depth_ros.nodes.meters import LatencyMeter, RateMeter
from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.preparation import UpgradeStatus

S = 1_000_000_000
IMAGE = TopicHealth('/image', received=7, rate_hz=10.0, silent_s=0.1, timeout_s=1.0)
POINTS = TopicHealth('/points', received=7, rate_hz=10.0, silent_s=0.1, timeout_s=1.0)
DEAF = Cause('qos', 'deaf', 'Set it right.')
LIVE = LiveAccuracy(300, 0.05, 0.4, 0.68, 0.95, 1.2, '', 20)
WELL = Snapshot((IMAGE, POINTS), 9.5, 'guided', 'no weights are installed', accuracy=LIVE)


def statuses(snapshot: Snapshot) -> dict[str, DiagnosticStatus]:
    array, _ = diagnostic_array(snapshot, 'robot/node', Time(sec=3))
    array = deserialize_message(serialize_message(array), type(array))  # as it arrives
    assert array.header.stamp.sec == 3
    assert {status.hardware_id for status in array.status} == {'robot/node'}
    return {status.name.removeprefix('robot/node: '): status for status in array.status}


def test_rate_of_a_steady_stream_from_start_to_silence() -> None:
    meter = RateMeter(window_s=5.0)
    assert meter.rate_hz(0) == 0.0
    for k in range(101):
        meter.tick(k * S // 10)
        if k in (10, 30):
            assert meter.rate_hz(k * S // 10) == pytest.approx(10.0)
    assert meter.rate_hz(10 * S) == pytest.approx(10.0)
    assert meter.rate_hz(12 * S + S // 2) == pytest.approx(5.0)
    assert meter.rate_hz(15 * S) == 0.0


def test_latency_percentiles_of_the_last_frames_by_stage() -> None:
    meter = LatencyMeter(frames=101)
    assert meter.percentiles_ms() == {}
    meter.add({'project': 1e6})
    for ms in range(101):
        meter.add({'project': ms, 'complete': 2.0 * ms})
    assert meter.percentiles_ms() == {'project': (50.0, 95.0), 'complete': (100.0, 190.0)}
    assert list(meter.percentiles_ms()) == ['project', 'complete']


def test_all_well() -> None:
    report = statuses(replace(WELL, latency_ms={'total': (20.0, 31.5)}, drops={'busy': 3}))
    assert list(report) == ['inputs', 'output', 'accuracy']
    assert {status.level for status in report.values()} == {DiagnosticStatus.OK}
    values = {v.key: v.value for status in report.values() for v in status.values}
    assert values['/image rate [Hz]'] == '10.00'
    assert values['rate [Hz]'] == '9.50'
    assert values['method'] == 'guided'
    assert values['method chosen because'] == 'no weights are installed'
    assert values['dropped busy'] == '3'
    assert values['total p95 [ms]'] == '31.50'
    assert values['coverage at 1 sigma'] == '0.680'


@pytest.mark.parametrize(
    ('health', 'level', 'text'),
    [
        (replace(POINTS, silent_s=3.2), DiagnosticStatus.ERROR, '/points: silent for 3.2 s'),
        (
            replace(POINTS, silent_s=3.2, required=False),
            DiagnosticStatus.WARN,
            '/points: silent for 3.2 s',
        ),
        (
            replace(POINTS, silent_s=3.2, received=0),
            DiagnosticStatus.ERROR,
            '/points: no message yet for 3.2 s',
        ),
        (replace(POINTS, trouble=DEAF), DiagnosticStatus.WARN, '/points: deaf. Set it right'),
        (
            replace(POINTS, received=0, trouble=DEAF),
            DiagnosticStatus.ERROR,
            '/points: deaf. Set it right',
        ),
        (
            replace(POINTS, silent_s=3.2, received=0, trouble=DEAF),
            DiagnosticStatus.ERROR,
            '/points: no message yet for 3.2 s: deaf. Set it right',
        ),
    ],
)
def test_silent_and_unheard_topics_are_named(health: TopicHealth, level: bytes, text: str) -> None:
    status = statuses(replace(WELL, inputs=(IMAGE, health)))['inputs']
    assert status.level == level
    assert status.message == text


def test_worst_level_wins_and_all_findings_are_told() -> None:
    inputs = (replace(IMAGE, silent_s=2.0), replace(POINTS, silent_s=3.0, required=False))
    status = statuses(replace(WELL, inputs=inputs))['inputs']
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == '/image: silent for 2.0 s; /points: silent for 3.0 s'


def test_refused_message_and_alarm_warn() -> None:
    alarmed = replace(LIVE, alarm='only 30% lie within 1 sigma')
    report = statuses(replace(WELL, problem=('unknown_encoding', 'No'), accuracy=alarmed))
    assert report['output'].level == report['accuracy'].level == DiagnosticStatus.WARN
    assert report['output'].message == 'unknown_encoding: No'
    assert report['accuracy'].message == 'only 30% lie within 1 sigma'


def test_a_method_that_is_being_prepared_is_told_and_is_no_fault() -> None:
    step = 'bpnet 384x1248: building plan 43 %'
    status = statuses(replace(WELL, upgrade=UpgradeStatus(step=step)))['output']
    assert status.level == DiagnosticStatus.OK
    assert status.message == f'guided at 9.5 Hz, preparing {step}'
    assert ('preparing', step) in [(v.key, v.value) for v in status.values]


def test_what_is_being_prepared_is_told_beside_frames_lost_by_it() -> None:
    step = 'mono 252x840: exporting'
    waiting = replace(WELL, problem=('not_ready', 'mono'), upgrade=UpgradeStatus(step=step))
    status = statuses(waiting)['output']
    assert status.level == DiagnosticStatus.WARN
    assert status.message == f'not_ready: mono; preparing {step}'


def test_a_method_that_could_not_be_prepared_warns_beside_what_else_is_wrong() -> None:
    failure = 'bpnet 384x1248 could not be prepared: out of memory'
    failed = replace(
        WELL, problem=('unknown_encoding', 'No'), upgrade=UpgradeStatus(failure=failure)
    )
    status = statuses(failed)['output']
    assert status.level == DiagnosticStatus.WARN
    assert status.message == f'unknown_encoding: No; {failure}'
    assert ('preparing', '') in [(v.key, v.value) for v in status.values]


def test_lidar_age_and_missing_accuracy() -> None:
    report = statuses(replace(WELL, accuracy=None, lidar_age_s=0.042))
    assert ('LiDAR age [s]', '0.042') in [(v.key, v.value) for v in report['inputs'].values]
    assert report['accuracy'].message.startswith('not measured yet')
    assert report['accuracy'].values == []


def test_figures_of_frames_long_gone_are_not_repeated() -> None:
    gone = replace(
        WELL, latency_ms={'total': (20.0, 31.5)}, lidar_age_s=0.05, starved_s=60.0, judged_s=60.0
    )
    report = statuses(gone)
    keys = {value.key for status in report.values() for value in status.values}
    assert not keys & {'total p50 [ms]', 'LiDAR age [s]', 'median error [m]'}
    assert report['accuracy'].message.startswith('not measured now')
