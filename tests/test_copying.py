"""A copy is the same store in another place, whatever happens in between."""

import random
import time
from contextlib import closing

import meetings
import pytest
import stores
from meetings import lines, read_into, write
from stores import address, opened
from test_postgres import command

from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError, StoreError
from tracker.intake import copying
from tracker.intake.copying import Copied, copy
from tracker.store.application import Tracker
from tracker.store.clock import WrongTimes

COPY = """
import sys
from pathlib import Path
from stores import opened
from tracker.intake import copying
from tracker.store.clock import WrongTimes
from tracker.store.application import Tracker
copying.PAGE = 20
#go
with Tracker.open(Path(sys.argv[1])) as one, opened(sys.argv[2], create=True) as other:
    copying.copy(one, other, lambda done, total: None)
"""


@pytest.fixture
def source(tmp_path):
    """A store in a file, into which a log was read."""
    data = tmp_path / "source"
    with closing(Tracker.open(data, create=True)) as store:
        from tracker.intake.ingest import ingest
        from tracker.intake.logs import Log

        for _ in ingest(store, Log(str(write(tmp_path / "log", lines(1, sessions=20))))):
            pass
        yield store


@pytest.fixture
def target(each_store, tmp_path):
    with closing(opened(tmp_path / "target", create=True)) as store:
        yield store


def nobody(_done, _total):
    pass


def everything(store):
    return copying._compared(store.stored(0, 1_000_000, 1_000_000)), sorted(store.trackings("log:"))


def test_a_copy_has_every_event_as_it_was_and_knows_the_logs_that_were_read(source, target, tmp_path):
    last = source.last_position()

    assert copy(source, target, nobody) == Copied(last, 0)
    assert everything(target) == everything(source)
    assert list(target.integrity()) == []
    assert read_into(tmp_path / "target", tmp_path / "log").stored == 0


def test_a_second_copy_adds_what_is_new(source, target):
    before = source.last_position()
    copy(source, target, nobody)
    source.append([parse(b'{"webhookType":"x"}')] * 3)

    assert copy(source, target, nobody) == Copied(3, before)
    assert everything(target) == everything(source)


@pytest.mark.slow
def test_a_copy_killed_at_any_moment_goes_on_where_it_was(source, target, tmp_path):
    dice, data = random.Random(3), tmp_path / "target"
    for _ in range(5):
        process = meetings.start(COPY, source.data, data)
        meetings.go(process)
        time.sleep(dice.uniform(0, 0.2))
        process.kill()
        process.communicate()
    copy(source, target, nobody)

    assert everything(target) == everything(source)


def test_receive_times_that_were_taken_back_are_so_in_the_copy(source, target):
    source.take_back(WrongTimes(3, 4, "2026-11-24T00:00:00+00:00"))
    copy(source, target, nobody)

    assert target.wrong_times() == source.wrong_times() != []


def test_it_is_not_copied_over_another_store(source, target):
    target.append([parse(b"other")])
    before = everything(target)

    with pytest.raises(StoreError, match="holds other events than the source"):
        copy(source, target, nobody)
    assert everything(target) == before


def test_a_target_that_others_write_to_is_left(source, target, monkeypatch):
    monkeypatch.setattr(copying, "PAGE", 10)

    def interfere(done, _total):
        if done == 10:
            target.append([parse(b"other")])

    with pytest.raises(StoreError, match="another process stores events there"):
        copy(source, target, interfere)


def test_an_event_that_was_changed_in_the_copy_is_named(source, target):
    copy(source, target, nobody)
    stores.change(target, "UPDATE stored_events SET topic = 'other' WHERE notification_id = 7")

    with pytest.raises(StoreDamagedError, match="the event at position 7 is not that of the source"):
        copy(source, target, nobody)


def test_a_source_with_a_hole_is_not_copied(target, source):
    copy(source, target, nobody)
    stores.change(target, "DELETE FROM stored_events WHERE notification_id = 7")
    with closing(Tracker.open(source.data.with_name("third"), create=True)) as third:
        with pytest.raises(StoreDamagedError, match="a position is missing behind 6"):
            copy(target, third, nobody)
        assert third.count() == 0


def test_a_store_is_not_copied_into_itself(source):
    with pytest.raises(StoreError, match="is both source and target"):
        copy(source, source, nobody)


def test_the_command_copies_to_a_server_and_back(source, postgres, monkeypatch, tmp_path):
    monkeypatch.setenv(stores.ON_A_SERVER, postgres.url())
    server, back = tmp_path / "server", tmp_path / "back"
    opened(server, create=True).close()
    there = command("copy", "--from", source.data, "--to", address(server))
    again = command("copy", "--from", address(server), "--to", back)

    count, owner = source.last_position(), f"postgresql://tracker@127.0.0.1:{postgres.port}/postgres"
    assert there == (
        0,
        f"{owner}: {count} events copied, 0 already there, all equal to those of {source.data}\n",
        "",
    )
    assert again == (
        0,
        f"{back}: {count} events copied, 0 already there, all equal to those of {owner}\n",
        "",
    )
    with closing(Tracker.open(back)) as copied:
        assert everything(copied) == everything(source)


@pytest.mark.parametrize(
    ("places", "code", "words"),
    [
        (["--from", "nowhere", "--to", "there"], 3, "there is no store"),
        (["--from", "mysql://secret@host", "--to", "there"], 2, "a URL of mysql:// is not a store"),
        (["--to", "there"], 2, "--from"),
    ],
)
def test_what_cannot_be_copied_is_reported(tmp_path, monkeypatch, places, code, words):
    monkeypatch.chdir(tmp_path)
    found, out, err = command("copy", *places)

    assert (found, out, words in err, "hint: " in err, "secret" in err) == (code, "", True, True, False)
