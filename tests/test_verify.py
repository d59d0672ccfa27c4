"""Verifying finds what contradicts the log, and nothing where all is well."""

import os
import random
import sqlite3
import subprocess
from pathlib import Path

import pytest
import stores
from meetings import lines as log_lines

from projections.views import verify as verifying
from projections.views.database import VIEWS_DB
from projections.views.follow import Views
from projections.views.rebuild import rebuild
from projections.views.verify import verify
from tracker.delivery.envelope import decode
from tracker.delivery.webhook import parse
from tracker.errors import StoreError
from tracker.rules import Rules


@pytest.fixture
def store(each_store, tmp_path):
    with stores.opened(tmp_path, create=True) as opened:
        opened.append([parse(decode(line)) for line in log_lines(seed=1)])
        Views.open(opened).close()
        yield opened


def problems(store, rules=None):
    return [(problem.place, problem.text) for problem in verify(store, rules or Rules()).problems]


def change(path, statement, least=1):
    connection = sqlite3.connect(path)
    changed = connection.execute(statement).rowcount
    connection.commit()
    connection.close()
    assert changed >= least


def test_a_store_and_its_read_models_contradict_nothing(store):
    assert problems(store) == []


@pytest.mark.parametrize("table", ["sessions", "participants", "runs", "findings", "types"])
def test_a_row_that_is_gone_is_named(store, table):
    change((store.data / VIEWS_DB), f"DELETE FROM {table} WHERE rowid = (SELECT MIN(rowid) FROM {table})")
    ((place, printed),) = problems(store)
    assert (place.split()[0], printed) == (table, "the log makes such a row, and it is not there")


def test_a_row_that_nothing_makes_is_named(store):
    change(store.data / VIEWS_DB, "INSERT INTO types (type, deliveries) VALUES ('made-up', 1)")
    assert problems(store) == [
        ("types made-up", "this row follows from nothing in the store; tracker rebuild removes it")
    ]


def test_of_many_differences_some_are_named_and_the_rest_counted(store):
    change(store.data / VIEWS_DB, "UPDATE findings SET message = 'all is well'")
    printed = problems(store)
    assert (len(printed), "more rows differ" in printed[-1][1]) == (21, True)


def test_read_models_that_lag_behind_are_compared_up_to_where_they_are(store):
    store.append([parse(b'{"webhookType": "later"}')])
    assert problems(store) == []


def test_read_models_of_other_rules_are_no_contradiction(store):
    assert problems(store, Rules(severity={"S201": "error"})) == []


def test_read_models_that_are_no_database_are_named(store):
    (store.data / VIEWS_DB).write_bytes(b"garbage" * 1000)
    assert [place for place, _ in problems(store)] == [VIEWS_DB]


def test_verifying_leaves_nothing_behind(store):
    before = sorted(path.name for path in store.data.iterdir())
    problems(store)
    assert sorted(path.name for path in store.data.iterdir()) == before


def test_read_models_that_were_not_compared_are_reported(store):
    other = verify(store, Rules(severity={"S201": "error"}))
    (store.data / VIEWS_DB).unlink()
    missing = verify(store, Rules())

    assert (other.problems, other.notes) == (
        [],
        ["views.db was made by other rules or another version and was not compared"],
    )
    assert (missing.problems, missing.notes) == ([], ["views.db is not there and was not compared"])


@pytest.mark.parametrize(
    "changed",
    [
        "as_of = '2026-01-01T00:00:00.000000Z'",
        "traffic = replace(traffic, '\"ends_come\":true', '\"ends_come\":false')",
        "habits = replace(habits, '\"bodies\":', '\"bodies\":1')",
        "habits_then = replace(habits_then, '\"steps\":', '\"steps\":1')",
    ],
)
def test_a_changed_checkpoint_is_named(store, changed):
    change(store.data / VIEWS_DB, f"UPDATE checkpoint SET {changed}")
    assert "checkpoint" in {place.split()[0] for place, _ in problems(store)}


def test_read_models_of_another_log_are_named(store):
    stores.change(store, "UPDATE stored_events SET state = '{}' WHERE notification_id = 1")
    rebuild(store, stop=1)
    stores.change(store, "UPDATE stored_events SET state = '[]' WHERE notification_id = 1")
    assert problems(store)[-1] == (
        VIEWS_DB,
        "the event at position 1 is not the one that the read models were built from: at least 1 delivery is gone",
    )


