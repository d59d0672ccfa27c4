"""Judging, told as stories: which code is raised when, which is not, and what takes one back.

``RAISED`` holds a story for every code of the catalogue, ``NEARLY`` the nearest story that does not
raise it, ``RETRACTED`` one in which a later delivery explains it. A story is its lines; a last one
``as of 5m`` says at which moment it is looked at.
"""

from datetime import timedelta
from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import (
    NOON,
    OF_THE_LOG,
    RULES,
    delivery,
    findings,
    judged,
    moment,
    readings,
    standing,
    states,
    told,
    value,
)

from tracker.findings import CATALOGUE
from tracker.rules import Rules
from tracker.judging.assess import assess, assess_all
from tracker.judging.session import Observed

BEGUN = "0 session-started"
URL, FILE = "playbackHlsUrl=https://x/1.m3u8", "filePath=/1.mp4"
RECORDING = ("1 recording-starting", "2 recording-started", "3 recording-stopping")
TIMES = "start=2026-01-05T12:00:00Z end=2026-01-05T{}:00:00Z"

TWICE = (
    *RECORDING,
    f"4 recording-stopped {FILE}",
    *("2000 recording-starting", "2001 recording-started", "2100 recording-stopping"),
)

RAISED = {
    "D101": (BEGUN, "20m session-started"),
    "D102": (BEGUN, f"1 hls-started {URL}", "60 hls-starting"),
    "D103": (BEGUN, "1 participant-joined p", "60 participant-joined p", "150 participant-left p"),
    "D104": (BEGUN, *RECORDING, "4 session-ended", f"120 recording-stopped {FILE}"),
    "D105": (BEGUN, "1 participant-joined p", "10m participant-joined p", "as of 15m"),
    "S201": (BEGUN, "1 recording-started", "as of 5m"),
    "S202": (BEGUN, "1 recording-starting", "2 recording-stopping", "as of 5m"),
    "S203": (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}", "as of 5m"),
    "S204": (BEGUN, "1 hls-starting", f"2 hls-started {URL}", "60 hls-stopping", "61 hls-stopped", "as of 5m"),
    "S205": (BEGUN, "1 hls-stopped", "as of 5m"),
    "S206": (BEGUN, "1 recording-failed", "as of 5m"),
    "S207": (BEGUN, *RECORDING[:2], "5m recording-starting", "301 recording-started", "as of 30m"),
    "S208": (BEGUN, "21m session-started"),
    "S209": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}", "5 recording-failed"),
    "S210": (BEGUN, "1 recording-starting", "2 recording-failed"),
    "S212": (BEGUN, "1 participant-left p", "as of 5m"),
    "S213": (BEGUN, "1 participant-joined p", "25m participant-joined p", "as of 30m"),
    "S214": (BEGUN, "1 session-started start=2026-01-05T11:00:00Z"),
    "S215": ("0 resource-acquired r", "1h resource-acquired r"),
    "T301": (BEGUN, "1 recording-starting", "as of 3m"),
    "T302": (BEGUN, *RECORDING, "as of 11m"),
    "T303": (BEGUN, "1 recording-starting", "5m recording-started"),
    "T304": (BEGUN, "as of 12h"),
    "T305": ("0 session-started start=2022-07-05T15:60:35.047+00:00",),
    "T306": (BEGUN, "1 session-ended " + TIMES.format(11)),
    "X401": ("0 participant-joined p", "as of 5m"),
    "X402": (BEGUN, "1 session-ended", "2 participant-joined p"),
    "X403": (BEGUN, *RECORDING[:2], "3 session-ended", "as of 15m"),
    "X404": (BEGUN, "1 participant-joined p", "3 session-ended", "as of 15m"),
    "X405": (
        BEGUN,
        "1 participant-joined q",
        "60 participant-recording-starting p",
        "61 participant-recording-started p",
        "as of 5m",
    ),
    "X407": (BEGUN, "1 session-ended", "as of 15m"),
    "C501": (BEGUN, "1 participant-joined p meetingId=other"),
    "C502": (BEGUN, "1 hls-starting", "2 hls-started playbackHlsUrl=a", "3 hls-playable playbackHlsUrl=b"),
    "C503": ("0 session-started start=2026-01-05T11:00:00Z", "1 session-ended " + TIMES.format(13)),
    "C504": (BEGUN, "1 hls-starting", f"2 hls-started {URL}", "3 hls-started playbackHlsUrl=https://x/2.m3u8"),
    "C505": (BEGUN, "1 participant-joined p participantName=Ann", "2 participant-left p participantName=Bob"),
    "C507": (BEGUN, *RECORDING, "4 recording-stopped filePath=null"),
    "C508": (BEGUN, *TWICE, f"2200 recording-stopped {FILE}"),
    "C509": (BEGUN, "1 recording-paused"),
    "C510": (BEGUN, "1 hls-starting", "2 hls-started downstreamUrl=https://x/1.m3u8"),
    "C511": (BEGUN, "1 participant-joined"),
    "C513": ("0 {not json",),
    "C514": ("0 session-started forged",),
}
NEARLY = {
    "D101": RAISED["S208"],
    "D102": (BEGUN, "1 hls-starting", f"60 hls-started {URL}"),
    "D103": (BEGUN, "1 participant-joined p", "60 participant-joined p", "151 participant-left p"),
    "D104": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}", "5 session-ended"),
    "D105": (BEGUN, "1 participant-joined p", "11 participant-joined p", "as of 15m"),
    "S201": (BEGUN, "1 recording-starting", "2 recording-started", "as of 5m"),
    "S202": (BEGUN, "1 transcription-failed t", "as of 5m"),
    "S203": (BEGUN, *RECORDING, f"60 recording-stopped {FILE}", "as of 5m"),
    "S204": (BEGUN, "1 hls-starting", f"2 hls-started {URL}", "60 hls-stopping", "61 hls-failed", "as of 5m"),
    "S205": (BEGUN, "1 hls-starting", "2 hls-stopped", "as of 5m"),
    "S206": (BEGUN, "1 transcription-failed t", "as of 5m"),
    "S207": (BEGUN, *RECORDING[:2], "5m recording-starting"),
    "S208": RAISED["D101"],
    "S209": (BEGUN, *RECORDING, "4 recording-failed", "5 recording-failed"),
    "S210": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}"),
    "S212": (BEGUN, "1 participant-joined p", "2 participant-left p", "3 participant-left p", "as of 5m"),
    "S213": (BEGUN, "1 participant-joined p", "10m participant-joined p", "as of 15m"),
    "S214": RAISED["D101"],
    "S215": ("0 resource-acquired r", "20m resource-acquired r"),
    "T301": (BEGUN, "1 recording-starting", "120 recording-started", "as of 3m"),
    "T302": (BEGUN, *RECORDING, f"10m recording-stopped {FILE}", "as of 11m"),
    "T303": (BEGUN, "1 recording-starting", "120 recording-started"),
    "T304": (BEGUN, "as of 11h"),
    "T305": ("0 session-started start=2022-07-05T15:59:35.047+00:00",),
    "T306": (BEGUN, "1 session-ended " + TIMES.format(12)),
    "X401": (BEGUN, "0 participant-joined p", "as of 5m"),
    "X402": (BEGUN, "0 participant-joined p", "1 session-ended", "2 participant-left p"),
    "X403": (BEGUN, "1 transcription-started t type=post", "3 session-ended", "as of 15m"),
    "X404": (BEGUN, "1 participant-joined p", "3 session-ended", "10m participant-left p", "as of 15m"),
    "X405": (
        BEGUN,
        "1 participant-joined p",
        "2 participant-left p",
        "122 participant-recording-starting p",
        "as of 5m",
    ),
    "X407": (BEGUN, "1 participant-joined p", "2 session-ended", "as of 15m"),
    "C501": (BEGUN, "1 participant-joined p -meetingId", "2 participant-left p"),
    "C502": (BEGUN, "1 hls-starting", "2 hls-started playbackHlsUrl=a", "3 hls-playable playbackHlsUrl=a"),
    "C503": ("0 session-started start=2026-01-05T12:00:00Z", "1 session-ended " + TIMES.format(13)),
    "C504": (
        BEGUN,
        "1 recording-starting meetingId=M sessionId=S",
        "2 recording-starting sessionId=S meetingId=M",
    ),
    "C505": (BEGUN, "1 participant-joined p participantName=Ann", "2 participant-left p"),
    "C507": (BEGUN, *RECORDING, "4 recording-stopped filePath=null fileUrl=https://x/1.mp4"),
    "C508": (BEGUN, *TWICE, "2200 recording-stopped filePath=/2.mp4"),
    "C509": (BEGUN, "1 recording-starting"),
    "C510": (BEGUN, "1 hls-starting", f"2 hls-started {URL}"),
    "C511": (BEGUN, "1 participant-joined p"),
    "C513": (BEGUN,),
    "C514": (BEGUN,),
}
RETRACTED = {
    "S207": (
        BEGUN,
        *(*RECORDING[:2], "9 participant-joined p"),
        *("301 recording-starting", "302 recording-started", "309 participant-joined p"),
    ),
    "D105": (BEGUN, "1 participant-joined p", "60 participant-joined p", "150 participant-left p"),
    "S201": (BEGUN, "1 recording-started", "120 recording-starting"),
    "S202": (BEGUN, "1 recording-starting", "2 recording-stopping", "3 recording-started"),
    "S203": (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}", "61 recording-stopping"),
    "S204": (*RAISED["S204"][:-1], f"62 hls-playable {URL}"),
    "S205": (BEGUN, "1 hls-stopped", "2 hls-starting"),
    "S206": (BEGUN, "1 recording-failed", "2 recording-starting"),
    "S212": (BEGUN, "1 participant-left p", "2 participant-joined p"),
    "S213": (BEGUN, "1 participant-joined p", "25m participant-joined p", "1501 participant-left p"),
    "T301": (BEGUN, "1 recording-starting", "5m recording-started"),
    "T302": (BEGUN, *RECORDING, f"15m recording-stopped {FILE}"),
    "T304": (BEGUN, "13h participant-joined p"),
    "X401": ("0 participant-joined p", "60 session-started"),
    "X405": (
        BEGUN,
        "1 participant-joined q",
        "60 participant-recording-starting p",
        "120 participant-joined p",
    ),
}
KEPT_LATE = {
    "S201": (BEGUN, "1 recording-started", "122 recording-starting"),
    "S205": (BEGUN, "1 hls-stopped", "122 hls-starting", f"123 hls-started {URL}"),
    "S212": (BEGUN, "1 participant-left p", "122 participant-joined p"),
    "S213": (BEGUN, "1 participant-joined p", "25m participant-joined p", "1591 participant-left p"),
    "X401": ("0 participant-joined p", "121 session-started"),
}


