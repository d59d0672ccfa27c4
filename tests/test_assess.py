"""Judging, case by case: which code is raised when, which is not, and what takes one back.

``RAISED`` holds a story for every code of the catalogue, ``NEARLY`` the nearest story that does not
raise it, ``RETRACTED`` one in which a later delivery explains it. A story is its lines; a last one
``as of 5m`` says at which moment it is looked at.
"""

from datetime import timedelta

import pytest
import record_stories
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from story import (
    NOON,
    OF_THE_LOG,
    RULES,
    audited,
    deliveries,
    delivery,
    findings,
    judged,
    moment,
    readings,
    session_from,
    standing,
    states,
    value,
)

from tracker.codes import codes_for
from tracker.delivery.webhook import parse
from tracker.findings import NoFinding
from tracker.judging.assess import assess, assess_all, assessment_of
from tracker.judging.findings.catalogue import CATALOGUE
from tracker.judging.findings.confidence import FACT
from tracker.judging.hypothesis import THE_END
from tracker.judging.prices import PRICES
from tracker.judging.sequence import assumptions, is_orphan
from tracker.judging.session import Observed, observe_all
from tracker.lifecycle import Lifecycle
from tracker.lifecycles import REGISTRY, Registry
from tracker.rules import Rules

BEGUN = "0 session-started"
URL, FILE = "playbackHlsUrl=https://x/1.m3u8", "filePath=/1.mp4"
RECORDING = ("1 recording-starting", "2 recording-started", "3 recording-stopping")
HLS = ("1 hls-starting", f"2 hls-started {URL}")
TIMES = "start=2026-01-05T12:00:00Z end=2026-01-05T{}:00:00Z"
STARTS = "session-started start=2026-01-05T{}:00:00Z"
IN = "1 participant-joined p"


def with_id(name, file):
    """A whole recording that carries an id."""
    return (
        *(f"{line} {name}" for line in RECORDING),
        f"4 recording-stopped {name} filePath={file}",
    )


