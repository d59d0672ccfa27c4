"""What was published stays known: when, how it changed, and when it was withdrawn."""

import random
import re
import sqlite3
import tempfile
import time
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import meetings
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from meetings import deliveries, line, webhook
from msgspec.structs import replace
from served import served
from tries import tries
from waiting import until

from projections.cli import tracker as command
from projections.erasing import erase
from projections.pruning import prune
from projections.views import follow, publications
from projections.views.clocks import take_back
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.publications import (
    IDENTITY,
    PUBLICATIONS,
    PUBLISHED_DB,
    TIMES,
    Publication,
    changes,
    withdrawn,
)
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.accept import Acceptance
from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError, StoreVersionError
from tracker.intake.erasing import of_participant
from tracker.intake.pruning import plan
from tracker.intake.withdrawing import withdraw
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def clock(start=NOON):
    """A clock that goes on by a minute whenever somebody looks."""
    looked = iter(range(1_000_000))
    return lambda: start + timedelta(minutes=next(looked))


def silent(_done, _total):
    pass


def path(store):
    return store.data / PUBLISHED_DB


def rows(store):
    """Every publication, as a dict."""
    with closing(sqlite3.connect(path(store))) as db:
        order = ", ".join(IDENTITY)
        found = db.execute(f"SELECT {', '.join(PUBLICATIONS.columns)} FROM publications ORDER BY {order}")
        return [dict(zip(PUBLICATIONS.columns, row, strict=True)) for row in found]


def told_of(store, stream):
    """Of each publication of a stream, its code, whether it is held, and its times."""
    found = [row for row in rows(store) if row["stream"] == stream]
    return [(row["code"], row["held"], *(row[name] for name in TIMES)) for row in found]


def timeless(store):
    """Every publication, with whether each of its times is known instead of when that was."""
    known = [{name: row[name] is not None for name in TIMES} for row in rows(store)]
    return [row | times for row, times in zip(rows(store), known, strict=True)]


def contradictions(store, rules=None):
    found = verify(store, rules or Rules())
    return [problem.text for problem in found.problems], found.notes


def overtaken():
    """A recording of which the stop comes before the start: until that has come, it is missing."""
    said = [
        ("session-started", 0),
        ("recording-starting", 1),
        ("recording-stopping", 9),
        ("recording-started", 10),
    ]
    return deliveries(line(webhook(kind, sessionId="s", meetingId="m"), at) for kind, at in said)


@pytest.fixture
def published(store):
    """A store of a log with faults, all of it judged and published."""
    store.append(deliveries(meetings.lines(1)))
    Views.open(store, now=clock()).close()
    return store


# What is compared


def test_what_is_held_and_was_never_published_is_published_now():
    (change,) = changes({("a",): ("x",)}, {}, "now")
    assert change.after == Publication(("a",), ("x",), held=True, published_at="now")


def test_what_is_published_and_not_held_is_withdrawn_once():
    before = Publication(("a",), ("x",), held=True, published_at="then")
    (change,) = changes({}, {("a",): before}, "now")

    assert change.after == replace(before, held=False, withdrawn_at="now")
    assert list(changes({}, {("a",): change.after}, "later")) == []


def test_what_comes_back_is_the_same_publication():
    before = Publication(("a",), ("x",), held=False, published_at="then", withdrawn_at="later")
    (change,) = changes({("a",): ("y",)}, {("a",): before}, "now")
    assert change.after == replace(before, shown=("y",), held=True, again_at="now")


def test_what_is_shown_otherwise_has_changed_and_what_is_shown_the_same_has_not():
    before = Publication(("a",), ("x",), held=True, published_at="then")
    (change,) = changes({("a",): ("y",)}, {("a",): before}, "now")

    assert change.after == replace(before, shown=("y",), changed_at="now")
    assert list(changes({("a",): ("x",)}, {("a",): before}, "now")) == []


# With the read models

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 40)),
        st.tuples(st.just("catch up"), st.integers(1, 50)),
        st.tuples(st.just("crash"), st.integers(1, 50)),
        st.tuples(st.just("reopen"), st.just(0)),
        st.tuples(st.just("rebuild"), st.integers(1, 50)),
        st.tuples(st.just("delete"), st.just(0)),
    ),
    max_size=20,
)


class CrashError(Exception):
    pass


def crash(*_):
    raise CrashError


