"""What the benchmark of the judging counts as found, as a false alarm and as wrong."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracker.simulate import HABITS, simulate
from tracker.simulate.faults import FAULTS
from tracker.simulate.truth import as_json

BENCHMARKS = Path(__file__).parent / "benchmarks"
SPEC = importlib.util.spec_from_file_location("scoring", BENCHMARKS / "scoring.py")
scoring = importlib.util.module_from_spec(SPEC)
sys.modules["scoring"] = scoring
SPEC.loader.exec_module(scoring)


def truths(*arguments, **options):
    return [
        json.loads(as_json(line.truth)) for line in simulate(*arguments, **options) if line.truth and line.last
    ]


@pytest.fixture
def stuck():
    """A session in which one recording never went on, and what would be right to say of it."""
    (truth,) = truths(1, 3, 1, ["stuck-stopping"], unsubscribed=())
    return truth, said(truth, "T302")


def said(truth, code, **changes):
    """A finding about the first fault of a session."""
    fault = truth["faults"][0]
    return {
        "code": code,
        "severity": "error",
        "verdict": "settled",
        "session_id": truth["session_id"],
        "meeting_id": truth["meeting_id"],
        "lifecycle": fault["lifecycle"],
        "key": fault["key"],
        "run": fault["run"],
        "position": fault["positions"][0],
        "evidence": fault["positions"],
    } | changes


def status_of(truth):
    """What ``tracker status`` says where it is right."""
    keys = ("session_id", "state", "participants", "aggregates")
    return copy.deepcopy({name: truth[name] for name in keys})


def test_the_right_code_at_the_right_run_is_found(stuck):
    truth, finding = stuck
    result = scoring.score([truth], [finding], {})
    assert (result.found, result.false_alarms("real"), result.each) == ((1, 1), (0, 1), (1, 1))


def test_another_run_is_right_where_a_line_is(stuck):
    truth, finding = stuck
    assert scoring.score([truth], [finding | {"run": 7}], {}).found == (1, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "T301"},
        {"lifecycle": "livestream"},
        {"key": {"id": "another"}},
        {"run": 7, "position": 1, "evidence": [1]},
    ],
)
def test_another_code_or_thing_is_not_found_and_is_a_false_alarm(stuck, changes):
    truth, finding = stuck
    if "position" in changes:
        finding = finding | {"position": 1}
    result = scoring.score([truth], [finding | changes], {})
    assert (result.found, result.false_alarms("real")) == ((0, 1), (1, 1))


@pytest.mark.parametrize("changes", [{"verdict": "undecided"}, {"verdict": "accepted"}, {"severity": "info"}])
def test_what_does_not_stand_or_is_an_info_does_not_count(stuck, changes):
    truth, finding = stuck
    result = scoring.score([truth], [finding | changes], {})
    assert (result.found, result.false_alarms("real")) == ((0, 1), (0, 1))


def test_an_alarm_in_a_clean_meeting_is_a_false_alarm():
    (truth,) = truths(1, 1, 0)
    finding = said(truth | {"faults": [said_of_nothing()]}, "S201")
    assert scoring.score([truth], [finding], {}).false_alarms("clean") == (1, 1)


def said_of_nothing():
    return {"lifecycle": "recording", "key": {}, "run": 1, "positions": [2]}


def test_a_legal_outcome_may_be_reported_as_often_as_it_was():
    (truth,) = truths(1, 1, 0)
    truth["told"] = {"S210": 1}
    finding = said(truth | {"faults": [said_of_nothing()]}, "S210")
    one, two = (scoring.score([truth], [finding] * count, {}).false_alarms("clean") for count in (1, 2))
    assert (one, two) == ((0, 1), (1, 1))


def test_what_is_only_not_subscribed_leaves_a_meeting_clean():
    kinds = {scoring.Meeting(truth).kind for truth in truths(60, 1, 0, unsubscribed=(), habits=["fewer-types"])}
    assert kinds == {"clean"}


def test_a_finding_about_the_log_is_right_where_the_habit_explains_it(stuck):
    finding = stuck[1] | {"code": "L601", "session_id": None, "position": None, "evidence": []}
    codes = [scoring.score([stuck[0]], [finding], {}, right).outside["L601"] for right in ((), ("L601",))]
    assert codes == [1, 0]


def test_a_right_status_has_nothing_wrong():
    found = truths(30, 2, 0.3, habits=["quarter"])
    result = scoring.score(found, [], {truth["session_id"]: status_of(truth) for truth in found})
    wrong = result.wrong_states[0], result.wrong_visits[0], result.wrong_times[0]
    assert (wrong, result.wrong_visits[1] > 30, result.wrong_times[1] > 60) == ((0, 0, 0), True, True)


def changed_visit(status):
    status["participants"][0]["visits"][0]["left_at"] = "2026-02-01T00:00:00Z"


def missing_visit(status):
    del status["participants"][0]["visits"][0]


def changed_step(status):
    status["aggregates"][0]["runs"][0]["steps"][0]["at"] = "2026-02-01T00:00:00Z"


def missing_run(status):
    del status["aggregates"][0]["runs"][-1]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (changed_visit, (0, 1, 0)),
        (missing_visit, (0, 1, 0)),
        (changed_step, (0, 0, 1)),
        (missing_run, (1, 0, 1)),
    ],
)
def test_what_is_wrong_of_the_states_visits_and_times_is_counted(change, wrong):
    (truth,) = truths(1, 3, 0, unsubscribed=(), habits=["ids-2026", "quarter"])
    truth["aggregates"] = truth["aggregates"][:1]
    status = status_of(truth)
    change(status)
    result = scoring.score([truth], [], {truth["session_id"]: status})
    assert (result.wrong_states[0], result.wrong_visits[0], result.wrong_times[0]) == wrong


def test_the_confidence_is_compared_bin_by_bin():
    sure = [(0.92, True), (0.94, True), (0.91, False), (1, True), (None, False)]
    bins = [(low, count, round(right, 2)) for low, _, count, _, right in scoring.reliability(sure)]
    assert bins == [(0.9, 3, 0.67), (1.0, 1, 1.0)]


# -- the benchmark itself --------------------------------------------------------------------------


def run(*arguments):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "judging.py", "--seeds", "1", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (BENCHMARKS.parents[1], *sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def ordinary():
    """What the benchmark prints of a log without a habit."""
    return run("--meetings", "1200", "--habits", "none", "--states", "25")


@pytest.mark.slow
def test_the_benchmark_has_a_row_for_every_fault_and_for_what_is_odd(ordinary):
    odd = {"in-step", "in-step-exactly", "short-runs", "restless", "overnight", "two-channels", "again"}
    assert [name for name in (*FAULTS, *odd) if f"| {name} " not in ordinary] == []


@pytest.mark.slow
def test_in_the_benchmark_no_clean_meeting_has_a_false_alarm(ordinary):
    (line,) = [one for one in ordinary.splitlines() if "clean meetings with a false alarm: 0" in one]
    assert line.endswith(" yes |")


@pytest.mark.slow
def test_the_benchmark_has_a_row_for_every_habit_and_writes_its_tables_between_their_marks(tmp_path):
    into = tmp_path / "page.md"
    into.write_text("<!-- habits: x -->\nold\n<!-- /habits -->\n<!-- confidence: x -->\n<!-- /confidence -->\n")
    run("--meetings", "6", "--states", "1", "--into", into)
    written = into.read_text()
    assert [name for name in ("none", *HABITS) if f"| {name} " not in written] == []
    assert "old" not in written
    assert "| confidence " in written
