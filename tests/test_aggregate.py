"""One lifecycle instance: each row of the table of movements is a story here.

A row gives the lines after the session's start, what the last of them was taken for, the states of
the runs after it, and the codes that stand.
"""

from datetime import timedelta
from itertools import count

import attrs
import pytest
from story import NOON, RULES, deliveries, findings, moment, readings, standing, states, told

from tracker.aggregate import LOST, Aggregate, Run, delay, evolve, gap, plus, read
from tracker.lifecycles import REGISTRY

BEGUN = "0 session-started"
URL, FILE = "playbackHlsUrl=https://x/1.m3u8", "filePath=/1.mp4"
STARTED = ("1 recording-starting", "2 recording-started")
STOPPED = (*STARTED, "60 recording-stopping", f"61 recording-stopped {FILE}")
IN, OUT = "1 participant-joined p", "60 participant-left p"
ENDED = "100 session-ended"

MOVES = {
    # a run that lacks the step
    "the first step": (["1 recording-starting"], "advanced", ["starting"], []),
    "the next step": (STARTED, "advanced", ["started"], []),
    "a step behind, in time": (
        [f"1 hls-started {URL}", "121 hls-starting"],
        "late",
        ["started"],
        ["D102"],
    ),
    "a step behind, too late": (
        [f"1 hls-started {URL}", "122 hls-starting"],
        "late",
        ["started"],
        ["S201", "D102"],
    ),
    "a step ahead": (["1 recording-starting", "2 recording-stopping"], "skipped-ahead", ["stopping"], ["S202"]),
    "two steps ahead are one finding": (
        ["1 recording-starting", f"2 recording-stopped {FILE}"],
        "skipped-ahead",
        ["stopped"],
        ["S202"],
    ),
    "the first thing heard is in the middle": (["1 recording-started"], "skipped-ahead", ["started"], ["S201"]),
    "a step that may be left out": (
        ["1 hls-starting", f"2 hls-started {URL}", "3 hls-stopping"],
        "advanced",
        ["stopping"],
        [],
    ),
    # a run that has the step
    "an equal copy in time": ([*STARTED, "1202 recording-started"], "redelivered", ["started"], ["D101"]),
    "an equal copy too late": ([*STARTED, "1203 recording-started"], "repeated", ["started"], ["S208"]),
    "a copy that differs": (
        ["1 hls-starting", f"2 hls-started {URL}", "3 hls-started playbackHlsUrl=https://x/2.m3u8"],
        "conflict",
        ["started"],
        ["C504"],
    ),
    "an old starting is a restart": (
        [*STARTED, "1202 recording-starting"],
        "new-run",
        ["lost", "starting"],
        ["S207"],
    ),
    "starting alone is a copy": ([*STARTED, "600 recording-starting"], "redelivered", ["started"], ["D101"]),
    "starting and started again are a restart": (
        [*STARTED, "600 recording-starting", "601 recording-started"],
        "new-run",
        ["lost", "started"],
        ["S207"],
    ),
    # a run that is closed
    "a step it lacks, in time": (
        [*STARTED, f"60 recording-stopped {FILE}", "61 recording-stopping"],
        "late",
        ["stopped"],
        ["D102"],
    ),
    "a step it lacks, too late": (
        [*STOPPED[:1], *STOPPED[2:], "182 recording-started"],
        "skipped-ahead",
        ["stopped", "started"],
        ["S202", "S201"],
    ),
    "a step it has": ([*STOPPED, f"90 recording-stopped {FILE}"], "redelivered", ["stopped"], ["D101"]),
    "another end": ([*STOPPED, "90 recording-failed"], "conflict", ["stopped"], ["S209"]),
    "an end with other data": (
        [*STOPPED, "90 recording-stopped filePath=/2.mp4"],
        "conflict",
        ["stopped"],
        ["C504"],
    ),
    "starting again soon is a run, perhaps": (
        [*STOPPED, "120 recording-starting"],
        "new-run",
        ["stopped", "starting"],
        [],
    ),
    "starting again with other data": (
        [*STOPPED, "120 recording-starting message=x"],
        "new-run",
        ["stopped", "starting"],
        [],
    ),
    "starting again after the session is a copy": (
        [*STOPPED, ENDED, "120 recording-starting"],
        "redelivered",
        ["stopped"],
        ["D101"],
    ),
    "a stop, hours later": (
        [*STOPPED, f"2h recording-stopped {FILE}"],
        "orphan",
        ["stopped", "stopped"],
        ["S205"],
    ),
    "a stop of nothing": (["1 hls-stopped"], "orphan", ["stopped"], ["S205"]),
    "a failure of nothing": (["1 hls-failed"], "orphan", ["failed"], ["S206"]),
    "a failure from started": ([*STARTED, "3 recording-failed"], "advanced", ["failed"], ["S210"]),
    "a failure may be the first thing of a transcription": (
        ["1 transcription-failed t"],
        "advanced",
        ["failed"],
        ["S210"],
    ),
    "a transcription does not begin again": (
        ["1 transcription-started t", "2 transcription-stopped t", "2h transcription-started t"],
        "repeated",
        ["stopped"],
        ["S208"],
    ),
    # a person
    "joined twice at once": ([IN, "11 participant-joined p"], "redelivered", ["in"], ["D101"]),
    "joined while inside": ([IN, "12 participant-joined p"], "redelivered", ["in"], ["D105"]),
    "joined while inside, too late for a copy": (
        [IN, "1202 participant-joined p"],
        "new-run",
        ["out", "in"],
        ["S213"],
    ),
    "joined while inside by another name": (
        [IN, "12 participant-joined p participantName=Bo"],
        "new-run",
        ["out", "in"],
        ["S213"],
    ),
    "the left of the visit before": (
        [IN, "60 participant-joined p", "150 participant-left p"],
        "overtaken",
        ["out", "in"],
        ["D103"],
    ),
    "the left after that is the person's own": (
        [IN, "60 participant-joined p", "61 participant-left p", "72 participant-left p"],
        "advanced",
        ["out", "out"],
        ["D103"],
    ),
    "the left that threw the first device out, told twice": (
        [IN, "60 participant-joined p", "61 participant-left p", "62 participant-left p"],
        "redelivered",
        ["out", "in"],
        ["D103", "D101"],
    ),
    "a left too late to be overtaken": (
        [IN, "60 participant-joined p", "151 participant-left p"],
        "advanced",
        ["out"],
        ["D105"],
    ),
    "a rejoin": ([IN, OUT, "90 participant-joined p"], "new-run", ["out", "in"], []),
    "a left of somebody outside": ([IN, OUT, "2h participant-left p"], "orphan", ["out", "out"], ["S212"]),
    "left, then joined": (["1 participant-left p", "2 participant-joined p"], "late", ["out"], ["D102"]),
    "left, and joined much later": (
        ["1 participant-left p", "122 participant-joined p"],
        "new-run",
        ["out", "in"],
        ["S212"],
    ),
}


