"""What the node says of itself on /diagnostics: rates, drops, latency, silence, live accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from depth_ros.nodes.health import (
    STALE_AFTER_S,
    Finding,
    Level,
    Snapshot,
    judge_accuracy,
    judge_inputs,
    judge_output,
    well_accuracy,
    well_output,
)


def diagnostic_array(
    snapshot: Snapshot, node_name: str, stamp: Time
) -> tuple[DiagnosticArray, list[Finding]]:
    """The report, and all that it finds wrong.

    Args:
        snapshot: what is reported.
        node_name: full name of the node, without the leading slash; three statuses are named
            `<node>: inputs`, `<node>: output` and `<node>: accuracy`.
        stamp: time of the report.
    """
    inputs, output, accuracy = (
        judge(snapshot) for judge in (judge_inputs, judge_output, judge_accuracy)
    )
    array = DiagnosticArray()
    array.header.stamp = stamp
    step = snapshot.upgrade.step
    told = [*output, Finding(Level.OK, 'step', f'preparing {step}')] if output and step else output
    array.status = [
        _status(f'{node_name}: inputs', inputs, 'all topics arrive', _input_values(snapshot)),
        _status(f'{node_name}: output', told, well_output(snapshot), _output_values(snapshot)),
        _status(
            f'{node_name}: accuracy', accuracy, well_accuracy(snapshot), _accuracy_values(snapshot)
        ),
    ]
    return array, [*inputs, *output, *accuracy]


def _input_values(snapshot: Snapshot) -> dict[str, str]:
    values = {}
    for health in snapshot.inputs:
        values[f'{health.topic} rate [Hz]'] = f'{health.rate_hz:.2f}'
        values[f'{health.topic} received'] = str(health.received)
        values[f'{health.topic} silent [s]'] = f'{health.silent_s:.2f}'
        if health.age_s is not None:
            values[f'{health.topic} stamp to arrival [s]'] = f'{health.age_s:.3f}'
    if snapshot.lidar_age_s is not None and not snapshot.is_stale:
        values['LiDAR age [s]'] = f'{snapshot.lidar_age_s:.3f}'
    if snapshot.lost[1]:
        values['images lost on the way'] = f'{snapshot.lost[0]} of {snapshot.lost[1]}'
    return values


def _output_values(snapshot: Snapshot) -> dict[str, str]:
    values = {
        'rate [Hz]': f'{snapshot.output_hz:.2f}',
        'method': snapshot.method,
        'method chosen because': snapshot.method_reason,
        'preparing': snapshot.upgrade.step,
    }
    values |= {f'dropped {reason}': str(n) for reason, n in sorted(snapshot.drops.items())}
    times = {} if snapshot.starved_s > STALE_AFTER_S else snapshot.latency_ms
    for stage, (p50, p95) in times.items():
        values[f'{stage} p50 [ms]'] = f'{p50:.2f}'
        values[f'{stage} p95 [ms]'] = f'{p95:.2f}'
    return values


def _accuracy_values(snapshot: Snapshot) -> dict[str, str]:
    live = snapshot.accuracy
    if live is None or snapshot.is_stale:
        return {}
    return {
        'held-out returns': str(live.returns),
        'median error [m]': f'{live.median_error_m:.3f}',
        'p95 error [m]': f'{live.p95_error_m:.3f}',
        'coverage at 1 sigma': f'{live.coverage_1sigma:.3f}',
        'coverage at 2 sigma': f'{live.coverage_2sigma:.3f}',
        'scale of sigma': f'{live.scale:.3f}',
    }


def _status(
    name: str, findings: Sequence[Finding], all_well: str, values: dict[str, str]
) -> DiagnosticStatus:
    level = max((finding.level for finding in findings), default=Level.OK)
    return DiagnosticStatus(
        level=bytes([level]),  # a ROS `byte` is a bytes object of length 1 in Python
        name=name,
        message='; '.join(finding.text for finding in findings) or all_well,
        hardware_id=name.split(':')[0],
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