@given(steps=steps, seed=st.integers(0, 60))
@tries(15)
def test_whatever_the_pages_crashes_and_rebuilds_what_is_held_is_what_is_published(steps, seed):
    waiting = deliveries(meetings.lines(seed))
    with tempfile.TemporaryDirectory() as data, closing(Tracker.open(Path(data), create=True)) as store:
        views = Views.open(store)
        for step, size in [*steps, ("append", len(waiting)), ("catch up", 7)]:
            if step == "append":
                store.append(waiting[:size])
                waiting = waiting[size:]
            elif step == "catch up":
                views.catch_up(store, page_size=size)
            else:
                views.close()
                stop_there(store, step, size)
                views = Views.open(store)
        views.close()

        assert contradictions(store) == ([], [])


def stop_there(store, step, size):
    """Rebuilds, loses the read models, or ends between the two files."""
    if step == "rebuild":
        rebuild(store, page_size=size)
    elif step == "delete":
        (store.data / VIEWS_DB).unlink()
    elif step == "crash":
        with pytest.MonkeyPatch.context() as patch, Views(store.data / VIEWS_DB, Rules()) as views:
            patch.setattr(follow, "publish", crash)
            with suppress(CrashError):
                views.catch_up(store, page_size=size)


@given(at=st.lists(st.integers(1, 30), max_size=6), seed=st.integers(0, 60), size=st.integers(1, 9))
@tries(15)
def test_crashes_between_the_two_files_change_no_publication(at, seed, size):
    given = deliveries(meetings.lines(seed))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        assert by_pages(one, given, size, at) == by_pages(other, given, size, [])


def by_pages(data, given, size, crashes):
    """What is published by pages of a size, with a crash after each so many pages."""
    with closing(Tracker.open(Path(data), create=True)) as store, pytest.MonkeyPatch.context() as patch:
        Views.open(store).close()
        store.append(given)
        for pages in crashes:
            left, real = iter(range(pages)), publications.publish
            patch.setattr(
                follow,
                "publish",
                lambda *a, left=left, real=real: crash() if next(left, None) is None else real(*a),
            )
            try:
                with Views(store.data / VIEWS_DB, Rules()) as views:
                    views.catch_up(store, page_size=size)
            except CrashError:
                pass
        patch.undo()
        with Views(store.data / VIEWS_DB, Rules()) as views:
            views.catch_up(store, page_size=size)
        return timeless(store)


def test_read_models_that_are_made_anew_publish_nothing(published):
    before = rows(published)
    rebuild(published, page_size=5)
    Views.open(published).close()
    (published.data / VIEWS_DB).unlink()
    Views.open(published).close()

    assert rows(published) == before


@pytest.mark.parametrize("what", ["an erasure", "a withdrawal", "a wrong clock", "a prune", "a lost file"])
def test_what_only_time_has_shown_is_not_taken_back_when_the_read_models_are_made_anew(store, what, tmp_path):
    store.append(deliveries(meetings.lines(1)))
    store.append(
        deliveries(
            line(webhook(kind, sessionId="s", meetingId="m", **more), at)
            for kind, at, more in [
                ("session-started", 86_400, {}),
                ("participant-joined", 86_401, {"participantId": "p", "participantName": "Petra"}),
                ("recording-starting", 86_402, {}),
            ]
        )
    )
    later = NOON + timedelta(days=1, minutes=10)
    with Views.open(store, now=lambda: later) as views:
        views.bring_to(store, later)
    before = told_of(store, "s")
    if what == "an erasure":
        assert erase(store, of_participant(store, "p", None, later, silent), Rules(), later, silent).events
    elif what == "a withdrawal":
        withdraw(store, None, later, first=1, last=1)
    elif what == "a wrong clock":
        take_back(store, [(1, 1)])
    elif what == "a prune":
        pytest.importorskip("pyarrow")
        planned = plan(store, meetings.MORNING + timedelta(hours=12), later, Rules(), silent)
        assert prune(store, planned, tmp_path / "archive", Rules(), later, silent).sessions
    else:
        (store.data / VIEWS_DB).unlink()
    Views.open(store, now=lambda: later + timedelta(minutes=1)).close()

    assert "T301" in {code for code, *_ in before}
    assert told_of(store, "s") == before


