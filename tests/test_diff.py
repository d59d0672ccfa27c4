"""What other rules would change is what two judgements differ in, and telling it changes nothing."""

import json
from contextlib import ExitStack
from datetime import timedelta

import pytest
from meetings import LONG_AGO, lines, read_into, rows, write
from msgspec.structs import replace
from story import RULES, deliveries
from test_text import compare, printed

from projections.audit.auditing import audit
from projections.cli import main
from projections.reports import changes as report
from projections.views.diff import Summary, of_findings, of_store
from projections.views.follow import Views
from tracker.accept import Acceptance, accepted
from tracker.delivery.envelope import encode
from tracker.rules import Rules
from tracker.store.application import Tracker

STRICT = Rules(stuck_stopping=timedelta(seconds=10), severity={"S212": "error"}, prices={"copy": 30})
"""By them no lone copy is believed in."""
STORY = (
    "0 session-started",
    "3 participant-left p participantName=Ann",
    "10 recording-started",
    "13 recording-starting",
    "300 recording-started",
    "310 session-ended",
    "400 recording-stopping",
    "420 recording-stopped fileUrl=https://files/a.mp4",
    "2h x",
)


def found(rules, *story, accept=()):
    return list(accepted(audit(deliveries(*(story or STORY)), rules).findings, accept))


def changes(before, after):
    return {(one.change, one.code, one.before, one.after) for one in of_findings(before, after)}


@pytest.fixture
def store_of(tmp_path):
    """A store of these lines, with read models judged by the usual rules."""
    with ExitStack() as stores:

        def store_of(*story):
            log = write(tmp_path / "log", [encode(one.received) for one in deliveries(*story)])
            read_into(tmp_path / "data", log)
            store = stores.enter_context(Tracker.open(tmp_path / "data"))
            Views.open(store, RULES).close()
            return store

        yield store_of


@pytest.fixture
def stored(store_of):
    return store_of(*STORY)


def test_findings_appear_go_or_weigh_differently():
    assert changes(found(RULES), found(STRICT)) == {
        ("appears", "S201", None, "warning"),
        ("appears", "S207", None, "error"),
        ("goes", "D101", "info", None),
        ("goes", "D102", "info", None),
        ("appears", "T303", None, "info"),
        ("severity", "S212", "warning", "error"),
    }


def test_the_way_back_is_the_other_way_round():
    turned = {"appears": "goes", "goes": "appears"}
    there = {
        (turned.get(kind, kind), code, after, before)
        for kind, code, before, after in changes(found(RULES), found(STRICT))
    }
    assert changes(found(STRICT), found(RULES)) == there


def test_equal_rules_change_nothing():
    assert changes(found(RULES), found(RULES)) == set()


def test_what_is_accepted_is_a_weight_of_its_own():
    known = [Acceptance("S212", "known")]
    assert changes(found(RULES), found(RULES, accept=known)) == {("severity", "S212", "warning", "accepted")}


def test_a_finding_that_is_there_twice_is_counted_twice():
    once, twice = found(RULES, "0 hls-stopped"), found(RULES, "0 hls-stopped")
    twice += [replace(one) for one in twice if one.code == "S205"]
    assert changes(once, twice) == {("appears", "S205", None, "error")}


def test_the_findings_of_the_store_are_compared(stored):
    text = [one for one in of_store(stored, STRICT) if one.code is not None]
    assert {(one.change, one.code, one.before, one.after) for one in text} == changes(
        found(RULES), found(STRICT)
    )


def test_the_states_of_sessions_people_and_runs_are_compared(store_of):
    story = (
        "0 session-started",
        "3 participant-joined p",
        "33 participant-joined p",
        "40 recording-starting",
    )
    store = store_of(*story, "700 recording-starting", "3h x sessionId=T")
    others = Rules(session_idle=timedelta(hours=1), prices={"copy": 30})
    text = {
        (one.lifecycle, one.run, one.before, one.after) for one in of_store(store, others) if one.code is None
    }
    assert text == {
        ("session", None, "live", "presumed-ended"),
        ("participant", 1, "in", "out"),
        ("participant", 2, None, "out"),
        ("recording", 1, "starting", "lost"),
        ("recording", 2, None, "lost"),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_store_and_its_deliveries_differ_in_the_same_findings(tmp_path, seed):
    read_into(tmp_path, write(tmp_path / "log", lines(seed=seed, sessions=6)))
    with Tracker.open(tmp_path) as store:
        Views.open(store, RULES).close()
        in_store = [one for one in of_store(store, STRICT) if one.code is not None]
        received = list(store.deliveries())
    in_lists = of_findings(*(audit(received, rules, now=LONG_AGO).findings for rules in (RULES, STRICT)))
    names = ("change", "session_id", "code", "position", "before", "after")
    in_both = [
        sorted(repr([getattr(one, name) for name in names]) for one in side) for side in (in_store, in_lists)
    ]
    assert in_both[0] == in_both[1] != []


def test_the_read_models_and_the_directory_stay_as_they_are(stored):
    live = stored.data / "views.db"
    before, names = rows(live), sorted(live.parent.iterdir())
    assert list(of_store(stored, STRICT)) != []
    assert (rows(live), sorted(live.parent.iterdir())) == (before, names)


def test_what_is_left_half_way_leaves_nothing_behind(stored):
    names = sorted(stored.data.iterdir())
    text = of_store(stored, STRICT)
    next(text)
    text.close()
    assert sorted(stored.data.iterdir()) == names


def test_people_read_the_changes_session_by_session():
    total = Summary()
    text = [one for one in total.count(of_findings(found(RULES), found(STRICT))) if one.at_least("warning")]
    compare("diff.txt", printed(report.text, text) + printed(report.summary, total, "warning"))


@pytest.fixture
def tracker(stored, tmp_path, monkeypatch):
    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["--data", "data", *arguments])
        return ended.value.code

    monkeypatch.chdir(tmp_path)
    (tmp_path / "strict.toml").write_text("[prices]\ncopy = 30", encoding="utf-8")
    return call


DIFF = ("rebuild", "--rules", "strict.toml", "--diff")


def test_the_command_tells_programs_the_changes_and_people_the_sum(tracker, capsys):
    assert tracker(*DIFF, "--format", "ndjson") == 0
    text = capsys.readouterr()
    assert {json.loads(line)["code"] for line in text.out.splitlines()} == {
        "D101",
        "D102",
        "S201",
        "S207",
        "T303",
        None,
    }
    assert "3 findings appear, 2 go" in text.err
    assert tracker(*DIFF, "--format", "json") == 0
    assert {one["change"] for one in json.loads(capsys.readouterr().out)} == {"state", "goes", "appears"}


def test_the_command_tells_people_what_is_a_warning_unless_they_want_more(tracker, capsys):
    assert tracker(*DIFF) == 0
    assert "D101 redelivered  recording" not in capsys.readouterr().out
    assert tracker(*DIFF, "--min-severity", "info") == 0
    assert "D101 redelivered  recording" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rules", "strict.toml"), "--rules and --diff need each other"),
        (("--diff",), "--rules and --diff need each other"),
        (("--format", "json"), "--min-severity and --format work only with --diff"),
        (("--min-severity", "info"), "--min-severity and --format work only with --diff"),
    ],
)
def test_half_a_question_is_refused_with_a_hint(tracker, capsys, arguments, message):
    assert tracker("rebuild", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}\nhint: ")
