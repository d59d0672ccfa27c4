"""The digests beside the events tell whether a body was changed and whether the end was cut off."""

from contextlib import closing

import meetings
import pytest
import stores
from meetings import line
from stores import change, opened

from projections.views.verify import verify
from tracker.delivery.envelope import decode
from tracker.delivery.webhook import parse
from tracker.rules import Rules
from tracker.store.digests import BLOCK, Block, blocks
from tracker.store.ranges import Hole


def deliveries(count, session="s"):
    return [
        parse(decode(line(meetings.webhook("session-started", sessionId=session, n=n), n)))
        for n in range(count)
    ]


def covered(store):
    return [(one.first, one.last) for one in blocks(store.trackings("digest:"))]


def counter(store):
    return ("positions", "last") if stores.address(store.data) else ("sqlite_sequence", "seq")


@pytest.mark.parametrize("batches", [[2500], [999, 1, 1, 1499], [1] * 30 + [2470]])
def test_every_event_is_in_one_digest_however_they_came(store, batches):
    for count in batches:
        store.append(deliveries(count))
    assert covered(store) == [(1, 1000), (1001, 2000), (2001, 2500)]
    assert list(store.integrity()) == []


def test_the_digest_of_events_does_not_depend_on_their_transactions(store, tmp_path):
    store.append(deliveries(1500))
    with closing(opened(tmp_path / "other", create=True)) as other:
        for one in deliveries(1500):
            other.append([one])
            if other.last_position() == 20:
                other.append(deliveries(1500)[20:])
                break
        assert blocks(other.trackings("digest:")) == blocks(store.trackings("digest:"))


@pytest.mark.parametrize("position", [1, 700, 1000, 1001, 1234])
def test_a_body_that_was_changed_is_named_by_its_block(store, position):
    store.append(deliveries(1234))
    changed = line(meetings.webhook("session-started", sessionId="s", n="other"), 5)
    change(store, "UPDATE stored_events SET state = ? WHERE notification_id = ?", changed, position)
    first, last = (1, 1000) if position <= BLOCK else (1001, 1234)
    assert list(store.integrity()) == [
        (f"positions {first} to {last}", "one of them is not what was stored: their digest is another")
    ]


def test_an_end_that_was_cut_off_is_named_also_where_the_counter_was_set_back(store):
    store.append(deliveries(1234))
    change(store, "DELETE FROM stored_events WHERE notification_id > 1200")
    table, column = counter(store)
    change(store, f"UPDATE {table} SET {column} = 1200")
    assert list(store.integrity()) == [
        ("positions 1201 to 1234", "they were stored, and are not there: 34 deliveries are gone")
    ]


def test_what_came_in_the_place_of_an_end_that_was_cut_off_does_not_hide_it(store):
    store.append(deliveries(300))
    change(store, "DELETE FROM stored_events WHERE notification_id > 200")
    table, column = counter(store)
    change(store, f"UPDATE {table} SET {column} = 200")
    store.recorder._newest = 0
    store.append(deliveries(200, "other"))
    assert list(store.integrity()) == [
        ("positions 1 to 300", "one of them is not what was stored: their digest is another")
    ]


def test_events_that_were_taken_out_and_stored_again_as_they_were_are_sound(store):
    store.append(deliveries(300))
    change(store, "DELETE FROM stored_events WHERE notification_id > 299")
    table, column = counter(store)
    change(store, f"UPDATE {table} SET {column} = 299")
    store.recorder._newest = 0
    store.append(deliveries(300)[299:])
    assert list(store.integrity()) == []


def test_a_store_of_before_there_were_digests_gets_them_from_its_last_block_on_and_verify_says_so(store):
    store.append(deliveries(2100))
    change(store, "DELETE FROM tracking")
    store.append(deliveries(10))
    found = verify(store, Rules())
    assert (covered(store), found.problems) == ([(2001, 2110)], [])
    assert any("positions 1 to 2000 were stored without a digest" in note for note in found.records)


def test_what_an_older_program_stored_in_between_is_named_too(store):
    store.append(deliveries(500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.recorder), "_add_digests", lambda *_: None)
        store.append(deliveries(2700))
    store.append(deliveries(10))
    assert store.without_digest() == [Hole(501, 3000)]
    assert (covered(store), list(store.integrity())) == ([(1, 500), (3001, 3210)], [])


def test_what_is_copied_has_digests(store):
    store.append(deliveries(5))
    store.put(store.stored(0, 1, 1), 5)
    assert covered(store) == [(1, 6)]
    assert list(store.integrity()) == []


def test_a_name_that_is_no_digest_is_left_alone():
    assert blocks([("digest:1-2", 2), ("digest:1-2:00", 2), ("log:x", 3)]) == [Block(1, 2, b"\0")]
