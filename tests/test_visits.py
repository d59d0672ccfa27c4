"""Of a large session visits are not judged anew that stay as they are, and what is held is what would be held anyway."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meetings import MORNING, deliveries, line, webhook
from tries import tries

from projections.read_models import findings, names, participants
from projections.read_models import sessions as sessions_model
from projections.read_models.deliveries import read
from tracker.judging import sessions
from tracker.judging.assess import assess
from tracker.judging.log import Habits
from tracker.judging.sessions import Sessions
from tracker.rules import Rules

KINDS = [
    "session-started",
    *["participant-joined", "participant-left"] * 4,
    "recording-started",
    "session-ended",
]


def came(places):
    """Deliveries of one session: at a minute, a kind, of somebody by a name."""
    return deliveries(
        line(
            webhook(kind, sessionId="s", meetingId="m", participantId=person, participantName=name), 60 * minute
        )
        for minute, kind, person, name in places
    )


def rows(session):
    """All that is written of a session."""
    models = (sessions_model, participants, names, findings)
    return [list(model.rows(session)) for model in models], dict(read(session)), session.next_change


@given(
    places=st.lists(
        st.tuples(
            st.integers(0, 200),
            st.sampled_from(KINDS),
            st.sampled_from("pqrs"),
            st.sampled_from(["Ada", "Ada", "Bo"]),
        ),
        min_size=2,
        max_size=20,
    ),
    in_order=st.sampled_from([True, True, True, False]),
    later=st.lists(st.integers(0, 200), min_size=20, max_size=20),
)
@tries(150)
def test_whatever_comes_next_what_is_held_is_what_is_held_without_a_memory(places, in_order, later):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "LARGE", 1)
        held = Sessions(Rules(), habits=Habits())
        for one, minutes in zip(came(sorted(places) if in_order else places), later, strict=False):
            observed = held.observe(one)
            for moment in (one.received_at, one.received_at + timedelta(minutes=minutes)):
                assert rows(held.assessed("s", moment)) == rows(assess(observed, moment))


def test_of_a_large_session_only_whoever_something_came_of_is_judged_anew(monkeypatch):
    monkeypatch.setattr(sessions, "LARGE", 4)
    held = Sessions(Rules(), habits=Habits())
    places = [(0, "session-started", "", ""), *((1, "participant-joined", who, who) for who in "pqr")]
    before, after = [], []
    for one in came([*places, (2, "participant-left", "q", "q")]):
        held.observe(one)
        before, after = after, held.assessed("s", MORNING + timedelta(minutes=3)).participants

    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_the_visits_of_a_few_sessions_only_are_kept(monkeypatch):
    monkeypatch.setattr(sessions, "LARGE", 1)
    monkeypatch.setattr(sessions, "KEPT", 2)
    held = Sessions(Rules())
    for one in deliveries(line(webhook("session-started", sessionId=name), 1) for name in "abcd"):
        held.observe(one)
        held.assessed(one.stream, None)

    assert list(held._visits) == ["c", "d"]
