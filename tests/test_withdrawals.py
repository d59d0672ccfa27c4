"""A log that was stored by mistake is taken back: its deliveries stay where they are and count no longer."""

from datetime import UTC, datetime
from functools import partial

import commands
import meetings
import pytest
from meetings import bodies, deliveries, read_into, rows, write
from stores import change

from projections.audit.auditing import audit
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.errors import NotFoundError, StoreDamagedError, UsageError
from tracker.intake.copying import copy
from tracker.intake.ingest import ingest
from tracker.intake.logs import Log
from tracker.intake.withdrawing import withdraw
from tracker.rules import Rules
from tracker.store.reading import PAGE
from tracker.store.withdrawals import Withdrawals

NOW = datetime(2026, 3, 3, tzinfo=UTC)

each_store = pytest.mark.usefixtures("each_store")


def lines_of(session, count=3):
    return [
        meetings.line(
            meetings.webhook("participant-joined", sessionId=session, participantId=f"p{number}"), number
        )
        for number in range(count)
    ]


@pytest.fixture
def two(store, tmp_path):
    """A store with two logs; a session is in both, and one is only in the mistaken one."""
    right = [*lines_of("both"), *lines_of("right")]
    wrong = [*lines_of("both", 5)[3:], *lines_of("wrong"), b"no webhook"]
    for name, lines in (("right.jsonl", right), ("wrong.jsonl", wrong)):
        for _ in ingest(store, Log(str(write(tmp_path / name, lines)))):
            pass
    return store, right, wrong, str(tmp_path / "wrong.jsonl")


def held(store):
    return [one.body for one in store.deliveries()]


@each_store
def test_what_is_withdrawn_is_read_nowhere_and_undone_it_is_back(two):
    store, right, wrong, name = two
    before = [*store.stored(0, 100, 100)]

    done = withdraw(store, name, NOW)

    assert (done.count, done.spans) == (6, ((7, 12),))
    assert held(store) == bodies(right)
    assert [len(list(store.history(one))) for one in ("both", "right", "wrong")] == [3, 3, 0]
    assert (list(store.unrouted()), [one.position for one, _ in store.page(4, 5)]) == ([], [5, 6])
    assert store.stored(0, 12, 12) == before
    with pytest.raises(NotFoundError, match="was withdrawn"):
        store.status("wrong")

    withdraw(store, name, NOW, undo=True)

    assert held(store) == bodies(right + wrong)
    assert list(store.integrity()) == []


@each_store
def test_the_read_models_are_those_of_a_store_without_the_log(two, tmp_path):
    store, right, _, name = two
    with Views.open(store) as live:
        withdraw(store, name, NOW)
        live.catch_up(store)
        assert live.checkpoint.position == 13
        printed = {table: found for table, found in rows(live.path).items() if table != "checkpoint"}
    alone = tmp_path / "alone"
    read_into(alone, write(tmp_path / "right.jsonl", right))
    with meetings.opened(alone) as other, Views.open(other) as views:
        assert printed == {table: found for table, found in rows(views.path).items() if table != "checkpoint"}
    assert verify(store, Rules()).problems == []


@each_store
def test_whole_pages_of_withdrawn_deliveries_are_passed_over(store, tmp_path):
    lines = [*lines_of("a", 2), *lines_of("b", 2 * PAGE + 10), *lines_of("c", 2)]
    for number, part in enumerate((lines[:2], lines[2:-2], lines[-2:])):
        for _ in ingest(store, Log(str(write(tmp_path / f"{number}", part)))):
            pass
    withdraw(store, str(tmp_path / "1"), NOW)
    with Views.open(store) as views:
        assert [row["session_id"] for row in views.db.query("SELECT session_id FROM sessions")] == ["a", "c"]
        views.catch_up(store, page_size=7)
        assert views.checkpoint.position == store.last_position() == len(lines) + 1
    assert held(store) == bodies([*lines[:2], *lines[-2:]])


@each_store
def test_a_log_of_the_same_name_that_is_read_later_counts(two, tmp_path):
    store, right, _, name = two
    withdraw(store, name, NOW)
    later = lines_of("later")
    for _ in ingest(store, Log(str(write(tmp_path / "wrong.jsonl", later)))):
        pass
    assert held(store) == bodies(right + later)


@each_store
def test_a_part_of_a_log_or_of_the_store_can_be_withdrawn_by_position(two):
    store, right, wrong, name = two
    withdraw(store, name, NOW, first=9)
    withdraw(store, None, NOW, first=2, last=3)
    assert held(store) == bodies([right[0], *right[3:], *wrong[:2]])

    withdraw(store, None, NOW, undo=True, first=3, last=9)
    assert held(store) == bodies([right[0], *right[2:], *wrong[:3]])


