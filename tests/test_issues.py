"""Issues: findings grouped by code and cause, counted and compared over a period."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from projections.answers.issues import BUCKETS, SORTS, issues
from projections.cli import tracker
from projections.read_models import findings, sessions, text
from projections.reports.overview import issues as report
from projections.reports.overview import sparkline
from projections.reports.text import Pipe
from tracker.judging.findings.catalogue import CATALOGUE

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def found(code, hours_ago, session="s", *, cause=None, verdict="settled", severity=None):
    """The columns of a finding of some hours ago; ``None`` for one without a time."""
    at = None if hours_ago is None else text(NOW - timedelta(hours=hours_ago))
    severity = severity or CATALOGUE[code].severity
    return {
        "code": code,
        "severity": severity,
        "at": at,
        "session_id": session,
        "cause": cause,
        "verdict": verdict,
    }


@pytest.fixture
def asked():
    """Asks of these findings."""

    def asked(*rows, **narrowed):
        db = Database(memory=True)
        sessions.TABLE.create(db)
        findings.TABLE.create(db)
        for number, row in enumerate(rows):
            row |= {
                "stream": "s",
                "number": number,
                "meeting_id": f"room of {row['session_id']}",
                "lifecycle": "recording",
            }
            db["findings"].insert(row)
        return issues(db, NOW, **narrowed)

    return asked


def test_findings_of_one_code_and_cause_are_one_issue(asked):
    rows = [found("S207", 1), found("S207", 2, "t"), found("S207", 3, cause="L602"), found("S210", 1)]
    found_issues = {
        (one["code"], one["cause"]): (one["count"], one["sessions"], one["rooms"]) for one in asked(*rows)
    }
    assert found_issues == {("S207", None): (2, 2, 2), ("S207", "L602"): (1, 1, 1), ("S210", None): (1, 1, 1)}


def test_an_issue_is_new_known_or_back(asked):
    rows = [found("S207", 1), found("S210", 1), found("S210", 30), found("X403", 1), found("X403", 100)]
    assert {
        one["code"]: (one["trend"], one["count"], one["before"]) for one in asked(*rows, since=NOW - DAY)
    } == {
        "S207": ("new", 1, 0),
        "S210": ("known", 1, 1),
        "X403": ("back", 1, 0),
    }


def test_first_and_last_are_those_of_the_period_and_the_first_ever_is_named_so(asked):
    rows = [found("X403", hours) for hours in (1, 5, 100)]
    names = ("first_at", "last_at", "first_ever_at")

    def ago(one):
        return [(NOW - datetime.fromisoformat(one[name])) / timedelta(hours=1) for name in names]

    assert [ago(one) for one in asked(*rows, since=NOW - DAY)] == [[5, 1, 100]]
    assert [ago(one) for one in asked(*rows)] == [[100, 1, 100]]


def test_what_is_back_is_printed_with_the_first_time_that_it_was_ever_found(asked):
    out = StringIO()
    report(Pipe(out), asked(found("X403", 1), found("X403", 100), since=NOW - DAY))
    first, _, times, _ = out.getvalue().splitlines()
    assert first == "error   X403 unfinished-at-end  recording  back, first seen 2026-11-22 08:00:00"
    assert times.split("  ")[4] == "2026-11-26 11:00:00"


def test_the_buckets_add_up_to_the_count_and_lie_in_order(asked):
    (one,) = asked(*(found("S207", hours) for hours in (0, 0.5, 5.5, 23.5, 24)), since=NOW - DAY)
    assert (one["count"], sum(one["buckets"]), len(one["buckets"])) == (5, 5, BUCKETS)
    assert (one["buckets"][0], one["buckets"][-6], one["buckets"][-1]) == (2, 1, 2)


def test_what_has_no_time_counts_where_no_period_is_asked_for(asked):
    rows = [found("S207", None), found("S207", 1)]
    assert [one["count"] for one in asked(*rows)] == [2]
    assert [one["count"] for one in asked(*rows, since=NOW - DAY)] == [1]


def test_what_is_accepted_or_only_an_info_is_left_out(asked):
    assert asked(found("S207", 1, verdict="accepted"), found("D101", 1)) == []


@pytest.mark.parametrize(
    ("narrowed", "codes"),
    [({"codes": ["S210"]}, ["S210"]), ({"sessions": ["t"]}, ["S207"]), ({"meeting": "room of s"}, ["S210"]), ({"lifecycles": ["hls"]}, [])],
)  # fmt: skip
def test_issues_are_narrowed(asked, narrowed, codes):
    assert [one["code"] for one in asked(found("S207", 1, "t"), found("S210", 1), **narrowed)] == codes


@pytest.mark.parametrize(
    ("sort", "codes"),
    [
        ("severity", ["S207", "S202", "T305"]),
        ("count", ["S202", "S207", "T305"]),
        ("sessions", ["S202", "S207", "T305"]),
        ("last", ["T305", "S202", "S207"]),
        ("first", ["T305", "S207", "S202"]),
    ],
)
def test_issues_are_sorted(asked, sort, codes):
    rows = [found("S207", 9), found("S202", 20), found("S202", 5, "t"), found("T305", 1)]
    assert [one["code"] for one in asked(*rows, sort=sort)] == codes


def test_every_order_has_a_test():
    (marks,) = [one.args[1] for one in test_issues_are_sorted.pytestmark]
    assert {sort for sort, _ in marks} == set(SORTS)


def test_the_command_the_api_and_the_page_have_the_same_issues(monday):
    data = str(monday.tracker.data)
    printed = CliRunner().invoke(tracker, ["--data", data, "issues", "--format", "ndjson"]).output
    expected = monday.get("/api/issues")["items"]
    shown = monday.ask("/findings").body.decode()
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    same = ("code", "cause", "count", "sessions", "first_at", "last_at", "first_ever_at")
    assert [[row[name] for name in same] for row in rows] == [[one[name] for name in same] for one in expected]
    assert all(
        f"<b>{one['code']}</b>" in shown and one["advice"].split("`")[0] in shown.replace("&#39;", "'")
        for one in expected
    )


def test_a_sparkline_has_a_blank_for_none_and_the_highest_is_full():
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