def after(story):
    """The session after a story."""
    *lines, last = story
    if last.startswith("as of "):
        return told(*lines, as_of=last.removeprefix("as of "))
    return told(*story)


def test_every_finding_of_a_session_names_it_also_without_receive_times():
    settled = told(
        "- session-started", "- participant-joined p", "- recording-starting", "- session-ended", as_of="1h"
    )
    assert {(found.session_id, found.meeting_id) for found in settled.findings} == {("S", "M")}


def test_every_code_of_the_catalogue_has_a_story_that_raises_it_and_one_that_does_not():
    assert set(RAISED) == set(NEARLY) == set(CATALOGUE) - OF_THE_LOG


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_raised_once_and_settled_with_its_slug_and_severity(code):
    (found,) = [found for found in after(RAISED[code]).findings if found.code == code]
    entry = CATALOGUE[code]
    assert (found.slug, found.severity, found.verdict) == (entry.slug, entry.severity, "settled")


@pytest.mark.parametrize("code", RAISED)
def test_a_finding_says_where_when_and_on_what_it_rests(code):
    (found,) = [found for found in after(RAISED[code]).findings if found.code == code]
    assert found.position in found.evidence
    assert found.evidence == tuple(sorted(set(found.evidence)))
    assert found.at is not None
    assert "{" not in found.message.replace("{not json", "")


