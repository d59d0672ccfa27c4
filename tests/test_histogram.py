"""A histogram counts what it is given, in memory that does not grow."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.explain.histogram import EDGES, Histogram

SECONDS = st.lists(st.floats(0, 200_000), min_size=1)


def of(*seconds):
    histogram = Histogram()
    for one in seconds:
        histogram.add(timedelta(seconds=one))
    return histogram


@given(SECONDS, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_never_too_small_and_at_most_a_bin_too_large(seconds, share):
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    printed = of(*seconds).percentile(share)
    assert exact - 1e-6 <= printed
    assert printed <= max(exact * 1.17, 0.1) + 1e-6 or exact >= EDGES[-1]


@given(SECONDS)
def test_the_bars_hold_everything_once(seconds):
    histogram = of(*seconds)
    assert sum(bar.count for bar in histogram.bars()) == histogram.total == len(seconds)


@given(SECONDS)
def test_memory_does_not_grow_with_what_is_counted(seconds):
    assert len(of(*seconds).counts) == len(Histogram().counts)


@given(SECONDS)
def test_a_part_of_it_holds_what_is_below_an_edge(seconds):
    assert of(*seconds).within(60).total == sum(
        timedelta(seconds=one) < timedelta(seconds=60) for one in seconds
    )


def test_a_bar_begins_at_its_edge_and_ends_before_the_next():
    assert [(bar.begin, bar.end, bar.count) for bar in of(10, 29.9, 30).bars()] == [(10, 30, 2), (30, 60, 1)]


def test_a_clock_that_was_set_back_counts_as_no_time():
    assert [(bar.begin, bar.count) for bar in of(-5).bars()] == [(0, 1)]


def test_nothing_has_no_percentile_and_no_bars():
    assert Histogram().bars() == []
    with pytest.raises(ValueError, match="nothing was counted"):
        Histogram().percentile(0.5)