def test_a_finding_that_is_withdrawn_is_known_with_both_times(store):
    given = overtaken()
    store.append(given[:3])
    with Views.open(store, now=clock()) as views:
        (before,) = (row for row in rows(store) if row["code"] == "S202")
        store.append(given[3:])
        views.catch_up(store)
    (after,) = withdrawn(path(store), "s")

    assert (before["held"], before["published_at"], before["withdrawn_at"]) == (
        1,
        "2026-03-02T12:00:00.000000Z",
        None,
    )
    assert (after["code"], after["published_at"], after["withdrawn_at"]) == (
        "S202", "2026-03-02T12:00:00.000000Z", "2026-03-02T12:01:00.000000Z",
    )  # fmt: skip


def test_a_log_that_is_withdrawn_and_counts_again_gives_the_same_publications_again(published):
    before = rows(published)
    withdraw(published, None, NOON, first=1, last=published.last_position())
    Views.open(published).close()
    gone = rows(published)
    withdraw(published, None, NOON, undo=True, first=1, last=published.last_position() - 1)
    Views.open(published).close()

    assert {row["held"] for row in gone} == {0}
    times = {"withdrawn_at", "again_at"}
    kept = [{name: value for name, value in row.items() if name not in times} for row in rows(published)]
    assert kept == [{name: value for name, value in row.items() if name not in times} for row in before]
    assert all(row["again_at"] and row["withdrawn_at"] for row in rows(published))


def test_another_severity_is_a_change_of_the_same_publication(published):
    before = rows(published)
    code = before[0]["code"]
    rules = Rules(severity={code: "error" if before[0]["severity"] != "error" else "info"})
    Views.open(published, rules).close()
    after = rows(published)

    assert [row["code"] for row in after if row["changed_at"]] == [
        row["code"] for row in before if row["code"] == code
    ]
    assert [[row[name] for name in IDENTITY] for row in after] == [
        [row[name] for name in IDENTITY] for row in before
    ]
    assert contradictions(published, rules) == ([], [])


def test_an_accepted_finding_stays_published(published):
    code = rows(published)[0]["code"]
    Views.open(published, Rules(accept=(Acceptance(code, "it is known"),))).close()

    assert {(row["verdict"], row["held"]) for row in rows(published) if row["code"] == code} == {
        ("accepted", 1)
    }


def test_what_another_process_has_judged_is_published_by_whoever_comes_first(store):
    """One has committed its page and not yet published when the other commits and publishes the next."""
    given = deliveries(meetings.lines(4, sessions=8))
    Views.open(store).close()
    with Views(store.data / VIEWS_DB, Rules()) as slow, Views(store.data / VIEWS_DB, Rules()) as quick:
        for number in range(0, len(given), 20):
            store.append(given[number : number + 20])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(slow, "_publish", lambda _: None)
                slow.catch_up(store)
            store.append(given[number + 20 : number + 25])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(quick, "_publish", slow._publish)
                quick.catch_up(store)
            quick._publish(store)
            slow._publish(store)

            assert contradictions(store) == ([], [])


def test_types_that_never_came_are_publications_of_their_own(store):
    received = [parse(one.received) for one in simulate(60, seed=7, habits=["usual", "fewer-types"])]
    store.append(received)
    Views.open(store).close()
    about = [row["about"] for row in rows(store) if row["code"] == "L603"]

    assert len(about) > 1
    assert len(set(about)) == len(about)


def test_a_page_compares_only_the_streams_that_it_has_written(published, monkeypatch):
    monkeypatch.setattr(publications._Comparison, "of_all", None)
    published.append(
        deliveries([line(webhook("session-started", sessionId="new"), 90_000), line(b"no json", 90_001)])
    )
    with Views(published.data / VIEWS_DB, Rules()) as views:
        views.catch_up(published)

    assert rows(published)[-1]["stream"].startswith("unrouted:")
    monkeypatch.undo()
    assert contradictions(published) == ([], [])


# The file


def test_a_lost_file_is_made_again_with_what_is_held(published):
    before = timeless(published)
    path(published).unlink()
    Views.open(published).close()

    assert timeless(published) == before


def test_a_backup_that_is_put_back_is_brought_up(published):
    backup = path(published).read_bytes()
    published.append(deliveries(meetings.lines(2)))
    Views.open(published).close()
    path(published).write_bytes(backup)
    Views.open(published).close()

    assert contradictions(published) == ([], [])


