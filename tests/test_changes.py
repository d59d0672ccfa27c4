"""What changed since a moment: which findings appeared, changed and were taken back."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from commands import run
from meetings import read_into
from published import Published, finding
from served import MONDAY
from test_text import printed

from projections.answers.changes import changes
from projections.read_models import text
from projections.reports.published import listed
from projections.reports.text import Pipe
from projections.views.publications import PUBLISHED_DB

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
LINES = """\
2026-11-26 07:00:00  - taken back  error    T302 stuck-stopping  recording  session s  was reported 2026-11-25 06:00:00  Ann's recording was stopping
2026-11-26 07:00:00  + appeared    warning  T302 stuck-stopping  recording  session t  (provisional)  Ann's recording was stopping
2 changes; times are in UTC
"""
ANN, BOB = finding(), finding(position=2, session_id="t", severity="warning")


@pytest.fixture
def published(tmp_path):
    """Publishes findings as they are held so many hours ago, and asks what changed since."""

    class Publishing:
        def hold(self, hours_ago, *found):
            Published(tmp_path).hold(*found, at=text(NOON - timedelta(hours=hours_ago)))

        def since(self, hours_ago, severities=("error", "warning"), **narrowed):
            since = NOON - timedelta(hours=hours_ago)
            return changes(tmp_path / PUBLISHED_DB, since, severities=severities, **narrowed)

    return Publishing()


def moves(rows):
    """How each finding moved, and how many hours before noon."""
    return [
        (
            one["change"],
            one["position"],
            round((NOON - datetime.fromisoformat(one["change_at"])) / timedelta(hours=1)),
        )
        for one in rows
    ]


def test_what_appeared_changed_and_was_withdrawn_since_is_listed_the_newest_first(published):
    published.hold(30, ANN, BOB)
    published.hold(5, ANN, {**BOB, "confidence": 0.5}, finding(position=3))
    published.hold(2, {**BOB, "confidence": 0.5}, finding(position=3))
    assert moves(published.since(24)) == [("withdrawn", 1, 2), ("changed", 2, 5), ("appeared", 3, 5)]
    assert moves(published.since(4)) == [("withdrawn", 1, 2)]
    assert published.since(1) == []


def test_what_appeared_since_and_has_changed_has_appeared(published):
    published.hold(5, ANN)
    published.hold(2, {**ANN, "confidence": 0.5})
    assert moves(published.since(24)) == [("appeared", 1, 5)]


def test_what_came_back_has_appeared_again(published):
    for hours_ago, held in ((30, [ANN]), (20, []), (3, [ANN])):
        published.hold(hours_ago, *held)
    (one,) = published.since(24)
    assert (moves([one]), one["published_at"]) == ([("appeared", 1, 3)], "2026-11-25T06:00:00Z")


def test_what_is_accepted_is_listed_only_when_it_changed_to_that(published):
    published.hold(30, ANN)
    published.hold(5, {**ANN, "verdict": "accepted"}, {**BOB, "verdict": "accepted"})
    assert moves(published.since(24)) == [("changed", 1, 5)]


@pytest.mark.parametrize(
    ("narrowed", "positions"),
    [
        ({"severities": ["error"]}, [1]),
        ({"codes": ["S207"]}, []),
        ({"meeting": "m"}, [1, 2]),
        ({"account": "a"}, []),
    ],
)
def test_changes_are_narrowed(published, narrowed, positions):
    published.hold(5, ANN, BOB)
    assert [one["position"] for one in published.since(24, **narrowed)] == positions


def test_a_change_is_one_line_in_a_pipe_and_folded_on_a_terminal(published):
    published.hold(30, ANN)
    published.hold(5, {**BOB, "verdict": "provisional"})
    rows = published.since(24)
    out = StringIO()
    listed(Pipe(out), rows, "nothing")
    assert out.getvalue() == LINES
    assert max(map(len, printed(listed, rows, "nothing").splitlines())) <= 80


@pytest.fixture
def place(tmp_path):
    """A directory with the store of a bad Monday, which was judged just now."""
    (tmp_path / "tracker-data").mkdir()
    read_into(tmp_path / "tracker-data", MONDAY)
    run("sessions", cwd=tmp_path)
    return tmp_path


def test_the_command_lists_what_was_published_in_the_last_day(place):
    rows = json.loads(run("changes", "--format", "json", cwd=place, text=True).stdout)
    found = json.loads(run("issues", "--format", "json", cwd=place, text=True).stdout)
    assert {one["change"] for one in rows} == {"appeared"}
    assert len(rows) == sum(one["count"] for one in found)


def test_where_nothing_changed_it_is_said_since_when(place):
    done = run("changes", "--since", "now", cwd=place, text=True)
    assert done.stdout.startswith("nothing changed since 20")
    assert done.stdout.endswith(" UTC\n")


def test_where_nothing_had_been_published_it_is_said_what_that_means(place):
    (place / "tracker-data" / PUBLISHED_DB).unlink()
    done = run("changes", cwd=place, text=True)
    assert done.stderr.startswith("note: nothing had been published before\nhint: ")
    assert run("changes", cwd=place, text=True).stderr == ""
