import json
import os
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import meetings
import pytest
import stores
from eventsourcing.persistence import Tracking
from meetings import MORNING, deliveries, webhook
from msgspec.structs import replace
from stores import change
from story import value

import tracker.store.mapper
import tracker.store.reading
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from projections.views.verify import Verification, verify
from tracker.delivery.envelope import Received
from tracker.delivery.webhook import parse
from tracker.errors import NotFoundError, StoreDamagedError, StoreError, StoreMissingError, StoreVersionError
from tracker.judging.assess import assess_all
from tracker.rules import Rules
from tracker.store import recorder
from tracker.store.application import Tracker
from tracker.store.mapper import EnvelopeMapper, WebhookReceived
from tracker.store.recorder import ConcurrentReadError, Seen, SourcePosition
from tracker.store.sqlite import fault_of
from tracker.store.sqlite_errors import sqlite_error

STORED = Path(__file__).parent / "stored"

CREATE = """
import sys
from pathlib import Path
from tracker.delivery.webhook import parse
from stores import opened
#go
store = opened(sys.argv[1], create=True)
store.append([parse(b'{"webhookType":"x"}')])
store.close()
"""


def joined(session, participant="p"):
    return parse(webhook("participant-joined", sessionId=session, participantId=participant))


def failure(action, *arguments, **options):
    """The error an action ends with."""
    with pytest.raises(StoreError) as caught:
        action(*arguments, **options)
    return type(caught.value), caught.value.message, bool(caught.value.hint)


# Appending


def test_positions_follow_the_log_and_versions_the_stream(store):
    first = store.append([joined("a"), joined("b"), joined("a")])
    second = store.append([joined("b"), joined("a")])

    assert (list(first), list(second)) == ([1, 2, 3], [4, 5])
    assert [(delivery.stream, version) for delivery, version in store.page(0)] == [
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("b", 2),
        ("a", 3),
    ]


def test_a_batch_may_hold_thousands_of_one_stream(store):
    store.append([joined("a")])
    store.append(joined("a", str(number)) for number in range(5000))

    assert list(range(1, 5002)) == [event.originator_version for event in store.events.get("a")]


@pytest.mark.parametrize("size", [1, 19, 20, 21, 40, 57])
def test_a_batch_of_any_size_is_stored_in_its_order(store, size):
    store.append([joined("a"), joined("b")])
    given = [joined("abc"[number % 3], str(number)) for number in range(size)]
    positions = store.append(given)

    stored = store.page(2)
    assert [(one.position, one.stream, one.key) for one, _ in stored] == [
        (position, one.stream, one.key) for position, one in zip(positions, given, strict=True)
    ]
    assert [version for _, version in stored] == [number // 3 + 2 - (number % 3 == 2) for number in range(size)]
    assert list(store.integrity()) == []


def test_an_empty_batch_gets_no_positions(store):
    assert list(store.append([])) == []
    assert (store.last_position(), store.count()) == (0, 0)


def test_the_position_in_the_source_is_stored_with_the_events(store):
    store.append([joined("a")], SourcePosition(Tracking("log:x", 7)))

    assert store.trackings("log:") == [("log:x", 7)]


def test_without_the_position_in_the_source_the_events_are_not_stored_either(store):
    store.append([joined("a")], SourcePosition(Tracking("log:x", 7)))

    assert StoreError is failure(store.append, [joined("b")], SourcePosition(Tracking("log:x", 7)))[0]
    assert (store.count(), store.trackings("log:")) == (1, [("log:x", 7)])


@pytest.mark.sqlite
def test_without_the_events_the_position_in_the_source_is_not_stored_either(store):
    change(store, "CREATE TRIGGER no BEFORE INSERT ON stored_events BEGIN SELECT RAISE(ABORT, 'no'); END")

    assert StoreError is failure(store.append, [joined("a")], SourcePosition(Tracking("log:x", 7)))[0]
    assert (store.count(), store.trackings("log:")) == (0, [])


def test_a_source_that_others_have_read_since_is_not_stored(store):
    store.append([joined("a")], SourcePosition(Tracking("log:x", 7)))
    with pytest.raises(ConcurrentReadError):
        store.append([joined("a")], SourcePosition(Tracking("log:y", 9), Seen("log:", 0, 9, frozenset())))
    store.append([joined("a")], SourcePosition(Tracking("log:y", 9), Seen("log:", 7, 9, frozenset())))

    assert (store.count(), sorted(store.trackings("log:"))) == (2, [("log:x", 7), ("log:y", 9)])


def test_a_position_is_never_given_twice(store):
    store.append([joined("a"), joined("b")])
    change(store, "DELETE FROM stored_events")

    assert list(store.append([joined("a")])) == [3]


@pytest.mark.sqlite
def test_a_commit_is_on_the_disk_when_it_returns(store):
    with store.factory.datastore.transaction(commit=False) as cursor:
        found = []
        for pragma in ("synchronous", "journal_mode"):
            cursor.execute(f"PRAGMA {pragma}")
            found.append(cursor.fetchone()[0])

    assert found == [2, "wal"]


@pytest.mark.sqlite
def test_the_file_says_whose_it_is_and_in_which_format(store):
    with closing(sqlite3.connect(store.place)) as db:
        found = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]

    assert found == [0x4D545354, recorder.FORMAT]