@pytest.mark.parametrize(("lines", "reading", "runs", "codes"), MOVES.values(), ids=MOVES)
def test_a_delivery_is_read_and_moves_its_runs_as_the_table_says(lines, reading, runs, codes):
    session = told(BEGUN, *lines)
    lifecycle = deliveries(lines[-1])[0].lifecycle.name
    assert readings(BEGUN, *lines)[-1] == reading
    assert states(session, lifecycle) == runs
    assert standing(session) == codes


def only(session, lifecycle):
    (aggregate,) = [found for (name, _), found in session.aggregates.items() if name == lifecycle]
    return aggregate


def recording(*lines, as_of=None):
    return only(told(BEGUN, *lines, as_of=as_of), "recording")


def test_a_skip_names_every_step_that_is_missing_and_rests_on_what_was_heard():
    (found,) = told(BEGUN, "1 recording-starting", f"2 recording-stopped {FILE}").all_findings()
    assert found.message == "recording-stopped came without recording-started and recording-stopping"
    assert (found.evidence, found.expected) == ((2, 3), ("recording-started", "recording-failed"))
    assert (found.state_before, found.state_after) == ("starting", "stopped")


def test_a_step_that_was_supplied_is_inferred_until_it_comes():
    skipped = recording("1 recording-started")
    assert (skipped.certainty, skipped.run.steps["starting"].inferred) == ("inferred", True)
    filled = recording("1 recording-started", "2 recording-starting")
    assert (filled.certainty, filled.run.steps["starting"].at) == ("sure", moment("2"))