RAISED = {
    "D101": (BEGUN, "30h session-started"),
    "D102": (BEGUN, f"1 hls-started {URL}", f"2 hls-playable {URL}", "60 hls-starting"),
    "D103": (BEGUN, IN, "60 participant-joined p", "150 participant-left p", "as of 30m"),
    "D104": (BEGUN, *RECORDING, "4 session-ended", f"120 recording-stopped {FILE}"),
    "D105": (BEGUN, IN, "10m participant-joined p", "as of 1h"),
    "S201": (BEGUN, "1 recording-started", "as of 5m"),
    "S202": (BEGUN, "1 recording-starting", "2 recording-stopping", "as of 5m"),
    "S203": (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}", "as of 5m"),
    "S204": (BEGUN, *HLS, "60 hls-stopping", "61 hls-stopped", "as of 5m"),
    "S205": (BEGUN, "1 hls-stopped", "as of 5m"),
    "S206": (BEGUN, "1 recording-failed", "as of 5m"),
    "S207": (BEGUN, *RECORDING[:2], "5m recording-starting", "310 recording-started", "as of 30m"),
    "S208": (BEGUN, IN, "60 participant-left p", "61 session-ended", "7h participant-left p", "as of 8h"),
    "S209": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}", "5 recording-failed", "as of 1h"),
    "S210": (BEGUN, "1 recording-starting", "2 recording-failed"),
    "S212": (BEGUN, "1 participant-left p", "as of 5m"),
    "S213": (BEGUN, IN, "2h participant-joined p", "3h participant-left p", "as of 4h"),
    "S214": (f"0 {STARTS.format(12)}", f"1 {STARTS.format(11)}"),
    "S215": ("0 resource-acquired r", "1h resource-acquired r", "as of 2h"),
    "T301": (BEGUN, "1 recording-starting", "as of 3m"),
    "T302": (BEGUN, *RECORDING, "as of 11m"),
    "T303": (BEGUN, "1 recording-starting", "5m recording-started"),
    "T304": (BEGUN, "as of 24h"),
    "T305": ("0 session-started start=2022-07-05T15:60:35.047+00:00",),
    "T306": (BEGUN, "1 session-ended " + TIMES.format(11)),
    "T307": (BEGUN, IN, "60 participant-left p", "as of 11m"),
    "T310": (BEGUN, IN, "as of 2h"),
    "T311": (BEGUN, *HLS, "as of 5m"),
    "X401": ("0 participant-joined p", "as of 5m"),
    "X402": (BEGUN, "1 session-ended", "4 participant-joined p"),
    "X403": (BEGUN, *RECORDING[:2], "3 session-ended", "as of 15m"),
    "X404": (BEGUN, IN, "3 session-ended", "as of 15m"),
    "X405": (
        BEGUN,
        "1 participant-joined q",
        "60 participant-recording-starting p",
        "61 participant-recording-started p",
        "as of 5m",
    ),
    "X407": (BEGUN, "1 session-ended", "as of 15m"),
    "C501": (BEGUN, f"{IN} meetingId=other"),
    "C502": (BEGUN, "1 hls-starting", "2 hls-started playbackHlsUrl=a", "3 hls-playable playbackHlsUrl=b"),
    "C503": (f"0 {STARTS.format(11)}", "1 session-ended " + TIMES.format(13)),
    "C504": (BEGUN, *HLS, f"3 hls-playable {URL}", "4 hls-started playbackHlsUrl=https://x/2.m3u8", "as of 1h"),
    "C505": (BEGUN, f"{IN} participantName=Ann", "2 participant-left p participantName=Bob"),
    "C507": (BEGUN, *RECORDING, "4 recording-stopped filePath=null", "as of 1h"),
    "C508": (BEGUN, *with_id("a", "/1.mp4"), *with_id("b", "/1.mp4")),
    "C509": (BEGUN, "1 recording-paused"),
    "C510": (BEGUN, "1 hls-starting", "2 hls-started downstreamUrl=https://x/1.m3u8"),
    "C511": (BEGUN, "1 participant-joined"),
    "C513": ("0 {not json",),
    "C514": ("0 session-started forged",),
    "C515": (BEGUN, "1 session-ended error=timeout"),
    "C517": (f"{BEGUN} @acme", f"{IN} @beta"),
    "C516": (
        BEGUN,
        *RECORDING,
        f"4 recording-stopped {FILE}",
        "60 recording-stopped filePath=/2.mp4",
        "as of 1h",
    ),
    **record_stories.RAISED,
}
NEARLY = {
    "D101": (BEGUN, "1 session-started extra=1"),
    "D102": (BEGUN, "1 hls-starting", f"60 hls-started {URL}"),
    "D103": (BEGUN, IN, "60 participant-left p", "61 participant-joined p", "150 participant-left p"),
    "D104": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}", "5 session-ended"),
    "D105": (BEGUN, IN, "11 participant-joined p", "as of 15m"),
    "S201": (BEGUN, "1 recording-starting", "2 recording-started", "as of 5m"),
    "S202": (BEGUN, "1 transcription-failed t", "as of 5m"),
    "S203": (BEGUN, *RECORDING, f"60 recording-stopped {FILE}", "as of 5m"),
    "S204": (BEGUN, *HLS, "60 hls-stopping", "61 hls-failed", "as of 5m"),
    "S205": (BEGUN, "1 hls-starting", "2 hls-stopped", "as of 5m"),
    "S206": (BEGUN, "1 transcription-failed t", "as of 5m"),
    "S207": (BEGUN, *RECORDING[:2], "5m recording-starting", "as of 30m"),
    "S208": (BEGUN, IN, "60 participant-left p", "61 session-ended", "10m participant-left p", "as of 8h"),
    "S209": (BEGUN, *RECORDING, "4 recording-failed", "5 recording-failed"),
    "S210": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}"),
    "S212": (BEGUN, IN, "2 participant-left p", "3 participant-left p", "as of 5m"),
    "S213": (BEGUN, IN, "25m participant-joined p", "as of 30m"),
    "S214": RAISED["D101"],
    "S215": ("0 resource-acquired r", "20m resource-acquired r"),
    "T301": (BEGUN, "1 recording-starting", "120 recording-started", "as of 3m"),
    "T302": (BEGUN, *RECORDING, f"10m recording-stopped {FILE}", "as of 11m"),
    "T303": (BEGUN, "1 recording-starting", "120 recording-started"),
    "T304": (BEGUN, "as of 23.9h"),
    "T305": ("0 session-started start=2022-07-05T15:59:35.047+00:00",),
    "T306": (BEGUN, "1 session-ended " + TIMES.format(12)),
    "T307": (BEGUN, IN, "60 participant-left p", "as of 659"),
    "T310": (BEGUN, IN, "2 participant-joined q", "as of 2h"),
    "T311": (BEGUN, *HLS, f"120 hls-playable {URL}", "as of 5m"),
    "X401": (BEGUN, "0 participant-joined p", "as of 5m"),
    "X402": (BEGUN, "0 participant-joined p", "1 session-ended", "2 participant-left p"),
    "X403": (BEGUN, "1 transcription-started t type=post", "3 session-ended", "as of 15m"),
    "X404": (BEGUN, IN, "3 session-ended", "10m participant-left p", "as of 15m"),
    "X405": (
        BEGUN,
        IN,
        "2 participant-left p",
        "122 participant-recording-starting p",
        "as of 5m",
    ),
    "X407": (BEGUN, IN, "2 session-ended", "as of 15m"),
    "C501": (BEGUN, f"{IN} -meetingId", "2 participant-left p"),
    "C502": (BEGUN, "1 hls-starting", "2 hls-started playbackHlsUrl=a", "3 hls-playable playbackHlsUrl=a"),
    "C503": (f"0 {STARTS.format(12)}", "1 session-ended " + TIMES.format(13)),
    "C504": (
        BEGUN,
        "1 recording-starting meetingId=M sessionId=S",
        "2 recording-starting sessionId=S meetingId=M",
    ),
    "C505": (BEGUN, f"{IN} participantName=Ann", "2 participant-left p"),
    "C507": (BEGUN, *RECORDING, "4 recording-stopped filePath=null fileUrl=https://x/1.mp4"),
    "C508": (BEGUN, *with_id("a", "/1.mp4"), *with_id("b", "/2.mp4")),
    "C509": (BEGUN, "1 recording-starting"),
    "C510": (BEGUN, *HLS),
    "C511": (BEGUN, IN),
    "C513": (BEGUN,),
    "C514": (BEGUN,),
    "C515": (BEGUN, "1 session-ended reason=timeout error=null"),
    "C517": (f"{BEGUN} @acme", f"{IN}", "2 participant-left p @acme"),
    "C516": (BEGUN, *RECORDING, f"4 recording-stopped {FILE}", "65 recording-stopped filePath=/2.mp4"),
    **record_stories.NEARLY,
}
EXPLAINED = {
    "D105": (BEGUN, IN, "60 participant-joined p", "150 participant-left p"),
    "S201": (BEGUN, "1 recording-started", "120 recording-starting"),
    "S202": (BEGUN, "1 recording-starting", "2 recording-stopping", "3 recording-started"),
    "S203": (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}", "61 recording-stopping"),
    "S204": (*RAISED["S204"][:-1], f"62 hls-playable {URL}"),
    "S205": (BEGUN, "1 hls-stopped", "2 hls-starting"),
    "S206": (BEGUN, "1 recording-failed", "2 recording-starting"),
    "S207": (
        BEGUN,
        *RECORDING,
        "30 recording-starting",
        "35 recording-started",
        f"40 recording-stopped {FILE}",
    ),
    "S212": (BEGUN, "1 participant-left p", "2 participant-joined p"),
    "S213": (BEGUN, IN, "2h participant-joined p", "7201 participant-left p"),
    "T301": (BEGUN, "1 recording-starting", "5m recording-started"),
    "T302": (BEGUN, *RECORDING, f"15m recording-stopped {FILE}"),
    "T304": (BEGUN, "25h participant-joined p"),
    "T307": (BEGUN, IN, "60 participant-left p", "20m participant-joined p"),
    "T311": (BEGUN, *HLS, f"5m hls-playable {URL}"),
    "X401": ("0 participant-joined p", "60 session-started"),
    "X403": (*RAISED["X403"][:-1], f"1h recording-stopped {FILE}"),
    "X404": (*RAISED["X404"][:-1], "1h participant-left p"),
    "X405": (
        BEGUN,
        "1 participant-joined q",
        "60 participant-recording-starting p",
        "120 participant-joined p",
    ),
    "C507": (BEGUN, *RECORDING, "4 recording-stopped", f"8m recording-stopped {FILE}"),
}
"""The last line explains what was found before it."""
HOWEVER_LATE = {
    "S201": (BEGUN, "1 recording-started", "1h recording-starting"),
    "S202": (BEGUN, RECORDING[0], RECORDING[2], f"60 recording-stopped {FILE}", "1h recording-started"),
    "S203": (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}", "1h recording-stopping"),
    "S204": (BEGUN, *HLS, "60 hls-stopping", "61 hls-stopped", f"1h hls-playable {URL}"),
    "S212": (BEGUN, "1 participant-left p", "5m participant-joined p"),
    "X401": ("0 participant-joined p", "1h session-started"),
}


def after(story):
    """The session after a story."""
    *lines, last = story
    if last.startswith("as of "):
        return session_from(*lines, as_of=last.removeprefix("as of "))
    return session_from(*story)


def before_the_last(story):
    """The session just before the last line came."""
    *lines, last = story
    at = moment(last.split(" ")[0]) - NOON
    return session_from(*lines, as_of=str(at.total_seconds() - 0.5))


def only(session, lifecycle):
    (aggregate,) = [found for (name, _), found in session.aggregates.items() if name == lifecycle]
    return aggregate


def test_every_finding_of_a_session_names_it_also_without_receive_times():
    session = session_from(
        "- session-started", "- participant-joined p", "- recording-starting", "- session-ended", as_of="1h"
    )
    assert {(found.session_id, found.meeting_id) for found in session.findings} == {("S", "M")}


def test_what_came_before_the_first_receive_time_that_is_known_has_that_time():
    session = assess_all(deliveries("- recording-started", "- recording-paused", "60 recording-stopped"))
    found = {one.code: one.at for one in session.findings}
    assert found["S201"] == found["C509"] == session.first_seen_at == moment(60)


def test_a_session_that_several_accounts_send_is_of_the_first_and_reported_once_for_each_other():
    session = session_from(
        BEGUN,
        f"{IN} @acme",
        "2 participant-left p @beta",
        "3 participant-joined p @beta",
        "4 session-ended @gamma",
    )
    found = [one.message.rpartition(", ")[2] for one in session.findings if one.code == "C517"]
    assert (session.account, found) == ("acme", ["acme and beta", "acme and gamma"])


def test_every_code_of_the_catalogue_has_a_story_that_raises_it_and_one_that_does_not():
    assert set(RAISED) == set(NEARLY) == set(CATALOGUE) - OF_THE_LOG


