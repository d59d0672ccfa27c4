"""A webhook is acknowledged only while the file that it went into is the one of that name."""

import shutil
from contextlib import closing

import pytest
from meetings import webhook
from served import served, until

from tracker.delivery.webhook import parse
from tracker.errors import StoreError
from tracker.store.application import Tracker

BODY = webhook("session-started", sessionId="s", meetingId="m")


def moved(path):
    path.rename(path.with_name("elsewhere.db"))


def removed(path):
    path.unlink()


def replaced(path):
    moved(path)
    shutil.copy(path.with_name("elsewhere.db"), path)


def directory_moved(path):
    path.parent.rename(path.parent.with_name("elsewhere"))


def log_removed(path):
    path.with_name("events.db-wal").unlink()


HAPPENED = [moved, removed, replaced, directory_moved, log_removed]


@pytest.fixture
def store(tmp_path):
    with closing(Tracker.open(tmp_path / "data", create=True)) as opened:
        opened.append([parse(BODY)])
        yield opened


@pytest.mark.parametrize("happen", HAPPENED, ids=lambda one: one.__name__)
def test_nothing_is_stored_once_the_file_is_gone_from_its_place(store, happen):
    happen(store.data / "events.db")
    with pytest.raises(StoreError, match="moved, removed or replaced"):
        store.append([parse(BODY)])
    with pytest.raises(StoreError, match="moved, removed or replaced"):
        store.try_to_write(0)


def test_nothing_is_made_in_the_place_of_a_file_that_is_gone(store):
    moved(store.data / "events.db")
    with pytest.raises(StoreError):
        store.append([parse(BODY)])
    with pytest.raises(StoreError):
        store.last_position()
    assert not (store.data / "events.db").exists()


def test_what_is_read_comes_from_the_file_of_that_name(store):
    replaced(store.data / "events.db")
    with pytest.raises(StoreError, match="moved, removed or replaced"):
        list(store.deliveries())


def test_a_file_that_was_put_back_is_used_again(store):
    path = store.data / "events.db"
    moved(path)
    with pytest.raises(StoreError):
        store.append([parse(BODY)])
    path.with_name("elsewhere.db").rename(path)
    assert list(store.append([parse(BODY)])) == [2]


def test_positions_that_go_back_under_a_writer_are_refused(store):
    store.append([parse(BODY)] * 3)
    with closing(Tracker.open(store.data)) as other, other.recorder.datastore.transaction(commit=True) as c:
        c.execute("DELETE FROM stored_events WHERE notification_id > 2")
        c.execute("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'stored_events'")
    with pytest.raises(StoreError, match="ends at position 2, and had 4"):
        store.append([parse(BODY)])
    assert store.count() == 2


@pytest.mark.parametrize("happen", [moved, removed, replaced], ids=lambda one: one.__name__)
def test_a_server_whose_file_is_gone_says_503_and_names_it(tmp_path, happen):
    with served(tmp_path / "data") as server:
        server.post("session-started", sessionId="s", meetingId="m")
        happen(tmp_path / "data" / "events.db")
        answers = [server.ask("/webhooks", "POST", BODY).status for _ in range(20)]
        ready = server.ask("/readyz")
        until(lambda: server.live.problem)
    assert (answers, ready.status) == ([503] * 20, 503)
    assert "the store: has been moved, removed or replaced while it was open" in ready.json["reasons"]
    assert not any(str(tmp_path) in reason for reason in ready.json["reasons"])