@pytest.mark.parametrize("code", RAISED)
def test_one_fault_is_one_finding_of_warning_or_above(code):
    if CATALOGUE[code].severity != "info":
        assert standing(after(RAISED[code]), "warning") == [code]


@pytest.mark.parametrize("code", NEARLY)
def test_a_code_is_not_raised_by_its_nearest_neighbour(code):
    assert code not in findings(after(NEARLY[code]))


@pytest.mark.parametrize("code", RETRACTED)
def test_a_finding_is_retracted_when_a_later_delivery_explains_it(code):
    assert findings(after(RETRACTED[code]))[code] == "retracted"


@pytest.mark.parametrize("code", KEPT_LATE)
def test_an_explanation_that_comes_too_late_retracts_nothing(code):
    assert findings(after(KEPT_LATE[code]))[code] == "settled"


@pytest.mark.parametrize(
    "code", ["D105", "S201", "S202", "S203", "S204", "S205", "S206", "S207", "S212", "S213", "X401"]
)
def test_what_a_later_delivery_may_explain_is_provisional_until_its_window_closes(code):
    lines = [line for line in RAISED[code] if not line.startswith("as of")]
    assert findings(told(*lines))[code] == "provisional"
    assert findings(told(*lines, as_of="1h"))[code] == "settled"


@pytest.mark.parametrize("code", ["S201", "S202", "S203", "S204", "S205", "S206", "S212", "X401"])
def test_without_receive_times_such_a_finding_stays_undecided(code):
    lines = [f"- {line.split(' ', 1)[1]}" for line in RAISED[code] if not line.startswith("as of")]
    assert findings(told(*lines, as_of="2h"))[code] == "undecided"


@pytest.mark.parametrize("code", ["T301", "T302"])
def test_what_was_stuck_and_moves_on_is_told_as_slow(code):
    assert standing(after(RETRACTED[code])) == ["T303"]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (("1 recording-started", "121 recording-starting"), ["D102"]),
        (("1 recording-starting", "121 recording-started"), []),
        ((*RECORDING, f"603 recording-stopped {FILE}"), []),
        (("1 participant-joined p", "3 session-ended", "603 participant-left p"), []),
        (("1 participant-joined p", "60 participant-joined p", "150 participant-left p"), ["D103"]),
        (("12h session-ended",), []),
    ],
)
def test_what_comes_at_the_very_end_of_a_window_is_inside_it(lines, codes):
    assert standing(told(BEGUN, *lines)) == codes


def test_a_severity_is_the_one_of_the_rules():
    rules = Rules(severity={"S210": "error"})
    assert standing(told(*RAISED["S210"], rules=rules), "error") == ["S210"]


# The session itself.


@pytest.mark.parametrize(
    ("lines", "as_of", "state", "certainty"),
    [
        ((BEGUN,), "1h", "live", "sure"),
        (("0 participant-joined p",), "1h", "live", "inferred"),
        ((BEGUN, "1 session-ended"), "1h", "ended", "sure"),
        (("0 session-ended",), "1h", "ended", "inferred"),
        ((BEGUN,), "12h", "presumed-ended", "contested"),
        ((BEGUN, "13h participant-joined p"), "14h", "live", "sure"),
        (("0 recording-paused",), "13h", "unknown", "inferred"),
    ],
)
def test_a_session_is_in_the_state_that_was_last_heard_of_it(lines, as_of, state, certainty):
    session = told(*lines, as_of=as_of)
    assert (session.state, session.certainty) == (state, certainty)


def test_an_ended_session_stays_ended_whatever_comes():
    assert told(BEGUN, "1 session-ended", "2h session-started", "2h participant-joined p").state == "ended"


def test_the_session_s_own_clock_goes_before_the_receive_times():
    session = told("5 session-started start=2026-01-05T12:00:01Z", "60 session-ended " + TIMES.format(13))
    assert (session.started_at, session.ended_at) == (moment("1"), moment("1h"))


def test_where_the_clock_time_is_none_the_receive_time_is_taken():
    session = told("5 session-started start=noon", "60 session-ended end=2022-07-05T15:60:35.047+00:00")
    assert (session.started_at, session.ended_at) == (moment("5"), moment("60"))


def test_the_start_that_only_the_end_tells_is_kept():
    assert told("60 session-ended " + TIMES.format(13)).started_at == NOON


def test_first_and_last_seen_are_the_earliest_and_the_latest_receive_times():
    session = told("60 session-started", "30 participant-joined p", "- participant-left p")
    assert (session.first_seen_at, session.last_seen_at) == (moment("30"), moment("60"))
    assert (session.deliveries, session.last_position) == (3, 3)


def test_the_first_meeting_counts_and_each_other_one_is_told_once():
    session = told(
        BEGUN,
        "1 participant-joined p meetingId=N",
        "2 participant-joined q meetingId=N",
        "3 participant-joined r meetingId=O",
    )
    assert session.meeting_id == "M"
    assert standing(session) == ["C501", "C501"]


def test_a_meeting_that_is_named_late_is_named_in_what_was_found_before():
    session = told("0 participant-joined p -meetingId", BEGUN)
    assert {found.meeting_id for found in session.findings} == {"M"}


def test_a_session_without_a_start_is_told_once_with_what_it_lacks():
    session = told("0 participant-joined p", "1 participant-joined q", as_of="5m")
    (found,) = [found for found in session.findings if found.code == "X401"]
    assert (found.position, found.expected) == (1, ("session-started",))


def test_a_self_stop_near_the_end_of_the_session_is_only_an_info():
    stopped = (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}")
    severity = {found.code: found.severity for found in told(*stopped, "120 session-ended").findings}
    assert severity == {"S203": "info"}
    later = {found.code: found.severity for found in told(*stopped, "121 session-ended").findings}
    assert later == {"S203": "warning"}


@pytest.mark.parametrize("last", ["120 session-ended", f"90 recording-stopped {FILE}"])
def test_the_severity_that_a_user_gives_a_self_stop_holds_near_the_end_too(last):
    middle = f"60 recording-stopped {FILE}" if "ended" in last else "60 session-ended"
    session = told(BEGUN, *RECORDING[:2], middle, last, rules=Rules(severity={"S203": "error"}))
    assert {found.severity for found in session.findings if found.code == "S203"} == {"error"}


def test_a_self_stop_after_the_end_of_the_session_is_only_an_info():
    session = told(BEGUN, *RECORDING[:2], "60 session-ended", f"90 recording-stopped {FILE}", as_of="1h")
    assert standing(session, "warning") == []


def test_a_person_who_is_inside_at_the_end_left_with_it():
    session = told(*RAISED["X404"][:-1], as_of="15m")
    assert states(session, "participant") == ["out"]
    (run,) = [run for run in session.runs() if "joined" in run.steps]
    assert (run.certainty, run.steps["left"].inferred) == ("inferred", True)


def test_what_is_open_at_the_end_is_lost_once_the_grace_has_passed():
    lines = RAISED["X403"][:-1]
    assert states(told(*lines, as_of="602"), "recording") == ["started"]
    session = told(*lines, as_of="603")
    assert states(session, "recording") == ["lost"]
    assert session.findings[-1].at == moment("603")


def test_a_realtime_transcription_must_end_with_the_session():
    lines = (BEGUN, "1 transcription-started t type=realtime", "3 session-ended")
    assert standing(told(*lines, as_of="15m"), "warning") == ["X403"]