@pytest.mark.parametrize("code", RAISED)
def test_a_code_is_found_once_and_settled_with_its_slug_and_severity(code):
    (found,) = [found for found in after(RAISED[code]).findings if found.code == code]
    entry = CATALOGUE[code]
    assert (found.slug, found.severity, found.verdict) == (entry.slug, entry.severity, "settled")


@pytest.mark.parametrize("code", RAISED)
def test_a_finding_says_where_and_when_and_on_what_it_rests_and_what_to_do(code):
    (found,) = [found for found in after(RAISED[code]).findings if found.code == code]
    assert found.position in found.evidence
    assert found.evidence == tuple(sorted(set(found.evidence)))
    assert found.at is not None
    assert "{" not in found.message.replace("{not json", "")
    assert found.advice == CATALOGUE[code].advice
    assert 0 < found.confidence <= 1


@pytest.mark.parametrize("code", RAISED)
def test_what_is_paid_where_a_code_is_found_are_prices_that_its_entry_names(code):
    lines, as_of = split(RAISED[code])
    made = assessment_of(observe_all(deliveries(*lines)), as_of)
    assert {name for name, found in paid(made) if found == code} <= set(CATALOGUE[code].prices)


def split(story):
    """The lines of a story, and the moment at which it is looked at."""
    *lines, last = story
    return (lines, moment(last.removeprefix("as of "))) if last.startswith("as of ") else (story, None)


def paid(made):
    """What the hypotheses that are held have paid: the name of each price, and the code that is found by it."""
    for aggregate in made.session.aggregates.values():
        assumed = assumptions(aggregate.lifecycle, aggregate.held.all_runs(), made.context)
        yield from ((one.name, one.code) for _, one in assumed)


SILENT = [
    *((name, code) for name in Lifecycle.ROLES for code in codes_for(name)),
    *((name, code) for name in ("skipped", "missed") for code in codes_for(name)),
]


@pytest.mark.parametrize(("name", "code"), SILENT)
def test_where_a_declaration_says_that_nothing_is_found_nothing_is(name, code):
    lines, as_of = split(RAISED[code])
    registry = Registry(silent(lifecycle, name) for lifecycle in REGISTRY.values())
    came = [parse(one.received, one.position, registry) for one in deliveries(*lines)]
    assert code not in findings(assess_all(came, as_of))


def silent(lifecycle, name):
    """The same lifecycle, which finds nothing by one role, its own or that of a step."""
    owners = [owner for owner, role, _ in lifecycle.roles() if role == name]
    nothing = {name: NoFinding("to be tried")}
    steps = [replace(step, **nothing) if step in owners else step for step in lifecycle.steps]
    own = nothing if lifecycle in owners else {}
    return replace(lifecycle, steps=tuple(steps), **own)


@pytest.mark.parametrize("code", RAISED)
def test_one_fault_is_one_finding_of_warning_or_above(code):
    expected = [] if CATALOGUE[code].severity == "info" else [code]
    assert standing(after(RAISED[code]), "warning") == expected


@pytest.mark.parametrize("code", NEARLY)
def test_a_code_is_not_found_in_its_nearest_neighbour(code):
    assert code not in findings(after(NEARLY[code]))


@pytest.mark.parametrize("code", EXPLAINED)
def test_what_a_later_delivery_explains_is_found_before_it_and_no_more_after_it(code):
    assert code in findings(before_the_last(EXPLAINED[code]))
    assert code not in findings(after(EXPLAINED[code]))


@pytest.mark.parametrize("code", HOWEVER_LATE)
def test_a_step_that_came_is_not_missing_however_late_it_came(code):
    assert code in findings(before_the_last(HOWEVER_LATE[code]))
    assert standing(after(HOWEVER_LATE[code]), "warning") == []


@pytest.mark.parametrize(
    "code", ["D105", "S201", "S202", "S203", "S204", "S205", "S206", "S209", "S212", "X401"]
)
def test_what_a_later_delivery_may_explain_is_provisional_until_its_window_closes(code):
    lines = [line for line in RAISED[code] if not line.startswith("as of")]
    assert findings(session_from(*lines))[code] == "provisional"
    assert findings(session_from(*lines, as_of="48h"))[code] == "settled"


@pytest.mark.parametrize("code", ["S201", "S202", "S203", "S204", "S205", "S206", "S212", "X401"])
def test_without_receive_times_such_a_finding_stays_undecided(code):
    lines = [f"- {line.split(' ', 1)[1]}" for line in RAISED[code] if not line.startswith("as of")]
    assert findings(session_from(*lines, as_of="2h"))[code] == "undecided"


@pytest.mark.parametrize("code", ["S201", "S205", "S212", "T301", "T302", "X401", "X403", "X404"])
def test_without_receive_times_it_is_settled_as_of_the_end_when_everything_has_passed(code):
    lines = [f"- {line.split(' ', 1)[1]}" for line in RAISED[code] if not line.startswith("as of")]
    session = assess(observed_of(deliveries(*lines)), THE_END)
    (found,) = (one for one in session.findings if one.code == code)
    assert (found.verdict, found.at, "00:00:00" in found.message) == ("settled", None, False)


@pytest.mark.parametrize("code", ["T301", "T302", "T311"])
def test_what_was_stuck_and_moves_on_was_slow(code):
    assert standing(after(EXPLAINED[code])) == ["T303"]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (("1 recording-started", "121 recording-starting"), ["D102"]),
        (("1 recording-starting", "121 recording-started"), []),
        ((*RECORDING, f"603 recording-stopped {FILE}"), []),
        ((IN, "3 session-ended", "603 participant-left p"), []),
        ((IN, "60 participant-joined p", "150 participant-left p"), ["D103"]),
        (("24h session-ended",), []),
    ],
)
def test_what_comes_at_the_very_end_of_a_window_is_inside_it(lines, codes):
    assert standing(session_from(BEGUN, *lines)) == codes


def test_a_severity_is_the_one_of_the_rules():
    rules = Rules(severity={"S210": "error"})
    assert standing(session_from(*RAISED["S210"], rules=rules), "error") == ["S210"]


# The session itself.


@pytest.mark.parametrize(
    ("lines", "as_of", "state", "certainty"),
    [
        ((BEGUN,), "1h", "live", "sure"),
        (("0 participant-joined p",), "1h", "live", "inferred"),
        ((BEGUN, "1 session-ended"), "1h", "ended", "sure"),
        (("0 session-ended",), "1h", "ended", "inferred"),
        ((BEGUN,), "24h", "presumed-ended", "contested"),
        ((BEGUN, "25h participant-joined p"), "26h", "live", "sure"),
        (("0 recording-paused",), "25h", "unknown", "inferred"),
    ],
)
def test_a_session_is_in_the_state_that_was_last_reported(lines, as_of, state, certainty):
    session = session_from(*lines, as_of=as_of)
    assert (session.state, session.certainty) == (state, certainty)


def test_an_ended_session_stays_ended_whatever_comes():
    assert (
        session_from(BEGUN, "1 session-ended", "2h session-started", "2h participant-joined p").state == "ended"
    )


def test_the_session_s_own_clock_goes_before_the_receive_times():
    session = session_from(
        "5 session-started start=2026-01-05T12:00:01Z", "60 session-ended " + TIMES.format(13)
    )
    assert (session.started_at, session.ended_at) == (moment("1"), moment("1h"))


def test_where_the_clock_time_is_none_the_receive_time_is_taken():
    session = session_from("5 session-started start=noon", "60 session-ended end=2022-07-05T15:60:35.047+00:00")
    assert (session.started_at, session.ended_at) == (moment("5"), moment("60"))