@pytest.mark.slow
def test_processes_may_make_the_same_store_at_the_same_moment(tmp_path):
    for attempt in range(5):
        data = tmp_path / str(attempt)
        processes = [meetings.start(CREATE, data) for _ in range(4)]
        meetings.go(*processes)

        assert meetings.finish(*processes) == [""] * 4
        assert len(meetings.stored(data)) == 4


# Reading


def test_the_history_of_a_stream_goes_up_to_a_position_or_a_version(store):
    store.append([joined("a", "1"), joined("b", "2"), joined("a", "3"), joined("a", "5")][:4])

    assert [
        [delivery.position for delivery in store.history("a", **up_to)]
        for up_to in ({}, {"at": 3}, {"lte": 2}, {"at": 2}, {"at": 0})
    ] == [[1, 3, 4], [1, 3], [1, 3], [1], []]


def test_what_is_in_no_session_is_found_by_the_beginning_of_its_stream(store):
    store.append([parse(b"junk"), joined("a"), parse(b'{"webhookType":"new"}'), parse(b"{}")])

    assert [delivery.position for delivery in store.unrouted()] == [1, 3, 4]
    assert [delivery.position for delivery in store.unrouted("unrouted:new")] == [3]


def test_pages_go_on_behind_a_position_up_to_a_stop(store):
    store.append(joined("a") for _ in range(7))

    assert [
        [delivery.position for delivery, _ in store.page(after, 3, stop)]
        for after, stop in ((0, None), (3, None), (6, None), (7, None), (5, 6))
    ] == [[1, 2, 3], [4, 5, 6], [7], [], [6]]


def test_bodies_and_what_is_known_of_them_come_back_as_they_went_in(store):
    given = [Received(bytes([number]) * 3, MORNING, f"é:{number}", "key", None) for number in range(256)]
    given.append(Received(b'{"webhookType":"x"}', None, "", None, "tomorrow"))
    store.append(parse(received) for received in given)

    assert given == [delivery.received for delivery in store.deliveries()]


def test_it_is_an_application_of_eventsourcing(store):
    store.append([joined("a"), joined("b"), joined("a")])

    assert [(event.originator_id, event.originator_version) for event in store.events.get("a")] == [
        ("a", 1),
        ("a", 2),
    ]
    assert [
        (one.id, one.originator_id, one.originator_version) for one in store.notification_log.select(1, 10)
    ] == [(1, "a", 1), (2, "b", 1), (3, "a", 2)]
    assert store.recorder.max_notification_id() == 3
    assert [one.id for one in store.recorder.select_notifications(2, 10, 2, topics=["participant-joined"])] == [
        2
    ]


def test_an_event_put_by_the_library_is_read_like_any_other(store):
    received = Received(webhook("participant-joined", sessionId="a", participantId="p"), MORNING)
    store.events.put([WebhookReceived("a", 1, "participant-joined", received)])

    assert [("a", received)] == [(delivery.stream, delivery.received) for delivery in store.deliveries()]


