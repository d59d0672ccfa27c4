"""Verifying finds what contradicts the log, and nothing where all is well."""

import sqlite3

import pytest
from meetings import lines as log_lines

from projections.follow import VIEWS_DB, Views
from projections.verify import verify
from tracker.envelope import decode
from tracker.rules import Rules
from tracker.store import Tracker
from tracker.webhook import parse


@pytest.fixture
def store(tmp_path):
    with Tracker.open(tmp_path, create=True) as opened:
        opened.append([parse(decode(line)) for line in log_lines(seed=1)])
        Views.open(opened).close()
        yield opened


def problems(store, rules=None):
    return [(problem.place, problem.text) for problem in verify(store, rules or Rules())]


def change(path, statement):
    connection = sqlite3.connect(path)
    changed = connection.execute(statement).rowcount
    connection.commit()
    connection.close()
    assert changed > 0


def test_a_store_and_its_read_models_contradict_nothing(store):
    assert problems(store) == []


@pytest.mark.parametrize("table", ["sessions", "participants", "runs", "findings", "types"])
def test_a_row_that_is_gone_is_named(store, table):
    change(
        store.path.with_name(VIEWS_DB), f"DELETE FROM {table} WHERE rowid = (SELECT MIN(rowid) FROM {table})"
    )
    ((place, told),) = problems(store)
    assert (place.split()[0], told) == (table, "the log makes such a row, and it is not there")


def test_a_row_that_nothing_makes_is_named(store):
    change(store.path.with_name(VIEWS_DB), "INSERT INTO types (type, deliveries) VALUES ('made-up', 1)")
    assert problems(store) == [("types made-up", "there is such a row, and nothing in the log makes it")]


def test_of_many_differences_some_are_named_and_the_rest_counted(store):
    change(store.path.with_name(VIEWS_DB), "UPDATE findings SET message = 'all is well'")
    told = problems(store)
    assert (len(told), "more rows differ" in told[-1][1]) == (21, True)


def test_read_models_that_lag_behind_are_compared_up_to_where_they_are(store):
    store.append([parse(b'{"webhookType": "later"}')])
    assert problems(store) == []


def test_read_models_of_other_rules_are_no_contradiction(store):
    assert problems(store, Rules(severity={"S201": "error"})) == []


def test_read_models_that_are_no_database_are_named(store):
    store.path.with_name(VIEWS_DB).write_bytes(b"garbage" * 1000)
    assert [place for place, _ in problems(store)] == [VIEWS_DB]


def test_verifying_leaves_nothing_behind(store):
    before = sorted(path.name for path in store.path.parent.iterdir())
    problems(store)
    assert sorted(path.name for path in store.path.parent.iterdir()) == before