def test_what_was_stuck_is_not_reproached_again_when_the_session_ends():
    session = told(BEGUN, "1 recording-starting", "5m session-ended", as_of="1h")
    assert standing(session) == ["T301"]
    assert states(session, "recording") == ["lost"]


def test_what_was_stuck_and_is_begun_again_is_not_reproached_for_that():
    session = told(BEGUN, "1 recording-starting", "30m recording-starting", "1801 recording-started")
    assert standing(session, "warning") == ["T301"]
    assert states(session, "recording") == ["lost", "started"]


def test_an_end_without_a_receive_time_is_settled_the_same_however_often_one_looks():
    session = told(BEGUN, "1 recording-starting", "- session-ended")
    once, twice = settle(session, moment("1h")), settle(settle(session, moment("5")), moment("1h"))
    assert findings(once) == findings(twice) == {"X403": "undecided"}


def test_what_began_after_the_end_is_not_reproached_again_for_being_open():
    assert standing(told(*RAISED["X402"], as_of="1h"), "warning") == ["X402"]


def test_an_end_that_comes_after_the_run_was_lost_closes_it_properly():
    session = told(*RAISED["X403"][:-1], f"1h recording-stopped {FILE}")
    assert states(session, "recording") == ["stopped"]
    assert standing(session) == ["X403", "T303"]


def test_a_stuck_stop_that_comes_after_the_run_was_lost_was_not_stuck_but_unfinished_at_the_end():
    session = told(BEGUN, *RECORDING, "4 session-ended", f"1h recording-stopped {FILE}")
    assert findings(session) == {"T302": "retracted", "X403": "settled", "T303": "settled"}


def test_a_step_that_is_no_end_does_not_bring_a_lost_run_back():
    session = told(BEGUN, "1 recording-starting", "2 session-ended", "1h recording-started")
    assert states(session, "recording") == ["lost"]


def test_an_unknown_type_is_told_once_and_a_missing_key_each_time():
    session = told(BEGUN, *["1 recording-paused"] * 3, *["2 participant-joined"] * 2)
    assert standing(session) == ["C509", "C511", "C511"]


def test_what_cannot_be_routed_moves_nothing():
    before = value(told(BEGUN))
    session = told(BEGUN, "1 recording-paused", "1 participant-joined")
    assert value(session)["aggregates"] == before["aggregates"]
    assert readings(BEGUN, "1 recording-paused", "1 participant-joined") == ["advanced", "unrouted", "unrouted"]


def test_the_judgement_of_a_delivery_names_what_it_moved_and_what_it_raised():
    (_, judgement) = judged(BEGUN, "1 participant-joined p meetingId=N")
    assert (judgement.lifecycle, judgement.key) == ("participant", (("participant_id", "p"),))
    assert (judgement.run, judgement.state_before, judgement.state_after) == (1, None, "in")
    assert [found.code for found in judgement.findings] == ["C501"]


def test_sessions_know_nothing_of_each_other_s_deliveries():
    one = told(BEGUN, "1 participant-joined p", "2 participant-left p", as_of="1h")
    assert standing(one) == []
    assert {key[0] for key in one.aggregates} == {"session", "participant"}


def test_a_resource_needs_no_session_and_is_acquired_and_released():
    session = told(
        "0 resource-acquired r type=hls", "1h resource-released r", "2h resource-acquired r", as_of="24h"
    )
    assert (session.session_id, standing(session)) == (None, [])
    assert states(session, "resource") == ["released", "acquired"]


def test_nothing_is_the_session_of_nothing():
    assert assess_all([]) is None


# Whatever is delivered.

POOL = [
    "session-started start=2026-01-05T12:00:00Z",
    "session-started start=2026-01-05T13:00:00Z",
    "session-ended " + TIMES.format(13),
    "session-ended end=2022-07-05T15:60:35.047+00:00",
    "participant-joined p participantName=Ann",
    "participant-joined p participantName=Bob",
    "participant-left p participantName=Ann",
    "participant-left p reason=timeout",
    "participant-joined q",
    "participant-left q meetingId=N",
    "participant-joined",
    "recording-paused",
    *("recording-starting", "recording-started", "recording-stopping", "recording-stopped", "recording-failed"),
    f"recording-stopped {FILE}",
    "recording-started id1",
    *("hls-starting", "hls-stopping", "hls-stopped", "hls-failed", f"hls-started {URL}", f"hls-playable {URL}"),
    "hls-started downstreamUrl=https://x/2.m3u8",
    *(
        "transcription-started t type=realtime",
        "transcription-stopped t type=realtime",
        "transcription-failed t",
    ),
    *("transcription-started u type=post", "transcription-stopped u type=post"),
    *("participant-track-recording-starting p audio", "participant-track-recording-stopped p audio"),
]
RESOURCES = ["resource-acquired r type=hls", "resource-acquired r", "resource-released r"]
GAPS = [0, 1, 5, 11, 59, 61, 89, 91, 119, 121, 299, 601, 1199, 1201, 3601, 43_201]