# Status


@pytest.mark.parametrize("seed", range(4))
def test_the_status_at_a_position_is_that_of_the_deliveries_up_to_it(store, seed):
    store.append(deliveries(meetings.lines(seed, sessions=2)))
    stream = f"s{seed}-0"
    history = list(store.history(stream))
    for size in range(1, len(history) + 1):
        expected = value(assess_all(history[:size]))
        following = history[size].position - 1 if size < len(history) else store.last_position()

        assert expected == value(store.status(stream, at=history[size - 1].position))
        assert expected == value(store.status(stream, at=following))


@pytest.mark.parametrize("seed", range(4))
def test_the_status_as_of_a_time_is_that_of_what_was_received_by_then(store, seed):
    store.append(deliveries(meetings.lines(seed, sessions=2)))
    stream = f"s{seed}-0"
    history = list(store.history(stream))
    times = sorted(delivery.received_at for delivery in history if delivery.received_at)
    between = [one + (other - one) / 2 for one, other in pairwise(times)]
    for time in [*times, *between, times[-1] + timedelta(days=2)]:
        arrived = [one for one in history if one.received_at is None or one.received_at <= time]

        assert value(assess_all(arrived, time)) == value(store.status(stream, as_of=time))


def test_the_status_is_judged_by_the_rules_given(store):
    store.append(deliveries(meetings.lines(2, sessions=1)))
    rules = Rules(lateness=timedelta(0), session_idle=timedelta(seconds=20))
    assessed = assess_all(store.history("s2-0"), rules=rules)

    assert value(assessed) == value(store.status("s2-0", rules=rules)) != value(store.status("s2-0"))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"stream": "none"}, "no such session"),
        ({"stream": "a", "at": 1}, "no delivery of this session had come by then"),
        (
            {"stream": "a", "as_of": MORNING - timedelta(seconds=1)},
            "no delivery of this session had come by then",
        ),
    ],
)
def test_the_status_of_what_is_not_known_is_an_error_that_says_so(store, question, answer):
    store.append([joined("b"), replace(joined("a"), received=Received(joined("a").body, MORNING))])

    with pytest.raises(NotFoundError) as caught:
        store.status(**question)
    assert answer == caught.value.message


# Opening


