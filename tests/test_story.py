"""The story of a session: what it names for each fault, and that what it claims is so."""

from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import NOON, RULES, deliveries

from projections.story import tell, undo_all
from projections.story.search import Judge, identity
from projections.story.words import counterfactual, values
from tracker.simulate import simulate
from tracker.webhook import parse

LATER = timedelta(hours=14)
MEETING = (
    "0 session-started",
    "3 participant-joined p participantName=Ann",
    "60 recording-starting",
    "63 recording-started",
    "900 recording-stopping",
    "930 recording-stopped fileUrl=https://files/a.mp4",
    "990 participant-left p participantName=Ann",
    "995 session-ended",
)


def story(*lines):
    heard = deliveries(*lines)
    return tell(heard, RULES, heard[-1].received_at and heard[-1].received_at + LATER)


def without(*left_out):
    return [line for number, line in enumerate(MEETING, 1) if number not in left_out]


def told(tale):
    """A line a chapter: its readings, each the kinds of its faults with their positions."""
    return [
        " or ".join(
            " and ".join(f"{one.kind} {one.position or '+'.join(one.types)}" for one in reading.faults)
            or "as it looks"
            for reading in chapter.readings
        )
        for chapter in tale.chapters
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (MEETING, []),
        ([*MEETING[:2], "60 recording-started", "63 recording-starting", *MEETING[4:]], ["late 4"]),
        ([*MEETING[:4], "200 recording-started", *MEETING[4:]], ["redelivered 5"]),
        (without(4), ["lost recording-started"]),
        (without(3), ["lost recording-starting"]),
        (without(1), ["lost session-started"]),
        (without(8), ["lost session-ended or as it looks"]),
        (without(7), ["lost participant-left or as it looks"]),
        (without(6), ["lost recording-stopped or as it looks"]),
        (
            without(4, 5, 6),
            ["as it looks or lost recording-started+recording-stopping+recording-stopped"],
        ),
        ([*MEETING[:6], "940 recording-paused", *MEETING[6:]], ["as it looks"]),
        (
            [*MEETING[:2], "9 participant-left q participantName=Bo", *MEETING[2:]],
            ["lost participant-joined or as it looks"],
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_its_name(lines, expected):
    assert told(story(*lines)) == expected


def test_a_left_that_a_rejoin_overtook_is_late():
    rejoin = ("500 participant-joined p participantName=Ann", "505 participant-left p participantName=Ann")
    assert told(story(*MEETING[:4], *rejoin, *MEETING[4:])) == ["late 6"]


def test_two_readings_of_a_second_joined_are_both_told():
    tale = story(*MEETING[:4], "500 participant-joined p participantName=Ann", *MEETING[4:])
    assert told(tale) == ["redelivered 5 or lost participant-left"]


def test_the_counterfactual_is_a_sentence():
    tale = story(*MEETING[:2], "60 recording-started", "63 recording-starting", *MEETING[4:])
    assert counterfactual(tale.chapters[0].readings[0]) == "had #4 come before #3 there would be no D102"


@st.composite
def troubled(draw):
    """A meeting in which up to three deliveries were lost, moved or came again."""
    lines = list(MEETING)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["lose", "move", "copy"]))
        line = lines[place] if kind == "copy" else lines.pop(place)
        if kind != "lose":
            second = float(line.split(" ")[0]) + draw(st.sampled_from([1, 5, 60, 300, 1500]))
            lines.append(f"{second} {line.split(' ', 1)[1]}")
        lines.sort(key=lambda one: float(one.split(" ")[0]))
    return deliveries(*lines)


@settings(max_examples=60, deadline=None)
@given(troubled())
def test_what_a_reading_removes_is_gone_without_its_faults_and_nothing_new_is_there(heard):
    judge = Judge(RULES, heard[-1].received_at + LATER, lambda session: session)
    before = judge.alarms(heard)
    for reading in (one for chapter in tell(heard, RULES, judge.as_of).chapters for one in chapter.readings):
        after = judge.alarms(undo_all(heard, reading.faults))
        assert set(after) <= set(before)
        assert not reading.faults or not set(after) & {identity(found) for found in reading.removes}


@settings(max_examples=20, deadline=None)
@given(troubled())
def test_the_same_deliveries_give_the_same_story(heard):
    assert values(tell(heard, RULES)) == values(tell(heard, RULES))


# What is measured on seed 5, less a margin. Where a share is below 1 the log cannot tell.
NAMED = {
    "redelivered-seconds": ("redelivered", 0.95),
    "redelivered-minutes": ("redelivered", 0.95),
    "redelivered-burst": ("redelivered", 0.95),
    "swapped": ("late", 0.9),
    "late": ("late", 0.9),
    "overtaken-left": ("late", 0.9),
    "dropped-session-started": ("lost", 0.95),
    "dropped-session-ended": ("lost", 0.95),
    "dropped-joined": ("lost", 0.8),
    "dropped-left": ("lost", 0.9),
    "dropped-starting": ("lost", 0.8),
    "dropped-started": ("lost", 0.8),
    "dropped-playable": ("lost", 0.9),
    "dropped-stopping": ("lost", 0.9),
    "dropped-stopped": ("lost", 0.85),
    "stuck-stopping": ("lost", 0.9),
}


def shares(fault, kind, meetings=40):
    heard, truths = defaultdict(list), {}
    for line in simulate(meetings, 5, 1, [fault], unheard=()):
        if line.truth:
            heard[line.truth.session_id].append(parse(line.received, line.position))
            truths[line.truth.session_id] = line.truth
    newest = max(one.received_at for ones in heard.values() for one in ones)
    right = 0
    for name, ones in heard.items():
        tale = tell(ones, RULES, newest + LATER)
        faults = [one for chapter in tale.chapters for reading in chapter.readings for one in reading.faults]
        frame = fault.startswith("dropped-session")
        right += any(
            one.kind == kind and (frame or {one.position, one.after, one.before} & set(truths[name].positions))
            for one in faults
        )
    return right / len(truths)


@pytest.mark.slow
@pytest.mark.parametrize("fault", NAMED)
def test_the_true_fault_is_among_what_is_told_as_often_as_can_be_known(fault):
    kind, least = NAMED[fault]
    share = shares(fault, kind)
    print(fault, share)
    assert share >= least


def test_what_the_whole_log_explains_is_no_chapter_and_keeps_its_cause():
    def in_a_silence(session):
        marked = session.copy()
        for found in marked.all_findings():
            found.cause, found.severity = "L601 #9", "info"
        return marked

    tale = tell(deliveries(*without(4)), RULES, NOON + LATER, in_a_silence)
    assert (tale.chapters, [(one.code, one.cause) for one in tale.others]) == ((), [("S202", "L601 #9")])
