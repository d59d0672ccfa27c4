import json
import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from zlib import crc32

import meetings
import pytest
from hypothesis import given
from hypothesis import strategies as st
from meetings import LONG_AGO, MORNING, deliveries, line, webhook
from msgspec.structs import replace
from stores import address, change
from tries import tries

from projections.audit.auditing import audit
from projections.read_models import spans, tables_of, text
from projections.views import database, opened, pages, written
from projections.views import waiting as waits
from projections.views.accepting import accept
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.loss import LossError
from projections.views.publications import PUBLISHED_DB
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.delivery import envelope
from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError, StoreError
from tracker.judging.sessions import Sessions
from tracker.lifecycles import REGISTRY
from tracker.rules import Rules
from tracker.simulate import simulate
from tracker.store.application import Tracker

SHORT = Rules(
    grace=timedelta(seconds=30),
    lateness=timedelta(seconds=5),
    stuck_starting=timedelta(seconds=10),
    stuck_stopping=timedelta(seconds=20),
    session_idle=timedelta(minutes=5),
    redelivery=timedelta(minutes=1),
)

FOLLOW = """
import sys
from pathlib import Path
from zlib import crc32
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from stores import opened
from tracker.rules import Rules
#go
with opened(sys.argv[1]) as store:
    if sys.argv[2] == "rebuild":
        rebuild(store, page_size=5)
    else:
        with Views(store.data / "views.db", Rules()) as views:
            views.catch_up(store, page_size=5)
"""


@pytest.fixture
def views(store):
    with Views.open(store) as opened:
        yield opened


def live(store):
    return store.data / VIEWS_DB


def at_once(store, rules=None, as_of=None):
    """Every row of read models made in one page; settled at a moment, if one is given."""
    path = store.data / "at-once.db"
    rebuild(store, rules, path=path, page_size=1_000_000, as_of=as_of)
    found = meetings.rows(path)
    path.unlink()
    return found


def beside(store):
    """Files other than those there should be."""
    expected = {"events.db", "events.db-wal", "events.db-shm", "events.mark", VIEWS_DB, PUBLISHED_DB}
    return {path.name for path in store.data.iterdir()} - expected


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 40)),
        st.tuples(st.just("catch up"), st.integers(1, 50)),
        st.tuples(st.just("again"), st.just(1000)),
        st.tuples(st.just("reopen"), st.just(0)),
        st.tuples(st.just("rebuild"), st.integers(1, 50)),
    ),
    max_size=25,
)