def test_the_start_that_only_the_end_tells_is_kept():
    assert session_from("60 session-ended " + TIMES.format(13)).started_at == NOON


def test_first_and_last_seen_are_the_earliest_and_the_latest_receive_times():
    session = session_from("60 session-started", "30 participant-joined p", "- participant-left p")
    assert (session.first_seen_at, session.last_seen_at) == (moment("30"), moment("60"))
    assert (session.deliveries, session.last_position) == (3, 3)


def test_the_first_meeting_counts_and_each_other_one_is_reported_once():
    session = session_from(
        BEGUN,
        "1 participant-joined p meetingId=N",
        "2 participant-joined q meetingId=N",
        "3 participant-joined r meetingId=O",
    )
    assert session.meeting_id == "M"
    assert standing(session) == ["C501", "C501"]


def test_a_meeting_that_is_named_late_is_named_in_what_was_found_before():
    session = session_from("0 participant-joined p -meetingId", "1 participant-left p", as_of="5m")
    assert standing(session) == ["X401"]
    assert {found.meeting_id for found in session.findings} == {"M"}


def test_a_session_without_a_start_is_reported_once_with_what_it_lacks():
    session = session_from("0 participant-joined p", "1 participant-joined q", as_of="5m")
    (found,) = [found for found in session.findings if found.code == "X401"]
    assert (found.position, found.expected) == (1, ("session-started",))


def test_a_self_stop_near_the_end_of_the_session_is_only_an_info():
    stopped = (BEGUN, *RECORDING[:2], f"60 recording-stopped {FILE}")
    severity = {found.code: found.severity for found in session_from(*stopped, "120 session-ended").findings}
    assert severity == {"S203": "info"}
    later = {found.code: found.severity for found in session_from(*stopped, "121 session-ended").findings}
    assert later == {"S203": "warning"}


@pytest.mark.parametrize(
    ("who", "left", "severity"),
    [("p", 95, "info"), ("p", 101, "info"), ("p", 20, "warning"), ("q", 95, "warning")],
)
def test_what_is_of_a_person_and_stops_when_that_person_leaves_is_only_an_info(who, left, severity):
    begun = (BEGUN, "0.1 participant-joined p", "0.2 participant-joined q", "0.3 participant-joined r")
    run = ("10 participant-recording-starting p", "12 participant-recording-started p")
    ended = sorted((f"{left:03} participant-left {who}", "100 participant-recording-stopped p"))
    session = session_from(*begun, *run, *ended, "20m session-ended")
    assert {one.severity for one in session.findings if one.code == "S203"} == {severity}


@pytest.mark.parametrize("last", ["120 session-ended", f"90 recording-stopped {FILE}"])
def test_the_severity_that_a_user_gives_a_self_stop_holds_near_the_end_too(last):
    middle = f"60 recording-stopped {FILE}" if "ended" in last else "60 session-ended"
    session = session_from(BEGUN, *RECORDING[:2], middle, last, rules=Rules(severity={"S203": "error"}))
    assert {found.severity for found in session.findings if found.code == "S203"} == {"error"}


def test_a_self_stop_after_the_end_of_the_session_is_only_an_info():
    session = session_from(
        BEGUN, *RECORDING[:2], "60 session-ended", f"90 recording-stopped {FILE}", as_of="1h"
    )
    assert standing(session, "warning") == []


def test_a_person_who_is_inside_at_the_end_left_with_it():
    session = session_from(*RAISED["X404"][:-1], as_of="15m")
    assert states(session, "participant") == ["out"]
    (run,) = only(session, "participant").runs
    assert (run.certainty, run.steps["left"].inferred) == ("inferred", True)


def test_an_end_that_is_only_presumed_is_not_reported_as_one_that_came():
    session = session_from(BEGUN, *RECORDING[:2], as_of="72h")
    (found,) = [one for one in session.findings if one.code == "X403"]
    assert "when the session was presumed to have ended at" in found.message


def test_what_is_open_at_the_end_is_lost_once_the_grace_has_passed():
    lines = RAISED["X403"][:-1]
    assert states(session_from(*lines, as_of="602"), "recording") == ["started"]
    session = session_from(*lines, as_of="603")
    assert states(session, "recording") == ["lost"]
    assert [found.at for found in session.findings if found.code == "X403"] == [moment("603")]


def test_a_realtime_transcription_must_end_with_the_session():
    lines = (BEGUN, "1 transcription-started t type=realtime", "3 session-ended")
    assert standing(session_from(*lines, as_of="15m"), "warning") == ["X403"]


def test_what_was_stuck_gets_no_second_finding_when_the_session_ends():
    session = session_from(BEGUN, "1 recording-starting", "5m session-ended", as_of="1h")
    assert standing(session) == ["T301"]
    assert states(session, "recording") == ["lost"]


def test_what_was_stuck_and_is_begun_again_gets_no_finding_for_that():
    again = ("30m recording-starting message=b", "1801 recording-started")
    session = session_from(BEGUN, "1 recording-starting message=a", *again)
    assert standing(session, "warning") == ["T301"]
    assert states(session, "recording") == ["lost", "started"]


def test_what_has_no_receive_time_takes_that_of_the_delivery_before():
    session = session_from(BEGUN, "1 recording-starting", "- session-ended", as_of="1h")
    assert (findings(session), states(session, "recording")) == ({"T301": "settled"}, ["lost"])


def test_what_began_after_the_end_gets_no_second_finding_for_being_open():
    assert standing(session_from(*RAISED["X402"], as_of="1h"), "warning") == ["X402"]


def test_an_end_that_comes_after_the_run_was_lost_closes_it_properly():
    session = session_from(*EXPLAINED["X403"], as_of="3h")
    assert states(session, "recording") == ["stopped"]
    assert standing(session) == ["D104", "S203"]
    assert standing(session, "warning") == []


def test_after_the_end_a_run_that_is_stopping_is_processed_until_both_times_have_passed():
    lines = (BEGUN, IN, *RECORDING[:2], "500 recording-stopping", "550 participant-left p", "560 session-ended")
    waiting = session_from(*lines, as_of="1159")
    assert (standing(waiting), states(waiting, "recording")) == ([], ["stopping"])
    over = session_from(*lines, as_of="1160")
    assert (standing(over), states(over, "recording")) == (["X403"], ["lost"])


def test_a_stop_that_comes_after_the_run_was_lost_was_slow():
    lines = (BEGUN, *RECORDING, "4 session-ended")
    assert findings(session_from(*lines, as_of="30m")) == {"X403": "settled"}
    session = session_from(*lines, f"1h recording-stopped {FILE}")
    assert findings(session) == {"D104": "settled", "T303": "settled"}


def test_a_step_that_is_no_end_does_not_bring_a_lost_run_back():
    session = session_from(BEGUN, "1 recording-starting", "2 session-ended", "1h recording-started")
    assert states(session, "recording") == ["lost"]


def weights(session):
    """The code and the severity of what is found."""
    return [(found.code, found.severity) for found in session.findings]


def said(session, code):
    (found,) = [found for found in session.findings if found.code == code]
    return found.message


EMPTY = (BEGUN, IN, "2 recording-starting", "3 recording-started", "60 participant-left p")


def test_an_empty_room_in_which_something_records_costs_money():
    session = session_from(*EMPTY, as_of="2h")
    assert weights(session) == [("T307", "error")]
    assert "recording went on in the empty room" in said(session, "T307")