@each_store
@pytest.mark.parametrize("undo", [False, True])
def test_what_is_not_there_cannot_be_withdrawn_and_the_logs_are_named(two, undo):
    store, *_, name = two
    with pytest.raises(NotFoundError) as caught:
        withdraw(store, "other.jsonl", NOW, undo=undo)
    assert (name in caught.value.hint) is not undo
    assert store.last_position() == 12


@each_store
def test_a_withdrawal_names_a_log_or_positions(store):
    with pytest.raises(UsageError):
        withdraw(store, None, NOW, first=3)


@each_store
@pytest.mark.sqlite
def test_a_copy_has_the_withdrawal_too(two, tmp_path):
    store, right, _, name = two
    withdraw(store, name, NOW)
    with meetings.opened(tmp_path / "copy", create=True) as target:
        copy(store, target, lambda _done, _all: None)
        assert (held(target), target.count()) == (bodies(right), 13)
        withdraw(target, name, NOW, undo=True)
        assert len(held(target)) == 12


@each_store
def test_an_audit_of_the_store_is_that_of_the_log_that_is_left(two):
    store, right, _, name = two
    withdraw(store, name, NOW)
    judged, expected = (audit(one, Rules()) for one in (store.deliveries(), deliveries(right)))
    printed, must = ([(one.code, one.evidence) for one in each.findings] for each in (judged, expected))
    assert printed == must
    assert (judged.deliveries, judged.sessions) == (expected.deliveries, expected.sessions)


@each_store
def test_a_withdrawal_during_a_rebuild_is_not_missed(two, monkeypatch):
    store, *_, name = two
    paged = store.follow

    def withdrawing(*given):
        monkeypatch.setattr(store, "follow", paged)
        found = paged(*given)
        withdraw(store, name, NOW)
        return found

    monkeypatch.setattr(store, "follow", withdrawing)
    rebuild(store)
    with Views.open(store) as views:
        assert [row["session_id"] for row in views.db.query("SELECT session_id FROM sessions")] == [
            "both",
            "right",
        ]


@each_store
def test_a_withdrawal_that_was_tampered_with_is_named(two):
    store, *_, name = two
    withdraw(store, name, NOW)
    for body, words in ((b'{"source":"x","positions":[[7,99]]}', "it withdraws"), (b"{}", "no withdrawal")):
        change(
            store, "UPDATE stored_events SET state = ? WHERE notification_id = 13", b'{"webhook":' + body + b"}"
        )
        named = dict(store.integrity())  # beside it, that the digest of its block is another
        assert named["position 13"].startswith(words)
    with pytest.raises(StoreDamagedError, match="position 13"):
        held(store)


def test_a_withdrawal_that_is_stored_is_read_for_ever():
    """These are bytes of a store; they may get a new meaning by an upcaster only."""
    state = (
        b'{"received_at":"2026-03-03T00:00:00Z","webhook":{"source":"a","undo":%s,"positions":[[2,5],[7,7]]}}'
    )
    once = Withdrawals().read([(8, 1, state % b"false")], "store")
    assert (once.spans, once.up_to, len(once)) == (((2, 5), (7, 7)), 8, 5)
    assert [position for position in range(1, 10) if position in once] == [2, 3, 4, 5, 7]
    undone = b'{"received_at":"2026-03-03T00:00:00Z","webhook":{"source":"a","undo":true,"positions":[[3,4]]}}'
    twice = once.read([(8, 1, state % b"false"), (9, 2, undone)], "store")
    assert (twice.spans, twice.up_to) == (((2, 2), (5, 5), (7, 7)), 9)


@pytest.fixture
def run(tmp_path):
    return partial(commands.run, cwd=tmp_path, text=True)


def test_the_commands_know_what_was_withdrawn(run, tmp_path):
    right, wrong = lines_of("right"), lines_of("wrong", 4)
    write(tmp_path / "right.jsonl", right)
    write(tmp_path / "wrong.jsonl", wrong)
    run("ingest", "right.jsonl", "wrong.jsonl")

    done = run("withdraw", "wrong.jsonl")
    assert (done.returncode, done.stdout) == (0, "tracker-data: 4 deliveries of wrong.jsonl no longer count\n")
    assert "7 events" not in run("verify").stdout
    assert "4 of them withdrawn" in run("verify").stdout
    assert "wrong" not in run("sessions").stdout
    assert run("export").stdout.count("\n") == 3
    assert "4 withdrawn deliveries are left out" in run("export").stderr
    assert "was withdrawn" in run("status", "wrong").stderr
    again = run("ingest", "wrong.jsonl")
    assert "4 already there" in again.stdout
    assert "hint: tracker withdraw --undo wrong.jsonl" in again.stderr
    undone = run("withdraw", "--undo", "wrong.jsonl")
    assert undone.stdout == "tracker-data: 4 deliveries of wrong.jsonl count again\n"
    assert "wrong" in run("sessions").stdout
    assert run("withdraw", "nothing").returncode == 2
