"""VideoSDK's own records as evidence: what they settle, explain and decide, and that no state moves by them."""

import json

import hypothesis
import pytest
from hypothesis import strategies as st
from record_stories import (
    BEGUN,
    FILE,
    INSIDE,
    RAISED,
    RECORDING,
    SAME,
    STOPPED,
    WHOLE,
    at,
    of_recording,
    of_session,
    record,
    tally,
)
from story import findings, session_from, standing, states

from tracker.delivery.webhook import UNROUTED
from tracker.testing import delivery, given

fields = st.sampled_from(
    [
        *(
            "id",
            "start",
            "end",
            "status",
            "participants",
            "participantId",
            "timelog",
            "name",
            "file",
            "fileUrl",
        ),
        *(
            "webhook",
            "data",
            "type",
            "success",
            "totalCount",
            "successCount",
            "room",
            "events",
            "playbackHlsUrl",
        ),
    ]
)
values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["S", "r", "ended", "ongoing", at(1), "session-*"])
)
anything = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=6),
    max_leaves=12,
)
"""What may stand in the place of a record."""


def run_of(session, lifecycle="recording"):
    (aggregate,) = [one for (name, _), one in session.aggregates.items() if name == lifecycle]
    return aggregate.run


def found(session, code):
    (one,) = [one for one in session.findings if one.code == code]
    return one


def test_a_record_is_noted_and_moves_nothing():
    line = of_recording("3m", **FILE)
    given(BEGUN, *RECORDING).when(line).then(states={"recording": ["stopping"]}, readings=["noted"])
    one = found(session_from(BEGUN, *RECORDING, line, as_of="1h"), "R603")
    assert one.state_before == one.state_after


def test_time_does_not_pass_for_a_session_because_somebody_asked_for_its_record():
    ongoing = [of_session(f"{hours}h", "ongoing", participants=[]) for hours in (1, 20)]
    assert "T304" in findings(session_from(BEGUN, *ongoing, as_of="24h"))


@pytest.mark.parametrize("code", ["R601", "R603", "R604", "R605", "R606", "R608"])
def test_what_may_still_come_is_provisional_until_then(code):
    *lines, last = RAISED[code]
    sooner = last.replace("1h ", "5m ", 1)
    assert findings(session_from(*lines, sooner))[code] == "provisional"
    assert findings(session_from(*lines, sooner, as_of="30m"))[code] == "settled"


def test_a_webhook_that_comes_after_all_takes_it_back():
    later = "61m recording-stopping"
    assert "R605" in findings(session_from(*RAISED["R605"]))
    assert "R605" not in findings(session_from(*RAISED["R605"], later))
    assert "R604" not in findings(session_from(*RAISED["R604"], "61m session-ended"))
    assert "R601" not in findings(session_from(*RAISED["R601"], BEGUN.replace("0", "61m")))


def test_before_it_was_asked_for_a_record_is_not_known():
    given(*WHOLE, of_recording("1h", **FILE)).as_of("30m").then(findings=[])


@pytest.mark.parametrize(
    ("lines", "code", "cause"),
    [
        ((*RECORDING, "2m session-ended", of_recording("1h", **FILE)), "X403", "R603"),
        ((*RECORDING, of_recording("1h", **FILE)), "T302", "R603"),
        (
            (*RECORDING[:2], STOPPED, of_recording("1h", webhook=tally(recording_stopping=[True]))),
            "S203",
            "R606",
        ),
        (
            (RECORDING[1], STOPPED, of_recording("1h", webhook=tally(recording_starting=[False]))),
            "S201",
            "R605",
        ),
        (("1 participant-joined p", "2m session-ended", of_session("1h", participants=INSIDE)), "X404", "R608"),
        (("1 participant-left p", of_session("1h", participants=INSIDE)), "S212", "R608"),
    ],
)
def test_what_a_record_explains_is_settled_names_its_cause_and_is_an_info(lines, code, cause):
    session = session_from(BEGUN, *lines)
    one = found(session, code)
    assert (one.cause, one.verdict, one.severity) == (cause, "settled", "info")
    assert set(found(session, cause).evidence) <= set(one.evidence)


