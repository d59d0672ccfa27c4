"""A receive time that cannot be true is not believed; everything else is left as it is."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import NOON, delivery

from tracker.intake.receive_times import FAR, LONGER_THAN_A_SESSION, WINDOW, believed, is_newest_first

YEAR = 365 * 86_400


def log(*seconds, streams=1):
    """One line for each of these seconds after noon, each of another person; the sessions take turns."""
    return [
        delivery(f"{second} participant-joined p{place} sessionId=s{place % streams}", place + 1)
        for place, second in enumerate(seconds)
    ]


def seconds(deliveries):
    return [(one.received_at - NOON).total_seconds() for one in believed(deliveries)]


def wrong(deliveries):
    """The lines whose times are not believed."""
    return [one.position for one in believed(deliveries) if one.received.wrong_time is not None]


SINGLE = {
    "years ahead": ([0, 10, 5 * YEAR, 20, 30], 10),
    "years behind": ([0, 10, -26 * YEAR, 20, 30], 10),
    "ten minutes ahead": ([0, 10, 620, 20, 30], 10),
    "ten minutes behind": ([0, 10, -600, 20, 30], 10),
    "of a log of three lines": ([0, 10, 3600, 20], 10),
}


@pytest.mark.parametrize(("given", "instead"), SINGLE.values(), ids=SINGLE)
def test_a_line_far_from_both_neighbours_is_wrong_and_lies_between_them(given, instead):
    assert wrong(log(*given)) == [3]
    assert seconds(log(*given))[2] == instead


def test_a_wrong_line_keeps_what_it_said():
    (_, _, one, _) = believed(log(0, 10, YEAR, 20))
    assert one.received.wrong_time == "2027-01-05T12:00:00Z"
    assert one.received_at == one.received.received_at == NOON + timedelta(seconds=10)


BLOCKS = {
    "a clock that was not set when the log began": ([-26 * YEAR, 30 - 26 * YEAR, 0, 10, 20], [1, 2], [-30, 0]),
    "a clock ahead when the log began": ([7200, 7230, 0, 10, 20, 30], [1, 2], [-30, 0]),
    "a clock ahead when the log ended": ([0, 10, 20, 30, YEAR, YEAR + 5], [5, 6], [30, 35]),
    "a clock set back when the log ended": ([0, 10, 20, 30, -7200, -7195], [5, 6], [30, 35]),
    "an hour ahead in the middle": ([0, 10, 3600, 3605, 30, 40, 50], [3, 4], [10, 15]),
    "the first line alone": ([YEAR, 0, 10, 20], [1], [0]),
    "the last line alone": ([0, 10, 20, YEAR], [4], [20]),
}


@pytest.mark.parametrize(("given", "lines", "instead"), BLOCKS.values(), ids=BLOCKS)
def test_a_block_of_wrong_lines_keeps_its_distances_where_there_is_room(given, lines, instead):
    assert wrong(log(*given)) == lines
    assert [seconds(log(*given))[line - 1] for line in lines] == instead


RIGHT = {
    "times that rise": [0, 10, 10, 4000, 90_000],
    "lines that a writer held back for a minute": [0, 70, 10, 80, 90],
    "a session that was quiet for a day": [0, 10, 90_000, 90_010],
    "two lines": [3600, 0],
    "a log in no order": random.Random(1).sample(range(0, 90_000, 60), 300),
    "the newest line first": list(range(5000, 0, -600)),
    "one line without neighbours": [0],
    "no line": [],
}


@pytest.mark.parametrize("given", RIGHT.values(), ids=RIGHT)
def test_all_is_believed_of(given):
    assert wrong(log(*given)) == []
    assert seconds(log(*given)) == given


def test_logs_of_different_days_one_behind_the_other_are_believed_in_any_order():
    days = [
        delivery(f"{day * 86_400 + minute * 60} participant-joined p sessionId=s{day}-{minute // 30}", 1)
        for day in (1, 0, 2)
        for minute in range(120)
    ]
    assert wrong(days) == []


def test_a_log_that_was_sent_again_weeks_later_is_believed():
    once = log(*range(0, 1000, 10))
    again = [delivery(f"{30 * 86_400 + 10 * n} participant-joined p{n} sessionId=s0", n) for n in range(50)]
    assert wrong([*once, *again]) == []


def test_a_wrong_line_in_a_log_that_has_the_newest_line_first_is_found_too():
    assert wrong(log(50, 40, 30, -YEAR, 20, 10, 0)) == [4]


def test_lines_without_a_time_are_passed_on_as_they_are():
    given = [*log(0, 10), delivery("- participant-left p1", 3), *log(YEAR), *log(20, 30)]
    found = list(believed(given))
    assert [one.received_at is None for one in found] == [False, False, True, False, False, False]
    assert found[3].received.wrong_time is not None


@pytest.mark.parametrize("place", [1, WINDOW, 2 * WINDOW - 1, 2 * WINDOW, 3 * WINDOW, 5 * WINDOW - 2])
@pytest.mark.parametrize("length", [1, WINDOW // 2])
def test_it_does_not_matter_where_in_a_long_log_a_wrong_block_stands(place, length):
    times = [float(second) for second in range(7 * WINDOW)]
    for line in range(place, place + length):
        times[line] += YEAR
    assert wrong(log(*times)) == list(range(place + 1, place + length + 1))


def test_a_line_is_given_when_few_lines_behind_it_are_known():
    taken = []

    def endless():
        for place in range(10**6):
            taken.append(place)
            yield delivery(f"{place} participant-joined p", place)

    next(believed(endless()))
    assert len(taken) <= 3 * WINDOW


WITHIN_A_SESSION = st.integers(0, LONGER_THAN_A_SESSION // timedelta(seconds=1))
"""Seconds; a jump that is longer is a sign of a wrong time itself."""


@given(st.lists(WITHIN_A_SESSION, max_size=30).map(sorted), st.data())
def test_of_times_that_rise_one_wrong_line_changes_no_other(times, data):
    place = data.draw(st.integers(0, len(times)))
    given = [*times[:place], 10 * YEAR, *times[place:]]
    found = seconds(log(*given))
    assert [*found[:place], *found[place + 1 :]] == times
    assert len(times) < 2 or found[place] <= times[-1]


def test_times_within_reach_of_a_writer_are_never_changed():
    dice = random.Random(2)
    times = [place + dice.uniform(0, FAR.total_seconds() / 2) for place in range(1000)]
    assert wrong(log(*times)) == []


def test_the_newest_line_stands_first_where_hardly_any_time_goes_forward():
    assert is_newest_first(log(*range(100, 0, -1)))
    assert not is_newest_first(log(10, 0))
    assert not is_newest_first(log(*range(100)))