def test_where_there_is_no_store_it_says_so_and_makes_none(tmp_path):
    assert (StoreMissingError, "there is no store", True) == failure(Tracker.open, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_store_until_one_is_made_of_it(tmp_path):
    (tmp_path / "events.db").touch()

    assert (StoreDamagedError, "is empty", True) == failure(Tracker.open, tmp_path)
    with closing(Tracker.open(tmp_path, create=True)) as store:
        assert store.count() == 0


@pytest.mark.parametrize("create", [True, False])
def test_what_is_no_database_is_reported_and_left_alone(tmp_path, create):
    (tmp_path / "events.db").write_bytes(b"hello world, " * 100)

    assert (StoreDamagedError, "is not a store of this program, or is damaged", True) == failure(
        Tracker.open, tmp_path, create=create
    )
    assert (tmp_path / "events.db").read_bytes() == b"hello world, " * 100


@pytest.mark.parametrize("create", [True, False])
def test_a_database_of_another_program_is_reported_and_left_alone(tmp_path, create):
    with closing(sqlite3.connect(tmp_path / "events.db")) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = (tmp_path / "events.db").read_bytes()

    assert (StoreDamagedError, "is a database of another program", True) == failure(
        Tracker.open, tmp_path, create=create
    )
    assert before == (tmp_path / "events.db").read_bytes()


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.sqlite
def test_a_store_of_a_newer_version_is_reported_and_left_alone(store, create):
    store.close()
    newer = recorder.FORMAT + 1
    change(store, f"PRAGMA user_version = {newer}")

    message = f"was written by a newer version (format {newer}, this one knows {recorder.FORMAT})"
    assert (StoreVersionError, message, True) == failure(Tracker.open, store.data, create=create)


@pytest.mark.parametrize("create", [True, False])
def test_a_data_directory_that_is_a_file_is_reported(tmp_path, create):
    (tmp_path / "data").write_text("hello")

    assert (StoreError, "is a file, not a directory", True) == failure(
        Tracker.open, tmp_path / "data", create=create
    )


def test_a_data_directory_below_a_file_is_reported(tmp_path):
    (tmp_path / "file").write_text("hello")

    assert (StoreError, "cannot be made: Not a directory", True) == failure(
        Tracker.open, tmp_path / "file" / "data", create=True
    )


@pytest.mark.parametrize("create", [True, False])
def test_a_directory_in_the_place_of_the_file_is_reported(tmp_path, create):
    (tmp_path / "events.db").mkdir()

    assert (StoreError, "is a directory, not a file", True) == failure(Tracker.open, tmp_path, create=create)


@pytest.mark.sqlite
def test_a_store_damaged_in_the_middle_is_reported(store):
    store.append(joined("a", str(number)) for number in range(3000))
    store.close()
    content = bytearray(Path(store.place).read_bytes())
    content[8192 : len(content) // 2] = b"\xaa" * (len(content) // 2 - 8192)
    Path(store.place).write_bytes(content)

    with closing(Tracker.open(store.data)) as damaged:
        assert StoreDamagedError is failure(lambda: list(damaged.deliveries()))[0]


def test_a_store_without_its_table_is_reported(store):
    change(store, "DROP TABLE stored_events")

    assert StoreDamagedError is failure(store.count)[0]


def test_a_writer_that_waits_too_long_for_another_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "LOCK_TIMEOUT", 1)
    with (
        closing(Tracker.open(tmp_path, create=True)) as store,
        closing(sqlite3.connect(store.place, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")

        assert (StoreError, "another process has been writing for 1 s", True) == failure(
            store.append, [joined("a")]
        )


def test_whether_it_can_be_written_is_tried_without_waiting_long_for_another(store):
    store.try_to_write(1)
    with stores.locked(store.data):
        assert failure(store.try_to_write, 0.2)[1] == "another process has been writing for 0.2 s"
    store.try_to_write(1)

    assert store.count() == 0


def test_a_disk_that_is_full_is_reported_and_what_was_committed_is_kept(small_disk):
    batch = [joined("a", str(number)) for number in range(500)]
    with closing(Tracker.open(small_disk / "data", create=True)) as store:
        answer = failure(lambda: [store.append(batch) for _ in range(1000)])
        kept = store.count()

        assert ((StoreError, "the disk is full", True), 0) == (answer, kept % len(batch))
        assert list(store.integrity()) == []
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        assert [kept + 1] == list(store.append([joined("a")]))


def test_a_file_system_that_is_read_only_is_reported(small_disk):
    with closing(Tracker.open(small_disk / "data", create=True)) as store:
        store.append([joined("a")])
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=False, capture_output=True)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    assert {StoreError} == {
        failure(Tracker.open, small_disk / "data", create=True)[0],
        failure(Tracker.open, small_disk / "other", create=True)[0],
    }


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (OSError(28, "No space left on device", "a/views.db"), "the disk is full"),
        (PermissionError(13, "Permission denied", "full/locked"), "cannot be written"),
        (OSError(30, "Read-only file system", "full/a"), "cannot be written"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.OperationalError("database is locked"), "another process has been writing for 60 s"),
        (sqlite3.DatabaseError("file is not a database"), "is not a store of this program, or is damaged"),
        (sqlite3.OperationalError("disk I/O error"), "disk I/O error"),
    ],
)
def test_what_a_database_complains_of_is_reported_with_its_place_and_a_hint(tmp_path, error, message):
    answer = sqlite_error(tmp_path, error)

    assert (message, str(tmp_path), 3, True) == (
        answer.message,
        answer.place,
        answer.exit_code,
        bool(answer.hint),
    )


# Integrity


def test_a_store_that_was_only_appended_to_is_sound(store):
    store.append(deliveries(meetings.lines(1)))

    assert list(store.integrity()) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (
            "DELETE FROM stored_events WHERE notification_id = 2",
            ("position 2", "a hole: the next position is 3"),
        ),
        (
            "DELETE FROM stored_events WHERE notification_id = 5",
            ("position 5", "a hole at the end: position 5 had been given"),
        ),
        (
            "UPDATE stored_events SET originator_version = 9 WHERE notification_id = 3",
            ("position 3", "version 9 of a is out of order"),
        ),
        (
            "UPDATE stored_events SET originator_version = 0 WHERE notification_id = 3",
            ("position 3", "version 0 of a is out of order"),
        ),
    ],
)
def test_integrity_names_the_place_that_was_changed_by_hand(store, statement, problem):
    store.append([joined("a"), joined("b"), joined("a"), joined("c"), joined("d")])
    change(store, statement)

    assert [problem] == list(store.integrity())


