"""Why images find no sweep, told from the stamps of both. Times are in seconds here."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import pytest

from depth_ros.pipeline.clocks import BOOT_CLOCK_S, Cause
from depth_ros.pipeline.config import SyncConfig
from depth_ros.pipeline.sync import DUPLICATE_IMAGE, IMAGE_QUEUE_FULL, NO_SWEEP, PairSync

NOW_S = 1_795_860_635.0
Clock = Callable[[float], float]


def true_time(t_s: float) -> float:
    return NOW_S + t_s


def after(seconds: float) -> Clock:
    return lambda t_s: true_time(t_s) + seconds


def run(
    image: Clock = true_time,
    sweep: Clock = true_time,
    period_s: float = 0.1,
    sweep_period_s: float = 0.1,
    sweep_until_s: float = 5.0,
    slop_s: float = 0.06,
) -> PairSync[None, None]:
    """Five seconds of images and sweeps that arrive when they are made, the image first."""
    sync: PairSync[None, None] = PairSync(SyncConfig(max_sync_slop_s=slop_s))
    arrivals = [(k * period_s, 0) for k in range(round(5.0 / period_s))]
    arrivals += [(k * sweep_period_s, 1) for k in range(ceil(sweep_until_s / sweep_period_s))]
    for t_s, kind in sorted(arrivals):
        add, clock = ((sync.add_image, image), (sync.add_sweep, sweep))[kind]
        add(round(clock(t_s) * 1e9), None)
    return sync


def why(sync: PairSync[None, None], reason: str = NO_SWEEP) -> Cause:
    assert sync.drops[reason] >= 3
    cause = sync.why(reason)
    assert cause is not None
    return cause


def test_a_clock_that_counts_from_its_own_start_is_told_with_whose_it_is() -> None:
    lidar = why(run(sweep=lambda t_s: 764 + t_s))
    assert lidar.key == 'other_clock'
    assert 'the nearest sweep is 1.80e9 s older' in lidar.sentence
    assert 'different clocks; that of the LiDAR counts from its own start' in lidar.sentence
    camera = why(run(image=lambda t_s: 500 + t_s))
    assert 'the nearest sweep is 1.80e9 s newer' in camera.sentence
    assert 'that of the camera' in camera.sentence


def test_clocks_of_which_neither_is_young_are_not_blamed_by_name() -> None:
    cause = why(run(sweep=after(-4e7)))  # a recording of last year beside a live camera
    assert cause.key == 'other_clock'
    assert '4.00e7 s older' in cause.sentence
    assert 'own start' not in cause.sentence
    assert NOW_S - 4e7 > BOOT_CLOCK_S


@pytest.mark.parametrize(
    ('offset_s', 'key', 'words'),
    [
        (37.0, 'other_time_scale', ('37.0 s', 'ahead', 'TAI')),
        (-37.0, 'other_time_scale', ('37.0 s behind', 'TAI')),
        (18.0, 'other_time_scale', ('18.0 s', 'GPS')),
        (-7200.0, 'time_zone', ('7200.0 s', '2 h')),
        (12600.0, 'time_zone', ('12600.0 s', '3.5 h')),
        (-1.0, 'clock_offset', ('1.000 s behind', 'different clocks', 'delivers late')),
        (-5.3, 'clock_offset', ('5.300 s behind', 'different clocks')),
        (300.0, 'clock_offset', ('300.0 s newer', 'different clocks')),
    ],
)
def test_offsets_of_seconds_and_more(offset_s: float, key: str, words: tuple[str, ...]) -> None:
    cause = why(run(sweep=after(offset_s)))
    assert cause.key == key
    assert all(word in cause.sentence for word in words), cause.sentence
    assert 'max_sync_slop_s' not in cause.way_out


def test_a_time_scale_is_known_beside_a_slow_camera() -> None:
    cause = why(run(sweep=after(37.0), period_s=0.8))
    assert cause.key == 'other_time_scale'


@pytest.mark.parametrize('skew_s', [-0.08, 0.08])
def test_a_small_constant_offset_names_the_slop_that_takes_it(skew_s: float) -> None:
    cause = why(run(sweep=after(skew_s), period_s=0.3, sweep_period_s=0.3))
    assert cause.key == 'constant_offset'
    assert f'0.080 s {"older" if skew_s < 0 else "newer"}' in cause.sentence
    assert 'sync.max_sync_slop_s allows 0.06 s' in cause.sentence
    assert 'sync.max_sync_slop_s to 0.09' in cause.way_out
    taken = run(sweep=after(skew_s), period_s=0.3, sweep_period_s=0.3, slop_s=0.09)
    assert taken.drops[NO_SWEEP] == 0


def test_a_lidar_slower_than_the_slop_allows_names_the_slop_that_takes_it() -> None:
    slow = {'period_s': 1 / 30, 'sweep_period_s': 0.2}
    cause = why(run(**slow))
    assert cause.key == 'slow_lidar'
    assert 'sweeps come every 0.200 s only' in cause.sentence
    assert 'sync.max_sync_slop_s to 0.11' in cause.way_out
    assert run(**slow, slop_s=0.11).drops[NO_SWEEP] == 0


def test_a_lidar_too_slow_for_any_slop_is_to_be_faster() -> None:
    cause = why(run(sweep_period_s=2.3))
    assert cause.key == 'slow_lidar'
    assert 'every 2.300 s only' in cause.sentence
    assert 'Have the LiDAR send' in cause.way_out


def test_a_lidar_that_never_came_or_went_silent() -> None:
    never = why(run(sweep_until_s=0.0))
    assert never.key == 'no_sweep_yet'
    assert never.sentence == 'no sweep has come since pairing began'
    gone = why(run(sweep_until_s=2.0))
    assert gone.key == 'sweeps_stopped'
    assert 'during the last 3.0' in gone.sentence


@pytest.mark.parametrize(
    ('image', 'sweep', 'reason', 'words'),
    [
        (lambda _: 0.0, true_time, NO_SWEEP, 'stamps of all images are 0'),
        (true_time, lambda _: 0.0, NO_SWEEP, 'stamps of all sweeps are 0'),
        (lambda _: 0.0, lambda _: 0.0, DUPLICATE_IMAGE, 'all images and sweeps are 0'),
        (lambda _: NOW_S, true_time, DUPLICATE_IMAGE, 'every image has the same stamp'),
        (true_time, lambda _: NOW_S, NO_SWEEP, 'every sweep has the same stamp'),
        (lambda _: 12.5, true_time, NO_SWEEP, 'every image has the same stamp, 12.5 s'),
    ],
)
def test_stamps_that_are_zero_or_stuck(
    image: Clock, sweep: Clock, reason: str, words: str
) -> None:
    cause = why(run(image, sweep), reason)
    assert cause.key in ('zero_stamps', 'stuck_stamps')
    assert words in cause.sentence
    assert 'driver' in cause.way_out


def test_irregular_sweeps_are_lost_ones() -> None:
    kept = [k / 10 for k in range(50) if k % 7 not in (2, 3, 4)]
    sync: PairSync[None, None] = PairSync(SyncConfig())
    for k in range(50):
        sync.add_image(round(true_time(k / 10) * 1e9), None)
        if k / 10 in kept:
            sync.add_sweep(round(true_time(k / 10) * 1e9), None)
    cause = why(sync)
    assert cause.key == 'no_sweep_near'
    assert 'sync.max_sync_slop_s to 0.22' in cause.way_out


def test_sweeps_that_come_too_late_now_and_then() -> None:
    sync: PairSync[None, None] = PairSync(SyncConfig())
    for k in range(60):
        sync.add_image(round(true_time(k / 10) * 1e9), None)
        if k % 12 == 11:  # a network that holds sweeps back and then lets all go
            for held in range(k - 11, k + 1):
                sync.add_sweep(round(true_time(held / 10 + 0.01) * 1e9), None)
    cause = why(sync)
    assert cause.key == 'sweeps_late'
    assert 'only after their image was given up' in cause.sentence


def test_a_queue_that_is_full_is_told_by_the_same_stamps() -> None:
    sync = run(sweep=after(-20.0), period_s=0.05, slop_s=10.0)
    cause = why(sync, IMAGE_QUEUE_FULL)
    assert cause.key == 'clock_offset'
    assert '20.0 s behind' in cause.sentence


def test_nothing_is_said_of_what_stamps_do_not_tell() -> None:
    sync = run()
    assert sync.why('late_image') is None
    assert sync.why(DUPLICATE_IMAGE) is None


def play(sync: PairSync[None, None], image: Clock, sweep: Clock | None, begin: int = 0) -> None:
    """Two seconds of images and sweeps at 10 Hz, the image first."""
    for k in range(begin, begin + 20):
        sync.add_image(round(image(k / 10) * 1e9), None)
        if sweep is not None:
            sync.add_sweep(round(sweep(k / 10) * 1e9), None)


def test_a_recording_that_begins_again_is_told_by_its_own_stamps() -> None:
    sync = run()
    play(sync, true_time, None)
    silent = why(sync)
    assert silent.key == 'sweeps_stopped'
    assert 'no sweep has come since stamps went back' in silent.sentence
    play(sync, true_time, after(37.0), begin=20)
    assert why(sync).key == 'other_time_scale'
    play(sync, true_time, after(37.0))  # and once more
    play(sync, true_time, after(37.0), begin=20)
    assert why(sync).key == 'other_time_scale'
    good = run()
    play(good, true_time, true_time)
    assert good.drops[NO_SWEEP] == 0
    assert good.why(NO_SWEEP) is None


def test_stamps_that_go_back_with_every_message_are_no_new_start() -> None:
    """Two drivers on one topic; what has come is not forgotten."""
    sync: PairSync[None, None] = PairSync(SyncConfig())
    play(sync, true_time, None)
    for k in range(20, 60):
        clock = true_time if k % 2 else after(-1000.0)
        sync.add_image(round(clock(k / 10) * 1e9), None)
        if k % 4 == 0:
            sync.add_sweep(round(true_time(k / 10) * 1e9), None)
            assert 'no sweep has come' not in why(sync).sentence
    assert sync.jumps > 15


def test_sweeps_that_begin_after_images_were_lost_are_not_denied() -> None:
    sync: PairSync[None, None] = PairSync(SyncConfig())
    play(sync, true_time, None)
    assert why(sync).key == 'no_sweep_yet'
    sync.add_sweep(round(after(-8.0)(2.0) * 1e9), None)
    told = why(sync)
    assert told.key == 'clock_offset'
    assert 'stamps 7.900 s behind those of the images' in told.sentence