def test_a_session_that_has_ended_there_has_ended_then_and_nothing_is_said_to_be_overdue():
    session = session_from(
        BEGUN, "1 participant-joined p", "60 participant-left p", of_session("1h", end=3), as_of="30h"
    )
    assert standing(session, "warning") == ["R604"]
    assert (session.state, session.certainty, session.ended_at.isoformat()) == (
        "presumed-ended",
        "inferred",
        "2026-01-05T12:03:00+00:00",
    )


def test_what_was_open_when_the_session_ended_there_is_unfinished():
    assert "X403" in findings(session_from(BEGUN, *RECORDING[:2], of_session("1h", end=3)))


def test_a_record_may_be_over_though_it_names_no_end():
    session = session_from(BEGUN, of_session("1h", end=2).replace(f'"end":"{at(2)}"', '"end":null'))
    assert "R604" in findings(session)
    ended = (BEGUN, "2m session-ended", of_session("1h").replace(f'"end":"{at(2)}"', '"end":null'))
    assert "R602" not in findings(session_from(*ended))


def test_where_a_record_only_names_no_end_it_is_not_known_whether_it_goes_on():
    unsaid = record("1h", "session", id="S", start=at(0), end=None)
    assert "R602" not in findings(session_from(BEGUN, "2m session-ended", unsaid))


def test_a_run_whose_beginning_was_lost_is_sure_where_a_record_says_the_same():
    lines = (BEGUN, RECORDING[1], RECORDING[2], STOPPED)
    assert run_of(session_from(*lines)).certainty == "inferred"
    assert run_of(session_from(*lines, of_recording("1h", **SAME))).certainty == "sure"


def test_two_records_decide_that_a_second_starting_is_no_copy():
    lines = (BEGUN, *RECORDING[:2], "5m recording-starting")
    records = [of_recording("6m"), record("6m", "recording", id="s", start=at(5), end=None)]
    assert states(session_from(*lines), "recording") == ["started"]
    session = session_from(*lines, *records)
    assert states(session, "recording") == ["lost", "starting"]
    assert [run.certainty for run in session.aggregates["recording", ()].runs] == ["sure", "sure"]


def test_one_record_says_nothing_of_a_second_run_whose_record_may_be_deleted():
    lines = (BEGUN, *RECORDING[:2], "5m recording-starting", "310 recording-started")
    assert states(session_from(*lines, of_recording("30m")), "recording") == ["lost", "started"]


def test_what_is_asked_for_later_adds_to_what_was_known():
    first = of_recording("1h", webhook=tally(recording_stopping=[True]))
    session = session_from(BEGUN, *RECORDING[:2], STOPPED, first, of_recording("2h", **SAME))
    assert "R606" in findings(session)
    assert found(session, "R606").position == 6


def test_a_stream_is_known_by_either_of_its_ids():
    hls = (BEGUN, "1 hls-starting c", "2 hls-started c playbackHlsUrl=u", "3 hls-playable c playbackHlsUrl=u")
    said = {"start": at(30), "end": at(31), "playbackHlsUrl": "v"}
    assert "R603" in findings(
        session_from(*hls, "60 hls-stopping c", record("2h", "hls", composerId="d", **said))
    )
    ended = ("60 hls-stopping c", "61 hls-stopped c")
    assert "R603" not in findings(session_from(*hls, *ended, record("2h", "hls", composerId="c", **said)))


def test_only_what_was_sent_can_be_missing():
    assert (
        findings(session_from(*WHOLE, of_recording("1h", webhook={"totalCount": 3, "successCount": 3}))) == {}
    )
    short = of_recording("1h", webhook={"totalCount": 5, "successCount": 4})
    assert "R605" in findings(session_from(*WHOLE, short))


def test_a_session_may_count_all_that_was_sent_of_it_and_types_that_nobody_knows():
    types = tally(
        session_started=[True], recording_started=[True], recording_paused=[True], call_started=[False]
    )
    assert findings(session_from(*WHOLE, of_session("1h", webhook=types))) == {}
    short = tally(session_started=[True], participant_joined=[True, True])
    session = session_from(
        *WHOLE, "1 participant-joined p", "2 participant-left p", of_session("1h", webhook=short)
    )
    assert found(session, "R606").missing == ("participant-joined",)


