"""Pairing of images and sweeps. Stamps are in milliseconds here, at 10 Hz unless said."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_ros.pipeline import sync
from depth_ros.pipeline.config import SyncConfig
from depth_ros.pipeline.sync import PairSync

MS = 1_000_000
SLOP_MS = 60


def make(sweeps: int = 1, slop_s: float = SLOP_MS / 1000) -> PairSync[str, str]:
    return PairSync(SyncConfig(max_sync_slop_s=slop_s, sweeps=sweeps))


def feed(pairs: PairSync[str, str], *messages: str) -> list[tuple[int, ...]]:
    """Add messages such as 'i100' and 's95'; returns (image, nearest sweep, older ...) in ms."""
    emitted = []
    for message in messages:
        stamp_ns = int(message[1:]) * MS
        add = pairs.add_image if message[0] == 'i' else pairs.add_sweep
        emitted += add(stamp_ns, message)
    return as_ms(emitted)


def as_ms(emitted: list[sync.Pair[str, str]]) -> list[tuple[int, ...]]:
    for pair in emitted:
        assert pair.image == f'i{pair.image_stamp_ns // MS}'
        assert all(payload == f's{stamp // MS}' for stamp, payload in pair.sweeps)
    return [(p.image_stamp_ns // MS, *(stamp // MS for stamp, _ in p.sweeps)) for p in emitted]


def test_equal_stamps_pair_at_once_in_either_order() -> None:
    assert feed(make(), 'i100', 's100') == [(100, 100)]
    assert feed(make(), 's100', 'i100') == [(100, 100)]


def test_a_later_sweep_decides_between_its_neighbours() -> None:
    assert feed(make(), 's60', 'i100', 's130') == [(100, 130)]
    assert feed(make(), 's80', 'i100', 's130') == [(100, 80)]


def test_of_two_equally_near_sweeps_the_earlier_is_taken() -> None:
    assert feed(make(), 's90', 's110', 'i100') == [(100, 90)]


def test_image_waits_while_the_next_sweep_may_be_nearer() -> None:
    pairs = make()
    assert feed(pairs, 's60', 'i100', 'i150') == []
    assert pairs.waiting == 2


def test_known_period_decides_without_waiting_for_the_next_sweep() -> None:
    pairs = make()
    feed(pairs, 's0', 's100', 's200', 's300')
    assert feed(pairs, 'i349') == [(349, 300)]
    assert feed(pairs, 'i351') == []  # 400 is expected and nearer
    assert feed(pairs, 's400') == [(351, 400)]


def test_the_period_is_not_mistaken_for_the_gap_that_a_lost_sweep_leaves() -> None:
    pairs = make()
    feed(pairs, 's0', 's100', 's200', 's300', 's500', 's600')
    assert feed(pairs, 'i660') == []  # 700 is expected, not 800
    assert feed(pairs, 's700') == [(660, 700)]


def test_sweeps_that_come_seconds_late_are_not_awaited() -> None:
    """Half a second and the slop at most, which is six images: depth must not be that old."""
    pairs = make()
    feed(pairs, *(f'i{100 * k}' for k in range(20)))
    for k in range(20, 60):
        feed(pairs, f'i{100 * k}', f's{100 * (k - 20)}')
        assert pairs.waiting <= 6


def test_image_with_no_sweep_near_yet_waits_for_an_early_one() -> None:
    pairs = make()
    feed(pairs, 's0', 's200', 's400', 's600')
    assert feed(pairs, 'i690') == []  # 600 is nearer than 800 but outside the slop
    assert feed(pairs, 's740') == [(690, 740)]


def test_silent_lidar_costs_at_most_the_slop() -> None:
    pairs = make()
    assert feed(pairs, 's60', 'i100', 'i160') == []
    assert feed(pairs, 'i161') == [(100, 60)]


def test_image_without_a_sweep_is_dropped_once_stamps_have_passed() -> None:
    pairs = make()
    assert feed(pairs, 'i100', 'i161') == []
    assert pairs.drops == {sync.NO_SWEEP: 1}
    assert feed(pairs, 's250') == []
    assert pairs.drops == {sync.NO_SWEEP: 2}
    assert pairs.waiting == 0


def test_slop_is_inclusive() -> None:
    assert feed(make(), 'i100', 's160') == [(100, 160)]
    assert feed(make(), 'i100', 's161') == []


def test_sweeps_that_arrive_a_turn_late_still_pair() -> None:
    # Stamped at the start of the turn, delivered after it: image 100 arrives before sweep 0.
    pairs = make()
    messages = ['i0']
    for k in range(20):
        messages += [f'i{100 * (k + 1)}', f's{100 * k + 10}']
    assert feed(pairs, *messages)[-15:] == [(100 * k, 100 * k + 10) for k in range(5, 20)]
    assert pairs.drops == {sync.NO_SWEEP: 1}  # image 0: the lag was not known yet


def test_late_out_of_order_and_duplicate_images() -> None:
    pairs = make()
    assert feed(pairs, 's100', 'i100', 'i99') == [(100, 100)]
    assert feed(pairs, 'i100') == []
    assert feed(pairs, 'i200', 'i180', 'i200', 's190') == [(180, 190)]
    assert feed(pairs, 's220') == [(200, 190)]
    assert pairs.drops == {sync.LATE_IMAGE: 1, sync.DUPLICATE_IMAGE: 2}


def test_out_of_order_and_duplicate_sweeps() -> None:
    pairs = make()
    assert feed(pairs, 's50', 's150', 's90', 's90', 'i100') == [(100, 90)]
    assert pairs.drops == {sync.DUPLICATE_SWEEP: 1}


def test_sweep_older_than_what_was_let_go_is_late() -> None:
    pairs = make()
    feed(pairs, 's0', 's100', 's500', 'i500')
    assert feed(pairs, 's50') == []
    assert pairs.drops == {sync.LATE_SWEEP: 1}


def test_gathered_sweeps_go_back_in_time_from_the_nearest() -> None:
    pairs = make(sweeps=3)
    assert feed(pairs, 's0', 'i0') == [(0, 0)]
    assert feed(pairs, 's100', 's200', 's300', 's400', 'i300') == [(300, 300, 200, 100)]
    assert feed(pairs, 'i400') == [(400, 400, 300, 200)]


def test_nothing_is_gathered_across_a_silence():
    pairs = make(sweeps=3)
    feed(pairs, 's0', 's100', 's200', 'i200')
    assert feed(pairs, 's60000', 'i60000') == [(60000, 60000)]
    assert feed(pairs, 's60100', 'i60100') == [(60100, 60100, 60000)]
    assert feed(pairs, 's60200', 'i60200') == [(60200, 60200, 60100, 60000)]


def test_a_stream_that_begins_with_a_gap_gathers_nothing_across_it():
    pairs = make(sweeps=3)
    assert feed(pairs, 's0', 's60000', 'i60000') == [(60000, 60000)]
    assert feed(pairs, 's60100', 'i60100') == [(60100, 60100, 60000)]


@pytest.mark.parametrize(
    ('lost', 'gathered'),
    [
        ((), (1000, 900, 800, 700, 600)),
        ((900,), (1000, 800, 700, 600, 500)),  # one lost sweep is no gap
        ((800, 900), (1000,)),
        ((700, 800), (1000, 900)),
        ((500, 600), (1000, 900, 800, 700)),
        ((600, 800), (1000, 900, 700, 500, 400)),  # 600 ms old is the limit
    ],
)
def test_sweeps_are_gathered_back_to_a_gap_of_two_lost_ones(lost, gathered):
    pairs = make(sweeps=5)
    stamps = [stamp for stamp in range(0, 1001, 100) if stamp not in lost]
    feed(pairs, *(f's{stamp}' for stamp in stamps))
    assert feed(pairs, 'i1000') == [(1000, *gathered)]


def test_gathered_sweeps_are_not_older_than_one_and_a_half_periods_for_each():
    pairs = make(sweeps=3)
    feed(pairs, *(f's{100 * k}' for k in (*range(11), 12, 14)))
    assert feed(pairs, 'i1400') == [(1400, 1400, 1200)]  # 1000 would be 400 ms older


@pytest.mark.parametrize(
    ('age_s', 'gathered'), [(0.05, 1), (0.15, 2), (0.2, 3), (0.25, 3), (10.0, 5)]
)
def test_the_age_of_gathered_sweeps_can_be_set(age_s, gathered):
    pairs = PairSync(SyncConfig(sweeps=5, max_sweep_age_s=age_s))
    feed(pairs, *(f's{stamp}' for stamp in range(0, 801, 100)))
    got = feed(pairs, 'i800')
    assert got == [(800, *[800 - 100 * k for k in range(gathered)])]
    assert feed(pairs, 's5000', 'i5000') == [(5000, 5000)]  # however old they may be


def test_lidars_that_share_a_topic_are_gathered_together():
    """Two sweeps 10 ms apart at 10 Hz, one of them of each turn."""
    pairs = make(sweeps=4)
    stamps = [stamp for turn in range(0, 1000, 100) for stamp in (turn, turn + 10)]
    feed(pairs, *(f's{stamp}' for stamp in stamps))
    assert feed(pairs, 'i910') == [(910, 910, 900, 810, 800)]


def test_a_slow_lidar_is_gathered_up_to_the_silence_that_is_reported():
    """Every 0.9 s; the silence that is reported is 1 s."""
    pairs = make(sweeps=3)
    assert feed(pairs, 's0', 's900', 's1800', 'i1800') == [(1800, 1800, 900, 0)]
    assert feed(pairs, 's2900', 'i2900') == [(2900, 2900)]


def test_nothing_is_gathered_across_a_jump():
    pairs = make(sweeps=3)
    feed(pairs, 's9800', 's9900', 'i9900')
    assert feed(pairs, 's8000', 'i8000') == [(8000, 8000)]


@pytest.mark.parametrize('stream', ['i', 's'])
def test_bag_loop_clears_both_buffers_and_goes_on(stream: str) -> None:
    pairs = make()
    feed(pairs, 's9900', 'i10000')
    assert pairs.waiting == 1
    assert feed(pairs, f'{stream}8000') == []
    assert pairs.jumps == 1
    assert pairs.drops == {sync.TIME_JUMP: 1}
    assert feed(pairs, 's8100', 'i8100', 's8200', 'i8200') == [(8100, 8100), (8200, 8200)]


def test_stepping_back_by_one_second_is_late_and_not_a_loop() -> None:
    pairs = make()
    feed(pairs, 's9000', 's10000', 'i10000', 'i9000', 's9000')
    assert pairs.jumps == 0
    assert pairs.drops == {sync.LATE_IMAGE: 1, sync.LATE_SWEEP: 1}


def test_one_stamp_far_ahead_costs_one_jump() -> None:
    pairs = make()
    feed(pairs, 's0', 'i0', 'i99999999')
    assert feed(pairs, 'i100', 's100', 'i200', 's200') == [(100, 100), (200, 200)]
    assert pairs.jumps == 1


def test_waiting_images_are_bounded_and_the_oldest_goes_first() -> None:
    pairs = make(slop_s=10.0)
    count = sync.MAX_WAITING_IMAGES + 5
    assert feed(pairs, *(f'i{10 * k}' for k in range(count))) == []
    assert pairs.waiting == sync.MAX_WAITING_IMAGES
    assert pairs.drops == {sync.IMAGE_QUEUE_FULL: 5}


def test_overfull_queue_pairs_with_what_has_come() -> None:
    pairs = make(slop_s=10.0)
    emitted = feed(pairs, 's0', *(f'i{10 * k}' for k in range(1, sync.MAX_WAITING_IMAGES + 2)))
    assert emitted == [(10, 0)]


def test_sweeps_are_bounded_without_images() -> None:
    pairs = make(sweeps=4)
    feed(pairs, *(f's{100 * k}' for k in range(1000)))
    assert len(pairs._sweeps) == sync.MAX_SPARE_SWEEPS + 3
    assert not pairs.drops


def test_flush_decides_what_waits() -> None:
    pairs = make()
    feed(pairs, 's60', 'i100', 'i150')
    assert as_ms(pairs.flush()) == [(100, 60)]
    assert pairs.drops == {sync.NO_SWEEP: 1}
    assert pairs.flush() == []


STAMPS = st.lists(st.integers(0, 900), unique=True, min_size=1)


@settings(max_examples=200)
@given(STAMPS.filter(lambda s: len(s) <= 30), st.lists(st.integers(0, 900), max_size=3))
def test_in_order_irregular_streams_pair_as_brute_force(
    images: list[int], sweeps: list[int]
) -> None:
    # Up to three sweeps: their period is not known, so nothing is decided by expectation.
    check_against_brute_force(images, sorted(set(sweeps)))


@settings(max_examples=200)
@given(STAMPS.filter(lambda s: len(s) <= 30), st.integers(20, 200), st.integers(0, 99))
def test_in_order_regular_sweeps_pair_as_brute_force(
    images: list[int], period: int, first: int
) -> None:
    check_against_brute_force(images, list(range(first, 1000, period)))


def check_against_brute_force(images: list[int], sweeps: list[int]) -> None:
    arrivals = sorted([(t, f'i{t}') for t in images] + [(t, f's{t}') for t in sweeps])
    pairs = make()
    emitted = feed(pairs, *(message for _, message in arrivals)) + as_ms(pairs.flush())
    expected = []
    for image in sorted(images):
        nearest = min(sweeps, key=lambda t: (abs(t - image), t), default=10**9)
        if abs(nearest - image) <= SLOP_MS:
            expected.append((image, nearest))
    assert emitted == expected
    assert pairs.drops.total() == len(images) - len(expected)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.sampled_from('is'), st.integers(0, 5000)), max_size=120),
    st.integers(1, 4),
)
def test_every_message_is_accounted_for_under_any_interleaving(
    messages: list[tuple[str, int]], gathered: int
) -> None:
    pairs = make(sweeps=gathered)
    emitted: list[tuple[int, ...]] = []
    images, last_ms = 0, -1
    image_drops = (
        sync.NO_SWEEP,
        sync.LATE_IMAGE,
        sync.DUPLICATE_IMAGE,
        sync.IMAGE_QUEUE_FULL,
        sync.TIME_JUMP,
    )
    for kind, stamp in messages:
        images += kind == 'i'
        jumps = pairs.jumps
        new = feed(pairs, f'{kind}{stamp}')
        last_ms = last_ms if pairs.jumps == jumps else -1
        assert all(a[0] < b[0] for a, b in pairwise([(last_ms,), *new]))
        last_ms = new[-1][0] if new else last_ms
        emitted += new
        dropped = sum(pairs.drops[reason] for reason in image_drops)
        assert images == len(emitted) + dropped + pairs.waiting
        assert pairs.waiting <= sync.MAX_WAITING_IMAGES
        assert len(pairs._sweeps) <= sync.MAX_SPARE_SWEEPS + gathered
    for image, nearest, *older in emitted + as_ms(pairs.flush()):
        assert abs(nearest - image) <= SLOP_MS
        assert [nearest, *older] == sorted({nearest, *older}, reverse=True)
        assert len(older) < gathered
    assert pairs.waiting == 0


def test_a_loop_shorter_than_a_second_goes_on_after_three_messages():
    """Eight frames at 10 Hz with recorded stamps, played again and again."""
    sync = PairSync(SyncConfig())
    pairs = [0] * 4
    for turn in range(4):
        for index in range(8):
            stamp_ns = index * 100_000_000
            pairs[turn] += len(sync.add_sweep(stamp_ns, None))
            pairs[turn] += len(sync.add_image(stamp_ns, None))
    assert pairs[0] == 8
    assert all(count >= 5 for count in pairs[1:])
    assert sync.jumps >= 3


def test_one_late_message_among_newer_ones_is_no_jump():
    sync = PairSync(SyncConfig())
    for index in range(3, 30):
        sync.add_sweep(index * 100_000_000, None)
        sync.add_sweep(index * 100_000_000 - 250_000_000, None)
    assert sync.jumps == 0


def lone():
    """As for a method that needs no sweep."""
    one = PairSync(SyncConfig(max_sync_slop_s=0.05, lidar_timeout_s=1.0))
    one.lone = True
    return one


def test_while_the_lidar_is_silent_an_image_that_needs_no_sweep_is_a_pair_at_once():
    one = lone()
    assert [pair.sweeps for pair in one.add_image(0, 'no sweep yet')] == [()]
    one.add_sweep(100_000_000, 'the last')
    assert [pair.sweeps for pair in one.add_image(1_100_000_001, 'after it')] == [()]
    assert not one.drops


def test_else_it_waits_for_its_sweep_and_comes_out_without_if_there_is_none():
    one = lone()
    one.add_sweep(0, 'a')
    assert one.add_image(60_000_000, 'image') == []
    assert one.add_sweep(100_000_000, 'b')[0].sweeps == ((100_000_000, 'b'),)
    assert one.add_image(300_000_000, 'in vain') == []
    assert [(pair.image, pair.sweeps) for pair in one.add_image(400_000_000, '')] == [
        ('in vain', ())
    ]
    assert not one.drops