def test_an_end_that_comes_after_hours_settles_that_the_empty_room_was_recorded():
    session = session_from(*EMPTY, "2h session-ended", f"7201 recording-stopped {FILE}", as_of="5h")
    assert weights(session) == [("T307", "warning"), ("D104", "info"), ("S203", "info")]
    assert "session-ended came 1 h 59 min later" in said(session, "T307")


def test_an_end_that_comes_after_hours_in_an_empty_room_where_nothing_ran_is_not_worth_a_word():
    assert standing(session_from(BEGUN, IN, "60 participant-left p", "2h session-ended", as_of="5h")) == []


def test_where_people_are_inside_a_session_is_not_overdue_before_a_whole_day():
    lines = (BEGUN, IN, "9 participant-joined q participantName=Quinn", "60 participant-left p")
    assert standing(session_from(*lines, as_of="24h"), "warning") == []
    session = session_from(*lines, as_of="25h")
    assert (session.state, findings(session, "warning")) == (
        "presumed-ended",
        {"X404": "settled", "T304": "settled"},
    )
    assert said(session, "T304").endswith("last inside: Quinn")


def test_a_lost_end_of_an_empty_room_is_found_once_also_when_a_day_has_passed():
    session = session_from(BEGUN, IN, "60 participant-left p", as_of="48h")
    assert (session.state, standing(session)) == ("presumed-ended", ["T307"])


def test_what_stops_by_itself_in_an_empty_room_is_only_an_info():
    lines = (BEGUN, IN, *RECORDING[:2])
    inside = session_from(*lines, f"60 recording-stopped {FILE}", as_of="1h")
    assert weights(inside) == [("S203", "warning")]
    empty = session_from(
        *lines, "50 participant-left p", f"60 recording-stopped {FILE}", "70 participant-joined p"
    )
    assert weights(empty) == [("S203", "info")]


def test_a_failure_is_only_a_warning_where_a_later_run_brought_a_file():
    lines = (BEGUN, "0 recording-starting", "0 recording-failed message=quota", *RECORDING)
    assert weights(session_from(*lines)) == [("S210", "error")]
    session = session_from(*lines, f"4 recording-stopped {FILE}")
    assert weights(session) == [("S210", "warning")]
    assert said(session, "S210").endswith(": quota")


@pytest.mark.parametrize(("later", "severity"), [("2", "info"), ("2m", "error")])
def test_an_end_that_comes_at_once_with_another_reason_is_only_an_info(later, severity):
    session = session_from(BEGUN, IN, "1 session-ended reason=a", f"{later} session-ended reason=b")
    assert [(code, weight) for code, weight in weights(session) if code == "C504"] == [("C504", severity)]
    assert said(session, "C504").endswith("reason a, then b")


@pytest.mark.parametrize("later", ["11", "1h", "40h"])
def test_what_begins_after_the_end_is_found_once_a_run_at_any_age(later):
    begun = delivery(f"{later} recording-started").received_at + timedelta(seconds=5)
    started = f"{(begun - NOON).total_seconds()} recording-started"
    session = session_from(BEGUN, IN, "1 session-ended", f"{later} recording-starting", started, as_of="72h")
    assert standing(session, "error") == ["X402"]


def test_what_comes_within_the_same_two_seconds_as_the_end_did_not_begin_after_it():
    joined = ("0.2 participant-joined p", "1.1 participant-left p")
    recorded = ("1.3 recording-started", "1.4 recording-stopping", "1.7 recording-stopped filePath=/1.mp4")
    burst = (BEGUN, "0.1 session-ended", *joined, *recorded, "2 recording-starting")
    assert standing(session_from(*burst), "warning") == []
    late = session_from(BEGUN, "0.1 session-ended", "2.2 recording-starting")
    assert standing(late, "warning") == ["X402"]


def test_what_begins_after_the_end_says_how_long_after_it_came():
    session = session_from(BEGUN, IN, "1 session-ended", "3601 recording-starting")
    assert said(session, "X402") == "recording-starting came 1 h after the session had ended"


def test_a_visit_whose_joined_was_overtaken_did_not_begin_after_the_end_when_its_left_came_shortly_after_it():
    came = (BEGUN, "100 session-ended", "102 participant-left p", "130 participant-joined p")
    assert standing(session_from(*came, as_of="1h"), "warning") == []
    late = (BEGUN, "100 session-ended", "2h participant-left p", "7230 participant-joined p")
    assert standing(session_from(*late, as_of="5h"), "warning") == ["X402"]


def test_what_would_not_be_held_when_it_is_overdue_is_not_said_to_be_undecided():
    first = ("60 recording-starting", "64 recording-started", "600 recording-stopping")
    second = ("610 recording-starting", "614 recording-started", "1795 participant-left p")
    lines = (BEGUN, IN, *first, *second, "1800 session-ended", f"1802 recording-stopped {FILE}")
    found, (session,) = audited(*lines)
    assert [one.code for one in found if one.verdict == "undecided"] == []
    assert [run.closed for _, run in session.open_runs()] == [False]


def test_both_files_of_a_run_are_shown_and_the_first_one_counts():
    session = after(RAISED["C516"])
    run = only(session, "recording").run
    assert (run.files, run.data) == (
        [{"file_path": "/1.mp4"}, {"file_path": "/2.mp4"}],
        {"file_path": "/1.mp4"},
    )
    assert said(session, "C516").endswith("filePath /1.mp4, then /2.mp4")


def test_a_second_stopped_brings_the_file_that_the_first_one_had_not():
    session = after(EXPLAINED["C507"])
    assert (standing(session), only(session, "recording").run.files) == ([], [{"file_path": "/1.mp4"}])


def test_two_whole_runs_with_one_url_are_two_runs():
    again = ("20 hls-starting", f"21 hls-started {URL}", f"22 hls-playable {URL}", "30 hls-stopping")
    lines = (*HLS, f"3 hls-playable {URL}", "10 hls-stopping", "11 hls-stopped", *again, "31 hls-stopped")
    session = session_from(BEGUN, *lines, as_of="1h")
    assert states(session, "hls") == ["stopped", "stopped"]
    assert weights(session) == [("C508", "info")]


def test_two_recordings_at_once_without_an_id_are_two_runs_with_two_files():
    begun = ("1 recording-starting", "2 recording-started", "3 recording-starting", "5 recording-started")
    stopped = ("60 recording-stopping", "61 recording-stopping", f"70 recording-stopped {FILE}")
    session = session_from(BEGUN, *begun, *stopped, "75 recording-stopped filePath=/2.mp4", as_of="1h")
    assert (states(session, "recording"), standing(session)) == (["stopped", "stopped"], [])
    assert [run.data["file_path"] for run in only(session, "recording").runs] == ["/1.mp4", "/2.mp4"]


def test_an_id_decides_that_no_second_run_can_begin():
    again = session_from(BEGUN, *with_id("a", "/1.mp4"), "40m recording-starting a", as_of="4h")
    assert (states(again, "recording"), standing(again)) == (["stopped"], ["D101"])


def test_a_lost_left_weighs_the_same_whether_a_rejoin_or_the_end_shows_it():
    rejoined = session_from(BEGUN, IN, "2h participant-joined p participantName=Ann", "7300 participant-left p")
    ended = session_from(BEGUN, IN, "2h session-ended", as_of="4h")
    assert [weight for _, weight in weights(rejoined)][:1] == [weight for _, weight in weights(ended)][:1]


def test_what_a_window_leaves_open_when_nothing_more_will_come_is_undecided():
    received = deliveries(BEGUN, IN, *RECORDING[:2], "30m participant-left p", "30m session-ended")
    session = assess(observed_of(received), over=True)
    assert findings(session) == {"X403": "undecided"}
    assert findings(assess(observed_of(received))) == {}