def test_a_type_that_the_room_does_not_subscribe_to_is_missed_nowhere():
    lines = (BEGUN, RECORDING[1], STOPPED, "2m session-ended")
    assert {"S201", "S203"} <= findings(session_from(*lines, as_of="1h")).keys()
    room = {"webhook": {"events": ["session-*", "recording-started", "recording-stopped"]}}
    session = session_from(*lines, of_session("1h", room=room))
    assert findings(session) == {"R609": "settled"}
    assert "recording-starting" in found(session, "R609").message


@pytest.mark.parametrize(
    "said", ["null", "[]", "1", '{"webhook":1,"participants":[1,{"participantId":1}]}', '{"id":["x"]}']
)
def test_whatever_a_record_holds_it_is_kept_and_raises_no_error(said):
    session = session_from(*WHOLE, f"1h rest-session record={said}", f"1h rest-recording record={said}")
    assert session.state == "ended"


def test_an_event_of_a_record_that_holds_none_says_nothing():
    session = session_from("1h rest-session record=null")
    assert (session.state, session.deliveries, session.findings) == ("unknown", 0, [])


@hypothesis.given(said=anything)
def test_no_record_can_make_the_judging_of_a_session_without_webhooks_fail(said):
    session = session_from(f"1h rest-session record={compact(said)}", f"2h rest-hls record={compact(said)}")
    assert session.deliveries == 0


@hypothesis.given(said=anything, other=anything)
def test_no_record_can_make_the_judging_fail(said, other):
    records = [
        f"1h rest-{name} record={compact(one)}"
        for name in ("session", "recording", "hls")
        for one in (said, other)
    ]
    session = session_from(*WHOLE, *records)
    assert (session.state, session.deliveries) == ("ended", 6)


def compact(value):
    return json.dumps(value, separators=(",", ":")).replace(" ", "_")


def test_a_record_that_names_no_session_belongs_to_none():
    one = delivery("0 rest-transcription -sessionId record={}")
    assert one.stream.startswith(UNROUTED)


def test_the_one_run_that_is_left_is_that_of_the_one_record_whose_times_say_nothing():
    session = session_from(
        BEGUN, *RECORDING, "2h session-ended", record("3h", "recording", createdAt=at(100), **FILE)
    )
    assert found(session, "R603").run == 1
    assert found(session, "T302").cause == "R603"


TWO = (
    BEGUN,
    *("1m recording-starting", "1m recording-started", "4m recording-stopped filePath=/1.mp4"),
    *("5m recording-starting", "5m recording-started", "9m recording-stopped filePath=/2.mp4"),
)
"""Two recordings, of both of which recording-stopping did not come."""
LOST = {"webhook": tally(recording_stopping=[True])}


@pytest.mark.parametrize(
    ("said", "run", "confidence"),
    [
        ({"start": at(20), **SAME}, 1, 1.0),  # by its file
        ({"start": at(1)}, 1, 0.982),
        ({"start": at(3)}, 1, 0.5),
        ({"start": at(5)}, 2, 0.982),
        ({"start": at(40)}, None, 0.45),  # it may be that of either all the same
    ],
)
def test_what_a_record_says_is_as_sure_as_of_which_run_it_is(said, run, confidence):
    session = session_from(*TWO, record("1h", "recording", **said, **LOST))
    assert (found(session, "R606").run, found(session, "R606").confidence) == (run, confidence)


def test_a_run_and_a_record_that_are_only_left_may_not_be_the_same():
    session = session_from(*TWO[:4], record("1h", "recording", start=at(40), **LOST))
    assert (found(session, "R606").run, found(session, "R606").confidence) == (1, 0.55)


def test_what_a_doubtful_record_explains_is_as_sure_as_it_was():
    without = {one.run: one for one in session_from(*TWO).findings if one.code == "S203"}
    session = session_from(*TWO, record("1h", "recording", start=at(3), **LOST))
    (of_first,) = [one for one in session.findings if one.cause == "R606"]
    assert of_first.confidence == without[1].confidence > found(session, "R606").confidence
