"""A session that is spilled, in memory or on disk, goes on as if it had stayed."""

from datetime import timedelta

import pytest
from meetings import deliveries, lines
from msgspec.structs import asdict
from record_stories import RAISED
from story import deliveries as received

from projections.audit import auditing
from projections.audit import share as sharing
from projections.audit.auditing import audit
from projections.audit.share import _FACTS, Share, packed_session, unpacked_session
from tracker.delivery.webhook import parse
from tracker.judging.log import Habits
from tracker.judging.session import Observed
from tracker.rules import Rules
from tracker.simulate import simulate

RULES = Rules()
REUSED = [*simulate(6, seed=7, habits=["reused-rooms"])]
TWICE = [*simulate(4, seed=7, habits=["usual", "two-channels"])]
"""Meetings of which everything comes twice."""
ODD = (
    "0 session-started forged",
    "1 recording-strated",
    "2 participant-joined",
    "3 recording-stopped filePath=/a.mp4",
    "4 participant-joined p meetingId=other",
    "3h recording-stopped filePath=/a.mp4",
    "2h session-ended",
    "- hls-started",
)


def values(observed):
    """All that is known of an observed session."""
    aggregates = {key: asdict(one) for key, one in observed.aggregates.items()}
    return asdict(observed) | {"aggregates": aggregates}


def written(observed):
    """What comes back from the disk."""
    return unpacked_session(packed_session(observed))


def streams(arrived):
    found = {}
    for one in arrived:
        found.setdefault(one.stream, []).append(one)
    return found


GIVEN = {
    "odd": received(*ODD),
    "a call": received("0 call-started c1 roomId=R", "2 call-update c1", "3 call-update", "9 call-hangup c1"),
    "an account": received("0 session-started", "1 participant-joined p @acme", "2 participant-left p @beta"),
    "records": received(*RAISED["R606"], *RAISED["R602"][1:], f'2h rest-hls record={{"id":{10**30}}}'),
    "timeless": received("- session-started", "- participant-joined p"),
    **{f"log {seed}": deliveries(lines(seed)) for seed in range(3)},
    "twice": [parse(one.received, at) for at, one in enumerate(TWICE, 1)],
    "rooms": [parse(one.received, at) for at, one in enumerate(REUSED, 1)],
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_a_session_that_was_spilled_equals_itself_and_goes_on_alike(given):
    for stream, came in streams(given).items():
        stayed, spilled = Observed(stream, came[0].session_id), Observed(stream, came[0].session_id)
        learned = Habits(), Habits()
        for one in came:
            stayed.observe(one, learned[0])
            spilled = written(spilled)
            spilled.observe(one, learned[1])

            assert values(spilled) == values(stayed)
        assert learned[0] == learned[1]


def test_every_field_of_an_observed_session_is_spilled():
    kept = {*_FACTS, "idle", "aggregates", "odd", "named", "notes", "links", "records"}
    assert kept == set(Observed.__struct_fields__)


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_the_log_learns_the_same_whoever_is_spilled(given, monkeypatch):
    habits = []
    for sweep in (1, 10**9):
        monkeypatch.setattr(auditing, "SWEEP", sweep)
        monkeypatch.setattr(sharing, "KEPT", 0)
        monkeypatch.setattr(sharing, "ROOMS", 0)
        monkeypatch.setattr(Share, "_is_silent", lambda *_: True)
        habits.append(audit(given, RULES).log.habits)

    assert habits[0] == habits[1]


def test_memory_holds_few_rooms_and_the_log_learns_of_those_that_had_several_sessions(monkeypatch):
    monkeypatch.setattr(sharing, "ROOMS", 2)
    share = Share(RULES)
    for number, room in enumerate("abcda", 1):
        started = f"0 session-started sessionId=s{number} meetingId={room}"
        share.observe(parse(received(started)[0].received, number))
        share.sweep(None)
        assert len(share.habits.rooms) <= 2

    habits, _ = share.learned()
    assert (habits.rooms, {name: room.sessions for name, room in share.rooms().items()}) == ({}, {"a": 2})


def test_who_has_been_silent_for_long_and_is_over_is_spilled_and_nobody_else(monkeypatch):
    monkeypatch.setattr(sharing, "KEPT", 0)
    lasting = ("0 session-started sessionId=a", "0 participant-joined p sessionId=a")
    over = ("0 session-started sessionId=b", "9 session-ended sessionId=b")
    share = Share(RULES)
    for one in received(*lasting, *over):
        share.observe(one)
    in_memory = []
    for hours in (1, 2, 25):
        share.sweep(received(f"{hours}h x")[0].received_at + timedelta(seconds=5))
        in_memory.append(list(share._sessions.observed))

    assert in_memory == [["a", "b"], ["a"], []]


@pytest.mark.parametrize(("kept", "left"), [(4, "abcd"), (3, "bcd"), (2, "bd"), (1, "b"), (0, "b")])
def test_the_oldest_are_spilled_first_and_no_more_than_memory_lacks_room_for(kept, left, monkeypatch):
    monkeypatch.setattr(sharing, "KEPT", kept)
    share = Share(RULES)
    for one in received(
        *(f"{hours}h session-ended sessionId={name}" for hours, name in enumerate("acd")),
        "9h participant-joined p sessionId=b",
    ):
        share.observe(one)
    share.sweep(received("9h x")[0].received_at)

    assert sorted(share._sessions.observed) == list(left)