def test_a_confidence_is_a_share_and_the_alternatives_are_named_with_theirs():
    (found,) = session_from(BEGUN, IN, "10m participant-joined p", as_of="1h").findings
    assert 0.5 < found.confidence < 0.9
    (other,) = found.alternatives
    assert (other.message, other.codes) == (
        "it is a step of its own: other webhooks of its run were lost, or another one is the copy",
        (),
    )
    assert found.confidence + other.confidence == pytest.approx(1, abs=0.002)


def test_an_alternative_is_said_in_the_words_of_what_it_assumes_with_the_codes_that_it_would_find():
    story = (BEGUN, *RECORDING[:2], "20m recording-starting", "20m recording-started", "60m session-ended")
    (found,) = (one for one in session_from(*story, as_of="3h").findings if one.code == "S207")
    said = {(PRICES[code].assumed, code) for other in found.alternatives for code in other.codes}
    assert {(other.message, *other.codes) for other in found.alternatives if len(other.codes) == 1} <= said
    assert said


def test_an_unknown_type_is_reported_once_and_a_missing_key_each_time():
    session = session_from(BEGUN, *["1 recording-paused"] * 3, *["2 participant-joined"] * 2)
    assert standing(session) == ["C509", "C511", "C511"]


def test_what_cannot_be_routed_moves_nothing():
    session = session_from(BEGUN, "1 recording-paused", "1 participant-joined")
    assert states(session, "session") == states(session_from(BEGUN), "session")
    assert list(session.aggregates) == [("session", ())]
    assert readings(BEGUN, "1 recording-paused", "1 participant-joined") == ["advanced", "unrouted", "unrouted"]


def test_the_reading_of_a_delivery_says_of_what_it_was_and_what_it_moved():
    (_, judgement) = judged(BEGUN, IN)
    assert (judgement.lifecycle, judgement.key) == ("participant", (("participant_id", "p"),))
    assert (judgement.run, judgement.state_before, judgement.state_after) == (1, "", "in")


def test_a_finding_of_a_run_is_with_the_run_too():
    session = session_from(*RAISED["S203"][:-1], as_of="5m")
    assert [found.code for found in only(session, "recording").run.findings] == ["S203"]


def test_sessions_know_nothing_of_each_other_s_deliveries():
    one = session_from(BEGUN, IN, "2 participant-left p", "3 session-ended", as_of="1h")
    assert standing(one) == []
    assert {key[0] for key in one.aggregates} == {"session", "participant"}