def test_of_two_missing_steps_one_is_not_enough_to_retract_the_skip():
    lines = ("1 recording-starting", f"2 recording-stopped {FILE}", "3 recording-stopping")
    assert standing(told(BEGUN, *lines)) == ["S202", "D102"]
    assert standing(told(BEGUN, *lines, "4 recording-started")) == ["D102", "D102"]


def test_a_stop_of_nothing_is_inferred_and_a_late_start_makes_it_sure():
    assert recording("1 recording-failed").certainty == "inferred"
    assert not recording("1 recording-failed", "2 recording-starting").run.inferred


def test_a_run_that_may_be_a_copy_is_contested_until_something_follows():
    assert recording(*STOPPED, "120 recording-starting").certainty == "contested"
    assert recording(*STOPPED, "120 recording-starting", "121 recording-started").certainty == "sure"


def test_a_run_that_nothing_followed_was_a_copy_and_is_withdrawn():
    session = told(BEGUN, *STOPPED, "120 recording-starting", as_of="30m")
    assert states(session, "recording") == ["stopped"]
    (found,) = session.all_findings()
    assert (found.code, found.position, found.at) == ("D105", 6, moment("120"))


# What was sent again together.

ECHOES = ("0 participant-joined p", "30 recording-starting", "33 recording-started")


def test_a_pair_that_came_again_beside_an_older_copy_of_the_same_age_is_no_restart():
    session = told(
        BEGUN, *ECHOES, "300 participant-joined p", "330 recording-starting", "333 recording-started"
    )
    assert (states(session, "recording"), standing(session)) == (["started"], ["D105", "D101", "D101"])


def test_a_restart_is_taken_back_when_something_else_comes_again_that_is_as_old():
    lines = ("30 recording-starting", "33 recording-started", "40 participant-joined p")
    copies = ("330 recording-starting", "333 recording-started", "340 participant-joined p")
    session = told(BEGUN, *lines, *copies)
    assert states(session, "recording") == ["started"]
    assert standing(session) == ["D105", "D101", "D101"]
    assert findings(session)["S207"] == "retracted"


def test_a_restart_stays_one_when_what_came_again_beside_it_is_of_another_age():
    lines = (*ECHOES, "302 participant-joined p", "330 recording-starting", "333 recording-started")
    assert states(told(BEGUN, *lines), "recording") == ["lost", "started"]


def test_the_run_that_was_thought_lost_goes_on_with_all_that_came_since():
    lines = (*ECHOES, "330 recording-starting", "333 recording-started", "340 recording-stopping")
    session = told(BEGUN, *lines, f"350 recording-stopped {FILE}", "640 recording-stopping", as_of="3h")
    (run,) = only(session, "recording").runs
    assert (run.state, run.certainty, run.data) == ("stopped", "sure", {"file_path": "/1.mp4"})
    assert [taken.position for taken in run.steps.values()] == [3, 4, 7, 8]


def test_a_whole_second_run_beside_copies_of_its_age_is_none():
    lines = ("0 participant-joined p", "30 livestream-starting", "33 livestream-failed")
    copies = ("300 participant-joined p", "330 livestream-starting", "333 livestream-failed")
    session = told(BEGUN, *lines, *copies)
    assert (states(session, "livestream"), standing(session, "warning")) == (["failed"], ["S210"])


def test_three_recordings_alike_are_three_though_two_began_as_long_after_the_one_before():
    lines = [f"{place} recording-{step}" for place, step in ((0, "starting"), (3, "started"), (9, "stopping"))]
    thrice = [f"{900 * n + int(line.split()[0])} {line.split()[1]}" for n in range(3) for line in lines]
    ends = [f"{900 * n + 60} recording-stopped filePath=/{n}.mp4" for n in range(3)]
    told_in_order = sorted([*thrice, *ends], key=lambda line: int(line.split()[0]))
    session = told(BEGUN, *told_in_order, as_of="3h")
    assert (states(session, "recording"), standing(session)) == (["stopped"] * 3, [])