FIRST = " WHERE notification_id = 7"


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE stored_events SET state = 'garbage'" + FIRST, "position 7"),
        ("UPDATE stored_events SET state = CAST(x'ff00' AS TEXT)" + FIRST, "position 7"),
        ("UPDATE stored_events SET state = x'ff00'" + FIRST, "position 7"),
        ("UPDATE stored_events SET state = 12" + FIRST, "position 7"),
        ("UPDATE stored_events SET state = 1.5" + FIRST, "position 7"),
        ("UPDATE stored_events SET originator_version = 'text'" + FIRST, "position 7"),
        ("UPDATE stored_events SET originator_id = x'ff'" + FIRST, "position 7"),
        ("UPDATE stored_events SET originator_id = CAST(x'ff' AS TEXT)" + FIRST, "position 7"),
        ("UPDATE stored_events SET originator_id = 'other'" + FIRST, "position 7"),
        ("UPDATE stored_events SET originator_id = 'unrouted:other'" + FIRST, "position 7"),
        ("UPDATE stored_events SET topic = 'other'" + FIRST, "position 7"),
        ("UPDATE stored_events SET topic = x'ff'" + FIRST, "position 7"),
        ("UPDATE sqlite_sequence SET seq = 'text'", "sqlite_sequence"),
        ("UPDATE sqlite_sequence SET seq = NULL", "sqlite_sequence"),
        ("UPDATE sqlite_sequence SET seq = 3", "sqlite_sequence"),
        ("DELETE FROM sqlite_sequence", "sqlite_sequence"),
        ("DROP TABLE tracking", "tracking"),
        ("INSERT INTO tracking VALUES ('log:x', 'text')", "tracking log:x"),
        ("INSERT INTO tracking VALUES (x'ff', 3)", "tracking b'\\xff'"),
        ("DROP TABLE stored_events", "stored_events"),
        ("DELETE FROM stored_events", "position 1"),
    ],
)
@pytest.mark.sqlite
def test_whatever_was_tampered_with_in_the_store_is_named(store, statement, place):
    stores.change(store, statement)
    assert place in {named for named, _ in problems(store)}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoint SET position = 'text'",
        "UPDATE checkpoint SET position = NULL",
        "UPDATE checkpoint SET position = 9223372036854775807",
        "UPDATE checkpoint SET as_of = 7",
        "UPDATE findings SET message = CAST(x'ff' AS TEXT)",
        "DELETE FROM checkpoint",
        "DROP TABLE checkpoint",
        "DROP TABLE runs",
        "DROP TABLE sessions",
    ],
)
@pytest.mark.slow_on_postgres
def test_whatever_was_tampered_with_in_the_read_models_is_named(store, statement):
    change(store.data / VIEWS_DB, statement, least=-1)
    assert [place for place, _ in problems(store)] == [VIEWS_DB]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.slow_on_postgres
def test_whatever_bytes_are_flipped_verifying_names_it_and_does_not_die(store, seed):
    dice, path = random.Random(seed), store.data / VIEWS_DB
    content = bytearray(path.read_bytes())
    for _ in range(20):
        content[dice.randrange(100, 8192 if seed % 2 else len(content))] ^= dice.randrange(1, 256)
    path.write_bytes(content)
    assert all(isinstance(place, str) for place, _ in problems(store))


def test_a_store_that_goes_on_while_it_is_verified_is_no_contradiction(store):
    waiting = [parse(decode(line)) for line in log_lines(seed=2)]

    def go_on(*_):
        store.append(waiting[:5])
        del waiting[:5]
        Views.open(store).close()

    with pytest.MonkeyPatch.context() as patch:
        for name in ("copied_together", "rebuild"):
            real = getattr(verifying, name)
            patch.setattr(verifying, name, lambda *a, real=real, **b: (go_on(), real(*a, **b), go_on())[1])
        found = verify(store, Rules(), go_on)
    assert (found.problems, found.notes) == ([], [])


def test_what_a_killed_verification_left_behind_is_removed(store):
    gone = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    left = [
        f"{VIEWS_DB}.verify-{gone}",
        f"{VIEWS_DB}.verify-copy-{gone}",
        f"{VIEWS_DB}.verify-{gone}.rebuild-{gone}",
    ]
    for name in left:
        (store.data / name).touch()
    problems(store)
    assert [name for name in left if (store.data / name).exists()] == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_no_file_in_the_place_of_the_read_models_is_reported(store, make):
    path = store.data / VIEWS_DB
    path.unlink()
    make(path)
    with pytest.raises(StoreError) as caught:
        verify(store, Rules())
    assert (caught.value.place, caught.value.hint[:9]) == (str(path), "remove it")