def test_a_damaged_file_says_what_to_do(published):
    path(published).write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreDamagedError, match="is damaged") as raised:
        Views.open(published)

    assert raised.value.hint.startswith("restore it from a backup")
    assert contradictions(published)[0][0].startswith("is damaged")


def test_a_file_of_a_newer_program_is_left_alone(published):
    execute(published, "PRAGMA user_version = 99")
    with pytest.raises(StoreVersionError, match="format 99"):
        Views.open(published)


def execute(store, statement):
    with closing(sqlite3.connect(path(store))) as db, db:
        return db.execute(statement).rowcount


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (
            "DELETE FROM publications WHERE stream = 'unrouted:made-up'",
            "the finding is held, and is not published",
        ),
        (
            "UPDATE publications SET held = 0 WHERE stream = 'unrouted:made-up'",
            "the finding is held, and is not published",
        ),
        (
            "INSERT INTO publications (stream, position, code, key, held, published_at) VALUES ('x', 1, 'S201', '{}', 1, '')",
            "the finding is published, and is not held",
        ),
        (
            "UPDATE publications SET severity = 'none' WHERE stream = 'unrouted:made-up'",
            "severity was published as 'none', and is 'warning'",
        ),
    ],
)
def test_verifying_names_what_is_published_otherwise_than_it_is_held(published, statement, text):
    published.append(deliveries([line(webhook("made-up"), 90_000)]))
    Views.open(published).close()
    assert execute(published, statement) == 1

    assert contradictions(published) == ([text], [])


def test_verifying_says_that_nothing_was_published(published):
    path(published).unlink()
    assert contradictions(published) == ([], ["published.db is not there and was not compared"])


# Shown


@pytest.fixture(scope="module")
def taken_back(tmp_path_factory):
    """A server that has reported that a recording never started, and received its start then."""
    data = tmp_path_factory.mktemp("taken-back") / "data"
    with served(data) as running:
        for kind in ("session-started", "recording-starting", "recording-stopping"):
            running.post(kind, sessionId="s", meetingId="m")
        until(
            lambda: (
                path(running.tracker).exists()
                and [row for row in rows(running.tracker) if row["code"] == "S202"]
            )
        )
        running.post("recording-started", sessionId="s", meetingId="m")
        until(lambda: withdrawn(path(running.tracker), "s"))
        yield running


def test_the_api_gives_what_was_taken_back_of_a_session(taken_back):
    (found,) = taken_back.get("/api/sessions/s/withdrawn")["items"]

    assert (found["code"], found["verdict"], found["lifecycle"], found["position"]) == (
        "S202",
        "provisional",
        "recording",
        3,
    )
    assert found["published_at"] <= found["withdrawn_at"]
    assert taken_back.ask("/api/sessions/unknown/withdrawn").status == 404


def test_the_page_of_a_session_says_what_was_taken_back_now_and_not_in_the_past(taken_back):
    now, past = (taken_back.ask(f"/sessions/s{query}").body.decode() for query in ("", "?at=2"))

    assert re.search(r"Taken back.*S202.*was reported.*withdrawn", now, re.DOTALL)
    assert "Taken back" not in past


def test_a_status_says_what_was_taken_back(taken_back):
    printed = CliRunner().invoke(command, ["status", "s", "--data", str(taken_back.tracker.data)]).output

    assert printed.split("taken back")[1].split()[:3] == ["warning", "S202", "skipped-started"]
    assert re.search(r"was reported .* UTC, withdrawn .* UTC", printed)


# Killed

FOLLOW = """
import sys
from projections.views.follow import Views
from stores import opened
from tracker.rules import Rules
#go
with opened(sys.argv[1]) as store, Views(store.data / "views.db", Rules()) as views:
    views.catch_up(store, page_size=2)
"""


@pytest.mark.slow
def test_followers_that_are_killed_publish_the_same_as_one_that_never_stopped(store, tmp_path):
    given, dice = deliveries(meetings.lines(5, sessions=12)), random.Random(1)
    Views.open(store).close()
    store.append(given)
    for _ in range(12):
        process = meetings.start(FOLLOW, store.data)
        meetings.go(process)
        time.sleep(dice.uniform(0.02, 0.3))
        process.kill()
        process.communicate()
    process = meetings.start(FOLLOW, store.data)
    meetings.go(process)
    assert meetings.finish(process) == [""]

    assert timeless(store) == by_pages(tmp_path / "other", given, 2, [])
    assert contradictions(store) == ([], [])