@given(
    steps=steps,
    seed=st.integers(0, 60),
    memory=st.sampled_from([0, 1, 10_000]),
    large=st.sampled_from([1, 3, 200]),
    wait=st.sampled_from([0, 4, 30, 10_000]),
    short=st.booleans(),
)
@tries(40)
def test_whatever_the_pages_stops_and_repetitions_the_rows_are_the_same(
    steps, seed, memory, large, wait, short
):
    """Any mix of appending, catching up by pages of any size, opening anew and rebuilding."""
    rules, waiting = SHORT if short else Rules(), deliveries(meetings.lines(seed))
    with (
        tempfile.TemporaryDirectory() as data,
        closing(Tracker.open(Path(data), create=True)) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(pages, "MEMORY", memory)
        patch.setattr(written, "LARGE", large)
        patch.setattr(waits, "DELIVERIES", wait)
        views = Views.open(store, rules)
        for step, size in [*steps, ("append", len(waiting)), ("catch up", 7)]:
            if step == "append":
                store.append(waiting[:size])
                waiting = waiting[size:]
            elif step in ("catch up", "again"):
                views.catch_up(store, page_size=size)
            else:
                views.close()
                if step == "rebuild":
                    rebuild(store, rules, page_size=size)
                views = Views.open(store, rules)
        views.close()

        assert at_once(store, rules) == meetings.rows(live(store))


KINDS = ["session-started", "participant-joined", "participant-left", "recording-starting", "session-ended"]


def in_room(*came):
    """Webhooks of sessions of one room, each as minute, session, kind: the same person is in all of them."""
    return [
        line(
            webhook(kind, meetingId="m", sessionId=session, participantId="p"),
            None if minute is None else 60 * minute,
        )
        for minute, session, kind in came
    ]


@pytest.mark.parametrize(
    "came",
    [
        in_room(
            (0, "u", "session-started"),
            (1, "u", "participant-joined"),
            (2880, "s", "session-started"),
            (5760, "u", "participant-joined"),
            (5762, "t", "session-started"),
        ),
        in_room(
            (None, "s", "session-started"),
            (None, "s", "participant-joined"),
            (0, "t", "session-started"),
            (1, "s", "participant-left"),
        ),
        in_room(
            (0, "s", "session-started"),
            (1, "s", "participant-joined"),
            (2, "s", "participant-left"),
            (2880, "t", "session-started"),
            (2881, "t", "participant-joined"),
        ),
    ],
    ids=["the-next-is-silent", "a-begin-becomes-known", "the-next-is-days-later"],
)
def test_which_session_was_live_when_another_began_is_the_same_in_an_audit_and_in_pages_of_any_size(
    store, came
):
    with Views.open(store) as views:
        store.append(deliveries(came))
        views.catch_up(store, page_size=1)

    assert at_once(store) == meetings.rows(live(store))
    assert contents(store) == audited(store)


@given(
    came=st.lists(
        st.tuples(
            st.integers(0, 150) | st.integers(0, 9000),
            st.sampled_from([True, True, True, False]),
            st.sampled_from("abcd"),
            st.sampled_from(KINDS),
            st.sampled_from("pq"),
            st.sampled_from([None, None, "acme", "beta"]),
        ),
        min_size=4,
        max_size=24,
    ),
    size=st.integers(1, 7),
    large=st.sampled_from([1, 3, 200]),
    wait=st.sampled_from([0, 4, 10_000]),
    later=st.sampled_from([0, 61, 601, 90_000]),
)
@tries(100)
def test_whatever_comes_of_the_sessions_of_a_room_the_rows_are_the_same_in_pages_of_any_size(
    came, size, large, wait, later
):
    given = [
        line(
            webhook(kind, meetingId="m", sessionId=session, participantId=person),
            60 * minute + place if timed else None,
            account,
        )
        for place, (minute, timed, session, kind, person, account) in enumerate(
            sorted(came, key=lambda one: one[0])
        )
    ]
    with (
        tempfile.TemporaryDirectory() as data,
        closing(Tracker.open(Path(data), create=True)) as store,
        Views.open(store) as views,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(written, "LARGE", large)
        patch.setattr(waits, "DELIVERIES", wait)
        store.append(deliveries(given))
        views.catch_up(store, page_size=size)
        views.settle(store, (views.checkpoint.as_of or MORNING) + timedelta(seconds=later))

        assert settled_at(store, views.checkpoint.as_of, size) == meetings.rows(live(store))
        assert contents(store) == audited(store, now=views.checkpoint.as_of)


@pytest.mark.parametrize("rules", [Rules(), SHORT], ids=["usual", "short"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow_on_postgres
def test_pages_of_one_delivery_give_the_rows_of_one_page(store, seed, rules):
    store.append(deliveries(meetings.lines(seed, sessions=6)))
    path = store.data / "by-one.db"
    rebuild(store, rules, path=path, page_size=1)

    assert at_once(store, rules) == meetings.rows(path)


HABITS = {
    "faults": {"faults": 0.6},
    "twice": {"habits": ["usual", "two-channels"]},
    "again": {"habits": ["usual", "hour-replayed"]},
    "fewer types": {"habits": ["usual", "fewer-types"]},
    "fewer types of an account": {"habits": ["usual", "fewer-types"], "accounts": [None, "acme", "beta"]},
}
"""What meetings do that only other sessions of the log explain."""
MILESTONES = [12, 13, 47, 99, 100, 101, 199, 200, 201, 350, 499, 500, 501]


@pytest.fixture(params=HABITS.values(), ids=HABITS)
def many(store, request):
    """A store that is longer than its first three milestones."""
    accounts, said = request.param.get("accounts", [None]), dict(request.param)
    said.pop("accounts", None)
    received = [parse(one.received) for one in simulate(60, seed=7, **said)]
    for one in received:
        account = accounts[len(one.meeting_id or "") and crc32(one.meeting_id.encode()) % len(accounts)]
        one.received = replace(one.received, account=account)
    store.append(received[: MILESTONES[-1]])
    return store


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0, 10_000])
def test_at_every_milestone_the_rows_are_those_of_one_page_and_of_an_audit(many, memory, monkeypatch):
    monkeypatch.setattr(pages, "MEMORY", memory)
    path = many.data / "there.db"
    rebuild(many, stop=1)
    with Views(live(many), Rules()) as views:
        for stop, page_size in zip(MILESTONES, cycle([1, 7, 64, 1000]), strict=False):
            views.catch_up(many, stop=stop, page_size=page_size)
            rebuild(many, path=path, stop=stop, page_size=1_000_000)

            assert meetings.rows(path) == meetings.rows(live(many))
            assert audited(many, stop=stop) == contents(many)


def recorded(number, *steps, room=None):
    """What comes of a session that is recorded, of which these steps come."""
    said = ["session-started", *(f"recording-{step}" for step in steps), "session-ended"]
    whose = {"sessionId": f"s{number}", "meetingId": room or f"m{number}"}
    return [
        line(webhook(kind, **whose), 4000 * number + 60 * place) for place, kind in enumerate(said)
    ]  # fmt: skip


LESS, ALL = ("started", "stopping", "stopped"), ("starting", "started", "stopping", "stopped")


@pytest.mark.parametrize("room", [None, "room"])
@pytest.mark.parametrize("before", [3, 18])
def test_once_a_type_comes_of_a_room_or_log_that_had_lacked_it_it_is_missed_where_it_did_not_come(
    store, views, room, before
):
    """Nothing else is in doubt in these sessions, so nothing but the type has them judged anew."""
    lines = [one for number in range(before) for one in recorded(number, *LESS, room=room)]
    lines += [one for number in range(before, 36) for one in recorded(number, *ALL, room=room)]
    store.append(deliveries(lines))
    for stop in range(1, store.last_position() + 7, 7):
        views.catch_up(store, stop=stop)

    assert at_once(store) == meetings.rows(live(store))
    assert Counter(code for _, code, *_ in contents(store))["S201"] == before


@pytest.mark.parametrize("count", [15, 33, 60, 100])
def test_a_store_of_few_deliveries_is_judged_as_a_log_of_them_is(store, views, count):
    """What is open at the end of a log is undecided there, and provisional in a store that grows."""
    received = [parse(one.received) for one in simulate(20, seed=7, faults=0.6, habits=["fewer-types"])]
    store.append(received[:count])
    views.catch_up(store)
    found = [(one.code, one.session_id, one.position) for one in audit(store.deliveries(), Rules()).findings
             if one.verdict != "undecided"]  # fmt: skip
    rows = [
        (code, session, place)
        for verdict, code, session, _, place, *_ in contents(store)
        if verdict != "provisional"
    ]

    assert Counter(found) == Counter(rows)


def test_after_every_page_the_rows_are_those_of_a_log_that_ends_there(store):
    store.append(deliveries(meetings.lines(8)))
    for stop in range(10, store.last_position(), 9):
        rebuild(store, path=store.data / "to-there.db", stop=stop, page_size=1_000_000)
        with Views.open(store) if stop == 10 else Views(live(store), Rules()) as views:
            if stop == 10:
                rebuild(store, stop=stop)
                continue
            views.catch_up(store, stop=stop)

            assert meetings.rows(store.data / "to-there.db") == meetings.rows(live(store))


def test_a_machine_that_is_received_twice_is_settled_when_its_window_closes(store, views):
    """Deadlines pass in streams that are no session's too."""
    said = [("resource-acquired", 0), ("resource-released", 5), ("resource-acquired", 9)]
    store.append(deliveries(line(webhook(kind, id="r", type="hls"), at) for kind, at in said))
    views.catch_up(store)
    store.append(deliveries([line(webhook("session-started", sessionId="s"), 90_000)]))
    views.catch_up(store)

    assert at_once(store) == meetings.rows(live(store))


def test_catching_up_tells_how_far_it_is(store, views):
    store.append(deliveries(meetings.lines(1)))
    contents = []
    views.catch_up(store, lambda *progress: contents.append(progress), page_size=50)
    last = store.last_position()

    assert [(min(position, last), last) for position in range(50, last + 50, 50)] == contents


def test_the_checkpoint_is_the_last_position_and_the_newest_receive_time(store, views):
    given = deliveries([line(b"{}", 60), line(b"{}", 20), line(b"{}")])
    store.append(given)
    views.catch_up(store)

    assert database.Checkpoint(3, given[0].received_at, store.digest(3)) == views.checkpoint
    assert meetings.rows(live(store))["checkpoint"][0][:2] == (3, "2026-03-02T09:01:00.000000Z")


def test_catching_up_again_writes_nothing(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    before = live(store).read_bytes()
    views.catch_up(store)

    assert before == live(store).read_bytes()


@pytest.mark.parametrize("table", ["sessions", "findings", "deliveries", "checkpoint"])
def test_a_page_that_fails_half_way_leaves_rows_and_checkpoint_as_they_were(store, views, table):
    given = deliveries(meetings.lines(1, sessions=8))
    store.append(given[:40])
    views.catch_up(store)
    before = meetings.rows(live(store))
    store.append(given[40:])
    event = "UPDATE" if table == "checkpoint" else "INSERT"
    views.db.execute(f"CREATE TRIGGER no BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StoreError, match="is damaged"):
        views.catch_up(store)

    assert before == meetings.rows(live(store))
    views.db.execute("DROP TRIGGER no")
    views.catch_up(store)
    assert at_once(store) == meetings.rows(live(store))


def test_a_commit_that_fails_is_undone_and_can_be_repeated(store, views, monkeypatch):
    store.append(deliveries(meetings.lines(1)))
    with closing(sqlite3.connect(live(store), isolation_level=None)) as reader:
        views.db.execute("PRAGMA busy_timeout=10")
        reader.execute("BEGIN")
        before = reader.execute("SELECT * FROM checkpoint").fetchall()
        with pytest.raises(StoreError, match="another process"):
            views.catch_up(store)
        assert before == reader.execute("SELECT * FROM checkpoint").fetchall()
        reader.execute("COMMIT")
    views.catch_up(store)

    assert at_once(store) == meetings.rows(live(store))


def test_two_followers_of_one_file_may_take_turns(store, views):
    waiting = deliveries(meetings.lines(4, sessions=8))
    with Views.open(store) as other:
        for number, follower in enumerate([views, other, other, views, views, other] * 3):
            store.append(waiting[number * 7 : number * 7 + 7])
            follower.catch_up(store, page_size=3)

    assert at_once(store) == meetings.rows(live(store))


def test_following_ends_though_more_comes_with_each_page(store, views):
    waiting = deliveries(meetings.lines(4, sessions=8))
    store.append(waiting[:5])
    done = []

    def more(position, _total):
        done.append(position)
        store.append(waiting[5 * len(done) : 5 * len(done) + 5])

    views.catch_up(store, more)
    assert done == [5]


def test_a_follower_goes_on_in_the_file_that_was_put_in_place_of_its_own(store, views):
    given = deliveries(meetings.lines(4, sessions=8))
    store.append(given[:50])
    views.catch_up(store)
    store.append(given[50:80])
    rebuild(store)
    store.append(given[80:])
    views.catch_up(store)

    assert at_once(store) == meetings.rows(live(store))
    assert (live(store).stat().st_size > 0, set()) == (True, beside(store))


def test_memory_holds_what_was_used_last(store, monkeypatch):
    monkeypatch.setattr(pages, "MEMORY", 2)
    order = ["a", "b", "c", "a", "d"]
    with Views.open(store) as views:
        for number, name in enumerate(order):
            store.append(deliveries([line(webhook("session-started", sessionId=name), number)]))
            views.catch_up(store)

        assert list(views._sessions.observed) == ["a", "d"]


def test_sessions_that_are_folded_again_to_be_written_are_not_all_kept_until_all_are_written(
    store, monkeypatch
):
    monkeypatch.setattr(pages, "MEMORY", 2)
    monkeypatch.setattr(pages, "TOGETHER", 1)
    kept, assessed = [], Sessions.assessed
    store.append(
        deliveries([line(webhook("session-started", sessionId=name), at) for at, name in enumerate("abcdef")])
    )
    with Views.open(store) as views:
        monkeypatch.setattr(
            Sessions, "assessed", lambda self, *args: kept.append(len(self.observed)) or assessed(self, *args)
        )
        views.settle(store, meetings.MORNING + timedelta(days=30))

    assert (len(kept), max(kept)) == (6, 2)


def test_a_session_in_memory_is_not_folded_again(store, views, monkeypatch):
    store.append(deliveries([line(webhook("session-started", sessionId="a"), 1)]))
    views.catch_up(store)
    monkeypatch.setattr(store, "history", None)
    store.append(deliveries([line(webhook("session-ended", sessionId="a"), 2)]))
    views.catch_up(store)

    assert views.db.execute("SELECT state FROM sessions").fetchall() == [("ended",)]


# Rebuilding


def test_a_rebuild_judges_a_session_once_however_many_pages_it_is_in(store, monkeypatch):
    store.append(deliveries(meetings.lines(1)))
    judged, assessed = Counter(), Sessions.assessed
    monkeypatch.setattr(
        Sessions,
        "assessed",
        lambda self, stream, *args: judged.update([stream]) or assessed(self, stream, *args),
    )
    rebuild(store, page_size=5)

    assert set(judged.values()) == {1}


@pytest.mark.parametrize(
    ("limit", "most", "longest"), [("STREAMS", 2, "bcd"), ("STREAMS", 4, ""), ("DELIVERIES", 8, "bc")]
)
def test_what_has_waited_longest_in_a_rebuild_is_written_where_too_much_waits(
    limit, most, longest, monkeypatch
):
    monkeypatch.setattr(waits, limit, most)
    waiting = waits.Waiting()
    for one in deliveries(line(webhook("session-started", sessionId=name), 1) for name in "abbbcccada"):
        waiting.add(one)

    assert waiting.longest() == list(longest)


def test_a_rebuild_is_of_the_same_rows(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    before = meetings.rows(live(store))
    rebuild(store, page_size=10)

    assert before == meetings.rows(live(store))
    assert set() == beside(store)


def test_other_rules_make_the_read_models_anew(store):
    store.append(deliveries(meetings.lines(1)))
    Views.open(store).close()
    Views.open(store, SHORT).close()

    assert at_once(store, SHORT) == meetings.rows(live(store))
    assert at_once(store, SHORT) != at_once(store)


@pytest.fixture
def programmed(monkeypatch):
    """Makes another program of this one: gives a name of ``database`` another value."""

    def to(name, value):
        monkeypatch.setattr(database, name, value)
        database.program.cache_clear()

    yield to
    database.program.cache_clear()


def test_other_tables_make_the_read_models_anew(store, views, programmed):
    views.close()
    programmed("SQL_VIEWS", {"all_types": "SELECT * FROM types"})
    with Views.open(store) as opened:
        assert tables_of(opened.connection).view_names() == ["all_types"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"hello world, " * 1000),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: _execute(path, "DROP TABLE checkpoint"),
        lambda path: _execute(path, "DELETE FROM checkpoint"),
        lambda path: path.unlink(),
    ],
    ids=["text", "empty", "cut", "no-checkpoint-table", "no-checkpoint", "gone"],
)
@pytest.mark.slow_on_postgres
def test_read_models_that_are_damaged_are_made_anew(store, views, damage):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    views.close()
    damage(live(store))
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


def _execute(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def test_read_models_that_go_further_than_the_store_tell_a_loss(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    views.close()
    _execute(live(store), "UPDATE checkpoint SET position = position + 1")
    with pytest.raises(LossError, match="1 delivery is gone"):
        Views.open(store)


def test_a_rebuild_that_fails_leaves_the_live_file_and_nothing_beside_it(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    before = live(store).read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(store, progress=fail, page_size=20)

    assert (before, set()) == (live(store).read_bytes(), beside(store))


def test_what_a_dead_rebuild_left_behind_is_removed_by_the_next(store, views):
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    for number in (gone, os.getppid()):
        live(store).with_name(f"{VIEWS_DB}.rebuild-{number}").touch()
    for name in (f"verify-{gone}", f"verify-copy-{gone}", f"verify-{gone}.rebuild-{gone}"):
        live(store).with_name(f"{VIEWS_DB}.{name}").touch()
    rebuild(store)

    assert {f"{VIEWS_DB}.rebuild-{os.getppid()}"} == beside(store)


def kill_while_it_writes(store, views):
    """Leaves what a follower that is killed in the midst of a transaction leaves: a journal to be played back."""
    journal, before = live(store).with_name(f"{VIEWS_DB}-journal"), live(store).read_bytes()
    views.db.execute("PRAGMA cache_size=1")
    views.db.execute("BEGIN IMMEDIATE")
    views.db.execute("UPDATE findings SET message = message || hex(zeroblob(2000))")
    views.db.execute("UPDATE sessions SET meeting_id = 'spoilt'")
    left = journal.read_bytes(), live(store).read_bytes()
    views.db.execute("ROLLBACK")
    views.close()
    journal.write_bytes(left[0])
    live(store).write_bytes(left[1])
    assert before != left[1], "it had begun to write to the file itself"


def test_a_journal_left_by_a_killed_follower_does_not_spoil_what_is_put_in_its_place(store, views):
    """A journal is found by the name of its file, whatever file that is by then."""
    given = deliveries(meetings.lines(1, sessions=8))
    store.append(given[:60])
    views.catch_up(store)
    kill_while_it_writes(store, views)
    store.append(given[60:])
    rebuild(store)

    assert at_once(store) == meetings.rows(live(store))


def test_read_models_are_opened_where_a_follower_was_killed(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    kill_while_it_writes(store, views)
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


def test_a_damaged_file_with_a_journal_is_made_anew(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    kill_while_it_writes(store, views)
    live(store).write_bytes(b"hello world, " * 1000)
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


def test_read_models_that_another_has_made_by_other_rules_are_left_to_it(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    Views.open(store, SHORT).close()
    with pytest.raises(StoreError, match="by other rules"):
        views.catch_up(store)

    assert at_once(store, SHORT) == meetings.rows(live(store))


@pytest.mark.slow
def test_a_follower_killed_at_any_moment_leaves_rows_that_the_next_completes(store):
    dice = random.Random(6)
    store.append(deliveries(meetings.lines(1, sessions=40)))
    rebuild(store, stop=1)
    for _ in range(8):
        process = meetings.start(FOLLOW, store.data, "follow")
        meetings.go(process)
        time.sleep(dice.uniform(0.02, 0.15))
        process.kill()
        process.communicate()
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


@pytest.mark.slow
def test_a_rebuild_killed_at_any_moment_leaves_the_live_file_as_it_was(store):
    dice = random.Random(7)
    store.append(deliveries(meetings.lines(1, sessions=100)))
    rebuild(store)
    before = meetings.rows(live(store))
    for _ in range(6):
        process = meetings.start(FOLLOW, store.data, "rebuild")
        meetings.go(process)
        time.sleep(dice.uniform(0.02, 0.3))
        process.kill()
        process.communicate()

    assert before == meetings.rows(live(store))
    rebuild(store)
    assert set() == beside(store)


@pytest.mark.slow
def test_followers_and_rebuilds_of_many_processes_at_once_give_the_same_rows(store):
    store.append(deliveries(meetings.lines(1, sessions=30)))
    rebuild(store, stop=1)
    whats = ["follow", "rebuild", "follow", "rebuild"]
    processes = [meetings.start(FOLLOW, store.data, what) for what in whats]
    meetings.go(*processes)

    assert meetings.finish(*processes) == [""] * 4
    Views.open(store).close()
    assert at_once(store) == meetings.rows(live(store))


# What is asked of the file


def test_the_file_is_plain_sqlite_with_its_keys_in_order(store):
    store.append(deliveries(meetings.lines(1)))
    Views.open(store).close()
    with closing(sqlite3.connect(live(store))) as db:
        checks = ("integrity_check", "foreign_key_check", "journal_mode")

        assert [db.execute(f"PRAGMA {name}").fetchall() for name in checks] == [[("ok",)], [], [("delete",)]]


def test_a_reader_is_not_kept_waiting_while_the_file_is_rebuilt(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    seen = []

    def look(*_):
        with closing(sqlite3.connect(live(store), timeout=0)) as db:
            seen.append(db.execute("SELECT COUNT(*) FROM sessions").fetchone()[0])

    rebuild(store, progress=look, page_size=20)

    assert [3] * len(seen) == seen
    assert len(seen) > 2


def test_an_empty_store_has_empty_read_models(store, views):
    assert {table: len(found) for table, found in meetings.rows(live(store)).items() if found} == {
        "checkpoint": 1
    }
    assert database.Checkpoint() == views.checkpoint


# What the rows are compared with


def contents(store):
    """The findings of the read models."""
    what = "verdict, code, session_id, meeting_id, position, message, severity, confidence"
    columns = f"{what}, at, evidence, cause, run, lifecycle"
    with closing(sqlite3.connect(live(store))) as db:
        return sorted(db.execute(f"SELECT {columns} FROM findings"), key=repr)


def audited(store, rules=None, stop=None, now=LONG_AGO):
    """The same findings without any read model."""
    return sorted(
        (
            (
                one.verdict,
                one.code,
                one.session_id,
                one.meeting_id,
                one.position,
                one.message,
                one.severity,
                one.confidence,
                text(one.at),
                json.dumps(one.evidence, separators=(",", ":")),
                one.cause,
                one.run,
                one.lifecycle,
            )
            for one in audit(store.deliveries(stop), rules or Rules(), now=now).findings
        ),
        key=repr,
    )


def outside(seed):
    """Lines that belong to no session, of types that share streams with what is broken."""
    dice = random.Random(seed)
    kinds = ("malformed", "untyped", "chat-opened", "participant-joined")
    made = [webhook(kind, meetingId=meeting) for kind in kinds for meeting in ("m1", "m2")]
    made += [json.dumps({"webhookType": kind, "data": 7}).encode() for kind in kinds]
    made += [b"{}", b"broken", b'{"webhookType": "chat\\u0000-opened"}']
    return [line(dice.choice(made), place) for place in range(60)]


@pytest.mark.parametrize("rules", [Rules(), SHORT], ids=["usual", "short"])
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
@pytest.mark.slow_on_postgres
def test_the_findings_are_those_of_an_audit_of_the_store(store, seed, rules):
    mixed = [*meetings.lines(seed, sessions=4), *outside(seed)]
    random.Random(seed).shuffle(mixed)
    store.append(deliveries(mixed))
    for page_size in (1, 13, 1000):
        rebuild(store, rules, page_size=page_size)

        assert audited(store, rules) == contents(store)


@pytest.mark.parametrize(
    "given",
    [
        [b"broken", webhook("malformed")],
        [b'{"webhookType":"new","data":7}', webhook("new"), webhook("new")],
        [webhook("new"), b'{"webhookType":"new","data":7}', webhook("new")],
    ],
    ids=["malformed", "bad-data-first", "bad-data-between"],
)
def test_the_first_delivery_of_an_unknown_type_is_reported_whatever_stands_before_it_in_the_stream(
    store, given
):
    store.append(map(parse, given))
    Views.open(store).close()

    assert audited(store) == contents(store)
    assert [one[1] for one in contents(store)].count("C509") == 1


def test_that_a_type_was_named_is_known_to_the_next_process_too(store):
    for _ in range(3):
        store.append([parse(webhook("new"))])
        Views.open(store).close()

    assert audited(store) == contents(store)


@pytest.mark.parametrize("page_size", [1, 1000])
@pytest.mark.parametrize("body", [webhook("participant-joined"), webhook("new"), b"broken"], ids=bytes.decode)
def test_what_belongs_to_no_session_may_have_a_bad_signature_too_which_is_reported_once_a_stream(
    store, body, page_size
):
    refuted = envelope.Received(body, MORNING, verified_by=envelope.UNVERIFIED)
    for _ in range(3):
        store.append([parse(refuted), parse(refuted)])
        Views.open(store).close()
    rebuild(store, page_size=page_size)

    assert not verify(store, Rules()).problems
    assert audited(store) == contents(store)
    assert [one[1] for one in contents(store)].count("C514") == 1


def test_a_test_of_the_endpoint_is_an_error_once_a_session_has_begun_though_no_time_is_known(store):
    store.append([parse(one) for one in (b"{}", webhook("session-started", sessionId="s"), b"{}")])
    Views.open(store).close()

    assert audited(store) == contents(store)
    assert [(one[4], one[6]) for one in contents(store)] == [(1, "info"), (3, "error")]


@pytest.mark.parametrize("stream", ["s", "resource:r", "unrouted:untyped", "unrouted:other", "elsewhere"])
def test_an_event_that_was_moved_by_hand_is_judged_where_it_is_stored(store, stream):
    given = [line(webhook("participant-joined", sessionId="t", participantId="p"), 1), line(b"broken", 2)]
    given += [line(webhook("resource-acquired", id="r", type="hls"), 3), line(b"{}", 4), line(b"{}", 5)]
    store.append(deliveries([line(webhook("session-started", sessionId="s"), 0), *given, *given]))
    for position in (2, 3, 4, 9):
        change(
            store,
            f"UPDATE stored_events SET originator_id = '{stream}', originator_version = {position + 100} "
            f"WHERE notification_id = {position}",
        )
    for page_size in (1, 3, 1000):
        rebuild(store, page_size=page_size)

        assert audited(store) == contents(store)
        assert at_once(store) == meetings.rows(live(store))


# Whether they are of this program and this store


def test_every_process_has_the_same_fingerprint():
    """Sets come in another order in each process, so none may be in it."""
    program = (
        "from projections.views.database import fingerprint; from tracker.rules import Rules;"
        " print(fingerprint(Rules()))"
    )
    seeds = ("1", "2", "3")
    made = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in seeds
    ]
    assert len({one.stdout for one in made}) == 1


def test_the_fingerprint_knows_the_catalogue_and_the_program(programmed):
    found = {database.fingerprint(Rules())}
    for name in ("CATALOGUE", "SOURCES"):
        programmed(name, {})
        found.add(database.fingerprint(Rules()))

    assert len(found) == 3


@pytest.mark.parametrize(
    "declared", [*REGISTRY.values(), database.CATALOGUE], ids=lambda one: getattr(one, "name", "")
)
def test_nothing_in_the_fingerprint_is_a_set_whose_order_differs_from_process_to_process(declared):
    assert re.findall(r"set\(|\{'[^']*'[,}]", repr(declared)) == []


@pytest.mark.parametrize("package", ["tracker.judging", "tracker.judging.findings", "projections.read_models"])
def test_the_fingerprint_knows_every_module_of_a_package_that_makes_rows(package):
    folder = Path(database.__file__).parents[2].joinpath(*package.split("."))

    assert set(database.modules_of(package)) == {path.stem for path in folder.glob("*.py")}
    assert database.SOURCES[package] == ()


def test_every_module_of_the_fingerprint_is_there():
    named = [(package, module) for package, some in database.SOURCES.items() for module in some]

    assert [one for one in named if find_spec(".".join(one)) is None] == []


def restored(store, before):
    """Another log in place of what a backup has not: as many events, of another session."""
    last = store.last_position()
    change(store, "DELETE FROM stored_events WHERE notification_id > ?", before)
    name, value = ("positions", "last") if address(store.data) else ("sqlite_sequence", "seq")
    change(store, f"UPDATE {name} SET {value} = ?", before)
    store.recorder._newest = 0  # as in a process that opens it then
    store.append(deliveries([line(webhook("session-started", sessionId="n"), 1)]) * (last - before + 3))


def test_read_models_of_what_a_restored_backup_has_not_are_made_anew_once_that_is_accepted(store):
    store.append(deliveries(meetings.lines(1)))
    with Views.open(store) as before:
        moment = before.checkpoint.as_of
    restored(store, 20)
    accept(store)
    Views.open(store).close()

    assert at_once(store, as_of=moment) == meetings.rows(live(store))


def test_a_follower_stands_still_once_the_store_was_restored_from_a_backup_until_that_is_accepted(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    moment = views.checkpoint.as_of
    restored(store, 20)
    with pytest.raises(LossError):
        views.catch_up(store)
    accept(store)
    views.catch_up(store)

    assert at_once(store, as_of=moment) == meetings.rows(live(store))


@pytest.mark.parametrize("value", ["'text'", "NULL", "x'ff'", "1.5"])
@pytest.mark.parametrize(
    "column", ["position", "as_of", "digest", "fingerprint", "traffic", "habits", "habits_then"]
)
@pytest.mark.slow_on_postgres
def test_a_checkpoint_that_was_tampered_with_is_made_anew(store, views, column, value):
    store.append(deliveries([line(webhook("session-started", sessionId="s"), 1)]))
    views.catch_up(store)
    views.close()
    _execute(live(store), f"UPDATE checkpoint SET {column} = {value}")
    Views.open(store).close()

    if (column, value) != ("as_of", "NULL"):  # no receive time is one that there may be
        assert at_once(store) == meetings.rows(live(store))


def test_rooms_are_counted_on_by_read_models_that_were_opened_anew(store, views):
    views.close()
    for second, name in enumerate("abc"):
        came = webhook("session-started", sessionId=name, meetingId="m")
        store.append(deliveries([line(came, second)]))
        Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))
    with Views.open(store) as opened:
        assert opened.log.habits.rooms == database.rooms.telling(opened.connection)


@pytest.mark.parametrize("value", ["'text'", "NULL", "x'ff'", "1.5"])
@pytest.mark.parametrize("column", ["once", "twice", "once_then", "twice_then"])
@pytest.mark.slow_on_postgres
def test_rooms_that_were_tampered_with_are_made_anew(store, views, column, value):
    given = deliveries(meetings.lines(1, sessions=6))
    store.append(given[:-30])
    views.catch_up(store)
    views.close()
    _execute(live(store), f"UPDATE rooms SET {column} = {value}")
    store.append(given[-30:])
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


@pytest.mark.parametrize("value", ["'text'", "NULL", "x'ff'", "1.5"])
@pytest.mark.parametrize("column", sorted(set(spans.TABLE.columns) - {"stream", "meeting_id"}))
@pytest.mark.slow_on_postgres
def test_spans_that_were_tampered_with_are_a_damage_at_most(store, views, column, value):
    """The span of a session that goes on is read when another one of its meeting begins."""
    one, other = ({"meetingId": "m", "sessionId": name} for name in "ab")
    store.append(deliveries([line(webhook("session-started", **one), 0)]))
    views.catch_up(store)
    views.close()
    _execute(live(store), f"UPDATE spans SET {column} = {value}")
    store.append(deliveries([line(webhook("session-started", **other), 60)]))
    Views.open(store).close()

    assert len(meetings.rows(live(store))["sessions"]) == 2


@pytest.mark.parametrize("where", ["deadlines", "sessions", "findings"])
@pytest.mark.slow_on_postgres
def test_read_models_without_a_table_are_made_anew(store, views, where):
    given = deliveries(meetings.lines(1))
    store.append(given[:30])
    views.catch_up(store)
    views.close()
    _execute(live(store), f"DROP TABLE {where}")
    store.append(given[30:])
    Views.open(store).close()

    assert at_once(store) == meetings.rows(live(store))


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.slow_on_postgres
def test_whatever_bytes_of_the_read_models_are_flipped_it_is_a_damage_at_most(store, views, seed):
    dice, given = random.Random(seed), deliveries(meetings.lines(1))
    store.append(given[:30])
    views.catch_up(store)
    views.close()
    content = bytearray(live(store).read_bytes())
    for _ in range(8):
        content[dice.randrange(16, 4096 if seed % 2 else len(content))] ^= dice.randrange(1, 256)
    live(store).write_bytes(content)
    store.append(given[30:])
    contents = ""
    try:
        with Views.open(store) as opened:
            for table in database.TABLES:
                list(opened.db.query(f"SELECT * FROM {table.name}"))
    except StoreDamagedError as error:
        contents = str(error)

    assert contents in ("", f"{live(store)}: is damaged")


def test_what_a_reader_finds_damaged_is_reported_with_what_to_do(store, views):
    with pytest.raises(StoreDamagedError, match="is damaged") as caught, views:
        views.db.execute("SELECT * FROM gone")

    assert caught.value.hint == "tracker rebuild builds it again from the store"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
@pytest.mark.parametrize("name", [VIEWS_DB, f"{VIEWS_DB}-journal", f"{VIEWS_DB}.rebuild-{{}}"])
@pytest.mark.slow_on_postgres
def test_what_is_no_file_in_the_place_of_one_is_reported(store, name, make):
    path = store.data / name.format(os.getpid())
    make(path)
    with pytest.raises(StoreError) as caught:
        Views.open(store)

    assert (caught.value.place, caught.value.hint[:9]) == (str(path), "remove it")


def test_a_directory_named_like_what_a_dead_rebuild_left_is_reported(store):
    path = store.data / f"{VIEWS_DB}.rebuild-0-none"
    path.mkdir()
    with pytest.raises(StoreError) as caught:
        rebuild(store)

    assert (caught.value.place, caught.value.hint[:9]) == (str(path), "remove it")


def settled_at(store, moment, page_size):
    """Every row of read models made anew and settled at a moment."""
    path = store.data / "settled.db"
    rebuild(store, path=path, page_size=page_size, as_of=moment)
    found = meetings.rows(path)
    path.unlink()
    return found


def after(seconds):
    return meetings.MORNING + timedelta(seconds=seconds)


def test_what_rests_on_absence_is_found_when_time_passes_and_nothing_comes(store, views):
    said = [("session-started", 0), ("recording-starting", 5)]
    store.append(deliveries(line(webhook(kind, sessionId="s"), at) for kind, at in said))
    views.catch_up(store)
    codes = []
    for seconds in (124, 126, 90_000):
        views.settle(store, after(seconds))
        codes.append({row["code"] for row in views.db.query("SELECT code FROM findings")})
    assert codes == [set(), {"T301"}, {"T301", "T304"}]


@given(
    moments=st.lists(st.integers(0, 60_000), min_size=1, max_size=6),
    sizes=st.lists(st.integers(0, 40), min_size=6, max_size=6),
    seed=st.integers(0, 30),
    memory=st.sampled_from([0, 10_000]),
)
@tries(30)
def test_rows_settled_between_deliveries_are_those_of_a_fold_settled_then(moments, sizes, seed, memory):
    """Whatever was settled before, what comes later is judged as if it had not been."""
    waiting = deliveries(meetings.lines(seed))
    with (
        tempfile.TemporaryDirectory() as data,
        closing(Tracker.open(Path(data), create=True)) as store,
        pytest.MonkeyPatch.context() as patch,
        Views.open(store) as views,
    ):
        patch.setattr(pages, "MEMORY", memory)
        for seconds, size in zip(moments, sizes, strict=False):
            store.append(waiting[:size])
            waiting = waiting[size:]
            views.catch_up(store)
            views.settle(store, after(seconds))

            assert settled_at(store, views.checkpoint.as_of, 1_000_000) == meetings.rows(live(store))


def test_settling_again_or_at_an_earlier_moment_writes_nothing(store, views):
    store.append(deliveries(meetings.lines(1)))
    views.catch_up(store)
    views.settle(store, after(90_000))
    before = live(store).read_bytes()
    for seconds in (90_000, 80_000):
        views.settle(store, after(seconds))

    assert before == live(store).read_bytes()


def test_a_rebuild_and_verify_know_the_moment_that_the_clock_had_reached(store, views):
    store.append(deliveries(meetings.lines(2)))
    views.catch_up(store)
    views.settle(store, after(90_000))
    settled = meetings.rows(live(store))
    assert verify(store, Rules()).problems == []
    rebuild(store)
    assert settled == meetings.rows(live(store))
    live(store).unlink()
    rebuild(store)
    assert settled == meetings.rows(live(store))


def test_a_settling_that_fails_half_way_leaves_rows_and_checkpoint_as_they_were(store, views):
    store.append(deliveries(meetings.lines(1, sessions=8)))
    views.catch_up(store)
    before = meetings.rows(live(store))
    views.db.execute("CREATE TRIGGER no BEFORE UPDATE ON checkpoint BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StoreError):
        views.settle(store, after(90_000))

    assert before == meetings.rows(live(store))


@pytest.mark.sqlite
def test_who_has_a_file_open_that_was_replaced_leaves_the_journal_of_the_new_one_alone(store, monkeypatch):
    store.append(deliveries(meetings.lines(0)))
    with Views.open(store) as stale:
        rebuild(store)
        with Views.open(store) as live:
            live.connection.execute("PRAGMA cache_size = 1")  # so that it is on the disk before the end
            live.connection.execute("BEGIN IMMEDIATE")
            live.connection.execute("DELETE FROM deliveries")
            journal = live.path.with_name(f"{live.path.name}-journal")
            assert journal.read_bytes()[:1] != b"\0"
            monkeypatch.setattr(opened, "LOCK_TIMEOUT", 0.05)
            with pytest.raises(StoreError, match="another process has been writing"):
                stale.settle(store, meetings.MORNING + timedelta(hours=1))
            assert journal.exists()
            live.connection.execute("ROLLBACK")
            stale.settle(store, meetings.MORNING + timedelta(hours=1))
    assert verify(store, Rules()).problems == []


@pytest.mark.sqlite
@pytest.mark.parametrize("there", ["nothing", "a link to nothing", "a journal"])
def test_what_is_made_anew_takes_its_place_whatever_is_left_there(store, there):
    store.append(deliveries(meetings.lines(0)))
    if there == "a link to nothing":
        (store.data / VIEWS_DB).symlink_to("gone.db")
    if there == "a journal":
        (store.data / f"{VIEWS_DB}-journal").write_bytes(b"\xd9\xd5\x05\xf9 \xa1c\xd7" + bytes(504))
    rebuild(store)
    with Views.open(store) as views:
        assert views.checkpoint.position == store.last_position()
    assert [path.name for path in store.data.glob(f"{VIEWS_DB}?*")] == []
