"""``tracker.testing`` and the pytest plugin, as somebody uses them who tests a handler or a declaration."""

import re
import runpy
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tracker import audit, parse
from tracker.delivery.envelope import decode
from tracker.errors import UsageError
from tracker.simulate.faults import FAULTS
from tracker.testing import MeetingLog, assert_no_findings, codes, given, made_up, moment, states, verdicts

SESSION = "0 session-started"
LIBRARY = Path(__file__).parents[1] / "examples" / "reference" / "library.md"
START, STARTED, STOPPING = "1 recording-starting", "2 recording-started", "50 recording-stopping"
STOPPED = "60 recording-stopped fileUrl=https://f/a.mp4"


ONE_MORE = runpy.run_path(str(LIBRARY.parents[1] / "add_a_lifecycle.py"))["LIFECYCLE"]
"""A lifecycle that is not installed."""


# -- given, when, then -------------------------------------------------------------------------------


def test_a_story_comes_to_states_readings_and_findings():
    given(SESSION, START, STARTED).when(STOPPED).then(
        {"recording": ["stopped"]}, readings=["skipped-ahead"], findings={"S203": "provisional"}
    )


def test_then_looks_only_at_what_is_asked_for():
    story = given(SESSION, START, STARTED, STOPPING, STOPPED)
    assert story.then().then(findings=[], at_least="warning").then({"recording": ["stopped"]}) is story


def test_a_story_is_judged_as_of_a_moment():
    story = given(SESSION, START, STARTED, STOPPING)
    assert [codes(story.as_of(when).session) for when in (None, "5m", "2h")] == [[], [], ["T302"]]


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (
            {"states": {"recording": ["stopped"]}},
            "the states of recording: expected ['stopped'], found ['started']",
        ),
        ({"readings": ["late"]}, "the readings: expected ['late'], found ['advanced']"),
        ({"findings": ["S203"]}, "the findings: expected ['S203'], found []"),
        ({"findings": {"S203": "settled"}}, "the findings: expected {'S203': 'settled'}, found {}"),
        ({"states": {"hls": ["started"]}}, "the states of hls: expected ['started'], found []"),
    ],
)
def test_what_is_otherwise_is_reported_with_the_lines(expected, words):
    with pytest.raises(AssertionError) as raised:
        given(SESSION, START).when(STARTED).then(**expected)
    assert str(raised.value) == f"{words}\nafter\n  {SESSION}\n  {START}\n  {STARTED}"


def test_a_lifecycle_of_ones_own_is_tried():
    begun = "1 backup-recording-starting c1", "2 backup-recording-started c1"
    given(SESSION, *begun, lifecycle=ONE_MORE).when("9 backup-recording-stopping c1").then(
        {"backup-recording": ["stopping"]}, readings=["advanced"], findings=[]
    )
    given(SESSION, "1 backup-recording-starting id=c1").then(findings=["C509"])


def test_of_one_aggregate_the_states_of_its_runs_are_reported():
    session = given(SESSION, START, STARTED, STOPPING, STOPPED, "5m recording-starting").session
    assert (states(session, "recording"), verdicts(session)) == (["stopped", "starting"], {})


@pytest.mark.parametrize("line", ["soon recording-started", "0 session-started p1"])
def test_a_line_that_is_none_is_refused(line):
    with pytest.raises(UsageError, match="is no line"):
        given(line).then()


def test_a_story_needs_a_line():
    with pytest.raises(UsageError, match="there is no line"):
        given().then()


# -- made-up meetings and logs -----------------------------------------------------------------------


def test_a_made_up_meeting_is_the_same_for_the_same_seed():
    one, same, other = made_up("swapped", 3), made_up("swapped", 3), made_up("swapped", 4)
    assert (one.lines == same.lines, one.lines == other.lines) == (True, False)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_truth_of_a_made_up_meeting_names_its_fault(fault):
    meeting = made_up(fault)
    assert meeting.truth.fault == fault
    assert meeting.truth.session_id in audit(meeting).sessions


def test_its_webhooks_are_those_of_its_lines(meeting):
    assert [decode(line).body for line in meeting] == [one.body for one in meeting.webhooks]
    assert {parse(one.body).session_id for one in meeting.webhooks} - {None} == {meeting.truth.session_id}


def test_no_fault_is_called_so():
    with pytest.raises(UsageError, match="no fault 'nothing'"):
        made_up("nothing")


def test_without_a_fault_nothing_is_found(meeting, assert_no_findings):
    assert_no_findings(meeting)


@pytest.mark.meeting_fault("dropped-stopped", seed=3)
def test_a_mark_chooses_the_fault_and_the_seed(meeting):
    assert (meeting.truth.fault, meeting.lines) == ("dropped-stopped", made_up("dropped-stopped", 3).lines)


@pytest.mark.parametrize("meeting", ["late", ("late", 2)], indirect=True)
def test_a_parameter_chooses_them_too(meeting):
    assert meeting.truth.fault == "late"


@pytest.mark.meeting_fault("dropped-stopped")
def test_a_finding_fails_the_test_with_what_to_do(meeting):
    with pytest.raises(AssertionError, match=r"^\d finding") as raised:
        assert_no_findings(meeting)
    assert "\n    do: " in str(raised.value)
    assert_no_findings(meeting, ignore=meeting.truth.expected)


def test_a_log_is_written_by_hand(meeting_log):
    at = datetime(2026, 1, 5, 12, tzinfo=UTC)
    meeting_log.add(b'{"webhookType":"session-started","data":{"sessionId":"S"}}', at)
    meeting_log.add('{"webhookType":"recording-starting","data":{"sessionId":"S"}}', at.replace(tzinfo=None))
    meeting_log.add({"webhookType": "session-ended", "data": {"sessionId": "S"}})
    times = [step.at for run in audit(meeting_log).sessions["S"].recordings for step in run.steps.values()]
    assert (len(meeting_log.lines), times) == (3, [at])


@pytest.mark.parametrize("log", [[], MeetingLog()])
def test_a_log_in_which_nothing_is_fails_the_test(log):
    with pytest.raises(AssertionError, match="nothing was judged"):
        assert_no_findings(log)


def test_what_is_found_can_be_ignored_by_code_and_by_slug():
    log = MeetingLog()
    for line in (SESSION, START, STARTED, STOPPED):
        when, _, rest = line.partition(" ")
        kind, _, field = rest.partition(" ")
        data = {"sessionId": "S", **({"fileUrl": field.partition("=")[2]} if field else {})}
        log.add({"webhookType": kind, "data": data}, moment(when))
    with pytest.raises(AssertionError, match="S203"):
        assert_no_findings(log, at_least="info", as_of=None)
    assert_no_findings(log, ["S203", "absent-start"], as_of=None)


# -- the plugin --------------------------------------------------------------------------------------


def test_the_plugin_imports_nothing_before_a_fixture_is_asked_for():
    program = (
        "import sys, pytest; before = set(sys.modules); import tracker.pytest_plugin;"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before if 'tracker' not in name}),"
        "sorted(name for name in sys.modules if name.startswith('tracker.')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] ['tracker.pytest_plugin']\n"


@pytest.mark.slow
def test_the_tests_that_the_documentation_shows_hold_in_somebody_elses_project(tmp_path):
    (text,) = re.findall(
        r"^```python\n(import pytest.*?)^```$", LIBRARY.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    (tmp_path / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout
