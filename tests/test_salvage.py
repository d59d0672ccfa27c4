"""What a damaged page of the file holds is lost and counted; all else is read, exported and verified."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
import stores
from click.testing import CliRunner
from meetings import line, webhook

from projections.cli import tracker as command
from projections.views.verify import verify
from tracker.delivery.envelope import decode
from tracker.delivery.webhook import parse
from tracker.errors import StoreDamagedError
from tracker.rules import Rules
from tracker.store.application import Tracker
from tracker.store.losses import Accepted
from tracker.store.ranges import Hole, readable

COUNT = 2400


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a store with as many events, all in its file."""
    data = tmp_path_factory.mktemp("whole")
    bodies = [webhook("session-started", sessionId=f"s{n % 300}", n=n, pad="x" * 200) for n in range(COUNT)]
    with closing(Tracker.open(data, create=True)) as store:
        store.append([parse(decode(line(body, 1))) for body in bodies])
    return (data / "events.db").read_bytes()


def leaves(content, size=4096):
    """Where the pages with events begin, in the order of their positions."""
    found = []
    for page in range(1, len(content) // size):
        at = content.find(b'"pad":"xxx', page * size, (page + 1) * size)
        if content[page * size] == 0x0D and at >= 0:
            number = re.search(rb'"n":(\d+),"pad"', content[page * size : (page + 1) * size])
            found.append((int(number[1]), page * size))
    return [place for _, place in sorted(found)]


def damaged(data, content, *places, size=4096):
    """A store of these bytes in which some pages are zeros."""
    data.mkdir()
    torn = bytearray(content)
    for place in places:
        torn[place : place + size] = bytes(size)
    (data / "events.db").write_bytes(torn)
    return data


def holes_of(store):
    return [one for one in store.salvaged() if isinstance(one, Hole)]


@pytest.mark.parametrize("which", [0, 1, 40, -2, -1])
def test_what_is_readable_is_read_on_both_sides_of_a_damaged_page(tmp_path, whole, which):
    data = damaged(tmp_path / "data", whole, leaves(whole)[which])
    with closing(Tracker.open(data)) as store:
        found = list(store.salvaged())
        (hole,) = [one for one in found if isinstance(one, Hole)]
    read = [one.position for one in found if not isinstance(one, Hole)]
    assert read == [n for n in range(1, COUNT + 1) if not hole.first <= n <= hole.last]
    assert 1 <= hole.count <= 20


def test_all_events_are_read_where_what_is_recorded_beside_them_is_damaged(tmp_path, whole):
    at = whole.index(b"digest:1-1000:") // 4096 * 4096
    data = damaged(tmp_path / "data", whole, at)
    with closing(Tracker.open(data)) as store:
        assert [one.position for one in store.salvaged()] == list(range(1, COUNT + 1))
        assert verify(store, Rules()).problems != []


def test_two_damaged_pages_are_two_holes_and_neighbours_are_one(tmp_path, whole):
    places = leaves(whole)
    data = damaged(tmp_path / "data", whole, places[10], places[11], places[50])
    with closing(Tracker.open(data)) as store:
        assert len(holes_of(store)) == 2


def test_verify_names_and_counts_what_a_damaged_page_held(tmp_path, whole):
    data = damaged(tmp_path / "data", whole, leaves(whole)[40])
    with closing(Tracker.open(data)) as store:
        (hole,) = holes_of(store)
        printed = [(problem.place, problem.text) for problem in verify(store, Rules()).problems]
    lost = f"cannot be read: {hole.count} deliveries are lost"
    assert (f"positions {hole.first} to {hole.last}", lost) in printed


def test_export_writes_all_that_can_be_read_and_says_what_is_missing(tmp_path, whole):
    data = damaged(tmp_path / "data", whole, leaves(whole)[40])
    with closing(Tracker.open(data)) as store:
        (hole,) = holes_of(store)
    done = CliRunner().invoke(command, ["--data", str(data), "export"])
    assert len(done.stdout.splitlines()) == COUNT - hole.count
    assert all(json.loads(one)["webhook"] for one in done.stdout.splitlines())
    assert (type(done.exception), done.exception.exit_code) == (StoreDamagedError, 3)
    assert f"{hole.count} deliveries, at positions {hole.first} to {hole.last}, cannot be read" in str(
        done.exception
    )


def test_what_was_exported_makes_a_sound_store(tmp_path, whole):
    data, log = damaged(tmp_path / "data", whole, leaves(whole)[40]), tmp_path / "rest.jsonl"
    log.write_bytes(CliRunner().invoke(command, ["--data", str(data), "export"]).stdout_bytes)
    done = CliRunner().invoke(command, ["--data", str(tmp_path / "new"), "ingest", str(log)])
    assert (
        done.exit_code,
        CliRunner().invoke(command, ["--data", str(tmp_path / "new"), "verify"]).exit_code,
    ) == (0, 0)


@pytest.mark.sqlite
def test_an_event_that_is_garbled_is_a_hole_of_one(store):
    store.append([parse(decode(line(webhook("x", sessionId="s", n=n), n))) for n in range(9)])
    with closing(sqlite3.connect(store.place)) as db, db:
        db.execute("UPDATE stored_events SET state = 7 WHERE notification_id = 4")
    assert holes_of(store) == [Hole(4, 4)]


def test_positions_that_are_missing_are_holes_too_and_those_that_are_accepted_are_not(store):
    store.append([parse(decode(line(webhook("x", sessionId="s", n=n), n))) for n in range(9)])
    stores.change(store, "DELETE FROM stored_events WHERE notification_id IN (3, 4, 7)")
    assert holes_of(store) == [Hole(3, 4), Hole(7, 7)]
    store.accept_loss(Accepted(6, 7, "", "2026-11-24T00:00:00+00:00"))
    assert holes_of(store) == [Hole(3, 4)]


def test_a_position_far_behind_all_others_is_reached_at_once(store):
    store.append([parse(decode(line(webhook("x", sessionId="s", n=n), n))) for n in range(3)])
    stores.change(store, "UPDATE stored_events SET notification_id = 1000000000000 WHERE notification_id = 3")
    assert [one if isinstance(one, Hole) else one.position for one in store.salvaged()] == [
        1, 2, Hole(3, 999999999999), 1000000000000,
    ]  # fmt: skip
    assert ("position 3", "a hole: the next position is 1000000000000") in list(store.integrity())


def test_a_store_that_is_whole_is_read_in_pages(store):
    store.append([parse(decode(line(webhook("x", sessionId="s", n=n), n))) for n in range(9)])
    asked = []

    def select(after, stop):
        asked.append((after, stop))
        return store.stored(after, 9, stop)

    assert [len(one) for one in readable(select, 0, 9, 4, lambda after: after + 1)] == [4, 4, 1]
    assert asked == [(0, 4), (4, 8), (8, 9)]