def test_a_resource_needs_no_session_and_is_acquired_and_released():
    session = session_from(
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


def received(gaps, pool=POOL):
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


def observed_of(story, upto=None):
    """What is observed when this has come."""
    observed = Observed(story[0].stream, story[0].session_id)
    for each in story[:upto]:
        observed.observe(each)
    return observed


def seen(observed):
    """All that was observed, to be compared."""
    facts = asdict(observed)
    facts["aggregates"] = {key: (one.steps, list(one.deliveries)) for key, one in observed.aggregates.items()}
    return {name: list(held) if isinstance(held, list) else held for name, held in facts.items()}


def apart_from_time(session):
    """All that is held, without as of when, and when to ask again."""
    facts, *rest = value(session)
    return {**facts, "as_of": None, "next_change": None}, *rest


timely = received(GAPS) | received(GAPS, RESOURCES)
timeless = received([None])
anyhow = timely | timeless | received([*GAPS, None]) | received([*GAPS, *(-gap for gap in GAPS)])
moments = st.sampled_from(GAPS).flatmap(lambda gap: st.sampled_from([gap, gap * 2, 90_000])).map(moment)


def test_a_delivery_that_was_received_before_the_one_in_front_of_it_is_read_in_the_order_of_time():
    assert readings(BEGUN, "10 recording-started", "5 recording-starting") == ["advanced"] * 3


@given(anyhow, moments, st.booleans())
def test_assessing_never_raises_and_says_what_each_delivery_was(story, as_of, over):
    session = assess(observed_of(story), as_of, RULES, over=over)
    routed = [each.position for each in story if each.lifecycle is not None]
    assert sorted(session.readings()) == routed
    assert session.deliveries == len(story)
    assert all(found.position is not None and found.message for found in session.findings)


@given(anyhow, moments)
def test_runs_and_findings_are_numbered_and_a_run_is_closed_when_the_next_one_has_begun(story, as_of):
    session = assess_all(story, as_of)
    for aggregate in session.aggregates.values():
        assert [run.number for run in aggregate.runs] == list(range(1, len(aggregate.runs) + 1))
        begun = [not is_orphan(aggregate.lifecycle, run.candidate) for run in aggregate.runs]
        over = [run.closed or run.lifecycle.is_stopping(run.state) for run in aggregate.runs]
        assert all(over[place - 1] for place in range(1, len(over)) if any(begun[place:]))
    assert [found.number for found in session.findings] == list(range(1, len(session.findings) + 1))


@given(anyhow, moments)
def test_a_run_is_closed_when_its_state_is_an_end_or_it_is_lost(story, as_of):
    for aggregate in assess_all(story, as_of).aggregates.values():
        ends = aggregate.lifecycle.ends | {"lost"}
        assert [run.closed for run in aggregate.runs] == [run.state in ends for run in aggregate.runs]


@given(anyhow)
def test_every_delivery_is_an_original_a_copy_or_a_contradiction_of_one_run_once(story):
    for key, aggregate in assess_all(story).aggregates.items():
        held = aggregate.held
        positions = [one.position for run in held.all_runs() for one in run.originals.values()]
        positions += [one.position for run in held.all_runs() for _, one in run.others]
        positions += [copy.delivered.position for copy in held.all_copies()]
        ours = [each for each in story if each.lifecycle and (each.lifecycle.name, each.key) == key]
        assert sorted(positions) == [each.position for each in ours]


@given(anyhow, moments, st.sets(st.integers(0, 24)))
def test_the_same_deliveries_give_the_same_session_however_often_it_was_assessed_in_between(
    story, as_of, places
):
    observed = observed_of(story, 0)
    for place, each in enumerate(story):
        observed.observe(each)
        if place in places:
            assess(observed, as_of, RULES)
    assert value(assess(observed, as_of, RULES)) == value(assess_all(story, as_of))


@given(anyhow, moments)
def test_assessing_changes_nothing_of_what_was_observed(story, as_of):
    observed = observed_of(story)
    before = seen(observed)
    assess(observed, as_of, RULES)
    assert seen(observed) == before


@given(timely)
def test_as_of_a_moment_is_as_if_the_log_had_ended_there(story):
    observed = observed_of(story, 0)
    for number, each in enumerate(story, 1):
        observed.observe(each)
        then = assess(observed, each.received_at, RULES)
        assert value(then) == value(assess_all(story[:number]))


@pytest.mark.parametrize(
    "lines",
    [
        (BEGUN, "1 session-ended", "2 recording-starting"),
        (BEGUN, "5 recording-stopping", "15m session-ended"),
        (BEGUN, "0 recording-failed", "0 recording-starting"),
        (BEGUN, "38m session-ended", "38m recording-starting by=a", "65m recording-starting by=b"),
    ],
)
def test_before_the_next_change_a_run_is_neither_lost_nor_surer(lines):
    received = deliveries(*lines)
    session = assess_all(received)
    later = session.next_change - timedelta.resolution if session.next_change else moment("30h")
    assert apart_from_time(assess_all(received, later)) == apart_from_time(session)


@given(timely, moments)
def test_before_the_next_change_time_changes_nothing(story, as_of):
    observed = observed_of(story)
    session = assess(observed, as_of, RULES)
    if session.next_change is None:
        later = as_of + timedelta(days=400)
    else:
        assert session.next_change > as_of
        later = session.next_change - timedelta.resolution
    assert apart_from_time(assess(observed, later, RULES)) == apart_from_time(session)


DOUBTFUL = (
    *(BEGUN, IN, "60 participant-joined p", "1174.3 recording-starting", "1178.9 recording-started"),
    *("1239.1 recording-started", "1479.3 recording-started", "2025 recording-stopping"),
    *(f"2091 recording-stopped {FILE}", "2379 recording-started", "4779.5 recording-started"),
)
"""What came again later and later may be a step of another run."""


def test_what_is_found_in_doubt_is_provisional_while_a_copy_may_come_and_settled_in_its_doubt_after_that():
    def doubtful(as_of, *more):
        found = session_from(*DOUBTFUL, *more, as_of=as_of).findings
        return [one.verdict for one in found if one.confidence < FACT]

    assert "provisional" in doubtful("80m")
    assert {*doubtful("100m")} == {*doubtful("24h")} == {"settled"}
    assert {*doubtful("100m", "99m participant-joined q")} == {"settled"}  # whatever else comes


@given(anyhow)
def test_once_all_time_has_passed_nothing_is_provisional_and_nothing_will_change(story):
    late = assess_all(story, moment("9999h"))
    assert [found.code for found in late.findings if found.verdict == "provisional"] == []
    assert late.next_change is None


@given(anyhow, moments)
def test_where_nothing_more_will_come_nothing_is_provisional(story, as_of):
    session = assess(observed_of(story), as_of, RULES, over=True)
    assert [found.code for found in session.findings if found.verdict == "provisional"] == []


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


WELL = [(20 * place, line) for place, line in enumerate(CLEAN)]


def meeting(lines, *more):
    """The session in which these came, ``(second, line)``, long after it has ended."""
    ordered = sorted([*lines, *more], key=lambda line: line[0])
    return session_from(*(f"{second} {line}" for second, line in ordered), as_of="72h")


def ends(session):
    return {key: [run.state for run in aggregate.runs] for key, aggregate in session.aggregates.items()}


def visits(session):
    """From when to when each visit was."""
    people = [one for one in session.aggregates.values() if one.lifecycle.is_presence]
    return {one.key: [tuple(step.at for step in run.steps.values()) for run in one.runs] for one in people}


def unmoved(session, other):
    """Whether nothing above info is found in the one, and it is in the same states as the other."""
    return (standing(session, "warning"), ends(session)) == ([], ends(other))


def unmoved_to_the_second(session, other):
    """The same, and every visit was when it was in the other."""
    return unmoved(session, other) and visits(session) == visits(other)


def test_a_meeting_in_which_all_is_well_has_no_finding_above_info():
    session = meeting(WELL)
    assert standing(session) == ["D104"]
    assert session.state == "ended"


@given(st.lists(st.integers(0, len(CLEAN) - 1), max_size=6), st.sampled_from([1, 5]))
def test_copies_that_come_within_seconds_raise_no_warning_and_move_nothing(twice, seconds):
    assert unmoved_to_the_second(
        meeting(WELL, *((20 * place + seconds, CLEAN[place]) for place in twice)), meeting(WELL)
    )


@given(st.integers(1, len(CLEAN) - 2))
def test_two_neighbours_in_the_wrong_order_raise_no_warning(place):
    lines = [*CLEAN[:place], CLEAN[place + 1], CLEAN[place], *CLEAN[place + 2 :]]
    session = session_from(*(f"{second} {line}" for second, line in enumerate(lines)), as_of="24h")
    assert standing(session, "warning") == []


@pytest.mark.parametrize("later", [11, 29, 61, 119, 121, 305, 601, 1199])
def test_a_copy_of_anything_within_the_window_of_a_redelivery_adds_nothing_above_info(later):
    once = meeting(WELL)
    copies = [(20 * place + later, line) for place, line in enumerate(CLEAN)]
    assert [copy for copy in copies if not unmoved(meeting(WELL, copy), once)] == []


EVIDENT = [line for line in CLEAN if line.startswith(("session", "transcription", f"recording-stopped {FILE}"))]
ages = st.integers(1, 7 * 86_400) | st.floats(0, 7 * 86_400)


@given(st.lists(st.tuples(st.sampled_from(EVIDENT), ages), min_size=1, max_size=5))
def test_copies_with_evidence_add_nothing_above_info_and_move_nothing_at_any_age(copies):
    again = [(20 * CLEAN.index(line) + age, line) for line, age in copies]
    session = meeting(WELL, *again)
    assert unmoved_to_the_second(session, meeting(WELL))
    assert set(standing(session)) == {"D101", "D104"}


@given(ages.filter(lambda age: age >= 30 * 60))
def test_a_whole_meeting_that_is_replayed_later_adds_nothing_above_info_and_moves_nothing(later):
    assert unmoved_to_the_second(
        meeting(WELL, *((second + later, line) for second, line in WELL)), meeting(WELL)
    )


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
    assert unmoved(meeting(TWICE_ALL, (at + later, line)), meeting(TWICE_ALL))


@pytest.mark.parametrize("hours", [3, 24, 47])
def test_a_meeting_in_which_all_is_done_twice_is_as_it_was_when_it_is_replayed(hours):
    again = [(second + 3600 * hours, line) for second, line in TWICE_ALL]
    assert unmoved_to_the_second(meeting(TWICE_ALL, *again), meeting(TWICE_ALL))


@pytest.mark.parametrize(("first", "last"), [(1, 3), (2, 4), (3, 5), (5, 7), (5, 8)])
def test_a_part_of_a_meeting_that_is_replayed_the_next_day_adds_nothing_above_info(first, last):
    again = [(second + 86_400, line) for second, line in TWICE_ALL[first:last]]
    assert unmoved(meeting(TWICE_ALL, *again), meeting(TWICE_ALL))


@given(st.lists(st.integers(0, 119), min_size=len(CLEAN), max_size=len(CLEAN)))
def test_deliveries_that_overtake_each_other_within_the_lateness_end_in_the_same_states(delays):
    late = meeting([(at + delay, line) for (at, line), delay in zip(WELL, delays, strict=True)])
    assert (late.state, ends(late)) == ("ended", ends(meeting(WELL)))


SLOW = [(60 * place, line) for place, line in enumerate(CLEAN)]
TWICE = sorted(TWICE_ALL, key=lambda line: line[0])


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        *((SLOW, place) for place in range(len(SLOW))),
        *((TWICE, place) for place, (at, _) in enumerate(TWICE) if at not in (500, 2950)),
    ],
)
def test_a_lost_delivery_is_found_once_and_named(lines, place):
    session = meeting([line for line in lines if line is not lines[place]])
    lost = lines[place][1].split(" ")[0]
    assert [found.missing for found in session.findings if found.missing] == [(lost,)]
    assert len(standing(session, "warning")) <= 1


def test_a_lost_last_left_of_somebody_who_came_back_makes_no_room_empty():
    session = meeting([line for line in TWICE if line[0] != 2950])
    assert "T307" not in standing(session, "warning")


@pytest.mark.parametrize("lines", [SLOW, TWICE], ids=["once", "twice"])
@given(st.data())
def test_there_are_never_more_findings_than_deliveries_that_were_lost(lines, data):
    places = data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=5))
    session = meeting([line for place, line in enumerate(lines) if place not in places])
    assert len(standing(session, "warning")) <= len(places)


