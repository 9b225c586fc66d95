"""What is judged wrong with a node, at which level and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from depth_ros.nodes.health import (
    Finding,
    Level,
    Snapshot,
    TopicHealth,
    Voice,
    judge_accuracy,
    judge_inputs,
    judge_output,
    well_accuracy,
    well_output,
)
from depth_ros.nodes.meters import Flow, FlowMeter, LossMeter, StampMeter
from depth_ros.nodes.reasons import NO_FAULT
from depth_ros.pipeline.calibration import LiveAccuracy
from depth_ros.pipeline.clocks import Cause
from depth_ros.pipeline.preparation import UpgradeStatus

S, MS = 1_000_000_000, 1_000_000
IMAGE = TopicHealth('/image', 50, 10.0, 0.1, 1.0, age_s=0.05)
POINTS = TopicHealth('/points', 50, 10.0, 0.1, 1.0, age_s=0.15)
LIVE = LiveAccuracy(300, 0.05, 0.4, 0.68, 0.95, 1.2, '', 20)
WELL = Snapshot(
    (IMAGE, POINTS), 10.0, 'lite', 'ships with the package', flow=Flow(5.0, 50, 50), accuracy=LIVE
)


def starved(reason: str, **changes: object) -> Snapshot:
    flow = Flow(5.0, 50, 0, {reason: 50})
    return replace(WELL, flow=flow, starved_s=5.0, **changes)  # type: ignore[arg-type]


def test_a_healthy_node_has_nothing_to_tell() -> None:
    assert judge_inputs(WELL) == judge_output(WELL) == judge_accuracy(WELL) == []
    assert well_output(WELL) == 'lite at 10.0 Hz'


def test_nothing_out_for_any_reason_is_an_error_with_figures_and_a_way_out() -> None:
    for reason in ('no_sweep', 'bad_step', 'no_extrinsic', 'busy', 'something_new'):
        (finding,) = judge_output(starved(reason))
        assert finding.level == Level.ERROR, reason
        assert f'50 of 50 images of the last 5 s gave no depth (50 {reason})' in finding.text
        assert finding.text.count('. ') >= 1, finding.text


def test_it_is_a_warning_first_and_says_what_is_known_of_the_cause() -> None:
    told = Cause('other_clock', 'the nearest sweep is 1.79e9 s older', 'Set the clocks')
    just = replace(starved('no_sweep'), starved_s=2.0, why=lambda _: told)
    just = replace(just, flow=Flow(2.0, 20, 0, {'no_sweep': 20}))
    (finding,) = judge_output(just)
    assert finding.level == Level.WARN
    assert finding.text.endswith('the nearest sweep is 1.79e9 s older. Set the clocks')
    assert finding.key == 'flow no_sweep other_clock'


def test_a_few_lost_at_the_start_and_a_small_share_are_no_finding() -> None:
    assert not judge_output(replace(WELL, flow=Flow(0.5, 5, 0, {'no_sweep': 5})))
    assert not judge_output(replace(WELL, flow=Flow(5.0, 50, 0, {'no_sweep': 2})))
    assert not judge_output(replace(WELL, flow=Flow(5.0, 50, 40, {'busy': 10})))


def test_nearly_all_lost_is_an_error_but_not_to_a_method_that_is_slow() -> None:
    flow = Flow(5.0, 50, 2, {'no_sweep': 48})
    (finding,) = judge_output(replace(WELL, flow=flow))
    assert finding.level == Level.ERROR
    (finding,) = judge_output(replace(WELL, flow=replace(flow, drops={'busy': 48})))
    assert finding.level == Level.WARN


def test_an_overload_tells_how_long_the_method_takes_and_what_to_do() -> None:
    took = {'wait': (100.0, 120.0), 'receipt to publication': (320.0, 400.0)}
    flow = Flow(5.0, 50, 22, {'busy': 28})
    (finding,) = judge_output(replace(WELL, flow=flow, latency_ms=took))
    assert finding.level == Level.WARN
    assert '28 of 50 images' in finding.text
    assert 'lite takes 220 ms a frame, and images come every 100 ms' in finding.text
    assert all(word in finding.text for word in ('output.scale', 'method', 'engine.threads'))


def test_a_method_that_is_prepared_is_a_warning_however_long() -> None:
    step = UpgradeStatus(step='mono 252x840: exporting')
    (finding,) = judge_output(starved('not_ready', upgrade=step))
    assert finding.level == Level.WARN


def test_a_method_that_is_never_ready_is_an_error_and_says_why_once() -> None:
    failure = 'mono 252x840 could not be prepared: out of memory. It is tried again later'
    (finding,) = judge_output(starved('not_ready', upgrade=UpgradeStatus(failure=failure)))
    assert finding.level == Level.ERROR
    assert finding.text.endswith(f'(50 not_ready): {failure}')
    assert not finding.is_logged
    (finding,) = judge_output(starved('not_ready'))  # nor is anybody at it
    assert finding.level == Level.ERROR


def test_a_worker_that_never_comes_back_is_told() -> None:
    (finding,) = judge_output(replace(WELL, flow=Flow(5.0, 5, 0), starved_s=5.0))
    assert 'still at an earlier one' in finding.text


def test_what_is_nobodys_fault_is_no_finding_and_is_said() -> None:
    for reason in NO_FAULT:
        assert not judge_output(starved(reason))
    assert 'nobody subscribes' in well_output(starved('nobody_listens'))
    assert not judge_output(starved('late_sweep'))


def test_the_commonest_reason_leads_and_the_others_are_counted() -> None:
    flow = Flow(5.0, 50, 0, {'late_image': 4, 'no_sweep': 40, 'late_sweep': 99})
    (finding,) = judge_output(replace(WELL, flow=flow, starved_s=5.0))
    assert '44 of 44' in finding.text
    assert '(40 no_sweep, 4 late_image)' in finding.text


def test_a_refusal_is_told_once_beside_the_flow() -> None:
    refused = replace(starved('bad_step'), problem=('bad_step', 'step 7'))
    assert len(judge_output(refused)) == 1
    (finding,) = judge_output(replace(WELL, problem=('bad_step', 'step 7')))
    assert finding == Finding(Level.WARN, 'frame bad_step', 'bad_step: step 7', True)


def test_listeners_that_cannot_hear_an_output_are_told() -> None:
    deaf = Cause('qos_durability', '/rviz asks for transient local', 'Set it.')
    (finding,) = judge_output(replace(WELL, listeners={'/depth/points': deaf}))
    assert finding.text == '/depth/points: /rviz asks for transient local. Set it'


@pytest.mark.parametrize(
    ('image_s', 'points_s', 'words'),
    [
        (0.05, -0.95, '/points: its stamps are 0.95 s ahead of arrival'),
        (-3.0, 0.1, '/image: its stamps are 3.00 s ahead of arrival'),
        (0.05, 1.2, '/points arrives 1.20 s after its stamps and /image 0.05 s'),
        (0.05, 0.4, ''),
        (1.8e9, 1.8e9, ''),  # a recording
        (1.8e9, 0.1, ''),  # pairing tells, with the figure
        (0.03, None, ''),
    ],
)
def test_the_age_of_stamps(image_s: float, points_s: float | None, words: str) -> None:
    inputs = (replace(IMAGE, age_s=image_s), replace(POINTS, age_s=points_s))
    found = judge_inputs(replace(WELL, inputs=inputs))
    assert len(found) == bool(words)
    assert all(words in finding.text and finding.level == Level.WARN for finding in found)


def test_stamps_that_do_not_change_are_told_unless_the_output_does() -> None:
    zero, good = StampMeter(), StampMeter()
    for k in range(5):
        assert zero.repeated('image') is None
        zero.add(0, k * S)
        good.add(k * S, k * S)
    assert good.repeated('image') is None
    inputs = (replace(IMAGE, stamps=zero.repeated('image')), POINTS)
    (finding,) = judge_inputs(replace(WELL, inputs=inputs))
    assert finding.level == Level.WARN
    assert finding.text == (
        '/image: the stamps of all images are 0. Have the camera driver fill header.stamp with '
        'the time of capture'
    )
    paired = starved('duplicate_image', inputs=inputs, why=lambda _: inputs[0].stamps)
    assert judge_inputs(paired) == []
    assert 'the stamps of all images are 0' in judge_output(paired)[0].text
    silent = replace(inputs[0], silent_s=2.0)
    assert [f.key for f in judge_inputs(replace(WELL, inputs=(silent,)))] == ['silent /image']


def test_images_lost_on_the_way() -> None:
    (finding,) = judge_inputs(replace(WELL, lost=(27, 43)))
    assert finding.level == Level.WARN
    assert '27 of the last 43 images (63%)' in finding.text
    assert 'fastdds_shm.xml' in finding.text
    assert not judge_inputs(replace(WELL, lost=(4, 43)))


def test_accuracy_is_not_repeated_as_if_it_were_of_now() -> None:
    late = replace(WELL, judged_s=12.0, accuracy=replace(LIVE, alarm='too small'))
    assert judge_accuracy(late) == []
    assert well_accuracy(late) == 'not measured now: no frame with LiDAR returns for 12.0 s'
    assert 'sigma holds at 300' in well_accuracy(WELL)
    assert 'too few to judge: 40' in well_accuracy(
        replace(WELL, accuracy=replace(LIVE, returns=40))
    )
    assert 'two frames' in well_accuracy(replace(WELL, accuracy=None))


def test_errors_of_metres_are_not_well_whatever_sigma_says() -> None:
    (finding,) = judge_accuracy(replace(WELL, accuracy=replace(LIVE, median_error_m=0.87)))
    assert finding.level == Level.WARN
    assert 'more than 0.87 m' in finding.text
    assert 'extrinsic' in finding.text
    of_an_image = replace(WELL, needs_lidar=False, accuracy=replace(LIVE, median_error_m=0.87))
    assert judge_accuracy(of_an_image) == []


def test_the_voice_says_a_state_once_and_again_when_worse_and_when_over() -> None:
    voice = Voice()
    warn = Finding(Level.WARN, 'a', 'bad. Do this')
    assert voice.lines([warn], 0.0) == []  # it may be over at once
    assert voice.lines([warn], 2.0) == [(Level.WARN, 'bad. Do this.')]
    assert voice.lines([warn], 3.0) == []
    worse = warn._replace(level=Level.ERROR, text='worse')
    assert voice.lines([worse], 4.0) == [(Level.ERROR, 'worse.')]
    assert voice.lines([warn], 5.0) == []
    assert voice.lines([], 8.0) == []
    assert voice.lines([], 10.0) == [(Level.OK, 'Over after 5 s: worse')]
    assert voice.lines([], 20.0) == []


def test_the_voice_keeps_silent_of_what_is_short_fine_or_logged_elsewhere() -> None:
    voice = Voice()
    fine = Finding(Level.OK, 'b', 'fine')
    logged = Finding(Level.WARN, 'c', 'said', is_logged=True)
    short = Finding(Level.WARN, 'd', 'short')
    assert voice.lines([fine, logged, short], 0.0) == []
    assert voice.lines([fine, logged], 9.0) == []


def test_flow_is_of_the_last_seconds_and_longer_where_images_are_rare() -> None:
    meter = FlowMeter(window_s=5.0)
    for k in range(21):  # 10 Hz, all well
        flow = meter.add(k * S, 10 * k, 10 * k, {})
    assert (flow.seconds, flow.received, flow.published) == (5.0, 50, 50)
    for k in range(21, 24):  # then all are lost
        flow = meter.add(k * S, 10 * k, 200, {'no_sweep': 10 * (k - 20)})
    assert (flow.published, flow.lost, flow.decided) == (20, {'no_sweep': 30}, 50)
    rare = FlowMeter(window_s=5.0)
    for k in range(41):  # one image in 4 s
        flow = rare.add(k * S, k // 4, 0, {'no_sweep': k // 4})
    assert flow.decided >= 5


def test_lost_images_are_counted_by_their_camera_info() -> None:
    meter = LossMeter()
    for k in range(40):
        meter.info(k * 100 * MS)
        if k % 3 == 0:
            meter.image(k * 100 * MS)
    lost, sent = meter.lost()
    assert sent == 35
    assert lost == 35 - 12
    other = LossMeter()  # a driver that stamps the two differently says nothing
    for k in range(40):
        other.info(k * 100 * MS)
        other.image(k * 100 * MS + 50 * MS)
    assert other.lost() == (0, 0)
    nearly = LossMeter()
    for k in range(40):
        nearly.info(k * 100 * MS)
        if k % 2:
            nearly.image(k * 100 * MS + MS)
    assert nearly.lost() == (17, 34)
    latched = LossMeter()
    latched.info(0)
    for k in range(40):
        latched.image(k * 100 * MS)
    assert latched.lost() == (0, 0)


def test_lost_images_of_a_recording_that_begins_again_are_forgotten() -> None:
    meter = LossMeter()
    for k in range(40):
        meter.info(k * 100 * MS)
    for k in range(20):
        meter.info(k * 100 * MS)
        meter.image(k * 100 * MS)
    assert meter.lost() == (0, 15)


def test_the_age_of_stamps_is_a_median() -> None:
    age = StampMeter()
    assert age.median_s() is None
    for lag_ms in (100, 100, 9000):
        age.add(5 * S, 5 * S + lag_ms * MS)
    assert age.median_s() == pytest.approx(0.1)
