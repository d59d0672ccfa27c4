"""What the read models were built from and the store has no longer is reported until somebody accepts it."""

import logging
import shutil
import sqlite3
from contextlib import closing

import meetings
import pytest
import stores
from click.testing import CliRunner
from meetings import line, lines, webhook, write
from served import served, until

from projections.cli import tracker as command
from projections.views.accepting import accept, find, keep_lost_positions
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.loss import LossError
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.delivery.envelope import decode
from tracker.delivery.webhook import parse
from tracker.intake.copying import copy
from tracker.rules import Rules
from tracker.store.application import Tracker

KEPT, SEEN = 40, 50
GONE = f"the store ends at position {KEPT}, but the read models go up to {SEEN}: 10 deliveries are gone"
BODY = webhook("session-started", sessionId="new", meetingId="m")


def deliveries(count=SEEN):
    return [parse(decode(line)) for line in lines(1, sessions=8)[:count]]


def forget(store, kept):
    """Takes the newest events out of a store as a backup, or a log that was lost, does."""
    stores.change(store, "DELETE FROM stored_events WHERE notification_id > ?", kept)
    stores.change(store, "DELETE FROM tracking")
    name, value = ("positions", "last") if stores.address(store.data) else ("sqlite_sequence", "seq")
    stores.change(store, f"UPDATE {name} SET {value} = ?", kept)
    store.recorder._newest = 0  # as in a process that opens it then


@pytest.fixture
def seen(store):
    """A store, and the read models up to its end."""
    store.append(deliveries())
    Views.open(store).close()
    return store


@pytest.fixture
def short(seen):
    """A store that lacks what its read models had read."""
    forget(seen, KEPT)
    return seen


def content(store):
    return (store.data / VIEWS_DB).read_bytes()


@pytest.mark.parametrize(
    "look", [Views.open, rebuild, lambda store: Views.open(store, Rules(severity={"S201": "info"}))]
)
def test_a_loss_is_reported_with_its_counts_and_the_read_models_stay_as_they_are(short, look):
    before = content(short)
    with pytest.raises(LossError, match=GONE):
        look(short)
    assert content(short) == before


def test_a_follower_does_not_go_on_over_a_loss(seen):
    with Views.open(seen) as views:
        forget(seen, KEPT)
        with pytest.raises(LossError, match=GONE):
            views.catch_up(seen)


def test_another_event_in_the_place_of_what_was_seen_is_a_loss(short):
    short.append([parse(BODY)] * 15)
    with pytest.raises(LossError, match=f"event at position {SEEN} is not the one .*: at least 10 deliv"):
        Views.open(short)
    accept(short)
    Views.open(short).close()
    assert meetings.rows(short.data / VIEWS_DB) != []


def test_what_cannot_be_counted_is_a_loss_all_the_same(short):
    with closing(sqlite3.connect(short.data / VIEWS_DB)) as views:
        views.execute("DROP TABLE sessions")
    short.append([parse(BODY)] * 15)
    with pytest.raises(LossError, match="at least 1 delivery is gone"):
        Views.open(short)


def test_verify_names_a_loss(short):
    assert GONE in [problem.text for problem in verify(short, Rules()).problems]


@pytest.mark.sqlite
def test_verify_names_a_loss_that_only_the_mark_tells(seen):
    seen.append([parse(BODY)] * 2)
    forget(seen, SEEN)
    printed = [problem.text for problem in verify(seen, Rules()).problems]
    assert printed == [
        f"the store ends at position {SEEN}, but it once went up to {SEEN + 2}: 2 deliveries are gone"
    ]


def test_what_is_accepted_is_recorded_and_the_old_read_models_are_spilled(short):
    before = content(short)
    accepted = accept(short)
    Views.open(short).close()
    found = verify(short, Rules())
    assert (accepted.ends, accepted.seen, find(short)) == (KEPT, SEEN, None)
    assert (short.data / f"{VIEWS_DB}.lost-{KEPT}-{SEEN}").read_bytes() == before
    assert found.problems == []
    assert any(f"10 deliveries from position {KEPT + 1} to {SEEN} are gone" in note for note in found.records)