RETURNED = [
    (0, "session-started"),
    (5, "participant-joined p"),
    (1200, "participant-left p"),
    (1220, "participant-joined p"),
    (2100, "participant-left p"),
    (2110, "session-ended"),
]


def test_a_left_that_comes_again_the_next_day_moves_no_visit():
    again = meeting(RETURNED, (86_400 - 60, "participant-left p"))
    assert unmoved_to_the_second(again, meeting(RETURNED))
    assert [at for visit in next(iter(visits(again).values())) for at in visit] == list(
        map(moment, (5, 1200, 1220, 2100))
    )


RETRIED = [
    (0, "session-started"),
    (1, "participant-joined p"),
    *((600, "recording-starting"), (605, "recording-started"), (785, "recording-stopping")),
    (790, "recording-stopped fileUrl=u"),
    (2500, "participant-left p"),
    (2501, "session-ended"),
]


@pytest.mark.parametrize("ladder", [(60,), (60, 360), (60, 360, 1561)])
def test_a_starting_that_is_retried_is_one_recording(ladder):
    again = [(600 + later, "recording-starting") for later in ladder]
    assert unmoved(meeting(RETRIED, *again), meeting(RETRIED))


MEETING = ("0 session-started", "1 participant-joined p", "5 recording-starting", "8 recording-started",
           "60 recording-stopping", "70 recording-stopped fileUrl=u", "90 participant-left p", "100 session-ended")  # fmt: skip


@pytest.mark.parametrize("line", MEETING)
@pytest.mark.parametrize("later", ["5m", "2h", "40h"])
def test_an_ended_session_absorbs_a_copy_however_late_it_comes(line, later):
    again = session_from(*MEETING, f"{later} {line.partition(' ')[2]}", as_of="72h")
    assert unmoved(again, session_from(*MEETING, as_of="72h"))
    assert len(standing(again)) == 1


def test_a_stop_that_belongs_to_nothing_is_found_once_though_nothing_follows():
    assert standing(session_from("0 session-started", "5 hls-stopping", as_of="1h")) == ["S205"]


def test_a_stop_that_belongs_to_nothing_is_found_once_with_the_end_that_follows():
    followed = session_from("0 session-started", "5 hls-stopping", "20 hls-stopped", as_of="1h")
    assert (standing(followed), states(followed, "hls")) == (["S205"], ["stopped"])


def test_a_starting_that_comes_again_and_again_after_its_run_begins_none():
    lines = ("5 recording-starting", "6 recording-started", "7 recording-stopping", "8 recording-stopped fileUrl=u",
             "60 recording-starting", "70 recording-starting", "80 recording-starting")  # fmt: skip
    session = session_from("0 session-started", *lines, as_of="1h")
    assert states(session, "recording") == ["stopped"]
    assert {(found.severity, found.position, found.run) for found in session.findings} == {
        ("info", 6, 1), ("info", 7, 1), ("info", 8, 1),
    }  # fmt: skip


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
    session = session_from(*lines, as_of="1h")
    recording = only(session, "recording")
    assert [(run.state, run.data["file_url"]) for run in recording.runs] == [
        ("stopped", "one"),
        ("stopped", "two"),
    ]
    assert standing(session, "warning") == []


def test_a_start_that_comes_through_two_channels_at_once_is_no_restart():
    lines = ("5 recording-starting", "5.2 recording-started", "5.5 recording-starting", "5.7 recording-started")
    session = session_from("0 session-started", *lines)
    assert (states(session, "recording"), standing(session)) == (["started"], ["D101", "D101"])


RECORDED = (
    "5 recording-starting",
    "8 recording-started",
    "60 recording-stopping",
    "70 recording-stopped fileUrl=one",
)


def test_a_second_recording_whose_start_was_lost_is_a_run_of_its_own_and_not_a_copy_of_the_first():
    again = ("303 recording-started", "360 recording-stopping", "370 recording-stopped fileUrl=two")
    session = session_from("0 session-started", *RECORDED, *again, as_of="1h")
    recording = session.aggregates["recording", ()]
    assert [(run.state, run.data["file_url"]) for run in recording.runs] == [
        ("stopped", "one"),
        ("stopped", "two"),
    ]
    assert (standing(session), recording.runs[1].steps["started"].position) == (["S201"], 6)


def test_a_second_recording_that_was_started_before_it_was_starting_is_only_late():
    again = ("303 recording-started", "304 recording-starting", "360 recording-stopping",
             "370 recording-stopped fileUrl=two")  # fmt: skip
    session = session_from("0 session-started", *RECORDED, *again, as_of="1h")
    assert (states(session, "recording"), standing(session, "warning")) == (["stopped", "stopped"], [])


def test_a_long_second_recording_whose_start_was_lost_is_a_run_too():
    again = ("303 recording-started", "1h recording-stopping", "3670 recording-stopped fileUrl=two")
    session = session_from("0 session-started", *RECORDED, *again, as_of="2h")
    assert (states(session, "recording"), standing(session)) == (["stopped", "stopped"], ["S201"])


BEGAN_ANEW = {
    "later": (
        ("recording-starting", 300),
        ("recording-started", 302),
        ("recording-stopping", 1200),
        ("recording-starting", 1620),
        ("recording-started", 1622),
    ),
    "earlier": (
        ("recording-starting", 300),
        ("recording-started", 302),
        ("recording-starting", 1620),
        ("recording-started", 1622),
        ("recording-stopping", 1800),
    ),
}


@pytest.mark.parametrize(("word", "steps"), BEGAN_ANEW.items(), ids=BEGAN_ANEW)
def test_the_next_run_began_before_or_after_the_last_that_came_of_the_one_before(word, steps):
    second = ("recording-stopping", 2890), ("recording-stopped filePath=/2.mp4", 2900)
    lines = (f"{at} {step}" for step, at in (*steps, *second))
    session = session_from("0 session-started", *lines, "3000 session-ended", as_of="9h")
    (found,) = (one for one in session.findings if one.code == "S207")
    began = {
        "later": "recording-starting began the next run 7 min later",
        "earlier": "recording-starting had begun the next run 3 min before that",
    }
    assert found.message.endswith(f"and never reported its end; {began[word]}")


def streamed(count, every, *, without=()):
    """A session in which a timer begins a stream so often, each as long; some steps of some runs were lost."""
    steps = ((0, "starting"), (2.5, "started"), (every - 20, "stopping"), (every - 8, "stopped"))
    lines = [
        f"{120 + every * number + at + 0.1 * (number * 7 % 5)} livestream-{step}"
        for number in range(count)
        for at, step in steps
        if (number + 1, step) not in without
    ]
    begin, end = ("0 session-started", *(f"1 participant-joined {who}" for who in "pq")), 200 + every * count
    ended = (*(f"{end} participant-left {who}" for who in "pq"), f"{end + 1} session-ended")
    return session_from(*begin, *lines, *ended, as_of="48h")


@pytest.mark.parametrize("every", [60, 180, 900])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_what_a_timer_begins_anew_is_as_many_runs_as_it_begins(count, every):
    session = streamed(count, every)
    assert [one.code for one in session.findings] == []
    assert [run.state for run in session.aggregates["livestream", ()].runs] == ["stopped"] * count


@pytest.mark.parametrize(("lost", "code"), [("started", "S202"), ("stopping", "S203")])
def test_a_webhook_that_was_lost_of_what_a_timer_begins_anew_is_found_there(lost, code):
    session = streamed(6, 300, without={(4, lost)})
    assert [(one.code, one.run) for one in session.findings] == [(code, 4)]