def heard(gaps, pool=POOL):
    """Deliveries of one session with these gaps between them; ``None`` for one without receive time."""

    def positioned(drawn):
        now, made = 0, []
        for position, (gap, line) in enumerate(drawn, 1):
            now += gap or 0
            made.append(delivery(f"{'-' if gap is None else now} {line}", position))
        return made

    return st.lists(st.tuples(st.sampled_from(gaps), st.sampled_from(pool)), min_size=1, max_size=25).map(
        positioned
    )


def begun(story):
    """A session that has heard nothing yet, and is about to hear this."""
    return Session(story[0].stream, story[0].session_id)


timely = heard(GAPS) | heard(GAPS, RESOURCES)
timeless = heard([None])
anyhow = timely | timeless | heard([*GAPS, None]) | heard([*GAPS, *(-gap for gap in GAPS)])
moments = st.sampled_from(GAPS).flatmap(lambda gap: st.sampled_from([gap, gap * 2, 90_000])).map(moment)


@given(anyhow)
def test_judging_never_raises_and_says_what_each_delivery_was(story):
    session = begun(story)
    for each in story:
        judgement = judge(session, each)
        assert (judgement.reading == "unrouted") == (each.lifecycle is None)
        assert all(found.position == each.position for found in judgement.findings)
    assert session.deliveries == len(story)


@given(anyhow)
def test_only_the_latest_run_is_open_and_runs_and_findings_are_numbered(story):
    session = assess_all(story)
    for aggregate in session.aggregates.values():
        assert [run.number for run in aggregate.runs] == list(range(1, len(aggregate.runs) + 1))
        assert all(run.closed for run in aggregate.runs[:-1])
    numbers = [found.number for found in session.findings]
    assert sorted(set(numbers)) == numbers


@given(anyhow)
def test_a_run_is_closed_when_its_state_is_an_end_and_else_only_where_nothing_is_known_of_its_start(story):
    for aggregate in assess_all(story).aggregates.values():
        ends = {step.state for step in aggregate.lifecycle.steps if step.closes} | {"lost"}
        assert [run.closed for run in aggregate.runs] == [
            run.state in ends or (run.closed and run.inferred) for run in aggregate.runs
        ]


@given(anyhow)
def test_a_run_that_keeps_its_steps_never_goes_backwards(story):
    session = begun(story)
    before = {}
    for each in story:
        judge(session, each)
        after = dict(heard_of(session))
        for place in before.keys() & after.keys():
            assert after[place] >= before[place] > ABSENT_RANK
        before = after


ABSENT_RANK = -1


def heard_of(session):
    """How far each run has come, by what it is and the deliveries that it holds; not where it was given up."""
    for key, found in session.aggregates.items():
        for run in found.runs:
            if run.state != "lost":
                steps = tuple(step.position for step in run.steps.values())
                yield (key, run.number, steps), found.lifecycle.rank[run.state]


@given(anyhow)
def test_the_same_deliveries_give_the_same_session_in_whatever_portions(story):
    session = begun(story)
    for each in story:
        session = session.copy()
        judge(session, each)
    assert value(session) == value(assess_all(story))


@given(anyhow, moments)
def test_settling_leaves_the_session_it_was_given_alone(story, as_of):
    session = assess_all(story)
    before = value(session)
    settle(session, as_of)
    assert value(session) == before


@given(anyhow, moments, moments)
def test_settling_in_two_steps_is_settling_in_one(story, one, other):
    session, (earlier, later) = assess_all(story), sorted((one, other))
    assert value(settle(settle(session, earlier), later)) == value(settle(session, later))


@given(timely, moments)
def test_looking_at_a_session_in_between_changes_nothing_of_what_is_found_later(story, as_of):
    session = begun(story)
    for each, following in pairwise([*story, None]):
        judge(session, each)
        if following is not None:
            session = settle(session, following.received_at - timedelta.resolution)
    assert value(settle(session, as_of)) == value(settle(assess_all(story), as_of))


@given(timely)
def test_the_past_is_found_by_folding_what_had_been_received_then(story):
    session = begun(story)
    for number, each in enumerate(story, 1):
        judge(session, each)
        assert value(settle(session, each.received_at)) == value(settle(assess_all(story[:number]), each.received_at))


@given(timely)
def test_the_next_deadline_is_never_later_than_the_first_change(story):
    session = begun(story)
    for each in story:
        judge(session, each)
        first = next_deadline(session, RULES)
        assert first is None or session.next_deadline <= first
        if first is not None:
            assert value(settle(session, first - timedelta.resolution)) == value(session)