def test_a_position_that_is_lost_is_not_given_again(short):
    accept(short)
    assert list(short.append([parse(BODY)])) == [SEEN + 1]
    Views.open(short).close()
    assert verify(short, Rules()).problems == []


def test_a_loss_behind_one_that_was_accepted_is_reported_as_well(short):
    accept(short)
    short.append([parse(BODY)] * 5)
    Views.open(short).close()
    stores.change(short, "DELETE FROM stored_events WHERE notification_id > ?", SEEN + 2)
    with pytest.raises(LossError, match="3 deliveries are gone"):
        Views.open(short)


def test_where_nothing_is_lost_nothing_is_accepted(seen):
    assert accept(seen) is None
    assert seen.trackings("loss:") == []


def test_a_second_reader_need_not_accept_what_is_recorded(short, tmp_path):
    other = tmp_path / "reader"
    other.mkdir()
    shutil.copy(short.data / VIEWS_DB, other)
    accept(short)
    place, short.data = short.data, other
    Views.open(short).close()
    short.data = place
    assert (other / f"{VIEWS_DB}.lost-{KEPT}-{SEEN}").exists()


def test_a_store_with_an_accepted_loss_is_copied_with_its_positions(short, tmp_path):
    accept(short)
    short.append([parse(BODY)] * 3)
    with closing(Tracker.open(tmp_path / "copy", create=True)) as target:
        copy(short, target, lambda _done, _total: None)
        assert [one.id for one in target.stored(KEPT - 1, 9, 99)] == [KEPT, SEEN + 1, SEEN + 2, SEEN + 3]
        assert list(target.integrity()) == []


@pytest.mark.sqlite
def test_a_loss_is_reported_also_without_read_models_and_of_what_was_not_judged(seen):
    seen.append([parse(BODY)] * 5)
    (seen.data / VIEWS_DB).unlink()
    forget(seen, KEPT)
    printed = f"the store ends at position {KEPT}, but it once went up to {SEEN + 5}: 15 deliveries are gone"
    for look in (Views.open, rebuild):
        with pytest.raises(LossError, match=printed):
            look(seen)
    assert printed in [problem.text for problem in verify(seen, Rules()).problems]
    accept(seen)
    Views.open(seen).close()
    assert verify(seen, Rules()).problems == []


@pytest.mark.sqlite
def test_the_larger_loss_is_reported_where_the_read_models_had_not_seen_all(seen):
    seen.append([parse(BODY)] * 5)
    forget(seen, KEPT)
    assert find(seen).gone == 15
    accept(seen)
    assert (find(seen), list(seen.append([parse(BODY)]))) == (None, [SEEN + 6])
    Views.open(seen).close()


@pytest.mark.sqlite
def test_what_is_stored_on_top_of_a_loss_does_not_hide_it(seen):
    (seen.data / VIEWS_DB).unlink()
    forget(seen, KEPT)
    place = seen.data
    for expected in (SEEN + 1, SEEN + 2):
        with closing(Tracker.open(place)) as other:  # each a process of its own
            keep_lost_positions(other)
            assert list(other.append([parse(BODY)])) == [expected]
            assert find(other).gone == 10
    with closing(Tracker.open(place)) as other:
        accept(other)
        (position,) = other.append([parse(BODY)])
        assert (find(other), other.mark().position) == (None, position)


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 60, None])
def test_a_mark_that_is_none_tells_nothing(seen, content):
    mark = seen.data / "events.mark"
    mark.unlink() if content is None else mark.write_bytes(content)
    Views.open(seen).close()
    assert find(seen) is None
    (position,) = seen.append([parse(BODY)])
    assert seen.mark().position == position


