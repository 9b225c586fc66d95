"""Times of recordings."""

from __future__ import annotations

import pytest

from depth_ros.datasets.records import stamp_from


@pytest.mark.parametrize(
    ('time', 'stamp_ns'),
    [
        (0.1, 100_000_000),
        (0.3, 300_000_000),
        (7, 7_000_000_000),
        ('1970-01-01T00:00:01Z', 1_000_000_000),
        ('1970-01-01T01:00:00.5+01:00', 500_000_000),
        ('2011-09-26 13:04:32.351950336', 1_317_042_272_351_950_336),
        ('2463-05-15T00:38:58.415230Z', 15_569_195_938_415_230_000),
        ('1969-12-31T23:59:59.75Z', -250_000_000),
    ],
)
def test_times_become_exact_nanoseconds(time, stamp_ns):
    assert stamp_from(time) == stamp_ns