def test_a_start_that_came_after_its_end_and_is_told_twice_begins_nothing():
    lines = ("60 participant-left p", "120 participant-joined p", "121 participant-joined p")
    assert (readings(BEGUN, *lines)[-1], states(told(BEGUN, *lines), "participant")) == ("redelivered", ["out"])


def test_a_copy_of_the_run_before_beside_copies_of_its_age_ends_no_later_run():
    lines = (
        "10 participant-joined p",
        "20 recording-stopping",
        f"25 recording-stopped {FILE}",
        "250 recording-starting",
    )
    copies = (
        "256 recording-started",
        "310 participant-joined p",
        "320 recording-stopping",
        f"325 recording-stopped {FILE}",
    )
    session = told(BEGUN, "0 recording-starting", "1 recording-started", *lines, *copies)
    assert states(session, "recording") == ["stopped", "started"]


LAST = "participant-left p"
LEFT_EARLY = {
    "a left that came before the joined of its visit": (
        [IN, f"60 {LAST}", f"900 {LAST}", "1000 participant-joined p"],
        ["D102"],
    ),
    "a left that came at once after the one it overtook": (
        ["1 participant-joined p", "25m participant-joined p", f"1560 {LAST}", f"1566 {LAST}"],
        ["D103"],
    ),
    "a left that came at once after the one it overtook, at the end of the window": (
        ["1 participant-joined p", "25m participant-joined p", f"1589 {LAST}", f"1592 {LAST}"],
        ["D103"],
    ),
    "a joined told again just before the person left": (
        ["1 participant-joined p", "10m participant-joined p", f"610 {LAST}"],
        ["D103", "D105"],
    ),
}


@pytest.mark.parametrize(("lines", "codes"), LEFT_EARLY.values(), ids=LEFT_EARLY)
def test_when_the_session_ends_nobody_is_inside_who_has(lines, codes):
    session = told(BEGUN, *lines, "30m session-ended", as_of="1h")
    assert (set(states(session, "participant")), standing(session)) == ({"out"}, codes)
    assert {(found.session_id, found.meeting_id) for found in session.all_findings()} == {("S", "M")}


# What has a url of its own.


def test_a_restart_with_a_url_of_its_own_is_no_conflict():
    lines = (
        "1 hls-starting",
        f"2 hls-started {URL}",
        "60 hls-starting",
        "61 hls-started playbackHlsUrl=https://x/2.m3u8",
    )
    session = told(BEGUN, *lines, as_of="30m")
    assert (states(session, "hls")[0], standing(session, "error")[0]) == ("lost", "S207")


def test_a_url_of_its_own_begins_a_run_though_its_start_was_lost():
    first = (
        "1 hls-starting",
        f"2 hls-started {URL}",
        f"3 hls-playable {URL}",
        "60 hls-stopping",
        "61 hls-stopped",
    )
    session = told(BEGUN, *first, "300 hls-started playbackHlsUrl=https://x/2.m3u8")
    assert (states(session, "hls"), standing(session)) == (["stopped", "started"], ["S201"])


def test_a_rejoin_that_may_be_a_copy_is_believed_while_the_session_goes_on():
    session = told(BEGUN, IN, OUT, "90 participant-joined p", as_of="30m")
    assert states(session, "participant") == ["out", "in"]
    assert only(session, "participant").certainty == "contested"


def test_a_rejoin_that_may_be_a_copy_is_none_when_the_session_ends_and_nobody_left():
    session = told(BEGUN, IN, OUT, "90 participant-joined p", "30m session-ended", as_of="1h")
    assert (states(session, "participant"), standing(session)) == (["out"], ["D105"])


def test_a_rejoin_that_is_no_copy_is_missed_when_the_session_ends():
    session = told(
        BEGUN, IN, OUT, "90 participant-joined p participantName=Bo", "30m session-ended", as_of="1h"
    )
    assert (states(session, "participant"), standing(session)) == (["out", "out"], ["X404"])


def test_a_second_recording_that_is_equal_to_the_first_is_a_second_run():
    again = [f"{10 + place}m {line.split(' ', 1)[1]}" for place, line in enumerate(STOPPED)]
    again[-1] = again[-1].replace("/1.mp4", "/2.mp4")
    session = told(BEGUN, *STOPPED, *again, as_of="3h")
    assert states(session, "recording") == ["stopped", "stopped"]
    assert standing(session) == []