@given(anyhow)
def test_once_every_deadline_has_passed_nothing_is_provisional(story):
    late = settle(assess_all(story), moment("9999h"))
    assert [found.code for found in late.findings if found.verdict == "provisional"] == []
    assert next_deadline(late, RULES) is None


# A meeting in which all is well.

CLEAN = [
    "session-started start=2026-01-05T12:00:00Z",
    "participant-joined p participantName=Ann",
    "participant-joined q participantName=Bob",
    "recording-starting",
    "recording-started",
    "hls-starting",
    f"hls-started {URL}",
    f"hls-playable {URL}",
    "transcription-started t type=realtime",
    "participant-left q participantName=Bob",
    "hls-stopping",
    "hls-stopped",
    "transcription-stopped t type=realtime",
    "recording-stopping",
    "participant-left p participantName=Ann",
    "session-ended " + TIMES.format(13),
    f"recording-stopped {FILE}",
]


def test_a_meeting_in_which_all_is_well_has_no_finding_above_info():
    session = told(*(f"{second} {line}" for second, line in enumerate(CLEAN)), as_of="24h")
    assert standing(session) == ["D104"]
    assert session.state == "ended"


@given(st.lists(st.integers(0, len(CLEAN) - 1), max_size=6), st.sampled_from([1, 5]))
def test_copies_that_come_within_seconds_raise_no_warning_and_move_nothing(twice, seconds):
    lines = [(10 * place, line) for place, line in enumerate(CLEAN)]
    lines += [(10 * place + seconds, CLEAN[place]) for place in twice]
    session = told(*(f"{second} {line}" for second, line in sorted(lines)), as_of="24h")
    clean = told(*(f"{10 * place} {line}" for place, line in enumerate(CLEAN)), as_of="24h")
    assert standing(session, "warning") == []
    assert _ends(session) == _ends(clean)


@given(st.integers(1, len(CLEAN) - 2))
def test_two_neighbours_in_the_wrong_order_raise_no_warning(place):
    lines = [*CLEAN[:place], CLEAN[place + 1], CLEAN[place], *CLEAN[place + 2 :]]
    session = told(*(f"{second} {line}" for second, line in enumerate(lines)), as_of="24h")
    assert standing(session, "warning") == []


COPIES = [
    (15 * place, place, later)
    for place in range(len(CLEAN))
    for later in (11, 29, 61, 119, 121, 305, 601, 1199)
]


@pytest.mark.parametrize(("at", "place", "later"), COPIES)
def test_a_copy_of_anything_within_the_window_of_a_redelivery_adds_nothing_above_info(at, place, later):
    lines = [(15 * number, line) for number, line in enumerate(CLEAN)]
    copied = sorted([*lines, (at + later, CLEAN[place])], key=lambda line: line[0])
    session = told(*(f"{second} {line}" for second, line in copied), as_of="24h")
    clean = told(*(f"{second} {line}" for second, line in lines), as_of="24h")
    assert (standing(session, "warning"), _ends(session)) == ([], _ends(clean))


TWICE_ALL = [
    (0, "session-started"),
    *(
        (at, f"participant-{step} p")
        for at, step in ((5, "joined"), (500, "left"), (560, "joined"), (2950, "left"))
    ),
    *((at, f"recording-{step}") for at, step in ((30, "starting"), (36, "started"), (700, "stopping"))),
    (730, "recording-stopped filePath=/1.mp4"),
    *((at, f"recording-{step}") for at, step in ((900, "starting"), (911, "started"), (1500, "stopping"))),
    (1560, "recording-stopped filePath=/2.mp4"),
    (3000, "session-ended"),
]


@given(st.integers(0, len(TWICE_ALL) - 1), st.integers(1, 1200))
def test_a_copy_adds_nothing_above_info_where_all_is_done_twice_either(place, later):
    at, line = TWICE_ALL[place]
    lines = sorted([*TWICE_ALL, (at + later, line)], key=lambda line: line[0])
    session = told(*(f"{second} {line}" for second, line in lines), as_of="24h")
    assert (standing(session, "warning"), states(session, "recording")) == ([], ["stopped", "stopped"])


@given(st.lists(st.integers(0, 119), min_size=len(CLEAN), max_size=len(CLEAN)))
def test_deliveries_that_overtake_each_other_within_the_lateness_end_in_the_same_states(delays):
    lines = [(20 * place + delay, line) for (place, line), delay in zip(enumerate(CLEAN), delays, strict=True)]
    session = told(*(f"{second} {line}" for second, line in sorted(lines)), as_of="24h")
    clean = told(*(f"{20 * place} {line}" for place, line in enumerate(CLEAN)), as_of="24h")
    assert (session.state, _ends(session)) == (clean.state, _ends(clean))


@given(anyhow)
def test_folding_again_finds_the_same(story):
    once, again = assess_all(story), assess_all(story)
    assert [attrs.asdict(found) for found in once.findings] == [
        attrs.asdict(found) for found in again.findings
    ]


