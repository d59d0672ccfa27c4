"""Time as a line: to scale, but for the long stretches in which nothing came."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import NOON

from projections.web.pages.axis import FOLD, LONG, MARGIN, Axis, ordinal

moments = st.lists(st.integers(0, 10**7).map(lambda seconds: NOON + timedelta(seconds=seconds)), min_size=1)


def over(*minutes):
    return Axis.over(NOON + timedelta(minutes=minute) for minute in minutes)


def x(axis, minute):
    return axis.x(NOON + timedelta(minutes=minute))


@given(moments)
def test_what_is_later_is_drawn_no_further_left_and_all_of_it_on_the_line(times):
    axis = Axis.over(times)
    places = [axis.x(time) for time in sorted(times)]

    assert places == sorted(places)
    assert MARGIN - 0.01 <= places[0] <= places[-1] <= 100 - MARGIN + 0.01


@given(moments)
def test_the_pieces_join_and_fill_the_line(times):
    pieces = Axis.over(times).pieces

    assert pieces[0].left == MARGIN
    assert pieces[-1].right == pytest.approx(100 - MARGIN)
    assert [one.right for one in pieces[:-1]] == pytest.approx([one.left for one in pieces[1:]])
    assert [one.end for one in pieces[:-1]] == [one.begin for one in pieces[1:]]


@given(moments)
def test_the_ticks_stand_apart(times):
    places = [tick.x for tick in Axis.over(times).ticks()]

    assert all(later - earlier >= 6 for earlier, later in pairwise(places))


def test_a_short_meeting_is_drawn_to_scale():
    axis = over(0, 4, 18, 57, 60)

    assert list(axis.folds()) == []
    assert x(axis, 30) == pytest.approx((x(axis, 0) + x(axis, 60)) / 2, abs=0.01)


def test_a_long_stretch_without_anything_is_folded_and_says_how_long_it_is():
    axis = over(0, 10, 20, 12 * 60 + 20)
    (fold,) = axis.folds()

    assert fold.label == "12 h"
    assert fold.right - fold.left == pytest.approx(FOLD)
    assert x(axis, 20) - x(axis, 0) > 80


def test_a_stretch_is_not_folded_because_it_is_the_only_one():
    assert list(over(0, 600).folds()) == []


def test_a_stretch_below_the_limit_is_not_folded():
    assert list(over(0, 1, LONG / 60).folds()) == []


def test_what_has_no_times_is_drawn_in_its_order_without_ticks():
    axis = Axis.over(map(ordinal, range(5)), timeless=True)

    assert axis.ticks() == []
    assert axis.x(ordinal(2)) == 50


def test_a_tick_names_the_day_when_another_one_begins():
    axis = Axis.over([datetime.fromisoformat(f"2026-01-0{day}T12:00:00Z") for day in (1, 2, 3)])

    assert any(tick.label.startswith("01-02 ") for tick in axis.ticks())
