"""Many sessions under way: where they come from, how long they stay, and which of them overlap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import RULES, deliveries, moment, standing, value

from tracker.judging import search
from tracker.judging import sessions as sessions_module
from tracker.judging.assess import assess, assess_all
from tracker.judging.findings.overlaps import live_at_begin, overlaps, span
from tracker.judging.log import Habits
from tracker.judging.session import observe_all
from tracker.judging.sessions import Sessions

LINES = (
    "0 session-started",
    "1 participant-joined p",
    "2 session-started sessionId=T meetingId=N",
    "3 recording-started",
    "60 participant-left p",
    "61 session-ended",
)


def observed(*lines, **more):
    sessions = Sessions(RULES, **more)
    for each in deliveries(*lines):
        sessions.observe(each)
    return sessions


def test_each_stream_is_a_session_of_its_own():
    sessions = observed(*LINES)
    assert list(sessions.observed) == ["T", "S"]
    assert {one.session_id: one.deliveries for one in sessions.observed.values()} == {"S": 5, "T": 1}


def test_a_session_is_assessed_as_it_would_be_alone():
    alone = assess_all([one for one in deliveries(*LINES) if one.stream == "S"], moment("1h"))
    assert value(observed(*LINES).assessed("S", moment("1h"))) == value(alone)


def test_a_stream_of_which_nothing_came_is_none():
    with pytest.raises(KeyError):
        observed(*LINES).assessed("U", None)


def test_a_session_that_is_not_in_memory_is_recalled_as_it_was_before_the_delivery():
    asked = []

    def recall(stream, before):
        asked.append((stream, before))
        return observe_all([one for one in deliveries(*LINES[:4]) if one.stream == stream])

    sessions = Sessions(RULES, recall)
    for each in deliveries(*LINES)[4:]:
        sessions.observe(each)
    assert asked == [("S", 5)]
    assert value(sessions.assessed("S", moment("1h"))) == value(observed(*LINES).assessed("S", moment("1h")))


def test_the_sessions_that_were_used_least_recently_are_forgotten():
    sessions = observed(*LINES)
    sessions.keep(1)
    assert list(sessions.observed) == ["S"]
    sessions.keep(1)
    assert list(sessions.observed) == ["S"]
    sessions.keep(0)
    assert list(sessions.observed) == []


def test_what_the_log_learns_is_learned_only_where_it_is_asked_for():
    habits = Habits()
    observed(*LINES, habits=habits)
    assert habits.sessions["session-started"] == 2
    assert observed(*LINES).habits is None


# -- sessions of one meeting ------------------------------------------------------------------------

TYPES = (
    "session-started",
    "participant-joined p",
    "participant-left p",
    "participant-joined q",
    "session-ended",
)
GAPS = (0, 1, 60, 119, 121, 3600, 90_000)
came = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(GAPS), st.sampled_from(TYPES)), max_size=25)


@given(came)
def test_the_sessions_that_overlap_are_those_that_have_an_overlapping_one(drawn):
    now, lines = 0, []
    for name, gap, line in drawn:
        now += gap
        lines.append(f"{now} {line} sessionId={name}")
    spans = [span(assess(one, moment(now))) for one in observed(*lines).observed.values()]
    found = {this.stream: one.evidence for this, one in overlaps(spans, RULES, moment(now))}
    overlapping = {this.stream: live_at_begin(this, spans, RULES) for this in spans}
    assert found == {
        this.stream: (other.first_position, this.first_position)
        for this in spans
        if (other := overlapping[this.stream]) is not None
    }


def test_a_session_goes_on_beside_an_end_of_another_one_that_is_all_that_came_of_it():
    a = ("0 session-started sessionId=a", "0 participant-joined p sessionId=a")
    lines = (*a, "0 session-ended sessionId=b", "0 session-started sessionId=c")
    spans = [span(assess(one, moment(0))) for one in observed(*lines).observed.values()]
    assert [this.stream for this, _ in overlaps(spans, RULES, moment(0))] == ["c"]


def test_a_session_beside_another_is_no_fault_of_its_own():
    sessions = observed(LINES[0], LINES[1], "600 session-started sessionId=T")
    assert standing(sessions.assessed("T", moment("1h"))) == []


STEPS = [
    *("session-started", "session-ended", "participant-joined p", "participant-left p", "participant-joined q"),
    *("recording-starting", "recording-started", "recording-stopping", "recording-failed"),
    *("recording-stopped filePath=/1.mp4", "recording-stopped filePath=/2.mp4"),
    *("livestream-starting", "livestream-started", "livestream-stopping", "livestream-stopped"),
    *("hls-starting", "hls-started playbackHlsUrl=u", "hls-stopped"),
]
came = st.lists(
    st.tuples(st.sampled_from([0, 3, 11, 60, 301, 1300]), st.sampled_from(STEPS)), min_size=2, max_size=24
)


@given(came, st.sampled_from([0, 1, 4]), st.lists(st.booleans(), min_size=24, max_size=24))
def test_going_on_with_a_search_finds_what_searching_from_the_beginning_does(drawn, long, looked):
    at, lines = 0, []
    for gap, line in drawn:
        at += gap
        lines.append(f"{at} {line}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions_module, "LONG", long)
        sessions, received = Sessions(RULES), deliveries(*lines)
        for number, (each, look) in enumerate(zip(received, looked, strict=False), 1):
            sessions.observe(each)
            if look or number == len(received):
                for later in (None, "1h", "30h"):
                    as_of = each.received_at if later is None else moment(later)
                    alone = assess_all(received[:number], as_of, RULES)
                    assert value(sessions.assessed("S", as_of)) == value(alone)


def test_what_a_session_shows_of_its_copies_is_known_also_where_its_own_search_is_remembered(monkeypatch):
    monkeypatch.setattr(sessions_module, "LONG", 0)
    first = ["0 session-ended", "0 participant-joined q", "3 participant-left p", "14 participant-joined p"]
    received = deliveries(*first, "14 participant-joined q", "17 participant-left p", "28 participant-joined p")
    sessions = Sessions(RULES)
    for each in received:
        sessions.observe(each)
    assert value(sessions.assessed("S", None)) == value(assess_all(received, None, RULES))


def test_a_long_session_is_not_searched_from_its_beginning_each_time(monkeypatch):
    lines = [f"{200 * place} recording-starting" for place in range(200)]
    sessions, received, read = Sessions(RULES), deliveries("0 session-started", *lines), []

    class Counted(search.Reader):
        def __init__(self, lifecycle, one, *more, **how):
            read.append(one.position)
            super().__init__(lifecycle, one, *more, **how)

    monkeypatch.setattr(search, "Reader", Counted)
    for each in received[:-1]:
        sessions.observe(each)
    sessions.assessed("S", None)
    assert set(read) == set(range(2, 201))
    read.clear()
    sessions.observe(received[-1])
    sessions.assessed("S", None)
    assert set(read) == {201}