def _ends(session):
    return {key: [run.state for run in aggregate.runs] for key, aggregate in session.aggregates.items()}


MEETING = ("0 session-started", "1 participant-joined p", "5 recording-starting", "8 recording-started",
           "60 recording-stopping", "70 recording-stopped fileUrl=u", "90 participant-left p", "100 session-ended")  # fmt: skip


def in_state(session):
    return {key: [run.state for run in found.runs] for key, found in session.aggregates.items()}


@pytest.mark.parametrize("line", MEETING)
@pytest.mark.parametrize(("later", "code"), [("5m", "D101"), ("2h", "S208")])
def test_an_ended_session_absorbs_a_copy_however_late_it_comes(line, later, code):
    copy = f"{later} {line.partition(' ')[2]}"
    again = told(*MEETING, copy, as_of="20h")
    expected = "S214" if (line, code) == ("0 session-started", "S208") else code
    assert (standing(again), in_state(again)) == ([expected], in_state(told(*MEETING)))


def test_a_stop_that_belongs_to_nothing_is_reproached_once_though_nothing_follows():
    assert standing(told("0 session-started", "5 hls-stopping", as_of="1h")) == ["S205"]
    followed = told("0 session-started", "5 hls-stopping", "20 hls-stopped", as_of="1h")
    assert (standing(followed), followed.aggregates["hls", ()].state) == (
        ["S205"],
        "stopped",
    )


def test_what_a_withdrawn_run_was_told_of_stays_with_the_run_before():
    lines = ("5 recording-starting", "6 recording-started", "7 recording-stopping", "8 recording-stopped fileUrl=u",
             "60 recording-starting", "70 recording-starting", "80 recording-starting")  # fmt: skip
    session = told("0 session-started", *lines, as_of="1h")
    assert [(found.code, found.position, found.run) for found in session.findings] == [
        ("D101", 7, 1), ("D101", 8, 1), ("D105", 6, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("place", [5, 6, 7, 9])
def test_a_copy_of_a_file_of_the_run_before_ends_no_later_run(place):
    """Wherever in the second recording the stop of the first comes again, but where a stop is next."""
    first = (
        "5 recording-starting",
        "6 recording-started",
        "7 recording-stopping",
        "9 recording-stopped fileUrl=one",
    )
    second = ("500 recording-starting", "510 recording-started", "530 recording-stopping",
              "540 recording-stopped fileUrl=two")  # fmt: skip
    lines = ["0 session-started", *first, *second]
    lines.insert(place, f"{lines[place - 1].split()[0]} recording-stopped fileUrl=one")
    session = told(*lines, as_of="1h")
    (recording,) = [found for (name, _), found in session.aggregates.items() if name == "recording"]
    assert [(run.state, run.data["file_url"]) for run in recording.runs] == [
        ("stopped", "one"),
        ("stopped", "two"),
    ]
    assert standing(session, "warning") == []


def test_a_start_told_through_two_channels_at_once_is_no_restart():
    lines = ("5 recording-starting", "5.2 recording-started", "5.5 recording-starting", "5.7 recording-started")
    session = told("0 session-started", *lines)
    assert (states(session, "recording"), standing(session)) == (["started"], ["D101", "D101"])


RECORDED = (
    "5 recording-starting",
    "8 recording-started",
    "60 recording-stopping",
    "70 recording-stopped fileUrl=one",
)


def test_a_second_recording_whose_start_was_lost_is_a_run_of_its_own_and_not_a_copy_of_the_first():
    again = ("303 recording-started", "360 recording-stopping", "370 recording-stopped fileUrl=two")
    session = told("0 session-started", *RECORDED, *again, as_of="1h")
    recording = session.aggregates["recording", ()]
    assert [(run.state, run.data["file_url"]) for run in recording.runs] == [
        ("stopped", "one"),
        ("stopped", "two"),
    ]
    assert (standing(session), recording.runs[1].steps["started"].position) == (["S201"], 6)


def test_a_second_recording_that_was_started_before_it_was_starting_is_only_late():
    again = ("303 recording-started", "304 recording-starting", "360 recording-stopping",
             "370 recording-stopped fileUrl=two")  # fmt: skip
    session = told("0 session-started", *RECORDED, *again, as_of="1h")
    assert (states(session, "recording"), standing(session, "warning")) == (["stopped", "stopped"], [])


def test_a_copy_that_came_long_before_the_next_recording_is_not_taken_for_a_step_of_it():
    again = ("303 recording-started", "2h recording-starting", "7300 recording-stopping")
    assert "S202" in standing(told("0 session-started", *RECORDED, *again, as_of="3h"))


def test_a_long_second_recording_whose_start_was_lost_is_a_run_too():
    again = ("303 recording-started", "1h recording-stopping", "3670 recording-stopped fileUrl=two")
    session = told("0 session-started", *RECORDED, *again, as_of="2h")
    assert (states(session, "recording"), standing(session)) == (["stopped", "stopped"], ["S201"])
