"""What only shows when all sessions are looked at together."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import NOON, OF_THE_LOG, RULES, body, moment

from projections.audit import audit
from tracker.envelope import Received
from tracker.findings import CATALOGUE, SEVERITIES
from tracker.rules import Rules
from tracker.traffic import ENOUGH, Traffic
from tracker.webhook import parse


def heard(*lines, source=""):
    """Deliveries of several sessions: the data of each line names its own, as ``sessionId=a``."""
    found = []
    for position, line in enumerate(lines, 1):
        when, _, rest = line.partition(" ")
        received = Received(body(rest), moment(when), source=f"{source}:{position}")
        found.append(parse(received, position))
    return found


AT_LAST = moment("48h")


def codes(deliveries, least="info"):
    """The codes of what is found in a log, of the log too, when every window has closed."""
    grave = SEVERITIES[SEVERITIES.index(least) :]
    return [one.code for one in audit(deliveries, RULES, AT_LAST).findings if one.severity in grave]


def meeting(number, begin, *types, length=1200):
    """A session in which somebody is recorded; only these types of the recording come. Seconds, line."""
    whose = f"sessionId=s{number} meetingId=m{number}"
    end = begin + length
    steps = {"starting": begin + 20, "started": begin + 25, "stopping": end - 120, "stopped": end - 100}
    yield begin, f"session-started {whose}"
    yield begin + 1, f"participant-joined {whose} participantId=p{number}"
    for step in types:
        file = f" filePath=/{number}.mp4" if step == "stopped" else ""
        yield steps[step], f"recording-{step} {whose}{file}"
    yield end - 1, f"participant-left {whose} participantId=p{number}"
    yield end, f"session-ended {whose}"


def log(*sessions):
    lines = sorted(line for session in sessions for line in session)
    return heard(*(f"{at} {line}" for at, line in lines))


ALL = ("starting", "started", "stopping", "stopped")

# Never-seen types.


def recorded(count, *types):
    return log(*(meeting(number, 60 * number, *types) for number in range(count)))


@pytest.mark.parametrize(
    ("lacking", "code"), [("starting", "S201"), ("started", "S202"), ("stopping", "S203"), ("stopped", "T302")]
)
def test_a_type_that_never_comes_is_told_once_and_not_in_each_run(lacking, code):
    types = [step for step in ALL if step != lacking]
    assert codes(recorded(ENOUGH, *types)) == ["L603"]
    assert codes(recorded(3, *types)) == [code] * 3


def test_the_finding_names_the_type_and_stands_where_enough_had_come():
    result = audit(recorded(ENOUGH, "starting", "started", "stopped"), RULES)
    (one,) = result.findings
    assert (one.lifecycle, one.severity, one.session_id) == ("recording", "info", None)
    assert one.message == "recording-stopping never came, and 50 that should follow one did"
    assert sum(each.type == "recording-stopped" for each in recorded(ENOUGH, *ALL)[: one.position]) <= ENOUGH


def test_a_failure_that_never_comes_is_no_type_to_miss():
    assert codes(recorded(ENOUGH, *ALL)) == []


def test_of_two_missing_steps_one_that_comes_elsewhere_is_missed():
    sessions = [meeting(number, 60 * number, "started", "stopping", "stopped") for number in range(ENOUGH)]
    lost = meeting(99, 60, "stopping", "stopped")
    assert codes(log(*sessions, lost), least="warning") == ["S205"]


def test_a_failure_of_which_the_start_is_never_told_is_a_failure():
    failing = [
        (3000, "session-started sessionId=f"),
        (3001, "recording-failed sessionId=f"),
        (3002, "session-ended sessionId=f"),
    ]
    sessions = [meeting(number, 60 * number, "started", "stopping", "stopped") for number in range(ENOUGH)]
    assert codes(log(*sessions, failing), least="warning") == ["S210"]


def test_what_comes_after_all_explains_what_was_missed_before_it():
    early = [meeting(number, 60 * number, "starting", "started", "stopped") for number in range(ENOUGH)]
    late = [meeting(100, 10_000, *ALL), meeting(101, 20_000, "starting", "started", "stopped")]
    result = audit(log(*early, *late), RULES)
    warnings = [(one.code, one.session_id) for one in result.findings if one.severity != "info"]
    assert warnings == [("S203", "s101")]


def test_an_end_that_came_late_was_never_a_type_nobody_subscribed_to():
    joined = [f"{n} participant-joined sessionId=s participantId=p{n}" for n in range(1, ENOUGH + 5)]
    left = [f"{100 + n} participant-left sessionId=s participantId=p{n}" for n in range(1, ENOUGH + 4)]
    deliveries = heard("0 session-started sessionId=s", *joined, *left, "200 session-ended sessionId=s")
    assert codes(deliveries) == ["X404"]


def test_an_end_that_is_subscribed_to_only_the_day_after_was_not_missed_before():
    early = [meeting(number, 60 * number, *ALL) for number in range(ENOUGH + 5)]
    before = [[line for line in one if " participant-left" not in f" {line[1]}"] for one in early]
    after = [meeting(number, 90_000 + 60 * number, *ALL) for number in range(100, 103)]
    assert codes(log(*before, *after), least="warning") == []


# Silences.


def dense(hours=3, every=30, length=1500):
    """Sessions that begin every half minute, each half an hour long: fifty are live at a time."""
    count = hours * 3600 // every
    return [meeting(number, every * number, *ALL, length=length) for number in range(count)]


def without(deliveries, begin, end):
    """What was received outside a stretch of time, in minutes after noon."""
    lost = NOON + timedelta(minutes=begin), NOON + timedelta(minutes=end)
    return [one for one in deliveries if not lost[0] < one.received_at < lost[1]]


@pytest.mark.slow
def test_a_silent_hour_changes_nothing_but_what_the_hour_explains():
    whole = log(*dense())
    assert codes(whole) == []
    found = list(audit(without(whole, 60, 120), RULES).findings)
    assert [one.code for one in found if one.severity == "error"] == ["L601"]
    (gap,) = (one for one in found if one.code == "L601")
    absences = [one for one in found if CATALOGUE[one.code].severity != "info" and one is not gap]
    assert len(absences) > 100
    assert {(one.severity, one.cause) for one in absences} == {("info", f"L601 #{gap.position}")}


@pytest.mark.slow
def test_a_fault_outside_the_silence_is_none_of_its_consequences():
    sessions = [*dense(), meeting(9000, 5400 * 2 + 600, "starting", "started", "stopped")]
    result = audit(without(log(*sessions), 60, 90), RULES)
    told = [(one.code, one.session_id, one.cause) for one in result.findings if one.severity == "warning"]
    assert told == [("S203", "s9000", None)]


def test_a_severity_that_the_user_has_set_stays_in_a_silence():
    rules = Rules(severity={"T304": "error"})
    result = audit(without(log(*dense(2)), 60, 90), rules, AT_LAST)
    assert {one.severity for one in result.findings if one.code == "T304"} == {"error"}


def test_a_night_in_which_nobody_is_there_is_no_silence():
    day = dense(2, every=60)
    next_day = [meeting(5000 + n, 50_000 + 60 * n, *ALL) for n in range(60)]
    assert codes(log(*day, *next_day)) == []


def test_one_large_meeting_that_is_quiet_is_no_silence():
    joined = [f"{n} participant-joined sessionId=s participantId=p{n}" for n in range(1, 300)]
    left = [f"{7200 + n} participant-left sessionId=s participantId=p{n}" for n in range(1, 300)]
    deliveries = heard("0 session-started sessionId=s", *joined, *left, "2.5h session-ended sessionId=s")
    assert codes(deliveries) == []


# Receive times.


def test_receive_times_that_go_back_are_told_once_a_source():
    lines = ("10 session-started", "8 participant-joined p", "7 participant-joined q", "9 participant-left p")
    result = audit(heard(*lines, source="a.jsonl"), RULES)
    (one,) = (one for one in result.findings if one.code == "T308")
    assert (one.position, one.severity, one.session_id) == (2, "warning", None)
    assert one.message == "participant-joined was received 2 s before what stands in front of it in a.jsonl"


def test_receive_times_of_less_than_a_second_apart_may_cross():
    assert "T308" not in codes(heard("10 session-started", "9.1 participant-joined p"))


def test_two_sources_may_have_two_clocks():
    later = heard("10 session-started", source="a")
    earlier = heard("1 participant-joined p", source="b")
    assert "T308" not in codes([*later, *earlier])


# Sessions of one meeting.

BESIDE = (
    "0 session-started sessionId=a",
    "5 participant-joined p sessionId=a",
    "600 session-started sessionId=b",
)


def test_a_second_live_session_of_a_meeting_is_told_of_the_second():
    result = audit(heard(*BESIDE, "20m participant-joined q sessionId=b"), RULES)
    (one,) = result.findings
    assert (one.code, one.session_id, one.position, one.evidence) == ("X406", "b", 3, (1, 3))
    assert (one.verdict, one.message) == ("settled", "the session a of the same meeting was still live")


OTHERWISE = {
    "another meeting": (*BESIDE[:2], "600 session-started sessionId=b meetingId=N"),
    "it had ended": (
        *BESIDE[:2],
        "500 participant-left p sessionId=a",
        "501 session-ended sessionId=a",
        BESIDE[2],
    ),
    "its end came late": (*BESIDE, "601 participant-left p sessionId=a", "720 session-ended sessionId=a"),
    "all had left, and its end was lost": (*BESIDE[:2], "500 participant-left p sessionId=a", BESIDE[2]),
    "it had been idle for too long": (*BESIDE[:2], "13h session-started sessionId=b"),
}


@pytest.mark.parametrize("lines", OTHERWISE.values(), ids=OTHERWISE)
def test_sessions_of_a_meeting_do_not_overlap_when(lines):
    ends = ("13.2h participant-joined q sessionId=b", "13.5h session-ended sessionId=b")
    assert "X406" not in codes(heard(*lines, *ends))


def test_they_do_not_overlap_where_nobody_is_told_of_any_end():
    many = [f"{n} session-started sessionId=x{n} meetingId=x{n}" for n in range(1, ENOUGH)]
    joined = [f"{n} participant-joined p sessionId=x{n} meetingId=x{n}" for n in range(1, ENOUGH)]
    assert "X406" in codes(heard(*BESIDE))
    assert "X406" not in codes(heard(*many, *joined, *BESIDE))


def test_whether_they_overlap_is_provisional_while_the_end_may_come_late():
    (one,) = audit(heard(*BESIDE), RULES).findings
    assert (one.code, one.verdict) == ("X406", "undecided")


def test_without_receive_times_it_stays_undecided():
    lines = [f"- {line.split(' ', 1)[1]}" for line in BESIDE]
    assert [(one.code, one.verdict) for one in audit(heard(*lines), RULES).findings] == [("X406", "undecided")]


# Every code of the log.


def _overtaken():
    joined = [f"{n} participant-joined sessionId=s participantId=p{n}" for n in range(1, ENOUGH + 2)]
    return heard("0 session-started sessionId=s", *joined, "100 participant-left sessionId=s participantId=p1")


RAISED = {
    "T308": lambda: heard("10 session-started", "8 participant-joined p"),
    "X406": lambda: heard(*BESIDE),
    "L601": lambda: without(log(*dense(2)), 60, 90),
    "L603": lambda: recorded(ENOUGH, "starting", "started", "stopped"),
}
NEARLY = {
    "T308": lambda: heard("10 session-started", "9.5 participant-joined p"),
    "X406": lambda: heard(*BESIDE[:2], "500 participant-left p sessionId=a", BESIDE[2]),
    "L601": lambda: without(log(*dense(2)), 60, 64),
    "L603": lambda: recorded(ENOUGH - 1, "starting", "started", "stopped"),
}
RETRACTED = {
    "X406": lambda: heard(*BESIDE, "601 participant-left p sessionId=a", "720 session-ended sessionId=a"),
    "L603": _overtaken,
}


def test_every_code_of_the_log_has_a_story_that_raises_it_and_one_that_does_not():
    assert set(RAISED) == set(NEARLY) == OF_THE_LOG
    assert set(CATALOGUE) >= OF_THE_LOG


@pytest.mark.parametrize("code", RAISED)
def test_a_code_of_the_log_is_raised_once(code):
    assert codes(RAISED[code]()).count(code) == 1


@pytest.mark.parametrize("code", NEARLY)
def test_a_code_of_the_log_is_not_raised_by_its_nearest_neighbour(code):
    assert code not in codes(NEARLY[code]())


@pytest.mark.parametrize("code", RETRACTED)
def test_a_code_of_the_log_is_taken_back_when_a_later_delivery_explains_it(code):
    whole = RETRACTED[code]()
    assert code in codes(whole[:-2])
    assert code not in codes(whole)


# How it is kept.


@given(
    st.lists(
        st.sampled_from(["session-started", "session-ended", "recording-started", "hls-stopped"]), max_size=20
    )
)
def test_what_is_kept_with_the_checkpoint_goes_on_as_if_it_had_not_been_put_away(types):
    lines = heard(*(f"{400 * n} {kind} sessionId=s{n % 3}" for n, kind in enumerate(types)))
    straight, kept = Traffic(), Traffic()
    for each in lines:
        straight.hear(each, RULES)
        kept.hear(each, RULES)
        kept = msgspec.json.decode(msgspec.json.encode(kept), type=Traffic)
    assert kept == straight


def test_what_was_known_at_a_position_is_what_had_been_heard_by_then():
    deliveries, traffic = recorded(ENOUGH + 10, "starting", "started", "stopped"), Traffic()
    for each in deliveries:
        traffic.hear(each, RULES)
    (one,) = traffic.findings(RULES)
    assert list(traffic.as_known(at=one.position - 1).findings(RULES)) == []
    assert len(list(traffic.as_known(at=one.position).findings(RULES))) == 1
    assert list(traffic.as_known(as_of=one.at - timedelta(seconds=1)).findings(RULES)) == []