def test_what_carries_an_id_is_told_apart_by_it():
    session = told(BEGUN, "1 recording-starting id=a", "2 recording-starting id=b", "3 recording-started id=b")
    assert {dict(found.key)["id"]: found.state for found in session.aggregates.values() if found.key} == {
        "a": "starting",
        "b": "started",
    }


def test_where_two_deliveries_differ_the_first_counts_and_both_are_evidence():
    lines = ("1 hls-starting", f"2 hls-started {URL}", "3 hls-started playbackHlsUrl=https://x/2.m3u8")
    session = told(BEGUN, *lines)
    assert only(session, "hls").run.data == {"playback_hls_url": "https://x/1.m3u8"}
    assert session.all_findings()[0].evidence == (2, 3, 4)


def test_a_restart_gives_the_new_run_the_starting_that_was_taken_for_a_copy():
    aggregate = recording(*STARTED, "600 recording-starting", "601 recording-started")
    assert {name: taken.position for name, taken in aggregate.run.steps.items()} == {
        "starting": 4,
        "started": 5,
    }
    assert [run.certainty for run in aggregate.runs] == ["inferred", "sure"]


def test_without_receive_times_everything_is_within_its_window():
    lines = ["- recording-starting", "- recording-started", "- recording-started", "- recording-starting"]
    assert readings("- session-started", *lines) == ["advanced"] * 3 + ["redelivered"] * 2
    assert readings("- session-started", "- hls-started", "- hls-starting")[-1] == "late"


def test_a_receive_time_that_runs_backwards_is_within_every_window():
    lines = (BEGUN, "2h recording-starting", "1h recording-starting")
    assert readings(*lines)[-1] == "redelivered"


@pytest.mark.parametrize("failed_while", ["starting", "started", "stopping"])
def test_a_failure_tells_in_which_phase_it_came(failed_while):
    steps = ["starting", "started", "stopping"][: ["starting", "started", "stopping"].index(failed_while) + 1]
    session = told(
        BEGUN, *(f"{place} recording-{step}" for place, step in enumerate(steps, 1)), "9 recording-failed"
    )
    assert session.all_findings()[0].message == f"recording failed while {failed_while}"


def test_an_aggregate_is_called_by_its_label_else_its_key_else_its_lifecycle():
    session = told(BEGUN, "1 participant-joined p participantName=Ann", "2 participant-joined q", *STARTED)
    assert [found.name for found in session.aggregates.values()] == ["session", "Ann", "q", "recording"]


def test_reading_a_delivery_moves_nothing():
    aggregate = Aggregate(REGISTRY["recording"])
    (started,) = deliveries("1 recording-started")
    assert read(aggregate, started, RULES) == "skipped-ahead"
    assert aggregate.runs == []


def test_a_copy_of_an_aggregate_moves_alone():
    aggregate = recording(*STARTED)
    copy = aggregate.copy()
    (stopping,) = deliveries("9 recording-stopping")
    evolve(copy, stopping, "advanced", RULES, count(1))
    assert (aggregate.state, copy.state) == ("started", "stopping")


def test_an_aggregate_that_heard_nothing_is_in_no_state():
    aggregate = Aggregate(REGISTRY["recording"])
    assert (aggregate.run, aggregate.state, aggregate.certainty) == (None, "", "sure")


def test_findings_of_a_run_are_told_by_code_unless_they_were_retracted():
    (run,) = recording("1 recording-started", "2 recording-starting").runs
    assert [found.code for found in run.standing()] == ["D102"]
    assert [found.code for found in run.standing("S201")] == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.25, "0.25 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (5400, "1 h 30 min"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_delay_is_told_in_two_units_at_most(seconds, words):
    assert delay(NOON, NOON + timedelta(seconds=seconds)) == words


def test_where_a_time_is_unknown_no_time_has_passed():
    assert gap(None, NOON) == gap(NOON, None) == timedelta(0)
    assert delay(None, NOON) == "some time"
    assert plus(None, timedelta(1)) is None


def test_lost_is_no_state_that_a_webhook_can_report():
    assert all(LOST not in lifecycle.states for lifecycle in REGISTRY.values())
    assert attrs.evolve(Run(1), inferred=True).certainty == "inferred"