@pytest.mark.parametrize(
    ("version", "faulty"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False)],
)
def test_versions_of_sqlite_with_a_known_fault_are_known(version, faulty):
    assert bool(fault_of(version)) == faulty


# Formats


def test_bytes_stored_in_format_1_are_read_as_they_were_meant():
    mapper, at = EnvelopeMapper(), datetime(2026, 3, 2, 9, tzinfo=UTC)
    later = at + timedelta(milliseconds=250)
    states = (STORED / "format-1.jsonl").read_bytes().splitlines()

    assert [
        Received(
            b'{"webhookType":"recording-started","data":{"meetingId":"m","sessionId":"s"}}',
            later,
            "monday.jsonl:7",
            "pinned-2026",
        ),
        Received(
            '{ "webhookType" : "session-started", "data":{"name":"café"} }'.encode(), at, "monday.jsonl:8"
        ),
        Received(b'{"webhookType":"x",\n "data":{}}', later, "monday.jsonl:9"),
        Received(b'not "json"', None, "monday.jsonl:10", None, "last tuesday"),
        Received(b"\xff\x00{"),
        Received(b"{}"),
        Received(b"{}", at, "monday.jsonl:11", wrong_time="2000-01-01T00:00:03Z"),
    ] == [mapper.to_received(state) for state in states]


def test_in_format_2_there_are_signatures():
    mapper, states = EnvelopeMapper(), (STORED / "format-2.jsonl").read_bytes().splitlines()
    found = [mapper.to_received(state) for state in states]

    assert [one.signature for one in found if one.signature is not None] == ["c2lnbmVkc2lnbmVkc2lnbmVk", ""]
    before = map(mapper.to_received, (STORED / "format-1.jsonl").read_bytes().splitlines())
    assert [replace(one, signature=None) for one in found][:-1] == list(before)


def test_in_format_3_there_are_accounts():
    mapper, states = EnvelopeMapper(), (STORED / "format-3.jsonl").read_bytes().splitlines()
    found = [mapper.to_received(state) for state in states]

    assert [one.account for one in found if one.account is not None] == ["acme", "beta.eu-1"]
    before = map(mapper.to_received, (STORED / "format-2.jsonl").read_bytes().splitlines())
    assert [replace(one, account=None) for one in found][:-1] == list(before)


def test_in_format_4_there_are_erasures():
    mapper, states = EnvelopeMapper(), (STORED / "format-4.jsonl").read_bytes().splitlines()
    found = [mapper.to_received(state) for state in states]

    assert [one.erased_at for one in found if one.erased_at] == [datetime(2026, 11, 26, 14, tzinfo=UTC)] * 2
    before = map(mapper.to_received, (STORED / "format-3.jsonl").read_bytes().splitlines())
    assert found[:-2] == list(before)


@pytest.mark.sqlite
def test_whoever_appends_to_a_store_of_an_older_format_raises_it(store):
    store.close()
    change(store, "PRAGMA user_version = 1")
    with closing(stores.opened(store.data)) as opened:
        assert opened.last_position() == 0
        opened.append([joined("a")])
    with closing(sqlite3.connect(store.place)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (recorder.FORMAT,)


def test_a_format_that_was_rolled_back_is_raised_by_the_next_who_appends(store):
    older, newest = (
        (f"PRAGMA user_version = {recorder.FORMAT - 1}", "PRAGMA user_version")
        if stores.address(store.data) is None
        else (
            f"COMMENT ON TABLE stored_events IS 'meeting-tracker format {recorder.FORMAT - 1}'",
            "SELECT obj_description('stored_events'::regclass)",
        )
    )
    store.close()
    change(store, older)
    with closing(stores.opened(store.data)) as opened:
        with pytest.raises(ConcurrentReadError):
            opened.append([joined("a")], SourcePosition(Tracking("x", 1), Seen("x", -1, 9, frozenset({"y"}))))
        opened.append([joined("a")])
        assert str(opened.recorder.rows(newest)[0][0]).endswith(str(recorder.FORMAT))


@pytest.mark.parametrize("format", [1, 2, 3, 4])
def test_what_is_stored_today_are_the_bytes_of_each_format(format):
    mapper, states = EnvelopeMapper(), (STORED / f"format-{format}.jsonl").read_bytes().splitlines()
    events = [WebhookReceived("s", 1, "x", mapper.to_received(state)) for state in states]

    assert states == [mapper.to_stored_event(event).state for event in events]


def test_states_of_old_formats_are_read_through_every_upcaster_since_beside_new_ones(store, monkeypatch):
    """Made up: the third format renamed ``from`` to ``source``, the second ``origin`` to ``from``."""
    for _ in range(3):
        store.append([replace(joined("a"), received=Received(b"{}", MORNING, "here"))])
    store.close()
    for version, name in ((1, "origin"), (2, "from")):
        replaced = f"replace(state, 'source', '{name}')"
        if stores.address(store.data):
            replaced = f"convert_to(replace(convert_from(state, 'UTF8'), 'source', '{name}'), 'UTF8')"
        change(
            store,
            f"UPDATE stored_events SET state = {replaced} WHERE notification_id = {version}",
        )

    def renaming(old, new):
        return lambda state: json.dumps(
            {new if key == old else key: value for key, value in json.loads(state).items()}
        ).encode()

    upcasters = (renaming("origin", "from"), renaming("from", "source"))
    monkeypatch.setattr(tracker.store.mapper, "UPCASTERS", upcasters)
    with closing(stores.opened(store.data)) as opened:
        assert [Received(b"{}", MORNING, "here")] * 3 == [one.received for one in opened.deliveries()]
        assert [Received(b"{}", MORNING, "here")] * 3 == [event.received for event in opened.events.get("a")]


def test_every_format_before_ours_has_an_upcaster():
    assert len(tracker.store.mapper.UPCASTERS) == recorder.FORMAT - 1


def test_the_types_are_the_topics(store):
    store.append(deliveries(meetings.lines(5)))
    topics = Counter(one.topic for one in store.recorder.select_notifications(1, 10_000))

    assert Counter(delivery.topic for delivery in store.deliveries()) == topics


# What was tampered with


@pytest.mark.sqlite
def test_a_state_that_was_stored_as_text_is_read_as_its_bytes(store):
    store.append([joined("é")])
    change(store, "UPDATE stored_events SET state = CAST(state AS TEXT)")

    assert (
        [joined("é").body]
        == [one.body for one in store.deliveries()]
        == [one.body for one in store.history("é")]
    )


@pytest.mark.parametrize(
    "assignment", ["state = 7", "state = 1.5", "originator_version = 'text'", "originator_id = x'00'"]
)
@pytest.mark.sqlite
def test_an_event_that_cannot_be_read_is_reported_with_its_position(store, assignment):
    store.append([joined("a"), joined("a")])
    change(store, f"UPDATE stored_events SET {assignment} WHERE notification_id = 2")
    expected = (StoreDamagedError, "the event at position 2 is damaged", True)

    assert expected == failure(lambda: list(store.deliveries()))
    if "originator_id" not in assignment:
        assert expected == failure(lambda: list(store.history("a")))


@pytest.mark.parametrize("stream", ["other", "resource:r", "unrouted:x"])
def test_a_delivery_belongs_where_it_is_stored(store, stream):
    store.append([joined("a")])
    change(store, "UPDATE stored_events SET originator_id = ?", stream)
    (found,) = store.history(stream)

    assert (found.stream, found.session_id) == (stream, stream if stream == "other" else None)
    assert (found.lifecycle is None) == (found.unrouted == "C509") == (stream == "unrouted:x")


@pytest.mark.parametrize("format", [0, -1, -(2**31)])
@pytest.mark.sqlite
def test_a_format_that_there_never_was_is_reported(store, format):
    store.close()
    change(store, f"PRAGMA user_version = {format}")

    assert (StoreDamagedError, f"has format {format}, which there never was", True) == failure(
        Tracker.open, store.data
    )


@pytest.mark.sqlite
def test_a_counter_of_positions_that_is_gone_costs_no_position(store):
    store.append([joined("a"), joined("a")])
    change(store, "DELETE FROM sqlite_sequence")

    assert list(store.append([joined("a"), joined("a")])) == [3, 4]


def test_an_event_has_a_digest_of_its_own(store):
    store.append([joined("a"), joined("a"), joined("b")])
    before = [store.digest(position) for position in range(5)]
    change(store, "UPDATE stored_events SET state = '{}' WHERE notification_id = 3")

    assert (before[0], before[4], len(set(before))) == ("", "", 4)
    assert before[3] != store.digest(3)


def test_a_stream_longer_than_a_page_is_read_to_its_end(store, monkeypatch):
    monkeypatch.setattr(tracker.store.reading, "PAGE", 3)
    store.append(parse(b"junk") for _ in range(9))

    assert list(range(1, 10)) == [one.position for one in store.unrouted()]
    assert list(range(1, 10)) == [one.position for one in store.history("unrouted:malformed")]


# Where it lies


def test_a_directory_may_be_named_like_a_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("file:x", "a?mode=memory", ":memory:", "a#b%20c"):
        with closing(Tracker.open(Path(name), create=True)) as store:
            store.append([joined("a")])
        with closing(Tracker.open(Path(name))) as store, Views.open(store):
            assert (store.count(), verify(store, Rules())) == (1, Verification())
            assert all((tmp_path / name / file).exists() for file in ("events.db", "views.db"))


def test_a_pipe_in_the_place_of_the_file_is_reported(tmp_path):
    os.mkfifo(tmp_path / "events.db")

    assert (StoreError, "is no file", True) == failure(Tracker.open, tmp_path)


def test_a_store_on_a_medium_that_is_read_only_is_read_after_a_clean_close(small_disk):
    with closing(Tracker.open(small_disk / "data", create=True)) as store:
        store.append([joined("a")])
        Views.open(store).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with closing(Tracker.open(small_disk / "data")) as store, Views.open(store) as views:
        assert (store.count(), views.checkpoint.position) == (1, 1)
        assert failure(store.append, [joined("a")])[1] == "cannot be written"
        found = verify(store, Rules())
        assert (found.problems, found.notes) == ([], [])


def test_read_models_that_are_not_current_on_a_medium_that_is_read_only_are_reported(small_disk):
    with closing(Tracker.open(small_disk / "data", create=True)) as store:
        Views.open(store).close()
        store.append([joined("a")])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with closing(Tracker.open(small_disk / "data")) as store:
        assert failure(Views.open, store) == (StoreError, "cannot be written", True)
        assert failure(rebuild, store) == (StoreError, "cannot be written", True)
        assert verify(store, Rules()).problems == []


@pytest.mark.sqlite
def test_a_schema_that_is_garbled_is_reported(store):
    store.append([joined("a")])
    store.close()
    content = Path(store.place).read_bytes()
    Path(store.place).write_bytes(
        content.replace(b"CREATE TABLE stored_events", b"CREATE TABL\xff \xff\xfe\xfdred_events")
    )

    assert StoreDamagedError is failure(Tracker.open, store.data)[0]


@pytest.mark.sqlite
def test_a_session_whose_id_was_once_read_with_replacement_characters_stays_where_it_is(store):
    """Versions before kept a half of a surrogate pair as U+FFFD; what they stored contradicts nothing."""
    old = parse(meetings.webhook("session-started", sessionId="\ud83d"))
    old.stream = old.session_id = "\ufffd"
    store.append([old])
    assert [one.session_id for one in store.history("\ufffd")] == ["\ufffd"]
    assert list(store.integrity()) == []