@pytest.mark.sqlite
def test_a_file_that_cannot_be_marked_stores_all_the_same(seen):
    (seen.data / "events.mark").unlink()
    (seen.data / "events.mark").mkdir()
    assert list(seen.append([parse(BODY)])) == [SEEN + 1]


# Served


@pytest.fixture
def older(tmp_path):
    """A data directory in which an older events.db was restored beside a newer views.db."""
    data = tmp_path / "data"
    with closing(Tracker.open(data, create=True)) as store:
        store.append(deliveries()[:KEPT])
    shutil.copy(data / "events.db", tmp_path / "backup.db")
    with closing(Tracker.open(data)) as store:
        store.append(deliveries()[KEPT:])
        Views.open(store).close()
    shutil.copy(tmp_path / "backup.db", data / "events.db")
    return data


def test_a_server_that_lost_deliveries_is_not_ready_until_that_is_accepted(older, caplog):
    with served(older, caught_up=False) as server, caplog.at_level(logging.ERROR):
        until(lambda: server.live.problem)
        ready = server.ask("/readyz")
        assert (ready.status, ready.json["reasons"]) == (503, [GONE])
        assert "tracker_lost_deliveries 10.0" in server.ask("/metrics").body.decode()
        assert server.post("session-started", sessionId="new", meetingId="m") == SEEN + 1
        assert any(GONE in str(record.__dict__.get("fields")) for record in caplog.records)
        with closing(Tracker.open(older)) as other:
            accept(other)
        until(lambda: server.ask("/readyz").status == 200)
        server.caught_up()
        assert "tracker_lost_deliveries 0.0" in server.ask("/metrics").body.decode()
        assert server.get("/api/sessions/new")["state"] == "live"


def test_who_only_receives_tells_a_loss_too(older):
    with served(older, live=False) as server:
        assert server.ask("/readyz").json["reasons"] == [GONE]
        assert server.post("session-started", sessionId="new", meetingId="m") == SEEN + 1


def test_a_store_that_is_gone_altogether_is_a_loss(older):
    for path in older.glob("events.db*"):
        path.unlink()
    with served(older, caught_up=False) as server:
        assert server.ask("/readyz").json["reasons"] == [
            f"the store ends at position 0, but the read models go up to {SEEN}: {SEEN} deliveries are gone"
        ]
        assert server.post("session-started", sessionId="new", meetingId="m") == SEEN + 1


# Commands


def run(data, *arguments):
    return CliRunner().invoke(command, ["--data", str(data), *map(str, arguments)])


@pytest.mark.parametrize(
    "arguments",
    [
        ["sessions"], ["status", "s1-0"], ["timeline", "s1-0"], ["explain", "s1-0"], ["rebuild"],
        ["rebuild", "--diff", "--rules", "LOG"], ["ingest", "LOG"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_that_would_make_the_read_models_anew_tells_the_loss_instead(older, tmp_path, arguments):
    log = write(tmp_path / "LOG", [line(BODY, 1)])
    if "--rules" in arguments:
        log.write_text("[rules]\n")
    before = (older / VIEWS_DB).read_bytes()
    done = run(older, *(log if one == "LOG" else one for one in arguments))
    assert (isinstance(done.exception, LossError), done.exception.exit_code) == (True, 3)
    assert (older / VIEWS_DB).read_bytes() == before
    with closing(Tracker.open(older)) as store:
        assert store.count() == KEPT


def test_an_audit_of_the_store_says_that_it_is_not_whole(older):
    assert GONE in run(older, "audit", "--fail-on", "never").stderr


def test_the_command_accepts_a_loss_and_everything_goes_on(older):
    done = run(older, "accept-loss")
    assert done.exit_code == 0
    assert f"10 deliveries from position {KEPT + 1} to {SEEN} are recorded as gone" in done.output
    assert f"{VIEWS_DB}.lost-{KEPT}-{SEEN}" in done.output
    assert run(older, "sessions").exit_code == 0
    assert run(older, "verify").exit_code == 0
    assert "no delivery is lost" in run(older, "accept-loss").output
